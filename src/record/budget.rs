//! `--max-overhead`: holds what recording costs to a part of one CPU, by thinning the probes that cost most.
//!
//! A [`Budget`] is given measurements and answers with steps; it touches neither the kernel nor a clock. Costs are shares of one CPU,
//! where 1 is all of it.

use crate::probe::Thins;

/// The most that a probe is thinned: 1 in 1,024.
const MOST_SHIFT: u8 = 10;
/// What is aimed at when the cost is over the budget: the next measurement will not be the same.
const AIM: f64 = 0.9;
/// Where what can't be thinned takes the budget by itself, the rest is not thinned below this part of it.
const LEAST_ROOM: f64 = 0.25;
/// A probe is not thinned for less than this part of the budget.
const LEAST_GAIN: f64 = 0.05;
/// Events are let in again when the cost would stay below this part of the budget.
const BACK_TO: f64 = 0.7;
/// So many measurements in a row have to allow that; each time it was too early, twice as many.
const PATIENCE: u32 = 8;
const MOST_PATIENCE: u32 = 256;
/// A budget that holds within a fifth holds.
const TOLERANCE: f64 = 1.2;
/// A probe whose programs cost too much even where they do nothing is detached after so many measurements in a row over the budget.
const LAST_RESORT: u32 = 12;
/// Steps that are noted of a probe; after that its events are not let in again.
const MOST_STEPS: usize = 64;
/// A run that takes no event, with the clock reads of the kernel's statistics, before it was measured.
const EMPTY_RUN_NS: f64 = 30.0;
/// What such a run costs follows from the mean once so few events are taken; with more, other causes move the mean as much.
const FEW_SHIFT: u8 = 4;
/// What a row takes in the program that writes it.
const ROW_NS: f64 = 100.0;
/// ebrec's own work that no row causes, in rows a second that cost as much.
const OTHER_WORK_ROWS: f64 = 25_000.0;
/// At the beginning of the window ebrec reads processes and the tables of their programs, which no thinning makes less.
const SETTLING_NS: u64 = 1_000_000_000;

/// What recording cost for a while.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Measurement {
    /// When it was made, in nanoseconds of CLOCK_MONOTONIC.
    pub(super) at_ns: u64,
    /// In programs that all probes share.
    pub(super) shared: f64,
    /// ebrec's own CPU time.
    pub(super) own: f64,
    /// Each probe's, in the order of attachment.
    pub(super) probes: Vec<Spending>,
}

/// What a probe cost for a while.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Spending {
    /// In its programs.
    pub(super) programs: f64,
    /// Runs of its programs in a second.
    pub(super) runs: f64,
    /// Rows that it streamed in a second.
    pub(super) rows: f64,
}

/// A change to how a probe is thinned, and what for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// When, in nanoseconds of CLOCK_MONOTONIC.
    pub(super) at_ns: u64,
    /// From then on.
    pub(super) to: Thinning,
    /// What all of recording cost before.
    pub(super) cost: f64,
}

/// How a probe is thinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinning {
    /// One in 2^shift events, or rows, is taken.
    Shift(u8),
    /// None is any more.
    Detached,
}

/// What the measurements said so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Held {
    /// How many there were.
    pub(super) measured: u32,
    /// How many of them were over the budget by more than a fifth.
    pub(super) over: u32,
    /// The highest cost.
    pub(super) highest: f64,
    /// The sum of all costs.
    pub(super) sum: f64,
}

/// A budget, and the probes that are thinned to hold it.
#[derive(Debug)]
pub(super) struct Budget {
    most: f64,
    start_ns: u64,
    probes: Vec<Probe>,
    held: Held,
    /// Measurements in a row that were over the budget, and that allowed more events.
    over: u32,
    calm: u32,
    patience: u32,
    /// Events were let in again by the last step.
    went_back: bool,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    thins: Thins,
    shift: u8,
    /// The highest shift since it was asked for.
    highest: u8,
    is_detached: bool,
    steps: usize,
    /// A run on average, in nanoseconds, while all events are taken; and one that takes none.
    full_ns: f64,
    empty_ns: f64,
}

impl Probe {
    fn new(thins: Thins) -> Probe {
        Probe { thins, shift: 0, highest: 0, is_detached: false, steps: 0, full_ns: 0.0, empty_ns: EMPTY_RUN_NS }
    }

    /// Learns what runs cost. Of 2^n runs one takes an event: their mean is e + (f - e) / 2^n, so e follows from f and that.
    fn learn(&mut self, spending: &Spending) {
        if spending.runs <= 0.0 {
            return;
        }
        let mean_ns = spending.programs * 1e9 / spending.runs;
        if self.shift == 0 {
            self.full_ns = mean_ns;
        } else if self.shift >= FEW_SHIFT {
            let all = f64::from(1u32 << self.shift);
            self.empty_ns = ((mean_ns * all - self.full_ns) / (all - 1.0)).clamp(0.0, mean_ns);
        }
    }

    /// What runs cost that take no event.
    fn empty(&self, spending: &Spending) -> f64 {
        spending.runs * self.empty_ns / 1e9
    }
}

impl Budget {
    /// A budget of `most` of one CPU for a window that begins at `start_ns`; the probes are in the order of attachment.
    pub(super) fn new(most: f64, start_ns: u64, probes: impl IntoIterator<Item = Thins>) -> Budget {
        Budget {
            most,
            start_ns,
            probes: probes.into_iter().map(Probe::new).collect(),
            held: Held::default(),
            over: 0,
            calm: 0,
            patience: PATIENCE,
            went_back: false,
        }
    }

    /// What the measurements said so far.
    pub(super) fn held(&self) -> Held {
        self.held
    }

    /// For how many events one stood at the most since the call before, where totals are of such; 1 for a probe whose totals are exact.
    pub(super) fn take_weight(&mut self, probe: usize) -> u64 {
        let Some(probe) = self.probes.get_mut(probe).filter(|probe| probe.thins == Thins::Events) else { return 1 };
        1 << std::mem::replace(&mut probe.highest, probe.shift)
    }

    /// Takes a measurement, and gives what is to be done: probes by their place in the order of attachment.
    pub(super) fn measured(&mut self, now: &Measurement) -> Vec<(usize, Step)> {
        self.probes.iter_mut().zip(&now.probes).for_each(|(probe, spending)| probe.learn(spending));
        let (costs, total) = self.costs(now);
        self.held.measured += 1;
        self.held.over += u32::from(total > self.most * TOLERANCE);
        self.held.highest = self.held.highest.max(total);
        self.held.sum += total;
        let before: Vec<u8> = self.probes.iter().map(|probe| probe.shift).collect();
        let mut detached = None;
        if total > self.most {
            self.calm = 0;
            self.over += 1;
            self.thin(costs.clone(), total);
            if self.probes.iter().zip(&before).any(|(probe, before)| probe.shift != *before) {
                if std::mem::take(&mut self.went_back) {
                    self.patience = (self.patience * 2).min(MOST_PATIENCE);
                }
            } else if self.over >= LAST_RESORT && total > self.most * TOLERANCE {
                detached = self.detach(now);
                self.over = 0;
            }
        } else {
            self.over = 0;
            self.let_in(&costs, total);
        }
        let step = |to| Step { at_ns: now.at_ns, to, cost: total };
        let thinned =
            self.probes.iter_mut().zip(before).enumerate().filter(|(_, (probe, before))| probe.shift != *before);
        let mut steps: Vec<(usize, Step)> = thinned
            .map(|(at, (probe, _))| {
                probe.steps += 1;
                probe.highest = probe.highest.max(probe.shift);
                (at, step(Thinning::Shift(probe.shift)))
            })
            .collect();
        steps.extend(detached.map(|at| (at, step(Thinning::Detached))));
        steps
    }

    /// What thinning a probe once more would halve, for each, and the cost of everything.
    fn costs(&self, now: &Measurement) -> (Vec<f64>, f64) {
        let rows: f64 = now.probes.iter().map(|spending| spending.rows).sum();
        let per_row = now.own / (rows + OTHER_WORK_ROWS);
        let settling = now.at_ns.saturating_sub(self.start_ns) < SETTLING_NS;
        let own = if settling { per_row * rows } else { now.own };
        let cost = |(probe, spending): (&Probe, &Spending)| {
            let rows = spending.rows * per_row;
            match probe.thins {
                _ if probe.is_detached => 0.0,
                Thins::Nothing => 0.0,
                Thins::Rows => rows + spending.rows * ROW_NS / 1e9,
                Thins::Events => rows + (spending.programs - probe.empty(spending)).max(0.0),
            }
        };
        let programs: f64 = now.probes.iter().map(|spending| spending.programs).sum();
        (self.probes.iter().zip(&now.probes).map(cost).collect(), now.shared + own + programs)
    }

    /// Thins the costliest until the rest fits.
    fn thin(&mut self, mut costs: Vec<f64>, total: f64) {
        let fixed = total - costs.iter().sum::<f64>();
        let room = (self.most * AIM - fixed).max(self.most * LEAST_ROOM);
        while costs.iter().sum::<f64>() > room {
            let costliest = costs
                .iter_mut()
                .zip(&mut self.probes)
                .filter(|(_, probe)| probe.shift < MOST_SHIFT)
                .max_by(|(one, _), (other, _)| one.total_cmp(other));
            let Some((cost, probe)) = costliest.filter(|(cost, _)| **cost / 2.0 >= self.most * LEAST_GAIN) else {
                return;
            };
            *cost /= 2.0;
            probe.shift += 1;
        }
    }

    /// Takes off the costliest of the probes whose programs run for each event, where what they cost without taking one is too much.
    fn detach(&mut self, now: &Measurement) -> Option<usize> {
        let room = self.most * LEAST_ROOM;
        let probes = self.probes.iter_mut().zip(&now.probes).enumerate();
        let costliest = probes
            .filter(|(_, (probe, _))| probe.thins == Thins::Events && !probe.is_detached)
            .max_by(|(_, (_, one)), (_, (_, other))| one.programs.total_cmp(&other.programs));
        let (at, (probe, _)) =
            costliest.filter(|(_, (probe, spending))| probe.shift >= FEW_SHIFT && probe.empty(spending) > room)?;
        probe.is_detached = true;
        Some(at)
    }

    /// Lets in twice as many events of the probe for which that costs least, once the cost has been low for a while.
    fn let_in(&mut self, costs: &[f64], total: f64) {
        let thinned = self.probes.iter_mut().zip(costs);
        let cheapest = thinned
            .filter(|(probe, _)| probe.shift > 0 && !probe.is_detached && probe.steps < MOST_STEPS)
            .min_by(|(_, one), (_, other)| one.total_cmp(other));
        // A probe that cost nothing lately may well do when it takes more.
        let Some((probe, _)) = cheapest.filter(|(_, cost)| total + **cost < self.most * BACK_TO) else {
            self.calm = 0;
            return;
        };
        self.calm += 1;
        if self.calm >= self.patience {
            (self.calm, self.went_back) = (0, true);
            probe.shift -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;
    use super::MOST_SHIFT;
    use super::Measurement;
    use super::Spending;
    use super::Step;
    use super::Thinning;
    use crate::probe::Thins;

    const MS: u64 = 1_000_000;

    /// A machine on which calls and switches happen: what recording them costs while so many of each are taken.
    struct Machine {
        budget: Budget,
        at_ns: u64,
        calls: f64,
        raw_rows: f64,
        switches: f64,
        shifts: [u8; 3],
        detached: bool,
    }

    impl Machine {
        /// The probes are one of calls, one of raw rows, and one that can't be thinned.
        fn new(most: f64) -> Machine {
            let budget = Budget::new(most, 0, [Thins::Events, Thins::Rows, Thins::Nothing]);
            Machine {
                budget,
                at_ns: 2_000 * MS,
                calls: 0.0,
                raw_rows: 0.0,
                switches: 0.0,
                shifts: [0; 3],
                detached: false,
            }
        }

        fn cost(&self) -> Measurement {
            let one_in = |probe: usize| f64::from(1u32 << self.shifts[probe]);
            let per_call = if self.detached { 0.0 } else { 50.0 + 350.0 / one_in(0) };
            let runs = if self.detached { 0.0 } else { self.calls * 2.0 };
            let rows = self.raw_rows / one_in(1);
            Measurement {
                at_ns: self.at_ns,
                shared: 0.0001,
                own: 0.003 + rows * 130.0 / 1e9,
                probes: vec![
                    Spending { programs: self.calls * per_call / 1e9, runs, rows: 0.0 },
                    Spending { programs: self.raw_rows * 100.0 / 1e9 + rows * 100.0 / 1e9, runs: self.raw_rows, rows },
                    Spending { programs: self.switches * 300.0 / 1e9, runs: self.switches, rows: 0.0 },
                ],
            }
        }

        fn total(&self) -> f64 {
            let cost = self.cost();
            cost.shared + cost.own + cost.probes.iter().map(|spending| spending.programs).sum::<f64>()
        }

        fn run(&mut self, measurements: u32) -> Vec<(usize, Step)> {
            let mut all = Vec::new();
            for _ in 0..measurements {
                let steps = self.budget.measured(&self.cost());
                self.at_ns += 250 * MS;
                for (probe, step) in &steps {
                    match step.to {
                        Thinning::Shift(shift) => self.shifts[*probe] = shift,
                        Thinning::Detached => self.detached = true,
                    }
                }
                all.extend(steps);
            }
            all
        }
    }

    #[test]
    fn a_cost_within_the_budget_thins_nothing() {
        let mut machine = Machine { calls: 10_000.0, switches: 20_000.0, ..Machine::new(0.05) };
        assert_eq!(machine.run(100), []);
        let held = machine.budget.held();
        assert_eq!((held.measured, held.over), (100, 0));
        assert!(held.highest < 0.05 && (held.sum / 100.0 - held.highest).abs() < 1e-9);
    }

    #[test]
    fn a_storm_of_calls_is_thinned_in_one_step_until_it_fits_and_no_further() {
        let mut machine = Machine { calls: 300_000.0, ..Machine::new(0.05) };
        let steps = machine.run(40);
        assert!(steps.len() == 1 && steps[0].0 == 0, "{steps:?}");
        assert_eq!((steps[0].1.at_ns, steps[0].1.to), (2_000 * MS, Thinning::Shift(machine.shifts[0])));
        assert!((steps[0].1.cost - 0.1231).abs() < 1e-6, "{steps:?}");
        assert!(machine.total() <= 0.05 && machine.total() > 0.02, "{}", machine.total());
        assert_eq!(machine.budget.take_weight(0), 1 << machine.shifts[0]);
    }

    #[test]
    fn raw_rows_are_thinned_where_they_are_what_costs_and_their_totals_stay_exact() {
        let mut machine = Machine { raw_rows: 400_000.0, calls: 10_000.0, ..Machine::new(0.08) };
        let steps = machine.run(40);
        assert!(!steps.is_empty() && steps.iter().all(|(probe, _)| *probe == 1), "{steps:?}");
        assert!(machine.total() <= 0.08 * 1.2, "{}", machine.total());
        assert_eq!(machine.budget.take_weight(1), 1);
    }

    #[test]
    fn events_are_let_in_again_when_the_storm_is_over_and_more_carefully_each_time() {
        let mut machine = Machine { calls: 300_000.0, ..Machine::new(0.05) };
        machine.run(10);
        let high = machine.shifts[0];
        machine.calls = 1000.0;
        assert_eq!(machine.run(7), [], "not before two seconds have passed");
        assert_eq!(machine.run(1).len(), 1);
        machine.run(200);
        assert_eq!(machine.shifts[0], 0);
        // Storms that begin as soon as events are let in.
        let mut times = 0;
        for _ in 0..2_000 {
            machine.calls = if machine.shifts[0] < high { 300_000.0 } else { 1000.0 };
            times += machine.run(1).len();
        }
        assert!(times < 40, "{times} steps in {} s", 2_000 / 4);
    }

    #[test]
    fn what_was_thinned_within_an_interval_is_the_highest_weight_of_it() {
        let mut machine = Machine { calls: 300_000.0, ..Machine::new(0.05) };
        machine.run(4);
        let high = machine.shifts[0];
        machine.calls = 0.0;
        machine.run(200);
        assert_eq!((machine.budget.take_weight(0), machine.budget.take_weight(0)), (1 << high, 1));
    }

    #[test]
    fn a_cost_that_thinning_can_not_lower_leaves_the_rest_a_quarter_of_the_budget() {
        let mut machine = Machine { switches: 1_000_000.0, calls: 100_000.0, ..Machine::new(0.05) };
        machine.run(40);
        assert!(machine.shifts[0] > 0 && machine.shifts[0] < MOST_SHIFT, "{:?}", machine.shifts);
        assert!(!machine.detached, "taking off what costs little would not help");
        assert_eq!(machine.budget.held().over, 40);
    }

    #[test]
    fn a_probe_whose_programs_cost_too_much_without_taking_an_event_is_detached_in_the_end() {
        let mut machine = Machine { calls: 4_000_000.0, ..Machine::new(0.05) };
        let steps = machine.run(3);
        assert!(!machine.detached, "{steps:?}");
        let steps = machine.run(20);
        assert!(machine.detached, "{steps:?}");
        assert_eq!(steps.last().unwrap().1.to, Thinning::Detached);
        assert!(machine.total() < 0.05);
    }

    #[test]
    fn thinning_ends_where_only_the_runs_themselves_are_left() {
        // Runs that take nothing cost 1.5 % of a CPU, more than all of the budget.
        let mut machine = Machine { calls: 300_000.0, ..Machine::new(0.012) };
        let steps = machine.run(3);
        assert_eq!((machine.shifts[0], steps.len()), (6, 1), "{steps:?}");
    }

    #[test]
    fn the_start_of_the_window_thins_nothing_that_did_not_cost_it() {
        let mut budget = Budget::new(0.02, 0, [Thins::Events]);
        let busy = Measurement {
            at_ns: 50 * MS,
            shared: 0.0,
            own: 0.9,
            probes: vec![Spending { programs: 0.012, runs: 40_000.0, rows: 0.0 }],
        };
        assert_eq!(budget.measured(&busy), []);
    }

    #[test]
    fn a_recording_of_months_notes_a_bounded_number_of_steps() {
        let mut machine = Machine::new(0.05);
        let mut steps = 0;
        for second in 0..100_000u32 {
            machine.calls = if second % 1000 < 500 { 300_000.0 } else { 100.0 };
            steps += machine.run(1).len();
        }
        assert!(steps <= 74, "{steps}");
    }
}
