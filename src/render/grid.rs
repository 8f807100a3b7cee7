//! Rows or bars that a histogram is shown in: its many buckets, grouped so that no bucket is split and bars are about equally wide.

use crate::hist::Bucket;
use crate::hist::Histogram;

/// Sixteenths of a power of two nearest to 3, 2 or 1 equal parts of it on a logarithmic scale; ebrec's buckets end there too.
const PARTS: [&[u128]; 3] = [&[16, 20, 25], &[16, 23], &[16]];

/// Powers of two per row, when even one is too fine.
const GROUPS: [u32; 4] = [2, 4, 8, 16];

/// Display rows by rising value.
pub(super) struct Grid {
    /// Bounds: row `i` is `[edges[i], edges[i + 1])`.
    pub(super) edges: Vec<u64>,
    /// Whether all rows are equally wide, so that a linear axis suits.
    pub(super) linear: bool,
}

impl Grid {
    /// Chooses at most `most` rows for all of `series`, no finer than powers of two if so asked; `None` when they hold nothing.
    pub(super) fn new<'a>(series: impl Iterator<Item = &'a Histogram>, most: usize, powers: bool) -> Option<Grid> {
        let mut buckets: Vec<Bucket> = series.flat_map(Histogram::buckets).collect();
        buckets.sort_by_key(|b| (b.lo, b.hi));
        let (lo, hi) = (buckets.first()?.lo, buckets.iter().map(|b| b.hi).max()?);
        let most = most.max(8);
        let linear = linear(&buckets, lo, hi, most).map(|edges| Grid { edges, linear: true });
        linear.or_else(|| {
            let parts = PARTS.iter().skip(if powers { PARTS.len() - 1 } else { 0 }).map(|parts| Level::Parts(parts));
            let levels = parts.chain(GROUPS.iter().map(|powers| Level::Powers(*powers)));
            let edges = levels
                .filter_map(|level| walk(level, lo, hi, most))
                .find(|edges| !splits(edges, &buckets))
                .unwrap_or_else(|| own(&buckets, hi, most));
            Some(Grid { edges, linear: false })
        })
    }

    /// Returns the row that holds `value`.
    pub(super) fn row(&self, value: f64) -> usize {
        let after = self.edges.partition_point(|edge| (*edge as f64) <= value);
        after.saturating_sub(1).min(self.rows().saturating_sub(1))
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// Returns the bounds of each row.
    pub(super) fn bounds(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.edges.iter().copied().zip(self.edges.iter().copied().skip(1))
    }

    /// Returns how many values of `histogram` fall into each row.
    pub(super) fn counts(&self, histogram: &Histogram) -> Vec<u64> {
        let mut counts = vec![0u64; self.rows()];
        for bucket in histogram.buckets() {
            let after = self.edges.partition_point(|edge| *edge <= bucket.lo);
            if let Some(count) = counts.get_mut(after.saturating_sub(1)) {
                *count = count.saturating_add(bucket.count);
            }
        }
        counts
    }
}

#[derive(Clone, Copy)]
enum Level {
    Parts(&'static [u128]),
    Powers(u32),
}

impl Level {
    /// The edges within the power of two (or group of them) that holds `value`, and the first edge beyond.
    fn edges(self, value: u64) -> Vec<u128> {
        let power = value.max(1).ilog2();
        let (mut edges, end) = match self {
            Level::Parts(parts) => {
                (parts.iter().map(|p| (p << power).div_ceil(16)).collect::<Vec<u128>>(), 1u128 << (power + 1))
            }
            Level::Powers(n) => (vec![1u128 << (power - power % n)], 1u128 << (power - power % n + n)),
        };
        if value == 0 {
            edges = vec![0];
        }
        edges.push(if value == 0 { 1 } else { end });
        edges.dedup();
        edges
    }
}

/// Edges from the row of `lo` to the end of the row of `hi - 1`, unless they are more than `most` rows.
fn walk(level: Level, lo: u64, hi: u64, most: usize) -> Option<Vec<u64>> {
    let mut edges: Vec<u64> = Vec::new();
    let mut at = lo;
    loop {
        let near = level.edges(at);
        if edges.is_empty() {
            let first = near.iter().rev().find(|e| **e <= u128::from(lo)).copied().unwrap_or(0);
            edges.push(u64::try_from(first).ok()?);
        }
        let next = near.into_iter().find(|e| *e > u128::from(at))?;
        at = u64::try_from(next).unwrap_or(u64::MAX);
        edges.push(at);
        if at >= hi {
            return Some(edges);
        }
        if edges.len() > most {
            return None;
        }
    }
}

/// Equal rows as wide as the widest bucket, where that is few enough.
fn linear(buckets: &[Bucket], lo: u64, hi: u64, most: usize) -> Option<Vec<u64>> {
    let step = buckets.iter().map(|b| b.hi - b.lo).max()?;
    let lo = lo - lo % step;
    let rows = (hi - lo).div_ceil(step);
    lo.checked_add(rows.checked_mul(step)?)?;
    // Over a wide range a logarithmic scale shows more. The buckets at the far end of the numbers are cut short.
    let narrow = step == 1 || hi / 5 <= lo;
    if !narrow || rows > most as u64 || hi == u64::MAX {
        return None;
    }
    let edges: Vec<u64> = (0..=rows).map(|i| lo + i * step).collect();
    (!splits(&edges, buckets)).then_some(edges)
}

/// Whether an edge lies within a bucket.
fn splits(edges: &[u64], buckets: &[Bucket]) -> bool {
    buckets.iter().any(|b| {
        let after = edges.partition_point(|edge| *edge <= b.lo);
        edges.get(after).is_none_or(|end| *end < b.hi)
    })
}

/// Edges between the buckets themselves, for buckets of any bounds.
fn own(buckets: &[Bucket], hi: u64, most: usize) -> Vec<u64> {
    let mut edges: Vec<u64> = buckets.iter().map(|b| b.lo).collect();
    edges.dedup();
    let every = edges.len().div_ceil(most).max(1);
    let mut edges: Vec<u64> = edges.into_iter().step_by(every).collect();
    edges.push(hi);
    edges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prelude::prop;
    use proptest::prelude::prop_assert;
    use proptest::prelude::prop_assert_eq;
    use proptest::proptest;

    use super::Grid;
    use crate::hist::Histogram;

    fn edges(values: impl IntoIterator<Item = u64>, most: usize) -> Vec<u64> {
        let mut histogram = Histogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        Grid::new([&histogram].into_iter(), most, false).map(|g| g.edges).unwrap_or_default()
    }

    #[test]
    fn a_wide_range_has_a_row_per_power_of_two_and_a_narrow_one_more() {
        assert_eq!(
            edges([40, 5000, 70_000], 12),
            [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131_072]
        );
        assert_eq!(edges([1024, 10_000], 8), [1024, 1472, 2048, 2944, 4096, 5888, 8192, 11776]);
        assert_eq!(edges([1024, 10_000], 24), [1024, 1280, 1600, 2048, 2560, 3200, 4096, 5120, 6400, 8192, 10240]);
        assert_eq!(edges([1000, 1200, 1290], 24), [960, 1024, 1088, 1152, 1216, 1280, 1344]);
        assert_eq!(edges([0, 3], 24), [0, 1, 2, 3, 4]);
        assert!(edges([], 24).is_empty());
    }

    #[test]
    fn buckets_that_reach_the_last_number_have_rows_too() {
        let mut histogram = Histogram::new();
        histogram.add_bucket(u64::MAX - 9, u64::MAX - 1, 1);
        histogram.add_bucket(u64::MAX, u64::MAX, 1);
        let grid = Grid::new([&histogram].into_iter(), 24, false);
        assert_eq!(grid.map(|g| g.counts(&histogram).iter().sum()), Some(2));
    }

    proptest! {
        #[test]
        fn the_rows_hold_every_value_once_and_are_few(
            values in prop::collection::vec((any::<u64>(), 0u32..64), 1..100), most in 8usize..130, powers: bool,
        ) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|(value, shift)| histogram.record(value >> shift));
            let grid = Grid::new([&histogram].into_iter(), most, powers);
            prop_assert!(grid.is_some());
            if let Some(grid) = grid {
                prop_assert_eq!(grid.counts(&histogram).iter().sum::<u64>(), histogram.count());
                prop_assert!(grid.rows() <= most && grid.bounds().all(|(lo, hi)| lo < hi));
                for (value, shift) in &values {
                    let (row, value) = (grid.row((value >> shift) as f64), (value >> shift) as f64);
                    let bounds = grid.bounds().nth(row).unwrap_or_default();
                    prop_assert!(bounds.0 as f64 <= value && value <= bounds.1 as f64);
                }
            }
        }

        #[test]
        fn buckets_of_any_bounds_are_counted(buckets in prop::collection::vec((any::<u64>(), any::<u64>(), 0u64..1000), 1..50), most in 8usize..130) {
            let mut histogram = Histogram::new();
            buckets.iter().for_each(|(lo, wide, count)| histogram.add_bucket(*lo, lo.saturating_add(*wide), *count));
            if let Some(grid) = Grid::new([&histogram].into_iter(), most, false) {
                prop_assert_eq!(grid.counts(&histogram).iter().sum::<u64>(), histogram.count());
                prop_assert!(grid.rows() <= most);
            }
        }
    }
}
