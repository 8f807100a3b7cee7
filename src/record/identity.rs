//! What the recorder and the processes around it are called: by the machine, whose ids the kernel's programs and the recording
//! have, and in the PID namespace that the recorder lives in, whose ids `/proc` and the command line have.

use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;

use crate::bpf::pids::Pids;
use crate::failure::Failure;
use crate::host::Host;
use crate::host::process_ids::ProcessIds;
use crate::host::processes::Process;
use crate::host::root::Root;
use crate::record::scope::depth;

/// The recorder's PID namespace.
pub(super) struct Identity {
    /// Translates ids; others learn of new processes by it.
    pub(super) ids: Arc<ProcessIds>,
    /// The machine's id of the recorder.
    pub(super) own_pid: u32,
    /// Control groups between the machine's root and the one that is the root here.
    pub(super) cgroups_above: u32,
    /// The namespace's number and level; 0 and 0 for the machine's own.
    pub(super) namespace: (u32, u32),
    /// The kernel's list of both ids, where they differ.
    list: Option<Pids>,
}

impl Identity {
    /// Finds out; in namespaces of its own, from the kernel.
    ///
    /// # Errors
    /// When the ids here can't be told from the machine's.
    pub(super) fn find(host: &Host) -> Result<Identity> {
        let here = std::process::id();
        let namespaces = &host.privilege.namespaces;
        let (own_pids, own_cgroups) =
            (namespaces.pid_is_initial != Some(true), namespaces.cgroup_is_initial == Some(false));
        let mut identity =
            Identity { ids: Arc::default(), own_pid: here, namespace: (0, 0), cgroups_above: 0, list: None };
        if !own_pids && !own_cgroups {
            return Ok(identity);
        }
        if own_pids && !std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == &*here.to_string()) {
            let problem = "/proc is not of this PID namespace: it has other process ids";
            return Err(Failure::run(problem).hint("mount -t proc proc /proc, as 'unshare --mount-proc' does").into());
        }
        let list = Pids::load().context("can't find the process ids outside of this namespace")?;
        let first = list.read()?.first().copied().context("the kernel lists no process")?;
        if own_cgroups {
            identity.cgroups_above = first.cgroup_level.saturating_sub(own_depth());
        }
        if own_pids {
            let number = namespaces.pid_number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
            identity.ids = Arc::new(ProcessIds::other());
            identity.namespace = (number, first.level);
            identity.list = Some(list);
            identity.look_again()?;
            identity.own_pid = identity.machine(here)?;
        }
        Ok(identity)
    }

    /// Learns of processes that are new.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn look_again(&self) -> Result<()> {
        for pair in self.list.as_ref().map(Pids::read).transpose()?.unwrap_or_default() {
            self.ids.learn(pair.machine, pair.here);
        }
        Ok(())
    }

    /// The machine's id of a process that has this one here.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn machine(&self, here: u32) -> Result<u32> {
        Ok(self.ids.machine(here).ok_or_else(|| Failure::run(format!("there is no process {here}")))?)
    }

    /// Processes as `/proc` has them, with the machine's ids; those that were born since the last look are left out.
    pub(super) fn as_the_machine_has(&self, processes: Vec<Process>) -> Vec<Process> {
        if !self.ids.differ() {
            return processes;
        }
        let machine = |here: i32| i32::try_from(self.ids.machine(u32::try_from(here).ok()?)?).ok();
        let translated = |process: Process| {
            let (pid, ppid) = (machine(process.pid)?, machine(process.ppid).unwrap_or(0));
            Some(Process { pid, ppid, ..process })
        };
        processes.into_iter().filter_map(translated).collect()
    }
}

/// How deep this process's control group of version 2 is below the root that is seen here.
fn own_depth() -> u32 {
    let text = Root::system().text("/proc/self/cgroup").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("0::")).map_or(0, depth)
}
