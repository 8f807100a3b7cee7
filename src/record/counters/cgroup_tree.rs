//! The cgroups of a machine whose counters are worth reading, in the hierarchies of both versions.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use crate::host::counters::Quota;
use crate::host::mounts;
use crate::host::root::Root;

/// Directories that are walked. Users may have made some of them: the kernel has no bound by default.
const MOST_DIRECTORIES: usize = 16 << 10;

/// Which files a hierarchy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Hierarchy {
    /// Version 1, the hierarchy of this controller.
    Cpu,
    /// Version 1, the hierarchy of this controller.
    Pids,
    /// Version 1, the hierarchy of this controller.
    Memory,
    /// Version 2.
    Unified,
}

/// A cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) hierarchy: Hierarchy,
    /// Its path from the root of the hierarchy.
    pub(super) path: String,
    pub(super) directory: PathBuf,
    /// Its number, in the hierarchy of version 2.
    pub(super) id: Option<u64>,
    /// What the CPU controller allows it.
    pub(super) quota: Option<Quota>,
}

/// Where the hierarchies are.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    tops: Vec<(Hierarchy, PathBuf, String)>,
}

impl Tree {
    /// Looks for them among the mounts.
    pub(super) fn find(root: &Root) -> Tree {
        let mut tops: Vec<(Hierarchy, PathBuf, String)> = Vec::new();
        for mount in mounts::read(root) {
            let has = |file: &str| root.exists(mount.point.join(file));
            let hierarchy = match mount.fs_type.as_str() {
                "cgroup2" => Some(Hierarchy::Unified),
                "cgroup" if has("cpu.shares") => Some(Hierarchy::Cpu),
                "cgroup" if has("memory.failcnt") => Some(Hierarchy::Memory),
                // The root has no file of the controller's own: `pids.max` stands below it.
                "cgroup" if mount.point.file_name().is_some_and(|name| name == "pids") => Some(Hierarchy::Pids),
                _ => None,
            };
            let Some(hierarchy) = hierarchy.filter(|own| !tops.iter().any(|(known, _, _)| known == own)) else {
                continue;
            };
            tops.push((hierarchy, root.path(&mount.point), mount.root.to_string_lossy().into_owned()));
        }
        Tree { tops }
    }

    /// All cgroups but the roots, which nothing limits; those nearer to a root first. What vanishes meanwhile is left out.
    pub(super) fn walk(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        let mut level: Vec<(Hierarchy, PathBuf, String)> = self.tops.clone();
        while !level.is_empty() {
            let mut below = Vec::new();
            for (hierarchy, directory, path) in level {
                // A directory has two links, and one for each that is in it.
                let Ok(metadata) = fs::metadata(&directory) else { continue };
                let is_top = self.tops.iter().any(|(_, top, _)| *top == directory);
                if !is_top {
                    groups.push(group(hierarchy, &directory, &path, metadata.ino()));
                }
                if metadata.nlink() == 2 {
                    continue;
                }
                for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                    let is_room = groups.len() + below.len() < MOST_DIRECTORIES;
                    if is_room && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        let path = format!("{}/{}", path.trim_end_matches('/'), entry.file_name().to_string_lossy());
                        below.push((hierarchy, entry.path(), path));
                    }
                }
            }
            level = below;
        }
        groups
    }
}

fn group(hierarchy: Hierarchy, directory: &Path, path: &str, inode: u64) -> Group {
    let files = Root::at(directory);
    let text = |name: &str| files.text(name);
    let quota = match hierarchy {
        Hierarchy::Unified => text("cpu.max").and_then(|max| Quota::v2(&max)),
        Hierarchy::Cpu => text("cpu.cfs_quota_us")
            .zip(text("cpu.cfs_period_us"))
            .and_then(|(quota, period)| Quota::v1(&quota, &period)),
        Hierarchy::Memory | Hierarchy::Pids => None,
    };
    let id = (hierarchy == Hierarchy::Unified).then_some(inode);
    Group { hierarchy, path: path.to_owned(), directory: directory.to_owned(), id, quota }
}
