//! Names of functions out of a file's symbol tables, for many places at once.
//!
//! The tables are read through in pieces, and of them only the names that are asked for are kept: a compiler's library has half
//! a million symbols, of which a recording meets some hundred.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use super::elf::Class;
use super::elf::u16_at;
use super::elf::u32_at;
use super::sections::Section;
use super::sections::Sections;
use super::sections::read;
use crate::demangle::MAX_NAME;
use crate::demangle::bounded;
use crate::demangle::demangled;

/// Symbols that are read at once: 64 KiB.
const PIECE: u64 = 2730;
/// `Elf32_Sym` and `Elf64_Sym`.
const SYMBOLS: (usize, usize) = (16, 24);
/// Symbol tables of a file that are looked at; it may have one of each sort.
const MAX_TABLES: usize = 4;
/// Symbols of all tables that are looked at. The largest browsers have five million.
const MAX_SYMBOLS: u64 = 8_000_000;
/// Times that a symbol may cover an address that is asked for; in ordinary files each is covered once or twice.
const MAX_OFFERS: u32 = 1 << 22;
/// Bytes of a name that are read. Names of templates take some thousand, and of expressions of templates tens of thousands.
const MAX_MANGLED: usize = 64 << 10;
/// Time for undoing what compilers make of names; later ones stay as they are.
const DEMANGLING: Duration = Duration::from_millis(300);
/// Names of one place that are compared; the C library has up to eight for one function.
const MAX_ALIASES: usize = 16;

/// Bytes of a table's names that are looked through for one of them; CPython's has half a million.
const MAX_TEXTS: u64 = 16 << 20;

const SHT_SYMTAB: u32 = 2;
const SHT_DYNSYM: u32 = 11;
const SHF_EXECINSTR: u64 = 4;
const STB_LOCAL: u8 = 0;
const STT_NOTYPE: u8 = 0;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// The functions that have these addresses, which are of the file's own numbering; those without a symbol are left out.
///
/// A file in which too much overlaps names none.
pub(super) fn names(file: &File, addresses: &BTreeSet<u64>) -> HashMap<u64, String> {
    let mut asked: Vec<Asked> = addresses.iter().map(|address| Asked::new(*address)).collect();
    let mut left = MAX_OFFERS;
    for table in tables(file).unwrap_or_default() {
        if table.look_up(file, &mut asked, &mut left).is_none() {
            return HashMap::new();
        }
    }
    name_by_the_last_before(&mut asked);
    let end = Instant::now() + DEMANGLING;
    let written = |name: String| if Instant::now() < end { demangled(&name) } else { bounded(&name) };
    asked.into_iter().filter_map(|asked| Some((asked.address, written(asked.name(file)?)))).collect()
}

/// How many symbols the tables of a file have: what a look into it costs.
pub(super) fn count(file: &File) -> u64 {
    tables(file).unwrap_or_default().iter().map(|table| table.symbols).sum()
}

/// The addresses and sizes of symbols that have exactly these names.
pub(super) fn find<const N: usize>(file: &File, names: [&str; N]) -> [Option<(u64, u64)>; N] {
    let mut found = [None; N];
    for table in tables(file).unwrap_or_default() {
        table.find(file, names, &mut found);
    }
    found
}

/// A symbol table and the texts of its names.
#[derive(Debug)]
struct SymbolTable {
    class: Class,
    offset: u64,
    symbols: u64,
    texts: (u64, u64),
    /// Where the file's sections of code begin and end, by number; other sections are empty.
    code: Rc<[(u64, u64)]>,
}

/// The symbol tables of a little-endian file; `None` for anything else.
fn tables(file: &File) -> Option<Vec<SymbolTable>> {
    let sections = Sections::read(file)?;
    let class = sections.class();
    let mut tables = Vec::new();
    let code = |one: Section| match one.flags & SHF_EXECINSTR {
        0 => (0, 0),
        _ => (one.address, one.address.saturating_add(one.size)),
    };
    let code: Rc<[_]> = sections.iter().map(code).collect();
    let mut left = MAX_SYMBOLS;
    for one in sections.iter().filter(|one| matches!(one.kind, SHT_SYMTAB | SHT_DYNSYM)).take(MAX_TABLES) {
        let texts = sections.at(one.link as usize)?;
        let symbols = (one.size / class.pick(SYMBOLS) as u64).min(left);
        left -= symbols;
        let texts = (texts.offset, texts.size);
        tables.push(SymbolTable { class, offset: one.offset, symbols, texts, code: Rc::clone(&code) });
    }
    Some(tables)
}

impl SymbolTable {
    /// Goes through the symbols and notes those that have an address that is asked for; `None`: they are too many.
    fn look_up(&self, file: &File, asked: &mut [Asked], left: &mut u32) -> Option<()> {
        self.each(file, |symbol| {
            let offers = self.note(symbol, asked).unwrap_or(0);
            *left = left.checked_sub(offers)?;
            Some(())
        })
    }

    /// Notes the addresses and sizes of the symbols that have these names.
    fn find<const N: usize>(&self, file: &File, names: [&str; N], found: &mut [Option<(u64, u64)>; N]) -> Option<()> {
        let texts = read(file, self.texts.0, usize::try_from(self.texts.1.min(MAX_TEXTS)).ok()?)?;
        self.each(file, |symbol| {
            let text = texts.get(u32_at(symbol, 0)? as usize..).unwrap_or_default();
            let is = |name: &str| text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0));
            // Section 0: it is another file's.
            let is_here = u16_at(symbol, self.class.pick((14, 6)))? != 0;
            if let Some(at) = names.iter().position(|name| is_here && is(name)) {
                let (start, size) = (self.class.word(symbol, (4, 8))?, self.class.word(symbol, (8, 16))?);
                found.get_mut(at)?.get_or_insert((start, size));
            }
            Some(())
        })
    }

    /// Goes through the symbols until `visit` gives none.
    fn each(&self, file: &File, mut visit: impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
        let (mut at, size) = (0, self.class.pick(SYMBOLS));
        while at < self.symbols {
            let count = PIECE.min(self.symbols - at);
            let Some(place) = self.offset.checked_add(at * size as u64) else { break };
            let Some(piece) = read(file, place, size * count as usize) else { break };
            piece.chunks_exact(size).try_for_each(&mut visit)?;
            at += count;
        }
        Some(())
    }

    /// Offers a symbol to the addresses that it covers; gives their number.
    fn note(&self, symbol: &[u8], asked: &mut [Asked]) -> Option<u32> {
        let (text, section) = (u64::from(u32_at(symbol, 0)?), u16_at(symbol, self.class.pick((14, 6)))?);
        let (kind, binding) = symbol.get(self.class.pick((12, 4))).map(|info| (info & 15, info >> 4))?;
        let (start, size) = (self.class.word(symbol, (4, 8))?, self.class.word(symbol, (8, 16))?);
        let (is_function, is_local) = (matches!(kind, STT_FUNC | STT_GNU_IFUNC), binding == STB_LOCAL);
        // Assembly may leave out what its functions are. On ARM, marks of data in code are local labels, too.
        let is_label = kind == STT_NOTYPE && size == 0 && !(is_local && cfg!(target_arch = "aarch64"));
        // Section 0: it is another file's.
        if !(is_function || is_label) || section == 0 || text >= self.texts.1 {
            return None;
        }
        let name = Name { place: self.texts.0.checked_add(text)?, is_local };
        let first = asked.partition_point(|asked| asked.address < start);
        if let (Some(after), Some((_, end))) = (asked.get_mut(first), self.code.get(usize::from(section))) {
            let before = Before { start, size, end: *end, name };
            after.before = after.before.max(Some(before));
        }
        let mut offers = 0;
        for asked in asked.get_mut(first..)?.iter_mut().take_while(|asked| asked.address - start < size) {
            asked.offer(start, name);
            offers += 1;
        }
        Some(offers)
    }
}

/// Names addresses that no symbol covers by the last function before them, where that has no size: as assembly that leaves it out
/// does. A function without size reaches to the next one, or to the end of its section.
fn name_by_the_last_before(asked: &mut [Asked]) {
    let mut last = None;
    for asked in asked {
        last = last.max(asked.before);
        if let Some(Before { start, size: 0, end, name }) = last
            && asked.names.is_empty()
            && asked.address < end
        {
            asked.offer(start, name);
        }
    }
}

/// A function that begins before an address; the largest is the last one, and of those at one place one that has a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Before {
    start: u64,
    size: u64,
    /// Where its section ends.
    end: u64,
    name: Name,
}

/// Where a name stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The last function that begins before it and behind the address before it.
    before: Option<Before>,
}

impl Asked {
    fn new(address: u64) -> Asked {
        Asked { address, start: 0, names: Vec::new(), before: None }
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
        names.min_by_key(rank).map(|(name, _)| name)
    }
}

/// A text that ends with a zero; of one that is too long a part, which [`bounded`] marks as cut.
pub(super) fn text(file: &File, place: u64) -> Option<String> {
    for size in [128, MAX_NAME, 8 * MAX_NAME, MAX_MANGLED] {
        let mut bytes = vec![0; size];
        let length = file.read_at(&mut bytes, place).ok()?;
        bytes.truncate(length);
        let end = bytes.iter().position(|byte| *byte == 0);
        if end.is_some() || size == MAX_MANGLED {
            bytes.truncate(end.unwrap_or(length));
            return String::from_utf8(bytes).ok().filter(|name| !name.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::names;
    use crate::symbols::table::Tables;
    use std::collections::BTreeSet;
    use std::fs::File;

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
        let Ok(file) = File::open(&path) else { panic!("the test's own file is not there") };
        let found = names(&file, &wanted);
        let expected = Tables::new().at_address(&path, here - base);
        assert!(expected.as_deref().is_some_and(|name| name.contains("our_own_functions")), "{expected:?}");
        assert_eq!((found.get(&(here - base)), found.get(&1)), (expected.as_ref(), None));
        assert_eq!(found.get(&(here - base + 1)), expected.as_ref());
    }

    #[test]
    fn what_is_no_elf_file_names_nothing() {
        let wanted: BTreeSet<u64> = [0].into();
        let Ok(file) = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")) else {
            panic!("it is not there")
        };
        assert!(names(&file, &wanted).is_empty());
    }

    /// An ELF file of `sections` symbol tables, all of them the same `symbols` symbols, each of which covers everything.
    fn hostile(sections: u16, symbols: u64) -> File {
        let mut bytes = vec![0; 64 + 64 * usize::from(sections)];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[40..48].copy_from_slice(&64u64.to_le_bytes());
        bytes[58..60].copy_from_slice(&64u16.to_le_bytes());
        bytes[60..62].copy_from_slice(&sections.to_le_bytes());
        let place = bytes.len() as u64;
        for section in bytes[64..].chunks_exact_mut(64) {
            section[4..8].copy_from_slice(&2u32.to_le_bytes());
            section[24..32].copy_from_slice(&place.to_le_bytes());
            section[32..40].copy_from_slice(&(24 * symbols).to_le_bytes());
        }
        let mut symbol = [0; 24];
        symbol[..8].copy_from_slice(&[1, 0, 0, 0, 2, 0, 1, 0]);
        symbol[16..].fill(0xff);
        bytes.extend(symbol.repeat(usize::try_from(symbols).unwrap()));
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
        file
    }

    #[test]
    fn a_file_of_65_000_symbol_tables_or_of_symbols_that_cover_everything_takes_no_time() {
        let start = std::time::Instant::now();
        let wanted: BTreeSet<u64> = (1..100_000).collect();
        assert!(names(&hostile(65_000, 10_000), &[5].into()).len() <= 1);
        assert!(names(&hostile(1, 100_000), &wanted).is_empty());
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    }
}
