//! `delayed-ack`: both ends of a TCP connection waited for one another, since the sender held back a small segment until the first was
//! acknowledged (Nagle's algorithm), and the receiver delayed its acknowledgement. Precondition: waits of 40 ms at both ends of one
//! connection of this machine at the same time, and as many delayed acknowledgements (kind `net_stat`).
//!
//! Ends that take as long to answer one another wait in turn. Of a connection to another machine one end is unknown: it may send a
//! little every 50 ms on purpose.

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::wait::Wait;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "delayed-ack", resource: "delayed ACK", view: "tcp", outdoes: &["downstream"], find };

/// Linux delays an acknowledgement for 40 ms (`TCP_DELACK_MIN`, include/net/tcp.h), and a tick or a busy CPU adds to that.
const DELAY_NS: u64 = 40_000_000;
const SHORTEST_NS: u64 = 38_000_000;
const LONGEST_NS: u64 = 80_000_000;
/// Fewer waits are not a habit of a protocol.
const LEAST_WAITS: u64 = 10;
/// A message has one wait of that length, and as many waits as this at most: who waits for each part of it may wait shortly for others.
const MOST_PARTS: u64 = 4;
/// So many of the long waits had a delayed acknowledgement: one in two.
const LEAST_DELAYED: u64 = 2;
/// The waits of both ends come to this part of the window: more than all of it, since they wait at the same time.
const AT_ONCE: f64 = 1.5;

/// How many waits took as long as a delayed acknowledgement, where none took much longer.
fn delays(wait: &Wait<'_>) -> u64 {
    let is_delay = (SHORTEST_NS..LONGEST_NS).contains(&wait.target.max_ns);
    if is_delay { wait.target.ns / DELAY_NS } else { 0 }
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let counters = Counters::of(scene.source, "net_stat")?;
    let delayed = counters.places("TcpExt.DelayedACKs").fold(0u64, |sum, (_, sums)| sum.saturating_add(sums.grew));
    let is_habit = |wait: &Wait<'_>| {
        let delays = delays(wait);
        &*wait.key.on == "tcp"
            && delays >= LEAST_WAITS
            && wait.target.count <= MOST_PARTS * delays
            && delayed >= delays / LEAST_DELAYED
    };
    let connections = &scene.ends()?.connections;
    let found: Vec<Wait<'_>> = waits(scene).filter(is_habit).collect();
    let end = |wait: &Wait<'_>| {
        connections.get(&(wait.key.which, wait.key.target?)).map(|connection| (connection.own_port, connection.port))
    };
    let other = |wait: &Wait<'_>| {
        let (own, there) = end(wait)?;
        found.iter().find(|other| end(other) == Some((there, own)))
    };
    // Of the two ends, the one that asks has the port of its own.
    let pairs =
        found.iter().filter_map(|wait| Some((wait, other(wait)?))).filter(|(wait, other)| end(wait) > end(other));
    let at_once = pairs.filter(|(wait, other)| {
        let both = wait.target.ns.saturating_add(other.target.ns);
        both as f64 >= AT_ONCE * scene.span_ns()
    });
    Ok(at_once.filter_map(|(wait, other)| finding(scene, wait, other, delayed)).collect())
}

fn finding(scene: &Scene<'_>, wait: &Wait<'_>, other: &Wait<'_>, delayed: u64) -> Option<Finding> {
    let spent = wait.spent();
    let (weight, percent) = wait.weight(scene, spent.ns)?;
    let over = wait.target.name.as_ref().map(|name| format!(" over {}", name.text)).unwrap_or_default();
    let text = format!(
        "{} and {} waited for one another{over} {} of the time the first was not idle: {} in {} waits, up to {} each. The kernel delayed {} acknowledgements by \
         40 ms, for which small segments waited. Write each message at once, or set TCP_NODELAY.",
        scene.call(&wait.who),
        scene.call(&other.who),
        units::percent(percent),
        units::duration(whole(spent.ns)),
        units::count(spent.count),
        units::duration(whole(wait.target.max_ns)),
        units::count(delayed),
    );
    let victim = scene.owner(&wait.who);
    let culprit = Some(scene.owner(&other.who));
    let (ns, count) = (spent.ns, spent.count);
    let alike = Some(scene.alike(&wait.who, &other.who.name));
    Some(Finding { weight, text, victim, ns, percent, count, culprit, alike, ..Finding::default() })
}
