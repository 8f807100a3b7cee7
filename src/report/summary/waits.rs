//! Where time went: which commands' threads waited for what, and for how long.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::ledger::Account;
use crate::report::ledger::Ledger;
use crate::report::ledger::Sort;
use crate::report::ledger::Spent;
use crate::report::ledger::State;
use crate::report::paper::Ranking;
use crate::report::paper::share;
use crate::report::paper::whole;
use crate::report::people::People;
use crate::report::source::Source;
use crate::units;

/// Sentences before the table.
const SENTENCES: usize = 3;
/// Commands that are named as idle.
const IDLERS: usize = 3;
/// A wait that is less than this share of the window is nothing to begin a report with.
const WORTH_TELLING: f64 = 0.01;

/// All threads of the processes of one name.
#[derive(Default)]
struct Command {
    pids: BTreeSet<i64>,
    threads: u64,
    account: Account,
}

/// Tells where the threads' time went: the largest waits as sentences, a table, and who idled.
pub(super) fn tell(document: &mut Document, sources: &[Source], most: usize) -> Result<()> {
    let mut table = Ranking::new(sources, "waits", "", fields());
    let mut sentences = Vec::new();
    let mut idle = Vec::new();
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        let commands = commands(source)?;
        let mut entries: Vec<(&str, &Command, &State, Spent)> = Vec::new();
        for (name, command) in &commands {
            entries.extend(command.account.spent.iter().map(|(state, spent)| (name.as_str(), command, state, *spent)));
        }
        entries.sort_by_key(|(_, _, _, spent)| Reverse(spent.ns));
        let (by_design, work): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(_, _, state, spent)| state.sort(*spent) == Sort::Idle);
        let waits = work.iter().filter(|(_, _, state, spent)| {
            state.state != "on_cpu" && spent.ns as f64 >= WORTH_TELLING * source.span_ns() as f64
        });
        sentences.extend(waits.take(SENTENCES).map(|entry| format!("{whose}{}", sentence(entry))));
        for entry in work.iter().filter(|(_, _, _, spent)| spent.ns > 0) {
            table.row(source, cells(entry));
        }
        let idlers: Vec<String> = by_design
            .iter()
            .take(IDLERS)
            .map(|(name, _, state, spent)| format!("{name} ({}, {})", state.cause, units::duration(whole(spent.ns))))
            .collect();
        if !idlers.is_empty() {
            idle.push(format!("{whose}left out, idle by design: {}", idlers.join(", ")));
        }
    }
    if sentences.is_empty() && idle.is_empty() {
        return Ok(());
    }
    document.heading("Where time went");
    let first = |at: usize| if at == 0 { "waits".to_owned() } else { String::new() };
    if !sentences.is_empty() {
        document.push(Block::Pairs(sentences.into_iter().enumerate().map(|(at, line)| (first(at), line)).collect()));
    }
    document.push(table.top(most));
    for line in idle {
        document.note(line);
    }
    Ok(())
}

/// By the process's own name, so that its threads' names do not scatter it.
fn commands(source: &Source) -> Result<BTreeMap<String, Command>> {
    let people = People::of(source)?;
    let mut commands: BTreeMap<String, Command> = BTreeMap::new();
    for ((pid, _), account) in &Ledger::of(source)?.threads {
        let name = people.comm(*pid).unwrap_or(&account.comm);
        let command = commands.entry(name.to_owned()).or_default();
        command.pids.insert(*pid);
        command.threads += 1;
        command.account.merge(account);
    }
    Ok(commands)
}

/// `nginx: 61% of the time of its 8 threads blocked in fsync: 29.3 s in 1,204 waits`.
fn sentence((name, command, state, spent): &(&str, &Command, &State, Spent)) -> String {
    let part = units::percent(100.0 * spent.ns as f64 / command.account.lived_ns.max(1) as f64);
    let threads = match command.threads {
        1 => "of its time".to_owned(),
        count => format!("of the time of its {} threads", units::count(count)),
    };
    let waits = if spent.count == 1 { "wait" } else { "waits" };
    let time = units::duration(whole(spent.ns));
    format!("{name}: {part} {threads} {}, {time} in {} {waits}", state.words(), units::count(spent.count.max(1)))
}

fn fields() -> Vec<Field> {
    vec![
        Field::new("comm", "command").help("Name of the process."),
        Field::new("pid", "pid").help("Process, where it is only one of that name."),
        Field::new("threads", "threads").help("Threads that lived in the window."),
        Field::new("where", "where").help("State and cause."),
        Field::new("ns", "time").help("Time of all its threads in that state, added up."),
        Field::new("share", "share").help("Of the time that its threads lived."),
        Field::new("count", "times").help("How often a thread went into the state."),
        Field::new("mean_ns", "mean").help("Mean length of a stay."),
        Field::new("state", "state"),
        Field::new("cause", "cause"),
    ]
}

fn cells((name, command, state, spent): &(&str, &Command, &State, Spent)) -> Vec<Value> {
    let only = command.pids.first().filter(|_| command.pids.len() == 1);
    let cause = (!state.cause.is_empty()).then_some(state.cause.as_str());
    vec![
        Value::from(*name),
        Value::id(only.copied()),
        Value::Int(whole(command.threads)),
        Value::from(state.words()),
        Value::Nanos(whole(spent.ns)),
        share(spent.ns as f64, command.account.lived_ns as f64),
        Value::Int(whole(spent.count)),
        Value::nanos((spent.count > 0).then(|| whole(spent.ns / spent.count))),
        Value::from(state.state.as_str()),
        Value::from(cause),
    ]
}
