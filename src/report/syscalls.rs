//! View `syscalls`: system calls by call and by process, their errors, and the slowest; waits told from work.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::Field;
use crate::render::HistogramPlot;
use crate::render::Value;
use crate::report::metrics;
use crate::report::paper::Ranking;
use crate::report::paper::note_absent_probe;
use crate::report::paper::percentile;
use crate::report::paper::share;
use crate::report::paper::whole;
use crate::report::people::People;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::source::Source;
use crate::report::tally::Dim;
use crate::report::tally::Tally;
use crate::report::tally::count;
use crate::report::tally::sum;
use crate::units::Unit;

mod slowest;

/// The columns that the probe adds: the error, and whether a call waits by design.
const ERRNO: &str = "syscall_errno";
const CLASS: &str = "syscall_class";
/// The class of calls that wait by design.
const WAIT: &str = "wait";
/// Distributions that one picture can hold apart.
const APART: usize = 6;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("syscalls", "System calls");
    note_absent_probe(&mut document, sources, "syscall");
    let shown = plan.rows_shown(20);
    let mut calls = Ranking::new(sources, "calls", "By call", call_fields());
    let mut processes = Ranking::new(sources, "processes", "By process", process_fields());
    let mut errors = Ranking::new(sources, "errors", "Errors", error_fields());
    let mut slow = Ranking::new(sources, "slowest", "Slowest calls", slowest::fields());
    let mut rows = Vec::new();
    let mut series = Vec::new();
    for source in sources {
        let people = People::of(source)?;
        let counted = Counted::of(source)?;
        rows.extend(counted.calls().into_iter().map(|call| (source, call)));
        for (pid, process) in counted.processes() {
            let name = people.comm(pid).map(str::to_owned).or(process.comm.clone());
            processes.row(source, process.cells(name, pid, counted.work_ns));
        }
        for ((pid, call, errno), error) in &counted.errors {
            let comm = pid.and_then(|pid| people.comm(pid)).map(str::to_owned).or(error.comm.clone());
            let (all, count) = (counted.count_of(*pid, call), Value::Int(whole(error.count)));
            let share = share(error.count as f64, all as f64);
            let cells = vec![call.value(), errno.value(), Value::from(comm), Value::id(*pid), count, share];
            errors.row(source, cells);
        }
        slowest::rows(source, &people, &mut slow, shown)?;
    }
    // Work first, each by the time that it took in all.
    rows.sort_by_key(|(_, call)| (call.waits, Reverse(sum(&call.latency)), Reverse(count(&call.latency))));
    for (source, call) in rows {
        if !call.waits && series.len() < APART {
            let host = if sources.len() > 1 { format!("{} ", source.label()) } else { String::new() };
            series.push((format!("{host}{}", call.name.word()), call.latency.clone()));
        }
        calls.row(source, call.cells());
    }
    processes.largest_first("work_ns");
    errors.largest_first("count");
    slow.largest_first("dur_ns");
    for table in [calls, processes, errors, slow] {
        document.push(table.top(shown));
    }
    if plan.format != Format::Text && !series.is_empty() {
        let (name, title) = (metrics::SYSCALL_LATENCY.into(), "Time in system calls that are no waits".into());
        document.push(HistogramPlot { name, title, unit: Unit::Nanoseconds, series });
    }
    Ok(document)
}

/// All that the aggregates of one recording say.
struct Counted {
    latency: Tally,
    errors: BTreeMap<(Option<i64>, Dim, Dim), Failures>,
    /// Time in calls that are no waits.
    work_ns: u64,
    wait_ns: u64,
}

#[derive(Default)]
struct Failures {
    comm: Option<String>,
    count: u64,
}

impl Counted {
    fn of(source: &Source) -> Result<Counted> {
        let latency = Tally::of(source, &["pid", "name", CLASS, "comm"], |name| name == metrics::SYSCALL_LATENCY)?;
        let failed = Tally::of(source, &["pid", "name", ERRNO, "comm"], |name| name == metrics::SYSCALL_ERRORS)?;
        let mut errors: BTreeMap<_, Failures> = BTreeMap::new();
        for (dims, histogram) in failed.groups(metrics::SYSCALL_ERRORS) {
            let [pid, name, errno, comm] = dims else { continue };
            let failures = errors.entry((pid.int(), name.clone(), errno.clone())).or_default();
            failures.count += count(histogram);
            failures.comm = failures.comm.take().or_else(|| comm.text().map(str::to_owned));
        }
        let mut counted = Counted { latency, errors, work_ns: 0, wait_ns: 0 };
        for (dims, histogram) in counted.latency.groups(metrics::SYSCALL_LATENCY) {
            let total = if waits(dims) { &mut counted.wait_ns } else { &mut counted.work_ns };
            *total = total.saturating_add(sum(histogram));
        }
        Ok(counted)
    }

    /// Calls of one name by one process, however they ended and whether they waited.
    fn count_of(&self, process: Option<i64>, call: &Dim) -> u64 {
        let own = |dims: &[Dim]| dims.first().and_then(Dim::int) == process && dims.get(1) == Some(call);
        self.latency.groups(metrics::SYSCALL_LATENCY).filter(|(dims, _)| own(dims)).map(|(_, all)| count(all)).sum()
    }

    fn calls(&self) -> Vec<Call> {
        let mut latency: BTreeMap<(Dim, bool), Histogram> = BTreeMap::new();
        for (dims, histogram) in self.latency.groups(metrics::SYSCALL_LATENCY) {
            let [_, name, ..] = dims else { continue };
            latency.entry((name.clone(), waits(dims))).or_default().merge(histogram);
        }
        let mut errors: BTreeMap<&Dim, BTreeMap<String, u64>> = BTreeMap::new();
        for ((_, name, errno), failures) in &self.errors {
            *errors.entry(name).or_default().entry(errno.word()).or_default() += failures.count;
        }
        let several =
            |name: &Dim| latency.contains_key(&(name.clone(), true)) && latency.contains_key(&(name.clone(), false));
        let call = |((name, waits), histogram): (&(Dim, bool), &Histogram)| Call {
            name: name.clone(),
            waits: *waits,
            // The errors of a call that both waits and works are not told apart: they stand beside its waits.
            errors: if several(name) && !waits { Vec::new() } else { most_first(errors.get(name)) },
            latency: histogram.clone(),
            of_class_ns: if *waits { self.wait_ns } else { self.work_ns },
        };
        latency.iter().map(call).collect()
    }

    fn processes(&self) -> BTreeMap<i64, Process> {
        let mut processes: BTreeMap<i64, Process> = BTreeMap::new();
        for (dims, histogram) in self.latency.groups(metrics::SYSCALL_LATENCY) {
            let [Dim::Int(pid), name, _, comm] = dims else { continue };
            let process = processes.entry(*pid).or_default();
            process.comm = process.comm.take().or_else(|| comm.text().map(str::to_owned));
            process.count += count(histogram);
            let ns = sum(histogram);
            if waits(dims) {
                process.wait_ns = process.wait_ns.saturating_add(ns);
            } else {
                process.work.merge(histogram);
                *process.by_call.entry(name.word()).or_default() += ns;
            }
        }
        for ((pid, ..), failures) in &self.errors {
            if let Some(process) = pid.and_then(|pid| processes.get_mut(&pid)) {
                process.errors += failures.count;
            }
        }
        processes
    }
}

fn waits(dims: &[Dim]) -> bool {
    dims.get(2).and_then(Dim::text) == Some(WAIT)
}

fn most_first(errors: Option<&BTreeMap<String, u64>>) -> Vec<(String, u64)> {
    let mut errors: Vec<(String, u64)> = errors.into_iter().flatten().map(|(name, n)| (name.clone(), *n)).collect();
    errors.sort_by_key(|(_, count)| Reverse(*count));
    errors
}

/// One call of all processes.
struct Call {
    name: Dim,
    waits: bool,
    errors: Vec<(String, u64)>,
    latency: Histogram,
    /// Time in all calls of its class.
    of_class_ns: u64,
}

fn call_fields() -> Vec<Field> {
    vec![
        Field::new("name", "call"),
        Field::new("class", "class").help("'wait' for calls whose purpose is to wait, 'work' for others."),
        Field::new("count", "count").help("Calls that returned."),
        Field::new("sum_ns", "total").help("Time from entry to return, added up."),
        Field::new("share", "share").help("Part of the time in all calls of the class."),
        Field::new("p50_ns", "p50"),
        Field::new("p99_ns", "p99"),
        Field::new("max_ns", "max"),
        Field::new("errors", "errors").help("Calls that returned an error."),
        Field::new("errnos", "which").help("Errors by name, the most frequent first."),
    ]
}

impl Call {
    fn cells(&self) -> Vec<Value> {
        let each: Vec<String> = self.errors.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let failed = self.errors.iter().map(|(_, count)| count).sum();
        vec![
            self.name.value(),
            Value::from(if self.waits { WAIT } else { "work" }),
            Value::Int(whole(count(&self.latency))),
            Value::Nanos(whole(sum(&self.latency))),
            share(sum(&self.latency) as f64, self.of_class_ns as f64),
            percentile(&self.latency, Unit::Nanoseconds, 0.5),
            percentile(&self.latency, Unit::Nanoseconds, 0.99),
            longest(&self.latency),
            Value::Int(whole(failed)),
            if each.is_empty() { Value::Null } else { Value::from(each.join(", ")) },
        ]
    }
}

fn longest(histogram: &Histogram) -> Value {
    histogram.max().map_or(Value::Null, |max| Value::Nanos(whole(max)))
}

/// All calls of one process.
#[derive(Default)]
struct Process {
    comm: Option<String>,
    count: u64,
    errors: u64,
    wait_ns: u64,
    work: Histogram,
    /// Time in calls that are no waits.
    by_call: BTreeMap<String, u64>,
}

fn process_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("count", "calls"),
        Field::new("errors", "errors"),
        Field::new("work_ns", "work").help("Time in calls that are no waits by design, of all its threads."),
        Field::new("share", "share").help("Part of that time of all processes."),
        Field::new("wait_ns", "waits").help("Time in calls whose purpose is to wait, of all its threads."),
        Field::new("p50_ns", "p50").help("Of the calls that are no waits."),
        Field::new("p99_ns", "p99"),
        Field::new("max_ns", "max"),
        Field::new("most", "most in").help("The call that took most of its work."),
    ]
}

impl Process {
    fn cells(&self, comm: Option<String>, pid: i64, work_ns: u64) -> Vec<Value> {
        let most = self.by_call.iter().max_by_key(|(_, ns)| **ns).map(|(name, _)| name.as_str());
        vec![
            Value::from(comm),
            Value::Id(pid),
            Value::Int(whole(self.count)),
            Value::Int(whole(self.errors)),
            Value::Nanos(whole(sum(&self.work))),
            share(sum(&self.work) as f64, work_ns as f64),
            Value::Nanos(whole(self.wait_ns)),
            percentile(&self.work, Unit::Nanoseconds, 0.5),
            percentile(&self.work, Unit::Nanoseconds, 0.99),
            longest(&self.work),
            Value::from(most),
        ]
    }
}

fn error_fields() -> Vec<Field> {
    vec![
        Field::new("name", "call"),
        Field::new("errno", "error"),
        Field::new("comm", "command"),
        Field::new("pid", "pid"),
        Field::new("count", "count"),
        Field::new("share", "share").help("Part of the process's calls of that name."),
    ]
}
