//! Streaming some columns of one kind.

use std::path::PathBuf;

use arrow::array::ArrayRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_reader::RowSelection;

use crate::recording::OpenError;
use crate::recording::Recording;
use crate::recording::check;
use crate::recording::chunk::Chunk;
use crate::recording::chunk::Values;
use crate::recording::guard::guard;
use crate::recording::leaves::Leaf;
use crate::recording::shared_file::SharedFile;

/// Rows of a chunk, at most.
pub(crate) const CHUNK_ROWS: usize = 16 << 10;

/// The rows of one kind, some thousand at a time; it ends after the first error.
pub struct Scan {
    path: PathBuf,
    source: SharedFile,
    arrow: ArrowReaderMetadata,
    /// The columns asked for; `None` for one that the file does not have.
    columns: Vec<Option<Leaf>>,
    /// The leaves behind them, in the order of the file.
    leaves: Vec<usize>,
    groups: std::vec::IntoIter<usize>,
    current: Option<GroupReader>,
    failed: bool,
}

/// Some columns of one row group.
pub(crate) struct GroupReader {
    group: usize,
    left: usize,
    held: usize,
    /// The leaves that are decoded, in the order of the file.
    leaves: Vec<usize>,
    /// `None` when all columns asked for are null in it.
    reader: Option<ParquetRecordBatchReader>,
}

impl GroupReader {
    /// Checks the pages of these leaf columns, which are in order, and begins to decode them: all rows, or the selected ones.
    pub(crate) fn new(
        source: &SharedFile,
        arrow: &ArrowReaderMetadata,
        index: usize,
        mut leaves: Vec<usize>,
        selection: Option<RowSelection>,
    ) -> Result<GroupReader, String> {
        let metadata = arrow.metadata();
        let group = metadata.row_groups().get(index).ok_or("a row group is missing")?;
        // What is null throughout need not be decoded, and is most of what is asked for by general views.
        leaves.retain(|leaf| !check::is_null(group, *leaf));
        let held = check::pages(source, group, &leaves)?;
        // The number of rows was checked when the file was opened.
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let left = selection.as_ref().map_or(rows, RowSelection::row_count);
        let reader = if leaves.is_empty() {
            None
        } else {
            let mask = ProjectionMask::leaves(metadata.file_metadata().schema_descr(), leaves.iter().copied());
            let build = || {
                let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source.clone(), arrow.clone())
                    .with_row_groups(vec![index])
                    .with_projection(mask)
                    .with_batch_size(CHUNK_ROWS);
                match selection {
                    Some(selection) => builder.with_row_selection(selection).build(),
                    None => builder.build(),
                }
            };
            Some(guard(build)?)
        };
        Ok(GroupReader { group: index, left, held, leaves, reader })
    }

    /// Bytes that decoding holds at once, beside the arrays that it gives.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The leaves that [`GroupReader::next`] gives arrays for; the others are null.
    pub(crate) fn leaves(&self) -> &[usize] {
        &self.leaves
    }

    /// The next rows, and an array of them for each leaf; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, Vec<ArrayRef>)>, String> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(reader) = &mut self.reader else {
            let rows = self.left.min(CHUNK_ROWS);
            self.left -= rows;
            return Ok(Some((rows, Vec::new())));
        };
        let short = || format!("row group {} has fewer rows than it claims", self.group);
        let batch = guard(|| reader.next().transpose())?.filter(|batch| batch.num_rows() > 0).ok_or_else(short)?;
        let rows = batch.num_rows();
        self.left = self.left.checked_sub(rows).ok_or_else(short)?;
        Ok(Some((rows, batch.columns().to_vec())))
    }

    /// The next rows, with a column for each that was asked for; one that is not decoded is null.
    pub(crate) fn chunk(&mut self, columns: &[Option<Leaf>]) -> Result<Option<Chunk>, String> {
        let Some((rows, arrays)) = self.next()? else { return Ok(None) };
        let columns = columns.iter().map(|column| {
            let Some(leaf) = column else { return Ok(Values::Null) };
            let Ok(at) = self.leaves.binary_search(&leaf.index) else { return Ok(Values::Null) };
            let values = arrays.get(at).and_then(|array| Values::new(array, leaf.ty));
            values.ok_or_else(|| "a column was decoded as another type".to_owned())
        });
        Ok(Some(Chunk::new(rows, columns.collect::<Result<_, String>>()?)))
    }
}

/// The leaves behind some columns, in the order of the file.
pub(crate) fn leaves<'a>(columns: impl Iterator<Item = &'a Option<Leaf>>) -> Vec<usize> {
    let mut leaves: Vec<usize> = columns.flatten().map(|leaf| leaf.index).collect();
    leaves.sort_unstable();
    leaves.dedup();
    leaves
}

impl Scan {
    pub(crate) fn new(recording: &Recording, kind: &str, columns: &[&str]) -> Scan {
        let groups = recording.groups.get(kind).cloned().unwrap_or_default();
        let columns: Vec<Option<Leaf>> = columns.iter().map(|name| recording.leaves.get(*name).copied()).collect();
        let leaves = leaves(columns.iter());
        Scan {
            path: recording.path.clone(),
            source: recording.source.clone(),
            arrow: recording.arrow.clone(),
            columns,
            leaves,
            groups: groups.into_iter(),
            current: None,
            failed: false,
        }
    }

    fn read(&mut self) -> Result<Option<Chunk>, String> {
        loop {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.groups.next() {
                    Some(group) => GroupReader::new(&self.source, &self.arrow, group, self.leaves.clone(), None)?,
                    None => return Ok(None),
                },
            };
            let Some(chunk) = current.chunk(&self.columns)? else { continue };
            self.current = Some(current);
            return Ok(Some(chunk));
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Chunk, OpenError>;

    fn next(&mut self) -> Option<Result<Chunk, OpenError>> {
        if self.failed {
            return None;
        }
        match self.read() {
            Ok(chunk) => chunk.map(Ok),
            Err(why) => {
                self.failed = true;
                Some(Err(OpenError::corrupt(&self.path, &why)))
            }
        }
    }
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("path", &self.path).field("columns", &self.columns).finish_non_exhaustive()
    }
}
