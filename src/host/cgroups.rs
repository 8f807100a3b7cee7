//! Control groups of version 2: what their numbers and paths are.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;

use crate::host::containers::Container;
use crate::host::mounts::Mount;
use crate::host::root::Root;
use crate::text::nearest;

/// Control groups that are looked at. Users may have made some of them: the kernel has no bound by default.
const MAX_CGROUPS: usize = 64 << 10;

/// Where the cgroup v2 hierarchy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// The directory through which it is read.
    pub directory: PathBuf,
    /// The path that people and tools use for it, such as `/sys/fs/cgroup`.
    pub point: PathBuf,
    /// The cgroup that stands at the mount point: `/`, unless only a part is visible.
    pub top: String,
}

impl CgroupMount {
    /// Looks for it among the mounts, in its usual places first: `/sys/fs/cgroup`, or below that `unified` on a machine that
    /// still has version 1.
    pub fn find(root: &Root, mounts: &[Mount]) -> Option<CgroupMount> {
        let usual = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
        let rank = |mount: &&Mount| {
            let place = usual.iter().position(|usual| mount.point == Path::new(usual)).unwrap_or(usual.len());
            (mount.root != Path::new("/"), place)
        };
        let mount = mounts.iter().filter(|mount| mount.fs_type == "cgroup2").min_by_key(rank)?;
        Some(CgroupMount {
            directory: root.path(&mount.point),
            point: mount.point.clone(),
            top: mount.root.to_string_lossy().into_owned(),
        })
    }
}

/// One control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its number: what `bpf_get_current_cgroup_id` returns, and its directory's inode number since 5.5.
    pub id: u64,
    /// Its path from the root of the hierarchy; the root itself is `/`.
    pub path: String,
}

/// A cgroup with all that are below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    /// The cgroup that was asked for.
    pub top: Cgroup,
    /// Its directory, which programs filter by.
    pub directory: PathBuf,
    /// The numbers of it and of all below it, as they were when the hierarchy was read.
    pub ids: Vec<u64>,
}

/// Why a cgroup or container can't be named.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CgroupError {
    /// Nothing has that name.
    #[error("no {what} '{name}' on this machine{}", hint(.near))]
    NotFound {
        /// `cgroup` or `container`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// Names that are like it, the nearest first.
        near: Vec<String>,
    },
    /// Several have that name.
    #[error("'{name}' is the name of {} {what}s\nhint: one of {}", .matches.len(), quoted(.matches))]
    Ambiguous {
        /// `cgroup` or `container`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What would be unambiguous.
        matches: Vec<String>,
    },
}

fn hint(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("\nhint: there is {}", quoted(near)) }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

/// The cgroups of a machine, by number and by path.
#[derive(Clone, Debug)]
pub struct Cgroups {
    mount: CgroupMount,
    by_path: BTreeMap<String, u64>,
    by_id: HashMap<u64, String>,
}

impl Cgroups {
    /// Reads the whole hierarchy; what vanishes or can't be read meanwhile is left out.
    pub fn read(mount: CgroupMount) -> Cgroups {
        let mut cgroups = Cgroups { mount, by_path: BTreeMap::new(), by_id: HashMap::new() };
        cgroups.refresh();
        cgroups
    }

    /// Reads it again: new cgroups are added, and those that are gone keep their path for looking up their number.
    fn refresh(&mut self) {
        self.by_path.clear();
        let mut open = vec![(self.mount.directory.clone(), self.mount.top.clone())];
        while let Some((directory, path)) = open.pop().filter(|_| self.by_path.len() < MAX_CGROUPS) {
            let Ok(metadata) = fs::metadata(&directory) else { continue };
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open.push((entry.path(), join(&path, &entry.file_name().to_string_lossy())));
                }
            }
            self.by_id.insert(metadata.ino(), path.clone());
            self.by_path.insert(path, metadata.ino());
        }
    }

    /// Returns where the hierarchy is.
    pub fn mount(&self) -> &CgroupMount {
        &self.mount
    }

    /// Returns all cgroups that exist, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_path.iter().map(|(path, id)| (path.as_str(), *id))
    }

    /// Returns the path of a cgroup by its number, also of one that is gone by now.
    pub fn path(&self, id: u64) -> Option<&str> {
        self.by_id.get(&id).map(String::as_str)
    }

    /// Returns the number of a cgroup by its path, as in `/proc/PID/cgroup`.
    pub fn id(&self, path: &str) -> Option<u64> {
        self.by_path.get(path).copied()
    }

    /// Returns the container that a cgroup belongs to.
    pub fn container(&self, id: u64) -> Option<Container> {
        Container::of_cgroup(self.path(id)?)
    }

    /// Returns the cgroup that a person names, with its children.
    ///
    /// Understood are a path from the hierarchy's root with or without its first slash, a path in the file system, the last
    /// part of a path, that without systemd's `.service`, `.scope` or `.slice`, and the number.
    pub fn resolve(&self, name: &str) -> Result<Subtree, CgroupError> {
        let trimmed = name.trim_end_matches('/');
        let point = self.mount.point.to_string_lossy();
        let below_point = trimmed.strip_prefix(&*point).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let candidates = [
            below_point.map(|rest| join(&self.mount.top, rest)),
            Some(join("/", trimmed)).filter(|_| !name.is_empty()),
            trimmed.parse().ok().and_then(|id| self.path(id)).map(str::to_owned),
        ];
        if let Some(path) = candidates.into_iter().flatten().find(|path| self.by_path.contains_key(path)) {
            return self.subtree(&path).ok_or_else(|| self.unknown(name));
        }
        let matches: Vec<&str> =
            self.by_path.keys().map(String::as_str).filter(|path| is_called(path, trimmed)).collect();
        match matches.as_slice() {
            [path] => self.subtree(path).ok_or_else(|| self.unknown(name)),
            [] => Err(self.unknown(name)),
            several => Err(CgroupError::Ambiguous {
                what: "cgroup",
                name: name.to_owned(),
                matches: several.iter().take(5).map(|path| (*path).to_owned()).collect(),
            }),
        }
    }

    /// Returns a cgroup by its path with all that are below it.
    pub fn subtree(&self, path: &str) -> Option<Subtree> {
        let id = self.id(path)?;
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let children = self.by_path.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let mut ids = vec![id];
        ids.extend(children.map(|(_, id)| *id).filter(|child| *child != id));
        Some(Subtree { top: Cgroup { id, path: path.to_owned() }, directory: self.directory(path)?, ids })
    }

    fn directory(&self, path: &str) -> Option<PathBuf> {
        let relative = path.strip_prefix(self.mount.top.trim_end_matches('/'))?;
        Some(self.mount.directory.join(relative.trim_start_matches('/')))
    }

    /// Returns all containers that have a cgroup, sorted, each with the outermost cgroup that is its own.
    pub fn containers(&self) -> Vec<(Container, Cgroup)> {
        let mut found: BTreeMap<Container, Cgroup> = BTreeMap::new();
        // Paths ascend, so a container's outermost cgroup comes before what it made inside.
        for (path, id) in self.iter() {
            if let Some(container) = Container::of_cgroup(path) {
                found.entry(container).or_insert_with(|| Cgroup { id, path: path.to_owned() });
            }
        }
        found.into_iter().collect()
    }

    fn unknown(&self, name: &str) -> CgroupError {
        let near = nearest(
            last_part(name.trim_end_matches('/')),
            self.by_path.keys().map(|path| last_part(path)).filter(|part| !part.is_empty()),
        );
        let paths = self.by_path.keys().filter(|path| near.contains(&last_part(path)));
        CgroupError::NotFound { what: "cgroup", name: name.to_owned(), near: paths.take(3).cloned().collect() }
    }
}

/// Tells whether a cgroup's path ends in a name, with or without systemd's suffix.
fn is_called(path: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let last = last_part(path);
    last == name
        || [".service", ".scope", ".slice"].iter().any(|suffix| last.strip_suffix(suffix).is_some_and(|s| s == name))
        || (name.contains('/') && path.strip_suffix(name).is_some_and(|parents| parents.ends_with('/')))
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Joins two parts of a cgroup's path with exactly one slash; the hierarchy's root is `/`.
fn join(parent: &str, child: &str) -> String {
    let (parent, child) = (parent.trim_end_matches('/'), child.trim_matches('/'));
    if child.is_empty() && !parent.is_empty() { parent.to_owned() } else { format!("{parent}/{child}") }
}

#[cfg(test)]
mod tests;
