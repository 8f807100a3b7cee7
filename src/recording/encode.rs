//! Columns as Parquet column chunks: the writer's settings, and encoders column by column.

use std::io::Sink;
use std::io::sink;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::new_null_array;
use arrow::datatypes::Field;
use arrow::datatypes::Schema as ArrowSchema;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowColumnWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::basic::Compression;
use parquet::basic::Encoding;
use parquet::basic::ZstdLevel;
use parquet::errors::ParquetError;
use parquet::file::properties::EnabledStatistics;
use parquet::file::properties::WriterProperties;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use parquet::schema::types::SchemaDescPtr;
use parquet::schema::types::SchemaDescriptor;

use crate::recording::ColumnId;
use crate::recording::Schema;

/// Columns that mostly grow by small steps: packed differences, which compression would not shrink further.
const DELTA: [&str; 7] = ["ts", "dur_ns", "addr", "sector", "mono_ns", "boot_ns", "real_ns"];
/// Rows of a data page, so that a reader never has to hold much at once.
const PAGE_ROWS: usize = 100_000;

/// The Parquet side of a schema: what the file declares, and an encoder for each column.
#[derive(Debug)]
pub(crate) struct Encoders {
    pub(crate) descr: SchemaDescPtr,
    pub(crate) properties: WriterPropertiesPtr,
    columns: Vec<ColumnEncoders>,
}

/// One column's own encoder factory, so that a kind pays for the columns it fills and for no others.
#[derive(Debug)]
struct ColumnEncoders {
    field: Arc<Field>,
    factory: ArrowRowGroupWriterFactory,
}

/// The pages of one column chunk while they are made.
pub(crate) struct ColumnEncoder {
    field: Arc<Field>,
    writer: ArrowColumnWriter,
    rows: usize,
}

impl Encoders {
    pub(crate) fn new(schema: &Schema) -> Result<Encoders, ParquetError> {
        let properties = Arc::new(properties(schema)?);
        let descr: SchemaDescriptor = ArrowSchemaConverter::new().convert(&schema.arrow())?;
        let columns = schema.columns().iter().map(|column| {
            let field = Arc::new(Field::new(column.name, column.ty.in_memory(), true));
            let arrow = Arc::new(ArrowSchema::new(vec![Arc::clone(&field)]));
            Ok(ColumnEncoders { field, factory: factory(arrow, &properties)? })
        });
        let columns = columns.collect::<Result<Vec<_>, ParquetError>>()?;
        Ok(Encoders { descr: Arc::new(descr), properties, columns })
    }

    /// An encoder for a column whose row group already has `rows` rows in which it is null.
    pub(crate) fn column(&self, id: ColumnId, rows: usize) -> Result<ColumnEncoder, ParquetError> {
        let column = self.columns.get(id.index()).ok_or_else(|| ParquetError::IndexOutOfBound(id.index(), 0))?;
        // Every type of a column has exactly one leaf.
        let writer = column.factory.create_column_writers(0)?.pop();
        let writer = writer.ok_or_else(|| ParquetError::General("a column without a leaf".to_owned()))?;
        let mut encoder = ColumnEncoder { field: Arc::clone(&column.field), writer, rows: 0 };
        encoder.pad(rows)?;
        Ok(encoder)
    }
}

impl ColumnEncoder {
    pub(crate) fn write(&mut self, array: &ArrayRef) -> Result<(), ParquetError> {
        for leaf in compute_leaves(&self.field, array)? {
            self.writer.write(&leaf)?;
        }
        self.rows += array.len();
        Ok(())
    }

    /// Fills up with nulls to this number of rows.
    pub(crate) fn pad(&mut self, rows: usize) -> Result<(), ParquetError> {
        match rows.checked_sub(self.rows) {
            None | Some(0) => Ok(()),
            Some(missing) => self.write(&new_null_array(self.field.data_type(), missing)),
        }
    }

    pub(crate) fn finish(self) -> Result<parquet::arrow::arrow_writer::ArrowColumnChunk, ParquetError> {
        self.writer.close()
    }
}

fn factory(schema: SchemaRef, properties: &WriterPropertiesPtr) -> Result<ArrowRowGroupWriterFactory, ParquetError> {
    let descr = ArrowSchemaConverter::new().convert(&schema)?;
    // The factory can only be made from a file writer; this one writes four bytes to nowhere.
    let file: SerializedFileWriter<Sink> =
        SerializedFileWriter::new(sink(), descr.root_schema_ptr(), Arc::clone(properties))?;
    Ok(ArrowRowGroupWriterFactory::new(&file, schema))
}

fn properties(schema: &Schema) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_created_by(concat!("ebrec ", env!("CARGO_PKG_VERSION")).to_owned());
    for name in DELTA.into_iter().filter(|name| schema.id(name).is_some()) {
        let path = ColumnPath::from(name);
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_compression(path, Compression::UNCOMPRESSED);
    }
    Ok(builder.build())
}
