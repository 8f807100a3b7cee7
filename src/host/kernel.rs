//! The kernel: its version, what it was built with and how it is set up.

use std::fmt;
use std::fs::File;
use std::io::ErrorKind;

use crate::host::root::Root;

/// Where the kernel describes its types.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// A kernel version of three numbers; ordered.
///
/// Distributions often leave the third at zero, so rules compare the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The 6 of 6.12.3.
    pub major: u32,
    /// The 12 of 6.12.3.
    pub minor: u32,
    /// The 3 of 6.12.3, or 0.
    pub patch: u32,
}

impl KernelVersion {
    /// Returns the first version of a release series, such as 5.10.0.
    pub const fn new(major: u32, minor: u32) -> KernelVersion {
        KernelVersion { major, minor, patch: 0 }
    }

    /// Parses the start of a release such as `6.1.0-18-amd64`; `None` when there are no two numbers.
    pub fn parse(release: &str) -> Option<KernelVersion> {
        let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
        let mut numbers = release.get(..end)?.split('.').map(str::parse::<u32>);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        let patch = numbers.next().and_then(Result::ok).unwrap_or(0);
        Some(KernelVersion { major, minor, patch })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// How far the kernel is locked against its own administrator; see kernel_lockdown(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// Not locked.
    None,
    /// Locked against changes; reading kernel memory is allowed, so probes work.
    Integrity,
    /// Locked against reading too: programs may not read kernel memory.
    Confidentiality,
    /// Can't be told, because securityfs isn't mounted or readable.
    Unknown,
}

impl Lockdown {
    /// Reads it from securityfs.
    pub fn read(root: &Root) -> Lockdown {
        match root.text("/sys/kernel/security/lockdown") {
            Some(text) => Lockdown::parse(&text),
            // securityfs is there and has no such file: the kernel was built without lockdown.
            None if root.exists("/sys/kernel/security/lsm") => Lockdown::None,
            None => Lockdown::Unknown,
        }
    }

    /// Parses `none [integrity] confidentiality`, where brackets mark the choice in force.
    pub fn parse(text: &str) -> Lockdown {
        match text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']')) {
            Some("none") => Lockdown::None,
            Some("integrity") => Lockdown::Integrity,
            Some("confidentiality") => Lockdown::Confidentiality,
            _ => Lockdown::Unknown,
        }
    }
}

/// The kernel's description of its own types, to which programs are fitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Btf {
    /// It can be read.
    Readable,
    /// There is none, or nothing that shows it.
    Missing,
    /// It is there and can't be read, for this reason.
    Unreadable(String),
}

impl Btf {
    fn read(root: &Root) -> Btf {
        match File::open(root.path(BTF)) {
            Ok(_) => Btf::Readable,
            Err(error) if error.kind() == ErrorKind::NotFound => Btf::Missing,
            Err(error) => Btf::Unreadable(error.to_string()),
        }
    }
}

/// What the kernel is and allows; settings that can't be read are `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The release as `uname -r` prints it.
    pub release: String,
    /// The numbers at its start; 0.0.0 when there are none.
    pub version: KernelVersion,
    /// The description of its own types at `/sys/kernel/btf/vmlinux`.
    pub btf: Btf,
    /// How far it is locked down.
    pub lockdown: Lockdown,
    /// Whether it can place kprobes (`CONFIG_KPROBE_EVENTS`).
    pub kprobes: bool,
    /// Whether it can place uprobes (`CONFIG_UPROBE_EVENTS`).
    pub uprobes: bool,
    /// `kernel.perf_event_paranoid`: who may open perf events without capabilities.
    pub perf_event_paranoid: Option<i64>,
    /// `kernel.kptr_restrict`: who may see the addresses of kernel symbols.
    pub kptr_restrict: Option<i64>,
    /// `kernel.unprivileged_bpf_disabled`: 0 lets anyone call bpf(2), 1 and 2 only the capable.
    pub unprivileged_bpf_disabled: Option<i64>,
    /// `net.core.bpf_jit_enable`: 0 means that programs are interpreted. Only root may read it.
    pub bpf_jit_enable: Option<i64>,
    /// `kernel.bpf_stats_enabled`: whether every program's run time is measured already.
    pub bpf_stats_enabled: Option<i64>,
}

impl Kernel {
    /// Reads them all.
    pub fn read(root: &Root) -> Kernel {
        let release = root.text("/proc/sys/kernel/osrelease").unwrap_or_default();
        Kernel {
            version: KernelVersion::parse(&release).unwrap_or_default(),
            release,
            btf: Btf::read(root),
            lockdown: Lockdown::read(root),
            kprobes: root.exists("/sys/bus/event_source/devices/kprobe"),
            uprobes: root.exists("/sys/bus/event_source/devices/uprobe"),
            perf_event_paranoid: root.number("/proc/sys/kernel/perf_event_paranoid"),
            kptr_restrict: root.number("/proc/sys/kernel/kptr_restrict"),
            unprivileged_bpf_disabled: root.number("/proc/sys/kernel/unprivileged_bpf_disabled"),
            bpf_jit_enable: root.number("/proc/sys/net/core/bpf_jit_enable"),
            bpf_stats_enabled: root.number("/proc/sys/kernel/bpf_stats_enabled"),
        }
    }

    /// Tells whether the kernel is of this release series or a newer one.
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        self.version >= KernelVersion::new(major, minor)
    }

    /// Tells whether maps and programs count against the locked-memory limit, as they did before 5.11.
    pub fn counts_bpf_as_locked_memory(&self) -> bool {
        !self.at_least(5, 11)
    }
}

#[cfg(test)]
mod tests {
    use super::Btf;
    use super::Kernel;
    use super::KernelVersion;
    use super::Lockdown;
    use crate::host::fixture::Machine;

    #[test]
    fn releases_of_every_distribution_give_their_numbers() {
        for (release, expected) in [
            ("6.18.44-fc-v669", (6, 18, 44)),
            ("5.10.0-35-amd64", (5, 10, 0)),
            ("4.18.0-553.el8_10.x86_64", (4, 18, 0)),
            ("5.15.167.4-microsoft-standard-WSL2", (5, 15, 167)),
            ("6.1.0-18-cloud-arm64", (6, 1, 0)),
            ("7.0-rc3", (7, 0, 0)),
            ("6.12+", (6, 12, 0)),
        ] {
            let (major, minor, patch) = expected;
            assert_eq!(KernelVersion::parse(release), Some(KernelVersion { major, minor, patch }), "{release}");
        }
        for release in ["", "6", "linux", "6.", "v6.1", "99999999999.1"] {
            assert_eq!(KernelVersion::parse(release), None, "{release}");
        }
    }

    #[test]
    fn five_ten_is_older_than_five_eleven_though_it_sorts_after_five_two() {
        let kernel = |release| KernelVersion::parse(release).unwrap();
        assert!(kernel("5.2.0") < kernel("5.10.0"));
        assert!(kernel("5.10.250-1") < kernel("5.11.0"));
        assert!(kernel("10.0.0") > kernel("6.99.0"));
    }

    #[test]
    fn lockdown_is_the_word_in_brackets() {
        assert_eq!(Lockdown::parse("[none] integrity confidentiality"), Lockdown::None);
        assert_eq!(Lockdown::parse("none [integrity] confidentiality"), Lockdown::Integrity);
        assert_eq!(Lockdown::parse("none integrity [confidentiality]"), Lockdown::Confidentiality);
        assert_eq!(Lockdown::parse("[paranoid]"), Lockdown::Unknown);
    }

    #[test]
    fn an_unmounted_securityfs_is_not_mistaken_for_an_unlocked_kernel() {
        let machine = Machine::new();
        machine.directory("/sys/kernel/security");
        assert_eq!(Lockdown::read(&machine.root()), Lockdown::Unknown);
        machine.file("/sys/kernel/security/lsm", "capability,yama");
        assert_eq!(Lockdown::read(&machine.root()), Lockdown::None);
        machine.file("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
        assert_eq!(Lockdown::read(&machine.root()), Lockdown::Integrity);
    }

    #[test]
    fn settings_are_read_and_missing_ones_stay_unknown() {
        let machine = Machine::with(&[
            ("/proc/sys/kernel/osrelease", "5.10.0-35-amd64\n"),
            ("/proc/sys/kernel/perf_event_paranoid", "3\n"),
            ("/proc/sys/kernel/kptr_restrict", "0\n"),
            ("/sys/bus/event_source/devices/kprobe/type", "8\n"),
            ("/sys/kernel/btf/vmlinux", ""),
        ]);
        let kernel = Kernel::read(&machine.root());
        assert_eq!(kernel.release, "5.10.0-35-amd64");
        assert!(kernel.at_least(5, 10) && !kernel.at_least(5, 11));
        assert!(kernel.counts_bpf_as_locked_memory());
        assert_eq!(kernel.btf, Btf::Readable);
        assert!(kernel.kprobes && !kernel.uprobes);
        assert_eq!(kernel.perf_event_paranoid, Some(3));
        assert_eq!(kernel.kptr_restrict, Some(0));
        assert_eq!(kernel.bpf_jit_enable, None);
    }

    #[test]
    fn types_that_are_there_and_can_not_be_read_are_not_called_missing() {
        assert_eq!(Kernel::read(&Machine::new().root()).btf, Btf::Missing);
        // What stands in for a directory that refuses: root is refused none.
        let machine = Machine::with(&[("/sys/kernel/btf", "")]);
        assert!(matches!(Kernel::read(&machine.root()).btf, Btf::Unreadable(_)));
    }

    #[test]
    fn negative_settings_are_numbers_too() {
        let machine = Machine::with(&[("/proc/sys/kernel/perf_event_paranoid", "-1\n")]);
        assert_eq!(Kernel::read(&machine.root()).perf_event_paranoid, Some(-1));
    }
}
