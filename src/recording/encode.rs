//! Columns as Parquet column chunks.
//!
//! Integers and texts, nearly all of what is recorded, are encoded here and not by the parquet crate: its encoders look
//! every value up in a general hash table, which was measured to be most of what a row costs. What comes out is the
//! same: version 1 data pages, by dictionary (RLE_DICTIONARY), by differences (DELTA_BINARY_PACKED) or plain.

use std::borrow::Cow;
use std::io::Sink;
use std::io::sink;
use std::sync::Arc;

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::AsArray;
use arrow::array::new_null_array;
use arrow::datatypes::Field;
use arrow::datatypes::Int16Type;
use arrow::datatypes::Int32Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::Schema as ArrowSchema;
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowColumnWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::basic::Compression;
use parquet::basic::ZstdLevel;
use parquet::errors::ParquetError;
use parquet::file::properties::EnabledStatistics;
use parquet::file::properties::WriterProperties;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescPtr;
use parquet::schema::types::SchemaDescriptor;

use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Schema;
use crate::recording::batch::Cells;
use crate::recording::encode::ints::IntChunk;
use crate::recording::encode::pages::Codec;
use crate::recording::encode::texts::TextChunk;
use crate::recording::escape::escape;
use crate::recording::limits::COLUMNS;
use crate::recording::schema::GROWING;

pub(crate) mod bits;
mod checksums;
pub(crate) mod header;
pub(crate) mod ints;
pub(crate) mod levels;
pub(crate) mod numbers;
pub(crate) mod pages;
pub(crate) mod texts;

/// Rows of a data page; it may have up to as many again when a batch ends in it.
const PAGE_ROWS: usize = 64 << 10;

/// The Parquet side of a schema: what the file declares, and an encoder for each column.
#[derive(Debug)]
pub(crate) struct Encoders {
    pub(crate) descr: SchemaDescPtr,
    pub(crate) properties: WriterPropertiesPtr,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    ty: ColumnType,
    differences: bool,
    field: Arc<Field>,
    /// For the types that are left to the parquet crate.
    foreign: Option<Foreign>,
}

/// What the parquet crate needs for a column that it encodes.
#[derive(Debug)]
struct Foreign {
    factory: ArrowRowGroupWriterFactory,
    /// The schema of this column alone.
    descr: SchemaDescPtr,
    properties: WriterPropertiesPtr,
}

/// The chunk of one column while rows come in.
pub(crate) struct ColumnEncoder {
    rows: usize,
    chunk: Chunk,
}

enum Chunk {
    Int(IntChunk),
    Text(TextChunk),
    Other { field: Arc<Field>, writer: Box<ArrowColumnWriter>, descr: SchemaDescPtr, properties: WriterPropertiesPtr },
}

impl Encoders {
    pub(crate) fn new(schema: &Schema) -> Result<Encoders, ParquetError> {
        let properties = Arc::new(
            WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                .set_statistics_enabled(EnabledStatistics::Chunk)
                .set_offset_index_disabled(true)
                .set_created_by(concat!("ebrec ", env!("CARGO_PKG_VERSION")).to_owned())
                .build(),
        );
        let descr: SchemaDescriptor = ArrowSchemaConverter::new().convert(&schema.arrow())?;
        // Each list has three elements of its own, and there is the root.
        if 3 * descr.num_columns() >= COLUMNS {
            return Err(ParquetError::General(format!("{} columns are too many", descr.num_columns())));
        }
        let columns = schema.columns().iter().map(|column| {
            let field = Arc::new(Field::new(column.name, column.ty.in_memory(), true));
            let foreign = match column.ty {
                ColumnType::Double | ColumnType::Bool | ColumnType::ListInt32 => Some(foreign(&field, &properties)?),
                _ => None,
            };
            let differences = GROWING.contains(&column.name);
            Ok(Column { ty: column.ty, differences, field, foreign })
        });
        let columns = columns.collect::<Result<Vec<_>, ParquetError>>()?;
        Ok(Encoders { descr: Arc::new(descr), properties, columns })
    }

    /// Begins a chunk of a column.
    pub(crate) fn column(&self, id: ColumnId) -> Result<ColumnEncoder, ParquetError> {
        let unknown = || ParquetError::General(format!("no column {}", id.index()));
        let column = self.columns.get(id.index()).ok_or_else(unknown)?;
        // The schema is flat: fields and leaf columns have the same places.
        let leaf = self.descr.columns().get(id.index()).map(Arc::clone).ok_or_else(unknown)?;
        let chunk = match (column.ty, &column.foreign) {
            (_, Some(Foreign { factory, descr, properties })) => Chunk::Other {
                field: Arc::clone(&column.field),
                writer: Box::new(factory.create_column_writers(0)?.pop().ok_or_else(unknown)?),
                descr: Arc::clone(descr),
                properties: Arc::clone(properties),
            },
            (ColumnType::Text(_), None) => Chunk::Text(TextChunk::new(leaf)),
            (ColumnType::Int16, None) => Chunk::Int(IntChunk::new(leaf, 16, false)),
            (ColumnType::Int32, None) => Chunk::Int(IntChunk::new(leaf, 32, false)),
            (_, None) => Chunk::Int(IntChunk::new(leaf, 64, column.differences)),
        };
        Ok(ColumnEncoder { rows: 0, chunk })
    }
}

impl ColumnEncoder {
    /// Fills up with nulls to this number of rows.
    pub(crate) fn pad(&mut self, rows: usize) -> Result<(), ParquetError> {
        let Some(missing) = rows.checked_sub(self.rows).filter(|missing| *missing > 0) else { return Ok(()) };
        self.rows = rows;
        match &mut self.chunk {
            Chunk::Int(chunk) => chunk.push_nulls(missing),
            Chunk::Text(chunk) => chunk.push_nulls(missing),
            Chunk::Other { field, writer, .. } => write(field, writer, &new_null_array(field.data_type(), missing))?,
        }
        Ok(())
    }

    /// Adds rows of integers; `valid` has a flag per row, or is empty when all have a value.
    pub(crate) fn push_ints(&mut self, values: &[i64], valid: &[bool], codec: &mut Codec) -> Result<(), ParquetError> {
        self.rows += values.len();
        match &mut self.chunk {
            Chunk::Int(chunk) => chunk.push(values, valid, codec),
            _ => Err(mismatch()),
        }
    }

    /// Adds rows as they were gathered.
    pub(crate) fn push_cells(&mut self, cells: Cells, codec: &mut Codec) -> Result<(), ParquetError> {
        self.rows += cells.len();
        match (&mut self.chunk, cells) {
            (Chunk::Int(chunk), Cells::Int(cells)) => chunk.push(cells.values(), cells.valid(), codec),
            (Chunk::Text(chunk), Cells::Text(cells)) => {
                let texts = cells.strings();
                let text = |key: usize| escape(texts.get(key as u32));
                chunk.push(cells.keys().values(), cells.keys().valid(), texts.len(), text, codec)
            }
            (Chunk::Other { field, writer, .. }, cells) => {
                write(field, writer, &cells.into_array().ok_or_else(mismatch)?)
            }
            _ => Err(mismatch()),
        }
    }

    /// Adds rows as they were read.
    pub(crate) fn push_array(&mut self, array: &ArrayRef, codec: &mut Codec) -> Result<(), ParquetError> {
        self.rows += array.len();
        let valid: Vec<bool> = array.nulls().map(|nulls| nulls.iter().collect()).unwrap_or_default();
        match &mut self.chunk {
            Chunk::Int(chunk) => chunk.push(&widen(array).ok_or_else(mismatch)?, &valid, codec),
            Chunk::Text(chunk) => {
                let array = array.as_dictionary_opt::<Int32Type>().ok_or_else(mismatch)?;
                let texts = array.values().as_string_opt::<i32>().ok_or_else(mismatch)?;
                // The chunk asks for the numbers below `texts.len()` only.
                let text = |key: usize| Cow::Borrowed(texts.value(key));
                chunk.push(array.keys().values(), &valid, texts.len(), text, codec)
            }
            Chunk::Other { field, writer, .. } => write(field, writer, array),
        }
    }

    /// Length of the texts of its dictionary.
    pub(crate) fn text_bytes(&self) -> usize {
        if let Chunk::Text(chunk) = &self.chunk { chunk.dictionary_bytes() } else { 0 }
    }

    /// Whether the row group should end because of this column.
    pub(crate) fn is_heavy(&self) -> bool {
        matches!(&self.chunk, Chunk::Text(chunk) if chunk.is_heavy())
    }

    /// Ends the chunk.
    pub(crate) fn finish(self, codec: &mut Codec) -> Result<pages::Chunk, ParquetError> {
        match self.chunk {
            Chunk::Int(chunk) => chunk.finish(codec),
            Chunk::Text(chunk) => chunk.finish(codec),
            Chunk::Other { writer, descr, properties, .. } => checksums::add(writer.close()?, &descr, &properties),
        }
    }
}

/// The schema decides what encoder a column has, and what is gathered and read for it: this is never told.
fn mismatch() -> ParquetError {
    ParquetError::General("a column was given values of another type".to_owned())
}

fn write(field: &Field, writer: &mut ArrowColumnWriter, array: &ArrayRef) -> Result<(), ParquetError> {
    compute_leaves(field, array)?.iter().try_for_each(|leaf| writer.write(leaf))
}

fn widen(array: &ArrayRef) -> Option<Vec<i64>> {
    if let Some(array) = array.as_primitive_opt::<Int16Type>() {
        return Some(array.values().iter().map(|value| i64::from(*value)).collect());
    }
    if let Some(array) = array.as_primitive_opt::<Int32Type>() {
        return Some(array.values().iter().map(|value| i64::from(*value)).collect());
    }
    if let Some(array) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        return Some(array.values().to_vec());
    }
    array.as_primitive_opt::<Int64Type>().map(|array| array.values().to_vec())
}

fn foreign(field: &Arc<Field>, properties: &WriterPropertiesPtr) -> Result<Foreign, ParquetError> {
    let schema = Arc::new(ArrowSchema::new(vec![Arc::clone(field)]));
    let descr = Arc::new(ArrowSchemaConverter::new().convert(&schema)?);
    // The factory can only be made from a file writer; this one writes four bytes to nowhere.
    let file: SerializedFileWriter<Sink> =
        SerializedFileWriter::new(sink(), descr.root_schema_ptr(), Arc::clone(properties))?;
    Ok(Foreign { factory: ArrowRowGroupWriterFactory::new(&file, schema), descr, properties: Arc::clone(properties) })
}

/// Appends a number as seven bits a byte, the lowest first.
pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
