//! From a process that lost time to what it waited for, and from there on: who held the lock, answered the question or did the work, and
//! what that thread did in turn.
//!
//! Totals have no moments: a thread's own distribution stands for what it did during the waits of others. What is not known stays
//! unknown, and is carried along.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::report::read::rows::Which;
use crate::report::read::waits::Key;
use crate::report::read::waits::Target;
use crate::report::read::waits::Waits;
use crate::report::read::waits::verdict::Verdict;
use crate::units;

/// Below this part of the root's lost time nothing is followed.
const LEAST: f64 = 0.05;
/// Hops from the root on.
const MOST_HOPS: u16 = 8;
/// One process counts as who ended the waits if it ended this part of them.
const MAIN_WAKER: f64 = 0.8;

/// What a thread spent on CPUs and waiting for one, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) on_cpu_ns: u64,
    pub(super) queued_ns: u64,
}

/// What chains are made of.
pub(super) struct Scene {
    pub(super) waits: Waits,
    /// By process and thread.
    pub(super) threads: BTreeMap<(Which, i64), Ran>,
}

/// How it is known what a thread waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The first of a chain.
    Root,
    /// The lock says who held it.
    HeldBy,
    /// The process at the other end of the socket.
    AnsweredBy,
    /// The process that ended nearly all of the waits.
    WokenBy,
    /// What the thread itself did.
    Own,
}

impl Known {
    pub(super) fn words(self) -> &'static str {
        match self {
            Known::Root => "",
            Known::HeldBy => "held by",
            Known::AnsweredBy => "answered by",
            Known::WokenBy => "woken by",
            Known::Own => "itself",
        }
    }
}

/// One line of a chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) depth: u16,
    /// `waited for the answer of server (4711), tcp 127.0.0.1:80`.
    pub(super) text: String,
    /// Part of the root's lost time.
    pub(super) share: f64,
    pub(super) known: Known,
    /// Whose line it is.
    pub(super) pid: Option<i64>,
    /// Threads that are alike here.
    pub(super) threads: usize,
}

/// A root with what became of its time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chain {
    pub(super) lines: Vec<Line>,
    /// Nanoseconds that the root's threads lost.
    pub(super) lost_ns: u64,
    /// The part that ends at something that explains it, and the part of which nothing is known.
    pub(super) explained: f64,
    pub(super) unknown: f64,
}

/// Threads of one process that are looked at together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    which: Which,
    tids: BTreeSet<i64>,
}

/// What is alike of two waits for a reader: what they were, on what, who had it, and what that is called.
type Alike = (Verdict, Rc<str>, Option<Which>, Option<Rc<str>>);

/// What the time of a node went to.
enum Part<'a> {
    OnCpu,
    Queued,
    Waited(&'a Key, &'a Target, Verdict),
}

impl Scene {
    /// The chains of those that lost most, at most so many; who only stands in another's chain has none of its own.
    pub(super) fn chains(&self, least_ns: u64, most: usize) -> Vec<Chain> {
        let mut lost: BTreeMap<Which, u64> = BTreeMap::new();
        for (key, target) in &self.waits.targets {
            if is_lost(target.verdict(&key.on)) {
                *lost.entry(key.which).or_default() += target.ns;
            }
        }
        let mut roots: Vec<(Which, u64)> = lost.into_iter().filter(|(_, ns)| *ns >= least_ns).collect();
        let waited_for = self.waited_for();
        // Who others wait for comes after them; then who lost most.
        roots.sort_by_key(|(which, ns)| (waited_for.contains(which), std::cmp::Reverse(*ns)));
        let mut chains: Vec<Chain> = Vec::new();
        let mut told: BTreeSet<Which> = BTreeSet::new();
        for (which, lost_ns) in roots {
            if chains.len() >= most {
                break;
            }
            if told.insert(which) {
                chains.push(self.chain(which, lost_ns, &mut told));
            }
        }
        chains.sort_by_key(|chain| std::cmp::Reverse(chain.lost_ns));
        chains
    }

    /// Processes that others wait for.
    fn waited_for(&self) -> BTreeSet<Which> {
        let next = self.waits.targets.iter().filter_map(|(key, target)| {
            let (node, _) = self.next(key, target, target.verdict(&key.on))?;
            (node.which != key.which).then_some(node.which)
        });
        next.collect()
    }

    fn chain(&self, which: Which, lost_ns: u64, told: &mut BTreeSet<Which>) -> Chain {
        let tids = self.threads_of(which);
        let text = format!("{} lost {}", self.name(which), units::duration(i64::try_from(lost_ns).unwrap_or(i64::MAX)));
        let threads = tids.len();
        let root = Line { depth: 0, text, share: 1.0, known: Known::Root, pid: Some(which.pid), threads };
        let mut chain = Chain { lines: vec![root], lost_ns, explained: 0.0, unknown: 0.0 };
        let mut walk = Walk { scene: self, chain: &mut chain, told };
        walk.lost(&Node { which, tids }, 1.0, &mut vec![]);
        chain
    }

    fn threads_of(&self, which: Which) -> BTreeSet<i64> {
        let own = self.threads.range((which, i64::MIN)..=(which, i64::MAX));
        let mut tids: BTreeSet<i64> = own.map(|((_, tid), _)| *tid).collect();
        for (_, target) in self.targets_of(which) {
            tids.extend(target.threads.keys());
        }
        tids
    }

    fn targets_of(&self, which: Which) -> impl Iterator<Item = (&Key, &Target)> {
        let first = Key { which, on: Rc::from(""), target: None };
        self.waits.targets.range(first..).take_while(move |(key, _)| key.which == which)
    }

    fn name(&self, which: Which) -> String {
        let process = self.targets_of(which).map(|(_, target)| &target.process).find(|name| !name.is_empty());
        match process {
            Some(name) => format!("{name} ({})", which.pid),
            None => format!("process {}", which.pid),
        }
    }

    /// The process that has an id at the end of the recording.
    fn process(&self, pid: i64) -> Option<Which> {
        let after = Which { pid: pid.checked_add(1)?, start_ns: None };
        let waiting = self.waits.targets.range(..Key { which: after, on: Rc::from(""), target: None });
        let running = self.threads.range(..(after, i64::MIN));
        let last = [waiting.last().map(|(key, _)| key.which), running.last().map(|((which, _), _)| *which)];
        last.into_iter().flatten().filter(|which| which.pid == pid).max()
    }

    /// Who has what is waited for, and how that is known.
    fn next(&self, key: &Key, target: &Target, verdict: Verdict) -> Option<(Node, Known)> {
        match verdict {
            Verdict::Lock if &*key.on == "kernel_lock" && target.owner().is_some() => {
                let tid = target.owner()?;
                let (which, _) = self.threads.keys().rev().find(|(_, own)| *own == tid)?;
                Some((Node { which: *which, tids: [tid].into() }, Known::HeldBy))
            }
            Verdict::Lock if target.owner().is_some() => {
                // Threads that hold it in turn are one.
                let tids = target.owners.keys().copied().collect();
                Some((Node { which: key.which, tids }, Known::HeldBy))
            }
            Verdict::Question => {
                let peer = target.name.as_ref().and_then(|name| name.peer_pid);
                let node =
                    peer.and_then(|pid| self.process(pid)).map(|which| Node { which, tids: self.threads_of(which) });
                // What the connection says comes before who woke the waiter: the network's work is done in whatever it interrupts.
                let woken = self.main_waker(target).filter(|woken| woken.which != key.which);
                let is_named = |woken: &Node| node.as_ref().is_none_or(|named| named.which == woken.which);
                let node = woken.filter(is_named).or(node)?;
                Some((node, Known::AnsweredBy))
            }
            Verdict::Lock | Verdict::LockLike | Verdict::Work | Verdict::Request => {
                Some((self.main_waker(target)?, Known::WokenBy))
            }
            Verdict::Resource | Verdict::Idle | Verdict::Undecided => None,
        }
    }

    /// The threads of the process that ended nearly all of the waits that a thread ended.
    fn main_waker(&self, target: &Target) -> Option<Node> {
        let mut processes: BTreeMap<i64, u64> = BTreeMap::new();
        for (waker, party) in &target.wakers {
            *processes.entry(waker.pid).or_default() += party.ns;
        }
        let (pid, ns) = processes.into_iter().max_by_key(|(_, ns)| *ns)?;
        if (ns as f64) < MAIN_WAKER * target.ns as f64 {
            return None;
        }
        let tids = target.wakers.keys().filter(|waker| waker.pid == pid).map(|waker| waker.tid).collect();
        Some(Node { which: self.process(pid)?, tids })
    }
}

/// Whether time in such a wait is lost.
fn is_lost(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::Idle | Verdict::Undecided)
}

fn is_timer(on: &str) -> bool {
    matches!(on, "timer" | "timerfd")
}

/// Whether a wait without anybody who had what it was for explains nothing.
fn is_open(on: &str, verdict: Verdict) -> bool {
    match verdict {
        Verdict::Undecided | Verdict::Work | Verdict::LockLike => true,
        Verdict::Request => !is_timer(on),
        Verdict::Lock | Verdict::Question | Verdict::Resource | Verdict::Idle => false,
    }
}

/// A chain as it grows.
struct Walk<'a, 'b> {
    scene: &'a Scene,
    chain: &'b mut Chain,
    told: &'b mut BTreeSet<Which>,
}

impl<'a> Walk<'a, '_> {
    /// Splits the lost time of a root by what it waited for.
    fn lost(&mut self, node: &Node, share: f64, path: &mut Vec<Node>) {
        let parts = self.parts(node, is_lost);
        let lost: Vec<(Part<'a>, u64)> =
            parts.into_iter().filter(|(part, _)| matches!(part, Part::Waited(..))).collect();
        self.split(node, lost, share, path);
    }

    /// Splits what a thread did while another waited for it; it may sleep with a lock in its hands, or within a request.
    fn busy(&mut self, node: &Node, share: f64, without: &Key, path: &mut Vec<Node>) {
        let mut parts = self.parts(node, |verdict| verdict != Verdict::Idle);
        for (key, target) in self.scene.targets_of(node.which) {
            if is_timer(&key.on) && target.verdict(&key.on) == Verdict::Idle {
                let ns = of_threads(target, &node.tids);
                parts.push((Part::Waited(key, target, Verdict::Resource), ns));
            }
        }
        // Who waits for it does not have it.
        parts.retain(|(part, ns)| *ns > 0 && !matches!(part, Part::Waited(key, ..) if *key == without));
        parts.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        self.split(node, parts, share, path);
    }

    fn parts(&self, node: &Node, takes: impl Fn(Verdict) -> bool) -> Vec<(Part<'a>, u64)> {
        let mut ran = Ran::default();
        for tid in &node.tids {
            if let Some(own) = self.scene.threads.get(&(node.which, *tid)) {
                ran.on_cpu_ns += own.on_cpu_ns;
                ran.queued_ns += own.queued_ns;
            }
        }
        let mut parts = vec![(Part::OnCpu, ran.on_cpu_ns), (Part::Queued, ran.queued_ns)];
        for (key, target) in self.scene.targets_of(node.which) {
            let verdict = target.verdict(&key.on);
            if takes(verdict) {
                parts.push((Part::Waited(key, target, verdict), of_threads(target, &node.tids)));
            }
        }
        parts.retain(|(_, ns)| *ns > 0);
        parts.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        parts
    }

    fn split(&mut self, node: &Node, parts: Vec<(Part<'a>, u64)>, share: f64, path: &mut Vec<Node>) {
        let parts = self.alike_merged(parts);
        let all: u64 = parts.iter().map(|(_, ns)| ns).sum();
        if all == 0 {
            self.chain.unknown += share;
            return;
        }
        path.push(node.clone());
        let depth = u16::try_from(path.len()).unwrap_or(MOST_HOPS);
        for (part, ns) in parts {
            let share = share * ns as f64 / all as f64;
            if share < LEAST {
                continue;
            }
            self.part(node, &part, share, depth, path);
        }
        path.pop();
    }

    /// Connections to one address, say, are one part, with the heaviest of them for all.
    fn alike_merged(&self, parts: Vec<(Part<'a>, u64)>) -> Vec<(Part<'a>, u64)> {
        let mut merged: Vec<(Part<'a>, u64, Option<Alike>)> = Vec::new();
        for (part, ns) in parts {
            let alike = self.alike(&part);
            match merged.iter_mut().find(|(_, _, own)| own.is_some() && *own == alike) {
                Some((_, sum, _)) => *sum = sum.saturating_add(ns),
                None => merged.push((part, ns, alike)),
            }
        }
        let mut merged: Vec<(Part<'a>, u64)> = merged.into_iter().map(|(part, ns, _)| (part, ns)).collect();
        merged.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        merged
    }

    /// What parts have in common that are one for a reader; `None`: it stays by itself.
    fn alike(&self, part: &Part<'a>) -> Option<Alike> {
        let Part::Waited(key, target, verdict) = part else { return None };
        let next = self.scene.next(key, target, *verdict).map(|(node, _)| node.which);
        let name = target.name.as_ref().map(|name| Rc::clone(&name.text));
        (next.is_some() || name.is_some()).then(|| (*verdict, Rc::clone(&key.on), next, name))
    }

    fn part(&mut self, node: &Node, part: &Part<'a>, share: f64, depth: u16, path: &mut Vec<Node>) {
        let (text, next) = match part {
            Part::OnCpu => ("ran on a CPU".to_owned(), None),
            Part::Queued => ("waited for a CPU".to_owned(), None),
            Part::Waited(key, target, verdict) => {
                let next = self.scene.next(key, target, *verdict);
                (self.waited(key, target, *verdict, next.as_ref()), next.map(|(node, known)| (node, known, *key)))
            }
        };
        let known = next.as_ref().map_or(Known::Own, |(_, known, _)| *known);
        let (pid, threads) =
            next.as_ref().map_or((node.which.pid, node.tids.len()), |(next, ..)| (next.which.pid, next.tids.len()));
        self.chain.lines.push(Line { depth, text, share, known, pid: Some(pid), threads });
        match (next, part) {
            (Some((next, ..)), _) if depth >= MOST_HOPS || path.contains(&next) => self.chain.explained += share,
            (Some((next, _, key)), _) => {
                self.told.insert(next.which);
                self.busy(&next, share, key, path);
            }
            // Whose work it was is not known; a timer is nobody's.
            (None, Part::Waited(key, _, verdict)) if is_open(&key.on, *verdict) => self.chain.unknown += share,
            (None, _) => self.chain.explained += share,
        }
    }

    fn waited(&self, key: &Key, target: &Target, verdict: Verdict, next: Option<&(Node, Known)>) -> String {
        let name = target.name.as_ref().map(|name| name.text.to_string());
        let at = name.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
        let who = next.map(|(node, _)| match node.which == key.which {
            true if node.tids.len() == 1 => format!("thread {}", node.tids.first().copied().unwrap_or_default()),
            true => format!("{} of its own threads", node.tids.len()),
            false => self.scene.name(node.which),
        });
        match (verdict, who) {
            (Verdict::Lock, Some(who)) => format!("waited for a lock of {who}{at}"),
            (Verdict::Lock, None) => {
                format!("waited for a {}{at}", if &*key.on == "kernel_lock" { "lock of the kernel" } else { "lock" })
            }
            (Verdict::LockLike, who) => {
                format!("waited as for a lock that {} hand on{at}", who.unwrap_or_else(|| "others".to_owned()))
            }
            (Verdict::Work, who) => {
                format!("waited for the work of {}{at}", who.unwrap_or_else(|| "others".to_owned()))
            }
            (Verdict::Question, Some(who)) => format!("waited for the answer of {who}{at}"),
            (Verdict::Question, None) => {
                format!("waited for the answer of {}", name.unwrap_or_else(|| "another machine".to_owned()))
            }
            (Verdict::Request, _) => format!("waited within a request ({}){at}", key.on),
            (Verdict::Resource, _) if is_timer(&key.on) => "slept (timer)".to_owned(),
            (Verdict::Resource, _) => format!("waited for a {}{at}", key.on),
            (Verdict::Idle | Verdict::Undecided, _) => format!("waited on {}{at}, undecided", key.on),
        }
    }
}

/// The part of a target's waits that some threads had.
fn of_threads(target: &Target, tids: &BTreeSet<i64>) -> u64 {
    target.threads.iter().filter(|(tid, _)| tids.contains(tid)).fold(0, |sum, (_, party)| sum.saturating_add(party.ns))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use super::Known;
    use super::Ran;
    use super::Scene;
    use crate::report::read::rows::Which;
    use crate::report::read::waits::Key;
    use crate::report::read::waits::Party;
    use crate::report::read::waits::Target;
    use crate::report::read::waits::Waits;
    use crate::report::read::waits::Waker;

    const SECOND: u64 = 1_000_000_000;

    fn which(pid: i64) -> Which {
        Which { pid, start_ns: Some(1) }
    }

    fn party(seconds: u64) -> Party {
        Party { ns: seconds * SECOND, count: 1, ..Party::default() }
    }

    /// Waits of threads of a process, ended by a thread of another.
    fn waits(process: &str, tids: &[i64], seconds: u64, waker: (i64, i64)) -> Target {
        let ns = seconds * SECOND * tids.len() as u64;
        Target {
            process: Rc::from(process),
            ns,
            count: 1,
            by_thread_ns: ns,
            threads: tids.iter().map(|tid| (*tid, party(seconds))).collect(),
            wakers: [(Waker { pid: waker.0, tid: waker.1 }, Party { ns, count: 1, ..Party::default() })].into(),
            ..Target::default()
        }
    }

    fn key(pid: i64, on: &str, target: i64) -> Key {
        Key { which: which(pid), on: Rc::from(on), target: Some(target) }
    }

    fn question(target: Target) -> Target {
        Target { question_ns: Some(target.ns), request_ns: Some(0), ..target }
    }

    /// A client asks a proxy, that a server, whose two workers take turns with a lock in which they sleep.
    fn three_hops() -> Scene {
        let mut targets = BTreeMap::new();
        targets.insert(key(10, "tcp", 1), question(waits("client", &[10], 8, (20, 20))));
        targets.insert(key(20, "tcp", 2), question(waits("proxy", &[20], 7, (30, 31))));
        let lock = waits("server", &[31, 32], 6, (30, 32));
        let lock = Target { contended_ns: lock.ns, owners: [(31, 6 * SECOND), (32, 6 * SECOND)].into(), ..lock };
        targets.insert(key(30, "futex", 3), lock);
        let timer = Target { wakers: BTreeMap::new(), by_thread_ns: 0, ..waits("server", &[31, 32], 3, (0, 0)) };
        targets.insert(key(30, "timer", 0), timer);
        let ran = |ms: u64| Ran { on_cpu_ns: ms * 1_000_000, queued_ns: 0 };
        let threads = [((which(10), 10), ran(1)), ((which(20), 20), ran(10)), ((which(30), 31), ran(20))].into();
        Scene { waits: Waits { targets }, threads }
    }

    #[test]
    fn a_chain_goes_from_who_suffers_to_what_explains_it() {
        let chains = three_hops().chains(SECOND, 5);
        assert_eq!(chains.len(), 1, "who only stands in another's chain has none: {chains:?}");
        let lines: Vec<(u16, Known, &str)> =
            chains[0].lines.iter().map(|line| (line.depth, line.known, line.text.as_str())).collect();
        assert_eq!(
            lines,
            [
                (0, Known::Root, "client (10) lost 8.00 s"),
                (1, Known::AnsweredBy, "waited for the answer of proxy (20)"),
                (2, Known::AnsweredBy, "waited for the answer of server (30)"),
                (3, Known::HeldBy, "waited for a lock of 2 of its own threads"),
                (4, Known::Own, "slept (timer)"),
                // The thread that answers has the lock itself at times.
                (3, Known::Own, "slept (timer)"),
            ]
        );
        assert!(chains[0].explained > 0.9, "{}", chains[0].explained);
    }

    #[test]
    fn threads_that_wait_for_one_another_end_a_chain() {
        let mut targets = BTreeMap::new();
        targets.insert(key(10, "tcp", 1), question(waits("ping", &[10], 8, (20, 20))));
        targets.insert(key(20, "tcp", 2), question(waits("pong", &[20], 8, (10, 10))));
        let chains = Scene { waits: Waits { targets }, threads: BTreeMap::new() }.chains(SECOND, 5);
        assert_eq!(chains.len(), 1);
        assert!(chains[0].lines.len() <= 4, "{chains:?}");
    }

    #[test]
    fn idle_threads_have_no_chain() {
        let mut targets = BTreeMap::new();
        targets.insert(key(10, "futex", 1), waits("pool", &[10, 11], 8, (10, 12)));
        assert_eq!(Scene { waits: Waits { targets }, threads: BTreeMap::new() }.chains(SECOND, 5), []);
    }
}
