//! `cpu-queue`: a process waited for a CPU, and others had it. Precondition: the CPUs where it queued were busy.
//!
//! Where a process queued, and who had the CPU when it got there at last, is known of its long waits (kind `wakeup`). Without enough of
//! them, all CPUs have to have been busy; or some were while the others idled, and the process, which waited there again and again,
//! was hardly ever moved (metric `sched.migrations`): it may not run anywhere else.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Result;

use crate::hist::Histogram;
use crate::report::read::aggregate::Tally;
use crate::report::read::aggregate::sum;
use crate::report::read::ledger::Account;
use crate::report::read::ledger::Sort;
use crate::report::read::metrics;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::busy_percent;
use crate::report::view::diagnosis::scene::Victim;
use crate::report::view::diagnosis::scene::others;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "cpu-queue", resource: "CPU", view: "threads", outdoes: &[], find };

/// Most processes that are named as having had the CPUs.
const NAMED: usize = 3;
/// Who had this part of what the first had is one of those that fill the CPUs: one in two.
const ALIKE: u64 = 2;
/// Who used less than this part of the CPU time is none of many that together had the CPUs.
const LEAST_OF_MANY: f64 = 0.01;

/// A CPU with time to spare for a tenth of the window keeps nobody waiting: what queued there queued for moments.
const BUSY_PERCENT: f64 = 90.0;
/// A CPU that idled most of the time could have run what queued elsewhere.
const SPARE_PERCENT: f64 = 50.0;

/// Long waits tell where a process queued if they are this part of all its waiting, and so many.
const LEAST_KNOWN: f64 = 0.1;
const LEAST_WAITS: u64 = 3;
/// From this part on they are its waiting, however busy the CPUs were in the rest of the window.
const MOSTLY_KNOWN: f64 = 0.5;
/// Who used less than this part of the CPU time in use kept nobody waiting.
const LEAST_USED: f64 = 0.05;
/// So many long waits, and this part of all its waiting, on a few CPUs alone are no chance.
const CONFINED_WAITS: u64 = 10;
const CONFINED: f64 = 0.3;
/// A CPU where less than this part of the long waits were is not where it queued.
const LEAST_THERE: f64 = 0.1;
/// On CPUs with time to spare, who used less than this part of what they could give kept nobody waiting for long: processes that are woken
/// at once wait for one another for a moment.
const LEAST_HELD: f64 = 0.05;
/// There, they had the CPU in this part of the long waits: the others were on it for the moment before.
const LEAST_BY_THEM: f64 = 0.25;
/// The scheduler moves a thread that waits longer than this, in nanoseconds, if it may run on a CPU that idles.
const MOVED_NS: u64 = 1_000_000;
/// A process that may run anywhere moves oftener than once in so many waits of that length.
const WAITS_PER_MOVE: u64 = 100;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let victims = scene.victims(|sort, _| sort == Sort::ForCpu);
    if victims.is_empty() {
        return Ok(Vec::new());
    }
    let Some(used) = Used::of(scene)? else {
        return Ok(Vec::new());
    };
    let (waits, moves) = (waits(scene)?, Moves::of(scene)?);
    let mut suffered: Vec<(&Victim<'_>, Blame)> = Vec::new();
    for victim in &victims {
        let kept = || kept_there(scene, victim, &used, moves.as_ref());
        let blame = blame(scene, victim, waits.get(victim.who), &used).or_else(kept);
        suffered.extend(blame.map(|blame| (victim, blame)));
    }
    // Those that fill the CPUs wait for one another, which is said of their use of CPUs; what matters here is whom they hold up, and
    // who keeps to a few CPUs while there are others.
    suffered.retain(|(victim, blame)| !blame.had.iter().any(|who| is_part(victim.who, who)) || blame.confined);
    // What a quota keeps off the CPUs queues whenever it is let go, behind others of its cgroup too: `cpu-quota` says that.
    let over_quota = |victim: &Victim<'_>| victim.group.of(|sort, _| sort == Sort::Throttled).ns;
    suffered.retain(|(victim, _)| over_quota(victim) < victim.spent.ns);
    // Those that the same process held up are one finding.
    let mut by_holder: Vec<Vec<(&Victim<'_>, Blame)>> = Vec::new();
    for next in suffered {
        let same = by_holder
            .iter_mut()
            .find(|group| group.first().is_some_and(|(_, blame)| blame.had.first() == next.1.had.first()));
        match same {
            Some(group) => group.push(next),
            None => by_holder.push(vec![next]),
        }
    }
    let mut findings = Vec::new();
    for group in &by_holder {
        findings.extend(finding(scene, group, &used)?);
    }
    Ok(findings)
}

/// The finding about the process that lost most, and others that the same one held up.
fn finding(scene: &Scene<'_>, suffered: &[(&Victim<'_>, Blame)], used: &Used) -> Result<Option<Finding>> {
    let Some((victim, blame)) = suffered.first() else {
        return Ok(None);
    };
    let mut text = victim.sentence(scene, "a CPU");
    if let Some(p99) = run_queue(scene, victim.who)?.percentile(0.99) {
        text.push_str(&format!(", p99 {}", units::duration(p99.round() as i64)));
    }
    text.push_str(&format!(". {}", blame.sentence(scene, used)));
    text.push_str(&others(scene, suffered.iter().skip(1).map(|(victim, _)| *victim)));
    let mut finding = victim.finding(scene, format!("{text}."));
    let parts = used.by.iter().filter(|(own, _)| blame.had.iter().any(|who| is_part(own, who)));
    finding.blamed = parts.map(|(own, _)| scene.owner(own)).collect();
    if let Some(first) = blame.had.first() {
        finding.culprit = Some(scene.owner(first));
        finding.culprit_percent = Some(100.0 * used.ns(first) as f64 / used.all.max(1) as f64);
    }
    Ok(Some(finding))
}

/// Who had the CPUs that somebody queued for.
struct Blame {
    /// Their numbers; empty for all of them.
    cpus: BTreeSet<i64>,
    busy_percent: Option<f64>,
    had: Vec<Who>,
    /// Whether it queued there alone, while the machine has other CPUs.
    confined: bool,
}

impl Blame {
    /// `The 2 CPUs were 99.1% busy: hog (8 processes) had 85.0%`.
    fn sentence(&self, scene: &Scene<'_>, used: &Used) -> String {
        let all = usize::try_from(scene.source.meta().host.cpus).unwrap_or(usize::MAX);
        let cpus: Vec<String> = self.cpus.iter().map(i64::to_string).collect();
        let which = match cpus.as_slice() {
            _ if all == 1 => "The CPU was".to_owned(),
            [] => format!("The {all} CPUs were"),
            some if some.len() >= all => format!("The {all} CPUs were"),
            [one] => format!("CPU {one} was"),
            [some @ .., last] => format!("CPUs {} and {last} were", some.join(", ")),
        };
        let busy = self.busy_percent.map(|percent| format!(" {} busy", units::percent(percent))).unwrap_or_default();
        let had: Vec<String> = self.had.iter().map(|who| used.words(scene, who)).collect();
        let mut text = format!("{which}{busy}: {}", had.join(", "));
        if self.confined {
            let rest = scene.cpus.iter().filter(|(cpu, _)| !self.cpus.contains(cpu)).map(|(_, account)| account);
            let rest = busy_percent(rest).filter(|percent| *percent < SPARE_PERCENT);
            let idle = rest.map(|percent| format!(" The others were {} busy.", units::percent(percent)));
            let idle = idle.unwrap_or_default();
            text.push_str(&format!(". It queued nowhere else.{idle} 'taskset -pc PID' shows its affinity"));
        }
        text
    }
}

/// Whom a victim's waits are to be blamed on; nobody where the CPUs had time to spare.
fn blame(scene: &Scene<'_>, victim: &Victim<'_>, long: Option<&Long>, used: &Used) -> Option<Blame> {
    let all_ns = victim.spent.ns as f64;
    let long = long.filter(|long| long.count >= LEAST_WAITS && long.ns as f64 >= LEAST_KNOWN * all_ns);
    let Some(long) = long else {
        let percent = busy_percent(scene.cpus.values()).or(used.busy_percent())?;
        let had = used.greedy(victim.who);
        return (percent >= BUSY_PERCENT && !had.is_empty()).then_some(Blame {
            cpus: BTreeSet::new(),
            busy_percent: Some(percent),
            had,
            confined: false,
        });
    };
    let there = long.by_cpu.iter().filter(|(_, ns)| **ns as f64 >= LEAST_THERE * long.ns as f64);
    let mut cpus: BTreeSet<i64> = there.map(|(cpu, _)| *cpu).collect();
    let all_cpus = usize::try_from(scene.source.meta().host.cpus).unwrap_or(usize::MAX);
    let kept_there = long.by_cpu.len() == cpus.len();
    let rest = busy_percent(scene.cpus.iter().filter(|(cpu, _)| !cpus.contains(cpu)).map(|(_, account)| account));
    // Where the other CPUs are busy too, a thread that stays on one gains nothing elsewhere: it queued for all of them.
    let everywhere = cpus.len() >= all_cpus || rest.is_some_and(|percent| percent >= BUSY_PERCENT);
    if everywhere {
        cpus.clear();
    }
    let there = scene.cpus.iter().filter(|(cpu, _)| cpus.is_empty() || cpus.contains(cpu));
    let percent = busy_percent(there.map(|(_, account)| account));
    let confined = !everywhere && kept_there && long.count >= CONFINED_WAITS && long.ns as f64 >= CONFINED * all_ns;
    let full = percent.is_none_or(|percent| percent >= BUSY_PERCENT);
    let busy = full || long.ns as f64 >= MOSTLY_KNOWN * all_ns;
    let number = if cpus.is_empty() { all_cpus } else { cpus.len() };
    let least_held = LEAST_HELD * scene.span_ns() * number as f64;
    let mut had: Vec<(&Who, u64)> = long.by_holder.iter().map(|(who, ns)| (who, *ns)).collect();
    had.sort_by_key(|(_, ns)| Reverse(*ns));
    let known = had.iter().fold(0u64, |sum, (_, ns)| sum.saturating_add(*ns));
    // Who had all CPUs is known by their CPU time; of a few CPUs, by who was on them when it got there. One that only was the last
    // before it may have run for a moment.
    let mut had = if everywhere {
        used.greedy(victim.who)
    } else {
        let had = had.into_iter().filter(|(who, _)| used.ns(who) as f64 >= LEAST_USED * used.all as f64);
        most_of(had.map(|(who, ns)| (who.clone(), ns)), known)
    };
    if !full {
        had.retain(|who| used.ns(who) as f64 >= least_held);
        let ended = |own: &Who| had.iter().any(|who| is_part(own, who));
        let by_them =
            long.by_holder.iter().filter(|(own, _)| ended(own)).fold(0u64, |sum, (_, ns)| sum.saturating_add(*ns));
        if (by_them as f64) < LEAST_BY_THEM * long.ns as f64 {
            return None;
        }
    }
    (busy && !had.is_empty() && known as f64 >= MOSTLY_KNOWN * long.ns as f64).then_some(Blame {
        cpus,
        busy_percent: percent,
        had,
        confined,
    })
}

/// The CPUs that a process may be kept on: those that were busy while the others idled, if it waited there and was not moved.
fn kept_there(scene: &Scene<'_>, victim: &Victim<'_>, used: &Used, moves: Option<&Moves>) -> Option<Blame> {
    let waits = victim.spent.count;
    let moved = moves?.by.get(victim.who).copied().unwrap_or(0);
    let mean_ns = victim.spent.ns / waits.max(1);
    if waits < WAITS_PER_MOVE || mean_ns < MOVED_NS || moved > waits / WAITS_PER_MOVE {
        return None;
    }
    let is_busy = |account: &Account| busy_percent(std::iter::once(account)).is_some_and(|own| own >= BUSY_PERCENT);
    let cpus: BTreeSet<i64> = scene.cpus.iter().filter(|(_, own)| is_busy(own)).map(|(cpu, _)| *cpu).collect();
    let part = |there: bool| {
        busy_percent(scene.cpus.iter().filter(|(cpu, _)| cpus.contains(cpu) == there).map(|(_, account)| account))
    };
    part(false).filter(|rest| *rest < SPARE_PERCENT && !cpus.is_empty())?;
    // Who else runs there is not known of each CPU. That others had it shows where the process itself did not.
    let own = used.ns(victim.who) as f64 >= MOSTLY_KNOWN * scene.span_ns() * cpus.len() as f64;
    let had = if own { vec![victim.who.clone()] } else { used.greedy(victim.who) };
    (!had.is_empty()).then_some(Blame { busy_percent: part(true), cpus, had, confined: true })
}

/// How often threads moved between CPUs, by process.
struct Moves {
    by: BTreeMap<Who, u64>,
}

impl Moves {
    fn of(scene: &Scene<'_>) -> Result<Option<Moves>> {
        let tally = Tally::of(scene.source, &["pid", "comm"], |metric| metric == metrics::MIGRATIONS)?;
        if !tally.has(metrics::MIGRATIONS) {
            return Ok(None);
        }
        let mut by: BTreeMap<Who, u64> = BTreeMap::new();
        tally.groups(metrics::MIGRATIONS, |dims, moves| {
            let [process, comm] = dims else { return };
            let own = by.entry(scene.who(process, comm)).or_default();
            *own = own.saturating_add(sum(moves));
        })?;
        Ok(Some(Moves { by }))
    }
}

/// As many as it takes to have four fifths: the rest together could not have filled a fifth.
fn most_of(ranked: impl Iterator<Item = (Who, u64)>, all: u64) -> Vec<Who> {
    let mut had = 0u64;
    let first = ranked.take(NAMED).take_while(|(_, ns)| {
        let before = had;
        had = had.saturating_add(*ns);
        before < all / 5 * 4
    });
    first.map(|(who, _)| who).collect()
}

/// The long waits of a process.
#[derive(Default)]
struct Long {
    ns: u64,
    count: u64,
    by_cpu: BTreeMap<i64, u64>,
    /// By who had the CPU until then; idle CPUs and kernel threads left out.
    by_holder: BTreeMap<Who, u64>,
}

fn waits(scene: &Scene<'_>) -> Result<BTreeMap<Who, Long>> {
    let mut waits: BTreeMap<Who, Long> = BTreeMap::new();
    let mut rows = scene.source.rows("wakeup");
    let (cpu, holder) = (rows.int("cpu"), rows.int("sched_prev_pid"));
    rows.each(|row| {
        let Some(who) = scene.who_of_row(row) else { return };
        let ns = row.dur().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
        let long = waits.entry(who).or_default();
        long.ns = long.ns.saturating_add(ns);
        long.count += 1;
        if let Some(cpu) = row.int(cpu) {
            let sum = long.by_cpu.entry(cpu).or_default();
            *sum = sum.saturating_add(ns);
        }
        let holder = row.int(holder).filter(|pid| *pid != 0).and_then(|pid| scene.known_by_id(pid));
        if let Some(holder) = holder {
            let sum = long.by_holder.entry(holder).or_default();
            *sum = sum.saturating_add(ns);
        }
    })?;
    Ok(waits)
}

/// CPU time by process, and all that the CPUs could give, in nanoseconds.
struct Used {
    by: Vec<(Who, u64)>,
    all: u64,
    capacity: f64,
}

impl Used {
    fn of(scene: &Scene<'_>) -> Result<Option<Used>> {
        let tally = Tally::of_all_processes(scene.source, &["pid", "comm"], |name| name == metrics::ON_CPU)?;
        if !tally.has(metrics::ON_CPU) {
            return Ok(None);
        }
        let mut by: BTreeMap<Who, u64> = BTreeMap::new();
        tally.groups(metrics::ON_CPU, |dims, time| {
            let [process, comm] = dims else { return };
            let own = by.entry(scene.who(process, comm)).or_default();
            *own = own.saturating_add(sum(time));
        })?;
        let all = by.values().fold(0u64, |all, ns| all.saturating_add(*ns));
        let mut by: Vec<(Who, u64)> = by.into_iter().collect();
        by.sort_by_key(|(_, ns)| Reverse(*ns));
        let capacity = scene.span_ns() * f64::from(scene.source.meta().host.cpus.max(1));
        Ok(Some(Used { by, all, capacity }))
    }

    fn ns(&self, who: &Who) -> u64 {
        self.by.iter().filter(|(own, _)| is_part(own, who)).fold(0, |sum, (_, ns)| sum.saturating_add(*ns))
    }

    fn busy_percent(&self) -> Option<f64> {
        (self.all > 0).then(|| 100.0 * self.all as f64 / self.capacity)
    }

    /// Who had most of the CPU time while somebody waited. Processes of one name are one if they are too many to be named. The victim is
    /// left out if it had much less than the first.
    fn greedy(&self, victim: &Who) -> Vec<Who> {
        let matters = |ns: u64| ns as f64 >= LEAST_OF_MANY * self.all as f64;
        let alike = |name: &str| self.by.iter().filter(|(who, ns)| &*who.name == name && matters(*ns)).count();
        let mut ranked: Vec<(Who, u64)> = Vec::new();
        for (who, ns) in self.by.iter().filter(|(_, ns)| matters(*ns)) {
            let who = if alike(&who.name) > NAMED { Who { which: None, ..who.clone() } } else { who.clone() };
            match ranked.iter_mut().find(|(own, _)| *own == who) {
                Some((_, sum)) => *sum = sum.saturating_add(*ns),
                None => ranked.push((who, *ns)),
            }
        }
        ranked.sort_by_key(|(_, ns)| Reverse(*ns));
        let mut had = most_of(ranked.into_iter(), self.all);
        if had.first().is_some_and(|first| self.ns(victim) < self.ns(first) / ALIKE) {
            had.retain(|who| who != victim);
        }
        had
    }

    /// `hog (8 processes) had 85.0%`, of all that the CPUs could give.
    fn words(&self, scene: &Scene<'_>, who: &Who) -> String {
        let called = match (&who.which, self.by.iter().filter(|(own, _)| is_part(own, who)).count()) {
            (None, several) if several > 1 => format!("{} ({several} processes)", who.name),
            _ => scene.call(who),
        };
        format!("{called} had {}", units::percent(100.0 * self.ns(who) as f64 / self.capacity))
    }
}

/// Whether somebody is the other, or one of the processes that the other's name stands for.
fn is_part(who: &Who, other: &Who) -> bool {
    who == other || other.which.is_none() && who.name == other.name
}

/// The waits of one process's threads.
fn run_queue(scene: &Scene<'_>, who: &Who) -> Result<Histogram> {
    let tally = Tally::of(scene.source, &["pid", "comm"], |metric| metric == metrics::RUN_QUEUE)?;
    let mut waits = Histogram::new();
    tally.groups(metrics::RUN_QUEUE, |dims, own| {
        if let [process, comm] = dims
            && scene.who(process, comm) == *who
        {
            waits.merge(own);
        }
    })?;
    Ok(waits)
}
