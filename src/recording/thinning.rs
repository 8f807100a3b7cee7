//! Which rows stay where one in a power of two is kept, by kind.

use std::collections::BTreeMap;

/// How rows are thinned.
#[derive(Debug)]
pub(super) struct Thinning {
    /// One in 2^shift rows of a kind is kept.
    pub(super) shifts: BTreeMap<String, u32>,
    random: u64,
}

impl Thinning {
    pub(super) fn new(seed: u64) -> Thinning {
        Thinning { shifts: BTreeMap::new(), random: seed }
    }

    /// Sebastiano Vigna, SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn draw(&mut self, shift: u32, rows: usize) -> Vec<bool> {
        let below = (1u64 << shift.min(63)) - 1;
        (0..rows).map(|_| self.next() & below == 0).collect()
    }

    /// Which of so many new rows of a kind are kept; `None`: all.
    pub(super) fn drawn(&mut self, kind: &str, rows: usize) -> Option<Vec<bool>> {
        let shift = self.shifts.get(kind).copied()?;
        Some(self.draw(shift, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::Thinning;

    #[test]
    fn one_in_a_power_of_two_rows_is_drawn_by_chance() {
        let mut thinning = Thinning::new(7);
        assert_eq!(thinning.drawn("slice", 10), None);
        thinning.shifts.insert("slice".to_owned(), 3);
        let drawn = thinning.drawn("slice", 80_000).unwrap();
        let taken = drawn.iter().filter(|taken| **taken).count();
        // Four standard deviations: sqrt(80,000 * 1/8 * 7/8) is 94.
        assert!(taken.abs_diff(10_000) < 4 * 94, "{taken}");
        let in_step = drawn.iter().step_by(8).filter(|taken| **taken).count();
        assert!(in_step.abs_diff(1_250) < 4 * 33, "{in_step}");
    }
}
