//! `paging`: a process waited for pages of its own memory or of mapped files, which were read from a disk. Precondition: page faults that
//! blocked, for most of the time that it waited for storage.

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::read::ledger::State;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::scene::others;

pub(super) static RULE: Rule =
    Rule { name: "paging", resource: "page faults", view: "memory", outdoes: &["disk"], find };

/// Below this part of all its waits for storage, page faults are not what a process waits for.
const MOST: f64 = 0.5;

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    // A disk is waited for uninterruptibly; what another program supplies is not.
    let is_fault = |_: Sort, state: &State| &*state.cause == "page fault" && &*state.state == "uninterruptible";
    let mut victims = scene.victims(is_fault);
    victims.retain(|victim| {
        let storage = victim.group.of(|sort, _| sort == Sort::Storage).ns;
        victim.spent.ns as f64 >= MOST * storage as f64
    });
    let Some(victim) = victims.first() else {
        return Ok(Vec::new());
    };
    let mut text =
        format!("{}, {} each", victim.sentence(scene, "pages to be read (major page faults)"), victim.mean());
    text.push_str(&others(scene, victims.iter().skip(1)));
    Ok(vec![victim.finding(scene, format!("{text}."))])
}
