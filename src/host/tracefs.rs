//! The kernel's tracing directory, where tracepoints are listed.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::host::mounts::Mount;
use crate::host::root::Root;

/// Where the tracing directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracefs {
    /// It can be read at this path.
    Mounted(PathBuf),
    /// It is mounted at this path, and this process may not read it.
    Unreadable(PathBuf),
    /// The kernel has it, and nobody mounted it.
    NotMounted,
    /// The kernel was built without it.
    Unsupported,
}

impl Tracefs {
    /// The command that mounts it where everyone looks for it.
    pub const MOUNT: &'static str = "sudo mount -t tracefs nodev /sys/kernel/tracing";

    /// Looks for it among the mounts, in its own place first.
    pub fn find(root: &Root, mounts: &[Mount]) -> Tracefs {
        let own = mounts.iter().filter(|mount| mount.fs_type == "tracefs").map(|mount| mount.point.clone());
        // Reaching below debugfs mounts it by itself.
        let below_debugfs =
            mounts.iter().filter(|mount| mount.fs_type == "debugfs").map(|mount| mount.point.join("tracing"));
        let mut places: Vec<PathBuf> = own.chain(below_debugfs).collect();
        places.sort_by_key(|place| place != Path::new("/sys/kernel/tracing"));
        let readable = places.iter().find(|place| fs::read_dir(root.path(place.join("events"))).is_ok());
        match (readable, places.first()) {
            (Some(place), _) => Tracefs::Mounted(root.path(place)),
            (None, Some(place)) => Tracefs::Unreadable(root.path(place)),
            (None, None) => match root.text("/proc/filesystems") {
                Some(known) if !known.split_whitespace().any(|word| word == "tracefs") => Tracefs::Unsupported,
                _ => Tracefs::NotMounted,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tracefs;
    use crate::host::fixture::Machine;
    use crate::host::mounts;

    const MOUNTS: &str = "23 27 0:22 / /sys rw - sysfs sysfs rw\n\
                          30 23 0:7 / /sys/kernel/debug rw - debugfs debugfs rw\n\
                          31 23 0:12 / /sys/kernel/tracing rw - tracefs tracefs rw\n";

    fn find(machine: &Machine, mountinfo: &str) -> Tracefs {
        Tracefs::find(&machine.root(), &mounts::parse(mountinfo.as_bytes()))
    }

    #[test]
    fn a_machine_of_today_has_it_at_its_own_mount() {
        let machine = Machine::with(&[("/sys/kernel/tracing/events/block/block_rq_issue/id", "1132\n")]);
        assert_eq!(find(&machine, MOUNTS), Tracefs::Mounted(machine.root().path("/sys/kernel/tracing")));
    }

    #[test]
    fn an_old_machine_has_it_below_debugfs_only() {
        let machine = Machine::with(&[("/sys/kernel/debug/tracing/events/sched/sched_switch/id", "310\n")]);
        let tracefs = find(&machine, "30 23 0:7 / /sys/kernel/debug rw - debugfs debugfs rw\n");
        assert_eq!(tracefs, Tracefs::Mounted(machine.root().path("/sys/kernel/debug/tracing")));
    }

    #[test]
    fn a_directory_that_may_not_be_read_is_told_from_one_that_is_not_there() {
        let machine = Machine::new();
        assert_eq!(find(&machine, MOUNTS), Tracefs::Unreadable(machine.root().path("/sys/kernel/tracing")));
        assert_eq!(find(&machine, ""), Tracefs::NotMounted);
    }

    #[test]
    fn mounting_is_not_advised_on_a_kernel_without_it() {
        let machine = Machine::with(&[("/proc/filesystems", "nodev\tsysfs\nnodev\tdebugfs\n\text4\n")]);
        assert_eq!(find(&machine, ""), Tracefs::Unsupported);
        machine.file("/proc/filesystems", "nodev\tsysfs\nnodev\ttracefs\n\text4\n");
        assert_eq!(find(&machine, ""), Tracefs::NotMounted);
    }
}
