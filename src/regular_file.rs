//! Opening files that have to be regular ones.
//!
//! A pipe that nobody writes would keep the reader waiting, and opening a device may do something to it.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::path::Path;

/// Opens a regular file for reading.
///
/// # Errors
/// `InvalidInput` with "not a regular file" for anything else, at once and without opening it; else what the operating system says.
pub fn open(path: &Path) -> io::Result<File> {
    with(path, OpenOptions::new().read(true))
}

/// Opens a regular file that exists.
///
/// # Errors
/// Those of [`open`].
pub fn with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    if !path.metadata()?.is_file() {
        return Err(not_regular());
    }
    // What stands at the path may have become a pipe meanwhile.
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// The error of a file that is none; [`is_not_regular`] knows it again.
fn not_regular() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, NotRegular)
}

/// Whether a file was refused because it is not a regular one.
pub fn is_not_regular(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NotRegular>())
}

#[derive(Debug, thiserror::Error)]
#[error("not a regular file")]
struct NotRegular;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::path::Path;

    use super::is_not_regular;
    use super::open;

    #[test]
    fn a_pipe_that_nobody_writes_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(is_not_regular(&open(&pipe).unwrap_err()));
    }

    #[test]
    fn devices_and_directories_are_refused_and_files_are_read() {
        assert!(is_not_regular(&open(Path::new("/dev/null")).unwrap_err()));
        assert!(is_not_regular(&open(Path::new("/")).unwrap_err()));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(open(file.path()).unwrap().metadata().unwrap().len(), 0);
        let missing = open(Path::new("/no/such/file")).unwrap_err();
        assert!(!is_not_regular(&missing) && missing.kind() == std::io::ErrorKind::NotFound);
    }
}
