//! The kernel's pressure stall information, read often: the share of the last second in which tasks were stalled.
//!
//! Source: Documentation/accounting/psi.rst. `total` grows by microseconds, and the kernel brings it up to date when it is read.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::host::counters;
use crate::host::counters::Name;

/// How often it is read.
const PERIOD_NS: u64 = 50_000_000;
/// What the share is of. Nothing fires before so long into the window.
const SPAN_NS: u64 = 1_000_000_000;
/// More than the file ever has: two lines.
const MOST_BYTES: usize = 512;
const TABLE: &str = "pressure";

/// A line of a file below `/proc/pressure`.
pub(super) struct Pressure {
    file: File,
    line: Name,
    next_ns: u64,
    /// When it was read and what the total was, of the last second and the reading before that.
    readings: VecDeque<(u64, u64)>,
}

impl Pressure {
    /// Begins without a reading.
    pub(super) fn of(file: File, line: &'static str) -> Pressure {
        Pressure { file, line: Name::new(TABLE, line), next_ns: 0, readings: VecDeque::new() }
    }

    /// When it is read next.
    pub(super) fn next_due(&self) -> u64 {
        self.next_ns
    }

    /// The share of the last second in percent, if it is time to look and the readings go back so far.
    pub(super) fn share(&mut self, now_ns: u64) -> Option<i64> {
        if now_ns < self.next_ns {
            return None;
        }
        self.next_ns = now_ns.saturating_add(PERIOD_NS);
        let mut bytes = [0; MOST_BYTES];
        let length = self.file.read_at(&mut bytes, 0).ok()?;
        let text = String::from_utf8_lossy(bytes.get(..length)?).into_owned();
        let total = counters::pressure(TABLE, &text).into_iter().find(|counter| counter.name == self.line)?.value;
        share(&mut self.readings, now_ns, total)
    }
}

fn share(readings: &mut VecDeque<(u64, u64)>, now_ns: u64, total_ns: u64) -> Option<i64> {
    readings.push_back((now_ns, total_ns));
    let begin = now_ns.saturating_sub(SPAN_NS);
    while readings.get(1).is_some_and(|(at, _)| *at <= begin) {
        readings.pop_front();
    }
    let (since, before) = readings.front().copied().filter(|(at, _)| *at <= begin)?;
    let stalled = total_ns.saturating_sub(before).saturating_mul(100);
    i64::try_from(stalled.checked_div(now_ns.saturating_sub(since))?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::share;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_share_is_that_of_the_last_second_and_not_of_less() {
        let mut readings = VecDeque::new();
        let mut at = |ms: u64, stalled_ms: u64| share(&mut readings, ms * MS, stalled_ms * MS);
        assert_eq!(at(5000, 100), None);
        assert_eq!(at(5500, 500), None);
        assert_eq!(at(6000, 500), Some(40));
        assert_eq!(at(6250, 500), Some(32));
        assert_eq!(at(6500, 500), Some(0));
        assert_eq!(at(7500, 1500), Some(100));
        assert!(readings.len() < 4);
    }
}
