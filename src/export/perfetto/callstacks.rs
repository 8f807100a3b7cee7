//! CPU samples with their stacks; what they refer to goes into tables of the sequence before it is first referred to.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::export::frames;
use crate::export::perfetto::Packets;
use crate::export::perfetto::proto::Callstack;
use crate::export::perfetto::proto::Frame as FrameEntry;
use crate::export::perfetto::proto::InternedData;
use crate::export::perfetto::proto::InternedString;
use crate::export::perfetto::proto::Mapping;
use crate::export::perfetto::proto::PerfSample;
use crate::export::perfetto::proto::PerfSampleDefaults;
use crate::export::perfetto::proto::Timebase;
use crate::export::perfetto::proto::TracePacket;
use crate::export::perfetto::proto::TracePacketDefaults;
use crate::export::perfetto::tracks::Thread;
use crate::export::perfetto::tracks::Tracks;
use crate::export::samples::Samples;
use crate::export::timed::InOrder;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::profile::Frame;

/// SW_CPU_CLOCK of PerfEvents.Counter.
const CPU_CLOCK: i32 = 1;
/// SEQ_NEEDS_INCREMENTAL_STATE: a packet that refers to tables.
const REFERS: u32 = 2;
/// About what an entry of a table takes in memory.
const ENTRY_BYTES: usize = 96;

/// Writes the samples in the order of their times.
pub(super) fn write(
    source: &Source,
    samples: &Samples,
    timed: &InOrder,
    tracks: &mut Tracks,
    packets: &mut Packets<'_>,
) -> Result<()> {
    let timebase = Timebase { frequency: Some(99), counter: Some(CPU_CLOCK) };
    let perf_sample_defaults = Some(PerfSampleDefaults { timebase: Some(timebase) });
    packets.push(TracePacket {
        trace_packet_defaults: Some(TracePacketDefaults { perf_sample_defaults }),
        ..TracePacket::default()
    })?;
    let mut tables = Tables::default();
    timed.each(|sample| {
        let owner = samples.owner(&sample.stack);
        let who = Thread { pid: owner.pid, tid: owner.tid, process: Some(&owner.process), comm: owner.comm.as_deref() };
        tracks.thread(&who, packets)?;
        let callstack_iid = tables.callstack(&samples.frames(&sample.stack));
        let number = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
        let perf_sample = PerfSample {
            cpu: sample.cpu.map(i32::cast_unsigned),
            pid: number(owner.pid),
            tid: number(owner.tid.or(owner.pid)),
            callstack_iid,
            timebase_count: Some(sample.ns),
        };
        let interned = std::mem::take(&mut tables.new);
        packets.push(TracePacket {
            timestamp: Some(packets.time(sample.at)),
            perf_sample: Some(perf_sample),
            interned_data: (interned != InternedData::default()).then_some(interned),
            sequence_flags: Some(REFERS),
            ..TracePacket::default()
        })
    })?;
    tables.limit.check(source, "stacks and functions")
}

/// The tables of the sequence.
#[derive(Default)]
struct Tables {
    /// What was not written yet.
    new: InternedData,
    names: HashMap<Rc<str>, u64>,
    paths: HashMap<Rc<str>, u64>,
    build_ids: HashMap<Rc<str>, u64>,
    mappings: HashMap<(u64, u64), u64>,
    /// By the number of the symbol.
    frames: HashMap<i32, u64>,
    callstacks: HashMap<Vec<u64>, u64>,
    limit: Limit,
}

impl Tables {
    fn callstack(&mut self, stack: &[(i32, &Frame)]) -> Option<u64> {
        let frame_ids: Vec<u64> = stack.iter().rev().map(|(symbol, frame)| self.frame(*symbol, frame)).collect();
        if frame_ids.is_empty() {
            return None;
        }
        if let Some(iid) = self.callstacks.get(&frame_ids) {
            return Some(*iid);
        }
        if !self.limit.take(ENTRY_BYTES + size_of_val(frame_ids.as_slice())) {
            return None;
        }
        let iid = self.callstacks.len() as u64 + 1;
        self.new.callstacks.push(Callstack { iid: Some(iid), frame_ids: frame_ids.clone() });
        self.callstacks.insert(frame_ids, iid);
        Some(iid)
    }

    fn frame(&mut self, symbol: i32, frame: &Frame) -> u64 {
        if let Some(iid) = self.frames.get(&symbol) {
            return *iid;
        }
        let function = &frame.function;
        let function_name_id =
            Some(text(&function.text, &mut self.names, &mut self.new.function_names, &mut self.limit));
        let mapping_id = Some(self.mapping(frame));
        self.limit.take(ENTRY_BYTES);
        let iid = self.frames.len() as u64 + 1;
        self.new.frames.push(FrameEntry { iid: Some(iid), function_name_id, mapping_id, rel_pc: frame.address });
        self.frames.insert(symbol, iid);
        iid
    }

    fn mapping(&mut self, frame: &Frame) -> u64 {
        let path = text(&frame.function.module, &mut self.paths, &mut self.new.mapping_paths, &mut self.limit);
        let build_id = frame.build_id.clone().unwrap_or_default();
        let build_id = text(&build_id, &mut self.build_ids, &mut self.new.build_ids, &mut self.limit);
        let next = self.mappings.len() as u64 + 1;
        if let Some(iid) = self.mappings.get(&(path, build_id)) {
            return *iid;
        }
        self.limit.take(ENTRY_BYTES);
        self.mappings.insert((path, build_id), next);
        self.new.mappings.push(Mapping { iid: Some(next), build_id: Some(build_id), path_string_ids: vec![path] });
        next
    }
}

/// The number of a text in a table.
fn text(text: &Rc<str>, known: &mut HashMap<Rc<str>, u64>, new: &mut Vec<InternedString>, limit: &mut Limit) -> u64 {
    if let Some(iid) = known.get(text) {
        return *iid;
    }
    limit.take(ENTRY_BYTES);
    let iid = known.len() as u64 + 1;
    new.push(InternedString { iid: Some(iid), str: Some(frames::name(text).as_bytes().to_vec()) });
    known.insert(Rc::clone(text), iid);
    iid
}
