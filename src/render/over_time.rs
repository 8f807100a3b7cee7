//! What a page recomputes for a span of time: figures by interval, so that a reader can select a part of the window.
//!
//! Numbers are raw (nanoseconds, bytes, counts) and sums of whole intervals. A figure of a selection is a sum over its intervals, a quotient of
//! two such sums, or a percentile of merged histograms.

use serde::Serialize;
use serde::Serializer;

use crate::hist::Histogram;
use crate::units::Unit;

/// A recording by intervals.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct OverTime {
    /// Where the intervals begin and the last one ends, in nanoseconds since the window's start.
    pub bounds: Vec<i64>,
    /// What ended the window or cut it out: the page opens at its time.
    pub trigger: Option<Fired>,
    /// What the machine did.
    pub lanes: Vec<Lane>,
    /// What each part of a strip is.
    pub parts: Vec<&'static str>,
    /// The busiest threads.
    pub strips: Vec<Strip>,
    /// Tables of sums.
    pub tables: Vec<SpanTable>,
    /// Single events, the slowest first.
    pub events: Events,
    /// Histograms.
    pub distributions: Vec<Distribution>,
    /// Stacks.
    pub flames: Vec<FlameTree>,
    /// What was left out to keep the page small, one sentence each.
    pub cuts: Vec<String>,
}

/// A trigger that fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fired {
    /// When, in nanoseconds since the window's start.
    pub at: i64,
    /// On what.
    pub text: String,
}

/// Values by interval: most are zero.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sparse(Vec<(u32, u64)>);

impl Sparse {
    /// Adds to the value of an interval.
    pub fn add(&mut self, interval: usize, value: u64) {
        let interval = u32::try_from(interval).unwrap_or(u32::MAX);
        match self.0.binary_search_by_key(&interval, |(at, _)| *at) {
            // It was just found.
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(value),
            Err(_) if value == 0 => {}
            Err(at) => self.0.insert(at, (interval, value)),
        }
    }

    /// Adds another, interval by interval.
    pub fn merge(&mut self, other: &Sparse) {
        other.0.iter().for_each(|(at, value)| self.add(*at as usize, *value));
    }

    /// The sum of all intervals.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, value)| sum.saturating_add(*value))
    }

    /// Number of intervals that have a value.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no interval has a value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Pairs in one flat list: by how much the interval is beyond the one before, and the value.
impl Serialize for Sparse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut before = 0;
        serializer.collect_seq(self.0.iter().flat_map(|(at, value)| {
            let gap = at - before;
            before = *at;
            [u64::from(gap), *value]
        }))
    }
}

/// Lines over time that share an axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lane {
    /// Heading.
    pub title: &'static str,
    /// What the shown values measure.
    #[serde(serialize_with = "name_of_unit")]
    pub unit: Unit,
    /// Whether they are amounts per second.
    pub per_second: bool,
    /// What a second's sum is multiplied by to be shown.
    pub factor: f64,
    /// Upper end of the axis, where the values have one.
    pub most: Option<f64>,
    /// Named lines.
    pub series: Vec<(String, Sparse)>,
}

/// A thread over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Strip {
    /// The thread.
    pub name: String,
    /// Nanoseconds in each part.
    pub parts: Vec<Sparse>,
}

/// A table whose figures are those of the selected intervals.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct SpanTable {
    /// Stable name.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What is in it.
    pub note: &'static str,
    /// Columns that name a row.
    pub keys: Vec<Key>,
    /// Columns of figures.
    pub figures: Vec<Figure>,
    /// The rows.
    pub rows: Vec<SpanRow>,
    /// What the rows that are not there come to.
    pub rest: Vec<Sparse>,
    /// How many rows are not there.
    pub omitted: u64,
}

/// A column that names a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Heading.
    pub title: &'static str,
    /// Whether it holds numbers.
    pub numeric: bool,
}

/// A column of figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Heading.
    pub title: String,
    /// What it holds, in one sentence; may be empty.
    pub help: String,
    /// What it measures; `None`: each row has a unit of its own.
    #[serde(serialize_with = "name_of_unit_if_any")]
    pub unit: Option<Unit>,
    /// The value of a row that is summed.
    pub of: usize,
    /// The value whose sum it is divided by; shares are in hundredths.
    pub by: Option<Divisor>,
}

/// What a sum is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Divisor {
    /// The sum of another value of the row.
    Value(usize),
    /// The nanoseconds of the selection.
    Time,
}

/// A row of a [`SpanTable`].
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct SpanRow {
    /// One for each key.
    pub keys: Vec<String>,
    /// What its figures measure, where that differs from row to row.
    #[serde(serialize_with = "name_of_unit_if_any")]
    pub unit: Option<Unit>,
    /// Values by interval.
    pub values: Vec<Sparse>,
}

/// Single events, or bursts of them within an interval.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Events {
    /// Headings of the cells.
    pub keys: Vec<&'static str>,
    /// When each ended, how long it took, both in nanoseconds, and its cells.
    pub rows: Vec<(i64, i64, Vec<String>)>,
    /// Whether there are more.
    pub more: bool,
}

/// A histogram by interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// The metric.
    pub name: String,
    /// What it measures, in one sentence; may be empty.
    pub help: String,
    /// What the values measure.
    #[serde(serialize_with = "name_of_unit")]
    pub unit: Unit,
    /// Every bucket that holds something, by its bounds.
    pub buckets: Vec<(u64, u64)>,
    /// For each bucket how many values are in it.
    pub counts: Vec<Sparse>,
    /// For each interval count, sum, minimum and maximum, as they were kept beside the buckets.
    pub totals: Vec<Option<(u64, u64, u64, u64)>>,
}

impl Distribution {
    /// Makes one of a histogram for each interval.
    pub fn new(name: &str, help: &str, unit: Unit, intervals: &[Histogram]) -> Distribution {
        let mut buckets: Vec<(u64, u64)> =
            intervals.iter().flat_map(Histogram::buckets).map(|bucket| (bucket.lo, bucket.hi)).collect();
        buckets.sort_unstable();
        buckets.dedup();
        let mut counts = vec![Sparse::default(); buckets.len()];
        for (interval, histogram) in intervals.iter().enumerate() {
            for bucket in histogram.buckets() {
                if let Ok(at) = buckets.binary_search(&(bucket.lo, bucket.hi))
                    && let Some(counts) = counts.get_mut(at)
                {
                    counts.add(interval, bucket.count);
                }
            }
        }
        let totals = |histogram: &Histogram| {
            let totals = histogram.totals()?;
            // Without a value there are no extremes.
            let (min, max) = if totals.count > 0 { (totals.min, totals.max) } else { (0, 0) };
            Some((totals.count, totals.sum, min, max))
        };
        let totals = intervals.iter().map(totals).collect();
        Distribution { name: name.to_owned(), help: help.to_owned(), unit, buckets, counts, totals }
    }
}

/// Stacks as calls by their callers.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct FlameTree {
    /// Stable name.
    pub name: &'static str,
    /// Heading.
    pub title: String,
    /// What is shown where there is no stack.
    pub empty: String,
    /// Names of functions with the files that they are in.
    pub functions: Vec<(String, String)>,
    /// For each call how many places before it its caller is; 0: it has none.
    pub callers: Vec<u32>,
    /// For each call which function it is.
    pub names: Vec<u32>,
    /// For each call the nanoseconds that end in it.
    pub own: Vec<Sparse>,
}

fn name_of_unit<S: Serializer>(unit: &Unit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(unit.name())
}

fn name_of_unit_if_any<S: Serializer>(unit: &Option<Unit>, serializer: S) -> Result<S::Ok, S::Error> {
    unit.map(Unit::name).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::Sparse;

    #[test]
    fn values_are_written_with_the_gaps_between_their_intervals() {
        let mut values = Sparse::default();
        for (interval, value) in [(7, 2), (3, 5), (7, 1), (9, 0)] {
            values.add(interval, value);
        }
        assert_eq!(serde_json::to_string(&values).unwrap(), "[3,5,4,3]");
        assert_eq!(values.total(), 8);
    }
}
