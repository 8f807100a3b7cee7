//! The pages of one column chunk, compressed as they come.

use std::io::Write;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::basic::Encoding;
use parquet::basic::PageType;
use parquet::basic::ZstdLevel;
use parquet::column::page::Page;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::metadata::PageEncodingStats;
use parquet::file::statistics::Statistics;
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use crate::recording::encode::header;
use crate::recording::thrift::PageHeader;

/// ZSTD at its fastest: level 3 was measured to take 1 to 4 % less of columns of times and lengths, and twice the time.
const LEVEL: i32 = 1;
/// A chunk with less than this is not compressed: the frame alone takes a dozen bytes, and the reader's time.
pub(crate) const TOO_SMALL: usize = 1024;

/// The one compressor of a writer.
pub(crate) struct Codec(Compressor<'static>);

impl Codec {
    pub(crate) fn new() -> Result<Codec, ParquetError> {
        Ok(Codec(Compressor::new(LEVEL)?))
    }

    /// The length that bytes have once they are compressed.
    pub(crate) fn length_of(&mut self, bytes: &[u8]) -> Result<usize, ParquetError> {
        Ok(self.0.compress(bytes)?.len())
    }
}

/// Whether the pages of a chunk are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Compressed {
    /// They are.
    Yes,
    /// They are not.
    No,
}

/// The pages of a chunk; the dictionary, which is known last, is put first at the end.
pub(crate) struct Pages {
    compressed: Compressed,
    pages: Vec<(Page, usize)>,
    values: usize,
    rows: u64,
}

/// A chunk, ready to be spliced into a row group.
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) close: ColumnCloseResult,
}

impl Pages {
    /// Begins a chunk.
    pub(crate) fn new(compressed: Compressed) -> Pages {
        Pages { compressed, pages: Vec::new(), values: 0, rows: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Says how the pages are to be; there are none yet.
    pub(crate) fn compress(&mut self, compressed: Compressed) {
        self.compressed = compressed;
    }

    /// Adds a data page of so many rows, levels in front.
    pub(crate) fn push(
        &mut self,
        body: Vec<u8>,
        rows: usize,
        encoding: Encoding,
        codec: &mut Codec,
    ) -> Result<(), ParquetError> {
        let size = body.len();
        let page = Page::DataPage {
            buf: self.squeeze(body, codec)?.into(),
            num_values: u32::try_from(rows).map_err(|error| ParquetError::General(error.to_string()))?,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.pages.push((page, size));
        self.values += rows;
        self.rows += rows as u64;
        Ok(())
    }

    fn squeeze(&self, body: Vec<u8>, codec: &mut Codec) -> Result<Vec<u8>, ParquetError> {
        match self.compressed {
            Compressed::Yes => Ok(codec.0.compress(&body)?),
            Compressed::No => Ok(body),
        }
    }

    /// Makes the chunk; `last` is the data page that was not pushed yet, `dictionary` the entries one behind the other.
    pub(crate) fn finish(
        mut self,
        column: ColumnDescPtr,
        dictionary: Option<(Vec<u8>, usize)>,
        last: Option<(Vec<u8>, usize, Encoding)>,
        statistics: Statistics,
        codec: &mut Codec,
    ) -> Result<Chunk, ParquetError> {
        let size =
            dictionary.as_ref().map_or(0, |(bytes, _)| bytes.len()) + last.as_ref().map_or(0, |last| last.0.len());
        if self.pages.is_empty() && size < TOO_SMALL {
            self.compressed = Compressed::No;
        }
        if let Some((body, rows, encoding)) = last {
            self.push(body, rows, encoding, codec)?;
        }
        let mut sink = TrackedWrite::new(Vec::new());
        let mut uncompressed = 0;
        let mut stats: Vec<PageEncodingStats> = Vec::new();
        let has_dictionary = dictionary.is_some();
        if let Some((entries, count)) = dictionary {
            let size = entries.len();
            let page = Page::DictionaryPage {
                buf: self.squeeze(entries, codec)?.into(),
                num_values: u32::try_from(count).map_err(|error| ParquetError::General(error.to_string()))?,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            uncompressed += append(page, size, &mut sink)?;
            stats.push(PageEncodingStats { page_type: PageType::DICTIONARY_PAGE, encoding: Encoding::PLAIN, count: 1 });
        }
        let data_offset = sink.bytes_written() as i64;
        for (page, size) in self.pages {
            let encoding = page.encoding();
            match stats.iter_mut().find(|seen| seen.page_type == PageType::DATA_PAGE && seen.encoding == encoding) {
                Some(seen) => seen.count += 1,
                None => stats.push(PageEncodingStats { page_type: PageType::DATA_PAGE, encoding, count: 1 }),
            }
            uncompressed += append(page, size, &mut sink)?;
        }
        let mut encodings = vec![Encoding::RLE];
        encodings.extend(stats.iter().map(|page| page.encoding));
        let codec = match self.compressed {
            Compressed::Yes => Compression::ZSTD(ZstdLevel::try_new(LEVEL)?),
            Compressed::No => Compression::UNCOMPRESSED,
        };
        let bytes: Bytes = sink.into_inner()?.into();
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(codec)
            .set_encodings(encodings)
            .set_num_values(self.values as i64)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_data_page_offset(data_offset)
            .set_dictionary_page_offset(has_dictionary.then_some(0))
            .set_page_encoding_stats(stats)
            .set_statistics(statistics)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(Chunk { bytes, close })
    }
}

/// Appends a page with its header; returns their size before compression.
pub(crate) fn append<W: Write + Send>(
    page: Page,
    size: usize,
    to: &mut TrackedWrite<W>,
) -> Result<usize, ParquetError> {
    let page_type = if matches!(page, Page::DictionaryPage { .. }) { header::DICTIONARY } else { header::DATA };
    let announced = PageHeader {
        page_type,
        uncompressed: size as i64,
        values: i64::from(page.num_values()),
        encoding: page.encoding() as i64,
        ..PageHeader::default()
    };
    let body = page.buffer();
    let mut head = Vec::with_capacity(48);
    header::append(announced, body, &mut head);
    to.write_all(&head)?;
    to.write_all(body)?;
    Ok(head.len() + size)
}
