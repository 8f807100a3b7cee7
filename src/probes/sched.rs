//! The scheduler: waits for a CPU, slices on one, context switches, migrations, and time on CPUs by process.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashMap;

use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::read;
use super::signed;
use crate::bpf::EventHeader;
use crate::bpf::cells::Gathered;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::Thins;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
use crate::probe::watch::Watch;
use crate::recording::Column;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Holds;
use crate::recording::column;
use crate::units::Unit;

use self::ledger::Ledger;
use self::ledger::cpus::Cpus;
pub(super) use self::ledger::names::cause;

mod ledger;

object! {
    name: "sched",
    // Two hundred processes that run within one interval.
    cells: 16_384,
    // SAFETY: integers only, as bpf/sched/{records,ledger,cpu_ledger}.h declare them.
    unsafe plain: wakeup_record, slice_record, migration_record, running, thread_line, ledger, death_record,
}

const PREV_PID: &str = "sched_prev_pid";
const PREV_TID: &str = "sched_prev_tid";
const PREV_COMM: &str = "sched_prev_comm";
const FROM_CPU: &str = "sched_from_cpu";

static INFO: ProbeInfo = ProbeInfo {
    name: "sched",
    summary: "Where every thread's time went, by state and cause; waits for a CPU and slices on one, by process; switches, migrations.",
    default_on: true,
    slow: Some(std::time::Duration::from_millis(10)),
    metrics: &[
        Metric {
            number: types::sched_metric::SCHED_RUNQUEUE_LATENCY.0 as u16,
            name: "sched.runqueue_latency",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm"],
            help: "Time from a thread's wake-up or preemption until it runs; excludes time over a CPU quota.",
            events: Some("wakeup"),
        },
        Metric {
            number: types::sched_metric::SCHED_SLICE_TIME.0 as u16,
            name: "sched.slice",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm"],
            help: "Time from a thread's switch-in to its switch-out; only slices that lie within the window.",
            events: Some("slice"),
        },
        Metric {
            number: types::sched_metric::SCHED_ON_CPU.0 as u16,
            name: "sched.on_cpu",
            kind: MetricKind::Counter,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm"],
            help: "Time on CPUs within the interval, including slices that its ends cut; count is the number of slices that ended.",
            events: None,
        },
        Metric {
            number: types::sched_metric::SCHED_SWITCHES.0 as u16,
            name: "sched.switches",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "state"],
            help: "Switches away from a thread: voluntary when it slept or waited, involuntary when it could have run on.",
            events: None,
        },
        Metric {
            number: types::sched_metric::SCHED_MIGRATIONS.0 as u16,
            name: "sched.migrations",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm"],
            help: "Moves of a thread to another CPU.",
            events: Some("migration"),
        },
    ],
    kinds: &[
        EventKind {
            name: "wakeup",
            help: "A thread got a CPU after waiting dur_ns for it; sched_prev_* had the CPU until then.",
            columns: &[
                "dur_ns",
                "cpu",
                "pid",
                "tid",
                "comm",
                "process",
                "prio",
                "waker_pid",
                "waker_tid",
                "waker_process",
                "sched_prev_pid",
                "sched_prev_tid",
                "sched_prev_comm",
            ],
        },
        EventKind {
            name: "slice",
            help: "A thread left a CPU after dur_ns on it; state is what it went into.",
            columns: &["dur_ns", "cpu", "pid", "tid", "comm", "process", "state", "prio"],
        },
        EventKind {
            name: "migration",
            help: "A thread was moved from sched_from_cpu to cpu.",
            columns: &["cpu", "pid", "tid", "comm", "process", "sched_from_cpu"],
        },
    ],
    columns: &[
        Column {
            name: PREV_PID,
            ty: ColumnType::Int32,
            title: "Previous process",
            unit: None,
            help: "Process that had the CPU just before; 0 is the idle task.",
        },
        Column {
            name: PREV_TID,
            ty: ColumnType::Int32,
            title: "Previous thread",
            unit: None,
            help: "Thread that had the CPU just before; 0 is the idle task.",
        },
        Column {
            name: PREV_COMM,
            ty: ColumnType::Text(Holds::Program),
            title: "Previous command",
            unit: None,
            help: "Name of the thread that had the CPU just before.",
        },
        Column {
            name: FROM_CPU,
            ty: ColumnType::Int16,
            title: "From CPU",
            unit: None,
            help: "CPU that the thread was moved away from.",
        },
    ],
    watches: &[Watch::duration("sched.runqueue_latency", "wakeup", "Time that a thread waited for a CPU.")],
    hooks: &[
        "tp_btf/sched_switch",
        "tp_btf/sched_wakeup",
        "tp_btf/sched_wakeup_new",
        "tp_btf/sched_migrate_task",
        "tp_btf/sched_process_free",
        "tp_btf/contention_begin",
        "tp_btf/contention_end",
        "iter/task",
    ],
    cost: "a few hundred nanoseconds for each context switch",
    thins: Thins::Rows,
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Sched {
    ledger: Ledger,
    cpus: Cpus,
    online: Vec<u32>,
    /// Time on CPUs by process in the interval that is being written.
    on_cpu: ByProcess,
    prev_pid: Option<ColumnId>,
    prev_tid: Option<ColumnId>,
    prev_comm: Option<ColumnId>,
    from_cpu: Option<ColumnId>,
}

impl BuiltIn for Sched {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Sched {
        Sched {
            ledger: Ledger::default(),
            cpus: Cpus::default(),
            online: setup.host.cpus.online.clone(),
            on_cpu: ByProcess::new(),
            prev_pid: setup.schema.id(PREV_PID),
            prev_tid: setup.schema.id(PREV_TID),
            prev_comm: setup.schema.id(PREV_COMM),
            from_cpu: setup.schema.id(FROM_CPU),
        }
    }
}

impl Decoder for Sched {
    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(record)?;
        match types::sched_event(header.event.into()) {
            types::sched_event::SCHED_WAKEUP => self.wakeup(&read(record)?, context),
            types::sched_event::SCHED_SLICE => slice(&read(record)?, context),
            types::sched_event::SCHED_MIGRATION => self.migration(&read(record)?, context),
            types::sched_event::SCHED_DEATH => {
                let death: types::death_record = read(record)?;
                self.ledger.died(&death.thread, &death.ledger, header.ts);
            }
            _ => return Err(Undecodable { length: record.len() }),
        }
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        if metric == "sched.switches" {
            key.push(KeyPart::Text(column::STATE, slice_end(gathered.sub).to_owned()));
        }
        key
    }

    fn attached(&mut self, live: &mut Live) -> Result<()> {
        // Makes room for the ledgers of all threads that there are.
        live.walk("sched_threads").map(drop)
    }

    fn begin(&mut self, live: &Live) -> Result<()> {
        self.ledger.begin(live.start_ns());
        self.cpus.begin(live.start_ns());
        Ok(())
    }

    fn end_interval(&mut self, live: &Live, end_ns: u64) -> Result<()> {
        let cpus = live.map("running")?.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
        let running: Vec<types::running> =
            cpus.iter().filter_map(|bytes| crate::bpf::read::<types::running>(bytes)).collect();
        self.cpus.end_interval(&running, &self.online, end_ns);
        let told = live.walk("sched_threads")?;
        let threads = told.chunks_exact(size_of::<types::thread_line>() + size_of::<types::ledger>());
        let threads = threads.filter_map(|bytes| {
            let (line, ledger) = bytes.split_at_checked(size_of::<types::thread_line>())?;
            Some((crate::bpf::read(line)?, crate::bpf::read(ledger)?))
        });
        self.ledger.end_interval(threads, end_ns);
        Ok(())
    }

    fn write(&mut self, interval: Interval, context: &mut Context<'_>) {
        for part in self.ledger.take(interval.end_ns) {
            let start_ns = context.names.at(part.until_ns).start_ns(part.pid);
            let on_cpu = self.on_cpu.entry((part.pid, Reverse(start_ns))).or_default();
            on_cpu.ns += part.on_cpu_ns();
            on_cpu.until_ns = on_cpu.until_ns.max(part.until_ns);
            for (slot, ns, count) in &part.slots {
                let (state, cause) = ledger::names::of(*slot);
                let mut row = context.rows.row("ledger");
                row.at(part.until_ns).int(column::DUR_NS, signed(part.lived_ns));
                row.int(column::PID, part.pid.into()).int(column::TID, part.tid.into());
                row.bytes(column::COMM, &part.comm).text(column::STATE, state);
                if let Some(cause) = cause {
                    row.text(column::CAUSE, cause);
                }
                row.int(column::SUM, signed(*ns)).int(column::COUNT, (*count).into());
            }
        }
        for part in self.cpus.take() {
            for (state, ns) in part.states {
                let mut row = context.rows.row("cpu_ledger");
                row.at(part.until_ns).int(column::DUR_NS, signed(part.length_ns)).int(column::CPU, part.cpu.into());
                row.text(column::STATE, state).int(column::SUM, signed(ns));
            }
        }
    }

    fn derive(&mut self, gathered: Vec<Gathered>) -> Vec<Gathered> {
        derive(gathered, &std::mem::take(&mut self.on_cpu))
    }
}

/// By process id, and the last that had it first.
type ByProcess = BTreeMap<(u32, Reverse<Option<u64>>), OnCpu>;

/// What a process had of the CPUs within an interval.
#[derive(Debug, Default)]
struct OnCpu {
    ns: u64,
    /// When it ended; the interval's end, where it did not.
    until_ns: u64,
}

/// Splits the slices of the kernel, kept by how they ended, into slice times and switches; the time on CPUs by process
/// comes from the ledger.
fn derive(gathered: Vec<Gathered>, on_cpu: &ByProcess) -> Vec<Gathered> {
    let metric = |metric: types::sched_metric| metric.0 as u16;
    let (slices, cuts) = (metric(types::sched_metric::SCHED_SLICE_TIME), metric(types::sched_metric::SCHED_SWITCHES));
    let mut derived = Vec::with_capacity(gathered.len());
    let mut whole: HashMap<(u32, Option<u64>), Gathered> = HashMap::new();
    let mut switches: HashMap<(u32, Option<u64>, u64), u64> = HashMap::new();
    let mut ended: HashMap<u32, u64> = HashMap::new();
    for one in gathered {
        if one.metric != slices && one.metric != cuts {
            derived.push(one);
            continue;
        }
        *switches.entry((one.pid, one.at_ns, one.sub)).or_default() += one.count;
        *ended.entry(one.pid).or_default() += one.count;
        if one.metric == slices {
            match whole.get_mut(&(one.pid, one.at_ns)) {
                Some(all) => all.merge(&one),
                None => {
                    whole.insert((one.pid, one.at_ns), Gathered { sub: 0, ..one });
                }
            }
        }
    }
    derived.extend(whole.into_values());
    for ((pid, at_ns, sub), count) in switches {
        derived.push(Gathered { at_ns, ..Gathered::counter(cuts, pid, sub, count, count) });
    }
    for ((pid, _), OnCpu { ns, until_ns }) in on_cpu.iter().filter(|(_, on_cpu)| on_cpu.ns > 0) {
        // By process id: where several processes had it all slices are said to be the last one's.
        let count = ended.remove(pid).unwrap_or(0);
        let own = Gathered::counter(metric(types::sched_metric::SCHED_ON_CPU), *pid, 0, count, *ns);
        derived.push(Gathered { at_ns: Some(*until_ns), ..own });
    }
    derived.sort_unstable_by_key(|one| (one.metric, one.pid, one.sub));
    derived
}

fn slice_end(sub: u64) -> &'static str {
    match types::slice_end(sub as u32) {
        types::slice_end::SLICE_VOLUNTARY => "voluntary",
        _ => "involuntary",
    }
}

impl Sched {
    fn wakeup(&self, record: &types::wakeup_record, context: &mut Context<'_>) {
        let header = &record.header;
        let mut row = context.rows.row("wakeup");
        row.at(header.ts).int(column::DUR_NS, signed(record.waited_ns)).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into());
        row.bytes(column::COMM, &record.comm).int(column::PRIO, record.prio.into());
        if record.waker_tid != 0 {
            row.int(column::WAKER_PID, record.waker_pid.into()).int(column::WAKER_TID, record.waker_tid.into());
        }
        let shown = record.prev_shown != 0;
        if let (Some(pid), Some(tid), Some(comm), true) = (self.prev_pid, self.prev_tid, self.prev_comm, shown) {
            row.int(pid, record.prev_pid.into()).int(tid, record.prev_tid.into()).bytes(comm, &record.prev_comm);
        }
    }

    fn migration(&self, record: &types::migration_record, context: &mut Context<'_>) {
        let header = &record.header;
        let mut row = context.rows.row("migration");
        row.at(header.ts).int(column::CPU, record.to_cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into());
        row.bytes(column::COMM, &record.comm);
        if let Some(column) = self.from_cpu {
            row.int(column, record.from_cpu.into());
        }
    }
}

fn slice(record: &types::slice_record, context: &mut Context<'_>) {
    let header = &record.header;
    let mut row = context.rows.row("slice");
    row.at(header.ts).int(column::DUR_NS, signed(record.ran_ns)).int(column::CPU, header.cpu.into());
    row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into());
    row.bytes(column::COMM, &record.comm).int(column::PRIO, record.prio.into());
    row.text(column::STATE, state_name(record.state));
}

/// The state that a thread left its CPU in; the bits are those of include/linux/sched.h, the same since 4.14.
fn state_name(state: u32) -> &'static str {
    const INTERRUPTIBLE: u32 = 0x1;
    const UNINTERRUPTIBLE: u32 = 0x2;
    const STOPPED_OR_TRACED: u32 = 0x4 | 0x8;
    const DEAD: u32 = 0x10 | 0x20 | 0x80;
    const PARKED: u32 = 0x40;
    /// With UNINTERRUPTIBLE: a kernel thread that idles, which is not a wait for anything.
    const NOLOAD: u32 = 0x400;
    match state {
        0 => "preempted",
        bits if bits & DEAD != 0 => "dead",
        bits if bits & STOPPED_OR_TRACED != 0 => "stopped",
        bits if bits & UNINTERRUPTIBLE != 0 && bits & NOLOAD == 0 => "blocked",
        bits if bits & (INTERRUPTIBLE | UNINTERRUPTIBLE | PARKED) != 0 => "sleeping",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
