//! A profile in pprof's format, for `go tool pprof`, Pyroscope, Grafana, Speedscope and others.
//!
//! A message is the messages that it is cut into, one after the other, so the profile is written piece by piece: a table's entry when a
//! sample first needs it. Samples of one stack and owner are one.

mod proto;

use std::collections::HashMap;
use std::io;
use std::io::Write;
use std::rc::Rc;

use anyhow::Result;
use prost::Message;

use crate::export::Profile as View;
use crate::export::facts;
use crate::export::frames;
use crate::export::samples::Owner;
use crate::export::samples::Samples;
use crate::export::samples::Total;
use crate::export::samples::Totals;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::profile::Frame;
use crate::report::read::profile::Function;

/// Samples of a piece.
const PIECE: usize = 1024;
/// About what a text, a function or a location takes in memory.
const ENTRY_BYTES: usize = 96;

/// Writes a profile, which is not compressed yet.
pub(super) fn write(
    source: &Source,
    view: View,
    samples: &Samples,
    totals: &Totals,
    out: &mut dyn Write,
) -> Result<()> {
    let mut profile = Profile::default();
    profile.head(source, view)?;
    totals.each(|total| {
        profile.sample(samples, total);
        if profile.piece.sample.len() >= PIECE {
            profile.flush(out)?;
        }
        Ok(())
    })?;
    profile.limit.check(source, "functions")?;
    profile.flush(out)?;
    Ok(())
}

/// A profile while it is written.
#[derive(Default)]
struct Profile {
    /// What was not written yet.
    piece: proto::Profile,
    texts: HashMap<Rc<str>, i64>,
    mappings: HashMap<(i64, i64), u64>,
    functions: HashMap<Rc<Function>, u64>,
    /// By the symbols that are inlined into each other.
    locations: HashMap<Vec<i32>, u64>,
    limit: Limit,
}

impl Profile {
    /// What the samples mean, and what is known of the recording.
    fn head(&mut self, source: &Source, view: View) -> Result<()> {
        self.text("");
        let [count, weight] = match view {
            View::Cpu => ["samples", "cpu"],
            View::OffCpu => ["waits", "delay"],
            View::Locks => ["contentions", "delay"],
        };
        let (count, weight) = (self.value_type(count, "count"), self.value_type(weight, "nanoseconds"));
        self.piece.sample_type = vec![count, weight];
        self.piece.time_nanos = source.meta().window.start_real_ns.saturating_add(source.begin_ns());
        self.piece.duration_nanos = source.span_ns();
        self.piece.period_type = Some(weight);
        self.piece.period = if view == View::Cpu { 1_000_000_000 / source.sample_hertz() as i64 } else { 1 };
        for fact in facts::of(source)? {
            let fact = self.text(&fact);
            self.piece.comment.push(fact);
        }
        Ok(())
    }

    fn value_type(&mut self, r#type: &str, unit: &str) -> proto::ValueType {
        proto::ValueType { r#type: self.text(r#type), unit: self.text(unit) }
    }

    fn sample(&mut self, samples: &Samples, total: &Total) {
        let frames = samples.frames(&total.stack);
        let mut location_id = Vec::with_capacity(frames.len());
        // Inlined functions come before the one that they are a part of.
        for place in frames.chunk_by(|(_, frame), _| frames::inlined(&frame.function.text).1) {
            location_id.push(self.location(place));
        }
        let value = [total.count, total.ns].map(|value| value.try_into().unwrap_or(i64::MAX));
        let label = self.labels(samples.owner(&total.stack));
        self.piece.sample.push(proto::Sample { location_id, value: value.to_vec(), label });
    }

    fn labels(&mut self, owner: &Owner) -> Vec<proto::Label> {
        let texts = [("process", Some(&owner.process)), ("comm", owner.comm.as_ref())];
        let numbers = [("pid", owner.pid), ("thread", owner.tid)];
        let mut labels = Vec::new();
        for (key, text) in texts {
            let Some(text) = text else { continue };
            labels.push(proto::Label { key: self.text(key), str: self.text(text), num: 0 });
        }
        for (key, num) in numbers {
            let Some(num) = num else { continue };
            labels.push(proto::Label { key: self.text(key), str: 0, num });
        }
        labels
    }

    fn location(&mut self, place: &[(i32, &Frame)]) -> u64 {
        let symbols: Vec<i32> = place.iter().map(|(symbol, _)| *symbol).collect();
        if let Some(id) = self.locations.get(&symbols) {
            return *id;
        }
        let line = |profile: &mut Profile, frame: &Frame| proto::Line {
            function_id: profile.function(frame),
            line: frame.line.unwrap_or(0),
        };
        let lines = place.iter().map(|(_, frame)| line(self, frame)).collect();
        let outermost = place.last().map(|(_, frame)| *frame);
        let mapping_id = outermost.map_or(0, |frame| self.mapping(frame));
        let address = outermost.and_then(|frame| frame.address).unwrap_or(0);
        self.limit.take(ENTRY_BYTES);
        let id = self.locations.len() as u64 + 1;
        self.piece.location.push(proto::Location { id, mapping_id, address, line: lines });
        self.locations.insert(symbols, id);
        id
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        if let Some(id) = self.functions.get(&frame.function) {
            return *id;
        }
        let name = self.text(frames::inlined(&frame.function.text).0);
        // Only interpreted code has lines, and its module is its source file.
        let filename = if frame.line.is_some() { self.text(&frame.function.module) } else { 0 };
        self.limit.take(ENTRY_BYTES);
        let id = self.functions.len() as u64 + 1;
        self.piece.function.push(proto::Function { id, name, system_name: name, filename });
        self.functions.insert(Rc::clone(&frame.function), id);
        id
    }

    fn mapping(&mut self, frame: &Frame) -> u64 {
        if frame.function.module.is_empty() {
            return 0;
        }
        let filename = self.text(&frame.function.module);
        let build_id = frame.build_id.as_ref().map_or(0, |build_id| self.text(build_id));
        let next = self.mappings.len() as u64 + 1;
        if let Some(id) = self.mappings.get(&(filename, build_id)) {
            return *id;
        }
        self.limit.take(ENTRY_BYTES);
        self.mappings.insert((filename, build_id), next);
        // What ebrec could not name, no other machine's files can.
        self.piece.mapping.push(proto::Mapping {
            id: next,
            filename,
            build_id,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        });
        next
    }

    /// The place of a text in the table.
    fn text(&mut self, text: &str) -> i64 {
        let text = if text.is_empty() { text.into() } else { frames::name(text) };
        if let Some(place) = self.texts.get(&*text) {
            return *place;
        }
        self.limit.take(ENTRY_BYTES + text.len());
        let place = self.texts.len() as i64;
        self.piece.string_table.push(text.clone().into_owned());
        self.texts.insert(text.into(), place);
        place
    }

    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&std::mem::take(&mut self.piece).encode_to_vec())
    }
}
