//! `steal`: the hypervisor gave the CPU time of this machine to others. Precondition: it took a twentieth of all CPU time (kind
//! `machine_stat`), and a tenth of what the machine wanted to use.

use anyhow::Result;

use crate::report::read::counters::Counters;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "steal", resource: "steal", view: "timeline", outdoes: &[], find };

/// Of all CPU time.
const LEAST_OF_ALL: f64 = 0.05;
/// Of the time in which CPUs were busy or stolen.
const LEAST_OF_BUSY: f64 = 0.1;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let stolen = Counters::of(scene.source, "machine_stat")?.get("", "cpu.steal").grew;
    let all = scene.span_ns() * f64::from(scene.source.meta().host.cpus.max(1));
    let busy = scene.cpus.values().fold(0u64, |sum, cpu| sum.saturating_add(cpu.in_state("busy")));
    // Stolen time is within what the ledger has as busy: a CPU that is taken away goes on with the same thread.
    let (of_all, of_busy) = (stolen as f64 / all, stolen as f64 / (busy.max(stolen) as f64).max(1.0));
    if of_all < LEAST_OF_ALL || of_busy < LEAST_OF_BUSY {
        return Ok(Vec::new());
    }
    let text = format!(
        "the hypervisor kept this machine's CPUs from running for {}: {} of the time in which they had work. Other guests of the host \
         had them, or this one has a limit there.",
        units::duration(whole(stolen)),
        units::percent(100.0 * of_busy),
    );
    Ok(vec![Finding { weight: of_busy.min(1.0), text, ns: stolen, percent: 100.0 * of_busy, ..Finding::default() }])
}
