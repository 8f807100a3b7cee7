//! The bounds of a recording. The writer stays within each, and the reader refuses what is beyond: a recording that was
//! written can be read, and a file from a stranger can make a reader hold no more than this.

#[cfg(test)]
mod tests;

/// Columns, and the elements of lists among them.
pub(crate) const COLUMNS: usize = 4096;

/// Bytes of the footer. One row group takes some four kilobytes, and ten times that once it is read.
pub(crate) const FOOTER_BYTES: usize = 16 << 20;

/// Rows of a row group.
pub(crate) const GROUP_ROWS: usize = 512 << 10;

/// Elements of one list, and of all lists of one column of a row group.
pub(crate) const LIST_VALUES: usize = 4096;
pub(crate) const GROUP_LIST_VALUES: usize = 8 << 20;

/// Bytes of one text. Longer ones are cut, and end in [`CUT`].
pub(crate) const TEXT_BYTES: usize = 1 << 20;

/// Bytes of all the different texts of a column in one batch. What comes after them is [`CUT`] alone.
pub(crate) const BATCH_TEXT_BYTES: usize = 4 << 20;

/// What a text ends with that was cut.
pub(crate) const CUT: &str = "…";

/// Bytes of a page, before it is compressed: a dictionary of texts is one, and holds those of a batch beyond its own bound,
/// with up to four bytes for each that is not a text.
pub(crate) const PAGE_BYTES: usize = 32 << 20;

/// Bytes that reading a row group holds at once: of each column that is read, its dictionary and one page.
pub(crate) const HELD_BYTES: usize = 160 << 20;

/// Bytes of a recording that comes compressed, in a bundle or through a pipe, once it is unpacked.
pub(crate) const UNPACKED_BYTES: u64 = 4 << 30;

/// How many times as large it may become. Pages are compressed already: the fixtures' footers, their best part, shrink to a tenth.
pub(crate) const UNPACKED_RATIO: u64 = 64;

/// Files in a bundle.
pub(crate) const BUNDLE_ENTRIES: u16 = 1024;

/// A text without what is beyond the bound.
pub(crate) fn cut(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let Some(kept) = text.get(..TEXT_BYTES - CUT.len()).filter(|_| text.len() > TEXT_BYTES) else {
        return text.into();
    };
    // Not within a character.
    let end = kept.len() - kept.iter().rev().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let end = if kept.get(end.wrapping_sub(1)).is_some_and(|byte| *byte >= 0xc0) { end - 1 } else { end };
    let mut cut = kept.get(..end).unwrap_or(kept).to_vec();
    cut.extend_from_slice(CUT.as_bytes());
    cut.into()
}
