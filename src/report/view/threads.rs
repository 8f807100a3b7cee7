//! View `threads`: the wall-clock ledger. For each thread, on a CPU, waiting for one, blocked or asleep by cause, adding up to its life.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::render::Bars;
use crate::render::Document;
use crate::render::Value;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;
use crate::report::read::ledger::Account;
use crate::report::read::ledger::Ledger;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::report::read::rows::Which;
use crate::report::table::cells::PROCESS_START;
use crate::report::table::cells::nanos;
use crate::report::table::cells::note_absent_probe;
use crate::report::table::cells::share;
use crate::report::table::cells::some;
use crate::report::table::cells::whole;
use crate::report::table::columns::Columns;
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
    let mut threads = Ranking::new(sources, "threads", "", thread_columns(everything)).top(shown);
    let title =
        if everything { "Time by state and cause" } else { "Time by state and cause, without time idle by design" };
    let mut states = Ranking::new(sources, "states", title, state_columns());
    if !everything {
        states = states.largest_first("sum_ns").top(shown);
    }
    let mut cpus = Ranking::new(sources, "cpus", "CPUs", cpu_columns());
    let mut bars = Few::new(BARS.min(shown));
    for source in sources {
        let ledger = Ledger::of(source)?;
        let whose = if several { format!("{}: ", source.label()) } else { String::new() };
        let (mut number, mut worst) = (0u64, 0.0f64);
        let mut commands: BTreeMap<Rc<str>, Account> = BTreeMap::new();
        let mut add = |tid: Option<i64>, which: Option<Which>, account: &Account| {
            let active_ns = account.lived_ns.saturating_sub(account.of(Sort::Idle));
            let weight = whole(active_ns);
            threads.weighed(source, Some(weight), || Thread { which, tid, account: account.clone() });
            // Threads of the kernel that had nothing to do would fill the screen.
            let wanted = |state: &State, spent: Spent| everything || state.sort(spent) != Sort::Idle;
            for (state, spent) in account.spent.iter().filter(|(state, spent)| wanted(state, **spent)) {
                let weight = if everything { weight } else { whole(spent.ns) };
                states.weighed(source, Some(weight), || InState {
                    comm: Rc::clone(&account.comm),
                    tid,
                    pid: which.map(|which| which.pid),
                    state: state.clone(),
                    spent: *spent,
                    lived_ns: account.lived_ns,
                });
            }
            bars.add(active_ns, || {
                let parts = Sort::ALL.map(|sort| 100.0 * account.of(sort) as f64 / account.lived_ns.max(1) as f64);
                let tid = tid.map(|tid| format!(" ({tid})")).unwrap_or_default();
                (format!("{whose}{}{tid}", account.comm), parts.to_vec())
            });
        };
        ledger.each_thread(|which, tid, account| {
            number += 1;
            worst = worst.max(account.error_percent());
            match source.folding().command(which, Some(&account.comm)) {
                None => add(Some(tid), Some(which), account),
                Some(command) => commands.entry(command).or_default().merge(account),
            }
        })?;
        for (comm, mut account) in commands {
            account.comm = comm;
            add(None, None, &account);
        }
        if number == 0 && ledger.cpus.is_empty() {
            continue;
        }
        document.note(closure(&whose, (number, worst), &ledger.cpus));
        for (cpu, account) in ledger.cpus {
            cpus.row(source, &Cpu { cpu, account });
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
                pale: Sort::ALL.iter().position(|sort| *sort == Sort::Idle),
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

/// A thread.
struct Thread {
    /// None of a command whose processes share a row.
    which: Option<Which>,
    tid: Option<i64>,
    account: Account,
}

impl Thread {
    /// The share of its life that was spent in a state; null where it never was.
    fn part(&self, state: &str) -> Value {
        match self.account.in_state(state) {
            0 => Value::Null,
            ns => share(ns as f64, self.account.lived_ns as f64),
        }
    }
}

fn thread_columns(every: bool) -> Columns<Thread> {
    let columns = Columns::<Thread>::new()
        .column("comm", "thread", |thread| Value::from(&*thread.account.comm))
        .help("Name of the thread.")
        .column("tid", "tid", |thread| Value::id(thread.tid))
        .column("pid", "pid", |thread| Value::id(thread.which.map(|which| which.pid)))
        .column("lived_ns", "lived", |thread| nanos(thread.account.lived_ns))
        .help("How long the thread lived within the window.")
        .column("on_cpu_pct", "on CPU", |thread| thread.part("on_cpu"))
        .help("Share of its life on a CPU.")
        .column("runnable_pct", "for CPU", |thread| thread.part("runnable"))
        .help("Share of its life runnable, but waiting for a CPU.")
        .column("throttled_pct", "throttled", |thread| thread.part("throttled"))
        .help("Share of its life runnable, but over the CPU quota of its cgroup.")
        .column("uninterruptible_pct", "blocked", |thread| thread.part("uninterruptible"))
        .help("Share of its life in uninterruptible sleep: disks, pages, kernel locks.")
        .column("interruptible_pct", "asleep", |thread| thread.part("interruptible"))
        .help("Share of its life in interruptible sleep.")
        .column("stopped_pct", "stopped", |thread| thread.part("stopped"))
        .help("Share of its life stopped by a signal or a tracer.")
        .column("wait", "waits most in", |thread| thread.account.top_wait().map(|(state, _)| state.words()))
        .help("The wait that took the most time, except waits that are idle by design.")
        .column("wait_ns", "there", |thread| thread.account.top_wait().map(|(_, spent)| nanos(spent.ns)))
        .help("Time in that wait.")
        .column("on_cpu_ns", "CPU time", |thread| nanos(thread.account.in_state("on_cpu")))
        .column("error_pct", "not closed", |thread| Value::Percent(thread.account.error_percent()))
        .help("Difference between the sum of the states and the life.");
    if !every {
        return columns;
    }
    columns
        .column("pid_start_ns", "process start", |thread| Value::nanos(thread.which.and_then(|which| which.start_ns)))
        .help(PROCESS_START)
}

/// What a thread spent in one state.
struct InState {
    comm: Rc<str>,
    tid: Option<i64>,
    pid: Option<i64>,
    state: State,
    spent: Spent,
    lived_ns: u64,
}

fn state_columns() -> Columns<InState> {
    Columns::<InState>::new()
        .column("comm", "thread", |row| Value::from(&*row.comm))
        .column("tid", "tid", |row| Value::id(row.tid))
        .column("pid", "pid", |row| Value::id(row.pid))
        .column("state", "state", |row| Value::from(&*row.state.state))
        .column("cause", "cause", |row| some(&row.state.cause))
        .column("sum_ns", "time", |row| nanos(row.spent.ns))
        .column("share_pct", "of its life", |row| share(row.spent.ns as f64, row.lived_ns as f64))
        .column("count", "times", |row| row.spent.count)
        .help("How often the thread went into the state.")
        .column("sort", "was", |row| row.state.sort(row.spent).title())
        .help("What sort of state it is. Of sleeps, the evidence says whether they were for a lock, for an answer, or idle; without evidence, the cause.")
}

/// A CPU.
struct Cpu {
    cpu: i64,
    account: Account,
}

impl Cpu {
    /// The share of the window that it was in a state.
    fn part(&self, state: &str) -> Value {
        share(self.account.in_state(state) as f64, self.account.lived_ns as f64)
    }
}

fn cpu_columns() -> Columns<Cpu> {
    Columns::<Cpu>::new()
        .column("cpu", "CPU", |cpu| Value::Id(cpu.cpu))
        .column("busy_pct", "busy", |cpu| cpu.part("busy"))
        .help("Share of the window in which it ran something.")
        .column("idle_pct", "idle", |cpu| cpu.part("idle"))
        .help("Share of the window in which it had nothing to run.")
        .column("unknown_pct", "not shown", |cpu| cpu.part("unknown"))
        .help("Share of the window in which the kernel did not show what it ran.")
        .column("busy_ns", "busy time", |cpu| nanos(cpu.account.in_state("busy")))
        .column("error_pct", "not closed", |cpu| Value::Percent(cpu.account.error_percent()))
        .help("Difference between their sum and the window.")
}
