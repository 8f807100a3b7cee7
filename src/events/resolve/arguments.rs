//! The arguments of what an event is put on.

use super::refusals::other_end;
use crate::events::code::Arguments;
use crate::events::kernel::Function;
use crate::events::kernel::Refusal;
use crate::events::spec::Sort;
use crate::events::types::Parameter;
use crate::events::types::Shape;
use crate::events::types::Signature;
use crate::probe::hook::TypedFunction;
use crate::probe::site::Site;
use crate::probe::site::SiteArgument;

/// Arguments that BPF trampolines, raw tracepoints and static probes have at most.
pub(super) const MAX_ARGUMENTS: usize = 12;

/// (name, type) of arguments; those of which nothing is known are told as one.
pub(super) fn argument_values(arguments: &Arguments) -> Vec<(String, String)> {
    let named = |(place, known): (usize, &Parameter)| {
        let name = if known.name.is_empty() { format!("arg{place}") } else { format!("{} (arg{place})", known.name) };
        (name, known.type_name.clone())
    };
    let mut values: Vec<(String, String)> = arguments.known.iter().enumerate().map(named).collect();
    let count = usize::from(arguments.count);
    match count.saturating_sub(values.len()) {
        0 => {}
        1 => values.push((format!("arg{}", count - 1), String::new())),
        _ => values.push((format!("arg{} to arg{}", values.len(), count - 1), String::new())),
    }
    values
}

/// Whether a BPF trampoline can be put on a function.
pub(super) fn trampoline(function: &Function, signature: Option<&Signature>) -> Result<TypedFunction, Refusal> {
    let name = &function.name;
    let refused =
        |why: &str| Err(Refusal::new(format!("'{name}' {why}")).hint(format!("'kprobe:{name}' can trace it")));
    let Some(signature) = signature else { return refused("has no type information, which trampolines need") };
    if signature.variadic {
        return refused("takes any number of arguments, which trampolines can't");
    }
    if signature.parameters.len() > MAX_ARGUMENTS {
        return refused("has more arguments than trampolines take");
    }
    if signature.parameters.iter().any(|parameter| matches!(parameter.shape, Shape::Composite(_))) {
        return refused("takes a struct by value, which trampolines number differently");
    }
    let parameters = u8::try_from(signature.parameters.len()).unwrap_or(0);
    Ok(TypedFunction { name: name.clone(), module: function.module.clone(), parameters })
}

/// The parameters that functions have in common, each at the same place, and whether one function has no more than those.
pub(super) fn common(signatures: &[Option<Signature>]) -> (Vec<Parameter>, bool) {
    let mut known: Option<Vec<Parameter>> = None;
    for signature in signatures {
        let Some(signature) = signature else { return (Vec::new(), false) };
        known = Some(match known {
            None => signature.parameters.clone(),
            Some(known) => {
                let same = |(mut one, other): (Parameter, &Parameter)| {
                    if one.name != other.name {
                        one.name.clear();
                    }
                    if one.shape != other.shape {
                        one.shape = Shape::Opaque("different types".to_owned());
                        one.type_name.clear();
                        one.name.clear();
                    }
                    one
                };
                known.into_iter().zip(&signature.parameters).map(same).collect()
            }
        });
    }
    let whole = matches!(signatures, [Some(signature)] if !signature.variadic);
    (known.unwrap_or_default(), whole)
}

/// What functions of the kernel return, where it is the same; or why it can't be had.
pub(super) fn returned(sort: Sort, name: &str, signatures: &[Option<Signature>]) -> Result<Option<Parameter>, String> {
    match signatures {
        _ if !matches!(sort, Sort::Kretprobe | Sort::Fexit | Sort::Latency) => {
            Err(format!("nothing is returned yet at the entry: {}, or 'latency'", other_end(sort)))
        }
        [Some(Signature { returns: None, .. })] => Err(format!("'{name}' returns nothing")),
        signatures => Ok(same_return(signatures)),
    }
}

fn same_return(signatures: &[Option<Signature>]) -> Option<Parameter> {
    let mut all = signatures.iter().map(|signature| signature.as_ref()?.returns.clone());
    let first = all.next()??;
    all.all(|other| other.as_ref().is_some_and(|other| other.shape == first.shape)).then_some(first)
}

pub(super) fn arguments(mut known: Vec<Parameter>, whole: bool, limit: usize, name: &str) -> Arguments {
    // A struct that is passed by value takes registers or none, and moves those behind it.
    if let Some(place) = known.iter().position(|parameter| matches!(parameter.shape, Shape::Composite(_))) {
        known.truncate(place + 1);
    }
    let count = if whole { known.len().min(limit) } else { limit };
    let why = if whole && known.len() <= limit {
        match known.len() {
            0 => format!("'{name}' has no arguments"),
            1 => format!("'{name}' has one argument, arg0"),
            several => format!("'{name}' has {several} arguments, arg0 to arg{}", several - 1),
        }
    } else {
        format!("only the first {limit} arguments can be read")
    };
    known.truncate(limit);
    Arguments { known, count: u8::try_from(count).unwrap_or(0), limit: why, unreadable: Vec::new(), are_sized: false }
}

/// The arguments of static probes: those that all their places have. What no place tells in a way that can be read, can't be had.
pub(super) fn site_arguments(sites: &[Site], name: &str) -> Arguments {
    let count = sites.iter().map(|site| site.arguments.len()).min().unwrap_or(0).min(MAX_ARGUMENTS);
    let reason = |place: usize| {
        let mut reasons = sites.iter().map(|site| match site.arguments.get(place) {
            Some(SiteArgument::Unreadable(why)) => Some(why.clone()),
            _ => None,
        });
        let first = reasons.next()??;
        reasons.all(|other| other.is_some()).then_some(first)
    };
    Arguments {
        known: Vec::new(),
        count: u8::try_from(count).unwrap_or(0),
        limit: format!("'{name}' has {count} arguments"),
        unreadable: (0..count).map(reason).collect(),
        are_sized: true,
    }
}
