//! Streaming some columns of one kind.

use std::path::PathBuf;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::recording::OpenError;
use crate::recording::Recording;
use crate::recording::check;
use crate::recording::chunk::Chunk;
use crate::recording::chunk::Values;
use crate::recording::guard::guard;
use crate::recording::leaves::Leaf;
use crate::recording::source::Source;

/// Rows of a chunk, at most.
pub(crate) const CHUNK_ROWS: usize = 16 << 10;

/// The rows of one kind, some thousand at a time; it ends after the first error.
pub struct Scan {
    path: PathBuf,
    source: Source,
    arrow: ArrowReaderMetadata,
    /// The columns asked for; `None` for one that the file does not have.
    columns: Vec<Option<Leaf>>,
    groups: std::vec::IntoIter<usize>,
    current: Option<Current>,
    failed: bool,
}

/// A row group that is being read.
struct Current {
    group: usize,
    left: usize,
    /// The leaves that are decoded, in the order of the file.
    leaves: Vec<usize>,
    /// `None` when all columns asked for are null in it.
    reader: Option<ParquetRecordBatchReader>,
}

impl Scan {
    pub(crate) fn new(recording: &Recording, kind: &str, columns: &[&str]) -> Result<Scan, OpenError> {
        let groups = recording.groups.get(kind).cloned().unwrap_or_default();
        Ok(Scan {
            path: recording.path.clone(),
            source: recording.source.clone(),
            arrow: recording.arrow.clone(),
            columns: columns.iter().map(|name| recording.leaves.get(*name).copied()).collect(),
            groups: groups.into_iter(),
            current: None,
            failed: false,
        })
    }

    fn read(&mut self) -> Result<Option<Chunk>, String> {
        loop {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.groups.next() {
                    Some(group) => self.begin(group)?,
                    None => return Ok(None),
                },
            };
            if current.left == 0 {
                continue;
            }
            let chunk = self.read_from(&mut current)?;
            self.current = Some(current);
            return Ok(Some(chunk));
        }
    }

    fn begin(&self, index: usize) -> Result<Current, String> {
        let metadata = self.arrow.metadata();
        let group = metadata.row_groups().get(index).ok_or("a row group is missing")?;
        let rows = group.num_rows();
        let mut leaves: Vec<usize> = self.columns.iter().flatten().map(|leaf| leaf.index).collect();
        leaves.sort_unstable();
        leaves.dedup();
        // What is null throughout need not be decoded, and is most of what is asked for by general views.
        leaves.retain(|leaf| {
            let statistics = group.columns().get(*leaf).and_then(|column| column.statistics());
            u64::try_from(rows).ok() != statistics.and_then(|statistics| statistics.null_count_opt())
        });
        check::pages(&self.source, group, &leaves)?;
        let reader = if leaves.is_empty() {
            None
        } else {
            let mask = ProjectionMask::leaves(metadata.file_metadata().schema_descr(), leaves.iter().copied());
            let build = || {
                ParquetRecordBatchReaderBuilder::new_with_metadata(self.source.clone(), self.arrow.clone())
                    .with_row_groups(vec![index])
                    .with_projection(mask)
                    .with_batch_size(CHUNK_ROWS)
                    .build()
            };
            Some(guard(build)?)
        };
        // The number of rows was checked when the file was opened.
        Ok(Current { group: index, left: usize::try_from(rows).unwrap_or(0), leaves, reader })
    }

    fn read_from(&self, current: &mut Current) -> Result<Chunk, String> {
        let Some(reader) = &mut current.reader else {
            let rows = current.left.min(CHUNK_ROWS);
            current.left -= rows;
            return Ok(Chunk::new(rows, self.columns.iter().map(|_| Values::Null).collect()));
        };
        let short = || format!("row group {} has fewer rows than it claims", current.group);
        let batch = guard(|| reader.next().transpose())?.filter(|batch| batch.num_rows() > 0).ok_or_else(short)?;
        current.left = current.left.checked_sub(batch.num_rows()).ok_or_else(short)?;
        let columns = self.columns.iter().map(|column| {
            let Some(leaf) = column else { return Ok(Values::Null) };
            let Ok(at) = current.leaves.binary_search(&leaf.index) else { return Ok(Values::Null) };
            let array = batch.columns().get(at).ok_or_else(short)?;
            Values::new(array, leaf.ty).ok_or_else(|| "a column was decoded as another type".to_owned())
        });
        Ok(Chunk::new(batch.num_rows(), columns.collect::<Result<_, String>>()?))
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
                Some(Err(OpenError::Corrupt { path: self.path.clone(), why }))
            }
        }
    }
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("path", &self.path).field("columns", &self.columns).finish_non_exhaustive()
    }
}
