//! The requests that were streamed one by one: by route, the slowest, and the failed.

use anyhow::Result;

use crate::render::Value;
use crate::report::read::input::Source;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::some;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;

use super::PATH;
use super::SIDE;
use super::STATUS;
use super::TLS;
use super::Who;
use super::routes::RouteRow;
use super::routes::Routes;

/// From here on a status is the server's failure: RFC 9110, 15.6.
const FAILED: i64 = 500;

/// One request.
pub(super) struct Request {
    at: Option<i64>,
    dur_ns: Option<i64>,
    path: Option<String>,
    failure: Option<&'static str>,
    who: Who,
    bytes: Option<i64>,
    peer_port: Option<i64>,
}

impl Columns<Request> {
    /// Adds when and how long it was, and its path.
    fn start(self) -> Columns<Request> {
        self.column("time_ns", "end", |request| time(request.at))
            .help("When the answer's last byte was written or read.")
            .column("dur_ns", "took", |request| Value::nanos(request.dur_ns))
            .column("path", "path", |request| request.path.clone())
            .help("Path without its query string, unless http:query=on; at most 80 bytes.")
    }

    /// Adds whose it was, and the rest.
    fn rest(self) -> Columns<Request> {
        self.who(|request| &request.who)
            .column("bytes", "size", |request| request.bytes.map(Value::Bytes))
            .help("Bytes of the answer with its header.")
            .column("peer_port", "peer port", |request| Value::id(request.peer_port))
            .help("Port of the other end.")
    }
}

pub(super) fn slow_columns() -> Columns<Request> {
    Columns::<Request>::new().start().rest()
}

pub(super) fn failure_columns() -> Columns<Request> {
    Columns::<Request>::new()
        .start()
        .column("failure", "failure", |request| request.failure)
        .help("Whether the status is 500 or more, or the answer incomplete.")
        .rest()
}

pub(super) fn route_columns() -> Columns<RouteRow> {
    Columns::<RouteRow>::new()
        .column("path", "path", |row| some(&row.name))
        .route()
        .column("failed", "failed", |row| row.failed)
        .help("Requests with status 500 or more, or an incomplete answer.")
}

/// Adds what was streamed to the tables of routes, of the slowest and of the failed.
pub(super) fn rows(
    source: &Source,
    processes: &ProcessTable,
    routes_table: &mut Ranking<RouteRow>,
    slowest_table: &mut Ranking<Request>,
    failed_table: &mut Ranking<Request>,
) -> Result<()> {
    let mut routes = Routes::new();
    for kind in ["http", "http_unanswered"] {
        let mut rows = source.rows(kind);
        let (path, side, tls) = (rows.text(PATH), rows.text(SIDE), rows.text(TLS));
        let (method, status) = (rows.text("op"), rows.int(STATUS));
        let (bytes, peer_port) = (rows.int("bytes"), rows.int("dport"));
        rows.each(|row| {
            let comm = processes.of_row(row);
            let failure = match (kind, row.int(status)) {
                ("http", status) => status.is_some_and(|status| status >= FAILED).then_some("status"),
                (_, None) => Some("no answer"),
                (_, Some(_)) => Some("answer cut short"),
            };
            let dur = row.dur().unwrap_or(0);
            let text = |column| row.text(column).unwrap_or("");
            if let Some(path) = row.text(path)
                && let Some(route) = routes.of([path, text(method), comm.unwrap_or(""), text(side)], row.which())
            {
                route.times.record(u64::try_from(dur).unwrap_or(0));
                route.failed += u64::from(failure.is_some());
            }
            let request = || Request {
                at: row.at(),
                dur_ns: row.dur(),
                path: row.text(path).map(str::to_owned),
                failure,
                who: Who {
                    owner: Owner { comm: comm.map(str::to_owned), pid: row.pid() },
                    side: Value::from(row.text(side)),
                    tls: Value::from(row.text(tls)),
                    method: Value::from(row.text(method)),
                    status: Value::id(row.int(status)),
                },
                bytes: row.int(bytes),
                peer_port: row.int(peer_port),
            };
            if kind == "http" {
                slowest_table.weighed(source, Some(dur), request);
            }
            if failure.is_some() {
                failed_table.weighed(source, Some(dur), request);
            }
        })?;
    }
    routes.put(source, routes_table)
}
