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

/// The word before the first colon, and where what follows it begins.
pub(super) fn sort(text: &str) -> Result<(Sort, usize), SpecError> {
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(text.len());
    let word = text.get(..end).unwrap_or_default();
    let names = Sort::ALL.map(Sort::name);
    if word.is_empty() {
        return Err(SpecError::new(0, "the sort of event is missing").hint(did_you_mean(&[], &names)));
    }
    let Some(sort) = Sort::ALL.into_iter().find(|sort| sort.name() == word) else {
        let near = nearest(word, names.into_iter());
        return Err(SpecError::new(0, format!("there is no sort of event '{word}'")).hint(did_you_mean(&near, &names)));
    };
    if !text.get(end..).is_some_and(|rest| rest.starts_with(':')) {
        return Err(SpecError::new(end, format!("a colon belongs behind '{word}'")).hint(FORM));
    }
    Ok((sort, end + 1))
}

pub(super) fn target(sort: Sort, text: &str, at: usize) -> Result<(Target, usize), SpecError> {
    match sort {
        Sort::Kprobe | Sort::Kretprobe | Sort::Fentry | Sort::Fexit | Sort::Rawtp => {
            let what = if sort == Sort::Rawtp { "a raw trace point" } else { "a kernel function" };
            let (name, at) = part(text, at, what, Ends::Anywhere)?;
            Ok((Target::Kernel(name), at))
        }
        Sort::Tracepoint => {
            let (category, at) = part(text, at, "a category of trace points", Ends::Colon)?;
            let (name, at) = part(text, at, "a trace point", Ends::Anywhere)?;
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
