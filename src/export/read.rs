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
use crate::recording::Chunk;
use crate::recording::MetricMeta;
use crate::recording::Recording;
use crate::units::Unit;

/// Numbers that are kept by series, time and bucket: some hundred megabytes.
const MOST_NUMBERS: usize = 3_000_000;
/// A day of seconds.
const MOST_TIMES: usize = 100_000;
/// What label sets beyond the heaviest are called.
const OTHER: &str = "other";

const NS_PER_MS: i64 = 1_000_000;

/// Reads every metric of a recording.
pub(super) fn metrics(recording: &Recording, plan: &ExportPlan) -> Result<Metrics> {
    let meta = recording.meta();
    let mut reader = Reader {
        recording,
        plan,
        times: BTreeSet::new(),
        families: meta.metrics.iter().map(|metric| Reading::of(metric, plan.pids)).collect(),
        by_name: meta.metrics.iter().enumerate().map(|(place, metric)| (metric.name.clone(), place)).collect(),
    };
    reader.weigh()?;
    let times = reader.all_times();
    let places: HashMap<i64, u32> = times.iter().enumerate().map(|(place, time)| (*time, place as u32)).collect();
    let mut numbers = 0;
    reader.add("metric", &["count", "sum"], &places, &mut numbers)?;
    reader.add("hist", &["bucket_lo", "count"], &places, &mut numbers)?;
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
                // The bound below, so that whoever interpolates does so within the bucket.
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
        Some(Family { name, help: self.metric.help, unit: self.unit, bounds, series })
    }
}

struct Reader<'a> {
    recording: &'a Recording,
    plan: &'a ExportPlan,
    times: BTreeSet<i64>,
    families: Vec<Reading>,
    by_name: HashMap<String, usize>,
}

impl Reader<'_> {
    /// The first pass: which label sets there are, and how much each holds.
    fn weigh(&mut self) -> Result<()> {
        let (columns, by) = self.columns(&["count", "sum"]);
        let (mut weights, mut values) = (Weights::default(), Values::new());
        for chunk in self.recording.scan("metric", &refs(&columns)).with_context(|| self.failed("metric"))? {
            let chunk = chunk.with_context(|| self.failed("metric"))?;
            let own = columns.len() - 2;
            for row in 0..chunk.len() {
                let Some(time) = millis(&chunk, row) else { continue };
                self.times.insert(time);
                if self.times.len() > MOST_TIMES {
                    return Err(self.too_much("intervals"));
                }
                let Some(place) = chunk.text(2).get(row).and_then(|name| self.by_name.get(name)) else { continue };
                let Some(family) = self.families.get_mut(*place) else { continue };
                label_set(&chunk, row, &family.by, &by, &mut values);
                let part = if family.unit == Unit::Count { own } else { own + 1 };
                let weight = natural(&chunk, part, row);
                weights.add(*place, &values, weight).with_context(|| SPILLED)?;
            }
        }
        let heaviest = weights.heaviest(self.families.len(), self.plan.top).with_context(|| SPILLED)?;
        for (family, heaviest) in self.families.iter_mut().zip(heaviest) {
            family.rank(heaviest);
        }
        Ok(())
    }

    /// The moments of all samples: the window's start and the ends of its intervals.
    fn all_times(&self) -> Vec<i64> {
        let start = self.recording.meta().window.start_real_ns.div_euclid(NS_PER_MS);
        let before = self.times.first().is_some_and(|first| start < *first).then_some(start);
        before.into_iter().chain(self.times.iter().copied()).collect()
    }

    /// A second pass: adds what the rows of a kind hold to the series.
    fn add(&mut self, kind: &str, own: &[&str; 2], places: &HashMap<i64, u32>, numbers: &mut usize) -> Result<()> {
        let (columns, by) = self.columns(own);
        let mut values = Values::new();
        for chunk in self.recording.scan(kind, &refs(&columns)).with_context(|| self.failed(kind))? {
            let chunk = chunk.with_context(|| self.failed(kind))?;
            let first = columns.len() - 2;
            for row in 0..chunk.len() {
                let Some(time) = millis(&chunk, row).and_then(|time| places.get(&time)) else { continue };
                let Some(place) = chunk.text(2).get(row).and_then(|name| self.by_name.get(name)) else { continue };
                let Some(family) = self.families.get_mut(*place) else { continue };
                label_set(&chunk, row, &family.by, &by, &mut values);
                let Some(series) = family.series(&values) else { continue };
                let (a, b) = (natural(&chunk, first, row), natural(&chunk, first + 1, row));
                let before = series.added.len() + series.buckets.len();
                if kind == "hist" {
                    // Inclusive, as `le` is.
                    let bound = coarse(a, self.plan.steps).1 - 1;
                    let held = series.buckets.entry((*time, bound)).or_default();
                    *held = held.saturating_add(b);
                } else {
                    let held = series.added.entry(*time).or_default();
                    *held = (held.0.saturating_add(a), held.1.saturating_add(b));
                }
                *numbers += series.added.len() + series.buckets.len() - before;
                if *numbers > MOST_NUMBERS {
                    return Err(self.too_much("numbers"));
                }
            }
        }
        Ok(())
    }

    /// The columns to read, `own` last, and the place of each dimension among them.
    fn columns(&self, own: &[&str; 2]) -> (Vec<String>, HashMap<String, usize>) {
        let mut columns = vec!["ts".to_owned(), "ts_sub_ns".to_owned(), "metric".to_owned()];
        let by: BTreeSet<&String> = self.families.iter().flat_map(|family| &family.by).collect();
        let mut places = HashMap::new();
        for column in by {
            places.insert(column.clone(), columns.len());
            columns.push(column.clone());
        }
        columns.extend(own.iter().map(|name| (*name).to_owned()));
        (columns, places)
    }

    fn failed(&self, kind: &str) -> String {
        format!("can't read the rows of kind '{kind}' in '{}'", self.recording.path().display())
    }

    fn too_much(&self, what: &str) -> anyhow::Error {
        let path = self.recording.path().display();
        let failure = Failure::run(format!("'{path}' holds more {what} than fit into memory"));
        failure.hint("fewer fit with a lower --top and --buckets").into()
    }
}

fn refs(columns: &[String]) -> Vec<&str> {
    columns.iter().map(String::as_str).collect()
}

/// The moment of a row in milliseconds since the Unix epoch.
fn millis(chunk: &Chunk, row: usize) -> Option<i64> {
    chunk.times(0, 1).get(row).map(|ns| ns.div_euclid(NS_PER_MS))
}

fn natural(chunk: &Chunk, column: usize, row: usize) -> u64 {
    chunk.int(column).get(row).and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
}

/// The values of a row's dimensions: texts, or numbers that name something.
fn label_set(chunk: &Chunk, row: usize, by: &[String], places: &HashMap<String, usize>, values: &mut Values) {
    values.clear();
    for column in by {
        let place = places.get(column).copied().unwrap_or(usize::MAX);
        let text = chunk.text(place).get(row).map(str::to_owned);
        values.push(text.or_else(|| chunk.int(place).get(row).map(|n| n.to_string())).unwrap_or_default());
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
