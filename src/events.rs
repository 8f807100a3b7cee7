//! Custom events: the language of `-e`, and what its names mean on this machine.
//!
//! ```text
//! spec     = [name "="] sort ":" target ["(" [item *("," item)] ")"] ["/" expression "/"]
//! sort     = "kprobe" / "kretprobe" / "fentry" / "fexit" / "tracepoint" / "rawtp" / "uprobe" / "uretprobe" / "usdt" / "latency"
//! target   = function / category ":" name / file ":" function / file ":" provider ":" name
//! item     = [name "="] expression / [name "="] ("hist" / "by") "(" expression ")" / "stack" / "ustack" / "raw"
//! ```
//!
//! Expressions are C's, over numbers: see `man ebrec-record`. [`parse()`] checks the shape and works anywhere; `resolve` looks
//! names up in the kernel and in files, and gives [`CustomEvent`](crate::probe::event::CustomEvent)s, which the probe `events` attaches.

#[cfg(all(feature = "record", target_os = "linux"))]
mod binary;
#[cfg(all(feature = "record", target_os = "linux"))]
mod capture;
#[cfg(all(feature = "record", target_os = "linux"))]
mod code;
#[cfg(all(feature = "record", target_os = "linux"))]
mod files;
#[cfg(all(any(test, fuzzing), feature = "record", target_os = "linux"))]
pub(crate) mod fuzzing;
#[cfg(all(feature = "record", target_os = "linux"))]
mod kernel;
#[cfg(all(feature = "record", target_os = "linux"))]
mod nops;
#[cfg(all(feature = "record", target_os = "linux"))]
mod notes;
#[cfg(all(feature = "record", target_os = "linux"))]
mod operands;
mod parse;
#[cfg(all(feature = "record", target_os = "linux"))]
mod place;
#[cfg(all(feature = "record", target_os = "linux"))]
mod points;
#[cfg(all(feature = "record", target_os = "linux"))]
mod resolve;
pub mod spec;
mod token;
#[cfg(all(feature = "record", target_os = "linux"))]
mod types;

use crate::failure::Failure;

use self::spec::Written;

pub use self::parse::parse;
#[cfg(all(feature = "record", target_os = "linux"))]
pub use self::resolve::Offer;
#[cfg(all(feature = "record", target_os = "linux"))]
pub use self::resolve::offers;
#[cfg(all(feature = "record", target_os = "linux"))]
pub use self::resolve::resolve;

/// Reads the values of every `-e`.
///
/// # Errors
/// What is wrong with the first bad one, at which character.
pub fn read(texts: Vec<String>) -> Result<Vec<Written>, Failure> {
    let written = |text: String| match parse(&text) {
        Ok(spec) => Ok(Written { text, spec }),
        Err(error) => Err(error.failure(&text)),
    };
    texts.into_iter().map(written).collect()
}

/// What is wrong with a specification, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// The byte of the text that it is about; its length where something is missing at the end.
    pub at: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl SpecError {
    fn new(at: usize, message: impl Into<String>) -> SpecError {
        SpecError { at, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> SpecError {
        self.hint = Some(hint.into());
        self
    }

    /// With a hint if it has none yet.
    fn or_hint(mut self, hint: impl FnOnce() -> Option<String>) -> SpecError {
        self.hint = self.hint.or_else(hint);
        self
    }

    /// As the command line says it; people count characters, and from 1.
    pub fn failure(&self, text: &str) -> Failure {
        let position = text.char_indices().take_while(|&(index, _)| index < self.at).count() + 1;
        let failure = Failure::usage(format!("{}, at character {position} of '-e {text}'", self.message));
        match &self.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
