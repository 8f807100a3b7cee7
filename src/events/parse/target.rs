//! What an event is put on: the part of a specification before the parentheses.

use super::FORM;
use crate::events::SpecError;
use crate::events::spec::At;
use crate::events::spec::Name;
use crate::events::spec::Sort;
use crate::events::spec::Target;
use crate::events::spec::is_special;
use crate::events::token::quoted;
use crate::failure::did_you_mean;
use crate::text::nearest;

const NAMED: &str = "a name has letters, digits, '_', '-' and '.', as 'reads=tracepoint:syscalls:sys_enter_read'";

/// The name before an equals sign, if the specification begins with one, and where what follows it begins.
pub(super) fn name(text: &str) -> Result<(Option<String>, usize), SpecError> {
    let end = text.find([':', '=', '(', '/', '"']).unwrap_or(text.len());
    if !text.get(end..).is_some_and(|rest| rest.starts_with('=')) {
        return Ok((None, 0));
    }
    let before = text.get(..end).unwrap_or_default();
    let name = before.trim();
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    match name.find(|letter| !is_name(letter)) {
        _ if name.is_empty() => Err(SpecError::new(0, "the event's name is missing").hint(NAMED)),
        Some(at) => {
            Err(SpecError::new(at + before.len() - before.trim_start().len(), format!("'{name}' is not a name"))
                .hint(NAMED))
        }
        None => {
            let rest = text.get(end + 1..).unwrap_or_default();
            Ok((Some(name.to_owned()), end + 1 + (rest.len() - rest.trim_start().len())))
        }
    }
}

/// The word before the first colon, and where what follows it begins.
pub(super) fn sort(text: &str, at: usize) -> Result<(Sort, usize), SpecError> {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let word = rest.get(..length).unwrap_or_default();
    let names = Sort::ALL.map(Sort::name);
    if word.is_empty() {
        return Err(SpecError::new(at, "the sort of event is missing").hint(did_you_mean(&[], &names)));
    }
    let Some(sort) = Sort::ALL.into_iter().find(|sort| sort.name() == word) else {
        let near = nearest(word, names.into_iter());
        return Err(SpecError::new(at, format!("there is no sort of event '{word}'")).hint(did_you_mean(&near, &names)));
    };
    if !rest.get(length..).is_some_and(|rest| rest.starts_with(':')) {
        return Err(SpecError::new(at + length, format!("a colon belongs behind '{word}'")).hint(FORM));
    }
    Ok((sort, at + length + 1))
}

pub(super) fn target(sort: Sort, text: &str, at: usize) -> Result<(Target, usize), SpecError> {
    match sort {
        Sort::Kprobe | Sort::Kretprobe | Sort::Fentry | Sort::Fexit | Sort::Rawtp => {
            let what = if sort == Sort::Rawtp { "a raw tracepoint" } else { "a kernel function" };
            let (name, at) = part(text, at, what, Ends::Anywhere)?;
            Ok((Target::Kernel(name), at))
        }
        Sort::Tracepoint => {
            let (category, at) = part(text, at, "a tracepoint category", Ends::Colon)?;
            let (name, at) = part(text, at, "a tracepoint", Ends::Anywhere)?;
            Ok((Target::Point { category, name }, at))
        }
        Sort::Uprobe | Sort::Uretprobe => {
            let (file, at) = file(text, at)?;
            let (function, at) = part(text, at, "a function", Ends::AnywhereButColon)?;
            Ok((Target::File { file, function }, at))
        }
        Sort::Usdt => {
            let (file, at) = file(text, at)?;
            let (provider, at) = part(text, at, "a provider", Ends::Colon)?;
            let (name, at) = part(text, at, "a static probe", Ends::Anywhere)?;
            Ok((Target::Static { file, provider, name }, at))
        }
        Sort::Latency => {
            let path = text.get(at..).is_some_and(|rest| rest.starts_with(['/', '.']));
            if !path {
                let (name, behind) = part(text, at, "a function", Ends::Anywhere)?;
                if !text.get(behind..).is_some_and(|rest| rest.starts_with(':')) {
                    return Ok((Target::Kernel(name), behind));
                }
            }
            let (file, at) = file(text, at)?;
            let (function, at) = part(text, at, "a function", Ends::AnywhereButColon)?;
            Ok((Target::File { file, function }, at))
        }
    }
}

/// What may follow a part of a target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// A colon must, and is passed over.
    Colon,
    /// A colon ends it, too.
    Anywhere,
    /// A colon is part of it, as in `a::b`.
    AnywhereButColon,
}

/// A file: a path up to the next colon, a name, or a text in quotes; the colon is passed over.
fn file(text: &str, at: usize) -> Result<(Name, usize), SpecError> {
    let rest = text.get(at..).unwrap_or_default();
    if !rest.starts_with(['/', '.']) {
        return part(text, at, "a file", Ends::Colon);
    }
    let length = rest.find(':').ok_or_else(|| {
        SpecError::new(text.len(), "a function of the file is missing").hint("as 'uprobe:/bin/bash:readline'")
    })?;
    Ok((Name { at: At(at), text: rest.get(..length).unwrap_or_default().to_owned() }, at + length + 1))
}

fn part(text: &str, at: usize, what: &str, ends: Ends) -> Result<(Name, usize), SpecError> {
    let rest = text.get(at..).unwrap_or_default();
    let (name, length) = if rest.starts_with('"') {
        quoted(rest).ok_or_else(|| SpecError::new(at, "a quote is not closed"))?
    } else {
        let colon = ends != Ends::AnywhereButColon;
        let length = rest.find(|c: char| is_special(c) || (colon && c == ':')).unwrap_or(rest.len());
        (rest.get(..length).unwrap_or_default().to_owned(), length)
    };
    if name.is_empty() {
        return Err(SpecError::new(at, format!("the name of {what} is missing")).hint(FORM));
    }
    let mut end = at + length;
    if ends == Ends::Colon {
        if !text.get(end..).is_some_and(|rest| rest.starts_with(':')) {
            return Err(SpecError::new(end, format!("a colon belongs behind the name of {what}")).hint(FORM));
        }
        end += 1;
    }
    Ok((Name { at: At(at), text: name }, end))
}
