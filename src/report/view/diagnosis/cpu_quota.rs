//! `cpu-quota`: a cgroup used up the CPU time that it may have, and its processes were kept from running. Precondition: the kernel
//! counted periods in which it was throttled (kind `cgroup_stat`), and the ledger has time over a quota for one of its processes.
//!
//! The share comes from the ledger: the kernel's own counter adds up CPUs, not threads, and is a witness only.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::read::ledger::Sort;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::scene::Victim;
use crate::report::view::diagnosis::scene::others;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "cpu-quota", resource: "CPU quota", view: "threads", outdoes: &["cpu-queue"], find };

const THROTTLED: &str = "cpu.nr_throttled";

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let victims = scene.victims(|sort, _| sort == Sort::Throttled);
    if victims.is_empty() {
        return Ok(Vec::new());
    }
    let counters = Counters::of(scene.source, "cgroup_stat")?;
    let mut by_cgroup: BTreeMap<&str, Vec<&Victim<'_>>> = BTreeMap::new();
    for victim in &victims {
        if let Some(cgroup) = cgroup_of(&counters, victim) {
            by_cgroup.entry(cgroup).or_default().push(victim);
        }
    }
    let finding = |(cgroup, victims): (&str, Vec<&Victim<'_>>)| {
        let first = victims.first()?;
        let others = others(scene, victims.iter().skip(1).copied());
        Some(first.finding(scene, format!("{}. {}{others}.", kept_off(scene, first), quota(&counters, cgroup))))
    };
    Ok(by_cgroup.into_iter().filter_map(finding).collect())
}

/// The innermost throttled cgroup that a process was seen in; the only one that was throttled where its processes had ended by then.
fn cgroup_of<'c>(counters: &'c Counters, victim: &Victim<'_>) -> Option<&'c str> {
    let has = |cgroup: &str| {
        let mut members = counters.processes(cgroup, "cgroup.process").filter_map(|own| own.which);
        members.any(|member| victim.group.processes.iter().any(|own| own.pid == member.pid))
    };
    let throttled: Vec<&str> = counters.places(THROTTLED).map(|(cgroup, _)| cgroup).collect();
    let own = throttled.iter().copied().filter(|cgroup| has(cgroup)).max_by_key(|cgroup| cgroup.len());
    own.or(throttled.first().copied().filter(|_| throttled.len() == 1))
}

/// `rustc (4200) was over its CPU quota 79.8% of the time it was not idle: 2.39 s`.
fn kept_off(scene: &Scene<'_>, victim: &Victim<'_>) -> String {
    let time = units::duration(whole(victim.spent.ns));
    let percent = units::percent(victim.percent);
    format!("{} was over its CPU quota {percent} of the time it was not idle: {time}", scene.call(victim.who))
}

/// `Its cgroup /batch may use 20.0 ms of each 100 ms, and was throttled in 31 of 31 periods`.
fn quota(counters: &Counters, cgroup: &str) -> String {
    let (throttled, periods) = (counters.get(cgroup, THROTTLED).grew, counters.get(cgroup, "cpu.nr_periods").grew);
    let (quota, period) = (counters.get(cgroup, "cpu.quota").most, counters.get(cgroup, "cpu.period").most);
    let allowed = if period > 0 {
        format!("may use {} of each {}, and ", units::duration(whole(quota)), units::duration(whole(period)))
    } else {
        String::new()
    };
    let (throttled, periods) = (units::count(throttled), units::count(periods.max(throttled)));
    format!("Its cgroup {cgroup} {allowed}was throttled in {throttled} of {periods} periods")
}
