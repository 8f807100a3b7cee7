//! Histograms over time.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::recording::MetricMeta;
use crate::render::Distribution;
use crate::report::over_time::intervals::Intervals;
use crate::report::read::aggregate::AggregateKind;
use crate::report::read::aggregate::is_histogram;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::table::cells::unit;

/// About what a bucket of one interval takes in memory.
const BUCKET_BYTES: usize = 64;
/// Buckets of single intervals that a page holds, at some six bytes each.
const BUCKETS: usize = 60_000;

/// The histograms that hold something, in the recording's order, and how many had no room.
pub(super) fn distributions(source: &Source, intervals: &Intervals) -> Result<(Vec<Distribution>, usize)> {
    let histograms: Vec<&MetricMeta> = source.meta().metrics.iter().filter(|metric| is_histogram(metric)).collect();
    let mut held: BTreeMap<usize, Vec<Histogram>> = BTreeMap::new();
    let mut limit = Limit::new();
    for kind in [AggregateKind::Buckets, AggregateKind::Totals] {
        let mut rows = source.rows(kind.name());
        let (metric, numbers) = (rows.text("metric"), kind.numbers(&mut rows));
        rows.each(|row| {
            let (Some(name), Some(interval)) = (row.text(metric), intervals.at(row)) else { return };
            let Some(at) = histograms.iter().position(|metric| metric.name == name) else { return };
            let own = held.entry(at).or_insert_with(|| vec![Histogram::new(); intervals.count()]);
            let Some(histogram) = own.get_mut(interval) else { return };
            let before = histogram.filled();
            numbers.add(row, histogram);
            limit.take((histogram.filled() - before) * BUCKET_BYTES);
        })?;
    }
    limit.check(source, "buckets of histograms")?;
    let filled = |own: &[Histogram]| own.iter().map(Histogram::filled).sum::<usize>();
    let (mut room, mut left_out) = (BUCKETS, 0);
    let mut distributions = Vec::new();
    for (at, own) in held {
        let Some(metric) = histograms.get(at).filter(|_| filled(&own) > 0) else { continue };
        match room.checked_sub(filled(&own)) {
            Some(left) => {
                room = left;
                distributions.push(Distribution::new(&metric.name, &metric.help, unit(&metric.unit), &own));
            }
            None => left_out += 1,
        }
    }
    Ok((distributions, left_out))
}
