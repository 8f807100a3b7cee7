//! What a killed writer leaves behind, and what may be done about it.

use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io::Read;
use std::path::Path;

use crate::recording::WriteError;
use crate::recording::names::footer_path;
use crate::recording::names::temporary_path;
use crate::recording::output::MAGIC;
use crate::regular_file;

/// Makes room for a new unfinished recording where one is left that holds nothing: its writer was killed before it wrote a row.
///
/// # Errors
/// What stands there is being written, holds rows, or is not an unfinished recording at all.
pub(crate) fn make_room(partial: &Path) -> Result<(), WriteError> {
    let in_the_way = || WriteError::PartialExists { path: partial.to_owned() };
    let mut file = match regular_file::with(partial, OpenOptions::new().read(true).write(true)) {
        Ok(file) => file,
        Err(error) if regular_file::is_not_regular(&error) => {
            return Err(WriteError::NotRegular { path: partial.to_owned() });
        }
        Err(error) => return Err(WriteError::io("open", partial)(error)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(WriteError::Running { path: partial.to_owned() }),
        // Where there are no locks, a writer can't be told from none.
        Err(TryLockError::Error(_)) => return Err(in_the_way()),
    }
    // The lock is on this file: its previous holder may have finished it, and another writer begun one of the same name.
    if !is_empty(&mut file).unwrap_or(false) || !is_still(&file, partial) {
        return Err(in_the_way());
    }
    std::fs::remove_file(partial).map_err(WriteError::io("remove", partial))
}

/// Whether a recording has nothing but the first bytes of every Parquet file, or not even those. A footer is beside it before anything
/// else is in it.
pub(crate) fn is_empty(file: &mut impl Read) -> std::io::Result<bool> {
    let mut start = Vec::new();
    file.take(MAGIC.len() as u64 + 1).read_to_end(&mut start)?;
    Ok(MAGIC.starts_with(&start))
}

#[cfg(unix)]
fn is_still(file: &std::fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata().map(id), path.symlink_metadata().map(id)), (Ok(open), Ok(there)) if open == there)
}

#[cfg(not(unix))]
fn is_still(_: &std::fs::File, _: &Path) -> bool {
    true
}

/// Removes what is beside an unfinished recording: its footer, one that was not yet renamed, a merged copy that was not finished.
///
/// For when the recording itself was restarted or is complete elsewhere; what can't be removed does no harm.
pub(crate) fn remove_beside(partial: &Path) {
    let footer = footer_path(partial);
    for path in [temporary_path(&footer), temporary_path(partial), footer] {
        let _ = std::fs::remove_file(path);
    }
}
