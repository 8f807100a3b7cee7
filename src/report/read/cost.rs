//! What a recording cost the machine it was made on.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::input::Source;
use crate::report::read::limit::Limit;

/// Name of the `cost` rows about the recorder itself; every other name is a BPF program's.
const OURSELVES: &str = "ebrec";

/// Time over a measured part of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Runs of a program; 0 for the recorder itself.
    pub(crate) runs: u64,
    /// Nanoseconds spent.
    pub(crate) ns: u64,
    /// Nanoseconds of the window in which it was measured.
    pub(crate) during_ns: u64,
}

impl Measured {
    /// Share of one CPU, where 1 is all of it; `None` when nothing was measured.
    pub(crate) fn share(&self) -> Option<f64> {
        (self.during_ns > 0).then(|| self.ns as f64 / self.during_ns as f64)
    }

    /// Nanoseconds a run.
    pub(crate) fn per_run(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.ns as f64 / self.runs as f64)
    }

    fn add(&mut self, runs: u64, ns: u64, during_ns: u64) {
        self.runs = self.runs.saturating_add(runs);
        self.ns = self.ns.saturating_add(ns);
        self.during_ns = self.during_ns.saturating_add(during_ns);
    }
}

/// The cost of one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// BPF programs by name, such as `sched/sched_switch`.
    pub(crate) programs: BTreeMap<Rc<str>, Measured>,
    /// The recorder's own CPU time within the window.
    pub(crate) own_cpu: Option<Measured>,
    /// Its CPU time before the window, in nanoseconds: loading and attaching.
    pub(crate) start_cpu_ns: Option<u64>,
    /// Its CPU time after the window, in nanoseconds: naming stacks and writing, but for the last merge.
    pub(crate) finish_cpu_ns: Option<u64>,
    /// The recorder's largest resident set, in bytes.
    pub(crate) rss_bytes: Option<u64>,
    /// Kernel memory of all maps, ring buffers among them, in bytes.
    pub(crate) map_bytes: Option<u64>,
}

impl Cost {
    /// Adds up the `cost` rows, of all processes.
    pub(crate) fn of(source: &Source) -> Result<Cost> {
        let mut cost = Cost::default();
        let mut limit = Limit::new();
        let mut rows = source.rows_of_all_processes("cost");
        let (name, op) = (rows.text("name"), rows.text("op"));
        let (count, sum, max) = (rows.int("count"), rows.int("sum"), rows.int("max"));
        rows.each(|row| {
            let Some(name) = row.text(name) else { return };
            let during = row.dur().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
            let (count, sum, max) = (row.natural(count), row.natural(sum), row.natural(max));
            match (name, row.text(op)) {
                (OURSELVES, Some("cpu")) => cost.own_cpu.get_or_insert_default().add(count, sum, during),
                (OURSELVES, Some("cpu_start")) => cost.start_cpu_ns = Some(sum),
                (OURSELVES, Some("cpu_finish")) => cost.finish_cpu_ns = Some(sum),
                (OURSELVES, Some("rss")) => cost.rss_bytes = cost.rss_bytes.max(Some(max)),
                (OURSELVES, Some("maps")) => cost.map_bytes = cost.map_bytes.max(Some(max)),
                (OURSELVES, _) => {}
                (program, _) => cost.programs.entry(limit.name(program)).or_default().add(count, sum, during),
            }
        })?;
        limit.check(source, "programs")?;
        Ok(cost)
    }

    /// Share of one CPU that all BPF programs take together; `None` when none was measured.
    pub(crate) fn programs_share(&self) -> Option<f64> {
        self.programs.values().filter_map(Measured::share).reduce(|sum, share| sum + share)
    }

    /// The part of a span of the window in which programs were measured, between 0 and 1; `None` when none was.
    pub(crate) fn measured_part(&self, span_ns: i64) -> Option<f64> {
        let longest = self.programs.values().map(|program| program.during_ns).max()?;
        (span_ns > 0).then(|| (longest as f64 / span_ns as f64).min(1.0))
    }
}
