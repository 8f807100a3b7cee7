//! Waits for a CPU, and who had the CPUs meanwhile.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::sum;
use crate::report::read::ledger::Sort;
use crate::report::read::metrics;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::others;
use crate::units;

/// Most processes that are named as having had the CPUs.
const NAMED: usize = 3;

/// CPU time by command, and all that the CPUs could give, in nanoseconds.
struct Used {
    by: Vec<(String, u64)>,
    all: u64,
    capacity: f64,
}

fn use_of_cpus(scene: &Scene<'_>) -> Result<Option<Used>> {
    let tally = Tally::of_all_processes(scene.source, &["pid", "comm"], |name| name == metrics::ON_CPU)?;
    if !tally.has(metrics::ON_CPU) {
        return Ok(None);
    }
    let mut by: BTreeMap<String, u64> = BTreeMap::new();
    tally.groups(metrics::ON_CPU, |dims, time| {
        let [process, comm] = dims else { return };
        let name = scene.name(process, comm);
        let own = by.entry(name).or_default();
        *own = own.saturating_add(sum(time));
    })?;
    let all = by.values().fold(0u64, |all, ns| all.saturating_add(*ns));
    let mut by: Vec<(String, u64)> = by.into_iter().collect();
    by.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    let capacity = scene.span_ns() * f64::from(scene.source.meta().host.cpus.max(1));
    Ok(Some(Used { by, all, capacity }))
}

/// How busy the CPUs were, in hundredths: by their own ledger where there is one, which closes; else by the processes' time.
pub(super) fn used(scene: &Scene<'_>) -> Result<Option<f64>> {
    let lived = scene.cpus.iter().fold(0u64, |sum, cpu| sum.saturating_add(cpu.lived_ns));
    if lived > 0 {
        let busy = scene.cpus.iter().fold(0u64, |sum, cpu| sum.saturating_add(cpu.in_state("busy")));
        return Ok(Some(100.0 * busy as f64 / lived as f64));
    }
    Ok(use_of_cpus(scene)?.map(|used| 100.0 * used.all as f64 / used.capacity))
}

/// The process that lost most to waiting for a CPU, and those that had the CPUs.
pub(super) fn finding(scene: &Scene<'_>) -> Result<Option<Finding>> {
    let victims = scene.victims(Sort::ForCpu);
    if victims.is_empty() {
        return Ok(None);
    }
    let Some(used) = use_of_cpus(scene)? else {
        return Ok(None);
    };
    let percent = |ns: u64| 100.0 * ns as f64 / used.capacity;
    // As many as it takes to have four fifths of the time in use: the rest together could not have filled a fifth.
    let mut had = 0u64;
    let greedy: Vec<&(String, u64)> = used
        .by
        .iter()
        .take(NAMED)
        .take_while(|(_, ns)| {
            let before = had;
            had = had.saturating_add(*ns);
            before < used.all / 5 * 4
        })
        .collect();
    let is_greedy = |name: &str| greedy.iter().any(|(own, _)| own == name);
    // Those that fill the CPUs wait for one another; what matters is whom they hold up, where there is anybody.
    let held_up: Vec<_> = victims.iter().filter(|victim| !is_greedy(victim.name)).collect();
    let ordered: Vec<_> = if held_up.is_empty() { victims.iter().collect() } else { held_up };
    let Some(victim) = ordered.first() else {
        return Ok(None);
    };
    let mut text = victim.sentence(scene, "a CPU");
    if let Some(p99) = run_queue(scene, victim.name)?.percentile(0.99) {
        text.push_str(&format!(", p99 {}", units::duration(p99.round() as i64)));
    }
    let had: Vec<String> = greedy
        .iter()
        .map(|(name, ns)| {
            let count = scene.commands.get(name.as_str()).map_or(0, |command| command.processes.len());
            let several = if count > 1 { format!(" ({count} processes)") } else { String::new() };
            let name = if count > 1 { name.clone() } else { scene.call(name) };
            format!("{name}{several} had {}", units::percent(percent(*ns)))
        })
        .collect();
    let cpus = scene.source.meta().host.cpus;
    let busy = units::percent(self::used(scene)?.unwrap_or(0.0));
    let of = if cpus == 1 { "The CPU was".to_owned() } else { format!("The {cpus} CPUs were") };
    text.push_str(&format!(". {of} {busy} busy: {}", had.join(", ")));
    text.push_str(&others(scene, ordered.iter().skip(1).copied()));
    let mut finding = victim.finding("CPU", format!("{text}."));
    if let Some((name, ns)) = greedy.first() {
        finding.culprit = Some(name.clone());
        finding.culprit_pid = scene.commands.get(name.as_str()).and_then(|command| command.only());
        finding.culprit_percent = Some(100.0 * *ns as f64 / used.all.max(1) as f64);
    }
    Ok(Some(finding))
}

/// The waits of one command's threads.
fn run_queue(scene: &Scene<'_>, name: &str) -> Result<Histogram> {
    let tally = Tally::of(scene.source, &["pid", "comm"], |metric| metric == metrics::RUN_QUEUE)?;
    let mut waits = Histogram::new();
    tally.groups(metrics::RUN_QUEUE, |dims, own| {
        if let [process, comm] = dims
            && scene.name(process, comm) == name
        {
            waits.merge(own);
        }
    })?;
    Ok(waits)
}
