//! `spin`: a process burnt CPU time in spinning for locks. Precondition: functions of spin locks are innermost in its samples.

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::functions::Functions;
use crate::units;

pub(super) static RULE: Rule = Rule { name: "spin", resource: "spin lock", view: "cpu", outdoes: &["cpu-use"], find };

/// A process that spins less than this part of its CPU time does something else.
const LEAST_SPINNING: f64 = 0.3;
/// One that uses less than this part of a CPU burns too little to matter.
const LEAST_OF_A_CPU: f64 = 0.3;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let busy = scene.groups.iter().filter(|(_, group)| group.ran_ns() as f64 >= LEAST_OF_A_CPU * scene.span_ns());
    let busy: Vec<&Who> = busy.map(|(who, _)| who).collect();
    let functions = Functions::of(scene, &busy)?;
    let mut findings = Vec::new();
    for (who, functions) in &functions {
        let (part, function) = functions.spinning();
        if let (Some(function), Some(group)) = (function.filter(|_| part >= LEAST_SPINNING), scene.groups.get(who)) {
            let ran = group.of(|sort, _| sort == Sort::OnCpu);
            let spun_ns = (part * ran.ns as f64) as u64;
            let text = format!(
                "{} spun for a lock {} of its CPU time: {} on {:.1} CPUs on average, in {function}.",
                scene.call(who),
                units::percent(100.0 * part),
                units::duration(whole(spun_ns)),
                ran.ns as f64 / scene.span_ns(),
            );
            findings.push(Finding {
                alike: Some(scene.alike(who, &function)),
                weight: part * (ran.ns as f64 / scene.span_ns()).min(1.0),
                text,
                victim: scene.owner(who),
                ns: spun_ns,
                percent: 100.0 * part,
                count: ran.count,
                ..Finding::default()
            });
        }
    }
    Ok(findings)
}
