//! `stopped`: a process was stopped by a signal or a tracer. Precondition: it also went on within the window; one that is stopped
//! throughout is a job in the background, unless somebody waits for it.
//!
//! A tracer is woken by each stop, so it waits for a child as often.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "stopped", resource: "stopped", view: "threads", outdoes: &[], find };

/// A process that is stopped for this part of its time, in hundredths, answers nothing meanwhile.
const LEAST_STOPPED: f64 = 5.0;
/// Stops that a person's job control does not reach in a window.
const LEAST_TRACED: u64 = 50;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (who, group) in &scene.groups {
        let stopped = group.of_all(|sort, _| sort == Sort::Stopped);
        let went_on = group.of_all(|sort, _| sort != Sort::Stopped).ns > 0;
        let affected = stopped.ns as f64 / (group.lived_ns.max(1)) as f64;
        let Some(weight) = scene.weight(stopped.ns, group.lived_ns).filter(|_| went_on) else { continue };
        let tracer = tracer(scene, who, stopped.count);
        let by = match &tracer {
            Some(tracer) => format!("by {}, which traces it,", scene.call(tracer)),
            None => "by a signal or a tracer,".to_owned(),
        };
        let text = format!(
            "{} was stopped {by} {} of the window: {} in {} stops.",
            scene.call(who),
            units::percent(100.0 * affected),
            units::duration(whole(stopped.ns)),
            units::count(stopped.count.max(1)),
        );
        findings.push(Finding {
            weight,
            text,
            victim: scene.owner(who),
            ns: stopped.ns,
            percent: 100.0 * affected,
            count: stopped.count,
            alike: Some(scene.alike(who, tracer.as_ref().map_or("a signal", |tracer| &tracer.name))),
            culprit: tracer.map(|tracer| scene.owner(&tracer)),
            ..Finding::default()
        });
    }
    Ok(findings)
}

/// The process that waits for a child about as often as the stopped one stops. A shell hears of its job's stops too, but those are few.
fn tracer(scene: &Scene<'_>, stopped: &Who, stops: u64) -> Option<Who> {
    let pid = stopped.which.as_ref()?.pid;
    let mut by: BTreeMap<Who, u64> = BTreeMap::new();
    for wait in waits(scene).filter(|wait| &*wait.key.on == "child" && wait.key.which.pid != pid) {
        let woken = wait.target.wakers.iter().filter(|(waker, _)| waker.pid == pid);
        *by.entry(wait.who.clone()).or_default() += woken.map(|(_, party)| party.count).sum::<u64>();
    }
    let (who, woken) = by.into_iter().max_by_key(|(_, woken)| *woken)?;
    (woken >= LEAST_TRACED && woken >= stops / 2).then_some(who)
}

/// How much of its time a process was stopped, in hundredths, if that matters.
pub(super) fn stopped_percent(scene: &Scene<'_>, who: &Who) -> Option<f64> {
    let group = scene.groups.get(who)?;
    let stopped = group.of_all(|sort, _| sort == Sort::Stopped);
    Some(100.0 * stopped.ns as f64 / group.lived_ns.max(1) as f64).filter(|percent| *percent >= LEAST_STOPPED)
}
