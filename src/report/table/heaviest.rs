//! The series of a picture: the heaviest by themselves, all others together.

use std::cmp::Reverse;

use crate::hist::Histogram;
use crate::report::read::aggregate::count;
use crate::units;

/// Series of one picture. Nobody tells as many apart; tables have every group.
pub(crate) const SERIES: usize = 100;

/// Named distributions, of which the heaviest stay apart.
#[derive(Debug)]
pub(crate) struct Heaviest {
    most: usize,
    held: Vec<Series>,
    others: Histogram,
    joined: u64,
    seen: u64,
}

#[derive(Debug)]
struct Series {
    /// Its place among all.
    at: u64,
    name: String,
    histogram: Histogram,
}

impl Heaviest {
    /// Starts without any; so many stay apart.
    pub(crate) fn new(most: usize) -> Heaviest {
        Heaviest { most, held: Vec::new(), others: Histogram::new(), joined: 0, seen: 0 }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, name: String, histogram: &Histogram) {
        self.held.push(Series { at: self.seen, name, histogram: histogram.clone() });
        self.seen += 1;
        if self.held.len() >= 2 * self.most.max(8) {
            self.join();
        }
    }

    fn join(&mut self) {
        self.held.sort_by_key(|series| Reverse(count(&series.histogram)));
        for series in self.held.split_off(self.most.min(self.held.len())) {
            self.others.merge(&series.histogram);
            self.joined += 1;
        }
    }

    /// Those that stay apart in the order in which they came, and the others as one.
    pub(crate) fn series(mut self) -> Vec<(String, Histogram)> {
        self.join();
        self.held.sort_by_key(|series| series.at);
        let mut all: Vec<_> = self.held.into_iter().map(|series| (series.name, series.histogram)).collect();
        if self.joined > 0 {
            all.push((format!("{} others", units::count(self.joined)), self.others));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::Heaviest;
    use crate::hist::Histogram;

    #[test]
    fn the_heaviest_stay_apart_and_nothing_is_lost() {
        let mut heaviest = Heaviest::new(2);
        for n in 0..100u64 {
            let mut histogram = Histogram::new();
            (0..n).for_each(|_| histogram.record(n));
            heaviest.add(n.to_string(), &histogram);
        }
        let series = heaviest.series();
        let counts: Vec<(&str, u64)> = series.iter().map(|(name, own)| (name.as_str(), own.count())).collect();
        assert_eq!(counts, [("98", 98), ("99", 99), ("98 others", (0..98).sum())]);
    }
}
