//! What the aggregate rows say of each interval, for any metric: the same as [`crate::report::read::aggregate`], by time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::RangeInclusive;
use std::rc::Rc;

use anyhow::Result;

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::hist::Histogram;
use crate::recording::MetricMeta;
use crate::report::read::aggregate::AggregateKind;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::Row;
use crate::text::nearest;

/// About what an interval of a metric takes in memory.
const INTERVAL_BYTES: usize = 256;
/// About what a bucket takes.
const BUCKET_BYTES: usize = 64;
/// What the intervals of all metrics may take in memory.
const MOST_BYTES: usize = 24 << 20;

/// What a metric was in one interval.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interval {
    /// Its beginning, in nanoseconds since the window's start.
    pub(crate) begin_ns: i64,
    /// Its length.
    pub(crate) dur_ns: i64,
    /// The values in it.
    pub(crate) values: Histogram,
}

impl Interval {
    /// Its middle in seconds since the window's start.
    pub(crate) fn middle(&self) -> f64 {
        (self.begin_ns as f64 + self.dur_ns as f64 / 2.0) / 1e9
    }

    /// Adds the one after it.
    fn append(&mut self, next: &Interval) {
        self.dur_ns = next.begin_ns.saturating_add(next.dur_ns).saturating_sub(self.begin_ns).max(self.dur_ns);
        self.values.merge(&next.values);
    }

    /// Its length in seconds, never zero.
    pub(crate) fn seconds(&self) -> f64 {
        (self.dur_ns as f64).max(1.0) / 1e9
    }
}

/// The intervals of each metric, by rising time, without gaps.
///
/// Where they are more than fit into memory, neighbours are joined, twice as many each time.
#[derive(Debug, Default)]
pub(crate) struct Series {
    metrics: BTreeMap<Rc<str>, BTreeMap<i64, Interval>>,
    /// Length of an interval as recorded, and of one here.
    recorded: i64,
    step: i64,
    bytes: usize,
}

impl Series {
    /// Reads the rows that pass the filters, for the metrics that `wanted` names.
    pub(crate) fn of(source: &Source, wanted: impl Fn(&str) -> bool + Sync) -> Result<Series> {
        let recorded = source.meta().window.interval_ns.max(1);
        let mut series = Series { recorded, step: recorded, ..Series::default() };
        let mut limit = Limit::new();
        for kind in [AggregateKind::Buckets, AggregateKind::Totals] {
            let mut rows = source.rows(kind.name()).left_out("metric", |metric| !wanted(metric));
            let (metric, numbers) = (rows.text("metric"), kind.numbers(&mut rows));
            rows.each(|row| {
                let Some(metric) = row.text(metric) else { return };
                series.make_room(&mut limit);
                let Some(interval) = series.interval(metric, row, &mut limit) else { return };
                let before = interval.values.filled();
                numbers.add(row, &mut interval.values);
                let more = interval.values.filled() - before;
                series.bytes += more * BUCKET_BYTES;
            })?;
        }
        limit.check(source, "intervals of metrics")?;
        series.fill(source)?;
        Ok(series)
    }

    /// Joins neighbours where there are too many intervals.
    fn make_room(&mut self, limit: &mut Limit) {
        while self.bytes > MOST_BYTES {
            if self.metrics.values().all(|intervals| intervals.len() <= 1) {
                // The values of one interval alone are too many: only a made-up file has such buckets.
                limit.take(usize::MAX);
                return;
            }
            self.join();
        }
    }

    /// Joins each interval with its neighbour.
    fn join(&mut self) {
        self.step = self.step.saturating_mul(2);
        self.bytes = 0;
        for intervals in self.metrics.values_mut() {
            let mut joined: BTreeMap<i64, Interval> = BTreeMap::new();
            for (at, interval) in std::mem::take(intervals) {
                match joined.entry(at.div_euclid(2)) {
                    Entry::Vacant(new) => drop(new.insert(interval)),
                    Entry::Occupied(mut first) => first.get_mut().append(&interval),
                }
            }
            let bytes = |interval: &Interval| INTERVAL_BYTES + BUCKET_BYTES * interval.values.filled();
            self.bytes += joined.values().map(bytes).sum::<usize>();
            *intervals = joined;
        }
    }

    /// How many intervals of the recording are one here.
    pub(crate) fn joined(&self) -> i64 {
        self.step / self.recorded.max(1)
    }

    /// The interval of a row, told by its middle: probes do not end their intervals at the same nanosecond.
    fn interval(&mut self, metric: &str, row: &Row<'_>, limit: &mut Limit) -> Option<&mut Interval> {
        let (end, dur) = (row.at()?, row.dur().unwrap_or(self.recorded).max(0));
        let at = end.saturating_sub(dur / 2).div_euclid(self.step);
        let interval = match self.metrics.entry(limit.name(metric)).or_default().entry(at) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                self.bytes += INTERVAL_BYTES;
                new.insert(Interval::default())
            }
        };
        let begin = end.saturating_sub(dur);
        if interval.dur_ns > 0 {
            // Several of the recording's where those were shorter, or one of which rows differ by when their probe ended it.
            let last = end.max(interval.begin_ns.saturating_add(interval.dur_ns));
            interval.begin_ns = interval.begin_ns.min(begin);
            interval.dur_ns = last.saturating_sub(interval.begin_ns);
        } else {
            (interval.begin_ns, interval.dur_ns) = (begin, dur);
        }
        Some(interval)
    }

    /// Adds the intervals in which nothing happened, also to those of which they are a part here.
    fn fill(&mut self, source: &Source) -> Result<()> {
        let (begin, end) = (source.begin_ns(), source.end_ns());
        let count = |step: i64| end.saturating_sub(1).div_euclid(step).saturating_sub(begin.div_euclid(step));
        let most = (MOST_BYTES / INTERVAL_BYTES / self.metrics.len().max(1)) as i64;
        while count(self.step) > most {
            self.join();
        }
        let step = self.step;
        let (first, last) = (begin.div_euclid(step), end.saturating_sub(1).div_euclid(step));
        let mut known: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for (at, interval) in self.metrics.values().flatten() {
            let longest = known.entry(*at).or_default();
            if longest.1 < interval.dur_ns {
                *longest = (interval.begin_ns, interval.dur_ns);
            }
        }
        if self.joined() > 1 || source.meta().window.first_interval_ns.is_some() {
            for (at, whole) in recorded(source, step, first..=last)? {
                let known = known.entry(at).or_insert(whole);
                *known = union(*known, whole);
            }
            for (at, interval) in self.metrics.values_mut().flatten() {
                if let Some(whole) = known.get(at) {
                    (interval.begin_ns, interval.dur_ns) = union((interval.begin_ns, interval.dur_ns), *whole);
                }
            }
        }
        let with_span = |at| span(&known, at, step, begin, end).map(|span| (at, span));
        let spans: Vec<(i64, (i64, i64))> = (first..=last).filter_map(with_span).collect();
        for intervals in self.metrics.values_mut() {
            for (at, (begin_ns, dur_ns)) in spans.iter().copied() {
                intervals.entry(at).or_insert(Interval { begin_ns, dur_ns, values: Histogram::new() });
            }
            join_stub(intervals, step);
        }
        Ok(())
    }

    /// The intervals of a metric; none where it has no rows.
    pub(crate) fn intervals(&self, metric: &str) -> impl Iterator<Item = &Interval> {
        self.metrics.get(metric).into_iter().flat_map(|intervals| intervals.values())
    }

    /// Whether any row has the metric.
    pub(crate) fn has(&self, metric: &str) -> bool {
        self.metrics.contains_key(metric)
    }
}

/// What the recording's intervals cover of each step, by the row of ebrec's own CPU time that each has: beginnings and lengths.
///
/// A metric has no row in an interval without values, so that its own rows may cover less.
fn recorded(source: &Source, step: i64, steps: RangeInclusive<i64>) -> Result<BTreeMap<i64, (i64, i64)>> {
    let mut covered: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut rows = source.rows_of_all_processes("cost");
    let op = rows.text("op");
    rows.each(|row| {
        let (Some(end), Some(dur), Some("cpu")) = (row.at(), row.dur(), row.text(op)) else { return };
        let span = (end.saturating_sub(dur.max(0)), dur.max(0));
        let at = end.saturating_sub(span.1 / 2).div_euclid(step);
        if steps.contains(&at) {
            let covered = covered.entry(at).or_insert(span);
            *covered = union(*covered, span);
        }
    })?;
    Ok(covered)
}

/// The shortest span, as a beginning and a length, that holds two.
fn union(one: (i64, i64), other: (i64, i64)) -> (i64, i64) {
    let begin = one.0.min(other.0);
    let end = one.0.saturating_add(one.1).max(other.0.saturating_add(other.1));
    (begin, end.saturating_sub(begin))
}

/// Where an interval begins and how long it is: as any metric has it, else a step. None where one that was stretched goes over it,
/// and for what is left of the window after the last whole one, which may be next to nothing.
fn span(known: &BTreeMap<i64, (i64, i64)>, at: i64, step: i64, begin: i64, end: i64) -> Option<(i64, i64)> {
    if let Some(span) = known.get(&at) {
        return Some(*span);
    }
    let begin_ns = at.saturating_mul(step).max(begin);
    let dur_ns = at.saturating_add(1).saturating_mul(step).min(end).saturating_sub(begin_ns);
    let middle = begin_ns.saturating_add(dur_ns / 2);
    let stretched = |(begin, dur): &(i64, i64)| (*begin..begin.saturating_add(*dur)).contains(&middle);
    let near = known.range(..at).next_back().into_iter().chain(known.range(at..).next());
    let is_covered = near.map(|(_, span)| span).any(stretched);
    (dur_ns >= step / 2 && !is_covered).then_some((begin_ns, dur_ns))
}

/// Adds what the window has beyond its last whole interval to that one: rates in a few milliseconds are mostly chance.
fn join_stub(intervals: &mut BTreeMap<i64, Interval>, step: i64) {
    let is_stub = |interval: &Interval| interval.dur_ns < step / 2;
    if intervals.len() < 2 || !intervals.values().next_back().is_some_and(is_stub) {
        return;
    }
    let stub = intervals.pop_last().map(|(_, stub)| stub).unwrap_or_default();
    if let Some(mut last) = intervals.last_entry() {
        let last = last.get_mut();
        last.dur_ns = stub.begin_ns.saturating_add(stub.dur_ns).saturating_sub(last.begin_ns);
        last.values.merge(&stub.values);
    }
}

/// The metrics of a recording that words name, each a metric or a probe; all for no words.
pub(crate) fn chosen<'s>(source: &'s Source, words: &[String]) -> Vec<&'s MetricMeta> {
    let named = |metric: &&MetricMeta| {
        words.is_empty() || words.iter().any(|word| *word == metric.name || *word == metric.probe)
    };
    source.meta().metrics.iter().filter(named).collect()
}

/// Fails for the first word that is neither a metric nor a probe of any of the recordings.
pub(crate) fn check(sources: &[Source], words: &[String]) -> Result<(), Failure> {
    let known = |word: &String| {
        let probes = |source: &Source| source.meta().probes.iter().any(|probe| probe.name == *word);
        sources.iter().any(|source| !chosen(source, std::slice::from_ref(word)).is_empty() || probes(source))
    };
    let Some(word) = words.iter().find(|word| !known(word)) else { return Ok(()) };
    let metrics = sources.iter().flat_map(|source| source.meta().metrics.iter());
    let mut names: Vec<&str> = metrics.map(|metric| metric.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let near = nearest(word, names.iter().copied());
    Err(Failure::usage(format!("no metric '{word}' in the recording")).hint(did_you_mean(&near, &names)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::span;

    #[test]
    fn nothing_is_said_of_the_time_that_a_stretched_interval_took_from_the_next() {
        // Intervals of 100: the second was ended late, and nothing happened in the fifth.
        let known = BTreeMap::from([(0, (0, 100)), (1, (100, 190)), (3, (300, 100))]);
        let spans: Vec<_> = (0..6).filter_map(|at| span(&known, at, 100, 0, 530)).collect();
        // The last, of 30, is too short to be one.
        assert_eq!(spans, [(0, 100), (100, 190), (300, 100), (400, 100)]);
    }
}
