//! Where facts are read: the running system's root directory, or a tree that imitates it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::host::foreign;

/// Bytes of a file: /proc/cpuinfo of a thousand CPUs takes two million.
const MAX_BYTES: usize = 16 << 20;

/// The directory below which `/proc`, `/sys`, `/etc` and `/run` are looked for.
///
/// Every reader of facts takes one, so that its rules can be tried on the files of any machine without root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    base: PathBuf,
}

impl Root {
    /// Returns the root of the running system, `/`.
    pub fn system() -> Root {
        Root::at("/")
    }

    /// Returns a root that is any directory.
    pub fn at(base: impl Into<PathBuf>) -> Root {
        Root { base: base.into() }
    }

    /// Returns where an absolute path of the system lies below this root.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.base.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the text of a file without its trailing white space, or `None` when it can't be read.
    ///
    /// Bytes that are not UTF-8 become replacement characters: use [`Root::bytes`] where names matter.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Returns the bytes of a regular file, or `None` when it can't be read or holds more than 16 MiB.
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        foreign::read(&self.path(path), MAX_BYTES).ok()
    }

    /// Returns the number that is the whole of a file, as sysctls are, or `None` when it can't be read.
    pub fn number(&self, path: impl AsRef<Path>) -> Option<i64> {
        self.text(path)?.trim().parse().ok()
    }

    /// Returns what a symbolic link points to, or `None` when there is none.
    pub fn link(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        fs::read_link(self.path(path)).ok()
    }

    /// Tells whether a path exists and can be seen.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// Returns the names of a directory's entries, sorted; empty when it can't be read.
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(path)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}
