//! What this process may do, and how to let it do more.

use std::path::Path;

use crate::host::capabilities::Capabilities;
use crate::host::capabilities::Capability;
use crate::host::namespaces::Namespaces;
use crate::host::root::Root;

/// What record can't do without.
const NEEDED: [Capability; 2] = [Capability::Bpf, Capability::Perfmon];

/// What this process may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privilege {
    /// The capabilities in force.
    pub capabilities: Capabilities,
    /// The effective user id.
    pub euid: u32,
    /// Whether no program that it starts can gain privileges: sudo and setcap have no effect then.
    pub no_new_privs: bool,
    /// Whether a seccomp filter may refuse bpf(2), as the default one of containers does.
    pub seccomp: bool,
    /// Where its capabilities and process ids count.
    pub namespaces: Namespaces,
    /// The soft limit of locked memory in bytes; `None` when there is no limit.
    pub memlock_bytes: Option<u64>,
}

impl Privilege {
    /// Reads it from `/proc/self`.
    pub fn read(root: &Root) -> Privilege {
        let status = root.text("/proc/self/status").unwrap_or_default();
        let limits = root.text("/proc/self/limits").unwrap_or_default();
        Privilege {
            namespaces: Namespaces::read(root),
            memlock_bytes: parse_memlock(&limits),
            ..Privilege::parse(&status)
        }
    }

    fn parse(status: &str) -> Privilege {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = |name| field(name).and_then(|text| text.trim().parse::<u32>().ok());
        Privilege {
            capabilities: field("CapEff").and_then(Capabilities::parse).unwrap_or_default(),
            // Real, effective, saved, file system.
            euid: field("Uid")
                .and_then(|text| text.split_whitespace().nth(1)?.parse().ok())
                // Nobody's id: what can't be read isn't taken for root's.
                .unwrap_or(u32::MAX),
            no_new_privs: number("NoNewPrivs") == Some(1),
            seccomp: number("Seccomp") == Some(2),
            ..Privilege::default()
        }
    }

    /// Tells whether a capability is in force and counts for BPF.
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.has(capability) && self.namespaces.user_is_initial != Some(false)
    }

    /// Returns why this process can't record, with a `hint:` line of the ways to let it, or `None` when it can.
    ///
    /// `program` is the path of this executable. The text is meant for the person who typed the command.
    pub fn missing_for_record(&self, program: &Path) -> Option<String> {
        let remedy = self.remedy(program)?;
        Some(format!("{}\nhint: {remedy}", self.lack()?))
    }

    /// Returns what is lacking to record in one clause, or `None` when nothing is.
    pub fn lack(&self) -> Option<String> {
        let missing: Vec<String> =
            NEEDED.iter().filter(|needed| !self.capabilities.has(**needed)).map(Capability::to_string).collect();
        if self.namespaces.user_is_initial == Some(false) {
            return Some(
                "recording needs CAP_BPF and CAP_PERFMON of the machine itself, and those of this user namespace don't count"
                    .to_owned(),
            );
        }
        (!missing.is_empty()).then(|| format!("recording needs {}, which this process lacks", missing.join(" and ")))
    }

    /// Returns the ways to give what is lacking, or `None` when nothing is.
    pub fn remedy(&self, program: &Path) -> Option<String> {
        self.lack()?;
        if self.namespaces.user_is_initial == Some(false) {
            return Some("run it outside the container or user namespace, as root of the machine".to_owned());
        }
        if self.no_new_privs {
            return Some(
                "this shell runs with no_new_privs, under which sudo and setcap have no effect: use another shell, or a container with --cap-add BPF --cap-add PERFMON"
                    .to_owned(),
            );
        }
        let program = program.display();
        Some(format!(
            "one of: `sudo {program} record …`; \
             `sudo setcap cap_bpf,cap_perfmon+ep {program}` once; \
             `sudo systemd-run --pipe --wait --same-dir --uid=$USER -p AmbientCapabilities='CAP_BPF CAP_PERFMON' {program} record …`"
        ))
    }
}

/// Parses the soft limit of locked memory out of `/proc/PID/limits`; `None` when it is unlimited or unknown.
fn parse_memlock(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Privilege;
    use crate::host::capabilities::Capability;
    use crate::host::fixture::Machine;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                          Max cpu time              unlimited            unlimited            seconds   \n\
                          Max locked memory         8388608              8388608              bytes     \n";

    fn process(uid: u32, capabilities: &str, user_namespace: &str, more: &str) -> Privilege {
        let machine = Machine::new();
        machine.file(
            "/proc/self/status",
            format!("Name:\tebrec\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapEff:\t{capabilities}\n{more}"),
        );
        machine.file("/proc/self/limits", LIMITS);
        machine.link("/proc/self/ns/user", user_namespace);
        Privilege::read(&machine.root())
    }

    fn missing(privilege: Privilege) -> Option<String> {
        privilege.missing_for_record(Path::new("/usr/local/bin/ebrec"))
    }

    #[test]
    fn root_may_record() {
        let root = process(0, "000001ffffffffff", "user:[4026531837]", "NoNewPrivs:\t0\nSeccomp:\t0\n");
        assert_eq!(missing(root), None);
        assert_eq!(root.euid, 0);
        assert_eq!(root.memlock_bytes, Some(8 << 20));
        assert!(!root.no_new_privs && !root.seccomp);
    }

    #[test]
    fn a_user_is_told_both_capabilities_and_all_three_ways() {
        let text = missing(process(1000, "0000000000000000", "user:[4026531837]", "")).unwrap();
        let (first, hint) = text.split_once('\n').unwrap();
        assert_eq!(first, "recording needs CAP_BPF and CAP_PERFMON, which this process lacks");
        assert!(hint.starts_with("hint: "));
        assert!(hint.contains("`sudo /usr/local/bin/ebrec record …`"));
        assert!(hint.contains("`sudo setcap cap_bpf,cap_perfmon+ep /usr/local/bin/ebrec`"));
        assert!(hint.contains("-p AmbientCapabilities='CAP_BPF CAP_PERFMON'"));
        assert!(!hint.contains('\n'));
    }

    #[test]
    fn only_the_capability_that_is_missing_is_named() {
        let bpf_only = process(1000, "0000008000000000", "user:[4026531837]", "");
        assert!(missing(bpf_only).unwrap().starts_with("recording needs CAP_PERFMON, which"));
        let both = process(1000, "000000c000000000", "user:[4026531837]", "");
        assert_eq!(missing(both), None);
        let old_style = process(1000, "0000000000200000", "user:[4026531837]", "");
        assert_eq!(missing(old_style), None);
    }

    #[test]
    fn root_of_a_user_namespace_learns_why_its_full_set_does_not_help() {
        let rootless = process(0, "000001ffffffffff", "user:[4026532400]", "");
        let text = missing(rootless).unwrap();
        assert!(text.contains("user namespace"), "{text}");
        assert!(!text.contains("sudo"), "{text}");
        assert!(!rootless.has(Capability::Bpf));
    }

    #[test]
    fn under_no_new_privs_sudo_is_not_advised() {
        let text = missing(process(1000, "0", "user:[4026531837]", "NoNewPrivs:\t1\nSeccomp:\t2\n")).unwrap();
        assert!(text.contains("sudo and setcap have no effect"), "{text}");
    }

    #[test]
    fn a_process_that_cannot_read_about_itself_is_not_taken_for_root() {
        let unknown = Privilege::read(&Machine::new().root());
        assert_ne!(unknown.euid, 0);
        assert!(!unknown.has(Capability::Bpf));
        assert!(missing(unknown).is_some());
    }

    #[test]
    fn unlimited_memory_is_no_limit() {
        let machine =
            Machine::with(&[("/proc/self/limits", "Max locked memory         unlimited   unlimited  bytes\n")]);
        assert_eq!(Privilege::read(&machine.root()).memlock_bytes, None);
    }
}
