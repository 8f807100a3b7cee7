//! `oom-kill`: processes that the kernel killed because memory ran out. Precondition: a row of kind `oom`.

use anyhow::Result;

use crate::report::read::processes::Owner;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "oom-kill", resource: "memory", view: "memory", outdoes: &["memory-reclaim"], find };

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut kills = 0u64;
    let mut first: Option<(Owner, Option<u64>)> = None;
    let mut rows = scene.source.rows("oom");
    let anon_rss = rows.int("memory_anon_rss_bytes");
    rows.each(|row| {
        kills += 1;
        let size = row.int(anon_rss).and_then(|bytes| u64::try_from(bytes).ok());
        first.get_or_insert_with(|| (scene.processes.owner_of(row), size));
    })?;
    let finding = first.map(|(victim, size)| {
        let comm = victim.comm.as_deref().unwrap_or("?");
        let who = victim.pid.map_or_else(|| comm.to_owned(), |pid| format!("{comm} ({pid})"));
        let size = size.map(|bytes| format!(" when it had {}", units::bytes(bytes))).unwrap_or_default();
        let more = if kills > 1 { format!(" {} were killed in all.", units::count(kills)) } else { String::new() };
        let text = format!("the kernel killed {who}{size} because memory ran out.{more}");
        // Nothing weighs more than to be killed.
        Finding { weight: 1.0, text, victim, count: kills, ..Finding::default() }
    });
    Ok(finding.into_iter().collect())
}
