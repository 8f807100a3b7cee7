//! A tree of files in a temporary directory that stands in for a machine's `/`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::host::root::Root;

/// An imitated machine; its files vanish with it.
pub(crate) struct Machine {
    directory: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        Machine { directory: TempDir::new().unwrap() }
    }

    pub(crate) fn with(files: &[(&str, &str)]) -> Machine {
        let machine = Machine::new();
        for (path, text) in files {
            machine.file(path, text);
        }
        machine
    }

    pub(crate) fn root(&self) -> Root {
        Root::at(self.directory.path())
    }

    pub(crate) fn file(&self, path: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.place(path), contents).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        symlink(target, self.place(path)).unwrap();
    }

    pub(crate) fn directory(&self, path: &str) {
        fs::create_dir_all(self.root().path(path)).unwrap();
    }

    fn place(&self, path: &str) -> PathBuf {
        let path = self.root().path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}
