//! Functions by process: on CPUs, by samples, and off them, by sleeps.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::rc::Rc;

use anyhow::Result;

use crate::diff::DiffPlan;
use crate::diff::item::Nature;
use crate::diff::item::Sums;
use crate::diff::item::Whole;
use crate::diff::ledger::ON_CPU;
use crate::diff::observe::CELL_BYTES;
use crate::diff::observe::Gathered;
use crate::diff::observe::process;
use crate::diff::quantity::Name;
use crate::report::read::input::Source;
use crate::report::read::ledger::IDLE_NS;
use crate::report::read::metrics;
use crate::report::read::processes::ProcessTable;
use crate::report::read::profile::Frame;
use crate::report::read::profile::LEAVING;
use crate::report::read::profile::Stacks;
use crate::units::Unit;

/// CPU time in a function itself, by process and function.
pub(in crate::diff) const CPU_SELF: &str = "cpu.self";
/// CPU time in a function and in what it called.
pub(in crate::diff) const CPU_TOTAL: &str = "cpu.total";
/// Time off the CPU in a function itself.
pub(in crate::diff) const OFF_CPU_SELF: &str = "offcpu.self";
/// Time off the CPU in a function and in what it called.
pub(in crate::diff) const OFF_CPU_TOTAL: &str = "offcpu.total";

/// About what a process's samples take in memory, without those of each stretch.
const WHOLE_BYTES: usize = 160;

const SAMPLED: Nature = Nature { unit: Unit::Nanoseconds, sums: Sums::Time, is_counted: false, is_sampled: true };

/// System calls in which a thread waits for something to do.
const IDLE_CALLS: [&str; 16] = [
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "nanosleep",
    "clock_nanosleep",
    "pause",
    "wait4",
    "waitid",
    "rt_sigtimedwait",
    "rt_sigsuspend",
    "io_getevents",
    "io_pgetevents",
];

pub(super) fn gather(
    source: &Source,
    processes: &ProcessTable,
    plan: &DiffPlan,
    gathered: &mut Gathered<'_>,
) -> Result<()> {
    let stacks = Stacks::of(source, &plan.debug_dirs)?;
    on_cpu(source, processes, &stacks, gathered)?;
    off_cpu(source, processes, &stacks, gathered)
}

fn on_cpu(source: &Source, processes: &ProcessTable, stacks: &Stacks, gathered: &mut Gathered<'_>) -> Result<()> {
    let stretches = gathered.stretches.seconds.len();
    let mut sampled: BTreeMap<Rc<str>, Vec<u64>> = BTreeMap::new();
    let mut rows = source.rows("cpu_sample");
    let (kernel, user) = (rows.int("kstack_id"), rows.int("ustack_id"));
    let (count, sum) = (rows.int("count"), rows.int("sum"));
    rows.each(|row| {
        let comm = process(processes, row, &mut gathered.limit);
        let weight = (gathered.stretches.place(row), row.natural(count), row.natural(sum));
        if !sampled.contains_key(&comm) && gathered.limit.take(WHOLE_BYTES + 2 * CELL_BYTES * stretches) {
            sampled.insert(Rc::clone(&comm), vec![0; stretches]);
        }
        if let Some(all) = sampled.get_mut(&comm).and_then(|sums| sums.get_mut(weight.0)) {
            *all = all.saturating_add(weight.2);
        }
        let frames = stacks.frames(row.int(kernel), row.int(user));
        add(frames, &comm, [CPU_SELF, CPU_TOTAL], weight, SAMPLED, gathered);
    })?;
    // What an expression selects may be of several processes.
    for (selection, item) in gathered.selections.iter().zip(&mut gathered.selected) {
        if let Some(item) = item.as_mut().filter(|_| is_on_cpu(&selection.name)) {
            let comm = selection.name.label("comm");
            let mut sums = vec![0u64; stretches];
            for (_, own) in sampled.iter().filter(|(own, _)| comm.is_none_or(|comm| ***own == *comm)) {
                for (all, own) in sums.iter_mut().zip(own) {
                    *all = all.saturating_add(*own);
                }
            }
            item.whole = Some(Rc::new(Whole { sums, is_exact: false }));
        }
    }
    // The ledger knows the CPU time exactly, samples only how it was divided.
    let wholes: BTreeMap<Rc<str>, (f64, Rc<Whole>)> = sampled
        .into_iter()
        .map(|(comm, sums)| {
            let sampled: f64 = sums.iter().map(|sum| *sum as f64).sum();
            let ledger = gathered.items.get(&of_process(ON_CPU, &comm));
            let exact: f64 = ledger.map_or(0.0, |ledger| ledger.sums.iter().map(|sum| *sum as f64).sum());
            let is_exact = sampled > 0.0 && exact > 0.0;
            let factor = if is_exact { exact / sampled } else { 1.0 };
            let sums = sums.into_iter().map(|sum| (sum as f64 * factor) as u64).collect();
            (comm, (factor, Rc::new(Whole { sums, is_exact })))
        })
        .collect();
    for (name, item) in &mut gathered.items {
        if is_on_cpu(name)
            && let Some((factor, whole)) = name.label("comm").and_then(|comm| wholes.get(comm))
        {
            item.scale(*factor);
            item.whole = Some(Rc::clone(whole));
        }
    }
    Ok(())
}

fn is_on_cpu(name: &Name) -> bool {
    [CPU_SELF, CPU_TOTAL].contains(&&*name.metric)
}

fn of_process(metric: &str, comm: &Rc<str>) -> Name {
    Name { metric: metric.into(), labels: vec![("comm".into(), Rc::clone(comm))] }
}

fn off_cpu(source: &Source, processes: &ProcessTable, stacks: &Stacks, gathered: &mut Gathered<'_>) -> Result<()> {
    let nature = Nature { is_sampled: false, ..SAMPLED };
    let mut rows = source.rows("stack_total");
    let (kernel, user) = (rows.int("kstack_id"), rows.int("ustack_id"));
    let (count, sum) = (rows.int("count"), rows.int("sum"));
    let (metric, state, call) = (rows.text("metric"), rows.text("state"), rows.text("name"));
    rows.each(|row| {
        let (count, sum) = (row.natural(count), row.natural(sum));
        let uninterruptible = row.text(state) == Some("uninterruptible");
        let waits = row.text(call).is_some_and(|call| IDLE_CALLS.contains(&call)) || sum / count.max(1) >= IDLE_NS;
        let is_idle = row.text(state) == Some("idle") || (!uninterruptible && waits);
        if row.text(metric) != Some(metrics::OFF_CPU) || is_idle {
            return;
        }
        let comm = process(processes, row, &mut gathered.limit);
        // How the kernel puts a thread to sleep is the same for all: the program's functions say what for.
        let kernel = row.int(kernel).filter(|_| row.int(user).is_none());
        let all = stacks.frames(kernel, row.int(user));
        let frames = all.skip_while(|frame| LEAVING.contains(&&*frame.function.text));
        let weight = (gathered.stretches.place(row), count, sum);
        add(frames, &comm, [OFF_CPU_SELF, OFF_CPU_TOTAL], weight, nature, gathered);
    })
}

/// Adds a stack: the innermost function itself, and each function once.
fn add<'f>(
    frames: impl Iterator<Item = &'f Frame>,
    comm: &Rc<str>,
    [own, total]: [&str; 2],
    (at, count, sum): (usize, u64, u64),
    nature: Nature,
    gathered: &mut Gathered<'_>,
) {
    let mut seen: HashSet<&str> = HashSet::new();
    for (depth, frame) in frames.filter(|frame| !frame.is_truncation()).enumerate() {
        let function = &*frame.function.text;
        if depth == 0 {
            let name = gathered.name(own, [("comm", comm), ("function", function)]);
            gathered.add(name, nature, at, count, sum);
        }
        if seen.insert(function) {
            let name = gathered.name(total, [("comm", comm), ("function", function)]);
            gathered.note_depth(&name, depth);
            gathered.add(name, nature, at, count, sum);
        }
    }
}
