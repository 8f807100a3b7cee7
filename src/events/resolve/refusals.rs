//! What can't be attached to, and where the text said so.

use super::Name;
use super::Refusal;
use super::Sort;
use super::SpecError;

/// Places that one event is put on, at most: more are a mistyped glob, and take minutes where the kernel takes one at a time.
const MAX_PLACES: usize = 10_000;

/// What is refused, at the name that asked for it.
pub(super) fn at(name: &Name, refusal: Refusal) -> SpecError {
    let error = SpecError::new(name.at.0, refusal.why);
    match refusal.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Refuses what a mistyped glob takes.
pub(super) fn few(name: &Name, count: usize, what: &str) -> Result<(), SpecError> {
    if count <= MAX_PLACES {
        return Ok(());
    }
    let why = format!("{count} {what} match '{}', more than {MAX_PLACES}", name.text);
    Err(at(name, Refusal::new(why).hint("a narrower glob")))
}

/// The sort of event that has what a function returns.
pub(super) fn other_end(sort: Sort) -> &'static str {
    if sort == Sort::Fentry { "'fexit'" } else { "'kretprobe'" }
}
