//! The sections of an ELF file, by name and by type.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::elf::u16_at;
use super::elf::u32_at;
use super::elf::u64_at;

/// `Elf64_Shdr`.
const HEADER: usize = 64;
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
    headers: Vec<u8>,
    names: Vec<u8>,
}

impl Sections {
    /// Reads the headers of a 64-bit little-endian file; `None` for anything else.
    pub(super) fn read(file: &File) -> Option<Sections> {
        let head = read(file, 0, 64)?;
        if !head.starts_with(b"\x7fELF\x02\x01") || usize::from(u16_at(&head, 58)?) != HEADER {
            return None;
        }
        let headers = read(file, u64_at(&head, 40)?, HEADER * usize::from(u16_at(&head, 60)?))?;
        let mut sections = Sections { headers, names: Vec::new() };
        let names = sections.at(u16_at(&head, 62)?.into()).filter(|names| names.size <= MAX_NAMES);
        sections.names =
            names.and_then(|names| read(file, names.offset, usize::try_from(names.size).ok()?)).unwrap_or_default();
        Some(sections)
    }

    /// The section of a number.
    pub(super) fn at(&self, index: usize) -> Option<Section> {
        section(self.headers.get(HEADER.checked_mul(index)?..)?.get(..HEADER)?)
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = Section> {
        self.headers.chunks_exact(HEADER).filter_map(section)
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

fn section(header: &[u8]) -> Option<Section> {
    Some(Section {
        name: u32_at(header, 0)?,
        kind: u32_at(header, 4)?,
        flags: u64_at(header, 8)?,
        address: u64_at(header, 16)?,
        offset: u64_at(header, 24)?,
        size: u64_at(header, 32)?,
        link: u32_at(header, 40)?,
    })
}

/// Bytes of a file; `None` where it has not so many.
pub(super) fn read(file: &File, place: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, place).ok()?;
    Some(bytes)
}
