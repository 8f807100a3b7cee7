//! What recording costs the machine: time in BPF programs, own CPU time, own memory.

use std::collections::BTreeMap;
use std::collections::HashMap;

use anyhow::Result;

use crate::bpf::live::Live;
use crate::bpf::stats::Runs;
use crate::bpf::stats::Statistics;
use crate::host::root::Root;
use crate::host::usage;
use crate::host::usage::Usage;
use crate::probe::attached::Interval;
use crate::probe::attached::ProgramCost;
use crate::record::budget::Measurement;
use crate::record::budget::Spending;
use crate::record::dispatch::AttachedProbe;
use crate::record::own_cpu::OURSELVES;
use crate::record::own_cpu::OwnCpu;
use crate::recording::Rows;
use crate::recording::column;

/// The kernel's statistics read the clock twice per run, which costs as much as a small program. They are on for this
/// part of each period, at a place that varies, and the cost is estimated from it.
const PERIOD_NS: u64 = 1_000_000_000;
const SAMPLE_NS: u64 = 50_000_000;
/// With a budget, which has to be held after a fraction of a second.
const BUDGET_PERIOD_NS: u64 = 250_000_000;

/// What recording cost while it was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// How long programs were measured, in nanoseconds.
    programs_ns: u64,
    /// Nanoseconds in programs that all probes share.
    shared_ns: u64,
    /// Each probe's runs and nanoseconds in them, in the order of attachment.
    probes: Vec<Ran>,
    /// Time since the measurement before, and ebrec's own CPU time in it, in nanoseconds.
    since_ns: u64,
    own_ns: u64,
}

impl Measured {
    fn add(&mut self, owner: Owner, ran: Ran) {
        match owner {
            Owner::Shared => self.shared_ns += ran.ns,
            Owner::Probe(at) => self.probes.get_mut(at).into_iter().for_each(|sum| {
                *sum = Ran { runs: sum.runs + ran.runs, ns: sum.ns + ran.ns };
            }),
        }
    }

    /// As shares of one CPU, with the rows that each probe has streamed since the measurement before.
    pub(super) fn shares(&self, at_ns: u64, rows: &[u64]) -> Measurement {
        let part = |ns: u64, of: u64| if of == 0 { 0.0 } else { ns as f64 / of as f64 };
        let spending = |(place, rows): (usize, &u64)| {
            let ran = self.probes.get(place).copied().unwrap_or_default();
            Spending {
                programs: part(ran.ns, self.programs_ns),
                runs: part(ran.runs, self.programs_ns) * 1e9,
                rows: part(*rows, self.since_ns) * 1e9,
            }
        };
        Measurement {
            at_ns,
            shared: part(self.shared_ns, self.programs_ns),
            own: part(self.own_ns, self.since_ns),
            probes: rows.iter().enumerate().map(spending).collect(),
        }
    }
}

/// Measures the cost of a recording while it is made.
pub(super) struct CostMeter {
    /// From the beginning of one sample to that of the next, about.
    period_ns: u64,
    /// When the sample before ended, and ebrec's own CPU time by then.
    before: (u64, u64),
    on: Option<On>,
    next_ns: u64,
    /// The kernel refused: time in programs stays unknown.
    refused: bool,
    /// Time with statistics on since the last rows.
    measured_ns: u64,
    /// What each program ran in that time, by its name.
    ran: BTreeMap<String, Ran>,
    /// What was measured since the window began.
    all: Sample,
    own_cpu: OwnCpu,
}

/// Runs of a program, and the time spent in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ran {
    runs: u64,
    ns: u64,
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
    fn add(&mut self, owner: Owner, ns: u64) {
        let Owner::Probe(at) = owner else {
            self.shared_ns += ns;
            return;
        };
        if self.probes_ns.len() <= at {
            self.probes_ns.resize(at + 1, 0);
        }
        // There is room for it now.
        self.probes_ns[at] += ns;
    }

    /// All samples stand for all of the window, as in the report: most intervals have one of 50 ms, some have none.
    fn estimate(&self) -> Spent {
        let scaled = |ns: u64| scaled(ns, self.window_ns, self.measured_ns);
        Spent { shared_ns: scaled(self.shared_ns), probes_ns: self.probes_ns.iter().map(|ns| scaled(*ns)).collect() }
    }
}

/// Statistics that are on.
struct On {
    _statistics: Statistics,
    since_ns: u64,
    before: Before,
}

/// What the kernel had counted of each program when a sample began, by the program's id. Others may have statistics on all the time
/// (`kernel.bpf_stats_enabled`, bpftop), so what it counts between samples is not ours to scale.
#[derive(Debug, Default)]
struct Before(HashMap<u32, Ran>);

impl Before {
    fn of(programs: &[(Owner, ProgramCost)]) -> Before {
        let counted = |(_, cost): &(Owner, ProgramCost)| (cost.id, Ran { runs: cost.runs, ns: cost.ns });
        Before(programs.iter().map(counted).collect())
    }

    /// What a program has run since; all of it for one that was loaded since.
    fn until(&self, now: &ProgramCost) -> Ran {
        let before = self.0.get(&now.id).copied().unwrap_or_default();
        Ran { runs: now.runs.saturating_sub(before.runs), ns: now.ns.saturating_sub(before.ns) }
    }
}

/// Whose program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// All probes'.
    Shared,
    /// The probe's in this place in the order of attachment.
    Probe(usize),
}

/// What the kernel has counted of every program so far.
fn programs(scope: &Live, probes: &[AttachedProbe]) -> Result<Vec<(Owner, ProgramCost)>> {
    let shared = |(name, runs): (String, Runs)| {
        let Runs { id, count, ns, verified_instructions, .. } = runs;
        (Owner::Shared, ProgramCost { id, name, runs: count, ns, verified_instructions })
    };
    let mut programs: Vec<_> = scope.costs()?.into_iter().map(shared).collect();
    for (at, probe) in probes.iter().enumerate() {
        programs.extend(probe.attached.costs()?.into_iter().map(|cost| (Owner::Probe(at), cost)));
    }
    Ok(programs)
}

impl CostMeter {
    /// Begins with a sample at the first tick, so that a short window has one.
    pub(super) fn new(now_ns: u64, has_budget: bool) -> CostMeter {
        CostMeter {
            period_ns: if has_budget { BUDGET_PERIOD_NS } else { PERIOD_NS },
            before: (now_ns, usage::cpu_ns()),
            on: None,
            next_ns: now_ns,
            refused: false,
            measured_ns: 0,
            ran: BTreeMap::new(),
            all: Sample::default(),
            own_cpu: OwnCpu::until_the_window(),
        }
    }

    /// ebrec's own CPU time so far.
    pub(super) fn own_cpu(&self) -> OwnCpu {
        self.own_cpu
    }

    /// When `tick` has something to do.
    pub(super) fn next_due(&self) -> u64 {
        if self.refused { u64::MAX } else { self.next_ns }
    }

    /// Switches the statistics on or off when it is time; gives what was measured when a sample ends.
    ///
    /// # Errors
    /// When the kernel refuses to tell what it has counted.
    pub(super) fn tick(&mut self, now_ns: u64, scope: &Live, probes: &[AttachedProbe]) -> Result<Option<Measured>> {
        if self.refused || now_ns < self.next_ns {
            return Ok(None);
        }
        if self.on.is_some() {
            let mut measured = self.end_sample(now_ns, scope, probes)?;
            let own_ns = usage::cpu_ns();
            let before = std::mem::replace(&mut self.before, (now_ns, own_ns));
            measured.since_ns = now_ns.saturating_sub(before.0);
            measured.own_ns = own_ns.saturating_sub(before.1);
            // The low bits of the clock are as good as chance: samples must not fall in step with the load.
            let rest_ns = self.period_ns - SAMPLE_NS;
            self.next_ns = now_ns + rest_ns / 2 + now_ns % rest_ns;
            return Ok(Some(measured));
        }
        match Statistics::switch_on() {
            Ok(statistics) => {
                let before = Before::of(&programs(scope, probes)?);
                self.on = Some(On { _statistics: statistics, since_ns: now_ns, before });
                self.next_ns = now_ns + SAMPLE_NS;
            }
            Err(_) => self.refused = true,
        }
        Ok(None)
    }

    /// The window is over: the last sample ends, and what ebrec's process does from here on is finishing.
    ///
    /// # Errors
    /// When the kernel refuses to tell what it has counted.
    pub(super) fn stop(&mut self, now_ns: u64, scope: &Live, probes: &[AttachedProbe]) -> Result<()> {
        self.own_cpu.end_window();
        self.end_sample(now_ns, scope, probes).map(drop)
    }

    /// Programs are read before the statistics are switched off, as they were after switching on: both readings are in the same order, so
    /// that each program has a sample of the same length.
    fn end_sample(&mut self, now_ns: u64, scope: &Live, probes: &[AttachedProbe]) -> Result<Measured> {
        let mut measured = Measured { probes: vec![Ran::default(); probes.len()], ..Measured::default() };
        let Some(on) = self.on.take() else { return Ok(measured) };
        measured.programs_ns = now_ns.saturating_sub(on.since_ns);
        self.measured_ns += measured.programs_ns;
        for (owner, cost) in programs(scope, probes)? {
            let ran = on.before.until(&cost);
            self.all.add(owner, ran.ns);
            measured.add(owner, ran);
            let sum = self.ran.entry(cost.name).or_default();
            *sum = Ran { runs: sum.runs + ran.runs, ns: sum.ns + ran.ns };
        }
        Ok(measured)
    }

    /// Writes the interval's `cost` rows; returns what the window has cost so far. `map_bytes` is the kernel memory of all maps.
    pub(super) fn write(&mut self, interval: Interval, map_bytes: u64, rows: &mut Rows) -> Spent {
        let measured_ns = std::mem::take(&mut self.measured_ns);
        self.all.window_ns += interval.length_ns();
        self.all.measured_ns += measured_ns;
        for (name, ran) in std::mem::take(&mut self.ran) {
            let mut row = rows.row("cost");
            row.at(interval.end_ns).int(column::DUR_NS, signed(measured_ns)).text(column::NAME, &name);
            row.text(column::OP, "program").int(column::COUNT, signed(ran.runs)).int(column::SUM, signed(ran.ns));
        }
        let mut own = |op: &str, column, value: u64| {
            let mut row = rows.row("cost");
            row.at(interval.end_ns).int(column::DUR_NS, signed(interval.length_ns()));
            row.text(column::NAME, OURSELVES).text(column::OP, op).int(column, signed(value));
        };
        own("cpu", column::SUM, self.own_cpu.in_interval());
        own("rss", column::MAX, Usage::read(&Root::system()).peak_rss_bytes);
        own("maps", column::MAX, map_bytes);
        self.all.estimate()
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
    use super::Before;
    use super::Measured;
    use super::Measurement;
    use super::Owner;
    use super::Ran;
    use super::Sample;
    use super::Spending;
    use super::Spent;
    use super::scaled;
    use crate::probe::attached::ProgramCost;

    fn counted(id: u32, runs: u64, ns: u64) -> ProgramCost {
        ProgramCost { id, name: "events/tick".to_owned(), runs, ns, verified_instructions: 0 }
    }

    /// With `kernel.bpf_stats_enabled` the kernel counts all the time, and a twentieth of it stood for the whole: 17 to 20 times too much.
    #[test]
    fn what_ran_between_samples_is_not_in_one() {
        let before =
            Before::of(&[(Owner::Shared, counted(1, 1_000_000, 100_000_000)), (Owner::Probe(0), counted(2, 0, 0))]);
        assert_eq!(before.until(&counted(1, 1_000_010, 100_001_000)), Ran { runs: 10, ns: 1000 });
        // Programs of one name are told apart by their ids, and one that was loaded within the sample counts whole.
        assert_eq!(before.until(&counted(2, 3, 30)), Ran { runs: 3, ns: 30 });
        assert_eq!(before.until(&counted(3, 5, 50)), Ran { runs: 5, ns: 50 });
    }

    /// The line at the end and the report's summary are about the same: 4.8 % of the machine beside 13.3 % of one of two
    /// CPUs, since an interval without a sample counted as free.
    #[test]
    fn an_interval_without_a_sample_costs_as_much_as_the_others() {
        let all = Sample { window_ns: 2_000_000_000, measured_ns: 50_000_000, shared_ns: 1, probes_ns: vec![50, 0] };
        assert_eq!(all.estimate(), Spent { shared_ns: 40, probes_ns: vec![2000, 0] });
    }

    #[test]
    fn a_measurement_is_in_shares_of_one_cpu() {
        let mut measured = Measured {
            programs_ns: 50,
            probes: vec![Ran::default(); 2],
            since_ns: 200,
            own_ns: 10,
            ..Measured::default()
        };
        measured.add(Owner::Shared, Ran { runs: 1, ns: 1 });
        measured.add(Owner::Probe(1), Ran { runs: 5, ns: 25 });
        let expected = Measurement {
            at_ns: 7,
            shared: 0.02,
            own: 0.05,
            probes: vec![
                Spending { rows: 1e7, ..Spending::default() },
                Spending { programs: 0.5, runs: 1e8, rows: 0.0 },
            ],
        };
        assert_eq!(measured.shares(7, &[2, 0]), expected);
        assert_eq!(Measured::default().shares(7, &[]), Measurement { at_ns: 7, ..Measurement::default() });
    }

    #[test]
    fn a_sample_stands_for_the_whole() {
        assert_eq!(scaled(50, 1_000_000_000, 50_000_000), 1000);
        assert_eq!(scaled(50, 1_000_000_000, 0), 0);
    }
}
