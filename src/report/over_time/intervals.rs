//! The intervals of a page: those of the recording, or several of them together where there are many.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::input::Source;
use crate::report::read::rows::Row;

/// Most intervals of a page. More can't be told apart on a screen, and each costs room in every row.
const MOST: i64 = 150;

/// The intervals that a page's figures are kept by.
pub(crate) struct Intervals {
    bounds: Vec<i64>,
}

impl Intervals {
    /// Those of a recording's totals.
    pub(super) fn of(source: &Source) -> Result<Intervals> {
        let due = Intervals { bounds: due(source) };
        // Where each was really ended, which is a moment after it was due.
        let mut ends: BTreeMap<usize, i64> = BTreeMap::new();
        for kind in ["metric", "cpu_ledger"] {
            source.rows(kind).each(|row| {
                if let (Some(interval), Some(at)) = (due.at(row), row.at()) {
                    let latest = ends.entry(interval).or_insert(at);
                    *latest = at.max(*latest);
                }
            })?;
        }
        let mut bounds = due.bounds.clone();
        let last = bounds.len().saturating_sub(1);
        let (mut before, end) = (source.begin_ns(), source.end_ns());
        for (at, bound) in bounds.iter_mut().enumerate().take(last).skip(1) {
            *bound = ends.get(&(at - 1)).copied().unwrap_or(*bound).clamp(before, end.max(before));
            before = *bound;
        }
        Ok(Intervals { bounds })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }

    /// Where they begin and the last one ends, in nanoseconds since the window's start.
    pub(super) fn bounds(&self) -> &[i64] {
        &self.bounds
    }

    /// The interval of a row that sums one up, told by its middle: probes do not end their intervals at the same nanosecond.
    pub(super) fn at(&self, row: &Row<'_>) -> Option<usize> {
        let middle = row.at()?.saturating_sub(row.dur().unwrap_or(0).max(0) / 2);
        Some(self.of_moment(middle))
    }

    /// The interval of a moment, in nanoseconds since the window's start.
    pub(crate) fn of_moment(&self, at: i64) -> usize {
        let after = self.bounds.partition_point(|bound| *bound <= at);
        after.saturating_sub(1).min(self.count().saturating_sub(1))
    }
}

/// Where the intervals should begin and end: as many of the recording's in each as keep them few.
fn due(source: &Source) -> Vec<i64> {
    let (begin, end) = (source.begin_ns(), source.end_ns().max(source.begin_ns().saturating_add(1)));
    let mut step = source.meta().window.interval_ns.max(1);
    while (end - begin) / step > MOST {
        step = step.saturating_mul(2);
    }
    let first = begin.div_euclid(step).saturating_add(1);
    let within = (0..=MOST).map(|at| first.saturating_add(at).saturating_mul(step));
    // What the window has beyond its last whole interval belongs to that one: rates in a few milliseconds are mostly chance.
    let within = within.take_while(|bound| end.saturating_sub(*bound) >= step / 2 && *bound < end);
    std::iter::once(begin).chain(within).chain([end]).collect()
}
