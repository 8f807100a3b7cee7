//! Stacks with weights, thread by thread, out of the rows that the views `cpu`, `offcpu` and `locks` add up.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::export::ExportPlan;
use crate::export::Profile;
use crate::failure::Failure;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::metrics;
use crate::report::read::processes::ProcessTable;
use crate::report::read::profile::Frame;
use crate::report::read::profile::Function;
use crate::report::read::profile::LEAVING;
use crate::report::read::profile::Stacks;
use crate::report::read::rows::Row;
use crate::report::read::samples;
use crate::report::read::samples::SampleColumns;
use crate::report::read::samples::SleepColumns;
use crate::spill::Sorted;
use crate::spill::Sorter;

/// What samples may take in memory while they are sorted.
const SORTED_BYTES: usize = 16 << 20;
/// About what an owner takes in memory.
const OWNER_BYTES: usize = 192;

/// The stacks of one profile, and whose they are.
pub(super) struct Samples {
    stacks: Stacks,
    owners: Vec<Owner>,
    /// Innermost frames that say nothing.
    without: &'static [&'static str],
}

/// A thread, or a process where a row has no thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    /// The process's name.
    pub(super) process: Rc<str>,
    /// The process.
    pub(super) pid: Option<i64>,
    /// The thread.
    pub(super) tid: Option<i64>,
    /// The thread's name, or the process's at that time.
    pub(super) comm: Option<Rc<str>>,
}

/// What a row adds: a stack of one owner, how often it was seen, and for how long. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Sample {
    /// When its interval ended, or when it was taken, in nanoseconds since the window's start.
    pub(super) at: i64,
    /// The length of its interval; 0 for a sample with a time of its own.
    pub(super) dur: i64,
    /// Whose it is.
    pub(super) stack: OwnStack,
    /// The CPU, where it is known.
    pub(super) cpu: Option<i32>,
    /// Nanoseconds.
    pub(super) ns: u64,
    /// Samples, sleeps or waits.
    pub(super) count: u64,
}

/// A pair of stacks of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct OwnStack {
    /// The place among the owners.
    owner: u32,
    kernel: Option<i32>,
    user: Option<i32>,
}

/// A stack with all that its samples add up to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Total {
    /// The stack.
    pub(super) stack: OwnStack,
    /// Nanoseconds.
    pub(super) ns: u64,
    /// Samples, sleeps or waits.
    pub(super) count: u64,
}

impl Samples {
    /// Reads a profile and calls `each` for every sample, in the file's order.
    ///
    /// # Errors
    /// The recording is damaged, holds more than fits, or has no such samples.
    pub(super) fn read(source: &Source, plan: &ExportPlan, mut each: impl FnMut(Sample)) -> Result<Samples> {
        let processes = ProcessTable::of(source)?;
        let mut owners = Owners::default();
        let mut seen = false;
        let mut give = |sample: Option<Sample>| {
            let Some(sample) = sample.filter(|sample| sample.ns > 0 || sample.count > 0) else { return };
            seen = true;
            each(sample);
        };
        let (stacks, without): (Stacks, &[&str]) = match plan.profile {
            Profile::Cpu => {
                let mut rows = source.rows("cpu_sample");
                let (columns, tid, cpu) = (SampleColumns::of(&mut rows), rows.int("tid"), rows.int("cpu"));
                rows.each(|row| {
                    let owner = owners.of(&processes, row, row.int(tid));
                    let sample = owner.map(|owner| sample(row, owner, &columns.sample(&processes, row)));
                    let cpu = row.int(cpu).and_then(|cpu| cpu.try_into().ok());
                    give(sample.map(|sample| Sample { cpu, ..sample }));
                })?;
                (Stacks::of(source, &plan.debug_dirs)?, &[])
            }
            Profile::OffCpu => {
                let mut rows = source.rows("stack_total");
                let (columns, sleeps) = (SampleColumns::of(&mut rows), SleepColumns::of(&mut rows));
                rows.each(|row| {
                    let owner = sleeps.state(row).and_then(|_| owners.of(&processes, row, None));
                    give(owner.map(|owner| sample(row, owner, &columns.sample(&processes, row))));
                })?;
                (Stacks::of(source, &plan.debug_dirs)?, &LEAVING)
            }
            Profile::Locks => (locks(source, &processes, &mut owners, &mut give)?, &[]),
        };
        owners.limit.check(source, "threads")?;
        if !seen {
            return Err(none(source, plan).into());
        }
        Ok(Samples { stacks, owners: owners.list, without })
    }

    /// Reads a profile with all samples of a stack added up.
    pub(super) fn added_up(source: &Source, plan: &ExportPlan) -> Result<(Samples, Totals)> {
        let mut sorter = Sorter::new(SORTED_BYTES);
        let samples = Samples::read(source, plan, |sample| {
            sorter.push((sample.stack, sample.ns, sample.count), size_of::<(OwnStack, u64, u64)>());
        })?;
        Ok((samples, Totals(sorter.finish().context(NO_ROOM)?)))
    }

    /// Whose a stack is.
    pub(super) fn owner(&self, stack: &OwnStack) -> &Owner {
        // Every stack's owner was numbered when its sample was read.
        &self.owners[stack.owner as usize]
    }

    /// The frames from the innermost out, with the numbers of their symbols.
    pub(super) fn frames(&self, stack: &OwnStack) -> Vec<(i32, &Frame)> {
        self.stacks.without(stack.kernel, stack.user, self.without)
    }
}

/// The stacks of a profile with what their samples add up to.
pub(super) struct Totals(Sorted<(OwnStack, u64, u64)>);

impl Totals {
    /// Visits each stack once.
    pub(super) fn each(&self, mut visit: impl FnMut(&Total) -> Result<()>) -> Result<()> {
        let mut current: Option<Total> = None;
        for part in self.0.iter().context(UNREADABLE)? {
            let (stack, ns, count) = part.context(UNREADABLE)?;
            match &mut current {
                Some(total) if total.stack == stack => {
                    (total.ns, total.count) = (total.ns.saturating_add(ns), total.count.saturating_add(count));
                }
                _ => {
                    if let Some(whole) = current.replace(Total { stack, ns, count }) {
                        visit(&whole)?;
                    }
                }
            }
        }
        current.iter().try_for_each(visit)
    }
}

const NO_ROOM: &str = "can't put samples into a temporary file";
/// Why samples can't be had that were sorted.
pub(super) const UNREADABLE: &str = "can't read samples back from a temporary file";

/// The owners of samples, numbered as they come.
#[derive(Default)]
struct Owners {
    list: Vec<Owner>,
    places: HashMap<Owner, u32>,
    limit: Limit,
}

impl Owners {
    /// The number of a row's owner; `None` without room for another.
    fn of(&mut self, processes: &ProcessTable, row: &Row<'_>, tid: Option<i64>) -> Option<u32> {
        let process = match samples::process(processes, row) {
            name if name.is_empty() => self.limit.name("?"),
            name => self.limit.name(&name),
        };
        let comm = row.comm().map(|comm| self.limit.name(comm));
        let owner = Owner { process, pid: row.pid(), tid, comm };
        if let Some(place) = self.places.get(&owner) {
            return Some(*place);
        }
        let place = u32::try_from(self.list.len()).ok().filter(|_| self.limit.take(OWNER_BYTES))?;
        self.list.push(owner.clone());
        self.places.insert(owner, place);
        Some(place)
    }
}

fn sample(row: &Row<'_>, owner: u32, of: &crate::report::read::profile::Sample<'_>) -> Sample {
    // Stacks are numbered in 32 bits.
    let number = |id: Option<i64>| id.and_then(|id| id.try_into().ok());
    Sample {
        at: row.at().unwrap_or(0),
        dur: row.dur().unwrap_or(0).max(0),
        stack: OwnStack { owner, kernel: number(of.kernel), user: number(of.user) },
        cpu: None,
        ns: of.ns,
        count: of.count,
    }
}

/// What the waits for locks have as stacks: the kind of lock, and of a futex the address, since the probe records no stacks.
fn locks(
    source: &Source,
    processes: &ProcessTable,
    owners: &mut Owners,
    give: &mut impl FnMut(Option<Sample>),
) -> Result<Stacks> {
    // Addresses are a counter of their own, with a limit of its own: they stand for all waits, or for none.
    let (mut waits, mut addressed) = ((0u64, 0u64), (0u64, 0u64));
    let mut rows = source.rows("metric");
    let (metric, count, sum) = (rows.text("metric"), rows.int("count"), rows.int("sum"));
    rows.each(|row| {
        let all = match row.text(metric) {
            Some(metrics::FUTEX_WAIT) => &mut waits,
            Some(metrics::FUTEX_ADDRESS) => &mut addressed,
            _ => return,
        };
        *all = (all.0.saturating_add(row.natural(count)), all.1.saturating_add(row.natural(sum)));
    })?;
    let futexes = if waits == addressed { metrics::FUTEX_ADDRESS } else { metrics::FUTEX_WAIT };
    let mut stacks: Vec<Vec<Function>> = Vec::new();
    let mut places: HashMap<(Rc<str>, Option<Rc<str>>), i32> = HashMap::new();
    let mut rows = source.rows("metric");
    let (metric, count, sum) = (rows.text("metric"), rows.int("count"), rows.int("sum"));
    let (kind, address) = (rows.text("name"), rows.text("locks_address"));
    rows.each(|row| {
        let (kind, address) = match row.text(metric) {
            Some(metrics::CONTENTION) => (row.text(kind).unwrap_or("?"), None),
            Some(metric) if metric == futexes => ("futex", row.text(address)),
            _ => return,
        };
        let key = (owners.limit.name(kind), address.map(|address| owners.limit.name(address)));
        let next = i32::try_from(stacks.len()).unwrap_or(i32::MAX);
        let user = match places.get(&key) {
            Some(place) => *place,
            None if !owners.limit.take(OWNER_BYTES) => return,
            None => {
                let function = |text: &Rc<str>, module: &str| Function { text: Rc::clone(text), module: module.into() };
                let address = key.1.iter().map(|address| function(address, "[futex]"));
                stacks.push(address.chain([function(&key.0, "[lock]")]).collect());
                *places.entry(key).or_insert(next)
            }
        };
        let owner = owners.of(processes, row, None);
        give(owner.map(|owner| Sample {
            at: row.at().unwrap_or(0),
            dur: row.dur().unwrap_or(0).max(0),
            stack: OwnStack { owner, kernel: None, user: Some(user) },
            cpu: None,
            ns: row.natural(sum),
            count: row.natural(count),
        }));
    })?;
    Ok(Stacks::of_functions(&stacks))
}

/// Why there is nothing to export.
fn none(source: &Source, plan: &ExportPlan) -> Failure {
    let (path, what) = (source.recording().path().display(), plan.profile.what());
    if !plan.filter.passes_all() {
        return Failure::run(format!("none of the {what} in '{path}' passes the filters"));
    }
    let probe = plan.profile.probe();
    let reason =
        source.meta().probes.iter().find(|state| state.name == probe).and_then(|state| state.reason.as_deref());
    let why = reason.map(|reason| format!(": the probe '{probe}' did not run: {reason}")).unwrap_or_default();
    Failure::run(format!("'{path}' has no {what}{why}")).hint(format!("ebrec record -p +{probe} records them"))
}
