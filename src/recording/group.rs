//! Row groups: the rows of one kind on their way into the file.

use std::sync::Arc;

use arrow::array::ArrayRef;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaDataPtr;
use parquet::file::writer::SerializedRowGroupWriter;

use crate::recording::Batch;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Identity;
use crate::recording::Schema;
use crate::recording::column;
use crate::recording::encode::ColumnEncoder;
use crate::recording::encode::Encoders;
use crate::recording::output::Output;
use crate::recording::splice::Pages;

/// A row group is closed when it has this many rows.
pub(crate) const MAX_ROWS: usize = 256 << 10;
/// Rows are kept as they come until there are this many: an encoder is 54 KB a column, too much for kinds with few rows.
const ENCODE_ROWS: usize = 16 << 10;

/// What is the same for all row groups of a file.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) schema: Arc<Schema>,
    pub(crate) encoders: Encoders,
    pub(crate) identity: Identity,
}

/// A row group that still takes rows.
pub(crate) struct OpenGroup {
    pub(crate) kind: String,
    waiting: Vec<Batch>,
    waiting_rows: usize,
    encoded_rows: usize,
    /// One per column of the schema; the ones that no row has set have no encoder.
    columns: Vec<Option<ColumnEncoder>>,
}

/// A row group that is in the file.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) kind: String,
    pub(crate) rows: u64,
    /// How often its rows were merged.
    pub(crate) level: u8,
    pub(crate) metadata: RowGroupMetaDataPtr,
}

impl OpenGroup {
    pub(crate) fn new(kind: &str) -> OpenGroup {
        OpenGroup { kind: kind.to_owned(), waiting: Vec::new(), waiting_rows: 0, encoded_rows: 0, columns: Vec::new() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.waiting_rows + self.encoded_rows
    }

    pub(crate) fn push(&mut self, batch: Batch, layout: &Layout) -> Result<(), ParquetError> {
        self.waiting_rows += batch.rows();
        self.waiting.push(batch);
        if self.waiting_rows >= ENCODE_ROWS { self.encode_waiting(layout) } else { Ok(()) }
    }

    /// Encodes some columns of `rows` more rows; the others are null in them.
    pub(crate) fn encode(
        &mut self,
        rows: usize,
        arrays: &[(ColumnId, ArrayRef)],
        layout: &Layout,
    ) -> Result<(), ParquetError> {
        let before = self.encoded_rows;
        self.columns.resize_with(layout.schema.columns().len(), || None);
        for (id, array) in arrays {
            let Some(slot) = self.columns.get_mut(id.index()) else { continue };
            let encoder = match slot {
                Some(encoder) => encoder,
                None => slot.insert(layout.encoders.column(*id, 0)?),
            };
            encoder.pad(before)?;
            encoder.write(array)?;
        }
        self.encoded_rows += rows;
        Ok(())
    }

    fn encode_waiting(&mut self, layout: &Layout) -> Result<(), ParquetError> {
        for batch in std::mem::take(&mut self.waiting) {
            let rows = batch.rows();
            self.encode(rows, &batch.into_arrays(&layout.schema), layout)?;
        }
        self.waiting_rows = 0;
        Ok(())
    }

    /// Appends the row group to the file.
    pub(crate) fn close(mut self, level: u8, layout: &Layout, output: &mut Output) -> Result<Group, ParquetError> {
        self.encode_waiting(layout)?;
        let rows = u32::try_from(self.encoded_rows).map_err(|error| ParquetError::General(error.to_string()))?;
        let constants = [
            Pages::constant(rows, &self.kind)?,
            Pages::constant(rows, &layout.identity.host)?,
            Pages::constant(rows, &layout.identity.run_id)?,
        ];
        let (nulls, null_lists) = (Pages::nulls(rows)?, Pages::null_lists(rows)?);
        let descr = &layout.encoders.descr;
        let properties = Arc::clone(&layout.encoders.properties);
        let mut to = SerializedRowGroupWriter::new(Arc::clone(descr), properties, output.tracked(), 0, None);
        self.columns.resize_with(layout.schema.columns().len(), || None);
        for ((id, declared), (leaf, encoder)) in
            layout.schema.ids().zip(descr.columns().iter().zip(std::mem::take(&mut self.columns)))
        {
            let constant = [column::KIND, column::HOST, column::RUN_ID].iter().position(|constant| *constant == id);
            if let Some(pages) = constant.and_then(|at| constants.get(at)) {
                pages.append(Arc::clone(leaf), &mut to)?;
            } else if let Some(mut encoder) = encoder {
                encoder.pad(self.encoded_rows)?;
                encoder.finish()?.append_to_row_group(&mut to)?;
            } else {
                let pages = if declared.ty == ColumnType::ListInt32 { &null_lists } else { &nulls };
                pages.append(Arc::clone(leaf), &mut to)?;
            }
        }
        let metadata = to.close()?;
        output.keep()?;
        Ok(Group { kind: self.kind, rows: u64::from(rows), level, metadata })
    }
}
