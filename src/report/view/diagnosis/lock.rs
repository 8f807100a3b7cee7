//! `lock`: threads waited for a lock that other threads held. Precondition: evidence of the waits (kind `wait`), such as a contended
//! futex or threads that hand it on and work meanwhile; a semaphore that is handed on so; functions of locks on the stacks of the sleeps; or what a server says itself.
//!
//! That a thread waited at a futex says nothing: the workers of an idle pool do, too.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::waits::verdict::Verdict;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::scene::Role;
use crate::report::view::diagnosis::scene::add;
use crate::report::view::diagnosis::sleeps;
use crate::report::view::diagnosis::sleeps::Place;
use crate::report::view::diagnosis::slow_reader;
use crate::report::view::diagnosis::titles;
use crate::report::view::diagnosis::wait::Wait;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "lock", resource: "lock", view: "offcpu", outdoes: &["work"], find };

/// Fewer waits may be those for a holder that got no CPU for once, unless they are most of the window: a lock that is never released.
const LEAST_WAITS: u64 = 5;
const LEAST_HELD: f64 = 0.5;
/// The part of a semaphore's permits, by time, that those give back who wait for it too.
const LEAST_HANDED: f64 = 0.8;
/// What stacks say of a place and what the evidence says of an address is the same lock if neither is more than so many times the other.
const AGREES: u64 = 2;
/// Waits for storage of this part of the window beside a lock are likely to be under it.
const LEAST_STORED: f64 = 0.5;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let named = sleeps::of(scene, Class::Lock, &[Class::Lock, Class::Idle])?;
    let mut findings = titles::locks(scene)?;
    let mut evident: BTreeSet<Who> = BTreeSet::new();
    let is_lock =
        |wait: &Wait<'_>| matches!(wait.verdict, Verdict::Lock | Verdict::LockLike) && &*wait.key.on == "futex";
    let mut locks: BTreeMap<Who, Spent> = BTreeMap::new();
    for wait in waits(scene).filter(is_lock) {
        let sum = locks.entry(wait.who.clone()).or_default();
        *sum = add(*sum, ended(&wait));
    }
    for wait in waits(scene).filter(is_lock) {
        let all = locks.get(&wait.who).copied().unwrap_or_default();
        let place = named.get(&wait.who).and_then(|places| place_of(places, ended(&wait), all));
        if let Some(finding) = by_evidence(scene, &wait, place) {
            findings.push(finding);
            evident.insert(wait.who);
        }
    }
    // A full message queue looks alike: the one that takes messages from it has waited there before.
    let full = slow_reader::full(scene)?;
    let is_queue = |wait: &Wait<'_>| full.get(&wait.who).is_some_and(|full| full.contains_key("message queue"));
    let is_semaphore = |wait: &Wait<'_>| &*wait.key.on == "semaphore" && wait.verdict == Verdict::Work;
    for wait in waits(scene).filter(|wait| is_semaphore(wait) && !is_queue(wait)) {
        if let Some(finding) = by_permits(scene, &wait) {
            findings.push(finding);
            evident.insert(wait.who);
        }
    }
    for (who, places) in named.iter().filter(|(who, _)| !evident.contains(who)) {
        let mut locks: BTreeMap<&'static str, Lock<'_>> = BTreeMap::new();
        for (place, spent) in places {
            locks.entry(place.words).or_default().add(place, *spent);
        }
        findings.extend(locks.iter().filter_map(|(words, lock)| by_name(scene, who, words, lock)));
    }
    Ok(findings)
}

/// The waits that ended: stacks are those of sleeps that did.
fn ended(wait: &Wait<'_>) -> Spent {
    let Spent { ns, count } = wait.spent();
    Spent { ns: ns.saturating_sub(wait.target.open_ns), count }
}

/// The place where most of the waits for a futex were. Stacks don't say for which address a thread waited, and a process has many: a
/// sort of lock is that of an address if as much was waited for it, or if it is that of all the locks of the process.
fn place_of(places: &BTreeMap<Place, Spent>, own: Spent, all: Spent) -> Option<&Place> {
    let mut sorts: BTreeMap<&'static str, Lock<'_>> = BTreeMap::new();
    for (place, spent) in places {
        sorts.entry(place.words).or_default().add(place, *spent);
    }
    let is_near = |a: u64, b: u64| a <= AGREES.saturating_mul(b) && b <= AGREES.saturating_mul(a);
    let agrees = |with: Spent| {
        let near = sorts.values().filter(move |sort| is_near(sort.spent.ns, with.ns));
        let near = near.filter(move |sort| is_near(sort.spent.count, with.count));
        near.min_by_key(|sort| sort.spent.ns.abs_diff(with.ns))
    };
    agrees(own).or_else(|| agrees(all)).and_then(|sort| sort.most).map(|(place, _)| place)
}

/// A lock by what its futex and those who woke its waiters say.
fn by_evidence(scene: &Scene<'_>, wait: &Wait<'_>, place: Option<&Place>) -> Option<Finding> {
    let is_alike = wait.verdict == Verdict::LockLike;
    let engaged = wait.engaged(scene);
    let (spent, threads) =
        if is_alike { (engaged.spent, engaged.threads) } else { (wait.spent(), wait.target.threads.len()) };
    let (weight, percent) = if is_alike { engaged.weight(scene, wait)? } else { wait.weight(scene, spent.ns)? };
    if spent.count < LEAST_WAITS && (wait.longest_ns() as f64) < LEAST_HELD * scene.span_ns() {
        return None;
    }
    // Workers that hand jobs to one another get their CPU late on a busy machine, and seem to hold what the others wait for.
    let in_request = wait.target.request_ns.is_some_and(|ns| ns >= wait.target.ns / 2);
    if is_alike && !in_request && !wait.has_worked() {
        return None;
    }
    let words = match (place, wait.verdict) {
        (Some(place), _) => place.words,
        (None, Verdict::LockLike) => "what works like a lock (futex)",
        (None, _) => "a lock (futex)",
    };
    let mut text = format!(
        "{} of {} waited for {words} {} of the time it was not idle: {} in {} waits, {} each",
        if threads == 1 { "a thread".to_owned() } else { format!("{threads} threads") },
        scene.call(&wait.who),
        units::percent(percent),
        units::duration(whole(spent.ns)),
        units::count(spent.count),
        units::duration(whole(spent.ns / spent.count.max(1))),
    );
    if let Some(place) = place {
        text.push_str(&format!(", {}", place.describe()));
    }
    if let Some(owner) = wait.target.owner() {
        let held = wait.target.owners.get(&owner).copied().unwrap_or(0);
        let part = units::percent(100.0 * held as f64 / spent.ns.max(1) as f64);
        text.push_str(&format!(". Thread {owner} held it for {part} of that"));
    }
    // The lock's holder may wait for the disk, and then all of them do.
    let storage = wait.group.of(|sort, _| sort == Sort::Storage);
    if storage.ns as f64 >= LEAST_STORED * scene.span_ns() {
        text.push_str(&format!(
            ". Meanwhile its threads waited for storage ({}) {}",
            wait.group.causes(|sort, _| sort == Sort::Storage).join(", "),
            units::duration(whole(storage.ns)),
        ));
    }
    let victim = scene.owner(&wait.who);
    let (ns, count) = (spent.ns, spent.count);
    let alike = Some(scene.alike(&wait.who, &format!("{words} {}", place.map(Place::describe).unwrap_or_default())));
    Some(Finding { weight, text: format!("{text}."), victim, ns, percent, count, alike, ..Finding::default() })
}

/// A semaphore whose permits those give back who wait for them too, and work meanwhile: one that hands out jobs is given by others.
fn by_permits(scene: &Scene<'_>, wait: &Wait<'_>) -> Option<Finding> {
    let spent = wait.spent();
    let (weight, percent) = wait.weight(scene, spent.ns).filter(|_| spent.count >= LEAST_WAITS)?;
    let takes = |pid: i64| scene.waits.targets.keys().any(|key| key.which.pid == pid && &*key.on == "semaphore");
    let wakers = wait.target.wakers.iter();
    let by_others =
        wakers.filter(|(waker, _)| takes(waker.pid)).map(|(_, party)| party.ns).fold(0, u64::saturating_add);
    if (by_others as f64) < LEAST_HANDED * wait.target.by_thread_ns as f64 {
        return None;
    }
    let text = format!(
        "{} waited for a semaphore {} of the time it was not idle: {} in {} waits, {} each. Others that wait for it too had it meanwhile, \
         and worked.",
        scene.call(&wait.who),
        units::percent(percent),
        units::duration(whole(spent.ns)),
        units::count(spent.count),
        units::duration(whole(spent.ns / spent.count.max(1))),
    );
    let victim = scene.owner(&wait.who);
    let alike = Some(scene.alike(&wait.who, "a semaphore"));
    Some(Finding { weight, text, victim, ns: spent.ns, percent, count: spent.count, alike, ..Finding::default() })
}

/// Waits in functions of one sort of lock.
#[derive(Default)]
struct Lock<'p> {
    spent: Spent,
    /// Where most of the time went.
    most: Option<(&'p Place, u64)>,
}

impl<'p> Lock<'p> {
    fn add(&mut self, place: &'p Place, spent: Spent) {
        self.spent = add(self.spent, spent);
        if self.most.is_none_or(|(_, ns)| ns < spent.ns) {
            self.most = Some((place, spent.ns));
        }
    }
}

/// A lock by the functions on the stacks.
fn by_name(scene: &Scene<'_>, who: &Who, words: &str, lock: &Lock<'_>) -> Option<Finding> {
    let spent = lock.spent;
    let group = scene.groups.get(who)?;
    // Stacks are those of all threads, and each thread of a pool may do little.
    let ran_ns = group.of_all(|sort, _| sort == Sort::OnCpu).ns;
    let lost_ns = group.of_all(|sort, state| Role::of(sort, state) == Role::Lost).ns;
    let busy_ns = ran_ns.saturating_add(lost_ns).saturating_add(spent.ns);
    // Stacks are added up by process: a pool whose threads wait for a moment each loses no more than one of them.
    let threads = group.threads.max(1);
    let weight = scene.weight(spent.ns / threads, busy_ns / threads)?;
    let percent = 100.0 * spent.ns as f64 / busy_ns.max(1) as f64;
    let mean = units::duration(whole(spent.ns / spent.count.max(1)));
    // Little's law: what was spent in a second is how many were there on average.
    let there = |ns: u64| ns as f64 / scene.span_ns();
    let mut text = format!(
        "{} waited for {words} {} of the time it was not idle: {} in {} waits, {mean} each. On average {:.1} threads waited while {:.1} ran",
        scene.call(who),
        units::percent(percent),
        units::duration(whole(spent.ns)),
        units::count(spent.count),
        there(spent.ns),
        there(ran_ns),
    );
    if let Some((place, _)) = lock.most {
        text.push_str(&format!(". They waited {}", place.describe()));
    }
    let victim = scene.owner(who);
    let (ns, count) = (spent.ns, spent.count);
    // The places differ where processes want the same sort of lock for different statements.
    let alike = Some(scene.alike(who, words));
    Some(Finding { weight, text: format!("{text}."), victim, ns, percent, count, alike, ..Finding::default() })
}
