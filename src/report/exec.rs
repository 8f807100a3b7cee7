//! View `exec`: every program start and every end of a process, with arguments, duration and exit status.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::aside::Aside;
use crate::report::limit::Limit;
use crate::report::paper::note_absent_probe;
use crate::report::paper::whole;
use crate::report::people::End;
use crate::report::plan::ReportPlan;
use crate::report::ranking::Ranking;
use crate::report::source::Row;
use crate::report::source::Source;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("exec", "Process starts and exits");
    note_absent_probe(&mut document, sources, "process");
    let every = plan.format.is_for_programs();
    let shown = plan.rows_shown(20);
    let mut each = Ranking::new(sources, "runs", "In the order of their start", run_fields(every)).top(shown);
    let mut commands =
        Ranking::new(sources, "commands", "By program", command_fields()).largest_first("starts").top(shown);
    for source in sources {
        let (runs, arguments) = runs(source)?;
        let mut texts = arguments.look_up()?;
        // By where their arguments are kept; each has its place in the order of their start.
        let mut places: Vec<usize> = (0..runs.len()).collect();
        places.sort_by_key(|place| runs.get(*place).map(|run| run.argv));
        for place in places {
            let Some(run) = runs.get(place) else { continue };
            let argv = run.argv.map(|argv| texts.get(argv)).transpose()?.flatten();
            each.weighed(source, Some(-(place as i64)), || run.cells(argv, every));
        }
        for (program, sum) in by_program(&runs) {
            commands.row(source, sum.cells(program));
        }
    }
    document.push(each.table()?);
    document.push(commands.table()?);
    Ok(document)
}

/// One program in one process, from its start to its end or to the next program. Times are nanoseconds since the window's start.
#[derive(Clone, Debug, Default)]
struct Run {
    pid: i64,
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
    outcome: Outcome,
    cpu_ns: Option<i64>,
    max_rss: Option<i64>,
    /// Whether this process ran this program, and is not a copy of its parent.
    executed: bool,
}

#[derive(Clone, Debug, Default)]
enum Outcome {
    #[default]
    Running,
    Replaced,
    Ended(Option<End>),
}

impl Run {
    fn duration(&self) -> Option<i64> {
        Some(self.end?.saturating_sub(self.start?))
    }

    fn status(&self) -> Value {
        match &self.outcome {
            Outcome::Running => Value::from("running"),
            Outcome::Replaced => Value::from("replaced"),
            Outcome::Ended(end) => end.as_ref().map_or(Value::Null, |end| Value::from(end.text())),
        }
    }

    fn cells(&self, argv: Option<String>, every: bool) -> Vec<Value> {
        let mut cells = vec![
            self.start.map_or(Value::Null, Value::Time),
            Value::Id(self.pid),
            Value::id(self.ppid),
            Value::from(self.comm.as_deref()),
            self.status(),
            Value::nanos(self.duration()),
            Value::nanos(self.cpu_ns),
            self.max_rss.map_or(Value::Null, Value::Bytes),
            Value::from(argv.or_else(|| self.filename.as_deref().map(str::to_owned))),
        ];
        if every {
            let end = self.end.map_or(Value::Null, Value::Time);
            cells.extend([Value::id(self.uid), Value::from(self.filename.as_deref()), end, Value::Bool(self.executed)]);
        }
        cells
    }
}

fn run_fields(every: bool) -> Vec<Field> {
    let mut fields = vec![
        Field::new("time_ns", "start").help("Start of the program; empty when it started before the window."),
        Field::new("pid", "pid"),
        Field::new("ppid", "parent"),
        Field::new("comm", "command"),
        Field::new("status", "status")
            .help("Exit status or signal; 'running' at the window's end; 'replaced' by another program."),
        Field::new("dur_ns", "ran for").help("From the start to the end of the program."),
        Field::new("cpu_ns", "CPU").help("CPU time of the process, as the kernel accounts it."),
        Field::new("max_rss_bytes", "memory").help("Largest resident set of the process."),
        Field::new("argv", "arguments").help("Arguments, or the program's file where there are none."),
    ];
    if every {
        fields.extend(more_run_fields());
    }
    fields
}

/// What programs get and people would have to scroll for.
fn more_run_fields() -> Vec<Field> {
    vec![
        Field::new("uid", "user"),
        Field::new("filename", "file").help("The program's file."),
        Field::new("end_ns", "end").help("End of the program; empty when it went on after the window."),
        Field::new("executed", "program")
            .help("Whether the process ran a program of its own; otherwise it is a copy of its parent."),
    ]
}

/// What happened to a process, in an order that puts a fork before an exec before an exit of the same moment.
enum Event {
    Fork,
    Exec { filename: Option<Rc<str>>, argv: Option<i64> },
    Exit { end: Option<End>, lifetime: Option<i64>, cpu_ns: Option<i64>, max_rss: Option<i64> },
}

struct Happening {
    at: i64,
    order: u8,
    pid: i64,
    ppid: Option<i64>,
    uid: Option<i64>,
    comm: Option<Rc<str>>,
    event: Event,
}

/// Every run of a recording by its start, those from before the window first; and their arguments.
fn runs(source: &Source) -> Result<(Vec<Run>, Aside)> {
    let mut runs: Vec<Run> = Vec::new();
    let mut current: HashMap<i64, usize> = HashMap::new();
    let (happenings, arguments) = happenings(source)?;
    for Happening { at, pid, ppid, uid, comm, event, .. } in happenings {
        let open = current.get(&pid).copied();
        let started = Run { pid, ppid, uid, comm: comm.clone(), start: Some(at), ..Run::default() };
        match event {
            Event::Fork => {
                current.insert(pid, runs.len());
                runs.push(started);
            }
            Event::Exec { filename, argv } => {
                let program = Run { filename, argv, executed: true, ..started };
                match open.and_then(|open| runs.get_mut(open)) {
                    // The usual fork and exec are one start.
                    Some(copy) if !copy.executed => {
                        let (ppid, uid, start) = (program.ppid.or(copy.ppid), program.uid.or(copy.uid), copy.start);
                        *copy = Run { ppid, uid, start, ..program };
                        continue;
                    }
                    Some(earlier) => {
                        earlier.end = Some(at);
                        earlier.outcome = Outcome::Replaced;
                    }
                    None => {}
                }
                current.insert(pid, runs.len());
                runs.push(program);
            }
            Event::Exit { end, lifetime, cpu_ns, max_rss } => {
                current.remove(&pid);
                let ended = Run { end: Some(at), outcome: Outcome::Ended(end), cpu_ns, max_rss, ..started };
                match open.and_then(|open| runs.get_mut(open)) {
                    Some(run) => {
                        let own = run.clone();
                        *run = Run {
                            comm: ended.comm.clone().or(own.comm),
                            outcome: ended.outcome,
                            end: ended.end,
                            cpu_ns,
                            max_rss,
                            ..own
                        };
                    }
                    None => {
                        // It started before the window, or its start was lost: then its lifetime tells when.
                        let start = lifetime.map(|lifetime| at.saturating_sub(lifetime)).filter(|start| *start >= 0);
                        runs.push(Run { start, ..ended });
                    }
                }
            }
        }
    }
    runs.sort_by_key(|run| run.start.unwrap_or(i64::MIN));
    Ok((runs, arguments))
}

fn happenings(source: &Source) -> Result<(Vec<Happening>, Aside)> {
    let mut found = Found { happenings: Vec::new(), limit: Limit::new() };
    source.rows("fork", &WHO, &[], |row| found.add(0, row, |_| Event::Fork))?;
    let (mut arguments, mut number) = (Aside::default(), 0);
    source.rows("exec", &WHO, &["filename", "argv"], |row| {
        found.add(1, row, |limit| {
            let argv = row.text(1).map(|argv| {
                number += 1;
                arguments.put(number, argv);
                number
            });
            Event::Exec { filename: row.text(0).map(|text| limit.name(text)), argv }
        });
    })?;
    let figures = [WHO[0], WHO[1], "exit_code", "process_cpu_ns", "process_max_rss_bytes"];
    source.rows("exit", &figures, &["name"], |row| {
        found.add(2, row, |_| Event::Exit {
            end: End::of(row.int(2), row.text(0)),
            lifetime: row.dur(),
            cpu_ns: row.int(3),
            max_rss: row.int(4),
        });
    })?;
    found.limit.check(source, "process starts and exits")?;
    found.happenings.sort_by_key(|happening| (happening.at, happening.order));
    Ok((found.happenings, arguments))
}

/// The columns of numbers that all three kinds begin with.
const WHO: [&str; 2] = ["ppid", "uid"];

struct Found {
    happenings: Vec<Happening>,
    limit: Limit,
}

impl Found {
    fn add(&mut self, order: u8, row: &Row<'_>, event: impl FnOnce(&mut Limit) -> Event) {
        let (Some(at), Some(pid)) = (row.at(), row.pid()) else { return };
        // The run that comes of it takes room too.
        if !self.limit.take(size_of::<Happening>() + size_of::<Run>()) {
            return;
        }
        let comm = row.comm().map(|comm| self.limit.name(comm));
        let event = event(&mut self.limit);
        self.happenings.push(Happening { at, order, pid, ppid: row.int(0), uid: row.int(1), comm, event });
    }
}

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

fn by_program(runs: &[Run]) -> BTreeMap<&str, Sum> {
    let mut programs: BTreeMap<&str, Sum> = BTreeMap::new();
    for run in runs {
        let name = run.filename.as_deref().or(run.comm.as_deref()).unwrap_or("?");
        let sum = programs.entry(name).or_default();
        sum.starts += u64::from(run.start.is_some());
        if let Outcome::Ended(end) = &run.outcome {
            sum.exits += 1;
            sum.failed += u64::from(matches!(end, Some(End::Status(_))) && end.as_ref().is_some_and(End::failed));
            sum.killed += u64::from(matches!(end, Some(End::Signal(_))));
        }
        sum.durations.extend(run.duration());
        sum.cpu_ns = sum.cpu_ns.saturating_add(run.cpu_ns.unwrap_or(0));
    }
    programs
}

fn command_fields() -> Vec<Field> {
    vec![
        Field::new("program", "program").help("File of the program, or the command where it is a copy of its parent."),
        Field::new("starts", "starts").help("Starts in the window."),
        Field::new("exits", "exits").help("Ends in the window."),
        Field::new("failed", "failed").help("Ends with another exit status than 0."),
        Field::new("killed", "killed").help("Ends by a signal."),
        Field::new("dur_p50_ns", "ran for p50").help("Median duration, of those that started and ended in the window."),
        Field::new("dur_max_ns", "max").help("Longest duration."),
        Field::new("dur_sum_ns", "in all").help("Sum of the durations."),
        Field::new("cpu_ns", "CPU").help("CPU time of those that ended."),
    ]
}

impl Sum {
    fn cells(mut self, program: &str) -> Vec<Value> {
        self.durations.sort_unstable();
        let middle = self.durations.get(self.durations.len().saturating_sub(1) / 2);
        vec![
            Value::from(program),
            Value::Int(whole(self.starts)),
            Value::Int(whole(self.exits)),
            Value::Int(whole(self.failed)),
            Value::Int(whole(self.killed)),
            Value::nanos(middle.copied()),
            Value::nanos(self.durations.last().copied()),
            Value::nanos(
                (!self.durations.is_empty())
                    .then(|| self.durations.iter().fold(0, |sum: i64, ns| sum.saturating_add(*ns))),
            ),
            Value::Nanos(self.cpu_ns),
        ]
    }
}
