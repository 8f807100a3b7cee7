//! What tables of waits and stalls have in common: five columns for a distribution of times, and pictures by name.

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Field;
use crate::render::HistogramPlot;
use crate::render::Value;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::table::cells::percentile;
use crate::report::table::cells::whole;
use crate::report::table::heaviest::Heaviest;
use crate::report::table::heaviest::SERIES;
use crate::units::Unit;

/// Count, sum, median, 99th percentile and maximum.
pub(in crate::report) fn fields() -> Vec<Field> {
    vec![
        Field::new("count", "count"),
        Field::new("sum_ns", "sum").help("All of them added up."),
        Field::new("p50_ns", "p50"),
        Field::new("p99_ns", "p99"),
        Field::new("max_ns", "max"),
    ]
}

/// The cells of those columns.
pub(in crate::report) fn cells(times: &Histogram) -> Vec<Value> {
    vec![
        Value::Int(whole(count(times))),
        Value::Nanos(whole(sum(times))),
        percentile(times, Unit::Nanoseconds, 0.5),
        percentile(times, Unit::Nanoseconds, 0.99),
        times.max().map_or(Value::Null, |max| Value::Nanos(whole(max))),
    ]
}

/// The picture of a metric in nanoseconds, a series for each value of `by`; nothing where there are no values.
pub(in crate::report) fn plot(
    sources: &[Source],
    metric: &str,
    title: &str,
    by: &str,
) -> Result<Option<HistogramPlot>> {
    let mut series = Heaviest::new(SERIES);
    for source in sources {
        let host = if sources.len() > 1 { format!("{} ", source.label()) } else { String::new() };
        let tally = Tally::of(source, &[by], |name| name == metric)?;
        let named = |dims: &[Dim]| format!("{host}{}", dims.iter().map(Dim::word).collect::<Vec<_>>().join(" "));
        tally.groups(metric, |dims, times| series.add(named(dims), times))?;
    }
    let series = series.series();
    let plot = HistogramPlot { name: metric.into(), title: title.into(), unit: Unit::Nanoseconds, series };
    Ok((!plot.series.is_empty()).then_some(plot))
}

/// A text dimension as a cell, by its place.
pub(in crate::report) fn named(dims: &[Dim], at: usize) -> Value {
    dims.get(at).map_or(Value::Null, Dim::value)
}
