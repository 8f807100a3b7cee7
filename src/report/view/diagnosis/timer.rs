//! `timer`: a process slept by the clock while a request was open that it had received. Precondition: kind `wait`, and sleeps of a second at
//! most: a server that answers a long poll sleeps longer.

use anyhow::Result;

use crate::report::read::waits::verdict::Verdict;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::wait::Wait;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "timer", resource: "sleep", view: "offcpu", outdoes: &[], find };

const LONGEST_NS: u64 = 1_000_000_000;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let waits = waits(scene).filter(|wait| wait.verdict == Verdict::Request && &*wait.key.on == "timer");
    let short = waits.filter(|wait| wait.target.ns / wait.target.count.max(1) <= LONGEST_NS);
    Ok(short.filter_map(|wait| finding(scene, &wait)).collect())
}

fn finding(scene: &Scene<'_>, wait: &Wait<'_>) -> Option<Finding> {
    let (spent, ns) = (wait.spent(), wait.target.request_ns.unwrap_or(0));
    let (weight, percent) = wait.weight(scene, ns)?;
    let text = format!(
        "{} slept on timers within requests {} of the time it was not idle: {} in {} sleeps, {} each.",
        scene.call(&wait.who),
        units::percent(percent),
        units::duration(whole(ns)),
        units::count(spent.count),
        units::duration(whole(spent.ns / spent.count.max(1))),
    );
    let victim = scene.owner(&wait.who);
    let alike = Some(scene.alike(&wait.who, "timers"));
    Some(Finding { weight, text, victim, ns, percent, count: spent.count, alike, ..Finding::default() })
}
