//! System calls of each process: how many, how long, and with which errors they failed. Only recordings with the probe `syscall` have them.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::rows::Row;
use crate::units;

/// About what a call of a process takes in memory, and what an error of it does.
const CALL_BYTES: usize = 320;
const ERROR_BYTES: usize = 160;

/// All calls of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// How many.
    pub(super) count: u64,
    /// Nanoseconds in them.
    pub(super) ns: u64,
    /// By error, such as `EMFILE`.
    pub(super) failed: BTreeMap<Rc<str>, Failed>,
}

/// Calls that failed with one error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failed {
    /// How many.
    pub(super) count: u64,
    /// The intervals in which there were some, in nanoseconds.
    pub(super) in_ns: u64,
}

/// Calls by name.
pub(super) type ByName = BTreeMap<Rc<str>, Calls>;

impl Calls {
    /// The part of them that failed with an error, from 0 to 1. A call that fails is in both numbers.
    pub(super) fn part(&self, failed: u64) -> f64 {
        failed as f64 / self.count.max(failed).max(1) as f64
    }
}

/// Whether the recording has system calls.
pub(super) fn are_recorded(source: &Source) -> bool {
    source.meta().probes.iter().any(|probe| probe.name == "syscall" && probe.state.has_run())
}

/// Reads them by `who` made the call of a row; empty where they were not recorded.
pub(super) fn of<W: Clone + Ord>(source: &Source, who: impl Fn(&Row<'_>) -> Option<W>) -> Result<BTreeMap<W, ByName>> {
    let mut by: BTreeMap<W, ByName> = BTreeMap::new();
    if !are_recorded(source) {
        return Ok(by);
    }
    let mut limit = Limit::new();
    // An interval counts once, whichever processes of a command had errors in it.
    let mut last: BTreeMap<(W, Rc<str>, Rc<str>), i64> = BTreeMap::new();
    let mut rows = source.rows("metric");
    let (metric, name, errno) = (rows.text("metric"), rows.text("name"), rows.text("syscall_errno"));
    let (count, sum) = (rows.int("count"), rows.int("sum"));
    rows.each(|row| {
        let metric = match row.text(metric) {
            Some(metric) if [metrics::SYSCALL_LATENCY, metrics::SYSCALL_ERRORS].contains(&metric) => metric,
            _ => return,
        };
        let (Some(who), Some(name)) = (who(row), row.text(name)) else { return };
        let name = limit.name(name);
        let of_process = by.entry(who.clone()).or_default();
        if !of_process.contains_key(&name) && !limit.take(CALL_BYTES) {
            return;
        }
        let calls = of_process.entry(Rc::clone(&name)).or_default();
        if metric == metrics::SYSCALL_LATENCY {
            calls.count = calls.count.saturating_add(row.natural(count));
            calls.ns = calls.ns.saturating_add(row.natural(sum));
            return;
        }
        let errno = limit.name(row.text(errno).unwrap_or("an error"));
        if !calls.failed.contains_key(&errno) && !limit.take(ERROR_BYTES) {
            return;
        }
        let failed = calls.failed.entry(Rc::clone(&errno)).or_default();
        failed.count = failed.count.saturating_add(row.natural(count));
        if let Some(at) = row.at()
            && last.insert((who, name, errno), at) != Some(at)
        {
            failed.in_ns = failed.in_ns.saturating_add(row.dur().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0));
        }
    })?;
    limit.check(source, "system calls")?;
    Ok(by)
}

/// Calls of a process that failed with one of some errors, all together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Failures {
    /// How many.
    pub(super) count: u64,
    /// The largest part of the window with such errors of one call, from 0 to 1.
    pub(super) affected: f64,
    /// The part of a call that failed, of the call that failed most often.
    pub(super) part: f64,
    /// `accept4 failed 1,660 times with EMFILE`, the most frequent first.
    pub(super) words: String,
}

/// Calls and errors that are named.
const NAMED: usize = 3;

/// What failed in a window of `span_ns` of the calls that `wanted` names by call and error; nothing where nothing did.
pub(super) fn failures(span_ns: f64, calls: &ByName, wanted: impl Fn(&str, &str) -> bool) -> Option<Failures> {
    let mut failed: Vec<(&str, &str, Failed, f64)> = Vec::new();
    for (name, calls) in calls {
        let own = calls.failed.iter().filter(|(errno, _)| wanted(name, errno));
        failed.extend(own.map(|(errno, failed)| (&**name, &**errno, *failed, calls.part(failed.count))));
    }
    failed.sort_by_key(|(name, errno, failed, _)| (std::cmp::Reverse(failed.count), *name, *errno));
    let (_, _, _, part) = *failed.first()?;
    let words = |(name, errno, failed, _): &(&str, &str, Failed, f64)| {
        let times = if failed.count == 1 { "once".to_owned() } else { format!("{} times", units::count(failed.count)) };
        format!("{name} failed {times} with {errno}")
    };
    Some(Failures {
        count: failed.iter().fold(0u64, |sum, (_, _, failed, _)| sum.saturating_add(failed.count)),
        affected: failed.iter().map(|(_, _, failed, _)| failed.in_ns as f64 / span_ns).fold(0.0, f64::max).min(1.0),
        part,
        words: failed.iter().take(NAMED).map(words).collect::<Vec<String>>().join(", "),
    })
}
