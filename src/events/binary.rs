//! What a program or library has to be put events on: functions and static probes.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use object::Object;
use object::ObjectSection;
use object::ObjectSegment;
use object::ObjectSymbol;
use object::ReadCache;
use object::ReadRef;
use object::SegmentFlags;
use object::SymbolFlags;
use object::SymbolKind;
use object::elf::PF_X;
use object::elf::STT_FUNC;
use object::elf::STT_GNU_IFUNC;

use super::kernel::Refusal;
use super::nops;
use super::notes::notes;
use super::operands::Machine;
use super::operands::Symbols;
use super::operands::arguments;
use super::place::Place;
use super::place::place;
use crate::demangle::demangled;
use crate::demangle::without_parameters;
use crate::exits;
use crate::exits::Program;
use crate::failure::did_you_mean;
use crate::glob;
use crate::host::code_file::FileIdentity;
use crate::host::foreign;
use crate::probe::site::Site;
use crate::probe::site::SiteArgument;
use crate::text::nearest;

/// Where distributions put separate debug information.
const DEBUG_DIRECTORY: &str = "usr/lib/debug/.build-id";
/// Symbols of a file in which functions are looked for. The largest browsers have five million.
const MAX_FUNCTIONS: usize = 8_000_000;
/// Names that are compared with a mistyped one, at most.
const MAX_NEAR: usize = 200_000;
/// Symbols in which the variables of static probes are looked for.
const MAX_SYMBOLS: usize = 2_000_000;

/// A place that a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The function as its source writes it.
    pub(super) function: String,
    /// Bytes from the start of the file.
    pub(super) offset: u64,
    /// In the file's own numbering.
    pub(super) address: u64,
    /// Bytes of its code, where a symbol says it.
    pub(super) size: Option<u64>,
    /// Whether it may be another place than a function's beginning.
    pub(super) is_inside: bool,
}

/// A static probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StaticProbe {
    /// Who named it.
    pub(super) provider: String,
    /// Its name.
    pub(super) name: String,
    /// Its places in the file.
    pub(super) sites: Vec<StaticSite>,
}

/// A place of a static probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StaticSite {
    /// Where its instruction begins, in bytes from the start of the file.
    pub(super) offset: u64,
    /// The same in the file's own numbering.
    pub(super) address: u64,
    /// Where the counter is that enables it, likewise; 0: it has none.
    pub(super) semaphore: u64,
    /// Where its arguments are.
    pub(super) arguments: Vec<SiteArgument>,
}

impl StaticSite {
    /// As an event's place, probed so many bytes behind its instruction.
    pub(super) fn site(&self, probe: usize, behind: u64) -> Site {
        let mut arguments = self.arguments.clone();
        for argument in &mut arguments {
            if let SiteArgument::Located(located) = argument
                && located.from_probe
            {
                located.number = located.number.wrapping_sub_unsigned(behind);
            }
        }
        Site { probe, offset: self.offset.saturating_add(behind), semaphore: self.semaphore, arguments }
    }
}

/// A file of machine code.
pub(super) struct Binary {
    path: PathBuf,
    identity: FileIdentity,
    cache: ReadCache<File>,
    debug: Option<ReadCache<File>>,
}

/// A function in a symbol table.
struct Symbol {
    name: String,
    address: u64,
    size: u64,
    is_chosen_late: bool,
}

impl Binary {
    /// Opens a file; `root` is the directory below which its debug information is looked for.
    ///
    /// # Errors
    /// It can't be read, or is not for this machine.
    pub(super) fn open(path: &Path, root: &Path) -> Result<Binary, Refusal> {
        let shown = path.display();
        let unreadable = |error| Refusal::new(format!("can't open '{shown}': {error}"));
        let file = foreign::open(path).map_err(unreadable)?;
        let identity = FileIdentity::of(&file.metadata().map_err(unreadable)?);
        let mut binary = Binary { path: path.to_owned(), identity, cache: ReadCache::new(file), debug: None };
        let elf = binary.elf()?;
        if !elf.is_64() || !elf.is_little_endian() || elf.architecture() != this_machine() {
            return Err(Refusal::new(format!("'{shown}' is not for this machine's {}", std::env::consts::ARCH)));
        }
        if elf.symbol_table().is_none()
            && let Some(id) = elf.build_id().ok().flatten().map(|id| id.to_owned())
            && let Some(path) = debug_file(root, &id)
        {
            binary.debug = foreign::open(&path).ok().map(ReadCache::new);
        }
        Ok(binary)
    }

    fn elf(&self) -> Result<object::File<'_, &ReadCache<File>>, Refusal> {
        object::File::parse(&self.cache).map_err(|_| {
            let script = self.cache_begins(b"#!");
            let what = if script { "a script: name its interpreter" } else { "no ELF file" };
            Refusal::new(format!("'{}' is {what}", self.path.display()))
        })
    }

    fn cache_begins(&self, with: &[u8]) -> bool {
        (&self.cache).read_bytes_at(0, with.len() as u64).is_ok_and(|bytes| bytes == with)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What tells it from another file at its path.
    pub(super) fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Whether the Go compiler made it.
    pub(super) fn is_go(&self) -> bool {
        let sections = [".go.buildinfo", ".gopclntab", ".data.rel.ro.gopclntab", ".note.go.buildid"];
        self.elf().is_ok_and(|elf| sections.iter().any(|name| elf.section_by_name(name).is_some()))
    }

    /// The functions that a name or pattern means, in the order of their places, each place once; or the place that an address or
    /// an offset means.
    ///
    /// # Errors
    /// There is none, with the nearest names; or the place is not in the file's code.
    pub(super) fn functions(&self, name: &str) -> Result<Vec<Found>, Refusal> {
        match place(name) {
            Place::Named(pattern) => self.named(pattern),
            Place::Address(address) => self.at_address(name, address).map(|found| vec![found]),
            Place::Within(function, within) => self.within(name, function, within).map(|found| vec![found]),
        }
    }

    fn at_address(&self, name: &str, address: u64) -> Result<Found, Refusal> {
        let symbols = self.symbols()?;
        let here = symbols.iter().filter(|symbol| symbol.address == address);
        let size = here.map(|symbol| symbol.size).max();
        let function = name.to_owned();
        let is_inside = size.is_none();
        let found = self.code_offset(address).map(|offset| Found { function, offset, address, size, is_inside });
        found.ok_or_else(|| {
            let code = self.code_segments().into_iter();
            let ranges: Vec<String> = code.map(|(begin, end)| format!("{begin:#x} to {:#x}", end - 1)).collect();
            let refusal = Refusal::new(format!("{address:#x} is not in the code of '{}'", self.path.display()));
            refusal.hint(format!("its code is at {}, in the numbering of 'nm' and 'objdump'", ranges.join(" and ")))
        })
    }

    fn within(&self, name: &str, function: &str, within: u64) -> Result<Found, Refusal> {
        let shown = self.path.display();
        let found = self.named(function)?;
        let [Found { offset, address, .. }] = found.as_slice() else {
            let why = format!("'{function}' means {} functions of '{shown}'", found.len());
            return Err(Refusal::new(why).hint("an offset belongs to one function"));
        };
        let of_function = |symbol: &Symbol| symbol.address == *address;
        let size = self.symbols()?.iter().filter(|symbol| of_function(symbol)).map(|symbol| symbol.size).max();
        match size {
            Some(size) if size > 0 && within >= size => {
                Err(Refusal::new(format!("'{function}' of '{shown}' ends before that: it has {size} bytes")))
            }
            _ => Ok(Found {
                function: name.to_owned(),
                offset: offset.saturating_add(within),
                address: address.saturating_add(within),
                size: size.filter(|_| within == 0),
                is_inside: within > 0,
            }),
        }
    }

    fn named(&self, pattern: &str) -> Result<Vec<Found>, Refusal> {
        let symbols = self.symbols()?;
        let shown = self.path.display();
        let core = glob::core(pattern);
        let mut found: BTreeMap<u64, Found> = BTreeMap::new();
        let indirect: HashSet<&str> =
            symbols.iter().filter(|symbol| symbol.is_chosen_late).map(|symbol| symbol.name.as_str()).collect();
        let mut late = None;
        for symbol in symbols.iter().filter(|symbol| symbol.name.contains(core)) {
            // Parts of functions that are seldom run are not functions to count.
            if glob::is_glob(pattern) && symbol.name.contains(".cold") {
                continue;
            }
            let Some(written) = means(pattern, &symbol.name) else { continue };
            // Beside an indirect function, one of its name is an old version that hardly anyone calls.
            if indirect.contains(symbol.name.as_str()) {
                late = Some(symbol.name.clone());
                continue;
            }
            let Some(offset) = self.offset(symbol.address) else { continue };
            let address = symbol.address;
            let known = found.entry(offset).or_insert_with(|| Found {
                function: written.clone(),
                offset,
                address,
                size: None,
                is_inside: false,
            });
            known.size = known.size.max(Some(symbol.size).filter(|size| *size > 0));
            // Of several names of one place the shortest.
            if (written.len(), &written) < (known.function.len(), &known.function) {
                known.function = written;
            }
        }
        if !found.is_empty() {
            return Ok(found.into_values().collect());
        }
        if let Some(name) = late {
            let why =
                format!("which code '{name}' of '{shown}' is, is chosen when a program starts (an indirect function)");
            let variants =
                format!("its variants have names of their own: 'ebrec probes -e \"uprobe:{shown}:*{name}*\"'");
            return Err(Refusal::new(why).hint(variants));
        }
        if symbols.is_empty() {
            let why = format!("'{shown}' has no symbols");
            return Err(Refusal::new(why).hint("install its debug information, below /usr/lib/debug"));
        }
        if glob::is_glob(pattern) {
            return Err(Refusal::new(format!("no function of '{shown}' matches '{pattern}'")));
        }
        let mut names: Vec<String> =
            symbols.iter().take(MAX_NEAR).map(|symbol| without_parameters(&symbol.name)).collect();
        names.sort();
        names.dedup();
        let near = nearest(pattern, names.iter().map(String::as_str));
        let refusal = Refusal::new(format!("'{shown}' has no function '{pattern}', or it was inlined everywhere"));
        let search = format!("'ebrec probes -e \"uprobe:{shown}:*{pattern}*\"' looks for longer names");
        Err(if near.is_empty() { refusal.hint(search) } else { refusal.hint(did_you_mean(&near, &[])) })
    }

    /// Its machine code, to look for the exits of its functions.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) fn program(&self) -> Result<Program<'_>, exits::Refusal> {
        Program::read(&self.cache)
    }

    /// All functions in the file's tables and in its separate debug information.
    fn symbols(&self) -> Result<Vec<Symbol>, Refusal> {
        let elf = self.elf()?;
        let mut symbols: Vec<Symbol> =
            elf.symbols().chain(elf.dynamic_symbols()).take(MAX_FUNCTIONS).filter_map(|one| symbol(&one)).collect();
        if let Some(debug) = self.debug.as_ref().and_then(|debug| object::File::parse(debug).ok()) {
            symbols.extend(debug.symbols().take(MAX_FUNCTIONS).filter_map(|one| symbol(&one)));
        }
        // A program of Go keeps its functions' names though it is stripped.
        if elf.symbol_table().is_none()
            && self.is_go()
            && let Ok(program) = self.program()
        {
            symbols.extend(program.go_functions().map(|function| Symbol {
                name: function.name.to_owned(),
                address: function.address,
                size: function.size,
                is_chosen_late: false,
            }));
        }
        Ok(symbols)
    }

    /// Where an address of the file's own numbering is in the file.
    fn offset(&self, address: u64) -> Option<u64> {
        let elf = self.elf().ok()?;
        let mut segments = elf.segments();
        segments.find_map(|segment| {
            let (offset, size) = segment.file_range();
            let into = address.checked_sub(segment.address())?;
            (into < size).then(|| offset.checked_add(into))?
        })
    }

    /// The static probes that are wanted, by (provider, name), each with all its places.
    ///
    /// # Errors
    /// The file can't be read.
    pub(super) fn static_probes(&self, wanted: impl Fn(&str, &str) -> bool) -> Result<Vec<StaticProbe>, Refusal> {
        let elf = self.elf()?;
        let section = elf.section_by_name(".note.stapsdt");
        let content = section.and_then(|section| section.data().ok()).unwrap_or_default();
        let base = elf.section_by_name(".stapsdt.base").map(|section| section.address());
        let variables = OnceCell::new();
        let mut probes: Vec<StaticProbe> = Vec::new();
        for note in notes(content) {
            if !wanted(&note.provider, &note.name) {
                continue;
            }
            // What the file was moved by after the note was written.
            let moved = base.filter(|_| note.base != 0).map_or(0, |base| base.wrapping_sub(note.base));
            let address = note.address.wrapping_add(moved);
            // What is not code of the file can't be hit.
            let Some(offset) = self.code_offset(address) else { continue };
            let semaphore = match note.semaphore {
                0 => 0,
                semaphore => self.offset(semaphore.wrapping_add(moved)).unwrap_or(0),
            };
            let near = Near { binary: self, variables: &variables, address };
            let site =
                StaticSite { offset, address, semaphore, arguments: arguments(&note.arguments, Machine::own(), &near) };
            match probes.last_mut().filter(|last| (&last.provider, &last.name) == (&note.provider, &note.name)) {
                Some(last) => last.sites.push(site),
                None => probes.push(StaticProbe { provider: note.provider, name: note.name, sites: vec![site] }),
            }
        }
        Ok(probes)
    }

    /// Where an address of code is in the file.
    fn code_offset(&self, address: u64) -> Option<u64> {
        let is_code = self.code_segments().iter().any(|(begin, end)| (*begin..*end).contains(&address));
        if is_code { self.offset(address) } else { None }
    }

    /// First address of code and the one behind the last, of each part of the file that is loaded as such.
    fn code_segments(&self) -> Vec<(u64, u64)> {
        let Ok(elf) = self.elf() else { return Vec::new() };
        let segments = elf
            .segments()
            .filter(|segment| matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.contains(PF_X)));
        let ranges = segments.map(|segment| {
            let begin = segment.address();
            (begin, begin.saturating_add(segment.file_range().1))
        });
        ranges.filter(|(begin, end)| begin < end).collect()
    }

    /// Whether the instruction at an address may be one that newer kernels replace by a call while it is probed.
    pub(super) fn could_be_nop(&self, address: u64) -> bool {
        let code = self.offset(address).and_then(|offset| (&self.cache).read_bytes_at(offset, 5).ok());
        code.is_some_and(nops::could_be)
    }
}

/// Addresses by name; `None`: several have this name.
type Variables = HashMap<String, Option<u64>>;

/// Variables as a probe reaches them.
struct Near<'a> {
    binary: &'a Binary,
    /// Read when the first operand names one: few do.
    variables: &'a OnceCell<Variables>,
    /// The probe's instruction.
    address: u64,
}

impl Near<'_> {
    fn read(&self) -> Variables {
        let mut variables = Variables::new();
        let mut add = |symbol: object::Symbol<'_, '_, &ReadCache<File>>| {
            // Those of threads have no address but a distance.
            if symbol.is_undefined() || symbol.address() == 0 || symbol.kind() == SymbolKind::Tls {
                return;
            }
            let Some(name) = symbol.name().ok().filter(|name| !name.is_empty()) else { return };
            let name = name.split('@').next().unwrap_or(name);
            let address = Some(symbol.address());
            let known = variables.entry(name.to_owned()).or_insert(address);
            *known = known.filter(|known| Some(*known) == address);
        };
        if let Ok(elf) = self.binary.elf() {
            elf.symbols().chain(elf.dynamic_symbols()).take(MAX_SYMBOLS).for_each(&mut add);
        }
        if let Some(debug) = self.binary.debug.as_ref().and_then(|debug| object::File::parse(debug).ok()) {
            debug.symbols().take(MAX_SYMBOLS).for_each(&mut add);
        }
        variables
    }
}

impl Symbols for Near<'_> {
    fn distance(&self, name: &str) -> Result<i64, String> {
        let variables = self.variables.get_or_init(|| self.read());
        match variables.get(name) {
            Some(Some(address)) => Ok(address.wrapping_sub(self.address).cast_signed()),
            Some(None) => Err(format!("several symbols are named '{name}'")),
            None if variables.is_empty() => Err(format!("the file has no symbols to find '{name}' by")),
            None => Err(format!("the file has no symbol '{name}'")),
        }
    }
}

fn symbol<'a>(symbol: &impl ObjectSymbol<'a>) -> Option<Symbol> {
    let SymbolFlags::Elf { st_info, .. } = symbol.flags() else { return None };
    let kind = st_info.st_type();
    let is_function = kind == STT_FUNC || kind == STT_GNU_IFUNC;
    if !is_function || symbol.is_undefined() || symbol.address() == 0 {
        return None;
    }
    let name = symbol.name().ok().filter(|name| !name.is_empty())?;
    // Of a versioned name the name.
    let name = name.split('@').next().unwrap_or(name).to_owned();
    Some(Symbol { name, address: symbol.address(), size: symbol.size(), is_chosen_late: kind == STT_GNU_IFUNC })
}

/// How the source writes a symbol's name, if a pattern means it: by that, by that without its parameters, or as the linker has it.
fn means(pattern: &str, symbol: &str) -> Option<String> {
    let matches = |name: &str| glob::matches(pattern, name);
    let written = demangled(symbol);
    (matches(&written) || matches(&without_parameters(symbol)) || matches(symbol)).then_some(written)
}

fn this_machine() -> object::Architecture {
    match std::env::consts::ARCH {
        "aarch64" => object::Architecture::Aarch64,
        _ => object::Architecture::X86_64,
    }
}

/// The separate debug information of a build id.
fn debug_file(root: &Path, id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = id.split_first()?;
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = root.join(DEBUG_DIRECTORY).join(format!("{first:02x}")).join(format!("{rest}.debug"));
    path.exists().then_some(path)
}

#[cfg(test)]
#[path = "binary/tests.rs"]
mod tests;
