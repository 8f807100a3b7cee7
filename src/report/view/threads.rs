//! View `threads`: the wall-clock ledger. For each thread, on a CPU, waiting for one, blocked or asleep by cause, adding up to its life.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::render::Bars;
use crate::render::Document;
use crate::render::Field;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;
use crate::report::read::input::Which;
use crate::report::read::ledger::Account;
use crate::report::read::ledger::Ledger;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::report::table::cells::PROCESS_START;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::share;
use crate::report::table::cells::whole;
use crate::report::table::few::Few;
use crate::report::table::ranking::Ranking;
use crate::units;

/// Most bars of the picture.
const BARS: usize = 30;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("threads", "Where each thread's time went");
    let several = sources.len() > 1;
    let shown = plan.rows_shown(20);
    let everything = plan.format.is_for_programs();
    let mut threads = Ranking::new(sources, "threads", "", thread_fields(everything)).top(shown);
    let title = if everything { "Time by state and cause" } else { "Time by state and cause, idle by design left out" };
    let mut states = Ranking::new(sources, "states", title, state_fields());
    if !everything {
        states = states.largest_first("sum_ns").top(shown);
    }
    let mut cpus = Ranking::new(sources, "cpus", "CPUs", cpu_fields());
    let mut bars = Few::new(BARS.min(shown));
    for source in sources {
        let ledger = Ledger::of(source)?;
        let whose = if several { format!("{}: ", source.label()) } else { String::new() };
        let (mut number, mut worst) = (0u64, 0.0f64);
        ledger.each_thread(|which, tid, account| {
            number += 1;
            worst = worst.max(account.error_percent());
            let active_ns = account.lived_ns.saturating_sub(account.of(Sort::Idle));
            let weight = whole(active_ns);
            threads.weighed(source, Some(weight), || thread_cells(which, tid, account, everything));
            // Threads of the kernel that had nothing to do would fill the screen.
            let wanted = |state: &State, spent: Spent| everything || state.sort(spent) != Sort::Idle;
            for (state, spent) in account.spent.iter().filter(|(state, spent)| wanted(state, **spent)) {
                let weight = if everything { weight } else { whole(spent.ns) };
                states.weighed(source, Some(weight), || state_cells(which.pid, tid, account, (state, *spent)));
            }
            bars.add(active_ns, || {
                let parts = Sort::ALL.map(|sort| 100.0 * account.of(sort) as f64 / account.lived_ns.max(1) as f64);
                (format!("{whose}{} ({tid})", account.comm), parts.to_vec())
            });
        })?;
        if number == 0 && ledger.cpus.is_empty() {
            continue;
        }
        document.note(closure(&whose, (number, worst), &ledger.cpus));
        for (cpu, account) in &ledger.cpus {
            cpus.row(source, cpu_cells(*cpu, account));
        }
    }
    // Programs find every table, and the manual lists it.
    let bars = bars.things();
    if !bars.is_empty() || everything {
        let parts = Sort::ALL.map(|sort| sort.title().to_owned()).to_vec();
        document.push(threads.table()?);
        if !bars.is_empty() {
            document.push(Bars {
                name: "threads".into(),
                title: "Share of each thread's life".into(),
                parts,
                rows: bars,
            });
        }
        document.push(states.table()?);
    }
    document.push(cpus.table()?);
    note_absent_probe(&mut document, sources, "sched");
    Ok(document)
}

/// How well the states of threads add up to their lives, and those of CPUs to the window.
fn closure(whose: &str, (threads, worst): (u64, f64), cpus: &BTreeMap<i64, Account>) -> String {
    let lives = match threads {
        1 => "one thread add up to its life".to_owned(),
        number => format!("{} threads add up to their lives", units::count(number)),
    };
    let of_cpus = cpus.values().map(Account::error_percent).fold(0.0, f64::max);
    // A filter by process leaves no CPU.
    let closed = match cpus.len() {
        0 => String::new(),
        1 => format!(", those of the CPU to the window within {}", units::percent(of_cpus)),
        number => format!(", those of {number} CPUs to the window within {}", units::percent(of_cpus)),
    };
    format!("{whose}the states of {lives} within {}{closed}", units::percent(worst))
}

fn thread_fields(every: bool) -> Vec<Field> {
    let mut fields = vec![
        Field::new("comm", "thread").help("Name of the thread."),
        Field::new("tid", "tid"),
        Field::new("pid", "pid"),
        Field::new("lived_ns", "lived").help("How much of the window the thread lived."),
        Field::new("on_cpu_pct", "on CPU").help("Share of its life on a CPU."),
        Field::new("runnable_pct", "for CPU").help("Share of its life runnable, but waiting for a CPU."),
        Field::new("uninterruptible_pct", "blocked")
            .help("Share of its life in uninterruptible sleep: disks, pages, kernel locks."),
        Field::new("interruptible_pct", "asleep").help("Share of its life in interruptible sleep."),
        Field::new("stopped_pct", "stopped").help("Share of its life stopped by a signal or a tracer."),
        Field::new("wait", "waits most in")
            .help("The wait in which most time went, those left out that are idle by design."),
        Field::new("wait_ns", "there").help("Time in that wait."),
        Field::new("on_cpu_ns", "CPU time"),
        Field::new("error_pct", "not closed").help("By how much the states miss the life."),
    ];
    if every {
        fields.push(Field::new("pid_start_ns", "process start").help(PROCESS_START));
    }
    fields
}

fn thread_cells(which: Which, tid: i64, account: &Account, every: bool) -> Vec<Value> {
    let part = |state: &str| match account.in_state(state) {
        0 => Value::Null,
        ns => share(ns as f64, account.lived_ns as f64),
    };
    let top = account.top_wait();
    let mut cells = vec![
        Value::from(&*account.comm),
        Value::Id(tid),
        Value::Id(which.pid),
        Value::Nanos(whole(account.lived_ns)),
        part("on_cpu"),
        part("runnable"),
        part("uninterruptible"),
        part("interruptible"),
        part("stopped"),
        Value::from(top.map(|(state, _)| state.words())),
        Value::nanos(top.map(|(_, spent)| whole(spent.ns))),
        Value::Nanos(whole(account.in_state("on_cpu"))),
        Value::Percent(account.error_percent()),
    ];
    cells.extend(every.then(|| Value::nanos(which.start_ns)));
    cells
}

fn state_cells(pid: i64, tid: i64, account: &Account, (state, spent): (&State, Spent)) -> Vec<Value> {
    vec![
        Value::from(&*account.comm),
        Value::Id(tid),
        Value::Id(pid),
        Value::from(&*state.state),
        Value::from((!state.cause.is_empty()).then_some(&*state.cause)),
        Value::Nanos(whole(spent.ns)),
        share(spent.ns as f64, account.lived_ns as f64),
        Value::Int(whole(spent.count)),
    ]
}

fn state_fields() -> Vec<Field> {
    vec![
        Field::new("comm", "thread"),
        Field::new("tid", "tid"),
        Field::new("pid", "pid"),
        Field::new("state", "state"),
        Field::new("cause", "cause"),
        Field::new("sum_ns", "time"),
        Field::new("share_pct", "of its life"),
        Field::new("count", "times").help("How often the thread went into the state."),
    ]
}

fn cpu_fields() -> Vec<Field> {
    vec![
        Field::new("cpu", "CPU"),
        Field::new("busy_pct", "busy").help("Share of the window in which it ran something."),
        Field::new("idle_pct", "idle").help("Share of the window in which it had nothing to run."),
        Field::new("unknown_pct", "not shown")
            .help("Share of the window in which the kernel did not show what it ran."),
        Field::new("busy_ns", "busy time"),
        Field::new("error_pct", "not closed").help("By how much these miss the window."),
    ]
}

fn cpu_cells(cpu: i64, account: &Account) -> Vec<Value> {
    let part = |state: &str| share(account.in_state(state) as f64, account.lived_ns as f64);
    vec![
        Value::Id(cpu),
        part("busy"),
        part("idle"),
        part("unknown"),
        Value::Nanos(whole(account.in_state("busy"))),
        Value::Percent(account.error_percent()),
    ]
}
