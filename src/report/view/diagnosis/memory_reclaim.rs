//! `memory-reclaim`: threads that had to free memory themselves, or to move it together, before they could go on; or that read again and
//! again what the kernel had to drop for them. Precondition: stalls of the probe `memory`; for the second also pages that were read back
//! soon after they were dropped (`vmstat.workingset_refault_*` of kind `machine_stat`), as many as the process had freed. Or a wait for memory
//! that the window is a part of (kind `wait`), in a cgroup whose OOM killer is turned off.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::counters::Counters;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::read::ledger::State;
use crate::report::read::metrics;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Group;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::functions::Functions;
use crate::report::view::diagnosis::scene::LEAST_AFFECTED;
use crate::report::view::diagnosis::scene::LEAST_OF_BUSY;
use crate::report::view::diagnosis::wait::Wait;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "memory-reclaim", resource: "memory", view: "memory", outdoes: &["paging"], find };

/// Stalls a second below which a process does not lack memory all the time.
const LEAST_RATE: f64 = 20.0;
/// The part of the pages that a process had freed which were read again: the rest was not needed any more.
const LEAST_AGAIN: f64 = 0.25;
/// The smallest page. Where pages are larger, fewer of them were freed, and more than this part of them read again.
const PAGE: u64 = 4096;

/// Where a thread waits whose cgroup is at its limit and may kill nobody: mm/memcontrol-v1.c.
const WAITS_FOR_MEMORY: &str = "mem_cgroup_oom_synchronize";
/// The part of the window that this wait is at least.
const LEAST_WAITED: f64 = 0.9;

/// What a process did to get memory.
#[derive(Default)]
struct Reclaimed {
    stalls: Spent,
    /// Those at the limit of its cgroup.
    at_limit: u64,
    freed_pages: u64,
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let by = reclaimed(scene)?;
    let machine = Counters::of(scene.source, "machine_stat")?;
    let refaults = ["vmstat.workingset_refault_file", "vmstat.workingset_refault_anon"];
    let refaults = refaults.iter().fold(0u64, |sum, metric| sum.saturating_add(machine.get("", metric).grew));
    let all_freed = by.values().fold(0u64, |sum, own| sum.saturating_add(own.freed_pages));
    let reads_again = all_freed > 0 && refaults as f64 >= LEAST_AGAIN * all_freed as f64;
    let is_short = |own: &Reclaimed| own.stalls.count as f64 >= LEAST_RATE * scene.span_ns() / 1e9;
    let short: Vec<&Who> = by.iter().filter(|(_, own)| reads_again && is_short(own)).map(|(who, _)| who).collect();
    let functions = Functions::of(scene, &short)?;
    let mut found: Vec<Finding> = Vec::new();
    for (who, own) in &by {
        let again = short.contains(&who).then(|| {
            let part = functions.get(who).map_or(0.0, Functions::refilling);
            // Of what was read again, this process had as much as it had freed of all.
            let pages = refaults as f64 * own.freed_pages as f64 / all_freed.max(1) as f64;
            again(scene, who, own, (part, pages as u64))
        });
        found.extend(again.flatten().or_else(|| stalled(scene, who, own)));
    }
    let mut found: Vec<Finding> = found.into_iter().max_by(|a, b| a.weight.total_cmp(&b.weight)).into_iter().collect();
    found.extend(waits(scene).filter_map(|wait| waiting(scene, &wait)));
    Ok(found)
}

/// A process that waits for memory throughout.
fn waiting(scene: &Scene<'_>, wait: &Wait<'_>) -> Option<Finding> {
    let is_waiting = wait.target.inside.as_deref()?.split(';').any(|function| function == WAITS_FOR_MEMORY);
    if !is_waiting || (wait.longest_ns() as f64) < LEAST_WAITED * scene.span_ns() {
        return None;
    }
    let text = format!(
        "{} has waited for memory since before the window began: its cgroup is at its limit, and the OOM killer is turned off there \
         (memory.oom_control).",
        scene.call(&wait.who),
    );
    Some(Finding {
        weight: 1.0,
        text,
        victim: scene.owner(&wait.who),
        ns: wait.target.ns,
        percent: 100.0,
        count: wait.target.count,
        alike: Some(scene.alike(&wait.who, "memory")),
        ..Finding::default()
    })
}

fn reclaimed(scene: &Scene<'_>) -> Result<BTreeMap<Who, Reclaimed>> {
    let kinds = [metrics::RECLAIM, metrics::COMPACTION, metrics::RECLAIMED];
    let tally = Tally::of(scene.source, &["pid", "comm", "cause"], |name| kinds.contains(&name))?;
    let mut by: BTreeMap<Who, Reclaimed> = BTreeMap::new();
    for metric in kinds {
        tally.groups(metric, |dims, values| {
            let [process, comm, cause] = dims else { return };
            let own = by.entry(scene.who(process, comm)).or_default();
            if metric == metrics::RECLAIMED {
                own.freed_pages = own.freed_pages.saturating_add(sum(values) / PAGE);
                return;
            }
            own.stalls.ns = own.stalls.ns.saturating_add(sum(values));
            own.stalls.count = own.stalls.count.saturating_add(count(values));
            if cause.text() == Some("cgroup limit") {
                own.at_limit = own.at_limit.saturating_add(count(values));
            }
        })?;
    }
    Ok(by)
}

/// A process that reads again what was dropped for it: it lost the time in which it filled the page cache, and waited for what it read.
fn again(scene: &Scene<'_>, who: &Who, own: &Reclaimed, (part, pages): (f64, u64)) -> Option<Finding> {
    let group = scene.groups.get(who)?;
    let filled_ns = ((part * group.ran_ns() as f64) as u64).max(own.stalls.ns);
    let is_read = |_: Sort, state: &State| matches!(&*state.cause, "file read" | "page fault");
    let read_ns = group.of(|sort, state| sort == Sort::Storage && is_read(sort, state)).ns;
    let cost_ns = filled_ns.saturating_add(read_ns);
    let affected = (cost_ns as f64 / scene.span_ns()).min(1.0);
    let of_busy = cost_ns as f64 / group.busy_ns().max(1) as f64;
    if affected < LEAST_AFFECTED || of_busy < LEAST_OF_BUSY {
        return None;
    }
    let limit = limit(scene, group, own).ok()?;
    let mut text = format!(
        "{} has too little memory for what it reads: it had to free some {} times{limit}, and {} pages that were dropped so were read again. \
         Filling the page cache took {} of its CPU time",
        scene.call(who),
        units::count(own.stalls.count),
        units::count(pages),
        units::percent(100.0 * filled_ns as f64 / group.ran_ns().max(1) as f64),
    );
    if read_ns > 0 {
        text.push_str(&format!(", and it waited {} to read", units::duration(whole(read_ns))));
    }
    let lost_ns = group.lost_ns().saturating_add(filled_ns).max(1);
    Some(Finding {
        weight: affected * (cost_ns as f64 / lost_ns as f64).min(1.0),
        text: format!("{text}."),
        victim: scene.owner(who),
        ns: cost_ns,
        percent: 100.0 * of_busy.min(1.0),
        count: own.stalls.count,
        ..Finding::default()
    })
}

/// ` at the limit of its cgroup /batch, 32.0 MiB`, or nothing where the whole machine was short.
fn limit(scene: &Scene<'_>, group: &Group, own: &Reclaimed) -> Result<String> {
    if own.at_limit < own.stalls.count / 2 {
        return Ok(String::new());
    }
    let counters = Counters::of(scene.source, "cgroup_stat")?;
    let has = |cgroup: &str| {
        let mut members = counters.processes(cgroup, "cgroup.process").filter_map(|own| own.which);
        members.any(|member| group.processes.iter().any(|own| own.pid == member.pid))
    };
    let hit = ["memory.failcnt", "memory.events.max", "memory.events.high"];
    let hit: Vec<&str> = hit.iter().flat_map(|metric| counters.places(metric)).map(|(cgroup, _)| cgroup).collect();
    let own = hit.iter().copied().filter(|cgroup| has(cgroup)).max_by_key(|cgroup| cgroup.len());
    let Some(cgroup) = own else { return Ok(" at the limit of its cgroup".to_owned()) };
    let bytes = match counters.get(cgroup, "memory.limit").most {
        0 => String::new(),
        bytes => format!(", {}", units::bytes(bytes)),
    };
    Ok(format!(" at the limit of its cgroup {cgroup}{bytes}"))
}

/// A process that stalled to free memory or to move it together.
fn stalled(scene: &Scene<'_>, who: &Who, own: &Reclaimed) -> Option<Finding> {
    let spent = own.stalls;
    let busy_ns = scene.groups.get(who).map_or(spent.ns, |group| group.busy_ns());
    let weight = scene.weight(spent.ns, busy_ns)?;
    let percent = 100.0 * spent.ns as f64 / busy_ns.max(1) as f64;
    let text = format!(
        "{} stalled to free or compact memory {} of the time it was not idle: {} in {} stalls.",
        scene.call(who),
        units::percent(percent),
        units::duration(whole(spent.ns)),
        units::count(spent.count),
    );
    let victim = scene.owner(who);
    Some(Finding { weight, text, victim, ns: spent.ns, percent, count: spent.count, ..Finding::default() })
}
