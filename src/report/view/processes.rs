//! View `processes`: every process with every metric that is kept per process, ranked or under its parent.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;

use crate::hist::Histogram;
use crate::recording::MetricMeta;
use crate::render::Document;
use crate::render::Field;
use crate::render::Table;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::is_histogram;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::ledger::Account;
use crate::report::read::ledger::Ledger;
use crate::report::read::ledger::State;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::processes::End;
use crate::report::read::processes::ProcessInfo;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::Which;
use crate::report::table::cells::PROCESS_START;
use crate::report::table::cells::nanos;
use crate::report::table::cells::percentile;
use crate::report::table::cells::time;
use crate::report::table::cells::unit;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::units::Unit;

mod tree;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("processes", "Processes");
    let metrics = metrics_by_process(sources);
    let every = plan.format.is_for_programs();
    // Without a recording this is for the manual, which lists all fields.
    let waits = sources.is_empty()
        || sources.iter().any(|source| source.recording().kinds().iter().any(|(kind, _)| kind == "ledger"));
    let first = metrics.first().map(main_field).unwrap_or_default();
    let mut table = Ranking::new(sources, "processes", "", columns(&metrics, every, waits));
    // By CPU time, or by the first metric where that was not recorded.
    table = if plan.tree {
        table.top(plan.rows_shown(usize::MAX))
    } else {
        table.largest_first(&first).top(plan.rows_shown(20))
    };
    let mut depths = Vec::new();
    for source in sources {
        rows(source, &Shown { metrics: &metrics, every, tree: plan.tree }, &mut table, &mut depths)?;
    }
    let mut table = table.table()?;
    if plan.tree {
        depths.truncate(usize::try_from(table.len()).unwrap_or(usize::MAX));
        table.depths = Some(depths);
    }
    let table = if every { table } else { for_people(table)? };
    if table.is_empty() && plan.filter.passes_all() {
        document.note("no probe of this recording counts by process; the default probes do");
    }
    document.push(table);
    Ok(document)
}

/// What is shown of processes.
struct Shown<'a> {
    metrics: &'a [MetricMeta],
    /// Every number of each metric.
    every: bool,
    /// Each under its parent.
    tree: bool,
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
        _ => format!("{}.sum{}", metric.name, unit(&metric.unit).ending()),
    }
}

/// Programs get every number of each metric, people the one that says most.
fn columns(metrics: &[MetricMeta], every: bool, waits: bool) -> Columns<Process> {
    let mut columns = Columns::<Process>::new()
        .column("comm", "command", |process| process.comm.clone())
        .column("pid", "pid", |process| Value::id(process.which.map(|which| which.pid)))
        .column("processes", "processes", |process| process.number)
        .help("Processes in the row: several where short-lived ones of a command share it.")
        .column("ppid", "parent", |process| Value::id(process.info.ppid))
        .column("started_ns", "start", |process| time(process.info.started))
        .help("Start; empty when it started before the window.")
        .column("lifetime_ns", "lived", |process| Value::nanos(process.info.lifetime_ns))
        .help("From its start to its end, if its end was seen.")
        .column("status", "status", |process| process.info.end.as_ref().map(End::text))
        .help("Exit status or signal, if its end was seen.");
    for metric in metrics {
        columns = with_main_number(columns, metric);
    }
    for metric in metrics.iter().filter(|_| every) {
        columns = with_other_numbers(columns, metric);
    }
    if waits {
        columns = columns
            .column("wait", "waits most in", |process| process.wait.as_ref().map(|(state, _)| state.words()))
            .help("The wait in which its threads spent the most time.")
            .at_least(20)
            .column("wait_ns", "there", |process| process.wait.as_ref().map(|(_, ns)| nanos(*ns)))
            .help("Time of its threads in that wait.");
    }
    columns = columns.column("argv", "arguments", |process| process.argv.clone()).command().at_least(36);
    if every {
        columns = columns
            .column("uid", "user", |process| Value::id(process.info.uid))
            .column("container", "container", |process| Value::from(process.info.container.as_deref()))
            .column("pid_start_ns", "process start", |process| {
                Value::nanos(process.which.and_then(|which| which.start_ns))
            })
            .help(PROCESS_START);
    }
    columns
        .column("ns_pid", "own pid", |process| Value::id(process.info.ns_pid))
        .help("Id in the process's own PID namespace, if that is another.")
}

/// `sched on CPU`.
fn title(metric: &MetricMeta) -> String {
    let word = |word: &str| if word == "cpu" { "CPU".to_owned() } else { word.to_owned() };
    metric.name.split(['.', '_']).map(word).collect::<Vec<_>>().join(" ")
}

fn with_main_number(columns: Columns<Process>, metric: &MetricMeta) -> Columns<Process> {
    let (name, unit) = (metric.name.clone(), unit(&metric.unit));
    let value = move |histogram: &Histogram| match unit {
        Unit::Count => Value::from(count(histogram)),
        unit => Value::of(unit, Some(sum(histogram) as f64)),
    };
    columns
        .column(main_field(metric), title(metric), move |process| process.metrics.get(&name).map(&value))
        .help(metric.help.clone())
        .sparse()
}

fn with_other_numbers(mut columns: Columns<Process>, metric: &MetricMeta) -> Columns<Process> {
    let unit = unit(&metric.unit);
    for (number, q) in others(metric) {
        let ending = if number == "count" { "" } else { unit.ending() };
        let name = metric.name.clone();
        let value = move |histogram: &Histogram| match (number, q) {
            (_, Some(q)) => percentile(histogram, unit, q),
            ("max", None) => Value::of(unit, histogram.max().map(|max| max as f64)),
            _ => Value::from(count(histogram)),
        };
        columns = columns
            .column(
                format!("{}.{number}{ending}", metric.name),
                format!("{} {number}", title(metric)),
                move |process| process.metrics.get(&name).map(&value),
            )
            .help(metric.help.clone())
            .sparse();
    }
    columns
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

/// What the metrics of one process are, and the name that their rows give it.
#[derive(Default)]
struct Measured {
    comm: Option<String>,
    metrics: BTreeMap<String, Histogram>,
}

impl Measured {
    fn add(&mut self, dims: &[Dim], by: &ByMetric<'_>) {
        self.comm = self.comm.take().or_else(|| dims.first().and_then(Dim::text).map(str::to_owned));
        for (metric, histogram) in by.iter() {
            match self.metrics.get_mut(metric) {
                Some(own) => own.merge(histogram),
                None => drop(self.metrics.insert(metric.to_owned(), histogram.clone())),
            }
        }
    }
}

/// Adds a row per process that any row names and the filters let through, by process id or in the order of the tree.
fn rows(source: &Source, shown: &Shown<'_>, table: &mut Ranking<Process>, depths: &mut Vec<u16>) -> Result<()> {
    let (processes, arguments) = ProcessTable::with_arguments(source)?;
    let of_process = |name: &str| shown.metrics.iter().any(|metric| metric.name == name);
    let tally = match shown.every {
        true => Tally::of(source, &["pid", "comm"], of_process)?,
        false => Tally::totals_of(source, &["pid", "comm"], of_process)?,
    };
    let mut limit = Limit::new();
    let waits = top_waits(source, &mut limit)?;
    let listed = processes
        .iter()
        .filter(|(which, info)| source.shows(which.pid, info.comm.as_deref(), info.started, info.ended));
    let mut own_rows: BTreeSet<Which> = BTreeSet::new();
    // Processes without a row of their own.
    let mut commands: BTreeMap<Rc<str>, (u64, Measured)> = BTreeMap::new();
    for (which, info) in listed {
        match source.folding().command(which, info.comm.as_deref()) {
            Some(command) => commands.entry(command).or_default().0 += 1,
            None => drop(own_rows.insert(which)),
        }
    }
    tally.each(|dims, _| {
        if let Some(which) = which(dims)
            && !own_rows.contains(&which)
            && limit.take(PROCESS_BYTES)
        {
            own_rows.insert(which);
        }
    })?;
    limit.check(source, "processes")?;
    let places = shown.tree.then(|| {
        let before = depths.len() as i64;
        let parent = |which: &Which| processes.at_start(processes.one(which)?.ppid?, which.start_ns);
        let parents = own_rows.iter().map(|which| (*which, parent(which))).collect();
        let mut places = BTreeMap::new();
        for (place, (which, depth)) in tree::depth_first(&parents).into_iter().enumerate() {
            places.insert(which, before + place as i64);
            depths.push(depth);
        }
        places
    });
    let (mut arguments, mut failed) = (arguments.look_up()?, None);
    let mut row = |which: Which, measured: Measured| {
        let argv = arguments.get(which).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            None
        });
        let info = processes.one(&which).cloned().unwrap_or_default();
        let comm = info.comm.as_deref().map(str::to_owned).or(measured.comm);
        let wait = waits.of_processes.get(&which).cloned();
        let process = Process { which: Some(which), number: 1, comm, info, metrics: measured.metrics, wait, argv };
        match &places {
            // The first place comes first.
            Some(places) => table.weighed(source, places.get(&which).map(|place| -place), || process),
            None => table.row(source, &process),
        }
    };
    let mut rest = own_rows.iter().copied().peekable();
    tally.sums(1, Measured::add, |dims, measured| {
        if let [Dim::Text(command)] = dims {
            commands.entry(Rc::clone(command)).or_default().1 = measured;
            return;
        }
        let Some(which) = which(dims) else { return };
        // Both are in the order of process ids and starts.
        while let Some(before) = rest.next_if(|other| *other < which) {
            row(before, Measured::default());
        }
        rest.next_if_eq(&which);
        row(which, measured);
    })?;
    rest.for_each(|which| row(which, Measured::default()));
    for (command, (number, measured)) in commands {
        let wait = waits.of_commands.get(&command).and_then(Account::top_wait);
        let wait = wait.map(|(state, spent)| (state.clone(), spent.ns));
        let (comm, info) = (Some(command.to_string()), ProcessInfo::default());
        let process = Process { which: None, number, comm, info, metrics: measured.metrics, wait, argv: None };
        table.row(source, &process);
    }
    failed.map_or(Ok(()), Err)
}

/// The wait in which most time of its threads went, for each process, and all waits of those that share a command's row.
#[derive(Default)]
struct Waits {
    of_processes: BTreeMap<Which, Wait>,
    of_commands: BTreeMap<Rc<str>, Account>,
}

/// A wait, and how long it was in nanoseconds.
type Wait = (State, u64);

fn top_waits(source: &Source, limit: &mut Limit) -> Result<Waits> {
    let mut waits = Waits::default();
    let mut keep = |which: Which, account: Account| {
        if let Some(command) = source.folding().command(which, Some(&account.comm)) {
            waits.of_commands.entry(command).or_default().merge(&account);
        } else if let Some((state, spent)) = account.top_wait()
            && limit.take(WAIT_BYTES)
        {
            // Each name is kept once.
            let (name, cause) = (limit.name(&state.state), limit.name(&state.cause));
            let state = State { state: name, cause, verdict: state.verdict };
            waits.of_processes.insert(which, (state, spent.ns));
        }
    };
    let mut current: Option<(Which, Account)> = None;
    Ledger::of(source)?.each_thread(|which, _, account| match &mut current {
        Some((own, sum)) if *own == which => sum.merge(account),
        _ => {
            if let Some((which, account)) = current.replace((which, account.clone())) {
                keep(which, account);
            }
        }
    })?;
    if let Some((which, account)) = current {
        keep(which, account);
    }
    Ok(waits)
}

/// About what a wait takes in memory.
const WAIT_BYTES: usize = 96;
/// About what a process takes in a set.
const PROCESS_BYTES: usize = 32;

/// The process of dimensions that begin with it.
fn which(dims: &[Dim]) -> Option<Which> {
    dims.first()?.process()
}

/// All that is known of one process.
struct Process {
    /// None where it stands for several of one command.
    which: Option<Which>,
    number: u64,
    comm: Option<String>,
    info: ProcessInfo,
    metrics: BTreeMap<String, Histogram>,
    wait: Option<Wait>,
    argv: Option<String>,
}

/// People get no column that is empty for every process, and the most telling ones before the metrics that a narrow
/// terminal has no room for.
fn for_people(mut table: Table) -> Result<Table> {
    let first = |name: &str| {
        let early = [
            "host",
            "comm",
            "pid",
            "processes",
            "ns_pid",
            "started_ns",
            "lifetime_ns",
            "status",
            "sched.on_cpu.sum_ns",
        ];
        let early = early.into_iter().chain(["sched.runqueue_latency.sum_ns", "wait", "wait_ns", "argv", "ppid"]);
        early.into_iter().position(|own| own == name).unwrap_or(usize::MAX)
    };
    let mut says = vec![false; table.fields.len()];
    table.each(|_, row| {
        says.iter_mut().zip(row).for_each(|(says, cell)| *says |= *cell != Value::Null);
        Ok(())
    })?;
    let fields = table.fields.iter().zip(says).enumerate();
    let wanted = |field: &Field, says: bool| says || (first(&field.name) < usize::MAX && field.name != "ns_pid");
    let mut kept: Vec<usize> = fields.filter(|(_, (field, says))| wanted(field, *says)).map(|(at, _)| at).collect();
    kept.sort_by_key(|at| table.fields.get(*at).map(|field| first(&field.name)));
    // What a part is merged by stands behind the cells.
    let behind = table.part_of.map(|_| table.fields.len());
    table.fields = kept.iter().filter_map(|at| table.fields.get(*at).cloned()).collect();
    kept.extend(behind);
    let keep = move |row: Vec<Value>| kept.iter().filter_map(|at| row.get(*at).cloned()).collect();
    table.rows = table.rows.into_iter().map(&keep).collect();
    table.rest = table.rest.map(|rest| rest.map(keep));
    Ok(table)
}
