//! View `slow`: the slowest events of all probes, and what else happened around each.
//!
//! Which kinds of rows can be slow, and what their columns mean, is what the recording says of itself.

mod around;
mod event;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::Result;

use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::paper::Ranking;
use crate::report::people::People;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::profile::Stacks;
use crate::report::slow::around::Around;
use crate::report::slow::event::Event;
use crate::report::slow::event::Kind;
use crate::report::source::Source;
use crate::units;

/// Events that are shown without a request, each with several lines.
const SHOWN: usize = 10;

/// Frames of a stack that people see.
const FRAMES: usize = 6;

/// What is known of one of the slowest events.
struct Told<'a> {
    source: &'a Source,
    event: Event,
    who: String,
    stack: Vec<String>,
    around: Around,
}

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("slow", "The slowest events, and what else happened around them");
    let most = plan.events_shown(SHOWN);
    let mut told = Vec::new();
    let mut more = 0;
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        let kinds = event::kinds(source);
        if kinds.is_empty() {
            document.note(format!("{whose}no probe of this recording streamed slow events"));
            continue;
        }
        let found = slowest(source, &kinds, most)?;
        let thresholds: Vec<String> = kinds.iter().map(Kind::threshold).collect();
        document.note(format!(
            "{whose}{} events at or over their probes' thresholds: {}",
            units::count(found.all),
            thresholds.join(", ")
        ));
        if found.by_design > 0 {
            let count = units::count(found.by_design);
            document.note(format!(
                "{whose}{count} more were asleep by design, or until others had something to say: not here"
            ));
        }
        more += found.all.saturating_sub(found.events.len() as u64);
        told.extend(tell(source, plan, &kinds, found.events)?);
    }
    told.sort_by_key(|told| Reverse(told.event.dur_ns));
    more += told.len().saturating_sub(most) as u64;
    told.truncate(most);
    if plan.format == Format::Text {
        for told in &told {
            document.push(Block::Pairs(told.lines(sources.len() > 1)));
        }
        if more > 0 {
            document.note(format!("… and {} more (--top 0 shows all)", units::count(more)));
        }
        return Ok(document);
    }
    let mut table = Ranking::new(sources, "events", "", fields());
    for told in &told {
        table.row(told.source, told.cells());
    }
    table.left_out(more);
    document.push(table.all());
    Ok(document)
}

/// The slowest events of one recording.
struct Found {
    events: Vec<Event>,
    all: u64,
    by_design: u64,
}

fn slowest(source: &Source, kinds: &[Kind], most: usize) -> Result<Found> {
    let mut heap: BinaryHeap<Reverse<Event>> = BinaryHeap::new();
    let (mut all, mut by_design) = (0u64, 0u64);
    for (at, kind) in kinds.iter().enumerate() {
        kind.each(source, true, |row| {
            if kind.is_by_design(row) {
                by_design += 1;
                return;
            }
            let Some(dur_ns) = row.dur().filter(|dur| *dur >= kind.slow_ns) else { return };
            all += 1;
            let full = heap.len() >= most;
            if full && heap.peek().is_none_or(|Reverse(least)| least.dur_ns >= dur_ns) {
                return;
            }
            heap.extend(kind.event(at, row).map(Reverse));
            if heap.len() > most {
                heap.pop();
            }
        })?;
    }
    let events = heap.into_sorted_vec().into_iter().map(|Reverse(event)| event).collect();
    Ok(Found { events, all, by_design })
}

fn tell<'a>(source: &'a Source, plan: &ReportPlan, kinds: &[Kind], events: Vec<Event>) -> Result<Vec<Told<'a>>> {
    let people = People::of(source)?;
    let stacks = if events.iter().any(|event| event.stacks != [None; 2]) {
        Some(Stacks::of(source, &plan.debug_dirs)?)
    } else {
        None
    };
    let around = around::of(source, &people, kinds, &events)?;
    let told = events.into_iter().zip(around).map(|(mut event, around)| {
        let [kernel, user] = event.stacks;
        let frames = stacks.as_ref().map(|stacks| stacks.innermost_first(kernel, user)).unwrap_or_default();
        let who = match (event.pid, event.tid) {
            (Some(pid), Some(tid)) if tid != pid => {
                format!("{}, thread {tid}", people.call(pid, event.comm.as_deref()))
            }
            (Some(pid), _) => people.call(pid, event.comm.as_deref()),
            (None, _) => event.comm.clone().unwrap_or_else(|| "no process".to_owned()),
        };
        event.name_processes(&people);
        Told { source, event, who, stack: frames, around }
    });
    Ok(told.collect())
}

impl Told<'_> {
    /// The event as a person reads it, a line for each part.
    fn lines(&self, several: bool) -> Vec<(String, String)> {
        let event = &self.event;
        let host = if several { format!(" on {}", self.source.label()) } else { String::new() };
        let head = format!("{}: {}, until {:.3} s{host}", event.what(), self.who, event.at as f64 / 1e9);
        let mut lines = vec![(units::duration(event.dur_ns), head)];
        let facts = event.facts();
        if !facts.is_empty() {
            lines.push((String::new(), facts));
        }
        if !self.stack.is_empty() {
            let shown = self.stack.get(..FRAMES).unwrap_or(&self.stack).join(" < ");
            let more = if self.stack.len() > FRAMES { " < …" } else { "" };
            lines.push((String::new(), format!("in {shown}{more}")));
        }
        let meanwhile = self.around.words();
        if !meanwhile.is_empty() {
            lines.push((String::new(), format!("meanwhile: {meanwhile}")));
        }
        lines
    }

    fn cells(&self) -> Vec<Value> {
        let event = &self.event;
        vec![
            Value::Time(event.at),
            Value::Nanos(event.dur_ns),
            Value::from(event.kind.as_str()),
            Value::from(event.probe.as_str()),
            Value::from(event.comm.clone()),
            Value::id(event.pid),
            Value::id(event.tid),
            Value::id(event.cpu),
            Value::from(event.dev.clone()),
            Value::from(event.facts()),
            Value::from((!self.stack.is_empty()).then(|| self.stack.join(";"))),
            Value::Int(i64::try_from(self.around.overlapping()).unwrap_or(i64::MAX)),
            Value::from(self.around.busiest().map(str::to_owned)),
            self.around.busiest_percent().map_or(Value::Null, Value::Percent),
            Value::from(self.around.words()),
        ]
    }
}

fn fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "end").help("When it ended."),
        Field::new("dur_ns", "took"),
        Field::new("kind", "kind").help("Kind of its row in the recording."),
        Field::new("probe", "probe"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("tid", "thread"),
        Field::new("cpu", "CPU"),
        Field::new("dev", "device"),
        Field::new("what", "what").help("What else its row says."),
        Field::new("stack", "stack").help("Frames from the innermost out, separated by semicolons."),
        Field::new("overlapping", "overlapping")
            .help("Other slow events of the same device, thread, CPU or process in its time."),
        Field::new("busiest_comm", "busiest").help("Process that had most CPU time in the intervals that it touches."),
        Field::new("busiest", "of a CPU").help("CPU time of that process, of one CPU."),
        Field::new("meanwhile", "meanwhile").help("What else happened, in words."),
    ]
}
