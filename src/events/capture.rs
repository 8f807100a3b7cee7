//! From the items and the filter of a specification to an event.

use super::SpecError;
use super::code::Names;
use super::code::start;
use super::spec::Expr;
use super::spec::Item;
use super::spec::Labelled;
use super::spec::Node;
use super::spec::Spec;
use crate::probe::event::Capture;
use crate::probe::event::CustomEvent;
use crate::probe::event::MAX_NUMBERS;
use crate::probe::event::MAX_TEXTS;
use crate::probe::event::Named;
use crate::probe::event::Value;
use crate::probe::hook::Hook;

/// Makes the event of a hook.
///
/// # Errors
/// A value that there is not, or more of a sort than an event takes.
pub(super) fn event(text: &str, spec: &Spec, hook: Hook, names: &Names<'_>) -> Result<CustomEvent, SpecError> {
    let mut event = CustomEvent {
        text: text.to_owned(),
        label: spec.name.clone().unwrap_or_else(|| text.trim().to_owned()),
        hook,
        captures: Vec::new(),
        filter: Vec::new(),
        hist: None,
        by: None,
        every_hit: false,
        kernel_stack: false,
        user_stack: false,
        left_out: Vec::new(),
    };
    for item in &spec.items {
        match item {
            Item::Capture(labelled) => {
                let value = names.value(&labelled.value)?;
                let name = name(labelled, &event.captures)?;
                event.captures.push(Capture { name, value });
                bounded(labelled, &event.captures)?;
            }
            Item::Hist(labelled) if event.hist.is_some() => return Err(second(labelled, "hist")),
            Item::Hist(labelled) => {
                event.hist = Some(Named { name: name(labelled, &[])?, steps: names.number(&labelled.value)? });
            }
            Item::By(labelled) if event.by.is_some() => return Err(second(labelled, "by")),
            Item::By(labelled) => {
                event.by = Some(Capture { name: name(labelled, &[])?, value: names.value(&labelled.value)? });
            }
            Item::KernelStack => event.kernel_stack = true,
            Item::UserStack => event.user_stack = true,
            Item::Raw => event.every_hit = true,
            // What the hook is made of.
            Item::Trampoline(_) => {}
        }
    }
    if let Some(filter) = &spec.filter {
        event.filter = names.filter(filter)?;
    }
    Ok(event)
}

fn second(labelled: &Labelled, what: &str) -> SpecError {
    SpecError::new(labelled.at.0, format!("an event can have only one '{what}(…)'"))
        .hint("give another event with '-e'")
}

/// The name that the user gave, else the shortest one that says what it is.
fn name(labelled: &Labelled, others: &[Capture]) -> Result<String, SpecError> {
    let is_taken = |name: &str| others.iter().any(|other| other.name == name);
    if let Some(label) = &labelled.label {
        if is_taken(label) {
            return Err(SpecError::new(labelled.at.0, format!("a second value is named '{label}'")));
        }
        return Ok(label.clone());
    }
    let whole = labelled.value.to_string();
    let name = short(&labelled.value).filter(|name| !is_taken(name)).unwrap_or_else(|| whole.clone());
    if is_taken(&name) {
        return Err(SpecError::new(start(&labelled.value), format!("'{whole}' is captured twice")));
    }
    Ok(name)
}

fn short(expression: &Expr) -> Option<String> {
    match &expression.node {
        Node::Name(name) | Node::Member { name, .. } => Some(name.clone()),
        Node::Call { of, .. } | Node::Cast { of, .. } | Node::Deref(of) => short(of),
        _ => None,
    }
}

fn bounded(last: &Labelled, captures: &[Capture]) -> Result<(), SpecError> {
    let texts = captures.iter().filter(|capture| matches!(capture.value, Value::Text { .. })).count();
    let numbers = captures.len() - texts;
    let (count, limit, what) =
        if texts > MAX_TEXTS { (texts, MAX_TEXTS, "texts") } else { (numbers, MAX_NUMBERS, "numbers") };
    if count <= limit {
        return Ok(());
    }
    Err(SpecError::new(last.at.0, format!("an event captures at most {limit} {what}")))
}
