//! File systems without a free block or file, and processes whose calls write nothing while they have a file open for writing there.
//!
//! Only file systems of this machine are asked: one of a network or of a program may never answer. While none is full, that is all that
//! is done: 1 µs for each at each reading. Otherwise two readings of `/proc/PID/io` show whose calls wrote nothing. A process that
//! writes elsewhere with success at the same time is not found: the kernel counts its calls together.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::StatVfsMountFlags;
use rustix::fs::statvfs;

use crate::host::counters::Name;
use crate::host::counters::Unit;
use crate::host::descriptors;
use crate::host::descriptors::Written;
use crate::host::mounts;
use crate::host::mounts::Mount;
use crate::host::process_ids::ProcessIds;
use crate::host::processes;
use crate::host::root::Root;
use crate::record::counters::Fact;
use crate::record::counters::Value;

/// The kind of its rows.
const KIND: &str = "process_stat";
/// File systems on disks and in memory of this machine, which answer at once, and may be full.
const LOCAL: [&str; 12] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "f2fs", "vfat", "exfat", "bcachefs", "jfs", "overlay"];
/// Those that others may be mounted below, besides.
const HARMLESS: [&str; 8] = ["rootfs", "ramfs", "devtmpfs", "proc", "sysfs", "squashfs", "iso9660", "erofs"];
/// Mount namespaces that are looked at, processes that are asked for theirs, and file systems.
const MOST_NAMESPACES: usize = 64;
const MOST_ASKED: usize = 4096;
const MOST_PLACES: usize = 512;
/// Processes whose writes are compared between two readings: 8 µs each.
const MOST_WRITERS: usize = 1024;
/// Open files of a process that are looked at.
const MOST_FILES: usize = 1024;
/// Processes that are named in a reading.
const MOST_NAMED: usize = 16;
/// A single call that writes nothing may be a program that asks whether there is room.
const LEAST_CALLS: u64 = 2;

const FAILED: Name = Name::new("writes", "failed");

/// A mount namespace: a process in it, and its mounts.
struct Namespace {
    way: i32,
    mounts: Vec<Mount>,
}

/// The file systems of a machine, and who writes.
pub(super) struct FullDisks {
    ids: Arc<ProcessIds>,
    /// By inode.
    namespaces: BTreeMap<u64, Namespace>,
    /// What some processes had written at the last reading, and when that was.
    writers: BTreeMap<i32, Written>,
    at_ns: u64,
    /// Where the next processes begin.
    next: usize,
}

impl FullDisks {
    /// Looks for file systems.
    pub(super) fn begin(root: &Root, ids: Arc<ProcessIds>, now_ns: u64) -> FullDisks {
        let mut namespaces: BTreeMap<u64, Namespace> = BTreeMap::new();
        for way in processes::pids(root).into_iter().take(MOST_ASKED) {
            let Some(inode) = namespace(root, way) else { continue };
            if namespaces.contains_key(&inode) || namespaces.len() == MOST_NAMESPACES {
                continue;
            }
            let text = root.bytes(format!("/proc/{way}/mountinfo")).unwrap_or_default();
            namespaces.insert(inode, Namespace { way, mounts: local(mounts::parse(&text)) });
        }
        let mut disks = FullDisks { ids, namespaces, writers: BTreeMap::new(), at_ns: now_ns, next: 0 };
        disks.read(root, now_ns);
        disks
    }

    /// Whose calls wrote nothing since the last reading.
    pub(super) fn read(&mut self, root: &Root, now_ns: u64) -> Vec<Fact> {
        let full = self.full(root);
        if full.is_empty() {
            self.writers.clear();
            return Vec::new();
        }
        let in_ns = now_ns.saturating_sub(std::mem::replace(&mut self.at_ns, now_ns));
        let mut facts = Vec::new();
        for (pid, before) in std::mem::take(&mut self.writers) {
            let Some(failed) = descriptors::written(root, pid).and_then(|now| in_vain(before, now)) else { continue };
            let Some(place) = self.place(root, pid, &full) else { continue };
            let machine = u32::try_from(pid).ok().and_then(|pid| self.ids.machine(pid));
            let fact = Fact::new(KIND, FAILED, Unit::Count, Value::Grew { by: failed, in_ns });
            facts.push(Fact { pid: machine, name: Some(place), ..fact });
            if facts.len() == MOST_NAMED {
                break;
            }
        }
        self.follow(root);
        facts
    }

    /// Reads what processes have written: all, or some of them in turn where there are many.
    fn follow(&mut self, root: &Root) {
        let pids = processes::pids(root);
        let begin = if self.next < pids.len() { self.next } else { 0 };
        let some = pids.iter().skip(begin).take(MOST_WRITERS);
        self.writers = some.filter_map(|pid| Some((*pid, descriptors::written(root, *pid)?))).collect();
        self.next = begin + MOST_WRITERS;
    }

    /// The mounts of file systems that are full, by namespace and number.
    fn full(&self, root: &Root) -> BTreeMap<(u64, u64), Arc<str>> {
        let mut asked: BTreeMap<&str, bool> = BTreeMap::new();
        let mut full = BTreeMap::new();
        for (inode, namespace) in &self.namespaces {
            for mount in &namespace.mounts {
                if asked.len() == MOST_PLACES {
                    return full;
                }
                let is_full = *asked.entry(&mount.device).or_insert_with(|| is_full(&namespace.path(root, mount)));
                if is_full {
                    full.insert((*inode, mount.id), mount.point.to_string_lossy().into());
                }
            }
        }
        full
    }

    /// Where a process has a file open for writing on a full file system.
    fn place(&self, root: &Root, pid: i32, full: &BTreeMap<(u64, u64), Arc<str>>) -> Option<Arc<str>> {
        let inode = namespace(root, pid)?;
        let mut files = descriptors::files(root, pid, MOST_FILES).into_iter();
        files.find_map(|file| full.get(&(inode, file.mount)).filter(|_| file.is_written).cloned())
    }
}

impl Namespace {
    /// Where one of its mounts is, seen from here.
    fn path(&self, root: &Root, mount: &Mount) -> PathBuf {
        let inside = mount.point.strip_prefix("/").unwrap_or(&mount.point);
        root.path(format!("/proc/{}/root", self.way)).join(inside)
    }
}

fn namespace(root: &Root, pid: i32) -> Option<u64> {
    let link = root.link(format!("/proc/{pid}/ns/mnt"))?;
    link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
}

/// Calls that wrote nothing, where nearly all were such; nothing where many wrote something.
fn in_vain(before: Written, now: Written) -> Option<u64> {
    let calls = now.calls.checked_sub(before.calls)?;
    let bytes = now.bytes.checked_sub(before.bytes)?;
    (calls >= LEAST_CALLS && bytes < calls).then_some(calls)
}

/// Tells whether a file system has no room for users' data, or for another file. What can't be written to at all is not full.
fn is_full(path: &PathBuf) -> bool {
    let Ok(room) = statvfs(path) else { return false };
    !room.f_flag.contains(StatVfsMountFlags::RDONLY)
        && ((room.f_blocks > 0 && room.f_bavail == 0) || (room.f_files > 0 && room.f_favail == 0))
}

/// The mounts that can be asked: those of local file systems that are not covered, on the way to which only such are.
fn local(mounts: Vec<Mount>) -> Vec<Mount> {
    let strange: BTreeSet<&PathBuf> = mounts
        .iter()
        .filter(|mount| !LOCAL.contains(&&*mount.fs_type) && !HARMLESS.contains(&&*mount.fs_type))
        .map(|mount| &mount.point)
        .collect();
    let mut last: BTreeMap<&PathBuf, &Mount> = BTreeMap::new();
    for mount in &mounts {
        last.insert(&mount.point, mount);
    }
    let is_asked = |mount: &&Mount| {
        LOCAL.contains(&&*mount.fs_type)
            && last.get(&mount.point).is_some_and(|own| own.id == mount.id)
            && !mount.point.ancestors().any(|above| strange.contains(&above.to_path_buf()))
    };
    mounts.iter().filter(is_asked).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::Mount;
    use super::Written;
    use super::in_vain;
    use super::local;

    fn mount(id: u64, point: &str, fs_type: &str) -> Mount {
        Mount { id, device: format!("0:{id}"), root: "/".into(), point: point.into(), fs_type: fs_type.to_owned() }
    }

    #[test]
    fn calls_are_in_vain_where_nearly_none_wrote_anything() {
        let of = |calls: u64, bytes: u64| {
            in_vain(Written { calls: 10, bytes: 100 }, Written { calls: 10 + calls, bytes: 100 + bytes })
        };
        assert_eq!(of(200, 0), Some(200));
        assert_eq!(of(200, 100), Some(200));
        // Each wrote a byte or more: a log of the failures, or a pipe that wakes somebody.
        assert_eq!(of(200, 200), None);
        assert_eq!(of(1, 0), None);
        // Another process has the number now.
        assert_eq!(in_vain(Written { calls: 10, bytes: 100 }, Written { calls: 2, bytes: 0 }), None);
    }

    #[test]
    fn only_file_systems_of_this_machine_are_asked_and_none_behind_another() {
        let asked = local(vec![
            mount(1, "/", "ext4"),
            mount(2, "/proc", "proc"),
            mount(3, "/net", "nfs4"),
            mount(4, "/net/cache", "ext4"),
            mount(5, "/tmp", "tmpfs"),
            mount(6, "/home", "fuse.sshfs"),
            mount(7, "/data", "xfs"),
            mount(8, "/data", "nfs"),
            mount(9, "/rom", "squashfs"),
        ]);
        assert_eq!(asked.iter().map(|mount| mount.id).collect::<Vec<_>>(), [1, 5]);
    }
}
