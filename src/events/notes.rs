//! The notes that describe static probes in a file, as `sys/sdt.h` of SystemTap writes them.

/// The type of such a note.
const NT_STAPSDT: usize = 3;
/// Notes of one file that are read: the largest programs have some thousands.
const MAX_NOTES: usize = 100_000;

/// One place of a static probe, as its note has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Note {
    /// The provider.
    pub(super) provider: String,
    /// The probe's name.
    pub(super) name: String,
    /// The address of its instruction, in the numbering of the file when it was linked.
    pub(super) address: u64,
    /// The address that the section `.stapsdt.base` had then: it moves with the file when that is prelinked.
    pub(super) base: u64,
    /// The address of the counter that enables the probe; 0: it has none.
    pub(super) semaphore: u64,
    /// The operands of its arguments.
    pub(super) arguments: String,
}

/// Reads the section's content. What is no such note is passed over, and what is cut short ends the list.
pub(super) fn notes(mut content: &[u8]) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut seen = 0;
    while let Some((one, rest)) = note(content).filter(|_| seen < MAX_NOTES) {
        notes.extend(one);
        content = rest;
        seen += 1;
    }
    notes.sort();
    notes.dedup();
    notes
}

/// A note has three lengths, the owner's name, and here three addresses with three texts behind them.
fn note(notes: &[u8]) -> Option<(Option<Note>, &[u8])> {
    let number = |at: usize| Some(u32::from_le_bytes(*notes.get(at..)?.first_chunk()?) as usize);
    let (owner, length, kind) = (number(0)?, number(4)?, number(8)?);
    let begin = 12usize.checked_add(owner.checked_next_multiple_of(4)?)?;
    let end = begin.checked_add(length)?;
    let rest = notes.get(end.checked_next_multiple_of(4)?..).unwrap_or_default();
    let content = notes.get(begin..end)?;
    if kind != NT_STAPSDT || notes.get(12..20) != Some(b"stapsdt\0") {
        return Some((None, rest));
    }
    Some((probe(content), rest))
}

fn probe(content: &[u8]) -> Option<Note> {
    let address = |at: usize| Some(u64::from_le_bytes(*content.get(at..)?.first_chunk()?));
    let mut texts = content.get(24..)?.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    Some(Note {
        provider: texts.next()?.into_owned(),
        name: texts.next()?.into_owned(),
        address: address(0)?,
        base: address(8)?,
        semaphore: address(16)?,
        arguments: texts.next()?.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::Note;
    use super::notes;
    use proptest::prelude::any;
    use proptest::proptest;

    #[test]
    fn static_probes_are_read_out_of_notes() {
        let mut content = Vec::new();
        let mut add = |owner: &[u8], name: &str, arguments: &str| {
            let addresses = [0x1139u64, 0x2000, 0x4010].map(u64::to_le_bytes).concat();
            let texts = format!("prov\0{name}\0{arguments}\0").into_bytes();
            let described = [addresses, texts].concat();
            for number in [owner.len() as u32, described.len() as u32, 3] {
                content.extend(number.to_le_bytes());
            }
            content.extend(owner);
            content.extend(&described);
            content.resize(content.len().next_multiple_of(4), 0);
        };
        add(b"stapsdt\0", "start", "-4@%edi 8@[x0, 8]");
        add(b"stapsdt\0", "start", "-4@%edi 8@[x0, 8]");
        add(b"GNU\0", "other", "");
        add(b"stapsdt\0", "done", "");
        let note = |name: &str, arguments: &str| Note {
            provider: "prov".to_owned(),
            name: name.to_owned(),
            address: 0x1139,
            base: 0x2000,
            semaphore: 0x4010,
            arguments: arguments.to_owned(),
        };
        assert_eq!(notes(&content), [note("done", ""), note("start", "-4@%edi 8@[x0, 8]")]);
    }

    proptest! {
        #[test]
        fn any_notes_are_read(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            notes(&content);
        }
    }
}
