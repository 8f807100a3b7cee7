//! What a recording stands on: the file systems with facts about processes and the kernel, and the kernel's types.

use crate::host::Host;
use crate::host::kernel::Btf;

/// Something that is lacking, and what gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What is lacking, in one clause.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// What of it is lacking here; `None` when nothing is.
///
/// In this order: without `/proc` nothing else can be told, not even what this process may do.
pub fn lack(host: &Host) -> Option<Lack> {
    if host.kernel.release.is_empty() {
        return Some(not_mounted("/proc", "proc"));
    }
    lack_of_types(host)
}

/// Why programs can't be fitted to this kernel; `None` when they can.
pub fn lack_of_types(host: &Host) -> Option<Lack> {
    match &host.kernel.btf {
        Btf::Readable => None,
        Btf::Missing if !host.sysfs => Some(not_mounted("/sys", "sysfs")),
        Btf::Missing => Some(Lack {
            problem: "this kernel has no type information: /sys/kernel/btf/vmlinux is missing".to_owned(),
            remedy: "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as all current distributions ship".to_owned(),
        }),
        Btf::Unreadable(why) => Some(Lack {
            problem: format!("the kernel's type information can't be read from /sys/kernel/btf/vmlinux: {why}"),
            remedy: "find out what forbids it: the mode of the file, or a security module such as SELinux or AppArmor"
                .to_owned(),
        }),
    }
}

fn not_mounted(place: &str, kind: &str) -> Lack {
    Lack {
        problem: format!("{place} is not mounted here, and a recording can't do without it"),
        remedy: format!("mount -t {kind} {kind} {place}, or start the container with it"),
    }
}

#[cfg(test)]
mod tests {
    use super::lack;
    use crate::host::Host;
    use crate::host::fixture::Machine;

    fn problem(files: &[(&str, &str)]) -> Option<String> {
        lack(&Host::read(&Machine::with(files).root(), |_| None)).map(|lack| lack.problem)
    }

    const RELEASE: (&str, &str) = ("/proc/sys/kernel/osrelease", "6.12.0");

    /// Root was told that it has not the right to record.
    #[test]
    fn a_missing_proc_is_not_taken_for_a_missing_privilege() {
        assert!(problem(&[]).unwrap().starts_with("/proc is not mounted"));
    }

    #[test]
    fn a_missing_sys_a_kernel_without_types_and_types_that_can_not_be_read_are_told_apart() {
        assert!(problem(&[RELEASE]).unwrap().starts_with("/sys is not mounted"));
        let sysfs = ("/sys/kernel/notes", "");
        assert!(problem(&[RELEASE, sysfs]).unwrap().contains("is missing"));
        assert!(problem(&[RELEASE, sysfs, ("/sys/kernel/btf", "")]).unwrap().contains("can't be read"));
        assert_eq!(problem(&[RELEASE, sysfs, ("/sys/kernel/btf/vmlinux", "")]), None);
    }
}
