//! `downstream`: a process waited for the answer of another one, or for its output through a pipe. Precondition: kind `wait`; a
//! question that it sent and that was unanswered, while it served requests itself; or a pipe whose writer was active and no child.
//!
//! A client that only asks is not a victim: it has nothing else to do. Where the recording lacks the direction of what was sent last, a
//! connection to a port on this machine has a question open if its process asks about as often as it is asked, or if the other end is
//! stopped.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::report::read::rows::Which;
use crate::report::read::waits::verdict::Verdict;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::scene::LEAST_AFFECTED;
use crate::report::view::diagnosis::scene::LEAST_OF_BUSY;
use crate::report::view::diagnosis::slow_reader;
use crate::report::view::diagnosis::stopped::stopped_percent;
use crate::report::view::diagnosis::wait::Wait;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "downstream", resource: "downstream", view: "chains", outdoes: &[], find };

/// Who asks and is asked so often, and neither this many times more often than the other, asks in order to answer.
const LEAST_ASKED: u64 = 10;
const ALIKE: u64 = 3;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let serving: BTreeSet<Which> = waits(scene)
        .filter(|wait| wait.target.request_ns.is_some_and(|ns| ns > 0))
        .map(|wait| wait.key.which)
        .collect();
    let full = slow_reader::full(scene)?;
    let mut findings = Vec::new();
    for wait in waits(scene) {
        let is_victim = match wait.verdict {
            Verdict::Question => serving.contains(&wait.key.which),
            Verdict::Work => &*wait.key.on == "pipe" && is_fed(scene, &wait)? && !is_blocked(&wait, &full),
            _ => false,
        };
        if is_victim {
            findings.extend(finding(scene, &wait, &serving)?);
        }
    }
    findings.extend(by_ports(scene)?);
    Ok(findings)
}

/// Whether a process handles a stream that another one writes into a pipe. A shell reads the output of a command once or twice, and is
/// no victim of it.
fn is_fed(scene: &Scene<'_>, wait: &Wait<'_>) -> Result<bool> {
    Ok(wait.target.count >= LEAST_ASKED && wait.peer(scene)?.is_some_and(|peer| peer.which.is_some()))
}

/// Whether a process waits at a pipe since that is full: it writes there, and waits for no output.
fn is_blocked(wait: &Wait<'_>, full: &slow_reader::Full) -> bool {
    let blocked = full.get(&wait.who).and_then(|full| full.get("pipe"));
    blocked.is_some_and(|spent| spent.ns >= wait.target.ns / 2)
}

/// Questions of one process to one port.
#[derive(Default)]
struct Asked {
    ns: u64,
    count: u64,
    /// What the thread waited that waited longest.
    longest_ns: u64,
}

/// Those who asked another process of this machine by TCP, by the ports of their connections.
fn by_ports(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let (mut ports, mut listening) = (BTreeMap::new(), BTreeMap::new());
    let mut rows = scene.source.rows_of_all_times("wait_target");
    let (target, state) = (rows.int("wait_target"), rows.text("state"));
    let (sport, dport) = (rows.int("sport"), rows.int("dport"));
    rows.each(|row| {
        let (Some(which), Some(own)) = (row.which(), row.int(sport)) else { return };
        if row.text(state) == Some("listen") {
            listening.insert(own, which);
        } else if let (Some(target), Some(other)) = (row.int(target), row.int(dport)) {
            ports.insert((which, target), (own, other));
        }
    })?;
    // A process that did nothing in the window has no waits, but connections that it accepted.
    let mut rows = scene.source.rows_of_all_times("tcp");
    let (side, sport) = (rows.text("tcp_side"), rows.int("sport"));
    rows.each(|row| {
        if let (Some("accept"), Some(own), Some(which)) = (row.text(side), row.int(sport), row.which()) {
            listening.entry(own).or_insert(which);
        }
    })?;
    let mut served: BTreeMap<Which, u64> = BTreeMap::new();
    let mut asked: BTreeMap<(Who, Which, i64), Asked> = BTreeMap::new();
    let unjudged = |wait: &Wait<'_>| &*wait.key.on == "tcp" && wait.target.question_ns.is_none();
    for wait in waits(scene).filter(unjudged) {
        let which = wait.key.which;
        let Some((own, other)) = wait.key.target.and_then(|target| ports.get(&(which, target))) else { continue };
        if listening.contains_key(own) {
            *served.entry(which).or_default() += wait.target.count;
        } else if listening.get(other).is_some_and(|peer| *peer != which) {
            let sum = asked.entry((wait.who.clone(), which, *other)).or_default();
            sum.ns = sum.ns.saturating_add(wait.target.ns);
            sum.count = sum.count.saturating_add(wait.target.count);
            let longest = wait.target.threads.values().map(|party| party.ns).max().unwrap_or(0);
            sum.longest_ns = sum.longest_ns.max(longest);
        }
    }
    let mut findings = Vec::new();
    for ((who, which, port), asked) in asked {
        let Some(peer) = listening.get(&port).and_then(|peer| scene.known(*peer)) else { continue };
        let requests = served.get(&which).copied().unwrap_or(0);
        let alike = asked.count >= LEAST_ASKED && requests <= ALIKE * asked.count && asked.count <= ALIKE * requests;
        let serves = listening.values().any(|own| *own == which);
        let stopped = stopped_percent(scene, &peer);
        if serves && (alike || stopped.is_some()) {
            findings.extend(asked_finding(scene, &who, (&peer, port), &asked));
        }
    }
    Ok(findings)
}

fn asked_finding(scene: &Scene<'_>, who: &Who, (peer, port): (&Who, i64), asked: &Asked) -> Option<Finding> {
    let group = scene.groups.get(who)?;
    let of_busy = asked.ns as f64 / group.busy_ns().saturating_add(asked.ns).max(1) as f64;
    let affected = (asked.longest_ns as f64 / scene.span_ns()).min(1.0);
    if affected < LEAST_AFFECTED || of_busy < LEAST_OF_BUSY {
        return None;
    }
    let mut text = format!(
        "{} waited for the answer of {} (port {port}) {} of the time it was not idle: {} in {} waits, {} each",
        scene.call(who),
        scene.call(peer),
        units::percent(100.0 * of_busy),
        units::duration(whole(asked.ns)),
        units::count(asked.count),
        units::duration(whole(asked.ns / asked.count.max(1))),
    );
    if let Some(percent) = stopped_percent(scene, peer) {
        text.push_str(&format!(". {} was stopped {} of the window", scene.call(peer), units::percent(percent)));
    }
    Some(Finding {
        weight: affected * asked.ns as f64 / group.lost_ns().saturating_add(asked.ns).max(1) as f64,
        text: format!("{text}."),
        victim: scene.owner(who),
        ns: asked.ns,
        percent: 100.0 * of_busy,
        count: asked.count,
        culprit: Some(scene.owner(peer)),
        alike: Some(scene.alike(who, &format!("the answer of {}", peer.name))),
        ..Finding::default()
    })
}

/// Of those that ended the waits of an event loop, the one that serves requests itself: the others are its clients.
fn asked(scene: &Scene<'_>, wait: &Wait<'_>, serving: &BTreeSet<Which>) -> Option<Who> {
    let pids: BTreeSet<i64> = wait.target.wakers.keys().map(|waker| waker.pid).collect();
    let mut served = serving.iter().filter(|which| pids.contains(&which.pid) && **which != wait.key.which);
    let one = served.next().filter(|_| served.next().is_none())?;
    scene.known(*one)
}

/// Whom a process waited for that is not known: one of another machine, if the network ended most of the waits.
fn unknown(wait: &Wait<'_>) -> &'static str {
    if wait.target.by_interrupt_ns >= wait.target.ns / 2 { "another machine" } else { "another process" }
}

fn finding(scene: &Scene<'_>, wait: &Wait<'_>, serving: &BTreeSet<Which>) -> Result<Option<Finding>> {
    let spent = wait.spent();
    let ns = if wait.verdict == Verdict::Question { wait.target.question_ns.unwrap_or(spent.ns) } else { spent.ns };
    let Some((weight, percent)) = wait.weight(scene, ns) else { return Ok(None) };
    let peer = wait.peer(scene)?.or_else(|| asked(scene, wait, serving));
    let whom = peer.as_ref().map_or_else(|| unknown(wait).to_owned(), |peer| scene.call(peer));
    let over = wait.target.name.as_ref().map(|name| format!(" ({})", name.text)).unwrap_or_default();
    let what = if wait.verdict == Verdict::Question { "the answer of" } else { "the output of" };
    let mut text = format!(
        "{} waited for {what} {whom}{over} {} of the time it was not idle: {} in {} waits, {} each",
        scene.call(&wait.who),
        units::percent(percent),
        units::duration(whole(ns)),
        units::count(spent.count),
        units::duration(whole(spent.ns / spent.count.max(1))),
    );
    if let Some(percent) = peer.as_ref().and_then(|peer| stopped_percent(scene, peer)) {
        text.push_str(&format!(". {whom} was stopped {} of the window", units::percent(percent)));
    }
    let alike = Some(scene.alike(&wait.who, &format!("{what} {}", peer.as_ref().map_or("", |peer| &peer.name))));
    Ok(Some(Finding {
        weight,
        text: format!("{text}."),
        victim: scene.owner(&wait.who),
        ns,
        percent,
        count: spent.count,
        culprit: peer.map(|peer| scene.owner(&peer)),
        alike,
        ..Finding::default()
    }))
}
