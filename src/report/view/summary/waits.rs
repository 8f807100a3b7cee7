//! Where time went: what was waited for and because of whom, which commands' threads waited where, and who idled.

use std::cmp::Reverse;

use anyhow::Result;

use crate::render::Block;
use crate::render::Document;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::report::read::processes::ProcessTable;
use crate::report::read::window::scope;
use crate::report::table::cells::nanos;
use crate::report::table::cells::share;
use crate::report::table::cells::some;
use crate::report::table::cells::whole;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::report::view::diagnosis;
use crate::report::view::diagnosis::Group;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::units;

/// Rows of the table: what comes before everything else is short.
const ROWS: usize = 6;
/// Findings for people: what comes after the third is not what a machine was slow for.
const FINDINGS: usize = 3;
/// What the line of those begins with that had nothing to do.
pub(in crate::report) const IDLE: &str = "left out, idle by design";
/// Commands that are named as idle.
const IDLERS: usize = 3;

/// Tells what was waited for: findings as sentences, a table of where all time went, and who idled.
pub(in crate::report::view) fn add_findings(
    document: &mut Document,
    sources: &[Source],
    plan: &ReportPlan,
) -> Result<()> {
    let mut findings = Ranking::new(sources, "findings", "", diagnosis::columns());
    let mut table = Ranking::new(sources, "waits", "", columns()).top(plan.rows_shown(ROWS));
    let mut sentences = Vec::new();
    let mut idle = Vec::new();
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        let processes = ProcessTable::of(source)?;
        let scene = Scene::of(source, &processes)?;
        let found = diagnosis::findings(&scene)?;
        for finding in &found {
            findings.row(source, finding);
        }
        for finding in diagnosis::weighty(&found, FINDINGS) {
            let text = format!("{whose}{} See '{}'.", finding.text, finding.next);
            sentences.push((finding.resource.to_owned(), text));
        }
        if scene.groups.is_empty() {
            continue;
        }
        if found.is_empty() {
            let (word, text) = diagnosis::quiet(&scene)?;
            sentences.push((word.to_owned(), format!("{whose}{text}")));
        }
        if let Some(text) = diagnosis::outside(&scene)?.filter(|_| plan.filter.by_process() || scope(source).is_some())
        {
            sentences.push(("outside".to_owned(), format!("{whose}{text}")));
        }
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for (who, group) in &scene.groups {
            for ((sort, state), spent) in &group.spent {
                entries.push(Entry { who, group, sort: *sort, state, spent: *spent });
            }
        }
        entries.sort_by_key(|entry| Reverse(entry.spent.ns));
        let (by_design, work): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.sort == Sort::Idle);
        for entry in work.iter().filter(|entry| entry.spent.ns > 0) {
            table.row(source, &entry.row());
        }
        let idlers: Vec<String> = by_design.iter().take(IDLERS).map(Entry::idler).collect();
        if !idlers.is_empty() {
            idle.push(format!("{whose}{IDLE}: {}", idlers.join(", ")));
        }
    }
    if plan.format.is_for_programs() {
        document.push(findings.table()?);
    }
    if sentences.is_empty() {
        // Programs find every table, and the manual lists it.
        if plan.format.is_for_programs() {
            document.push(table.table()?);
        }
        return Ok(());
    }
    document.heading("Findings");
    if !plan.format.is_for_programs() {
        document.push(Block::Pairs(sentences));
    }
    let table = table.table()?;
    if !table.is_empty() || plan.format.is_for_programs() {
        document.push(table);
    }
    for line in idle {
        document.note(line);
    }
    Ok(())
}

/// What the threads of one process or command spent in one state.
struct Entry<'a> {
    who: &'a Who,
    group: &'a Group,
    sort: Sort,
    state: &'a State,
    spent: Spent,
}

impl Entry<'_> {
    /// `bash (child, 20.3 s)`.
    fn idler(&self) -> String {
        format!("{} ({}, {})", self.who.name, self.state.cause, units::duration(whole(self.spent.ns)))
    }

    fn row(&self) -> Wait {
        Wait {
            comm: self.who.name.to_string(),
            pid: self.group.only(),
            threads: self.group.threads,
            state: self.state.clone(),
            spent: self.spent,
            lived_ns: self.group.lived_ns,
        }
    }
}

/// The same, in the table.
struct Wait {
    comm: String,
    pid: Option<i64>,
    threads: u64,
    state: State,
    spent: Spent,
    lived_ns: u64,
}

fn columns() -> Columns<Wait> {
    Columns::<Wait>::new()
        .column("comm", "command", |wait| wait.comm.clone())
        .help("Name of the process.")
        .column("pid", "pid", |wait| Value::id(wait.pid))
        .help("Pid, if only one process has that name.")
        .column("threads", "threads", |wait| wait.threads)
        .help("Threads that lived in the window.")
        .column("where", "where", |wait| wait.state.words())
        .help("State and cause.")
        .column("sum_ns", "time", |wait| nanos(wait.spent.ns))
        .help("Time of all its threads in that state, added up.")
        .column("share_pct", "of life", |wait| share(wait.spent.ns as f64, wait.lived_ns as f64))
        .help("As a share of its threads' lives.")
        .column("count", "times", |wait| wait.spent.count)
        .help("How often a thread went into the state.")
        .column("mean_ns", "mean", |wait| wait.spent.ns.checked_div(wait.spent.count).map(nanos))
        .help("Mean length of a stay.")
        .column("state", "state", |wait| Value::from(&*wait.state.state))
        .column("cause", "cause", |wait| some(&wait.state.cause))
}
