//! `blocked-file`: a thread has waited for a file since before the window began, and nobody ended that: its file system is frozen, or
//! another process or machine serves it and does not answer. Precondition: kind `wait`, one wait that the window is a part of, and the
//! functions of the kernel in which the thread is.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::table::cells::whole;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::names::Class;
use crate::report::view::diagnosis::names::Names;
use crate::report::view::diagnosis::wait::Wait;
use crate::report::view::diagnosis::wait::waits;
use crate::units;

pub(super) static RULE: Rule = Rule {
    name: "blocked-file",
    resource: "file system",
    view: "threads",
    outdoes: &["disk", "kernel-lock", "slow-filesystem"],
    find,
};

/// The part of the window that the wait is at least.
const LEAST: f64 = 0.9;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let names = Names::read();
    let mut said: BTreeSet<Who> = BTreeSet::new();
    let mut findings = Vec::new();
    for wait in waits(scene) {
        if wait.longest_ns() as f64 >= LEAST * scene.span_ns()
            && let Some(finding) = finding(scene, &names, &wait)
            && said.insert(wait.who.clone())
        {
            findings.push(finding);
        }
    }
    Ok(findings)
}

fn finding(scene: &Scene<'_>, names: &Names, wait: &Wait<'_>) -> Option<Finding> {
    let inside = wait.target.inside.as_deref()?;
    let file = wait.target.name.as_ref().map(|name| format!(" ({})", name.text)).unwrap_or_default();
    let is_file = &*wait.key.on == "file";
    let why = match names.of_kernel(inside.split(';'), Class::Filesystem) {
        Some((function, words)) => {
            format!("{words}{file} since before the window began, and nobody answers; it is in {function}")
        }
        None => {
            names.of_kernel(inside.split(';'), Class::Frozen).filter(|_| is_file)?;
            format!(
                "a frozen file system{file} since before the window began, as 'fsfreeze' leaves it, or a snapshot; 'fsfreeze --unfreeze' \
                 ends that"
            )
        }
    };
    let mut text = format!("{} has waited for {why}", scene.call(&wait.who));
    // That they are stopped is no proof that it is they who do not answer.
    let stopped: Vec<String> = scene
        .groups
        .iter()
        .filter(|(_, group)| group.of_all(|sort, _| sort != Sort::Stopped).ns == 0 && group.lived_ns > 0)
        .map(|(who, _)| scene.call(who))
        .collect();
    if let [one] = stopped.as_slice() {
        text.push_str(&format!(". {one} was stopped throughout"));
    }
    Some(Finding {
        weight: 1.0,
        text: format!("{text}: {}.", units::duration(whole(wait.longest_ns()))),
        victim: scene.owner(&wait.who),
        ns: wait.target.ns,
        percent: 100.0,
        count: wait.target.count,
        alike: Some(scene.alike(&wait.who, &why)),
        ..Finding::default()
    })
}
