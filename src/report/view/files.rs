//! View `files`: calls by operation and mount, by process, opens that failed, files that did not last, the slowest calls.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::render::Document;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::bytes;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::report::table::times::Times;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("files", "Files");
    note_absent_probe(&mut document, sources, "files");
    let shown = plan.rows_shown(20);
    let mut mounts = Ranking::new(sources, "mounts", "By mount", mount_columns()).largest_first("sum_ns").top(shown);
    let mut of_processes =
        Ranking::new(sources, "processes", "By process", process_columns()).largest_first("sum_ns").top(shown);
    let mut failed =
        Ranking::new(sources, "failed", "Opens that failed", failed_columns()).largest_first("count").top(shown);
    let mut short =
        Ranking::new(sources, "short_lived", "Made and removed", short_columns()).largest_first("count").top(shown);
    let mut slowest =
        Ranking::new(sources, "slowest", "Slowest calls", slow_columns()).largest_first("dur_ns").top(shown);
    for source in sources {
        let processes = ProcessTable::of(source)?;
        by_mount(source, &mut mounts)?;
        by_process(source, &processes, &mut of_processes)?;
        failures(source, &processes, &mut failed)?;
        short_lived(source, &processes, &mut short)?;
        slow(source, &processes, &mut slowest)?;
    }
    for table in [mounts.table()?, of_processes.table()?, failed.table()?, short.table()?, slowest.table()?] {
        document.push(table);
    }
    if plan.format != Format::Text
        && let Some(plot) = times::plot(sources, metrics::FILES_LATENCY, "Time in calls on files", "op")?
    {
        document.push(plot);
    }
    Ok(document)
}

/// Calls of one operation on one mount, of all processes or of one.
struct Calls {
    owner: Owner,
    op: Dim,
    mount: Dim,
    times: Times,
    moved_bytes: Option<u64>,
}

impl Columns<Calls> {
    fn calls(self) -> Columns<Calls> {
        self.column("op", "operation", |calls| calls.op.value())
            .column("mount", "mount", |calls| calls.mount.value())
            .help("Null for calls that don't say: failed opens, renames, unlinks.")
            .times(|calls| &calls.times)
            .column("moved_bytes", "moved", |calls| calls.moved_bytes.map(bytes))
            .help("What was read, written or copied.")
    }
}

fn mount_columns() -> Columns<Calls> {
    Columns::<Calls>::new().calls()
}

fn process_columns() -> Columns<Calls> {
    Columns::<Calls>::new().comm(|calls| &calls.owner).pid(|calls| &calls.owner).calls()
}

fn by_mount(source: &Source, table: &mut Ranking<Calls>) -> Result<()> {
    calls(source, &["op", "files_mount"], |_| Some(Owner::default()), table)
}

fn by_process(source: &Source, processes: &ProcessTable, table: &mut Ranking<Calls>) -> Result<()> {
    let owner = |dims: &[Dim]| match dims {
        [pid, comm] => Some(processes.owner(pid, comm)),
        _ => None,
    };
    calls(source, &["op", "files_mount", "pid", "comm"], owner, table)
}

/// Adds a row for each group; `owner` finds whose it is in the dimensions behind operation and mount.
fn calls(
    source: &Source,
    by: &[&str],
    owner: impl Fn(&[Dim]) -> Option<Owner>,
    table: &mut Ranking<Calls>,
) -> Result<()> {
    let tally = Tally::of(source, by, |name| name == metrics::FILES_LATENCY || name == metrics::FILES_SIZE)?;
    tally.each(|dims, by| {
        let (Some(times), [op, mount, process @ ..]) = (by.get(metrics::FILES_LATENCY), dims) else { return };
        let Some(owner) = owner(process) else { return };
        let (times, moved_bytes) = (Times::of(times), by.get(metrics::FILES_SIZE).map(sum));
        table.row(source, &Calls { owner, op: op.clone(), mount: mount.clone(), times, moved_bytes });
    })
}

/// Opens of one path by one command that failed with one error.
struct FailedOpens {
    count: u64,
    error: Dim,
    comm: Option<String>,
    processes: u64,
    path: Dim,
}

fn failed_columns() -> Columns<FailedOpens> {
    Columns::<FailedOpens>::new()
        .column("count", "count", |opens| opens.count)
        .column("error", "error", |opens| opens.error.value())
        .column("comm", "command", |opens| opens.comm.clone())
        .column("processes", "processes", |opens| opens.processes)
        .help("Processes that failed to open it.")
        .column("path", "path", |opens| opens.path.value())
        .help("As passed to the kernel.")
}

/// Calls of one command that looked for a path, and its processes.
#[derive(Default)]
struct Looked {
    calls: u64,
    processes: u64,
    /// The process that was counted last.
    last: Option<Dim>,
}

/// By path, error and command: many processes of one program look for the same file.
fn failures(source: &Source, processes: &ProcessTable, table: &mut Ranking<FailedOpens>) -> Result<()> {
    let by = ["filename", "files_error", "pid", "comm"];
    let tally = Tally::of_each_process(source, &by, |name| name == metrics::FAILED_OPENS)?;
    // Calls and processes by command: few of them look for one path.
    let add = |by_comm: &mut BTreeMap<Option<String>, Looked>, rest: &[Dim], by: &ByMetric<'_>| {
        let ([pid, comm], Some(failed)) = (rest, by.get(metrics::FAILED_OPENS)) else { return };
        let row = by_comm.entry(processes.of_dims(pid, comm).map(str::to_owned)).or_default();
        row.calls = row.calls.saturating_add(count(failed));
        // Groups are in the order of their processes; one that changed its name has several.
        if row.last.as_ref() != Some(pid) {
            row.processes += 1;
            row.last = Some(pid.clone());
        }
    };
    tally.sums(2, add, |dims, by_comm| {
        let [path, error] = dims else { return };
        for (comm, Looked { calls: count, processes, .. }) in by_comm {
            let (error, path) = (error.clone(), path.clone());
            table.row(source, &FailedOpens { count, error, comm, processes, path });
        }
    })
}

/// Files on one mount that one process made and removed.
struct ShortLived {
    owner: Owner,
    mount: Dim,
    times: Times,
}

fn short_columns() -> Columns<ShortLived> {
    Columns::<ShortLived>::new()
        .comm(|files| &files.owner)
        .help("Who removed them.")
        .pid(|files| &files.owner)
        .column("mount", "mount", |files| files.mount.value())
        .times(|files| &files.times)
}

fn short_lived(source: &Source, processes: &ProcessTable, table: &mut Ranking<ShortLived>) -> Result<()> {
    let tally = Tally::of(source, &["pid", "comm", "files_mount"], |name| name == metrics::SHORT_LIVED)?;
    tally.groups(metrics::SHORT_LIVED, |dims, times| {
        let [pid, comm, mount] = dims else { return };
        let (owner, times) = (processes.owner(pid, comm), Times::of(times));
        table.row(source, &ShortLived { owner, mount: mount.clone(), times });
    })
}

/// One call.
struct SlowCall {
    at: Option<i64>,
    dur_ns: Option<i64>,
    op: Option<String>,
    owner: Owner,
    moved_bytes: Option<i64>,
    error: Option<String>,
    mount: Option<String>,
    file: Option<String>,
}

fn slow_columns() -> Columns<SlowCall> {
    Columns::<SlowCall>::new()
        .column("time_ns", "end", |call| time(call.at))
        .help("When it returned.")
        .column("dur_ns", "took", |call| Value::nanos(call.dur_ns))
        .column("op", "operation", |call| call.op.clone())
        .comm(|call| &call.owner)
        .pid(|call| &call.owner)
        .column("bytes", "moved", |call| call.moved_bytes.map(Value::Bytes))
        .column("error", "error", |call| call.error.clone())
        .column("mount", "mount", |call| call.mount.clone())
        .column("file", "file", |call| call.file.clone())
        .help("Path passed to the call, or the name behind its descriptor.")
}

fn slow(source: &Source, processes: &ProcessTable, table: &mut Ranking<SlowCall>) -> Result<()> {
    let mut rows = source.rows("file");
    let (op, moved, error) = (rows.text("op"), rows.int("bytes"), rows.text("files_error"));
    let (mount, file) = (rows.text("files_mount"), rows.text("filename"));
    table.longest(source, rows, |row| {
        let text = |column| row.text(column).map(str::to_owned);
        SlowCall {
            at: row.at(),
            dur_ns: row.dur(),
            op: text(op),
            owner: processes.owner_of(row),
            moved_bytes: row.int(moved),
            error: text(error),
            mount: text(mount),
            file: text(file),
        }
    })
}
