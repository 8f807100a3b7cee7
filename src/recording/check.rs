//! What must hold in a file before the decoder may see it. Recordings come from strangers.
//!
//! parquet decodes what it is given in good faith: it allocates a page by the size in its header, and a list by the
//! count before it. So every such number is held against the file's real size, or a bound, first.

use std::ops::Range;

use parquet::basic::Compression;
use parquet::basic::Type;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::recording::limits::COLUMNS;
use crate::recording::limits::GROUP_LIST_VALUES;
use crate::recording::limits::GROUP_ROWS;
use crate::recording::limits::HELD_BYTES;
use crate::recording::limits::PAGE_BYTES;
use crate::recording::shared_file::SharedFile;
use crate::recording::thrift::Fault;
use crate::recording::thrift::RLE;
use crate::recording::thrift::footer_shape;
use crate::recording::thrift::page_header;

/// Elements of lists, and rows whose list is empty or null: each counts as a value.
const GROUP_LIST_ENTRIES: i64 = (GROUP_LIST_VALUES + GROUP_ROWS) as i64;
const MAX_PAGE_HEADER: u64 = 64 << 10;

/// Checks the footer's structure, and that it does not announce more than it holds.
pub(crate) fn footer(bytes: &[u8]) -> Result<(), String> {
    let shape = footer_shape(bytes).map_err(|fault| match fault {
        Fault::Short => "its footer ends too early".to_owned(),
        Fault::Invalid => "its footer is not a Parquet footer".to_owned(),
    })?;
    if shape.schema_elements > COLUMNS {
        return Err(format!("it announces {} columns", shape.schema_elements));
    }
    // A column chunk's entry takes 20 bytes and more; this bounds what is allocated for them to a multiple of the footer.
    if shape.row_groups.saturating_mul(shape.schema_elements / 2 * 20) > bytes.len() {
        return Err(format!("it announces {} row groups in a footer of {} bytes", shape.row_groups, bytes.len()));
    }
    Ok(())
}

/// Checks the counts of a decoded footer, and that all it points to lies within the rows' part of the file.
pub(crate) fn metadata(metadata: &ParquetMetaData, rows_end: u64) -> Result<(), String> {
    let mut total = 0_i64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        if !(0..=GROUP_ROWS as i64).contains(&group.num_rows()) {
            return Err(format!("row group {index} claims {} rows", group.num_rows()));
        }
        total = total.saturating_add(group.num_rows());
        for column in group.columns() {
            let name = column.column_path().string();
            if range(column).is_none_or(|range| range.start < 4 || range.end > rows_end) {
                return Err(format!("column '{name}' of row group {index} lies outside the file"));
            }
            let values = column.num_values();
            let list = column.column_descr().max_rep_level() > 0;
            if !list && values != group.num_rows() || list && !(0..=GROUP_LIST_ENTRIES).contains(&values) {
                return Err(format!("column '{name}' of row group {index} claims {values} values"));
            }
            if !matches!(column.compression(), Compression::UNCOMPRESSED | Compression::ZSTD(_)) {
                return Err(format!("column '{name}' is compressed in a way that no recording is"));
            }
        }
    }
    let claimed = metadata.file_metadata().num_rows();
    if claimed != total {
        return Err(format!("it claims {claimed} rows, and its row groups hold {total}"));
    }
    Ok(())
}

/// The one value that a column has in all rows of a row group, by its statistics: its kind, for example.
pub(crate) fn one_value(group: &RowGroupMetaData, leaf: usize) -> Option<&str> {
    let statistics = group.columns().get(leaf)?.statistics()?;
    let min = statistics.min_bytes_opt()?;
    let one = statistics.null_count_opt() == Some(0) && statistics.max_bytes_opt() == Some(min);
    if one { str::from_utf8(min).ok() } else { None }
}

/// Whether a column is null in all rows of a row group, by its statistics.
pub(crate) fn is_null(group: &RowGroupMetaData, leaf: usize) -> bool {
    // The null count of a list column counts empty lists too.
    let column = group.columns().get(leaf).filter(|column| column.column_descr().max_rep_level() == 0);
    let nulls = column.and_then(|column| column.statistics()?.null_count_opt());
    nulls.is_some() && nulls == u64::try_from(group.num_rows()).ok()
}

/// The least and the largest number of a column in a row group, by its statistics; `None` when they say nothing.
pub(crate) fn int_range(group: &RowGroupMetaData, leaf: usize) -> Option<(i64, i64)> {
    match group.columns().get(leaf)?.statistics()? {
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        Statistics::Int32(values) => Some((i64::from(*values.min_opt()?), i64::from(*values.max_opt()?))),
        _ => None,
    }
}

/// The end of the last row group; 4, behind the magic bytes, when there is none.
pub(crate) fn rows_end(metadata: &ParquetMetaData) -> u64 {
    let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    columns.filter_map(range).map(|range| range.end).max().unwrap_or(4)
}

/// Where the pages of a column chunk lie.
fn range(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let len = u64::try_from(column.compressed_size()).ok()?;
    let data = u64::try_from(column.data_page_offset()).ok()?;
    let end = start.checked_add(len)?;
    (start <= data && data <= end).then_some(start..end)
}

/// Checks the headers of all pages of the columns that are about to be read together; returns what decoding holds at once, in bytes.
pub(crate) fn pages(source: &SharedFile, group: &RowGroupMetaData, leaves: &[usize]) -> Result<usize, String> {
    let mut held = 0;
    for leaf in leaves {
        let Some(column) = group.columns().get(*leaf) else { continue };
        let name = column.column_path().string();
        held += chunk(source, column).map_err(|why| format!("column '{name}': {why}"))?;
    }
    if held > HELD_BYTES as i64 {
        return Err(format!("its pages would take {} MiB of memory", held >> 20));
    }
    // Neither negative nor more than the bound.
    Ok(usize::try_from(held).unwrap_or(HELD_BYTES))
}

/// Checks one column chunk; returns what decoding it holds at once, in bytes.
fn chunk(source: &SharedFile, column: &ColumnChunkMetaData) -> Result<i64, String> {
    let Range { start, end } = range(column).ok_or("it lies outside the file")?;
    let list = column.column_descr().max_rep_level() > 0;
    let (mut at, mut values, mut dictionary, mut largest) = (start, 0_i64, 0_i64, 0_i64);
    let (mut has_dictionary, mut by_dictionary, mut plain) = (false, false, false);
    while at < end {
        let header = header(source, at, end)?;
        // The header was read from these bytes, so its length is within them.
        let body = at + header.len as u64;
        let size = u64::try_from(header.compressed).map_err(|_| "a page has a negative size")?;
        if size > end - body {
            return Err("a page is longer than its column".to_owned());
        }
        if !(0..=PAGE_BYTES as i64).contains(&header.uncompressed) {
            return Err(format!("a page claims {} bytes", header.uncompressed));
        }
        if column.compression() == Compression::UNCOMPRESSED && header.uncompressed != header.compressed {
            return Err("a page that is not compressed claims two sizes".to_owned());
        }
        if header.values < 0 {
            return Err("a page has no number of values".to_owned());
        }
        if header.levels != [RLE; 2] {
            return Err("a page has levels in an encoding that no recording has".to_owned());
        }
        match header.page_type {
            2 if at == start => {
                // Every entry takes four bytes at least, in each type that has a dictionary.
                if header.values > header.uncompressed / 4 {
                    return Err(format!("a dictionary claims {} entries", header.values));
                }
                has_dictionary = true;
                dictionary = header.uncompressed;
            }
            0 | 3 => {
                values += header.values;
                largest = largest.max(header.uncompressed);
                // 2 and 8 are the numbers of the dictionary encodings.
                let indexed = matches!(header.encoding, 2 | 8);
                let known = column.page_encoding_stats_mask();
                if known.is_some_and(|known| !known.encodings().any(|one| one as i64 == header.encoding)) {
                    return Err("a page has another encoding than its column announces".to_owned());
                }
                by_dictionary |= indexed;
                plain |= !indexed;
                if indexed && !has_dictionary {
                    return Err("a page refers to a dictionary that is not there".to_owned());
                }
            }
            _ => return Err(format!("a page of type {} is where none may be", header.page_type)),
        }
        at = body + size;
    }
    if values != column.num_values() {
        return Err(format!("its pages hold {values} values, and {} are claimed", column.num_values()));
    }
    // The decoder would copy out the dictionary's texts row by row, and a few bytes could become gigabytes.
    if column.column_type() == Type::BYTE_ARRAY && by_dictionary && plain {
        return Err("it mixes texts with and without a dictionary".to_owned());
    }
    // Levels of lists are decoded into two bytes each, twice; their elements into four.
    let lists = if list { 8 * values } else { 0 };
    Ok(dictionary + largest + lists)
}

fn header(source: &SharedFile, at: u64, end: u64) -> Result<crate::recording::thrift::PageHeader, String> {
    let mut len = 64.min(end - at);
    loop {
        let bytes = source.read(at, len).map_err(|error| error.to_string())?;
        match page_header(&bytes) {
            Ok(header) => return Ok(header),
            Err(Fault::Short) if len < (end - at).min(MAX_PAGE_HEADER) => {
                len = (len * 8).min(end - at).min(MAX_PAGE_HEADER);
            }
            Err(_) => return Err("a page has no valid header".to_owned()),
        }
    }
}
