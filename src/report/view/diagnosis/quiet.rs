//! What is said of a machine on which no rule found a cause, and of what a filter leaves out.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::sum;
use crate::report::read::ledger::Sort;
use crate::report::read::metrics;
use crate::report::read::waits::verdict::Verdict;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::busy_percent;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::scene::Role;
use crate::report::view::diagnosis::sleeps;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

/// Active threads whose waits are unexplained for this part of their time may have waited for something.
const MOST_UNEXPLAINED: f64 = 0.05;

/// From so many processes at a time on that wait for a CPU or a device, and from this part of their busy time on, the processes of one
/// command lose together what matters.
const MOST_TOGETHER: f64 = 0.5;
const MOST_OF_BUSY: f64 = 0.5;

/// A program with a scheduler of its own that wakes up less often a second has hardly any tasks at work.
const LEAST_WOKEN: f64 = 1.0;

/// Such programs that are named.
const NAMED: usize = 2;

/// Below this part of the use, what is outside of a filter does not matter.
const LEAST_OUTSIDE: f64 = 0.1;

/// What each probe looks at.
const LOOKS_AT: [(&str, &str); 8] = [
    ("sched", "CPUs"),
    ("block", "disks"),
    ("memory", "memory"),
    ("offcpu", "locks"),
    ("tcp", "connects"),
    ("http", "requests"),
    ("dns", "DNS"),
    ("process", "process starts"),
];

/// The word in front, and a sentence: that the machine was quiet, if all waits are explained; else that nothing stands out.
///
/// # Errors
/// The file is damaged.
pub(in crate::report::view) fn quiet(scene: &Scene<'_>) -> Result<(&'static str, String)> {
    let ran = |name: &str| scene.source.meta().probes.iter().any(|probe| probe.name == name && probe.state.has_run());
    let looked: Vec<&str> = LOOKS_AT.iter().filter(|(probe, _)| ran(probe)).map(|(_, what)| *what).collect();
    let mut looked = looked.join(", ");
    if let Some(percent) = busy_percent(scene.cpus.values()) {
        looked = looked.replacen("CPUs", &format!("CPUs ({} busy)", units::percent(percent)), 1);
    }
    let mut doubts = Vec::new();
    let unexplained = unexplained(scene);
    if unexplained >= MOST_UNEXPLAINED {
        doubts.push(format!(
            "{} of the time of active threads went into waits for other threads or processes, which may have worked or idled",
            units::percent(100.0 * unexplained)
        ));
    }
    doubts.extend(together(scene));
    doubts.extend(unseen(scene)?);
    Ok(match doubts.as_slice() {
        [] => ("quiet", format!("no process lost time that matters; looked at {looked}")),
        doubts => ("unclear", format!("nothing stands out, but {}; looked at {looked}", doubts.join(", and "))),
    })
}

/// What the processes of a command lost together, each of them little: `24 processes of server waited for CPUs and devices 7.22 s in all`.
fn together(scene: &Scene<'_>) -> Option<String> {
    let mut by: BTreeMap<&Rc<str>, (usize, u64, u64)> = BTreeMap::new();
    let people = scene.groups.iter().filter(|(_, group)| !group.processes.iter().all(|which| scene.is_kernel(*which)));
    for (who, group) in people {
        let (processes, lost_ns, busy_ns) = by.entry(&who.name).or_default();
        let lost = group.of_all(|sort, state| Role::of(sort, state) == Role::Lost);
        let ran = group.of_all(|sort, _| sort == Sort::OnCpu);
        *processes += group.processes.len();
        *lost_ns = lost_ns.saturating_add(lost.ns);
        *busy_ns = busy_ns.saturating_add(lost.ns).saturating_add(ran.ns);
    }
    let (name, (processes, lost_ns, _)) = by
        .into_iter()
        .filter(|(_, (processes, lost, busy))| {
            *processes > 1
                && *lost as f64 >= MOST_TOGETHER * scene.span_ns()
                && *lost as f64 >= MOST_OF_BUSY * *busy as f64
        })
        .max_by_key(|(_, (_, lost_ns, _))| *lost_ns)?;
    let (processes, lost) = (units::count(processes as u64), units::duration(whole(lost_ns)));
    Some(format!("{processes} processes of {name} waited for CPUs and devices {lost} in all, each of them little"))
}

/// Who runs tasks of a scheduler of its own, which wait for one another without a thread that waits: `what goroutines of server (12)
/// waited for from one another, such as locks and channels, can't be seen`.
fn unseen(scene: &Scene<'_>) -> Result<Option<String>> {
    let mut found: Vec<(u64, &str, Who)> = Vec::new();
    for (who, places) in sleeps::of(scene, Class::Tasks, &[Class::Tasks])? {
        let count = places.values().fold(0u64, |sum, spent| sum.saturating_add(spent.count));
        if let Some(place) = places.keys().next().filter(|_| count as f64 >= LEAST_WOKEN * scene.span_ns() / 1e9) {
            found.push((count, place.words, who));
        }
    }
    found.sort_by_key(|(count, _, who)| (std::cmp::Reverse(*count), who.clone()));
    let names: Vec<String> =
        found.iter().take(NAMED).map(|(_, words, who)| format!("{words} of {}", scene.call(who))).collect();
    let more = match found.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {} more", units::count(more as u64)),
    };
    Ok((!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("what {names}{more} waited for from one another, such as locks and channels, can't be seen from outside the program")
    }))
}

/// The part of the active threads' time of which nothing says whether it was lost.
fn unexplained(scene: &Scene<'_>) -> f64 {
    if scene.has("wait") {
        return undecided(scene);
    }
    let people = scene.groups.values().filter(|group| !group.processes.iter().all(|which| scene.is_kernel(*which)));
    let (mut undecided, mut lived) = (0u64, 0u64);
    for group in people {
        undecided = undecided.saturating_add(group.of(|sort, state| Role::of(sort, state) == Role::Undecided).ns);
        lived = lived.saturating_add(group.roots.lived_ns);
    }
    undecided as f64 / lived.max(1) as f64
}

/// The same where the recording has evidence of what was waited for: of the processes with active threads, what it does not decide.
fn undecided(scene: &Scene<'_>) -> f64 {
    let active = || scene.groups.iter().filter(|(_, group)| group.roots.threads > 0);
    let lived = active().fold(0u64, |sum, (_, group)| sum.saturating_add(group.lived_ns));
    let waits = waits(scene).filter(|wait| wait.verdict == Verdict::Undecided && wait.group.roots.threads > 0);
    let undecided = waits.fold(0u64, |sum, wait| sum.saturating_add(wait.target.ns));
    undecided as f64 / lived.max(1) as f64
}

/// What happened outside of the filters: `other processes had 93.0% of the CPU time in use and 80.0% of the disks' time`.
pub(in crate::report::view) fn outside(scene: &Scene<'_>) -> Result<Option<String>> {
    let total = |metric: &'static str| -> Result<(u64, u64)> {
        let (own, all) = (
            Tally::totals_of(scene.source, &[], |name| name == metric)?,
            Tally::of_all_processes(scene.source, &[], |name| name == metric)?,
        );
        Ok((sum(&own.total(metric)?), sum(&all.total(metric)?)))
    };
    let (own_cpu, mut all_cpu) = total(metrics::ON_CPU)?;
    // Where only some processes were recorded, the CPUs' own ledger still has all of the time.
    let busy = scene.cpus.values().fold(0u64, |sum, cpu| sum.saturating_add(cpu.in_state("busy")));
    all_cpu = all_cpu.max(busy);
    let (own_disk, all_disk) = total(metrics::BLOCK_DEVICE)?;
    let part = |own: u64, all: u64| all.saturating_sub(own) as f64 / all.max(1) as f64;
    let mut words = Vec::new();
    for (own, all, what) in [(own_cpu, all_cpu, "the CPU time in use"), (own_disk, all_disk, "the disks' time")] {
        let outside = part(own, all);
        if all > 0 && outside >= LEAST_OUTSIDE {
            words.push(format!("{} of {what}", units::percent(100.0 * outside)));
        }
    }
    Ok((!words.is_empty()).then(|| format!("other processes had {}", words.join(" and "))))
}
