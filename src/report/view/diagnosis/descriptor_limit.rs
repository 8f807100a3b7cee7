//! `descriptor-limit`: a process has as many open files as it may have, or the machine has. Precondition: calls that failed with EMFILE
//! or ENFILE (metric `syscall.errors`); where system calls were not recorded, a process at its limit for which connections wait (kind
//! `process_stat`): accept fails as long as it stays there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::read::counters::OfProcess;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::calls;
use crate::units;

pub(super) static RULE: Rule = Rule {
    name: "descriptor-limit",
    resource: "open files",
    view: "syscalls",
    outdoes: &["retry-loop", "herd", "cpu-use"],
    find,
};

/// A single one may be a probe of the limit.
const LEAST: u64 = 2;
/// In what is called `connections`.
const ACCEPTS: [&str; 2] = ["accept", "accept4"];

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut failing: BTreeSet<Who> = BTreeSet::new();
    for (who, of_process) in scene.calls()? {
        let Some(failures) =
            calls::failures(scene.span_ns(), of_process, |_, errno| matches!(errno, "EMFILE" | "ENFILE"))
        else {
            continue;
        };
        if failures.count < LEAST {
            continue;
        }
        let has = |errno: &str| of_process.values().any(|calls| calls.failed.contains_key(errno));
        let whose = if has("EMFILE") {
            "it has as many open files as it may have (RLIMIT_NOFILE)"
        } else {
            "the machine has as many open files as it may have (fs.file-max)"
        };
        let refuses = ACCEPTS.iter().any(|name| {
            of_process
                .get(*name)
                .is_some_and(|calls| calls.failed.keys().any(|errno| matches!(&**errno, "EMFILE" | "ENFILE")))
        });
        let waiting = if refuses { ". Connections that it can't accept wait" } else { "" };
        let text = format!("{} ran out of descriptors: {whose}. {}{waiting}.", scene.call(who), failures.words);
        findings.push(Finding {
            weight: failures.affected * failures.part,
            text,
            victim: scene.owner(who),
            percent: 100.0 * failures.part,
            count: failures.count,
            alike: Some(scene.alike(who, whose)),
            ..Finding::default()
        });
        failing.insert(who.clone());
    }
    findings.extend(by_queue(scene)?.into_iter().filter(|(who, _)| !failing.contains(who)).map(|(_, finding)| finding));
    Ok(findings)
}

/// What was seen of a process at its limit.
#[derive(Default)]
struct Full<'c> {
    limit: u64,
    in_ns: u64,
    longest: Option<&'c OfProcess>,
}

/// Processes at their limit for which connections wait.
fn by_queue(scene: &Scene<'_>) -> Result<Vec<(Who, Finding)>> {
    let counters = Counters::of(scene.source, "process_stat")?;
    let mut by: BTreeMap<Who, Full<'_>> = BTreeMap::new();
    let who = |own: &OfProcess| scene.known(own.which?).filter(|who| scene.groups.contains_key(who));
    for own in counters.of_processes("files.connections_waiting") {
        let Some(full) = who(own).map(|who| by.entry(who).or_default()) else { continue };
        full.in_ns = full.in_ns.saturating_add(own.in_ns);
        if full.longest.is_none_or(|longest| longest.value < own.value) {
            full.longest = Some(own);
        }
    }
    for own in counters.of_processes("files.limit") {
        if let Some(full) = who(own).and_then(|who| by.get_mut(&who)) {
            full.limit = own.value;
        }
    }
    let found = by.into_iter().filter_map(|(who, full)| {
        let longest = full.longest?;
        let most = if full.limit > 0 { format!(", {}", units::count(full.limit)) } else { String::new() };
        let port = longest.port.map(|port| format!(" on port {port}")).unwrap_or_default();
        let (connections, wait) = if longest.value == 1 { ("connection", "waits") } else { ("connections", "wait") };
        let text = format!(
            "{} ran out of descriptors: it has as many open files as it may have{most} (RLIMIT_NOFILE), so accept fails with EMFILE. {} \
             {connections}{port} {wait} for it.",
            scene.call(&who),
            units::count(longest.value),
        );
        let weight = (full.in_ns as f64 / scene.span_ns()).min(1.0);
        let victim = scene.owner(&who);
        // No call was recorded.
        let view = Some("threads");
        Some((who, Finding { weight, text, victim, count: longest.value, view, ..Finding::default() }))
    });
    Ok(found.collect())
}
