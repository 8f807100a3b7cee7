//! View `syscalls`: system calls by call and by process, their errors, and the slowest; waits separate from work.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::render::Document;
use crate::render::HistogramPlot;
use crate::render::Value;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::aggregate::ByMetric;
use crate::report::read::aggregate::Dim;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessTable;
use crate::report::table::cells::nanos;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::percentile;
use crate::report::table::cells::share;
use crate::report::table::cells::some;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::units::Unit;

mod slowest;

/// The columns that the probe adds: the error, and whether a call waits by design.
const ERRNO: &str = "syscall_errno";
const CLASS: &str = "syscall_class";
/// The class of calls that wait by design.
const WAIT: &str = "wait";
/// Distributions that one picture can hold apart.
const APART: usize = 6;
/// About what a call takes in memory, and an error of one.
const CALL_BYTES: usize = 1 << 10;
const ERROR_BYTES: usize = 96;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("syscalls", "System calls");
    note_absent_probe(&mut document, sources, "syscall");
    let shown = plan.rows_shown(20);
    let mut calls = Ranking::new(sources, "calls", "By call", call_columns()).top(shown);
    let mut of_processes =
        Ranking::new(sources, "processes", "By process", process_columns()).largest_first("work_ns").top(shown);
    let mut errors = Ranking::new(sources, "errors", "Errors", error_columns()).largest_first("count").top(shown);
    let mut slow =
        Ranking::new(sources, "slowest", "Slowest calls", slowest::columns()).largest_first("dur_ns").top(shown);
    let mut rows: Vec<(&Source, Call)> = Vec::new();
    for source in sources {
        let processes = ProcessTable::of(source)?;
        let counted = Counted::of(source)?;
        rows.extend(counted.calls(source)?.into_iter().map(|call| (source, call)));
        counted.by_process(source, &processes, &mut of_processes, &mut errors)?;
        slowest::rows(source, &processes, &mut slow)?;
    }
    rows.sort_by_key(|(_, call)| (Reverse(call.weight()), Reverse(count(&call.latency))));
    let mut series = Vec::new();
    for (source, call) in rows {
        if !call.waits && series.len() < APART {
            let host = if sources.len() > 1 { format!("{} ", source.label()) } else { String::new() };
            series.push((format!("{host}{}", call.name.word()), call.latency.clone()));
        }
        calls.weighed(source, Some(call.weight()), || call);
    }
    for table in [calls.table()?, of_processes.table()?, errors.table()?, slow.table()?] {
        document.push(table);
    }
    if plan.format != Format::Text && !series.is_empty() {
        let (name, title) = (metrics::SYSCALL_LATENCY.into(), "Time in system calls other than waits".into());
        document.push(HistogramPlot { name, title, unit: Unit::Nanoseconds, series });
    }
    Ok(document)
}

/// All that the aggregates of one recording say.
struct Counted {
    tally: Tally,
    /// Time in calls that are not waits.
    work_ns: u64,
    wait_ns: u64,
}

/// The dimensions of calls, of which errors have the third and fourth otherwise.
const BY: [&str; 5] = ["pid", "name", CLASS, ERRNO, "comm"];

impl Counted {
    fn of(source: &Source) -> Result<Counted> {
        let wanted = |name: &str| name == metrics::SYSCALL_LATENCY || name == metrics::SYSCALL_ERRORS;
        let mut counted = Counted { tally: Tally::of(source, &BY, wanted)?, work_ns: 0, wait_ns: 0 };
        let (mut work, mut wait) = (0u64, 0u64);
        counted.tally.groups(metrics::SYSCALL_LATENCY, |dims, histogram| {
            let total = if waits(dims) { &mut wait } else { &mut work };
            *total = total.saturating_add(sum(histogram));
        })?;
        (counted.work_ns, counted.wait_ns) = (work, wait);
        Ok(counted)
    }

    /// By call, of all processes: there are some hundreds of calls.
    fn calls(&self, source: &Source) -> Result<Vec<Call>> {
        let mut latency: BTreeMap<(Dim, bool), Histogram> = BTreeMap::new();
        let mut errors: BTreeMap<Dim, BTreeMap<String, u64>> = BTreeMap::new();
        let mut limit = Limit::new();
        self.tally.each(|dims, by| {
            let [_, name, _, errno, _] = dims else { return };
            if let Some(histogram) = by.get(metrics::SYSCALL_LATENCY) {
                let key = (name.clone(), waits(dims));
                if latency.contains_key(&key) || limit.take(CALL_BYTES) {
                    latency.entry(key).or_default().merge(histogram);
                }
            }
            if let Some(failed) = by.get(metrics::SYSCALL_ERRORS) {
                let of_call = errors.entry(name.clone()).or_default();
                let errno = errno.word();
                if of_call.contains_key(&errno) || limit.take(ERROR_BYTES) {
                    let own = of_call.entry(errno).or_default();
                    *own = own.saturating_add(count(failed));
                }
            }
        })?;
        limit.check(source, "system calls")?;
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
        Ok(latency.iter().map(call).collect())
    }

    /// By process, and its errors by call.
    fn by_process(
        &self,
        source: &Source,
        processes: &ProcessTable,
        of_processes: &mut Ranking<Process>,
        errors: &mut Ranking<Failures>,
    ) -> Result<()> {
        let add = |process: &mut Process, rest: &[Dim], by: &ByMetric<'_>| process.add(rest, by);
        self.tally.sums(1, add, |dims, mut process| {
            let [pid] = dims else { return };
            process.owner = processes.or_owner(pid, process.owner.comm);
            process.of_all_ns = self.work_ns;
            for ((call, errno), failed) in &process.failed {
                errors.row(
                    source,
                    &Failures {
                        call: call.clone(),
                        errno: errno.clone(),
                        owner: process.owner.clone(),
                        count: *failed,
                        calls: process.by_call.get(call).map_or(0, |call| call.count),
                    },
                );
            }
            // Only calls of nobody have no row: those of several processes of a command have one, without a number.
            if process.any && *pid != Dim::None {
                of_processes.row(source, &process);
            }
        })
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

impl Call {
    /// Work first, each by the time that it took in all.
    fn weight(&self) -> i64 {
        let ns = i64::try_from(sum(&self.latency)).unwrap_or(i64::MAX);
        if self.waits { ns - i64::MAX } else { ns }
    }

    fn failed(&self) -> u64 {
        self.errors.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// `ENOENT 12, EAGAIN 3`.
    fn errnos(&self) -> Value {
        let each: Vec<String> = self.errors.iter().map(|(name, count)| format!("{name} {count}")).collect();
        some(&each.join(", "))
    }
}

fn call_columns() -> Columns<Call> {
    Columns::<Call>::new()
        .column("name", "call", |call| call.name.value())
        .column("class", "class", |call| if call.waits { WAIT } else { "work" })
        .help("'wait' for calls whose purpose is to wait, 'work' for others.")
        .column("count", "count", |call| count(&call.latency))
        .help("Calls that returned.")
        .column("sum_ns", "total", |call| nanos(sum(&call.latency)))
        .help("Time from entry to return, added up.")
        .column("share_pct", "of its class", |call| share(sum(&call.latency) as f64, call.of_class_ns as f64))
        .help("Part of the time in all calls of the class.")
        .column("p50_ns", "p50", |call| percentile(&call.latency, Unit::Nanoseconds, 0.5))
        .column("p99_ns", "p99", |call| percentile(&call.latency, Unit::Nanoseconds, 0.99))
        .column("max_ns", "max", |call| call.latency.max().map(nanos))
        .column("errors", "errors", Call::failed)
        .help("Calls that returned an error.")
        .column("errnos", "which", Call::errnos)
        .help("Errors by name, the most frequent first.")
}

/// All calls of one process.
#[derive(Default)]
struct Process {
    owner: Owner,
    /// Whether any call of it was measured.
    any: bool,
    count: u64,
    wait_ns: u64,
    work: Histogram,
    by_call: BTreeMap<Dim, OfCall>,
    failed: BTreeMap<(Dim, Dim), u64>,
    /// Work of all processes.
    of_all_ns: u64,
}

/// What one call of a process comes to, however it ended and whether it waited.
#[derive(Default)]
struct OfCall {
    count: u64,
    /// Time in it, when it is not a wait.
    work_ns: u64,
}

impl Process {
    /// Adds what one group holds; its dimensions are those behind the process.
    fn add(&mut self, dims: &[Dim], by: &ByMetric<'_>) {
        let [name, class, errno, comm] = dims else { return };
        self.owner.comm = self.owner.comm.take().or_else(|| comm.text().map(str::to_owned));
        if let Some(failed) = by.get(metrics::SYSCALL_ERRORS) {
            let own = self.failed.entry((name.clone(), errno.clone())).or_default();
            *own = own.saturating_add(count(failed));
        }
        let Some(latency) = by.get(metrics::SYSCALL_LATENCY) else { return };
        let (calls, ns) = (count(latency), sum(latency));
        self.any = true;
        self.count = self.count.saturating_add(calls);
        let call = self.by_call.entry(name.clone()).or_default();
        call.count = call.count.saturating_add(calls);
        if class.text() == Some(WAIT) {
            self.wait_ns = self.wait_ns.saturating_add(ns);
        } else {
            call.work_ns = call.work_ns.saturating_add(ns);
            self.work.merge(latency);
        }
    }
}

impl Process {
    fn errors(&self) -> u64 {
        self.failed.values().fold(0u64, |sum, count| sum.saturating_add(*count))
    }

    /// The call that took most of its work.
    fn most(&self) -> Option<String> {
        let worked = self.by_call.iter().filter(|(_, call)| call.work_ns > 0);
        worked.max_by_key(|(_, call)| call.work_ns).map(|(name, _)| name.word())
    }
}

fn process_columns() -> Columns<Process> {
    Columns::<Process>::new()
        .comm(|process| &process.owner)
        .pid(|process| &process.owner)
        .column("count", "calls", |process| process.count)
        .column("errors", "errors", Process::errors)
        .column("work_ns", "work", |process| nanos(sum(&process.work)))
        .help("Time of all its threads in calls whose purpose is not to wait.")
        .column("share_pct", "of all work", |process| share(sum(&process.work) as f64, process.of_all_ns as f64))
        .help("As a share of that time of all processes.")
        .column("wait_ns", "waits", |process| nanos(process.wait_ns))
        .help("Time of all its threads in calls whose purpose is to wait.")
        .column("p50_ns", "p50", |process| percentile(&process.work, Unit::Nanoseconds, 0.5))
        .help("Of the calls that are not waits.")
        .column("p99_ns", "p99", |process| percentile(&process.work, Unit::Nanoseconds, 0.99))
        .column("max_ns", "max", |process| process.work.max().map(nanos))
        .column("most", "most in", Process::most)
        .help("The call in which it spent most of that time.")
}

/// Calls of one process that failed with one error.
struct Failures {
    call: Dim,
    errno: Dim,
    owner: Owner,
    count: u64,
    /// All calls of that name.
    calls: u64,
}

fn error_columns() -> Columns<Failures> {
    Columns::<Failures>::new()
        .column("name", "call", |failures| failures.call.value())
        .column("errno", "error", |failures| failures.errno.value())
        .comm(|failures| &failures.owner)
        .pid(|failures| &failures.owner)
        .column("count", "count", |failures| failures.count)
        .column("share_pct", "of its calls", |failures| share(failures.count as f64, failures.calls as f64))
        .help("As a share of the process's calls of that name.")
}
