//! View `processes`: every process with every metric that tells processes apart, in rank or under its parent.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::hist::Histogram;
use crate::recording::MetricMeta;
use crate::render::Document;
use crate::render::Field;
use crate::render::Table;
use crate::render::Value;
use crate::report::ledger::Account;
use crate::report::ledger::Ledger;
use crate::report::metrics;
use crate::report::paper::Ranking;
use crate::report::paper::percentile;
use crate::report::paper::unit;
use crate::report::paper::whole;
use crate::report::people::End;
use crate::report::people::People;
use crate::report::plan::ReportPlan;
use crate::report::source::Source;
use crate::report::tally::Dim;
use crate::report::tally::Tally;
use crate::report::tally::count;
use crate::report::tally::is_histogram;
use crate::report::tally::sum;
use crate::units::Unit;

mod tree;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("processes", "Processes");
    let metrics = metrics_by_process(sources);
    let every = plan.format.is_for_programs();
    let waits = sources.iter().any(|source| source.recording().kinds().iter().any(|(kind, _)| kind == "ledger"));
    let fields = fields(&metrics, every, waits);
    let mut table = Ranking::new(sources, "processes", "", fields);
    let mut depths = Vec::new();
    for source in sources {
        let rows = rows(source, &metrics, every, waits)?;
        if plan.tree {
            let parents = rows.iter().map(|row| (row.pid, row.ppid)).collect();
            let mut rows: BTreeMap<i64, Vec<Value>> = rows.into_iter().map(|row| (row.pid, row.cells)).collect();
            for (pid, depth) in tree::depth_first(&parents) {
                if let Some(cells) = rows.remove(&pid) {
                    table.row(source, cells);
                    depths.push(depth);
                }
            }
        } else {
            for row in rows {
                table.row(source, row.cells);
            }
        }
    }
    let table =
        if plan.tree { as_tree(table.top(plan.rows_shown(usize::MAX)), depths) } else { ranked(table, &metrics, plan) };
    let table = if every { table } else { for_people(table) };
    if table.rows.is_empty() && plan.filter.passes_all() {
        document.note("no probe of this recording tells processes apart; 'ebrec record' without -p does");
    }
    document.push(table);
    Ok(document)
}

/// Metrics that name a process, each once, in the order of the recordings.
fn metrics_by_process(sources: &[Source]) -> Vec<MetricMeta> {
    let mut metrics: Vec<MetricMeta> = Vec::new();
    for metric in sources.iter().flat_map(|source| &source.meta().metrics) {
        if metric.by.iter().any(|column| column == "pid") && !metrics.iter().any(|known| known.name == metric.name) {
            metrics.push(metric.clone());
        }
    }
    // What a process did with the CPU comes first; the sort keeps the order of the rest.
    metrics.sort_by_key(|metric| metric.name != metrics::ON_CPU);
    metrics
}

/// The number that says most of a metric: its total, and for pure counts how often.
fn main_field(metric: &MetricMeta) -> String {
    match unit(&metric.unit) {
        Unit::Count => format!("{}.count", metric.name),
        _ => format!("{}.sum", metric.name),
    }
}

/// Programs get every number of each metric, people the one that says most.
fn fields(metrics: &[MetricMeta], every: bool, waits: bool) -> Vec<Field> {
    let mut fields = vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("ppid", "parent"),
        Field::new("started_ns", "start").help("Start; empty when it started before the window."),
        Field::new("lifetime_ns", "lived").help("From its start to its end, where its end was seen."),
        Field::new("status", "status").help("Exit status or signal, where its end was seen."),
    ];
    let word = |word: &str| if word == "cpu" { "CPU".to_owned() } else { word.to_owned() };
    let title = |metric: &MetricMeta| metric.name.split(['.', '_']).map(word).collect::<Vec<_>>().join(" ");
    for metric in metrics {
        fields.push(Field::new(main_field(metric), title(metric)).help(metric.help.clone()));
    }
    for metric in metrics.iter().filter(|_| every) {
        for (name, _) in others(metric) {
            let heading = format!("{} {name}", title(metric));
            fields.push(Field::new(format!("{}.{name}", metric.name), heading).help(metric.help.clone()));
        }
    }
    if waits {
        fields.push(
            Field::new("wait", "waits most in").help("The wait in which most time of its threads went.").at_least(20),
        );
        fields.push(Field::new("wait_ns", "there").help("Time of its threads in that wait."));
    }
    fields.push(Field::new("argv", "arguments").at_least(36));
    if every {
        fields.extend([Field::new("uid", "user"), Field::new("container", "container")]);
    }
    fields
}

/// The further numbers of a metric: name, and percentile where it is one.
fn others(metric: &MetricMeta) -> Vec<(&'static str, Option<f64>)> {
    let mut others = Vec::new();
    if unit(&metric.unit) != Unit::Count {
        others.push(("count", None));
    }
    if is_histogram(metric) {
        others.extend([("p50", Some(0.5)), ("p99", Some(0.99)), ("max", None)]);
    }
    others
}

struct ProcessRow {
    pid: i64,
    ppid: Option<i64>,
    cells: Vec<Value>,
}

/// A row per process that any row names and the filters let through, by process id.
fn rows(source: &Source, metrics: &[MetricMeta], every: bool, with_waits: bool) -> Result<Vec<ProcessRow>> {
    let people = People::of(source)?;
    let of_process = |name: &str| metrics.iter().any(|metric| metric.name == name);
    let tally = match every {
        true => Tally::of(source, &["pid", "comm"], of_process)?,
        false => Tally::totals_of(source, &["pid", "comm"], of_process)?,
    };
    let mut by_metric: Vec<BTreeMap<i64, Histogram>> = Vec::new();
    let mut names: BTreeMap<i64, String> = BTreeMap::new();
    let mut pids = BTreeSet::new();
    let mut waits: BTreeMap<i64, Account> = BTreeMap::new();
    for ((pid, _), account) in &Ledger::of(source)?.threads {
        waits.entry(*pid).or_default().merge(account);
    }
    for metric in metrics {
        let mut groups: BTreeMap<i64, Histogram> = BTreeMap::new();
        for (dims, histogram) in tally.groups(&metric.name) {
            let Some(pid) = dims.first().and_then(Dim::int) else { continue };
            groups.entry(pid).or_default().merge(histogram);
            pids.insert(pid);
            if let Some(comm) = dims.get(1).and_then(Dim::text) {
                names.entry(pid).or_insert_with(|| comm.to_owned());
            }
        }
        by_metric.push(groups);
    }
    pids.extend(
        people
            .iter()
            .filter(|(pid, person)| source.shows(*pid, person.comm.as_deref(), person.started, person.ended))
            .map(|(pid, _)| pid),
    );
    let row = |pid: i64| {
        let person = people.get(pid).cloned().unwrap_or_default();
        let comm = person.comm.as_deref().or_else(|| names.get(&pid).map(String::as_str));
        let mut cells = vec![
            Value::from(comm),
            Value::Id(pid),
            Value::id(person.ppid),
            person.started.map_or(Value::Null, Value::Time),
            Value::nanos(person.lifetime_ns),
            Value::from(person.end.as_ref().map(End::text)),
        ];
        let of = |at: usize| by_metric.get(at).and_then(|groups| groups.get(&pid));
        for (at, metric) in metrics.iter().enumerate() {
            cells.push(of(at).map_or(Value::Null, |histogram| main_value(metric, histogram)));
        }
        for (at, metric) in metrics.iter().enumerate().filter(|_| every) {
            cells.extend(
                others(metric).into_iter().map(|other| of(at).map_or(Value::Null, |h| other_value(metric, h, other))),
            );
        }
        let top = waits.get(&pid).and_then(Account::top_wait);
        if with_waits {
            cells.push(Value::from(top.map(|(state, _)| state.words())));
            cells.push(Value::nanos(top.map(|(_, spent)| whole(spent.ns))));
        }
        cells.push(Value::from(person.argv.as_deref()));
        if every {
            cells.extend([Value::id(person.uid), Value::from(person.container.as_deref())]);
        }
        ProcessRow { pid, ppid: person.ppid, cells }
    };
    Ok(pids.into_iter().map(row).collect())
}

fn main_value(metric: &MetricMeta, histogram: &Histogram) -> Value {
    match unit(&metric.unit) {
        Unit::Count => Value::Int(whole(count(histogram))),
        unit => Value::of(unit, Some(sum(histogram) as f64)),
    }
}

fn other_value(metric: &MetricMeta, histogram: &Histogram, (name, q): (&str, Option<f64>)) -> Value {
    let unit = unit(&metric.unit);
    match (name, q) {
        (_, Some(q)) => percentile(histogram, unit, q),
        ("max", None) => Value::of(unit, histogram.max().map(|max| max as f64)),
        _ => Value::Int(whole(count(histogram))),
    }
}

/// By CPU time, or by the first metric where that was not recorded.
fn ranked(mut table: Ranking, metrics: &[MetricMeta], plan: &ReportPlan) -> Table {
    if let Some(first) = metrics.first() {
        table.largest_first(&main_field(first));
    }
    table.top(plan.rows_shown(20))
}

fn as_tree(mut table: Table, mut depths: Vec<u16>) -> Table {
    depths.truncate(table.rows.len());
    table.depths = Some(depths);
    table
}

/// People get no column that says nothing of any process, and what tells most of one before the metrics that a narrow
/// terminal has no room for.
fn for_people(mut table: Table) -> Table {
    let first = |name: &str| {
        let early = ["host", "comm", "pid", "started_ns", "lifetime_ns", "status", "sched.on_cpu.sum"];
        let early = early.into_iter().chain(["sched.runqueue_latency.sum", "wait", "wait_ns", "argv", "ppid"]);
        early.into_iter().position(|own| own == name).unwrap_or(usize::MAX)
    };
    let says = |at: usize| table.rows.iter().any(|row| row.get(at).is_some_and(|cell| *cell != Value::Null));
    let is_own = |name: &str| first(name) < usize::MAX;
    let fields = table.fields.iter().enumerate();
    let mut kept: Vec<usize> =
        fields.filter(|(at, field)| is_own(&field.name) || says(*at)).map(|(at, _)| at).collect();
    kept.sort_by_key(|at| table.fields.get(*at).map(|field| first(&field.name)));
    table.rows = table.rows.iter().map(|row| kept.iter().filter_map(|at| row.get(*at).cloned()).collect()).collect();
    table.fields = kept.iter().filter_map(|at| table.fields.get(*at).cloned()).collect();
    table
}
