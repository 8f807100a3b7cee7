//! The footer: written beside the rows at every checkpoint, and behind them at the end.
//!
//! A footer's bytes are put together from parts that were encoded once: what the file says of itself, and each row
//! group. Encoding hundreds of row groups every second would cost more than the rows do, and keeping them decoded
//! ten times the memory.

use std::fs::File;
use std::io;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::metadata::FileMetaData;
use parquet::file::metadata::KeyValue;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::metadata::ParquetMetaDataWriter;
use parquet::file::metadata::RowGroupMetaData;

use crate::recording::Meta;
use crate::recording::checksum;
use crate::recording::encode::varint;
use crate::recording::layout::Layout;
use crate::recording::limits::FOOTER_BYTES;
use crate::recording::names::temporary_path;
use crate::recording::output::MAGIC;
use crate::recording::output::create_private;
use crate::recording::thrift::Cursor;
use crate::recording::thrift::Fault;

/// Thrift's compact protocol: a list, in the field after the one before.
const NEXT_FIELD_LIST: u8 = 0x19;
/// A list of structures whose length follows, and the length from which on it does.
const LONG_STRUCT_LIST: u8 = 0xfc;
const LONG: usize = 15;

/// A row group that is in the file.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) kind: String,
    pub(crate) rows: u64,
    /// How often its rows were merged.
    pub(crate) level: u8,
    /// The generation that its rows belong to, where only the newest part of a recording is kept.
    pub(crate) generation: u64,
    /// Where its bytes are in the file.
    pub(crate) bytes: Range<u64>,
    /// Its entry in a footer.
    pub(crate) encoded: Vec<u8>,
}

impl Group {
    /// Its length in the file, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.bytes.end.saturating_sub(self.bytes.start)
    }
}

/// A footer without its row groups.
#[derive(Debug)]
pub(crate) struct Template {
    /// Up to the number of rows.
    head: Vec<u8>,
    /// What comes behind the row groups.
    tail: Vec<u8>,
}

impl Template {
    pub(crate) fn new(meta: &Meta, layout: &Layout) -> Result<Template, ParquetError> {
        let pairs = meta.to_pairs().into_iter().map(|(key, value)| KeyValue::new(key, value));
        let checksum = KeyValue::new(checksum::KEY.to_owned(), checksum::NONE.to_owned());
        let bytes = encode(layout, Some(pairs.chain([checksum]).collect()), Vec::new())?;
        let mut cursor = Cursor::new(&bytes);
        let (mut last, mut rows_at, mut tail_at) = (0, 0, 0);
        while let Some(field) = cursor.field(&mut last).map_err(unexpected)? {
            if field.id == 3 {
                rows_at = cursor.at();
            }
            cursor.skip(field.ty).map_err(unexpected)?;
            if field.id == 4 {
                tail_at = cursor.at();
            }
        }
        let part = |range: Option<&[u8]>| range.map(<[u8]>::to_vec).ok_or_else(|| unexpected(Fault::Invalid));
        Ok(Template { head: part(bytes.get(..rows_at))?, tail: part(bytes.get(tail_at..cursor.at()))? })
    }

    /// Length of the footer with these row groups, at most.
    pub(crate) fn most_bytes<'a>(&self, groups: impl Iterator<Item = &'a Group>) -> u64 {
        let groups: u64 = groups.map(|group| group.encoded.len() as u64).sum();
        // A number takes ten bytes at most: of rows, of row groups. Behind it stand its length and the file's last four bytes.
        (self.head.len() + self.tail.len()) as u64 + groups + 2 * 10 + 2 + 4 + MAGIC.len() as u64
    }

    /// The footer with these row groups, as the bytes that end a Parquet file.
    pub(crate) fn footer<'a>(&self, groups: impl Iterator<Item = &'a Group> + Clone) -> io::Result<Vec<u8>> {
        let mut bytes = self.head.clone();
        let rows: u64 = groups.clone().map(|group| group.rows).sum();
        // Zigzag, as all signed numbers.
        varint(rows << 1, &mut bytes);
        bytes.push(NEXT_FIELD_LIST);
        let count = groups.clone().count();
        if count < LONG {
            bytes.push((count as u8) << 4 | (LONG_STRUCT_LIST & 0x0f));
        } else {
            bytes.push(LONG_STRUCT_LIST);
            varint(count as u64, &mut bytes);
        }
        groups.for_each(|group| bytes.extend_from_slice(&group.encoded));
        bytes.extend_from_slice(&self.tail);
        checksum::seal(&mut bytes);
        let len = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= FOOTER_BYTES);
        let len = len.ok_or(io::ErrorKind::FileTooLarge)?;
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(MAGIC);
        Ok(bytes)
    }
}

/// A row group's entry in a footer, without its place among the others: that may change, and readers count by themselves.
pub(crate) fn encode_group(metadata: &RowGroupMetaData, layout: &Layout) -> Result<Vec<u8>, ParquetError> {
    let bytes = encode(layout, None, vec![metadata.clone()])?;
    let mut cursor = Cursor::new(&bytes);
    let mut last = 0;
    while let Some(field) = cursor.field(&mut last).map_err(unexpected)? {
        if field.id != 4 {
            cursor.skip(field.ty).map_err(unexpected)?;
            continue;
        }
        cursor.list().map_err(unexpected)?;
        let start = cursor.at();
        let (mut last, mut end) = (0, start);
        while let Some(field) = cursor.field(&mut last).map_err(unexpected)? {
            cursor.skip(field.ty).map_err(unexpected)?;
            // The ordinal is the last field: without it the structure ends where it began.
            if field.id < 7 {
                end = cursor.at();
            }
        }
        let mut group = bytes.get(start..end).ok_or_else(|| unexpected(Fault::Short))?.to_vec();
        group.push(0);
        return Ok(group);
    }
    Err(unexpected(Fault::Short))
}

fn encode(
    layout: &Layout,
    pairs: Option<Vec<KeyValue>>,
    groups: Vec<RowGroupMetaData>,
) -> Result<Vec<u8>, ParquetError> {
    let created_by = Some(layout.encoders.properties.created_by().to_owned());
    let file = FileMetaData::new(1, 0, created_by, pairs, layout.encoders.descr.clone(), None);
    let mut bytes = Vec::new();
    ParquetMetaDataWriter::new(&mut bytes, &ParquetMetaData::new(file, groups)).finish()?;
    Ok(bytes)
}

/// The bytes were encoded a moment ago, so this is never told.
fn unexpected(fault: Fault) -> ParquetError {
    ParquetError::General(format!("a footer that was just encoded cannot be read: {fault:?}"))
}

/// Puts a whole file in the place of another, or of none, such that a reader sees one or the other.
pub(crate) fn replace(path: &Path, bytes: &[u8], prepare: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary_path(path);
    // One that a killed run left behind.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_private(&temporary)?;
    let written = prepare(&file).and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // The error that is told is the first one; what is left behind is removed at the next try.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    std::fs::rename(&temporary, path)
}
