//! View `locks`: what threads of a process waited for from one another, with the evidence for a lock or for idling; waits for the
//! kernel's locks by kind and process, for futexes by process and address, and the slowest.

use anyhow::Result;

use crate::render::Document;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::errno;
use crate::report::table::cells::nanos;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::report::table::times::Times;

mod evidence;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("locks", "Locks");
    note_absent_probe(&mut document, sources, "locks");
    note_absent_hooks(&mut document, sources);
    let shown = plan.rows_shown(20);
    let mut evidence = evidence::table(sources, shown);
    let mut kernel =
        Ranking::new(sources, "kernel", "The kernel's locks", kernel_columns()).largest_first("sum_ns").top(shown);
    let mut futexes =
        Ranking::new(sources, "futexes", "Futex waits by process", futex_columns()).largest_first("sum_ns").top(shown);
    let mut addresses = Ranking::new(sources, "addresses", "Futex waits by address", address_columns())
        .largest_first("sum_ns")
        .top(shown);
    let mut slowest = Ranking::new(sources, "slowest", "Slowest", slow_columns()).largest_first("dur_ns").top(shown);
    for source in sources {
        let processes = ProcessTable::of(source)?;
        evidence::rows(source, &mut evidence)?;
        waits(source, &processes, &mut kernel, metrics::CONTENTION)?;
        waits(source, &processes, &mut futexes, metrics::FUTEX_WAIT)?;
        by_address(source, &processes, &mut addresses)?;
        slow(source, &processes, &mut slowest)?;
    }
    for table in [evidence.table()?, kernel.table()?, futexes.table()?, addresses.table()?, slowest.table()?] {
        document.push(table);
    }
    if plan.format != Format::Text {
        let plots = [
            times::plot(sources, metrics::CONTENTION, "Waits for the kernel's locks", "name")?,
            times::plot(sources, metrics::FUTEX_WAIT, "Waits in futex(2)", "comm")?,
        ];
        for plot in plots.into_iter().flatten() {
            document.push(plot);
        }
    }
    Ok(document)
}

/// A kernel older than 5.19 does not tell of its own locks.
fn note_absent_hooks(document: &mut Document, sources: &[Source]) {
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        let state = source.meta().probes.iter().find(|state| state.name == "locks" && !state.hooks.is_empty());
        if let Some(reason) = state.and_then(|state| state.reason.as_deref()) {
            document.warning(format!("{whose}the probe 'locks' ran {reason}"));
        }
    }
}

/// Waits of one process for one lock, or in futex(2).
struct Waits {
    name: Dim,
    owner: Owner,
    times: Times,
}

fn kernel_columns() -> Columns<Waits> {
    Columns::<Waits>::new()
        .column("name", "lock", |waits| waits.name.value())
        .help("Kind of lock.")
        .comm(|waits| &waits.owner)
        .pid(|waits| &waits.owner)
        .times(|waits| &waits.times)
}

fn futex_columns() -> Columns<Waits> {
    Columns::<Waits>::new().comm(|waits| &waits.owner).pid(|waits| &waits.owner).times(|waits| &waits.times)
}

fn waits(source: &Source, processes: &ProcessTable, table: &mut Ranking<Waits>, metric: &str) -> Result<()> {
    let tally = Tally::of(source, &["name", "pid", "comm"], |name| name == metric)?;
    tally.groups(metric, |dims, times| {
        let [name, pid, comm] = dims else { return };
        table.row(source, &Waits { name: name.clone(), owner: processes.owner(pid, comm), times: Times::of(times) });
    })
}

/// Waits of one process for one futex.
struct Futex {
    owner: Owner,
    address: Dim,
    count: u64,
    sum_ns: u64,
}

fn address_columns() -> Columns<Futex> {
    Columns::<Futex>::new()
        .comm(|futex| &futex.owner)
        .pid(|futex| &futex.owner)
        .column("address", "address", |futex| futex.address.value())
        .help("Where the futex is in the process's memory.")
        .column("count", "count", |futex| futex.count)
        .column("sum_ns", "sum", |futex| nanos(futex.sum_ns))
        .help("All waits added up.")
}

fn by_address(source: &Source, processes: &ProcessTable, table: &mut Ranking<Futex>) -> Result<()> {
    let tally = Tally::of(source, &["pid", "comm", "locks_address"], |name| name == metrics::FUTEX_ADDRESS)?;
    tally.groups(metrics::FUTEX_ADDRESS, |dims, waits| {
        let [pid, comm, address] = dims else { return };
        let (owner, address) = (processes.owner(pid, comm), address.clone());
        table.row(source, &Futex { owner, address, count: count(waits), sum_ns: sum(waits) });
    })
}

/// One wait.
struct Wait {
    at: Option<i64>,
    dur_ns: Option<i64>,
    name: Option<String>,
    owner: Owner,
    tid: Option<i64>,
    op: Option<String>,
    address: Option<String>,
    ret: Option<i64>,
}

fn slow_columns() -> Columns<Wait> {
    Columns::<Wait>::new()
        .column("time_ns", "end", |wait| time(wait.at))
        .help("When the wait ended.")
        .column("dur_ns", "took", |wait| Value::nanos(wait.dur_ns))
        .column("name", "lock", |wait| wait.name.clone())
        .comm(|wait| &wait.owner)
        .pid(|wait| &wait.owner)
        .column("tid", "thread", |wait| Value::id(wait.tid))
        .column("op", "operation", |wait| wait.op.clone())
        .help("Operation of the futex call.")
        .column("address", "address", |wait| wait.address.clone())
        .help("Where the futex is in the process's memory.")
        .column("error", "error", |wait| wait.ret.filter(|ret| *ret < 0).map(errno))
        .help("Why a wait ended without the lock.")
}

fn slow(source: &Source, processes: &ProcessTable, table: &mut Ranking<Wait>) -> Result<()> {
    let mut rows = source.rows("lock");
    let (name, op, address) = (rows.text("name"), rows.text("op"), rows.text("locks_address"));
    let (tid, ret) = (rows.int("tid"), rows.int("ret"));
    table.longest(source, rows, |row| Wait {
        at: row.at(),
        dur_ns: row.dur(),
        name: row.text(name).map(str::to_owned),
        owner: processes.owner_of(row),
        tid: row.int(tid),
        op: row.text(op).map(str::to_owned),
        address: row.text(address).map(str::to_owned),
        ret: row.int(ret),
    })
}
