//! Facts about this machine and what they allow.
//!
//! Facts are read in one place each, below a [`Root`] that may be a fixture; rules over them are pure.

use crate::host::auxv::Auxv;
use crate::host::cgroups::CgroupMount;
use crate::host::clocks::ClockSource;
use crate::host::cpus::Cpus;
use crate::host::invoker::Invoker;
use crate::host::kernel::Kernel;
use crate::host::privilege::Privilege;
use crate::host::root::Root;
use crate::host::tracefs::Tracefs;
use crate::host::virtualisation::Virtualisation;

pub mod auxv;
pub mod capabilities;
pub mod cgroups;
pub mod clocks;
pub mod code_file;
pub mod confine;
pub mod container_names;
pub mod containers;
pub mod counters;
pub mod cpus;
pub mod descriptors;
pub mod devices;
pub mod doctor;
pub mod doorbell;
#[cfg(test)]
pub(crate) mod fixture;
pub mod foreign;
pub mod foundation;
pub mod invoker;
pub mod kernel;
pub mod limits;
pub mod locked;
pub mod memory_limit;
pub mod mounts;
pub mod namespaces;
pub mod places;
pub mod priority;
pub mod privilege;
pub mod process_ids;
pub mod process_stat;
pub mod processes;
pub mod root;
pub mod tracefs;
pub mod usage;
pub mod virtualisation;
pub mod watch;

/// What is known about this machine before anything is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The machine's name.
    pub hostname: String,
    /// The kernel and its settings.
    pub kernel: Kernel,
    /// Whether there is anything of the kernel's in `/sys`.
    pub sysfs: bool,
    /// The instruction set as `uname -m` prints it, such as `x86_64` or `aarch64`.
    pub arch: String,
    /// The distribution's own name for itself, such as `Debian GNU/Linux 12 (bookworm)`.
    pub distro: Option<String>,
    /// The hypervisor and container around this process.
    pub virtualisation: Virtualisation,
    /// The CPUs.
    pub cpus: Cpus,
    /// Memory that the kernel manages, in bytes.
    pub memory_bytes: u64,
    /// Page size and clock tick.
    pub auxv: Auxv,
    /// What the clocks are read from.
    pub clock_source: ClockSource,
    /// The kernel's random name for the time since it started; empty when unknown.
    pub boot_id: String,
    /// What this process may do.
    pub privilege: Privilege,
    /// Who called sudo.
    pub invoker: Option<Invoker>,
    /// The tracing directory.
    pub tracefs: Tracefs,
    /// The cgroup v2 hierarchy.
    pub cgroups: Option<CgroupMount>,
}

impl Host {
    /// Reads all facts; none of them needs privileges, and those that can't be read stay unknown.
    ///
    /// `variable` looks up environment variables.
    pub fn read(root: &Root, variable: impl Fn(&str) -> Option<String>) -> Host {
        let privilege = Privilege::read(root);
        let mounts = mounts::read(root);
        Host {
            hostname: root.text("/proc/sys/kernel/hostname").unwrap_or_default(),
            kernel: Kernel::read(root),
            sysfs: root.exists("/sys/kernel"),
            arch: rustix::system::uname().machine().to_string_lossy().into_owned(),
            distro: distro(root),
            virtualisation: Virtualisation::read(root, privilege.namespaces),
            cpus: Cpus::read(root),
            memory_bytes: memory_bytes(&root.text("/proc/meminfo").unwrap_or_default()),
            auxv: Auxv::read(root),
            clock_source: ClockSource::read(root),
            boot_id: root.text("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            invoker: Invoker::read(root, privilege.euid, variable),
            privilege,
            tracefs: Tracefs::find(root, &mounts),
            cgroups: CgroupMount::find(root, &mounts),
        }
    }

    /// Reads the running system's facts.
    pub fn this() -> Host {
        Host::read(&Root::system(), |name| std::env::var(name).ok())
    }
}

fn distro(root: &Root) -> Option<String> {
    let text = root.text("/etc/os-release").or_else(|| root.text("/usr/lib/os-release"))?;
    let value = |key: &str| text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('=')).map(unquote);
    value("PRETTY_NAME").or_else(|| value("NAME")).filter(|name| !name.is_empty())
}

/// Takes the shell's quotes off a value; see os-release(5).
fn unquote(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let mut text = String::with_capacity(value.len());
    let mut characters = inner.unwrap_or(value).chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kib = |line: &str| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok();
    meminfo.lines().find_map(kib).unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::Host;
    use super::distro;
    use super::memory_bytes;
    use crate::host::fixture::Machine;
    use crate::host::tracefs::Tracefs;

    #[test]
    fn a_distribution_calls_itself_by_its_pretty_name() {
        for (text, expected) in [
            (
                "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
                "Debian GNU/Linux 12 (bookworm)",
            ),
            ("PRETTY_NAME='Alpine Linux v3.20'\n", "Alpine Linux v3.20"),
            ("PRETTY_NAME=Buildroot\n", "Buildroot"),
            ("NAME=\"Joe\\\"s \\$Linux\"\n", "Joe\"s $Linux"),
        ] {
            let machine = Machine::with(&[("/etc/os-release", text)]);
            assert_eq!(distro(&machine.root()).as_deref(), Some(expected));
        }
        let machine = Machine::with(&[("/usr/lib/os-release", "PRETTY_NAME=\"Fedora Linux 43\"\n")]);
        assert_eq!(distro(&machine.root()).as_deref(), Some("Fedora Linux 43"));
        assert_eq!(distro(&Machine::new().root()), None);
    }

    #[test]
    fn memory_is_told_in_bytes() {
        assert_eq!(memory_bytes("MemTotal:       24684084 kB\nMemFree:        24366688 kB\n"), 24_684_084 * 1024);
        assert_eq!(memory_bytes("MemTotal: lots\n"), 0);
    }

    #[test]
    fn a_machine_that_tells_nothing_is_read_without_failing() {
        let host = Host::read(&Machine::new().root(), |_| None);
        assert_eq!(host.hostname, "");
        assert_eq!(host.tracefs, Tracefs::NotMounted);
        assert_eq!(host.cgroups, None);
        assert_eq!(host.cpus.slots(), 1);
    }

    #[test]
    fn this_machine_has_a_name_a_kernel_and_memory() {
        let host = Host::this();
        assert!(!host.kernel.release.is_empty());
        assert!(host.kernel.at_least(3, 0));
        assert!(host.memory_bytes > 1 << 20);
        assert_eq!(host.arch, std::env::consts::ARCH);
        assert!(!host.cpus.online.is_empty());
        assert!(host.boot_id.len() >= 32);
    }
}
