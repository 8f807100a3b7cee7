//! Column chunks that need no encoder: one value, or null, in every row of a row group.
//!
//! A recording has some seventy columns and a kind fills a dozen. What the others hold is a few bytes of run length,
//! which are made once per row group and spliced in for every such column.

use std::io::Write;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::basic::Encoding;
use parquet::basic::Type;
use parquet::column::page::Page;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::ColumnDescPtr;

use crate::recording::encode::bits;
use crate::recording::encode::pages::append;

/// The pages of such a chunk.
#[derive(Debug)]
pub(crate) struct Pages {
    rows: u32,
    bytes: Bytes,
    /// Where the data page begins: behind the dictionary page of a constant, at 0 for nulls.
    data_offset: i64,
    constant: Option<ByteArray>,
}

impl Pages {
    /// Nulls in all rows of a column that is not a list.
    pub(crate) fn nulls(rows: u32) -> Result<Pages, ParquetError> {
        Pages::new(rows, None, levels(rows, 0))
    }

    /// Nulls in all rows of a list column.
    pub(crate) fn null_lists(rows: u32) -> Result<Pages, ParquetError> {
        let mut values = levels(rows, 0);
        values.extend_from_slice(&levels(rows, 0));
        Pages::new(rows, None, values)
    }

    /// The same text in all rows.
    pub(crate) fn constant(rows: u32, text: &str) -> Result<Pages, ParquetError> {
        let mut values = levels(rows, 1);
        // Indices of no bits into a dictionary of one entry, in one run.
        values.push(0);
        bits::run(rows as usize, 0, 0, &mut values);
        Pages::new(rows, Some(text), values)
    }

    fn new(rows: u32, constant: Option<&str>, values: Vec<u8>) -> Result<Pages, ParquetError> {
        let mut sink = TrackedWrite::new(Vec::new());
        let mut data_offset = 0;
        if let Some(text) = constant {
            let len = u32::try_from(text.len()).map_err(|error| ParquetError::General(error.to_string()))?;
            let mut dictionary = len.to_le_bytes().to_vec();
            dictionary.extend_from_slice(text.as_bytes());
            let page = Page::DictionaryPage {
                buf: dictionary.into(),
                num_values: 1,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let size = page.buffer().len();
            append(page, size, &mut sink)?;
            data_offset = sink.bytes_written() as i64;
        }
        let page = Page::DataPage {
            buf: values.into(),
            num_values: rows,
            encoding: if constant.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN },
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let size = page.buffer().len();
        append(page, size, &mut sink)?;
        let bytes = sink.into_inner()?.into();
        Ok(Pages { rows, bytes, data_offset, constant: constant.map(ByteArray::from) })
    }

    /// Appends the pages as the next column of the row group.
    pub(crate) fn append<W: Write + Send>(
        &self,
        column: ColumnDescPtr,
        to: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let physical = column.physical_type();
        let len = self.bytes.len() as i64;
        let builder = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::UNCOMPRESSED)
            .set_num_values(i64::from(self.rows))
            .set_total_compressed_size(len)
            .set_total_uncompressed_size(len)
            .set_data_page_offset(self.data_offset);
        let builder = match &self.constant {
            Some(text) => builder
                .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
                .set_dictionary_page_offset(Some(0))
                .set_statistics(Statistics::byte_array(Some(text.clone()), Some(text.clone()), None, Some(0), false)),
            None => builder
                .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
                .set_statistics(all_null(physical, u64::from(self.rows))),
        };
        let close = ColumnCloseResult {
            bytes_written: len as u64,
            rows_written: u64::from(self.rows),
            metadata: builder.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        to.append_column(&self.bytes, close)
    }
}

/// One run of levels in Parquet's hybrid encoding, behind its length as a version 1 data page wants it.
fn levels(rows: u32, level: u32) -> Vec<u8> {
    let mut run = Vec::with_capacity(12);
    // Levels of up to eight bits take one byte in a run.
    bits::run(rows as usize, level, 8, &mut run);
    let mut out = (run.len() as u32).to_le_bytes().to_vec();
    out.extend_from_slice(&run);
    out
}

fn all_null(physical: Type, rows: u64) -> Statistics {
    match physical {
        Type::BOOLEAN => Statistics::boolean(None, None, None, Some(rows), false),
        Type::INT32 => Statistics::int32(None, None, None, Some(rows), false),
        Type::DOUBLE => Statistics::double(None, None, None, Some(rows), false),
        Type::BYTE_ARRAY => Statistics::byte_array(None, None, None, Some(rows), false),
        _ => Statistics::int64(None, None, None, Some(rows), false),
    }
}
