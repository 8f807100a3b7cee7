//! Counters of cgroups: time over a CPU quota, pressure, limits that were hit, and whose processes that concerned.
//!
//! Limits bind in ancestors, so all cgroups with a quota are read in each round. The others are read as often as that takes no more than
//! a hundredth of a CPU's time, which is each round on an ordinary machine and at the window's ends on one with thousands of cgroups.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::host::counters;
use crate::host::counters::CPU_STAT;
use crate::host::counters::Counter;
use crate::host::counters::MEMORY_EVENTS;
use crate::host::counters::Name;
use crate::host::counters::PIDS_EVENTS;
use crate::host::counters::Unit;
use crate::host::process_ids::ProcessIds;
use crate::host::root::Root;
use crate::record::counters::Fact;
use crate::record::counters::Value;
use crate::record::counters::cgroup_tree::Group;
use crate::record::counters::cgroup_tree::Hierarchy;
use crate::record::counters::cgroup_tree::Tree;
use crate::record::counters::growth::Growth;
use crate::record::counters::machine::LEAST_NS;

/// The kind of its rows.
const KIND: &str = "cgroup_stat";
/// Cgroups with a quota that are read in each round: 10 µs each.
const MOST_LIMITED: usize = 1024;
/// Cgroups whose pressure and events are read, five files of 8 µs each.
const MOST_GROUPS: usize = 2048;
/// What a look may take of the time until the next: a hundredth of a CPU.
const LEAST_PAUSE: u32 = 100;
/// Processes of one throttled cgroup, and cgroups below it, that are named.
const MOST_MEMBERS: usize = 64;
/// Throttled cgroups whose processes are named in one round.
const MOST_NAMED: usize = 32;

const THROTTLED: Name = Name::new("cpu", "nr_throttled");
const REFUSED: Name = Name::new("pids.events", "max");
/// Times that memory was wanted beyond a limit; version 1 has a counter of its own for it, and version 2 a limit below the hard one.
const MEMORY_FULL: [Name; 3] =
    [Name::new("memory", "failcnt"), Name::new("memory.events", "max"), Name::new("memory.events", "high")];

type Key = (Hierarchy, String);

/// A cgroup and its counters as they were written last.
struct Known {
    group: Group,
    growth: Growth,
    told_quota: bool,
    /// Its processes that have a row.
    members: BTreeSet<u32>,
}

/// When something that costs much is due again.
#[derive(Debug)]
struct Pace {
    due_ns: u64,
}

impl Pace {
    /// Does it if it is due, and sets when it will be.
    fn keep<T>(&mut self, now_ns: u64, work: impl FnOnce() -> T) -> Option<T> {
        if now_ns < self.due_ns {
            return None;
        }
        let begun = Instant::now();
        let result = work();
        let took = u64::try_from((begun.elapsed() * LEAST_PAUSE).as_nanos()).unwrap_or(u64::MAX);
        self.due_ns = now_ns.saturating_add(took);
        Some(result)
    }
}

/// All cgroups.
pub(super) struct Cgroups {
    tree: Tree,
    ids: Arc<ProcessIds>,
    known: BTreeMap<Key, Known>,
    walks: Pace,
    looks: Pace,
    last_ns: u64,
}

impl Cgroups {
    /// Reads what their counters are.
    pub(super) fn begin(root: &Root, ids: Arc<ProcessIds>, now_ns: u64) -> Cgroups {
        let tree = Tree::find(root);
        let (walks, looks) = (Pace { due_ns: now_ns }, Pace { due_ns: now_ns });
        let mut cgroups = Cgroups { tree, ids, known: BTreeMap::new(), walks, looks, last_ns: now_ns };
        cgroups.find(now_ns, |group| Growth::since(now_ns, &group.all_counters()));
        cgroups
    }

    /// What grew since.
    pub(super) fn read(&mut self, _root: &Root, now_ns: u64, is_last: bool) -> Vec<Fact> {
        let before_ns = self.last_ns;
        self.last_ns = now_ns;
        self.find(now_ns, |_| Growth::from_zero(before_ns));
        let mut facts = Vec::new();
        let mut throttled = Vec::new();
        for (key, known) in self.known.iter_mut().filter(|(_, known)| known.group.quota.is_some()).take(MOST_LIMITED) {
            let before = facts.len();
            let counters = known.group.cpu_counters();
            // How many periods there were matters only where some ran out of time.
            let grew =
                counters.iter().find(|own| own.name == THROTTLED).and_then(|own| known.growth.of(own, now_ns, 1));
            if let Some(value) = grew {
                facts.push(known.fact(THROTTLED, Unit::Count, value));
                for counter in counters.iter().filter(|counter| counter.name != THROTTLED) {
                    let value = known.growth.of(counter, now_ns, 1);
                    facts.extend(value.map(|value| known.fact(counter.name, counter.unit, value)));
                }
            }
            if facts.len() > before {
                facts.extend(known.quota());
                throttled.push(key.clone());
            }
        }
        if is_last {
            self.looks.due_ns = now_ns;
        }
        let known = &mut self.known;
        let looked = self.looks.keep(now_ns, || look(known, now_ns, &mut facts));
        for key in throttled.into_iter().chain(looked.into_iter().flatten()).take(MOST_NAMED) {
            self.members(&key, &mut facts);
        }
        facts
    }

    /// Looks for cgroups that are new, and forgets those that are gone.
    fn find(&mut self, now_ns: u64, growth: impl Fn(&Group) -> Growth) {
        let tree = &self.tree;
        let Some(groups) = self.walks.keep(now_ns, || tree.walk()) else { return };
        let mut known = std::mem::take(&mut self.known);
        for group in groups {
            let key = (group.hierarchy, group.path.clone());
            let own = match known.remove(&key).filter(|known| known.group.id == group.id) {
                // A quota may have been set since.
                Some(known) => {
                    Known { told_quota: known.told_quota && known.group.quota == group.quota, group, ..known }
                }
                None => Known { growth: growth(&group), group, told_quota: false, members: BTreeSet::new() },
            };
            self.known.insert(key, own);
        }
    }

    /// Names the processes of a cgroup and of those below it.
    fn members(&mut self, key: &Key, facts: &mut Vec<Fact>) {
        let (hierarchy, path) = key;
        let inside = format!("{path}/");
        let below = self
            .known
            .range((*hierarchy, inside.clone())..)
            .take_while(|((own, path), _)| own == hierarchy && path.starts_with(&inside));
        let groups = self.known.get_key_value(key).into_iter().chain(below).take(MOST_MEMBERS);
        let pids: Vec<u32> = groups.flat_map(|(_, known)| known.group.processes()).take(MOST_MEMBERS).collect();
        let Some(known) = self.known.get_mut(key) else { return };
        for pid in pids.into_iter().filter_map(|pid| self.ids.machine(pid)) {
            if known.members.len() < MOST_MEMBERS && known.members.insert(pid) {
                let fact = known.fact(Name::new("cgroup", "process"), Unit::Count, Value::Is(1));
                facts.push(Fact { pid: Some(pid), ..fact });
            }
        }
    }
}

/// Reads pressure and events of all; returns the cgroups that were refused a process or memory.
fn look(known: &mut BTreeMap<Key, Known>, now_ns: u64, facts: &mut Vec<Fact>) -> Vec<Key> {
    let mut refused = Vec::new();
    for (key, known) in known.iter_mut().take(MOST_GROUPS) {
        for counter in known.group.counters() {
            let least = if counter.unit == Unit::Count { 1 } else { LEAST_NS };
            let Some(value) = known.growth.of(&counter, now_ns, least) else { continue };
            facts.push(known.fact(counter.name, counter.unit, value));
            if counter.name == REFUSED {
                let limit = known.group.text("pids.max").parse().ok();
                facts.extend(limit.map(|limit| known.fact(Name::new("pids", "limit"), Unit::Count, Value::Is(limit))));
                refused.push(key.clone());
            }
            if MEMORY_FULL.contains(&counter.name) {
                let limit = known.group.memory_limit(counter.name);
                facts
                    .extend(limit.map(|limit| known.fact(Name::new("memory", "limit"), Unit::Bytes, Value::Is(limit))));
                refused.push(key.clone());
            }
        }
    }
    refused
}

impl Known {
    fn fact(&self, metric: Name, unit: Unit, value: Value) -> Fact {
        let fact = Fact::new(KIND, metric, unit, value);
        Fact { name: Some(self.group.path.as_str().into()), cgroup_id: self.group.id, ..fact }
    }

    /// Its quota, once.
    fn quota(&mut self) -> Vec<Fact> {
        let Some(quota) = self.group.quota.filter(|_| !std::mem::replace(&mut self.told_quota, true)) else {
            return Vec::new();
        };
        let fact = |word, ns| self.fact(Name::new("cpu", word), Unit::Nanoseconds, Value::Is(ns));
        vec![fact("quota", quota.quota_ns), fact("period", quota.period_ns)]
    }
}

impl Group {
    fn text(&self, name: &str) -> String {
        Root::at(&self.directory).text(name).unwrap_or_default()
    }

    fn cpu_counters(&self) -> Vec<Counter> {
        counters::keyed("cpu", &self.text("cpu.stat"), &CPU_STAT)
    }

    /// What is read more seldom.
    fn counters(&self) -> Vec<Counter> {
        let mut all = Vec::new();
        if self.hierarchy == Hierarchy::Unified {
            for (table, file) in [
                ("cpu.pressure", "cpu.pressure"),
                ("memory.pressure", "memory.pressure"),
                ("io.pressure", "io.pressure"),
            ] {
                all.extend(counters::pressure(table, &self.text(file)));
            }
            all.extend(counters::keyed("memory.events", &self.text("memory.events"), &MEMORY_EVENTS));
        }
        if self.hierarchy == Hierarchy::Memory {
            let value = self.text("memory.failcnt").trim().parse().ok();
            all.extend(value.map(|value| Counter { name: Name::new("memory", "failcnt"), unit: Unit::Count, value }));
        }
        if matches!(self.hierarchy, Hierarchy::Pids | Hierarchy::Unified) {
            all.extend(counters::keyed("pids.events", &self.text("pids.events"), &PIDS_EVENTS));
        }
        all
    }

    /// The limit that a counter of [`MEMORY_FULL`] is about, in bytes; nothing where there is none.
    fn memory_limit(&self, counter: Name) -> Option<u64> {
        let [failed, hard, _] = MEMORY_FULL;
        let file = match counter {
            own if own == failed => "memory.limit_in_bytes",
            own if own == hard => "memory.max",
            _ => "memory.high",
        };
        self.text(file).trim().parse().ok()
    }

    fn all_counters(&self) -> Vec<Counter> {
        let mut all = if self.quota.is_some() { self.cpu_counters() } else { Vec::new() };
        all.extend(self.counters());
        all
    }

    fn processes(&self) -> Vec<u32> {
        self.text("cgroup.procs").lines().filter_map(|pid| pid.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests;
