//! `cpu-use`: which process took the CPUs, and in which function. Precondition: it used most of a CPU, and one CPU was what limited it, or
//! the CPUs did not suffice.
//!
//! Several processes of one command, each of which uses little, are judged together: the workers of a server share its work.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::read::ledger::Spent;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Group;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::busy_percent;
use crate::report::view::diagnosis::calls;
use crate::report::view::diagnosis::functions::Functions;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "cpu-use", resource: "CPU", view: "cpu", outdoes: &[], find };

/// Less than this part of one CPU leaves the others their time.
const LEAST_OF_A_CPU: f64 = 0.7;
/// A thread that ran or queued for this part of the window had never anything to wait for but the CPU.
const BOUND: f64 = 0.8;
/// A group whose threads queued for this part of their busy time had too few CPUs.
const QUEUED: f64 = 0.2;
/// A machine with time to spare for a tenth of the window keeps nobody waiting.
const FULL_PERCENT: f64 = 90.0;
/// From this part of its CPU time in the kernel on, a process's system calls say more than its functions.
const IN_KERNEL: f64 = 0.6;
/// Who is merely busy matters half as much as who has to wait.
const WEIGHT: f64 = 0.5;
/// Processes or commands that are named.
const NAMED: usize = 3;
/// From so many processes on, those of a command are judged together: a parent and its child are two.
const LEAST_WORKERS: usize = 3;

/// A process; or the processes of one command.
struct Busy<'s> {
    who: Who,
    members: Vec<(&'s Who, &'s Group)>,
}

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut busy = busy(scene);
    busy.sort_by_key(|busy| std::cmp::Reverse(busy.ran().ns));
    busy.truncate(NAMED);
    let wanted: Vec<&Who> = busy.iter().flat_map(|busy| busy.members.iter().map(|(who, _)| *who)).collect();
    let functions = Functions::of(scene, &wanted)?;
    Ok(busy.iter().map(|busy| busy.finding(scene, &functions)).collect())
}

/// Who was busy by itself, and the commands whose other processes were together.
fn busy<'s>(scene: &'s Scene<'_>) -> Vec<Busy<'s>> {
    let mut found = Vec::new();
    let mut by_name: BTreeMap<&Rc<str>, Vec<(&Who, &Group)>> = BTreeMap::new();
    let people = |group: &Group| !group.processes.iter().all(|which| scene.is_kernel(*which));
    for (who, group) in scene.groups.iter().filter(|(_, group)| people(group)) {
        let one = Busy { who: who.clone(), members: vec![(who, group)] };
        if one.is_busy(scene) {
            found.push(one);
        } else {
            by_name.entry(&who.name).or_default().push((who, group));
        }
    }
    let several = by_name.into_iter().filter(|(_, members)| members.len() >= LEAST_WORKERS);
    let several = several.map(|(name, members)| Busy { who: Who { name: Rc::clone(name), which: None }, members });
    // Workers queue for moments on any machine; those that keep one another waiting fill it.
    let full = busy_percent(scene.cpus.values()).is_none_or(|percent| percent >= FULL_PERCENT);
    found.extend(several.filter(|several| full && several.is_busy(scene)));
    found
}

impl Busy<'_> {
    /// Time in the states that `wanted` names: of one process its active threads', of several all, since each may do little.
    fn of(&self, wanted: impl Fn(Sort) -> bool) -> Spent {
        let is_one = self.members.len() == 1;
        let own = self.members.iter().map(|(_, group)| {
            if is_one { group.of(|sort, _| wanted(sort)) } else { group.of_all(|sort, _| wanted(sort)) }
        });
        own.fold(Spent::default(), |sum, spent| Spent {
            ns: sum.ns.saturating_add(spent.ns),
            count: sum.count.saturating_add(spent.count),
        })
    }

    fn ran(&self) -> Spent {
        self.of(|sort| sort == Sort::OnCpu)
    }

    fn queued_ns(&self) -> u64 {
        self.of(|sort| sort == Sort::ForCpu).ns
    }

    fn busy_ns(&self) -> u64 {
        match self.members.as_slice() {
            [(_, group)] => group.busy_ns(),
            _ => self.ran().ns.saturating_add(self.queued_ns()),
        }
    }

    fn is_busy(&self, scene: &Scene<'_>) -> bool {
        let span_ns = scene.span_ns();
        let bound = match self.members.as_slice() {
            [(who, group)] if who.which.is_some() => {
                group.affected(|sort, _| matches!(sort, Sort::OnCpu | Sort::ForCpu), true, span_ns) >= BOUND
            }
            _ => false,
        };
        let short = self.queued_ns() as f64 >= QUEUED * self.busy_ns() as f64;
        self.ran().ns as f64 >= LEAST_OF_A_CPU * span_ns && (bound || short)
    }

    fn call(&self, scene: &Scene<'_>) -> String {
        match self.members.as_slice() {
            [_] => scene.call(&self.who),
            several => format!("{} ({} processes)", self.who.name, units::count(several.len() as u64)),
        }
    }

    fn finding(&self, scene: &Scene<'_>, functions: &BTreeMap<Who, Functions>) -> Finding {
        let (ran, queued, span_ns) = (self.ran(), self.queued_ns(), scene.span_ns());
        let cpus = scene.source.meta().host.cpus.max(1);
        let of_all = 100.0 * ran.ns as f64 / (span_ns * f64::from(cpus));
        let of_cpus = match cpus {
            1 => "the CPU".to_owned(),
            several => format!("the {several} CPUs"),
        };
        let mut text = format!(
            "{} used {} of {of_cpus}: {} of CPU time",
            self.call(scene),
            units::percent(of_all),
            units::duration(whole(ran.ns)),
        );
        let own = self.members.iter().filter_map(|(who, _)| functions.get(*who));
        let functions = Functions::sum(own);
        if let Some(place) = functions.describe() {
            text.push_str(&format!(", {place}"));
        }
        if functions.kernel_part() >= IN_KERNEL && !calls::are_recorded(scene.source) {
            text.push_str(
                ". Most of it was in the kernel: 'ebrec record -p +syscall' shows its system calls, and whether they fail",
            );
        }
        let busy_ns = self.busy_ns().max(1) as f64;
        if queued as f64 >= QUEUED * busy_ns {
            let part = units::percent(100.0 * queued as f64 / busy_ns);
            text.push_str(&format!(". It could have run more: it waited for a CPU {part} of its busy time"));
        }
        if let Some(parent) = scene.starter(&self.who) {
            text.push_str(&format!(". {parent} started it"));
        }
        let part = ran.ns as f64 / busy_ns;
        Finding {
            weight: WEIGHT * part.max(queued as f64 / busy_ns) * (ran.ns as f64 / span_ns).min(1.0),
            text: format!("{text}."),
            victim: scene.owner(&self.who),
            ns: ran.ns,
            percent: 100.0 * part,
            count: ran.count,
            culprit: Some(scene.owner(&self.who)),
            culprit_percent: Some(of_all),
            ..Finding::default()
        }
    }
}
