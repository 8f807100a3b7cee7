//! Where a side has repeats, each recording is one observation.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::diff::compare::Change;
use crate::diff::compare::Compared;
use crate::diff::compare::Design;
use crate::diff::compare::LEAST_DEVIATION;
use crate::diff::compare::adjust;
use crate::diff::compare::family;
use crate::diff::compare::is_own;
use crate::diff::compare::is_worth;
use crate::diff::compare::log;
use crate::diff::compare::offset;
use crate::diff::compare::unlog;
use crate::diff::expression::Selection;
use crate::diff::item::Measured;
use crate::diff::observe::Observed;
use crate::diff::quantity::Name;
use crate::diff::quantity::Quantity;
use crate::diff::quantity::Statistic;
use crate::diff::sides::Which;
use crate::diff::statistics::Arrangements;
use crate::diff::statistics::Difference;
use crate::diff::statistics::Family;
use crate::diff::statistics::Sample;
use crate::diff::statistics::mean;
use crate::diff::statistics::welch;
use crate::spill::Sorter;
use crate::units::Unit;

/// Numbers that are held in memory, those of all quantities and recordings together; the others go to a temporary file.
const MOST_BYTES: usize = 24 << 20;
/// About what a number takes in memory: names are shared within a recording.
const NUMBER_BYTES: usize = 160;
/// Nanoseconds per second, and occurrences of a window, below which a quantity of one recording is taken for nothing.
const LEAST_TIME: f64 = 2e4;
const LEAST_COUNT: f64 = 2.0;
const SPILLED: &str = "can't put numbers into a temporary file";

/// The numbers of one quantity, one for each recording; what a recording does not have is `None`.
#[derive(Clone, Debug, Default)]
struct Numbers {
    unit: Option<Unit>,
    before: Vec<Option<Measured>>,
    after: Vec<Option<Measured>>,
}

impl Numbers {
    fn put(&mut self, which: Which, at: usize, unit: Unit, measured: Option<Measured>) {
        self.unit = Some(unit);
        let values = if which == Which::Before { &mut self.before } else { &mut self.after };
        values.resize(at.max(values.len()), None);
        values.push(measured);
    }
}

/// A number of one quantity in one recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Number {
    quantity: Quantity,
    which: Which,
    /// The recording's place on its side.
    at: u32,
    unit: Unit,
    measured: Measured,
}

impl Number {
    fn key(&self) -> (&Quantity, Which, u32) {
        (&self.quantity, self.which, self.at)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Number {}

/// All quantities of all recordings, one number each: what is in memory does not grow with their number.
pub(super) struct Repeats<'s> {
    numbers: Sorter<Number>,
    selections: &'s [Selection],
    selected: Vec<Numbers>,
    /// Lengths of the windows of each side, in seconds.
    seconds: [Vec<f64>; 2],
}

impl<'s> Repeats<'s> {
    pub(super) fn new(selections: &'s [Selection]) -> Repeats<'s> {
        let selected = selections.iter().map(|_| Numbers::default()).collect();
        Repeats { numbers: Sorter::new(MOST_BYTES), selections, selected, seconds: [Vec::new(), Vec::new()] }
    }

    /// Adds the next recording of a side.
    pub(super) fn add(&mut self, which: Which, observed: &Observed) {
        let seconds: f64 = observed.seconds.iter().sum();
        let lengths = &mut self.seconds[which as usize];
        let at = lengths.len();
        lengths.push(seconds);
        for (name, item) in &observed.items {
            for statistic in item.statistics() {
                let measured =
                    item.measure(statistic, seconds).filter(|measured| is_something(statistic, *measured, seconds));
                if let Some(measured) = measured {
                    let quantity = Quantity { name: name.clone(), statistic };
                    let (at, unit) = (u32::try_from(at).unwrap_or(u32::MAX), statistic.unit(item.nature.unit));
                    self.numbers.push(Number { quantity, which, at, unit, measured }, NUMBER_BYTES);
                }
            }
        }
        for ((selection, item), numbers) in self.selections.iter().zip(&observed.selected).zip(&mut self.selected) {
            if let Some(item) = item {
                let unit = selection.statistic.unit(item.nature.unit);
                numbers.put(which, at, unit, item.measure(selection.statistic, seconds));
            }
        }
    }

    /// Tests all of those that are to be compared.
    ///
    /// # Errors
    /// Numbers can't be put into a temporary file, or read back.
    pub(super) fn compared(
        self,
        arrangements: Option<Arrangements>,
        is_compared: impl Fn(&Name) -> bool,
    ) -> Result<(Design, Compared)> {
        let mut families: BTreeMap<Family, (Vec<Change>, Vec<Sample>)> = BTreeMap::new();
        let mut own = Vec::new();
        let seconds = &self.seconds;
        let mut add = |quantity: Quantity, numbers: &Numbers| {
            let Some((mut change, sample)) = compared(quantity, numbers, seconds) else { return };
            if is_own(&change.quantity.name) {
                own.push(change);
            } else if is_enough(&change.quantity, numbers, seconds) {
                let (changes, samples) = families.entry(family(&change.quantity)).or_default();
                // Samples are kept for arrangements only, which few recordings have.
                match &arrangements {
                    Some(_) => samples.push(sample),
                    None => change.difference = Some(welch(&sample)),
                }
                changes.push(change);
            }
        };
        let sorted = self.numbers.finish().context(SPILLED)?;
        let mut current: Option<(Quantity, Numbers)> = None;
        for number in sorted.iter().context(SPILLED)? {
            let Number { quantity, which, at, unit, measured } = number.context(SPILLED)?;
            if !is_compared(&quantity.name) {
                continue;
            }
            if current.as_ref().is_none_or(|(own, _)| *own != quantity)
                && let Some((own, numbers)) = current.replace((quantity, Numbers::default()))
            {
                add(own, &numbers);
            }
            if let Some((_, numbers)) = &mut current {
                numbers.put(which, usize::try_from(at).unwrap_or(0), unit, Some(measured));
            }
        }
        if let Some((own, numbers)) = current {
            add(own, &numbers);
        }
        // Very many quantities in very many arrangements are too much for memory.
        let all = families.values().map(|(_, samples)| samples.len()).max().unwrap_or(0);
        let arrangements = arrangements.filter(|arrangements| arrangements.fit(all));
        let test = |sample: &Sample| arrangements.as_ref().map_or_else(|| welch(sample), |all| all.difference(sample));
        let mut tested = Vec::new();
        for (family, (mut changes, samples)) in families {
            for (change, sample) in changes.iter_mut().zip(&samples) {
                change.difference = Some(test(sample));
            }
            let chances = match &arrangements {
                Some(all) => all.pooled(&samples),
                None => changes.iter().map(|change| change.difference.map_or(1.0, |difference| difference.p)).collect(),
            };
            for (change, adjusted) in changes.iter_mut().zip(family.adjusted(&chances)) {
                change.adjusted = adjusted;
            }
            tested.append(&mut changes);
        }
        let selected = named_in_advance(self.selections, &self.selected, &self.seconds, test);
        let design = arrangements.map_or(Design::Welch, Design::Exact);
        Ok((design, Compared { tested, own, selected }))
    }
}

/// What expressions name is tested by itself: a question that was asked in advance is not one of hundreds.
fn named_in_advance(
    selections: &[Selection],
    numbers: &[Numbers],
    seconds: &[Vec<f64>; 2],
    test: impl Fn(&Sample) -> Difference,
) -> Vec<Option<Change>> {
    let mut changes: Vec<Option<Change>> = selections
        .iter()
        .zip(numbers)
        .map(|(selection, numbers)| {
            // What no recording measured is not nothing on both sides.
            numbers.before.iter().chain(&numbers.after).flatten().next()?;
            let quantity = Quantity { name: selection.name.clone(), statistic: selection.statistic };
            let (mut change, sample) = compared(quantity, numbers, seconds)?;
            change.difference = Some(test(&sample));
            Some(change)
        })
        .collect();
    adjust(&mut changes);
    changes
}

fn is_something(statistic: Statistic, measured: Measured, seconds: f64) -> bool {
    match statistic {
        Statistic::Time => measured.value >= LEAST_TIME,
        Statistic::Rate => measured.value * seconds >= LEAST_COUNT,
        _ => measured.value > 0.0,
    }
}

/// The numbers of a side; what is not there is nothing, except for percentiles, which are then not known.
fn known(values: &[Option<Measured>], recordings: usize, statistic: Statistic) -> Option<Vec<Measured>> {
    let at = |at: usize| values.get(at).copied().flatten();
    let is_amount = statistic.is_amount();
    (0..recordings).map(|recording| at(recording).or(is_amount.then(Measured::default))).collect()
}

/// Both sides' numbers as logarithms, and what they come to.
fn compared(quantity: Quantity, numbers: &Numbers, seconds: &[Vec<f64>; 2]) -> Option<(Change, Sample)> {
    let statistic = quantity.statistic;
    let [length_before, length_after] = seconds;
    let before = known(&numbers.before, length_before.len(), statistic)?;
    let after = known(&numbers.after, length_after.len(), statistic)?;
    let all = || before.iter().chain(&after);
    let offset = offset(statistic, (mean(length_before) + mean(length_after)) / 2.0);
    let logs = |side: &[Measured]| side.iter().map(|own| log(own.value, offset)).collect::<Vec<f64>>();
    let chances: Vec<f64> = all().filter_map(|own| own.chance()).collect();
    let wholes: Vec<f64> = all().map(|own| own.whole).filter(|whole| *whole > 0.0).collect();
    let sample = Sample {
        before: logs(&before),
        after: logs(&after),
        floor: (LEAST_DEVIATION.powi(2) + mean(&chances)).sqrt(),
        // Either side's percentile may be off by so much.
        error: 2.0 * all().map(|own| own.error).fold(0.0, f64::max).ln_1p(),
    };
    let change = Change {
        unit: numbers.unit?,
        before: unlog(mean(&sample.before), offset),
        after: unlog(mean(&sample.after), offset),
        difference: None,
        adjusted: 1.0,
        whole: mean(&wholes),
        quantity,
    };
    Some((change, sample))
}

fn is_enough(quantity: &Quantity, numbers: &Numbers, seconds: &[Vec<f64>; 2]) -> bool {
    let recordings = seconds.iter().map(Vec::len).sum::<usize>() as f64;
    let all = || numbers.before.iter().chain(&numbers.after).flatten();
    let value = all().map(|own| own.value).sum::<f64>() / recordings;
    let is_sampled = all().any(|own| own.events.is_some());
    let events = is_sampled.then(|| all().filter_map(|own| own.events).sum::<f64>() / recordings);
    let length = seconds.iter().flatten().sum::<f64>() / recordings;
    is_worth(quantity.statistic, value, events, length)
}
