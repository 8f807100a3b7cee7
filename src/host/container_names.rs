//! The names that people gave to containers, from the files in which runtimes keep them.
//!
//! No runtime is asked: that would need its socket, and its time.

use serde_json::Value;

use crate::host::cgroups::Cgroup;
use crate::host::cgroups::CgroupError;
use crate::host::cgroups::Cgroups;
use crate::host::cgroups::Subtree;
use crate::host::containers::Container;
use crate::host::containers::Runtime;
use crate::host::foreign;
use crate::host::root::Root;
use crate::text::nearest;

/// Where containerd keeps each container's specification, below which come a namespace and the id.
const CONTAINERD: [&str; 2] =
    ["/run/containerd/io.containerd.runtime.v2.task", "/run/k3s/containerd/io.containerd.runtime.v2.task"];

/// Bytes of a file about containers: podman's table takes one or two thousand for each. In memory it may take 32 times as much.
const MAX_JSON: usize = 2 << 20;

/// Names of containers in a specification's annotations, after the pod's name where there is one.
const ANNOTATIONS: [(Option<&str>, &str); 3] = [
    (Some("io.kubernetes.cri.sandbox-name"), "io.kubernetes.cri.container-name"),
    (Some("io.kubernetes.pod.name"), "io.kubernetes.container.name"),
    (None, "nerdctl/name"),
];

/// Returns the names of a container, the one to show first; empty when none can be found or read.
///
/// A container of Kubernetes is called `pod/container` and also `container`.
pub fn names(root: &Root, container: &Container) -> Vec<String> {
    let id = &container.id;
    match container.runtime {
        Runtime::Docker => docker(root, id),
        Runtime::Podman => storage(root, id),
        Runtime::Crio => crio(root, id),
        Runtime::Containerd | Runtime::Nerdctl => containerd(root, id),
        Runtime::Kubernetes | Runtime::Unknown => {
            let sources = [containerd, docker, crio, storage];
            sources.into_iter().map(|source| source(root, id)).find(|names| !names.is_empty()).unwrap_or_default()
        }
        Runtime::Lxc | Runtime::Nspawn => vec![id.clone()],
    }
}

/// Returns the container that a person names, with its cgroup and all below it.
///
/// Understood are the whole id, a name, the start of an id, and each of them after the runtime and a colon, as recordings
/// show containers: `docker:3f4c1e0a9b7d`.
pub fn resolve(root: &Root, cgroups: &Cgroups, wanted: &str) -> Result<(Container, Subtree), CgroupError> {
    let known: Vec<(Container, Cgroup, Vec<String>)> = cgroups
        .containers()
        .into_iter()
        .map(|(container, cgroup)| {
            let names = names(root, &container);
            (container, cgroup, names)
        })
        .collect();
    for rule in [is_its_id, is_its_name, is_the_start_of_its_id] {
        let fits = |(container, _, names): &&(Container, Cgroup, Vec<String>)| {
            let rest = wanted.strip_prefix(container.runtime.name()).and_then(|rest| rest.strip_prefix(':'));
            rule(rest.unwrap_or(wanted), container, names)
        };
        let matches: Vec<_> = known.iter().filter(fits).collect();
        match matches.as_slice() {
            [] => {}
            [(container, cgroup, _)] => {
                let Some(subtree) = cgroups.subtree(&cgroup.path) else { break };
                return Ok((container.clone(), subtree));
            }
            several => {
                return Err(CgroupError::Ambiguous {
                    what: "container",
                    name: wanted.to_owned(),
                    matches: several.iter().take(5).map(|(container, _, names)| shown(container, names)).collect(),
                });
            }
        }
    }
    let candidates =
        known.iter().flat_map(|(container, _, names)| names.iter().map(String::as_str).chain([container.short_id()]));
    let near = nearest(wanted, candidates).into_iter().map(str::to_owned).collect();
    Err(CgroupError::NotFound { what: "container", name: wanted.to_owned(), near })
}

fn is_its_id(wanted: &str, container: &Container, _: &[String]) -> bool {
    container.id == wanted
}

fn is_its_name(wanted: &str, _: &Container, names: &[String]) -> bool {
    names.iter().any(|name| name == wanted)
}

fn is_the_start_of_its_id(wanted: &str, container: &Container, _: &[String]) -> bool {
    !wanted.is_empty() && container.id.starts_with(wanted)
}

/// The text that finds just this container, with the name by which a person knows it where that isn't the id itself.
fn shown(container: &Container, names: &[String]) -> String {
    match names.first() {
        Some(name) if *name != container.id => format!("{container} ({name})"),
        _ => container.to_string(),
    }
}

fn json(root: &Root, path: &str) -> Option<Value> {
    serde_json::from_slice(&foreign::read(&root.path(path), MAX_JSON).ok()?).ok()
}

fn docker(root: &Root, id: &str) -> Vec<String> {
    let Some(config) = json(root, &format!("/var/lib/docker/containers/{id}/config.v2.json")) else {
        return Vec::new();
    };
    let own = config.get("Name").and_then(Value::as_str).map(|name| name.trim_start_matches('/').to_owned());
    let labels = config.get("Config").and_then(|config| config.get("Labels"));
    let mut names = labels.map(annotated).unwrap_or_default();
    names.extend(own.filter(|name| !name.is_empty()));
    names
}

fn containerd(root: &Root, id: &str) -> Vec<String> {
    let namespaces = CONTAINERD.iter().flat_map(|base| {
        root.names(base).into_iter().map(move |namespace| format!("{base}/{namespace}/{id}/config.json"))
    });
    namespaces.filter_map(|path| specification(root, &path)).next().unwrap_or_default()
}

fn crio(root: &Root, id: &str) -> Vec<String> {
    let path = format!("/run/containers/storage/overlay-containers/{id}/userdata/config.json");
    specification(root, &path).unwrap_or_default()
}

fn specification(root: &Root, path: &str) -> Option<Vec<String>> {
    Some(json(root, path)?.get("annotations").map(annotated).unwrap_or_default())
}

fn annotated(annotations: &Value) -> Vec<String> {
    let value = |key: &str| annotations.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut names = Vec::new();
    for (pod, container) in ANNOTATIONS {
        let Some(name) = value(container) else { continue };
        names.extend(pod.and_then(value).map(|pod| format!("{pod}/{name}")));
        names.push(name.to_owned());
    }
    names
}

/// The table that podman keeps, root's first and then each user's.
fn storage(root: &Root, id: &str) -> Vec<String> {
    let table = "containers/storage/overlay-containers/containers.json";
    let users = root.names("/home").into_iter().map(|user| format!("/home/{user}/.local/share/{table}"));
    let tables = [format!("/var/lib/{table}")].into_iter().chain(users);
    let entry = |path: String| {
        let table = json(root, &path)?;
        let entry = table.as_array()?.iter().find(|entry| entry.get("id").and_then(Value::as_str) == Some(id))?;
        let names = entry.get("names")?.as_array()?.iter().filter_map(Value::as_str);
        Some(names.map(str::to_owned).collect())
    };
    tables.filter_map(entry).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
