//! What every profile and trace says of its recording: where, when, and what is missing.

use anyhow::Result;

use crate::export::frames;
use crate::report::read::health;
use crate::report::read::input::Source;
use crate::report::read::window;

/// One sentence each, on one line.
pub(super) fn of(source: &Source) -> Result<Vec<String>> {
    let meta = source.meta();
    let mut facts = vec![
        format!("ebrec {}: {}", meta.version, meta.command.join(" ")),
        format!("host: {}", window::machine(source)),
        format!("window: {}", window::describe(source)),
    ];
    facts.extend(window::part(source).map(|part| format!("part of the window: {part}")));
    facts.extend(window::scope(source).map(|scope| format!("recorded: {scope}")));
    let missing = health::missing(source)?;
    facts.push(if missing.is_empty() { "complete: no event lost".to_owned() } else { missing.join("; ") });
    Ok(facts.iter().map(|fact| frames::name(fact).into_owned()).collect())
}
