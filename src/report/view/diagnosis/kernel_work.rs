//! `kernel-work`: a process spends its CPU time on work of the kernel that it hardly knows it asks for, such as copying page tables for
//! fork. Precondition: functions of the class `costly` on most of its samples.

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::functions::Functions;
use crate::units;

pub(super) static RULE: Rule =
    Rule { name: "kernel-work", resource: "kernel work", view: "cpu", outdoes: &["cpu-use"], find };

/// A process that spends less than this part of its CPU time on it does something else.
const LEAST_PART: f64 = 0.5;
/// One that uses less than this part of a CPU loses too little to matter.
const LEAST_OF_A_CPU: f64 = 0.1;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let people = scene.groups.iter().filter(|(_, group)| !group.processes.iter().all(|which| scene.is_kernel(*which)));
    let busy = people.filter(|(_, group)| group.ran_ns() as f64 >= LEAST_OF_A_CPU * scene.span_ns());
    let busy: Vec<&Who> = busy.map(|(who, _)| who).collect();
    let functions = Functions::of(scene, &busy)?;
    let mut findings = Vec::new();
    for (who, functions) in &functions {
        let (Some((words, part)), Some(group)) = (functions.costly(), scene.groups.get(who)) else { continue };
        if part < LEAST_PART {
            continue;
        }
        let ran = group.of(|sort, _| sort == Sort::OnCpu);
        let spent_ns = (part * ran.ns as f64) as u64;
        let of_window = (spent_ns as f64 / scene.span_ns()).min(1.0);
        let mut text = format!(
            "{} spent {} of its CPU time on {words} in the kernel: {}, {} of the window",
            scene.call(who),
            units::percent(100.0 * part),
            units::duration(whole(spent_ns)),
            units::percent(100.0 * of_window),
        );
        if let Some(parent) = scene.starter(who) {
            text.push_str(&format!(". {parent} started it"));
        }
        findings.push(Finding {
            alike: Some(scene.alike(who, words)),
            weight: part * of_window,
            text: format!("{text}."),
            victim: scene.owner(who),
            ns: spent_ns,
            percent: 100.0 * part,
            count: ran.count,
            ..Finding::default()
        });
    }
    Ok(findings)
}
