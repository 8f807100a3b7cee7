//! View `heatmap`: which values of a metric occurred when, out of what each interval's histogram says.

use anyhow::Result;

use crate::recording::MetricMeta;
use crate::render::Document;
use crate::render::HeatColumn;
use crate::render::Heatmap;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::is_histogram;
use crate::report::read::input::Source;
use crate::report::read::series;
use crate::report::read::series::Interval;
use crate::report::read::series::Series;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::unit;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    series::check(sources, &plan.metrics)?;
    let mut document = Document::new("heatmap", "Values over time");
    let mut table = Ranking::new(sources, "cells", "", columns());
    let mut any = false;
    for source in sources {
        let host = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        let metrics = series::chosen(source, &plan.metrics);
        for metric in metrics.iter().filter(|metric| !is_histogram(metric) && !plan.metrics.is_empty()) {
            document.warning(format!("{host}'{}' is a counter: 'ebrec report timeline' draws it", metric.name));
        }
        let histograms: Vec<&MetricMeta> = metrics.into_iter().filter(|metric| is_histogram(metric)).collect();
        let series = Series::of(source, |name| histograms.iter().any(|metric| metric.name == name))?;
        if series.joined() > 1 {
            document.note(format!(
                "{host}each interval joins {} of the recording's, since there are very many",
                series.joined()
            ));
        }
        for metric in histograms.into_iter().filter(|metric| series.has(&metric.name)) {
            any = true;
            let column = |interval: &Interval| HeatColumn {
                begin: interval.begin_ns as f64 / 1e9,
                end: interval.begin_ns.saturating_add(interval.dur_ns) as f64 / 1e9,
                values: interval.values.clone(),
            };
            let help = if metric.help.is_empty() { String::new() } else { format!(": {}", metric.help) };
            document.push(Heatmap {
                name: metric.name.clone(),
                title: format!("{host}{}{help}", metric.name),
                unit: unit(&metric.unit),
                columns: series.intervals(&metric.name).map(column).collect(),
            });
            for interval in series.intervals(&metric.name) {
                for bucket in interval.values.buckets() {
                    let end_ns = interval.begin_ns.saturating_add(interval.dur_ns);
                    let (metric, unit_name) = (metric.name.clone(), metric.unit.clone());
                    let (lo, hi, count) = (bucket.lo, bucket.hi, bucket.count);
                    table.row(source, &Cell { metric, end_ns, lo, hi, count, unit_name });
                }
            }
        }
    }
    if !any {
        for word in &plan.metrics {
            note_absent_probe(&mut document, sources, word.split('.').next().unwrap_or(word));
        }
        document.note("no histogram has values here");
    }
    if plan.format.is_for_programs() {
        document.push(table.table()?);
    }
    Ok(document)
}

/// One interval and one range of values.
struct Cell {
    metric: String,
    end_ns: i64,
    lo: u64,
    hi: u64,
    count: u64,
    unit_name: String,
}

impl Cell {
    fn bound(&self, bound: u64) -> Value {
        Value::of(unit(&self.unit_name), Some(bound as f64))
    }
}

fn columns() -> Columns<Cell> {
    Columns::<Cell>::new()
        .column("metric", "metric", |cell| cell.metric.clone())
        .column("time_ns", "until", |cell| Value::Time(cell.end_ns))
        .help("End of the interval.")
        .column("lo", "from", |cell| cell.bound(cell.lo))
        .each_its_unit()
        .help("Smallest value of the cell, in the metric's unit.")
        .column("hi", "to", |cell| cell.bound(cell.hi))
        .each_its_unit()
        .help("First value beyond the cell.")
        .column("count", "count", |cell| cell.count)
        .column("unit", "unit", |cell| cell.unit_name.clone())
        .help("Unit of the raw numbers.")
}
