//! View `locks`: waits for the kernel's locks by kind and process, for futexes by process and address, and the slowest.

use anyhow::Result;

use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::People;
use crate::report::table::cells::errno;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("locks", "Locks");
    note_absent_probe(&mut document, sources, "locks");
    note_absent_hooks(&mut document, sources);
    let shown = plan.rows_shown(20);
    let mut kernel =
        Ranking::new(sources, "kernel", "The kernel's locks", kernel_fields()).largest_first("sum_ns").top(shown);
    let mut futexes =
        Ranking::new(sources, "futexes", "Futex waits by process", futex_fields()).largest_first("sum_ns").top(shown);
    let mut addresses = Ranking::new(sources, "addresses", "Futex waits by address", address_fields())
        .largest_first("sum_ns")
        .top(shown);
    let mut slowest = Ranking::new(sources, "slowest", "Slowest", slow_fields()).largest_first("dur_ns").top(shown);
    for source in sources {
        let people = People::of(source)?;
        waits(source, &people, &mut kernel, metrics::CONTENTION, true)?;
        waits(source, &people, &mut futexes, metrics::FUTEX_WAIT, false)?;
        by_address(source, &people, &mut addresses)?;
        slow(source, &people, &mut slowest)?;
    }
    for table in [kernel, futexes, addresses, slowest] {
        document.push(table.table()?);
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

fn kernel_fields() -> Vec<Field> {
    let mut fields = vec![Field::new("name", "lock").help("Kind of lock.")];
    fields.extend(futex_fields());
    fields
}

fn futex_fields() -> Vec<Field> {
    let mut fields = vec![Field::new("comm", "command"), Field::new("pid", "pid")];
    fields.extend(times::fields());
    fields
}

fn waits(source: &Source, people: &People, table: &mut Ranking, metric: &str, by_name: bool) -> Result<()> {
    let tally = Tally::of(source, &["name", "pid", "comm"], |name| name == metric)?;
    tally.groups(metric, |dims, times| {
        let [name, pid, comm] = dims else { return };
        let own = people.of_dims(pid, comm);
        let mut cells = if by_name { vec![name.value()] } else { Vec::new() };
        cells.extend([Value::from(own), pid.value()]);
        cells.extend(times::cells(times));
        table.row(source, cells);
    })
}

fn address_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("address", "address").help("Where the futex is in the process's memory."),
        Field::new("count", "count"),
        Field::new("sum_ns", "sum").help("All waits added up."),
    ]
}

fn by_address(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let tally = Tally::of(source, &["pid", "comm", "locks_address"], |name| name == metrics::FUTEX_ADDRESS)?;
    tally.groups(metrics::FUTEX_ADDRESS, |dims, waits| {
        let [pid, comm, address] = dims else { return };
        let own = people.of_dims(pid, comm);
        let (count, sum) = (Value::Int(whole(count(waits))), Value::Nanos(whole(sum(waits))));
        table.row(source, vec![Value::from(own), pid.value(), address.value(), count, sum]);
    })
}

fn slow_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "end").help("When the wait ended."),
        Field::new("dur_ns", "took"),
        Field::new("name", "lock"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("tid", "thread"),
        Field::new("op", "operation").help("What it asked of the futex."),
        Field::new("address", "address").help("Where the futex is in the process's memory."),
        Field::new("error", "error").help("Why a wait ended without the lock."),
    ]
}

fn slow(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    source.rows("lock", &["tid", "ret"], &["name", "op", "locks_address"], |row| {
        table.weighed(source, row.dur(), || {
            let mut cells = people.event_cells(row, row.text(0));
            cells.extend([Value::id(row.int(0)), Value::from(row.text(1)), Value::from(row.text(2))]);
            cells.push(row.int(1).filter(|ret| *ret < 0).map_or(Value::Null, |ret| Value::from(errno(ret))));
            cells
        });
    })
}
