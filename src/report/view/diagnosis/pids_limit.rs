//! `pids-limit`: the kernel refused to start threads or processes since a cgroup has as many as it may have. Precondition:
//! `pids.events` of the cgroup counted refusals (kind `cgroup_stat`).

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "pids-limit", resource: "process limit", view: "exec", outdoes: &["fork-storm", "child"], find };

/// The kernel's counter of refusals.
const REFUSED: &str = "pids.events.max";
/// A single one may be a probe of the limit.
const LEAST: u64 = 2;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let counters = Counters::of(scene.source, "cgroup_stat")?;
    let hit: Vec<_> = counters.places(REFUSED).filter(|(_, sums)| sums.grew >= LEAST).collect();
    // Cgroups above count the refusals of those below them too.
    let is_innermost = |cgroup: &str| {
        let inside = format!("{cgroup}/");
        !hit.iter().any(|(other, _)| other.starts_with(&inside))
    };
    let mut found = Vec::new();
    for (cgroup, refused) in hit.iter().filter(|(cgroup, _)| is_innermost(cgroup)) {
        // The oldest of its processes starts the others.
        let members = counters.processes(cgroup, "cgroup.process").filter_map(|own| scene.known_by_id(own.which?.pid));
        let who = members.min_by_key(|who| (who.which.is_none(), who.which.and_then(|which| which.start_ns)));
        let limit = counters.get(cgroup, "pids.limit").most;
        let most = if limit > 0 { format!(" of {}", units::count(limit)) } else { String::new() };
        let whom = who.as_ref().map_or_else(|| "the processes".to_owned(), |who| scene.call(who));
        let text = format!(
            "the kernel refused {whom} {} new threads or processes: the cgroup {cgroup} is at its limit{most} (pids.max).",
            units::count(refused.grew)
        );
        let weight = (refused.in_ns as f64 / scene.span_ns()).min(1.0);
        let victim = who.as_ref().map(|who| scene.owner(who)).unwrap_or_default();
        found.push(Finding { weight, text, victim, count: refused.grew, ..Finding::default() });
    }
    Ok(found)
}
