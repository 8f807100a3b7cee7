//! How functions of programs are seen to return: at their own exits, wherever those are certain.

use super::SpecError;
use super::at;
use crate::events::binary::Binary;
use crate::events::binary::Found;
use crate::events::files::Reached;
use crate::events::kernel::Refusal;
use crate::events::spec::Name;
use crate::exits;
use crate::exits::boundaries;
use crate::probe::hook::Function;
use crate::probe::hook::Place;
use crate::probe::hook::Returns;
use crate::probe::site::LeftOut;

/// What to do about a function whose exits are not certain.
const TRAMPOLINE: &str =
    "'(trampoline)' behind it takes any function, but can crash the program: see RETURNS in 'man ebrec-record'";

/// A file with the functions that a name or pattern means there.
pub(super) type InFile<'a> = (&'a Reached, &'a Binary, Vec<Found>);

/// The first instructions of functions.
pub(super) fn places(found: &[InFile<'_>]) -> Vec<Place> {
    let of_file = |(reached, binary, functions): &InFile<'_>| {
        functions.iter().map(|found| place(reached, binary, found)).collect()
    };
    found.iter().flat_map::<Vec<Place>, _>(of_file).collect()
}

/// The same, to be returned from by the kernel's trampoline.
///
/// # Errors
/// A place may be within a function, where there is no return address to replace.
pub(super) fn by_trampoline(name: &Name, found: &[InFile<'_>]) -> Result<Returns, SpecError> {
    if let Some(inside) = found.iter().flat_map(|(_, _, functions)| functions).find(|found| found.is_inside) {
        let why = format!("no function is known to begin at '{}'", inside.function);
        return Err(at(name, Refusal::new(why).hint("'uprobe' takes any instruction")));
    }
    Ok(Returns::ByTrampoline { places: places(found) })
}

fn place(reached: &Reached, binary: &Binary, found: &Found) -> Place {
    Place {
        path: reached.path.clone(),
        function: found.function.clone(),
        offset: found.offset,
        file: binary.identity(),
    }
}

/// Where the calls of functions begin and end. Of a pattern, functions whose exits are not certain are left out.
///
/// # Errors
/// No function is left; the reason of the first one.
pub(super) fn at_exits(name: &Name, found: &[InFile<'_>], left_out: &mut Vec<LeftOut>) -> Result<Returns, SpecError> {
    let mut functions = Vec::new();
    let mut first = None;
    for (reached, binary, in_file) in found {
        let program = binary.program().map_err(|refusal| at(name, refused(&name.text, &refusal)))?;
        for found in in_file {
            match boundaries(&program, found.address, found.size) {
                Ok(boundaries) => functions.push(Function { place: place(reached, binary, found), boundaries }),
                Err(refusal) => {
                    first.get_or_insert_with(|| refused(&found.function, &refusal));
                    left_out.push(LeftOut { name: found.function.clone(), reason: refusal.to_string() });
                }
            }
        }
    }
    let Some(Refusal { why, hint }) = first.filter(|_| functions.is_empty()) else {
        return Ok(Returns::AtExits { functions });
    };
    let why = match left_out.len() {
        1 => why,
        count => format!("of {count} functions that match '{}' none: {why}", name.text),
    };
    Err(at(name, Refusal { why, hint }))
}

fn refused(function: &str, refusal: &exits::Refusal) -> Refusal {
    let why = format!("can't take the returns of '{function}': {refusal}");
    Refusal::new(why).hint(refusal.hint().unwrap_or_else(|| TRAMPOLINE.to_owned()))
}
