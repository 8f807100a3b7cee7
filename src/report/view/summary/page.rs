//! What a page adds to the summary: the recording by intervals, with its slowest events.

use anyhow::Result;

use crate::render::Events;
use crate::render::OverTime;
use crate::report::over_time;
use crate::report::over_time::Intervals;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::view::summary::slow;
use crate::report::view::summary::slow::Slow;

/// Bursts of a page that are there for how slow their events are.
const EVENTS: usize = 500;
/// Bursts of each interval, which are there whatever the rest of the window has: a span of time has its slowest.
const OF_INTERVAL: usize = 5;

/// One recording by intervals.
pub(super) fn over_time(source: &Source, plan: &ReportPlan) -> Result<OverTime> {
    let processes = ProcessTable::of(source)?;
    let events = |intervals: &Intervals| {
        let (slowest, more) = slow::slowest_by_interval(source, &processes, intervals, OF_INTERVAL, EVENTS)?;
        let cells = |slow: &Slow| {
            let pid = slow.pid.map(|pid| pid.to_string()).unwrap_or_default();
            let comm = slow.comm.clone().unwrap_or_default();
            vec![slow.what.clone(), comm, pid, slow.count.to_string(), slow.cause.clone()]
        };
        let rows = slowest.iter().map(|slow| (slow.at, slow.dur_ns, cells(slow))).collect();
        Ok(Events { keys: vec!["what", "command", "pid", "burst of", "cause"], rows, more })
    };
    over_time::over_time(source, &processes, plan, events)
}
