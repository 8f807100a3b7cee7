//! How a run ends: the exit status, and what stderr says.
//!
//! | status | means |
//! |---|---|
//! | 0 | success, or the reader of stdout closed it early |
//! | 1 | failure |
//! | 2 | the command line is wrong |
//! | 4 | an expression of `diff --fail-if` holds |
//! | other | the status of the recorded command; 128 + N when signal N killed it |

use std::io::ErrorKind;
use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::failure::Blame;
use crate::failure::Failure;
use crate::text::sanitize;

/// Status of a failure of the work.
pub const FAILURE: u8 = 1;
/// Status of a command line that asks for something that makes no sense.
pub const USAGE: u8 = 2;
/// Status of a comparison of which an expression holds.
pub const CHANGED: u8 = 4;
/// How long stderr may take for what is said at an end that does not wait.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How a line of advice begins.
const HINT: &str = "hint: ";

/// Turns the outcome of a run into the exit status, after telling stderr what failed.
pub fn of(outcome: anyhow::Result<u8>) -> ExitCode {
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let (text, status) = explain(&error);
            // Nobody is left to tell when stderr itself is gone.
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(status)
        }
    }
}

/// Ends the process now, from whatever thread, after telling stderr what failed if stderr takes it.
pub fn at_once(error: anyhow::Error) -> ! {
    let (text, status) = explain(&error);
    let (done, told) = channel();
    // Stderr may be a terminal that is stopped, or locked by a thread that waits for one.
    let tell = move || {
        let _ = std::io::stderr().write_all(text.as_bytes());
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(tell).is_ok() {
        let _ = told.recv_timeout(LAST_WORDS);
    }
    std::process::exit(status.into())
}

/// The lines for stderr and the exit status.
///
/// One line `ebrec: …` whatever the chain of causes holds, and a line `hint: …` for each piece of advice: a [`Failure`]'s own, or a line of
/// any error's message that begins so.
fn explain(error: &anyhow::Error) -> (String, u8) {
    let mut messages: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    let mut status = FAILURE;
    for cause in error.chain() {
        let text = cause.to_string();
        let (own_hints, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with(HINT));
        hints.extend(own_hints.iter().filter_map(|line| line.strip_prefix(HINT)).map(str::to_owned));
        let message =
            lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        // Many errors already say what their cause says.
        if !messages.last().is_some_and(|last| last.contains(&message)) {
            messages.push(message);
        }
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            hints.extend(failure.hint.clone());
            status = if failure.blame == Blame::Usage { USAGE } else { FAILURE };
        }
    }
    hints.dedup();
    let mut text = format!("ebrec: {}\n", sanitize(&messages.join(": ")));
    for hint in hints {
        text.push_str(&format!("{HINT}{}\n", sanitize(&hint)));
    }
    (text, status)
}

/// Whether the reader of stdout has gone, which `head` and pagers do as a matter of course.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::explain;
    use super::is_closed_pipe;
    use crate::failure::Failure;
    use anyhow::Context;
    use anyhow::anyhow;

    #[test]
    fn a_usage_error_ends_with_2_and_its_hint() {
        let error = anyhow::Error::new(Failure::usage("unknown view 'x'").hint("one of: block"));
        assert_eq!(explain(&error), ("ebrec: unknown view 'x'\nhint: one of: block\n".to_owned(), 2));
    }

    #[test]
    fn context_stays_on_the_same_line_and_keeps_the_hint() {
        let error =
            Err::<(), _>(Failure::run("no footer").hint("ebrec recover a")).context("can't read 'a'").unwrap_err();
        assert_eq!(explain(&error), ("ebrec: can't read 'a': no footer\nhint: ebrec recover a\n".to_owned(), 1));
    }

    #[test]
    fn names_from_outside_can_not_move_the_cursor() {
        let (text, status) = explain(&anyhow!("can't open '\x1b[2Jx\ny'"));
        assert_eq!((text.as_str(), status), ("ebrec: can't open '\\x1b[2Jx y'\n", 1));
    }

    #[test]
    fn a_hint_inside_a_message_gets_its_own_line_and_a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read 'a': {source}\nhint: ebrec recover 'a'")]
        struct Unreadable {
            source: std::io::Error,
        }
        let error = anyhow::Error::new(Unreadable { source: std::io::Error::other("gone") }).context("can't report");
        assert_eq!(explain(&error).0, "ebrec: can't report: cannot read 'a': gone\nhint: ebrec recover 'a'\n");
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&anyhow::Error::new(gone).context("can't write to stdout")));
        assert!(!is_closed_pipe(&anyhow!("x")));
    }
}
