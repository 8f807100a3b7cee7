//! What threads waited for: the `wait` rows by process and target, and what the evidence in them says each wait was.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::IntColumn;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::rows::TextColumn;
use crate::report::read::rows::Which;

mod judged;
mod names;
pub(crate) mod verdict;

pub(crate) use self::judged::Judged;
pub(crate) use self::names::Name;

/// About what a target takes in memory, and what a thread or waker of it does.
const TARGET_BYTES: usize = 400;
const PARTY_BYTES: usize = 96;

/// What the threads of a recording waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits {
    /// By process and target.
    pub(crate) targets: BTreeMap<Key, Target>,
}

/// A target of a process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The process that waited.
    pub(crate) which: Which,
    /// What sort of thing it waited for: the column `wait_on`.
    pub(crate) on: Rc<str>,
    /// What tells it from others of its sort; `None`: nothing does.
    pub(crate) target: Option<i64>,
}

/// A thread that ended waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Waker {
    /// Its process.
    pub(crate) pid: i64,
    /// Its id.
    pub(crate) tid: i64,
}

/// What one thread or waker had to do with a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Party {
    /// Its name, where the rows give it: the thread's, or of a waker its process's.
    pub(crate) name: Rc<str>,
    /// Nanoseconds of the waits.
    pub(crate) ns: u64,
    /// How many waits.
    pub(crate) count: u64,
}

/// All waits of a process for one target, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// Name of the process.
    pub(crate) process: Rc<str>,
    /// All waits.
    pub(crate) ns: u64,
    /// How many there were.
    pub(crate) count: u64,
    /// The longest.
    pub(crate) max_ns: u64,
    /// Those that a thread ended; the next two are parts of them.
    pub(crate) by_thread_ns: u64,
    /// In which the waker was active.
    pub(crate) active_ns: u64,
    /// Of which that is not known.
    pub(crate) unknown_ns: u64,
    /// Those that a thread ended which had waited there itself.
    pub(crate) handed_ns: u64,
    /// Those that a time-out ended.
    pub(crate) by_timer_ns: u64,
    /// Those that a device or the network ended.
    pub(crate) by_interrupt_ns: u64,
    /// Those that nobody had ended when the window did.
    pub(crate) open_ns: u64,
    /// Those whose futex was a contended lock.
    pub(crate) contended_ns: u64,
    /// Those within requests that the process had received; `None`: that is not known.
    pub(crate) request_ns: Option<u64>,
    /// Those for answers to what the process had asked; `None`: that is not known.
    pub(crate) question_ns: Option<u64>,
    /// By the ledger's cause.
    pub(crate) causes: BTreeMap<Rc<str>, u64>,
    /// Who waited, by thread.
    pub(crate) threads: BTreeMap<i64, Party>,
    /// Who ended waits.
    pub(crate) wakers: BTreeMap<Waker, Party>,
    /// Who held the lock, where it says so, with the time of the waits.
    pub(crate) owners: BTreeMap<i64, u64>,
    /// What it is called.
    pub(crate) name: Option<Name>,
    /// The functions of the kernel in which a thread waited that the window found and left there, the innermost first, joined by
    /// semicolons.
    pub(crate) inside: Option<Rc<str>>,
}

impl Waits {
    /// Adds up the rows under the source's filters; empty for a recording that has none.
    ///
    /// # Errors
    /// The file is damaged, or there are more targets than memory is given to.
    pub(crate) fn of(source: &Source) -> Result<Waits> {
        let mut limit = Limit::new();
        let waits = Waits::within(source, &mut limit)?;
        limit.check(source, "targets of waits")?;
        Ok(waits)
    }

    /// The same as far as there is room; the limit says whether it is all.
    fn within(source: &Source, limit: &mut Limit) -> Result<Waits> {
        let mut waits = Waits::default();
        let mut rows = source.rows("wait");
        let columns = Columns::of(&mut rows);
        rows.each(|row| waits.add(row, &columns, limit))?;
        waits.drop_false_owners();
        names::read(source, &mut waits, limit)?;
        Ok(waits)
    }

    fn add(&mut self, row: &Row<'_>, columns: &Columns, limit: &mut Limit) {
        let Some(which) = row.which() else { return };
        let on = limit.name(row.text(columns.on).unwrap_or("other"));
        let key = Key { which, on, target: row.int(columns.target) };
        if !self.targets.contains_key(&key) && !limit.take(TARGET_BYTES) {
            return;
        }
        let target = self.targets.entry(key).or_default();
        let (ns, count) = (row.natural(columns.sum), row.natural(columns.count));
        if let Some(process) = row.text(columns.process) {
            target.process = limit.name(process);
        }
        target.ns = target.ns.saturating_add(ns);
        target.count = target.count.saturating_add(count);
        target.max_ns = target.max_ns.max(row.natural(columns.max));
        match row.text(columns.by) {
            Some("thread") => {
                target.by_thread_ns += ns;
                target.active_ns += row.natural(columns.active);
                target.unknown_ns += row.natural(columns.unknown);
                target.handed_ns += row.natural(columns.handed);
            }
            Some("timer") => target.by_timer_ns += ns,
            Some("interrupt") => target.by_interrupt_ns += ns,
            Some("nobody") => target.open_ns += ns,
            _ => {}
        }
        if let Some(inside) = row.text(columns.inside) {
            target.inside = Some(limit.name(inside));
        }
        target.contended_ns += row.natural(columns.contended);
        for (part, column) in [(&mut target.request_ns, columns.request), (&mut target.question_ns, columns.question)] {
            if row.int(column).is_some() {
                *part = Some(part.unwrap_or(0) + row.natural(column));
            }
        }
        *target.causes.entry(limit.name(row.text(columns.cause).unwrap_or_default())).or_default() += ns;
        if let Some(tid) = row.int(columns.tid)
            && (target.threads.contains_key(&tid) || limit.take(PARTY_BYTES))
        {
            let party = target.threads.entry(tid).or_default();
            party.add(ns, count, row.comm(), limit);
        }
        if let (Some(pid), Some(tid)) = (row.int(columns.waker_pid), row.int(columns.waker_tid)) {
            let waker = Waker { pid, tid };
            if target.wakers.contains_key(&waker) || limit.take(PARTY_BYTES) {
                let party = target.wakers.entry(waker).or_default();
                party.add(ns, count, row.text(columns.waker_process), limit);
            }
        }
        if let Some(owner) = row.int(columns.owner)
            && (target.owners.contains_key(&owner) || limit.take(PARTY_BYTES))
        {
            *target.owners.entry(owner).or_default() += ns;
        }
    }
}

impl Waits {
    /// The eight bytes behind a lock's word need not be an owner: it is one if the process has such a thread.
    fn drop_false_owners(&mut self) {
        let mut threads: BTreeSet<(i64, i64)> = BTreeSet::new();
        for (key, target) in &self.targets {
            threads.extend(target.threads.keys().map(|tid| (key.which.pid, *tid)));
            threads.extend(target.wakers.keys().map(|waker| (waker.pid, waker.tid)));
        }
        for (key, target) in &mut self.targets {
            if &*key.on == "futex" {
                target.owners.retain(|owner, _| threads.contains(&(key.which.pid, *owner)));
            }
        }
    }
}

impl Party {
    fn add(&mut self, ns: u64, count: u64, name: Option<&str>, limit: &mut Limit) {
        self.ns = self.ns.saturating_add(ns);
        self.count = self.count.saturating_add(count);
        if let Some(name) = name {
            self.name = limit.name(name);
        }
    }
}

impl Target {
    /// The thread that held the lock for most of the waits, where the lock said so for at least half of them.
    pub(crate) fn owner(&self) -> Option<i64> {
        let (owner, _) = self.owners.iter().max_by_key(|(_, ns)| **ns)?;
        let told: u64 = self.owners.values().sum();
        (told >= self.ns / 2).then_some(*owner)
    }

    /// Who ended most of the waits, with their time.
    pub(crate) fn main_waker(&self) -> Option<(Waker, &Party)> {
        self.wakers.iter().max_by_key(|(_, party)| party.ns).map(|(waker, party)| (*waker, party))
    }
}

/// The columns that are read.
struct Columns {
    on: TextColumn,
    by: TextColumn,
    cause: TextColumn,
    process: TextColumn,
    waker_process: TextColumn,
    target: IntColumn,
    tid: IntColumn,
    count: IntColumn,
    sum: IntColumn,
    max: IntColumn,
    waker_pid: IntColumn,
    waker_tid: IntColumn,
    active: IntColumn,
    unknown: IntColumn,
    contended: IntColumn,
    handed: IntColumn,
    request: IntColumn,
    question: IntColumn,
    owner: IntColumn,
    inside: TextColumn,
}

impl Columns {
    fn of(rows: &mut Rows<'_>) -> Columns {
        Columns {
            on: rows.text("wait_on"),
            by: rows.text("wait_by"),
            cause: rows.text("cause"),
            process: rows.text("process"),
            waker_process: rows.text("waker_process"),
            target: rows.int("wait_target"),
            tid: rows.int("tid"),
            count: rows.int("count"),
            sum: rows.int("sum"),
            max: rows.int("max"),
            waker_pid: rows.int("waker_pid"),
            waker_tid: rows.int("waker_tid"),
            active: rows.int("wait_active_ns"),
            unknown: rows.int("wait_unknown_ns"),
            contended: rows.int("wait_contended_ns"),
            handed: rows.int("wait_handed_ns"),
            request: rows.int("wait_request_ns"),
            question: rows.int("wait_question_ns"),
            owner: rows.int("wait_owner_tid"),
            inside: rows.text("name"),
        }
    }
}
