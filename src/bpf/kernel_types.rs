//! The running kernel's type information, as far as the probes ask for it.
//!
//! libbpf looks for each type that an object names among all of the kernel's, 150,000 of them, and again for the next
//! object: half of the time that it took to start. It is given a cut instead, made once: the types that the objects
//! name, with what is inside of them, and without what they only point to.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::MemfdFlags;

/// The kernel's type information.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// Each tracepoint has a type of this name for its arguments (include/linux/tracepoint.h).
const TRACEPOINT: &[u8] = b"btf_trace_";
/// What the objects name, a line each; `build.rs` takes it out of them.
const NAMES: &str = include_str!(concat!(env!("OUT_DIR"), "/names.txt"));

/// Structures whose numbers are asked for.
const NUMBERED: [&str; 4] = ["file", "list_head", "task_struct", "request"];

/// What one look at the type information gives.
struct Kernel {
    tracepoints: HashSet<String>,
    numbers: HashMap<&'static str, u32>,
    cut: Option<File>,
}

/// Looks once; `None`: it can't be read, or is not what it should be.
fn kernel() -> Option<&'static Kernel> {
    static KERNEL: OnceLock<Option<Kernel>> = OnceLock::new();
    let look = || {
        let btf = std::fs::read(VMLINUX).ok()?;
        let types = Types::read(&btf)?;
        let named: HashSet<&[u8]> = NAMES.lines().map(str::as_bytes).collect();
        let numbers = types.numbers(&NUMBERED)?;
        Some(Kernel {
            tracepoints: types.tracepoints(),
            numbers,
            cut: types.cut(&named).and_then(|cut| in_memory(&cut)),
        })
    };
    KERNEL.get_or_init(look).as_ref()
}

/// Whether the kernel has a tracepoint of this name. A look-up of one name by libbpf goes through all types, which takes
/// milliseconds; this went through all names once.
pub(super) fn has_tracepoint(name: &str) -> bool {
    kernel().is_some_and(|kernel| kernel.tracepoints.contains(name))
}

/// The number of a structure among the kernel's own types, for programs that cast to it: one of `NUMBERED`.
pub(super) fn number(structure: &str) -> Option<u32> {
    kernel()?.numbers.get(structure).copied()
}

/// A file for libbpf to find types in; `None`: it has to look in the kernel's own.
pub(super) fn cut() -> Option<PathBuf> {
    let file = kernel()?.cut.as_ref()?;
    Some(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
}

fn in_memory(bytes: &[u8]) -> Option<File> {
    let mut file = File::from(rustix::fs::memfd_create("ebrec-types", MemfdFlags::CLOEXEC).ok()?);
    file.write_all(bytes).ok()?;
    Some(file)
}

/// Kinds of types and the layout of the format: include/uapi/linux/btf.h.
mod format {
    pub(super) const MAGIC: u16 = 0xeb9f;
    pub(super) const HEADER: usize = 24;
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;

    /// Bytes after the three words that every type has.
    pub(super) fn rest(kind: u32, members: usize) -> Option<usize> {
        Some(match kind {
            INT | VAR | DECL_TAG => 4,
            ARRAY => 12,
            STRUCT | UNION | DATASEC | ENUM64 => 12 * members,
            ENUM | FUNC_PROTO => 8 * members,
            PTR | FWD..=RESTRICT | FUNC | FLOAT | TYPE_TAG => 0,
            _ => return None,
        })
    }
}

/// Type information, with where each type begins.
struct Types<'a> {
    types: &'a [u8],
    names: &'a [u8],
    /// By number less one: 0 is void.
    starts: Vec<usize>,
}

/// A type's three words.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    info: u32,
    /// Its size, or the type that it stands for.
    word: u32,
}

impl Type {
    const BYTES: usize = 12;

    fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }

    fn members(self) -> usize {
        (self.info & 0xffff) as usize
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'a> Types<'a> {
    fn read(btf: &'a [u8]) -> Option<Types<'a>> {
        let magic = u16::from_ne_bytes(*btf.first_chunk()?);
        if magic != format::MAGIC {
            return None;
        }
        let field = |at: usize| word(btf, at).map(|value| value as usize);
        let body = btf.get(field(4)?..)?;
        let part = |offset: usize, length: usize| body.get(offset..offset.checked_add(length)?);
        let types = part(field(8)?, field(12)?)?;
        let names = part(field(16)?, field(20)?)?;
        let mut starts = Vec::new();
        let mut at = 0;
        while at < types.len() {
            starts.push(at);
            let info = word(types, at + 4)?;
            let this = Type { name: 0, info, word: 0 };
            at += Type::BYTES + format::rest(this.kind(), this.members())?;
        }
        Some(Types { types, names, starts })
    }

    fn tracepoints(&self) -> HashSet<String> {
        let names = self.names.split(|byte| *byte == 0).filter_map(|name| name.strip_prefix(TRACEPOINT));
        names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    fn get(&self, start: usize) -> Option<Type> {
        let word = |at| word(self.types, start + at);
        Some(Type { name: word(0)?, info: word(4)?, word: word(8)? })
    }

    fn name(&self, offset: u32) -> Option<&'a [u8]> {
        self.names.get(offset as usize..)?.split(|byte| *byte == 0).next()
    }

    /// The numbers of structures by their names.
    fn numbers(&self, names: &[&'static str]) -> Option<HashMap<&'static str, u32>> {
        let mut found = HashMap::new();
        for (number, start) in (1..).zip(&self.starts) {
            let this = self.get(*start)?;
            if this.kind() == format::STRUCT && this.name != 0 {
                let name = self.name(this.name)?;
                if let Some(name) = names.iter().find(|known| known.as_bytes() == name) {
                    found.insert(*name, number);
                }
            }
        }
        Some(found)
    }

    /// The structures, unions and enumerations whose names are among `named`, and all that is inside of them.
    fn cut(&self, named: &HashSet<&[u8]>) -> Option<Vec<u8>> {
        let mut cut = Cut::new(self);
        for (number, start) in (1..).zip(&self.starts) {
            let this = self.get(*start)?;
            let kind = this.kind();
            let sought = matches!(kind, format::STRUCT | format::UNION | format::ENUM | format::ENUM64);
            if sought && this.name != 0 && named.contains(self.name(this.name)?) {
                cut.number(number)?;
            }
        }
        cut.finish()
    }
}

/// Type information in the making.
struct Cut<'a> {
    from: &'a Types<'a>,
    numbers: HashMap<u32, u32>,
    /// Types that have a number and are not written yet, in the order of their numbers.
    waiting: VecDeque<u32>,
    types: Vec<u8>,
    names: Vec<u8>,
    known_names: HashMap<u32, u32>,
}

/// All pointers: where to, nobody asks.
const POINTER: u32 = 1;

impl<'a> Cut<'a> {
    fn new(from: &'a Types<'a>) -> Cut<'a> {
        let mut types = Vec::new();
        for word in [0, format::PTR << 24, 0] {
            types.extend(u32::to_ne_bytes(word));
        }
        Cut {
            from,
            numbers: HashMap::new(),
            waiting: VecDeque::new(),
            types,
            names: vec![0],
            known_names: HashMap::from([(0, 0)]),
        }
    }

    /// The number that a type has here, and that it will be written under.
    fn number(&mut self, old: u32) -> Option<u32> {
        if old == 0 {
            return Some(0);
        }
        if let Some(number) = self.numbers.get(&old) {
            return Some(*number);
        }
        let this = self.from.get(*self.from.starts.get(old as usize - 1)?)?;
        if this.kind() == format::PTR {
            return Some(POINTER);
        }
        let number = POINTER + 1 + u32::try_from(self.numbers.len()).ok()?;
        self.numbers.insert(old, number);
        self.waiting.push_back(old);
        Some(number)
    }

    fn name(&mut self, old: u32) -> Option<u32> {
        if let Some(name) = self.known_names.get(&old) {
            return Some(*name);
        }
        let name = u32::try_from(self.names.len()).ok()?;
        self.names.extend(self.from.name(old)?);
        self.names.push(0);
        self.known_names.insert(old, name);
        Some(name)
    }

    fn put(&mut self, word: u32) {
        self.types.extend(word.to_ne_bytes());
    }

    fn write(&mut self, old: u32) -> Option<()> {
        let start = *self.from.starts.get(old as usize - 1)?;
        let this = self.from.get(start)?;
        let rest = |at: usize| word(self.from.types, start + Type::BYTES + at);
        let name = self.name(this.name)?;
        self.put(name);
        self.put(this.info);
        match this.kind() {
            format::INT => {
                self.put(this.word);
                self.put(rest(0)?);
            }
            format::ARRAY => {
                self.put(this.word);
                for at in [0, 4] {
                    let number = self.number(rest(at)?)?;
                    self.put(number);
                }
                self.put(rest(8)?);
            }
            format::STRUCT | format::UNION => {
                self.put(this.word);
                for at in (0..this.members()).map(|member| member * 12) {
                    let (name, number) = (self.name(rest(at)?)?, self.number(rest(at + 4)?)?);
                    self.put(name);
                    self.put(number);
                    self.put(rest(at + 8)?);
                }
            }
            format::ENUM | format::ENUM64 => {
                self.put(this.word);
                let words = if this.kind() == format::ENUM { 2 } else { 3 };
                for at in (0..this.members()).map(|value| value * words * 4) {
                    let name = self.name(rest(at)?)?;
                    self.put(name);
                    for value in 1..words {
                        self.put(rest(at + value * 4)?);
                    }
                }
            }
            format::FWD | format::FLOAT => self.put(this.word),
            format::TYPEDEF..=format::RESTRICT | format::TYPE_TAG => {
                let number = self.number(this.word)?;
                self.put(number);
            }
            // Nothing else is inside of a structure.
            _ => return None,
        }
        Some(())
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        while let Some(old) = self.waiting.pop_front() {
            self.write(old)?;
        }
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).ok();
        let (types, names) = (length(&self.types)?, length(&self.names)?);
        let mut btf = Vec::new();
        btf.extend(format::MAGIC.to_ne_bytes());
        // Version 1, no flags.
        btf.extend([1, 0]);
        for word in [format::HEADER as u32, 0, types, types, names] {
            btf.extend(word.to_ne_bytes());
        }
        btf.extend(self.types);
        btf.extend(self.names);
        Some(btf)
    }
}

#[cfg(test)]
mod tests;
