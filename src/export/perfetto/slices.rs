//! The slowest events as slices of their threads, and flows from who ended a wait to who waited.

use std::collections::HashMap;

use anyhow::Result;

use crate::export::frames;
use crate::export::perfetto::INSTANT;
use crate::export::perfetto::Packets;
use crate::export::perfetto::SLICE_BEGIN;
use crate::export::perfetto::SLICE_END;
use crate::export::perfetto::proto::DebugAnnotation;
use crate::export::perfetto::proto::TrackEvent;
use crate::export::perfetto::tracks::Thread;
use crate::export::perfetto::tracks::Tracks;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::read::slow;
use crate::report::read::slow::SlowEvent;

/// Slices: the slowest events; a raw recording has millions.
const MOST: usize = 20_000;

/// Writes the slices.
pub(super) fn write(
    source: &Source,
    processes: &ProcessTable,
    tracks: &mut Tracks,
    packets: &mut Packets<'_>,
) -> Result<()> {
    let kinds = slow::kinds(source);
    let mut events = slow::slowest(source, &kinds, MOST)?.events;
    events.sort_by_key(|event| (event.begin(), event.at));
    let mut lanes = Lanes::default();
    for (flow, event) in (1u64..).zip(&mut events) {
        let process = processes.name(event.which).map(str::to_owned).or_else(|| event.comm.clone());
        let who = Thread {
            pid: event.which.map(|which| which.pid),
            tid: event.tid,
            process: process.as_deref(),
            comm: event.comm.as_deref(),
        };
        let thread = tracks.thread(&who, packets)?;
        event.name_processes(processes);
        let lane = lanes.of(thread, event);
        let track = tracks.child(thread, &event.kind, lane, None, packets)?;
        slice(track, event, packets)?;
        if let Some((pid, tid)) = event.waker() {
            let comm = processes.comm(pid);
            let waker = tracks.thread(&Thread { pid: Some(pid), tid: Some(tid), process: comm, comm }, packets)?;
            wake([waker, thread], event, flow, packets)?;
        }
    }
    Ok(())
}

fn slice(track: u64, event: &SlowEvent, packets: &mut Packets<'_>) -> Result<()> {
    let facts = event.facts();
    let about = |name: &str, value: &str| DebugAnnotation {
        name: Some(name.to_owned()),
        string_value: Some(frames::name(value).into_owned()),
    };
    let begin = TrackEvent {
        r#type: Some(SLICE_BEGIN),
        track_uuid: Some(track),
        name: Some(frames::name(&event.what()).into_owned()),
        categories: vec![frames::name(&event.probe).into_owned()],
        debug_annotations: (!facts.is_empty()).then(|| about("details", &facts)).into_iter().collect(),
        ..TrackEvent::default()
    };
    packets.event(event.begin(), begin)?;
    let end = TrackEvent { r#type: Some(SLICE_END), track_uuid: Some(track), ..TrackEvent::default() };
    packets.event(event.at, end)
}

/// An arrow from the waker, when it called, to the thread, when it ran.
fn wake([waker, woken]: [u64; 2], event: &SlowEvent, flow: u64, packets: &mut Packets<'_>) -> Result<()> {
    let instant = |track: u64, name: &str| TrackEvent {
        r#type: Some(INSTANT),
        track_uuid: Some(track),
        name: Some(name.to_owned()),
        categories: vec!["wake-up".to_owned()],
        ..TrackEvent::default()
    };
    packets.event(event.woken_at(), TrackEvent { flow_ids: vec![flow], ..instant(waker, "wakes a thread") })?;
    packets.event(event.at, TrackEvent { terminating_flow_ids: vec![flow], ..instant(woken, "runs again") })
}

/// Slices of a track nest, and events need not: those of one kind and thread that overlap have tracks of their own, of one name.
#[derive(Default)]
struct Lanes(HashMap<(u64, String), Vec<i64>>);

/// Tracks of one kind and thread; what overlaps even more shares the last.
const MOST_LANES: usize = 64;

impl Lanes {
    /// The lane that is free when an event begins. Events come in the order of their beginnings.
    fn of(&mut self, thread: u64, event: &SlowEvent) -> usize {
        let ends = self.0.entry((thread, event.kind.clone())).or_default();
        let free = ends.iter().position(|end| *end <= event.begin());
        let lane = free.unwrap_or(ends.len()).min(MOST_LANES - 1);
        match ends.get_mut(lane) {
            Some(end) => *end = event.at,
            None => ends.push(event.at),
        }
        lane
    }
}
