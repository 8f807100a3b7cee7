//! What counters grew by since they were last looked at.

use std::collections::HashMap;

use crate::host::counters::Counter;
use crate::host::counters::Name;
use crate::record::counters::Value;

/// The counters of one file or of several, as they were written last.
#[derive(Debug, Default)]
pub(super) struct Growth {
    since_ns: u64,
    written: HashMap<Name, Written>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    value: u64,
    at_ns: u64,
}

impl Growth {
    /// Counters as they are at `now_ns`.
    pub(super) fn since(now_ns: u64, counters: &[Counter]) -> Growth {
        let mut growth = Growth { since_ns: now_ns, written: HashMap::new() };
        for counter in counters {
            growth.written.insert(counter.name, Written { value: counter.value, at_ns: now_ns });
        }
        growth
    }

    /// Counters that began at zero at `now_ns`: of what is new.
    pub(super) fn from_zero(now_ns: u64) -> Growth {
        Growth { since_ns: now_ns, written: HashMap::new() }
    }

    /// What a counter grew by since it was last written, if that is at least `least` of a unit; less is kept for the next time.
    ///
    /// A counter that decreased was reset, as when a cgroup is removed and another of its name created: it counts from zero.
    pub(super) fn of(&mut self, counter: &Counter, now_ns: u64, least: u64) -> Option<Value> {
        let none = Written { value: 0, at_ns: self.since_ns };
        let before = self.written.get(&counter.name).copied().unwrap_or(none);
        let by = counter.value.checked_sub(before.value).unwrap_or(counter.value);
        if by < least.max(1) {
            return None;
        }
        self.written.insert(counter.name, Written { value: counter.value, at_ns: now_ns });
        Some(Value::Grew { by, in_ns: now_ns.saturating_sub(before.at_ns) })
    }
}

#[cfg(test)]
mod tests {
    use super::Growth;
    use crate::host::counters::Counter;
    use crate::host::counters::Name;
    use crate::host::counters::Unit;
    use crate::record::counters::Value;

    fn at(value: u64) -> Counter {
        Counter { name: Name::new("cpu", "nr_throttled"), unit: Unit::Count, value }
    }

    #[test]
    fn only_what_grew_in_the_window_counts() {
        let mut growth = Growth::since(100, &[at(7)]);
        assert_eq!(growth.of(&at(7), 200, 1), None);
        assert_eq!(growth.of(&at(9), 300, 1), Some(Value::Grew { by: 2, in_ns: 200 }));
        assert_eq!(growth.of(&at(9), 400, 1), None);
    }

    #[test]
    fn what_is_too_little_for_a_row_is_in_the_next_one() {
        let mut growth = Growth::since(0, &[at(0)]);
        assert_eq!(growth.of(&at(6), 100, 10), None);
        assert_eq!(growth.of(&at(12), 200, 10), Some(Value::Grew { by: 12, in_ns: 200 }));
    }

    #[test]
    fn a_cgroup_that_was_made_in_the_window_began_at_zero_and_so_does_one_that_was_replaced() {
        let mut growth = Growth::from_zero(50);
        assert_eq!(growth.of(&at(3), 100, 1), Some(Value::Grew { by: 3, in_ns: 50 }));
        assert_eq!(growth.of(&at(1), 200, 1), Some(Value::Grew { by: 1, in_ns: 100 }));
    }
}
