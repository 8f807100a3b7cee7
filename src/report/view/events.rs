//! View `events`: what was counted and measured of the events of the user's own, and what their hits held.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::People;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::units::Unit;

/// The columns of captured numbers and texts, in the order of their bits in `Named`.
const NUMBERS: [&str; 6] = ["arg_0", "arg_1", "arg_2", "arg_3", "arg_4", "arg_5"];
const TEXTS: [&str; 3] = ["str_0", "str_1", "str_2"];
/// Texts of a row that come before those that are captured.
const BEFORE: [&str; 2] = ["name", "events_function"];

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("events", "Events of your own");
    note_absent_probe(&mut document, sources, "events");
    let shown = plan.rows_shown(20);
    let mut counts = Ranking::new(sources, "events", "Events", count_fields()).largest_first("count").top(shown);
    let mut latencies =
        Ranking::new(sources, "latency", "Latency", latency_fields()).largest_first("sum_ns").top(shown);
    let mut values = Ranking::new(sources, "values", "Values", value_fields()).largest_first("count").top(shown);
    let mut hits = Ranking::new(sources, "hits", "Hits", hit_fields()).top(shown);
    for source in sources {
        let people = People::of(source)?;
        counted(source, &people, &mut counts)?;
        measured(source, &people, &mut latencies)?;
        valued(source, &people, &mut values)?;
        rows(source, &people, &mut hits)?;
    }
    for table in [counts, latencies, values, hits] {
        document.push(table.table()?);
    }
    if plan.format != Format::Text
        && let Some(plot) = times::plot(sources, metrics::EVENT_LATENCY, "From entry to return", "name")?
    {
        document.push(plot);
    }
    Ok(document)
}

/// Whose and where an aggregate is.
fn key_fields() -> Vec<Field> {
    vec![
        Field::new("name", "event"),
        Field::new("function", "function").help("Which of those that a pattern matched."),
        Field::new("by", "by").help("What by(…) of the event says."),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
    ]
}

const KEY: [&str; 5] = ["name", "events_function", "events_by", "comm", "pid"];

fn key_cells(dims: &[Dim], people: &People) -> Option<Vec<Value>> {
    let [name, function, by, comm, pid] = dims else { return None };
    let own = people.of_dims(pid, comm);
    Some(vec![name.value(), function.value(), by.value(), Value::from(own), pid.value()])
}

fn count_fields() -> Vec<Field> {
    let mut fields = key_fields();
    fields.push(
        Field::new("count", "count").help("Hits that pass the event's filter; of a latency, calls that returned."),
    );
    fields.push(Field::new("rate_hz", "per second"));
    fields
}

fn counted(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let tally = Tally::totals_of(source, &KEY, |name| name == metrics::EVENT_COUNT)?;
    let seconds = source.span_ns() as f64 / 1e9;
    let mut came: BTreeSet<String> = BTreeSet::new();
    tally.groups(metrics::EVENT_COUNT, |dims, hits| {
        let Some(mut cells) = key_cells(dims, people) else { return };
        let name = dims.first().and_then(Dim::text).unwrap_or_default();
        if !came.contains(name) && source.meta().events.iter().any(|event| event.name == name) {
            came.insert(name.to_owned());
        }
        let hits = count(hits);
        cells.push(Value::Int(whole(hits)));
        cells.push(Value::of(Unit::PerSecond, (seconds > 0.0).then(|| hits as f64 / seconds)));
        table.row(source, cells);
    })?;
    // One that never came is an answer too.
    for event in source.meta().events.iter().filter(|event| !came.contains(&event.name)) {
        let nobody = [Value::Null, Value::Null, Value::Null, Value::Null];
        let cells = std::iter::once(Value::from(event.name.as_str())).chain(nobody);
        table.row(source, cells.chain([Value::Int(0), Value::of(Unit::PerSecond, Some(0.0))]).collect());
    }
    Ok(())
}

fn latency_fields() -> Vec<Field> {
    let mut fields = key_fields();
    fields.extend(times::fields());
    fields
}

fn measured(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let tally = Tally::of(source, &KEY, |name| name == metrics::EVENT_LATENCY)?;
    tally.groups(metrics::EVENT_LATENCY, |dims, times| {
        let Some(mut cells) = key_cells(dims, people) else { return };
        cells.extend(times::cells(times));
        table.row(source, cells);
    })
}

fn value_fields() -> Vec<Field> {
    let mut fields = key_fields();
    fields.insert(1, Field::new("value", "value").help("What hist(…) is of."));
    fields.extend([
        Field::new("count", "count"),
        Field::new("min", "min"),
        Field::new("p50", "p50"),
        Field::new("p99", "p99"),
        Field::new("max", "max"),
        Field::new("negative", "negative").help("Values below zero, which are in none of the other columns."),
    ]);
    fields
}

fn valued(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let wanted = |name: &str| name == metrics::EVENT_VALUE || name == metrics::EVENT_NEGATIVE;
    let tally = Tally::of(source, &KEY, wanted)?;
    let of = |name: Option<&str>| {
        let event = source.meta().events.iter().find(|event| Some(&*event.name) == name);
        Value::from(event.and_then(|event| event.hist.as_deref()))
    };
    tally.each(|dims, by| {
        let Some(mut cells) = key_cells(dims, people) else { return };
        let (values, negative) = (by.of(metrics::EVENT_VALUE), by.get(metrics::EVENT_NEGATIVE).map_or(0, count));
        cells.insert(1, of(dims.first().and_then(Dim::text)));
        let limit = |value: Option<u64>| value.map_or(Value::Null, |value| Value::Int(whole(value)));
        cells.extend([
            Value::Int(whole(count(&values))),
            limit(values.min()),
            percentile(&values, Unit::Count, 0.5),
            percentile(&values, Unit::Count, 0.99),
            limit(values.max()),
            Value::Int(whole(negative)),
        ]);
        table.row(source, cells);
    })
}

fn hit_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "when"),
        Field::new("name", "event"),
        Field::new("function", "function").help("Which of those that a pattern matched."),
        Field::new("dur_ns", "took").help("Of a latency, from entry to return."),
        Field::new("values", "values").help("What was captured: name=value."),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("tid", "thread"),
    ]
}

/// Hits in the order of the file.
fn rows(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let mut ints = NUMBERS.to_vec();
    ints.push("tid");
    let texts: Vec<&str> = BEFORE.iter().chain(&TEXTS).copied().collect();
    source.rows("event", &ints, &texts, |row| {
        table.weighed(source, Some(0), || {
            let event = source.meta().events.iter().find(|event| Some(&*event.name) == row.text(0));
            let captures = event.map_or(&[][..], |event| &event.captures);
            let value = |column: &str| {
                let number = NUMBERS.iter().position(|name| *name == column);
                let text = TEXTS.iter().position(|name| *name == column);
                match (number, text) {
                    (Some(at), _) => row.int(at).map(|number| number.to_string()),
                    (_, Some(at)) => row.text(BEFORE.len() + at).map(str::to_owned),
                    _ => None,
                }
            };
            let values: Vec<String> = captures
                .iter()
                .map(|capture| format!("{}={}", capture.name, value(&capture.column).as_deref().unwrap_or("?")))
                .collect();
            let comm = people.of_row(row);
            vec![
                row.at().map_or(Value::Null, Value::Time),
                Value::from(row.text(0)),
                Value::from(row.text(1)),
                Value::nanos(row.dur()),
                if values.is_empty() { Value::Null } else { Value::from(values.join(" ")) },
                Value::from(comm),
                Value::id(row.pid()),
                Value::id(row.int(NUMBERS.len())),
            ]
        });
    })
}
