//! View `http`: HTTP requests by process, method and status, the slowest, the failed, and what could not be told.

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
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::share;
use crate::report::table::cells::some;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::report::table::times::Times;

mod routes;
mod streamed;

use routes::RouteRow;
use routes::Routes;

/// The columns that the probe adds.
const STATUS: &str = "http_status";
const SIDE: &str = "http_side";
const TLS: &str = "http_tls";
const PATH: &str = "http_path";
const ROUTE: &str = "http_route";

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("http", "HTTP");
    note_absent_probe(&mut document, sources, "http");
    let shown = plan.rows_shown(20);
    let mut requests =
        Ranking::new(sources, "requests", "Requests", request_columns()).largest_first("sum_ns").top(shown);
    let mut by_route = Ranking::new(sources, "by_route", "All requests by route", by_route_columns())
        .largest_first("sum_ns")
        .top(shown);
    let mut slowest =
        Ranking::new(sources, "slowest", "Slowest", streamed::slow_columns()).largest_first("dur_ns").top(shown);
    let mut routes = Ranking::new(sources, "routes", "Slow and failed by route", streamed::route_columns())
        .largest_first("sum_ns")
        .top(shown);
    let mut failed =
        Ranking::new(sources, "failures", "Failed", streamed::failure_columns()).largest_first("dur_ns").top(shown);
    let mut unparsed =
        Ranking::new(sources, "unparsed", "Not in these figures", unparsed_columns()).largest_first("count").top(shown);
    for source in sources {
        let processes = ProcessTable::of(source)?;
        by_process(source, &processes, &mut requests)?;
        routes_of(source, &processes, &mut by_route)?;
        streamed::rows(source, &processes, &mut routes, &mut slowest, &mut failed)?;
        not_parsed(source, &processes, &mut unparsed)?;
    }
    document.push(requests.table()?);
    // Only `http:route=on` records it.
    let by_route = by_route.table()?;
    if !by_route.is_empty() || plan.format.is_for_programs() {
        document.push(by_route);
    }
    for table in [routes.table()?, slowest.table()?, failed.table()?, unparsed.table()?] {
        document.push(table);
    }
    if plan.format != Format::Text {
        let plots = [
            times::plot(sources, metrics::HTTP_LATENCY, "HTTP requests", "comm")?,
            times::plot(sources, metrics::HTTP_LATENCY, "HTTP requests by status", STATUS)?,
        ];
        for plot in plots.into_iter().flatten() {
            document.push(plot);
        }
    }
    Ok(document)
}

/// Who, on which side, how: what all tables of requests begin with.
struct Who {
    owner: Owner,
    side: Value,
    tls: Value,
    method: Value,
    status: Value,
}

impl<R> Columns<R> {
    fn who(self, who: impl Fn(&R) -> &Who + Copy + 'static) -> Columns<R> {
        self.comm(move |row| &who(row).owner)
            .pid(move |row| &who(row).owner)
            .column("side", "side", move |row| who(row).side.clone())
            .help("Which end of the connection the process is.")
            .column("tls", "TLS", move |row| who(row).tls.clone())
            .help("Whether it used TLS, through libssl.")
            .column("method", "method", move |row| who(row).method.clone())
            .column("status", "status", move |row| who(row).status.clone())
            .help("Status code of the answer.")
    }
}

/// Requests that are alike.
struct Requests {
    who: Who,
    times: Times,
    unanswered: u64,
}

fn request_columns() -> Columns<Requests> {
    Columns::<Requests>::new()
        .who(|requests| &requests.who)
        .times(|requests| &requests.times)
        .column("unanswered", "unanswered", |requests| requests.unanswered)
        .help("Requests whose connection ended before the answer did.")
}

fn by_process(source: &Source, processes: &ProcessTable, table: &mut Ranking<Requests>) -> Result<()> {
    let wanted = |name: &str| name == metrics::HTTP_LATENCY || name == metrics::HTTP_UNANSWERED;
    let tally = Tally::of(source, &["comm", "pid", SIDE, TLS, "op", STATUS], wanted)?;
    tally.each(|dims, by| {
        let [comm, pid, side, tls, method, status] = dims else { return };
        let owner = processes.owner(pid, comm);
        let [side, tls, method, status] = [side, tls, method, status].map(Dim::value);
        let times = Times::of(&by.of(metrics::HTTP_LATENCY));
        let unanswered = by.get(metrics::HTTP_UNANSWERED).map_or(0, count);
        table.row(source, &Requests { who: Who { owner, side, tls, method, status }, times, unanswered });
    })
}

fn by_route_columns() -> Columns<RouteRow> {
    Columns::<RouteRow>::new()
        .column("route", "route", |row| some(&row.name))
        .help("The path with {id} for numbers, UUIDs and hashes; 'other' stands for routes beyond the limit.")
        .route()
}

fn routes_of(source: &Source, processes: &ProcessTable, table: &mut Ranking<RouteRow>) -> Result<()> {
    let tally =
        Tally::of_each_process(source, &[ROUTE, "op", "comm", "pid", SIDE], |name| name == metrics::HTTP_LATENCY)?;
    let mut routes = Routes::new();
    tally.groups(metrics::HTTP_LATENCY, |dims, requests| {
        let [route, method, comm, pid, side] = dims else { return };
        let Some(name) = route.text() else { return };
        let [method, side] = [method, side].map(|dim| dim.text().unwrap_or(""));
        let own = processes.of_dims(pid, comm).unwrap_or("");
        if let Some(route) = routes.of([name, method, own, side], pid.process()) {
            route.times.merge(requests);
        }
    })?;
    routes.put(source, table)
}

/// What of one process is not parsed for one cause.
struct Unparsed {
    cause: Dim,
    owner: Owner,
    count: u64,
    /// All that is not parsed.
    of_all: u64,
}

fn unparsed_columns() -> Columns<Unparsed> {
    Columns::<Unparsed>::new()
        .column("cause", "cause", |row| row.cause.value())
        .help("Why it is not parsed.")
        .comm(|row| &row.owner)
        .pid(|row| &row.owner)
        .column("count", "count", |row| row.count)
        .help("Connections, or requests and answers without their other half.")
        .column("share_pct", "of unparsed", |row| share(row.count as f64, row.of_all as f64))
        .help("Part of all that is not parsed.")
}

fn not_parsed(source: &Source, processes: &ProcessTable, table: &mut Ranking<Unparsed>) -> Result<()> {
    let tally = Tally::totals_of(source, &["cause", "pid", "comm"], |name| name == metrics::HTTP_UNPARSED)?;
    let of_all = sum(&tally.total(metrics::HTTP_UNPARSED)?);
    tally.groups(metrics::HTTP_UNPARSED, |dims, own| {
        let [cause, pid, comm] = dims else { return };
        let owner = processes.owner(pid, comm);
        table.row(source, &Unparsed { cause: cause.clone(), owner, count: sum(own), of_all });
    })
}
