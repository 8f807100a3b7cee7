//! `work`: threads waited for another thread of their process, which worked meanwhile: at a barrier, for a full queue, for a collector.
//! Precondition: kind `wait`, several threads that waited for the same and have something to do themselves, and a waker that was active.

use anyhow::Result;

use crate::report::read::waits::verdict::Verdict;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::wait::Wait;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "work", resource: "other thread", view: "chains", outdoes: &[], find };

/// A thread that waits alone waits for its workers, as a program's main thread does.
const LEAST_THREADS: usize = 2;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let waits = waits(scene).filter(|wait| wait.verdict == Verdict::Work);
    let inside =
        waits.filter(|wait| wait.target.main_waker().is_some_and(|(waker, _)| waker.pid == wait.key.which.pid));
    let worked = inside.filter(Wait::has_worked);
    Ok(worked.filter_map(|wait| finding(scene, &wait)).collect())
}

fn finding(scene: &Scene<'_>, wait: &Wait<'_>) -> Option<Finding> {
    let engaged = wait.engaged(scene);
    let spent = engaged.spent;
    let (weight, percent) = engaged.weight(scene, wait).filter(|_| engaged.threads >= LEAST_THREADS)?;
    let mut text = format!(
        "{} threads of {} waited for another thread, which worked meanwhile, {} of the time they were not idle: {} in {} waits, {} each",
        engaged.threads,
        scene.call(&wait.who),
        units::percent(percent),
        units::duration(whole(spent.ns)),
        units::count(spent.count),
        units::duration(whole(spent.ns / spent.count.max(1))),
    );
    if let Some((waker, party)) = wait.target.main_waker() {
        let part = 100.0 * party.ns as f64 / wait.target.ns.max(1) as f64;
        text.push_str(&format!(". Thread {} ended {} of that", waker.tid, units::percent(part)));
    }
    let victim = scene.owner(&wait.who);
    let (ns, count) = (spent.ns, spent.count);
    let alike = Some(scene.alike(&wait.who, "another thread"));
    Some(Finding { weight, text: format!("{text}."), victim, ns, percent, count, alike, ..Finding::default() })
}
