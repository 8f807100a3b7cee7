//! The slowest calls that were streamed one by one.

use anyhow::Result;

use crate::render::Value;
use crate::report::read::input::Source;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;

/// One call.
pub(super) struct SlowCall {
    at: Option<i64>,
    dur_ns: i64,
    name: Option<String>,
    owner: Owner,
    tid: Option<i64>,
    ret: Option<i64>,
    errno: Option<String>,
}

pub(super) fn columns() -> Columns<SlowCall> {
    Columns::<SlowCall>::new()
        .column("time_ns", "end", |call| time(call.at))
        .help("When it returned.")
        .column("dur_ns", "took", |call| Value::Nanos(call.dur_ns))
        .column("name", "call", |call| call.name.clone())
        .comm(|call| &call.owner)
        .pid(|call| &call.owner)
        .column("tid", "thread", |call| Value::id(call.tid))
        .column("ret", "returned", |call| call.ret.filter(|_| call.errno.is_none()))
        .help("Result; empty when it failed.")
        .column("errno", "error", |call| call.errno.clone())
}

/// Adds the slowest calls of a recording that are not waits by design.
pub(super) fn rows(source: &Source, processes: &ProcessTable, table: &mut Ranking<SlowCall>) -> Result<()> {
    let mut rows = source.rows("syscall").without(super::CLASS, &[super::WAIT]);
    let (name, errno) = (rows.text("name"), rows.text(super::ERRNO));
    let (tid, ret) = (rows.int("tid"), rows.int("ret"));
    table.longest(source, rows, |row| SlowCall {
        at: row.at(),
        dur_ns: row.dur().unwrap_or(0),
        name: row.text(name).map(str::to_owned),
        owner: processes.owner_of(row),
        tid: row.int(tid),
        ret: row.int(ret),
        errno: row.text(errno).map(str::to_owned),
    })
}
