//! Processes that have as many open files as they may have, while connections wait that they can't accept for that reason.
//!
//! Either by itself is no trouble: a process may open what it needs and no more, and every queue has somebody in it at times. Both have to
//! be seen at two readings in a row. All processes are looked at in turn, for a bounded time at each reading: on Linux 6.2 and newer
//! one with few files takes 2 µs, so an ordinary machine is gone through each time, and one with 50,000 processes within some readings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::host::counters;
use crate::host::counters::Name;
use crate::host::counters::Socket;
use crate::host::counters::Unit;
use crate::host::descriptors;
use crate::host::process_ids::ProcessIds;
use crate::host::processes;
use crate::host::root::Root;
use crate::record::counters::Fact;
use crate::record::counters::Value;
use crate::record::counters::network;

/// The kind of its rows.
const KIND: &str = "process_stat";
/// What a reading may take to look for processes at their limit: a hundredth of the second until the next.
const MOST_TIME: Duration = Duration::from_millis(10);
/// A server with a lower limit could not serve.
const LEAST_LIMIT: u64 = 16;
/// Processes at their limit that are followed.
const MOST_FOLLOWED: usize = 16;
/// Open files among which a process's sockets that listen are looked for: they are opened first.
const MOST_DESCRIPTORS: usize = 4096;

const LIMIT: Name = Name::new("files", "limit");
const WAITING: Name = Name::new("files", "connections_waiting");

/// A process at its limit.
struct Full {
    /// Its sockets, by inode.
    sockets: Vec<u64>,
    /// When connections were seen to wait, if they still did at the last reading.
    since_ns: Option<u64>,
    told_limit: bool,
}

/// The processes that were at their limit when they were looked at.
pub(super) struct OpenFiles {
    ids: Arc<ProcessIds>,
    /// Those that are still to be looked at in this turn; the last is next.
    turn: Vec<i32>,
    full: BTreeMap<i32, Full>,
}

impl OpenFiles {
    /// Looks for the first time.
    pub(super) fn begin(root: &Root, ids: Arc<ProcessIds>, now_ns: u64) -> OpenFiles {
        let mut files = OpenFiles { ids, turn: Vec::new(), full: BTreeMap::new() };
        files.read(root, now_ns);
        files
    }

    /// The connections that wait for processes at their limit.
    pub(super) fn read(&mut self, root: &Root, now_ns: u64) -> Vec<Fact> {
        self.find(root);
        let mut facts = Vec::new();
        let mut full = std::mem::take(&mut self.full);
        full.retain(|pid, own| self.follow(root, *pid, own, now_ns, &mut facts));
        self.full = full;
        facts
    }

    /// Looks at processes in turn.
    fn find(&mut self, root: &Root) {
        let begun = Instant::now();
        if self.turn.is_empty() {
            self.turn = processes::pids(root);
        }
        while self.full.len() < MOST_FOLLOWED && begun.elapsed() < MOST_TIME {
            let Some(pid) = self.turn.pop() else { return };
            if !self.full.contains_key(&pid) && descriptors::at_limit(root, pid, LEAST_LIMIT).is_some() {
                let sockets = descriptors::sockets(root, pid, MOST_DESCRIPTORS);
                self.full.insert(pid, Full { sockets, since_ns: None, told_limit: false });
            }
        }
    }

    /// Looks at a process that was at its limit; `false` where it no longer is.
    fn follow(&self, root: &Root, pid: i32, own: &mut Full, now_ns: u64, facts: &mut Vec<Fact>) -> bool {
        let Some(files) = descriptors::at_limit(root, pid, LEAST_LIMIT) else { return false };
        let before_ns = own.since_ns.take();
        let Some(listener) = waiting(root, pid, &own.sockets) else { return true };
        own.since_ns = Some(now_ns);
        let Some(machine) = u32::try_from(pid).ok().and_then(|pid| self.ids.machine(pid)) else { return true };
        let Some(before_ns) = before_ns else { return true };
        let fact = |metric, value| Fact { pid: Some(machine), ..Fact::new(KIND, metric, Unit::Count, value) };
        if !std::mem::replace(&mut own.told_limit, true) {
            facts.push(fact(LIMIT, Value::Is(files.limit)));
        }
        let value = Value::IsFor { value: listener.figure, in_ns: now_ns.saturating_sub(before_ns) };
        facts.push(Fact { port: Some(listener.port), ..fact(WAITING, value) });
        true
    }
}

/// The socket among some of a process's where most connections wait to be accepted, if any do.
fn waiting(root: &Root, pid: i32, sockets: &[u64]) -> Option<Socket> {
    if sockets.is_empty() {
        return None;
    }
    let texts = ["tcp", "tcp6"].into_iter().filter_map(|table| network::file(root, pid, table));
    let listeners = texts.flat_map(|text| counters::listeners(&text));
    let own = listeners.filter(|listener| listener.figure > 0 && sockets.contains(&listener.inode));
    own.max_by_key(|listener| listener.figure)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::OpenFiles;
    use crate::host::fixture::Machine;
    use crate::host::process_ids::ProcessIds;
    use crate::record::counters::Fact;
    use crate::record::counters::Value;

    const SECOND: u64 = 1_000_000_000;
    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    /// A server with 20 open files, the fourth of which listens on port 8080, and so many connections that wait there.
    fn server(limit: u64, waiting: u64) -> Machine {
        let machine = Machine::new();
        machine.directory("/proc/7/fd");
        for number in 0..20 {
            let target = if number == 3 { "socket:[4711]" } else { "/dev/null" };
            machine.link(&format!("/proc/7/fd/{number}"), target);
        }
        limited(&machine, limit);
        queue(&machine, waiting);
        machine
    }

    /// The kernel's size of the directory is the number of open files, or none; a directory on a disk has another.
    fn limited(machine: &Machine, limit: u64) {
        let size = std::fs::metadata(machine.root().path("/proc/7/fd")).unwrap().len();
        let limit = if size > 0 && limit <= 20 { size } else { limit.max(size + 1) };
        machine.file("/proc/7/limits", format!("Max open files            {limit}    4096    files\n"));
        machine.file("/proc/7/status", format!("FDSize:\t{}\n", limit.max(64)));
    }

    fn queue(machine: &Machine, waiting: u64) {
        let line = format!(
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:{waiting:08X} 00:00000000 00000000     0        0 4711 1 0\n"
        );
        machine.file("/proc/7/net/tcp", format!("{HEAD}{line}"));
    }

    fn rows(facts: &[Fact]) -> Vec<(String, Value, Option<u32>, Option<u16>)> {
        facts.iter().map(|fact| (fact.metric.to_string(), fact.value, fact.pid, fact.port)).collect()
    }

    #[test]
    fn a_server_at_its_limit_is_named_once_connections_wait_at_two_readings_in_a_row() {
        let machine = server(20, 9);
        let mut files = OpenFiles::begin(&machine.root(), Arc::new(ProcessIds::same()), SECOND);
        let first = rows(&files.read(&machine.root(), 2 * SECOND));
        let waiting = Value::IsFor { value: 9, in_ns: SECOND };
        assert_eq!(first.len(), 2, "{first:?}");
        assert_eq!((first[0].0.as_str(), first[0].2), ("files.limit", Some(7)));
        assert_eq!(first[1], ("files.connections_waiting".to_owned(), waiting, Some(7), Some(8080)));
        // The limit is written once; a reading at which nobody waits begins over.
        assert_eq!(files.read(&machine.root(), 3 * SECOND).len(), 1);
        queue(&machine, 0);
        assert_eq!(files.read(&machine.root(), 4 * SECOND).len(), 0);
        queue(&machine, 3);
        assert_eq!(files.read(&machine.root(), 5 * SECOND).len(), 0);
    }

    #[test]
    fn neither_a_full_table_nor_a_queue_is_trouble_by_itself() {
        for (limit, waiting) in [(20, 0), (4096, 9)] {
            let machine = server(limit, waiting);
            let mut files = OpenFiles::begin(&machine.root(), Arc::new(ProcessIds::same()), SECOND);
            for second in 2..5 {
                assert_eq!(files.read(&machine.root(), second * SECOND).len(), 0, "limit {limit}, {waiting} wait");
            }
        }
    }
}
