//! Files of machine code that programs are attached to, held open so that a path can't lead elsewhere in between.

use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::StatxFlags;
use rustix::fs::makedev;
use rustix::fs::statx;

use super::foreign;
use super::foreign::Identity;

/// Tells a file from another one at the same path, and from itself before it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileIdentity {
    file: Identity,
    size: u64,
    modified: (i64, i64),
}

impl FileIdentity {
    /// That of a file with this metadata.
    pub fn of(file: &Metadata) -> FileIdentity {
        FileIdentity {
            file: Identity { device: file.dev(), inode: file.ino() },
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
        }
    }

    /// That of the file which a path leads to, as far as this machine knows it: no server is asked, which may not answer.
    pub fn known_here(path: &Path) -> Option<FileIdentity> {
        let wanted = StatxFlags::INO | StatxFlags::SIZE | StatxFlags::MTIME;
        let facts = statx(CWD, path, AtFlags::STATX_DONT_SYNC, wanted).ok()?;
        Some(FileIdentity {
            file: Identity { device: makedev(facts.stx_dev_major, facts.stx_dev_minor), inode: facts.stx_ino },
            size: facts.stx_size,
            modified: (facts.stx_mtime.tv_sec, facts.stx_mtime.tv_nsec.into()),
        })
    }
}

/// An open file of machine code.
#[derive(Debug)]
pub struct CodeFile {
    file: File,
    identity: FileIdentity,
}

impl CodeFile {
    /// A regular file that is open.
    ///
    /// # Errors
    /// When the kernel does not say what it is.
    pub fn of(file: File) -> io::Result<CodeFile> {
        let identity = FileIdentity::of(&file.metadata()?);
        Ok(CodeFile { file, identity })
    }

    /// Opens it if it is what it was when its code was read.
    ///
    /// # Errors
    /// It can't be opened, or the path leads to something else by now.
    pub fn open_as(path: &Path, identity: &FileIdentity) -> io::Result<CodeFile> {
        let file = CodeFile::of(foreign::open(path)?)?;
        if file.identity == *identity { Ok(file) } else { Err(io::Error::other("it was changed just now")) }
    }

    /// The file, to be read.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// A path that leads to this very file for as long as it is open.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::CodeFile;
    use super::FileIdentity;

    #[test]
    fn a_file_that_was_replaced_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, "code").unwrap();
        let identity = FileIdentity::of(&std::fs::metadata(&path).unwrap());
        let open = CodeFile::open_as(&path, &identity).unwrap();
        std::fs::write(dir.path().join("new"), "other").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(CodeFile::open_as(&path, &identity).unwrap_err().to_string(), "it was changed just now");
        assert_eq!(std::fs::read(open.path()).unwrap(), b"code", "the open one is still itself");
    }
}
