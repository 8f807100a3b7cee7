//! `slow-filesystem`: a process waited for a file system that another process or machine serves: FUSE, NFS and their like.
//! Precondition: functions of such file systems on the stacks of the sleeps.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::ledger::Spent;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::sleeps;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "slow-filesystem", resource: "file system", view: "files", outdoes: &["disk"], find };

/// A process that ended this part of the waits is the one that serves the file system.
const LEAST_WOKEN: f64 = 0.8;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    served(scene, Class::Filesystem)
}

/// Who waited in functions of a class for what others supply, files or pages.
pub(super) fn served(scene: &Scene<'_>, class: Class) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (who, places) in sleeps::of(scene, class, &[class])? {
        // What serves a file system waits in its functions for requests, which is not a wait for it.
        let Some(group) = scene.groups.get(&who).filter(|group| group.lost_in_files_ns() > 0) else { continue };
        let all = places.values().fold(Spent::default(), |sum, spent| Spent {
            ns: sum.ns.saturating_add(spent.ns),
            count: sum.count.saturating_add(spent.count),
        });
        let ns = all.ns.min(group.lost_in_files_ns());
        let busy_ns = group.busy_ns().max(ns);
        let Some(weight) = scene.weight(ns, busy_ns) else { continue };
        let words = places.iter().max_by_key(|(_, spent)| spent.ns).map_or("a file system", |(place, _)| place.words);
        let percent = 100.0 * ns as f64 / busy_ns.max(1) as f64;
        let mut text = format!(
            "{} waited for {words} {} of the time it was not idle: {} in {} waits, {} each",
            scene.call(&who),
            units::percent(percent),
            units::duration(whole(ns)),
            units::count(all.count),
            units::duration(whole(all.ns / all.count.max(1))),
        );
        let server = match server(scene, &who)? {
            None => by_waits(scene, &who)?,
            known => known,
        };
        if let Some(server) = &server {
            text.push_str(&format!(". {} answered", scene.call(server)));
        }
        findings.push(Finding {
            weight,
            text: format!("{text}."),
            victim: scene.owner(&who),
            ns,
            percent,
            count: all.count,
            culprit: server.map(|server| scene.owner(&server)),
            ..Finding::default()
        });
    }
    Ok(findings)
}

/// The process that ended most of the waits for files, where they were too short to be recorded one by one.
fn by_waits(scene: &Scene<'_>, wanted: &Who) -> Result<Option<Who>> {
    let own = waits(scene).filter(|wait| wait.who == *wanted && &*wait.key.on == "file");
    own.max_by_key(|wait| wait.target.ns).map_or(Ok(None), |wait| wait.peer(scene))
}

/// The process that ended most of the long waits.
fn server(scene: &Scene<'_>, wanted: &Who) -> Result<Option<Who>> {
    let (mut by, mut all): (BTreeMap<i64, u64>, u64) = (BTreeMap::new(), 0);
    let mut rows = scene.source.rows("off_cpu");
    let (state, waker) = (rows.text("state"), rows.int("waker_pid"));
    rows.each(|row| {
        let own = scene.who_of_row(row).as_ref() == Some(wanted) && row.text(state) != Some("idle");
        if let Some(waker) = row.int(waker).filter(|pid| own && *pid != 0) {
            let ns = row.dur().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
            all = all.saturating_add(ns);
            let sum = by.entry(waker).or_default();
            *sum = sum.saturating_add(ns);
        }
    })?;
    let most = by.into_iter().max_by_key(|(_, ns)| *ns);
    let most = most.filter(|(_, ns)| *ns as f64 >= LEAST_WOKEN * all as f64 && all > 0);
    Ok(most.and_then(|(pid, _)| scene.known_by_id(pid)).filter(|server| server != wanted))
}
