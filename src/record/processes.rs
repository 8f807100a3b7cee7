//! The processes of a recording: those that live at its start, and those that appear.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::bpf::scope::ProcessSeen;
use crate::host::cgroups::Cgroups;
use crate::host::clocks::ClockReading;
use crate::host::places;
use crate::host::process_ids::ProcessIds;
use crate::host::processes::Process;
use crate::probe::names::Names;
use crate::recording::Row;
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
    /// The processes of the newest span, where only that is kept.
    kept: Option<Kept>,
}

/// The processes of the newest span: what was said of each, so that it can be said again.
#[derive(Debug)]
struct Kept {
    /// By process id and start.
    known: BTreeMap<(u32, u64), Known>,
    /// The clocks when the processes at the start were read.
    clocks: ClockReading,
}

/// What was said of a process.
#[derive(Debug, Default)]
struct Known {
    at_start: Option<Process>,
    seen: Option<ProcessSeen>,
    /// When it was first seen to be gone.
    gone_ns: Option<u64>,
}

/// Processes that are said again, at most: with each generation, which takes the drain a microsecond each. What comes beyond is said once.
const MAX_KEPT: usize = 32 << 10;

/// A process that the file does not have yet, or not with its last name.
#[derive(Debug)]
struct Fresh {
    /// What was seen of it, with its last name and user.
    seen: ProcessSeen,
    /// Since when it has them.
    named_ns: u64,
}

impl Processes {
    /// Empty; `ids` passes what is learned of ids to others.
    pub(super) fn new(ids: Arc<ProcessIds>) -> Processes {
        Processes { ids, ..Processes::default() }
    }

    /// Remembers what is said of each process from here on, so that it can be said again.
    pub(super) fn keep(&mut self, clocks: &ClockReading) {
        self.kept = Some(Kept { known: BTreeMap::new(), clocks: *clocks });
    }

    /// Forgets the processes that were gone before `ns`; `alive` are those that `/proc` has now, by the ids here.
    pub(super) fn forget_gone(&mut self, alive: &HashSet<u32>, now_ns: u64, ns: u64) {
        let Processes { kept: Some(kept), names, living, ids, .. } = self else { return };
        // Of one outside of this PID namespace nobody knows.
        let lives = |pid: u32| ids.here(pid).is_none_or(|here| alive.contains(&here));
        let mut next: Option<u32> = None;
        for ((pid, _), known) in kept.known.iter_mut().rev() {
            // An id belongs to the process that was born last.
            if next.replace(*pid) == Some(*pid) || !lives(*pid) {
                known.gone_ns.get_or_insert(now_ns);
            }
        }
        kept.known.retain(|_, known| known.gone_ns.is_none_or(|gone_ns| gone_ns >= ns));
        living.retain(|pid, _| lives(*pid));
        let has = |pid: u32| kept.known.range((pid, 0)..=(pid, u64::MAX)).next().is_some();
        names.forget_unless(ns, |pid| has(pid) || lives(pid));
    }

    /// Writes the processes of the newest span.
    pub(super) fn write_kept(&self, cgroups: Option<&Cgroups>, rows: &mut Rows) {
        let Some(Kept { known, clocks }) = &self.kept else { return };
        for known in known.values() {
            if let Some(process) = &known.at_start {
                write_process(process, clocks, rows);
            }
            if let Some(seen) = &known.seen {
                write_seen(seen, cgroups, rows);
            }
        }
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
    pub(super) fn update(&mut self, mut seen: ProcessSeen) {
        if seen.here_pid != 0 {
            self.ids.learn(seen.pid, seen.here_pid);
        }
        // /proc told of it first, to a tick.
        let known = self.living.get(&seen.pid).filter(|start| (**start..**start + TICK_NS).contains(&seen.born_ns));
        seen.born_ns = known.copied().unwrap_or(seen.born_ns);
        if seen.is_birth {
            self.names.born(seen.pid, seen.holder, seen.ts);
        }
        self.names.set(seen.pid, seen.born_ns, seen.ts, &comm_text(&seen.comm));
        let named_ns = seen.ts;
        match self.fresh.entry((seen.pid, seen.born_ns)) {
            Entry::Vacant(place) => {
                place.insert(Fresh { seen, named_ns });
            }
            // A child that was born and then named is one new process, born when it was.
            Entry::Occupied(place) => {
                let Fresh { seen: known, named_ns: since } = place.into_mut();
                known.ts = known.ts.min(seen.ts);
                known.is_birth |= seen.is_birth;
                if named_ns >= *since {
                    (known.comm, known.uid, *since) = (seen.comm, seen.uid, named_ns);
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
            let Ok(pid) = u32::try_from(process.pid) else { continue };
            self.living.insert(pid, process.start_boot_ns);
            self.names.set(pid, process.start_boot_ns, 0, &process.comm);
            if !in_scope {
                continue;
            }
            write_process(process, clocks, rows);
            if let Some(kept) = &mut self.kept {
                let known = Known { at_start: Some(process.clone()), ..Known::default() };
                kept.known.insert((pid, process.start_boot_ns), known);
            }
        }
    }

    /// Writes the processes that appeared, or were renamed, since the last call.
    pub(super) fn write_fresh(&mut self, cgroups: Option<&Cgroups>, rows: &mut Rows) {
        let mut fresh: Vec<ProcessSeen> = self.fresh.drain().map(|(_, fresh)| fresh.seen).collect();
        fresh.sort_unstable_by_key(|seen| (seen.ts, seen.pid));
        for seen in fresh {
            write_seen(&seen, cgroups, rows);
            if let Some(kept) = &mut self.kept {
                let place = (seen.pid, seen.born_ns);
                if kept.known.len() < MAX_KEPT || kept.known.contains_key(&place) {
                    kept.known.entry(place).or_default().seen = Some(seen);
                }
            }
        }
    }
}

/// Writes a process that lived at the start.
fn write_process(process: &Process, clocks: &ClockReading, rows: &mut Rows) {
    let (Ok(pid), Ok(ppid)) = (u32::try_from(process.pid), u32::try_from(process.ppid)) else { return };
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
    write_places(process.unit.as_deref(), process.pod.as_deref(), &mut row);
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

/// Writes a process as the kernel said of it.
fn write_seen(seen: &ProcessSeen, cgroups: Option<&Cgroups>, rows: &mut Rows) {
    let mut row = rows.row("process");
    row.at(seen.ts).int(column::PID, seen.pid.into()).int(column::PPID, seen.ppid.into());
    row.int(column::UID, seen.uid.into()).bytes(column::COMM, &seen.comm).bytes(column::PROCESS, &seen.comm);
    row.int(column::PID_START_NS, i64::try_from(seen.born_ns).unwrap_or(i64::MAX));
    if seen.ns_pid != seen.pid && seen.ns_pid != 0 {
        row.int(column::NS_PID, seen.ns_pid.into());
    }
    if let Ok(id) = i64::try_from(seen.cgroup_id) {
        row.int(column::CGROUP_ID, id);
    }
    if let Some(container) = cgroups.and_then(|cgroups| cgroups.container(seen.cgroup_id)) {
        row.text(column::CONTAINER, container.short_id());
    }
    if let Some(path) = cgroups.and_then(|cgroups| cgroups.path(seen.cgroup_id)) {
        write_places(places::unit(path), places::pod(path).as_deref(), &mut row);
    }
}

/// The unit and the pod of a process.
fn write_places(unit: Option<&str>, pod: Option<&str>, row: &mut Row<'_>) {
    if let Some(unit) = unit {
        row.text(column::UNIT_NAME, unit);
    }
    if let Some(pod) = pod {
        row.text(column::POD, pod);
    }
}

/// A kernel name up to its NUL; what is not UTF-8 is replaced, for names are only shown.
fn comm_text(comm: &[u8]) -> std::borrow::Cow<'_, str> {
    let end = comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end])
}

#[cfg(test)]
mod tests {
    use super::ProcessSeen;
    use super::Processes;

    fn seen(ts: u64, comm: &str, is_birth: bool) -> ProcessSeen {
        let mut bytes = [0; 16];
        bytes[..comm.len()].copy_from_slice(comm.as_bytes());
        let (pid, born_ns) = (9, 10);
        ProcessSeen {
            ts,
            pid,
            born_ns,
            ppid: 1,
            uid: 0,
            cgroup_id: 1,
            comm: bytes,
            ns_pid: pid,
            here_pid: pid,
            is_birth,
            holder: 1,
        }
    }

    #[test]
    fn a_child_that_runs_another_program_is_one_process_with_the_last_name() {
        let mut processes = Processes::default();
        processes.update(seen(10, "sh", true));
        processes.update(seen(20, "true", false));
        assert_eq!([10, 20].map(|ns| processes.names().at(ns).get(9)), [Some("sh"), Some("true")]);
        assert_eq!(processes.fresh.len(), 1);
        assert!(processes.fresh[&(9, 10)].seen.is_birth);
    }

    #[test]
    fn a_birth_that_is_read_after_the_first_exec_does_not_take_the_name_back() {
        let mut processes = Processes::default();
        processes.update(seen(20, "true", false));
        processes.update(seen(10, "sh", true));
        assert_eq!(processes.names().at(20).get(9), Some("true"));
        let fresh = &processes.fresh[&(9, 10)].seen;
        assert_eq!((fresh.is_birth, fresh.ts, &fresh.comm[..4]), (true, 10, &b"true"[..]));
    }

    #[test]
    fn a_process_that_lived_at_the_beginning_keeps_the_start_that_proc_told() {
        let mut processes = Processes::default();
        processes.living.insert(9, 5);
        processes.update(seen(20, "renamed", false));
        processes.update(ProcessSeen { born_ns: 5 + super::TICK_NS, ..seen(30, "another", true) });
        assert_eq!([20, 30].map(|ns| processes.names().at(ns).start_ns(9)), [Some(5), Some(5 + super::TICK_NS)]);
    }

    #[test]
    fn two_processes_that_had_one_id_are_two() {
        let mut processes = Processes::default();
        processes.update(seen(10, "one", true));
        processes.update(ProcessSeen { born_ns: 30, ..seen(30, "two", true) });
        assert_eq!(processes.fresh.len(), 2);
        assert_eq!([29, 30].map(|ns| processes.names().at(ns).get(9)), [Some("one"), Some("two")]);
    }
}
