//! The kernel's counters of trouble, read in user space at the ends of intervals: of cgroups, of network namespaces, of the machine; and
//! processes that ran out of open files or of room, or hold locks on files.
//!
//! A thread of its own reads them, so that nothing there delays the drain: there may be 10,000 cgroups, whose names users chose. What it
//! reads has bounds on number and time. A row is written only where a counter grew, so a healthy machine has few.

mod cgroup_tree;
mod cgroups;
mod file_locks;
mod full_disks;
mod growth;
mod machine;
mod network;
mod open_files;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::host::auxv::Auxv;
use crate::host::counters::Name;
use crate::host::counters::Unit;
use crate::host::process_ids::ProcessIds;
use crate::host::root::Root;
use crate::record::counters::cgroups::Cgroups;
use crate::record::counters::file_locks::FileLocks;
use crate::record::counters::full_disks::FullDisks;
use crate::record::counters::machine::Machine;
use crate::record::counters::network::Network;
use crate::record::counters::open_files::OpenFiles;
use crate::recording::Rows;
use crate::recording::column;

/// Readings are at least this far apart, as one takes some milliseconds of CPU time and intervals may be short.
const APART_NS: u64 = 500_000_000;
/// How long the end of the window waits for the last reading.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// What a row says: how much a counter grew, or how much there is of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// A counter grew by this much in so many nanoseconds.
    Grew { by: u64, in_ns: u64 },
    /// There is so much of it.
    Is(u64),
    /// There is so much of it, and was some at the reading before, so many nanoseconds ago.
    IsFor { value: u64, in_ns: u64 },
}

/// A row about a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    kind: &'static str,
    metric: Name,
    unit: Unit,
    value: Value,
    /// The cgroup's path, the network namespace, or where a file system is mounted.
    name: Option<Arc<str>>,
    /// Number of the cgroup, in the hierarchy of version 2.
    cgroup_id: Option<u64>,
    /// The process that it is about.
    pid: Option<u32>,
    /// The port that it is about.
    port: Option<u16>,
}

impl Fact {
    fn new(kind: &'static str, metric: Name, unit: Unit, value: Value) -> Fact {
        Fact { kind, metric, unit, value, name: None, cgroup_id: None, pid: None, port: None }
    }

    fn write(&self, at_ns: u64, rows: &mut Rows) {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut row = rows.row(self.kind);
        row.at(at_ns).text(column::METRIC, &self.metric.to_string()).text(column::UNIT, self.unit.name());
        match self.value {
            Value::Grew { by, in_ns } => row.int(column::SUM, signed(by)).int(column::DUR_NS, signed(in_ns)),
            Value::Is(value) => row.int(column::MAX, signed(value)),
            Value::IsFor { value, in_ns } => row.int(column::MAX, signed(value)).int(column::DUR_NS, signed(in_ns)),
        };
        if let Some(name) = &self.name {
            row.text(column::NAME, name);
        }
        row.maybe_int(column::CGROUP_ID, self.cgroup_id.map(signed));
        row.maybe_int(column::PID, self.pid.map(i64::from)).maybe_int(column::SPORT, self.port.map(i64::from));
    }
}

/// A reading that was made.
struct Reading {
    at_ns: u64,
    facts: Vec<Fact>,
    is_last: bool,
}

/// What is to be read.
#[derive(Clone, Copy)]
struct Round {
    now_ns: u64,
    is_last: bool,
}

/// The drain's side of the thread that reads counters.
pub(super) struct Counters {
    rounds: Sender<Round>,
    readings: Receiver<Reading>,
    /// When they may be read again.
    due_ns: u64,
    /// The last reading has come.
    is_whole: bool,
    /// When the newest reading was asked for, and the newest that has come.
    asked_ns: u64,
    read_ns: u64,
}

impl Counters {
    /// Starts the thread, which reads at once what the counters are at the window's start.
    ///
    /// # Errors
    /// When there can't be another thread.
    pub(super) fn start(root: Root, auxv: Auxv, ids: Arc<ProcessIds>, start_ns: u64) -> std::io::Result<Counters> {
        let (rounds, asked) = channel::<Round>();
        let (answer, readings) = channel();
        thread::Builder::new().name("ebrec-counters".to_owned()).spawn(move || {
            let mut sources = Sources {
                machine: Machine::begin(&root, auxv, start_ns),
                network: Network::begin(&root, Arc::clone(&ids), start_ns),
                open_files: OpenFiles::begin(&root, Arc::clone(&ids), start_ns),
                full_disks: FullDisks::begin(&root, Arc::clone(&ids), start_ns),
                file_locks: FileLocks::new(Arc::clone(&ids)),
                cgroups: Cgroups::begin(&root, ids, start_ns),
            };
            for Round { now_ns, is_last } in asked {
                let facts = sources.read(&root, now_ns, is_last);
                if answer.send(Reading { at_ns: now_ns, facts, is_last }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Counters {
            rounds,
            readings,
            due_ns: start_ns + APART_NS,
            is_whole: false,
            asked_ns: start_ns,
            read_ns: start_ns,
        })
    }

    /// An interval ended.
    pub(super) fn end_interval(&mut self, now_ns: u64) {
        if now_ns < self.due_ns {
            return;
        }
        self.due_ns = now_ns + APART_NS;
        self.asked_ns = now_ns;
        // Nobody listens after a panic, and then there is nothing to wait for either.
        let _ = self.rounds.send(Round { now_ns, is_last: false });
    }

    /// Writes what has been read since the last call.
    pub(super) fn write(&mut self, rows: &mut Rows) {
        for reading in self.readings.try_iter() {
            reading.write(rows);
            self.read_ns = reading.at_ns;
            self.is_whole |= reading.is_last;
        }
    }

    /// The end of an interval at which they are read even if they were a moment ago.
    pub(super) fn end_part(&mut self) {
        self.due_ns = 0;
    }

    /// Whether all that was asked for is written.
    pub(super) fn has_read(&self) -> bool {
        self.read_ns >= self.asked_ns
    }

    /// The window ended: what has grown until now is read for the last time.
    pub(super) fn end_window(&self, now_ns: u64) {
        let _ = self.rounds.send(Round { now_ns, is_last: true });
    }

    /// Writes what is left, and tells whether the last reading came in time.
    pub(super) fn finish(mut self, rows: &mut Rows) -> bool {
        while !self.is_whole {
            let Ok(reading) = self.readings.recv_timeout(LAST_LOOK) else { return false };
            reading.write(rows);
            self.is_whole |= reading.is_last;
        }
        true
    }
}

impl Reading {
    fn write(&self, rows: &mut Rows) {
        self.facts.iter().for_each(|fact| fact.write(self.at_ns, rows));
    }
}

/// Everything that is read.
struct Sources {
    machine: Machine,
    network: Network,
    cgroups: Cgroups,
    open_files: OpenFiles,
    full_disks: FullDisks,
    file_locks: FileLocks,
}

impl Sources {
    fn read(&mut self, root: &Root, now_ns: u64, is_last: bool) -> Vec<Fact> {
        let mut facts = self.machine.read(root, now_ns);
        facts.extend(self.network.read(root, now_ns));
        facts.extend(self.open_files.read(root, now_ns));
        facts.extend(self.full_disks.read(root, now_ns));
        facts.extend(self.file_locks.read(root));
        facts.extend(self.cgroups.read(root, now_ns, is_last));
        facts
    }
}
