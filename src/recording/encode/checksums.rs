//! Checksums for the column chunks that the parquet crate encodes: it writes none.

use std::sync::Arc;

use parquet::arrow::arrow_writer::ArrowColumnChunk;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::SchemaDescPtr;

use crate::recording::encode::header;
use crate::recording::encode::pages::Chunk;
use crate::recording::thrift::page_header;

/// The same chunk with a CRC-32 in the header of each page; `descr` is a schema of its column alone.
pub(crate) fn add(
    chunk: ArrowColumnChunk,
    descr: &SchemaDescPtr,
    properties: &WriterPropertiesPtr,
) -> Result<Chunk, ParquetError> {
    let rows_written = chunk.close().rows_written;
    let mut to = TrackedWrite::new(Vec::new());
    let mut group = SerializedRowGroupWriter::new(Arc::clone(descr), Arc::clone(properties), &mut to, 0, None);
    chunk.append_to_row_group(&mut group)?;
    let metadata = group.close()?;
    let plain = to.into_inner()?;
    let column = metadata.columns().first().ok_or_else(unexpected)?;
    let (mut bytes, mut at, mut data_at) = (Vec::with_capacity(plain.len() + 64), 0, None);
    while let Some(rest) = plain.get(at..).filter(|rest| !rest.is_empty()) {
        let page = page_header(rest).map_err(|_| unexpected())?;
        let size = usize::try_from(page.compressed).map_err(|_| unexpected())?;
        let body = rest.get(page.len..).and_then(|rest| rest.get(..size)).ok_or_else(unexpected)?;
        if page.page_type == header::DATA {
            data_at.get_or_insert(bytes.len());
        }
        header::append(page, body, &mut bytes);
        bytes.extend_from_slice(body);
        at += page.len + size;
    }
    let grown = bytes.len() as i64 - plain.len() as i64;
    let data_at = data_at.ok_or_else(unexpected)? as i64;
    let metadata = column
        .clone()
        .into_builder()
        .set_total_compressed_size(bytes.len() as i64)
        .set_total_uncompressed_size(column.uncompressed_size() + grown)
        .set_data_page_offset(data_at)
        .set_dictionary_page_offset((data_at > 0).then_some(0))
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok(Chunk { bytes: bytes.into(), close })
}

/// The pages were encoded a moment ago, so nobody ever reads this.
fn unexpected() -> ParquetError {
    ParquetError::General("pages that were just encoded cannot be read".to_owned())
}
