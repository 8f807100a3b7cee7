//! What recording costs the machine: time in BPF programs, own CPU time, own memory.

use std::collections::HashMap;

use anyhow::Result;

use crate::bpf::live::Live;
use crate::bpf::stats::Statistics;
use crate::host::root::Root;
use crate::host::usage::Usage;
use crate::probe::attached::Attached;
use crate::probe::attached::Interval;
use crate::probe::attached::ProgramCost;
use crate::recording::Rows;
use crate::recording::column;

/// The kernel's statistics read the clock twice per run, which costs as much as a small program. They are on for this
/// part of each period, at a place that varies, and the cost is estimated from it.
const PERIOD_NS: u64 = 1_000_000_000;
const SAMPLE_NS: u64 = 50_000_000;

/// Measures the cost of a recording while it is made.
pub(super) struct CostMeter {
    on: Option<On>,
    next_ns: u64,
    /// The kernel refused: time in programs stays unknown.
    refused: bool,
    /// Time with statistics on since the last rows.
    measured_ns: u64,
    /// What was measured since the window began.
    all: Sample,
    seen: HashMap<String, (u64, u64)>,
    cpu_ns: u64,
}

/// Time in programs, measured in a part of the window.
#[derive(Debug, Default)]
struct Sample {
    /// Of the window so far, in nanoseconds.
    window_ns: u64,
    /// Of it with statistics on.
    measured_ns: u64,
    /// In programs that all probes share.
    shared_ns: u64,
    /// In each probe's, in the order of attachment.
    probes_ns: Vec<u64>,
}

/// Estimated nanoseconds in BPF programs since the window began.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spent {
    /// In programs that all probes share.
    pub(super) shared_ns: u64,
    /// In each probe's, in the order of attachment.
    pub(super) probes_ns: Vec<u64>,
}

impl Sample {
    /// All samples stand for all of the window, as in the report: most intervals have one of 50 ms, some have none.
    fn estimate(&self) -> Spent {
        let scaled = |ns: u64| scaled(ns, self.window_ns, self.measured_ns);
        Spent { shared_ns: scaled(self.shared_ns), probes_ns: self.probes_ns.iter().map(|ns| scaled(*ns)).collect() }
    }
}

struct On {
    _statistics: Statistics,
    since_ns: u64,
}

impl CostMeter {
    /// Begins with a sample at once, so that a short window has one.
    pub(super) fn new(now_ns: u64) -> CostMeter {
        let mut meter = CostMeter {
            on: None,
            next_ns: now_ns,
            refused: false,
            measured_ns: 0,
            all: Sample::default(),
            seen: HashMap::new(),
            cpu_ns: crate::host::usage::cpu_ns(),
        };
        meter.tick(now_ns);
        meter
    }

    /// When `tick` has something to do.
    pub(super) fn next_due(&self) -> u64 {
        if self.refused { u64::MAX } else { self.next_ns }
    }

    /// Switches the statistics on or off when it is time.
    pub(super) fn tick(&mut self, now_ns: u64) {
        if self.refused || now_ns < self.next_ns {
            return;
        }
        if self.on.is_some() {
            self.stop(now_ns);
            // The low bits of the clock are as good as chance: samples must not fall in step with the load.
            self.next_ns = now_ns + (PERIOD_NS - SAMPLE_NS) / 2 + now_ns % (PERIOD_NS - SAMPLE_NS);
            return;
        }
        match Statistics::switch_on() {
            Ok(statistics) => {
                self.on = Some(On { _statistics: statistics, since_ns: now_ns });
                self.next_ns = now_ns + SAMPLE_NS;
            }
            Err(_) => self.refused = true,
        }
    }

    /// Switches the statistics off.
    pub(super) fn stop(&mut self, now_ns: u64) {
        if let Some(on) = self.on.take() {
            self.measured_ns += now_ns.saturating_sub(on.since_ns);
        }
    }

    /// Writes the interval's `cost` rows; returns what the window has cost so far.
    pub(super) fn write<'a>(
        &mut self,
        interval: Interval,
        scope: &Live,
        attached: impl Iterator<Item = &'a Box<dyn Attached>>,
        rows: &mut Rows,
    ) -> Result<Spent> {
        let cost = |(name, runs): (String, crate::bpf::stats::Runs)| ProgramCost {
            name,
            runs: runs.count,
            ns: runs.ns,
            verified_instructions: runs.verified_instructions,
        };
        let shared: Vec<ProgramCost> = scope.costs()?.into_iter().map(cost).collect();
        let mut map_bytes = scope.map_bytes();
        let measured_ns = std::mem::take(&mut self.measured_ns);
        self.all.window_ns += interval.length_ns();
        self.all.measured_ns += measured_ns;
        self.all.shared_ns += self.write_programs(shared, interval, measured_ns, rows);
        for (at, one) in attached.enumerate() {
            map_bytes += one.map_bytes();
            let ns = self.write_programs(one.costs()?, interval, measured_ns, rows);
            match self.all.probes_ns.get_mut(at) {
                Some(sum) => *sum += ns,
                None => self.all.probes_ns.push(ns),
            }
        }
        self.write_own(interval, map_bytes, rows);
        Ok(self.all.estimate())
    }

    /// Returns the nanoseconds measured.
    fn write_programs(
        &mut self,
        costs: Vec<ProgramCost>,
        interval: Interval,
        measured_ns: u64,
        rows: &mut Rows,
    ) -> u64 {
        let mut total = 0;
        for cost in costs {
            let seen = self.seen.entry(cost.name.clone()).or_default();
            let (runs, ns) = (cost.runs.saturating_sub(seen.0), cost.ns.saturating_sub(seen.1));
            *seen = (cost.runs, cost.ns);
            if measured_ns == 0 {
                continue;
            }
            total += ns;
            let mut row = rows.row("cost");
            row.at(interval.end_ns).int(column::DUR_NS, signed(measured_ns)).text(column::NAME, &cost.name);
            row.text(column::OP, "program").int(column::N, signed(runs)).int(column::TOTAL, signed(ns));
        }
        total
    }

    fn write_own(&mut self, interval: Interval, map_bytes: u64, rows: &mut Rows) {
        let usage = Usage::read(&Root::system());
        let mut own = |op: &str, column, value: u64| {
            let mut row = rows.row("cost");
            row.at(interval.end_ns).int(column::DUR_NS, signed(interval.length_ns()));
            row.text(column::NAME, "ebrec").text(column::OP, op).int(column, signed(value));
        };
        own("cpu", column::TOTAL, usage.cpu_ns.saturating_sub(self.cpu_ns));
        own("rss", column::LARGEST, usage.peak_rss_bytes);
        own("maps", column::LARGEST, map_bytes);
        self.cpu_ns = usage.cpu_ns;
    }
}

/// What was measured in a part of a time, for the whole of it.
fn scaled(ns: u64, whole_ns: u64, measured_ns: u64) -> u64 {
    if measured_ns == 0 {
        return 0;
    }
    u64::try_from(u128::from(ns) * u128::from(whole_ns) / u128::from(measured_ns)).unwrap_or(u64::MAX)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Sample;
    use super::Spent;
    use super::scaled;

    /// The line at the end and the report's summary are about the same: 4.8 % of the machine beside 13.3 % of one of two
    /// CPUs, since an interval without a sample counted as free.
    #[test]
    fn an_interval_without_a_sample_costs_as_much_as_the_others() {
        let all = Sample { window_ns: 2_000_000_000, measured_ns: 50_000_000, shared_ns: 1, probes_ns: vec![50, 0] };
        assert_eq!(all.estimate(), Spent { shared_ns: 40, probes_ns: vec![2000, 0] });
    }

    #[test]
    fn a_sample_stands_for_the_whole() {
        assert_eq!(scaled(50, 1_000_000_000, 50_000_000), 1000);
        assert_eq!(scaled(50, 1_000_000_000, 0), 0);
    }
}
