//! `swap`: a process waited for pages that had been swapped out. Precondition: the machine swapped pages in throughout the window (kind
//! `machine_stat`), and a process lost time to page faults.

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::scene::others;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "swap", resource: "swap", view: "memory", outdoes: &["paging", "memory-reclaim", "disk"], find };

/// Pages swapped in per second: what was put aside long ago and is needed again comes back slower.
const LEAST_PER_SECOND: f64 = 50.0;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let counters = Counters::of(scene.source, "machine_stat")?;
    let (read, written) = (counters.get("", "vmstat.pswpin").grew, counters.get("", "vmstat.pswpout").grew);
    if (read as f64) < LEAST_PER_SECOND * scene.span_ns() / 1e9 {
        return Ok(Vec::new());
    }
    let victims = scene.victims(|_, state| &*state.cause == "page fault");
    let Some(victim) = victims.first() else {
        return Ok(Vec::new());
    };
    let text = format!(
        "{}. The machine read {} pages back from swap and wrote {} there, since memory was short{}.",
        victim.sentence(scene, "swapped-out memory (page fault)"),
        units::count(read),
        units::count(written),
        others(scene, victims.iter().skip(1)),
    );
    // Memory pressure also counts the time in which threads write pages out to make room, which the ledger has as time on a CPU.
    let pressure = counters.get("", "memory.pressure.some").grew as f64 / scene.span_ns();
    let finding = victim.finding(scene, text);
    Ok(vec![Finding { weight: finding.weight.max(pressure.min(1.0)), ..finding }])
}
