//! The parts of an ELF file in which exits are searched.

use std::cell::OnceCell;
use std::collections::HashMap;

use object::Object;
use object::ObjectSection;
use object::ObjectSegment;
use object::ObjectSymbol;
use object::ObjectSymbolTable;
use object::ReadRef;
use object::RelocationFlags;
use object::RelocationTarget;
use object::SectionKind;
use object::SegmentFlags;
use object::SymbolFlags;
use object::elf::PF_X;
use object::elf::PT_GNU_RELRO;
use object::elf::R_AARCH64_RELATIVE;
use object::elf::R_X86_64_RELATIVE;
use object::elf::STT_FUNC;
use object::elf::STT_GNU_IFUNC;
use object::read::elf::ProgramHeader;

use super::frames;
use super::frames::Frames;
use super::frames::Rows;
use super::go;
use super::go::GoFunction;
use super::go::GoTable;
use super::go_frames::GoFrames;
use super::machine::Machine;
use super::refusal::Refusal;
use super::switch;
use super::switch::Switch;

/// Segments and sections of one file, at most; files have some dozens.
const MAX_PARTS: usize = 1024;
/// Symbols of one table, at most.
const MAX_SYMBOLS: usize = 4 << 20;
/// Relocations of one file, at most.
const MAX_RELOCATIONS: usize = 4 << 20;
/// What every Go program has one of.
const GO_SECTIONS: [&str; 4] = [".go.buildinfo", ".note.go.buildid", ".gopclntab", ".data.rel.ro.gopclntab"];
/// Bytes of an import stub that are read.
const STUB: u64 = 20;
/// Bytes of a name that a refusal keeps.
const MAX_NAME: usize = 256;

/// A file of machine code, read once for any number of its functions.
pub struct Program<'data> {
    machine: Machine,
    segments: Vec<Segment>,
    read: Box<dyn Fn(u64, u64) -> Option<&'data [u8]> + 'data>,
    /// In the order of their addresses.
    symbols: Vec<Symbol<'data>>,
    /// Where the file's image does not change any more once the dynamic linker is done.
    constants: Vec<(u64, u64)>,
    frames: Option<Frames<'data>>,
    go: Option<GoTable<'data>>,
    is_go: bool,
    find_relocations: Box<dyn Fn() -> Relocations + 'data>,
    relocations: OnceCell<Relocations>,
}

/// A part of the file that is loaded to one place.
struct Segment {
    address: u64,
    offset: u64,
    /// Bytes in the file.
    size: u64,
    is_code: bool,
}

/// A function of the symbol tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Symbol<'data> {
    address: u64,
    size: u64,
    is_indirect: bool,
    name: &'data str,
}

/// What the dynamic linker writes into the file's image.
#[derive(Debug, Default)]
struct Relocations {
    /// What is known only while a program runs: the names of imported functions, by the addresses of their pointers; empty for the
    /// address that a resolver chooses.
    imports: HashMap<u64, String>,
    /// Addresses within the file, by where they are written.
    pointers: HashMap<u64, u64>,
}

/// A function of a Go program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedFunction<'data> {
    /// As the compiler names it: `main.(*Server).handle`.
    pub name: &'data str,
    /// In the file's own numbering.
    pub address: u64,
    /// Bytes, with the filling behind it.
    pub size: u64,
}

impl<'data> Program<'data> {
    /// Reads the file's tables: the bytes themselves, or an `object::ReadCache` around the file.
    ///
    /// # Errors
    /// It is not a 64-bit little-endian ELF file for x86_64 or aarch64.
    pub fn read<R: ReadRef<'data> + 'data>(file: R) -> Result<Program<'data>, Refusal> {
        let elf = object::File::parse(file).map_err(|_| Refusal::Unreadable)?;
        let mut program = Program::begin(file, &elf)?;
        program.symbols = symbols(&elf);
        program.constants = constants(&elf);
        let text = elf.section_by_name(".text").map(|section| section.address());
        program.frames = section(&elf, &[".eh_frame"], frames::MAX_TABLE)
            .map(|(address, bytes)| Frames::read(bytes, address, text, program.machine));
        program.is_go = GO_SECTIONS.iter().any(|name| elf.section_by_name(name).is_some());
        program.go = program.go_table(&elf);
        Ok(program)
    }

    /// Only where the file's parts are.
    fn begin<R: ReadRef<'data> + 'data>(file: R, elf: &object::File<'data, R>) -> Result<Program<'data>, Refusal> {
        let machine = match elf.architecture() {
            object::Architecture::X86_64 => Machine::X86_64,
            object::Architecture::Aarch64 => Machine::Aarch64,
            _ => return Err(Refusal::UnsupportedMachine),
        };
        if elf.format() != object::BinaryFormat::Elf || !elf.is_64() || !elf.is_little_endian() {
            return Err(Refusal::UnsupportedMachine);
        }
        let segments = elf
            .segments()
            .take(MAX_PARTS)
            .map(|segment| {
                let (offset, size) = segment.file_range();
                let is_code = matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.contains(PF_X));
                Segment { address: segment.address(), offset, size, is_code }
            })
            .collect();
        Ok(Program {
            machine,
            segments,
            read: Box::new(move |offset, size| file.read_bytes_at(offset, size).ok()),
            symbols: Vec::new(),
            constants: Vec::new(),
            frames: None,
            go: None,
            is_go: false,
            find_relocations: Box::new(move || relocations(file)),
            relocations: OnceCell::new(),
        })
    }

    /// Where an address of the file's own numbering is in the file, in bytes from its start.
    pub fn offset(&self, address: u64) -> Option<u64> {
        self.place(address).map(|(offset, _)| offset)
    }

    /// The functions of a Go program, also of one without a symbol table. Empty for other programs.
    pub fn go_functions(&self) -> impl Iterator<Item = NamedFunction<'data>> {
        self.go.iter().flat_map(GoTable::functions).map(|function| NamedFunction {
            name: function.name,
            address: function.start,
            size: function.end.saturating_sub(function.start),
        })
    }

    /// Reads what a Go program says of its functions, and nothing else. `None` for other programs.
    ///
    /// The file: the bytes themselves, or an `object::ReadCache` around the file.
    pub fn read_go<R: ReadRef<'data> + 'data>(file: R) -> Option<Program<'data>> {
        let elf = object::File::parse(file).ok()?;
        if !GO_SECTIONS.iter().any(|name| elf.section_by_name(name).is_some()) {
            return None;
        }
        let mut program = Program::begin(file, &elf).ok()?;
        program.is_go = true;
        program.go = program.go_table(&elf);
        program.go.is_some().then_some(program)
    }

    /// The frames of a Go program's functions, in the order of their addresses. Empty for other programs.
    pub fn go_frames(&self) -> impl Iterator<Item = GoFrames> {
        let switch = self.go.iter().flat_map(GoTable::functions).find(|function| function.name == switch::SYSTEM);
        let switch = switch.and_then(|function| self.switch(&function));
        let current = switch.and_then(|switch| switch.current);
        self.go.iter().flat_map(move |table| {
            table.functions().filter_map(move |function| {
                let distances = table.distances(&function)?;
                Some(GoFrames::of(&function, distances, current, || self.switch(&function)))
            })
        })
    }

    /// Where a function of Go's runtime is on another stack than its caller.
    fn switch(&self, function: &GoFunction<'data>) -> Option<Switch> {
        Switch::find(self.code(function.start, function.end.checked_sub(function.start)?)?, function.start)
    }

    /// The table of a Go program's functions.
    fn go_table<R: ReadRef<'data>>(&self, elf: &object::File<'data, R>) -> Option<GoTable<'data>> {
        let own = section(elf, &[".gopclntab", ".data.rel.ro.gopclntab"], go::MAX_TABLE);
        // The linkers of C merge it with other data.
        let merged = || {
            let (address, bytes) = section(elf, &[".data.rel.ro"], go::MAX_TABLE).filter(|_| self.is_go)?;
            let at = GoTable::find(bytes)?;
            Some((address.checked_add(at as u64)?, bytes.get(at..)?))
        };
        let (address, bytes) = own.or_else(merged)?;
        let table = GoTable::read(bytes, self.machine)?;
        if table.text().is_some() {
            return Some(table);
        }
        let written = self.pointer(address.checked_add(24)?).filter(|text| *text != 0);
        let text = written.or_else(|| self.go_text(elf, address, table.first()?))?;
        Some(table.begin(text))
    }

    /// Where a Go program's code begins, as its runtime knows it (`moduledata` in `runtime/symtab.go`): a structure that begins with the
    /// address of the function table, and has the addresses of the first function and of all code behind the tables' six slices.
    fn go_text<R: ReadRef<'data>>(&self, elf: &object::File<'data, R>, table: u64, first: u64) -> Option<u64> {
        let text = |module: u64| {
            let word = |index: u64| self.pointer(module.checked_add(index * 8)?);
            let (lowest, text) = (word(20)?, word(22)?);
            (word(0)? == table && text != 0 && text.checked_add(first)? == lowest).then_some(text)
        };
        let relocated = self.relocations().pointers.iter().filter(|(_, target)| **target == table).map(|(at, _)| *at);
        if let Some(text) = relocated.filter_map(text).min() {
            return Some(text);
        }
        let sections = [".go.module", ".noptrdata", ".data", ".data.rel.ro"];
        sections.iter().filter_map(|name| section(elf, &[name], go::MAX_TABLE)).find_map(|(address, bytes)| {
            let words = (address..).step_by(8).zip(bytes.chunks_exact(8));
            words.filter(|(_, word)| **word == table.to_le_bytes()).find_map(|(module, _)| text(module))
        })
    }

    fn place(&self, address: u64) -> Option<(u64, &Segment)> {
        self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.address)?;
            (into < segment.size).then(|| Some((segment.offset.checked_add(into)?, segment)))?
        })
    }

    pub(super) fn machine(&self) -> Machine {
        self.machine
    }

    /// Bytes of the file's machine code, as many as asked for.
    pub(super) fn code(&self, address: u64, size: u64) -> Option<&'data [u8]> {
        let (offset, segment) = self.place(address)?;
        let is_within = address.checked_add(size)? <= segment.address.checked_add(segment.size)?;
        (segment.is_code && is_within).then(|| (self.read)(offset, size))?
    }

    /// Four bytes of the file's image.
    pub(super) fn distance(&self, address: u64) -> Option<i32> {
        let bytes = (self.read)(self.offset(address)?, 4)?;
        bytes.first_chunk().map(|bytes| i32::from_le_bytes(*bytes))
    }

    /// The address that is at a place of the file's image once it is loaded, in the file's own numbering.
    pub(super) fn pointer(&self, address: u64) -> Option<u64> {
        if let Some(pointer) = self.relocations().pointers.get(&address) {
            return Some(*pointer);
        }
        let bytes = (self.read)(self.offset(address)?, 8)?;
        bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The imported function to which the pointer at an address leads.
    pub(super) fn import(&self, pointer: u64) -> Option<&str> {
        self.relocations().imports.get(&pointer).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The address that a pointer of the file holds in every process, for as long as it runs.
    pub(super) fn constant(&self, pointer: u64) -> Option<u64> {
        let is_constant = self.constants.iter().any(|(start, end)| (*start..*end).contains(&pointer));
        let is_known = is_constant && !self.relocations().imports.contains_key(&pointer);
        if is_known { self.pointer(pointer).filter(|target| *target != 0) } else { None }
    }

    /// The pointer through which the import stub at an address jumps.
    pub(super) fn stub(&self, address: u64) -> Option<u64> {
        self.machine.stub(self.code(address, STUB)?, address)
    }

    fn relocations(&self) -> &Relocations {
        self.relocations.get_or_init(|| (self.find_relocations)())
    }

    fn symbols_at(&self, address: u64) -> &[Symbol<'data>] {
        let first = self.symbols.partition_point(|symbol| symbol.address < address);
        let behind = self.symbols.partition_point(|symbol| symbol.address <= address);
        self.symbols.get(first..behind).unwrap_or_default()
    }

    /// Whether a symbol for code that is chosen when a program starts is at an address.
    pub(super) fn is_indirect(&self, address: u64) -> bool {
        self.symbols_at(address).iter().any(|symbol| symbol.is_indirect)
    }

    /// The name of the function that begins at an address; of several the shortest.
    pub(super) fn name(&self, address: u64) -> Option<String> {
        let go = self.go_function(address).map(|function| function.name);
        let names = self.symbols_at(address).iter().map(|symbol| symbol.name);
        let name = go.or_else(|| names.min_by_key(|name| (name.len(), *name)))?;
        Some(name.chars().take(MAX_NAME).collect())
    }

    /// The Go function that begins at an address.
    pub(super) fn go_function(&self, address: u64) -> Option<GoFunction<'data>> {
        self.go.as_ref()?.function(address)
    }

    /// Whether a Go function takes its arguments on the stack, by its symbol.
    pub(super) fn is_on_stack(&self, address: u64) -> bool {
        self.symbols_at(address).iter().any(|symbol| symbol.name.ends_with(".abi0"))
    }

    /// Whether Go's compiler made a function that Go's table does not have: C functions of the same program have unwind information.
    pub(super) fn is_unknown_to_go(&self, address: u64) -> bool {
        self.is_go && self.go_function(address).is_none() && self.described(address).is_none()
    }

    /// Whether the program is of a Go that may have kept its goroutine and arguments on the stack.
    pub(super) fn is_before_go_registers(&self) -> bool {
        self.go.as_ref().is_some_and(GoTable::is_before_registers)
    }

    /// Where the function that begins at an address ends.
    pub(super) fn end(&self, address: u64) -> Option<u64> {
        if let Some(function) = self.go_function(address) {
            return Some(function.end);
        }
        let size = self.symbols_at(address).iter().map(|symbol| symbol.size).max().filter(|size| *size > 0);
        if let Some(size) = size {
            return address.checked_add(size);
        }
        self.described(address).filter(|(start, _)| *start == address).map(|(_, end)| end)
    }

    /// Where the code around an address that one entry of the unwind table describes begins and ends.
    pub(super) fn described(&self, address: u64) -> Option<(u64, u64)> {
        self.frames.as_ref()?.extent(address)
    }

    /// The function around an address, by the symbol table or the unwind table.
    pub(super) fn around(&self, address: u64) -> Option<(u64, u64)> {
        let behind = self.symbols.partition_point(|symbol| symbol.address <= address);
        let before = self.symbols.get(..behind).unwrap_or_default().iter().rev().take(16);
        let symbol = before
            .filter_map(|symbol| Some((symbol.address, symbol.address.checked_add(symbol.size)?)))
            .find(|(_, end)| address < *end);
        symbol.or_else(|| self.described(address))
    }

    /// The frames of the code between two addresses. `None` if they can't be read.
    pub(super) fn rows(&self, start: u64, end: u64) -> Option<Rows> {
        if let Some(go) = &self.go
            && let Some(function) = go.function(start)
        {
            return go.rows(&function);
        }
        self.frames.as_ref().map_or_else(|| Some(Rows::default()), |frames| frames.rows(start, end))
    }
}

/// The first section of one of these names: its address and its bytes, if they are not too many.
fn section<'data, R: ReadRef<'data>>(
    elf: &object::File<'data, R>,
    names: &[&str],
    max: u64,
) -> Option<(u64, &'data [u8])> {
    let mut sections = elf.sections().take(MAX_PARTS);
    let section = sections.find(|section| section.name().is_ok_and(|name| names.contains(&name)))?;
    // Without bytes in the file (separate debug information) it has no content.
    let has_bytes = section.kind() != SectionKind::UninitializedData && section.size() <= max;
    has_bytes.then(|| section.data().ok().map(|bytes| (section.address(), bytes)))?
}

fn symbols<'data, R: ReadRef<'data>>(elf: &object::File<'data, R>) -> Vec<Symbol<'data>> {
    let tables = [elf.symbol_table(), elf.dynamic_symbol_table()];
    let mut symbols = Vec::new();
    for table in tables.iter().flatten() {
        symbols.extend(table.symbols().take(MAX_SYMBOLS).filter_map(|one| symbol(&one)));
    }
    symbols.sort();
    symbols.dedup();
    symbols
}

fn symbol<'data>(symbol: &impl ObjectSymbol<'data>) -> Option<Symbol<'data>> {
    let SymbolFlags::Elf { st_info, .. } = symbol.flags() else { return None };
    let kind = st_info.st_type();
    let is_indirect = kind == STT_GNU_IFUNC;
    if symbol.is_undefined() || symbol.address() == 0 || (kind != STT_FUNC && !is_indirect) {
        return None;
    }
    let name = symbol.name().unwrap_or_default();
    Some(Symbol { address: symbol.address(), size: symbol.size(), is_indirect, name })
}

fn relocations<'data, R: ReadRef<'data>>(file: R) -> Relocations {
    let mut found = Relocations::default();
    let Ok(elf) = object::File::parse(file) else { return found };
    let symbols = elf.dynamic_symbol_table();
    for (address, relocation) in elf.dynamic_relocations().into_iter().flatten().take(MAX_RELOCATIONS) {
        match relocation.target() {
            RelocationTarget::Symbol(index) => {
                let symbol = symbols.as_ref().and_then(|table| table.symbol_by_index(index).ok());
                let name = symbol.as_ref().and_then(|symbol| symbol.name().ok()).unwrap_or_default();
                found.imports.insert(address, name.chars().take(MAX_NAME).collect());
            }
            _ if is_relative(elf.architecture(), relocation.flags()) => {
                found.pointers.insert(address, relocation.addend().cast_unsigned());
            }
            _ => {
                found.imports.insert(address, String::new());
            }
        }
    }
    found
}

/// Whether a relocation writes an address of the file itself.
fn is_relative(machine: object::Architecture, flags: RelocationFlags) -> bool {
    let relative = match machine {
        object::Architecture::Aarch64 => R_AARCH64_RELATIVE,
        _ => R_X86_64_RELATIVE,
    };
    matches!(flags, RelocationFlags::Elf { r_type, .. } if r_type == relative)
}

/// What the dynamic linker makes read-only when it is done (`PT_GNU_RELRO`).
fn constants<'data, R: ReadRef<'data>>(elf: &object::File<'data, R>) -> Vec<(u64, u64)> {
    let object::File::Elf64(elf) = elf else { return Vec::new() };
    let endian = elf.endian();
    let headers = elf.elf_program_headers().iter().take(MAX_PARTS);
    let constant = headers.filter(|header| header.p_type(endian) == PT_GNU_RELRO);
    constant
        .filter_map(|header| {
            let start = header.p_vaddr(endian);
            Some((start, start.checked_add(header.p_memsz(endian))?))
        })
        .collect()
}
