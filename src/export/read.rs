//! From a recording's aggregate rows to families of series, with the label sets of each metric bounded.

use std::collections::BTreeMap;
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
use crate::export::own;
use crate::export::own::Own;
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
    let mut families: Vec<Reading> = meta.metrics.iter().map(|metric| Reading::of(metric, plan.label_pids)).collect();
    let by_name: HashMap<String, usize> =
        meta.metrics.iter().enumerate().map(|(place, metric)| (metric.name.clone(), place)).collect();
    let of_probes = families.len();
    let mut own = Vec::new();
    for one in own::ALL.iter().filter(|one| !by_name.contains_key(one.name)) {
        own.push((families.len(), one));
        families.push(Reading { labels: one.labels(), ..Reading::of(&one.meta(), true) });
    }
    let mut reader = Reader { source, plan, ends: BTreeMap::new(), families, by_name };
    reader.weigh(&own)?;
    // Without a metric of a probe, the filters leave nothing.
    if reader.families.iter().take(of_probes).all(|reading| reading.series.is_empty()) {
        return Ok(Metrics::default());
    }
    let times = reader.all_times();
    let places: HashMap<i64, u32> = times.iter().enumerate().map(|(place, time)| (*time, place as u32)).collect();
    let mut numbers = 0;
    reader.add("metric", ["count", "sum"], &places, &mut numbers)?;
    reader.add("hist", ["bucket_lo", "count"], &places, &mut numbers)?;
    reader.add_own(&own, &places, &mut numbers)?;
    reader.add_lengths(&places)?;
    let host = source.label().to_owned();
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
    /// The names of these labels.
    labels: Vec<String>,
    /// The heaviest label sets.
    places: HashMap<Values, usize>,
    /// Where the others are added up.
    rest: usize,
    series: Vec<(Values, Series)>,
}

impl Reading {
    fn of(metric: &MetricMeta, pids: bool) -> Reading {
        let is_pid = |column: &str| matches!(column, "pid" | "ppid" | "tid") || column.ends_with("_pid");
        let by: Vec<String> = metric.by.iter().filter(|column| pids || !is_pid(column)).cloned().collect();
        Reading {
            unit: Unit::parse(&metric.unit).unwrap_or(Unit::Count),
            labels: by.iter().map(|column| names::label(column)).collect(),
            by,
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
            labels.extend(self.labels.iter().cloned().zip(values).filter(|(_, value)| !value.is_empty()));
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
    /// The ends of intervals in milliseconds since the Unix epoch, and in nanoseconds since the window's start.
    ends: BTreeMap<i64, i64>,
    families: Vec<Reading>,
    by_name: HashMap<String, usize>,
}

impl Reader<'_> {
    /// The first pass: which label sets there are, and how much each holds.
    fn weigh(&mut self, own: &[(usize, &Own)]) -> Result<()> {
        let (mut weights, mut values) = (Weights::default(), Values::new());
        let mut failed = None;
        let by = self.by();
        let mut rows = self.source.rows("metric");
        let columns = Columns::of(&mut rows, &by, ["count", "sum"]);
        rows.each(|row| {
            if !self.end(row) {
                failed.get_or_insert_with(|| self.too_much("intervals"));
            }
            let Some((place, family)) = self.family(row.text(columns.metric)) else { return };
            columns.labels.label_set(row, family.by.iter().map(String::as_str), &mut values);
            let weight = row.natural(columns.own[usize::from(family.unit != Unit::Count)]);
            if let Err(error) = weights.add(place, &values, weight) {
                failed.get_or_insert_with(|| anyhow::Error::from(error).context(SPILLED));
            }
        })?;
        for (place, one) in own {
            let mut rows = one.rows(self.source);
            let columns = OwnColumns::of(&mut rows, one);
            rows.each(|row| {
                let Some(amount) = columns.amount(row, one) else { return };
                columns.labels.label_set(row, one.by.iter().map(|(column, _)| *column), &mut values);
                if let Err(error) = weights.add(*place, &values, amount) {
                    failed.get_or_insert_with(|| anyhow::Error::from(error).context(SPILLED));
                }
            })?;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let heaviest = weights.heaviest(self.families.len(), self.plan.top).with_context(|| SPILLED)?;
        for (family, heaviest) in self.families.iter_mut().zip(heaviest) {
            family.rank(heaviest);
        }
        self.say_that_nothing_was_lost(own);
        Ok(())
    }

    /// Gives each probe that ran and lost nothing a series of zeros, so that it differs from one that did not run.
    fn say_that_nothing_was_lost(&mut self, own: &[(usize, &Own)]) {
        let Some((place, _)) = own.iter().find(|(_, one)| one.name == own::LOST) else { return };
        let Some(family) = self.families.get_mut(*place) else { return };
        for probe in self.source.meta().probes.iter().filter(|probe| probe.state.has_run()) {
            let is_named = |(values, _): &(Values, Series)| values.first() == Some(&probe.name);
            if !family.series.iter().any(is_named) {
                family.series.push((vec![probe.name.clone(), String::new()], Series::default()));
            }
        }
    }

    /// Keeps the end of a row's interval; tells whether there is room.
    fn end(&mut self, row: &Row<'_>) -> bool {
        let (Some(time), Some(at)) = (self.millis(row), row.at()) else { return true };
        let end = self.ends.entry(time).or_insert(at);
        *end = (*end).max(at);
        let has_room = self.ends.len() <= MOST_TIMES;
        if !has_room {
            self.ends.clear();
        }
        has_room
    }

    /// The moments of all samples: the start of what is exported, and the ends of its intervals.
    fn all_times(&self) -> Vec<i64> {
        let start =
            self.source.meta().window.start_real_ns.saturating_add(self.source.begin_ns()).div_euclid(NS_PER_MS);
        let before = self.ends.first_key_value().is_some_and(|(first, _)| start < *first).then_some(start);
        before.into_iter().chain(self.ends.keys().copied()).collect()
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
            columns.labels.label_set(row, family.by.iter().map(String::as_str), &mut values);
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

    /// The same for counters that are made of other rows.
    fn add_own(&mut self, own: &[(usize, &Own)], places: &HashMap<i64, u32>, numbers: &mut usize) -> Result<()> {
        let mut values = Values::new();
        for (place, one) in own {
            let mut rows = one.rows(self.source);
            let columns = OwnColumns::of(&mut rows, one);
            rows.each(|row| {
                let Some(amount) = columns.amount(row, one) else { return };
                let Some(time) = self.place(row, places) else { return };
                columns.labels.label_set(row, one.by.iter().map(|(column, _)| *column), &mut values);
                let family = self.families.get_mut(*place);
                let series = family.and_then(|family| family.series(&values)).filter(|_| *numbers <= MOST_NUMBERS);
                let Some(series) = series else { return };
                let before = series.added.len();
                let held = series.added.entry(time).or_default();
                *held = (held.0.saturating_add(amount), held.1.saturating_add(amount));
                *numbers += series.added.len() - before;
            })?;
        }
        if *numbers > MOST_NUMBERS { Err(self.too_much("numbers")) } else { Ok(()) }
    }

    /// Adds the lengths of intervals, and of the time within them in which BPF programs were measured.
    fn add_lengths(&mut self, places: &HashMap<i64, u32>) -> Result<()> {
        let (mut recorded, mut measured) = (BTreeMap::new(), BTreeMap::new());
        let mut from = self.source.begin_ns();
        for (time, end) in &self.ends {
            let Some(place) = places.get(time) else { continue };
            recorded.insert(*place, u64::try_from(end.saturating_sub(from)).unwrap_or(0));
            from = *end;
        }
        let mut rows = self.source.rows_of_all_processes("cost");
        let op = rows.text("op");
        rows.each(|row| {
            let Some(place) = self.place(row, places) else { return };
            if row.text(op) == Some("program") {
                // Programs are measured all at once.
                let during = row.dur().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
                let longest: &mut u64 = measured.entry(place).or_default();
                *longest = during.max(*longest);
            }
        })?;
        for ((name, help), lengths) in own::LENGTHS.into_iter().zip([recorded, measured]) {
            if lengths.is_empty() || self.by_name.contains_key(name) {
                continue;
            }
            let added = lengths.into_iter().map(|(place, ns)| (place, (1, ns))).collect();
            let mut reading = Reading::of(&own::length(name, help), true);
            reading.series.push((Values::new(), Series { added, ..Series::default() }));
            self.families.push(reading);
        }
        Ok(())
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

    /// The place of the interval that a row counts for, which may end before the interval does: with a thread, say.
    fn place(&self, row: &Row<'_>, places: &HashMap<i64, u32>) -> Option<u32> {
        let time = self.millis(row)?;
        let (end, _) = self.ends.range(time..).next().or_else(|| self.ends.last_key_value())?;
        places.get(end).copied()
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
    labels: Labels,
    /// The numbers.
    own: [IntColumn; 2],
}

impl Columns {
    fn of<'a>(rows: &mut Rows<'a>, by: &'a BTreeSet<String>, own: [&'a str; 2]) -> Columns {
        let labels = Labels::of(rows, by.iter().map(String::as_str));
        Columns { metric: rows.text("metric"), labels, own: own.map(|name| rows.int(name)) }
    }
}

/// The columns of a row that a counter beside the metrics is made of.
struct OwnColumns {
    op: TextColumn,
    labels: Labels,
    amount: IntColumn,
}

impl OwnColumns {
    fn of<'a>(rows: &mut Rows<'a>, own: &'a Own) -> OwnColumns {
        let labels = Labels::of(rows, own.by.iter().map(|(column, _)| *column));
        OwnColumns { op: rows.text("op"), labels, amount: rows.int(own.amount) }
    }

    /// What a row adds, if it is one of the counter's.
    fn amount(&self, row: &Row<'_>, own: &Own) -> Option<u64> {
        (own.op.is_none() || own.op == row.text(self.op)).then(|| row.natural(self.amount))
    }
}

/// The columns that are labels, as text and as number: asked for as what it is not, a column is null.
struct Labels(HashMap<String, (TextColumn, IntColumn)>);

impl Labels {
    fn of<'a>(rows: &mut Rows<'a>, by: impl Iterator<Item = &'a str>) -> Labels {
        Labels(by.map(|name| (name.to_owned(), (rows.text(name), rows.int(name)))).collect())
    }

    /// The values of a row's dimensions: texts, or numbers that name something.
    fn label_set<'a>(&self, row: &Row<'_>, by: impl Iterator<Item = &'a str>, values: &mut Values) {
        values.clear();
        for column in by {
            let value = self.0.get(column).and_then(|(text, int)| {
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
