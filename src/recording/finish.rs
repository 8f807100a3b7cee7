//! The end of a recording: small row groups merged, one footer behind the rows, and the name it was to have.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use parquet::errors::ParquetError;

use crate::recording::WriteError;
use crate::recording::Writer;
use crate::recording::footer::Group;
use crate::recording::leftovers;
use crate::recording::merge;
use crate::recording::merge::Input;
use crate::recording::merge::Stopped;
use crate::recording::names::temporary_path;
use crate::recording::output::Output;
use crate::recording::thin::thinned_rows;
use crate::recording::writer::RECORDING;
use crate::recording::writer::give_away;
use crate::recording::writer::rename;
use crate::recording::writer::replaced;

/// Row groups that are copied as they are, up to this size together, are always worth a file without gaps.
const CHEAP_COPY: u64 = 64 << 20;
/// What a disk takes per second, guessed low: it decides only whether a copy is tried.
const DISK_PER_SECOND: f64 = 200e6;

/// A recording that was finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Its file.
    pub path: PathBuf,
    /// Size of the file.
    pub bytes: u64,
    /// Rows of all kinds, those of kind `recording` included.
    pub rows: u64,
    /// Most bytes of disk that it took while it was made; less than the file has where its file system compresses.
    pub most_disk_bytes: u64,
    /// Rows left out because the file may not be larger. Rows of kind `lost` state how many of which probe.
    pub left_out: u64,
    /// Kinds of rows of which the file has one in so many, since it may not be larger.
    pub rows_one_in: BTreeMap<String, u64>,
    /// Whether small row groups were merged into large ones; if not, the file is valid but larger and slower to read.
    pub merged: bool,
}

impl Finished {
    /// Says which rows were thinned, if any were.
    pub fn thinned_rows(&self) -> Option<String> {
        thinned_rows(&self.rows_one_in)
    }
}

impl Writer {
    /// Merges small row groups within `budget`, ends the file and gives it its name.
    ///
    /// Row groups are merged into a new file, without what merging while recording has left unused; only where most of
    /// the file is large row groups already, and copying them would take longer than it is worth, into the same file.
    /// When the time is over or the disk is full, the row groups stay as they are.
    ///
    /// # Errors
    /// The disk is full or refuses, or the name was taken meanwhile: what was checkpointed is left for `recover`. And when the unfinished file
    /// was moved, removed or replaced.
    pub fn finish(mut self, budget: Duration) -> Result<Finished, WriteError> {
        self.output.hold_name()?;
        self.close_all()?;
        self.groups.retain(|group| group.kind != RECORDING);
        self.append_meta_rows()?;
        if let Some(limit) = &self.limit {
            let most = limit.most;
            return self.finish_within(most, budget);
        }
        // From here on a kill costs nothing. Where the disk is full, the end of the file may still fit.
        let checkpoint = self.write_sidecar();
        let deadline = Instant::now().checked_add(budget);
        let runs = merge::small(&self.groups);
        let live: u64 = self.groups.iter().map(Group::size).sum();
        let small: u64 = runs.iter().flatten().filter_map(|index| self.groups.get(*index)).map(Group::size).sum();
        let unused = self.output.good().saturating_sub(live);
        if runs.is_empty() && unused <= live / 4 {
            return self.end_in_place(true);
        }
        let copied = live.saturating_sub(small);
        let affordable = copied as f64 <= budget.as_secs_f64() * DISK_PER_SECOND;
        if checkpoint.is_ok() && affordable && (copied <= CHEAP_COPY || small + unused > live / 4) {
            match self.rewrite(&runs, deadline, None) {
                Ok(finished) => return Ok(finished),
                Err(NotWritten::Written(error)) => return Err(error),
                Err(NotWritten::Stopped | NotWritten::TooLarge(_)) => return self.end_in_place(false),
            }
        }
        let merged = self.merge_in_place(runs, deadline)?;
        self.end_in_place(merged)
    }

    /// Merges at the end of the file; what was merged stays in it, unused.
    fn merge_in_place(&mut self, runs: Vec<Vec<usize>>, deadline: Option<Instant>) -> Result<bool, WriteError> {
        let template = self.template()?;
        let path = self.output.path.clone();
        let Ok(input) = Input::open(&path, self.output.good()) else { return Ok(false) };
        let mut gone = vec![false; self.groups.len()];
        let mut merged: Vec<(usize, Vec<Group>)> = Vec::new();
        let mut all = true;
        for run in runs {
            let groups: Vec<&Group> = run.iter().filter_map(|index| self.groups.get(*index)).collect();
            match input.merge(&groups, &template, &mut self.layout, &mut self.output, deadline, &mut merge::all) {
                Ok(groups) => {
                    run.iter().for_each(|index| gone.get_mut(*index).into_iter().for_each(|gone| *gone = true));
                    merged.extend(run.first().map(|first| (*first, groups)));
                }
                Err(_) => {
                    self.output.roll_back().map_err(WriteError::io("cut back", &path))?;
                    all = false;
                    break;
                }
            }
        }
        self.groups = replaced(std::mem::take(&mut self.groups), &gone, merged);
        Ok(all)
    }

    /// Writes a new file and puts it in the place of the unfinished one, if it is no larger than `most` bytes. It is in the order of kinds; with
    /// such a bound and nothing to merge in the order of the unfinished one, so that no offset grows.
    pub(super) fn rewrite(
        &mut self,
        runs: &[Vec<usize>],
        deadline: Option<Instant>,
        most: Option<u64>,
    ) -> Result<Finished, NotWritten> {
        let partial = self.output.path.clone();
        let path = temporary_path(&partial);
        // One that a killed run left behind.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(NotWritten::Stopped),
            _ => {}
        }
        let written = self.rewrite_to(&path, runs, deadline, most.is_none() || !runs.is_empty());
        let (bytes, rows) = match written {
            Ok(written) => written,
            Err(_) => {
                // Nothing was lost; what is left behind is removed at the next try.
                let _ = std::fs::remove_file(&path);
                return Err(NotWritten::Stopped);
            }
        };
        self.note_disk(bytes);
        if most.is_some_and(|most| bytes > most) {
            std::fs::remove_file(&path).map_err(|_| NotWritten::Stopped)?;
            return Err(NotWritten::TooLarge(bytes));
        }
        if let Err(error) = rename(&path, &self.path, self.existing) {
            let _ = std::fs::remove_file(&path);
            return Err(NotWritten::Written(error));
        }
        // The recording is whole and has its name: what stays behind does no harm.
        let _ = std::fs::remove_file(&partial);
        leftovers::remove_beside(&partial);
        let (most_disk_bytes, left_out) = (self.most_disk_bytes, self.left_out());
        let (path, rows_one_in, merged) = (self.path.clone(), self.rows_one_in(), !runs.is_empty());
        Ok(Finished { path, bytes, rows, most_disk_bytes, left_out, rows_one_in, merged })
    }

    fn rewrite_to(
        &mut self,
        path: &Path,
        runs: &[Vec<usize>],
        deadline: Option<Instant>,
        by_kind: bool,
    ) -> Result<(u64, u64), Stopped> {
        let template = self.template().map_err(|error| ParquetError::General(error.to_string()))?;
        let partial = self.output.path.clone();
        let input = Input::open(&partial, self.output.good())?;
        let mut output = Output::create(path)?;
        give_away(output.file(), self.owner)?;
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        if by_kind {
            let kind = |at: usize| self.groups.get(at).map(|group| group.kind.as_str());
            // The sort is stable, so row groups of a kind stay in their order.
            order.sort_by_cached_key(|at| self.groups.iter().position(|group| Some(group.kind.as_str()) == kind(*at)));
        }
        let mut groups = Vec::new();
        for (index, group) in order.iter().filter_map(|index| Some((*index, self.groups.get(*index)?))) {
            match runs.iter().find(|run| run.contains(&index)) {
                None => groups.push(input.copy(group, &template, &self.layout, &mut output, deadline)?),
                // The whole run comes in the place of its first.
                Some(run) if run.first() == Some(&index) => {
                    let run: Vec<&Group> = run.iter().filter_map(|index| self.groups.get(*index)).collect();
                    groups.extend(input.merge(
                        &run,
                        &template,
                        &mut self.layout,
                        &mut output,
                        deadline,
                        &mut merge::all,
                    )?);
                }
                Some(_) => {}
            }
        }
        output.append(&template.footer(groups.iter())?)?;
        output.file().sync_all()?;
        Ok((output.good(), groups.iter().map(|group| group.rows).sum()))
    }

    /// Writes the footer behind the rows and gives the file its name.
    pub(super) fn end_in_place(mut self, merged: bool) -> Result<Finished, WriteError> {
        let template = self.template()?;
        let path = self.output.path.clone();
        let footer = template.footer(self.groups.iter());
        let written = footer.and_then(|bytes| self.output.append(&bytes)).and_then(|()| self.output.file().sync_all());
        if let Err(error) = written {
            self.output.roll_back().map_err(WriteError::io("cut back", &path))?;
            return Err(WriteError::io("write", &path)(error));
        }
        self.note_disk(0);
        self.output.hold_name()?;
        rename(&path, &self.path, self.existing)?;
        // The recording is whole and has its name: a sidecar that stays behind does no harm.
        leftovers::remove_beside(&path);
        let rows = self.groups.iter().map(|group| group.rows).sum();
        let (most_disk_bytes, left_out, rows_one_in) = (self.most_disk_bytes, self.left_out(), self.rows_one_in());
        Ok(Finished {
            bytes: self.output.good(),
            rows,
            path: self.path,
            most_disk_bytes,
            left_out,
            rows_one_in,
            merged,
        })
    }
}

/// Why there is no new file.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// It was not finished; the unfinished recording is as it was.
    Stopped,
    /// It was, and has more bytes than it may have: so many. It is gone.
    TooLarge(u64),
    /// It was, and could not be given its name.
    Written(WriteError),
}
