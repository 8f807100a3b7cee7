//! A recording by intervals, for pages on which a reader selects a span of time.
//!
//! Every part is bounded: the first rows of each table stay, and the rest is one sum, so that totals are right. The same readers as the
//! views' give the numbers, so they are the report's.

use anyhow::Result;

use crate::render::Events;
use crate::render::Fired;
use crate::render::OverTime;
use crate::render::SpanTable;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;
use crate::report::read::ledger;
use crate::report::read::processes::ProcessTable;
use crate::report::read::profile::Stacks;
use crate::report::read::window;
use crate::units;

mod distributions;
mod intervals;
mod machine;
mod room;
mod stacks;
mod sums;
mod threads;

pub(crate) use intervals::Intervals;

/// Reads one recording under its filters; single events are the caller's, which gets the intervals that a reader can select.
pub(crate) fn over_time(
    source: &Source,
    processes: &ProcessTable,
    plan: &ReportPlan,
    events: impl FnOnce(&Intervals) -> Result<Events>,
) -> Result<OverTime> {
    let intervals = Intervals::of(source)?;
    let events = events(&intervals)?;
    let mut cuts = Vec::new();
    let (strips, threads) = threads::threads(source, &intervals)?;
    let mut tables = sums::tables(source, processes, &intervals)?;
    tables.push(threads);
    let tables: Vec<SpanTable> = tables.into_iter().map(room::bounded).collect();
    let (distributions, left_out) = distributions::distributions(source, &intervals)?;
    if left_out > 0 {
        cuts.push(format!("{left_out} histograms are not on this page: 'ebrec report hist' shows them"));
    }
    let stacks = Stacks::of(source, &plan.debug_dirs)?;
    let mut flames = Vec::new();
    for (flame, cut) in
        [stacks::on(source, processes, &stacks, &intervals)?, stacks::off(source, processes, &stacks, &intervals)?]
    {
        flames.push(flame);
        cuts.extend(cut);
    }
    for table in tables.iter().filter(|table| table.omitted > 0) {
        cuts.push(format!("{}: {} rows are one", table.title, units::count(table.omitted)));
    }
    Ok(OverTime {
        bounds: intervals.bounds().to_vec(),
        trigger: window::fired_ns(source).zip(window::trigger(source)).map(|(at, text)| Fired { at, text }),
        lanes: machine::lanes(source, &intervals)?,
        parts: ledger::Sort::ALL.iter().map(|sort| sort.title()).collect(),
        strips,
        tables,
        events,
        distributions,
        flames,
        cuts,
    })
}
