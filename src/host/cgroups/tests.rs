use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::CgroupError;
use super::CgroupMount;
use super::Cgroups;
use crate::host::fixture::Machine;
use crate::host::mounts;

const UNIFIED: &str = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
const ID: &str = "3f4c1e0a9b7d5c2e8f6a1b3c5d7e9f0a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d0e";

fn machine(groups: &[&str]) -> Machine {
    let machine = Machine::new();
    for group in groups {
        machine.directory(&format!("/sys/fs/cgroup/{group}"));
    }
    machine.file("/sys/fs/cgroup/cgroup.procs", "");
    machine
}

fn read(machine: &Machine, mountinfo: &str) -> Cgroups {
    let mount = CgroupMount::find(&machine.root(), &mounts::parse(mountinfo.as_bytes())).unwrap();
    Cgroups::read(mount)
}

fn inode(machine: &Machine, path: &str) -> u64 {
    machine.root().path(path).metadata().unwrap().ino()
}

fn top(cgroups: &Cgroups, name: &str) -> Result<String, CgroupError> {
    cgroups.resolve(name).map(|subtree| subtree.top.path)
}

#[test]
fn the_version_2_hierarchy_is_found_in_both_of_its_places() {
    let machine = machine(&["unified/system.slice"]);
    assert_eq!(read(&machine, UNIFIED).mount().point, Path::new("/sys/fs/cgroup"));
    let hybrid = read(&machine, HYBRID);
    assert_eq!(hybrid.mount().point, Path::new("/sys/fs/cgroup/unified"));
    assert_eq!(hybrid.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["/", "/system.slice"]);
}

#[test]
fn a_machine_with_version_1_only_has_none() {
    let old = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
    assert_eq!(CgroupMount::find(&Machine::new().root(), &mounts::parse(old.as_bytes())), None);
}

#[test]
fn a_bound_part_of_the_hierarchy_is_taken_only_where_there_is_no_whole_one() {
    let machine = machine(&["app"]);
    let bound = "50 23 0:28 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let part = read(&machine, bound);
    assert_eq!(part.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["/docker/x", "/docker/x/app"]);
    let app = part.resolve("/docker/x/app").unwrap();
    assert_eq!(app.directory, machine.root().path("/sys/fs/cgroup/app"));
    assert_eq!(top(&part, "/sys/fs/cgroup/app").unwrap(), "/docker/x/app");

    let whole = "51 23 0:28 / /mnt/cgroup rw - cgroup2 cgroup2 rw\n";
    let both = mounts::parse(format!("{bound}{whole}").as_bytes());
    assert_eq!(CgroupMount::find(&machine.root(), &both).unwrap().point, Path::new("/mnt/cgroup"));
}

#[test]
fn numbers_are_the_inodes_of_directories_and_lead_back_to_paths() {
    let machine = machine(&["system.slice/nginx.service"]);
    let cgroups = read(&machine, UNIFIED);
    let id = inode(&machine, "/sys/fs/cgroup/system.slice/nginx.service");
    assert_eq!(cgroups.id("/system.slice/nginx.service"), Some(id));
    assert_eq!(cgroups.path(id), Some("/system.slice/nginx.service"));
    assert_eq!(cgroups.id("/"), Some(inode(&machine, "/sys/fs/cgroup")));
    assert_eq!(cgroups.path(u64::MAX), None);
}

#[test]
fn a_cgroup_may_be_named_in_every_way_people_do() {
    let machine = machine(&["system.slice/nginx.service/workers", "user.slice/user-1000.slice"]);
    let cgroups = read(&machine, UNIFIED);
    let nginx = "/system.slice/nginx.service";
    let number = cgroups.id(nginx).unwrap().to_string();
    for name in [
        nginx,
        "system.slice/nginx.service",
        "/system.slice/nginx.service/",
        "/sys/fs/cgroup/system.slice/nginx.service",
        "nginx.service",
        "nginx",
        &number,
    ] {
        assert_eq!(top(&cgroups, name).as_deref(), Ok(nginx), "{name}");
    }
    assert_eq!(top(&cgroups, "nginx.service/workers").as_deref(), Ok("/system.slice/nginx.service/workers"));
    assert_eq!(top(&cgroups, "/").as_deref(), Ok("/"));
    assert_eq!(top(&cgroups, "/sys/fs/cgroup").as_deref(), Ok("/"));
}

#[test]
fn children_come_along_and_namesakes_do_not() {
    let machine = machine(&["web/a/deep", "web/b", "web-other", "web.slice"]);
    let cgroups = read(&machine, UNIFIED);
    let subtree = cgroups.resolve("/web").unwrap();
    let mut expected: Vec<u64> =
        ["", "/a", "/a/deep", "/b"].iter().map(|part| inode(&machine, &format!("/sys/fs/cgroup/web{part}"))).collect();
    assert_eq!(subtree.ids.first(), expected.first());
    let mut ids = subtree.ids.clone();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!(subtree.directory, machine.root().path("/sys/fs/cgroup/web"));
    let everything = cgroups.resolve("/").unwrap();
    assert_eq!(everything.ids.len(), cgroups.iter().count());
}

#[test]
fn a_mistyped_name_is_answered_with_the_path_that_was_meant() {
    let cgroups = read(&machine(&["system.slice/nginx.service", "system.slice/ssh.service"]), UNIFIED);
    let error = cgroups.resolve("ngnix.service").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no cgroup 'ngnix.service' on this machine\nhint: there is '/system.slice/nginx.service'"
    );
    let error = cgroups.resolve("/completely/elsewhere").unwrap_err();
    assert_eq!(error.to_string(), "no cgroup '/completely/elsewhere' on this machine");
    assert!(cgroups.resolve("").is_err());
}

#[test]
fn a_name_that_several_cgroups_have_is_not_guessed() {
    let cgroups = read(&machine(&["a/worker", "b/worker"]), UNIFIED);
    let error = cgroups.resolve("worker").unwrap_err();
    assert_eq!(error.to_string(), "'worker' is the name of 2 cgroups\nhint: one of '/a/worker', '/b/worker'");
    assert_eq!(top(&cgroups, "b/worker").as_deref(), Ok("/b/worker"));
}

#[test]
fn a_cgroup_that_ended_during_the_recording_keeps_its_path() {
    let machine = machine(&["short-lived"]);
    let mut cgroups = read(&machine, UNIFIED);
    let gone = cgroups.id("/short-lived").unwrap();
    std::fs::remove_dir(machine.root().path("/sys/fs/cgroup/short-lived")).unwrap();
    // Held by its own inode: a new directory may be given the number of the one that is gone.
    machine.directory("/sys/fs/cgroup/new/child");
    cgroups.refresh();
    assert_eq!(cgroups.id("/short-lived"), None);
    assert!(cgroups.id("/new/child").is_some());
    assert!(cgroups.path(gone).is_some());
}

#[test]
fn each_container_is_listed_once_with_its_outermost_cgroup() {
    let scope = format!("machine.slice/libpod-{ID}.scope");
    let cgroups = read(&machine(&[&format!("{scope}/container/init"), "lxc.payload.web"]), UNIFIED);
    let listed: Vec<(String, String)> =
        cgroups.containers().into_iter().map(|(container, cgroup)| (container.to_string(), cgroup.path)).collect();
    assert_eq!(
        listed,
        [
            ("podman:3f4c1e0a9b7d".to_owned(), format!("/{scope}")),
            ("lxc:web".to_owned(), "/lxc.payload.web".to_owned())
        ]
    );
}
