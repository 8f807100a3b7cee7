//! Page faults by process and interval, out of what the kernel counts for each thread from its birth on.
//!
//! A walk over all threads reads the counts of those that live; a thread that ends leaves its totals. What a thread had
//! at the walk before is taken off either. A thread may be in both: it ended between the walk and the interval's end.

use std::collections::BTreeMap;
use std::collections::HashMap;

/// A thread has its time of birth before a walk can see it, by less than this even where the CPU is taken from the one
/// that makes it.
const UNSEEN_NS: u64 = 100_000_000;

/// Minor and major faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) minor: u64,
    pub(super) major: u64,
}

impl Counts {
    fn since(self, before: Counts) -> Counts {
        Counts { minor: self.minor.saturating_sub(before.minor), major: self.major.saturating_sub(before.major) }
    }
}

/// What a walk says of a thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// When it began, in nanoseconds of CLOCK_MONOTONIC.
    pub(super) born_ns: u64,
    pub(super) counts: Counts,
    /// It is ending: its totals have come, or will.
    pub(super) exiting: bool,
}

/// A thread's totals at its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ThreadTotals {
    pub(super) counts: Counts,
    /// It is older than the window.
    pub(super) old: bool,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    born_ns: u64,
    counts: Counts,
}

/// What is known of the threads that live.
#[derive(Debug, Default)]
pub(super) struct Faults {
    known: HashMap<u32, Known>,
    walked_ns: u64,
}

impl Faults {
    /// The threads at the start of the window, where counting starts: `began_ns` was before the walk.
    pub(super) fn begin(&mut self, began_ns: u64, walk: &[Reading]) {
        self.walked_ns = began_ns;
        for one in walk {
            // A thread that was born since has nothing before the window.
            let counts = if one.born_ns >= began_ns { Counts::default() } else { one.counts };
            self.known.insert(one.tid, Known { born_ns: one.born_ns, counts });
        }
    }

    /// The faults of an interval by process: from the threads that ended in it, by process and thread, and the walk at
    /// its end, which began at `walked_ns`.
    pub(super) fn settle(
        &mut self,
        ended: &HashMap<(u32, u32), ThreadTotals>,
        walk: Option<(u64, &[Reading])>,
    ) -> BTreeMap<u32, Counts> {
        let mut by_process: BTreeMap<u32, Counts> = BTreeMap::new();
        let mut add = |pid: u32, counts: Counts| {
            let sum = by_process.entry(pid).or_default();
            sum.minor += counts.minor;
            sum.major += counts.major;
        };
        for ((pid, tid), end) in ended {
            match self.known.remove(tid) {
                Some(known) => add(*pid, end.counts.since(known.counts)),
                // It came into scope and ended within the interval: which of its faults came before is not known.
                None if end.old => {}
                None => add(*pid, end.counts),
            }
        }
        let Some((now_ns, walk)) = walk else { return by_process };
        let mut living = HashMap::with_capacity(walk.len());
        for one in walk.iter().filter(|one| !ended.contains_key(&(one.pid, one.tid))) {
            let known = self.known.get(&one.tid).filter(|known| known.born_ns == one.born_ns).copied();
            if one.exiting {
                living.extend(known.map(|known| (one.tid, known)));
                continue;
            }
            match known {
                Some(known) => add(one.pid, one.counts.since(known.counts)),
                // Born since the last walk. An older one has just come into scope and counts from here.
                None if one.born_ns.saturating_add(UNSEEN_NS) >= self.walked_ns => add(one.pid, one.counts),
                None => {}
            }
            living.insert(one.tid, Known { born_ns: one.born_ns, counts: one.counts });
        }
        self.known = living;
        self.walked_ns = now_ns;
        by_process
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;
    use super::Faults;
    use super::Reading;
    use super::ThreadTotals;
    use std::collections::HashMap;

    const PID: u32 = 7;

    fn counts(minor: u64) -> Counts {
        Counts { minor, major: minor / 10 }
    }

    fn reading(tid: u32, born_ns: u64, minor: u64) -> Reading {
        Reading { pid: PID, tid, born_ns, counts: counts(minor), exiting: false }
    }

    fn ended(tid: u32, minor: u64) -> HashMap<(u32, u32), ThreadTotals> {
        HashMap::from([((PID, tid), ThreadTotals { counts: counts(minor), old: true })])
    }

    /// A thread that had 100 faults before the window, which began after a second.
    fn begun() -> Faults {
        let mut faults = Faults::default();
        faults.begin(1_000_000_000, &[reading(7, 5, 100)]);
        faults
    }

    fn minor(faults: &mut Faults, ended: &HashMap<(u32, u32), ThreadTotals>, walk: Option<(u64, &[Reading])>) -> u64 {
        faults.settle(ended, walk).get(&PID).map_or(0, |counts| counts.minor)
    }

    #[test]
    fn faults_before_the_window_do_not_count() {
        let mut faults = begun();
        assert_eq!(minor(&mut faults, &HashMap::new(), Some((2_000_000_000, &[reading(7, 5, 130)]))), 30);
        assert_eq!(minor(&mut faults, &HashMap::new(), Some((3_000_000_000, &[reading(7, 5, 130)]))), 0);
        assert_eq!(minor(&mut faults, &ended(7, 150), None), 20);
    }

    #[test]
    fn a_thread_that_ends_between_the_walk_and_the_swap_counts_once() {
        let mut faults = begun();
        assert_eq!(minor(&mut faults, &ended(7, 150), Some((2_000_000_000, &[reading(7, 5, 130)]))), 50);
        assert_eq!(minor(&mut faults, &HashMap::new(), Some((3_000_000_000, &[]))), 0);
    }

    #[test]
    fn a_thread_that_is_ending_counts_when_its_totals_come_and_not_again_as_a_zombie() {
        let mut faults = begun();
        let exiting = Reading { exiting: true, ..reading(7, 5, 140) };
        assert_eq!(minor(&mut faults, &HashMap::new(), Some((2_000_000_000, &[exiting]))), 0);
        assert_eq!(minor(&mut faults, &ended(7, 150), Some((3_000_000_000, &[exiting]))), 50);
        assert_eq!(minor(&mut faults, &HashMap::new(), Some((4_000_000_000, &[exiting]))), 0);
    }

    #[test]
    fn a_thread_born_in_the_window_counts_whole_however_it_is_seen_first() {
        let mut faults = begun();
        assert_eq!(minor(&mut faults, &HashMap::new(), Some((2_000_000_000, &[reading(8, 1_500_000_000, 40)]))), 40);
        let young = HashMap::from([((PID, 9), ThreadTotals { counts: counts(25), old: false })]);
        assert_eq!(minor(&mut faults, &young, Some((3_000_000_000, &[reading(8, 1_500_000_000, 41)]))), 26);
    }

    #[test]
    fn a_number_that_is_used_again_is_another_thread() {
        let mut faults = begun();
        assert_eq!(minor(&mut faults, &HashMap::new(), Some((2_000_000_000, &[reading(7, 1_500_000_000, 12)]))), 12);
    }

    #[test]
    fn a_thread_that_comes_into_scope_counts_from_then_on() {
        let mut faults = begun();
        assert_eq!(minor(&mut faults, &HashMap::new(), Some((2_000_000_000, &[reading(8, 10, 5000)]))), 0);
        assert_eq!(minor(&mut faults, &HashMap::new(), Some((3_000_000_000, &[reading(8, 10, 5003)]))), 3);
    }
}
