//! `child-wait`: a service waited for programs that it starts for its requests. Precondition: kind `wait`; waits for children, or for what
//! short-lived processes write into a pipe, while a request was open that the service had received.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::wait::Wait;
use crate::report::view::diagnosis::wait::waits;
use crate::report::view::diagnosis::wait::weigh;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "child-wait", resource: "child processes", view: "chains", outdoes: &[], find };

/// Fewer in a window are no service's requests.
const LEAST_WAITS: u64 = 5;

/// What a process waited for its children within requests, in nanoseconds. Each has a pipe of its own, so it is added up.
#[derive(Default)]
struct Waited {
    ns: u64,
    count: u64,
    by_thread: BTreeMap<i64, u64>,
    /// By who ended the waits.
    by_child: BTreeMap<Who, u64>,
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut by: BTreeMap<Who, Waited> = BTreeMap::new();
    for wait in waits(scene) {
        let Some((child, ns)) = child_of(scene, &wait) else { continue };
        let sum = by.entry(wait.who.clone()).or_default();
        sum.ns = sum.ns.saturating_add(ns);
        sum.count = sum.count.saturating_add(wait.target.count);
        for (tid, party) in &wait.target.threads {
            let own = sum.by_thread.entry(*tid).or_default();
            *own = own.saturating_add(party.ns.min(ns));
        }
        let own = sum.by_child.entry(child).or_default();
        *own = own.saturating_add(ns);
    }
    Ok(by.iter().filter_map(|(who, waited)| finding(scene, who, waited)).collect())
}

/// The short-lived processes that a wait within requests was for, and for how long.
fn child_of(scene: &Scene<'_>, wait: &Wait<'_>) -> Option<(Who, u64)> {
    let ns = wait.target.request_ns.filter(|ns| *ns >= wait.target.ns / 2 && *ns > 0)?;
    if !matches!(&*wait.key.on, "child" | "pipe") {
        return None;
    }
    let (waker, _) = wait.target.main_waker()?;
    let child = scene.known_by_id(waker.pid).filter(|child| *child != wait.who && child.which.is_none())?;
    Some((child, ns))
}

fn finding(scene: &Scene<'_>, who: &Who, waited: &Waited) -> Option<Finding> {
    let group = scene.groups.get(who).filter(|_| waited.count >= LEAST_WAITS)?;
    let longest_ns = waited.by_thread.values().max().copied().unwrap_or(0);
    let (weight, percent) = weigh(scene, group, waited.ns, longest_ns as f64)?;
    let (child, _) = waited.by_child.iter().max_by_key(|(_, ns)| **ns)?;
    let mut text = format!(
        "{} waited for programs that it starts for its requests, most for {}, {} of the time it was not idle: {} in {} waits, {} each",
        scene.call(who),
        scene.call(child),
        units::percent(percent),
        units::duration(whole(waited.ns)),
        units::count(waited.count),
        units::duration(whole(waited.ns / waited.count.max(1))),
    );
    if let Some(children) = scene.groups.get(child) {
        let ran = children.of_all(|sort, _| sort == Sort::OnCpu).ns as f64;
        let part = units::percent(100.0 * ran / children.lived_ns.max(1) as f64);
        text.push_str(&format!(". {} ran for {part} of that time", child.name));
    }
    Some(Finding {
        weight,
        text: format!("{text}."),
        victim: scene.owner(who),
        ns: waited.ns,
        percent,
        count: waited.count,
        culprit: Some(scene.owner(child)),
        alike: Some(scene.alike(who, &child.name)),
        ..Finding::default()
    })
}
