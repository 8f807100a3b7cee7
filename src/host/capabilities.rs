//! Linux capabilities, as far as recording needs them.

use std::fmt;

/// A capability that recording needs or can use; the values are bit numbers of `CapEff`.
///
/// Source: `include/uapi/linux/capability.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Look into other users' processes: their executables, maps and memory.
    SysPtrace = 19,
    /// Everything of BPF and perf, before there were finer ones.
    SysAdmin = 21,
    /// Raise limits, that of locked memory included.
    SysResource = 24,
    /// See kernel addresses in `/proc/kallsyms`.
    Syslog = 34,
    /// Open perf events and read kernel memory in programs.
    Perfmon = 38,
    /// Create maps and load programs.
    Bpf = 39,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::SysPtrace => "CAP_SYS_PTRACE",
            Capability::SysAdmin => "CAP_SYS_ADMIN",
            Capability::SysResource => "CAP_SYS_RESOURCE",
            Capability::Syslog => "CAP_SYSLOG",
            Capability::Perfmon => "CAP_PERFMON",
            Capability::Bpf => "CAP_BPF",
        })
    }
}

/// A set of capabilities, one bit each, as in `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Parses the hexadecimal number after `CapEff:`.
    pub fn parse(hex: &str) -> Option<Capabilities> {
        u64::from_str_radix(hex.trim(), 16).ok().map(Capabilities)
    }

    /// Tells whether the set holds a capability, or `CAP_SYS_ADMIN` where the kernel takes that in its stead.
    ///
    /// Source: `bpf_capable` and `perfmon_capable` in `include/linux/capability.h`.
    pub fn has(self, capability: Capability) -> bool {
        self.holds(capability)
            || (matches!(capability, Capability::Bpf | Capability::Perfmon) && self.holds(Capability::SysAdmin))
    }

    fn holds(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::Capabilities;
    use super::Capability;

    #[test]
    fn root_has_them_all() {
        let root = Capabilities::parse("000001ffffffffff").unwrap();
        for capability in [
            Capability::SysPtrace,
            Capability::SysAdmin,
            Capability::SysResource,
            Capability::Syslog,
            Capability::Perfmon,
            Capability::Bpf,
        ] {
            assert!(root.has(capability), "{capability}");
        }
    }

    #[test]
    fn a_machine_that_took_one_away_is_told_from_full_root() {
        let root = Capabilities::parse("000001fffeffffff").unwrap();
        assert!(!root.has(Capability::SysResource));
        assert!(root.has(Capability::Bpf));
    }

    #[test]
    fn sys_admin_stands_in_for_bpf_and_perfmon_but_for_nothing_else() {
        let admin = Capabilities(1 << 21);
        assert!(admin.has(Capability::Bpf));
        assert!(admin.has(Capability::Perfmon));
        assert!(!admin.has(Capability::SysResource));
        assert!(!admin.has(Capability::SysPtrace));
    }

    #[test]
    fn file_capabilities_give_just_the_two() {
        let set = Capabilities::parse("000000c000000000").unwrap();
        assert!(set.has(Capability::Bpf) && set.has(Capability::Perfmon));
        assert!(!set.has(Capability::SysAdmin));
    }

    #[test]
    fn what_is_no_number_is_no_set() {
        assert_eq!(Capabilities::parse(""), None);
        assert_eq!(Capabilities::parse("all"), None);
    }
}
