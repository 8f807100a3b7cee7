//! Waits for locks that threads hold against one another.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::ledger::Sort;
use crate::report::read::profile::Frame;
use crate::report::read::profile::Function;
use crate::report::read::profile::Stacks;
use crate::report::view::diagnosis::Finding;
use crate::report::view::diagnosis::Scene;
use crate::report::view::diagnosis::Victim;
use crate::report::view::diagnosis::others;
use crate::units;

/// A function in which less than this part of the waiting was is no place to look first.
const LEAST_IN: f64 = 0.2;

/// The process whose threads lost most to waiting for locks.
pub(super) fn finding(scene: &Scene<'_>) -> Result<Option<Finding>> {
    let victims = scene.victims(Sort::Lock);
    let Some(victim) = victims.first() else {
        return Ok(None);
    };
    let causes = victim.command.causes(Sort::Lock).join(", ");
    let what = match causes.as_str() {
        "futex" => "a lock or condition (futex)".to_owned(),
        "kernel lock" => "a lock of the kernel".to_owned(),
        _ => format!("a lock ({causes})"),
    };
    let mut text = victim.sentence(scene, &what);
    text.push_str(&format!(", {} each", victim.mean()));
    // Little's law: what was spent in a second is how many were there on average.
    let there = |ns: u64| ns as f64 / scene.span_ns();
    let ran = there(victim.command.of(Sort::OnCpu).ns);
    text.push_str(&format!(". On average {:.1} of them waited while {ran:.1} ran", there(victim.spent.ns)));
    if let Some(place) = place(scene, victim)? {
        text.push_str(&format!(". {place}"));
    }
    text.push_str(&others(scene, victims.iter().skip(1)));
    Ok(Some(victim.finding("lock", format!("{text}."))))
}

/// Where the program waited, if stacks were recorded: `98.2% of it was in __lll_lock_wait (libc.so.6)`.
fn place(scene: &Scene<'_>, victim: &Victim<'_>) -> Result<Option<String>> {
    let source = scene.source;
    if !source.recording().kinds().iter().any(|(kind, _)| kind == "stack_total") {
        return Ok(None);
    }
    let stacks = Stacks::of(source, &[])?;
    let mut places: HashMap<Rc<Function>, u64> = HashMap::new();
    let mut all = 0u64;
    let mut rows = source.rows("stack_total");
    let (call, user, sum) = (rows.text("name"), rows.int("ustack_id"), rows.int("sum"));
    rows.each(|row| {
        let own = row.which().is_some_and(|which| victim.command.processes.contains(&which));
        if !own || row.text(call) != Some("futex") {
            return;
        }
        all = all.saturating_add(row.natural(sum));
        let named = |frame: &&Frame| frame.unnamed.is_none() && &*frame.function.text != "syscall";
        if let Some(frame) = stacks.frames(None, row.int(user)).find(named) {
            let ns = places.entry(Rc::clone(&frame.function)).or_default();
            *ns = ns.saturating_add(row.natural(sum));
        }
    })?;
    let most = places.into_iter().max_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    let most = most.filter(|(_, ns)| all > 0 && *ns as f64 >= LEAST_IN * all as f64);
    Ok(most.map(|(function, ns)| {
        let module = function.module.rsplit('/').next().unwrap_or_default();
        format!("{} of it was in {} ({module})", units::percent(100.0 * ns as f64 / all as f64), function.text)
    }))
}
