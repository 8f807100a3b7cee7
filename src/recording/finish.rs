//! The end of a recording: small row groups merged, one footer behind the rows, and the name it was to have.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use crate::recording::WriteError;
use crate::recording::Writer;
use crate::recording::footer::Group;
use crate::recording::leftovers;
use crate::recording::merge;
use crate::recording::merge::Input;
use crate::recording::merge::Stopped;
use crate::recording::names::temporary_path;
use crate::recording::output::Output;
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
    /// Whether small row groups were merged into large ones; if not, the file is valid but larger and slower to read.
    pub merged: bool,
}

impl Writer {
    /// Merges small row groups within `budget`, ends the file and gives it its name.
    ///
    /// Row groups are merged into a new file, without what merging while recording has left unused; only where most of
    /// the file is large row groups already, and copying them would take longer than it is worth, into the same file.
    /// When the time is over or the disk is full, the row groups stay as they are.
    ///
    /// # Errors
    /// The disk is full or refuses, or the name was taken meanwhile: what was checkpointed is left for `recover`.
    pub fn finish(mut self, budget: Duration) -> Result<Finished, WriteError> {
        self.close_all()?;
        self.groups.retain(|group| group.kind != RECORDING);
        self.append_meta_rows()?;
        // From here on a kill costs nothing. Where the disk is full, the end of the file may still fit.
        let checkpoint = self.write_sidecar();
        let deadline = Instant::now().checked_add(budget);
        let runs = merge::small(&self.groups);
        let live: u64 = self.groups.iter().map(size).sum();
        let small: u64 = runs.iter().flatten().filter_map(|index| self.groups.get(*index)).map(size).sum();
        let unused = self.output.good().saturating_sub(live);
        if runs.is_empty() && unused <= live / 4 {
            return self.end_in_place(true);
        }
        let copied = live.saturating_sub(small);
        let affordable = copied as f64 <= budget.as_secs_f64() * DISK_PER_SECOND;
        if checkpoint.is_ok() && affordable && (copied <= CHEAP_COPY || small + unused > live / 4) {
            match self.rewrite(&runs, deadline) {
                Ok(finished) => return Ok(finished),
                Err(Ended::Written(error)) => return Err(error),
                Err(Ended::Stopped) => return self.end_in_place(false),
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
            match input.merge(&groups, &template, &mut self.layout, &mut self.output, deadline) {
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

    /// Writes a new file, kind by kind, and puts it in the place of the unfinished one.
    fn rewrite(&mut self, runs: &[Vec<usize>], deadline: Option<Instant>) -> Result<Finished, Ended> {
        let partial = self.output.path.clone();
        let path = temporary_path(&partial);
        // One that a killed run left behind.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Ended::Stopped),
            _ => {}
        }
        let written = self.rewrite_to(&path, runs, deadline);
        let (bytes, rows) = match written {
            Ok(written) => written,
            Err(_) => {
                // Nothing was lost; what is left behind is removed at the next try.
                let _ = std::fs::remove_file(&path);
                return Err(Ended::Stopped);
            }
        };
        if let Err(error) = rename(&path, &self.path, self.existing) {
            let _ = std::fs::remove_file(&path);
            return Err(Ended::Written(error));
        }
        // The recording is whole and has its name: what stays behind does no harm.
        let _ = std::fs::remove_file(&partial);
        leftovers::remove_beside(&partial);
        Ok(Finished { path: self.path.clone(), bytes, rows, merged: true })
    }

    fn rewrite_to(
        &mut self,
        path: &Path,
        runs: &[Vec<usize>],
        deadline: Option<Instant>,
    ) -> Result<(u64, u64), Stopped> {
        let template = self.template().map_err(|_| Stopped::Failed)?;
        let partial = self.output.path.clone();
        let input = Input::open(&partial, self.output.good())?;
        let mut output = Output::create(path)?;
        give_away(output.file(), self.owner)?;
        let mut kinds: Vec<&str> = Vec::new();
        for group in &self.groups {
            if !kinds.contains(&group.kind.as_str()) {
                kinds.push(&group.kind);
            }
        }
        let mut groups = Vec::new();
        for kind in kinds {
            for (index, group) in self.groups.iter().enumerate().filter(|(_, group)| group.kind == kind) {
                match runs.iter().find(|run| run.contains(&index)) {
                    None => groups.push(input.copy(group, &template, &self.layout, &mut output, deadline)?),
                    // The whole run comes in the place of its first.
                    Some(run) if run.first() == Some(&index) => {
                        let run: Vec<&Group> = run.iter().filter_map(|index| self.groups.get(*index)).collect();
                        groups.extend(input.merge(&run, &template, &mut self.layout, &mut output, deadline)?);
                    }
                    Some(_) => {}
                }
            }
        }
        output.append(&template.footer(groups.iter())?)?;
        output.file().sync_all()?;
        Ok((output.good(), groups.iter().map(|group| group.rows).sum()))
    }

    /// Writes the footer behind the rows and gives the file its name.
    fn end_in_place(mut self, merged: bool) -> Result<Finished, WriteError> {
        let template = self.template()?;
        let path = self.output.path.clone();
        let footer = template.footer(self.groups.iter());
        let written = footer.and_then(|bytes| self.output.append(&bytes)).and_then(|()| self.output.file().sync_all());
        if let Err(error) = written {
            self.output.roll_back().map_err(WriteError::io("cut back", &path))?;
            return Err(WriteError::io("write", &path)(error));
        }
        rename(&path, &self.path, self.existing)?;
        // The recording is whole and has its name: a sidecar that stays behind does no harm.
        leftovers::remove_beside(&path);
        let rows = self.groups.iter().map(|group| group.rows).sum();
        Ok(Finished { bytes: self.output.good(), rows, path: self.path, merged })
    }
}

/// How writing a new file ended without one.
enum Ended {
    /// It was not finished; the unfinished recording is as it was.
    Stopped,
    /// It was, and could not be given its name.
    Written(WriteError),
}

fn size(group: &Group) -> u64 {
    group.bytes.end.saturating_sub(group.bytes.start)
}
