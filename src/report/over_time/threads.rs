//! Threads over time: where the time of each went, as a strip of the busiest and as a table of more.

use std::collections::BTreeMap;
use std::collections::HashMap;

use anyhow::Result;

use crate::render::Divisor;
use crate::render::Figure;
use crate::render::Key;
use crate::render::SpanRow;
use crate::render::SpanTable;
use crate::render::Sparse;
use crate::render::Strip;
use crate::report::over_time::intervals::Intervals;
use crate::report::read::input::Source;
use crate::report::read::ledger::Account;
use crate::report::read::ledger::Ledger;
use crate::report::read::ledger::Sort;
use crate::report::read::rows::Which;
use crate::report::table::few::Few;
use crate::units::Unit;

/// Rows of the table.
const ROWS: usize = 150;
/// Threads that are drawn.
const STRIPS: usize = 16;

/// The states that have a column of the table.
const STATES: [(&str, &str, &str); 6] = [
    ("on_cpu", "on CPU", "Share of its life on a CPU."),
    ("runnable", "for CPU", "Share of its life runnable, but waiting for a CPU."),
    ("throttled", "throttled", "Share of its life runnable, but over the CPU quota of its cgroup."),
    ("uninterruptible", "blocked", "Share of its life in uninterruptible sleep: disks, pages, kernel locks."),
    ("interruptible", "asleep", "Share of its life in interruptible sleep."),
    ("stopped", "stopped", "Share of its life stopped by a signal or a tracer."),
];

/// A thread.
type Thread = (Which, i64);

/// Where the time of each thread went.
pub(super) fn threads(source: &Source, intervals: &Intervals) -> Result<(Vec<Strip>, SpanTable)> {
    let mut busiest: Few<(Thread, Account)> = Few::new(ROWS);
    let mut all = 0u64;
    Ledger::of(source)?.each_thread(|which, tid, account| {
        all += 1;
        let active_ns = account.lived_ns.saturating_sub(account.of(Sort::Idle));
        busiest.add(active_ns, || ((which, tid), account.clone()));
    })?;
    let threads = busiest.things();
    let omitted = all.saturating_sub(threads.len() as u64);
    let places: HashMap<Thread, usize> = threads.iter().enumerate().map(|(at, (thread, _))| (*thread, at)).collect();
    // One more than there are threads: all others.
    let mut lives = vec![Life::default(); threads.len() + 1];
    let mut strips = vec![BTreeMap::<Sort, Sparse>::new(); threads.len().min(STRIPS)];
    let mut seen: HashMap<Thread, i64> = HashMap::new();
    let mut rows = source.rows("ledger");
    let (tid, state, cause, sum) = (rows.int("tid"), rows.text("state"), rows.text("cause"), rows.int("sum"));
    rows.each(|row| {
        let (Some(which), Some(tid), Some(interval)) = (row.which(), row.int(tid), intervals.at(row)) else { return };
        let place = places.get(&(which, tid)).copied();
        let Some(life) = lives.get_mut(place.unwrap_or(threads.len())) else { return };
        let (name, ns) = (row.text(state).unwrap_or("unknown"), row.natural(sum));
        if let Some(at) = STATES.iter().position(|(own, ..)| *own == name) {
            // There are as many values as states.
            life.states[at].add(interval, ns);
        }
        // The rows of one interval say the same of the life in it. Of the others nothing is divided by it.
        let (Some(place), Some(at)) = (place, row.at()) else { return };
        if seen.insert((which, tid), at) != Some(at) {
            life.lived.add(interval, row.dur().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0));
        }
        if let (Some(strip), Some((_, account))) = (strips.get_mut(place), threads.get(place)) {
            // What a state was is known of the whole window.
            for (sort, part) in account.sorts(name, row.text(cause).unwrap_or_default()) {
                strip.entry(sort).or_default().add(interval, (part * ns as f64).round() as u64);
            }
        }
    })?;
    let strips = strips.into_iter().zip(&threads).map(|(mut parts, ((_, tid), account))| Strip {
        name: format!("{} ({tid})", account.comm),
        parts: Sort::ALL.iter().map(|sort| parts.remove(sort).unwrap_or_default()).collect(),
    });
    let rest = lives.pop().map(Life::values).unwrap_or_default();
    let rows = threads.iter().zip(lives).map(|(((which, tid), account), life)| SpanRow {
        keys: vec![account.comm.to_string(), tid.to_string(), which.pid.to_string()],
        unit: None,
        values: life.values(),
    });
    let table = SpanTable {
        name: "threads",
        title: "Threads",
        note: "Where each thread's time went, as shares of its life within the selection.",
        keys: vec![
            Key { title: "thread", numeric: false },
            Key { title: "tid", numeric: true },
            Key { title: "pid", numeric: true },
        ],
        figures: figures(),
        rows: rows.collect(),
        rest,
        omitted,
    };
    Ok((strips.collect(), table))
}

/// What a thread did by interval.
#[derive(Clone, Default)]
struct Life {
    lived: Sparse,
    states: [Sparse; STATES.len()],
}

impl Life {
    fn values(self) -> Vec<Sparse> {
        std::iter::once(self.lived).chain(self.states).collect()
    }
}

fn figures() -> Vec<Figure> {
    let time = |title: &str, help: &str, of| Figure {
        title: title.to_owned(),
        help: help.to_owned(),
        unit: Some(Unit::Nanoseconds),
        of,
        by: None,
    };
    let mut figures =
        vec![time("CPU time", "Time on CPUs.", 1), time("lived", "How long the thread lived within the selection.", 0)];
    figures.extend(STATES.iter().enumerate().map(|(at, (_, title, help))| Figure {
        title: (*title).to_owned(),
        help: (*help).to_owned(),
        unit: Some(Unit::Percent),
        of: at + 1,
        by: Some(Divisor::Value(0)),
    }));
    figures
}
