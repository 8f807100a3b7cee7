//! What a recording says of one metric for one set of labels, stretch by stretch, and the statistics of it.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;
use serde::Serialize;

use crate::diff::quantity::Statistic;
use crate::hist::Histogram;
use crate::units::Unit;

/// How many values a percentile has to have beyond it.
const TAIL: f64 = 5.0;

/// What a metric's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nature {
    /// What a value measures.
    pub(super) unit: Unit,
    /// What the sum of its values is.
    pub(super) sums: Sums,
    /// Whether its occurrences are counted.
    pub(super) is_counted: bool,
    /// Whether its occurrences are samples, so that a sum is as uncertain as their number.
    pub(super) is_sampled: bool,
}

impl Nature {
    /// Whether such a metric can have a statistic at all; shares and percentiles depend on its rows.
    pub(super) fn may_have(self, statistic: Statistic) -> bool {
        match statistic {
            Statistic::Time => self.sums == Sums::Time,
            Statistic::Bytes => self.sums == Sums::Bytes,
            Statistic::Length => self.sums == Sums::Length,
            Statistic::Rate => self.is_counted,
            Statistic::Share | Statistic::Percentile(_) => true,
        }
    }
}

/// What the sum of a metric's values is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// Time that somebody spent.
    Time,
    /// Bytes that were moved.
    Bytes,
    /// The length of something that happens once.
    Length,
    /// Nothing that can be compared.
    Nothing,
}

/// What a sampled item is a part of: the CPU time of its process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// By stretch, in the unit of the item's sums.
    pub(super) sums: Vec<u64>,
    /// Whether the sums are known exactly, so that samples only divide them.
    pub(super) is_exact: bool,
}

impl Whole {
    /// Those of two recordings, one behind the other, each of so many stretches; `None` where neither has any.
    pub(super) fn joined(both: [Option<&Whole>; 2], stretches: [usize; 2]) -> Option<Whole> {
        both.iter().flatten().next()?;
        let mut sums = Vec::new();
        for (own, stretches) in both.into_iter().zip(stretches) {
            let end = sums.len() + stretches;
            sums.extend(own.into_iter().flat_map(|whole| &whole.sums));
            sums.resize(end, 0);
        }
        Some(Whole { sums, is_exact: both.into_iter().flatten().all(|whole| whole.is_exact) })
    }
}

/// Sums and buckets by stretch.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) nature: Nature,
    pub(super) counts: Vec<u64>,
    pub(super) sums: Vec<u64>,
    pub(super) whole: Option<Rc<Whole>>,
    extremes: Option<(u64, u64)>,
    /// By the bounds of a bucket.
    buckets: BTreeMap<(u64, u64), Vec<u64>>,
}

/// One number with what is known of its error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) value: f64,
    /// Occurrences that it rests on, where their number limits how exact it is.
    pub(super) events: Option<f64>,
    /// Part of a whole that is known exactly, between 0 and 1; 0 where none is.
    pub(super) part: f64,
    /// Nanoseconds per second of what it is a share of.
    pub(super) whole: f64,
    /// Largest relative error of the histogram.
    pub(super) error: f64,
}

impl Measured {
    /// The relative variance that comes from the number of occurrences: that of a count of independent ones (Poisson), or of the number
    /// among samples of a known whole (binomial), which have none of it left where they are all of them.
    pub(super) fn chance(self) -> Option<f64> {
        self.events.map(|events| (1.0 - self.part).max(0.0) / events.max(1.0))
    }
}

impl Item {
    pub(super) fn new(nature: Nature, stretches: usize) -> Item {
        let zeros = vec![0; stretches];
        Item { nature, counts: zeros.clone(), sums: zeros, whole: None, extremes: None, buckets: BTreeMap::new() }
    }

    /// Adds occurrences and their sum.
    pub(super) fn add(&mut self, at: usize, count: u64, sum: u64) {
        let add = |list: &mut Vec<u64>, more: u64| {
            if let Some(own) = list.get_mut(at) {
                *own = own.saturating_add(more);
            }
        };
        add(&mut self.counts, count);
        add(&mut self.sums, sum);
    }

    /// Says between which values all of them are.
    pub(super) fn add_extremes(&mut self, min: u64, max: u64) {
        let (low, high) = self.extremes.unwrap_or((u64::MAX, 0));
        self.extremes = Some((low.min(min), high.max(max)));
    }

    /// Adds to a bucket, and says whether it is new.
    pub(super) fn add_bucket(&mut self, at: usize, bounds: (u64, u64), count: u64) -> bool {
        let stretches = self.counts.len();
        let mut is_new = false;
        let bucket = self.buckets.entry(bounds).or_insert_with(|| {
            is_new = true;
            vec![0; stretches]
        });
        if let Some(own) = bucket.get_mut(at) {
            *own = own.saturating_add(count);
        }
        is_new
    }

    /// Multiplies the sums.
    pub(super) fn scale(&mut self, by: f64) {
        self.sums.iter_mut().for_each(|sum| *sum = (*sum as f64 * by) as u64);
    }

    /// Puts the stretches of another recording behind its own.
    pub(super) fn append(&mut self, before: usize, other: Option<&Item>, stretches: usize) {
        let resized = |list: &mut Vec<u64>, more: Option<&Vec<u64>>| {
            list.resize(before, 0);
            list.extend(more.into_iter().flatten());
            list.resize(before + stretches, 0);
        };
        resized(&mut self.counts, other.map(|other| &other.counts));
        resized(&mut self.sums, other.map(|other| &other.sums));
        let whole =
            Whole::joined([self.whole.as_deref(), other.and_then(|other| other.whole.as_deref())], [before, stretches]);
        self.whole = whole.map(Rc::new);
        if let Some(other) = other {
            for bounds in other.buckets.keys() {
                self.buckets.entry(*bounds).or_default();
            }
            if let Some((min, max)) = other.extremes {
                self.add_extremes(min, max);
            }
        }
        for (bounds, list) in &mut self.buckets {
            resized(list, other.and_then(|other| other.buckets.get(bounds)));
        }
    }

    /// The statistics that describe it.
    pub(super) fn statistics(&self) -> Vec<Statistic> {
        let sums = [Statistic::Time, Statistic::Bytes, Statistic::Length];
        let mut all: Vec<Statistic> = sums.into_iter().filter(|sum| self.nature.may_have(*sum)).collect();
        if self.whole.is_some() {
            all.push(Statistic::Share);
        }
        if self.nature.may_have(Statistic::Rate) {
            all.push(Statistic::Rate);
        }
        if !self.buckets.is_empty() {
            all.extend(Statistic::PERCENTILES);
        }
        all
    }

    /// A statistic over the whole window; `None` for one that it does not have, and for a percentile that too few values are beyond.
    pub(super) fn measure(&self, statistic: Statistic, seconds: f64) -> Option<Measured> {
        if !self.statistics().contains(&statistic) {
            return None;
        }
        let (count, sum) = (total(&self.counts), total(&self.sums));
        let per_second = |amount: f64| amount / seconds.max(1e-9);
        let whole = self.whole.as_ref().map(|whole| total(&whole.sums)).filter(|whole| *whole > 0.0);
        let part = whole.map_or(0.0, |whole| (sum / whole).min(1.0));
        let none = Measured::default();
        match statistic {
            Statistic::Time | Statistic::Bytes => {
                let is_exact = self.whole.as_ref().is_some_and(|whole| whole.is_exact);
                let events = self.nature.is_sampled.then_some(count);
                Some(Measured { value: per_second(sum), events, part: if is_exact { part } else { 0.0 }, ..none })
            }
            Statistic::Share => {
                let whole = per_second(whole?);
                Some(Measured { value: 100.0 * part, events: Some(count), part, whole, ..none })
            }
            Statistic::Rate => Some(Measured { value: per_second(count), events: Some(count), ..none }),
            Statistic::Length => Some(Measured { value: sum, ..none }),
            Statistic::Percentile(_) => {
                let histogram = self.histogram();
                let q = statistic.percentile()?;
                let beyond = histogram.count() as f64 * q.min(1.0 - q);
                let value = histogram.percentile(q).filter(|_| beyond >= TAIL)?;
                // Small values have a bucket each.
                let error = if value < 32.0 { 0.0 } else { histogram.error() };
                Some(Measured { value, events: Some(beyond), error, ..none })
            }
        }
    }

    /// All stretches together, as the report's views add them up.
    fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::new();
        for ((lo, hi), counts) in &self.buckets {
            histogram.add_bucket(*lo, *hi, counts.iter().fold(0, |sum, count| sum.saturating_add(*count)));
        }
        if let Some((min, max)) = self.extremes {
            histogram.add_totals(histogram.count(), 0, min, max);
        }
        histogram
    }

    /// A statistic of a sample of its stretches, each with how often it was drawn.
    pub(super) fn resampled(&self, statistic: Statistic, seconds: &[f64], drawn: &[u32]) -> Option<f64> {
        let weighed =
            |list: &[u64]| list.iter().zip(drawn).map(|(own, drawn)| *own as f64 * f64::from(*drawn)).sum::<f64>();
        let length: f64 = seconds.iter().zip(drawn).map(|(own, drawn)| own * f64::from(*drawn)).sum();
        match statistic {
            Statistic::Time | Statistic::Bytes => Some(weighed(&self.sums) / length.max(1e-9)),
            Statistic::Rate => Some(weighed(&self.counts) / length.max(1e-9)),
            Statistic::Share => {
                let whole = weighed(&self.whole.as_ref()?.sums);
                Some(if whole > 0.0 { 100.0 * weighed(&self.sums) / whole } else { 0.0 })
            }
            Statistic::Length => None,
            Statistic::Percentile(_) => {
                let counts: Vec<((u64, u64), f64)> =
                    self.buckets.iter().map(|(at, list)| (*at, weighed(list))).collect();
                let rank = statistic.percentile()? * counts.iter().map(|(_, count)| count).sum::<f64>();
                let mut below = 0.0;
                let bucket = counts.iter().filter(|(_, count)| *count > 0.0).find(|(_, count)| {
                    below += count;
                    below >= rank
                });
                bucket.map(|((lo, hi), _)| (*lo as f64 + *hi as f64) / 2.0)
            }
        }
    }
}

fn total(list: &[u64]) -> f64 {
    list.iter().map(|own| *own as f64).sum()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::Item;
    use super::Nature;
    use super::Sums;
    use super::Whole;
    use crate::diff::quantity::Statistic;
    use crate::units::Unit;

    /// A function with so many of a hundred samples, 10 ms each, in a second.
    fn function(samples: u64, is_exact: bool) -> Item {
        let nature = Nature { unit: Unit::Nanoseconds, sums: Sums::Time, is_counted: false, is_sampled: true };
        let mut item = Item::new(nature, 1);
        item.add(0, samples, samples * 10_000_000);
        item.whole = Some(Rc::new(Whole { sums: vec![1_000_000_000], is_exact }));
        item
    }

    /// Of n samples of a known whole, a function with the part p has a relative variance of (1 - p) / (n p): the binomial distribution's.
    #[test]
    fn samples_of_a_known_whole_are_less_uncertain_the_more_of_it_they_are() {
        let chance = |samples, statistic, is_exact| {
            function(samples, is_exact).measure(statistic, 1.0).and_then(|own| own.chance()).unwrap()
        };
        for (samples, variance) in [(10, 0.9 / 10.0), (93, 0.07 / 93.0), (100, 0.0)] {
            assert!((chance(samples, Statistic::Time, true) - variance).abs() < 1e-9, "{samples}");
            assert!((chance(samples, Statistic::Share, false) - variance).abs() < 1e-9, "{samples}");
        }
        // Of what is not known otherwise, the number of samples is uncertain itself.
        assert!((chance(93, Statistic::Time, false) - 1.0 / 93.0).abs() < 1e-9);
    }

    #[test]
    fn a_share_is_of_the_whole_of_all_stretches() {
        let mut item = function(50, true);
        item.append(1, Some(&function(20, true)), 1);
        let share = item.measure(Statistic::Share, 2.0).unwrap();
        assert!((share.value - 35.0).abs() < 1e-9 && (share.whole - 1e9).abs() < 1.0, "{share:?}");
        assert_eq!(item.resampled(Statistic::Share, &[1.0, 1.0], &[0, 2]), Some(20.0));
    }
}
