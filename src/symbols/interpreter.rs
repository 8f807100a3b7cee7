//! Finds the interpreter in a program or library: CPython 3.11 to 3.14.

use std::fs::File;

use object::ReadCache;

use super::elf::Elf;
use super::functions;
use super::sections;
use super::sections::Sections;
use crate::bpf::python::Interpreter;
use crate::bpf::python::MAX_PARTS;
use crate::exits;
use crate::exits::Program;
use crate::unwind::python::Layout;
use crate::unwind::python::MAX_TABLE;

/// The section with the interpreter's data, which all builds for Linux have.
const RUNTIME: &str = ".PyRuntime";
/// Its loop, and its version. Both are for extension modules, so stripping leaves them.
const LOOP: &str = "_PyEval_EvalFrameDefault";
const VERSION: &str = "Py_Version";

/// The interpreter in a file; `None` for a file without one, or with one of another version.
pub(super) fn of(file: &File, sections: &Sections, elf: &Elf) -> Option<Interpreter> {
    let runtime = sections.named(RUNTIME)?;
    let size = usize::try_from(runtime.size).ok()?.min(MAX_TABLE);
    let table = sections::read(file, runtime.offset, size)?;
    let [looped, version] = functions::find(file, [LOOP, VERSION]);
    let (address, size) = looped?;
    let written = || {
        let bytes = sections::read(file, elf.offset(version?.0)?, 4)?;
        bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    };
    let layout = Layout::of(Layout::version(&table).or_else(written)?, &table)?;
    let end = address.checked_add(size)?;
    let cache = ReadCache::new(file);
    let parts = Program::read(&cache).and_then(|program| exits::parts(&program, address, end));
    let place = |(start, end): (u64, u64)| Some((elf.offset(start)?, elf.offset(start)?.checked_add(end - start)?));
    let parts = parts.unwrap_or_else(|_| vec![(address, end)]).into_iter().filter_map(place).take(MAX_PARTS).collect();
    let (code, offset, _) =
        elf.code().find(|(start, _, bytes)| (*start..start.saturating_add(*bytes)).contains(&address))?;
    Some(Interpreter { layout, parts, runtime: runtime.address.wrapping_sub(code).wrapping_add(offset) })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use super::of;
    use crate::symbols::elf::Elf;
    use crate::symbols::sections::Sections;

    #[test]
    fn a_file_without_an_interpreter_has_none() {
        let file = File::open(Path::new("/proc/self/exe")).unwrap();
        assert_eq!(of(&file, &Sections::read(&file).unwrap(), &Elf::read(&file).unwrap()), None);
    }
}
