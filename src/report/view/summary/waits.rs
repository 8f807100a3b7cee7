//! Where time went: what was waited for and because of whom, which commands' threads waited where, and who idled.

use std::cmp::Reverse;

use anyhow::Result;

use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::report::read::processes::People;
use crate::report::table::cells::share;
use crate::report::table::cells::whole;
use crate::report::table::ranking::Ranking;
use crate::report::view::diagnosis;
use crate::report::view::diagnosis::Command;
use crate::report::view::diagnosis::Scene;
use crate::units;

/// Rows of the table: what comes before everything else is short.
const ROWS: usize = 6;
/// Findings for people: what comes after the third is not what a machine was slow for.
const FINDINGS: usize = 3;
/// Commands that are named as idle.
const IDLERS: usize = 3;

/// Tells what was waited for: findings as sentences, a table of where all time went, and who idled.
pub(super) fn tell(document: &mut Document, sources: &[Source], plan: &ReportPlan) -> Result<()> {
    let mut findings = Ranking::new(sources, "findings", "", diagnosis::fields());
    let mut table = Ranking::new(sources, "waits", "", fields()).top(plan.rows_shown(ROWS));
    let mut sentences = Vec::new();
    let mut idle = Vec::new();
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        let people = People::of(source)?;
        for finding in diagnosis::requests(source, &people)? {
            findings.row(source, diagnosis::cells(&finding));
            sentences.push((finding.resource.to_owned(), format!("{whose}{}", finding.text)));
        }
        let scene = Scene::of(source, &people)?;
        if scene.commands.is_empty() {
            continue;
        }
        let found = diagnosis::findings(&scene)?;
        for finding in &found {
            findings.row(source, diagnosis::cells(finding));
        }
        for finding in diagnosis::weighty(&found, FINDINGS) {
            sentences.push((finding.resource.to_owned(), format!("{whose}{}", finding.text)));
        }
        if found.is_empty() {
            sentences.push(("quiet".to_owned(), format!("{whose}{}", diagnosis::quiet(&scene)?)));
        }
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for (name, command) in &scene.commands {
            for ((sort, state), spent) in &command.spent {
                entries.push(Entry { name, command, sort: *sort, state, spent: *spent });
            }
        }
        entries.sort_by_key(|entry| Reverse(entry.spent.ns));
        let (by_design, work): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.sort == Sort::Idle);
        for entry in work.iter().filter(|entry| entry.spent.ns > 0) {
            table.row(source, entry.cells());
        }
        let idlers: Vec<String> = by_design.iter().take(IDLERS).map(Entry::idler).collect();
        if !idlers.is_empty() {
            idle.push(format!("{whose}left out, idle by design: {}", idlers.join(", ")));
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
    document.heading("What was waited for");
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

/// What the threads of one name spent in one state.
struct Entry<'a> {
    name: &'a str,
    command: &'a Command,
    sort: Sort,
    state: &'a State,
    spent: Spent,
}

impl Entry<'_> {
    /// `bash (child, 20.3 s)`.
    fn idler(&self) -> String {
        format!("{} ({}, {})", self.name, self.state.cause, units::duration(whole(self.spent.ns)))
    }

    fn cells(&self) -> Vec<Value> {
        let (spent, state) = (self.spent, self.state);
        let cause = (!state.cause.is_empty()).then_some(&*state.cause);
        vec![
            Value::from(self.name),
            Value::id(self.command.only()),
            Value::Int(whole(self.command.threads)),
            Value::from(state.words()),
            Value::Nanos(whole(spent.ns)),
            share(spent.ns as f64, self.command.lived_ns as f64),
            Value::Int(whole(spent.count)),
            Value::nanos((spent.count > 0).then(|| whole(spent.ns / spent.count))),
            Value::from(&*state.state),
            Value::from(cause),
        ]
    }
}

fn fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command").help("Name of the process."),
        Field::new("pid", "pid").help("Process, where it is only one of that name."),
        Field::new("threads", "threads").help("Threads that lived in the window."),
        Field::new("where", "where").help("State and cause."),
        Field::new("sum_ns", "time").help("Time of all its threads in that state, added up."),
        Field::new("share_pct", "share").help("Of the time that its threads lived."),
        Field::new("count", "times").help("How often a thread went into the state."),
        Field::new("mean_ns", "mean").help("Mean length of a stay."),
        Field::new("state", "state"),
        Field::new("cause", "cause"),
    ]
}
