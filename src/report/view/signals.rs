//! View `signals`: who sent which to whom, how late they were taken, the processes that they ended.

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
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

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("signals", "Signals");
    note_absent_probe(&mut document, sources, "signals");
    let shown = plan.rows_shown(20);
    let mut deaths = Ranking::new(sources, "deaths", "Processes that a signal ended", death_fields()).top(shown);
    let mut signals = Ranking::new(sources, "signals", "Signals", signal_fields()).largest_first("sent").top(shown);
    let mut pairs =
        Ranking::new(sources, "pairs", "Senders and targets", pair_fields()).largest_first("sent").top(shown);
    let mut slowest =
        Ranking::new(sources, "slowest", "Latest taken", slow_fields()).largest_first("delay_ns").top(shown);
    for source in sources {
        let people = People::of(source)?;
        ended(source, &people, &mut deaths)?;
        by_signal(source, &mut signals)?;
        by_pair(source, &people, &mut pairs)?;
        slow(source, &people, &mut slowest)?;
    }
    for table in [deaths, signals, pairs, slowest] {
        document.push(table.table()?);
    }
    if plan.format != Format::Text
        && let Some(plot) =
            times::plot(sources, metrics::SIGNAL_DELAY, "From sending a signal until it is taken", "name")?
    {
        document.push(plot);
    }
    Ok(document)
}

fn death_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "when"),
        Field::new("name", "signal"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("sender", "sent by").help("The kernel sends for faults, terminals and the end of memory."),
        Field::new("sender_pid", "sender pid"),
        Field::new("outcome", "how").help("Whether core was dumped."),
    ]
}

fn ended(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    source.rows("signal_death", &["signals_sender_pid"], &["name", "signals_sender", "signals_outcome"], |row| {
        let comm = people.of_row(row);
        let cells = vec![
            row.at().map_or(Value::Null, Value::Time),
            Value::from(row.text(0)),
            Value::from(comm),
            Value::id(row.pid()),
            Value::from(row.text(1)),
            Value::id(row.int(0)),
            Value::from(row.text(2)),
        ];
        table.row(source, cells);
    })
}

fn signal_fields() -> Vec<Field> {
    vec![
        Field::new("name", "signal"),
        Field::new("sent", "sent"),
        Field::new("ignored", "ignored").help("Sent to a process that ignores it."),
        Field::new("merged", "merged").help("Sent while one like it was pending: both are taken as one."),
        Field::new("lost", "lost").help("Refused, since the target's queue was full."),
        Field::new("delivered", "delivered").help("Taken by a thread, for its handler or to end its process."),
        Field::new("delay_p50_ns", "delay p50").help("Median time from its sending until it was taken."),
        Field::new("delay_p99_ns", "delay p99"),
        Field::new("delay_max_ns", "delay max"),
    ]
}

/// Signals by what became of them.
#[derive(Default)]
struct Sends {
    sent: u64,
    ignored: u64,
    merged: u64,
    lost: u64,
}

impl Sends {
    fn add(&mut self, outcome: &Dim, count: u64) {
        self.sent = self.sent.saturating_add(count);
        let sort = match outcome.text() {
            Some("ignored") => &mut self.ignored,
            Some("pending") => &mut self.merged,
            Some("overflow") => &mut self.lost,
            _ => return,
        };
        *sort = sort.saturating_add(count);
    }
}

fn by_signal(source: &Source, table: &mut Ranking) -> Result<()> {
    let wanted = [metrics::SIGNALS_SENT, metrics::SIGNALS_DELIVERED, metrics::SIGNAL_DELAY];
    let tally = Tally::of(source, &["name", "signals_outcome"], |name| wanted.contains(&name))?;
    let add = |(sends, delivered, delay): &mut (Sends, u64, Histogram), rest: &[Dim], by: &ByMetric<'_>| {
        if let (Some(sent), Some(outcome)) = (by.get(metrics::SIGNALS_SENT), rest.first()) {
            sends.add(outcome, count(sent));
        }
        *delivered = delivered.saturating_add(by.get(metrics::SIGNALS_DELIVERED).map_or(0, count));
        by.get(metrics::SIGNAL_DELAY).into_iter().for_each(|own| delay.merge(own));
    };
    tally.sums(1, add, |dims, (sends, delivered, delay)| {
        let number = |count: u64| Value::Int(whole(count));
        let cells = vec![
            dims.first().map_or(Value::Null, |name| Value::from(name.word())),
            number(sends.sent),
            number(sends.ignored),
            number(sends.merged),
            number(sends.lost),
            number(delivered),
            percentile(&delay, Unit::Nanoseconds, 0.5),
            percentile(&delay, Unit::Nanoseconds, 0.99),
            delay.max().map_or(Value::Null, |max| Value::Nanos(whole(max))),
        ];
        table.row(source, cells);
    })
}

fn pair_fields() -> Vec<Field> {
    vec![
        Field::new("sender", "sender"),
        Field::new("sender_pid", "sender pid"),
        Field::new("name", "signal"),
        Field::new("comm", "target"),
        Field::new("pid", "pid"),
        Field::new("sent", "sent"),
        Field::new("ignored", "ignored"),
        Field::new("merged", "merged"),
    ]
}

fn by_pair(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let by = ["signals_sender", "signals_sender_pid", "name", "pid", "comm", "signals_outcome"];
    let tally = Tally::totals_of(source, &by, |name| name == metrics::SIGNALS_SENT)?;
    let add = |sends: &mut Sends, rest: &[Dim], by: &ByMetric<'_>| {
        if let (Some(sent), Some(outcome)) = (by.get(metrics::SIGNALS_SENT), rest.first()) {
            sends.add(outcome, count(sent));
        }
    };
    tally.sums(5, add, |dims, sends| {
        let [sender, sender_pid, name, pid, comm] = dims else { return };
        let called = |pid: &Dim, comm: &Dim| Value::from(people.of_dims(pid, comm));
        let number = |count: u64| Value::Int(whole(count));
        let cells = vec![
            called(sender_pid, sender),
            sender_pid.value(),
            name.value(),
            called(pid, comm),
            pid.value(),
            number(sends.sent),
            number(sends.ignored),
            number(sends.merged),
        ];
        table.row(source, cells);
    })
}

fn slow_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "taken").help("When it was taken."),
        Field::new("delay_ns", "delay").help("Since it was sent."),
        Field::new("name", "signal"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("tid", "thread"),
        Field::new("sender", "sent by"),
        Field::new("sender_pid", "sender pid"),
    ]
}

fn slow(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    source.rows("signal_taken", &["tid", "signals_sender_pid"], &["name", "signals_sender"], |row| {
        table.weighed(source, row.dur(), || {
            let mut cells = people.event_cells(row, row.text(0));
            cells.extend([Value::id(row.int(0)), Value::from(row.text(1)), Value::id(row.int(1))]);
            cells
        });
    })
}
