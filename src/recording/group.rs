//! Row groups: the rows of one kind on their way into the file.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::AsArray;
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedRowGroupWriter;

use crate::recording::Batch;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::batch::Cells;
use crate::recording::column;
use crate::recording::encode::ColumnEncoder;
use crate::recording::footer::Group;
use crate::recording::footer::encode_group;
use crate::recording::layout::Layout;
use crate::recording::limits::BATCH_TEXT_BYTES;
use crate::recording::limits::GROUP_LIST_VALUES;
use crate::recording::limits::GROUP_ROWS;
use crate::recording::output::Output;
use crate::recording::splice::Pages;

/// A row group is closed when it has this many rows.
pub(crate) const MAX_ROWS: usize = 256 << 10;
/// Rows are kept as they come until there are this many: an encoder is 54 KB a column, too much for kinds with few rows.
const ENCODE_ROWS: usize = 16 << 10;

/// A row group that still takes rows.
pub(crate) struct OpenGroup {
    pub(crate) kind: String,
    waiting: Vec<Batch>,
    waiting_rows: usize,
    waiting_text: usize,
    encoded_rows: usize,
    list_values: usize,
    /// One per column of the schema; the ones that no row has set have no encoder.
    columns: Vec<Option<ColumnEncoder>>,
}

impl OpenGroup {
    pub(crate) fn new(kind: &str) -> OpenGroup {
        OpenGroup {
            kind: kind.to_owned(),
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_text: 0,
            encoded_rows: 0,
            list_values: 0,
            columns: Vec::new(),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.waiting_rows + self.encoded_rows
    }

    /// Whether it should be closed: it has enough rows, or as much text as a reader should have to hold.
    pub(crate) fn is_full(&self) -> bool {
        self.rows() >= MAX_ROWS || self.columns.iter().flatten().any(ColumnEncoder::is_heavy)
    }

    /// Whether it stays within the bounds with so many more rows, bytes of text, and elements of lists.
    pub(crate) fn has_room(&self, rows: usize, text_bytes: usize, list_values: usize) -> bool {
        let held: usize = self.columns.iter().flatten().map(ColumnEncoder::text_bytes).sum();
        self.rows() == 0
            || self.rows() + rows <= GROUP_ROWS
                && held + self.waiting_text + text_bytes <= BATCH_TEXT_BYTES
                && self.list_values + list_values <= GROUP_LIST_VALUES
    }

    pub(crate) fn push(&mut self, batch: Batch, layout: &mut Layout) -> Result<(), ParquetError> {
        self.waiting_text += batch.text_bytes();
        self.list_values += batch.list_values();
        self.waiting_rows += batch.rows();
        self.waiting.push(batch);
        if self.waiting_rows >= ENCODE_ROWS { self.encode_waiting(layout) } else { Ok(()) }
    }

    /// Adds a batch of rows as they were read.
    pub(crate) fn push_arrays(
        &mut self,
        rows: usize,
        arrays: &[(ColumnId, ArrayRef)],
        layout: &mut Layout,
    ) -> Result<(), ParquetError> {
        let lists = arrays.iter().filter_map(|(_, array)| array.as_list_opt::<i32>());
        self.list_values += lists.map(|list| list.values().len()).max().unwrap_or(0);
        for (id, array) in arrays {
            if let Some(encoder) = self.encoder(*id, layout)? {
                encoder.push_array(array, &mut layout.codec)?;
            }
        }
        self.encoded_rows += rows;
        Ok(())
    }

    fn encode_waiting(&mut self, layout: &mut Layout) -> Result<(), ParquetError> {
        for batch in std::mem::take(&mut self.waiting) {
            let rows = batch.rows();
            for (id, cells) in batch.into_columns() {
                match cells {
                    Cells::Int(times) if id == column::TS => {
                        let (micros, nanos) = times.times();
                        for (id, values) in [(column::TS, micros), (column::TS_SUB_NS, nanos)] {
                            if let Some(encoder) = self.encoder(id, layout)? {
                                encoder.push_ints(&values, times.valid(), &mut layout.codec)?;
                            }
                        }
                    }
                    cells => {
                        if let Some(encoder) = self.encoder(id, layout)? {
                            encoder.push_cells(cells, &mut layout.codec)?;
                        }
                    }
                }
            }
            self.encoded_rows += rows;
        }
        (self.waiting_rows, self.waiting_text) = (0, 0);
        Ok(())
    }

    /// The encoder of a column, made when it is first set, and filled up with nulls to the rows before.
    fn encoder(&mut self, id: ColumnId, layout: &Layout) -> Result<Option<&mut ColumnEncoder>, ParquetError> {
        self.columns.resize_with(layout.schema.columns().len(), || None);
        let Some(slot) = self.columns.get_mut(id.index()) else { return Ok(None) };
        let encoder = match slot {
            Some(encoder) => encoder,
            None => slot.insert(layout.encoders.column(id)?),
        };
        encoder.pad(self.encoded_rows)?;
        Ok(Some(encoder))
    }

    /// Appends the row group to the file.
    pub(crate) fn close(mut self, level: u8, layout: &mut Layout, output: &mut Output) -> Result<Group, ParquetError> {
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
                let chunk = encoder.finish(&mut layout.codec)?;
                to.append_column(&chunk.bytes, chunk.close)?;
            } else {
                let pages = if declared.ty == ColumnType::ListInt32 { &null_lists } else { &nulls };
                pages.append(Arc::clone(leaf), &mut to)?;
            }
        }
        let metadata = to.close()?;
        let encoded = encode_group(&metadata, layout)?;
        let start = output.good();
        output.keep()?;
        Ok(Group { kind: self.kind, rows: u64::from(rows), level, generation: 0, bytes: start..output.good(), encoded })
    }
}
