//! The requests that were streamed one by one: by route, the slowest, and the failed.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Field;
use crate::render::Value;
use crate::report::read::input::Row;
use crate::report::read::input::Source;
use crate::report::read::input::Which;
use crate::report::read::limit::Limit;
use crate::report::read::processes::People;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;

use super::PATH;
use super::SIDE;
use super::STATUS;
use super::TLS;
use super::who_fields;

/// From here on a status is the server's failure: RFC 9110, 15.6.
const FAILED: i64 = 500;
/// About what a route takes in memory.
const ROUTE_BYTES: usize = 1024;

const NUMBERS: [&str; 3] = [STATUS, "bytes", "dport"];
const TEXTS: [&str; 4] = [PATH, SIDE, TLS, "op"];

pub(super) fn slow_fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new("time_ns", "end").help("When the answer's last byte went."),
        Field::new("dur_ns", "took"),
        Field::new("path", "path").help("Without its query, unless it was asked for; at most 80 bytes."),
    ];
    fields.extend(who_fields());
    fields.push(Field::new("bytes", "size").help("Bytes of the answer with its header."));
    fields.push(Field::new("peer_port", "peer port").help("Port of the other end."));
    fields
}

pub(super) fn failure_fields() -> Vec<Field> {
    let mut fields = slow_fields();
    fields.insert(3, Field::new("failure", "failure").help("A status of 500 and more, or no whole answer."));
    fields
}

pub(super) fn route_fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new("path", "path"),
        Field::new("method", "method"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("side", "side").help("Which end of the connection the process is."),
    ];
    fields.extend(times::fields());
    fields.push(Field::new("failed", "failed").help("Those of status 500 and more, or without a whole answer."));
    fields
}

/// Path, method, process and side.
type RouteKey = (Rc<str>, Rc<str>, Option<Which>, Rc<str>);

#[derive(Default)]
struct Route {
    comm: Option<String>,
    times: Histogram,
    failed: u64,
}

struct Routes {
    all: BTreeMap<RouteKey, Route>,
    limit: Limit,
}

impl Routes {
    fn add(&mut self, row: &Row<'_>, comm: Option<&str>, failed: bool) {
        let Some(path) = row.text(0) else { return };
        let limit = &mut self.limit;
        let key = (
            limit.name(path),
            limit.name(row.text(3).unwrap_or("")),
            row.which(),
            limit.name(row.text(1).unwrap_or("")),
        );
        if !self.all.contains_key(&key) && !limit.take(ROUTE_BYTES) {
            return;
        }
        let route = self.all.entry(key).or_default();
        route.comm = route.comm.take().or_else(|| comm.map(str::to_owned));
        route.times.record(row.dur().and_then(|dur| u64::try_from(dur).ok()).unwrap_or(0));
        route.failed += u64::from(failed);
    }

    fn put(self, source: &Source, table: &mut Ranking) -> Result<()> {
        self.limit.check(source, "paths")?;
        for ((path, method, which, side), route) in self.all {
            let mut cells = vec![Value::from(&*path), Value::from(&*method), Value::from(route.comm)];
            cells.push(Value::id(which.map(|which| which.pid)));
            cells.push(Value::from(&*side));
            cells.extend(times::cells(&route.times));
            cells.push(Value::Int(whole(route.failed)));
            table.row(source, cells);
        }
        Ok(())
    }
}

/// A row of the tables, without and with why it failed.
fn cells(row: &Row<'_>, comm: Option<&str>, failure: Option<&str>) -> Vec<Value> {
    let mut cells = vec![row.at().map_or(Value::Null, Value::Time), Value::nanos(row.dur()), Value::from(row.text(0))];
    cells.extend(failure.map(Value::from));
    cells.extend([
        Value::from(comm),
        Value::id(row.pid()),
        Value::from(row.text(1)),
        Value::from(row.text(2)),
        Value::from(row.text(3)),
        Value::id(row.int(0)),
        row.int(1).map_or(Value::Null, Value::Bytes),
        Value::id(row.int(2)),
    ]);
    cells
}

/// Adds what was streamed to the tables of routes, of the slowest and of the failed.
pub(super) fn rows(source: &Source, people: &People, tables: [&mut Ranking; 3]) -> Result<()> {
    let [routes_table, slowest_table, failed_table] = tables;
    let mut routes = Routes { all: BTreeMap::new(), limit: Limit::new() };
    for kind in ["http", "http_unanswered"] {
        source.rows(kind, &NUMBERS, &TEXTS, |row| {
            let comm = people.name(row.which()).or_else(|| row.comm());
            let status = row.int(0);
            let failure = match (kind, status) {
                ("http", status) => status.is_some_and(|status| status >= FAILED).then_some("status"),
                (_, None) => Some("no answer"),
                (_, Some(_)) => Some("answer cut short"),
            };
            let dur = row.dur().unwrap_or(0);
            routes.add(row, comm, failure.is_some());
            if kind == "http" {
                slowest_table.weighed(source, Some(dur), || cells(row, comm, None));
            }
            if failure.is_some() {
                failed_table.weighed(source, Some(dur), || cells(row, comm, failure));
            }
        })?;
    }
    routes.put(source, routes_table)
}
