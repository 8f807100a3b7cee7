//! The processes of a recording: those that live at its start, and those that appear.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::bpf::scope::Heard;
use crate::host::cgroups::Cgroups;
use crate::host::clocks::ClockReading;
use crate::host::process_ids::ProcessIds;
use crate::host::processes::Process;
use crate::probe::names::Names;
use crate::recording::Rows;
use crate::recording::column;
use crate::text::shell_words;

/// What /proc/PID/stat tells a process's start by: the user's clock tick, 100 a second on every architecture that is supported.
const TICK_NS: u64 = 10_000_000;

/// What is known of processes that the file does not have yet, and the names of all.
#[derive(Debug, Default)]
pub(super) struct Processes {
    names: Names,
    /// By process id and start.
    fresh: HashMap<(u32, u64), Fresh>,
    /// The starts of the processes that lived at the beginning.
    living: HashMap<u32, u64>,
    /// What each process is called here.
    ids: Arc<ProcessIds>,
}

/// A process that the file does not have yet, or not with its last name.
#[derive(Debug)]
struct Fresh {
    /// What was heard of it, with its last name and user.
    heard: Heard,
    /// Since when it has them.
    named_ns: u64,
}

impl Processes {
    /// Empty; what is heard of ids is told to others by `ids`.
    pub(super) fn new(ids: Arc<ProcessIds>) -> Processes {
        Processes { ids, ..Processes::default() }
    }

    /// Names by process id and time.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Forgets the names that no row needs which is made from now on.
    pub(super) fn forget_names_before(&mut self, ns: u64) {
        self.names.forget_before(ns);
    }

    /// Takes what the kernel said of a process. The records of several CPUs may come out of order by a little.
    pub(super) fn hear(&mut self, mut heard: Heard) {
        if heard.here_pid != 0 {
            self.ids.learn(heard.pid, heard.here_pid);
        }
        // /proc told of it first, to a tick.
        let told = self.living.get(&heard.pid).filter(|start| (**start..**start + TICK_NS).contains(&heard.born_ns));
        heard.born_ns = told.copied().unwrap_or(heard.born_ns);
        self.names.set(heard.pid, heard.born_ns, heard.ts, &comm_text(&heard.comm));
        let named_ns = heard.ts;
        match self.fresh.entry((heard.pid, heard.born_ns)) {
            Entry::Vacant(place) => {
                place.insert(Fresh { heard, named_ns });
            }
            // A child that was born and then named is one new process, born when it was.
            Entry::Occupied(place) => {
                let Fresh { heard: known, named_ns: since } = place.into_mut();
                known.ts = known.ts.min(heard.ts);
                known.is_birth |= heard.is_birth;
                if named_ns >= *since {
                    (known.comm, known.uid, *since) = (heard.comm, heard.uid, named_ns);
                }
            }
        }
    }

    /// Learns the names of the processes that live at the start, and writes those in scope.
    pub(super) fn write_snapshot(
        &mut self,
        processes: &[Process],
        in_scope: &[bool],
        clocks: &ClockReading,
        rows: &mut Rows,
    ) {
        for (process, in_scope) in processes.iter().zip(in_scope) {
            let (Ok(pid), Ok(ppid)) = (u32::try_from(process.pid), u32::try_from(process.ppid)) else { continue };
            self.living.insert(pid, process.start_boot_ns);
            self.names.set(pid, process.start_boot_ns, 0, &process.comm);
            if !in_scope {
                continue;
            }
            let mut row = rows.row("process");
            row.at(u64::try_from(process.start_mono_ns(clocks)).unwrap_or(0));
            row.int(column::PID, pid.into()).int(column::PPID, ppid.into()).int(column::UID, process.uid.into());
            if process.ns_pid != process.pid {
                row.int(column::NS_PID, process.ns_pid.into());
            }
            row.text(column::COMM, &process.comm).text(column::PROCESS, &process.comm);
            row.int(column::PID_START_NS, i64::try_from(process.start_boot_ns).unwrap_or(i64::MAX));
            if let Some(id) = process.cgroup_id.and_then(|id| i64::try_from(id).ok()) {
                row.int(column::CGROUP_ID, id);
            }
            if let Some(container) = &process.container {
                row.text(column::CONTAINER, container.short_id());
            }
            if !process.argv.is_empty() {
                let mut line = shell_words(process.argv.iter().map(String::as_bytes));
                if process.argv_cut {
                    line.extend_from_slice("…".as_bytes());
                }
                row.bytes(column::ARGV, &line);
            }
            if let Some(exe) = &process.exe {
                row.text(column::FILENAME, exe);
            }
        }
    }

    /// Writes the processes that appeared, or were renamed, since the last call.
    pub(super) fn write_fresh(&mut self, cgroups: Option<&Cgroups>, rows: &mut Rows) {
        let mut fresh: Vec<Heard> = self.fresh.drain().map(|(_, fresh)| fresh.heard).collect();
        fresh.sort_unstable_by_key(|heard| (heard.ts, heard.pid));
        for heard in fresh {
            let mut row = rows.row("process");
            row.at(heard.ts).int(column::PID, heard.pid.into()).int(column::PPID, heard.ppid.into());
            row.int(column::UID, heard.uid.into()).bytes(column::COMM, &heard.comm).bytes(column::PROCESS, &heard.comm);
            row.int(column::PID_START_NS, i64::try_from(heard.born_ns).unwrap_or(i64::MAX));
            if heard.ns_pid != heard.pid && heard.ns_pid != 0 {
                row.int(column::NS_PID, heard.ns_pid.into());
            }
            if let Ok(id) = i64::try_from(heard.cgroup_id) {
                row.int(column::CGROUP_ID, id);
            }
            if let Some(container) = cgroups.and_then(|cgroups| cgroups.container(heard.cgroup_id)) {
                row.text(column::CONTAINER, container.short_id());
            }
        }
    }
}

/// A kernel name up to its NUL; what is not UTF-8 is replaced, for names are only shown.
fn comm_text(comm: &[u8]) -> std::borrow::Cow<'_, str> {
    let end = comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end])
}

#[cfg(test)]
mod tests {
    use super::Heard;
    use super::Processes;

    fn heard(ts: u64, comm: &str, is_birth: bool) -> Heard {
        let mut bytes = [0; 16];
        bytes[..comm.len()].copy_from_slice(comm.as_bytes());
        let (pid, born_ns) = (9, 10);
        Heard { ts, pid, born_ns, ppid: 1, uid: 0, cgroup_id: 1, comm: bytes, ns_pid: pid, here_pid: pid, is_birth }
    }

    #[test]
    fn a_child_that_runs_another_program_is_one_process_with_the_last_name() {
        let mut processes = Processes::default();
        processes.hear(heard(10, "sh", true));
        processes.hear(heard(20, "true", false));
        assert_eq!([10, 20].map(|ns| processes.names().at(ns).get(9)), [Some("sh"), Some("true")]);
        assert_eq!(processes.fresh.len(), 1);
        assert!(processes.fresh[&(9, 10)].heard.is_birth);
    }

    #[test]
    fn a_birth_that_is_read_after_the_first_exec_does_not_take_the_name_back() {
        let mut processes = Processes::default();
        processes.hear(heard(20, "true", false));
        processes.hear(heard(10, "sh", true));
        assert_eq!(processes.names().at(20).get(9), Some("true"));
        let fresh = &processes.fresh[&(9, 10)].heard;
        assert_eq!((fresh.is_birth, fresh.ts, &fresh.comm[..4]), (true, 10, &b"true"[..]));
    }

    #[test]
    fn a_process_that_lived_at_the_beginning_keeps_the_start_that_proc_told() {
        let mut processes = Processes::default();
        processes.living.insert(9, 5);
        processes.hear(heard(20, "renamed", false));
        processes.hear(Heard { born_ns: 5 + super::TICK_NS, ..heard(30, "another", true) });
        assert_eq!([20, 30].map(|ns| processes.names().at(ns).start_ns(9)), [Some(5), Some(5 + super::TICK_NS)]);
    }

    #[test]
    fn two_processes_that_had_one_id_are_two() {
        let mut processes = Processes::default();
        processes.hear(heard(10, "one", true));
        processes.hear(Heard { born_ns: 30, ..heard(30, "two", true) });
        assert_eq!(processes.fresh.len(), 2);
        assert_eq!([29, 30].map(|ns| processes.names().at(ns).get(9)), [Some("one"), Some("two")]);
    }
}
