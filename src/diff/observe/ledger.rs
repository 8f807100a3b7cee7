//! The wall-clock ledger by process: on a CPU, waiting for one, blocked and asleep by cause. Time that is idle by design is left out.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::diff::item::Nature;
use crate::diff::item::Sums;
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

/// How the ledger's metrics begin.
pub(in crate::diff) const LEDGER: &str = "ledger.";
/// Time on a CPU, by process.
pub(in crate::diff) const ON_CPU: &str = "ledger.on_cpu";
/// Time runnable but waiting for a CPU, by process.
pub(in crate::diff) const RUNNABLE: &str = "ledger.runnable";
/// Time in an uninterruptible wait, by process and cause.
pub(in crate::diff) const BLOCKED: &str = "ledger.blocked";
/// Time in an interruptible wait, by process and cause.
pub(in crate::diff) const ASLEEP: &str = "ledger.asleep";
/// Time in any other state.
const OTHER: &str = "ledger.other";

/// About what a thread's idle state takes in memory.
const IDLE_BYTES: usize = 96;

const NATURE: Nature = Nature { unit: Unit::Nanoseconds, sums: Sums::Time, is_counted: false, is_sampled: false };

pub(super) fn gather(source: &Source, processes: &ProcessTable, gathered: &mut Gathered<'_>) -> Result<()> {
    let idle = idle_threads(source, gathered)?;
    let mut rows = source.rows("ledger");
    let (tid, sum) = (rows.int("tid"), rows.int("sum"));
    let (state, cause) = (rows.text("state"), rows.text("cause"));
    rows.each(|row| {
        let (Some(which), Some(tid), Some(state)) = (row.which(), row.int(tid), row.text(state)) else { return };
        let limit = &mut gathered.limit;
        let state = State { state: limit.name(state), cause: limit.name(row.text(cause).unwrap_or_default()) };
        let comm = process(processes, row, limit);
        if state.sort(Spent::default()) == Sort::Idle || idle.contains(&(which, tid, state.clone())) {
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
        gathered.add(name, NATURE, at, 0, row.natural(sum));
    })
}

/// Threads that wait in a state so long at a time that they have nothing to do, as the report takes them.
fn idle_threads(source: &Source, gathered: &mut Gathered<'_>) -> Result<BTreeSet<(Which, i64, State)>> {
    let mut idle = BTreeSet::new();
    Ledger::of(source)?.each_thread(|which, tid, account| {
        for (state, spent) in account.spent.iter() {
            let by_length = state.sort(*spent) == Sort::Idle && state.sort(Spent::default()) != Sort::Idle;
            if by_length && gathered.limit.take(IDLE_BYTES) {
                idle.insert((which, tid, state.clone()));
            }
        }
    })?;
    Ok(idle)
}
