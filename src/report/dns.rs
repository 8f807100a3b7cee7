//! View `dns`: names by process with latency and failures, the slowest answers, queries without one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::metrics;
use crate::report::paper::Ranking;
use crate::report::paper::note_absent_probe;
use crate::report::paper::whole;
use crate::report::people::People;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::source::Source;
use crate::report::tally::Dim;
use crate::report::tally::Tally;
use crate::report::tally::count;
use crate::report::times;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("dns", "DNS");
    note_absent_probe(&mut document, sources, "dns");
    let mut failures = Ranking::new(sources, "failures", "Names that were not found or not answered", failure_fields());
    let mut names = Ranking::new(sources, "names", "By process and name", name_fields());
    let mut slowest = Ranking::new(sources, "slowest", "Slowest and failed queries", query_fields());
    let mut tcp = Ranking::new(sources, "tcp", "Asked by TCP", tcp_fields());
    for source in sources {
        let people = People::of(source)?;
        let tally = Tally::of(source, &["pid", "name", "dns_rcode", "comm"], |name| name.starts_with("dns."))?;
        by_name(source, &people, &tally, &mut names);
        by_failure(source, &people, &tally, &mut failures);
        for (dims, connects) in tally.groups(metrics::DNS_BY_TCP) {
            let [pid, _, _, comm] = dims else { continue };
            tcp.row(source, vec![own(&people, pid, comm), pid.value(), Value::Int(whole(count(connects)))]);
        }
        queries(source, &people, &mut slowest)?;
    }
    names.largest_first("sum_ns");
    failures.largest_first("count");
    slowest.largest_first("dur_ns");
    let shown = plan.rows_shown(20);
    document.push(names.top(shown));
    for table in [failures.top(shown), slowest.top(plan.events_shown(20)), tcp.top(shown)] {
        if !table.rows.is_empty() || plan.format.is_for_programs() {
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
    let mut found: Vec<(u64, String)> = Vec::new();
    for metric in [metrics::DNS_FAILURES, metrics::DNS_UNANSWERED] {
        for (dims, failures) in tally.groups(metric) {
            let [name, code] = dims else { continue };
            let what = code.text().unwrap_or("without an answer");
            found.push((count(failures), format!("{} {what} ({})", name.word(), count(failures))));
        }
    }
    found.sort_by_key(|(count, _)| Reverse(*count));
    let told: Vec<&str> = found.iter().take(3).map(|(_, text)| text.as_str()).collect();
    let more = if found.len() > told.len() { ", …" } else { "" };
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

fn by_name(source: &Source, people: &People, tally: &Tally, table: &mut Ranking) {
    let mut by: BTreeMap<[Dim; 2], (Value, Histogram, [u64; 2])> = BTreeMap::new();
    for (at, metric) in [metrics::DNS_LATENCY, metrics::DNS_FAILURES, metrics::DNS_UNANSWERED].iter().enumerate() {
        for (dims, values) in tally.groups(metric) {
            let [pid, name, _, comm] = dims else { continue };
            let (command, times, counts) = by.entry([pid.clone(), name.clone()]).or_default();
            if *command == Value::Null {
                *command = own(people, pid, comm);
            }
            match at.checked_sub(1).and_then(|at| counts.get_mut(at)) {
                Some(sum) => *sum = sum.saturating_add(count(values)),
                None => times.merge(values),
            }
        }
    }
    for ([pid, name], (command, times, [failed, unanswered])) in by {
        let mut cells = vec![command, pid.value(), name.value()];
        cells.extend(times::cells(&times));
        cells.extend([Value::Int(whole(failed)), Value::Int(whole(unanswered))]);
        table.row(source, cells);
    }
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

fn by_failure(source: &Source, people: &People, tally: &Tally, table: &mut Ranking) {
    for metric in [metrics::DNS_FAILURES, metrics::DNS_UNANSWERED] {
        for (dims, failures) in tally.groups(metric) {
            let [pid, name, code, comm] = dims else { continue };
            let outcome = Value::from(code.text().unwrap_or("no answer"));
            let number = Value::Int(whole(count(failures)));
            table.row(source, vec![name.value(), outcome, number, own(people, pid, comm), pid.value()]);
        }
    }
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
        let comm = people.of_row(row);
        let cells = vec![
            row.at().map_or(Value::Null, Value::Time),
            Value::nanos(row.dur()),
            Value::from(row.text(1)),
            Value::from(row.text(2)),
            Value::from(row.text(3).or(row.text(0))),
            Value::from(comm),
            Value::id(row.pid()),
            Value::from(row.text(4)),
            Value::id(row.int(0)),
        ];
        table.row(source, cells);
    })
}

fn tcp_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("connects", "connects").help("Connections to port 53."),
    ]
}
