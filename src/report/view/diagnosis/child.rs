//! `child`: a process started others at a high rate, and what that cost. Precondition: fifty a second, with a third of a CPU among them.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::rows::Which;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "child", resource: "processes", view: "exec", outdoes: &[], find };

/// Starts a second below which a script or a build is at work, and no storm.
const LEAST_RATE: f64 = 50.0;
/// What less than this part of a CPU costs does not matter.
const LEAST_OF_A_CPU: f64 = 0.3;
/// Commands that are named.
const NAMED: usize = 3;

/// What a process started, itself or through others that live shortly.
#[derive(Default)]
struct Started {
    count: u64,
    ran_ns: u64,
    by_name: BTreeMap<String, u64>,
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut by: BTreeMap<Which, Started> = BTreeMap::new();
    let (begin, end) = (scene.source.begin_ns(), scene.source.end_ns());
    for (which, info) in scene.processes.iter() {
        let in_time = info.started.is_some_and(|at| (begin..end).contains(&at));
        let Some(starter) = scene.long_lived_ancestor(which).filter(|_| in_time && scene.is_short_lived(which)) else {
            continue;
        };
        let started = by.entry(starter).or_default();
        started.count += 1;
        started.ran_ns = started.ran_ns.saturating_add(info.cpu_ns.and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0));
        *started.by_name.entry(info.comm.as_deref().unwrap_or("?").to_owned()).or_default() += 1;
    }
    let span_ns = scene.span_ns();
    let seconds = span_ns / 1e9;
    let is_storm = |started: &Started| {
        started.count as f64 / seconds >= LEAST_RATE && started.ran_ns as f64 >= LEAST_OF_A_CPU * span_ns
    };
    let storms = by.into_iter().filter(|(_, started)| is_storm(started));
    Ok(storms.filter_map(|(which, started)| finding(scene, which, &started)).collect())
}

fn finding(scene: &Scene<'_>, which: Which, started: &Started) -> Option<Finding> {
    let who: Who = scene.known(which)?;
    let seconds = scene.span_ns() / 1e9;
    let mut names: Vec<(&String, &u64)> = started.by_name.iter().collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let names: Vec<String> =
        names.iter().take(NAMED).map(|(name, count)| format!("{name} ({})", units::count(**count))).collect();
    let cpus = started.ran_ns as f64 / scene.span_ns();
    let text = format!(
        "{} started {} short-lived processes, {:.0} a second: {}. They took {} of CPU time, {cpus:.1} CPUs on average.",
        scene.call(&who),
        units::count(started.count),
        started.count as f64 / seconds,
        names.join(", "),
        units::duration(whole(started.ran_ns)),
    );
    Some(Finding {
        weight: cpus.min(1.0),
        text,
        victim: scene.owner(&who),
        ns: started.ran_ns,
        percent: 100.0 * cpus / f64::from(scene.source.meta().host.cpus.max(1)),
        count: started.count,
        ..Finding::default()
    })
}
