//! The footer: written beside the rows at every checkpoint, and behind them at the end.

use std::io;
use std::io::Write;
use std::path::Path;

use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::encode_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::metadata::FileMetaData;
use parquet::file::metadata::KeyValue;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::metadata::ParquetMetaDataWriter;

use crate::recording::Meta;
use crate::recording::group::Group;
use crate::recording::group::Layout;
use crate::recording::names::temporary_path;
use crate::recording::output::create_private;

/// The footer for these row groups, as the bytes that end a Parquet file.
pub(crate) fn footer(groups: &[Group], meta: &Meta, layout: &Layout) -> Result<Vec<u8>, ParquetError> {
    let mut pairs: Vec<KeyValue> = meta.to_pairs().into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    pairs.push(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&layout.schema.arrow())));
    let file = FileMetaData::new(
        1,
        groups.iter().map(|group| group.rows as i64).sum(),
        Some(layout.encoders.properties.created_by().to_owned()),
        Some(pairs),
        layout.encoders.descr.clone(),
        None,
    );
    let mut row_groups = Vec::with_capacity(groups.len());
    for (ordinal, group) in groups.iter().enumerate() {
        let builder = group.metadata.as_ref().clone().into_builder();
        row_groups.push(builder.set_ordinal(ordinal as i32).build()?);
    }
    let mut bytes = Vec::new();
    ParquetMetaDataWriter::new(&mut bytes, &ParquetMetaData::new(file, row_groups)).finish()?;
    Ok(bytes)
}

/// Puts a whole file in the place of another, or of none, such that a reader sees one or the other.
pub(crate) fn replace(
    path: &Path,
    bytes: &[u8],
    prepare: impl FnOnce(&std::fs::File) -> io::Result<()>,
) -> io::Result<()> {
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
