//! View `events`: what was counted and measured of the events of the user's own, and what their hits held.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::some;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::report::table::times::Times;
use crate::units::Unit;

/// The columns of captured numbers and texts.
const NUMBERS: [&str; 6] = ["arg_0", "arg_1", "arg_2", "arg_3", "arg_4", "arg_5"];
const TEXTS: [&str; 3] = ["str_0", "str_1", "str_2"];

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("events", "Custom events");
    note_absent_probe(&mut document, sources, "events");
    let shown = plan.rows_shown(20);
    let mut counts = Ranking::new(sources, "events", "Events", count_columns()).largest_first("count").top(shown);
    let mut latencies =
        Ranking::new(sources, "latency", "Latency", latency_columns()).largest_first("sum_ns").top(shown);
    let mut values = Ranking::new(sources, "values", "Values", value_columns()).largest_first("count").top(shown);
    let mut hits = Ranking::new(sources, "hits", "Hits", hit_columns()).top(shown);
    for source in sources {
        let processes = ProcessTable::of(source)?;
        counted(source, &processes, &mut counts)?;
        measured(source, &processes, &mut latencies)?;
        valued(source, &processes, &mut values)?;
        rows(source, &processes, &mut hits)?;
    }
    for table in [counts.table()?, latencies.table()?, values.table()?, hits.table()?] {
        document.push(table);
    }
    if plan.format != Format::Text
        && let Some(plot) = times::plot(sources, metrics::EVENT_LATENCY, "From entry to return", "name")?
    {
        document.push(plot);
    }
    Ok(document)
}

/// Whose and where an aggregate is.
#[derive(Default)]
struct Key {
    name: Dim,
    function: Dim,
    by: Dim,
    owner: Owner,
}

const KEY: [&str; 5] = ["name", "events_function", "events_by", "comm", "pid"];

impl Key {
    /// Out of the dimensions [`KEY`].
    fn of(dims: &[Dim], processes: &ProcessTable) -> Option<Key> {
        let [name, function, by, comm, pid] = dims else { return None };
        let [name, function, by] = [name, function, by].map(Dim::clone);
        Some(Key { name, function, by, owner: processes.owner(pid, comm) })
    }
}

/// Hits of one event.
struct Hits {
    key: Key,
    count: u64,
    /// Nothing where the window has no length.
    rate: Option<f64>,
}

fn count_columns() -> Columns<Hits> {
    Columns::<Hits>::new()
        .event(|hits| &hits.key)
        .place(|hits| &hits.key)
        .column("count", "count", |hits| hits.count)
        .help("Hits that pass the event's filter; for a latency, calls that returned.")
        .column("rate_hz", "per second", |hits| Value::of(Unit::PerSecond, hits.rate))
}

impl<R> Columns<R> {
    /// Adds the name of the event.
    fn event(self, key: impl Fn(&R) -> &Key + 'static) -> Columns<R> {
        self.column("name", "event", move |row| key(row).name.value())
    }

    /// Adds which function of the event it was, and whose.
    fn place(self, key: impl Fn(&R) -> &Key + Copy + 'static) -> Columns<R> {
        self.column("function", "function", move |row| key(row).function.value())
            .help("The function, if the event is a pattern.")
            .column("by", "by", move |row| key(row).by.value())
            .help("Value of the event's by(…).")
            .comm(move |row| &key(row).owner)
            .pid(move |row| &key(row).owner)
    }
}

fn counted(source: &Source, processes: &ProcessTable, table: &mut Ranking<Hits>) -> Result<()> {
    let tally = Tally::totals_of(source, &KEY, |name| name == metrics::EVENT_COUNT)?;
    let seconds = source.span_ns() as f64 / 1e9;
    let mut came: BTreeSet<String> = BTreeSet::new();
    tally.groups(metrics::EVENT_COUNT, |dims, hits| {
        let Some(key) = Key::of(dims, processes) else { return };
        let name = key.name.text().unwrap_or_default();
        if !came.contains(name) && source.meta().events.iter().any(|event| event.name == name) {
            came.insert(name.to_owned());
        }
        let count = count(hits);
        table.row(source, &Hits { key, count, rate: (seconds > 0.0).then(|| count as f64 / seconds) });
    })?;
    // One that never came is an answer too.
    for event in source.meta().events.iter().filter(|event| !came.contains(&event.name)) {
        let key = Key { name: Dim::Text(event.name.as_str().into()), ..Key::default() };
        table.row(source, &Hits { key, count: 0, rate: Some(0.0) });
    }
    Ok(())
}

/// How long calls took.
struct Latency {
    key: Key,
    times: Times,
}

fn latency_columns() -> Columns<Latency> {
    Columns::<Latency>::new().event(|row| &row.key).place(|row| &row.key).times(|row| &row.times)
}

fn measured(source: &Source, processes: &ProcessTable, table: &mut Ranking<Latency>) -> Result<()> {
    let tally = Tally::of(source, &KEY, |name| name == metrics::EVENT_LATENCY)?;
    tally.groups(metrics::EVENT_LATENCY, |dims, times| {
        let Some(key) = Key::of(dims, processes) else { return };
        table.row(source, &Latency { key, times: Times::of(times) });
    })
}

/// Values of hist(…).
struct Values {
    key: Key,
    what: Option<String>,
    values: Histogram,
    negative: u64,
}

fn value_columns() -> Columns<Values> {
    Columns::<Values>::new()
        .event(|row| &row.key)
        .column("value", "value", |row| row.what.clone())
        .help("Name of the value in hist(…).")
        .place(|row| &row.key)
        .column("count", "count", |row| count(&row.values))
        .column("min", "min", |row| row.values.min())
        .column("p50", "p50", |row| percentile(&row.values, Unit::Count, 0.5))
        .column("p99", "p99", |row| percentile(&row.values, Unit::Count, 0.99))
        .column("max", "max", |row| row.values.max())
        .column("negative", "negative", |row| row.negative)
        .help("Values below zero, which no other column includes.")
}

fn valued(source: &Source, processes: &ProcessTable, table: &mut Ranking<Values>) -> Result<()> {
    let wanted = |name: &str| name == metrics::EVENT_VALUE || name == metrics::EVENT_NEGATIVE;
    let tally = Tally::of(source, &KEY, wanted)?;
    tally.each(|dims, by| {
        let Some(key) = Key::of(dims, processes) else { return };
        let event = source.meta().events.iter().find(|event| Some(&*event.name) == key.name.text());
        let what = event.and_then(|event| event.hist.clone());
        let negative = by.get(metrics::EVENT_NEGATIVE).map_or(0, count);
        table.row(source, &Values { key, what, values: by.of(metrics::EVENT_VALUE), negative });
    })
}

/// One hit.
struct Hit {
    at: Option<i64>,
    name: Option<String>,
    function: Option<String>,
    dur_ns: Option<i64>,
    captured: String,
    owner: Owner,
    tid: Option<i64>,
}

fn hit_columns() -> Columns<Hit> {
    Columns::<Hit>::new()
        .column("time_ns", "when", |hit| time(hit.at))
        .column("name", "event", |hit| hit.name.clone())
        .column("function", "function", |hit| hit.function.clone())
        .help("The function, if the event is a pattern.")
        .column("dur_ns", "took", |hit| Value::nanos(hit.dur_ns))
        .help("For a latency, time from entry to return.")
        .column("values", "values", |hit| some(&hit.captured))
        .help("What was captured: name=value.")
        .comm(|hit| &hit.owner)
        .pid(|hit| &hit.owner)
        .column("tid", "thread", |hit| Value::id(hit.tid))
}

/// Hits in the order of the file.
fn rows(source: &Source, processes: &ProcessTable, table: &mut Ranking<Hit>) -> Result<()> {
    let mut rows = source.rows("event");
    let (name, function, tid) = (rows.text("name"), rows.text("events_function"), rows.int("tid"));
    let numbers = NUMBERS.map(|column| (column, rows.int(column)));
    let texts = TEXTS.map(|column| (column, rows.text(column)));
    rows.each(|row| {
        table.weighed(source, Some(0), || {
            let value = |column: &str| {
                let number = numbers.iter().find(|(name, _)| *name == column).and_then(|(_, at)| row.int(*at));
                let text = texts.iter().find(|(name, _)| *name == column).and_then(|(_, at)| row.text(*at));
                number.map(|number| number.to_string()).or(text.map(str::to_owned))
            };
            let event = source.meta().events.iter().find(|event| Some(&*event.name) == row.text(name));
            let captures = event.map_or(&[][..], |event| &event.captures);
            let captured: Vec<String> = captures
                .iter()
                .map(|capture| format!("{}={}", capture.name, value(&capture.column).as_deref().unwrap_or("?")))
                .collect();
            Hit {
                at: row.at(),
                name: row.text(name).map(str::to_owned),
                function: row.text(function).map(str::to_owned),
                dur_ns: row.dur(),
                captured: captured.join(" "),
                owner: processes.owner_of(row),
                tid: row.int(tid),
            }
        });
    })
}
