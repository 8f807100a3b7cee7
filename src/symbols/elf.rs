//! The few facts of an ELF file that frames need: its build id, and where the parts of the file lie in memory.

use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;

/// Program headers and bytes of notes that are looked at; files have a dozen and some hundred.
const MAX_HEADERS: usize = 128;
const MAX_NOTES: u64 = 64 << 10;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PF_X: u32 = 1;
const NT_GNU_BUILD_ID: u32 = 3;

/// Whether a file is of 32 or 64 bits, which lay their tables out differently; `Elf32_…` and `Elf64_…` of elf(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Bits32,
    Bits64,
}

impl Class {
    /// That of a little-endian file that begins so; `None` for anything else.
    pub(super) fn of(head: &[u8]) -> Option<Class> {
        match head.get(..6)? {
            b"\x7fELF\x01\x01" => Some(Class::Bits32),
            b"\x7fELF\x02\x01" => Some(Class::Bits64),
            _ => None,
        }
    }

    /// One of two, the former for 32 bits.
    pub(super) fn pick<T>(self, (of_32, of_64): (T, T)) -> T {
        match self {
            Class::Bits32 => of_32,
            Class::Bits64 => of_64,
        }
    }

    /// An address, a place or a size, which have as many bits as the file.
    pub(super) fn word(self, bytes: &[u8], places: (usize, usize)) -> Option<u64> {
        match self {
            Class::Bits32 => u32_at(bytes, places.0).map(u64::from),
            Class::Bits64 => u64_at(bytes, places.1),
        }
    }
}

/// What is known of an ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elf {
    /// The machine that its code is for (`EM_…`).
    pub machine: u16,
    /// The build id in hexadecimal, if it has one.
    pub build_id: Option<String>,
    loads: Vec<Load>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    is_code: bool,
    offset: u64,
    address: u64,
    size: u64,
}

impl Elf {
    /// Reads a little-endian file; `None` for anything else, and for one that contradicts itself.
    pub fn read(mut file: &File) -> Option<Elf> {
        let head: [u8; 64] = bytes(&mut file, 0, 64)?.try_into().ok()?;
        let class = Class::of(&head)?;
        let place = class.word(&head, (28, 32))?;
        let (size, count) = (u16_at(&head, class.pick((42, 54)))?, usize::from(u16_at(&head, class.pick((44, 56)))?));
        let header_size = class.pick((32, 56));
        if usize::from(size) != header_size || count > MAX_HEADERS {
            return None;
        }
        let table = bytes(&mut file, place, (header_size * count) as u64)?;
        let mut elf = Elf { machine: u16_at(&head, 18)?, ..Elf::default() };
        for header in table.chunks_exact(header_size) {
            let (offset, address) = (class.word(header, (4, 8))?, class.word(header, (8, 16))?);
            let size = class.word(header, (16, 32))?;
            match u32_at(header, 0)? {
                PT_LOAD => {
                    let is_code = u32_at(header, class.pick((24, 4)))? & PF_X != 0;
                    elf.loads.push(Load { is_code, offset, address, size });
                }
                PT_NOTE if elf.build_id.is_none() && size <= MAX_NOTES => {
                    elf.build_id = bytes(&mut file, offset, size).and_then(|notes| build_id(&notes));
                }
                _ => {}
            }
        }
        Some(elf)
    }

    /// The parts that are mapped executable: address, place in the file, bytes.
    pub fn code(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.loads.iter().filter(|load| load.is_code).map(|load| (load.address, load.offset, load.size))
    }

    /// Whether a place in the file is in a part that is mapped executable.
    pub fn is_code(&self, offset: u64) -> bool {
        self.loads.iter().any(|load| load.is_code && load.has(offset))
    }

    /// The place in the file of an address of its own numbering.
    pub fn offset(&self, address: u64) -> Option<u64> {
        let load = self.loads.iter().find(|load| address >= load.address && address - load.address < load.size)?;
        load.offset.checked_add(address - load.address)
    }

    /// The address that the file's own symbol table has for a place in it.
    pub fn address(&self, offset: u64) -> Option<u64> {
        let load = self.loads.iter().find(|load| load.has(offset))?;
        load.address.checked_add(offset - load.offset)
    }
}

impl Load {
    fn has(&self, offset: u64) -> bool {
        (self.offset..self.offset.saturating_add(self.size)).contains(&offset)
    }
}

/// Bytes as text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(file: &mut &File, at: u64, size: u64) -> Option<Vec<u8>> {
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == size).then_some(bytes)
}

/// Looks for the note of the GNU build id.
fn build_id(mut notes: &[u8]) -> Option<String> {
    loop {
        let (name, size, kind) = (u32_at(notes, 0)? as usize, u32_at(notes, 4)? as usize, u32_at(notes, 8)?);
        let begin = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
        let content = notes.get(begin..begin.checked_add(size)?)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0") {
            return Some(hex(content));
        }
        notes = notes.get(begin.checked_add(size.checked_next_multiple_of(4)?)?..)?;
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::Elf;
    use super::build_id;
    use std::fs::File;

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let mut notes = vec![4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0];
        notes.extend(b"GNU\0\x01\x02\0\0");
        notes.extend([4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
        notes.extend(b"GNU\0\xab\xcd\xef");
        assert_eq!(build_id(&notes).as_deref(), Some("abcdef"));
        assert_eq!(build_id(&notes[..20]), None);
        assert_eq!(build_id(&[0xff; 32]), None);
    }

    #[test]
    fn what_is_no_elf_file_is_not_read() {
        let Ok(file) = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")) else {
            panic!("it is not there")
        };
        assert_eq!(Elf::read(&file), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_place_in_our_own_file_has_an_address() {
        let Some(elf) = std::env::current_exe().and_then(File::open).ok().and_then(|file| Elf::read(&file)) else {
            panic!("the test's own file is not read");
        };
        assert!(elf.address(64).is_some());
        assert_eq!(elf.address(u64::MAX), None);
    }
}
