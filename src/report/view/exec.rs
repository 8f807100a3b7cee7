//! View `exec`: every program start and every end of a process, with arguments, duration and exit status.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::render::Document;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::aside::Aside;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::processes::End;
use crate::report::read::processes::Origin;
use crate::report::read::rows::Row;
use crate::report::read::rows::Which;
use crate::report::table::cells::PROCESS_START;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::time;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::spill::Sorted;
use crate::spill::Sorter;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("exec", "Process starts and exits");
    note_absent_probe(&mut document, sources, "process");
    let every = plan.format.is_for_programs();
    let shown = plan.rows_shown(20);
    let mut each = Ranking::new(sources, "runs", "By start time", run_columns(every)).top(shown);
    let mut commands =
        Ranking::new(sources, "commands", "By program", program_columns()).largest_first("starts").top(shown);
    for source in sources {
        let (runs, arguments) = runs(source)?;
        let mut texts = arguments.look_up()?;
        let mut programs = Programs::default();
        // By where their arguments are kept; the ranking puts them in the order of their start.
        for run in runs.iter().context(UNREADABLE)? {
            let run = run.context(UNREADABLE)?;
            let argv = run.argv.map(|argv| texts.get(argv)).transpose()?.flatten();
            programs.add(&run);
            each.weighed(source, Some(run.start.map_or(i64::MAX, i64::saturating_neg)), || Shown { run, argv });
        }
        programs.limit.check(source, "programs")?;
        for (name, mut runs) in programs.sums {
            runs.durations.sort_unstable();
            commands.row(source, &Program { name, runs });
        }
    }
    document.push(each.table()?);
    document.push(commands.table()?);
    Ok(document)
}

/// One program in one process, from its start to its end or to the next program. Times are nanoseconds since the window's start.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    which: Which,
    ppid: Option<i64>,
    uid: Option<i64>,
    comm: Option<Rc<str>>,
    filename: Option<Rc<str>>,
    /// Where its arguments are kept.
    argv: Option<i64>,
    /// `None` when it started before the window.
    start: Option<i64>,
    /// `None` when it went on after the window.
    end: Option<i64>,
    outcome: RunState,
    cpu_ns: Option<i64>,
    max_rss: Option<i64>,
    /// Whether this process ran this program, and is not a copy of its parent.
    executed: bool,
    /// Whether the filters by process let it through, by any name that it had.
    passes: bool,
}

/// What became of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
enum RunState {
    #[default]
    Running,
    Replaced,
    Ended(Option<End>),
}

impl Ord for Run {
    fn cmp(&self, other: &Run) -> Ordering {
        self.argv.cmp(&other.argv)
    }
}

impl PartialOrd for Run {
    fn partial_cmp(&self, other: &Run) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Run) -> bool {
        self.argv == other.argv
    }
}

impl Eq for Run {}

impl Run {
    fn new(which: Which) -> Run {
        Run {
            which,
            ppid: None,
            uid: None,
            comm: None,
            filename: None,
            argv: None,
            start: None,
            end: None,
            outcome: RunState::Running,
            cpu_ns: None,
            max_rss: None,
            executed: false,
            passes: false,
        }
    }

    /// About what it takes in memory.
    fn bytes(&self) -> usize {
        let text = |text: &Option<Rc<str>>| text.as_deref().map_or(0, |text| text.len() + 32);
        size_of::<Run>() + text(&self.comm) + text(&self.filename)
    }

    fn duration(&self) -> Option<i64> {
        Some(self.end?.saturating_sub(self.start?))
    }

    fn status(&self) -> Value {
        match &self.outcome {
            RunState::Running => Value::from("running"),
            RunState::Replaced => Value::from("replaced"),
            RunState::Ended(end) => end.as_ref().map_or(Value::Null, |end| Value::from(end.text())),
        }
    }
}

/// A run with its arguments.
struct Shown {
    run: Run,
    argv: Option<String>,
}

impl Shown {
    /// Its arguments, or the program's file where there are none.
    fn arguments(&self) -> Option<String> {
        self.argv.clone().or_else(|| self.run.filename.as_deref().map(str::to_owned))
    }
}

fn run_columns(every: bool) -> Columns<Shown> {
    let columns = Columns::<Shown>::new()
        .column("time_ns", "start", |shown| time(shown.run.start))
        .help("Start of the program; empty when it started before the window.")
        .column("pid", "pid", |shown| Value::Id(shown.run.which.pid))
        .column("ppid", "parent", |shown| Value::id(shown.run.ppid))
        .column("comm", "command", |shown| Value::from(shown.run.comm.as_deref()))
        .column("status", "status", |shown| shown.run.status())
        .help("Exit status or signal; 'running' at the window's end; 'replaced' by another program.")
        .column("dur_ns", "ran for", |shown| Value::nanos(shown.run.duration()))
        .help("From the start to the end of the program.")
        .column("cpu_ns", "CPU", |shown| Value::nanos(shown.run.cpu_ns))
        .help("CPU time of the process, as the kernel accounts it.")
        .column("max_rss_bytes", "memory", |shown| shown.run.max_rss.map(Value::Bytes))
        .help("Largest resident set of the process.")
        .column("argv", "arguments", Shown::arguments)
        .command()
        .help("Arguments, or the program's file where there are none.");
    if every { with_details(columns) } else { columns }
}

/// What programs get and people would have to scroll for.
fn with_details(columns: Columns<Shown>) -> Columns<Shown> {
    columns
        .column("uid", "user", |shown| Value::id(shown.run.uid))
        .column("filename", "file", |shown| Value::from(shown.run.filename.as_deref()))
        .help("The program's file.")
        .column("end_ns", "end", |shown| time(shown.run.end))
        .help("End of the program; empty when it went on after the window.")
        .column("executed", "program", |shown| shown.run.executed)
        .help("Whether the process executed a program; otherwise it is a copy of its parent.")
        .column("pid_start_ns", "process start", |shown| Value::nanos(shown.run.which.start_ns))
        .help(PROCESS_START)
}

/// What happened to a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum ProcessEvent {
    Fork,
    Exec { filename: Option<Rc<str>>, argv: Option<i64> },
    Exit { end: Option<End>, lifetime: Option<i64>, cpu_ns: Option<i64>, max_rss: Option<i64> },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Happening {
    at: i64,
    which: Which,
    ppid: Option<i64>,
    uid: Option<i64>,
    comm: Option<Rc<str>>,
    passes: bool,
    event: ProcessEvent,
}

impl Happening {
    /// A fork comes before an exec before an exit of the same moment.
    fn key(&self) -> (i64, u8) {
        let order = match self.event {
            ProcessEvent::Fork => 0,
            ProcessEvent::Exec { .. } => 1,
            ProcessEvent::Exit { .. } => 2,
        };
        (self.at, order)
    }
}

impl Ord for Happening {
    fn cmp(&self, other: &Happening) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Happening {
    fn partial_cmp(&self, other: &Happening) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Happening {
    fn eq(&self, other: &Happening) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Happening {}

/// Every run of a recording by its arguments' number; and the arguments.
fn runs(source: &Source) -> Result<(Sorted<Run>, Aside)> {
    let (happenings, arguments) = happenings(source)?;
    let mut runs = Runs { going_on: BTreeMap::new(), limit: Limit::new(), done: Sorter::new(MOST_BYTES) };
    for happening in happenings.iter().context(UNREADABLE)? {
        runs.add(happening.context(UNREADABLE)?);
    }
    runs.limit.check(source, "processes that run at the same time")?;
    let mut going_on = std::mem::take(&mut runs.going_on);
    renamed(source, |which| going_on.get_mut(&which).into_iter().for_each(|run| run.passes = true))?;
    going_on.into_values().for_each(|run| runs.end(run));
    Ok((runs.done.finish().context(NO_ROOM)?, arguments))
}

/// Hands over the processes that the filters let through by a name that they gave themselves: of those that don't end, no other row has it.
fn renamed(source: &Source, mut passes: impl FnMut(Which)) -> Result<()> {
    if !source.filters_processes() {
        return Ok(());
    }
    source.rows_of_all_times("process").each(|row| {
        if let Some(which) = row.which().filter(|_| source.passes(row.pid(), None, row.comm())) {
            passes(which);
        }
    })
}

/// Runs while what happened is gone through in its order.
struct Runs {
    /// Those that have not ended yet.
    going_on: BTreeMap<Which, Run>,
    limit: Limit,
    done: Sorter<Run>,
}

impl Runs {
    fn add(&mut self, Happening { at, which, ppid, uid, comm, passes, event }: Happening) {
        let known = self.going_on.remove(&which);
        self.limit.give_back(known.as_ref().map_or(0, Run::bytes));
        let started = Run { ppid, uid, comm, passes, start: Some(at), ..Run::new(which) };
        match event {
            ProcessEvent::Fork => {
                // Where starts are not known, its id has been another's.
                known.into_iter().for_each(|run| self.end(run));
                self.begin(started);
            }
            ProcessEvent::Exec { filename, argv } => {
                let mut program = Run { filename, argv, executed: true, ..started };
                match known {
                    // The usual fork and exec are one start.
                    Some(copy) if !copy.executed => {
                        program.ppid = program.ppid.or(copy.ppid);
                        program.uid = program.uid.or(copy.uid);
                        program.start = copy.start;
                    }
                    Some(earlier) => self.end(Run { end: Some(at), outcome: RunState::Replaced, ..earlier }),
                    None => {}
                }
                self.begin(program);
            }
            ProcessEvent::Exit { end, lifetime, cpu_ns, max_rss } => {
                // It started before the window, or its start was lost: then its lifetime gives it.
                let start = lifetime.map(|lifetime| at.saturating_sub(lifetime)).filter(|start| *start >= 0);
                let run = match known {
                    Some(run) => Run { comm: started.comm.or(run.comm), passes: passes || run.passes, ..run },
                    None => Run { start, ..started },
                };
                self.end(Run { end: Some(at), outcome: RunState::Ended(end), cpu_ns, max_rss, ..run });
            }
        }
    }

    fn begin(&mut self, run: Run) {
        if self.limit.take(run.bytes()) {
            self.going_on.insert(run.which, run);
        }
    }

    fn end(&mut self, run: Run) {
        if run.passes {
            let bytes = run.bytes();
            self.done.push(run, bytes);
        }
    }
}

/// What happened to all processes: a run has its start, its program and its end from rows under several names, so filters by
/// process are for whole runs.
fn happenings(source: &Source) -> Result<(Sorted<Happening>, Aside)> {
    let mut found = Sorter::new(MOST_BYTES);
    let mut add = |row: &Row<'_>, origin: &Origin, event: ProcessEvent| {
        let (Some(at), Some(which)) = (row.at(), row.which()) else { return };
        let passes = source.passes(row.pid(), row.text(origin.process), row.comm());
        let (ppid, uid, comm) = (row.int(origin.ppid), row.int(origin.uid), row.comm().map(Rc::from));
        let bytes = size_of::<Happening>() + row.comm().map_or(0, |comm| comm.len() + 32);
        found.push(Happening { at, which, ppid, uid, comm, passes, event }, bytes);
    };
    let mut rows = source.rows_of_all_processes("fork");
    let origin = Origin::of(&mut rows);
    rows.each(|row| add(row, &origin, ProcessEvent::Fork))?;
    let (mut arguments, mut number) = (Aside::default(), 0);
    let mut rows = source.rows_of_all_processes("exec");
    let (origin, filename, argv) = (Origin::of(&mut rows), rows.text("filename"), rows.text("argv"));
    rows.each(|row| {
        let argv = row.text(argv).map(|argv| {
            number += 1;
            arguments.put(number, argv);
            number
        });
        add(row, &origin, ProcessEvent::Exec { filename: row.text(filename).map(Rc::from), argv });
    })?;
    let mut rows = source.rows_of_all_processes("exit");
    let (origin, exit_code, signal) = (Origin::of(&mut rows), rows.int("exit_code"), rows.text("name"));
    let (cpu_ns, max_rss) = (rows.int("process_cpu_ns"), rows.int("process_max_rss_bytes"));
    rows.each(|row| {
        let end = End::of(row.int(exit_code), row.text(signal));
        let (cpu_ns, max_rss) = (row.int(cpu_ns), row.int(max_rss));
        add(row, &origin, ProcessEvent::Exit { end, lifetime: row.dur(), cpu_ns, max_rss });
    })?;
    Ok((found.finish().context(NO_ROOM)?, arguments))
}

/// What happened to processes may take so much memory before it goes to a temporary file, and so may runs.
const MOST_BYTES: usize = 16 << 20;
const NO_ROOM: &str = "can't put program starts into a temporary file";
const UNREADABLE: &str = "can't read program starts back from a temporary file";

/// All runs of one program.
#[derive(Default)]
struct Sum {
    starts: u64,
    exits: u64,
    failed: u64,
    killed: u64,
    durations: Vec<i64>,
    cpu_ns: i64,
}

/// Programs while their runs are added up.
#[derive(Default)]
struct Programs {
    sums: BTreeMap<Rc<str>, Sum>,
    limit: Limit,
}

impl Programs {
    fn add(&mut self, run: &Run) {
        let name = self.limit.name(run.filename.as_deref().or(run.comm.as_deref()).unwrap_or("?"));
        if !self.limit.take(size_of::<i64>()) || (!self.sums.contains_key(&name) && !self.limit.take(PROGRAM_BYTES)) {
            return;
        }
        let sum = self.sums.entry(name).or_default();
        sum.starts += u64::from(run.start.is_some());
        if let RunState::Ended(end) = &run.outcome {
            sum.exits += 1;
            sum.failed += u64::from(matches!(end, Some(End::Status(_))) && end.as_ref().is_some_and(End::failed));
            sum.killed += u64::from(matches!(end, Some(End::Signal(_))));
        }
        sum.durations.extend(run.duration());
        sum.cpu_ns = sum.cpu_ns.saturating_add(run.cpu_ns.unwrap_or(0));
    }
}

/// About what a program takes in memory.
const PROGRAM_BYTES: usize = 160;

/// A program with all its runs.
struct Program {
    name: Rc<str>,
    /// Its durations are in order.
    runs: Sum,
}

fn program_columns() -> Columns<Program> {
    Columns::<Program>::new()
        .column("program", "program", |program| Value::from(&*program.name))
        .help("File of the program, or the command where it is a copy of its parent.")
        .column("starts", "starts", |program| program.runs.starts)
        .help("Starts in the window.")
        .column("exits", "exits", |program| program.runs.exits)
        .help("Ends in the window.")
        .column("failed", "failed", |program| program.runs.failed)
        .help("Ends with a nonzero exit status.")
        .column("killed", "killed", |program| program.runs.killed)
        .help("Ends by a signal.")
        .column("dur_p50_ns", "ran for p50", |program| Value::nanos(program.runs.median()))
        .help("Median duration, of those that started and ended in the window.")
        .column("dur_max_ns", "max", |program| Value::nanos(program.runs.durations.last().copied()))
        .help("Longest duration.")
        .column("dur_sum_ns", "in all", |program| Value::nanos(program.runs.in_all()))
        .help("Sum of the durations.")
        .column("cpu_ns", "CPU", |program| Value::Nanos(program.runs.cpu_ns))
        .help("CPU time of those that ended.")
}

impl Sum {
    fn median(&self) -> Option<i64> {
        self.durations.get(self.durations.len().saturating_sub(1) / 2).copied()
    }

    fn in_all(&self) -> Option<i64> {
        self.durations.iter().copied().reduce(i64::saturating_add)
    }
}
