//! What the rules look at: the recording, who ran in it, and where the time of their threads went.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::aggregate::Dim;
use crate::report::read::input::Source;
use crate::report::read::ledger::Account;
use crate::report::read::ledger::Ledger;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::report::read::limit::Limit;
use crate::report::read::processes::Owner;
use crate::report::read::processes::ProcessInfo;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::Row;
use crate::report::read::rows::Which;
use crate::report::read::waits::Judged;
use crate::report::read::waits::Waits;
use crate::report::read::waits::verdict::Verdict;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::calls;
use crate::report::view::diagnosis::calls::ByName;
use crate::report::view::diagnosis::ends;
use crate::report::view::diagnosis::ends::Ends;
use crate::report::view::diagnosis::finding::Alike;
use crate::report::view::diagnosis::scripts;
use crate::units;

/// A process that lives shorter is one of many that do the same: what matters is their command.
const SHORT_NS: i64 = 1_000_000_000;

/// Processes of one name beyond which they are told apart no longer, so that a recording of any size fits into memory.
const MANY: usize = 500;

/// A thread that has something to do for a smaller part of the window is none that anybody waits for.
pub(super) const LEAST_ACTIVE: f64 = 0.05;

/// A victim is affected for this part of the window at least: less is what timers, cron and kernel threads lose on a healthy machine.
pub(super) const LEAST_AFFECTED: f64 = 0.05;

/// What a process loses below this part of its lost time differs by as much from run to run.
const LEAST_OF_LOST: f64 = 0.05;

/// What a process loses below this part of its own busy time is not what makes it slow.
pub(super) const LEAST_OF_BUSY: f64 = 0.05;

/// Generations between a short-lived process and an ancestor that lives on.
const ANCESTORS: usize = 16;

/// Others that are named as having suffered from the same.
const OTHERS: usize = 2;

/// About what a state of a group takes in memory, a process of it, and a group.
const STATE_BYTES: usize = 128;
const PROCESS_BYTES: usize = 40;
const GROUP_BYTES: usize = 400;

/// Process id of kthreadd, the parent of every kernel thread.
const KTHREADD: i64 = 2;

/// One process; or all processes of one command that live shortly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::report::view) struct Who {
    /// The command.
    pub(in crate::report::view) name: Rc<str>,
    /// The process, where it is one.
    pub(in crate::report::view) which: Option<Which>,
}

/// Where the threads of one process, or of the short-lived ones of a command, spent their time.
#[derive(Clone, Debug, Default)]
pub(in crate::report::view) struct Group {
    /// Its processes.
    pub(super) processes: BTreeSet<Which>,
    /// How many threads lived in the window.
    pub(in crate::report::view) threads: u64,
    /// How long they lived, added up, in nanoseconds.
    pub(in crate::report::view) lived_ns: u64,
    /// What they spent where; each thread's own habits decide of what sort a wait is.
    pub(in crate::report::view) spent: BTreeMap<(Sort, State), Spent>,
    /// The same of the threads that had something to do: a pool of idle workers hides nothing.
    pub(super) roots: Roots,
}

/// The threads of a group that had something to do for a twentieth of the window.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    pub(super) threads: u64,
    pub(super) lived_ns: u64,
    spent: BTreeMap<(Sort, State), Spent>,
    /// The most that one of them spent.
    most: BTreeMap<(Sort, State), u64>,
}

/// What it means for a thread to be in a state, by what the state alone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It ran.
    Ran,
    /// It could have run, or waited for a resource that somebody has: time that is lost.
    Lost,
    /// It waited for another thread, which may have worked or idled.
    Undecided,
    /// It had nothing to do.
    Idle,
}

impl Role {
    /// The role of a state of a sort.
    pub(super) fn of(sort: Sort, state: &State) -> Role {
        let interruptible = &*state.state == "interruptible";
        match (sort, &*state.cause) {
            (Sort::OnCpu, _) => Role::Ran,
            (Sort::Idle, _) => Role::Idle,
            // What is stopped is stopped by somebody, mostly a person; a state that the kernel did not show says nothing.
            (Sort::Stopped, _) => Role::Undecided,
            (Sort::Lock, "file lock" | "kernel lock") | (Sort::ForCpu | Sort::Throttled, _) => Role::Lost,
            (Sort::Lock | Sort::Futex | Sort::Message, _) => Role::Undecided,
            // A program has to supply the page, and nobody waits for that by design.
            (Sort::Storage, "page fault") => Role::Lost,
            (Sort::Storage | Sort::Other, _) if interruptible || &*state.state == "unknown" => Role::Undecided,
            (Sort::Storage | Sort::Other, _) => Role::Lost,
        }
    }
}

/// How long a thread did something itself, or waited for what somebody did for it. Time in the queue for a CPU does not count: on a busy
/// machine, a worker that is woken for a moment queues for many times what it runs.
fn engaged_ns(account: &Account) -> u64 {
    let engaged = account.spent.iter().filter(|(state, spent)| {
        let sort = state.sort(**spent);
        let role = Role::of(sort, state);
        let waits = matches!(state.verdict, Some(Verdict::Lock | Verdict::Question | Verdict::Request));
        !matches!(sort, Sort::ForCpu | Sort::Throttled) && (matches!(role, Role::Ran | Role::Lost) || waits)
    });
    engaged.fold(0u64, |sum, (_, spent)| sum.saturating_add(spent.ns))
}

/// Both together.
pub(super) fn add(a: Spent, b: Spent) -> Spent {
    Spent { ns: a.ns.saturating_add(b.ns), count: a.count.saturating_add(b.count) }
}

impl Group {
    /// Adds a thread, whose waits are of the sort that its own habits make them.
    fn add(&mut self, which: Which, account: &Account, always_root: bool, span_ns: f64, limit: &mut Limit) {
        if self.processes.insert(which) {
            limit.take(PROCESS_BYTES);
        }
        self.threads += 1;
        self.lived_ns = self.lived_ns.saturating_add(account.lived_ns);
        let active = account.spent.iter().filter(|(state, spent)| {
            let role = Role::of(state.sort(**spent), state);
            matches!(role, Role::Ran | Role::Lost)
        });
        let active_ns = active.fold(0u64, |sum, (_, spent)| sum.saturating_add(spent.ns));
        let root = always_root || active_ns as f64 >= LEAST_ACTIVE * span_ns;
        if root {
            self.roots.threads += 1;
            self.roots.lived_ns = self.roots.lived_ns.saturating_add(account.lived_ns);
        }
        for (state, spent) in account.spent.iter() {
            // Each name is kept once, whichever thread it came with.
            let (name, cause) = (limit.name(&state.state), limit.name(&state.cause));
            let own = State { state: name, cause, verdict: state.verdict };
            let key = (state.sort(*spent), own);
            let roots = root.then_some(&mut self.roots);
            if let Some(roots) = roots {
                let most = roots.most.entry(key.clone()).or_default();
                *most = spent.ns.max(*most);
                let sum = roots.spent.entry(key.clone()).or_default();
                *sum = self::add(*sum, *spent);
            }
            let sum = self.spent.entry(key).or_default();
            *sum = self::add(*sum, *spent);
        }
    }

    /// What its active threads spent in the states that `wanted` names.
    pub(super) fn of(&self, wanted: impl Fn(Sort, &State) -> bool) -> Spent {
        let own = self.roots.spent.iter().filter(|((sort, state), _)| wanted(*sort, state));
        own.fold(Spent::default(), |sum, (_, spent)| add(sum, *spent))
    }

    /// What all its threads spent in the states that `wanted` names.
    pub(super) fn of_all(&self, wanted: impl Fn(Sort, &State) -> bool) -> Spent {
        let own = self.spent.iter().filter(|((sort, state), _)| wanted(*sort, state));
        own.fold(Spent::default(), |sum, (_, spent)| add(sum, *spent))
    }

    /// Time that its active threads lost in calls on files.
    pub(super) fn lost_in_files_ns(&self) -> u64 {
        self.of_all(|sort, state| match sort {
            Sort::Storage => true,
            _ => &*state.cause == "file system",
        })
        .ns
    }

    /// Time that its active threads ran.
    pub(super) fn ran_ns(&self) -> u64 {
        self.of(|sort, _| sort == Sort::OnCpu).ns
    }

    /// Time that its active threads lost.
    pub(super) fn lost_ns(&self) -> u64 {
        self.of(|sort, state| Role::of(sort, state) == Role::Lost).ns
    }

    /// Time in which its active threads had something to do.
    pub(super) fn busy_ns(&self) -> u64 {
        self.ran_ns().saturating_add(self.lost_ns())
    }

    /// The part of the window in which it lost time to some states: that of its thread which lost most, since the threads of a pool wait
    /// at the same time; of short-lived processes, which follow each other, the part of their lives.
    pub(super) fn affected(&self, wanted: impl Fn(Sort, &State) -> bool, is_one: bool, span_ns: f64) -> f64 {
        let part = if is_one {
            let most = self.roots.most.iter().filter(|((sort, state), _)| wanted(*sort, state));
            most.fold(0u64, |sum, (_, ns)| sum.saturating_add(*ns)) as f64 / span_ns
        } else {
            self.of(wanted).ns as f64 / (self.lived_ns as f64).max(span_ns)
        };
        part.min(1.0)
    }

    /// The causes of the states that `wanted` names, the largest first, without those that are less than a fifth of it.
    pub(super) fn causes(&self, wanted: impl Fn(Sort, &State) -> bool) -> Vec<&str> {
        let mut causes: BTreeMap<&str, u64> = BTreeMap::new();
        for ((_, state), spent) in self.roots.spent.iter().filter(|((sort, state), _)| wanted(*sort, state)) {
            let own = causes.entry(&state.cause).or_default();
            *own = own.saturating_add(spent.ns);
        }
        let all = causes.values().fold(0u64, |sum, ns| sum.saturating_add(*ns));
        let mut causes: Vec<(&str, u64)> = causes.into_iter().filter(|(_, ns)| *ns >= all / 5).collect();
        causes.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        causes.into_iter().map(|(cause, _)| cause).collect()
    }

    /// The process, where it is one.
    pub(in crate::report::view) fn only(&self) -> Option<i64> {
        self.processes.first().map(|which| which.pid).filter(|_| self.processes.len() == 1)
    }
}

/// What the findings are made from.
pub(in crate::report::view) struct Scene<'a> {
    /// The recording.
    pub(super) source: &'a Source,
    /// Its processes.
    pub(super) processes: &'a ProcessTable,
    /// Where the time of those went that the filters let through.
    pub(in crate::report::view) groups: BTreeMap<Who, Group>,
    /// What each CPU ran and idled, by number.
    pub(super) cpus: BTreeMap<i64, Account>,
    /// What they waited for, with evidence; empty where the recording has none.
    pub(super) waits: Waits,
    /// How long those threads were engaged that waited for what only others' work speaks for, in nanoseconds; see [`engaged_ns`].
    pub(super) engaged: BTreeMap<(Which, i64), u64>,
    /// Their system calls, once a rule asked for them.
    calls: OnceCell<BTreeMap<Who, ByName>>,
    /// The ends of connections, once a rule asked for them.
    ends: OnceCell<Ends<Who>>,
    scripts: BTreeMap<Which, Rc<str>>,
    /// Names that too many processes have.
    common: BTreeSet<Rc<str>>,
}

impl<'a> Scene<'a> {
    /// Reads the ledger.
    pub(in crate::report::view) fn of(source: &'a Source, processes: &'a ProcessTable) -> Result<Scene<'a>> {
        let waits = Waits::of(source)?;
        let ledger = Ledger::judged(source, Judged::by(&waits))?;
        let scripts = scripts::of(source)?;
        let (groups, common) = (BTreeMap::new(), common(processes));
        let (cpus, calls, ends) = (BTreeMap::new(), OnceCell::new(), OnceCell::new());
        let mut engaged = by_others_work(&waits);
        let mut scene =
            Scene { source, processes, groups, cpus, waits, engaged: BTreeMap::new(), calls, ends, scripts, common };
        let mut limit = Limit::new();
        let mut groups: BTreeMap<Who, Group> = BTreeMap::new();
        let span_ns = scene.span_ns();
        ledger.each_thread(|which, tid, account| {
            if let Some(ns) = engaged.get_mut(&(which, tid)) {
                *ns = ns.saturating_add(engaged_ns(account));
            }
            let own = scene.processes.one(&which).and_then(|info| info.comm.as_deref());
            let name = limit.name(own.unwrap_or(&account.comm));
            let who = scene.who_of(which, name);
            if !groups.contains_key(&who) && !limit.take(GROUP_BYTES) {
                return;
            }
            let one = who.which.is_some();
            let group = groups.entry(who).or_default();
            let before = group.spent.len();
            group.add(which, account, !one, span_ns, &mut limit);
            limit.take(2 * (group.spent.len() - before) * STATE_BYTES);
        })?;
        limit.check(source, "processes")?;
        scene.groups = groups;
        scene.engaged = engaged;
        scene.cpus = ledger.cpus;
        Ok(scene)
    }

    /// The system calls of each process; empty where they were not recorded.
    pub(super) fn calls(&self) -> Result<&BTreeMap<Who, ByName>> {
        if let Some(calls) = self.calls.get() {
            return Ok(calls);
        }
        let calls = calls::of(self.source, |row| self.who_of_row(row))?;
        Ok(self.calls.get_or_init(|| calls))
    }

    /// The ends of connections by TCP.
    pub(super) fn ends(&self) -> Result<&Ends<Who>> {
        if let Some(ends) = self.ends.get() {
            return Ok(ends);
        }
        let ends = ends::of(self.source, |process, comm| self.who(process, comm))?;
        Ok(self.ends.get_or_init(|| ends))
    }

    /// Under whom a process counts.
    pub(super) fn who_of(&self, which: Which, name: Rc<str>) -> Who {
        let short = self.processes.one(&which).is_some_and(is_short);
        let which = Some(which).filter(|_| !short && !self.common.contains(&name));
        Who { name, which }
    }

    /// Under whom the process of a metric counts.
    pub(super) fn who(&self, process: &Dim, comm: &Dim) -> Who {
        let name: Rc<str> = self.processes.of_dims(process, comm).unwrap_or("?").into();
        match process.process() {
            Some(which) => self.who_of(which, name),
            None => Who { name, which: None },
        }
    }

    /// Under whom a process with a row of its own counts, where it has a name.
    pub(super) fn known(&self, which: Which) -> Option<Who> {
        let info = self.processes.one(&which).or_else(|| self.processes.get(which.pid))?;
        Some(self.who_of(which, Rc::clone(info.comm.as_ref()?)))
    }

    /// The same of a process of which only the id is known; nothing where several had it.
    pub(super) fn known_by_id(&self, pid: i64) -> Option<Who> {
        self.processes.get(pid)?;
        self.known(self.processes.at_start(pid, Some(i64::MAX))?)
    }

    /// The process of a row.
    pub(super) fn who_of_row(&self, row: &Row<'_>) -> Option<Who> {
        let which = row.which()?;
        Some(self.known(which).unwrap_or_else(|| self.who_of(which, row.comm().unwrap_or("?").into())))
    }

    /// Whether the recording has rows of a kind.
    pub(super) fn has(&self, kind: &str) -> bool {
        self.source.recording().kinds().iter().any(|(own, rows)| own == kind && *rows > 0)
    }

    /// `python3 web.py (4200)`; `cc1 (34 processes)` of short-lived ones.
    pub(super) fn call(&self, who: &Who) -> String {
        let processes = self.groups.get(who).map(|group| &group.processes);
        let only = processes.filter(|all| all.len() == 1).and_then(|all| all.first());
        match (who.which.as_ref().or(only), processes.map(BTreeSet::len)) {
            (Some(which), _) => {
                let place = self.place(which);
                match self.scripts.get(which) {
                    Some(script) => format!("{} {script} ({}){place}", who.name, which.pid),
                    None => format!("{} ({}){place}", who.name, which.pid),
                }
            }
            (None, Some(several)) => format!("{} ({} processes)", who.name, units::count(several as u64)),
            (None, None) => who.name.to_string(),
        }
    }

    /// What makes findings about several processes of one program the same.
    pub(super) fn alike(&self, who: &Who, what: &str) -> Alike {
        let program = match who.which.as_ref().and_then(|which| self.scripts.get(which)) {
            Some(script) => format!("{} {script}", who.name),
            None => who.name.to_string(),
        };
        Alike { program, what: what.to_owned() }
    }

    /// ` in web.service`, ` in container 0123456789ab of pod 2b5c7e9a`, or nothing: a session says no more than that someone logged in.
    fn place(&self, which: &Which) -> String {
        let info = self.processes.one(which).or_else(|| self.processes.get(which.pid));
        let Some(info) = info else { return String::new() };
        let service = info.unit.as_deref().filter(|unit| unit.ends_with(".service"));
        match (&info.container, &info.pod, service) {
            (Some(container), Some(pod), _) => {
                format!(" in container {container} of pod {}", pod.split('-').next().unwrap_or_default())
            }
            (Some(container), None, _) => format!(" in container {container}"),
            (None, _, Some(unit)) => format!(" in {unit}"),
            (None, _, None) => String::new(),
        }
    }

    /// The command of a process or group, and its id where it is one process.
    pub(super) fn owner(&self, who: &Who) -> Owner {
        let only = self.groups.get(who).and_then(Group::only);
        Owner { comm: Some(who.name.to_string()), pid: who.which.map(|which| which.pid).or(only) }
    }

    /// Whether a process lived shortly, and within the window.
    pub(super) fn is_short_lived(&self, which: Which) -> bool {
        self.processes.one(&which).is_some_and(is_short)
    }

    /// The nearest ancestor of a process that lives on.
    pub(super) fn long_lived_ancestor(&self, which: Which) -> Option<Which> {
        let mut at = which;
        for _ in 0..ANCESTORS {
            at = self.processes.at_start(self.processes.one(&at)?.ppid?, at.start_ns.or(Some(i64::MAX)))?;
            if !self.is_short_lived(at) {
                return Some(at);
            }
        }
        None
    }

    /// Who started short-lived processes, where most have the same ancestor.
    pub(super) fn starter(&self, who: &Who) -> Option<String> {
        let group = self.groups.get(who).filter(|_| who.which.is_none())?;
        let mut by: BTreeMap<Which, usize> = BTreeMap::new();
        for ancestor in group.processes.iter().filter_map(|which| self.long_lived_ancestor(*which)) {
            *by.entry(ancestor).or_default() += 1;
        }
        let (most, count) = by.into_iter().max_by_key(|(_, count)| *count)?;
        (2 * count > group.processes.len()).then(|| self.known(most)).flatten().map(|who| self.call(&who))
    }

    /// Whether a process is a kernel thread. It works for others, and what it waits for shows in their waits.
    pub(super) fn is_kernel(&self, which: Which) -> bool {
        let info = self.processes.one(&which).or_else(|| self.processes.get(which.pid));
        which.pid == KTHREADD || info.is_some_and(|info| info.ppid == Some(KTHREADD))
    }

    /// The length of the part of the window that is looked at, in nanoseconds.
    pub(super) fn span_ns(&self) -> f64 {
        (self.source.span_ns() as f64).max(1.0)
    }

    /// How much it matters that a process lost some time, from 0 to 1; `None` where it is not worth a finding.
    pub(super) fn weight(&self, ns: u64, busy_ns: u64) -> Option<f64> {
        let of_window = ns as f64 / self.span_ns();
        let of_busy = ns as f64 / busy_ns.max(1) as f64;
        let matters = of_window >= LEAST_AFFECTED && of_busy >= LEAST_OF_BUSY;
        matters.then_some(of_window.min(1.0) * of_busy.min(1.0))
    }

    /// The processes for which time in some states is worth a finding, the weightiest first.
    pub(super) fn victims(&self, wanted: impl Fn(Sort, &State) -> bool) -> Vec<Victim<'_>> {
        let mut found: Vec<Victim<'_>> = Vec::new();
        let people = |group: &&Group| !group.processes.iter().all(|which| self.is_kernel(*which));
        for (who, group) in self.groups.iter().filter(|(_, group)| people(group)) {
            let wanted = |sort, state: &State| Role::of(sort, state) == Role::Lost && wanted(sort, state);
            let (spent, busy_ns, lost_ns) = (group.of(wanted), group.busy_ns(), group.lost_ns());
            let affected = group.affected(wanted, who.which.is_some(), self.span_ns());
            let of_lost = spent.ns as f64 / (lost_ns as f64).max(1.0);
            let of_busy = spent.ns as f64 / (busy_ns as f64).max(1.0);
            if affected >= LEAST_AFFECTED && of_lost >= LEAST_OF_LOST && of_busy >= LEAST_OF_BUSY {
                found.push(Victim { who, group, spent, weight: of_lost * affected, percent: 100.0 * of_busy });
            }
        }
        found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        found
    }
}

/// The threads that waited for something of which only the waker's work says that it was more than something to do.
fn by_others_work(waits: &Waits) -> BTreeMap<(Which, i64), u64> {
    let targets = waits.targets.iter();
    let by_work = targets.filter(|(key, target)| matches!(target.verdict(&key.on), Verdict::Work | Verdict::LockLike));
    by_work.flat_map(|(key, target)| target.threads.keys().map(|tid| ((key.which, *tid), 0))).collect()
}

/// Whether a process lived shortly, and within the window.
fn is_short(info: &ProcessInfo) -> bool {
    let lived = info.started.zip(info.ended).map(|(started, ended)| ended.saturating_sub(started));
    lived.or(info.lifetime_ns).is_some_and(|ns| ns < SHORT_NS)
}

/// The names of which there are too many processes to tell them apart.
fn common(processes: &ProcessTable) -> BTreeSet<Rc<str>> {
    let mut counts: HashMap<Rc<str>, usize> = HashMap::new();
    for name in processes.iter().filter_map(|(_, info)| info.comm.as_ref()) {
        *counts.entry(Rc::clone(name)).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > MANY).map(|(name, _)| name).collect()
}

/// A process that lost time.
pub(super) struct Victim<'a> {
    pub(super) who: &'a Who,
    pub(super) group: &'a Group,
    pub(super) spent: Spent,
    pub(super) weight: f64,
    /// What it lost of the time in which it was not idle, in hundredths.
    pub(super) percent: f64,
}

impl Victim<'_> {
    /// `make (4200) waited for a CPU 81.2% of the time it was not idle: 4.06 s in 80 waits`.
    pub(super) fn sentence(&self, scene: &Scene<'_>, what: &str) -> String {
        let (who, threads) = (scene.call(self.who), self.group.roots.threads);
        let percent = units::percent(self.percent);
        let it = if threads == 1 || self.who.which.is_none() {
            format!("{who} waited for {what} {percent} of the time it was not idle")
        } else {
            let threads = units::count(threads);
            format!("{threads} threads of {who} waited for {what} {percent} of the time they were not idle")
        };
        let count = self.spent.count.max(1);
        let waits = if count == 1 { "wait" } else { "waits" };
        format!("{it}: {} in {} {waits}", units::duration(whole(self.spent.ns)), units::count(count))
    }

    /// The mean wait in words.
    pub(super) fn mean(&self) -> String {
        units::duration(whole(self.spent.ns / self.spent.count.max(1)))
    }

    pub(super) fn finding(&self, scene: &Scene<'_>, text: String) -> super::Finding {
        super::Finding {
            weight: self.weight,
            text,
            victim: scene.owner(self.who),
            ns: self.spent.ns,
            percent: self.percent,
            count: self.spent.count,
            ..super::Finding::default()
        }
    }
}

/// Who else lost time, with their shares: `. Also postgres (200) 12.0%, make 8.1%`; empty for nobody.
pub(super) fn others<'v>(scene: &Scene<'_>, others: impl Iterator<Item = &'v Victim<'v>>) -> String {
    let one = |other: &Victim<'_>| format!("{} {}", scene.call(other.who), units::percent(other.percent));
    let words: Vec<String> = others.take(OTHERS).map(one).collect();
    if words.is_empty() { String::new() } else { format!(". Also {}", words.join(", ")) }
}
