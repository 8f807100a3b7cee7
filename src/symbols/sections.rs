//! The sections of an ELF file, by name and by type.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::elf::Class;
use super::elf::u16_at;
use super::elf::u32_at;

/// `Elf32_Shdr` and `Elf64_Shdr`.
const HEADERS: (usize, usize) = (40, 64);
/// Bytes of the sections' names that are read; they are some hundred.
const MAX_NAMES: u64 = 256 << 10;

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    /// Its type (`SHT_…`).
    pub(super) kind: u32,
    /// Its flags (`SHF_…`).
    pub(super) flags: u64,
    /// Its address, as the file numbers them.
    pub(super) address: u64,
    /// Where its bytes are in the file.
    pub(super) offset: u64,
    /// How many they are.
    pub(super) size: u64,
    /// The section that it refers to: of a symbol table the one with its texts.
    pub(super) link: u32,
    name: u32,
}

/// All sections of a file.
pub(super) struct Sections {
    class: Class,
    headers: Vec<u8>,
    names: Vec<u8>,
}

impl Sections {
    /// Reads the headers of a little-endian file; `None` for anything else.
    pub(super) fn read(file: &File) -> Option<Sections> {
        let head = read(file, 0, 64)?;
        let class = Class::of(&head)?;
        let half = |places| u16_at(&head, class.pick(places)).map(usize::from);
        if half((46, 58))? != class.pick(HEADERS) {
            return None;
        }
        let headers = read(file, class.word(&head, (32, 40))?, class.pick(HEADERS) * half((48, 60))?)?;
        let mut sections = Sections { class, headers, names: Vec::new() };
        let names = sections.at(half((50, 62))?).filter(|names| names.size <= MAX_NAMES);
        sections.names =
            names.and_then(|names| read(file, names.offset, usize::try_from(names.size).ok()?)).unwrap_or_default();
        Some(sections)
    }

    /// Whether the file is of 32 or 64 bits.
    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// The section of a number.
    pub(super) fn at(&self, index: usize) -> Option<Section> {
        let size = self.class.pick(HEADERS);
        section(self.class, self.headers.get(size.checked_mul(index)?..)?.get(..size)?)
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = Section> {
        self.headers.chunks_exact(self.class.pick(HEADERS)).filter_map(|header| section(self.class, header))
    }

    /// The first one of a name.
    pub(super) fn named(&self, name: &str) -> Option<Section> {
        let is = |section: &Section| {
            let bytes = self.names.get(section.name as usize..).unwrap_or_default();
            bytes.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        };
        self.iter().find(is)
    }

    /// Whether there is debug information, compressed or not.
    pub(super) fn has_debug_info(&self) -> bool {
        [".debug_info", ".zdebug_info"].into_iter().any(|name| self.named(name).is_some())
    }
}

fn section(class: Class, header: &[u8]) -> Option<Section> {
    Some(Section {
        name: u32_at(header, 0)?,
        kind: u32_at(header, 4)?,
        flags: class.word(header, (8, 8))?,
        address: class.word(header, (12, 16))?,
        offset: class.word(header, (16, 24))?,
        size: class.word(header, (20, 32))?,
        link: u32_at(header, class.pick((24, 40)))?,
    })
}

/// Bytes of a file; `None` where it has not so many.
pub(super) fn read(file: &File, place: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, place).ok()?;
    Some(bytes)
}
