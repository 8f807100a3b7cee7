//! View `files`: calls by operation and mount, by process, opens that failed, files that did not last, the slowest calls.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::render::Document;
use crate::render::Field;
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
use crate::report::read::processes::People;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("files", "Files");
    note_absent_probe(&mut document, sources, "files");
    let shown = plan.rows_shown(20);
    let mut mounts = Ranking::new(sources, "mounts", "By mount", call_fields(false)).largest_first("sum_ns").top(shown);
    let mut processes =
        Ranking::new(sources, "processes", "By process", call_fields(true)).largest_first("sum_ns").top(shown);
    let mut failed =
        Ranking::new(sources, "failed", "Opens that failed", failed_fields()).largest_first("count").top(shown);
    let mut short =
        Ranking::new(sources, "short_lived", "Made and removed", short_fields()).largest_first("count").top(shown);
    let mut slowest =
        Ranking::new(sources, "slowest", "Slowest calls", slow_fields()).largest_first("dur_ns").top(shown);
    for source in sources {
        let people = People::of(source)?;
        calls(source, &people, &mut mounts, false)?;
        calls(source, &people, &mut processes, true)?;
        failures(source, &people, &mut failed)?;
        short_lived(source, &people, &mut short)?;
        slow(source, &people, &mut slowest)?;
    }
    for table in [mounts, processes, failed, short, slowest] {
        document.push(table.table()?);
    }
    if plan.format != Format::Text
        && let Some(plot) = times::plot(sources, metrics::FILES_LATENCY, "Time in calls on files", "op")?
    {
        document.push(plot);
    }
    Ok(document)
}

fn call_fields(by_process: bool) -> Vec<Field> {
    let mut fields = Vec::new();
    if by_process {
        fields.extend([Field::new("comm", "command"), Field::new("pid", "pid")]);
    }
    fields.push(Field::new("op", "operation"));
    fields
        .push(Field::new("mount", "mount").help("Null where a call does not say: of failed opens, renames, unlinks."));
    fields.extend(times::fields());
    fields.push(Field::new("moved_bytes", "moved").help("What was read, written or copied."));
    fields
}

fn calls(source: &Source, people: &People, table: &mut Ranking, by_process: bool) -> Result<()> {
    let by = ["op", "files_mount", "pid", "comm"];
    let by = if by_process { &by[..] } else { &by[..2] };
    let tally = Tally::of(source, by, |name| name == metrics::FILES_LATENCY || name == metrics::FILES_SIZE)?;
    tally.each(|dims, by| {
        let (Some(times), [op, mount, process @ ..]) = (by.get(metrics::FILES_LATENCY), dims) else { return };
        let mut cells = Vec::new();
        if let [pid, comm] = process {
            let own = people.of_dims(pid, comm);
            cells.extend([Value::from(own), pid.value()]);
        }
        cells.extend([op.value(), mount.value()]);
        cells.extend(times::cells(times));
        cells.push(by.get(metrics::FILES_SIZE).map_or(Value::Null, |bytes| Value::Bytes(whole(sum(bytes)))));
        table.row(source, cells);
    })
}

fn failed_fields() -> Vec<Field> {
    vec![
        Field::new("count", "count"),
        Field::new("error", "error"),
        Field::new("comm", "command"),
        Field::new("processes", "processes").help("Processes that failed to open it."),
        Field::new("path", "path").help("As it was given to the kernel."),
    ]
}

/// By path, error and command: many processes of one program look for the same file.
fn failures(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let by = ["filename", "files_error", "pid", "comm"];
    let tally = Tally::totals_of(source, &by, |name| name == metrics::FAILED_OPENS)?;
    // Calls and processes by command: few of them look for one path.
    let add = |by_comm: &mut BTreeMap<Option<String>, (u64, u64)>, rest: &[Dim], by: &ByMetric<'_>| {
        let ([pid, comm], Some(failed)) = (rest, by.get(metrics::FAILED_OPENS)) else { return };
        let row = by_comm.entry(people.of_dims(pid, comm).map(str::to_owned)).or_default();
        *row = (row.0.saturating_add(count(failed)), row.1 + 1);
    };
    tally.sums(2, add, |dims, by_comm| {
        let [path, error] = dims else { return };
        for (comm, (times, processes)) in by_comm {
            let cells = vec![
                Value::Int(whole(times)),
                error.value(),
                Value::from(comm),
                Value::Int(whole(processes)),
                path.value(),
            ];
            table.row(source, cells);
        }
    })
}

fn short_fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new("comm", "command").help("Who removed them."),
        Field::new("pid", "pid"),
        Field::new("mount", "mount"),
    ];
    fields.extend(times::fields());
    fields
}

fn short_lived(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let tally = Tally::of(source, &["pid", "comm", "files_mount"], |name| name == metrics::SHORT_LIVED)?;
    tally.groups(metrics::SHORT_LIVED, |dims, times| {
        let [pid, comm, mount] = dims else { return };
        let own = people.of_dims(pid, comm);
        let mut cells = vec![Value::from(own), pid.value(), mount.value()];
        cells.extend(times::cells(times));
        table.row(source, cells);
    })
}

fn slow_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "end").help("When it returned."),
        Field::new("dur_ns", "took"),
        Field::new("op", "operation"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("bytes", "moved"),
        Field::new("error", "error"),
        Field::new("mount", "mount"),
        Field::new("file", "file").help("The path that it was given, or the name behind its descriptor."),
    ]
}

fn slow(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    source.rows("file", &["bytes"], &["op", "files_error", "files_mount", "filename"], |row| {
        table.weighed(source, row.dur(), || {
            let mut cells = people.event_cells(row, row.text(0));
            cells.push(row.int(0).map_or(Value::Null, Value::Bytes));
            cells.extend([1, 2, 3].map(|column| Value::from(row.text(column))));
            cells
        });
    })
}
