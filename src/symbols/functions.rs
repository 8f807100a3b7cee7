//! Names of functions out of a file's symbol tables, for many places at once.
//!
//! The tables are read through in pieces, and of them only the names that are asked for are kept: a compiler's library has half
//! a million symbols, of which a recording meets some hundred.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::elf::u16_at;
use super::elf::u32_at;
use super::elf::u64_at;

/// Symbols that are read at once: 64 KiB.
const PIECE: u64 = 2730;
/// `Elf64_Sym` and `Elf64_Shdr`.
const SYMBOL: usize = 24;
const SECTION: usize = 64;
/// Symbols of a table that are looked at, and bytes of a name. The largest browsers have five million symbols.
const MAX_SYMBOLS: u64 = 20_000_000;
const MAX_NAME: usize = 16 << 10;
/// Names of one place that are compared; the C library has up to eight for one function.
const MAX_ALIASES: usize = 16;

const SHT_SYMTAB: u32 = 2;
const SHT_DYNSYM: u32 = 11;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// The functions that have these addresses, which are of the file's own numbering; those without a symbol are left out.
pub(super) fn names(path: &Path, addresses: &BTreeSet<u64>) -> HashMap<u64, String> {
    let mut asked: Vec<Asked> = addresses.iter().map(|address| Asked::new(*address)).collect();
    let Ok(file) = File::open(path) else { return HashMap::new() };
    for table in tables(&file).unwrap_or_default() {
        table.look_up(&file, &mut asked);
    }
    asked.into_iter().filter_map(|asked| Some((asked.address, asked.name(&file)?))).collect()
}

/// A symbol table and the texts of its names.
#[derive(Debug, Clone, Copy)]
struct Table {
    offset: u64,
    symbols: u64,
    texts: (u64, u64),
}

/// The symbol tables of a 64-bit little-endian file; `None` for anything else.
fn tables(file: &File) -> Option<Vec<Table>> {
    let head = read(file, 0, 64)?;
    if !head.starts_with(b"\x7fELF\x02\x01") || usize::from(u16_at(&head, 58)?) != SECTION {
        return None;
    }
    let sections = read(file, u64_at(&head, 40)?, SECTION * usize::from(u16_at(&head, 60)?))?;
    let section = |index: usize| sections.get(SECTION * index..)?.get(..SECTION);
    let place = |section: &[u8]| Some((u64_at(section, 24)?, u64_at(section, 32)?));
    let mut tables = Vec::new();
    for one in sections.chunks_exact(SECTION) {
        if matches!(u32_at(one, 4)?, SHT_SYMTAB | SHT_DYNSYM) {
            let (offset, size) = place(one)?;
            let texts = place(section(u32_at(one, 40)? as usize)?)?;
            tables.push(Table { offset, symbols: (size / SYMBOL as u64).min(MAX_SYMBOLS), texts });
        }
    }
    Some(tables)
}

impl Table {
    /// Goes through the symbols and notes those that have an address that is asked for.
    fn look_up(&self, file: &File, asked: &mut [Asked]) {
        let mut at = 0;
        while at < self.symbols {
            let count = PIECE.min(self.symbols - at);
            let Some(place) = self.offset.checked_add(at * SYMBOL as u64) else { return };
            let Some(piece) = read(file, place, SYMBOL * count as usize) else { return };
            for symbol in piece.chunks_exact(SYMBOL) {
                self.note(symbol, asked);
            }
            at += count;
        }
    }

    fn note(&self, symbol: &[u8], asked: &mut [Asked]) -> Option<()> {
        let (text, section) = (u64::from(u32_at(symbol, 0)?), u16_at(symbol, 6)?);
        let (kind, binding) = symbol.get(4).map(|info| (info & 15, info >> 4))?;
        let (start, size) = (u64_at(symbol, 8)?, u64_at(symbol, 16)?);
        // Section 0: it is another file's.
        if !matches!(kind, STT_FUNC | STT_GNU_IFUNC) || section == 0 || text >= self.texts.1 {
            return None;
        }
        let name = Name { place: self.texts.0.checked_add(text)?, is_local: binding == 0 };
        let first = asked.partition_point(|asked| asked.address < start);
        for asked in asked.get_mut(first..)?.iter_mut().take_while(|asked| asked.address - start < size) {
            asked.offer(start, name);
        }
        Some(())
    }
}

/// Where a name stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    place: u64,
    is_local: bool,
}

/// An address and the names of the innermost function that has it.
#[derive(Debug)]
struct Asked {
    address: u64,
    start: u64,
    names: Vec<Name>,
}

impl Asked {
    fn new(address: u64) -> Asked {
        Asked { address, start: 0, names: Vec::new() }
    }

    fn offer(&mut self, start: u64, name: Name) {
        if start > self.start {
            self.names.clear();
            self.start = start;
        }
        if start == self.start && self.names.len() < MAX_ALIASES && !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// Of several names the one that programs call it by: with the fewest underscores, not the file's own.
    fn name(&self, file: &File) -> Option<String> {
        let read = |name: &Name| Some((text(file, name.place)?, name.is_local));
        let names = self.names.iter().filter_map(read);
        let rank = |(name, is_local): &(String, bool)| {
            let underscores = name.len() - name.trim_start_matches('_').len();
            (underscores, *is_local, name.len(), name.clone())
        };
        names.min_by_key(rank).map(|(name, _)| demangled(&name))
    }
}

/// What the compiler made of a name, undone.
pub(super) fn demangled(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return format!("{rust:#}");
    }
    let cpp = || cpp_demangle::Symbol::new(name).ok()?.demangle().ok();
    if name.starts_with("_Z") { cpp().unwrap_or_else(|| name.to_owned()) } else { name.to_owned() }
}

/// A text that ends with a zero.
fn text(file: &File, place: u64) -> Option<String> {
    let mut size = 128;
    while size <= MAX_NAME {
        let mut bytes = vec![0; size];
        let length = file.read_at(&mut bytes, place).ok()?;
        if let Some(end) = bytes.get(..length)?.iter().position(|byte| *byte == 0) {
            bytes.truncate(end);
            return String::from_utf8(bytes).ok().filter(|name| !name.is_empty());
        }
        size *= 4;
    }
    None
}

fn read(file: &File, place: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, place).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::demangled;
    use super::names;
    use crate::symbols::table::Tables;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn our_own_functions_have_the_names_that_a_symbolizer_gives_them() {
        let Ok(path) = std::env::current_exe() else { panic!("the test's own file has no name") };
        let here = our_own_functions_have_the_names_that_a_symbolizer_gives_them as fn() as usize as u64;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let base = maps.lines().find(|line| line.ends_with(&*path.to_string_lossy()));
        let Some(base) = base.and_then(|line| u64::from_str_radix(line.split('-').next()?, 16).ok()) else {
            panic!("the test's own file is not mapped: {maps}")
        };
        let wanted: BTreeSet<u64> = [here - base, here - base + 1, 1].into();
        let found = names(&path, &wanted);
        let expected = Tables::new().at_address(&path, here - base);
        assert!(expected.as_deref().is_some_and(|name| name.contains("our_own_functions")), "{expected:?}");
        assert_eq!((found.get(&(here - base)), found.get(&1)), (expected.as_ref(), None));
        assert_eq!(found.get(&(here - base + 1)), expected.as_ref());
    }

    #[test]
    fn what_is_no_elf_file_names_nothing() {
        let wanted: BTreeSet<u64> = [0].into();
        assert!(names(Path::new("/dev/null"), &wanted).is_empty());
        assert!(names(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path(), &wanted).is_empty());
    }

    #[test]
    fn names_are_demangled_by_the_language_that_they_come_from() {
        assert_eq!(demangled("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(demangled("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!((demangled("write"), demangled("_Zwhat")), ("write".to_owned(), "_Zwhat".to_owned()));
    }
}
