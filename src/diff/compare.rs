//! Measures every quantity on both sides and tests the differences.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::diff::DiffPlan;
use crate::diff::common::Common;
use crate::diff::compare::repeats::Repeats;
use crate::diff::compare::within::Runs;
use crate::diff::conditions::Conditions;
use crate::diff::expression::Selection;
use crate::diff::ledger::LEDGER;
use crate::diff::ledger::ON_CPU;
use crate::diff::ledger::RUNNABLE;
use crate::diff::observe::COST_OWN;
use crate::diff::observe::COST_PROGRAMS;
use crate::diff::observe::CPU_SELF;
use crate::diff::observe::CPU_TOTAL;
use crate::diff::observe::LOST;
use crate::diff::observe::Observed;
use crate::diff::quantity::Name;
use crate::diff::quantity::Quantity;
use crate::diff::quantity::Statistic;
use crate::diff::sides::Side;
use crate::diff::sides::Which;
use crate::diff::statistics::Arrangements;
use crate::diff::statistics::CONFIDENCE;
use crate::diff::statistics::Difference;
use crate::diff::statistics::FALSE_DISCOVERY;
use crate::diff::statistics::Family;
use crate::diff::statistics::adjusted;
use crate::diff::stretches::Stretches;
use crate::failure::Failure;
use crate::render::LeftOut;
use crate::report::read::input::Source;
use crate::report::read::metrics::RUN_QUEUE;
use crate::units;
use crate::units::Unit;

mod repeats;
mod within;

/// Repeats a side from which on the recording is the observation.
pub(super) const REPEATS: usize = 3;
/// Standard deviation between runs of one thing that a single run can't show: 10 %. Throughput differs less on a quiet machine, latencies and
/// waits differ more on a busy one.
pub(super) const BETWEEN_RUNS: f64 = 0.1;
/// The same of waits for devices and others, and of percentiles.
pub(super) const BETWEEN_RUNS_WAITS: f64 = 0.2;
/// The same of waits for a CPU, which are the neighbours' doing.
pub(super) const BETWEEN_RUNS_CPU: f64 = 0.5;
/// The least such deviation of time, in nanoseconds per second: 2 ms/s. The timers of an idle server took 4 to 12 ms/s of a CPU in runs of
/// the same thing, by how warm the caches were that they found.
pub(super) const BETWEEN_RUNS_SMALL: f64 = 2e6;
/// Standard deviation between repeats at the least: 1 %.
const LEAST_DEVIATION: f64 = 0.01;
/// Stretches of a window that are kept at the most.
const MOST_STRETCHES: usize = 64;

/// How the sides are compared.
#[derive(Clone, Debug)]
pub(super) enum Design {
    /// Recordings are the observations, in all arrangements of the labels.
    Exact(Arrangements),
    /// Recordings are the observations, by Welch's test.
    Welch,
    /// The intervals of the recordings are: one recording says nothing of other runs.
    WithinRuns {
        /// Intervals or joined ones, of both sides.
        stretches: [usize; 2],
    },
}

/// What became of one quantity.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Which.
    pub(super) quantity: Quantity,
    /// What its values measure.
    pub(super) unit: Unit,
    /// On the geometric mean, since differences are ratios.
    pub(super) before: f64,
    /// The same after.
    pub(super) after: f64,
    /// Of the logarithms; `None` where too little is known to test it.
    pub(super) difference: Option<Difference>,
    /// Adjusted for everything that was tested.
    pub(super) adjusted: f64,
    /// Nanoseconds per second of what a share is of, on both sides together.
    pub(super) whole: f64,
}

impl Change {
    /// After less before.
    pub(super) fn absolute(&self) -> f64 {
        self.after - self.before
    }

    /// In hundredths; `None` for what is new.
    pub(super) fn percent(&self) -> Option<f64> {
        (self.before > 0.0).then(|| 100.0 * (self.after / self.before - 1.0))
    }

    /// The confidence interval in hundredths; `None` for what is new or not tested.
    pub(super) fn interval(&self) -> Option<(f64, f64)> {
        let percent = |log: f64| 100.0 * log.exp_m1();
        self.difference
            .filter(|_| self.before > 0.0)
            .map(|difference| (percent(difference.low), percent(difference.high)))
    }

    /// Whether chance is not the explanation.
    pub(super) fn is_significant(&self) -> bool {
        self.difference.is_some() && self.adjusted <= FALSE_DISCOVERY
    }

    /// Whether chance is not the explanation, of what was named in advance.
    pub(super) fn is_significant_alone(&self) -> bool {
        self.difference.is_some() && self.adjusted <= 1.0 - CONFIDENCE
    }

    /// Whether nobody would act on it: less than 2 % or a thousandth of a CPU of time, less than 5 % of anything else.
    pub(super) fn is_small(&self) -> bool {
        let percent = self.percent().map_or(f64::INFINITY, f64::abs);
        match self.quantity.statistic {
            Statistic::Time | Statistic::Share => percent < 2.0 || self.effect().abs() < 1e6,
            Statistic::Length => percent < 2.0,
            _ => percent < 5.0,
        }
    }

    /// Seconds per second that it is about, in nanoseconds; zero for what is no time.
    pub(super) fn effect(&self) -> f64 {
        match self.quantity.statistic {
            Statistic::Time => self.absolute(),
            Statistic::Share => self.absolute() / 100.0 * self.whole,
            _ => 0.0,
        }
    }
}

/// Everything that was found.
pub(super) struct Comparison {
    pub(super) design: Design,
    /// Recordings a side.
    pub(super) recordings: [usize; 2],
    pub(super) conditions: Conditions,
    /// All quantities that were tested.
    pub(super) tested: Vec<Change>,
    /// What the recordings say of themselves, which is not tested.
    pub(super) own: Vec<Change>,
    /// What the expressions select, in their order; `None` where neither side has it.
    pub(super) selected: Vec<Option<Change>>,
    /// How many functions are below a function, by the name of its total.
    pub(super) depths: BTreeMap<Name, usize>,
    /// The side that did not measure what the expressions select, in their order.
    pub(super) lacking: Vec<Option<Which>>,
    /// The names of all metrics on either side with the statistics that they have, where an expression needs them.
    pub(super) names: BTreeMap<Name, BTreeSet<Statistic>>,
    /// Recordings that could not be opened.
    pub(super) left_out: Vec<LeftOut>,
}

impl Comparison {
    /// The changes that are significant and not small: those of time by their effect, then the others by their ratio.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Change> {
        self.tested.iter().filter(|change| change.is_significant() && !change.is_small())
    }
}

/// The compared quantities.
pub(super) struct Compared {
    tested: Vec<Change>,
    own: Vec<Change>,
    selected: Vec<Option<Change>>,
}

/// Reads both sides and compares them.
///
/// # Errors
/// A recording can't be read, or has more names than fit into memory.
pub(super) fn compare(plan: &DiffPlan, sides: &[Side; 2], selections: &[Selection]) -> Result<Comparison> {
    let is_within = sides.iter().any(|side| side.len() < REPEATS);
    let mut repeats = Repeats::new(selections);
    let mut runs = [Runs::default(), Runs::default()];
    let mut conditions = Conditions::default();
    let mut common = Common::default();
    let (mut left_out, mut recordings) = (Vec::new(), [0, 0]);
    let (mut names, mut depths): (BTreeMap<Name, BTreeSet<Statistic>>, _) = (BTreeMap::new(), BTreeMap::new());
    for (which, side) in [Which::Before, Which::After].into_iter().zip(sides) {
        let most = (MOST_STRETCHES / side.len()).max(1);
        side.each(&plan.filter, &mut left_out, |source| {
            if source.filters_times() && source.span_ns() <= 0 {
                return Err(outside(source).into());
            }
            conditions.add(which, source)?;
            let stretches = if is_within { Stretches::intervals(source, most) } else { Stretches::whole(source) };
            common.add(which, source);
            let observed = Observed::of(source, stretches, plan, selections)?;
            depths.extend(observed.depths.iter().map(|(name, depth)| (name.clone(), *depth)));
            for (name, item) in observed.items.iter().filter(|_| !selections.is_empty()) {
                names.entry(name.clone()).or_default().extend(item.statistics());
            }
            let [before, after] = &mut runs;
            match (is_within, which) {
                (true, Which::Before) => before.append(observed),
                (true, Which::After) => after.append(observed),
                (false, _) => repeats.add(which, &observed),
            }
            recordings[which as usize] += 1;
            Ok(())
        })?;
    }
    if !is_within && recordings.iter().any(|number| *number < REPEATS) {
        let few = format!("fewer than {REPEATS} recordings of a side can be opened");
        let reasons: Vec<&str> = left_out.iter().map(|file| file.reason.as_str()).collect();
        return Err(Failure::run(few).hint(reasons.join("; ")).into());
    }
    runs.iter_mut().for_each(|runs| runs.retain(|name| common.has(name)));
    let [before, after] = recordings;
    let (design, outcome) = match (is_within, Arrangements::of(before, after)) {
        (true, _) => {
            let stretches = [runs[0].seconds.len(), runs[1].seconds.len()];
            (Design::WithinRuns { stretches }, within::compared(&runs, selections))
        }
        (false, arrangements) => repeats.compared(arrangements, |name| common.has(name))?,
    };
    let Compared { mut tested, own, selected } = outcome;
    let weight =
        |change: &Change| (change.effect().abs(), change.difference.map_or(0.0, |difference| difference.log.abs()));
    tested.sort_by(|a, b| {
        let ((effect_a, ratio_a), (effect_b, ratio_b)) = (weight(a), weight(b));
        effect_b.total_cmp(&effect_a).then(ratio_b.total_cmp(&ratio_a)).then_with(|| a.quantity.cmp(&b.quantity))
    });
    // Only functions that were tested are asked for.
    depths.retain(|name, _| tested.iter().any(|change| change.quantity.name == *name));
    let lacking = selections.iter().map(|selection| common.lacks(&selection.name)).collect();
    Ok(Comparison { design, recordings, conditions, tested, own, selected, lacking, depths, names, left_out })
}

/// Nothing was recorded between `--from` and `--to`: numbers of nothing would compare equal.
fn outside(source: &Source) -> Failure {
    let length = units::duration(source.meta().window.actual_ns);
    let file = source.recording().path().display();
    let message = format!("no interval of '{file}' is between --from and --to: its window is {length} long");
    Failure::usage(message).hint("choose a part that every recording has; 'ebrec info FILE' shows the window")
}

/// Whether a quantity is about the recording and not about what was recorded.
fn is_own(name: &Name) -> bool {
    [LOST, COST_PROGRAMS, COST_OWN].contains(&&*name.metric)
}

/// Which quantities a quantity is tested with.
fn family(quantity: &Quantity) -> Family {
    let is_ledger = quantity.name.metric.starts_with(LEDGER) || quantity.statistic == Statistic::Length;
    if is_ledger { Family::Ledger } else { Family::Others }
}

/// By how much runs of one thing are taken to differ by themselves, as a standard deviation of the logarithm; `mean` is that of both sides.
fn between_runs(quantity: &Quantity, mean: f64) -> f64 {
    let part = match &*quantity.name.metric {
        RUNNABLE | RUN_QUEUE => BETWEEN_RUNS_CPU,
        ON_CPU | CPU_SELF | CPU_TOTAL => BETWEEN_RUNS,
        _ if matches!(quantity.statistic, Statistic::Rate | Statistic::Bytes | Statistic::Length) => BETWEEN_RUNS,
        _ => BETWEEN_RUNS_WAITS,
    };
    match quantity.statistic {
        Statistic::Time => part.max(BETWEEN_RUNS_SMALL / mean.max(1.0)),
        _ => part,
    }
}

/// What is added before a logarithm is taken, so that nothing and next to nothing are the same.
fn offset(statistic: Statistic, seconds: f64) -> f64 {
    match statistic {
        Statistic::Time => 5e4,
        Statistic::Share => 0.05,
        Statistic::Rate => 0.5 / seconds.max(1e-9),
        Statistic::Bytes => 1024.0,
        Statistic::Percentile(_) | Statistic::Length => 0.5,
    }
}

/// Whether there is enough of a quantity to be worth a test; both sides together decide, so that the choice does not favour differences.
fn is_worth(statistic: Statistic, mean: f64, events: Option<f64>, seconds: f64) -> bool {
    match statistic {
        Statistic::Time => mean >= 2.5e5 && events.is_none_or(|events| events >= 10.0),
        Statistic::Share => events.is_none_or(|events| events >= 10.0),
        Statistic::Rate => mean * seconds >= 10.0,
        Statistic::Bytes => mean >= 4096.0,
        Statistic::Percentile(_) | Statistic::Length => true,
    }
}

/// The logarithm of a value, and that value back.
fn log(value: f64, offset: f64) -> f64 {
    (value.max(0.0) + offset).ln()
}

fn unlog(log: f64, offset: f64) -> f64 {
    let value = log.exp() - offset;
    // The logarithm of nothing comes back with an error of rounding.
    if value < 1e-9 * offset { 0.0 } else { value }
}

/// Adjusts the chances of what expressions name for their number.
fn adjust(changes: &mut [Option<Change>]) {
    let chances: Vec<f64> = changes.iter().flatten().filter_map(|change| Some(change.difference?.p)).collect();
    let tested = changes.iter_mut().flatten().filter(|change| change.difference.is_some());
    for (change, adjusted) in tested.zip(adjusted(&chances)) {
        change.adjusted = adjusted;
    }
}
