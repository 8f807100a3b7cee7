//! An error for the person at the terminal: what failed, what to do about it, and whether the command line was at fault.

use std::error::Error;
use std::fmt;

/// Whose mistake a failure is, which decides the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The command line asks for something that does not exist or makes no sense: exit status 2.
    Usage,
    /// The command line is sound and the work failed: exit status 1.
    Run,
}

/// A failure with the one-line advice that goes with it.
///
/// The message is lower-case, has no final stop and shows values in single quotes. It travels inside `anyhow::Error`, so
/// context may be added above it; the code that ends the process looks for it in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose mistake it is.
    pub blame: Blame,
    /// What failed, in one line.
    pub message: String,
    /// What to do about it, in one line without the `hint:` prefix.
    pub hint: Option<String>,
}

impl Failure {
    /// Makes a failure that the command line caused.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { blame: Blame::Usage, message: message.into(), hint: None }
    }

    /// Makes a failure of the work itself.
    pub fn run(message: impl Into<String>) -> Failure {
        Failure { blame: Blame::Run, message: message.into(), hint: None }
    }

    /// Makes a failure of the work out of an error whose text may have a `hint:` line of its own.
    pub fn from_error(error: &(impl fmt::Display + ?Sized)) -> Failure {
        let text = error.to_string();
        match text.split_once("\nhint: ") {
            Some((message, hint)) => Failure::run(message).hint(hint),
            None => Failure::run(text),
        }
    }

    /// Adds the advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

/// The hint for a mistyped name: the near ones when there are any, else every valid name.
pub fn did_you_mean(near: &[&str], all: &[&str]) -> String {
    match near {
        [] if all.is_empty() => "there are none".to_owned(),
        [] => format!("one of: {}", all.join(", ")),
        [one] => format!("did you mean '{one}'?"),
        several => {
            let quoted: Vec<String> = several.iter().map(|name| format!("'{name}'")).collect();
            format!("did you mean one of {}?", quoted.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn a_hint_prefers_near_names_and_falls_back_to_all() {
        assert_eq!(did_you_mean(&["block"], &["block", "sched"]), "did you mean 'block'?");
        assert_eq!(did_you_mean(&["a", "b"], &[]), "did you mean one of 'a', 'b'?");
        assert_eq!(did_you_mean(&[], &["block", "sched"]), "one of: block, sched");
        assert_eq!(did_you_mean(&[], &[]), "there are none");
    }
}
