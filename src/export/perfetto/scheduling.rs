//! Which thread each CPU ran and who woke whom, as the kernel's own events, where a recording has every slice (`sched:raw`).

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::export::frames;
use crate::export::perfetto::Packets;
use crate::export::perfetto::proto::FtraceEvent;
use crate::export::perfetto::proto::FtraceEventBundle;
use crate::export::perfetto::proto::SchedSwitch;
use crate::export::perfetto::proto::SchedWaking;
use crate::export::perfetto::proto::TracePacket;
use crate::export::perfetto::tracks::Thread;
use crate::export::perfetto::tracks::Tracks;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::spill::Sorter;

/// What slices may take in memory while they are sorted.
const SORTED_BYTES: usize = 16 << 20;
/// Events of a packet.
const BUNDLE: usize = 512;
/// The priority of ordinary threads in the kernel's count, for the idle task.
const ORDINARY: i32 = 120;

/// Whether a recording has the slices of threads.
pub(super) fn is_recorded(source: &Source) -> bool {
    source.recording().rows("slice") > 0
}

/// A stretch of time that a thread had a CPU. In the order of CPUs and times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Slice {
    cpu: u32,
    begin: i64,
    end: i64,
    tid: i32,
    prio: i32,
    state: i64,
    comm: String,
}

/// Writes slices and wake-ups.
pub(super) fn write(
    source: &Source,
    processes: &ProcessTable,
    tracks: &mut Tracks,
    packets: &mut Packets<'_>,
) -> Result<()> {
    let mut sorter: Sorter<Slice> = Sorter::new(SORTED_BYTES);
    let mut failed = None;
    let mut rows = source.rows("slice");
    let (cpu, tid, prio, state) = (rows.int("cpu"), rows.int("tid"), rows.int("prio"), rows.text("state"));
    rows.each(|row| {
        let (Some(end), Some(dur), Some(tid)) = (row.at(), row.dur(), row.int(tid)) else { return };
        let process = processes.of_row(row);
        let who = Thread { pid: row.pid(), tid: Some(tid), process, comm: row.comm() };
        if failed.is_none() {
            failed = tracks.thread(&who, packets).err();
        }
        let comm = row.comm().map(|comm| frames::name(comm).into_owned()).unwrap_or_default();
        let slice = Slice {
            cpu: row.int(cpu).and_then(|cpu| cpu.try_into().ok()).unwrap_or(0),
            begin: end.saturating_sub(dur.max(0)),
            end,
            tid: tid.try_into().unwrap_or(0),
            prio: row.int(prio).and_then(|prio| prio.try_into().ok()).unwrap_or(ORDINARY),
            state: state_bits(row.text(state).unwrap_or_default()),
            comm,
        };
        let bytes = size_of::<Slice>() + slice.comm.len();
        sorter.push(slice, bytes);
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let mut switches = Switches::default();
    for slice in sorter.finish().context("can't put slices into a temporary file")?.iter().context(UNREADABLE)? {
        switches.add(slice.context(UNREADABLE)?, packets)?;
    }
    switches.idle(packets)?;
    switches.flush(packets)?;
    wakeups(source, packets)
}

const UNREADABLE: &str = "can't read slices back from a temporary file";

/// The bits of a thread's state at a switch, as tracepoints show them since 4.14.
fn state_bits(state: &str) -> i64 {
    match state {
        // A thread that could have run on: TASK_REPORT_MAX.
        "preempted" => 0x100,
        "blocked" => 0x2,
        "stopped" => 0x4,
        "dead" => 0x10,
        _ => 0x1,
    }
}

/// Switches of one CPU after the other.
#[derive(Default)]
struct Switches {
    cpu: u32,
    events: Vec<FtraceEvent>,
    /// The slice that ended last, whose successor is not known yet.
    last: Option<Slice>,
}

impl Switches {
    fn add(&mut self, slice: Slice, packets: &mut Packets<'_>) -> Result<()> {
        if self.cpu != slice.cpu {
            self.idle(packets)?;
            self.flush(packets)?;
            self.cpu = slice.cpu;
        }
        // Rows of a damaged file may overlap; a CPU runs one thread at a time.
        let follows = self.last.as_ref().is_some_and(|last| last.end >= slice.begin);
        let begin = self.last.as_ref().map_or(slice.begin, |last| last.end.max(slice.begin));
        if !follows {
            self.idle(packets)?;
        }
        self.switch(begin, Some(&slice), packets);
        self.last = Some(slice);
        if self.events.len() >= BUNDLE { self.flush(packets) } else { Ok(()) }
    }

    /// The CPU goes idle after the last slice.
    fn idle(&mut self, packets: &mut Packets<'_>) -> Result<()> {
        if let Some(end) = self.last.as_ref().map(|last| last.end) {
            self.switch(end, None, packets);
        }
        Ok(())
    }

    /// From the last slice, or from the idle task, to a slice or to the idle task.
    fn switch(&mut self, at: i64, next: Option<&Slice>, packets: &Packets<'_>) {
        let prev = self.last.take();
        let name =
            |slice: Option<&Slice>| slice.map_or_else(|| format!("swapper/{}", self.cpu), |slice| slice.comm.clone());
        let switch = SchedSwitch {
            prev_comm: Some(name(prev.as_ref())),
            prev_pid: Some(prev.as_ref().map_or(0, |prev| prev.tid)),
            prev_prio: Some(prev.as_ref().map_or(ORDINARY, |prev| prev.prio)),
            prev_state: Some(prev.as_ref().map_or(0, |prev| prev.state)),
            next_comm: Some(name(next)),
            next_pid: Some(next.map_or(0, |next| next.tid)),
            next_prio: Some(next.map_or(ORDINARY, |next| next.prio)),
        };
        let pid = switch.prev_pid.map(i32::cast_unsigned);
        let timestamp = Some(packets.time(at));
        self.events.push(FtraceEvent { timestamp, pid, sched_switch: Some(switch), sched_waking: None });
    }

    fn flush(&mut self, packets: &mut Packets<'_>) -> Result<()> {
        let event = std::mem::take(&mut self.events);
        if event.is_empty() { Ok(()) } else { bundle(self.cpu, event, packets) }
    }
}

fn bundle(cpu: u32, event: Vec<FtraceEvent>, packets: &mut Packets<'_>) -> Result<()> {
    let ftrace_events = Some(FtraceEventBundle { cpu: Some(cpu), event });
    packets.push(TracePacket { ftrace_events, ..TracePacket::default() })
}

/// Who made which thread runnable: a wait for a CPU began when the waker called.
fn wakeups(source: &Source, packets: &mut Packets<'_>) -> Result<()> {
    let mut failed = None;
    let mut rows = source.rows("wakeup");
    let (cpu, tid, prio, waker) = (rows.int("cpu"), rows.int("tid"), rows.int("prio"), rows.int("waker_tid"));
    rows.each(|row| {
        let (Some(end), Some(dur), Some(tid), Some(waker)) = (row.at(), row.dur(), row.int(tid), row.int(waker)) else {
            return;
        };
        let number = |value: Option<i64>| value.and_then(|value| i32::try_from(value).ok());
        let waking = SchedWaking {
            comm: Some(row.comm().map(|comm| frames::name(comm).into_owned()).unwrap_or_default()),
            pid: number(Some(tid)),
            prio: number(row.int(prio)),
            success: Some(1),
            target_cpu: number(row.int(cpu)),
        };
        let event = FtraceEvent {
            timestamp: Some(packets.time(end.saturating_sub(dur.max(0)))),
            pid: u32::try_from(waker).ok(),
            sched_switch: None,
            sched_waking: Some(waking),
        };
        let cpu = row.int(cpu).and_then(|cpu| cpu.try_into().ok()).unwrap_or(0);
        if failed.is_none() {
            failed = bundle(cpu, vec![event], packets).err();
        }
    })?;
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::Slice;
    use super::Switches;
    use super::state_bits;
    use crate::export::perfetto::Packets;
    use crate::export::perfetto::proto::Trace;

    #[test]
    fn a_cpu_goes_from_thread_to_thread_and_idles_in_between() {
        let slice = |cpu, begin, end, tid: i32, state| Slice {
            cpu,
            begin,
            end,
            tid,
            prio: 120,
            state: state_bits(state),
            comm: format!("t{tid}"),
        };
        let slices = [
            slice(0, 0, 10, 1, "preempted"),
            slice(0, 10, 20, 2, "blocked"),
            slice(0, 30, 40, 1, "sleeping"),
            slice(1, 5, 6, 3, "dead"),
        ];
        let mut out = Vec::new();
        let mut packets = Packets { out: &mut out, piece: Vec::new(), start_boot_ns: 0, tracks: 0 };
        let mut switches = Switches::default();
        slices.into_iter().for_each(|slice| switches.add(slice, &mut packets).unwrap());
        switches.idle(&mut packets).unwrap();
        switches.flush(&mut packets).unwrap();
        packets.flush().unwrap();
        let mut found = Vec::new();
        for packet in Trace::decode(&out[..]).unwrap().packet {
            let bundle = packet.ftrace_events.unwrap();
            for event in bundle.event {
                let switch = event.sched_switch.unwrap();
                let [prev, next] = [switch.prev_pid, switch.next_pid].map(Option::unwrap);
                found.push((bundle.cpu.unwrap(), event.timestamp.unwrap(), prev, switch.prev_state.unwrap(), next));
            }
        }
        let expected = [
            (0, 0, 0, 0, 1),
            (0, 10, 1, 0x100, 2),
            (0, 20, 2, 2, 0),
            (0, 30, 0, 0, 1),
            (0, 40, 1, 1, 0),
            (1, 5, 0, 0, 3),
            (1, 6, 3, 0x10, 0),
        ];
        assert_eq!(found, expected);
    }
}
