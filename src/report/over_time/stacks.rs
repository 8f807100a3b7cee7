//! Stacks over time: what the CPUs ran, and in which calls threads waited.

use anyhow::Result;

use crate::render::FlameTree;
use crate::render::Sparse;
use crate::report::over_time::intervals::Intervals;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::read::profile::LEAVING;
use crate::report::read::profile::Profile;
use crate::report::read::profile::Sample;
use crate::report::read::profile::Stacks;
use crate::report::read::profile::drawn::Drawn;
use crate::report::read::profile::drawn::Room;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::samples::SampleColumns;
use crate::report::read::samples::SleepColumns;
use crate::units;

/// What one flame graph may take: some 300 KiB of a page.
const ROOM: Room = Room { calls: 12_000, text: 200_000 };
/// Values of all calls and intervals, at some eleven bytes each.
const VALUES: usize = 25_000;
/// Letters of a function's name: those of templates can be very long.
const LETTERS: usize = 240;

/// A flame graph, and what it does not show.
pub(super) type Flame = (FlameTree, Option<String>);

/// What the CPUs ran.
pub(super) fn on(source: &Source, processes: &ProcessTable, stacks: &Stacks, intervals: &Intervals) -> Result<Flame> {
    let rows = || {
        let mut rows = source.rows("cpu_sample");
        let columns = SampleColumns::of(&mut rows);
        (rows, move |row: &Row<'_>| Some(columns.sample(processes, row)))
    };
    let tree =
        FlameTree { name: "cpu", title: "CPU time".to_owned(), empty: absent(source, "cpu"), ..FlameTree::default() };
    flame(source, stacks, intervals, tree, &[], rows)
}

/// In which calls threads waited.
pub(super) fn off(source: &Source, processes: &ProcessTable, stacks: &Stacks, intervals: &Intervals) -> Result<Flame> {
    let rows = || {
        let mut rows = source.rows("stack_total");
        let (columns, sleeps) = (SampleColumns::of(&mut rows), SleepColumns::of(&mut rows));
        (rows, move |row: &Row<'_>| sleeps.state(row).map(|_| columns.sample(processes, row)))
    };
    let empty = absent(source, "offcpu");
    let tree = FlameTree { name: "offcpu", title: "Time asleep".to_owned(), empty, ..FlameTree::default() };
    flame(source, stacks, intervals, tree, &LEAVING, rows)
}

/// What is shown where there is no stack.
fn absent(source: &Source, probe: &str) -> String {
    match source.meta().probes.iter().find(|own| own.name == probe) {
        None => format!("The probe '{probe}' was not part of the recording."),
        Some(_) => "No stack was recorded here.".to_owned(),
    }
}

/// Reads the rows to find the heaviest stacks, and once more to add up each call's time by interval.
fn flame<'r, Pick: FnMut(&Row<'_>) -> Option<Sample<'static>>>(
    source: &Source,
    stacks: &Stacks,
    intervals: &Intervals,
    tree: FlameTree,
    without: &'static [&'static str],
    rows: impl Fn() -> (Rows<'r>, Pick),
) -> Result<Flame> {
    let (all, pick) = rows();
    let profile = Profile::of(source, all, without, pick)?;
    let (mut room, mut drawn, mut own) = (ROOM, Drawn::default(), Vec::new());
    while room.calls > 0 {
        drawn = profile.drawn(stacks, room)?;
        own = vec![Sparse::default(); drawn.calls.len()];
        let (all, mut pick) = rows();
        all.each(|row| {
            let (Some(sample), Some(interval)) = (pick(row), intervals.at(row)) else { return };
            let call = drawn.call(&sample).and_then(|call| own.get_mut(usize::try_from(call).ok()?));
            if let Some(own) = call {
                own.add(interval, sample.ns);
            }
        })?;
        if own.iter().map(Sparse::len).sum::<usize>() <= VALUES {
            break;
        }
        // Stacks that come again in every interval: fewer of them.
        room.calls /= 2;
    }
    let cut = (drawn.joined_ns > 0).then(|| {
        let share = units::percent(100.0 * drawn.joined_ns as f64 / profile.ns().max(1) as f64);
        format!("{}: {share} is in many rare stacks, shown as one call per process", tree.title)
    });
    let caller = |(at, (caller, _)): (u32, &(Option<u32>, u32))| caller.map_or(0, |caller| at - caller);
    let tree = FlameTree {
        functions: drawn.functions.iter().map(|own| (short(&own.text), own.module.to_string())).collect(),
        callers: (0..).zip(&drawn.calls).map(caller).collect(),
        names: drawn.calls.iter().map(|(_, name)| *name).collect(),
        own,
        ..tree
    };
    Ok((tree, cut))
}

/// A name that is cut at its end where it is very long.
fn short(name: &str) -> String {
    match name.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}
