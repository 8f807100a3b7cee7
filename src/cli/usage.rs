//! clap's complaints, in the form that every other error has.

use std::ffi::OsString;

use clap::error::ContextKind;
use clap::error::ContextValue;
use clap::error::ErrorKind;

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::text::shell_words;

/// Turns a complaint about the command line into one line and one hint. `command` is the subcommand that the words name, `rest`
/// what follows it.
pub(super) fn failure(error: &clap::Error, command: &clap::Command, rest: &[OsString]) -> Failure {
    if let Some(failure) = command_without_dashes(error, command, rest) {
        return failure;
    }
    let failure = Failure::usage(message(error));
    match tip(error).or_else(|| values_of_missing(error, command)) {
        Some(tip) => failure.hint(tip),
        None => failure.hint(format!("see '{} --help'", command.get_bin_name().unwrap_or("ebrec"))),
    }
}

/// `ebrec record make -j4`: the command to record has to follow `--`.
fn command_without_dashes(error: &clap::Error, command: &clap::Command, rest: &[OsString]) -> Option<Failure> {
    let word = context(error, ContextKind::InvalidArg).filter(|word| !word.starts_with('-'))?;
    if error.kind() != ErrorKind::UnknownArgument || command.get_name() != "record" {
        return None;
    }
    let at = rest.iter().position(|found| found.to_str() == Some(&word))?;
    let text = |words: &[OsString]| {
        String::from_utf8_lossy(&shell_words(words.iter().map(|w| w.as_encoded_bytes()))).into_owned()
    };
    let (options, program) = (text(rest.get(..at)?), text(rest.get(at..)?));
    let options = if options.is_empty() { options } else { format!(" {options}") };
    let hint = format!("to record a command, write it after '--': ebrec record{options} -- {program}");
    Some(Failure::usage(format!("unexpected word '{word}'")).hint(hint))
}

/// The values that an option takes which is missing, where they are few.
fn values_of_missing(error: &clap::Error, command: &clap::Command) -> Option<String> {
    let missing = context(error, ContextKind::InvalidArg).map(|arg| bare(&arg))?;
    let option =
        command.get_arguments().find(|arg| arg.get_long().is_some_and(|long| missing == format!("--{long}")))?;
    let values = option.get_possible_values();
    let names: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
    (error.kind() == ErrorKind::MissingRequiredArgument && !names.is_empty())
        .then(|| format!("{missing} takes one of: {}", names.join(", ")))
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
            Some(other) if bare(&other) == arg => format!("{arg} can be given only once"),
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
