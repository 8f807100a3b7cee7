//! Tracks of processes and threads, described when something first happens on them.

use std::collections::HashMap;
use std::collections::HashSet;

use anyhow::Result;

use crate::export::frames;
use crate::export::perfetto::Packets;
use crate::export::perfetto::proto::CounterDescriptor;
use crate::export::perfetto::proto::ProcessDescriptor;
use crate::export::perfetto::proto::ThreadDescriptor;
use crate::export::perfetto::proto::TracePacket;
use crate::export::perfetto::proto::TrackDescriptor;
use crate::report::read::limit::Limit;

/// About what a track takes in memory.
const TRACK_BYTES: usize = 128;

/// The tracks that were described.
#[derive(Default)]
pub(super) struct Tracks {
    processes: HashSet<i32>,
    /// By process and thread.
    threads: HashMap<(i32, i64), u64>,
    /// Those below a thread's, by their names.
    children: HashMap<(u64, String), u64>,
    /// What they may take in memory.
    pub(super) limit: Limit,
}

impl Tracks {
    /// The track of a thread.
    pub(super) fn thread(&mut self, who: &Thread<'_>, packets: &mut Packets<'_>) -> Result<u64> {
        let pid = who.pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
        let tid = who.tid.unwrap_or(pid.into());
        if let Some(track) = self.threads.get(&(pid, tid)) {
            return Ok(*track);
        }
        if !self.limit.take(TRACK_BYTES) {
            return Ok(0);
        }
        if self.processes.insert(pid) {
            let process_name = who.process.map(|name| frames::name(name).into_owned());
            let process = ProcessDescriptor { pid: Some(pid), process_name };
            let uuid = Some(packets.next_track());
            describe(TrackDescriptor { uuid, process: Some(process), ..TrackDescriptor::default() }, packets)?;
        }
        let thread_name = who.comm.or(who.process).map(|name| frames::name(name).into_owned());
        let thread = ThreadDescriptor { pid: Some(pid), tid: Some(tid), thread_name };
        let track = packets.next_track();
        let uuid = Some(track);
        describe(TrackDescriptor { uuid, thread: Some(thread), ..TrackDescriptor::default() }, packets)?;
        self.threads.insert((pid, tid), track);
        Ok(track)
    }

    /// A track below a thread's, which is a counter's where it has a unit.
    pub(super) fn child(
        &mut self,
        parent: u64,
        name: &str,
        lane: usize,
        unit: Option<&str>,
        packets: &mut Packets<'_>,
    ) -> Result<u64> {
        let key = (parent, format!("{name}/{lane}"));
        if let Some(track) = self.children.get(&key) {
            return Ok(*track);
        }
        if !self.limit.take(TRACK_BYTES + name.len()) {
            return Ok(0);
        }
        let track = packets.next_track();
        let counter = unit.map(|unit| CounterDescriptor { unit_name: Some(unit.to_owned()) });
        let name = Some(frames::name(name).into_owned());
        let (uuid, parent_uuid) = (Some(track), Some(parent));
        describe(TrackDescriptor { uuid, name, parent_uuid, counter, ..TrackDescriptor::default() }, packets)?;
        self.children.insert(key, track);
        Ok(track)
    }
}

/// Who a track is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thread<'a> {
    /// Its process.
    pub(super) pid: Option<i64>,
    /// The thread; the process's first without.
    pub(super) tid: Option<i64>,
    /// The process's name.
    pub(super) process: Option<&'a str>,
    /// Its own.
    pub(super) comm: Option<&'a str>,
}

/// A track of no thread, which is a counter's where it has a unit.
pub(super) fn named(name: &str, unit: Option<&str>, packets: &mut Packets<'_>) -> Result<u64> {
    let track = packets.next_track();
    let counter = unit.map(|unit| CounterDescriptor { unit_name: Some(unit.to_owned()) });
    let name = Some(frames::name(name).into_owned());
    describe(TrackDescriptor { uuid: Some(track), name, counter, ..TrackDescriptor::default() }, packets)?;
    Ok(track)
}

fn describe(track: TrackDescriptor, packets: &mut Packets<'_>) -> Result<()> {
    packets.push(TracePacket { track_descriptor: Some(track), ..TracePacket::default() })
}
