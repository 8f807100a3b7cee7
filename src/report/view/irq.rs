//! View `irq`: time in hard and soft interrupts by name, how late soft ones begin, and the slowest.

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::table::cells::nanos;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::share;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::report::table::times::Times;
use crate::units::Unit;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("irq", "Interrupts");
    note_absent_probe(&mut document, sources, "irq");
    let shown = plan.rows_shown(20);
    let mut hard = Ranking::new(sources, "hard", "Hard interrupts by handler", name_columns("handler"))
        .largest_first("sum_ns")
        .top(shown);
    let mut soft = Ranking::new(sources, "soft", "Soft interrupts", soft_columns()).largest_first("sum_ns").top(shown);
    let mut slowest = Ranking::new(sources, "slowest", "Slowest", slow_columns()).largest_first("worst_ns").top(shown);
    for source in sources {
        by_name(source, &mut hard, metrics::HARD_IRQ, None)?;
        by_name(source, &mut soft, metrics::SOFT_IRQ, Some(metrics::SOFT_IRQ_DELAY))?;
        slow(source, &mut slowest)?;
    }
    document.push(hard.table()?);
    document.push(soft.table()?);
    document.push(slowest.table()?);
    if plan.format != Format::Text {
        let plots = [
            times::plot(sources, metrics::HARD_IRQ, "Time in hard interrupts", "name")?,
            times::plot(sources, metrics::SOFT_IRQ, "Time in soft interrupts", "name")?,
            times::plot(sources, metrics::SOFT_IRQ_DELAY, "How late soft interrupts begin", "name")?,
        ];
        for plot in plots.into_iter().flatten() {
            document.push(plot);
        }
    }
    Ok(document)
}

/// Interrupts of one name.
struct Interrupts {
    name: Dim,
    times: Times,
    span_ns: i64,
    delay: Histogram,
}

fn name_columns(title: &str) -> Columns<Interrupts> {
    Columns::<Interrupts>::new()
        .column("name", title, |row| row.name.value())
        .times(|row| &row.times)
        .column("cpu_pct", "of a CPU", |row| share(row.times.sum_ns as f64, row.span_ns as f64))
        .help("Its time as a share of one CPU.")
}

fn soft_columns() -> Columns<Interrupts> {
    name_columns("vector")
        .column("delay_p50_ns", "delay p50", |row| percentile(&row.delay, Unit::Nanoseconds, 0.5))
        .help("Median time from raise to run.")
        .column("delay_p99_ns", "delay p99", |row| percentile(&row.delay, Unit::Nanoseconds, 0.99))
        .column("delay_max_ns", "delay max", |row| row.delay.max().map(nanos))
}

fn by_name(source: &Source, table: &mut Ranking<Interrupts>, metric: &str, delay: Option<&str>) -> Result<()> {
    let tally = Tally::of(source, &["name"], |name| name == metric || Some(name) == delay)?;
    tally.each(|dims, by| {
        let (Some(times), [name]) = (by.get(metric), dims) else { return };
        let delay = delay.map(|delay| by.of(delay)).unwrap_or_default();
        let (times, span_ns) = (Times::of(times), source.span_ns());
        table.row(source, &Interrupts { name: name.clone(), times, span_ns, delay });
    })
}

/// One interrupt.
struct Slow {
    at: Option<i64>,
    name: Option<String>,
    dur_ns: Option<i64>,
    delay_ns: Option<i64>,
    cpu: Option<i64>,
    interrupted: Owner,
    worst_ns: Option<i64>,
}

fn slow_columns() -> Columns<Slow> {
    Columns::<Slow>::new()
        .column("time_ns", "end", |row| time(row.at))
        .help("When it ended.")
        .column("name", "name", |row| row.name.clone())
        .column("dur_ns", "took", |row| Value::nanos(row.dur_ns))
        .column("delay_ns", "delay", |row| Value::nanos(row.delay_ns))
        .help("From raise to run.")
        .column("cpu", "CPU", |row| Value::id(row.cpu))
        .column("comm", "instead of", |row| row.interrupted.comm.clone())
        .help("The thread that it interrupted.")
        .pid(|row| &row.interrupted)
        .column("worst_ns", "worst", |row| Value::nanos(row.worst_ns))
        .help("The longer of time and delay.")
}

fn slow(source: &Source, table: &mut Ranking<Slow>) -> Result<()> {
    for kind in ["irq", "softirq"] {
        let mut rows = source.rows(kind);
        let (name, cpu, delay) = (rows.text("name"), rows.int("cpu"), rows.int("irq_delay_ns"));
        rows.each(|row| {
            let worst_ns = row.dur().max(row.int(delay));
            table.weighed(source, worst_ns, || Slow {
                at: row.at(),
                name: row.text(name).map(str::to_owned),
                dur_ns: row.dur(),
                delay_ns: row.int(delay),
                cpu: row.int(cpu),
                interrupted: Owner { comm: row.comm().map(str::to_owned), pid: row.pid() },
                worst_ns,
            });
        })?;
    }
    Ok(())
}
