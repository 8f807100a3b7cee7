//! The file under a recording: appended to, and cut back to the last whole row group when an append fails.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;

use parquet::file::writer::TrackedWrite;
#[cfg(target_os = "linux")]
use rustix::fs::FallocateFlags;

use crate::recording::WriteError;

/// The bytes every Parquet file begins and ends with.
pub(crate) const MAGIC: &[u8; 4] = b"PAR1";

/// A file that only grows by whole pieces.
pub(crate) struct Output {
    pub(crate) path: PathBuf,
    tracked: TrackedWrite<Tail>,
    /// End of the last whole piece.
    good: u64,
}

/// The end of a file; the first `skip` bytes written to it are taken as being there already.
///
/// parquet's `TrackedWrite` counts from 0, and this is how it learns where in the file it stands.
pub(crate) struct Tail {
    file: File,
    skip: u64,
}

impl Write for Tail {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.skip > 0 {
            let skipped = usize::try_from(self.skip).map_or(buf.len(), |skip| skip.min(buf.len()));
            self.skip -= skipped as u64;
            return Ok(skipped);
        }
        self.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    /// Creates the file, which must not exist, readable by its owner alone, and begins it as a Parquet file.
    pub(crate) fn create(path: &Path) -> io::Result<Output> {
        let file = create_private(path)?;
        // Held until the file is closed, also by a kill: `recover` must not touch the file of a living writer. Where
        // there are no locks, it is the user who must not. Elsewhere than on Unix a lock would keep readers out.
        #[cfg(unix)]
        if matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
            // Somebody took it for one that a killed writer left behind.
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let tracked = TrackedWrite::new(Tail { file, skip: 0 });
        let mut output = Output { path: path.to_owned(), tracked, good: 0 };
        output.tracked.write_all(MAGIC)?;
        output.keep()?;
        Ok(output)
    }

    /// Makes sure that the name still leads to the file: in a directory that others can write to, somebody may have put another
    /// one in its place, and what is read or renamed by its name then is that.
    ///
    /// # Errors
    /// When the file was moved or removed, and the name is none or that of another file.
    #[cfg(unix)]
    pub(crate) fn hold_name(&self) -> Result<(), WriteError> {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::MetadataExt;
        let path = self.path.clone();
        let own = self.file().metadata().map_err(WriteError::io("look at", &path))?;
        if path.symlink_metadata().is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino())) {
            return Ok(());
        }
        let now = std::fs::read_link(format!("/proc/self/fd/{}", self.file().as_raw_fd())).ok();
        Err(match now.filter(|_| own.nlink() > 0) {
            Some(now) => WriteError::Moved { path, now },
            None => WriteError::Removed { path },
        })
    }

    /// Elsewhere files have no number by which to know them.
    #[cfg(not(unix))]
    pub(crate) fn hold_name(&self) -> Result<(), WriteError> {
        Ok(())
    }

    pub(crate) fn file(&self) -> &File {
        &self.tracked.inner().file
    }

    pub(crate) fn tracked(&mut self) -> &mut TrackedWrite<Tail> {
        &mut self.tracked
    }

    /// End of the last whole piece, in bytes.
    pub(crate) fn good(&self) -> u64 {
        self.good
    }

    /// Ends a piece: all of it is in the file (not yet on the disk).
    pub(crate) fn keep(&mut self) -> io::Result<()> {
        self.tracked.flush()?;
        self.good = self.tracked.bytes_written() as u64;
        Ok(())
    }

    /// Appends a piece.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tracked.write_all(bytes)?;
        self.keep()
    }

    /// What the file takes of the disk, without holes; its length where that is not known.
    pub(crate) fn disk_bytes(&self) -> u64 {
        #[cfg(unix)]
        if let Ok(file) = self.file().metadata() {
            use std::os::unix::fs::MetadataExt;
            // In units of 512 bytes, whatever the blocks of the file system are.
            return file.blocks().saturating_mul(512);
        }
        self.good
    }

    /// Gives the room of a piece that is not needed any more back to the disk, where the file system can do that. The bytes after it keep
    /// their places.
    #[cfg(target_os = "linux")]
    pub(crate) fn give_back(&self, bytes: Range<u64>) {
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Elsewhere the file takes more room until it is finished, and nothing else.
        let _ = rustix::fs::fallocate(self.file(), how, bytes.start, bytes.end.saturating_sub(bytes.start));
    }

    /// Elsewhere files have no holes.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn give_back(&self, _: Range<u64>) {}

    /// Takes back what was written since the last piece ended.
    pub(crate) fn roll_back(&mut self) -> io::Result<()> {
        let mut file = self.file().try_clone()?;
        file.set_len(self.good)?;
        file.seek(SeekFrom::Start(self.good))?;
        let mut tracked = TrackedWrite::new(Tail { file, skip: self.good });
        let zeros = [0; 64 << 10];
        let mut left = self.good;
        while left > 0 {
            let step = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
            // `step` is at most the length of `zeros`.
            tracked.write_all(&zeros[..step])?;
            left -= step as u64;
        }
        tracked.flush()?;
        // What the old one still buffers belongs to the piece that is taken back: it must go nowhere when it is dropped.
        self.tracked.inner_mut().skip = u64::MAX;
        self.tracked = tracked;
        Ok(())
    }
}

/// Creates a file, which must not exist, that nobody but its owner can read.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}
