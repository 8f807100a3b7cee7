//! Containers, recognised by the paths of their cgroups.

use std::fmt;

/// Who made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// Podman, or anything else built on libpod.
    Podman,
    /// containerd, asked by Kubernetes.
    Containerd,
    /// CRI-O.
    Crio,
    /// containerd, asked by nerdctl.
    Nerdctl,
    /// Kubernetes with cgroups made without systemd, which doesn't show the runtime.
    Kubernetes,
    /// LXC or Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// One whose cgroup has the name of a container and shows no more.
    Unknown,
}

impl Runtime {
    /// Returns the name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Containerd => "containerd",
            Runtime::Crio => "crio",
            Runtime::Nerdctl => "nerdctl",
            Runtime::Kubernetes => "kubernetes",
            Runtime::Lxc => "lxc",
            Runtime::Nspawn => "nspawn",
            Runtime::Unknown => "container",
        }
    }
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    /// Who made it.
    pub runtime: Runtime,
    /// The 64 hexadecimal digits of its id; for LXC and nspawn its name.
    pub id: String,
}

impl Container {
    /// Returns the container that a cgroup belongs to: the innermost, where they nest.
    ///
    /// `path` is the cgroup's path from the hierarchy's root, such as `/system.slice/docker-<id>.scope`.
    pub fn of_cgroup(path: &str) -> Option<Container> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        (0..parts.len()).rev().find_map(|end| {
            let (part, parents) = parts.get(..=end)?.split_last()?;
            recognise(part, parents)
        })
    }

    /// Returns the id as runtimes print it: the first 12 characters of 64 digits, or the whole name.
    pub fn short_id(&self) -> &str {
        match self.runtime {
            Runtime::Lxc | Runtime::Nspawn => &self.id,
            _ => self.id.get(..12).unwrap_or(&self.id),
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.runtime.name(), self.short_id())
    }
}

/// Prefixes of cgroups that systemd makes for a runtime; before the id, after which comes `.scope`.
const SCOPES: [(&str, Runtime); 6] = [
    ("docker-", Runtime::Docker),
    ("libpod-", Runtime::Podman),
    ("cri-containerd-", Runtime::Containerd),
    ("crio-", Runtime::Crio),
    ("nerdctl-", Runtime::Nerdctl),
    ("buildkit-", Runtime::Docker),
];

fn recognise(part: &str, parents: &[&str]) -> Option<Container> {
    let container = |runtime, id: &str| Some(Container { runtime, id: id.to_owned() });
    // A misconfigured containerd leaves the three parts of systemd's name in one: slice:cri-containerd:id.
    let joined = part.rsplit_once(':').map(|(kind, id)| format!("{}-{id}", kind.rsplit(':').next().unwrap_or(kind)));
    let name = joined.as_deref().unwrap_or(part);
    let name = name.strip_suffix(".scope").unwrap_or(name);
    for (prefix, runtime) in SCOPES {
        // libpod-conmon-<id> and crio-conmon-<id> are the monitors beside the containers.
        if let Some(id) = name.strip_prefix(prefix).filter(|id| is_id(id)) {
            return container(runtime, id);
        }
    }
    if let Some(machine) = name.strip_prefix("machine-").filter(|_| part.ends_with(".scope")) {
        return machine_of_systemd(&unescape(machine));
    }
    if let Some(name) = part.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service")) {
        return container(Runtime::Nspawn, &unescape(name));
    }
    if let Some(name) = part.strip_prefix("lxc.payload.").filter(|name| !name.is_empty()) {
        return container(Runtime::Lxc, name);
    }
    let parent = parents.last().copied();
    if matches!(parent, Some("lxc" | "lxc.payload")) {
        return container(Runtime::Lxc, part);
    }
    if is_id(part) {
        let runtime = match parent {
            Some("docker" | "actions_job") => Runtime::Docker,
            _ if parents.iter().any(|part| part.starts_with("kubepods")) => Runtime::Kubernetes,
            _ => Runtime::Unknown,
        };
        return container(runtime, part);
    }
    None
}

/// systemd registers virtual machines and containers of libvirt under the same kind of name.
fn machine_of_systemd(name: &str) -> Option<Container> {
    if name.starts_with("qemu-") {
        return None;
    }
    let lxc = name.strip_prefix("lxc-").and_then(|rest| rest.split_once('-'));
    let (runtime, id) = match lxc {
        // lxc-<number>-<name>
        Some((number, name)) if number.bytes().all(|byte| byte.is_ascii_digit()) => (Runtime::Lxc, name),
        _ => (Runtime::Nspawn, name),
    };
    (!id.is_empty()).then(|| Container { runtime, id: id.to_owned() })
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Undoes systemd's escapes in unit names, `\x2d` for a dash.
fn unescape(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii);
        match (code, part.get(2..)) {
            (Some(code), Some(rest)) => {
                text.push(char::from(code));
                text.push_str(rest);
            }
            _ => {
                text.push_str("\\x");
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::Container;

    const ID: &str = "3f4c1e0a9b7d5c2e8f6a1b3c5d7e9f0a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d0e";
    const POD: &str = "kubepods-burstable-pod0d3ad1b0_6c0a_4b7e_9d43_9ad3f3a0c8b1.slice";

    fn found(path: &str) -> Option<String> {
        Container::of_cgroup(&path.replace("ID", ID).replace("POD", POD)).map(|container| container.to_string())
    }

    #[test]
    fn each_runtimes_cgroups_are_recognised() {
        for (path, expected) in [
            ("/system.slice/docker-ID.scope", "docker:3f4c1e0a9b7d"),
            ("/docker/ID", "docker:3f4c1e0a9b7d"),
            ("/actions_job/ID", "docker:3f4c1e0a9b7d"),
            ("/machine.slice/libpod-ID.scope/container", "podman:3f4c1e0a9b7d"),
            ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", "podman:3f4c1e0a9b7d"),
            ("/libpod_parent/libpod-ID", "podman:3f4c1e0a9b7d"),
            ("/kubepods.slice/kubepods-burstable.slice/POD/cri-containerd-ID.scope", "containerd:3f4c1e0a9b7d"),
            ("/kubepods.slice/kubepods-burstable.slice/POD/crio-ID.scope", "crio:3f4c1e0a9b7d"),
            ("/kubepods.slice/kubepods-burstable.slice/POD/docker-ID.scope", "docker:3f4c1e0a9b7d"),
            ("/system.slice/POD:cri-containerd:ID", "containerd:3f4c1e0a9b7d"),
            ("/kubepods/besteffort/pod0d3ad1b0-6c0a-4b7e-9d43-9ad3f3a0c8b1/ID", "kubernetes:3f4c1e0a9b7d"),
            ("/system.slice/nerdctl-ID.scope", "nerdctl:3f4c1e0a9b7d"),
            ("/ecs/8d9c7a5e/ID", "container:3f4c1e0a9b7d"),
            ("/lxc.payload.web/system.slice/nginx.service", "lxc:web"),
            ("/lxc/101/ns/init.scope", "lxc:101"),
            (r"/machine.slice/machine-my\x2dbox.scope/payload", "nspawn:my-box"),
            (r"/machine.slice/machine-lxc\x2d812\x2dweb\x2done.scope", "lxc:web-one"),
            ("/machine.slice/systemd-nspawn@web.service/payload/init.scope", "nspawn:web"),
        ] {
            assert_eq!(found(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn services_sessions_monitors_and_virtual_machines_are_no_containers() {
        for path in [
            "/",
            "",
            "/init.scope",
            "/system.slice/nginx.service",
            "/system.slice/docker.service",
            "/system.slice/docker-cleanup.scope",
            "/user.slice/user-1000.slice/session-3.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/kubepods-burstable.slice/POD",
            "/kubepods.slice/POD/crio-conmon-ID.scope",
            "/lxc.monitor.web",
            "/lxc",
            r"/machine.slice/machine-qemu\x2d1\x2ddebian.scope/libvirt/emulator",
            "/system.slice/3f4c1e0a9b7d",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn the_innermost_of_nested_containers_counts() {
        let inner = ID.replace('3', "9");
        let path = format!("/docker/ID/kubelet/kubepods/besteffort/poddead/{inner}");
        assert_eq!(found(&path).as_deref(), Some("kubernetes:9f4c1e0a9b7d"));
    }

    #[test]
    fn hostile_names_do_no_harm() {
        for path in [r"/machine-\x.scope", r"/machine-\xff\xzz€.scope", "/docker-\u{20ac}.scope", "/:", "/::/a:"] {
            let _ = found(path);
        }
        assert_eq!(found(r"/machine.slice/machine-a\xzz.scope").as_deref(), Some(r"nspawn:a\xzz"));
    }

    proptest! {
        #[test]
        fn no_path_at_all_makes_it_panic(path in r"(/|docker-|machine-|lxc|:|\\x|\.scope|[0-9a-f]{64}|\PC){0,12}") {
            if let Some(container) = Container::of_cgroup(&path) {
                assert!(!container.id.is_empty());
                container.to_string();
            }
        }
    }
}
