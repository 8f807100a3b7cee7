//! Metrics on their way out: families of series, and their samples at every point in time.

use std::collections::BTreeMap;

use crate::export::names;
use crate::units::Unit;

/// All that is exported of a recording.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// The families by name.
    pub(super) families: Vec<Family>,
    /// The moments of the samples, in milliseconds since the Unix epoch, ascending; the first is the window's start.
    pub(super) times: Vec<i64>,
}

/// One metric.
#[derive(Debug)]
pub(super) struct Family {
    /// The metric's name in the recording.
    pub(super) metric: String,
    /// Name without the suffixes of the samples.
    pub(super) name: String,
    /// One sentence.
    pub(super) help: String,
    /// Unit in the recording.
    pub(super) unit: Unit,
    /// The upper bounds of the buckets in the recording's unit, inclusive and ascending; `None` for a counter.
    pub(super) bounds: Option<Vec<u64>>,
    /// The series, the heaviest first, `other` last.
    pub(super) series: Vec<Series>,
}

/// One label set of a metric, with what each interval added.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Names and values, by name.
    pub(super) labels: Vec<(String, String)>,
    /// Count and sum by the place of the time.
    pub(super) added: BTreeMap<u32, (u64, u64)>,
    /// What the buckets gained, by the place of the time and the upper bound.
    pub(super) buckets: BTreeMap<(u32, u64), u64>,
}

/// A sample's family name and suffix, its labels, its `le` and its value at each time: one series of the database.
pub(super) struct Line<'a> {
    /// `_total`, `_bucket`, `_sum` or `_count`.
    pub(super) suffix: &'static str,
    /// The upper bound of a bucket as a label's value.
    pub(super) le: Option<&'a str>,
    /// The values, one for each time.
    pub(super) values: Vec<f64>,
}

impl Family {
    /// Calls `each` for every series of the database that one label set makes, buckets by rising bound.
    pub(super) fn lines<E>(
        &self,
        series: &Series,
        times: usize,
        mut each: impl FnMut(&Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(bounds) = &self.bounds else {
            let values = series.totals(times, |(count, sum)| self.amount(count, sum));
            return each(&Line { suffix: "_total", le: None, values });
        };
        let mut at_most = vec![0; times];
        for bound in bounds {
            let mut sum = 0;
            for (place, value) in at_most.iter_mut().enumerate() {
                sum += series.buckets.get(&(place as u32, *bound)).copied().unwrap_or(0);
                *value += sum;
            }
            let le = names::value(*bound, self.unit).to_string();
            each(&Line { suffix: "_bucket", le: Some(&le), values: at_most.iter().map(|n| *n as f64).collect() })?;
        }
        let count: Vec<f64> = at_most.iter().map(|n| *n as f64).collect();
        each(&Line { suffix: "_bucket", le: Some("+Inf"), values: count.clone() })?;
        let sum = series.totals(times, |(_, sum)| names::value(sum, self.unit));
        each(&Line { suffix: "_sum", le: None, values: sum })?;
        each(&Line { suffix: "_count", le: None, values: count })
    }

    /// What a counter counts: occurrences, or their sum where it has a unit.
    pub(super) fn amount(&self, count: u64, sum: u64) -> f64 {
        match self.unit {
            Unit::Count => count as f64,
            unit => names::value(sum, unit),
        }
    }
}

impl Series {
    /// The sum up to each time, as `value` makes it of count and sum.
    pub(super) fn totals(&self, times: usize, value: impl Fn((u64, u64)) -> f64) -> Vec<f64> {
        let mut total = (0u64, 0u64);
        let at = |place: usize| {
            let (count, sum) = self.added.get(&(place as u32)).copied().unwrap_or_default();
            total = (total.0.saturating_add(count), total.1.saturating_add(sum));
            value(total)
        };
        (0..times).map(at).collect()
    }
}

/// The bucket of a coarser histogram that takes in the bucket from `lo` on: `[from, to)` with so many in each power of two.
pub(super) fn coarse(lo: u64, steps: u32) -> (u64, u64) {
    if lo < 2 {
        return (lo, lo + 1);
    }
    let power = 1u64 << lo.ilog2();
    let step = (power / u64::from(steps.max(1))).max(1);
    let from = lo - (lo - power) % step;
    (from, from.saturating_add(step))
}

/// A histogram and a counter, for the tests of those that write them.
#[cfg(test)]
pub(super) fn example() -> Metrics {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let waits = Series {
        labels: vec![label("comm", "x\"y"), label("host", "h")],
        added: [(1, (2, 1500))].into(),
        buckets: [((1, 1023), 2)].into(),
    };
    let count = Series { labels: vec![label("host", "h")], added: [(1, (3, 3))].into(), ..Series::default() };
    let family = |name: &str, help: &str, unit, bounds, one| Family {
        metric: name.to_owned(),
        name: name.to_owned(),
        help: help.to_owned(),
        unit,
        bounds,
        series: vec![one],
    };
    Metrics {
        families: vec![
            family("ebrec_a_seconds", "A \"wait\".", Unit::Nanoseconds, Some(vec![1023]), waits),
            family("ebrec_b", "", Unit::Count, None, count),
        ],
        times: vec![1999, 3000],
    }
}

#[cfg(test)]
mod tests {
    use super::Family;
    use super::Series;
    use super::coarse;
    use crate::units::Unit;

    #[test]
    fn coarse_buckets_take_in_whole_fine_ones() {
        for steps in [1, 2, 4, 8, 16] {
            for fine in 0..crate::hist::BUCKETS - 1 {
                let (lo, hi) = crate::hist::bounds(fine);
                let (from, to) = coarse(lo, steps);
                assert!(from <= lo && hi <= to, "{lo}..{hi} in {from}..{to} of {steps}");
            }
        }
        assert_eq!(coarse(5000, 4), (4096, 5120));
        assert_eq!(coarse(5000, 1), (4096, 8192));
        assert_eq!((coarse(0, 4), coarse(3, 4)), ((0, 1), (3, 4)));
    }

    #[test]
    fn a_histogram_is_cumulative_in_time_and_over_its_buckets() {
        let series = Series {
            labels: Vec::new(),
            added: [(1, (3, 30)), (2, (1, 5))].into(),
            buckets: [((1, 9), 1), ((1, 19), 2), ((2, 9), 1)].into(),
        };
        let family = Family {
            metric: "x".into(),
            name: "x".into(),
            help: String::new(),
            unit: Unit::Count,
            bounds: Some(vec![9, 19]),
            series: Vec::new(),
        };
        let mut lines = Vec::new();
        let all = family.lines(&series, 3, |line| {
            lines.push((line.suffix, line.le.map(str::to_owned), line.values.clone()));
            Ok::<(), ()>(())
        });
        assert_eq!(all, Ok(()));
        let line = |suffix, le: Option<&str>, values: [f64; 3]| (suffix, le.map(str::to_owned), values.to_vec());
        let expected = [
            line("_bucket", Some("9"), [0.0, 1.0, 2.0]),
            line("_bucket", Some("19"), [0.0, 3.0, 4.0]),
            line("_bucket", Some("+Inf"), [0.0, 3.0, 4.0]),
            line("_sum", None, [0.0, 30.0, 35.0]),
            line("_count", None, [0.0, 3.0, 4.0]),
        ];
        assert_eq!(lines, expected);
    }
}
