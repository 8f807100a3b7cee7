//! The requests that were streamed one by one: by route, the slowest, and the failed.

use anyhow::Result;

use crate::render::Field;
use crate::render::Value;
use crate::report::read::input::Row;
use crate::report::read::input::Source;
use crate::report::read::processes::People;
use crate::report::table::ranking::Ranking;

use super::PATH;
use super::SIDE;
use super::STATUS;
use super::TLS;
use super::routes;
use super::routes::Routes;
use super::who_fields;

/// From here on a status is the server's failure: RFC 9110, 15.6.
const FAILED: i64 = 500;
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
    let mut fields = routes::fields(Field::new("path", "path"));
    fields.push(Field::new("failed", "failed").help("Those of status 500 and more, or without a whole answer."));
    fields
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
    let mut routes = Routes::new();
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
            let text = |at| row.text(at).unwrap_or("");
            if let Some(path) = row.text(0)
                && let Some(route) = routes.of([path, text(3), comm.unwrap_or(""), text(1)], row.which())
            {
                route.times.record(u64::try_from(dur).unwrap_or(0));
                route.failed += u64::from(failure.is_some());
            }
            if kind == "http" {
                slowest_table.weighed(source, Some(dur), || cells(row, comm, None));
            }
            if failure.is_some() {
                failed_table.weighed(source, Some(dur), || cells(row, comm, failure));
            }
        })?;
    }
    routes.put(source, true, routes_table)
}
