//! Changes in words: whose time it was, what became of it, and which function or metric explains it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::diff::compare::Change;
use crate::diff::compare::Comparison;
use crate::diff::ledger::ASLEEP;
use crate::diff::ledger::BLOCKED;
use crate::diff::ledger::LEDGER;
use crate::diff::ledger::ON_CPU;
use crate::diff::ledger::RUNNABLE;
use crate::diff::observe::COMMAND;
use crate::diff::observe::CPU_SELF;
use crate::diff::observe::CPU_TOTAL;
use crate::diff::observe::OFF_CPU_SELF;
use crate::diff::observe::OFF_CPU_TOTAL;
use crate::diff::quantity::Name;
use crate::diff::quantity::Statistic;
use crate::render::Value;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::units::Unit;

/// Part of a change that a function has to have in order to explain it.
const EXPLAINS: f64 = 0.6;
/// Functions that are named, from the innermost out, and how much larger than the smallest they may be.
const CALLERS: usize = 3;
const ALIKE: f64 = 1.1;
/// Chance below which a function's own change counts as an explanation of one that is significant by itself.
const OWN_CHANCE: f64 = 0.05;

/// The changes that are told, those of time first, the largest first, each as a sentence.
///
/// Much of the time is in several quantities at once: of a process in the ledger, in its functions, in its metrics. The ledger's is told, and
/// the others only where the ledger has none of that process.
pub(super) fn told(comparison: &Comparison) -> Vec<String> {
    let listed: Vec<&Change> = comparison.listed().collect();
    let of_ledger: BTreeSet<&str> =
        listed.iter().filter(|change| is_ledger(change)).filter_map(|change| comm(change)).collect();
    let mut seen = BTreeSet::new();
    // Processes whose CPU time is told, by which their functions are.
    let mut on_cpu = BTreeSet::new();
    let mut told = Vec::new();
    let lengths = listed.iter().filter(|change| change.quantity.statistic == Statistic::Length);
    told.extend(lengths.map(|change| sentence(change)));
    for change in listed.iter().filter(|change| change.quantity.statistic == Statistic::Time) {
        let is_head = match comm(change) {
            _ if is_ledger(change) => true,
            Some(comm) => !of_ledger.contains(comm) && seen.insert(comm),
            None => true,
        };
        if is_head {
            let change = specific(change, &listed, comparison);
            on_cpu.extend(comm(change).filter(|_| is_of_cpu(change)));
            let why = explanation(change, comparison).map(|why| format!("; {why}")).unwrap_or_default();
            told.push(format!("{}{why}", sentence(change)));
        }
    }
    for (comm, change) in shares(&listed, comparison) {
        if !on_cpu.contains(comm) {
            told.push(sentence(change));
            seen.insert(comm);
        }
    }
    // Of what is no time, one of each process that has nothing else to tell.
    seen.extend(of_ledger);
    let others = listed
        .iter()
        .filter(|change| !matches!(change.quantity.statistic, Statistic::Time | Statistic::Share | Statistic::Length));
    told.extend(
        others.filter(|change| comm(change).is_none_or(|comm| seen.insert(comm))).map(|change| sentence(change)),
    );
    told
}

/// Of each process the function whose share of its CPU time grew most, those with the largest effect first.
///
/// If one function takes a larger share, all others take a smaller one: only where none grew, the one that fell most is told.
fn shares<'c>(listed: &[&'c Change], comparison: &Comparison) -> Vec<(&'c str, &'c Change)> {
    let mut of_process: BTreeMap<&str, Vec<&'c Change>> = BTreeMap::new();
    for change in listed.iter().filter(|change| change.quantity.statistic == Statistic::Share) {
        of_process.entry(comm(change).unwrap_or_default()).or_default().push(change);
    }
    let mut chosen: Vec<(&str, &Change)> = of_process
        .into_iter()
        .filter_map(|(comm, own)| {
            let most =
                |of: &[&'c Change]| of.iter().copied().max_by(|a, b| a.effect().abs().total_cmp(&b.effect().abs()));
            let grown: Vec<&Change> = own.iter().copied().filter(|change| change.effect() > 0.0).collect();
            let head = most(&grown).or_else(|| most(&own))?;
            Some((comm, specific(head, listed, comparison)))
        })
        .collect();
    chosen.sort_by(|(_, a), (_, b)| b.effect().abs().total_cmp(&a.effect().abs()));
    chosen
}

/// Of a function's change, the innermost function that has most of it: what it is called by has its time, too, and more by chance.
fn specific<'c>(head: &'c Change, listed: &[&'c Change], comparison: &Comparison) -> &'c Change {
    if head.quantity.name.label("function").is_none() {
        return head;
    }
    let depth = |change: &Change| comparison.depths.get(&change.quantity.name).copied().unwrap_or(usize::MAX);
    let has_most = |change: &&&Change| {
        let is_alike = comm(change) == comm(head)
            && change.quantity.name.label("function").is_some()
            && is_of_cpu(change) == is_of_cpu(head)
            && change.quantity.statistic == head.quantity.statistic;
        is_alike && change.effect() * head.effect().signum() >= EXPLAINS * head.effect().abs()
    };
    let inner = listed.iter().filter(has_most).min_by_key(|change| (depth(change), &change.quantity));
    inner.copied().unwrap_or(head)
}

/// Whether a change is of the CPU time of a process or a function.
fn is_of_cpu(change: &Change) -> bool {
    [ON_CPU, CPU_SELF, CPU_TOTAL].contains(&&*change.quantity.name.metric)
}

fn is_ledger(change: &Change) -> bool {
    change.quantity.name.metric.starts_with(LEDGER)
}

fn comm(change: &Change) -> Option<&str> {
    change.quantity.name.label("comm")
}

/// `redis-server: waiting for files and disks (fsync) +12.0 ms/s (+31 %, 95 % CI +20…+43 %), q = 0.004`.
fn sentence(change: &Change) -> String {
    let amount = match change.quantity.statistic {
        // Of the process's CPU time.
        Statistic::Share => format!("{:.1} % to {:.1} %", change.before, change.after),
        statistic => signed(change.absolute(), change.unit, statistic),
    };
    format!("{} {amount} ({}), q = {}", subject(change), in_hundredths(change), chance(change.adjusted))
}

/// Whose time or which metric a change is of.
pub(super) fn subject(change: &Change) -> String {
    let name = &change.quantity.name;
    let comm = name.label("comm").unwrap_or("?");
    let function = name.label("function").unwrap_or("?");
    let is_share = change.quantity.statistic == Statistic::Share;
    match &*name.metric {
        CPU_SELF if is_share => format!("{comm}: {function}() itself, its share of the process's CPU time"),
        CPU_TOTAL if is_share => format!("{comm}: {function}() and its callees, their share of the process's CPU time"),
        ON_CPU => format!("{comm}: on CPU"),
        RUNNABLE => format!("{comm}: waiting for a CPU"),
        BLOCKED | ASLEEP => format!("{comm}: {}", waiting(name)),
        CPU_SELF => format!("{comm}: {function}() itself on CPU"),
        CPU_TOTAL => format!("{comm}: {function}() and its callees on CPU"),
        OFF_CPU_SELF => format!("{comm}: waiting in {function}() itself"),
        OFF_CPU_TOTAL => format!("{comm}: waiting in {function}() and its callees"),
        COMMAND => "the recorded command took".to_owned(),
        _ if change.quantity.statistic == Statistic::Time => format!("{name}: time"),
        _ => format!("{name} {}", change.quantity.statistic.name()),
    }
}

fn waiting(name: &Name) -> String {
    let state = if &*name.metric == BLOCKED { "uninterruptible" } else { "interruptible" };
    let cause = name.label("cause").unwrap_or_default();
    let state = State::new(state.into(), cause.into());
    match state.sort(Spent::default()) {
        sort @ (Sort::Storage | Sort::Lock | Sort::Message) => {
            format!("waiting for {} ({cause})", sort.title())
        }
        _ => state.words(),
    }
}

/// `+31 %, 95 % CI +20…+43 %`; `new` where there was nothing before, `gone` where there is nothing after.
fn in_hundredths(change: &Change) -> String {
    let Some(percent) = change.percent() else { return "new".to_owned() };
    if change.after == 0.0 {
        return "gone".to_owned();
    }
    match change.interval() {
        Some((low, high)) => format!("{percent:+.1} %, 95 % CI {low:+.1}…{high:+.1} %"),
        None => format!("{percent:+.1} %"),
    }
}

/// A difference with its sign and unit.
fn signed(value: f64, unit: Unit, statistic: Statistic) -> String {
    let sign = if value < 0.0 { '-' } else { '+' };
    let scale = unit.scale(value.abs());
    let suffix = if scale.suffix.is_empty() || scale.suffix == "/s" {
        scale.suffix.to_owned()
    } else {
        format!(" {}", scale.suffix)
    };
    let second = if statistic.is_per_second() && unit != Unit::PerSecond { "/s" } else { "" };
    format!("{sign}{}{suffix}{second}", scale.format(value.abs()))
}

/// A chance with one significant digit more than is needed.
pub(super) fn chance(p: f64) -> String {
    if p < 0.0001 {
        "<0.0001".to_owned()
    } else if p < 0.01 {
        format!("{p:.4}")
    } else {
        format!("{p:.3}")
    }
}

/// The functions that have most of a change, from the innermost out, and the metric that has.
fn explanation(head: &Change, comparison: &Comparison) -> Option<String> {
    let total = match &*head.quantity.name.metric {
        ON_CPU => CPU_TOTAL,
        BLOCKED | ASLEEP => OFF_CPU_TOTAL,
        _ => return None,
    };
    let has_most = |change: &&Change| {
        let sure = change.difference.is_some_and(|difference| difference.p <= OWN_CHANCE);
        comm(change) == comm(head) && sure && change.effect() * head.effect().signum() >= EXPLAINS * head.effect().abs()
    };
    let of_time = || comparison.tested.iter().filter(|change| change.quantity.statistic == Statistic::Time);
    let mut functions: Vec<&Change> =
        of_time().filter(|change| *change.quantity.name.metric == *total).filter(has_most).collect();
    // What a function is called by has its time, too, so the smallest come first: they are the most specific.
    let depth = |change: &Change| comparison.depths.get(&change.quantity.name).copied().unwrap_or(usize::MAX);
    functions.sort_by_key(|change| (depth(change), change.quantity.clone()));
    let least = functions.iter().map(|change| change.before + change.after).fold(f64::INFINITY, f64::min);
    functions.retain(|change| change.before + change.after <= ALIKE * least);
    let amount = |change: &Change| signed(change.effect(), change.unit, Statistic::Time);
    let names: Vec<String> = functions
        .iter()
        .take(CALLERS)
        .filter_map(|change| Some(format!("{}()", change.quantity.name.label("function")?)))
        .collect();
    let function = functions.first().map(|change| format!("mostly in {} ({})", names.join(" < "), amount(change)));
    let metrics = comparison.listed().filter(|change| !is_ledger(change) && change.effect() != 0.0);
    let metric = metrics.filter(has_most).find(|change| change.quantity.name.label("function").is_none());
    let metric = metric.map(|change| format!("{} {}", change.quantity.name, amount(change)));
    let parts: Vec<String> = function.into_iter().chain(metric).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A chance as a cell.
pub(super) fn chance_value(p: Option<f64>) -> Value {
    p.map_or(Value::Null, Value::Float)
}
