//! What tables of waits and stalls have in common: five columns for a distribution of times, and pictures by name.

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::HistogramPlot;
use crate::render::Value;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::table::cells::nanos;
use crate::report::table::columns::Columns;
use crate::report::table::heaviest::Heaviest;
use crate::report::table::heaviest::SERIES;
use crate::units::Unit;

/// What a distribution of times comes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    count: u64,
    /// All of them added up, in nanoseconds.
    pub(crate) sum_ns: u64,
    p50_ns: Option<f64>,
    p99_ns: Option<f64>,
    max_ns: Option<u64>,
}

impl Times {
    /// Out of all times in nanoseconds.
    pub(crate) fn of(times: &Histogram) -> Times {
        Times {
            count: count(times),
            sum_ns: sum(times),
            p50_ns: times.percentile(0.5),
            p99_ns: times.percentile(0.99),
            max_ns: times.max(),
        }
    }
}

impl<R> Columns<R> {
    /// Adds count, sum, median, 99th percentile and maximum.
    pub(crate) fn times(self, times: impl Fn(&R) -> &Times + Copy + 'static) -> Columns<R> {
        self.column("count", "count", move |row| times(row).count)
            .column("sum_ns", "sum", move |row| nanos(times(row).sum_ns))
            .help("All of them added up.")
            .column("p50_ns", "p50", move |row| Value::nanos_f64(times(row).p50_ns))
            .column("p99_ns", "p99", move |row| Value::nanos_f64(times(row).p99_ns))
            .column("max_ns", "max", move |row| times(row).max_ns.map(nanos))
    }
}

/// The picture of a metric in nanoseconds, a series for each value of `by`; nothing where there are no values.
pub(crate) fn plot(sources: &[Source], metric: &str, title: &str, by: &str) -> Result<Option<HistogramPlot>> {
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
