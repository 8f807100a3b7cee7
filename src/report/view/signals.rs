//! View `signals`: who sent which to whom, how late they were taken, the processes that they ended.

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::nanos;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::units::Unit;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("signals", "Signals");
    note_absent_probe(&mut document, sources, "signals");
    let shown = plan.rows_shown(20);
    let mut deaths = Ranking::new(sources, "deaths", "Processes that a signal ended", death_columns()).top(shown);
    let mut signals = Ranking::new(sources, "signals", "Signals", signal_columns()).largest_first("sent").top(shown);
    let mut pairs =
        Ranking::new(sources, "pairs", "Senders and targets", pair_columns()).largest_first("sent").top(shown);
    let mut slowest =
        Ranking::new(sources, "slowest", "Latest taken", slow_columns()).largest_first("delay_ns").top(shown);
    for source in sources {
        let processes = ProcessTable::of(source)?;
        ended(source, &processes, &mut deaths)?;
        by_signal(source, &mut signals)?;
        by_pair(source, &processes, &mut pairs)?;
        slow(source, &processes, &mut slowest)?;
    }
    for table in [deaths.table()?, signals.table()?, pairs.table()?, slowest.table()?] {
        document.push(table);
    }
    if plan.format != Format::Text
        && let Some(plot) =
            times::plot(sources, metrics::SIGNAL_DELAY, "From sending a signal to its delivery", "name")?
    {
        document.push(plot);
    }
    Ok(document)
}

/// A process that a signal ended.
struct Death {
    at: Option<i64>,
    name: Option<String>,
    owner: Owner,
    sender: Owner,
    outcome: Option<String>,
}

fn death_columns() -> Columns<Death> {
    Columns::<Death>::new()
        .column("time_ns", "when", |death| time(death.at))
        .column("name", "signal", |death| death.name.clone())
        .comm(|death| &death.owner)
        .pid(|death| &death.owner)
        .column("sender", "sent by", |death| death.sender.comm.clone())
        .help("'kernel' for faults, terminals and OOM kills.")
        .column("sender_pid", "sender pid", |death| Value::id(death.sender.pid))
        .column("outcome", "how", |death| death.outcome.clone())
        .help("Whether core was dumped.")
}

fn ended(source: &Source, processes: &ProcessTable, table: &mut Ranking<Death>) -> Result<()> {
    let mut rows = source.rows("signal_death");
    let (name, outcome) = (rows.text("name"), rows.text("signals_outcome"));
    let (sender, sender_pid) = (rows.text("signals_sender"), rows.int("signals_sender_pid"));
    rows.each(|row| {
        let text = |column| row.text(column).map(str::to_owned);
        let (owner, sender) = (processes.owner_of(row), Owner { comm: text(sender), pid: row.int(sender_pid) });
        table.row(source, &Death { at: row.at(), name: text(name), owner, sender, outcome: text(outcome) });
    })
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

/// All of one signal.
#[derive(Default)]
struct Signal {
    name: String,
    sends: Sends,
    delivered: u64,
    delay: Histogram,
}

fn signal_columns() -> Columns<Signal> {
    Columns::<Signal>::new()
        .column("name", "signal", |signal| signal.name.clone())
        .column("sent", "sent", |signal| signal.sends.sent)
        .column("ignored", "ignored", |signal| signal.sends.ignored)
        .help("Sent to a process that ignores it.")
        .column("merged", "merged", |signal| signal.sends.merged)
        .help("Sent while one like it was pending: both are delivered as one.")
        .column("lost", "lost", |signal| signal.sends.lost)
        .help("Refused because the target's queue was full.")
        .column("delivered", "delivered", |signal| signal.delivered)
        .help("Delivered to a thread, for its handler or to end its process.")
        .column("delay_p50_ns", "delay p50", |signal| percentile(&signal.delay, Unit::Nanoseconds, 0.5))
        .help("Median time from sending to delivery.")
        .column("delay_p99_ns", "delay p99", |signal| percentile(&signal.delay, Unit::Nanoseconds, 0.99))
        .column("delay_max_ns", "delay max", |signal| signal.delay.max().map(nanos))
}

fn by_signal(source: &Source, table: &mut Ranking<Signal>) -> Result<()> {
    let wanted = [metrics::SIGNALS_SENT, metrics::SIGNALS_DELIVERED, metrics::SIGNAL_DELAY];
    let tally = Tally::of(source, &["name", "signals_outcome"], |name| wanted.contains(&name))?;
    let add = |signal: &mut Signal, rest: &[Dim], by: &ByMetric<'_>| {
        if let (Some(sent), Some(outcome)) = (by.get(metrics::SIGNALS_SENT), rest.first()) {
            signal.sends.add(outcome, count(sent));
        }
        let delivered = by.get(metrics::SIGNALS_DELIVERED).map_or(0, count);
        signal.delivered = signal.delivered.saturating_add(delivered);
        by.get(metrics::SIGNAL_DELAY).into_iter().for_each(|own| signal.delay.merge(own));
    };
    tally.sums(1, add, |dims, signal| {
        let [name] = dims else { return };
        table.row(source, &Signal { name: name.word(), ..signal });
    })
}

/// All of one signal from one process to another.
struct Pair {
    sender: Owner,
    name: Dim,
    target: Owner,
    sends: Sends,
}

fn pair_columns() -> Columns<Pair> {
    Columns::<Pair>::new()
        .column("sender", "sender", |pair| pair.sender.comm.clone())
        .column("sender_pid", "sender pid", |pair| Value::id(pair.sender.pid))
        .column("name", "signal", |pair| pair.name.value())
        .column("comm", "target", |pair| pair.target.comm.clone())
        .pid(|pair| &pair.target)
        .column("sent", "sent", |pair| pair.sends.sent)
        .column("ignored", "ignored", |pair| pair.sends.ignored)
        .column("merged", "merged", |pair| pair.sends.merged)
}

fn by_pair(source: &Source, processes: &ProcessTable, table: &mut Ranking<Pair>) -> Result<()> {
    let by = ["signals_sender", "signals_sender_pid", "name", "pid", "comm", "signals_outcome"];
    let tally = Tally::totals_of(source, &by, |name| name == metrics::SIGNALS_SENT)?;
    let add = |sends: &mut Sends, rest: &[Dim], by: &ByMetric<'_>| {
        if let (Some(sent), Some(outcome)) = (by.get(metrics::SIGNALS_SENT), rest.first()) {
            sends.add(outcome, count(sent));
        }
    };
    tally.sums(5, add, |dims, sends| {
        let [sender, sender_pid, name, pid, comm] = dims else { return };
        let (sender, target) = (processes.owner(sender_pid, sender), processes.owner(pid, comm));
        table.row(source, &Pair { sender, name: name.clone(), target, sends });
    })
}

/// One signal that was taken.
struct Taken {
    at: Option<i64>,
    delay_ns: Option<i64>,
    name: Option<String>,
    owner: Owner,
    tid: Option<i64>,
    sender: Owner,
}

fn slow_columns() -> Columns<Taken> {
    Columns::<Taken>::new()
        .column("time_ns", "taken", |taken| time(taken.at))
        .help("When it was delivered.")
        .column("delay_ns", "delay", |taken| Value::nanos(taken.delay_ns))
        .help("Since it was sent.")
        .column("name", "signal", |taken| taken.name.clone())
        .comm(|taken| &taken.owner)
        .pid(|taken| &taken.owner)
        .column("tid", "thread", |taken| Value::id(taken.tid))
        .column("sender", "sent by", |taken| taken.sender.comm.clone())
        .column("sender_pid", "sender pid", |taken| Value::id(taken.sender.pid))
}

fn slow(source: &Source, processes: &ProcessTable, table: &mut Ranking<Taken>) -> Result<()> {
    let mut rows = source.rows("signal_taken");
    let (name, tid) = (rows.text("name"), rows.int("tid"));
    let (sender, sender_pid) = (rows.text("signals_sender"), rows.int("signals_sender_pid"));
    table.longest(source, rows, |row| Taken {
        at: row.at(),
        delay_ns: row.dur(),
        name: row.text(name).map(str::to_owned),
        owner: processes.owner_of(row),
        tid: row.int(tid),
        sender: Owner { comm: row.text(sender).map(str::to_owned), pid: row.int(sender_pid) },
    })
}
