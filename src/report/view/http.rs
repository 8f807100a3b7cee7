//! View `http`: HTTP requests by process, method and status, the slowest, the failed, and what could not be told.

use anyhow::Result;

use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::People;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::share;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;

mod routes;
mod streamed;

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
        Ranking::new(sources, "requests", "Requests", request_fields()).largest_first("sum_ns").top(shown);
    let mut by_route = Ranking::new(sources, "by_route", "All requests by route", by_route_fields())
        .largest_first("sum_ns")
        .top(shown);
    let mut slowest =
        Ranking::new(sources, "slowest", "Slowest", streamed::slow_fields()).largest_first("dur_ns").top(shown);
    let mut routes = Ranking::new(sources, "routes", "Slow and failed by route", streamed::route_fields())
        .largest_first("sum_ns")
        .top(shown);
    let mut failed =
        Ranking::new(sources, "failures", "Failed", streamed::failure_fields()).largest_first("dur_ns").top(shown);
    let mut unparsed =
        Ranking::new(sources, "unparsed", "Not in these figures", unparsed_fields()).largest_first("count").top(shown);
    for source in sources {
        let people = People::of(source)?;
        by_process(source, &people, &mut requests)?;
        routes_of(source, &people, &mut by_route)?;
        streamed::rows(source, &people, [&mut routes, &mut slowest, &mut failed])?;
        not_parsed(source, &people, &mut unparsed)?;
    }
    document.push(requests.table()?);
    // Only `http:route=on` records it.
    let by_route = by_route.table()?;
    if !by_route.is_empty() || plan.format.is_for_programs() {
        document.push(by_route);
    }
    for table in [routes, slowest, failed, unparsed] {
        document.push(table.table()?);
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

/// Who, on which side, how: the columns that all tables of requests begin with.
fn who_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("side", "side").help("Which end of the connection the process is."),
        Field::new("tls", "TLS").help("Whether it came through TLS, by libssl."),
        Field::new("method", "method"),
        Field::new("status", "status").help("Status code of the answer."),
    ]
}

fn request_fields() -> Vec<Field> {
    let mut fields = who_fields();
    fields.extend(times::fields());
    fields.push(Field::new("unanswered", "unanswered").help("Requests whose connection ended before the answer did."));
    fields
}

const BY: [&str; 6] = ["comm", "pid", SIDE, TLS, "op", STATUS];

fn who(people: &People, dims: &[Dim]) -> Vec<Value> {
    let [comm, pid, rest @ ..] = dims else { return Vec::new() };
    let own = people.of_dims(pid, comm);
    [Value::from(own), pid.value()].into_iter().chain(rest.iter().map(Dim::value)).collect()
}

fn by_process(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let wanted = |name: &str| name == metrics::HTTP_LATENCY || name == metrics::HTTP_UNANSWERED;
    let tally = Tally::of(source, &BY, wanted)?;
    tally.each(|dims, by| {
        let mut cells = who(people, dims);
        cells.extend(times::cells(&by.of(metrics::HTTP_LATENCY)));
        cells.push(Value::Int(whole(by.get(metrics::HTTP_UNANSWERED).map_or(0, count))));
        table.row(source, cells);
    })
}

fn by_route_fields() -> Vec<Field> {
    let help = "The path with {id} for numbers, UUIDs and hashes; 'other': one of too many.";
    routes::fields(Field::new("route", "route").help(help))
}

fn routes_of(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let tally = Tally::of(source, &[ROUTE, "op", "comm", "pid", SIDE], |name| name == metrics::HTTP_LATENCY)?;
    let mut routes = Routes::new();
    tally.groups(metrics::HTTP_LATENCY, |dims, requests| {
        let [route, method, comm, pid, side] = dims else { return };
        let Some(name) = route.text() else { return };
        let [method, side] = [method, side].map(|dim| dim.text().unwrap_or(""));
        let own = people.of_dims(pid, comm).unwrap_or("");
        if let Some(route) = routes.of([name, method, own, side], pid.process()) {
            route.times.merge(requests);
        }
    })?;
    routes.put(source, false, table)
}

fn unparsed_fields() -> Vec<Field> {
    vec![
        Field::new("cause", "cause").help("Why it is not parsed."),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("count", "count").help("Connections, or requests and answers without their other half."),
        Field::new("share_pct", "share").help("Part of all that is not parsed."),
    ]
}

fn not_parsed(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    let tally = Tally::totals_of(source, &["cause", "pid", "comm"], |name| name == metrics::HTTP_UNPARSED)?;
    let all = sum(&tally.total(metrics::HTTP_UNPARSED)?) as f64;
    tally.groups(metrics::HTTP_UNPARSED, |dims, own| {
        let [cause, pid, comm] = dims else { return };
        let name = people.of_dims(pid, comm);
        let (number, share) = (Value::Int(whole(sum(own))), share(sum(own) as f64, all));
        table.row(source, vec![cause.value(), Value::from(name), pid.value(), number, share]);
    })
}
