//! File systems without a free block or file, and processes whose calls write nothing while they have a file open for writing there.
//!
//! Only file systems of this machine are asked: one of a network or of a program may never answer. While none is full, that is all that
//! is done: 1 µs for each at each reading. Otherwise two readings of `/proc/PID/io` show whose calls wrote nothing. A process that
//! writes elsewhere with success at the same time is not found: the kernel counts its calls together.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::StatVfsMountFlags;
use rustix::fs::statvfs;

use crate::host::counters::Name;
use crate::host::counters::Unit;
use crate::host::descriptors;
use crate::host::descriptors::Written;
use crate::host::foreign;
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
/// Bytes of a namespace's table of mounts, some 15,000 of them, and of all that are read at once. In their own user namespaces, users can
/// mount 100,000. A namespace whose table is longer is left out: what is mounted over what would not be known.
const MOST_BYTES: usize = 2 << 20;
const MOST_BYTES_AT_ONCE: usize = 16 << 20;
/// How long reading tables may take at once, but for the last one.
const MOST_TIME: Duration = Duration::from_millis(100);
/// Processes whose writes are compared between two readings: 8 µs each.
const MOST_WRITERS: usize = 1024;
/// Open files of a process that are looked at.
const MOST_FILES: usize = 1024;
/// Processes that are named in a reading.
const MOST_NAMED: usize = 16;
/// A single call that writes nothing may be a program that asks whether there is room.
const LEAST_CALLS: u64 = 2;

const FAILED: Name = Name::new("writes", "failed");

/// A file system, and where it can be asked: below the root directory of a process.
struct Disk {
    device: String,
    way: i32,
    point: PathBuf,
}

/// What may still be read of tables of mounts.
struct Allowance {
    bytes: usize,
    until: Instant,
}

/// The file systems of a machine, and who writes.
pub(super) struct FullDisks {
    ids: Arc<ProcessIds>,
    /// A process in each mount namespace, by the namespace's inode.
    namespaces: BTreeMap<u64, i32>,
    disks: Vec<Disk>,
    /// What some processes had written at the last reading, and when that was.
    writers: BTreeMap<i32, Written>,
    at_ns: u64,
    /// Where the next processes begin.
    next: usize,
}

impl FullDisks {
    /// Looks for file systems.
    pub(super) fn begin(root: &Root, ids: Arc<ProcessIds>, now_ns: u64) -> FullDisks {
        let mut namespaces = BTreeMap::new();
        let (mut disks, mut known) = (Vec::new(), BTreeSet::new());
        let mut allowance = Allowance::new();
        for way in processes::pids(root).into_iter().take(MOST_ASKED) {
            let Some(inode) = namespace(root, way) else { continue };
            if namespaces.contains_key(&inode) || namespaces.len() == MOST_NAMESPACES {
                continue;
            }
            namespaces.insert(inode, way);
            for Mount { device, point, .. } in local(allowance.mounts(root, way)) {
                if disks.len() < MOST_PLACES && known.insert(device.clone()) {
                    disks.push(Disk { device, way, point });
                }
            }
        }
        let mut disks = FullDisks { ids, namespaces, disks, writers: BTreeMap::new(), at_ns: now_ns, next: 0 };
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
        let disks = self.disks.iter().filter(|disk| is_full(&disk.path(root)));
        let devices: BTreeSet<&str> = disks.map(|disk| disk.device.as_str()).collect();
        let mut full = BTreeMap::new();
        let mut allowance = Allowance::new();
        for (inode, way) in self.namespaces.iter().filter(|_| !devices.is_empty()) {
            let mounts = allowance.mounts(root, *way).into_iter();
            for mount in mounts.filter(|mount| devices.contains(mount.device.as_str())) {
                if full.len() == MOST_PLACES {
                    return full;
                }
                full.insert((*inode, mount.id), mount.point.to_string_lossy().into());
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

impl Disk {
    /// Where it is mounted, seen from here.
    fn path(&self, root: &Root) -> PathBuf {
        let inside = self.point.strip_prefix("/").unwrap_or(&self.point);
        root.path(format!("/proc/{}/root", self.way)).join(inside)
    }
}

impl Allowance {
    fn new() -> Allowance {
        Allowance { bytes: MOST_BYTES_AT_ONCE, until: Instant::now() + MOST_TIME }
    }

    /// The mounts of a process's namespace: all or none.
    fn mounts(&mut self, root: &Root, way: i32) -> Vec<Mount> {
        let most = if Instant::now() < self.until { MOST_BYTES.min(self.bytes) } else { 0 };
        let text = foreign::read(&root.path(format!("/proc/{way}/mountinfo")), most);
        // A table that is too long was read up to there.
        self.bytes = self.bytes.saturating_sub(text.as_ref().map_or(most, Vec::len));
        text.map_or_else(|_| Vec::new(), |text| mounts::parse(&text))
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
    use std::fmt::Write;

    use super::FullDisks;
    use super::MOST_BYTES;
    use super::MOST_PLACES;
    use super::Mount;
    use super::Written;
    use super::in_vain;
    use super::local;
    use crate::host::fixture::Machine;

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

    /// A process in a mount namespace of its own, with tmpfs on so many places.
    fn namespace(machine: &Machine, pid: usize, mounts: usize) -> usize {
        machine.link(&format!("/proc/{pid}/ns/mnt"), &format!("mnt:[{}]", 4_026_531_000 + pid));
        let mut table = String::new();
        for number in 0..mounts {
            writeln!(table, "{number} 1 {pid}:{number} / /m/{number} rw,relatime - tmpfs none rw,size=4k").unwrap();
        }
        machine.file(&format!("/proc/{pid}/mountinfo"), &table);
        table.len()
    }

    #[test]
    fn anyones_mounts_take_bounded_memory() {
        let machine = Machine::new();
        assert!(namespace(&machine, 1, 3) < MOST_BYTES);
        assert!(namespace(&machine, 2, 65_000) > MOST_BYTES);
        for pid in 3..20 {
            namespace(&machine, pid, 5_000);
        }
        let disks = FullDisks::begin(&machine.root(), Default::default(), 0);
        assert_eq!(disks.namespaces.len(), 19);
        assert_eq!(disks.disks.len(), MOST_PLACES);
        // Those of the first process come first; of a table that is too long, nothing is believed.
        assert!(disks.disks.iter().take(3).all(|disk| disk.way == 1));
        assert!(disks.disks.iter().all(|disk| disk.way != 2));
    }

    #[test]
    fn a_file_system_is_asked_once_however_often_it_is_mounted() {
        let machine = Machine::new();
        machine.link("/proc/1/ns/mnt", "mnt:[1]");
        let bound: String =
            (0..100).map(|number| format!("{number} 1 0:7 / /m/{number} rw - tmpfs none rw\n")).collect();
        machine.file("/proc/1/mountinfo", &bound);
        assert_eq!(FullDisks::begin(&machine.root(), Default::default(), 0).disks.len(), 1);
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
