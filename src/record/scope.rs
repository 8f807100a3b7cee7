//! From the filters of the command line to what the kernel compares, and the processes that match at the start.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Result;

use crate::bpf::rings::SharedMaps;
use crate::bpf::scope::MATCHED_COMM;
use crate::bpf::scope::MATCHED_PID;
use crate::bpf::scope::MAX_FILTERS;
use crate::failure::Failure;
use crate::host::cgroups::CgroupError;
use crate::host::cgroups::Cgroups;
use crate::host::container_names;
use crate::host::processes::Process;
use crate::host::root::Root;
use crate::probe::CgroupScope;
use crate::probe::Scope;
use crate::probes::settings::task_filters;
use crate::record::plan::Filters;
use crate::record::plan::User;

/// Looks the filters up on this machine.
///
/// # Errors
/// A name that is not known here, or more of one sort than the kernel side compares.
pub(super) fn resolve(filters: &Filters, cgroups: Option<&Cgroups>) -> Result<Scope> {
    for comm in &filters.comms {
        if comm.len() > 15 {
            let problem = format!("no process can be named '{comm}': the kernel keeps 15 bytes of a name");
            return Err(Failure::usage(problem).hint(format!("try --comm '{}'", short(comm))).into());
        }
    }
    for pid in &filters.pids {
        if !fs::exists(format!("/proc/{pid}")).unwrap_or(true) {
            return Err(Failure::run(format!("there is no process {pid}")).into());
        }
        // /proc has directories of threads too, which it doesn't list.
        if let Some(process) = process_of_thread(*pid).filter(|process| process != pid) {
            let problem = format!("{pid} is a thread of process {process}");
            return Err(Failure::run(problem).hint(format!("try --pid {process}")).into());
        }
    }
    let scope = Scope {
        pids: filters.pids.clone(),
        comms: filters.comms.clone(),
        uids: filters.users.iter().map(uid).collect::<Result<Vec<_>>>()?,
        cgroups: control_groups(filters, cgroups)?,
        follow: filters.follow,
    };
    for (sort, count) in [("names", scope.comms.len()), ("users", scope.uids.len()), ("cgroups", scope.cgroups.len())] {
        if count > MAX_FILTERS {
            return Err(Failure::usage(format!(
                "{count} {sort} are more than the {MAX_FILTERS} that can be filtered by"
            ))
            .into());
        }
    }
    Ok(scope)
}

/// The process of a thread; `None` where that can't be read.
fn process_of_thread(tid: u32) -> Option<u32> {
    let status = Root::system().text(format!("/proc/{tid}/status"))?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// The first 15 bytes, as the kernel would keep them.
fn short(comm: &str) -> &str {
    let end = (0..=15).rev().find(|end| comm.is_char_boundary(*end)).unwrap_or(0);
    &comm[..end]
}

fn uid(user: &User) -> Result<u32> {
    match user {
        User::Id(id) => Ok(*id),
        User::Name(name) => {
            let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
            let entry = passwd.lines().find_map(|line| line.strip_prefix(name.as_str())?.strip_prefix(':'));
            let id = entry.and_then(|rest| rest.split(':').nth(1)).and_then(|id| id.parse().ok());
            let unknown = || Failure::run(format!("there is no user '{name}'")).hint("give the number: --uid 1000");
            Ok(id.ok_or_else(unknown)?)
        }
    }
}

fn control_groups(filters: &Filters, cgroups: Option<&Cgroups>) -> Result<Vec<CgroupScope>> {
    if filters.cgroups.is_empty() && filters.containers.is_empty() {
        return Ok(Vec::new());
    }
    let Some(cgroups) = cgroups else {
        let problem = "this machine has no cgroup v2 hierarchy to filter by";
        return Err(Failure::run(problem).hint("sudo mount -t cgroup2 none /sys/fs/cgroup/unified").into());
    };
    let root = Root::system();
    let mut found = Vec::new();
    for name in &filters.cgroups {
        let subtree =
            cgroups.resolve(name).map_err(|error| of_version_1(name).unwrap_or(Failure::from_error(&error)))?;
        found.push(CgroupScope { id: subtree.top.id, level: depth(&subtree.top.path) });
    }
    for name in &filters.containers {
        let (_, subtree) =
            container_names::resolve(&root, cgroups, name).map_err(|error| unknown_container(name, &error))?;
        found.push(CgroupScope { id: subtree.top.id, level: depth(&subtree.top.path) });
    }
    Ok(found)
}

/// Where control groups of both versions are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What to do about a control group of version 1, by its path or what follows its controller's: only those have a file `tasks`.
fn of_version_1(name: &str) -> Option<Failure> {
    let relative = name.trim_start_matches('/');
    let controllers = Root::system().names(CGROUPS).into_iter().map(|controller| format!("{CGROUPS}/{controller}"));
    let places = [PathBuf::from(name), Path::new(CGROUPS).join(relative)];
    let path = places.into_iter().chain(controllers.map(|top| Path::new(&top).join(relative)));
    let path = path.filter(|path| path.is_absolute()).find(|path| path.join("tasks").exists())?;
    let problem = format!("'{}' is a version 1 cgroup, which BPF programs can't filter by", path.display());
    Some(Failure::run(problem).hint(format!("try --pid \"$(paste -sd, '{}/cgroup.procs')\"", path.display())))
}

/// What to do about a name that no runtime's files have.
fn unknown_container(name: &str, error: &CgroupError) -> Failure {
    let failure = Failure::from_error(error);
    match error {
        CgroupError::NotFound { near, .. } if near.is_empty() => {
            let pid = format!("$(docker inspect -f '{{{{.State.Pid}}}}' '{name}')");
            failure.hint(format!("give its id, or try --pid \"{pid}\" (podman likewise)"))
        }
        _ => failure,
    }
}

/// The root's depth is 0.
pub(super) fn depth(path: &str) -> u32 {
    path.split('/').filter(|part| !part.is_empty()).count() as u32
}

/// Puts the processes that match now in the kernel's scope; those that start later are put there by the kernel.
///
/// # Errors
/// When the kernel's map is full.
pub(super) fn seed(scope: &Scope, processes: &[Process], maps: &SharedMaps) -> Result<()> {
    if task_filters(scope) == 0 {
        return Ok(());
    }
    for (pid, matched) in matching(scope, processes) {
        maps.put_in_scope(pid, matched)?;
    }
    Ok(())
}

/// Whether a process that lives at the start is one that the recording is about.
pub(super) fn contains(scope: &Scope, processes: &[Process], cgroups: Option<&Cgroups>) -> Vec<bool> {
    let needed = task_filters(scope);
    let matched: HashMap<u32, u8> = matching(scope, processes).into_iter().collect();
    let in_cgroup = |process: &Process| {
        let path = process.cgroup_id.zip(cgroups).and_then(|(id, cgroups)| cgroups.path(id));
        scope.cgroups.is_empty()
            || path.is_some_and(|path| {
                let top = |id| cgroups.and_then(|cgroups| cgroups.path(id));
                scope.cgroups.iter().filter_map(|cgroup| top(cgroup.id)).any(|top| is_below(path, top))
            })
    };
    processes
        .iter()
        .map(|process| {
            let own = u32::try_from(process.pid).ok().and_then(|pid| matched.get(&pid)).copied().unwrap_or(0);
            own & needed == needed && (scope.uids.is_empty() || scope.uids.contains(&process.uid)) && in_cgroup(process)
        })
        .collect()
}

fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The processes that match --pid or --comm, or descend from one that does.
fn matching(scope: &Scope, processes: &[Process]) -> Vec<(u32, u8)> {
    let by_pid: HashMap<i32, &Process> = processes.iter().map(|process| (process.pid, process)).collect();
    let own = |process: &Process| {
        let pid = u32::try_from(process.pid).is_ok_and(|pid| scope.pids.contains(&pid));
        let comm = scope.comms.contains(&process.comm);
        (u8::from(pid) * MATCHED_PID) | (u8::from(comm) * MATCHED_COMM)
    };
    let mut found = Vec::new();
    for process in processes {
        let mut matched = own(process);
        let mut ancestor = process;
        // A parent chain ends at a process without one; the bound is for a table that was read while it changed.
        for _ in 0..processes.len() {
            let Some(parent) = by_pid.get(&ancestor.ppid).filter(|_| scope.follow) else { break };
            matched |= own(parent);
            ancestor = parent;
        }
        if let (Ok(pid), true) = (u32::try_from(process.pid), matched != 0) {
            found.push((pid, matched));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::MATCHED_COMM;
    use super::MATCHED_PID;
    use super::contains;
    use super::depth;
    use super::is_below;
    use super::matching;
    use super::short;
    use crate::host::processes::Process;
    use crate::probe::Scope;

    fn process(pid: i32, ppid: i32, comm: &str) -> Process {
        Process {
            pid,
            ppid,
            ns_pid: pid,
            comm: comm.to_owned(),
            uid: 0,
            cgroup_id: None,
            container: None,
            unit: None,
            pod: None,
            argv: Vec::new(),
            argv_cut: false,
            argv_unread: false,
            exe: None,
            start_boot_ns: 0,
            threads: 1,
            is_kernel: false,
        }
    }

    #[test]
    fn children_that_live_already_are_in_scope_unless_told_otherwise() {
        let processes = [process(1, 0, "init"), process(5, 1, "nginx"), process(6, 5, "worker"), process(7, 1, "sh")];
        let mut scope = Scope { pids: vec![5], comms: vec!["nginx".into()], follow: true, ..Scope::default() };
        assert_eq!(matching(&scope, &processes), [(5, MATCHED_PID | MATCHED_COMM), (6, MATCHED_PID | MATCHED_COMM)]);
        scope.follow = false;
        assert_eq!(matching(&scope, &processes), [(5, MATCHED_PID | MATCHED_COMM)]);
    }

    #[test]
    fn a_table_in_which_parents_form_a_circle_ends() {
        let processes = [process(5, 6, "a"), process(6, 5, "b")];
        let scope = Scope { pids: vec![5], follow: true, ..Scope::default() };
        assert_eq!(matching(&scope, &processes).len(), 2);
    }

    #[test]
    fn only_processes_in_scope_are_written() {
        let processes = [process(1, 0, "init"), process(5, 1, "nginx"), process(6, 5, "worker")];
        let scope = Scope { comms: vec!["nginx".into()], follow: true, ..Scope::default() };
        assert_eq!(contains(&scope, &processes, None), [false, true, true]);
        assert_eq!(contains(&Scope::default(), &processes, None), [true, true, true]);
        let scope = Scope { uids: vec![33], ..Scope::default() };
        assert_eq!(contains(&scope, &processes, None), [false, false, false]);
    }

    #[test]
    fn a_cgroup_is_not_below_one_whose_name_it_begins_with() {
        assert!(is_below("/a/b", "/a"));
        assert!(is_below("/a", "/"));
        assert!(!is_below("/ab", "/a"));
    }

    #[test]
    fn the_depth_of_a_cgroup_is_counted_from_the_root() {
        assert_eq!(depth("/"), 0);
        assert_eq!(depth("/system.slice/nginx.service"), 2);
    }

    #[test]
    fn a_long_name_is_shortened_at_a_character() {
        assert_eq!(short("abcdefghijklmnopq"), "abcdefghijklmno");
        assert_eq!(short("abcdefghijklmnéx"), "abcdefghijklmn");
    }
}
