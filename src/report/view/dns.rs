//! View `dns`: names by process with latency and failures, the slowest answers, queries without one.

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::input::Source;
use crate::report::read::metrics;
use crate::report::read::processes::People;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::whole;
use crate::report::table::few::Few;
use crate::report::table::ranking::Ranking;
use crate::report::table::times;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("dns", "DNS");
    note_absent_probe(&mut document, sources, "dns");
    let shown = plan.rows_shown(20);
    let mut failures = Ranking::new(sources, "failures", "Names that were not found or not answered", failure_fields())
        .largest_first("count")
        .top(shown);
    let mut names =
        Ranking::new(sources, "names", "By process and name", name_fields()).largest_first("sum_ns").top(shown);
    let mut slowest = Ranking::new(sources, "slowest", "Slowest and failed queries", query_fields())
        .largest_first("dur_ns")
        .top(plan.events_shown(20));
    let mut tcp = Ranking::new(sources, "tcp", "Asked by TCP", tcp_fields()).top(shown);
    for source in sources {
        let people = People::of(source)?;
        let tally = Tally::of(source, &["pid", "name", "dns_rcode", "comm"], |name| name.starts_with("dns."))?;
        by_name(source, &people, &tally, &mut names)?;
        by_failure(source, &people, &tally, &mut failures)?;
        by_tcp(source, &people, &tally, &mut tcp)?;
        queries(source, &people, &mut slowest)?;
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
    let (told, more) = found.words();
    Ok((!told.is_empty())
        .then(|| ("failing names".to_owned(), format!("{}{more}", told.join(", "))))
        .into_iter()
        .collect())
}

fn own(people: &People, pid: &Dim, comm: &Dim) -> Value {
    Value::from(people.of_dims(pid, comm))
}

fn name_fields() -> Vec<Field> {
    let mut fields =
        vec![Field::new("comm", "command"), Field::new("pid", "pid"), Field::new("name", "name").help("Asked for.")];
    fields.extend(times::fields());
    fields.push(Field::new("failed", "failed").help("Answers with an error, as NXDOMAIN or SERVFAIL."));
    fields.push(Field::new("unanswered", "unanswered").help("Queries without an answer."));
    fields
}

/// What became of the queries of one name by one process.
#[derive(Default)]
struct Asked {
    comm: Option<String>,
    times: Histogram,
    failed: u64,
    unanswered: u64,
}

fn by_name(source: &Source, people: &People, tally: &Tally, table: &mut Ranking) -> Result<()> {
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
        let comm = people.name(pid.process()).or(asked.comm.as_deref());
        let mut cells = vec![Value::from(comm), pid.value(), name.value()];
        cells.extend(times::cells(&asked.times));
        cells.extend([Value::Int(whole(asked.failed)), Value::Int(whole(asked.unanswered))]);
        table.row(source, cells);
    })
}

fn failure_fields() -> Vec<Field> {
    vec![
        Field::new("name", "name").help("Asked for."),
        Field::new("outcome", "outcome").help("The answer's code, or 'no answer'."),
        Field::new("count", "count"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
    ]
}

fn by_failure(source: &Source, people: &People, tally: &Tally, table: &mut Ranking) -> Result<()> {
    for metric in [metrics::DNS_FAILURES, metrics::DNS_UNANSWERED] {
        tally.groups(metric, |dims, failures| {
            let [pid, name, code, comm] = dims else { return };
            let outcome = Value::from(code.text().unwrap_or("no answer"));
            let number = Value::Int(whole(count(failures)));
            table.row(source, vec![name.value(), outcome, number, own(people, pid, comm), pid.value()]);
        })?;
    }
    Ok(())
}

fn query_fields() -> Vec<Field> {
    vec![
        Field::new("time_ns", "end").help("When the answer came, or the query was given up."),
        Field::new("dur_ns", "took"),
        Field::new("name", "name"),
        Field::new("type", "type"),
        Field::new("outcome", "outcome").help("The answer's code; 'unanswered'; 'pending' at the window's end."),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("server", "server"),
        Field::new("own_port", "own port"),
    ]
}

fn queries(source: &Source, people: &People, table: &mut Ranking) -> Result<()> {
    source.rows("dns", &["sport"], &["op", "name", "dns_type", "dns_rcode", "daddr"], |row| {
        if row.text(0) == Some("tcp") {
            return;
        }
        table.weighed(source, row.dur(), || {
            vec![
                row.at().map_or(Value::Null, Value::Time),
                Value::nanos(row.dur()),
                Value::from(row.text(1)),
                Value::from(row.text(2)),
                Value::from(row.text(3).or(row.text(0))),
                Value::from(people.of_row(row)),
                Value::id(row.pid()),
                Value::from(row.text(4)),
                Value::id(row.int(0)),
            ]
        });
    })
}

/// The connections by TCP of one process.
#[derive(Default)]
struct Connections {
    comm: Option<String>,
    connects: u64,
    unread: u64,
}

fn by_tcp(source: &Source, people: &People, tally: &Tally, table: &mut Ranking) -> Result<()> {
    let add = |own: &mut Connections, rest: &[Dim], by: &ByMetric<'_>| {
        own.comm = own.comm.take().or_else(|| rest.last().and_then(Dim::text).map(str::to_owned));
        let counted = |metric: &str| by.get(metric).map_or(0, count);
        own.connects = own.connects.saturating_add(counted(metrics::DNS_BY_TCP));
        own.unread = own.unread.saturating_add(counted(metrics::DNS_UNREAD));
    };
    tally.sums(1, add, |dims, own| {
        let [pid] = dims else { return };
        if own.connects == 0 && own.unread == 0 {
            return;
        }
        let comm = people.name(pid.process()).or(own.comm.as_deref());
        let numbers = [own.connects, own.unread].map(|number| Value::Int(whole(number)));
        table.row(source, [Value::from(comm), pid.value()].into_iter().chain(numbers).collect());
    })
}

fn tcp_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("connects", "connects").help("Connections to port 53."),
        Field::new("unread", "not read").help("Directions of connections whose messages could not be read."),
    ]
}
