//! A disk that can be made as slow as a test wants.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::find;

/// A file system of its own, on a file, frozen and thawed as a slow disk is.
pub struct Disk {
    point: PathBuf,
    _dir: TempDir,
}

impl Disk {
    /// `None` where it can't be made, or not frozen.
    pub fn new() -> Option<Disk> {
        find("fsfreeze")?;
        let dir = tempfile::tempdir().unwrap();
        let (image, point) = (dir.path().join("image"), dir.path().join("disk"));
        fs::create_dir(&point).unwrap();
        fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
        let made = Command::new(find("mkfs.ext4")?).args(["-q", "-F"]).arg(&image).status().ok()?;
        let mounted = Command::new(find("mount")?).args(["-o", "loop"]).arg(&image).arg(&point).status().ok()?;
        (made.success() && mounted.success()).then_some(Disk { point, _dir: dir })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Stands still until what this gives is dropped.
    pub fn freeze(&self) -> Frozen<'_> {
        assert!(fsfreeze("-f", &self.point), "the disk can't be frozen");
        Frozen(&self.point)
    }
}

/// A disk that stands still. Its writers can't be killed, so it must go before them.
pub struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        fsfreeze("-u", self.0);
    }
}

fn fsfreeze(how: &str, point: &Path) -> bool {
    Command::new(find("fsfreeze").unwrap()).arg(how).arg(point).status().unwrap().success()
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.point).status();
    }
}
