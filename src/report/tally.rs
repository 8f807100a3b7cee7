//! What the aggregate rows add up to, for any metric by any of its columns.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use anyhow::Result;

use crate::hist::Histogram;
use crate::hist::bounds;
use crate::hist::bucket;
use crate::recording::CORE;
use crate::recording::ColumnType;
use crate::recording::MetricMeta;
use crate::render::Value;
use crate::report::limit::Limit;
use crate::report::source::Row;
use crate::report::source::Source;

/// The value of one dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Dim {
    /// The rows do not say.
    None,
    /// A number that names something.
    Int(i64),
    /// A name.
    Text(Rc<str>),
}

impl Dim {
    /// The value as a cell.
    pub(super) fn value(&self) -> Value {
        match self {
            Dim::None => Value::Null,
            Dim::Int(id) => Value::Id(*id),
            Dim::Text(text) => Value::Text(text.to_string()),
        }
    }

    /// The value as a word in a name.
    pub(super) fn word(&self) -> String {
        match self {
            Dim::None => "?".to_owned(),
            Dim::Int(id) => id.to_string(),
            Dim::Text(text) => text.to_string(),
        }
    }

    /// The number, where it is one.
    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Dim::Int(id) => Some(*id),
            _ => None,
        }
    }

    /// The name, where it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Dim::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Distributions and totals of one metric, by the dimensions asked for, in the order of the dimensions' values.
pub(super) type Groups = BTreeMap<Vec<Dim>, Histogram>;

/// A kind of aggregate rows, and its columns of numbers.
type Numbers = (&'static str, &'static [&'static str]);

const BUCKETS: Numbers = ("hist", &["bucket_lo", "bucket_hi", "count"]);
const TOTALS: Numbers = ("metric", &["count", "sum", "min", "max"]);

/// All metrics of a recording, each by the same dimensions.
#[derive(Debug, Default)]
pub(super) struct Tally {
    metrics: HashMap<Rc<str>, Groups>,
}

impl Tally {
    /// Adds up the `hist` and `metric` rows of a recording that pass its filters, for the metrics that `wanted` names.
    ///
    /// A dimension that a metric does not have is [`Dim::None`] in its groups.
    pub(super) fn of(source: &Source, by: &[&str], wanted: impl Fn(&str) -> bool) -> Result<Tally> {
        Tally::of_kinds(source, by, wanted, &[BUCKETS, TOTALS], true)
    }

    /// The same whatever the filters by process: who was in the way need not be who is looked at.
    pub(super) fn of_all_processes(source: &Source, by: &[&str], wanted: impl Fn(&str) -> bool) -> Result<Tally> {
        Tally::of_kinds(source, by, wanted, &[BUCKETS, TOTALS], false)
    }

    /// The same without buckets: counts and sums, no percentiles, for much fewer rows.
    pub(super) fn totals_of(source: &Source, by: &[&str], wanted: impl Fn(&str) -> bool) -> Result<Tally> {
        Tally::of_kinds(source, by, wanted, &[TOTALS], true)
    }

    fn of_kinds(
        source: &Source,
        by: &[&str],
        wanted: impl Fn(&str) -> bool,
        kinds: &[Numbers],
        filtered: bool,
    ) -> Result<Tally> {
        let (mut ints, mut texts, mut places): (Vec<&str>, Vec<&str>, Vec<Place>) = Default::default();
        for column in by {
            // What a probe's own column holds, only the file knows.
            let number = is_number(column);
            places.push(match number {
                Some(true) => Place::Int(ints.len()),
                Some(false) => Place::Text(texts.len()),
                None => Place::Either(ints.len(), texts.len()),
            });
            ints.extend((number != Some(false)).then_some(*column));
            texts.extend((number != Some(true)).then_some(*column));
        }
        let mut adder = Adder { places, metrics: HashMap::new(), limit: Limit::new() };
        for (kind, own) in kinds {
            let numbers = [ints.as_slice(), own].concat();
            let names = [texts.as_slice(), &["metric"]].concat();
            let add = |row: &Row<'_>| {
                let Some(metric) = row.text(texts.len()).filter(|metric| wanted(metric)) else { return };
                let [a, b, c, d] = [0, 1, 2, 3].map(|at| row.natural(ints.len() + at));
                let is_bucket = *kind == BUCKETS.0;
                if is_bucket && !is_own(a, b) && !adder.limit.take(BUCKET_BYTES) {
                    return;
                }
                match adder.group(metric, row) {
                    Some(histogram) if is_bucket => histogram.add_bucket(a, b, c),
                    Some(histogram) => histogram.add_totals(a, b, c, d),
                    None => {}
                }
            };
            if filtered {
                source.rows(kind, &numbers, &names, add)?;
            } else {
                source.rows_of_all_processes(kind, &numbers, &names, add)?;
            }
        }
        adder.limit.check(source, "groups of metrics")?;
        let metrics = adder.metrics.into_iter().map(|(name, groups)| (name, groups.into_iter().collect())).collect();
        Ok(Tally { metrics })
    }

    /// The groups of one metric; none when no row has it.
    pub(super) fn groups(&self, metric: &str) -> impl Iterator<Item = (&[Dim], &Histogram)> {
        self.metrics.get(metric).into_iter().flatten().map(|(dims, histogram)| (dims.as_slice(), histogram))
    }

    /// One metric with all its groups together.
    pub(super) fn total(&self, metric: &str) -> Histogram {
        let mut total = Histogram::new();
        for (_, histogram) in self.groups(metric) {
            total.merge(histogram);
        }
        total
    }

    /// Whether any row has the metric.
    pub(super) fn has(&self, metric: &str) -> bool {
        self.metrics.contains_key(metric)
    }
}

/// The number of occurrences, whether the metric is a counter or a histogram.
pub(super) fn count(histogram: &Histogram) -> u64 {
    histogram.totals().map_or_else(|| histogram.count(), |totals| totals.count)
}

/// The exact sum, zero when the rows do not say.
pub(super) fn sum(histogram: &Histogram) -> u64 {
    histogram.totals().map_or(0, |totals| totals.sum)
}

/// Whether a metric has buckets.
pub(super) fn is_histogram(metric: &MetricMeta) -> bool {
    metric.kind == "histogram"
}

/// Whether a column that metrics are split by holds numbers; `None` for one that is not of the core.
fn is_number(column: &str) -> Option<bool> {
    let core = CORE.iter().find(|core| core.name == column)?;
    Some(matches!(core.ty, ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64))
}

/// Where a dimension stands in a row.
#[derive(Clone, Copy)]
enum Place {
    Int(usize),
    Text(usize),
    Either(usize, usize),
}

struct Adder {
    places: Vec<Place>,
    metrics: HashMap<Rc<str>, HashMap<Vec<Dim>, Histogram>>,
    limit: Limit,
}

impl Adder {
    /// The group of a row; `None` without room for another.
    fn group(&mut self, metric: &str, row: &Row<'_>) -> Option<&mut Histogram> {
        let limit = &mut self.limit;
        let mut dim = |place: &Place| match *place {
            Place::Int(at) => row.int(at).map_or(Dim::None, Dim::Int),
            Place::Text(at) => row.text(at).map_or(Dim::None, |text| Dim::Text(limit.name(text))),
            Place::Either(int, text) => match row.int(int) {
                Some(number) => Dim::Int(number),
                None => row.text(text).map_or(Dim::None, |text| Dim::Text(limit.name(text))),
            },
        };
        let key: Vec<Dim> = self.places.iter().map(&mut dim).collect();
        let size = GROUP_BYTES + key.len() * size_of::<Dim>();
        match self.metrics.entry(self.limit.name(metric)).or_default().entry(key) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(new) => self.limit.take(size).then(|| new.insert(Histogram::new())),
        }
    }
}

/// About what a group of a metric takes in memory with a handful of buckets.
const GROUP_BYTES: usize = 512;
/// About what a bucket takes beyond those.
const BUCKET_BYTES: usize = 64;

/// Whether a bucket is one of ebrec's own, of which a histogram can only have so many.
fn is_own(lo: u64, hi: u64) -> bool {
    bounds(bucket(lo)) == (lo, hi)
}
