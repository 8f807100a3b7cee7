//! View `losses`: what is missing from a recording, by probe and cause, and when it went missing.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::recording::ProbeState;
use crate::render::Document;
use crate::render::Timeline;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::health;
use crate::report::read::health::Losses;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::table::cells::share;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::units::Unit;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("losses", "What is missing");
    let mut probes = Ranking::new(sources, "probes", "By probe and cause", probe_columns());
    let mut moments = Ranking::new(sources, "moments", "When", moment_columns()).top(plan.rows_shown(20));
    let mut plot = Timeline { name: "lost".into(), title: "Events lost".into(), unit: Unit::Count, series: Vec::new() };
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        health::note(&mut document, source, &whose)?;
        let losses = Losses::of(source)?;
        for state in &source.meta().probes {
            probe_rows(&mut probes, source, state, &losses);
        }
        let by_time = by_time(source)?;
        for (moment, lost) in &by_time {
            moments.row(source, &Lost { moment: moment.clone(), lost: *lost });
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

/// What is missing of one probe for one cause.
struct Missing {
    probe: String,
    /// None where nothing was lost.
    cause: Option<String>,
    lost: u64,
    events: u64,
    /// Events lost and seen.
    of_all: u64,
    unfinished: Option<u64>,
}

fn probe_columns() -> Columns<Missing> {
    Columns::<Missing>::new()
        .column("probe", "probe", |row| row.probe.clone())
        .column("cause", "cause", |row| row.cause.clone())
        .help("Why events were lost; empty when none were.")
        .column("lost", "lost", |row| row.lost)
        .help("Events lost.")
        .column("events", "events seen", |row| row.events)
        .help("Events that the probe counted or streamed.")
        .column("lost_pct", "of all events", |row| share(row.lost as f64, row.of_all as f64))
        .help("Lost events as a share of all events, lost and seen.")
        .column("unfinished", "unfinished", |row| row.unfinished)
        .help(
            "Calls, waits or requests that began in the window and were unfinished at its end, so that no histogram contains them; empty for a probe whose events have no duration.",
        )
}

/// What was lost in one interval.
struct Lost {
    moment: Moment,
    lost: u64,
}

fn moment_columns() -> Columns<Lost> {
    Columns::<Lost>::new()
        .column("time_ns", "until", |row| Value::Time(row.moment.at))
        .help("End of the interval in which they were lost.")
        .column("probe", "probe", |row| Value::from(&*row.moment.probe))
        .column("cause", "cause", |row| Value::from(&*row.moment.cause))
        .column("cpu", "CPU", |row| Value::id(row.moment.cpu))
        .column("lost", "lost", |row| row.lost)
        .help("Events lost in the interval.")
}

/// A row for each cause, or one that says that nothing was lost.
fn probe_rows(table: &mut Ranking<Missing>, source: &Source, state: &ProbeState, losses: &Losses) {
    let mut causes = losses.0.iter().filter(|((probe, _), _)| **probe == *state.name).peekable();
    let missing = |cause: Option<&str>, lost: u64| Missing {
        probe: state.name.clone(),
        cause: cause.map(str::to_owned),
        lost,
        events: state.events,
        of_all: state.events.saturating_add(losses.of_probe(&state.name)),
        unfinished: state.unfinished,
    };
    if causes.peek().is_none() {
        table.row(source, &missing(None, 0));
    }
    for ((_, cause), lost) in causes {
        table.row(source, &missing(Some(cause), *lost));
    }
}

/// Losses by where they were.
type ByTime = BTreeMap<Moment, u64>;

/// The interval's end, and whose events went missing why and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    at: i64,
    probe: Rc<str>,
    cause: Rc<str>,
    cpu: Option<i64>,
}

fn by_time(source: &Source) -> Result<ByTime> {
    let mut by_time = ByTime::new();
    let mut limit = Limit::new();
    let mut rows = source.rows_of_all_processes("lost");
    let (lost, cpu, probe, cause) = (rows.int("count"), rows.int("cpu"), rows.text("name"), rows.text("cause"));
    rows.each(|row| {
        let [probe, cause] = [probe, cause].map(|column| limit.name(row.text(column).unwrap_or("?")));
        let fits = limit.take(2 * size_of::<Moment>());
        if row.natural(lost) > 0 && fits {
            let moment = Moment { at: row.at().unwrap_or(0), probe, cause, cpu: row.int(cpu) };
            let count = by_time.entry(moment).or_default();
            *count = count.saturating_add(row.natural(lost));
        }
    })?;
    limit.check(source, "losses")?;
    Ok(by_time)
}

/// One line per probe that lost something.
fn lines(by_time: &ByTime, whose: &str) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut lines: BTreeMap<&str, BTreeMap<i64, u64>> = BTreeMap::new();
    for (moment, count) in by_time {
        let sum = lines.entry(&moment.probe).or_default().entry(moment.at).or_default();
        *sum = sum.saturating_add(*count);
    }
    let points =
        |line: BTreeMap<i64, u64>| line.into_iter().map(|(at, count)| (at as f64 / 1e9, count as f64)).collect();
    lines.into_iter().map(|(probe, line)| (format!("{whose}{probe}"), points(line))).collect()
}
