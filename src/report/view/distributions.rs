//! Every histogram of a recording in one line each, and their pictures.

use anyhow::Result;

use crate::hist::Histogram;
use crate::recording::MetricMeta;
use crate::render::Document;
use crate::render::HistogramPlot;
use crate::render::Table;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::is_histogram;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::table::cells::percentile;
use crate::report::table::cells::unit;
use crate::report::table::cells::whole;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::units::Unit;

/// The percentiles that tables show, with their names.
pub(super) const PERCENTILES: [(f64, &str); 5] =
    [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];
/// How many of them people see where the shape stands beside them.
const SHOWN: usize = 4;

/// One line per recording and histogram that holds something.
pub(super) fn table(sources: &[Source], name: &str, plan: &ReportPlan) -> Result<Table> {
    let for_programs = plan.format.is_for_programs();
    let mut table = Ranking::new(sources, name, "", columns(for_programs));
    for source in sources {
        for (metric, histogram) in totals(source)? {
            table.row(source, &Distribution { metric: metric.clone(), histogram });
        }
    }
    table.table()
}

/// The histograms of times in which most time added up.
pub(super) fn heaviest(sources: &[Source], most: usize) -> Result<Table> {
    let mut table = Ranking::new(sources, "distributions", "", columns(false)).top(most);
    for source in sources {
        for (metric, histogram) in
            totals(source)?.into_iter().filter(|(metric, _)| unit(&metric.unit) == Unit::Nanoseconds)
        {
            let weight = whole(sum(&histogram));
            table.weighed(source, Some(weight), || Distribution { metric: metric.clone(), histogram });
        }
    }
    table.table()
}

/// A histogram that holds something.
struct Distribution {
    metric: MetricMeta,
    histogram: Histogram,
}

impl Distribution {
    fn percentile(&self, q: f64) -> Value {
        percentile(&self.histogram, unit(&self.metric.unit), q)
    }

    fn max(&self) -> Value {
        Value::of(unit(&self.metric.unit), self.histogram.max().map(|max| max as f64))
    }
}

/// The percentiles that programs or people get.
fn shown(for_programs: bool) -> &'static [(f64, &'static str)] {
    if for_programs { &PERCENTILES } else { PERCENTILES.split_at(SHOWN).0 }
}

fn columns(for_programs: bool) -> Columns<Distribution> {
    let mut columns = Columns::<Distribution>::new().column("metric", "metric", |row| row.metric.name.clone()).column(
        "count",
        "count",
        |row| row.histogram.count(),
    );
    for (q, name) in shown(for_programs) {
        columns = columns.column(*name, *name, |row| row.percentile(*q)).each_its_unit();
    }
    columns = columns
        .column("max", "max", Distribution::max)
        .each_its_unit()
        .column("shape", "shape", |row| shape(&row.histogram, 16))
        .help("Counts from the smallest to the largest value, on a logarithmic scale.");
    if !for_programs {
        return columns;
    }
    columns.column("unit", "unit", |row| row.metric.unit.clone()).help("Unit of the raw numbers.")
}

/// One picture per metric, with a series per recording.
pub(super) fn plots(document: &mut Document, sources: &[Source]) -> Result<()> {
    let mut plots: Vec<HistogramPlot> = Vec::new();
    for source in sources {
        for (metric, histogram) in totals(source)? {
            let label = if sources.len() > 1 { source.label().to_owned() } else { String::new() };
            match plots.iter_mut().find(|plot| plot.name == metric.name) {
                Some(plot) => plot.series.push((label, histogram)),
                None => plots.push(HistogramPlot {
                    name: metric.name.clone(),
                    title: if metric.help.is_empty() {
                        metric.name.clone()
                    } else {
                        format!("{}: {}", metric.name, metric.help)
                    },
                    unit: unit(&metric.unit),
                    series: vec![(label, histogram)],
                }),
            }
        }
    }
    for plot in plots {
        document.push(plot);
    }
    Ok(())
}

/// Every histogram that holds something, in the order in which the recording names them.
fn totals(source: &Source) -> Result<Vec<(&MetricMeta, Histogram)>> {
    let metrics = &source.meta().metrics;
    let histograms = || metrics.iter().filter(|metric| is_histogram(metric));
    let tally = Tally::of(source, &[], |name| histograms().any(|metric| metric.name == name))?;
    // Without dimensions there is one group.
    let mut totals = Vec::new();
    tally.each(|_, by| {
        let own = histograms().filter_map(|metric| Some((metric, by.get(&metric.name)?.clone())));
        totals.extend(own.filter(|(_, histogram)| !histogram.is_empty()));
    })?;
    Ok(totals)
}

/// A row of `cells` small bars over the logarithm of the values; the highest bar is the fullest.
fn shape(histogram: &Histogram, cells: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (Some(min), Some(max)) = (histogram.min(), histogram.max()) else { return String::new() };
    let place = |value: u64| (value.max(1) as f64).ln();
    let (low, high) = (place(min), place(max));
    let mut counts = vec![0u64; cells];
    for bucket in histogram.buckets() {
        let middle = place(bucket.lo.saturating_add(bucket.hi.saturating_sub(bucket.lo) / 2));
        let part = if high > low { ((middle - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
        let at = ((part * cells as f64) as usize).min(cells.saturating_sub(1));
        if let Some(count) = counts.get_mut(at) {
            *count = count.saturating_add(bucket.count);
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u64| match count {
        0 => ' ',
        count => BARS.get((*count as f64 / most as f64 * 7.0).round() as usize).copied().unwrap_or('█'),
    };
    counts.iter().map(bar).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::shape;
    use crate::hist::Histogram;

    #[test]
    fn the_shape_has_the_fullest_place_highest_and_empty_places_blank() {
        let mut histogram = Histogram::new();
        for value in [1, 1000, 1000, 1000, 1000, 1000, 1000, 1_000_000] {
            histogram.record(value);
        }
        assert_eq!(shape(&histogram, 5), "▂ █ ▂");
        assert_eq!(shape(&Histogram::new(), 5), "");
    }

    #[test]
    fn a_single_value_stands_at_the_left() {
        let mut histogram = Histogram::new();
        histogram.record(0);
        assert_eq!(shape(&histogram, 5), "█");
    }
}
