//! Places in programs that an event's programs are attached to, and how a cookie distinguishes them.

use std::path::Path;

use anyhow::Context as _;
use anyhow::Result;

use crate::bpf::frames;
use crate::exits::Exit;
use crate::exits::Pairing;
use crate::host::code_file::CodeFile;
use crate::host::code_file::FileIdentity;
use crate::probe::hook::Function;
use crate::probe::hook::Place;

/// A place in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot<'a> {
    /// The function that it is in, or that ends there.
    pub(super) place: &'a Place,
    /// Bytes from the start of the file.
    pub(super) offset: u64,
    /// What the attachment says of it, where it can.
    pub(super) cookie: u64,
}

/// The first instructions of functions, by the functions' numbers.
pub(super) fn of_places<'a>(places: impl IntoIterator<Item = &'a Place>) -> Vec<Spot<'a>> {
    let numbered = (0u64..).zip(places);
    numbered.map(|(cookie, place)| Spot { place, offset: place.offset, cookie }).collect()
}

/// Where the calls of functions begin and end.
pub(super) struct Ends<'a> {
    /// By function.
    pub(super) entry: Spot<'a>,
    /// At least one.
    pub(super) exits: Vec<Spot<'a>>,
}

/// Where the calls of functions begin and end. Without cookies all places say the same, which is a constant of the object: what does
/// not fit is given with the second value.
pub(super) fn of_functions(functions: &[Function], cookies: bool) -> (Vec<Ends<'_>>, Vec<&Place>) {
    let alone = functions.len() == 1;
    let any_shared = functions.iter().any(Function::shares_exits);
    let first_pairing = functions.first().map(|function| function.boundaries.pairing);
    let mut ends = Vec::new();
    let mut misfits = Vec::new();
    for (number, Function { place, boundaries }) in (0u32..).zip(functions) {
        let pairing = boundaries.pairing;
        let number = if cookies || alone { number } else { u32::MAX };
        let is_shared = |is_shared: bool| if cookies { is_shared } else { any_shared };
        let shares = is_shared(boundaries.exits.iter().any(|exit| exit.is_shared));
        let entry = |offset, stack_delta| {
            let cookie = frames::entry_place(number, pairing, shares, stack_delta)?;
            Some(Spot { place, offset, cookie })
        };
        let delta = boundaries.entry.stack_delta;
        let chosen = || entry(boundaries.entry.offset, delta).filter(|_| cookies || alone || delta == 0);
        // Of Go, calls are not told apart at the first instruction.
        let first = || entry(place.offset, 0).filter(|_| pairing == Pairing::StackPointer);
        match chosen().or_else(first).filter(|_| cookies || Some(pairing) == first_pairing) {
            Some(entry) => {
                let exit = |exit: &Exit| Spot {
                    place,
                    offset: exit.offset,
                    cookie: frames::exit_place(number, pairing, is_shared(exit.is_shared)),
                };
                ends.push(Ends { entry, exits: boundaries.exits.iter().map(exit).collect() });
            }
            None => misfits.push(place),
        }
    }
    (ends, misfits)
}

/// Spots by the files that they are in, in the order of the first of each.
pub(super) fn by_file<'a>(spots: &[Spot<'a>]) -> Vec<Vec<Spot<'a>>> {
    let mut files: Vec<Vec<Spot<'a>>> = Vec::new();
    for spot in spots {
        let same = |file: &&mut Vec<Spot<'_>>| file.first().is_some_and(|first| first.place.path == spot.place.path);
        match files.iter_mut().find(same) {
            Some(file) => file.push(*spot),
            None => files.push(vec![*spot]),
        }
    }
    files
}

/// The file of a place, if it is still what it was when its code was read.
///
/// # Errors
/// It can't be opened, or it is another one.
pub(super) fn file(place: &Place) -> Result<CodeFile> {
    open(&place.path, &place.file)
}

/// Opens a file to attach to it if it is the one that was read.
pub(super) fn open(path: &Path, file: &FileIdentity) -> Result<CodeFile> {
    CodeFile::open_as(path, file).with_context(|| format!("can't open '{}'", path.display()))
}

#[cfg(test)]
mod tests {
    use super::of_functions;
    use crate::exits::Boundaries;
    use crate::exits::Entry;
    use crate::exits::Exit;
    use crate::exits::Pairing;
    use crate::host::code_file::FileIdentity;
    use crate::probe::hook::Function;
    use crate::probe::hook::Place;

    fn function(at: u64, stack_delta: u32, shared: &[bool], pairing: Pairing) -> Function {
        let file = FileIdentity::of(&std::fs::metadata("/proc/self/exe").unwrap());
        let exits = (0u64..).zip(shared).map(|(n, is_shared)| Exit { offset: at + 0x40 + n, is_shared: *is_shared });
        let entry = Entry { offset: at + u64::from(stack_delta), stack_delta };
        let place = Place { path: "/bin/x".into(), function: format!("f{at}"), offset: at, file };
        Function { place, boundaries: Boundaries { entry, exits: exits.collect(), pairing } }
    }

    fn seen(functions: &[Function], cookies: bool) -> (Vec<(u64, u64, Vec<u64>)>, usize) {
        let (ends, misfits) = of_functions(functions, cookies);
        let one = |ends: &super::Ends<'_>| {
            (ends.entry.offset, ends.entry.cookie, ends.exits.iter().map(|exit| exit.cookie).collect())
        };
        (ends.iter().map(one).collect(), misfits.len())
    }

    #[test]
    fn each_function_has_its_own_number_and_each_exit_its_own_mark() {
        let functions = [
            function(0x100, 8, &[false], Pairing::StackPointer),
            function(0x200, 0, &[false, true], Pairing::StackPointer),
            function(0x300, 0, &[false], Pairing::Goroutine),
        ];
        let expected = vec![
            (0x108, 8 << 32, vec![0]),
            (0x200, 1 << 62 | 1, vec![1, 1 << 62 | 1]),
            (0x300, 1 << 63 | 2, vec![1 << 63 | 2]),
        ];
        assert_eq!(seen(&functions, true), (expected, 0));
    }

    #[test]
    fn without_cookies_all_say_the_same() {
        let functions = [
            function(0x100, 8, &[false], Pairing::StackPointer),
            function(0x200, 0, &[false, true], Pairing::StackPointer),
            function(0x300, 0, &[false], Pairing::Goroutine),
        ];
        let none = u64::from(u32::MAX) | 1 << 62;
        // Not moved, for the stack pointer is elsewhere in the other function; and those of Go are told apart in another way.
        let expected = vec![(0x100, none, vec![none]), (0x200, none, vec![none, none])];
        assert_eq!(seen(&functions, false), (expected, 1));
        assert_eq!(seen(&functions[..1], false), (vec![(0x108, 8 << 32, vec![0])], 0), "alone it may be moved");
    }
}
