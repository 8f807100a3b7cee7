//! Log-linear histograms: 16 steps per power of two over all of `u64`.
//!
//! The kernel side (`bpf/shared/hist.h`) counts into the same buckets with the same arithmetic, so a bucket
//! number means the same on both sides. Up to 32 every value has a bucket of its own; above, a bucket is 1/16 to 1/32 of
//! its values wide, so its midpoint is never further than 1/32 from any of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// Steps per power of two.
const STEPS: u64 = 16;

/// Number of buckets: 32 exact ones and 16 for each of the powers 2^5 to 2^63.
pub const BUCKETS: u16 = 976;

/// Largest distance of an estimate from the value it stands for, relative to that value: half a bucket over its lower bound.
pub const ERROR: f64 = 1.0 / 32.0;

/// Returns the bucket that counts `value`.
pub fn bucket(value: u64) -> u16 {
    if value < STEPS {
        return value as u16;
    }
    let shift = value.ilog2() - STEPS.ilog2();
    // At most (59 << 4) + 31 = 975.
    ((u64::from(shift) << STEPS.ilog2()) + (value >> shift)) as u16
}

/// Returns the values `[lo, hi)` that a bucket counts.
///
/// The last bucket's `hi` would be 2^64 and is `u64::MAX` instead; buckets beyond the last are taken for the last.
pub fn bounds(bucket: u16) -> (u64, u64) {
    let bucket = u64::from(bucket.min(BUCKETS - 1));
    if bucket < 2 * STEPS {
        return (bucket, bucket + 1);
    }
    let shift = bucket / STEPS - 1;
    let lo = (bucket % STEPS + STEPS) << shift;
    (lo, lo.saturating_add(1 << shift))
}

/// Values of a bucket, `[lo, hi)`, and how many were counted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Smallest value of the bucket.
    pub lo: u64,
    /// First value beyond the bucket.
    pub hi: u64,
    /// Number of values counted.
    pub count: u64,
}

impl Bucket {
    /// Returns the middle of the whole numbers in the bucket, which estimates each of them best.
    pub fn middle(&self) -> f64 {
        (self.lo as f64 + self.hi.max(self.lo + 1) as f64 - 1.0) / 2.0
    }
}

/// Exact totals that were kept beside the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Number of values.
    pub count: u64,
    /// Sum of the values, saturating.
    pub sum: u64,
    /// Smallest value; meaningless while `count` is 0.
    pub min: u64,
    /// Largest value; meaningless while `count` is 0.
    pub max: u64,
}

/// A distribution: counts of buckets, and the exact totals where they are known.
///
/// Buckets may be of any bounds, since recordings of other tools and later formats are read too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// By (lo, hi), which orders the buckets by value.
    buckets: BTreeMap<(u64, u64), u64>,
    count: u64,
    totals: Option<Totals>,
}

impl Histogram {
    /// Returns a histogram without values.
    pub fn new() -> Histogram {
        Histogram::default()
    }

    /// Counts one value, exactly in the totals and by its bucket.
    pub fn record(&mut self, value: u64) {
        let (lo, hi) = bounds(bucket(value));
        self.add_bucket(lo, hi, 1);
        self.add_totals(1, value, value, value);
    }

    /// Adds `count` values of the bucket `[lo, hi)`; a `hi` not above `lo` means the single value `lo`.
    pub fn add_bucket(&mut self, lo: u64, hi: u64, count: u64) {
        if count == 0 {
            return;
        }
        // So that no bucket is empty, the last number of all belongs to the one below.
        let lo = lo.min(u64::MAX - 1);
        let hi = hi.max(lo + 1);
        let held = self.buckets.entry((lo, hi)).or_default();
        *held = held.saturating_add(count);
        self.count = self.count.saturating_add(count);
    }

    /// Adds exact totals of values whose buckets are added with [`Histogram::add_bucket`].
    ///
    /// A sum without a count is a part of a value that ends later, such as CPU time of a slice that goes on; it has no extremes.
    pub fn add_totals(&mut self, count: u64, sum: u64, min: u64, max: u64) {
        if count == 0 && sum == 0 {
            return;
        }
        let held = self.totals.get_or_insert(Totals { count: 0, sum: 0, min: u64::MAX, max: 0 });
        held.count = held.count.saturating_add(count);
        held.sum = held.sum.saturating_add(sum);
        if count > 0 {
            held.min = held.min.min(min);
            held.max = held.max.max(max);
        }
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Histogram) {
        for bucket in other.buckets() {
            self.add_bucket(bucket.lo, bucket.hi, bucket.count);
        }
        if let Some(t) = other.totals {
            self.add_totals(t.count, t.sum, t.min, t.max);
        }
    }

    /// Returns the buckets that hold something, by rising value.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.buckets.iter().map(|(&(lo, hi), &count)| Bucket { lo, hi, count })
    }

    /// Returns how many buckets hold something.
    pub fn filled(&self) -> usize {
        self.buckets.len()
    }

    /// Returns the number of values in the buckets.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns whether no bucket holds a value.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the exact totals as they were added, which may count more values than the buckets when a full kernel map refused some.
    pub fn totals(&self) -> Option<Totals> {
        self.totals
    }

    /// The totals, if they cover every value in the buckets.
    fn whole_totals(&self) -> Option<Totals> {
        self.totals.filter(|t| t.count >= self.count)
    }

    /// The totals, if they know the extremes of every value in the buckets.
    fn extremes(&self) -> Option<Totals> {
        self.whole_totals().filter(|t| t.count > 0)
    }

    /// Returns the sum of the values: exact where totals cover them, else estimated from the buckets.
    pub fn sum(&self) -> f64 {
        match self.whole_totals() {
            Some(t) => t.sum as f64,
            None => self.buckets().map(|b| b.middle() * b.count as f64).sum(),
        }
    }

    /// Returns the mean of the values: exact where totals cover them, else estimated from the buckets; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        let count = self.whole_totals().map_or(self.count, |t| t.count);
        (count > 0).then(|| self.sum() / count as f64)
    }

    /// Returns the smallest value: exact where totals cover the buckets, else the lowest bucket's lower bound.
    pub fn min(&self) -> Option<u64> {
        self.extremes().map(|t| t.min).or_else(|| self.buckets().next().map(|b| b.lo))
    }

    /// Returns the largest value: exact where totals cover the buckets, else the last value of the highest bucket.
    pub fn max(&self) -> Option<u64> {
        self.extremes().map(|t| t.max).or_else(|| self.buckets().map(|b| b.hi - 1).max())
    }

    /// Estimates the value at `q` (0 to 1): the nearest-rank sample's bucket, by its middle, kept within minimum and maximum.
    ///
    /// The middle, not an interpolation, because only the middle is never further than [`Histogram::error`] from the sample.
    /// Values are whole numbers, and so is the estimate: of two in the middle it is the upper one.
    /// `None` without values or when `q` is not a number.
    pub fn percentile(&self, q: f64) -> Option<f64> {
        if self.count == 0 || q.is_nan() {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut below = 0u64;
        let bucket = self.buckets().find(|b| {
            below = below.saturating_add(b.count);
            below >= rank
        })?;
        let (min, max) = (self.min()?, self.max()?);
        let middle = bucket.lo + (bucket.hi.max(bucket.lo + 1) - bucket.lo) / 2;
        Some(middle.max(min).min(max.max(min)) as f64)
    }

    /// Returns the largest relative error that a percentile of this histogram can have: 0 when every value has a bucket of its own,
    /// at most [`ERROR`] with ebrec's own buckets, more with coarser ones.
    pub fn error(&self) -> f64 {
        let widest = |b: Bucket| ((b.hi - b.lo) / 2) as f64 / (b.lo.max(1)) as f64;
        self.buckets().map(widest).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::prop;
    use proptest::prelude::prop_assert;
    use proptest::prelude::prop_assert_eq;
    use proptest::proptest;
    use proptest::strategy::Strategy;

    use super::BUCKETS;
    use super::ERROR;
    use super::Histogram;
    use super::bounds;
    use super::bucket;

    /// Values of every magnitude alike.
    fn value() -> impl Strategy<Value = u64> {
        (0u32..64, 0u64..=u64::MAX).prop_map(|(shift, bits)| bits >> shift)
    }

    fn histogram(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|v| histogram.record(*v));
        histogram
    }

    #[test]
    fn the_buckets_cover_all_numbers_without_gap_or_overlap() {
        let mut next = 0;
        for b in 0..BUCKETS {
            let (lo, hi) = bounds(b);
            assert_eq!(lo, next, "bucket {b}");
            assert_eq!(bucket(lo), b);
            assert_eq!(bucket(hi - 1), b);
            next = hi;
        }
        assert_eq!(next, u64::MAX);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(bounds(u16::MAX), bounds(BUCKETS - 1));
    }

    #[test]
    fn the_buckets_are_those_of_the_kernel_side() {
        // Worked out by hand from the formula in the module's documentation.
        let known =
            [(0, 0), (15, 15), (16, 16), (31, 31), (32, 32), (33, 32), (34, 33), (63, 47), (64, 48), (1000, 111)];
        for (value, wanted) in known {
            assert_eq!(bucket(value), wanted, "{value}");
        }
    }

    #[test]
    fn an_empty_histogram_has_no_percentiles() {
        let empty = Histogram::new();
        assert_eq!(empty.percentile(0.5), None);
        assert_eq!((empty.mean(), empty.min(), empty.max()), (None, None, None));
        assert_eq!(empty.error(), 0.0);
    }

    #[test]
    fn without_totals_mean_and_extremes_come_from_the_buckets() {
        let mut h = Histogram::new();
        h.add_bucket(10, 11, 3);
        h.add_bucket(20, 21, 1);
        assert_eq!((h.min(), h.max(), h.mean()), (Some(10), Some(20), Some(12.5)));
        // Totals of fewer values than the buckets hold are not taken for all.
        h.add_totals(1, 10, 10, 10);
        assert_eq!((h.min(), h.max(), h.mean()), (Some(10), Some(20), Some(12.5)));
    }

    #[test]
    fn values_that_no_bucket_had_room_for_still_count_for_the_mean() {
        let mut h = Histogram::new();
        h.add_bucket(10, 11, 1);
        h.add_totals(4, 100, 10, 60);
        assert_eq!((h.count(), h.mean(), h.max()), (1, Some(25.0), Some(60)));
    }

    /// A thread that spins through whole intervals ends no slice in them: CPU time without a count.
    #[test]
    fn a_sum_without_a_count_adds_to_the_sum_and_leaves_the_extremes_alone() {
        let mut h = Histogram::new();
        h.add_totals(0, 50, 0, 0);
        assert_eq!((h.sum(), h.mean(), h.min(), h.max()), (50.0, None, None, None));
        h.add_totals(2, 30, 10, 20);
        h.add_totals(0, 50, 0, 0);
        let mut merged = Histogram::new();
        merged.merge(&h);
        assert_eq!((merged.sum(), merged.min(), merged.max()), (130.0, Some(10), Some(20)));
        h.add_totals(0, 0, 0, 0);
        assert_eq!(merged, h);
    }

    #[test]
    fn numbers_that_a_file_made_up_do_no_harm() {
        let mut h = Histogram::new();
        h.add_bucket(u64::MAX, 0, u64::MAX);
        h.add_bucket(5, 5, u64::MAX);
        h.add_totals(u64::MAX, u64::MAX, 9, 3);
        h.merge(&h.clone());
        assert_eq!(h.count(), u64::MAX);
        assert!(h.percentile(0.5).is_some() && h.mean().is_some());
        assert_eq!(h.percentile(f64::NAN), None);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_the_values_that_are_counted_in_it(value in value()) {
            let (lo, hi) = bounds(bucket(value));
            prop_assert!(lo <= value && (value < hi || value == u64::MAX));
        }

        #[test]
        fn the_middle_of_a_bucket_is_within_the_error_of_every_value(value in value()) {
            let h = histogram(&[value]);
            for b in h.buckets() {
                prop_assert!((b.middle() - value as f64).abs() <= ERROR * value as f64);
            }
            prop_assert!(h.error() <= ERROR);
        }

        #[test]
        fn percentiles_rise_and_are_within_the_error_of_the_exact_samples(mut values in prop::collection::vec(value(), 1..300)) {
            let h = histogram(&values);
            values.sort_unstable();
            let mut last = 0.0;
            for step in 0..=1000u32 {
                let q = f64::from(step) / 1000.0;
                let rank = ((q * values.len() as f64).ceil() as usize).max(1);
                let exact = values[rank - 1] as f64;
                let estimate = h.percentile(q).unwrap_or(f64::NAN);
                prop_assert!((estimate - exact).abs() <= h.error() * exact * (1.0 + 1e-9), "{} of {}: {}", q, exact, estimate);
                prop_assert!(estimate >= last);
                last = estimate;
            }
            prop_assert!(last <= values[values.len() - 1] as f64);
        }

        #[test]
        fn merging_is_the_same_in_any_order_as_counting_all(
            a in prop::collection::vec(0u64..1 << 50, 0..50),
            b in prop::collection::vec(0u64..1 << 50, 0..50),
            c in prop::collection::vec(0u64..1 << 50, 0..50),
        ) {
            let all = histogram(&[a.clone(), b.clone(), c.clone()].concat());
            let (a, b, c) = (histogram(&a), histogram(&b), histogram(&c));
            let mut left = a.clone();
            left.merge(&b);
            left.merge(&c);
            let mut right = c.clone();
            right.merge(&b);
            let mut sum = right.clone();
            sum.merge(&a);
            prop_assert_eq!(&left, &all);
            prop_assert_eq!(&sum, &all);
        }
    }
}
