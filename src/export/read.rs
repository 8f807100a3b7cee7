//! From a recording's aggregate rows to families of series, with the label sets of each metric bounded.

use std::collections::BTreeSet;
use std::collections::HashMap;

use anyhow::Context;
use anyhow::Result;

use crate::export::ExportPlan;
use crate::export::family::Family;
use crate::export::family::Metrics;
use crate::export::family::Series;
use crate::export::family::coarse;
use crate::export::names;
use crate::export::weights::Heaviest;
use crate::export::weights::Values;
use crate::export::weights::Weights;
use crate::failure::Failure;
use crate::recording::MetricMeta;
use crate::report::read::input::Source;
use crate::report::read::rows::IntColumn;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::rows::TextColumn;
use crate::units::Unit;

/// Numbers that are kept by series, time and bucket: some hundred megabytes.
const MOST_NUMBERS: usize = 3_000_000;
/// A day of seconds.
const MOST_TIMES: usize = 100_000;
/// What label sets beyond the heaviest are called.
const OTHER: &str = "other";

const NS_PER_MS: i64 = 1_000_000;

/// Reads every metric of a recording, as far as the filters let it through.
pub(super) fn metrics(source: &Source, plan: &ExportPlan) -> Result<Metrics> {
    let meta = source.meta();
    let mut reader = Reader {
        source,
        plan,
        times: BTreeSet::new(),
        families: meta.metrics.iter().map(|metric| Reading::of(metric, plan.label_pids)).collect(),
        by_name: meta.metrics.iter().enumerate().map(|(place, metric)| (metric.name.clone(), place)).collect(),
    };
    reader.weigh()?;
    let times = reader.all_times();
    let places: HashMap<i64, u32> = times.iter().enumerate().map(|(place, time)| (*time, place as u32)).collect();
    let mut numbers = 0;
    reader.add("metric", ["count", "sum"], &places, &mut numbers)?;
    reader.add("hist", ["bucket_lo", "count"], &places, &mut numbers)?;
    let host = meta.host.hostname.clone();
    let mut families: Vec<Family> =
        reader.families.into_iter().filter_map(|reading| reading.family(&host, plan.steps)).collect();
    families.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Metrics { families, times })
}

const SPILLED: &str = "can't put label sets into a temporary file";

/// One metric while it is read.
struct Reading {
    metric: MetricMeta,
    unit: Unit,
    /// The columns that are labels.
    by: Vec<String>,
    /// The heaviest label sets.
    places: HashMap<Values, usize>,
    /// Where the others are added up.
    rest: usize,
    series: Vec<(Values, Series)>,
}

impl Reading {
    fn of(metric: &MetricMeta, pids: bool) -> Reading {
        let is_pid = |column: &str| matches!(column, "pid" | "ppid" | "tid") || column.ends_with("_pid");
        Reading {
            unit: Unit::parse(&metric.unit).unwrap_or(Unit::Count),
            by: metric.by.iter().filter(|column| pids || !is_pid(column)).cloned().collect(),
            metric: metric.clone(),
            places: HashMap::new(),
            rest: usize::MAX,
            series: Vec::new(),
        }
    }

    /// Decides which label sets stay apart.
    fn rank(&mut self, Heaviest { sets, more }: Heaviest) {
        for (_, values) in sets {
            self.places.insert(values.clone(), self.series.len());
            self.series.push((values, Series::default()));
        }
        if more {
            // Some name theirs so themselves, and a series must not be there twice.
            let other = vec![OTHER.to_owned(); self.by.len()];
            self.rest = self.places.get(&other).copied().unwrap_or(self.series.len());
            if self.rest == self.series.len() {
                self.series.push((other, Series::default()));
            }
        }
    }

    /// The series that a label set counts for.
    fn series(&mut self, values: &Values) -> Option<&mut Series> {
        let place = self.places.get(values).copied().unwrap_or(self.rest);
        self.series.get_mut(place).map(|(_, series)| series)
    }

    fn family(self, host: &str, steps: u32) -> Option<Family> {
        if self.series.is_empty() {
            return None;
        }
        let bounds = (self.metric.kind == "histogram").then(|| {
            let mut bounds = BTreeSet::new();
            for bound in self.series.iter().flat_map(|(_, series)| series.buckets.keys().map(|(_, bound)| *bound)) {
                bounds.insert(bound);
                // The bound below, so that interpolation stays within the bucket.
                bounds.extend(coarse(bound, steps).0.checked_sub(1));
            }
            bounds.into_iter().collect()
        });
        let mut series = Vec::new();
        for (values, mut one) in self.series {
            let mut labels = vec![("host".to_owned(), host.to_owned())];
            let own = self.by.iter().zip(values).filter(|(_, value)| !value.is_empty());
            labels.extend(own.map(|(column, value)| (names::label(column), value)));
            labels.sort();
            labels.dedup_by(|a, b| a.0 == b.0);
            one.labels = labels;
            series.push(one);
        }
        let name = names::family(&self.metric.name, self.unit);
        Some(Family { metric: self.metric.name, name, help: self.metric.help, unit: self.unit, bounds, series })
    }
}

struct Reader<'a> {
    source: &'a Source,
    plan: &'a ExportPlan,
    times: BTreeSet<i64>,
    families: Vec<Reading>,
    by_name: HashMap<String, usize>,
}

impl Reader<'_> {
    /// The first pass: which label sets there are, and how much each holds.
    fn weigh(&mut self) -> Result<()> {
        let (mut weights, mut values) = (Weights::default(), Values::new());
        let mut failed = None;
        let by = self.by();
        let mut rows = self.source.rows("metric");
        let columns = Columns::of(&mut rows, &by, ["count", "sum"]);
        rows.each(|row| {
            let Some(time) = self.millis(row) else { return };
            self.times.insert(time);
            if self.times.len() > MOST_TIMES {
                failed.get_or_insert_with(|| self.too_much("intervals"));
                self.times.clear();
            }
            let Some((place, family)) = self.family(row.text(columns.metric)) else { return };
            columns.label_set(row, &family.by, &mut values);
            let weight = row.natural(columns.own[usize::from(family.unit != Unit::Count)]);
            if let Err(error) = weights.add(place, &values, weight) {
                failed.get_or_insert_with(|| anyhow::Error::from(error).context(SPILLED));
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let heaviest = weights.heaviest(self.families.len(), self.plan.top).with_context(|| SPILLED)?;
        for (family, heaviest) in self.families.iter_mut().zip(heaviest) {
            family.rank(heaviest);
        }
        Ok(())
    }

    /// The moments of all samples: the start of what is exported, and the ends of its intervals.
    fn all_times(&self) -> Vec<i64> {
        let start =
            self.source.meta().window.start_real_ns.saturating_add(self.source.begin_ns()).div_euclid(NS_PER_MS);
        let before = self.times.first().is_some_and(|first| start < *first).then_some(start);
        before.into_iter().chain(self.times.iter().copied()).collect()
    }

    /// A second pass: adds what the rows of a kind hold to the series.
    fn add(&mut self, kind: &str, own: [&str; 2], places: &HashMap<i64, u32>, numbers: &mut usize) -> Result<()> {
        let (steps, mut values) = (self.plan.steps, Values::new());
        let by = self.by();
        let mut rows = self.source.rows(kind);
        let columns = Columns::of(&mut rows, &by, own);
        rows.each(|row| {
            let Some(time) = self.millis(row).and_then(|time| places.get(&time)) else { return };
            let Some((_, family)) = self.family(row.text(columns.metric)) else { return };
            columns.label_set(row, &family.by, &mut values);
            let Some(series) = family.series(&values).filter(|_| *numbers <= MOST_NUMBERS) else { return };
            let [a, b] = columns.own.map(|column| row.natural(column));
            let before = series.added.len() + series.buckets.len();
            if kind == "hist" {
                // Inclusive, as `le` is.
                let bound = coarse(a, steps).1 - 1;
                let held = series.buckets.entry((*time, bound)).or_default();
                *held = held.saturating_add(b);
            } else {
                let held = series.added.entry(*time).or_default();
                *held = (held.0.saturating_add(a), held.1.saturating_add(b));
            }
            *numbers += series.added.len() + series.buckets.len() - before;
        })?;
        if *numbers > MOST_NUMBERS { Err(self.too_much("numbers")) } else { Ok(()) }
    }

    /// The columns that are labels of any metric.
    fn by(&self) -> BTreeSet<String> {
        self.families.iter().flat_map(|family| &family.by).cloned().collect()
    }

    /// A metric and its place among all.
    fn family(&mut self, name: Option<&str>) -> Option<(usize, &mut Reading)> {
        let place = *self.by_name.get(name?)?;
        self.families.get_mut(place).map(|family| (place, family))
    }

    /// The moment of a row in milliseconds since the Unix epoch.
    fn millis(&self, row: &Row<'_>) -> Option<i64> {
        let start = self.source.meta().window.start_real_ns;
        row.at().map(|at| start.saturating_add(at).div_euclid(NS_PER_MS))
    }

    fn too_much(&self, what: &str) -> anyhow::Error {
        let path = self.source.recording().path().display();
        let failure = Failure::run(format!("'{path}' holds more {what} than fit into memory"));
        failure.hint("lower --top and --buckets, or narrow the export with --from and --until").into()
    }
}

/// The columns of a row of a metric.
struct Columns {
    metric: TextColumn,
    /// Those that are labels, as text and as number: asked for as what it is not, a column is null.
    labels: HashMap<String, (TextColumn, IntColumn)>,
    /// The numbers.
    own: [IntColumn; 2],
}

impl Columns {
    fn of<'a>(rows: &mut Rows<'a>, by: &'a BTreeSet<String>, own: [&'a str; 2]) -> Columns {
        let labels = by.iter().map(|name| (name.clone(), (rows.text(name), rows.int(name)))).collect();
        Columns { metric: rows.text("metric"), labels, own: own.map(|name| rows.int(name)) }
    }

    /// The values of a row's dimensions: texts, or numbers that name something.
    fn label_set(&self, row: &Row<'_>, by: &[String], values: &mut Values) {
        values.clear();
        for column in by {
            let value = self.labels.get(column).and_then(|(text, int)| {
                row.text(*text).map(str::to_owned).or_else(|| row.int(*int).map(|number| number.to_string()))
            });
            values.push(value.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::Heaviest;
    use super::MetricMeta;
    use super::Reading;

    #[test]
    fn what_is_left_over_joins_what_is_called_so_already() {
        let metric = MetricMeta { by: vec!["name".into(), "pid".into()], ..MetricMeta::default() };
        let mut reading = Reading::of(&metric, false);
        let sets = [(9, "other"), (5, "a")].map(|(weight, name)| (Reverse(weight), vec![name.to_owned()]));
        reading.rank(Heaviest { sets: sets.to_vec(), more: true });
        let sets: Vec<&str> = reading.series.iter().map(|(values, _)| values[0].as_str()).collect();
        assert_eq!((sets, reading.rest), (vec!["other", "a"], 0));
    }
}
