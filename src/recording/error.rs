//! What can go wrong with a recording, each as one line with the file's name.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use parquet::errors::ParquetError;

use crate::recording::FORMAT;
use crate::recording::names::is_partial;
use crate::recording::names::partial_path;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The recording would replace a file.
    #[error("'{}' exists already", path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// The name is a directory's.
    #[error("'{}' is a directory, not a file to record into", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The name is that of something else than a file.
    #[error("'{}' is not a regular file, and only those are replaced", path.display())]
    NotRegular {
        /// What is in the way.
        path: PathBuf,
    },
    /// A recording to the same name is being made.
    #[error("'{}' is being written by another ebrec\nhint: end that one with Ctrl-C, or choose another name", path.display())]
    Running {
        /// The unfinished recording.
        path: PathBuf,
    },
    /// An earlier recording to the same name was not finished.
    #[error(
        "'{}' is in the way: a recording that was killed\nhint: `ebrec recover '{0}'` finishes it",
        path.display()
    )]
    PartialExists {
        /// The file in the way.
        path: PathBuf,
    },
    /// The operating system refused; a full disk comes as this.
    #[error("cannot {action} '{}': {source}", path.display())]
    Io {
        /// What was tried: `create`, `write`, `sync`, `rename`.
        action: &'static str,
        /// The file it was tried on.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The largest that the file may be is less than what states that all rows were left out.
    #[error("'{}' can't be finished within {most} bytes", path.display())]
    TooSmall {
        /// The recording.
        path: PathBuf,
        /// The limit.
        most: u64,
    },
    /// Somebody moved the unfinished recording.
    #[error(
        "'{}' was moved while ebrec wrote it\nhint: ebrec recover '{}' saves what was written",
        path.display(),
        now.display()
    )]
    Moved {
        /// Its name.
        path: PathBuf,
        /// Where it is now.
        now: PathBuf,
    },
    /// Somebody removed the unfinished recording or put another file in its place.
    #[error(
        "'{}' was removed, or another file put in its place, while ebrec wrote it: the recording is lost\nhint: record into a directory in \
         which only you can write",
        path.display()
    )]
    Removed {
        /// Its name.
        path: PathBuf,
    },
    /// The rows could not be encoded.
    #[error("cannot encode rows for '{}': {source}", path.display())]
    Encode {
        /// The file they were meant for.
        path: PathBuf,
        /// What the encoder says.
        source: ParquetError,
    },
}

impl WriteError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
        move |source| WriteError::Io { action, path: path.to_owned(), source }
    }

    /// An error of the encoder, which passes on those of the file below it.
    pub(crate) fn encode(path: &Path) -> impl FnOnce(ParquetError) -> WriteError {
        move |error| match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(source) => WriteError::Io { action: "write", path: path.to_owned(), source: *source },
                Err(source) => WriteError::Encode { path: path.to_owned(), source: ParquetError::External(source) },
            },
            source => WriteError::Encode { path: path.to_owned(), source },
        }
    }

    /// Whether the disk is full or a quota reached: what was checkpointed before stays readable.
    pub fn is_full(&self) -> bool {
        let WriteError::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
    }
}

/// Why a file could not be opened, read or recovered: one line that names it, and a hint where there is one.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("cannot read '{}': {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not there, but the unfinished one of a killed recording is.
    #[error("'{}' does not exist, but its unfinished recording does\nhint: ebrec recover '{}'", path.display(), partial.display())]
    OnlyPartial {
        /// The file that was asked for.
        path: PathBuf,
        /// The unfinished recording.
        partial: PathBuf,
    },
    /// Neither a Parquet file nor the beginning of one, or a Parquet file that ebrec did not write.
    #[error("'{}' is not a recording: {why}", path.display())]
    NotARecording {
        /// The file.
        path: PathBuf,
        /// What gave it away.
        why: String,
    },
    /// The file begins as a recording but its end is missing.
    #[error("'{}' is truncated: its end is missing{}", path.display(), recover_hint(path))]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// Not a file that can be read from any place.
    #[error("'{}' is not a regular file{}", path.display(), save_hint(path))]
    NotRegular {
        /// The pipe, device or directory.
        path: PathBuf,
    },
    /// It unpacks to more than a recording may have.
    #[error(
        "'{}' unpacks to more than {} MiB\nhint: if it comes from somebody you trust, unpack it into a file first",
        path.display(), most >> 20
    )]
    TooLarge {
        /// The compressed file, or standard input.
        path: PathBuf,
        /// The bound, in bytes.
        most: u64,
    },
    /// Nothing was checkpointed before the writer was killed.
    #[error(
        "'{}' holds nothing that can be recovered: {why}\nhint: to discard it, remove it: rm '{0}'",
        path.display()
    )]
    Unrecoverable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file's format is newer than this program.
    #[error(
        "'{}' has recording format {format}, and this ebrec reads up to {FORMAT}\nhint: needs {}",
        path.display(), newer_hint(version)
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The version of ebrec that wrote it; empty when it does not say.
        version: String,
    },
    /// The file contradicts itself.
    #[error("'{}' is corrupt: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The contradiction.
        why: String,
    },
}

impl OpenError {
    /// A contradiction in the file; `why` may quote it.
    pub(crate) fn corrupt(path: &Path, why: &str) -> OpenError {
        OpenError::Corrupt { path: path.to_owned(), why: one_line(why) }
    }
}

/// What quotes a file: one line of bounded length that can do nothing to a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c.is_alphanumeric() { c } else { ' ' }).take(200).collect()
}

/// How to read what comes out of a pipe or a device; nothing comes out of a directory.
fn save_hint(path: &Path) -> String {
    match path.is_dir() {
        true => String::new(),
        false => format!("\nhint: save what it gives into a file first: cat '{}' > run.parquet", path.display()),
    }
}

fn recover_hint(path: &Path) -> String {
    let partial = if is_partial(path) { path.to_owned() } else { partial_path(path) };
    if partial.exists() {
        format!("\nhint: ebrec recover '{}'", partial.display())
    } else {
        "\nhint: copy it again; if its recording was killed, `ebrec recover` needs the '.partial' file".to_owned()
    }
}

fn newer_hint(version: &str) -> String {
    if version.is_empty() { "a newer ebrec".to_owned() } else { format!("ebrec {version} or newer") }
}
