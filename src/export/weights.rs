//! Which label sets of each metric are the heaviest, however many there are.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;

use crate::spill::Runs;

/// A label set: a value for each dimension, empty where a row has none.
pub(super) type Values = Vec<String>;

/// About what label sets may take in memory before they go to a temporary file.
const MOST_BYTES: usize = 24 << 20;

/// How much each label set of each metric holds.
#[derive(Default)]
pub(super) struct Weights {
    held: HashMap<(usize, Values), u64>,
    held_bytes: usize,
    /// Metric, label set, weight.
    runs: Runs<(usize, Values, u64)>,
}

/// The label sets of one metric that stay apart.
#[derive(Debug, Default)]
pub(super) struct Heaviest {
    /// With their weights, the heaviest first, equal ones by their values.
    pub(super) sets: Vec<(Reverse<u64>, Values)>,
    /// Whether there are others.
    pub(super) more: bool,
}

impl Weights {
    /// Adds to a label set of a metric.
    pub(super) fn add(&mut self, metric: usize, values: &Values, weight: u64) -> io::Result<()> {
        // Looking a pair up takes one to look it up by.
        let key = (metric, values.clone());
        if let Some(known) = self.held.get_mut(&key) {
            *known = known.saturating_add(weight);
            return Ok(());
        }
        self.held_bytes += 96 + values.iter().map(|value| value.len() + 40).sum::<usize>();
        self.held.insert(key, weight);
        if self.held_bytes > MOST_BYTES {
            let sorted = self.sorted();
            self.runs.add(sorted.into_iter())?;
        }
        Ok(())
    }

    fn sorted(&mut self) -> Vec<(usize, Values, u64)> {
        self.held_bytes = 0;
        let held = std::mem::take(&mut self.held).into_iter();
        let mut sorted: Vec<_> = held.map(|((metric, values), weight)| (metric, values, weight)).collect();
        sorted.sort_unstable();
        sorted
    }

    /// The `top` heaviest of each of so many metrics.
    pub(super) fn heaviest(mut self, metrics: usize, top: usize) -> io::Result<Vec<Heaviest>> {
        let mut heaviest: Vec<Heaviest> = (0..metrics).map(|_| Heaviest::default()).collect();
        let mut keep = |(metric, values, weight): (usize, Values, u64)| {
            if let Some(heaviest) = heaviest.get_mut(metric) {
                heaviest.sets.push((Reverse(weight), values));
                if heaviest.sets.len() > top.saturating_mul(2).max(64) {
                    heaviest.cut(top);
                }
            }
        };
        let last = self.sorted();
        let mut whole: Option<(usize, Values, u64)> = None;
        for part in self.runs.merged(last)? {
            let (metric, values, weight) = part?;
            match &mut whole {
                Some(whole) if (whole.0, &whole.1) == (metric, &values) => whole.2 = whole.2.saturating_add(weight),
                whole => whole.replace((metric, values, weight)).into_iter().for_each(&mut keep),
            }
        }
        whole.into_iter().for_each(keep);
        heaviest.iter_mut().for_each(|heaviest| heaviest.cut(top));
        Ok(heaviest)
    }
}

impl Heaviest {
    fn cut(&mut self, top: usize) {
        self.sets.sort();
        self.more |= self.sets.len() > top;
        self.sets.truncate(top);
    }
}

#[cfg(test)]
mod tests {
    use super::Weights;

    #[test]
    fn the_heaviest_are_found_among_more_than_fit_into_memory() {
        let mut weights = Weights::default();
        let long = "x".repeat(2000);
        for round in 0..2 {
            for n in 0..20_000u64 {
                let values = vec![format!("{n}-{long}")];
                weights.add((n % 2) as usize, &values, if n / 2 == 7_000 { 1_000 + round } else { n % 100 }).unwrap();
            }
        }
        assert!(!weights.runs.is_empty());
        let heaviest = weights.heaviest(3, 2).unwrap();
        let names = |at: usize| {
            let sets = heaviest[at].sets.iter();
            sets.map(|(weight, values)| (weight.0, values[0].split('-').next().unwrap().to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(names(0), [(2001, "14000".to_owned()), (196, "10098".to_owned())]);
        assert_eq!(names(1), [(2001, "14001".to_owned()), (198, "10099".to_owned())]);
        assert!(heaviest[0].more && heaviest[2].sets.is_empty() && !heaviest[2].more);
    }
}
