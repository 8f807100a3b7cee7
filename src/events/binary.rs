//! What a program or library has to be put events on: functions and static probes.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use object::Object;
use object::ObjectSection;
use object::ObjectSegment;
use object::ObjectSymbol;
use object::ReadCache;
use object::SymbolFlags;
use object::elf::STT_FUNC;
use object::elf::STT_GNU_IFUNC;

use super::glob;
use super::kernel::Refusal;
use crate::failure::did_you_mean;
use crate::text::nearest;

/// Where distributions put separate debug information.
const DEBUG_DIRECTORY: &str = "usr/lib/debug/.build-id";
/// The type of a note that describes a static probe.
const NT_STAPSDT: u32 = 3;
/// Names that are compared with a mistyped one, at most.
const MAX_NEAR: usize = 200_000;

/// A place that a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The function as its source writes it.
    pub(super) function: String,
    /// Bytes from the start of the file.
    pub(super) offset: u64,
}

/// A static probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StaticProbe {
    /// Who named it.
    pub(super) provider: String,
    /// Its name.
    pub(super) name: String,
    /// How many arguments it has.
    pub(super) arguments: u8,
}

/// A file of machine code.
pub(super) struct Binary {
    path: PathBuf,
    cache: ReadCache<File>,
    debug: Option<ReadCache<File>>,
}

/// A function in a symbol table.
struct Symbol {
    name: String,
    address: u64,
    is_chosen_late: bool,
}

impl Binary {
    /// Opens a file; `root` is the directory below which its debug information is looked for.
    ///
    /// # Errors
    /// It can't be read, or is not for this machine.
    pub(super) fn open(path: &Path, root: &Path) -> Result<Binary, Refusal> {
        let shown = path.display();
        let file = File::open(path).map_err(|error| Refusal::new(format!("can't open '{shown}': {error}")))?;
        if !file.metadata().is_ok_and(|facts| facts.is_file()) {
            return Err(Refusal::new(format!("'{shown}' is no file")));
        }
        let mut binary = Binary { path: path.to_owned(), cache: ReadCache::new(file), debug: None };
        let elf = binary.elf()?;
        if !elf.is_64() || !elf.is_little_endian() || elf.architecture() != this_machine() {
            return Err(Refusal::new(format!("'{shown}' is not for this machine's {}", std::env::consts::ARCH)));
        }
        if elf.symbol_table().is_none()
            && let Some(id) = elf.build_id().ok().flatten().map(|id| id.to_owned())
            && let Some(path) = debug_file(root, &id)
        {
            binary.debug = File::open(path).ok().map(ReadCache::new);
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
        use object::ReadRef;
        (&self.cache).read_bytes_at(0, with.len() as u64).is_ok_and(|bytes| bytes == with)
    }

    /// Whether the Go compiler made it.
    pub(super) fn is_go(&self) -> bool {
        let sections = [".go.buildinfo", ".gopclntab", ".data.rel.ro.gopclntab", ".note.go.buildid"];
        self.elf().is_ok_and(|elf| sections.iter().any(|name| elf.section_by_name(name).is_some()))
    }

    /// The functions that a name or pattern means, in the order of their places, each place once.
    ///
    /// # Errors
    /// There is none, with the nearest names.
    pub(super) fn functions(&self, pattern: &str) -> Result<Vec<Found>, Refusal> {
        let symbols = self.symbols()?;
        let shown = self.path.display();
        let core = glob::core(pattern);
        let mut found: BTreeMap<u64, String> = BTreeMap::new();
        let indirect: HashSet<&str> =
            symbols.iter().filter(|symbol| symbol.is_chosen_late).map(|symbol| symbol.name.as_str()).collect();
        let mut late = None;
        for symbol in symbols.iter().filter(|symbol| symbol.name.contains(core)) {
            // Parts of functions that are seldom run are no functions to count.
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
            // Of several names of one place the shortest.
            let known = found.entry(offset).or_insert_with(|| written.clone());
            if (written.len(), &written) < (known.len(), known) {
                *known = written;
            }
        }
        if !found.is_empty() {
            return Ok(found.into_iter().map(|(offset, function)| Found { function, offset }).collect());
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
        let mut names: Vec<String> = symbols.iter().take(MAX_NEAR).map(|symbol| short(&symbol.name)).collect();
        names.sort();
        names.dedup();
        let near = nearest(pattern, names.iter().map(String::as_str));
        let refusal = Refusal::new(format!("'{shown}' has no function '{pattern}', or it was inlined everywhere"));
        let search = format!("'ebrec probes -e \"uprobe:{shown}:*{pattern}*\"' looks for longer names");
        Err(if near.is_empty() { refusal.hint(search) } else { refusal.hint(did_you_mean(&near, &[])) })
    }

    /// All functions in the file's tables and in its separate debug information.
    fn symbols(&self) -> Result<Vec<Symbol>, Refusal> {
        let elf = self.elf()?;
        let mut symbols: Vec<Symbol> =
            elf.symbols().chain(elf.dynamic_symbols()).filter_map(|one| symbol(&one)).collect();
        if let Some(debug) = self.debug.as_ref().and_then(|debug| object::File::parse(debug).ok()) {
            symbols.extend(debug.symbols().filter_map(|one| symbol(&one)));
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

    /// The static probes, each once.
    ///
    /// # Errors
    /// The file can't be read.
    pub(super) fn static_probes(&self) -> Result<Vec<StaticProbe>, Refusal> {
        let elf = self.elf()?;
        let section = elf.section_by_name(".note.stapsdt");
        let notes = section.and_then(|section| section.data().ok()).unwrap_or_default();
        Ok(static_probes(notes))
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
    Some(Symbol { name, address: symbol.address(), is_chosen_late: kind == STT_GNU_IFUNC })
}

/// How the source writes a symbol's name, if a pattern means it: by that, by that without its parameters, or as the linker has it.
fn means(pattern: &str, symbol: &str) -> Option<String> {
    let matches = |name: &str| glob::matches(pattern, name);
    if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
        let written = format!("{rust:#}");
        return (matches(&written) || matches(symbol)).then_some(written);
    }
    if symbol.starts_with("_Z")
        && let Ok(parsed) = cpp_demangle::Symbol::new(symbol)
        && let Ok(written) = parsed.demangle()
    {
        let options = cpp_demangle::DemangleOptions::new().no_params().no_return_type();
        let bare = || parsed.demangle_with_options(&options).is_ok_and(|bare| matches(&bare));
        return (matches(&written) || bare() || matches(symbol)).then_some(written);
    }
    matches(symbol).then(|| symbol.to_owned())
}

/// A name as one would type it.
fn short(symbol: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
        return format!("{rust:#}");
    }
    let options = cpp_demangle::DemangleOptions::new().no_params().no_return_type();
    let cpp = || cpp_demangle::Symbol::new(symbol).ok()?.demangle_with_options(&options).ok();
    if symbol.starts_with("_Z") { cpp().unwrap_or_else(|| symbol.to_owned()) } else { symbol.to_owned() }
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

/// Reads notes: three lengths, the owner's name, and a probe's place, three texts behind it.
fn static_probes(mut notes: &[u8]) -> Vec<StaticProbe> {
    let mut probes = Vec::new();
    while let Some((probe, rest)) = note(notes) {
        probes.extend(probe);
        notes = rest;
    }
    probes.sort();
    probes.dedup();
    probes
}

fn note(notes: &[u8]) -> Option<(Option<StaticProbe>, &[u8])> {
    let number = |at: usize| Some(u32::from_le_bytes(*notes.get(at..)?.first_chunk()?) as usize);
    let (owner, content, kind) = (number(0)?, number(4)?, number(8)?);
    let begin = 12usize.checked_add(owner.checked_next_multiple_of(4)?)?;
    let end = begin.checked_add(content)?;
    let rest = notes.get(end.checked_next_multiple_of(4)?..).unwrap_or_default();
    let content = notes.get(begin..end)?;
    if kind != NT_STAPSDT as usize || notes.get(12..20) != Some(b"stapsdt\0") {
        return Some((None, rest));
    }
    // Its address, the section's, and the counter's.
    let mut texts = content.get(24..)?.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let (provider, name, arguments) = (texts.next()?, texts.next()?, texts.next()?);
    // `-4@%edi 8@[x0, 8]`: only the sign between size and place is in each.
    let arguments = u8::try_from(arguments.matches('@').count()).unwrap_or(u8::MAX);
    Some((Some(StaticProbe { provider: provider.into_owned(), name: name.into_owned(), arguments }), rest))
}

#[cfg(test)]
#[path = "binary/tests.rs"]
mod tests;
