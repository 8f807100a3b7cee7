//! View `losses`: what is missing from a recording, by probe and cause, and when it went missing.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::recording::ProbeState;
use crate::render::Document;
use crate::render::Field;
use crate::render::Timeline;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::health;
use crate::report::read::health::Losses;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::table::cells::share;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::units::Unit;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("losses", "What is missing");
    let mut probes = Ranking::new(sources, "probes", "By probe and cause", probe_fields());
    let mut moments = Ranking::new(sources, "moments", "When", moment_fields()).top(plan.rows_shown(20));
    let mut plot = Timeline { name: "lost".into(), title: "Events lost".into(), unit: Unit::Count, series: Vec::new() };
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        health::tell(&mut document, source, &whose)?;
        let losses = Losses::of(source)?;
        for state in &source.meta().probes {
            probe_rows(&mut probes, source, state, &losses);
        }
        let by_time = by_time(source)?;
        for ((at, probe, cause, cpu), count) in &by_time {
            let cpu = cpu.map_or(Value::Null, Value::Id);
            moments.row(
                source,
                vec![Value::Time(*at), Value::from(&**probe), Value::from(&**cause), cpu, Value::Int(whole(*count))],
            );
        }
        plot.series.extend(lines(&by_time, &whose));
    }
    document.push(probes.table()?);
    let moments = moments.table()?;
    if !moments.is_empty() || plan.format.is_for_programs() {
        document.push(moments);
    }
    if !plot.series.is_empty() {
        document.push(plot);
    }
    Ok(document)
}

fn probe_fields() -> Vec<Field> {
    vec![
        Field::new("probe", "probe"),
        Field::new("cause", "cause").help("Why events were lost; empty when none were."),
        Field::new("lost", "lost").help("Events lost."),
        Field::new("events", "events seen").help("Events that the probe counted or streamed."),
        Field::new("lost_pct", "share lost").help("Lost events of all events, lost and seen."),
        Field::new("unfinished", "unfinished").help(
            "Calls, waits or requests that began in the window and had not ended at its end, which no histogram has; empty for a probe whose events are moments.",
        ),
    ]
}

fn moment_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "until").help("End of the interval in which they were lost."),
        Field::new("probe", "probe"),
        Field::new("cause", "cause"),
        Field::new("cpu", "CPU"),
        Field::new("lost", "lost").help("Events lost in the interval."),
    ]
}

/// A row for each cause, or one that says that nothing was lost.
fn probe_rows(table: &mut Ranking, source: &Source, state: &ProbeState, losses: &Losses) {
    let all = state.events.saturating_add(losses.of_probe(&state.name)) as f64;
    let mut causes = losses.0.iter().filter(|((probe, _), _)| **probe == *state.name).peekable();
    let cells = |cause: Value, lost: u64| {
        let events = Value::Int(whole(state.events));
        let unfinished = state.unfinished.map_or(Value::Null, |unfinished| Value::Int(whole(unfinished)));
        vec![state.name.as_str().into(), cause, Value::Int(whole(lost)), events, share(lost as f64, all), unfinished]
    };
    if causes.peek().is_none() {
        table.row(source, cells(Value::Null, 0));
    }
    for ((_, cause), lost) in causes {
        table.row(source, cells(Value::from(&**cause), *lost));
    }
}

/// Losses by interval's end, probe, cause and CPU.
type ByTime = BTreeMap<Moment, u64>;
type Moment = (i64, Rc<str>, Rc<str>, Option<i64>);

fn by_time(source: &Source) -> Result<ByTime> {
    let mut by_time = ByTime::new();
    let mut limit = Limit::new();
    source.rows_of_all_processes("lost", &["count", "cpu"], &["name", "cause"], |row| {
        let [probe, cause] = [0, 1].map(|at| limit.name(row.text(at).unwrap_or("?")));
        let fits = limit.take(2 * size_of::<Moment>());
        if row.natural(0) > 0 && fits {
            let count = by_time.entry((row.at().unwrap_or(0), probe, cause, row.int(1))).or_default();
            *count = count.saturating_add(row.natural(0));
        }
    })?;
    limit.check(source, "losses")?;
    Ok(by_time)
}

/// One line per probe that lost something.
fn lines(by_time: &ByTime, whose: &str) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut lines: BTreeMap<&str, BTreeMap<i64, u64>> = BTreeMap::new();
    for ((at, probe, ..), count) in by_time {
        let sum = lines.entry(probe).or_default().entry(*at).or_default();
        *sum = sum.saturating_add(*count);
    }
    let points =
        |line: BTreeMap<i64, u64>| line.into_iter().map(|(at, count)| (at as f64 / 1e9, count as f64)).collect();
    lines.into_iter().map(|(probe, line)| (format!("{whose}{probe}"), points(line))).collect()
}
