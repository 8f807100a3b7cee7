//! `retry-loop`: a process makes a call that fails, again and again, without a pause. Precondition: nearly all calls of one name fail
//! with one error, thousands a second, and they are a good part of what the process did on its CPU (metrics `syscall.errors` and
//! `syscall.latency`).
//!
//! Compilers and interpreters also ask for many files that don't exist, but they go on to do something else.

use anyhow::Result;

use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "retry-loop", resource: "failing call", view: "syscalls", outdoes: &["cpu-use"], find };

/// Failures a second, below which there is a pause between them.
const LEAST_RATE: f64 = 2_000.0;
/// The part of the calls of that name that fail.
const LEAST_FAILED: f64 = 0.9;
/// A process that uses less than this part of a CPU burns too little to matter.
const LEAST_OF_A_CPU: f64 = 0.2;
/// The part of its CPU time in the call. A loop around a call spends most of its time in entering and leaving the kernel.
const LEAST_IN_CALL: f64 = 0.15;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (who, of_process) in scene.calls()? {
        let Some(group) = scene.groups.get(who).filter(|_| who.which.is_some()) else { continue };
        let ran_ns = group.ran_ns();
        if (ran_ns as f64) < LEAST_OF_A_CPU * scene.span_ns() {
            continue;
        }
        let failing = of_process
            .iter()
            .flat_map(|(name, calls)| calls.failed.iter().map(move |(errno, failed)| (name, calls, errno, *failed)));
        let Some((name, calls, errno, failed)) = failing.max_by_key(|(.., failed)| failed.count) else { continue };
        let (part, in_call) = (calls.part(failed.count), calls.ns as f64 / ran_ns.max(1) as f64);
        let rate = failed.count as f64 / (scene.span_ns() / 1e9);
        if rate < LEAST_RATE || part < LEAST_FAILED || in_call < LEAST_IN_CALL {
            continue;
        }
        let of_a_cpu = ran_ns as f64 / scene.span_ns();
        let text = format!(
            "{} repeats a call that fails: {} of its {} calls of {name} ended with {errno}, {} a second, without a pause between them. It used {} of a CPU.",
            scene.call(who),
            units::percent(100.0 * part),
            units::count(calls.count.max(failed.count)),
            units::count(rate as u64),
            units::percent(100.0 * of_a_cpu),
        );
        findings.push(Finding {
            weight: part * of_a_cpu.min(1.0),
            text,
            victim: scene.owner(who),
            ns: calls.ns,
            percent: 100.0 * in_call.min(1.0),
            count: failed.count,
            alike: Some(scene.alike(who, &format!("{name} {errno}"))),
            ..Finding::default()
        });
    }
    Ok(findings)
}
