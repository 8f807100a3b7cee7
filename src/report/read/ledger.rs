//! The wall-clock ledger of a recording: for every thread and CPU, how long it was in which state and why.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::io;
use std::rc::Rc;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::IntColumn;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::rows::TextColumn;
use crate::report::read::rows::Which;
use crate::report::read::waits::Judged;
use crate::report::read::waits::verdict::Verdict;
use crate::spill::Runs;
use crate::spill::Sorted;

/// About what a state of a thread takes in memory.
const STATE_BYTES: usize = 72;
/// About what a thread takes without its states.
const THREAD_BYTES: usize = 2 * size_of::<Thread>();
/// What threads may take in memory before they go to a temporary file.
const MOST_BYTES: usize = 24 << 20;

/// Everything that the `ledger` rows say, under the source's filters.
///
/// Threads that do not fit into memory are in temporary files, so they are visited in their order and never looked up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    threads: Sorted<Thread>,
    /// What their waits were, by evidence.
    judged: Judged,
    /// By number.
    pub(crate) cpus: BTreeMap<i64, Account>,
}

/// A thread, or what was known of it when it had to leave memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Thread {
    which: Which,
    tid: i64,
    account: Account,
}

impl Thread {
    fn key(&self) -> (Which, i64) {
        (self.which, self.tid)
    }
}

impl From<((Which, i64), Account)> for Thread {
    fn from(((which, tid), account): ((Which, i64), Account)) -> Thread {
        Thread { which, tid, account }
    }
}

impl Ord for Thread {
    fn cmp(&self, other: &Thread) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Thread {
    fn partial_cmp(&self, other: &Thread) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Thread {
    fn eq(&self, other: &Thread) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Thread {}

/// How one thread or CPU spent its part of the window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The thread's name, the last that was seen.
    pub(crate) comm: Rc<str>,
    /// How much of the window it lived, in nanoseconds.
    pub(crate) lived_ns: u64,
    /// Time and number of entries by state.
    pub(crate) spent: States,
    /// The first interval: when it ended, and how much of it the thread lived.
    first: Option<(i64, u64)>,
    last_at: Option<i64>,
}

/// A state with its cause; the cause is empty where a state has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct State {
    /// `on_cpu`, `runnable`, `throttled`, `uninterruptible`, `interruptible`, `stopped`, `unknown`; of CPUs `busy`, `idle`, `unknown`.
    pub(crate) state: Rc<str>,
    /// Why it slept.
    pub(crate) cause: Rc<str>,
    /// What the evidence says that the sleep was; `None` where there is no evidence, or none is needed.
    pub(crate) verdict: Option<Verdict>,
}

/// Time and number of entries of a handful of states, in their order: of 100,000 threads, maps would take ten times the room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct States(Vec<(State, Spent)>);

impl States {
    /// What was spent in a state, which may be added to.
    pub(crate) fn entry(&mut self, state: &State) -> &mut Spent {
        let at = match self.0.binary_search_by(|(own, _)| own.cmp(state)) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (state.clone(), Spent::default()));
                at
            }
        };
        // It was just found or added.
        &mut self.0[at].1
    }

    /// Number of states.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&State, &Spent)> {
        self.0.iter().map(|(state, spent)| (state, spent))
    }
}

/// What was spent in a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Nanoseconds.
    pub(crate) ns: u64,
    /// How often it was entered.
    pub(crate) count: u64,
}

/// How a state is shown, in drawing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// On a CPU.
    OnCpu,
    /// Runnable, but waiting for a CPU.
    ForCpu,
    /// Runnable, but kept off the CPUs by a quota.
    Throttled,
    /// Files, disks, pages.
    Storage,
    /// Another thread or the kernel holds a lock, by evidence.
    Lock,
    /// A futex of which nothing says that it is a lock: another thread works, or nothing is known.
    Futex,
    /// Another process or machine has to say something.
    Message,
    /// Stopped by a signal or a tracer.
    Stopped,
    /// Any other involuntary wait.
    Other,
    /// Nothing to do, by design.
    Idle,
}

impl Sort {
    /// All, in the order of drawing.
    pub(crate) const ALL: [Sort; 10] = [
        Sort::OnCpu,
        Sort::ForCpu,
        Sort::Throttled,
        Sort::Storage,
        Sort::Lock,
        Sort::Futex,
        Sort::Message,
        Sort::Stopped,
        Sort::Other,
        Sort::Idle,
    ];

    /// In words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Sort::OnCpu => "on CPU",
            Sort::ForCpu => "waiting for a CPU",
            Sort::Throttled => "over its CPU quota",
            Sort::Storage => "files and disks",
            Sort::Lock => "locks",
            Sort::Futex => "futexes",
            Sort::Message => "pipes and sockets",
            Sort::Stopped => "stopped",
            Sort::Other => "other waits",
            Sort::Idle => "idle by design",
        }
    }
}

/// Without evidence, a wait that lasts longer than this on average, and that others end, is taken for having nothing to do: a worker
/// that waits for work. Waits for locks and answers are shorter.
pub(crate) const IDLE_NS: u64 = 100_000_000;

impl State {
    /// A state without evidence.
    pub(crate) fn new(state: Rc<str>, cause: Rc<str>) -> State {
        State { state, cause, verdict: None }
    }

    /// Whether evidence can say what it was: a sleep that others or a timer end. Resources say by themselves what they are.
    fn is_judged(&self) -> bool {
        let ends =
            ["futex", "pipe", "socket", "device", "ipc", "async I/O", "poll", "sleep", "signal", "child", "event file"];
        &*self.state == "interruptible" && ends.contains(&&*self.cause)
    }

    /// What sort of state it is, when it lasted `spent` in all.
    ///
    /// This is the only place that decides between a lock, an answer and idling; all views and exports ask here. Evidence decides
    /// where there is some, and the name of the cause elsewhere. A futex is called a lock by evidence only.
    pub(crate) fn sort(&self, spent: Spent) -> Sort {
        match &*self.state {
            "on_cpu" => return Sort::OnCpu,
            "runnable" => return Sort::ForCpu,
            "throttled" => return Sort::Throttled,
            "stopped" => return Sort::Stopped,
            "unknown" => return Sort::Other,
            _ => {}
        }
        let interruptible = &*self.state == "interruptible";
        let by_others = matches!(&*self.cause, "futex" | "pipe" | "socket" | "device" | "ipc" | "async I/O");
        match self.verdict {
            Some(Verdict::Idle) => return Sort::Idle,
            Some(Verdict::Lock | Verdict::LockLike) => return Sort::Lock,
            Some(Verdict::Question) => return Sort::Message,
            // A sleep that the thread chose is nobody's answer, even if a client waits for it.
            Some(Verdict::Request) => {
                return match &*self.cause {
                    "futex" => Sort::Futex,
                    "sleep" | "signal" | "child" => Sort::Other,
                    _ => Sort::Message,
                };
            }
            Some(Verdict::Work | Verdict::Resource | Verdict::Undecided) => {}
            None if interruptible && by_others && spent.ns / spent.count.max(1) >= IDLE_NS => return Sort::Idle,
            None => {}
        }
        match &*self.cause {
            "poll" | "sleep" | "signal" | "kernel work" | "child" | "event file" if interruptible => Sort::Idle,
            // A disk is waited for uninterruptibly: this is a FIFO without another end, or a file system that a process serves.
            "file system" if interruptible => Sort::Message,
            "futex" => Sort::Futex,
            "file lock" | "kernel lock" => Sort::Lock,
            "pipe" | "socket" | "device" => Sort::Message,
            "file read" | "file write" | "file copy" | "fsync" | "file system" | "page fault" | "block I/O"
            | "async I/O" => Sort::Storage,
            _ => Sort::Other,
        }
    }

    /// As the end of a sentence: `blocked in fsync`.
    pub(crate) fn words(&self) -> String {
        match (&*self.state, &*self.cause) {
            ("on_cpu", _) => "on a CPU".to_owned(),
            ("runnable", _) => "waiting for a CPU".to_owned(),
            ("throttled", _) => "over its CPU quota".to_owned(),
            ("uninterruptible", cause) => format!("blocked in {cause}"),
            ("interruptible", cause) => match self.verdict {
                Some(Verdict::Lock) => format!("asleep in {cause} (lock)"),
                Some(Verdict::LockLike) => format!("asleep in {cause} (like a lock)"),
                Some(Verdict::Question) => format!("asleep in {cause} (for an answer)"),
                Some(Verdict::Request) => format!("asleep in {cause} (in a request)"),
                Some(Verdict::Work) => format!("asleep in {cause} (for another thread)"),
                Some(Verdict::Resource | Verdict::Idle | Verdict::Undecided) | None => format!("asleep in {cause}"),
            },
            ("unknown", _) => "in a state that the kernel did not show".to_owned(),
            (state, "") => state.to_owned(),
            (state, cause) => format!("{state} in {cause}"),
        }
    }
}

impl Account {
    /// Divides the sleeps by what the evidence says that they were: a thread can wait for a lock and, at other times, for work.
    fn judge(&mut self, judged: &Judged, which: Which, tid: i64) {
        let mut spent = States::default();
        for (state, own) in self.spent.iter() {
            let parts = if state.is_judged() { judged.parts(which, tid, &state.cause) } else { &[] };
            for (verdict, part) in divided(*own, parts) {
                let sum = spent.entry(&State { verdict, ..state.clone() });
                *sum = Spent { ns: sum.ns.saturating_add(part.ns), count: sum.count.saturating_add(part.count) };
            }
        }
        self.spent = spent;
    }

    /// The parts of the time in a state of this name and cause, by sort; they add up to 1 unless there is no such time.
    pub(crate) fn sorts(&self, state: &str, cause: &str) -> Vec<(Sort, f64)> {
        let own = || self.spent.iter().filter(|(own, _)| &*own.state == state && &*own.cause == cause);
        let all = own().fold(0u64, |sum, (_, spent)| sum.saturating_add(spent.ns));
        own().map(|(state, spent)| (state.sort(*spent), spent.ns as f64 / all.max(1) as f64)).collect()
    }

    /// All that is accounted for.
    pub(crate) fn total_ns(&self) -> u64 {
        self.spent.iter().fold(0, |sum, (_, spent)| sum.saturating_add(spent.ns))
    }

    /// By how much the states miss the life, in hundredths of it.
    pub(crate) fn error_percent(&self) -> f64 {
        if self.lived_ns == 0 {
            return 0.0;
        }
        100.0 * self.total_ns().abs_diff(self.lived_ns) as f64 / self.lived_ns as f64
    }

    /// Time in states of one sort.
    pub(crate) fn of(&self, sort: Sort) -> u64 {
        let own = self.spent.iter().filter(|(state, spent)| state.sort(**spent) == sort);
        own.fold(0, |sum, (_, spent)| sum.saturating_add(spent.ns))
    }

    /// Time in one state, whatever the cause.
    pub(crate) fn in_state(&self, name: &str) -> u64 {
        let own = self.spent.iter().filter(|(state, _)| &*state.state == name);
        own.fold(0, |sum, (_, spent)| sum.saturating_add(spent.ns))
    }

    /// Adds the same of another.
    pub(crate) fn merge(&mut self, other: &Account) {
        self.lived_ns = self.lived_ns.saturating_add(other.lived_ns);
        for (state, spent) in other.spent.iter() {
            let own = self.spent.entry(state);
            *own = Spent { ns: own.ns.saturating_add(spent.ns), count: own.count.saturating_add(spent.count) };
        }
    }

    /// The state other than running in which most time went, those by design left out.
    pub(crate) fn top_wait(&self) -> Option<(&State, Spent)> {
        let waits = self
            .spent
            .iter()
            .filter(|(state, spent)| !matches!(state.sort(**spent), Sort::OnCpu | Sort::Idle) && spent.ns > 0);
        waits.max_by_key(|(_, spent)| spent.ns).map(|(state, spent)| (state, *spent))
    }
}

/// Time in a state, divided as the waits are for which there is evidence. The two sums differ a little; where there is evidence for less
/// than half of the time, the rest stays without a verdict.
fn divided(spent: Spent, parts: &[(Verdict, u64)]) -> Vec<(Option<Verdict>, Spent)> {
    let told = parts.iter().fold(0u64, |sum, (_, ns)| sum.saturating_add(*ns));
    let whole = if told >= spent.ns / 2 { told } else { spent.ns };
    let mut left = spent;
    let mut divided = Vec::new();
    for (verdict, ns) in parts {
        let of = |all: u64| u64::try_from(u128::from(all) * u128::from(*ns) / u128::from(whole.max(1))).unwrap_or(all);
        let part = Spent { ns: of(spent.ns).min(left.ns), count: of(spent.count).min(left.count) };
        left = Spent { ns: left.ns - part.ns, count: left.count - part.count };
        divided.push((Some(*verdict), part));
    }
    match divided.iter_mut().max_by_key(|(_, part)| part.ns).filter(|_| whole == told) {
        // What rounding left.
        Some((_, most)) => *most = Spent { ns: most.ns + left.ns, count: most.count + left.count },
        None => divided.push((None, left)),
    }
    divided
}

impl Account {
    /// Adds what a row says.
    fn add(&mut self, row: &Row<'_>, columns: &Columns, state: &State) {
        // The rows of one interval say the same of the life in it.
        if row.at() != self.last_at {
            let lived = row.dur().and_then(|ns| ns.try_into().ok()).unwrap_or(0);
            self.first = self.first.or(row.at().map(|at| (at, lived)));
            self.last_at = row.at();
            self.lived_ns = self.lived_ns.saturating_add(lived);
        }
        let spent = self.spent.entry(state);
        spent.ns = spent.ns.saturating_add(row.natural(columns.sum));
        spent.count = spent.count.saturating_add(row.natural(columns.count));
    }

    /// Adds what later rows said of the same thread, which may begin within the interval that the earlier ones end with.
    fn continue_with(&mut self, later: &Account) {
        let twice = later.first.filter(|(at, _)| self.last_at == Some(*at)).map_or(0, |(_, lived)| lived);
        self.merge(later);
        self.lived_ns = self.lived_ns.saturating_sub(twice);
        self.last_at = later.last_at.or(self.last_at);
        if !later.comm.is_empty() {
            self.comm = Rc::clone(&later.comm);
        }
    }
}

/// The columns of an account's rows: a state and its cause, how long it was, and how often it was entered.
struct Columns {
    state: TextColumn,
    cause: TextColumn,
    sum: IntColumn,
    count: IntColumn,
}

impl Columns {
    fn of(rows: &mut Rows<'_>) -> Columns {
        Columns { state: rows.text("state"), cause: rows.text("cause"), sum: rows.int("sum"), count: rows.int("count") }
    }

    fn state(&self, row: &Row<'_>, mut name: impl FnMut(&str) -> Rc<str>) -> State {
        let state = name(row.text(self.state).unwrap_or("unknown"));
        State::new(state, name(row.text(self.cause).unwrap_or_default()))
    }
}

/// Threads while their rows are read.
#[derive(Default)]
struct Threads {
    held: BTreeMap<(Which, i64), Account>,
    held_bytes: usize,
    names: HashSet<Rc<str>>,
    runs: Runs<Thread>,
    failed: Option<io::Error>,
}

impl Threads {
    fn add(&mut self, which: Which, tid: i64, row: &Row<'_>, columns: &Columns) {
        let Threads { held, held_bytes, names, .. } = self;
        let mut name = |text: &str| match names.get(text) {
            Some(known) => Rc::clone(known),
            None => {
                let new: Rc<str> = text.into();
                *held_bytes += text.len() + 48;
                names.insert(Rc::clone(&new));
                new
            }
        };
        let state = columns.state(row, &mut name);
        let comm = row.comm().map(name);
        let before = held.len();
        let account = held.entry((which, tid)).or_default();
        account.comm = comm.unwrap_or_else(|| Rc::clone(&account.comm));
        let states = account.spent.len();
        account.add(row, columns, &state);
        *held_bytes += (account.spent.len() - states) * STATE_BYTES;
        *held_bytes += (held.len() - before) * THREAD_BYTES;
        if *held_bytes > MOST_BYTES {
            self.spill();
        }
    }

    fn spill(&mut self) {
        let threads = std::mem::take(&mut self.held).into_iter().map(Thread::from);
        if self.failed.is_none()
            && let Err(error) = self.runs.add(threads)
        {
            self.failed = Some(error);
        }
        self.names.clear();
        self.held_bytes = 0;
    }

    fn finish(self) -> io::Result<Sorted<Thread>> {
        match self.failed {
            Some(error) => Err(error),
            None => self.runs.ended_by(self.held.into_iter().map(Thread::from).collect()),
        }
    }
}

impl Ledger {
    /// Reads the rows of threads and of CPUs, and the evidence of what the threads waited for.
    pub(crate) fn of(source: &Source) -> Result<Ledger> {
        Ledger::judged(source, Judged::of(source)?)
    }

    /// The same with evidence that has been read.
    pub(crate) fn judged(source: &Source, judged: Judged) -> Result<Ledger> {
        let mut threads = Threads::default();
        let mut rows = source.rows("ledger");
        let (tid, columns) = (rows.int("tid"), Columns::of(&mut rows));
        rows.each(|row| {
            if let (Some(which), Some(tid)) = (row.which(), row.int(tid)) {
                threads.add(which, tid, row, &columns);
            }
        })?;
        let threads = threads.finish().context("can't put threads into a temporary file")?;
        Ok(Ledger { threads, judged, cpus: Ledger::cpus_of(source)? })
    }

    /// Reads the rows of CPUs only.
    pub(crate) fn cpus_of(source: &Source) -> Result<BTreeMap<i64, Account>> {
        let mut cpus: BTreeMap<i64, Account> = BTreeMap::new();
        let mut limit = Limit::new();
        let mut rows = source.rows("cpu_ledger");
        let (cpu, columns) = (rows.int("cpu"), Columns::of(&mut rows));
        rows.each(|row| {
            let Some(cpu) = row.int(cpu) else { return };
            if !cpus.contains_key(&cpu) && !limit.take(2 * size_of::<Account>()) {
                return;
            }
            let account = cpus.entry(cpu).or_default();
            let state = columns.state(row, |name| limit.name(name));
            let before = account.spent.len();
            account.add(row, &columns, &state);
            limit.take((account.spent.len() - before) * STATE_BYTES);
        })?;
        limit.check(source, "CPUs")?;
        Ok(cpus)
    }

    /// Visits the threads in the order of their processes and ids.
    ///
    /// # Errors
    /// A temporary file can't be read.
    pub(crate) fn each_thread(&self, mut visit: impl FnMut(Which, i64, &Account)) -> Result<()> {
        let mut current: Option<Thread> = None;
        let mut visit = |mut thread: Thread| {
            thread.account.judge(&self.judged, thread.which, thread.tid);
            visit(thread.which, thread.tid, &thread.account);
        };
        for thread in self.threads.iter().context(UNREADABLE)? {
            let thread = thread.context(UNREADABLE)?;
            match &mut current {
                Some(known) if *known == thread => known.account.continue_with(&thread.account),
                _ => {
                    if let Some(known) = current.replace(thread) {
                        visit(known);
                    }
                }
            }
        }
        if let Some(last) = current {
            visit(last);
        }
        Ok(())
    }
}

const UNREADABLE: &str = "can't read threads back from a temporary file";

#[cfg(test)]
mod tests {
    use super::Account;
    use super::Sort;
    use super::Spent;
    use super::State;
    use super::divided;
    use crate::report::read::waits::verdict::Verdict;

    fn state(state: &str, cause: &str) -> State {
        State::new(state.into(), cause.into())
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_futex_is_a_lock_by_evidence_only() {
        let asleep = |verdict| State { verdict, ..state("interruptible", "futex") };
        let often = Spent { ns: 5 * SECOND, count: 10_000 };
        let seldom = Spent { ns: 5 * SECOND, count: 3 };
        assert_eq!(asleep(None).sort(often), Sort::Futex, "short sleeps are no evidence");
        assert_eq!(asleep(None).sort(seldom), Sort::Idle);
        // Workers that wait on a condition variable for 50 ms at a time.
        let timed = Spent { ns: 5 * SECOND, count: 100 };
        assert_eq!(asleep(Some(Verdict::Idle)).sort(timed), Sort::Idle);
        for verdict in [Verdict::Lock, Verdict::LockLike] {
            assert_eq!(asleep(Some(verdict)).sort(often), Sort::Lock);
            assert_eq!(asleep(Some(verdict)).sort(seldom), Sort::Lock, "a lock that is held for seconds");
        }
        for verdict in [Verdict::Work, Verdict::Request, Verdict::Undecided] {
            assert_eq!(asleep(Some(verdict)).sort(seldom), Sort::Futex);
        }
    }

    #[test]
    fn a_thread_that_waits_for_an_answer_in_poll_does_not_idle() {
        let poll = |verdict| State { verdict, ..state("interruptible", "poll") };
        let spent = Spent { ns: 5 * SECOND, count: 10 };
        assert_eq!(poll(None).sort(spent), Sort::Idle);
        assert_eq!(poll(Some(Verdict::Undecided)).sort(spent), Sort::Idle, "before 6.3 nothing is known of any poll");
        assert_eq!(poll(Some(Verdict::Question)).sort(spent), Sort::Message);
        assert_eq!(poll(Some(Verdict::Request)).sort(spent), Sort::Message);
        let asleep = State { verdict: Some(Verdict::Request), ..state("interruptible", "sleep") };
        assert_eq!(asleep.sort(spent), Sort::Other);
    }

    #[test]
    fn resources_are_what_their_names_say() {
        let convoy = Spent { ns: 5 * SECOND, count: 10_000 };
        let pool = Spent { ns: 5 * SECOND, count: 3 };
        assert_eq!(state("uninterruptible", "fsync").sort(pool), Sort::Storage);
        assert_eq!(state("uninterruptible", "file system").sort(pool), Sort::Storage);
        assert_eq!(state("interruptible", "file system").sort(pool), Sort::Message);
        assert_eq!(state("uninterruptible", "kernel lock").sort(convoy), Sort::Lock);
        assert_eq!(state("interruptible", "socket").sort(convoy), Sort::Message);
        assert_eq!(state("interruptible", "socket").sort(pool), Sort::Idle);
    }

    #[test]
    fn time_is_divided_as_its_evidence_is_and_none_is_lost() {
        let spent = Spent { ns: 1_000, count: 10 };
        let whole = divided(spent, &[(Verdict::Lock, 301), (Verdict::Idle, 600)]);
        let parts: Vec<u64> = whole.iter().map(|(_, part)| part.ns).collect();
        assert_eq!(
            whole.iter().map(|(_, part)| (part.ns, part.count)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
            (1_000, 10)
        );
        assert!(parts[0].abs_diff(334) <= 1, "{parts:?}");
        let little = divided(spent, &[(Verdict::Lock, 100)]);
        assert_eq!(little, [(Some(Verdict::Lock), Spent { ns: 100, count: 1 }), (None, Spent { ns: 900, count: 9 })]);
        assert_eq!(divided(spent, &[]), [(None, spent)]);
    }

    #[test]
    fn closure_is_what_the_states_miss_of_the_life() {
        let mut account = Account { lived_ns: 1000, ..Account::default() };
        *account.spent.entry(&state("on_cpu", "")) = Spent { ns: 400, count: 2 };
        *account.spent.entry(&state("uninterruptible", "fsync")) = Spent { ns: 590, count: 2 };
        assert!((account.error_percent() - 1.0).abs() < 1e-9);
        assert_eq!(account.top_wait().map(|(state, _)| state.words()).as_deref(), Some("blocked in fsync"));
        assert_eq!(Account::default().error_percent(), 0.0);
    }
}
