//! What a process belongs to by the path of its cgroup: a unit of systemd, a pod of Kubernetes.

/// Endings of units that have processes.
const UNITS: [&str; 2] = [".service", ".scope"];

/// The innermost unit of systemd that a cgroup belongs to, such as `web.service`; none for a container's own, which says no more than
/// its id.
pub fn unit(path: &str) -> Option<&str> {
    let is_unit = |part: &&str| UNITS.iter().any(|ending| part.len() > ending.len() && part.ends_with(ending));
    path.rsplit('/').find(is_unit).filter(|unit| !is_container(unit))
}

/// Whether a scope has the 64 hexadecimal digits that containers have.
fn is_container(unit: &str) -> bool {
    let name = unit.rsplit_once('.').map_or(unit, |(name, _)| name);
    let digits = name.rsplit(['-', ':']).next().unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The UID of the pod that a cgroup belongs to, by either of the names that the kubelet gives: `/kubepods/burstable/pod<uid>`, or
/// `kubepods-burstable-pod<uid>.slice`, in which the dashes of the UID are underscores.
pub fn pod(path: &str) -> Option<String> {
    path.split('/').filter(|part| path.contains("kubepods") && part.contains("pod")).find_map(|part| {
        let name = part.strip_suffix(".slice").unwrap_or(part);
        let uid = name.rsplit_once("pod")?.1.replace('_', "-");
        let is_uid = uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_uid.then_some(uid)
    })
}

#[cfg(test)]
mod tests {
    use super::pod;
    use super::unit;

    #[test]
    fn a_process_belongs_to_the_innermost_unit() {
        for (path, expected) in [
            ("/system.slice/web.service", Some("web.service")),
            ("/system.slice/web.service/workers/3", Some("web.service")),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope", Some("app-x.scope")),
            ("/user.slice/user-1000.slice/session-3.scope", Some("session-3.scope")),
            ("/system.slice", None),
            ("/.service", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(unit(path), expected, "{path}");
        }
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(unit(&format!("/system.slice/docker-{id}.scope")), None);
        assert_eq!(unit(&format!("/kubepods.slice/cri-containerd-{id}.scope")), None);
    }

    #[test]
    fn a_pod_is_known_by_its_uid_however_its_cgroup_is_written() {
        let uid = "2b5c7e9a-6a0f-4a39-9a3e-6d6a2b7c8d9e";
        let escaped = uid.replace('-', "_");
        assert_eq!(pod(&format!("/kubepods/burstable/pod{uid}/0123")).as_deref(), Some(uid));
        let slice = format!("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{escaped}.slice/x.scope");
        assert_eq!(pod(&slice).as_deref(), Some(uid));
        assert_eq!(pod("/system.slice/podman.service"), None);
        assert_eq!(pod("/kubepods.slice/kubepods-burstable.slice"), None);
    }
}
