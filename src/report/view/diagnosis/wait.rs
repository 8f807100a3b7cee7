//! Waits with evidence: what the recording's rows of kind `wait` say that the threads of a process waited for, for the rules about them.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::waits::Key;
use crate::report::read::waits::Target;
use crate::report::read::waits::verdict::Verdict;
use crate::report::view::diagnosis::Group;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::scene::LEAST_ACTIVE;
use crate::report::view::diagnosis::scene::LEAST_AFFECTED;
use crate::report::view::diagnosis::scene::LEAST_OF_BUSY;

/// One process that ended this part of the waits is the one that was waited for.
const MOST_WOKEN: f64 = 0.8;
/// A process that is said to have worked did so for one part in so many of the longest wait: it may have queued for CPUs.
const WORKED: u64 = 4;
/// Many threads that share a lock may each do little, but together they fill this part of a CPU.
const LEAST_TOGETHER: f64 = 0.5;

/// What processes waited for, with evidence; kernel threads left out.
pub(super) fn waits<'s>(scene: &'s Scene<'_>) -> impl Iterator<Item = Wait<'s>> {
    let people = scene.waits.targets.iter().filter(|(key, _)| !scene.is_kernel(key.which));
    people.filter_map(|(key, target)| {
        let who = scene.known(key.which).unwrap_or_else(|| scene.who_of(key.which, Rc::clone(&target.process)));
        let group = scene.groups.get(&who)?;
        Some(Wait { who, group, key, target, verdict: target.verdict(&key.on) })
    })
}

/// What a process waited for.
pub(super) struct Wait<'a> {
    /// The process.
    pub(super) who: Who,
    pub(super) group: &'a Group,
    pub(super) key: &'a Key,
    pub(super) target: &'a Target,
    pub(super) verdict: Verdict,
}

impl Wait<'_> {
    /// All waits.
    pub(super) fn spent(&self) -> Spent {
        Spent { ns: self.target.ns, count: self.target.count }
    }

    /// Whether the process did anything for a quarter of the longest wait: it ran, or waited for a resource. On a busy machine a thread
    /// that wants a moment of a CPU counts as active for long.
    pub(super) fn has_worked(&self) -> bool {
        let queued_ns = self.group.of(|sort, _| sort == Sort::ForCpu).ns;
        self.group.busy_ns().saturating_sub(queued_ns) >= self.longest_ns() / WORKED
    }

    /// The part of them that matters where only the work of those who ended them speaks for it: an idle pool waits for its
    /// submitter, which may work all the time. The threads that count have something to do between their waits, each of them or all
    /// together; within requests, nobody idles.
    pub(super) fn engaged(&self, scene: &Scene<'_>) -> Engaged {
        let in_request = self.target.request_ns.is_some_and(|ns| ns >= self.target.ns / 2);
        let own = |tid: i64| scene.engaged.get(&(self.key.which, tid)).copied().unwrap_or(0);
        let together = self.target.threads.keys().fold(0u64, |sum, tid| sum.saturating_add(own(*tid)));
        let all = in_request || together as f64 >= LEAST_TOGETHER * scene.span_ns();
        let mut engaged = Engaged::default();
        for (tid, party) in &self.target.threads {
            if all || own(*tid) as f64 >= LEAST_ACTIVE * scene.span_ns() {
                let spent = engaged.spent;
                engaged.threads += 1;
                engaged.longest_ns = engaged.longest_ns.max(party.ns);
                engaged.spent =
                    Spent { ns: spent.ns.saturating_add(party.ns), count: spent.count.saturating_add(party.count) };
            }
        }
        engaged
    }

    /// What the thread waited that waited longest.
    pub(super) fn longest_ns(&self) -> u64 {
        self.target.threads.values().map(|party| party.ns).max().unwrap_or(0)
    }

    /// How much it matters that `ns` of them were lost, from 0 to 1, and what part of its busy time that is, in hundredths; `None` where it
    /// is not worth a finding. Threads of a pool wait at the same time, so the one that waited longest says how long the process was
    /// affected.
    pub(super) fn weight(&self, scene: &Scene<'_>, ns: u64) -> Option<(f64, f64)> {
        let part = ns as f64 / self.target.ns.max(1) as f64;
        weigh(scene, self.group, ns, part * self.longest_ns() as f64)
    }

    /// The process at the other end: by what the target itself says, which is its name or the connection's data; else the one that
    /// ended most of the waits. What an interrupt ended counts against every process: the network's work is done in whatever
    /// process it interrupts, which then seems to have ended the wait.
    pub(super) fn peer(&self, scene: &Scene<'_>) -> Result<Option<Who>> {
        let named = self.target.name.as_ref().and_then(|name| name.peer_pid);
        if named.is_none()
            && let Some(receiver) = self.receiver(scene)?
        {
            return Ok(Some(receiver));
        }
        let woken = || {
            let mut by: BTreeMap<i64, u64> = BTreeMap::new();
            for (waker, party) in &self.target.wakers {
                let sum = by.entry(waker.pid).or_default();
                *sum = sum.saturating_add(party.ns);
            }
            let all = by.values().fold(self.target.by_interrupt_ns, |sum, ns| sum.saturating_add(*ns));
            let most = by.into_iter().max_by_key(|(_, ns)| *ns);
            most.filter(|(_, ns)| *ns as f64 >= MOST_WOKEN * all as f64).map(|(pid, _)| pid)
        };
        let peer = named.or_else(woken).and_then(|pid| scene.known_by_id(pid));
        Ok(peer.filter(|peer| *peer != self.who))
    }

    /// The process of this machine that received what was sent over a connection by TCP.
    fn receiver(&self, scene: &Scene<'_>) -> Result<Option<Who>> {
        let Some(target) = self.key.target.filter(|_| &*self.key.on == "tcp") else { return Ok(None) };
        let ends = scene.ends()?;
        let Some(own) = ends.connections.get(&(self.key.which, target)) else { return Ok(None) };
        let mut by: BTreeMap<&Who, u64> = BTreeMap::new();
        for received in &ends.received {
            let is_other_end = received.remote == Some(own.own_port) || received.local == Some(own.port);
            if is_other_end && received.who != self.who && received.address == own.own_address {
                let bytes = by.entry(&received.who).or_default();
                *bytes = bytes.saturating_add(received.bytes);
            }
        }
        let all = by.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
        let most = by.into_iter().max_by_key(|(_, bytes)| *bytes);
        Ok(most.filter(|(_, bytes)| *bytes > all / 2).map(|(who, _)| who.clone()))
    }
}

/// Waits of the threads of a process that have something to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Engaged {
    /// How many threads.
    pub(super) threads: usize,
    /// Their waits.
    pub(super) spent: Spent,
    /// What the thread waited that waited longest, in nanoseconds.
    longest_ns: u64,
}

impl Engaged {
    /// As [`Wait::weight`].
    pub(super) fn weight(&self, scene: &Scene<'_>, wait: &Wait<'_>) -> Option<(f64, f64)> {
        weigh(scene, wait.group, self.spent.ns, self.longest_ns as f64)
    }
}

/// How much it matters that a process lost `ns`, of which one thread lost `longest_ns`; as [`Wait::weight`].
pub(super) fn weigh(scene: &Scene<'_>, group: &Group, ns: u64, longest_ns: f64) -> Option<(f64, f64)> {
    let affected = (longest_ns / scene.span_ns()).min(1.0);
    let of_lost = ns as f64 / group.lost_ns().saturating_add(ns).max(1) as f64;
    let of_busy = ns as f64 / group.busy_ns().saturating_add(ns).max(1) as f64;
    (affected >= LEAST_AFFECTED && of_busy >= LEAST_OF_BUSY).then_some((of_lost * affected, 100.0 * of_busy))
}
