//! Which namespaces this process lives in: the machine's own, or ones made for it.

use crate::host::root::Root;

/// The inode numbers that the kernel gives to the namespaces it boots with.
///
/// Source: `enum` in `include/linux/proc_ns.h`, unchanged since 3.8 (cgroup since 4.6).
const FIRST: [(&str, u64); 5] =
    [("ipc", 0xEFFF_FFFF), ("uts", 0xEFFF_FFFE), ("user", 0xEFFF_FFFD), ("pid", 0xEFFF_FFFC), ("cgroup", 0xEFFF_FFFB)];

/// Whether this process shares the machine's own namespaces; `None` where that can't be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Whether capabilities count: those of another user namespace are worth nothing to BPF.
    pub user_is_initial: Option<bool>,
    /// Whether process ids are the machine's own: those that BPF sees.
    pub pid_is_initial: Option<bool>,
    /// Whether paths of control groups begin at the machine's root.
    pub cgroup_is_initial: Option<bool>,
    /// The number of this process's PID namespace.
    pub pid_number: Option<u64>,
    /// Whether any namespace that is known by number is not the machine's own.
    pub any_other: Option<bool>,
}

impl Namespaces {
    /// Reads them from `/proc/self/ns` and `/proc/self/uid_map`.
    pub fn read(root: &Root) -> Namespaces {
        let known: Vec<(&str, bool)> =
            FIRST.iter().filter_map(|(kind, first)| Some((*kind, inode(root, kind)? == *first))).collect();
        let initial = |kind: &str| known.iter().find(|(name, _)| *name == kind).map(|(_, initial)| *initial);
        Namespaces {
            user_is_initial: initial("user").or_else(|| maps_everyone(&root.text("/proc/self/uid_map")?)),
            pid_is_initial: initial("pid"),
            cgroup_is_initial: initial("cgroup"),
            pid_number: inode(root, "pid"),
            any_other: (!known.is_empty()).then(|| known.iter().any(|(_, initial)| !initial)),
        }
    }
}

fn inode(root: &Root, kind: &str) -> Option<u64> {
    let link = root.link(format!("/proc/self/ns/{kind}"))?;
    link.to_str()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

/// Tells whether a uid_map is the initial namespace's, which maps every user id to itself.
fn maps_everyone(uid_map: &str) -> Option<bool> {
    let numbers: Vec<u64> = uid_map.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    (!numbers.is_empty()).then(|| numbers == [0, 0, u64::from(u32::MAX)])
}

#[cfg(test)]
mod tests {
    use super::Namespaces;
    use crate::host::fixture::Machine;

    #[test]
    fn the_machines_own_namespaces_are_known_by_their_numbers() {
        let machine = Machine::new();
        machine.link("/proc/self/ns/user", "user:[4026531837]");
        machine.link("/proc/self/ns/pid", "pid:[4026531836]");
        let namespaces = Namespaces::read(&machine.root());
        assert_eq!(namespaces.user_is_initial, Some(true));
        assert_eq!(namespaces.pid_is_initial, Some(true));
        assert_eq!(namespaces.any_other, Some(false));
    }

    #[test]
    fn a_container_is_seen_by_its_other_pid_namespace() {
        let machine = Machine::new();
        machine.link("/proc/self/ns/user", "user:[4026531837]");
        machine.link("/proc/self/ns/pid", "pid:[4026532451]");
        let namespaces = Namespaces::read(&machine.root());
        assert_eq!(namespaces.user_is_initial, Some(true));
        assert_eq!(namespaces.pid_is_initial, Some(false));
        assert_eq!(namespaces.any_other, Some(true));
    }

    #[test]
    fn without_the_links_the_uid_map_tells_a_rootless_container() {
        let machine = Machine::with(&[("/proc/self/uid_map", "         0       1000          1\n")]);
        assert_eq!(Namespaces::read(&machine.root()).user_is_initial, Some(false));
        let machine = Machine::with(&[("/proc/self/uid_map", "         0          0 4294967295\n")]);
        assert_eq!(Namespaces::read(&machine.root()).user_is_initial, Some(true));
    }

    #[test]
    fn what_cannot_be_read_is_not_guessed() {
        assert_eq!(Namespaces::read(&Machine::new().root()), Namespaces::default());
    }
}
