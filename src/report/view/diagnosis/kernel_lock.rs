//! `kernel-lock`: threads waited for a lock inside the kernel, such as that of an inode. Precondition: the ledger's cause `kernel lock`.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::glob;
use crate::report::read::ledger::Sort;
use crate::report::read::ledger::State;
use crate::report::read::profile::Function;
use crate::report::read::profile::LEAVING;
use crate::report::read::profile::Stacks;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Rule;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Who;
use crate::report::view::diagnosis::scene::Victim;
use crate::report::view::diagnosis::scene::others;

pub(super) static RULE: Rule =
    Rule { name: "kernel-lock", resource: "kernel lock", view: "offcpu", outdoes: &[], find };

/// Fewer waits may be those for a holder that got no CPU for once, unless they are most of the window: a lock that is never released.
const LEAST_WAITS: u64 = 5;
const LEAST_HELD: f64 = 0.5;

/// Functions that wait for any lock; the one that called them says which.
const LOCKING: [&str; 8] = [
    "*rwsem*",
    "down_read*",
    "down_write*",
    "down*killable*",
    "*mutex_lock*",
    "*percpu_rwsem*",
    "*rt_mutex*",
    "*lock_slowpath*",
];

fn find(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut victims = scene.victims(|sort: Sort, state: &State| sort == Sort::Lock && &*state.cause == "kernel lock");
    let is_contended = |victim: &Victim<'_>| {
        victim.spent.count >= LEAST_WAITS || victim.spent.ns as f64 >= LEAST_HELD * scene.span_ns()
    };
    victims.retain(is_contended);
    let Some(victim) = victims.first() else {
        return Ok(Vec::new());
    };
    let mut text = format!("{}, {} each", victim.sentence(scene, "a lock of the kernel"), victim.mean());
    if let Some(function) = locked_by(scene, victim.who)? {
        text.push_str(&format!(", most in {function}"));
    }
    text.push_str(&others(scene, victims.iter().skip(1)));
    Ok(vec![victim.finding(scene, format!("{text}."))])
}

/// The kernel function that wanted the lock in most of the waits.
fn locked_by(scene: &Scene<'_>, wanted: &Who) -> Result<Option<String>> {
    if !scene.has("stack_total") {
        return Ok(None);
    }
    let stacks = Stacks::of(scene.source, &[])?;
    let mut by: BTreeMap<Rc<Function>, u64> = BTreeMap::new();
    let mut rows = scene.source.rows("stack_total");
    let (kernel, sum) = (rows.int("kstack_id"), rows.int("sum"));
    rows.each(|row| {
        if scene.who_of_row(row).as_ref() != Some(wanted) {
            return;
        }
        let is_locking = |name: &str| LOCKING.iter().any(|pattern| glob::matches(pattern, name));
        let mut frames = stacks.frames(row.int(kernel), None);
        let mut frames = frames.by_ref().skip_while(|frame| LEAVING.contains(&&*frame.function.text)).peekable();
        if frames.peek().is_some_and(|frame| is_locking(&frame.function.text))
            && let Some(frame) = frames.find(|frame| !is_locking(&frame.function.text))
        {
            let ns = by.entry(Rc::clone(&frame.function)).or_default();
            *ns = ns.saturating_add(row.natural(sum));
        }
    })?;
    Ok(by.into_iter().max_by_key(|(_, ns)| *ns).map(|(function, _)| function.text.to_string()))
}
