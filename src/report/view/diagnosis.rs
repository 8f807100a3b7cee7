//! What the machine waited for, and because of whom: findings, each out of rows, the weightiest first.
//!
//! A finding begins with the process that lost most to one sort of wait and names whoever had what it waited for. How much a process
//! lost is told as a share of the time in which its threads had something to do, so a pool of idle workers hides nothing.

mod cpu;
mod disk;
mod lock;
mod memory;
mod requests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;

use crate::render::Value;
use crate::report::read::aggregate::Dim;
use crate::report::read::input::Source;
use crate::report::read::ledger::Account;
use crate::report::read::ledger::IDLE_NS;
use crate::report::read::ledger::Ledger;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::report::read::limit::Limit;
use crate::report::read::processes::People;
use crate::report::read::rows::Which;
use crate::report::table::cells::nanos;
use crate::report::table::cells::whole;
use crate::report::table::columns::Columns;
use crate::units;

/// A wait that adds up to less than this part of the window is nothing to begin a report with: a hundredth is below what a
/// person notices, and what timers and kernel threads wait on an idle machine.
const LEAST_OF_WINDOW: f64 = 0.01;

/// What a process loses below this part of its own busy time is less than the same work differs from run to run.
const LEAST_OF_BUSY: f64 = 0.05;

/// What weighs less than this part of the weightiest finding is not what the machine was slow for.
const LEAST_OF_FIRST: f64 = 0.1;

/// Others that are named as having waited for the same.
const OTHERS: usize = 2;

/// About what a state of a command takes in memory, and each process of it.
const STATE_BYTES: usize = 128;
const PROCESS_BYTES: usize = 40;

/// Process id of kthreadd, the parent of every kernel thread.
const KTHREADD: i64 = 2;

/// One thing that was waited for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Finding {
    /// How much it matters, from 0 to 1: the part of the window in which someone waited, times the part of the busy time that it lost.
    pub(super) weight: f64,
    /// `disk`, `CPU`, `lock`, `memory`, `slow request`, `failed request`.
    pub(super) resource: &'static str,
    /// One to four sentences.
    pub(super) text: String,
    /// Who waited.
    pub(super) victim: String,
    /// Its process, where it is one.
    pub(super) victim_pid: Option<i64>,
    /// How long all its threads waited, in nanoseconds.
    pub(super) ns: u64,
    /// The same in hundredths of the time in which they were not idle.
    pub(super) percent: f64,
    /// How often.
    pub(super) count: u64,
    /// Who had most of what it waited for.
    pub(super) culprit: Option<String>,
    /// Its process, where it is one.
    pub(super) culprit_pid: Option<i64>,
    /// How much of it, in hundredths.
    pub(super) culprit_percent: Option<f64>,
}

/// Findings of a recording, the weightiest first; empty where there is no ledger, or on a machine where nothing waited.
pub(super) fn findings(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    findings.extend(memory::kills(scene)?);
    findings.extend(memory::stalls(scene)?);
    findings.extend(disk::finding(scene)?);
    findings.extend(cpu::finding(scene)?);
    findings.extend(lock::finding(scene)?);
    findings.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    Ok(findings)
}

/// What HTTP requests were slow or failed: told first, since whoever records them asks for that, and needs no ledger.
pub(super) fn requests(source: &Source, people: &People) -> Result<Vec<Finding>> {
    requests::findings(source, people)
}

/// The findings that people are told of.
pub(super) fn weighty(findings: &[Finding], most: usize) -> impl Iterator<Item = &Finding> {
    let first = findings.first().map_or(0.0, |first| first.weight);
    findings.iter().filter(move |finding| finding.weight >= LEAST_OF_FIRST * first).take(most)
}

/// What a quiet machine is told.
pub(super) fn quiet(scene: &Scene<'_>) -> Result<String> {
    let (least, busy) = (100.0 * LEAST_OF_WINDOW, 100.0 * LEAST_OF_BUSY);
    let cpus = cpu::used(scene)?.map(|percent| format!("; the CPUs were {} busy", units::percent(percent)));
    Ok(format!(
        "no process waited for a CPU, a disk, a lock or memory for {least:.0}% of the window and {busy:.0}% of its busy time{}",
        cpus.unwrap_or_default()
    ))
}

/// The columns of a finding.
pub(super) fn columns() -> Columns<Finding> {
    Columns::<Finding>::new()
        .column("resource", "resource", |finding| finding.resource)
        .help("What was waited for: disk, CPU, lock, memory, or an HTTP request that was slow or failed.")
        .column("weight", "weight", |finding| finding.weight)
        .help(
            "Part of the window in which it was waited for, times the part of its busy time that the process lost so.",
        )
        .column("comm", "command", |finding| finding.victim.clone())
        .help("The process that lost most.")
        .column("pid", "pid", |finding| Value::id(finding.victim_pid))
        .help("The process, where there is one of that name only.")
        .column("waited_ns", "time", |finding| nanos(finding.ns))
        .help("Time that its threads waited, added up.")
        .column("busy_pct", "of busy time", |finding| Value::Percent(finding.percent))
        .help("Of the time in which its threads were not idle by design.")
        .column("count", "waits", |finding| finding.count)
        .column("by_comm", "had by", |finding| finding.culprit.clone())
        .help("The process that had most of what was waited for.")
        .column("by_pid", "its pid", |finding| Value::id(finding.culprit_pid))
        .column("by_pct", "of all use", |finding| finding.culprit_percent.map(Value::Percent))
        .help("How much of it that process had: of a disk's time, of CPU time in use.")
        .column("text", "in words", |finding| finding.text.clone())
}

/// All processes of one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Command {
    /// Its processes.
    pub(super) processes: BTreeSet<Which>,
    /// How many threads lived in the window.
    pub(super) threads: u64,
    /// How long they lived, added up, in nanoseconds.
    pub(super) lived_ns: u64,
    /// What they spent where; each thread's own habits decide of what sort a wait is.
    pub(super) spent: BTreeMap<(Sort, State), Spent>,
}

impl Command {
    /// Adds a thread, whose waits are of the sort that its own habits make them; all threads of the name worked for `of_all`.
    fn add(&mut self, which: Which, account: &Account, of_all: u64, limit: &mut Limit) {
        if self.processes.insert(which) {
            limit.take(PROCESS_BYTES);
        }
        self.threads += 1;
        self.lived_ns = self.lived_ns.saturating_add(account.lived_ns);
        let by_others = of_all.saturating_sub(worked(account));
        for (state, spent) in account.spent.iter() {
            let sort = match state.sort(*spent) {
                // The holder of a lock works meanwhile. A thread that waits twice as long as all others worked waits for a timer or for work.
                Sort::Lock if &*state.cause == "futex" && spent.ns / 2 > by_others => Sort::Idle,
                sort => sort,
            };
            // Each name is kept once, whichever thread it came with.
            let state = State { state: limit.name(&state.state), cause: limit.name(&state.cause) };
            let sum = self.spent.entry((sort, state)).or_default();
            *sum = self::add(*sum, *spent);
        }
    }

    /// Time in which its threads had something to do.
    fn busy_ns(&self) -> u64 {
        self.lived_ns.saturating_sub(self.of(Sort::Idle).ns)
    }

    /// What was spent in states of one sort.
    fn of(&self, sort: Sort) -> Spent {
        let own = self.spent.iter().filter(|((own, _), _)| *own == sort);
        own.fold(Spent::default(), |sum, (_, spent)| add(sum, *spent))
    }

    /// The causes of one sort, the largest first, without those that are less than a fifth of it.
    fn causes(&self, sort: Sort) -> Vec<&str> {
        let mut causes: BTreeMap<&str, u64> = BTreeMap::new();
        for ((_, state), spent) in self.spent.iter().filter(|((own, _), _)| *own == sort) {
            let own = causes.entry(&state.cause).or_default();
            *own = own.saturating_add(spent.ns);
        }
        let all = causes.values().fold(0u64, |sum, ns| sum.saturating_add(*ns));
        let mut causes: Vec<(&str, u64)> = causes.into_iter().filter(|(_, ns)| *ns >= all / 5).collect();
        causes.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        causes.into_iter().map(|(cause, _)| cause).collect()
    }

    /// The process, where it is one.
    pub(super) fn only(&self) -> Option<i64> {
        self.processes.first().map(|which| which.pid).filter(|_| self.processes.len() == 1)
    }
}

fn add(a: Spent, b: Spent) -> Spent {
    Spent { ns: a.ns.saturating_add(b.ns), count: a.count.saturating_add(b.count) }
}

/// What the findings are made from.
pub(super) struct Scene<'a> {
    /// The recording.
    pub(super) source: &'a Source,
    /// Its processes.
    pub(super) people: &'a People,
    /// The processes that the filters let through, by name.
    pub(super) commands: BTreeMap<Rc<str>, Command>,
    /// What the CPUs ran and idled; none under a filter by process.
    cpus: Vec<Account>,
}

impl<'a> Scene<'a> {
    /// Reads the ledger.
    pub(super) fn of(source: &'a Source, people: &'a People) -> Result<Scene<'a>> {
        let ledger = Ledger::of(source)?;
        // By the process's own name, so that its threads' names do not scatter it.
        let own = |which: &Which| people.one(which).and_then(|person| person.comm.as_deref());
        let mut limit = Limit::new();
        let mut worked_by: BTreeMap<Rc<str>, u64> = BTreeMap::new();
        ledger.each_thread(|which, _, account| {
            let name = limit.name(own(&which).unwrap_or(&account.comm));
            let sum = worked_by.entry(name).or_default();
            *sum = sum.saturating_add(worked(account));
        })?;
        let mut commands: BTreeMap<Rc<str>, Command> = BTreeMap::new();
        ledger.each_thread(|which, _, account| {
            let name = limit.name(own(&which).unwrap_or(&account.comm));
            let of_all = worked_by.get(&name).copied().unwrap_or(0);
            let command = commands.entry(name).or_default();
            let before = command.spent.len();
            command.add(which, account, of_all, &mut limit);
            limit.take((command.spent.len() - before) * STATE_BYTES);
        })?;
        limit.check(source, "commands")?;
        let cpus = ledger.cpus.into_values().collect();
        Ok(Scene { source, people, commands, cpus })
    }

    /// The name under which a process is counted.
    fn name(&self, process: &Dim, comm: &Dim) -> String {
        self.people.of_dims(process, comm).unwrap_or("?").to_owned()
    }

    /// `make (4200)`, `make` where there are several of that name or none.
    fn call(&self, name: &str) -> String {
        let pid = self.commands.get(name).and_then(Command::only);
        pid.map_or_else(|| name.to_owned(), |pid| format!("{name} ({pid})"))
    }

    /// Whether a process is a kernel thread. It works for others, and what it waits for shows in their waits.
    fn is_kernel(&self, which: Which) -> bool {
        let person = self.people.one(&which).or_else(|| self.people.get(which.pid));
        which.pid == KTHREADD || person.is_some_and(|person| person.ppid == Some(KTHREADD))
    }

    fn span_ns(&self) -> f64 {
        (self.source.span_ns() as f64).max(1.0)
    }

    /// How much it matters that a process waited, from 0 to 1; `None` when it is not worth telling.
    fn weight(&self, ns: u64, busy_ns: u64) -> Option<f64> {
        let of_window = ns as f64 / self.span_ns();
        let of_busy = ns as f64 / busy_ns.max(1) as f64;
        (of_window >= LEAST_OF_WINDOW && of_busy >= LEAST_OF_BUSY).then_some(of_window.min(1.0) * of_busy.min(1.0))
    }

    /// The processes for which waiting of one sort is worth telling, the weightiest first.
    fn victims(&self, sort: Sort) -> Vec<Victim<'_>> {
        let mut found: Vec<Victim<'_>> = Vec::new();
        let people = |command: &&Command| !command.processes.iter().all(|which| self.is_kernel(*which));
        for (name, command) in self.commands.iter().filter(|(_, command)| people(command)) {
            let (spent, busy_ns) = (command.of(sort), command.busy_ns());
            if let Some(weight) = self.weight(spent.ns, busy_ns) {
                let percent = 100.0 * spent.ns as f64 / busy_ns.max(1) as f64;
                found.push(Victim { name, command, spent, weight, percent });
            }
        }
        found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        found
    }
}

/// A process that waited.
struct Victim<'a> {
    name: &'a str,
    command: &'a Command,
    spent: Spent,
    weight: f64,
    percent: f64,
}

impl Victim<'_> {
    /// `make (4200) waited for a CPU 81.2% of the time it was not idle: 4.06 s in 80 waits`.
    fn sentence(&self, scene: &Scene<'_>, what: &str) -> String {
        let who = scene.call(self.name);
        let it = if self.command.threads == 1 {
            format!("{who} waited for {what} {} of the time it was not idle", units::percent(self.percent))
        } else {
            format!(
                "the {} threads of {who} waited for {what} {} of the time they were not idle",
                units::count(self.command.threads),
                units::percent(self.percent)
            )
        };
        let waits = if self.spent.count == 1 { "wait" } else { "waits" };
        let time = units::duration(whole(self.spent.ns));
        format!("{it}: {time} in {} {waits}", units::count(self.spent.count.max(1)))
    }

    /// The mean wait in words.
    fn mean(&self) -> String {
        units::duration(whole(self.spent.ns / self.spent.count.max(1)))
    }

    fn finding(&self, resource: &'static str, text: String) -> Finding {
        Finding {
            weight: self.weight,
            resource,
            text,
            victim: self.name.to_owned(),
            victim_pid: self.command.only(),
            ns: self.spent.ns,
            percent: self.percent,
            count: self.spent.count,
            ..Finding::default()
        }
    }
}

/// Who else waited, with their shares: `. Also postgres (200) 12.0%, make 8.1%`; empty for nobody.
fn others<'v>(scene: &Scene<'_>, others: impl Iterator<Item = &'v Victim<'v>>) -> String {
    let one = |other: &Victim<'_>| format!("{} {}", scene.call(other.name), units::percent(other.percent));
    let words: Vec<String> = others.take(OTHERS).map(one).collect();
    if words.is_empty() { String::new() } else { format!(". Also {}", words.join(", ")) }
}

/// Time in which a thread may have held a lock: all but what it idled and what it waited for locks itself. Short sleeps count, since
/// some sleep with a lock in their hands.
fn worked(account: &Account) -> u64 {
    let holds = |(state, spent): &(&State, &Spent)| match state.sort(**spent) {
        Sort::Lock => false,
        Sort::Idle => &*state.cause == "sleep" && spent.ns / spent.count.max(1) < IDLE_NS,
        _ => true,
    };
    account.spent.iter().filter(holds).fold(0, |sum, (_, spent)| sum.saturating_add(spent.ns))
}
