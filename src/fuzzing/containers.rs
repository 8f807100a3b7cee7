//! Containers: what a cgroup's path and a runtime's files say.

use std::path::Path;

use crate::host::container_names;
use crate::host::containers::Container;
use crate::host::root::Root;

/// Where runtimes keep what they know of a container, with `ID` for its id.
const FILES: [&str; 4] = [
    "var/lib/docker/containers/ID/config.v2.json",
    "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
    "run/containers/storage/overlay-containers/ID/userdata/config.json",
    "var/lib/containers/storage/overlay-containers/containers.json",
];

pub(super) fn check(path: &str, said: &[u8], root: &Path) {
    let Some(container) = Container::of_cgroup(path) else { return };
    assert!(!container.to_string().is_empty() && container.id.starts_with(container.short_id()));
    // An id that is no file's name is nobody's, and too long a one can't be one.
    if container.id.contains(['/', '\0']) || container.id.len() > 200 || container.id.starts_with('.') {
        return;
    }
    for file in FILES {
        let file = root.join(file.replace("ID", &container.id));
        let made = file.parent().map(std::fs::create_dir_all);
        if made.is_some_and(|made| made.is_ok()) {
            _ = std::fs::write(file, said);
        }
    }
    _ = container_names::names(&Root::at(root), &container);
}
