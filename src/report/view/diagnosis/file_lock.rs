//! `file-lock`: a process waited for a lock on a file (flock, fcntl). Precondition: the ledger's cause `file lock`.

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::read::ledger::State;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::scene::others;

pub(super) static RULE: Rule = Rule { name: "file-lock", resource: "file lock", view: "offcpu", outdoes: &[], find };

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let victims = scene.victims(|_: Sort, state: &State| &*state.cause == "file lock");
    let Some(victim) = victims.first() else {
        return Ok(Vec::new());
    };
    let mut text = format!("{}, {} each", victim.sentence(scene, "a lock on a file"), victim.mean());
    text.push_str(&others(scene, victims.iter().skip(1)));
    Ok(vec![victim.finding(scene, format!("{text}."))])
}
