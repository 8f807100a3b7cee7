//! Records and keys of one event, as rows.

use std::collections::HashMap;

use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;

use super::BY;
use super::FUNCTION;
use super::code;
use super::joined::Joined;
use super::joined::Name;
use super::text;
use super::types;
use crate::bpf::cells::Gathered;
use crate::bpf::frames::Sweeper;
use crate::bpf::live::Live;
use crate::probe::attached::Context;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::event::TextKind;
use crate::probe::event::Value;
use crate::probe::names::NamesThen;
use crate::probes::Decoder;
use crate::probes::KeyPart;
use crate::probes::read;
use crate::probes::signed;
use crate::recording::ColumnId;
use crate::recording::column;

/// The columns of captured numbers and texts.
const NUMBERS: [ColumnId; 6] =
    [column::ARG_0, column::ARG_1, column::ARG_2, column::ARG_3, column::ARG_4, column::ARG_5];
const TEXTS: [ColumnId; 3] = [column::STR_0, column::STR_1, column::STR_2];

/// What by(…) says of a key that the kernel's side had no room for, and of one that it could not read.
const OTHER: &str = "other";
const UNREADABLE: &str = "?";

/// One event's hits.
pub(super) struct Hits {
    label: String,
    /// What places are called, by number.
    names: Vec<Name>,
    is_latency: bool,
    texts: Vec<TextKind>,
    numbers: usize,
    /// By number or by text.
    by: Option<Option<TextKind>>,
    /// Values of by(…) with their places, by the key in the kernel.
    keys: HashMap<u64, (u32, String)>,
    function: Option<ColumnId>,
    by_column: Option<ColumnId>,
    /// Where exits are paired with entries.
    sweeper: Option<Sweeper>,
}

impl Hits {
    pub(super) fn new(joined: &Joined, setup: &Setup<'_>) -> Hits {
        let event = &joined.event;
        Hits {
            label: event.label.clone(),
            names: joined.names.clone(),
            is_latency: event.hook.is_latency(),
            texts: code::texts(event).map(|(_, _, kind)| kind).collect(),
            numbers: code::numbers(event).count(),
            by: event.by.as_ref().map(|by| match by.value {
                Value::Number(_) => None,
                Value::Text { kind, .. } => Some(kind),
            }),
            keys: HashMap::new(),
            function: setup.schema.id(FUNCTION),
            by_column: setup.schema.id(BY),
            sweeper: event.hook.pairs_exits().then(Sweeper::default),
        }
    }

    /// The event and, where it has several places, the function or point.
    fn name(&self, place: Option<u32>) -> (&str, Option<&str>) {
        match place.and_then(|place| self.names.get(place as usize)) {
            Some(name) => (&name.event, name.function.as_deref()),
            None => (&self.label, None),
        }
    }
}

impl Decoder for Hits {
    /// Calls that have not returned.
    fn under_way(&self, live: &Live) -> Result<Option<u64>> {
        if !self.is_latency {
            return Ok(None);
        }
        if self.sweeper.is_some() {
            return Ok(Some(live.entries("frames")?));
        }
        let map = live.map("calls_of_thread")?;
        let mut calls: u64 = 0;
        for thread in map.keys() {
            // They begin with their number.
            let depth = map.lookup(&thread, MapFlags::ANY)?.and_then(|calls| calls.first_chunk().copied());
            calls += u64::from(depth.map_or(0, u32::from_ne_bytes));
        }
        Ok(Some(calls))
    }

    fn decode(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let record: types::event_record = read(bytes)?;
        let kept = bytes.get(size_of::<types::event_record>()..).unwrap_or_default();
        let room = usize::from(record.text_bytes).max(1);
        if kept.len() < self.texts.len() * room {
            return Err(Undecodable { length: bytes.len() });
        }
        let header = &record.header;
        let (kstack, ustack) = (context.stacks.kernel(record.kstack), context.stacks.user(header.pid, record.ustack));
        let mut row = context.rows.row("event");
        let (event, function) = self.name(Some(record.place));
        row.at(header.ts).int(column::CPU, header.cpu.into()).text(column::NAME, event);
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into()).bytes(column::COMM, &record.comm);
        row.maybe_int(column::KSTACK_ID, kstack.map(i64::from)).maybe_int(column::USTACK_ID, ustack.map(i64::from));
        if self.is_latency {
            row.int(column::DUR_NS, signed(record.dur_ns));
        }
        if let (Some(column), Some(function)) = (self.function, function) {
            row.text(column, function);
        }
        for (index, (column, value)) in NUMBERS.iter().zip(record.numbers).take(self.numbers).enumerate() {
            if record.no_number >> index & 1 == 0 {
                row.int(*column, value);
            }
        }
        for (index, (kind, bytes)) in self.texts.iter().zip(kept.chunks_exact(room)).enumerate() {
            let Some(column) = TEXTS.get(index).filter(|_| record.no_text >> index & 1 == 0) else { continue };
            match kind {
                // As it is, whatever its encoding.
                TextKind::String { limit, .. } => row.bytes(*column, &text::whole(bytes, *limit)),
                kind => row.text(*column, &text::readable(*kind, bytes)),
            };
        }
        Ok(())
    }

    fn key(&mut self, _: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        let (place, by) = match self.by {
            None => (u32::try_from(gathered.sub).ok(), None),
            Some(_) => match self.keys.get(&gathered.sub) {
                Some((place, by)) => (Some(*place), Some(by.clone())),
                None => (None, Some(OTHER.to_owned())),
            },
        };
        let (event, function) = self.name(place);
        key.push(KeyPart::Text(column::NAME, event.to_owned()));
        if let (Some(column), Some(function)) = (self.function, function) {
            key.push(KeyPart::Text(column, function.to_owned()));
        }
        if let (Some(column), Some(by)) = (self.by_column, by) {
            key.push(KeyPart::Text(column, by));
        }
        key
    }

    fn end_interval(&mut self, live: &Live, _: u64) -> Result<()> {
        if let Some(sweeper) = &mut self.sweeper {
            sweeper.sweep(live)?;
        }
        let Some(kind) = self.by else { return Ok(()) };
        let map = live.map("event_keys")?;
        for bytes in map.keys() {
            let Some(hash) = bytes.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)) else { continue };
            if self.keys.contains_key(&hash) {
                continue;
            }
            let found =
                map.lookup(&bytes, MapFlags::ANY)?.and_then(|value| crate::bpf::read::<types::event_key>(&value));
            let Some(key) = found else { continue };
            let value = match kind {
                _ if key.missing != 0 => UNREADABLE.to_owned(),
                None => key.number.cast_signed().to_string(),
                Some(kind) => {
                    let kept = live.map("event_key_texts")?.lookup(&bytes, MapFlags::ANY)?;
                    let kept = kept.and_then(|value| crate::bpf::read::<types::event_key_text>(&value));
                    match kept.filter(|kept| kept.is_read != 0) {
                        Some(kept) if kept.failed == 0 => text::key(kind, &kept.text, key.number),
                        _ => UNREADABLE.to_owned(),
                    }
                }
            };
            self.keys.insert(hash, (key.place, value));
        }
        Ok(())
    }
}
