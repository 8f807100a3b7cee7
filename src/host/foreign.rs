//! Files that someone else can influence: programs, libraries, their debug information, what processes leave in /tmp, /proc.
//!
//! ebrec runs as root over files that any user may have made. So no device is ever opened, nothing here waits for another
//! process, a path out of a container is followed inside that container only, and what is read has a bound.

use std::fs::File;
use std::io;
use std::io::Read;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::FileType;
use rustix::fs::MemfdFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;

/// Bytes that are asked for first.
const FIRST_READ: usize = 4096;

/// What tells files apart while they exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The device that it is on.
    pub device: u64,
    /// Its inode's number there.
    pub inode: u64,
}

impl Identity {
    /// The identity of an open file; `None` where the kernel doesn't say.
    pub fn of(file: &File) -> Option<Identity> {
        let facts = file.metadata().ok()?;
        Some(Identity { device: facts.dev(), inode: facts.ino() })
    }
}

/// Opens a regular file for reading, at once.
///
/// # Errors
/// When it can't be opened, is not a regular file, or someone holds a lease on it.
pub fn open(path: &Path) -> io::Result<File> {
    settle(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a regular file as a process sees it: `path` begins at the process's root directory and is followed inside it only. The
/// file itself may not be a symbolic link.
///
/// # Errors
/// As [`open`], and when the process is gone.
pub fn open_in_root_of(pid: u32, path: &Path) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{pid}/root"), flags | OFlags::DIRECTORY, Mode::empty())?;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    settle(rustix::fs::openat2(&root, path, flags | OFlags::NOFOLLOW, Mode::empty(), inside)?)
}

/// Opens a regular file as those see it whose root directory is `root`: links are followed, and none leads out of it.
///
/// # Errors
/// As [`open`].
pub fn open_below(root: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags | OFlags::DIRECTORY, Mode::empty())?;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    settle(rustix::fs::openat2(&root, path, flags, Mode::empty(), inside)?)
}

/// The path that an open file has now.
///
/// # Errors
/// When the kernel does not say.
pub fn path_of(file: &File) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Opens a regular file below a directory that is open.
///
/// # Errors
/// As [`open`].
pub fn open_at(directory: impl AsFd, name: &str) -> io::Result<File> {
    settle(rustix::fs::openat(directory, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Reads a whole file.
///
/// # Errors
/// As [`open`], when it can't be read, and when it holds more than `most` bytes.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let bytes = read_up_to(open(path)?, most.saturating_add(1))?;
    if bytes.len() > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Reads the first `most` bytes of a file.
///
/// # Errors
/// When it can't be read.
pub fn read_up_to(file: File, most: usize) -> io::Result<Vec<u8>> {
    // Files in /proc report no size: a buffer that fits most of them takes two reads instead of seven.
    let mut bytes = Vec::with_capacity(most.min(FIRST_READ));
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A copy of a part of this process's own memory, as a file.
///
/// # Errors
/// When it can't be read, or there is no memory for it.
pub fn memory_of_self(part: Range<u64>) -> io::Result<File> {
    let mut bytes = vec![0; usize::try_from(part.end.saturating_sub(part.start)).unwrap_or(0)];
    open(Path::new("/proc/self/mem"))?.read_exact_at(&mut bytes, part.start)?;
    let copy: File = rustix::fs::memfd_create("image", MemfdFlags::CLOEXEC)?.into();
    copy.write_all_at(&bytes, 0)?;
    Ok(copy)
}

/// Opens what a path led to. To open a FIFO waits for its other end, and to open a device may do anything: so it is looked at
/// first. With O_NONBLOCK the kernel refuses what someone holds a lease on, where it would wait for him else.
fn settle(place: OwnedFd) -> io::Result<File> {
    if FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(format!("/proc/self/fd/{}", place.as_raw_fd()), flags, Mode::empty())?.into())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::fs::CWD;
    use rustix::fs::FileType;
    use rustix::fs::Mode;

    use super::Identity;
    use super::open;
    use super::open_in_root_of;
    use super::read;

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        symlink(&fifo, dir.path().join("link")).unwrap();
        for path in [&*fifo, dir.path(), Path::new("/dev/null"), &dir.path().join("socket"), &dir.path().join("link")] {
            assert_eq!(open(path).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", path.display());
        }
        assert_eq!(open(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(open(Path::new("/proc/self/maps")).is_ok() && open(Path::new("/proc/self/exe")).is_ok());
    }

    #[test]
    fn what_is_longer_than_its_bound_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_path_of_a_process_ends_inside_its_root_and_at_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "x").unwrap();
        symlink(&path, dir.path().join("link")).unwrap();
        let own = std::process::id();
        let opened = open_in_root_of(own, &path).unwrap();
        assert_eq!(Identity::of(&opened), Identity::of(&open(&path).unwrap()));
        assert!(open_in_root_of(own, &dir.path().join("link")).is_err());
        // Not out of it by a link of the kernel's either.
        assert!(open_in_root_of(own, Path::new("/proc/self/root/etc/passwd")).is_err());
    }
}
