//! What a page adds to the summary: the recording by intervals, with its slowest events.

use anyhow::Result;

use crate::render::Events;
use crate::render::OverTime;
use crate::report::over_time;
use crate::report::plan::ReportPlan;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::view::summary::slow;
use crate::report::view::summary::slow::Slow;

/// Events of a page: enough for most spans of time to have some.
const EVENTS: usize = 500;

/// One recording by intervals.
pub(super) fn over_time(source: &Source, plan: &ReportPlan) -> Result<OverTime> {
    let processes = ProcessTable::of(source)?;
    let mut slowest = slow::slowest(source, &processes, EVENTS + 1)?;
    let more = slowest.len() > EVENTS;
    slowest.truncate(EVENTS);
    let cells = |slow: &Slow| {
        let pid = slow.pid.map(|pid| pid.to_string()).unwrap_or_default();
        vec![slow.what.clone(), slow.comm.clone().unwrap_or_default(), pid, slow.cause.clone()]
    };
    let rows = slowest.iter().map(|slow| (slow.at, slow.dur_ns, cells(slow))).collect();
    let events = Events { keys: vec!["what", "command", "pid", "cause"], rows, more };
    over_time::over_time(source, &processes, plan, events)
}
