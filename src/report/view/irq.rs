//! View `irq`: time in hard and soft interrupts by name, how late soft ones begin, and the slowest.

use anyhow::Result;

use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::share;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::units::Unit;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("irq", "Interrupts");
    note_absent_probe(&mut document, sources, "irq");
    let shown = plan.rows_shown(20);
    let mut hard = Ranking::new(sources, "hard", "Hard interrupts by handler", fields("handler", false))
        .largest_first("sum_ns")
        .top(shown);
    let mut soft =
        Ranking::new(sources, "soft", "Soft interrupts", fields("vector", true)).largest_first("sum_ns").top(shown);
    let mut slowest = Ranking::new(sources, "slowest", "Slowest", slow_fields()).largest_first("worst_ns").top(shown);
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

fn fields(name: &'static str, delayed: bool) -> Vec<Field> {
    let mut fields = vec![Field::new("name", name)];
    fields.extend(times::fields());
    fields.push(Field::new("cpu_pct", "of a CPU").help("Its time as a share of one CPU."));
    if delayed {
        fields.push(Field::new("delay_p50_ns", "delay p50").help("Median time from its raising until it ran."));
        fields.push(Field::new("delay_p99_ns", "delay p99"));
        fields.push(Field::new("delay_max_ns", "delay max"));
    }
    fields
}

fn by_name(source: &Source, table: &mut Ranking, metric: &str, delay: Option<&str>) -> Result<()> {
    let tally = Tally::of(source, &["name"], |name| name == metric || Some(name) == delay)?;
    tally.each(|dims, by| {
        let Some(times) = by.get(metric) else { return };
        let mut cells = vec![times::named(dims, 0)];
        cells.extend(times::cells(times));
        cells.push(share(sum(times) as f64, source.span_ns() as f64));
        if let Some(delay) = delay {
            let late = by.of(delay);
            cells.push(percentile(&late, Unit::Nanoseconds, 0.5));
            cells.push(percentile(&late, Unit::Nanoseconds, 0.99));
            cells.push(late.max().map_or(Value::Null, |max| Value::Nanos(whole(max))));
        }
        table.row(source, cells);
    })
}

fn slow_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "end").help("When it ended."),
        Field::new("name", "name"),
        Field::new("dur_ns", "took"),
        Field::new("delay_ns", "delay").help("From its raising until it ran."),
        Field::new("cpu", "CPU"),
        Field::new("comm", "instead of").help("The thread that it interrupted."),
        Field::new("pid", "pid"),
        Field::new("worst_ns", "worst").help("The longer of time and delay."),
    ]
}

fn slow(source: &Source, table: &mut Ranking) -> Result<()> {
    for kind in ["irq", "softirq"] {
        source.rows(kind, &["cpu", "irq_delay_ns"], &["name"], |row| {
            let worst = row.dur().max(row.int(1));
            table.weighed(source, worst, || {
                vec![
                    row.at().map_or(Value::Null, Value::Time),
                    Value::from(row.text(0)),
                    Value::nanos(row.dur()),
                    Value::nanos(row.int(1)),
                    Value::id(row.int(0)),
                    Value::from(row.comm()),
                    Value::id(row.pid()),
                    Value::nanos(worst),
                ]
            });
        })?;
    }
    Ok(())
}
