//! The exact permutation test over many quantities at once.
//!
//! If nothing changed, which recordings are called `before` is arbitrary: every other arrangement of the labels could have come out as
//! well. With five a side there are 252 arrangements, so no single quantity can be rarer than 2 in 252, which does not survive a correction
//! for hundreds of quantities. But the same arrangements are applied to all quantities together, so differences of all of them may be
//! counted: how often, over all arrangements, any quantity of the family has as large a statistic as this one. That count over quantities and
//! arrangements is the chance that goes into Benjamini and Hochberg's procedure (Tusher, Tibshirani and Chu, 2001). Its first step then asks that
//! no more than a share of the arrangements has a larger maximum, which is Westfall and Young's exact test of the maximum, so that the
//! dependence between quantities and the shape of their distributions don't matter.

use crate::diff::statistics::Difference;
use crate::diff::statistics::FALSE_DISCOVERY;
use crate::diff::statistics::Family;
use crate::diff::statistics::Sample;
use crate::diff::statistics::welch;

/// Most arrangements that are gone through.
const MOST: usize = 4_000;
/// Most statistics that are held for a comparison: 16 MiB.
const MOST_STATISTICS: usize = 4 << 20;

/// All ways to call some of the recordings `before`, each a bit set; the first is the one that came out.
#[derive(Clone, Debug)]
pub(in crate::diff) struct Arrangements {
    sets: Vec<u32>,
    before: usize,
    after: usize,
}

impl Arrangements {
    /// `None` where there are too few to be sure of anything, or too many.
    pub(in crate::diff) fn of(before: usize, after: usize) -> Option<Arrangements> {
        let all = u32::try_from(before + after).ok().filter(|all| *all <= 16)?;
        let before_bits = u32::try_from(before).ok()?;
        let mut sets: Vec<u32> = (0u32..1 << all).filter(|set| set.count_ones() == before_bits).collect();
        // The mirrored arrangement is as extreme, where there is one.
        let least = if before == after { 2.0 } else { 1.0 };
        let strictest = Family::ALL.map(Family::share).into_iter().fold(1.0, f64::min) * FALSE_DISCOVERY;
        let enough = least / sets.len() as f64 <= strictest;
        // Lowest bits first: the recordings before.
        sets.sort_unstable();
        (enough && sets.len() <= MOST).then_some(Arrangements { sets, before, after })
    }

    /// How many there are.
    pub(in crate::diff) fn len(&self) -> usize {
        self.sets.len()
    }

    /// The difference of a quantity, with its own exact chance.
    pub(in crate::diff) fn difference(&self, sample: &Sample) -> Difference {
        let all = self.statistics(sample);
        let own = all.first().copied().unwrap_or(0.0);
        let as_large = all.iter().filter(|other| is_as_large(**other, own)).count();
        Difference { p: as_large as f64 / self.len() as f64, ..welch(sample) }
    }

    /// Whether the statistics of so many quantities can be held.
    pub(in crate::diff) fn fit(&self, quantities: usize) -> bool {
        quantities.saturating_mul(self.len()) <= MOST_STATISTICS
    }

    /// The chance of each quantity's statistic among those of all quantities and arrangements.
    pub(in crate::diff) fn pooled(&self, samples: &[Sample]) -> Vec<f64> {
        let mut pool = Vec::with_capacity(samples.len() * self.len());
        let mut own = Vec::with_capacity(samples.len());
        for sample in samples {
            let all = self.statistics(sample);
            own.push(all.first().copied().unwrap_or(0.0));
            pool.extend(all);
        }
        pool.sort_unstable_by(f32::total_cmp);
        let chance = |own: &f32| {
            let smaller = pool.partition_point(|other| !is_as_large(*other, *own));
            (pool.len() - smaller) as f64 / pool.len() as f64
        };
        own.iter().map(chance).collect()
    }

    /// The statistic of every arrangement: the difference of the means over its standard error, with one variance for both sides.
    fn statistics(&self, sample: &Sample) -> Vec<f32> {
        let values: Vec<f64> = sample.before.iter().chain(&sample.after).copied().collect();
        let (before, after) = (self.before as f64, self.after as f64);
        let (sum, squares) =
            values.iter().fold((0.0, 0.0), |(sum, squares), value| (sum + value, squares + value * value));
        let center = sum / values.len() as f64;
        let spread = squares - center * sum;
        let statistic = |set: &u32| {
            let own = values.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
            let mean_before = own.map(|(_, value)| value - center).sum::<f64>() / before;
            let mean_after = -mean_before * before / after;
            // What is left of the spread within the sides.
            let within = spread - before * mean_before * mean_before - after * mean_after * mean_after;
            // The spread of these few contains what a recording has at the least.
            let variance = (within / (before + after - 2.0).max(1.0)).max(sample.floor.powi(2));
            let difference = ((mean_after - mean_before).abs() - sample.error).max(0.0);
            (difference / (variance * (1.0 / before + 1.0 / after)).sqrt().max(1e-12)) as f32
        };
        self.sets.iter().map(statistic).collect()
    }
}

/// Equal but for rounding counts as large.
fn is_as_large(other: f32, own: f32) -> bool {
    other >= own - own.abs() * 1e-5
}

#[cfg(test)]
mod tests {
    use super::Arrangements;
    use super::Sample;

    fn sample(before: &[f64], after: &[f64]) -> Sample {
        Sample { before: before.to_vec(), after: after.to_vec(), floor: 0.01, error: 0.0 }
    }

    #[test]
    fn five_a_side_have_252_arrangements_and_four_are_too_few() {
        assert_eq!(Arrangements::of(5, 5).map(|all| all.len()), Some(252));
        assert!(Arrangements::of(4, 4).is_none() && Arrangements::of(20, 20).is_none());
    }

    #[test]
    fn the_first_arrangement_is_the_one_that_came_out() {
        let all = Arrangements::of(4, 5).unwrap();
        assert_eq!(all.sets[0], 0b1111);
    }

    #[test]
    fn sides_that_do_not_overlap_are_the_rarest_arrangement_and_its_mirror() {
        let all = Arrangements::of(5, 5).unwrap();
        let apart = all.difference(&sample(&[0.0, 0.1, 0.2, 0.3, 0.4], &[1.0, 1.1, 1.2, 1.3, 1.4]));
        assert!((apart.p - 2.0 / 252.0).abs() < 1e-9 && (apart.log - 1.0).abs() < 1e-9, "{apart:?}");
        let same = all.difference(&sample(&[0.0, 0.1, 0.2, 0.3, 0.4], &[0.0, 0.1, 0.2, 0.3, 0.4]));
        assert!(same.p > 0.9, "{same:?}");
    }

    #[test]
    fn the_least_deviation_adds_nothing_to_a_larger_one() {
        let all = Arrangements::of(5, 5).unwrap();
        let statistic = |floor| {
            let values = sample(&[0.0, 0.1, 0.2, 0.3, 0.4], &[1.0, 1.1, 1.2, 1.3, 1.4]);
            all.statistics(&Sample { floor, ..values })[0]
        };
        // Student's t with one variance: a difference of 1 with deviations of 0.158.
        assert!((statistic(0.01) - 10.0).abs() < 1e-3 && (statistic(0.15) - 10.0).abs() < 1e-3, "{}", statistic(0.15));
        assert!((statistic(0.316_227_766) - 5.0).abs() < 1e-3);
    }

    #[test]
    fn a_chance_among_all_quantities_is_finer_than_that_of_one() {
        let all = Arrangements::of(5, 5).unwrap();
        let noise = |at: usize| (0..10).map(|n| ((at * 31 + n * n * 17) % 23) as f64).collect::<Vec<f64>>();
        let mut samples: Vec<Sample> = (1..100).map(|at| sample(&noise(at)[..5], &noise(at)[5..])).collect();
        samples.push(sample(&[0.0, 0.01, 0.0, 0.01, 0.0], &[1.0, 1.01, 1.0, 1.01, 1.0]));
        let chances = all.pooled(&samples);
        assert!((chances[99] - 2.0 / 25_200.0).abs() < 1e-9, "{}", chances[99]);
    }
}
