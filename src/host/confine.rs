//! The privileges that a recording gives up once its probes are attached.
//!
//! From then on the recorder reads maps that it has open, looks at processes and at the files of programs, and writes its own file.
//! Whatever else it was allowed to do, a fault in it could only be abused for. Capabilities belong to a thread and are inherited by
//! the threads that it starts, so a thread gives them up before it starts another.

use std::path::Path;

use rustix::io;
use rustix::process::geteuid;
use rustix::thread::CapabilitySet;
use rustix::thread::CapabilitySets;
use rustix::thread::capabilities;
use rustix::thread::clear_ambient_capability_set;
use rustix::thread::remove_capability_from_bounding_set;
use rustix::thread::set_capabilities;
use rustix::thread::set_no_new_privs;

use crate::host::Host;

/// The capabilities that make another user's directory as writable as one's own, and hand files over.
const FOREIGN_DIRECTORY: CapabilitySet =
    CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::FOWNER).union(CapabilitySet::CHOWN);

/// What a recording still does after its probes are attached, as far as that depends on the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duties {
    /// Some probe attaches to more while it records, as to libraries that are loaded later.
    pub attaches_more: bool,
    /// The file lies in a directory of another user, or will belong to one.
    pub foreign_directory: bool,
}

/// The capabilities that a recording needs after its probes are attached.
///
/// | capability | what for | when |
/// |---|---|---|
/// | `CAP_SYS_PTRACE` | mappings, executables and root directories of other users' processes | always |
/// | `CAP_DAC_READ_SEARCH` | symbol tables in files that others can't read | always |
/// | `CAP_SYSLOG` | addresses in `/proc/kallsyms` | always |
/// | `CAP_CHECKPOINT_RESTORE` | programs that were deleted, by `/proc/PID/map_files` | since Linux 5.9, before by `CAP_SYS_ADMIN` |
/// | `CAP_SYS_ADMIN` | switching BPF run-time statistics on and off | always |
/// | `CAP_SYS_NICE` | a CPU for the drain where there are too few | always |
/// | `CAP_BPF` | reading and writing maps | before Linux 5.19, and to attach more |
/// | `CAP_PERFMON` | hooks on functions of processes | to attach more |
/// | `CAP_DAC_OVERRIDE`, `CAP_FOWNER`, `CAP_CHOWN` | the file | in a directory of another user |
/// | `CAP_KILL` | signals, in the thread for them alone | for a command of another user |
///
/// Before 5.19 the kernel asked for `CAP_BPF` at every use of bpf(2) where `kernel.unprivileged_bpf_disabled` is set; since commit
/// c8644cd0efe7 only at those that create something.
pub fn needed(host: &Host, duties: Duties) -> CapabilitySet {
    let mut needed = CapabilitySet::SYS_PTRACE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::SYSLOG
        | CapabilitySet::CHECKPOINT_RESTORE
        | CapabilitySet::SYS_NICE
        | CapabilitySet::SYS_ADMIN;
    needed.set(CapabilitySet::BPF, duties.attaches_more || !host.kernel.at_least(5, 19));
    needed.set(CapabilitySet::PERFMON, duties.attaches_more);
    needed.set(FOREIGN_DIRECTORY, duties.foreign_directory);
    needed
}

/// Whether a file at this path lies in a directory of another user; one that can't be seen counts as such.
pub fn is_foreign_directory(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    directory.metadata().map_or(true, |directory| directory.uid() != geteuid().as_raw())
}

/// Keeps only these capabilities, of those that the calling thread has, for it and the threads that it will start; neither can gain
/// any by executing a program.
///
/// # Errors
/// When the kernel refuses; a bounding set that may not be changed is not an error, since nothing can be gained from it any more.
pub fn keep_only(needed: CapabilitySet) -> io::Result<()> {
    let has = capabilities(None)?;
    if has.permitted.contains(CapabilitySet::SETPCAP) {
        // The kernel refuses those beyond its last.
        for capability in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
            if !needed.contains(capability) && remove_capability_from_bounding_set(capability).is_err() {
                break;
            }
        }
    }
    let kept = has.permitted & needed;
    // This empties the ambient set as well, which is never more than the inheritable one.
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })?;
    set_no_new_privs(true)
}

/// Sees to it that the program that this process will execute gets no capability from it: those of a service manager, for example,
/// which were meant for ebrec.
///
/// # Errors
/// When the kernel refuses.
pub fn pass_nothing_on() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let has = capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..has })
}

#[cfg(test)]
mod tests {
    use super::Duties;
    use super::needed;
    use crate::host::Host;
    use crate::host::fixture::Machine;
    use rustix::thread::CapabilitySet;

    fn on(release: &str, duties: Duties) -> CapabilitySet {
        let machine = Machine::with(&[("/proc/sys/kernel/osrelease", release)]);
        needed(&Host::read(&machine.root(), |_| None), duties)
    }

    #[test]
    fn a_new_kernel_reads_maps_without_a_capability_and_an_old_one_does_not() {
        assert!(!on("6.1.0", Duties::default()).contains(CapabilitySet::BPF));
        assert!(on("5.10.0-35-amd64", Duties::default()).contains(CapabilitySet::BPF));
    }

    #[test]
    fn what_would_make_a_fault_as_good_as_root_is_given_up() {
        let kept = on("6.12.0", Duties::default());
        for dangerous in [
            CapabilitySet::DAC_OVERRIDE,
            CapabilitySet::SETUID,
            CapabilitySet::SYS_MODULE,
            CapabilitySet::SYS_RAWIO,
            CapabilitySet::NET_ADMIN,
            CapabilitySet::KILL,
            CapabilitySet::PERFMON,
        ] {
            assert!(!kept.intersects(dangerous), "{dangerous:?}");
        }
    }

    #[test]
    fn duties_keep_what_they_need() {
        let duties = Duties { attaches_more: true, foreign_directory: true };
        let kept = on("6.12.0", duties);
        for needed in [CapabilitySet::BPF, CapabilitySet::PERFMON, CapabilitySet::DAC_OVERRIDE, CapabilitySet::CHOWN] {
            assert!(kept.contains(needed), "{needed:?}");
        }
    }
}
