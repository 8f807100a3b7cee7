//! Finishing a recording whose writer was killed.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::recording::Existing;
use crate::recording::OpenError;
use crate::recording::Recording;
use crate::recording::WriteError;
use crate::recording::check;
use crate::recording::leftovers;
use crate::recording::names::finished_path;
use crate::recording::names::is_partial;
use crate::recording::names::partial_path;
use crate::recording::reader::Footer;
use crate::recording::reader::open_file;
use crate::recording::reader::read_footer;
use crate::recording::reader::read_sidecar;
use crate::recording::writer::rename;
use crate::regular_file;

/// A recording that was recovered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// The recording, whole.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its rows, of all kinds.
    pub rows: u64,
    /// Bytes written after the last checkpoint, which had to be given up.
    pub dropped_bytes: u64,
}

/// Why a recording could not be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// There is nothing to recover, or not enough left of it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The whole recording could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Its writer is alive.
    #[error("'{}' is still being recorded\nhint: end the recording with Ctrl-C", path.display())]
    Running {
        /// The unfinished recording.
        path: PathBuf,
    },
    /// Its writer was killed before anything was recorded.
    #[error(
        "nothing was recorded into '{}' before its writer was killed\nhint: remove it, or record to '{}' again, which replaces it",
        path.display(), finished.display()
    )]
    Empty {
        /// The unfinished recording.
        path: PathBuf,
        /// The name that it would have got.
        finished: PathBuf,
    },
    /// The recording is whole.
    #[error("'{}' is complete: there is nothing to recover", path.display())]
    Whole {
        /// The recording.
        path: PathBuf,
    },
}

/// Makes `run.parquet` of `run.parquet.partial` and the footer beside it; either name may be given.
///
/// What was written after the last checkpoint is given up. Without a footer beside it the recording can only be
/// recovered when its writer was killed after it had written the final footer. A second try after a crash works.
///
/// # Errors
/// There is no unfinished recording, its writer is alive, nothing was checkpointed, the files are damaged, or
/// `run.parquet` exists and is to be kept.
pub fn recover(path: &Path, existing: Existing) -> Result<Recovered, RecoverError> {
    let (finished, partial) = match finished_path(path).filter(|_| is_partial(path)) {
        Some(finished) => (finished, path.to_owned()),
        None => (path.to_owned(), partial_path(path)),
    };
    if !partial.exists() {
        // Opening what was named tells best what is wrong with it.
        let path = Recording::open(path)?.path().to_owned();
        leftovers::remove_beside(&partial);
        return Err(RecoverError::Whole { path });
    }
    let mut file = regular_file::with(&partial, OpenOptions::new().read(true).write(true)).map_err(|error| {
        match regular_file::is_not_regular(&error) {
            true => WriteError::NotRegular { path: partial.clone() },
            false => WriteError::io("open", &partial)(error),
        }
    })?;
    lock(&file, &partial)?;
    if leftovers::is_empty(&mut file).map_err(WriteError::io("read", &partial))? {
        return Err(RecoverError::Empty { path: partial, finished });
    }
    let source = open_file(&partial)?;
    let (footer, recording) = match whole(&partial, &source) {
        Some(found) => found,
        None => {
            let footer = read_sidecar(&partial, &source)?;
            let bytes = footer.bytes.clone();
            let recording = Recording::with_footer(&partial, source.clone(), footer, true)?;
            (bytes, recording)
        }
    };
    if let Some(whole) = finished_copy(&finished, &recording) {
        // Its writer was killed when nothing but this was left to do.
        std::fs::remove_file(&partial).map_err(WriteError::io("remove", &partial))?;
        leftovers::remove_beside(&partial);
        return Ok(Recovered { bytes: whole.file_bytes(), rows: rows(&whole), path: finished, dropped_bytes: 0 });
    }
    if existing == Existing::Keep && finished.symlink_metadata().is_ok() {
        return Err(WriteError::Exists { path: finished }.into());
    }
    let end = check::rows_end(recording.metadata());
    let before = source.bytes();
    let mut tail = footer;
    // The footer was read with a length of 32 bits.
    let len = tail.len() as u32;
    tail.extend_from_slice(&len.to_le_bytes());
    tail.extend_from_slice(crate::recording::output::MAGIC);
    let bytes = end + tail.len() as u64;
    let write = file
        .set_len(end)
        .and_then(|()| file.seek(SeekFrom::Start(end)))
        .and_then(|_| file.write_all(&tail))
        .and_then(|()| file.sync_all());
    write.map_err(WriteError::io("write", &partial))?;
    rename(&partial, &finished, existing)?;
    // The recording is whole and has its name.
    leftovers::remove_beside(&partial);
    Ok(Recovered { path: finished, bytes, rows: rows(&recording), dropped_bytes: before.saturating_sub(bytes) })
}

fn rows(recording: &Recording) -> u64 {
    recording.kinds().iter().map(|(_, rows)| rows).sum()
}

/// The finished recording, if it is of the same run as the unfinished one: then it has all that this one has.
fn finished_copy(finished: &Path, unfinished: &Recording) -> Option<Recording> {
    let finished = Recording::open(finished).ok()?;
    (run(&finished)? == run(unfinished)?).then_some(finished)
}

/// Which run a recording is of, by the statistics of its first row group; `None` when it has no rows.
fn run(recording: &Recording) -> Option<[String; 2]> {
    let group = recording.metadata().row_groups().first()?;
    let value = |column: &str| check::one_value(group, recording.leaves.get(column)?.index).map(str::to_owned);
    Some([value("host")?, value("run_id")?])
}

/// The recording, if its final footer was written.
fn whole(partial: &Path, source: &crate::recording::shared_file::SharedFile) -> Option<(Vec<u8>, Recording)> {
    let Footer { bytes, rows_end } = read_footer(partial, source).ok()?;
    let copy = bytes.clone();
    let recording = Recording::with_footer(partial, source.clone(), Footer { bytes, rows_end }, true).ok()?;
    Some((copy, recording))
}

/// Takes the lock that a writer holds as long as it lives.
fn lock(file: &File, path: &Path) -> Result<(), RecoverError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(RecoverError::Running { path: path.to_owned() }),
        // Some file systems have no locks; then the user must know.
        Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => {
            Err(WriteError::io("lock", path)(error).into())
        }
        _ => Ok(()),
    }
}
