//! The writer thread's side of a recording: row groups into the file, checkpoints, and the end.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

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
use crate::recording::names::footer_path;
use crate::recording::names::partial_path;
use crate::recording::output::Output;

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
    meta: Meta,
    open: Vec<OpenGroup>,
    pub(super) groups: Vec<Group>,
    rows: u64,
    /// Whether something is in the file or said of it that the sidecar footer does not know.
    stale: bool,
    /// Whether there is a sidecar footer at all.
    has_footer: bool,
    /// The footer without its row groups, once it is needed; until the metadata changes.
    template: Option<Arc<Template>>,
    pub(super) owner: Option<(u32, u32)>,
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
            rows: 0,
            stale: false,
            has_footer: false,
            template: None,
            owner: None,
        })
    }

    /// The file that the rows go to.
    pub fn file(&self) -> &File {
        self.output.file()
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

    /// What the recording says of itself, from the next checkpoint on; its columns are filled in from the schema.
    pub fn set_meta(&mut self, meta: &Meta) {
        let columns = std::mem::take(&mut self.meta.columns);
        self.meta = Meta { columns, ..meta.clone() };
        self.template = None;
        self.stale = true;
    }

    /// Bytes of the file so far.
    pub fn bytes_written(&self) -> u64 {
        self.output.good()
    }

    /// Rows given to it so far, in the file or not yet.
    pub fn rows_written(&self) -> u64 {
        self.rows
    }

    /// Takes rows; they reach the file when there are enough of their kind, at the latest at the next checkpoint.
    ///
    /// # Errors
    /// The file cannot be written. The rows of that row group are lost; the file is cut back to the row groups before.
    pub fn write(&mut self, mut batch: Batch) -> Result<(), WriteError> {
        if batch.rows() == 0 {
            return Ok(());
        }
        self.rows += batch.rows() as u64;
        // A batch that is a row group of its own and more becomes several.
        while batch.rows() > 1 && (batch.rows() > GROUP_ROWS || batch.list_values() > GROUP_LIST_VALUES) {
            let rest = batch.split_off(batch.rows() / 2);
            let first = std::mem::replace(&mut batch, rest);
            self.rows -= first.rows() as u64;
            self.write(first)?;
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
        if group.is_full() {
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
        self.compact()?;
        self.write_sidecar()
    }

    /// The metadata's pairs as rows.
    pub(super) fn append_meta_rows(&mut self) -> Result<(), WriteError> {
        let mut rows = Rows::new(Arc::clone(&self.layout.schema), 0);
        for (key, value) in self.meta.to_pairs() {
            rows.row(RECORDING).text(column::ATTR, &key).text(column::VALUE, &value);
        }
        for batch in rows.take(1, true) {
            let mut group = OpenGroup::new(RECORDING);
            group.push(batch, &mut self.layout).map_err(WriteError::encode(&self.output.path))?;
            self.append(group)?;
        }
        Ok(())
    }

    pub(super) fn close_all(&mut self) -> Result<(), WriteError> {
        while !self.open.is_empty() {
            let group = self.open.remove(0);
            self.append(group)?;
        }
        Ok(())
    }

    fn append(&mut self, group: OpenGroup) -> Result<(), WriteError> {
        if !self.has_footer {
            // So that a file without one holds nothing, and may be replaced.
            self.write_sidecar()?;
        }
        match group.close(0, &mut self.layout, &mut self.output) {
            Ok(group) => {
                self.groups.push(group);
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

    /// Merges what has piled up of small row groups; where that fails they stay as they are.
    fn compact(&mut self) -> Result<(), WriteError> {
        let due = merge::due(&self.groups);
        if due.is_empty() {
            return Ok(());
        }
        let template = self.template()?;
        let path = self.output.path.clone();
        let Ok(input) = Input::open(&path, self.output.good()) else { return Ok(()) };
        let mut gone = vec![false; self.groups.len()];
        let mut merged: Vec<(usize, Vec<Group>)> = Vec::new();
        for run in due {
            let groups: Vec<&Group> = run.iter().filter_map(|index| self.groups.get(*index)).collect();
            match input.merge(&groups, &template, &mut self.layout, &mut self.output, None) {
                Ok(groups) => {
                    run.iter().for_each(|index| gone.get_mut(*index).into_iter().for_each(|gone| *gone = true));
                    merged.extend(run.first().map(|first| (*first, groups)));
                }
                // The row groups are in the file twice or in part, and the footer keeps to those that it had.
                Err(_) => self.output.roll_back().map_err(WriteError::io("cut back", &path))?,
            }
        }
        self.groups = replaced(std::mem::take(&mut self.groups), &gone, merged);
        Ok(())
    }

    pub(super) fn template(&mut self) -> Result<Arc<Template>, WriteError> {
        if let Some(template) = &self.template {
            return Ok(Arc::clone(template));
        }
        let template = Template::new(&self.meta, &self.layout).map_err(WriteError::encode(&self.output.path))?;
        Ok(Arc::clone(self.template.insert(Arc::new(template))))
    }
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
/// What stands there and is no regular file, as a pipe or a link that came while recording, is never replaced.
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
