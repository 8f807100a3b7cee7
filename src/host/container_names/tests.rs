use super::names;
use super::resolve;
use crate::host::cgroups::CgroupMount;
use crate::host::cgroups::Cgroups;
use crate::host::containers::Container;
use crate::host::containers::Runtime;
use crate::host::fixture::Machine;
use crate::host::mounts;

const WEB: &str = "3f4c1e0a9b7d5c2e8f6a1b3c5d7e9f0a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d0e";
const DB: &str = "3f9a000000000000000000000000000000000000000000000000000000000001";

fn named(machine: &Machine, runtime: Runtime) -> Vec<String> {
    names(&machine.root(), &Container { runtime, id: WEB.to_owned() })
}

fn docker_machine() -> Machine {
    let machine = Machine::new();
    for (id, name) in [(WEB, "/web"), (DB, "/shop-db-1")] {
        machine.directory(&format!("/sys/fs/cgroup/system.slice/docker-{id}.scope/inner"));
        machine.file(
            &format!("/var/lib/docker/containers/{id}/config.v2.json"),
            format!(r#"{{"ID":"{id}","Name":"{name}","Config":{{"Labels":{{"com.example":"x"}}}}}}"#),
        );
    }
    machine
}

fn wanted(machine: &Machine, name: &str) -> Result<String, String> {
    let mounts = mounts::parse(b"31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    let cgroups = Cgroups::read(CgroupMount::find(&machine.root(), &mounts).unwrap());
    resolve(&machine.root(), &cgroups, name)
        .map(|(container, subtree)| {
            assert_eq!(subtree.ids.len(), 2);
            assert!(subtree.top.path.ends_with(".scope"));
            container.id
        })
        .map_err(|error| error.to_string())
}

#[test]
fn docker_tells_a_name_and_the_labels_of_kubernetes() {
    assert_eq!(named(&docker_machine(), Runtime::Docker), ["web"]);
    let machine = Machine::new();
    machine.file(
        &format!("/var/lib/docker/containers/{WEB}/config.v2.json"),
        r#"{"Name":"/k8s_api_shop-1","Config":{"Labels":
            {"io.kubernetes.container.name":"api","io.kubernetes.pod.name":"shop-1"}}}"#,
    );
    assert_eq!(named(&machine, Runtime::Docker), ["shop-1/api", "api", "k8s_api_shop-1"]);
}

#[test]
fn containerd_keeps_names_in_annotations() {
    let machine = Machine::new();
    machine.file(
        &format!("/run/containerd/io.containerd.runtime.v2.task/k8s.io/{WEB}/config.json"),
        r#"{"ociVersion":"1.1.0","annotations":
            {"io.kubernetes.cri.container-name":"api","io.kubernetes.cri.sandbox-name":"shop-1"}}"#,
    );
    assert_eq!(named(&machine, Runtime::Containerd), ["shop-1/api", "api"]);
    // Without systemd the cgroup does not show which runtime it was.
    assert_eq!(named(&machine, Runtime::Kubernetes), ["shop-1/api", "api"]);
}

#[test]
fn podman_and_crio_keep_them_in_their_storage() {
    let machine = Machine::new();
    machine.file(
        "/home/alice/.local/share/containers/storage/overlay-containers/containers.json",
        format!(r#"[{{"id":"{DB}","names":["db"]}},{{"id":"{WEB}","names":["web","also-web"]}}]"#),
    );
    assert_eq!(named(&machine, Runtime::Podman), ["web", "also-web"]);
    machine.file(
        &format!("/run/containers/storage/overlay-containers/{WEB}/userdata/config.json"),
        r#"{"annotations":{"io.kubernetes.container.name":"api","io.kubernetes.pod.name":"shop-2"}}"#,
    );
    assert_eq!(named(&machine, Runtime::Crio), ["shop-2/api", "api"]);
}

#[test]
fn files_that_are_missing_or_broken_only_cost_the_name() {
    let machine = Machine::new();
    assert_eq!(named(&machine, Runtime::Unknown), Vec::<String>::new());
    machine.file(&format!("/var/lib/docker/containers/{WEB}/config.v2.json"), "{\"Name\":");
    assert_eq!(named(&machine, Runtime::Docker), Vec::<String>::new());
    machine.file(&format!("/var/lib/docker/containers/{WEB}/config.v2.json"), "[1,2]");
    assert_eq!(named(&machine, Runtime::Docker), Vec::<String>::new());
}

#[test]
fn a_container_may_be_named_by_name_by_id_and_as_recordings_show_it() {
    let machine = docker_machine();
    for name in ["web", WEB, "3f4c", "docker:web", "docker:3f4c1e0a9b7d"] {
        assert_eq!(wanted(&machine, name).as_deref(), Ok(WEB), "{name}");
    }
}

#[test]
fn a_start_that_two_ids_share_is_not_guessed() {
    assert_eq!(
        wanted(&docker_machine(), "3f").unwrap_err(),
        "'3f' is the name of 2 containers\nhint: one of 'docker:3f4c1e0a9b7d (web)', 'docker:3f9a00000000 (shop-db-1)'"
    );
}

#[test]
fn a_name_that_looks_like_the_start_of_another_id_is_still_a_name() {
    let machine = docker_machine();
    machine.file(&format!("/var/lib/docker/containers/{DB}/config.v2.json"), r#"{"Name":"/3f4c"}"#);
    assert_eq!(wanted(&machine, "3f4c").as_deref(), Ok(DB));
}

#[test]
fn a_mistyped_container_is_answered_with_the_nearest() {
    assert_eq!(
        wanted(&docker_machine(), "shop-bd-1").unwrap_err(),
        "no container 'shop-bd-1' on this machine\nhint: there is 'shop-db-1'"
    );
    assert_eq!(wanted(&docker_machine(), "").unwrap_err(), "no container '' on this machine");
}
