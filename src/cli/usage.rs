//! clap's complaints, in the form that every other error has.

use clap::error::ContextKind;
use clap::error::ContextValue;
use clap::error::ErrorKind;

use crate::failure::Failure;
use crate::failure::did_you_mean;

/// Turns a complaint about the command line into one line and one hint.
pub(super) fn failure(error: &clap::Error, command: &str) -> Failure {
    let failure = Failure::usage(message(error));
    match tip(error) {
        Some(tip) => failure.hint(tip),
        None => failure.hint(format!("see '{command} --help'")),
    }
}

fn message(error: &clap::Error) -> String {
    let arg = context(error, ContextKind::InvalidArg).map(|arg| bare(&arg));
    let value = context(error, ContextKind::InvalidValue);
    match (error.kind(), arg, value) {
        (ErrorKind::UnknownArgument, Some(arg), _) => format!("unknown option '{arg}'"),
        (ErrorKind::InvalidSubcommand, _, _) => {
            let name = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("unknown command '{name}'")
        }
        (ErrorKind::InvalidValue, Some(arg), Some(value)) if value.is_empty() => format!("{arg} needs a value"),
        (ErrorKind::InvalidValue, Some(arg), Some(value)) => format!("unknown value '{value}' for {arg}"),
        (ErrorKind::ValueValidation, Some(arg), Some(value)) => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            match why.contains(&format!("'{value}'")) {
                true => format!("{arg}: {why}"),
                false => format!("invalid value '{value}' for {arg}: {why}"),
            }
        }
        (ErrorKind::MissingRequiredArgument, Some(arg), _) => format!("{arg} is missing"),
        (ErrorKind::ArgumentConflict, Some(arg), _) => match context(error, ContextKind::PriorArg) {
            Some(other) if bare(&other) == arg => format!("{arg} can be given once only"),
            Some(other) => format!("{arg} can't be used with {}", bare(&other)),
            None => format!("{arg} can't be used here"),
        },
        _ => first_line(error),
    }
}

/// clap's own wording, for kinds that no person has asked for yet.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn tip(error: &clap::Error) -> Option<String> {
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue]
        .into_iter()
        .map(|kind| strings(error, kind))
        .find(|names| !names.is_empty())
        .unwrap_or_default();
    let valid = strings(error, ContextKind::ValidValue);
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    let valid: Vec<&str> = valid.iter().map(String::as_str).collect();
    (!near.is_empty() || !valid.is_empty()).then(|| did_you_mean(&near, &valid))
}

/// `--duration <DURATION>` as `--duration`, `<FILE>...` as `FILE`.
fn bare(arg: &str) -> String {
    let word = arg.split_whitespace().next().unwrap_or(arg);
    word.trim_end_matches("...").trim_matches(['<', '>', '[', ']']).to_owned()
}

fn strings(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let texts = strings(error, kind);
    (!texts.is_empty()).then(|| texts.join(", "))
}
