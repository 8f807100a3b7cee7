//! The wall-clock ledger by process: on a CPU, waiting for one, blocked and asleep by cause. Time that is idle by design is left out.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::diff::item::Nature;
use crate::diff::item::Sums;
use crate::diff::ledger::ASLEEP;
use crate::diff::ledger::BLOCKED;
use crate::diff::ledger::ON_CPU;
use crate::diff::ledger::RUNNABLE;
use crate::diff::observe::Gathered;
use crate::diff::observe::process;
use crate::report::read::input::Source;
use crate::report::read::ledger::Ledger;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::Which;
use crate::units::Unit;

/// Time in any other state.
const OTHER: &str = "ledger.other";

/// About what the idle part of a thread's state takes in memory.
const IDLE_BYTES: usize = 96;

const NATURE: Nature = Nature { unit: Unit::Nanoseconds, sums: Sums::Time, is_counted: false, is_sampled: false };

pub(super) fn gather(source: &Source, processes: &ProcessTable, gathered: &mut Gathered<'_>) -> Result<()> {
    let idle = idle_parts(source, gathered)?;
    let mut rows = source.rows("ledger");
    let (tid, sum) = (rows.int("tid"), rows.int("sum"));
    let (state, cause) = (rows.text("state"), rows.text("cause"));
    rows.each(|row| {
        let (Some(which), Some(tid), Some(state)) = (row.which(), row.int(tid), row.text(state)) else { return };
        let limit = &mut gathered.limit;
        let state = State::new(limit.name(state), limit.name(row.text(cause).unwrap_or_default()));
        let comm = process(processes, row, limit);
        let by_name = by_name(&state);
        let key = (which, tid, state);
        let idle = idle.get(&key).copied().unwrap_or(by_name);
        let (_, _, state) = key;
        if idle >= 1.0 {
            return;
        }
        let name = match (&*state.state, &*state.cause) {
            ("on_cpu", _) => gathered.name(ON_CPU, [("comm", &comm)]),
            ("runnable", _) => gathered.name(RUNNABLE, [("comm", &comm)]),
            ("uninterruptible", cause) => gathered.name(BLOCKED, [("comm", &comm), ("cause", cause)]),
            ("interruptible", cause) => gathered.name(ASLEEP, [("comm", &comm), ("cause", cause)]),
            (other, _) => gathered.name(OTHER, [("comm", &comm), ("state", other)]),
        };
        let at = gathered.stretches.place(row);
        gathered.add(name, NATURE, at, 0, ((1.0 - idle) * row.natural(sum) as f64).round() as u64);
    })
}

/// The part of a state that is idle by its name alone.
fn by_name(state: &State) -> f64 {
    if state.sort(Spent::default()) == Sort::Idle { 1.0 } else { 0.0 }
}

/// The idle part of the states of threads, as the report takes them, where it is another than their names say.
fn idle_parts(source: &Source, gathered: &mut Gathered<'_>) -> Result<BTreeMap<(Which, i64, State), f64>> {
    let mut idle = BTreeMap::new();
    Ledger::of(source)?.each_thread(|which, tid, account| {
        for (state, _) in account.spent.iter() {
            let state = State::new(Rc::clone(&state.state), Rc::clone(&state.cause));
            let sorts = account.sorts(&state.state, &state.cause);
            let own = sorts.iter().filter(|(sort, _)| *sort == Sort::Idle);
            let part = own.fold(0.0, |sum, (_, part)| sum + part).min(1.0);
            if (part - by_name(&state)).abs() > f64::EPSILON && gathered.limit.take(IDLE_BYTES) {
                idle.insert((which, tid, state), part);
            }
        }
    })?;
    Ok(idle)
}
