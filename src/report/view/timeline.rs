//! View `timeline`: rates and latencies over time, by probe, out of what each interval's aggregates say.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::recording::MetricMeta;
use crate::render::Document;
use crate::render::Timeline;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::is_histogram;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::series;
use crate::report::read::series::Interval;
use crate::report::read::series::Series;
use crate::report::read::window;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::unit;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::units::Unit;

/// The percentiles that are drawn.
const PERCENTILES: [(f64, &str); 2] = [(0.5, "p50"), (0.99, "p99")];

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    series::check(sources, &plan.metrics)?;
    let mut document = Document::new("timeline", "Over time");
    let mut plots = Plots::default();
    let mut table = Ranking::new(sources, "intervals", "", columns()).top(if plan.format.is_for_programs() {
        usize::MAX
    } else {
        plan.rows_shown(40)
    });
    let mut blind: Vec<&str> = Vec::new();
    for source in sources {
        let host = if sources.len() > 1 { format!("{} ", source.label()) } else { String::new() };
        if let Some(trigger) = window::trigger(source) {
            document.note(format!("{host}trigger: {trigger}"));
        }
        let metrics = series::chosen(source, &plan.metrics);
        let series = Series::of(source, |name| metrics.iter().any(|metric| metric.name == name))?;
        if series.joined() > 1 {
            document.note(format!(
                "{host}each interval joins {} of the recording's, since there are very many",
                series.joined()
            ));
        }
        for metric in metrics {
            let tells = metric.by.iter().any(|column| column == "pid" || column == "comm");
            if plan.filter.by_process() && !tells && !blind.contains(&metric.name.as_str()) {
                blind.push(&metric.name);
            }
            if !series.has(&metric.name) {
                continue;
            }
            plots.add(metric, &host, &series);
            for interval in series.intervals(&metric.name) {
                let (name, unit, has_max) = (metric.name.clone(), metric.unit.clone(), is_histogram(metric));
                table.row(source, &IntervalRow { metric: name, unit, has_max, interval: interval.clone() });
            }
        }
    }
    if !plan.metrics.is_empty() && !blind.is_empty() {
        let names = blind.join(", ");
        document.warning(format!("not counted by process, so the filter leaves them out: {names}"));
    }
    if plots.list.is_empty() {
        for word in &plan.metrics {
            note_absent_probe(&mut document, sources, word.split('.').next().unwrap_or(word));
        }
        document.note("no metric has values here");
    }
    for plot in plots.list {
        document.push(plot);
    }
    // Everybody sees the numbers of a metric that was asked for; otherwise they are too many.
    if plan.format.is_for_programs() || !plan.metrics.is_empty() && plan.format != Format::Svg {
        document.push(table.table()?);
    }
    Ok(document)
}

/// The plots so far, each with metrics of one probe that are measured alike.
#[derive(Default)]
struct Plots {
    list: Vec<Timeline>,
    places: BTreeMap<String, usize>,
}

impl Plots {
    /// Adds how often or how much of a metric there was, and how long or large it was.
    fn add(&mut self, metric: &MetricMeta, host: &str, series: &Series) {
        let (probe, own) = (metric.probe.as_str(), unit(&metric.unit));
        let short = metric.name.strip_prefix(&format!("{probe}.")).unwrap_or(&metric.name);
        let intervals = || series.intervals(&metric.name);
        let line = |value: &dyn Fn(&Interval) -> Option<f64>| -> Vec<(f64, f64)> {
            intervals().filter_map(|interval| Some((interval.middle(), value(interval)?))).collect()
        };
        let amounts = match own {
            // Nanoseconds a nanosecond: how many at a time, on average.
            Unit::Nanoseconds if !is_histogram(metric) => {
                let at_once =
                    |interval: &Interval| Some(100.0 * sum(&interval.values) as f64 / interval.dur_ns.max(1) as f64);
                self.push(probe, "time", "share of time", Unit::Percent, format!("{host}{short}"), line(&at_once));
                return;
            }
            Unit::Bytes => Some(|interval: &Interval| Some(sum(&interval.values) as f64 / interval.seconds())),
            _ => None,
        };
        let rate = |interval: &Interval| Some(count(&interval.values) as f64 / interval.seconds());
        self.push(probe, "rate", "per second", Unit::PerSecond, format!("{host}{short}"), line(&rate));
        if let Some(bytes) = amounts {
            self.push(probe, "throughput", "bytes per second", Unit::Bytes, format!("{host}{short}"), line(&bytes));
        }
        if !is_histogram(metric) {
            return;
        }
        let (name, title) = match own {
            Unit::Nanoseconds => ("latency", "time"),
            Unit::Bytes => ("size", "size"),
            _ => ("values", "values"),
        };
        for (q, percentile) in PERCENTILES {
            let points = line(&|interval| interval.values.percentile(q));
            self.push(probe, name, title, own, format!("{host}{short} {percentile}"), points);
        }
    }

    fn push(&mut self, probe: &str, what: &str, title: &str, unit: Unit, line: String, points: Vec<(f64, f64)>) {
        let name = format!("{probe}.{what}");
        let at = *self.places.entry(name.clone()).or_insert_with(|| {
            self.list.push(Timeline { name, title: format!("{probe}: {title}"), unit, series: Vec::new() });
            self.list.len() - 1
        });
        if let Some(plot) = self.list.get_mut(at) {
            plot.series.push((line, points));
        }
    }
}

/// A metric in one interval.
struct IntervalRow {
    metric: String,
    unit: String,
    has_max: bool,
    interval: Interval,
}

impl IntervalRow {
    fn estimate(&self, q: f64) -> Value {
        percentile(&self.interval.values, unit(&self.unit), q)
    }

    fn max(&self) -> Value {
        let max = self.interval.values.max().filter(|_| self.has_max);
        Value::of(unit(&self.unit), max.map(|max| max as f64))
    }
}

fn columns() -> Columns<IntervalRow> {
    Columns::<IntervalRow>::new()
        .column("time_ns", "until", |row| Value::Time(row.interval.begin_ns.saturating_add(row.interval.dur_ns)))
        .help("End of the interval.")
        .column("dur_ns", "interval", |row| Value::Nanos(row.interval.dur_ns))
        .help("Its length.")
        .column("metric", "metric", |row| row.metric.clone())
        .column("count", "count", |row| count(&row.interval.values))
        .help("Values in the interval.")
        .column("rate_hz", "per second", |row| Value::Rate(count(&row.interval.values) as f64 / row.interval.seconds()))
        .help("Values a second.")
        .column("sum", "sum", |row| Value::of(unit(&row.unit), Some(sum(&row.interval.values) as f64)))
        .each_its_unit()
        .help("Sum of the values, in the metric's unit.")
        .column("p50", "p50", |row| row.estimate(0.5))
        .each_its_unit()
        .column("p99", "p99", |row| row.estimate(0.99))
        .each_its_unit()
        .column("max", "max", IntervalRow::max)
        .each_its_unit()
        .column("unit", "unit", |row| row.unit.clone())
        .help("Unit of the raw numbers.")
}
