//! How long the intervals of aggregates are: as asked for, or such that a window has about 50 of them.
//!
//! An interval costs a walk over all threads, a grace period and a row for each key that had values, so a short window can have short ones
//! and a long window can't. None is longer than a second: what a kill costs is bounded by that, and so is what the kernel's maps have to hold.

use std::time::Duration;

use crate::record::plan::RecordPlan;

/// So many intervals make a window's shape.
const INTERVALS: u32 = 50;
/// In shorter ones, reading would cost more than a few per cent of a CPU.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// The first ones of a window whose length nobody knows: doubled four times they are the longest, so that all of them divide it.
const FIRST: Duration = Duration::from_micros(62_500);
/// After so many late ones they are longer: the machine has no time for them.
const LATE: u32 = 3;

/// The first interval's length.
pub(super) fn first(plan: &RecordPlan) -> Duration {
    match (plan.interval, plan.last.or(plan.length())) {
        (Some(asked), _) => asked,
        (None, Some(window)) => (window / INTERVALS).clamp(SHORTEST, LONGEST),
        (None, None) => FIRST,
    }
}

/// When intervals end.
///
/// They end at multiples of their length since the window's start, so that one which ended late does not shift those after it.
#[derive(Debug)]
pub(super) struct Pace {
    start_ns: u64,
    length_ns: u64,
    /// Whether the length is ebrec's to choose.
    adapts: bool,
    /// Whether it grows with the window.
    grows: bool,
    late: u32,
}

impl Pace {
    /// The pace of a recording whose window begins at `start_ns`.
    pub(super) fn new(plan: &RecordPlan, start_ns: u64) -> Pace {
        let length_ns = u64::try_from(first(plan).as_nanos()).unwrap_or(u64::MAX);
        let adapts = plan.interval.is_none();
        Pace { start_ns, length_ns, adapts, grows: adapts && plan.last.or(plan.length()).is_none(), late: 0 }
    }

    /// The length by now.
    pub(super) fn length_ns(&self) -> u64 {
        self.length_ns
    }

    /// When the interval that began at `begin_ns` is to end, in a window that ends at `end_ns`; never if it is the last one. What would
    /// be less than half of one belongs to the one before.
    pub(super) fn due(&self, begin_ns: u64, end_ns: u64) -> u64 {
        let (length, half) = (self.length_ns.max(1), self.length_ns / 2);
        let since = begin_ns.saturating_sub(self.start_ns).saturating_add(half);
        let due = since.div_ceil(length).max(1).saturating_mul(length).saturating_add(self.start_ns);
        if due.saturating_add(half) > end_ns { u64::MAX } else { due }
    }

    /// An interval ended: the next ones may be longer.
    pub(super) fn ended(&mut self, begin_ns: u64, end_ns: u64) {
        let length = self.length_ns;
        if !self.adapts || length.saturating_mul(2) > LONGEST.as_nanos() as u64 {
            return;
        }
        // Up to half longer than the rest are those that made up for the one before.
        self.late += u32::from(end_ns.saturating_sub(begin_ns) > length.saturating_mul(2));
        let since = end_ns.saturating_sub(self.start_ns);
        // To the half of one, as the end of an interval is a moment late, or early where the one before was late.
        let many = self.grows && since.saturating_add(length / 2) >= length.saturating_mul(INTERVALS.into());
        if many || self.late >= LATE {
            (self.length_ns, self.late) = (length * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;

    const MS: u64 = 1_000_000;

    fn pace(length: Duration, grows: bool) -> Pace {
        Pace { start_ns: 7, length_ns: length.as_nanos() as u64, adapts: grows, grows, late: 0 }
    }

    /// The lengths of the intervals of a window, each of which ends `late` after it was due.
    fn lengths(mut pace: Pace, window_ns: u64, late: u64) -> Vec<u64> {
        let (mut begin, end, mut lengths) = (7, 7 + window_ns, Vec::new());
        loop {
            let due = pace.due(begin, end);
            if due == u64::MAX || due + late >= end {
                lengths.push(end - begin);
                return lengths;
            }
            pace.ended(begin, due + late);
            lengths.push(due + late - begin);
            begin = due + late;
        }
    }

    #[test]
    fn an_interval_that_ends_late_shifts_none_after_it() {
        let lengths = lengths(pace(Duration::from_millis(50), false), 2_500 * MS, MS);
        assert_eq!(lengths.len(), 50);
        assert_eq!(lengths[1..49], [50 * MS; 48]);
    }

    #[test]
    fn what_is_less_than_half_of_an_interval_belongs_to_the_one_before() {
        let hundred = || pace(Duration::from_millis(100), false);
        assert_eq!(lengths(hundred(), 240 * MS, 0), [100 * MS, 140 * MS]);
        assert_eq!(lengths(hundred(), 260 * MS, 0), [100 * MS, 100 * MS, 60 * MS]);
        assert_eq!(lengths(hundred(), 30 * MS, 0), [30 * MS]);
    }

    #[test]
    fn a_window_of_unknown_length_has_twenty_five_to_fifty_intervals_of_the_last_length() {
        for (seconds, last) in [(1, 62_500), (3, 62_500), (5, 125_000), (8, 250_000), (20, 500_000), (40, 1_000_000)] {
            let lengths = lengths(pace(super::FIRST, true), seconds * 1000 * MS, 300);
            let last_ns = last * 1000;
            let rounded = |ns: u64| (ns + 500_000) / MS;
            assert_eq!(rounded(lengths[lengths.len() - 2]), rounded(last_ns), "{seconds} s");
            assert!((16..=50).contains(&(seconds * 1000 * MS / last_ns)), "{seconds} s");
            assert!(lengths.is_sorted_by(|a, b| *a < b + MS), "{seconds} s: {lengths:?}");
        }
    }

    #[test]
    fn a_machine_without_time_for_intervals_gets_longer_ones_and_never_beyond_a_second() {
        let lengths = lengths(pace(super::FIRST, true), 60_000 * MS, 150 * MS);
        assert!(lengths[..3].iter().all(|length| *length > 125 * MS), "{lengths:?}");
        assert!(lengths[3..].iter().all(|length| *length >= 250 * MS), "{lengths:?}");
        assert!(lengths.iter().all(|length| *length < 1_200 * MS), "{lengths:?}");
    }

    #[test]
    fn a_length_that_was_asked_for_stays() {
        let lengths = lengths(pace(Duration::from_millis(20), false), 4_000 * MS, 45 * MS);
        assert!(lengths.iter().all(|length| *length < 80 * MS), "{lengths:?}");
    }
}
