//! View `slow`: the slowest events of all probes, and what else happened around each.
//!
//! Which kinds of rows can be slow, and what their columns mean, is what the recording says of itself.

mod around;

use std::cmp::Reverse;

use anyhow::Result;

use crate::render::Block;
use crate::render::Document;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::read::profile::Stacks;
use crate::report::read::rows::Which;
use crate::report::read::slow;
use crate::report::read::slow::Kind;
use crate::report::read::slow::SlowEvent;
use crate::report::table::cells::some;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::view::slow::around::Around;
use crate::units;

/// Events that are shown without a request, each with several lines.
const SHOWN: usize = 10;

/// Events that are shown with what else happened around them; the rest, which only --top 0 shows, are a table.
const TOLD: usize = 1000;

/// Frames of a stack that people see.
const FRAMES: usize = 6;

/// What is known of one of the slowest events.
struct SlowDetail<'a> {
    source: &'a Source,
    event: SlowEvent,
    who: String,
    stack: Vec<String>,
    around: Around,
}

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("slow", "The slowest events, with what happened around each");
    let most = plan.events_shown(SHOWN);
    let mut details = Vec::new();
    let mut table = Ranking::new(sources, "events", "", columns()).largest_first("dur_ns").top(most);
    let mut all = 0u64;
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        let kinds = slow::kinds(source);
        if kinds.is_empty() {
            document.note(format!("{whose}no probe of this recording streamed slow events"));
            continue;
        }
        let found = slow::slowest(source, &kinds, most.min(TOLD))?;
        let thresholds: Vec<String> = kinds.iter().map(Kind::threshold).collect();
        document.note(format!(
            "{whose}{} events at or over their probes' thresholds: {}",
            units::count(found.all),
            thresholds.join(", ")
        ));
        if found.by_design > 0 {
            let count = units::count(found.by_design);
            document.note(format!("{whose}{count} more events are idle time, which is not shown"));
        }
        all = all.saturating_add(found.all);
        let names = Names::of(source, plan, &kinds, found.all > 0)?;
        let least = found.events.last().cloned();
        let of_source = describe(source, &names, &kinds, found.events)?;
        if plan.format != Format::Text {
            for one in &of_source {
                table.weighed(source, Some(one.event.dur_ns), || one.row());
            }
        }
        details.extend(of_source);
        if most > TOLD
            && let Some(least) = least
        {
            rest(source, &names, &kinds, &least, &mut table)?;
        }
    }
    if plan.format != Format::Text {
        document.push(table.table()?);
        return Ok(document);
    }
    details.sort_by_key(|detail| Reverse(detail.event.dur_ns));
    details.truncate(most);
    for detail in &details {
        document.push(Block::Pairs(detail.lines(sources.len() > 1)));
    }
    let rest = table.table()?;
    let more = all.saturating_sub(details.len() as u64).saturating_sub(rest.len());
    if !rest.is_empty() {
        document.push(rest);
    }
    if more > 0 {
        document.note(format!("… and {} more (--top 0 shows all)", units::count(more)));
    }
    Ok(document)
}

/// Adds the events that are less slow than those shown in detail.
fn rest(
    source: &Source,
    names: &Names,
    kinds: &[Kind],
    least: &SlowEvent,
    table: &mut Ranking<EventRow>,
) -> Result<()> {
    for (place, kind) in kinds.iter().enumerate() {
        kind.each(kind.rows(source), None, |row| {
            if row.row.dur().is_some_and(|dur| dur > least.dur_ns) {
                return;
            }
            if let Some(event) = kind.event(place, row).filter(|event| event < least) {
                table.weighed(source, Some(event.dur_ns), || names.detail(source, event, Around::default()).row());
            }
        })?;
    }
    Ok(())
}

/// What gives the numbers of an event names.
struct Names {
    processes: ProcessTable,
    stacks: Option<Stacks>,
}

impl Names {
    fn of(source: &Source, plan: &ReportPlan, kinds: &[Kind], any: bool) -> Result<Names> {
        let has_stacks = any && kinds.iter().any(|kind| kind.has_stacks(source));
        let stacks = has_stacks.then(|| Stacks::of(source, &plan.debug_dirs)).transpose()?;
        Ok(Names { processes: ProcessTable::of(source)?, stacks })
    }

    fn detail<'a>(&self, source: &'a Source, mut event: SlowEvent, around: Around) -> SlowDetail<'a> {
        let [kernel, user] = event.stacks;
        let stack = self.stacks.as_ref().map(|stacks| stacks.innermost_first(kernel, user)).unwrap_or_default();
        let processes = &self.processes;
        event.comm = processes.name(event.which).map(str::to_owned).or(event.comm);
        let who = match (event.which, event.tid) {
            (Some(Which { pid, .. }), Some(tid)) if tid != pid => {
                format!("{}, thread {tid}", processes.call(pid, event.comm.as_deref()))
            }
            (Some(Which { pid, .. }), _) => processes.call(pid, event.comm.as_deref()),
            (None, _) => event.comm.clone().unwrap_or_else(|| "no process".to_owned()),
        };
        event.name_processes(processes);
        SlowDetail { source, event, who, stack, around }
    }
}

fn describe<'a>(
    source: &'a Source,
    names: &Names,
    kinds: &[Kind],
    events: Vec<SlowEvent>,
) -> Result<Vec<SlowDetail<'a>>> {
    let around = around::of(source, &names.processes, kinds, &events)?;
    Ok(events.into_iter().zip(around).map(|(event, around)| names.detail(source, event, around)).collect())
}

impl SlowDetail<'_> {
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

    fn row(&self) -> EventRow {
        EventRow { event: self.event.clone(), stack: self.stack.join(";"), around: self.around.clone() }
    }
}

/// An event in the table.
struct EventRow {
    event: SlowEvent,
    stack: String,
    around: Around,
}

fn columns() -> Columns<EventRow> {
    Columns::<EventRow>::new()
        .column("time_ns", "end", |row| Value::Time(row.event.at))
        .help("When it ended.")
        .column("dur_ns", "took", |row| Value::Nanos(row.event.dur_ns))
        .column("kind", "kind", |row| row.event.kind.clone())
        .help("Kind of its row in the recording.")
        .column("probe", "probe", |row| row.event.probe.clone())
        .column("comm", "command", |row| row.event.comm.clone())
        .column("pid", "pid", |row| Value::id(row.event.which.map(|which| which.pid)))
        .column("tid", "thread", |row| Value::id(row.event.tid))
        .column("cpu", "CPU", |row| Value::id(row.event.cpu))
        .column("dev", "device", |row| row.event.dev.clone())
        .column("what", "what", |row| row.event.facts())
        .help("Other columns of its row.")
        .column("stack", "stack", |row| some(&row.stack))
        .help("Frames from the innermost out, separated by semicolons.")
        .column("overlapping", "overlapping", |row| row.around.overlapping())
        .help("Other slow events of the same device, thread, CPU or process that overlap it.")
        .column("busiest_comm", "busiest", |row| Value::from(row.around.busiest()))
        .help("Process with the most CPU time in the intervals that the event overlaps.")
        .column("busiest_pct", "of a CPU", |row| row.around.busiest_percent().map(Value::Percent))
        .help("CPU time of that process as a share of one CPU.")
        .column("meanwhile", "meanwhile", |row| row.around.words())
        .help("What else happened, in words.")
}
