//! Where a side has no repeats, the intervals of its recordings are the observations.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::diff::compare::Change;
use crate::diff::compare::Compared;
use crate::diff::compare::LEAST_DEVIATION;
use crate::diff::compare::adjust;
use crate::diff::compare::between_runs;
use crate::diff::compare::family;
use crate::diff::compare::is_own;
use crate::diff::compare::is_worth;
use crate::diff::compare::log;
use crate::diff::compare::offset;
use crate::diff::compare::unlog;
use crate::diff::expression::Selection;
use crate::diff::item::Item;
use crate::diff::item::Measured;
use crate::diff::item::Whole;
use crate::diff::observe::Observed;
use crate::diff::quantity::Name;
use crate::diff::quantity::Quantity;
use crate::diff::quantity::Statistic;
use crate::diff::statistics::Difference;
use crate::diff::statistics::Family;
use crate::diff::statistics::blocks;
use crate::diff::statistics::standard_error;

/// The recordings of one side, one behind the other.
#[derive(Default)]
pub(super) struct Runs {
    items: BTreeMap<Name, Item>,
    selected: Vec<Option<Item>>,
    /// Lengths of all stretches.
    pub(super) seconds: Vec<f64>,
}

impl Runs {
    /// Puts another recording behind those before.
    pub(super) fn append(&mut self, observed: Observed) {
        let (before, more) = (self.seconds.len(), observed.seconds.len());
        if before == 0 {
            (self.items, self.selected, self.seconds) = (observed.items, observed.selected, observed.seconds);
            return;
        }
        let mut items = observed.items;
        // A recording in which a process ran without a function has its CPU time all the same.
        let (mut wholes, mut others) = (wholes_of(&self.items), wholes_of(&items));
        for (comm, whole) in &mut wholes {
            let joined = Whole::joined([Some(whole), others.remove(comm).as_deref()], [before, more]);
            *whole = joined.map_or_else(|| Rc::clone(whole), Rc::new);
        }
        for (comm, whole) in others {
            let joined = Whole::joined([None, Some(&whole)], [before, more]);
            wholes.insert(comm, joined.map_or(whole, Rc::new));
        }
        for (name, item) in &mut self.items {
            item.append(before, items.remove(name).as_ref(), more);
        }
        for (name, item) in items {
            let mut first = Item::new(item.nature, before);
            first.append(before, Some(&item), more);
            self.items.insert(name, first);
        }
        for (name, item) in self.items.iter_mut().filter(|(_, item)| item.whole.is_some()) {
            item.whole = name.label("comm").and_then(|comm| wholes.get(comm)).cloned();
        }
        for (own, other) in self.selected.iter_mut().zip(observed.selected) {
            if let Some(item) = own.as_mut() {
                item.append(before, other.as_ref(), more);
            } else if let Some(other) = other {
                let mut first = Item::new(other.nature, before);
                first.append(before, Some(&other), more);
                *own = Some(first);
            }
        }
        self.seconds.extend(observed.seconds);
    }

    /// Forgets what is not to be compared.
    pub(super) fn retain(&mut self, is_compared: impl Fn(&Name) -> bool) {
        self.items.retain(|name, _| is_compared(name));
    }

    fn length(&self) -> f64 {
        self.seconds.iter().sum()
    }
}

/// The CPU time of processes that functions are shares of.
fn wholes_of(items: &BTreeMap<Name, Item>) -> BTreeMap<Rc<str>, Rc<Whole>> {
    let of_process = items.iter().filter_map(|(name, item)| {
        let comm = name.labels.iter().find(|(column, _)| **column == *"comm").map(|(_, comm)| Rc::clone(comm))?;
        Some((comm, Rc::clone(item.whole.as_ref()?)))
    });
    of_process.collect()
}

/// Tests all quantities.
pub(super) fn compared(runs: &[Runs; 2], selections: &[Selection]) -> Compared {
    let [before, after] = runs;
    let (mut tested, mut own) = (Vec::new(), Vec::new());
    let names: BTreeSet<&Name> = before.items.keys().chain(after.items.keys()).collect();
    for name in names {
        let items = [before.items.get(name), after.items.get(name)];
        let statistics = items.iter().flatten().map(|item| item.statistics()).max_by_key(Vec::len).unwrap_or_default();
        for statistic in statistics {
            let quantity = Quantity { name: name.clone(), statistic };
            if is_own(name) {
                own.extend(change(quantity, items, runs).map(|change| Change { difference: None, ..change }));
            } else if is_enough(statistic, items, runs) {
                tested.extend(change(quantity, items, runs));
            }
        }
    }
    // What can't be tested is not a test.
    tested.retain(|change: &Change| change.difference.is_some());
    for of in Family::ALL {
        let mut own: Vec<&mut Change> = tested.iter_mut().filter(|change| family(&change.quantity) == of).collect();
        let chances: Vec<f64> = own.iter().filter_map(|change| Some(change.difference?.p)).collect();
        for (change, adjusted) in own.iter_mut().zip(of.adjusted(&chances)) {
            change.adjusted = adjusted;
        }
    }
    let selected = selections.iter().enumerate().map(|(at, selection)| {
        let items = [before.selected.get(at), after.selected.get(at)].map(|item| item.and_then(Option::as_ref));
        let quantity = Quantity { name: selection.name.clone(), statistic: selection.statistic };
        if items.iter().all(Option::is_none) { None } else { change(quantity, items, runs) }
    });
    let mut selected: Vec<Option<Change>> = selected.collect();
    adjust(&mut selected);
    Compared { tested, own, selected }
}

fn measured(item: Option<&Item>, statistic: Statistic, run: &Runs) -> Option<Measured> {
    match item {
        Some(item) => item.measure(statistic, run.length()),
        None => statistic.is_amount().then(Measured::default),
    }
}

fn is_enough(statistic: Statistic, items: [Option<&Item>; 2], runs: &[Runs; 2]) -> bool {
    let [before, after] = runs;
    let both = [measured(items[0], statistic, before), measured(items[1], statistic, after)];
    let mean = |of: fn(&Measured) -> f64| both.iter().flatten().map(of).sum::<f64>() / 2.0;
    let is_sampled = both.iter().flatten().any(|own| own.events.is_some());
    let events = is_sampled.then(|| mean(|own| own.events.unwrap_or(0.0)));
    is_worth(statistic, mean(|own| own.value), events, (before.length() + after.length()) / 2.0)
}

/// What became of a quantity; not tested where a side has one stretch only.
fn change(quantity: Quantity, items: [Option<&Item>; 2], runs: &[Runs; 2]) -> Option<Change> {
    let statistic = quantity.statistic;
    let [before, after] = runs;
    let unit = statistic.unit(items.iter().flatten().next()?.nature.unit);
    let both = [measured(items[0], statistic, before)?, measured(items[1], statistic, after)?];
    let offset = offset(statistic, (before.length() + after.length()) / 2.0);
    let logs = both.map(|own| log(own.value, offset));
    let error = 2.0 * both[0].error.max(both[1].error).ln_1p();
    let side = |item: Option<&Item>, run: &Runs, own: Measured| -> Option<(f64, f64)> {
        let stretches = run.seconds.len();
        let sampled = match item {
            Some(item) => {
                standard_error(stretches, |drawn| Some(log(item.resampled(statistic, &run.seconds, drawn)?, offset)))?
            }
            None if stretches > 1 => 0.0,
            None => return None,
        };
        let chance = own.chance().unwrap_or(0.0);
        Some((sampled.powi(2).max(chance).max(LEAST_DEVIATION.powi(2)), (blocks(stretches) - 1.0).max(1.0)))
    };
    let difference =
        side(items[0], before, both[0]).zip(side(items[1], after, both[1])).map(|((a, free_a), (b, free_b))| {
            let mean = (both[0].value + both[1].value) / 2.0;
            let variance = a + b + 2.0 * between_runs(&quantity, mean).powi(2);
            let freedom = variance.powi(2) / (a * a / free_a + b * b / free_b).max(1e-300);
            Difference::new(logs[1] - logs[0], variance.sqrt(), freedom.min(1e6), error)
        });
    let [log_before, log_after] = logs;
    let (before, after) = (unlog(log_before, offset), unlog(log_after, offset));
    let whole = both.iter().map(|own| own.whole).fold(0.0, f64::max);
    Some(Change { quantity, unit, before, after, difference, adjusted: 1.0, whole })
}
