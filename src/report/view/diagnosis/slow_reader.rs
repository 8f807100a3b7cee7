//! `slow-reader`: a process was blocked in writing, since the other end of a pipe, socket or terminal reads too slowly. Precondition: functions on
//! the stacks of its sleeps that wait for room there, and reads that made room again and again: a pager that shows its first page
//! reads no more.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::sleeps;
use crate::report::view::diagnosis::wait::Wait;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "slow-reader", resource: "slow reader", view: "chains", outdoes: &[], find };

/// Fewer waits that ended are not a stream.
const LEAST_WAITS: u64 = 10;
/// The buffers of TCP take megabytes, so a few waits for room may be most of the window.
const LEAST_OF_TCP: u64 = 2;
/// What a full connection by TCP is called in the table of names.
const TCP: &str = "TCP connection";
/// What a reader does for less than this part of its time is not why it is slow.
const MOST: f64 = 0.5;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    blocked(scene, Limit::Reader)
}

/// What keeps a stream from going faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Its reader: the process at the other end.
    Reader,
    /// The network: the reader waits for data.
    Network,
}

/// The writers whose streams have this limit.
pub(super) fn blocked(scene: &Scene<'_>, by: Limit) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (who, full) in full(scene)? {
        let most = full.into_iter().max_by_key(|(_, spent)| spent.ns);
        if let Some((what, spent)) = most
            && let Some((limit, finding)) = finding(scene, &who, what, spent)?
            && limit == by
        {
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// How long processes waited for room, by what was full.
pub(super) type Full = BTreeMap<Who, BTreeMap<&'static str, Spent>>;

/// Reads it.
pub(super) fn full(scene: &Scene<'_>) -> Result<Full> {
    let mut by = Full::new();
    for (who, places) in sleeps::of(scene, Class::Full, &[Class::Full])? {
        let sums = by.entry(who).or_default();
        for (place, spent) in places {
            let sum = sums.entry(place.words).or_default();
            *sum = Spent { ns: sum.ns.saturating_add(spent.ns), count: sum.count.saturating_add(spent.count) };
        }
    }
    Ok(by)
}

fn finding(scene: &Scene<'_>, who: &Who, what: &str, spent: Spent) -> Result<Option<(Limit, Finding)>> {
    let Some(group) = scene.groups.get(who) else { return Ok(None) };
    // Stacks are added up by process: of a server with a thread for each client, one that is blocked holds up no other.
    let threads = group.threads.max(1);
    let is_long = (spent.ns / threads) as f64 >= MOST * scene.span_ns();
    let is_stream = spent.count >= LEAST_WAITS || (what == TCP && spent.count >= LEAST_OF_TCP && is_long);
    if !is_stream {
        return Ok(None);
    }
    let busy_ns = group.busy_ns().saturating_add(spent.ns);
    let Some(weight) = scene.weight(spent.ns / threads, busy_ns / threads) else { return Ok(None) };
    let percent = 100.0 * spent.ns as f64 / busy_ns.max(1) as f64;
    let own = waits(scene).filter(|wait| wait.who == *who && is_of(wait, what));
    let over = own.max_by_key(|wait| wait.target.ns);
    let reader = match &over {
        Some(over) => over.peer(scene)?,
        None => None,
    };
    let name = over.as_ref().and_then(|wait| wait.target.name.as_ref()).map(|name| Rc::clone(&name.text));
    let mut text = format!(
        "{} was blocked writing to a full {what} {} of the time it was not idle: {} in {} waits, {} each",
        scene.call(who),
        units::percent(percent),
        units::duration(whole(spent.ns)),
        units::count(spent.count),
        units::duration(whole(spent.ns / spent.count.max(1))),
    );
    let end = name.map(|name| format!(" ({name})")).unwrap_or_default();
    let starved = match (&over, &reader) {
        (Some(over), Some(reader)) => starved_percent(scene, over, reader)?,
        _ => None,
    };
    let (limit, what_of) = match starved {
        Some(_) => (Limit::Network, "the network"),
        None => (Limit::Reader, reader.as_ref().map_or("", |reader| &*reader.name)),
    };
    let alike = scene.alike(who, &format!("{what} {what_of}"));
    match (&reader, starved) {
        (Some(reader), Some(percent)) => text.push_str(&format!(
            ". {} waited for data at the other end{end} {} of the window, so the network between them is the limit",
            scene.call(reader),
            units::percent(percent),
        )),
        (Some(reader), None) => {
            text.push_str(&format!(". {} reads the other end{end} more slowly", scene.call(reader)));
            if let Some(did) = did(scene, reader) {
                text.push_str(&format!("; it {did} of its time"));
            }
        }
        (None, _) => text.push_str(&format!(". The other end{end} reads more slowly")),
    }
    let finding = Finding {
        weight,
        alike: Some(alike),
        text: format!("{text}."),
        victim: scene.owner(who),
        ns: spent.ns,
        percent,
        count: spent.count,
        culprit: reader.filter(|_| limit == Limit::Reader).map(|reader| scene.owner(&reader)),
        ..Finding::default()
    };
    Ok(Some((limit, finding)))
}

/// The part of the window that a thread of the reader waited for data of the very connection, in hundredths, if that was most of it.
fn starved_percent(scene: &Scene<'_>, over: &Wait<'_>, reader: &Who) -> Result<Option<f64>> {
    let ends = scene.ends()?;
    let connection = |wait: &Wait<'_>| {
        let target = wait.key.target.filter(|_| &*wait.key.on == "tcp")?;
        ends.connections.get(&(wait.key.which, target))
    };
    let Some(own) = connection(over) else { return Ok(None) };
    let is_other_end = |wait: &Wait<'_>| {
        connection(wait).is_some_and(|other| other.port == own.own_port && other.own_port == own.port)
    };
    let waits = waits(scene).filter(|wait| wait.who == *reader && is_other_end(wait));
    let longest = waits.map(|wait| wait.longest_ns()).max().unwrap_or(0) as f64 / scene.span_ns();
    Ok((longest >= MOST).then_some(100.0 * longest.min(1.0)))
}

/// What the reader did most of its time, if that is why it is slow: `ran 91.0%`.
fn did(scene: &Scene<'_>, reader: &Who) -> Option<String> {
    let group = scene.groups.get(reader)?;
    let part = |sort: Sort| group.of_all(|own, _| own == sort).ns as f64 / group.lived_ns.max(1) as f64;
    let states = [(Sort::Stopped, "was stopped"), (Sort::ForCpu, "waited for a CPU"), (Sort::OnCpu, "ran")];
    let most = states.into_iter().map(|(sort, words)| (part(sort), words)).max_by(|a, b| a.0.total_cmp(&b.0));
    most.filter(|(part, _)| *part >= MOST).map(|(part, words)| format!("{words} {}", units::percent(100.0 * part)))
}

/// Whether a wait can have been for room in that.
fn is_of(wait: &Wait<'_>, what: &str) -> bool {
    match &*wait.key.on {
        "pipe" => what == "pipe",
        "tcp" => what == "TCP connection",
        "unix" => matches!(what, "Unix socket" | "socket"),
        "udp" | "socket" => what == "socket",
        "device" => what == "terminal",
        "semaphore" => what == "message queue",
        _ => false,
    }
}
