//! A trace for ui.perfetto.dev and trace_processor: threads with their states, CPU samples, slow events as slices, metrics as counters.
//!
//! A trace is the pieces that it is cut into, one after the other, so packets are written as they are made. Times are of
//! CLOCK_BOOTTIME, as in other traces of Linux.

mod callstacks;
mod counters;
mod proto;
mod scheduling;
mod slices;
mod tracks;

use std::io::Write;

use anyhow::Result;
use prost::Message;

use crate::export::facts;
use crate::export::frames;
use crate::export::perfetto::proto::Clock;
use crate::export::perfetto::proto::ClockSnapshot;
use crate::export::perfetto::proto::DebugAnnotation;
use crate::export::perfetto::proto::SystemInfo;
use crate::export::perfetto::proto::Trace;
use crate::export::perfetto::proto::TracePacket;
use crate::export::perfetto::proto::TrackEvent;
use crate::export::perfetto::proto::Utsname;
use crate::export::perfetto::tracks::Tracks;
use crate::export::samples::Samples;
use crate::export::timed;
use crate::export::timed::InOrder;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;

/// The one sequence that all packets are of.
const SEQUENCE: u32 = 1;
/// Bytes that are written at a time.
const PIECE: usize = 64 << 10;
/// BuiltinClock's numbers.
const REALTIME: u32 = 1;
const MONOTONIC: u32 = 3;
const BOOTTIME: u32 = 6;

/// TrackEvent's types.
const SLICE_BEGIN: i32 = 1;
const SLICE_END: i32 = 2;
const INSTANT: i32 = 3;
const COUNTER: i32 = 4;

/// Writes the trace; a recording need not have samples.
pub(super) fn write(source: &Source, samples: Option<&(Samples, InOrder)>, out: &mut dyn Write) -> Result<()> {
    let processes = ProcessTable::of(source)?;
    let mut packets = Packets::new(source, out);
    head(source, &mut packets)?;
    let mut tracks = Tracks::default();
    about(source, &mut packets)?;
    if scheduling::is_recorded(source) {
        scheduling::write(source, &processes, &mut tracks, &mut packets)?;
    } else {
        counters::ledger(source, &processes, &mut tracks, &mut packets)?;
    }
    if let Some((samples, timed)) = samples {
        callstacks::write(source, samples, timed, &mut tracks, &mut packets)?;
    }
    slices::write(source, &processes, &mut tracks, &mut packets)?;
    counters::metrics(source, &mut packets)?;
    tracks.limit.check(source, "threads")?;
    packets.flush()
}

/// Packets on their way out.
struct Packets<'o> {
    out: &'o mut dyn Write,
    piece: Vec<u8>,
    /// CLOCK_BOOTTIME at the window's start.
    start_boot_ns: i64,
    /// The last number of a track.
    tracks: u64,
}

impl<'o> Packets<'o> {
    fn new(source: &Source, out: &'o mut dyn Write) -> Packets<'o> {
        let meta = source.meta();
        let ahead = meta.clock.first().map_or(0, |anchor| anchor.boot_ns.saturating_sub(anchor.mono_ns));
        let start_boot_ns = meta.window.start_mono_ns.saturating_add(ahead);
        Packets { out, piece: Vec::new(), start_boot_ns, tracks: 0 }
    }

    /// A time of the window as the trace counts.
    fn time(&self, at: i64) -> u64 {
        self.start_boot_ns.saturating_add(at).max(0).unsigned_abs()
    }

    fn push(&mut self, packet: TracePacket) -> Result<()> {
        let packet = TracePacket { trusted_packet_sequence_id: Some(SEQUENCE), ..packet };
        self.piece.extend(Trace { packet: vec![packet] }.encode_to_vec());
        if self.piece.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// An event on a track.
    fn event(&mut self, at: i64, event: TrackEvent) -> Result<()> {
        let timestamp = Some(self.time(at));
        self.push(TracePacket { timestamp, track_event: Some(event), ..TracePacket::default() })
    }

    /// A number for a new track.
    fn next_track(&mut self) -> u64 {
        self.tracks += 1;
        self.tracks
    }

    fn flush(&mut self) -> Result<()> {
        self.out.write_all(&std::mem::take(&mut self.piece))?;
        Ok(())
    }
}

/// The clocks and the machine.
fn head(source: &Source, packets: &mut Packets<'_>) -> Result<()> {
    let meta = source.meta();
    let clock = |clock_id: u32, ns: i64| Clock { clock_id: Some(clock_id), timestamp: Some(ns.max(0).unsigned_abs()) };
    let clocks = vec![
        clock(REALTIME, meta.window.start_real_ns),
        clock(MONOTONIC, meta.window.start_mono_ns),
        clock(BOOTTIME, packets.start_boot_ns),
    ];
    let snapshot = ClockSnapshot { clocks, primary_trace_clock: Some(BOOTTIME.cast_signed()) };
    packets.push(TracePacket {
        clock_snapshot: Some(snapshot),
        // Nothing before it is referred to.
        sequence_flags: Some(1),
        ..TracePacket::default()
    })?;
    let text = |text: &str| Some(frames::name(text).into_owned());
    let host = &meta.host;
    let utsname = Utsname { sysname: text("Linux"), release: text(&host.kernel), machine: text(&host.arch) };
    let system_info = SystemInfo {
        utsname: Some(utsname),
        num_cpus: Some(host.cpus),
        system_ram_bytes: Some(host.memory_bytes),
        machine_name: text(&host.hostname),
    };
    packets.push(TracePacket { system_info: Some(system_info), ..TracePacket::default() })
}

/// What is known of the recording, losses too, as a slice over the window.
fn about(source: &Source, packets: &mut Packets<'_>) -> Result<()> {
    let track = tracks::named("recording", None, packets)?;
    let facts = facts::of(source)?.into_iter().chain(timed::note(source));
    let annotation = |(place, fact): (usize, String)| {
        let (name, value) = match fact.split_once(": ") {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (format!("fact {place}"), fact),
        };
        DebugAnnotation { name: Some(name), string_value: Some(value) }
    };
    let debug_annotations = facts.enumerate().map(annotation).collect();
    let begin = TrackEvent {
        r#type: Some(SLICE_BEGIN),
        track_uuid: Some(track),
        name: Some("window".to_owned()),
        debug_annotations,
        ..TrackEvent::default()
    };
    packets.event(source.begin_ns(), begin)?;
    let end = TrackEvent { r#type: Some(SLICE_END), track_uuid: Some(track), ..TrackEvent::default() };
    packets.event(source.end_ns(), end)
}
