//! The parts of an ELF file in which exits are searched.

use object::Object;
use object::ObjectSegment;
use object::ReadRef;

use super::refusal::Refusal;

/// Segments of one file, at most; files have a dozen.
const MAX_SEGMENTS: usize = 128;

/// A file of machine code, read once for any number of its functions.
pub struct Program<'data> {
    segments: Vec<Segment>,
    read: Box<dyn Fn(u64, u64) -> Option<&'data [u8]> + 'data>,
}

/// A part of the file that is loaded to one place.
struct Segment {
    address: u64,
    offset: u64,
    /// Bytes in the file.
    size: u64,
}

impl<'data> Program<'data> {
    /// Reads the file's tables: the bytes themselves, or an `object::ReadCache` around the file.
    ///
    /// # Errors
    /// It is not a 64-bit little-endian ELF file for x86_64 or aarch64.
    pub fn read<R: ReadRef<'data> + 'data>(file: R) -> Result<Program<'data>, Refusal> {
        let elf = object::File::parse(file).map_err(|_| Refusal::Unreadable)?;
        let is_known = matches!(elf.architecture(), object::Architecture::X86_64 | object::Architecture::Aarch64);
        if elf.format() != object::BinaryFormat::Elf || !elf.is_64() || !elf.is_little_endian() || !is_known {
            return Err(Refusal::UnsupportedMachine);
        }
        let segments = elf
            .segments()
            .take(MAX_SEGMENTS)
            .map(|segment| {
                let (offset, size) = segment.file_range();
                Segment { address: segment.address(), offset, size }
            })
            .collect();
        Ok(Program { segments, read: Box::new(move |offset, size| file.read_bytes_at(offset, size).ok()) })
    }

    /// Where an address of the file's own numbering is in the file, in bytes from its start.
    pub fn offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.address)?;
            (into < segment.size).then(|| segment.offset.checked_add(into))?
        })
    }

    /// Bytes of the file's image.
    #[allow(dead_code)]
    pub(super) fn bytes(&self, address: u64, size: u64) -> Option<&'data [u8]> {
        (self.read)(self.offset(address)?, size)
    }
}
