//! Who waited for whom, pair by pair: all waits of a process by what it waited for and whose threads ended them.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::render::Table;
use crate::render::Value;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::Which;
use crate::report::table::cells::PROCESS_START;
use crate::report::table::cells::nanos;
use crate::report::table::cells::some;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;

/// About what a pair takes in memory.
const PAIR_BYTES: usize = 200;

/// Who waited, for what, and who ended it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    which: Which,
    waker_pid: Option<i64>,
    cause: Rc<str>,
    on: Rc<str>,
    by: Rc<str>,
}

/// All waits of a pair.
#[derive(Default)]
struct Waits {
    process: Option<Rc<str>>,
    waker_process: Option<Rc<str>>,
    count: u64,
    ns: u64,
    max_ns: u64,
}

/// The table over all recordings, the longest time first.
pub(super) fn table(sources: &[Source]) -> Result<Table> {
    let mut table = Ranking::new(sources, "waits", "Waits", columns()).largest_first("sum_ns");
    for source in sources {
        for pair in pairs(source)? {
            table.row(source, &pair);
        }
    }
    table.table()
}

fn columns() -> Columns<(Pair, Waits)> {
    Columns::<(Pair, Waits)>::new()
        .column("process", "process", |(_, waits)| Value::from(waits.process.as_deref()))
        .help("Process that waited.")
        .column("pid", "pid", |(pair, _)| Value::Id(pair.which.pid))
        .column("waker_process", "ended by", |(_, waits)| Value::from(waits.waker_process.as_deref()))
        .help("Process whose threads ended the waits; empty where no thread did.")
        .column("waker_pid", "pid", |(pair, _)| Value::id(pair.waker_pid))
        .column("cause", "cause", |(pair, _)| some(&pair.cause))
        .help("Cause of the wait in the ledger.")
        .column("wait_on", "waited for", |(pair, _)| some(&pair.on))
        .column("wait_by", "by", |(pair, _)| some(&pair.by))
        .help("What ended the waits: a thread, a timer, an interrupt, or nobody before the window's end.")
        .column("count", "waits", |(_, waits)| waits.count)
        .column("sum_ns", "time", |(_, waits)| nanos(waits.ns))
        .help("Time asleep, of all threads of the process together.")
        .column("max_ns", "longest", |(_, waits)| nanos(waits.max_ns))
        .column("pid_start_ns", "process start", |(pair, _)| Value::nanos(pair.which.start_ns))
        .help(PROCESS_START)
}

fn pairs(source: &Source) -> Result<BTreeMap<Pair, Waits>> {
    let mut pairs: BTreeMap<Pair, Waits> = BTreeMap::new();
    let mut limit = Limit::new();
    let (mut names, mut waker_names): (BTreeMap<Which, Rc<str>>, BTreeMap<i64, Rc<str>>) = Default::default();
    let mut rows = source.rows("wait");
    let (cause, on, by) = (rows.text("cause"), rows.text("wait_on"), rows.text("wait_by"));
    let (process, waker_process, waker_pid) = (rows.text("process"), rows.text("waker_process"), rows.int("waker_pid"));
    let (count, sum, max) = (rows.int("count"), rows.int("sum"), rows.int("max"));
    rows.each(|row| {
        let Some(which) = row.which() else { return };
        let [cause, on, by] = [cause, on, by].map(|column| limit.name(row.text(column).unwrap_or_default()));
        let pair = Pair { which, waker_pid: row.int(waker_pid), cause, on, by };
        if !pairs.contains_key(&pair) && !limit.take(PAIR_BYTES) {
            return;
        }
        let waits = pairs.entry(pair).or_default();
        // A process may change its name, and has the last one in all of its pairs.
        if let Some(text) = row.text(process) {
            names.insert(which, limit.name(text));
        }
        if let (Some(pid), Some(text)) = (row.int(waker_pid), row.text(waker_process)) {
            waker_names.insert(pid, limit.name(text));
        }
        waits.count = waits.count.saturating_add(row.natural(count));
        waits.ns = waits.ns.saturating_add(row.natural(sum));
        waits.max_ns = waits.max_ns.max(row.natural(max));
    })?;
    limit.check(source, "pairs of processes that wait")?;
    for (pair, waits) in &mut pairs {
        waits.process = names.get(&pair.which).cloned();
        waits.waker_process = pair.waker_pid.and_then(|pid| waker_names.get(&pid).cloned());
    }
    Ok(pairs)
}
