//! Memory: page faults, stalls in reclaim and compaction, kswapd's work, OOM kills.

use std::collections::HashMap;

use anyhow::Result;

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
use crate::host::clocks;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::attached::Context;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
use crate::probe::watch::Watch;
use crate::recording::Column;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Holds;
use crate::recording::Row;
use crate::recording::column;
use crate::units::Unit;

use self::faults::Counts;
use self::faults::Faults;
use self::faults::Reading;
use self::faults::ThreadTotals;

mod faults;

object! {
    name: "memory",
    // Four thousand threads that end within one interval, each with minor and perhaps major faults; stalls are few.
    cells: 8192,
    // SAFETY: integers only, as bpf/memory/memory.bpf.c declares them.
    unsafe plain: stall_record, oom_record, fault_reading,
}

const TOTAL_VM: &str = "memory_total_vm_bytes";
const ANON: &str = "memory_anon_rss_bytes";
const FILE: &str = "memory_file_rss_bytes";
const SHMEM: &str = "memory_shmem_rss_bytes";
const SWAP: &str = "memory_swap_bytes";
const PGTABLES: &str = "memory_pgtables_bytes";
const SCORE: &str = "memory_oom_score_adj";
const ASKER_PID: &str = "memory_asker_pid";
const ASKER_COMM: &str = "memory_asker_comm";

const fn size(name: &'static str, title: &'static str, help: &'static str) -> Column {
    Column { name, ty: ColumnType::Int64, title, unit: Some("bytes"), help }
}

static INFO: ProbeInfo = ProbeInfo {
    name: "memory",
    summary: "Page faults by process, time that threads stalled to free or compact memory, kswapd's work, OOM kills.",
    default_on: true,
    slow: Some(std::time::Duration::from_millis(1)),
    metrics: &[
        Metric {
            number: types::memory_metric::MEMORY_FAULTS.0 as u16,
            name: "memory.faults",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "state"],
            help: "Page faults as getrusage(2) counts them: major if the page had to be read from a disk, otherwise minor.",
            events: None,
        },
        Metric {
            number: types::memory_metric::MEMORY_RECLAIM_STALL.0 as u16,
            name: "memory.reclaim_stall",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm", "cause"],
            help: "Time that a thread spent freeing pages before it got memory: for the machine, or for its control group's limit.",
            events: Some("reclaim"),
        },
        Metric {
            number: types::memory_metric::MEMORY_RECLAIMED.0 as u16,
            name: "memory.reclaimed",
            kind: MetricKind::Counter,
            unit: Unit::Bytes,
            by: &["pid", "comm", "cause"],
            help: "Memory freed in those stalls.",
            events: None,
        },
        Metric {
            number: types::memory_metric::MEMORY_COMPACTION_STALL.0 as u16,
            name: "memory.compaction_stall",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm"],
            help: "Time that a thread spent compacting a zone to get a large block; without kernel threads.",
            events: Some("compaction"),
        },
        Metric {
            number: types::memory_metric::MEMORY_KSWAPD.0 as u16,
            name: "memory.kswapd",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm"],
            help: "Time from kswapd's wake-up to its next sleep, in which it frees memory.",
            events: None,
        },
        Metric {
            number: types::memory_metric::MEMORY_OOM_KILLS.0 as u16,
            name: "memory.oom_kills",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm"],
            help: "Processes that the kernel killed because memory ran out.",
            events: Some("oom"),
        },
    ],
    kinds: &[
        EventKind {
            name: "reclaim",
            help: "A thread stalled for dur_ns to free memory; bytes is the amount it freed, cause for whose limit.",
            columns: &["dur_ns", "cpu", "pid", "tid", "comm", "process", "bytes", "cause"],
        },
        EventKind {
            name: "compaction",
            help: "A thread stalled for dur_ns to compact memory.",
            columns: &["dur_ns", "cpu", "pid", "tid", "comm", "process"],
        },
        EventKind {
            name: "oom",
            help: "The kernel killed the process to get memory; memory_* are its sizes at that time, memory_asker_* the process that asked for more.",
            columns: &[
                "cpu",
                "pid",
                "tid",
                "uid",
                "comm",
                "process",
                "cgroup_id",
                "memory_total_vm_bytes",
                "memory_anon_rss_bytes",
                "memory_file_rss_bytes",
                "memory_shmem_rss_bytes",
                "memory_swap_bytes",
                "memory_pgtables_bytes",
                "memory_oom_score_adj",
                "memory_asker_pid",
                "memory_asker_comm",
            ],
        },
    ],
    columns: &[
        size(TOTAL_VM, "Address space", "Size of the victim's address space."),
        size(ANON, "Anonymous memory", "The victim's resident anonymous memory."),
        size(FILE, "File memory", "The victim's resident pages of files."),
        size(SHMEM, "Shared memory", "The victim's resident shared memory."),
        size(SWAP, "Swapped out", "The victim's memory in swap."),
        size(PGTABLES, "Page tables", "The victim's page tables."),
        Column {
            name: SCORE,
            ty: ColumnType::Int32,
            title: "OOM score adjustment",
            unit: None,
            help: "The victim's oom_score_adj, from -1000 (never) to 1000 (first).",
        },
        Column {
            name: ASKER_PID,
            ty: ColumnType::Int32,
            title: "Asking process",
            unit: None,
            help: "Process whose request for memory could not be met.",
        },
        Column {
            name: ASKER_COMM,
            ty: ColumnType::Text(Holds::Program),
            title: "Asking command",
            unit: None,
            help: "Name of the thread whose request for memory could not be met.",
        },
    ],
    watches: &[
        Watch::duration("memory.reclaim_stall", "reclaim", "Time that a thread stalled to free memory."),
        Watch::duration("memory.compaction_stall", "compaction", "Time that a thread stalled to compact memory."),
        Watch::occurrence("memory.oom_kills", "oom", "The kernel killed a process for its memory."),
    ],
    hooks: &[
        "iter/task",
        "tp_btf/sched_process_exit",
        "tp_btf/mm_vmscan_direct_reclaim_begin",
        "tp_btf/mm_vmscan_direct_reclaim_end",
        "tp_btf/mm_vmscan_memcg_reclaim_begin",
        "tp_btf/mm_vmscan_memcg_reclaim_end",
        "tp_btf/mm_compaction_begin",
        "tp_btf/mm_compaction_end",
        "tp_btf/mm_vmscan_kswapd_wake",
        "tp_btf/mm_vmscan_kswapd_sleep",
        "tp_btf/mark_victim",
    ],
    cost: "nothing for a page fault, a walk over all threads for each interval, about a microsecond for each stall",
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Memory {
    page_bytes: u64,
    /// The probe's own columns, in the order of `new`.
    columns: [Option<ColumnId>; 9],
    faults: Faults,
    /// The walk at the end of the interval that ended last, and when it began.
    walk: Option<(u64, Vec<Reading>)>,
}

impl BuiltIn for Memory {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Memory {
        let columns = [TOTAL_VM, ANON, FILE, SHMEM, SWAP, PGTABLES, SCORE, ASKER_PID, ASKER_COMM];
        Memory {
            page_bytes: setup.host.auxv.page_size,
            columns: columns.map(|name| setup.schema.id(name)),
            faults: Faults::default(),
            walk: None,
        }
    }
}

impl Decoder for Memory {
    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(record)?;
        match types::memory_event(header.event.into()) {
            types::memory_event::MEMORY_STALLED => self.stall(&read(record)?, context),
            types::memory_event::MEMORY_OOM => self.oom(&read(record)?, context),
            _ => return Err(Undecodable { length: record.len() }),
        }
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        match metric {
            "memory.faults" => {
                let major = gathered.sub & u64::from(types::fault_bits::FAULT_MAJOR.0) != 0;
                key.push(KeyPart::Text(column::STATE, if major { "major" } else { "minor" }.to_owned()));
            }
            "memory.reclaim_stall" | "memory.reclaimed" => {
                key.push(KeyPart::Text(column::CAUSE, cause(gathered.sub as u32).to_owned()));
            }
            _ => {}
        }
        key
    }

    fn begin(&mut self, live: &Live) -> Result<()> {
        let now = clocks::monotonic_ns();
        self.faults.begin(now, &walk(live)?);
        Ok(())
    }

    fn ending_interval(&mut self, live: &Live) -> Result<()> {
        let now = clocks::monotonic_ns();
        let readings = walk(live)?;
        // Without readings the window is over and the walk detached: there are always threads otherwise.
        self.walk = (!readings.is_empty()).then_some((now, readings));
        Ok(())
    }

    fn derive(&mut self, gathered: Vec<Gathered>) -> Vec<Gathered> {
        let metric = |metric: types::memory_metric| metric.0 as u16;
        let faults = metric(types::memory_metric::MEMORY_FAULTS);
        let mut derived = Vec::with_capacity(gathered.len());
        let mut ended: HashMap<(u32, u32), ThreadTotals> = HashMap::new();
        for mut one in gathered {
            if one.metric == faults {
                note_end(&mut ended, &one);
                continue;
            }
            if one.metric == metric(types::memory_metric::MEMORY_RECLAIMED) {
                one.sum = one.sum.saturating_mul(self.page_bytes);
            }
            derived.push(one);
        }
        let walk = self.walk.take();
        let walk = walk.as_ref().map(|(now, readings)| (*now, readings.as_slice()));
        for (pid, Counts { minor, major }) in self.faults.settle(&ended, walk) {
            derived.push(Gathered::counter(faults, pid, 0, minor, minor));
            derived.push(Gathered::counter(faults, pid, types::fault_bits::FAULT_MAJOR.0.into(), major, major));
        }
        derived
    }
}

/// A thread's totals, out of one of the two cells that it left.
fn note_end(ended: &mut HashMap<(u32, u32), ThreadTotals>, cell: &Gathered) {
    let has = |bit: types::fault_bits| cell.sub & u64::from(bit.0) != 0;
    let tid = (cell.sub >> types::fault_bits::FAULT_BITS.0) as u32;
    let end = ended.entry((cell.pid, tid)).or_default();
    end.old |= has(types::fault_bits::FAULT_OLD);
    match has(types::fault_bits::FAULT_MAJOR) {
        true => end.counts.major += cell.sum,
        false => end.counts.minor += cell.sum,
    }
}

/// Reads the counts of all threads in scope.
fn walk(live: &Live) -> Result<Vec<Reading>> {
    let bytes = live.walk("faults_walk")?;
    let readings = bytes.chunks_exact(size_of::<types::fault_reading>()).filter_map(|bytes| {
        let one: types::fault_reading = crate::bpf::read(bytes)?;
        Some(Reading {
            pid: one.pid,
            tid: one.tid,
            born_ns: one.start_time,
            counts: Counts { minor: one.minor, major: one.major },
            exiting: one.exiting != 0,
        })
    });
    Ok(readings.collect())
}

fn cause(stall: u32) -> &'static str {
    match types::stall(stall) {
        types::stall::STALL_RECLAIM_CGROUP => "cgroup limit",
        _ => "machine",
    }
}

impl Memory {
    fn stall(&self, record: &types::stall_record, context: &mut Context<'_>) {
        let header = &record.header;
        let compaction = record.stall == types::stall::STALL_COMPACTION.0;
        let mut row = context.rows.row(if compaction { "compaction" } else { "reclaim" });
        row.at(header.ts).int(column::DUR_NS, signed(record.dur_ns)).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into()).bytes(column::COMM, &record.comm);
        if !compaction {
            row.int(column::BYTES, self.bytes(record.pages)).text(column::CAUSE, cause(record.stall));
        }
    }

    fn oom(&self, record: &types::oom_record, context: &mut Context<'_>) {
        let header = &record.header;
        let mut row = context.rows.row("oom");
        row.at(header.ts).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into());
        let [total_vm, anon, file, shmem, swap, pgtables, score, asker_pid, asker_comm] = self.columns;
        if record.sized != 0 {
            row.bytes(column::COMM, &record.comm).int(column::UID, record.uid.into());
            row.int(column::CGROUP_ID, signed(record.cgroup_id));
            put(&mut row, total_vm, self.bytes(record.total_vm));
            put(&mut row, anon, self.bytes(record.anon));
            put(&mut row, file, self.bytes(record.file));
            put(&mut row, shmem, self.bytes(record.shmem));
            put(&mut row, swap, self.bytes(record.swap));
            put(&mut row, pgtables, signed(record.pgtables));
            put(&mut row, score, record.oom_score_adj.into());
        } else if let Some(comm) = context.names.get(header.pid) {
            row.text(column::COMM, comm);
        }
        put(&mut row, asker_pid, record.asker_pid.into());
        if let Some(column) = asker_comm {
            row.bytes(column, &record.asker_comm);
        }
    }

    fn bytes(&self, pages: u64) -> i64 {
        signed(pages.saturating_mul(self.page_bytes))
    }
}

fn put(row: &mut Row<'_>, column: Option<ColumnId>, value: i64) {
    if let Some(column) = column {
        row.int(column, value);
    }
}

#[cfg(test)]
mod tests {
    use super::Gathered;
    use super::HashMap;
    use super::note_end;

    #[test]
    fn the_two_cells_of_a_thread_that_ended_become_its_totals() {
        let mut ended = HashMap::new();
        note_end(&mut ended, &Gathered::counter(0, 7, 9 << 2, 1, 100));
        note_end(&mut ended, &Gathered::counter(0, 7, 9 << 2 | 1, 1, 3));
        let end = ended[&(7, 9)];
        assert_eq!((end.counts.minor, end.counts.major, end.old), (100, 3, false));
        note_end(&mut ended, &Gathered::counter(0, 7, 10 << 2 | 2, 1, 5));
        assert!(ended[&(7, 10)].old);
    }
}
