//! `memory-reclaim`: threads that had to free memory themselves, or to move it together, before they could go on.
//! Precondition: stalls of the probe `memory`.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::ledger::Spent;
use crate::report::read::metrics;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "memory-reclaim", resource: "memory", view: "memory", outdoes: &[], find };

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let kinds = [metrics::RECLAIM, metrics::COMPACTION];
    let tally = Tally::of(scene.source, &["pid", "comm"], |name| kinds.contains(&name))?;
    let mut by: BTreeMap<Who, Spent> = BTreeMap::new();
    for metric in kinds {
        tally.groups(metric, |dims, stalls| {
            let [process, comm] = dims else { return };
            let own = by.entry(scene.who(process, comm)).or_default();
            *own = Spent { ns: own.ns.saturating_add(sum(stalls)), count: own.count.saturating_add(count(stalls)) };
        })?;
    }
    let mut found: Vec<Finding> = Vec::new();
    for (who, spent) in by {
        let busy_ns = scene.groups.get(&who).map_or(spent.ns, |group| group.busy_ns());
        let Some(weight) = scene.weight(spent.ns, busy_ns) else { continue };
        let percent = 100.0 * spent.ns as f64 / busy_ns.max(1) as f64;
        let text = format!(
            "{} stalled to free or compact memory {} of the time it was not idle: {} in {} stalls.",
            scene.call(&who),
            units::percent(percent),
            units::duration(whole(spent.ns)),
            units::count(spent.count),
        );
        let victim = scene.owner(&who);
        found.push(Finding { weight, text, victim, ns: spent.ns, percent, count: spent.count, ..Finding::default() });
    }
    Ok(found.into_iter().max_by(|a, b| a.weight.total_cmp(&b.weight)).into_iter().collect())
}
