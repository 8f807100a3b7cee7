//! View `dns`: names by process with latency and failures, the slowest answers, queries without one.

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::few::Few;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;
use crate::report::table::times::Times;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("dns", "DNS");
    note_absent_probe(&mut document, sources, "dns");
    let shown = plan.rows_shown(20);
    let mut failures =
        Ranking::new(sources, "failures", "Names that were not found or not answered", failure_columns())
            .largest_first("count")
            .top(shown);
    let mut names =
        Ranking::new(sources, "names", "By process and name", name_columns()).largest_first("sum_ns").top(shown);
    let mut slowest = Ranking::new(sources, "slowest", "Slowest and failed queries", query_columns())
        .largest_first("dur_ns")
        .top(plan.events_shown(20));
    let mut tcp = Ranking::new(sources, "tcp", "Asked by TCP", tcp_columns()).top(shown);
    for source in sources {
        let processes = ProcessTable::of(source)?;
        let tally = Tally::of(source, &["pid", "name", "dns_rcode", "comm"], |name| name.starts_with("dns."))?;
        by_name(source, &processes, &tally, &mut names)?;
        by_failure(source, &processes, &tally, &mut failures)?;
        by_tcp(source, &processes, &tally, &mut tcp)?;
        queries(source, &processes, &mut slowest)?;
    }
    document.push(names.table()?);
    for table in [failures.table()?, slowest.table()?, tcp.table()?] {
        if !table.is_empty() || plan.format.is_for_programs() {
            document.push(table);
        }
    }
    if plan.format != Format::Text
        && let Some(plot) = times::plot(sources, metrics::DNS_LATENCY, "Time until the answer", "comm")?
    {
        document.push(plot);
    }
    Ok(document)
}

/// What the summary says of names that failed.
pub(super) fn lines(source: &Source) -> Result<Vec<(String, String)>> {
    let tally = Tally::totals_of(source, &["name", "dns_rcode"], |name| {
        name == metrics::DNS_FAILURES || name == metrics::DNS_UNANSWERED
    })?;
    let mut found = Few::new(3);
    for metric in [metrics::DNS_FAILURES, metrics::DNS_UNANSWERED] {
        tally.groups(metric, |dims, failures| {
            let [name, code] = dims else { return };
            let what = code.text().unwrap_or("without an answer");
            found.add(count(failures), || format!("{} {what} ({})", name.word(), count(failures)));
        })?;
    }
    let (words, more) = found.words();
    Ok((!words.is_empty())
        .then(|| ("failing names".to_owned(), format!("{}{more}", words.join(", "))))
        .into_iter()
        .collect())
}

/// What became of the queries of one name by one process.
#[derive(Default)]
struct Asked {
    comm: Option<String>,
    times: Histogram,
    failed: u64,
    unanswered: u64,
}

/// What a process asked about one name.
struct Name {
    owner: Owner,
    name: Dim,
    times: Times,
    failed: u64,
    unanswered: u64,
}

fn name_columns() -> Columns<Name> {
    Columns::<Name>::new()
        .comm(|row| &row.owner)
        .pid(|row| &row.owner)
        .column("name", "name", |row| row.name.value())
        .help("Asked for.")
        .times(|row| &row.times)
        .column("failed", "failed", |row| row.failed)
        .help("Answers with an error, such as NXDOMAIN or SERVFAIL.")
        .column("unanswered", "unanswered", |row| row.unanswered)
        .help("Queries without an answer.")
}

fn by_name(source: &Source, processes: &ProcessTable, tally: &Tally, table: &mut Ranking<Name>) -> Result<()> {
    let add = |asked: &mut Asked, rest: &[Dim], by: &ByMetric<'_>| {
        let name = || rest.get(1).and_then(Dim::text).map(str::to_owned);
        asked.comm = asked.comm.take().or_else(name);
        by.get(metrics::DNS_LATENCY).into_iter().for_each(|own| asked.times.merge(own));
        let counted = |metric: &str| by.get(metric).map_or(0, count);
        asked.failed = asked.failed.saturating_add(counted(metrics::DNS_FAILURES));
        asked.unanswered = asked.unanswered.saturating_add(counted(metrics::DNS_UNANSWERED));
    };
    tally.sums(2, add, |dims, asked| {
        let [pid, name] = dims else { return };
        if count(&asked.times) == 0 && asked.failed == 0 && asked.unanswered == 0 {
            return;
        }
        let Asked { comm, failed, unanswered, .. } = asked;
        let (owner, times) = (processes.or_owner(pid, comm), Times::of(&asked.times));
        table.row(source, &Name { owner, name: name.clone(), times, failed, unanswered });
    })
}

/// Queries of one process for one name that failed alike.
struct Failures {
    name: Dim,
    outcome: String,
    count: u64,
    owner: Owner,
}

fn failure_columns() -> Columns<Failures> {
    Columns::<Failures>::new()
        .column("name", "name", |row| row.name.value())
        .help("Asked for.")
        .column("outcome", "outcome", |row| row.outcome.clone())
        .help("The answer's code, or 'no answer'.")
        .column("count", "count", |row| row.count)
        .comm(|row| &row.owner)
        .pid(|row| &row.owner)
}

fn by_failure(source: &Source, processes: &ProcessTable, tally: &Tally, table: &mut Ranking<Failures>) -> Result<()> {
    for metric in [metrics::DNS_FAILURES, metrics::DNS_UNANSWERED] {
        tally.groups(metric, |dims, failures| {
            let [pid, name, code, comm] = dims else { return };
            let outcome = code.text().unwrap_or("no answer").to_owned();
            let owner = processes.owner(pid, comm);
            table.row(source, &Failures { name: name.clone(), outcome, count: count(failures), owner });
        })?;
    }
    Ok(())
}

/// One query.
struct Query {
    at: Option<i64>,
    dur_ns: Option<i64>,
    name: Option<String>,
    sort: Option<String>,
    outcome: Option<String>,
    owner: Owner,
    server: Option<String>,
    own_port: Option<i64>,
}

fn query_columns() -> Columns<Query> {
    Columns::<Query>::new()
        .column("time_ns", "end", |query| time(query.at))
        .help("When the answer arrived, or the query was given up.")
        .column("dur_ns", "took", |query| Value::nanos(query.dur_ns))
        .column("name", "name", |query| query.name.clone())
        .column("type", "type", |query| query.sort.clone())
        .column("outcome", "outcome", |query| query.outcome.clone())
        .help("The answer's code; 'unanswered'; 'pending' at the window's end.")
        .comm(|query| &query.owner)
        .pid(|query| &query.owner)
        .column("server", "server", |query| query.server.clone())
        .column("own_port", "local port", |query| Value::id(query.own_port))
}

fn queries(source: &Source, processes: &ProcessTable, table: &mut Ranking<Query>) -> Result<()> {
    let mut rows = source.rows("dns").without("op", &["tcp"]);
    let (op, name, sort) = (rows.text("op"), rows.text("name"), rows.text("dns_type"));
    let (code, server, own_port) = (rows.text("dns_rcode"), rows.text("daddr"), rows.int("sport"));
    table.longest(source, rows, |row| {
        let text = |column| row.text(column).map(str::to_owned);
        Query {
            at: row.at(),
            dur_ns: row.dur(),
            name: text(name),
            sort: text(sort),
            outcome: text(code).or_else(|| text(op)),
            owner: processes.owner_of(row),
            server: text(server),
            own_port: row.int(own_port),
        }
    })
}

/// The connections by TCP of one process.
#[derive(Default)]
struct Connections {
    owner: Owner,
    connects: u64,
    unread: u64,
}

fn tcp_columns() -> Columns<Connections> {
    Columns::<Connections>::new()
        .comm(|own| &own.owner)
        .pid(|own| &own.owner)
        .column("connects", "connects", |own| own.connects)
        .help("Connections to port 53.")
        .column("unread", "not read", |own| own.unread)
        .help("Directions of connections whose messages could not be read.")
}

fn by_tcp(source: &Source, processes: &ProcessTable, tally: &Tally, table: &mut Ranking<Connections>) -> Result<()> {
    let add = |own: &mut Connections, rest: &[Dim], by: &ByMetric<'_>| {
        let name = || rest.last().and_then(Dim::text).map(str::to_owned);
        own.owner.comm = own.owner.comm.take().or_else(name);
        let counted = |metric: &str| by.get(metric).map_or(0, count);
        own.connects = own.connects.saturating_add(counted(metrics::DNS_BY_TCP));
        own.unread = own.unread.saturating_add(counted(metrics::DNS_UNREAD));
    };
    tally.sums(1, add, |dims, mut own| {
        let [pid] = dims else { return };
        if own.connects > 0 || own.unread > 0 {
            own.owner = processes.or_owner(pid, own.owner.comm);
            table.row(source, &own);
        }
    })
}
