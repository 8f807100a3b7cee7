//! Memory that ran out, or that threads had to free themselves.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::count;
use crate::report::read::aggregate::sum;
use crate::report::read::ledger::Spent;
use crate::report::read::metrics;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Scene;
use crate::units;

/// Processes that were killed because memory ran out: nothing weighs more than to be killed.
pub(super) fn kills(scene: &Scene<'_>) -> Result<Option<Finding>> {
    let mut kills = 0u64;
    let mut first: Option<(String, Option<i64>, Option<u64>)> = None;
    let mut rows = scene.source.rows("oom");
    let anon_rss = rows.int("memory_anon_rss_bytes");
    rows.each(|row| {
        kills += 1;
        let size = row.int(anon_rss).and_then(|bytes| u64::try_from(bytes).ok());
        first.get_or_insert_with(|| (row.comm().unwrap_or("?").to_owned(), row.pid(), size));
    })?;
    Ok(first.map(|(victim, pid, size)| {
        let who = pid.map_or_else(|| victim.clone(), |pid| format!("{victim} ({pid})"));
        let size = size.map(|bytes| format!(" when it had {}", units::bytes(bytes))).unwrap_or_default();
        let more = if kills > 1 { format!(" {} were killed in all.", units::count(kills)) } else { String::new() };
        let text = format!("the kernel killed {who}{size} because memory ran out.{more}");
        Finding { weight: 1.0, resource: "memory", text, victim, victim_pid: pid, count: kills, ..Finding::default() }
    }))
}

/// The process that lost most to freeing memory or to moving it together.
pub(super) fn stalls(scene: &Scene<'_>) -> Result<Option<Finding>> {
    let kinds = [metrics::RECLAIM, metrics::COMPACTION];
    let tally = Tally::of(scene.source, &["pid", "comm"], |name| kinds.contains(&name))?;
    let mut by: BTreeMap<String, Spent> = BTreeMap::new();
    for metric in kinds {
        tally.groups(metric, |dims, stalls| {
            let [process, comm] = dims else { return };
            let name = scene.name(process, comm);
            let own = by.entry(name).or_default();
            *own = Spent { ns: own.ns.saturating_add(sum(stalls)), count: own.count.saturating_add(count(stalls)) };
        })?;
    }
    let mut found: Option<Finding> = None;
    for (name, spent) in by {
        let command = scene.commands.get(name.as_str());
        let busy_ns = command.map_or(spent.ns, |command| command.busy_ns());
        let Some(weight) = scene.weight(spent.ns, busy_ns) else { continue };
        if found.as_ref().is_some_and(|found| found.weight >= weight) {
            continue;
        }
        let percent = 100.0 * spent.ns as f64 / busy_ns.max(1) as f64;
        let text = format!(
            "{} freed memory itself, or moved it together, {} of the time it was not idle: {} in {} stalls.",
            scene.call(&name),
            units::percent(percent),
            units::duration(whole(spent.ns)),
            units::count(spent.count),
        );
        found = Some(Finding {
            weight,
            resource: "memory",
            text,
            victim_pid: command.and_then(|command| command.only()),
            victim: name,
            ns: spent.ns,
            percent,
            count: spent.count,
            ..Finding::default()
        });
    }
    Ok(found)
}
