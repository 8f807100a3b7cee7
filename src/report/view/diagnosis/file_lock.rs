//! `file-lock`: a process waited for a lock on a file (flock, fcntl). Precondition: the ledger's cause `file lock`. Who
//! holds it is known by the readings of the kernel's table of locks (kind `process_stat`).

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::State;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::scene::others;
use crate::report::view::diagnosis::stopped::stopped_percent;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "file-lock", resource: "file lock", view: "offcpu", outdoes: &[], find };

/// A process that held it at this part of the readings is the one that was waited for; workers take turns.
const MOST_HELD: f64 = 0.8;
/// Readings that say something.
const LEAST_READINGS: u64 = 2;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let victims = scene.victims(|_: Sort, state: &State| &*state.cause == "file lock");
    let Some(victim) = victims.first() else {
        return Ok(Vec::new());
    };
    let mut text = format!("{}, {} each", victim.sentence(scene, "a lock on a file"), victim.mean());
    let holder = holder(scene)?;
    if let Some(holder) = &holder {
        text.push_str(&format!(". {} held it", scene.call(holder)));
        if let Some(percent) = stopped_percent(scene, holder) {
            text.push_str(&format!(", and was stopped {} of its time", units::percent(percent)));
        }
    }
    text.push_str(&others(scene, victims.iter().skip(1)));
    let finding = victim.finding(scene, format!("{text}."));
    Ok(vec![Finding { culprit: holder.map(|holder| scene.owner(&holder)), ..finding }])
}

/// The process that held the lock with the most waiters at nearly all readings.
fn holder(scene: &Scene<'_>) -> Result<Option<Who>> {
    let counters = Counters::of(scene.source, "process_stat")?;
    let mut by: BTreeMap<Who, (u64, u64)> = BTreeMap::new();
    for own in counters.of_processes("file_lock.waiting") {
        if let Some(who) = own.which.and_then(|which| scene.known(which)) {
            let (waiting, readings) = by.entry(who).or_default();
            *waiting = waiting.saturating_add(own.value);
            *readings += 1;
        }
    }
    let all = by.values().fold(0u64, |sum, (waiting, _)| sum.saturating_add(*waiting));
    let most = by.into_iter().max_by_key(|(_, (waiting, _))| *waiting);
    let is_one =
        |(waiting, readings): (u64, u64)| waiting as f64 >= MOST_HELD * all as f64 && readings >= LEAST_READINGS;
    Ok(most.filter(|(_, own)| is_one(*own)).map(|(who, _)| who))
}
