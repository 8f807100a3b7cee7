//! `herd`: several processes or threads are woken for one connection; one gets it, and the others ran for nothing. Precondition: three
//! processes of a command or three threads of a process share the work, and for each connection that one accepts, others are woken in
//! vain. They are if they go back to sleep within the same call of epoll_wait or poll, of which the recording has both the sleeps (kind
//! `wait`) and the calls (metric `syscall.latency`), or if accept finds no connection any more (EAGAIN in `syscall.errors`).
//!
//! Without system calls, those are a herd of whom each was woken about as often as all of them took connections, by who made the
//! connections, and oftener than what they received can explain: an event loop that serves a connection is woken for each part of a
//! request that comes.
//!
//! An event loop that accepts until there is nothing left fails once for each time that it was woken, and is no herd.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::sum;
use crate::report::read::ledger::Sort;
use crate::report::read::metrics;
use crate::report::read::waits::Party;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Group;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::calls::Calls;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "herd", resource: "wake-ups", view: "syscalls", outdoes: &["retry-loop", "cpu-use"], find };

/// So many that one of them would do are a herd.
const LEAST: usize = 3;
/// Wake-ups in vain for each connection; a loop until there is nothing left has one.
const LEAST_IN_VAIN: f64 = 2.0;
/// Wake-ups in vain a second below which nothing is lost.
const LEAST_RATE: f64 = 100.0;
/// The part of a CPU that they use, running and waiting to run.
const LEAST_OF_A_CPU: f64 = 0.05;
/// Who is woken about as often as there are connections, between these parts of them, is woken for those of others.
const LEAST_SHARED: f64 = 0.5;
const MOST_SHARED: f64 = 2.0;
/// Connections a second below which that may be chance.
const LEAST_TAKEN: f64 = 20.0;
/// Wake-ups of one of a herd that those ended who connect to it: others wake it for something else.
const LEAST_BY_CLIENTS: f64 = 0.9;
/// The shortest part of a request that an event loop is woken for, in bytes.
const SHORTEST: u64 = 16;
/// Calls that take connections.
const ACCEPTS: [&str; 2] = ["accept", "accept4"];
/// Calls that sleep once if they are woken for something.
const POLLS: [&str; 7] = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"];

/// What the processes of a command that accept connections came to.
#[derive(Default)]
struct Herd<'s> {
    members: Vec<(&'s Who, &'s Group)>,
    accepted: u64,
    in_vain: u64,
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut herds: BTreeMap<&Rc<str>, Herd<'_>> = BTreeMap::new();
    if scene.calls()?.is_empty() {
        return by_connections(scene);
    }
    let sleeps = sleeps_in_polls(scene);
    for (who, of_process) in scene.calls()? {
        let Some((who, group)) = scene.groups.get_key_value(who) else { continue };
        let own = |names: &[&str]| names.iter().filter_map(|name| of_process.get(*name)).collect::<Vec<_>>();
        let sum = |calls: &[&Calls]| calls.iter().fold(0u64, |sum, calls| sum.saturating_add(calls.count));
        let accepts = own(&ACCEPTS);
        let failed = accepts.iter().flat_map(|calls| calls.failed.get("EAGAIN")).fold(0u64, |sum, own| sum + own.count);
        let all = sum(&accepts);
        // Of a herd on epoll, the kernel sends most back to sleep before they see that there is nothing.
        let asleep_again = sleeps.get(who).copied().unwrap_or(0).saturating_sub(sum(&own(&POLLS)));
        if all > 0 {
            let herd = herds.entry(&who.name).or_default();
            herd.members.push((who, group));
            herd.accepted = herd.accepted.saturating_add(all.saturating_sub(failed));
            herd.in_vain = herd.in_vain.saturating_add(failed).saturating_add(asleep_again);
        }
    }
    Ok(herds.into_iter().filter_map(|(name, herd)| herd.finding(scene, name)).collect())
}

/// The herds of a recording without system calls.
fn by_connections(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let wanted = [metrics::TCP_ACCEPTED, metrics::TCP_RECEIVED, metrics::TCP_CONNECT];
    let tally = Tally::totals_of(scene.source, &["pid", "comm", "sport", "dport"], |name| wanted.contains(&name))?;
    let mut accepted: BTreeMap<Rc<str>, (u64, BTreeSet<i64>)> = BTreeMap::new();
    tally.groups(metrics::TCP_ACCEPTED, |dims, taken| {
        let [process, comm, port, _] = dims else { return };
        let (all, ports) = accepted.entry(scene.who(process, comm).name).or_default();
        *all = all.saturating_add(sum(taken));
        ports.extend(port.int());
    })?;
    let mut received: BTreeMap<Rc<str>, u64> = BTreeMap::new();
    tally.groups(metrics::TCP_RECEIVED, |dims, bytes| {
        let [process, comm, ..] = dims else { return };
        let all = received.entry(scene.who(process, comm).name).or_default();
        *all = all.saturating_add(sum(bytes));
    })?;
    let mut clients: BTreeSet<(i64, i64)> = BTreeSet::new();
    tally.groups(metrics::TCP_CONNECT, |dims, _| {
        let [process, _, _, port] = dims else { return };
        clients.extend(process.process().map(|which| which.pid).zip(port.int()));
    })?;
    let mut findings = Vec::new();
    let least_taken = LEAST_TAKEN * scene.span_ns() / 1e9;
    for (name, (taken, ports)) in accepted.iter().filter(|(_, (taken, _))| *taken as f64 >= least_taken) {
        let mut herd = Herd { accepted: *taken, ..Herd::default() };
        let is_client = |pid: i64| ports.iter().any(|port| clients.contains(&(pid, *port)));
        let (mut woken, mut threads) = (0u64, 0usize);
        for wait in waits(scene).filter(|wait| wait.who.name == *name && matches!(&*wait.key.on, "epoll" | "poll")) {
            let by_clients = wait.target.wakers.iter().filter(|(waker, _)| is_client(waker.pid));
            let by_clients =
                by_clients.fold(wait.target.by_interrupt_ns, |sum, (_, party)| sum.saturating_add(party.ns));
            if (by_clients as f64) < LEAST_BY_CLIENTS * wait.target.ns as f64 {
                continue;
            }
            let is_shared = |own: &&Party| (LEAST_SHARED..=MOST_SHARED).contains(&(own.count as f64 / *taken as f64));
            let shared = wait.target.threads.values().filter(is_shared);
            let (before, sum) = (threads, shared.inspect(|_| threads += 1).map(|own| own.count).sum());
            woken = woken.saturating_add(sum);
            let member = scene.groups.get_key_value(&wait.who).filter(|_| threads > before);
            if let Some(member) = member.filter(|(who, _)| !herd.members.iter().any(|(own, _)| own == who)) {
                herd.members.push(member);
            }
        }
        let parts = received.get(name).copied().unwrap_or(0) / SHORTEST;
        herd.in_vain = woken.saturating_sub(*taken).saturating_sub(parts);
        let finding = herd.finding(scene, name).filter(|_| threads >= LEAST);
        findings.extend(finding.map(|finding| Finding { view: Some("threads"), ..finding }));
    }
    Ok(findings)
}

/// How often the threads of each process went to sleep in epoll_wait or poll.
fn sleeps_in_polls(scene: &Scene<'_>) -> BTreeMap<Who, u64> {
    let mut sleeps: BTreeMap<Who, u64> = BTreeMap::new();
    for wait in waits(scene).filter(|wait| matches!(&*wait.key.on, "epoll" | "poll")) {
        let sum = sleeps.entry(wait.who).or_default();
        *sum = sum.saturating_add(wait.target.count);
    }
    sleeps
}

impl Herd<'_> {
    fn finding(&self, scene: &Scene<'_>, name: &Rc<str>) -> Option<Finding> {
        let each = self.in_vain as f64 / self.accepted.max(1) as f64;
        let rate = self.in_vain as f64 / (scene.span_ns() / 1e9);
        let spent_ns = self.members.iter().fold(0u64, |sum, (_, group)| {
            sum.saturating_add(group.of_all(|sort, _| matches!(sort, Sort::OnCpu | Sort::ForCpu)).ns)
        });
        let of_a_cpu = spent_ns as f64 / scene.span_ns();
        if self.accepted == 0 || each < LEAST_IN_VAIN || rate < LEAST_RATE || of_a_cpu < LEAST_OF_A_CPU {
            return None;
        }
        let (herd, who) = match self.members.as_slice() {
            [(who, _)] => (format!("{} threads of {}", self.threads(scene, who)?, scene.call(who)), (*who).clone()),
            several if several.len() >= LEAST => {
                let herd = format!("{} processes of {name}", units::count(several.len() as u64));
                (herd, Who { name: Rc::clone(name), which: None })
            }
            _ => return None,
        };
        let part = self.in_vain as f64 / self.in_vain.saturating_add(self.accepted) as f64;
        let text = format!(
            "{herd} are woken for the same connections: one accepts, and the others are woken in vain, {each:.1} for each of {} connections. \
             They ran or waited for a CPU {} in all. EPOLLEXCLUSIVE or SO_REUSEPORT wakes one.",
            units::count(self.accepted),
            units::duration(i64::try_from(spent_ns).unwrap_or(i64::MAX)),
        );
        Some(Finding {
            weight: part * of_a_cpu.min(1.0),
            text,
            victim: scene.owner(&who),
            ns: spent_ns,
            percent: 100.0 * part,
            count: self.in_vain,
            ..Finding::default()
        })
    }

    /// How many threads of a process wait for the same connections, if they are a herd.
    fn threads(&self, scene: &Scene<'_>, who: &Who) -> Option<String> {
        let own = scene.waits.targets.iter().filter(|(key, _)| {
            Some(key.which) == who.which && matches!(&*key.on, "epoll" | "poll" | "tcp" | "unix" | "socket")
        });
        let tids: BTreeSet<i64> = own.flat_map(|(_, target)| target.threads.keys().copied()).collect();
        (tids.len() >= LEAST).then(|| units::count(tids.len() as u64))
    }
}
