//! `disk-full`: a process can't write since a file system is full, or since its user's quota is. Precondition: calls on files that failed
//! with ENOSPC or EDQUOT (metric `syscall.errors`); where system calls were not recorded, calls of which nearly all wrote nothing, of a
//! process with a file open for writing on a file system without room (kind `process_stat`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::calls;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "disk-full", resource: "full disk", view: "syscalls", outdoes: &["retry-loop", "cpu-use"], find };

/// A single one may be a program that asks whether there is room.
const LEAST: u64 = 2;
/// Calls that report other limits with the same errors: watches, keys, memory of the kernel.
const NO_FILES: [&str; 6] = ["inotify_add_watch", "epoll_ctl", "add_key", "bpf", "perf_event_open", "fanotify_mark"];

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut failing: BTreeSet<Who> = BTreeSet::new();
    for (who, of_process) in scene.calls()? {
        let wanted = |name: &str, errno: &str| matches!(errno, "ENOSPC" | "EDQUOT") && !NO_FILES.contains(&name);
        let Some(failures) =
            calls::failures(scene.span_ns(), of_process, wanted).filter(|failures| failures.count >= LEAST)
        else {
            continue;
        };
        let full = if failures.words.contains("ENOSPC") {
            "a file system is full ('df' and 'df -i' show which)"
        } else {
            "a quota is used up ('quota' shows which)"
        };
        findings.push(Finding {
            weight: failures.affected * failures.part,
            text: format!("{} can't write: {full}. {}.", scene.call(who), failures.words),
            victim: scene.owner(who),
            percent: 100.0 * failures.part,
            count: failures.count,
            alike: Some(scene.alike(who, full)),
            ..Finding::default()
        });
        failing.insert(who.clone());
    }
    findings.extend(in_vain(scene)?.into_iter().filter(|(who, _)| !failing.contains(who)).map(|(_, finding)| finding));
    Ok(findings)
}

/// Processes whose calls wrote nothing while they had a file open for writing on a full file system.
fn in_vain(scene: &Scene<'_>) -> Result<Vec<(Who, Finding)>> {
    let counters = Counters::of(scene.source, "process_stat")?;
    let mut by: BTreeMap<Who, (u64, u64, Rc<str>)> = BTreeMap::new();
    for own in counters.of_processes("writes.failed") {
        let who = own.which.and_then(|which| scene.known(which)).filter(|who| scene.groups.contains_key(who));
        let Some(who) = who else { continue };
        let (calls, in_ns, _) = by.entry(who).or_insert_with(|| (0, 0, Rc::clone(&own.place)));
        *calls = calls.saturating_add(own.grew);
        *in_ns = in_ns.saturating_add(own.in_ns);
    }
    let found = by.into_iter().filter(|(_, (calls, _, _))| *calls >= LEAST).map(|(who, (calls, in_ns, place))| {
        let text = format!(
            "{} can't write: {} calls wrote nothing, and the file system at {place}, where it has a file open for writing, has no room \
             (ENOSPC).",
            scene.call(&who),
            units::count(calls),
        );
        let weight = (in_ns as f64 / scene.span_ns()).min(1.0);
        let victim = scene.owner(&who);
        // No call was recorded.
        let view = Some("threads");
        (who, Finding { weight, text, victim, count: calls, view, ..Finding::default() })
    });
    Ok(found.collect())
}
