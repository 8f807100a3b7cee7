//! The writer thread's side of a recording: row groups into the file, checkpoints, and the end.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::errors::ParquetError;

use crate::recording::Batch;
use crate::recording::ColumnMeta;
use crate::recording::Meta;
use crate::recording::Rows;
use crate::recording::Schema;
use crate::recording::WriteError;
use crate::recording::column;
use crate::recording::encode::Encoders;
use crate::recording::encode::pages::Codec;
use crate::recording::footer::Group;
use crate::recording::footer::Template;
use crate::recording::footer::replace;
use crate::recording::group::OpenGroup;
use crate::recording::layout::Layout;
use crate::recording::leftovers;
use crate::recording::limits::GROUP_LIST_VALUES;
use crate::recording::limits::GROUP_ROWS;
use crate::recording::merge;
use crate::recording::merge::Input;
use crate::recording::merge::Keep;
use crate::recording::names::footer_path;
use crate::recording::names::partial_path;
use crate::recording::output::Output;
use crate::recording::size;
use crate::recording::size::SizeLimit;
use crate::recording::thinning::Thinning;

/// The kind of the rows that repeat the metadata.
pub(super) const RECORDING: &str = "recording";

/// Where a recording comes from: the same in all its rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Host name of the recorded machine.
    pub host: String,
    /// Identifier of the recording, unlike any other.
    pub run_id: String,
}

/// What to do about a file that has the recording's name already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// Never replace it.
    Keep,
    /// Replace it when the recording is finished.
    Replace,
}

/// A recording while it is written.
///
/// Dropping it leaves the unfinished recording and its footer behind, as a kill would.
pub struct Writer {
    pub(super) path: PathBuf,
    pub(super) existing: Existing,
    pub(super) output: Output,
    pub(super) layout: Layout,
    pub(super) meta: Meta,
    open: Vec<OpenGroup>,
    pub(super) groups: Vec<Group>,
    /// The generation that rows are written to, where only the newest part is kept.
    pub(super) generation: u64,
    /// Whether something is in the file or said of it that the sidecar footer does not know.
    stale: bool,
    /// Whether there is a sidecar footer at all.
    has_footer: bool,
    /// The footer without its row groups, once it is needed; until the metadata changes.
    pub(super) template: Option<Arc<Template>>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) limit: Option<SizeLimit>,
    /// Most bytes of disk so far that the unfinished recording took, with what was made of it.
    pub(super) most_disk_bytes: u64,
}

impl Writer {
    /// Creates `path` with `.partial` behind its name, mode 0600; it becomes `path` when it is finished.
    ///
    /// # Errors
    /// `path` exists and is to be kept, an unfinished recording of that name exists, or the directory refuses.
    pub fn create(
        path: &Path,
        schema: Arc<Schema>,
        identity: Identity,
        existing: Existing,
    ) -> Result<Writer, WriteError> {
        let partial = partial_path(path);
        if path.is_dir() {
            return Err(WriteError::Directory { path: path.to_owned() });
        }
        match path.symlink_metadata() {
            Ok(found) if !found.is_file() => return Err(WriteError::NotRegular { path: path.to_owned() }),
            Ok(_) if existing == Existing::Keep => return Err(WriteError::Exists { path: path.to_owned() }),
            _ => {}
        }
        let encoders = Encoders::new(&schema).map_err(WriteError::encode(&partial))?;
        let codec = Codec::new().map_err(WriteError::encode(&partial))?;
        let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        let output = match Output::create(&partial) {
            Err(error) if is_taken(&error) => {
                leftovers::make_room(&partial)?;
                Output::create(&partial)
            }
            created => created,
        };
        let output = output.map_err(|source| match source {
            source if is_taken(&source) => WriteError::Running { path: partial.clone() },
            source => WriteError::io("create", &partial)(source),
        })?;
        leftovers::remove_beside(&partial);
        let meta = Meta { columns: schema.columns().iter().map(|c| ColumnMeta::from(*c)).collect(), ..Meta::default() };
        Ok(Writer {
            path: path.to_owned(),
            existing,
            output,
            layout: Layout { schema, encoders, identity, codec },
            meta,
            open: Vec::new(),
            groups: Vec::new(),
            generation: 0,
            stale: false,
            has_footer: false,
            template: None,
            owner: None,
            limit: None,
            most_disk_bytes: 0,
        })
    }

    /// The file that the rows go to.
    pub fn file(&self) -> &File {
        self.output.file()
    }

    /// The name that the recording will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is done about a file that has that name already.
    pub fn existing(&self) -> Existing {
        self.existing
    }

    /// The name of the file that the rows go to.
    pub fn partial_path(&self) -> &Path {
        &self.output.path
    }

    /// Gives the file, and those that will be made beside it, to a user and a group: the caller of sudo.
    ///
    /// # Errors
    /// The operating system refuses.
    #[cfg(unix)]
    pub fn set_owner(&mut self, uid: u32, gid: u32) -> Result<(), WriteError> {
        std::os::unix::fs::fchown(self.file(), Some(uid), Some(gid))
            .map_err(WriteError::io("give away", &self.output.path))?;
        self.owner = Some((uid, gid));
        Ok(())
    }

    /// The finished file will have `most` bytes at most. Rows of the kinds `events` are left out first if it would have more; all that is left
    /// out is counted as lost.
    pub fn limit_size(&mut self, most: u64, events: impl IntoIterator<Item = String>) {
        self.limit = Some(SizeLimit::new(most, events.into_iter().collect()));
    }

    /// Before the window has to end for the size, rows of events are thinned: half of those in the file go, chosen by chance, and as large a part
    /// of those that come. Takes effect on a file with a limit.
    pub fn thin_to_size(&mut self) {
        // Any number will do, but each recording has its own.
        let seed = self.layout.identity.run_id.bytes().fold(0, |seed: u64, byte| seed.rotate_left(8) ^ u64::from(byte));
        self.limit.iter_mut().for_each(|limit| limit.thinning = Some(Thinning::new(seed)));
    }

    /// Whether the window has to end, lest the finished file be larger than it may be. From then on no more events are taken.
    ///
    /// Merges small row groups where that makes room enough to go on.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn is_full(&mut self) -> Result<bool, WriteError> {
        let Some(limit) = &self.limit else { return Ok(false) };
        if limit.is_reached {
            return Ok(true);
        }
        let (most, must_merge) = (limit.most, limit.must_merge(&self.groups));
        if !must_merge && self.expected_bytes()? <= most {
            return Ok(false);
        }
        // What rows take of a kind that is not in the file yet is a guess, and may be far less once they are encoded.
        let guesses = |limit: &SizeLimit| self.open.iter().any(|group| !limit.knows(&group.kind));
        if self.limit.as_ref().is_some_and(guesses) {
            self.close_all()?;
            if !must_merge && self.expected_bytes()? <= most {
                return Ok(false);
            }
        }
        if must_merge || self.limit.as_ref().is_some_and(|limit| limit.is_worth_merging(&self.groups)) {
            self.merge_all_small()?;
        }
        self.thin_until(|writer| writer.expected_bytes(), most)?;
        let is_reached = self.expected_bytes()? > most;
        if let Some(limit) = &mut self.limit {
            limit.is_reached = is_reached;
        }
        Ok(is_reached)
    }

    /// What the finished file is expected to take if the window ends now.
    fn expected_bytes(&mut self) -> Result<u64, WriteError> {
        let fixed = self.template()?.most_bytes(std::iter::empty());
        let Some(limit) = &self.limit else { return Ok(0) };
        let waiting = self.open.iter().map(|group| (group.kind.as_str(), group.rows() as u64));
        Ok(limit.expected(fixed, &self.groups, waiting))
    }

    /// Notes what the disk holds by now: the unfinished recording, its footer, and so many bytes of a finished one.
    pub(super) fn note_disk(&mut self, finished: u64) {
        let footer = footer_path(&self.output.path).metadata().map_or(0, |footer| footer.len());
        let bytes = self.output.disk_bytes().saturating_add(footer).saturating_add(finished);
        self.most_disk_bytes = self.most_disk_bytes.max(bytes);
    }

    /// Merges all small row groups while recording, and gives the room that they had back to the disk.
    fn merge_all_small(&mut self) -> Result<(), WriteError> {
        let (before, fresh) = (self.groups.iter().map(size::cost).sum(), size::fresh(&self.groups));
        let gone = self.merge_runs(merge::small(&self.groups), &mut merge::all)?;
        let after = self.groups.iter().map(size::cost).sum();
        if let Some(limit) = &mut self.limit {
            limit.was_merged(before, after, fresh);
        }
        self.note_disk(0);
        // No footer may name what is given back.
        self.write_sidecar()?;
        gone.into_iter().for_each(|bytes| self.output.give_back(bytes));
        Ok(())
    }

    /// What the recording says of itself, from the next checkpoint on; its columns are filled in from the schema.
    pub fn set_meta(&mut self, meta: &Meta) {
        let columns = std::mem::take(&mut self.meta.columns);
        self.meta = Meta { columns, ..meta.clone() };
        self.state_thinned();
        self.template = None;
        self.stale = true;
    }

    /// Bytes of the file so far.
    pub fn bytes_written(&self) -> u64 {
        self.output.good()
    }

    /// The most bytes of disk that it took at any time so far, with what was made of it and its footer.
    pub fn most_bytes(&mut self) -> u64 {
        self.note_disk(0);
        self.most_disk_bytes
    }

    /// Takes rows; they reach the file when there are enough of their kind, at the latest at the next checkpoint.
    ///
    /// # Errors
    /// The file cannot be written. The rows of that row group are lost; the file is cut back to the row groups before.
    pub fn write(&mut self, mut batch: Batch) -> Result<(), WriteError> {
        if batch.rows() == 0 || self.limit.as_mut().is_some_and(|limit| limit.refuses(batch.kind(), batch.rows())) {
            return Ok(());
        }
        if let Some(mask) = self.limit.as_mut().and_then(|limit| limit.drawn(batch.kind(), batch.rows())) {
            batch.keep(&mask);
            if batch.rows() == 0 {
                return Ok(());
            }
        }
        self.put(batch)
    }

    fn put(&mut self, mut batch: Batch) -> Result<(), WriteError> {
        // A batch that is a row group of its own and more becomes several.
        let most_rows = self.limit.as_ref().map_or(GROUP_ROWS, |limit| limit.group_rows().min(GROUP_ROWS));
        while batch.rows() > 1 && (batch.rows() > most_rows || batch.list_values() > GROUP_LIST_VALUES) {
            let rest = batch.split_off(batch.rows() / 2);
            let first = std::mem::replace(&mut batch, rest);
            self.put(first)?;
        }
        let at = match self.open.iter().position(|group| group.kind == batch.kind()) {
            Some(at) => at,
            None => {
                self.open.push(OpenGroup::new(batch.kind()));
                self.open.len() - 1
            }
        };
        // `at` was just found or added.
        let group = &mut self.open[at];
        if !group.has_room(batch.rows(), batch.text_bytes(), batch.list_values()) {
            let full = std::mem::replace(group, OpenGroup::new(batch.kind()));
            self.append(full)?;
        }
        let group = &mut self.open[at];
        group.push(batch, &mut self.layout).map_err(WriteError::encode(&self.output.path))?;
        if group.is_full() || self.limit.as_ref().is_some_and(|limit| group.rows() >= limit.group_rows()) {
            let group = self.open.swap_remove(at);
            self.append(group)?;
        }
        Ok(())
    }

    /// Makes everything written so far safe: rows into the file, the file to the disk, then the footer beside it.
    ///
    /// Does nothing when nothing is new. Call it once a second: what a kill costs is what came since.
    ///
    /// # Errors
    /// The disk is full or refuses. The checkpoint before stays in force.
    pub fn checkpoint(&mut self) -> Result<(), WriteError> {
        if self.open.is_empty() && !self.stale {
            return Ok(());
        }
        self.close_all()?;
        if !self.groups.iter().any(|group| group.kind == RECORDING) {
            self.append_meta_rows()?;
        }
        self.merge_runs(merge::due(&self.groups), &mut merge::all)?;
        if let Some(limit) = &mut self.limit {
            limit.checkpointed();
        }
        self.write_sidecar()
    }

    /// The metadata's pairs as rows.
    pub(super) fn append_meta_rows(&mut self) -> Result<(), WriteError> {
        for group in meta_rows(&self.meta, &mut self.layout).map_err(WriteError::encode(&self.output.path))? {
            self.append(group)?;
        }
        Ok(())
    }

    /// The columns as its metadata describes them.
    pub(super) fn columns(&self) -> Vec<ColumnMeta> {
        self.meta.columns.clone()
    }

    pub(super) fn close_all(&mut self) -> Result<(), WriteError> {
        while !self.open.is_empty() {
            let group = self.open.remove(0);
            self.append(group)?;
        }
        Ok(())
    }

    pub(super) fn append(&mut self, group: OpenGroup) -> Result<(), WriteError> {
        if !self.has_footer {
            // So that a file without one holds nothing, and may be replaced.
            self.write_sidecar()?;
        }
        match group.close(0, &mut self.layout, &mut self.output) {
            Ok(group) => {
                self.limit.iter_mut().for_each(|limit| limit.took(&group));
                self.groups.push(Group { generation: self.generation, ..group });
                self.stale = true;
                Ok(())
            }
            Err(error) => {
                self.output.roll_back().map_err(WriteError::io("cut back", &self.output.path))?;
                Err(WriteError::encode(&self.output.path)(error))
            }
        }
    }

    /// Writes the footer beside the rows.
    pub(super) fn write_sidecar(&mut self) -> Result<(), WriteError> {
        let template = self.template()?;
        let path = &self.output.path;
        let sidecar = footer_path(path);
        // The rows must be on the disk before a footer says so.
        self.output.file().sync_data().map_err(WriteError::io("sync", path))?;
        let owner = self.owner;
        template
            .footer(self.groups.iter())
            .and_then(|bytes| replace(&sidecar, &bytes, |file| give_away(file, owner)))
            .map_err(WriteError::io("write", &sidecar))?;
        self.stale = false;
        self.has_footer = true;
        Ok(())
    }

    /// Merges runs of small row groups; where that fails they stay as they are. Returns the places in the file that are unused by now.
    pub(super) fn merge_runs(&mut self, runs: Vec<Vec<usize>>, keep: Keep<'_>) -> Result<Vec<Range<u64>>, WriteError> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let template = self.template()?;
        let path = self.output.path.clone();
        let Ok(input) = Input::open(&path, self.output.good()) else { return Ok(Vec::new()) };
        let mut gone = vec![false; self.groups.len()];
        let mut merged: Vec<(usize, Vec<Group>)> = Vec::new();
        for run in runs {
            let groups: Vec<&Group> = run.iter().filter_map(|index| self.groups.get(*index)).collect();
            match input.merge(&groups, &template, &mut self.layout, &mut self.output, None, keep) {
                Ok(groups) => {
                    run.iter().for_each(|index| gone.get_mut(*index).into_iter().for_each(|gone| *gone = true));
                    merged.extend(run.first().map(|first| (*first, groups)));
                }
                // The row groups are in the file twice or in part, and the footer keeps to those that it had.
                Err(_) => self.output.roll_back().map_err(WriteError::io("cut back", &path))?,
            }
        }
        let unused = self.groups.iter().zip(&gone).filter(|(_, gone)| **gone).map(|(group, _)| group.bytes.clone());
        let unused = unused.collect();
        self.groups = replaced(std::mem::take(&mut self.groups), &gone, merged);
        Ok(unused)
    }

    pub(super) fn template(&mut self) -> Result<Arc<Template>, WriteError> {
        if let Some(template) = &self.template {
            return Ok(Arc::clone(template));
        }
        let template = Template::new(&self.meta, &self.layout).map_err(WriteError::encode(&self.output.path))?;
        Ok(Arc::clone(self.template.insert(Arc::new(template))))
    }
}

/// The metadata's pairs as rows.
fn meta_rows(meta: &Meta, layout: &mut Layout) -> Result<Vec<OpenGroup>, ParquetError> {
    let mut rows = Rows::new(Arc::clone(&layout.schema), 0);
    for (key, value) in meta.to_pairs() {
        rows.row(RECORDING).text(column::ATTR, &key).text(column::VALUE, &value);
    }
    let group = |batch| {
        let mut group = OpenGroup::new(RECORDING);
        group.push(batch, layout)?;
        Ok(group)
    };
    rows.take(1, true).into_iter().map(group).collect()
}

/// Appends the metadata's pairs as rows.
pub(super) fn meta_groups(meta: &Meta, layout: &mut Layout, output: &mut Output) -> Result<Vec<Group>, ParquetError> {
    meta_rows(meta, layout)?.into_iter().map(|group| group.close(0, layout, output)).collect()
}

/// The row groups with some gone and, in the place of the first of each run, those that they were merged into.
pub(super) fn replaced(groups: Vec<Group>, gone: &[bool], merged: Vec<(usize, Vec<Group>)>) -> Vec<Group> {
    let mut merged: HashMap<usize, Vec<Group>> = merged.into_iter().collect();
    let mut all = Vec::with_capacity(groups.len());
    for (index, group) in groups.into_iter().enumerate() {
        all.extend(merged.remove(&index).into_iter().flatten());
        if !gone.get(index).copied().unwrap_or(false) {
            all.push(group);
        }
    }
    all
}

#[cfg(unix)]
pub(super) fn give_away(file: &File, owner: Option<(u32, u32)>) -> io::Result<()> {
    match owner {
        Some((uid, gid)) => std::os::unix::fs::fchown(file, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
pub(super) fn give_away(_: &File, _: Option<(u32, u32)>) -> io::Result<()> {
    Ok(())
}

/// Renames such that an existing file is only replaced when that is asked for.
///
/// What stands there and is not a regular file, as a pipe or a link that came while recording, is never replaced.
pub(crate) fn rename(from: &Path, to: &Path, existing: Existing) -> Result<(), WriteError> {
    if to.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        return Err(WriteError::NotRegular { path: to.to_owned() });
    }
    if existing == Existing::Replace {
        return std::fs::rename(from, to).map_err(WriteError::io("rename", from));
    }
    // A second name for the file: this fails when the name is taken, where a rename would replace.
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from).map_err(WriteError::io("remove", from)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(WriteError::Exists { path: to.to_owned() }),
        // Some file systems have no second names; there a look before the rename must do.
        Err(_) if to.symlink_metadata().is_err() => std::fs::rename(from, to).map_err(WriteError::io("rename", from)),
        Err(_) => Err(WriteError::Exists { path: to.to_owned() }),
    }
}
