//! What the compiler put into other functions at a place, out of a file's debug information (DWARF 2 to 5).
//!
//! gimli reads the entries; the walk over them is our own, because everything in the file may be a stranger's: its sections are
//! read into memory, so that nobody can cut the file short under a mapping, and a walk has a bound on bytes, entries and time and
//! does not recurse. The readers that exist (addr2line, blazesym) have none of these.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::time::Duration;
use std::time::Instant;

use gimli::AttributeValue;
use gimli::DebugInfoOffset;
use gimli::DebuggingInformationEntry;
use gimli::Dwarf;
use gimli::DwarfSections;
use gimli::EndianSlice;
use gimli::LittleEndian;
use gimli::SectionId;
use gimli::Unit;
use gimli::UnitOffset;
use gimli::constants as dw;

use super::elf::u32_at;
use super::sections::Sections;
use super::sections::read;
use crate::demangle::demangled;

/// Bytes of debug information that are held, of all files together; a file that has more has no inlined functions.
const MAX_BYTES: usize = 192 << 20;
/// Of the descriptions of entries. An entry in memory takes twenty times what it does in the file; large programs have 4 MiB.
const MAX_ABBREVIATIONS: usize = 4 << 20;
/// Units of a file, and ranges of all of them.
const MAX_UNITS: usize = 1 << 17;
const MAX_RANGES: usize = 1 << 20;
/// Entries of a unit that are gone through, and inlined functions of all units that are kept: 32 MiB.
const MAX_ENTRIES: usize = 1 << 22;
const MAX_INLINED: usize = 1 << 20;
/// Time for one place; what is not found by then is left out.
const TIME: Duration = Duration::from_secs(2);
/// Ranges before the last one that begins below an address that are looked at: units rarely overlap.
const OVERLAPPING: usize = 16;
/// From an inlined call to where its function is declared.
const MAX_HOPS: usize = 4;

/// `SHF_COMPRESSED`, `ELFCOMPRESS_ZLIB`, `ELFCOMPRESS_ZSTD`, and the sizes of `Elf32_Chdr` and `Elf64_Chdr`.
const COMPRESSED: u64 = 1 << 11;
const ZLIB: u32 = 1;
const ZSTD: u32 = 2;
const COMPRESSION_HEADERS: (usize, usize) = (12, 24);

type Bytes<'b> = EndianSlice<'b, LittleEndian>;

/// The functions that were inlined in files, which the caller numbers.
#[derive(Default)]
pub(super) struct InlinedFunctions {
    /// Those that were looked at last come last; `None`: it has no debug information that can be read.
    files: Vec<(usize, Option<DebugInfo>)>,
}

impl InlinedFunctions {
    /// The functions that were inlined at an address of the file's own numbering, the innermost first; `open` gives the file
    /// that has its debug information.
    pub(super) fn at(&mut self, file: usize, address: u64, open: impl FnOnce() -> Option<File>) -> Vec<String> {
        let known = self.files.iter().position(|(known, _)| *known == file);
        let info = match known {
            Some(at) => self.files.remove(at).1,
            None => open().and_then(|file| DebugInfo::read(&file)),
        };
        self.files.push((file, info));
        while self.files.len() > 1 && self.bytes() > MAX_BYTES {
            self.files.remove(0);
        }
        let info = self.files.last_mut().and_then(|(_, info)| info.as_mut());
        info.map(|info| info.functions_at(address)).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        self.files.iter().filter_map(|(_, info)| info.as_ref()).map(|info| info.bytes).sum()
    }
}

/// An inlined call.
#[derive(Debug, Clone, Copy)]
struct Call {
    begin: u64,
    end: u64,
    depth: isize,
    /// What it is a call of.
    function: DebugInfoOffset<usize>,
}

/// The debug information of a file.
struct DebugInfo {
    sections: DwarfSections<Vec<u8>>,
    bytes: usize,
    /// Where units begin, in order.
    units: Vec<usize>,
    /// What addresses a unit has: from, up to, and which of `units`; in order.
    ranges: Vec<(u64, u64, usize)>,
    /// The inlined calls of units that were asked for.
    calls: HashMap<usize, Vec<Call>>,
    kept: usize,
}

impl DebugInfo {
    fn read(file: &File) -> Option<DebugInfo> {
        let sections = Sections::read(file)?;
        let mut left = MAX_BYTES;
        let mut load = |id: SectionId| {
            let most = match id {
                SectionId::DebugAbbrev => MAX_ABBREVIATIONS,
                SectionId::DebugInfo
                | SectionId::DebugAddr
                // Of no interest, but a unit isn't read without it.
                | SectionId::DebugLine
                | SectionId::DebugRanges
                | SectionId::DebugRngLists
                | SectionId::DebugStr
                | SectionId::DebugStrOffsets => left,
                _ => return Some(Vec::new()),
            };
            let bytes = contents(file, &sections, id.name(), most)?;
            left = left.saturating_sub(bytes.len());
            Some(bytes)
        };
        let loaded = DwarfSections::load(|id| load(id).ok_or(())).ok()?;
        let (units, ranges) = index(&borrow(&loaded));
        let info =
            DebugInfo { sections: loaded, bytes: MAX_BYTES - left, units, ranges, calls: HashMap::new(), kept: 0 };
        (!info.ranges.is_empty()).then_some(info)
    }

    fn functions_at(&mut self, address: u64) -> Vec<String> {
        let end = Instant::now() + TIME;
        let after = self.ranges.partition_point(|range| range.0 <= address);
        let near = self.ranges.get(after.saturating_sub(OVERLAPPING)..after).unwrap_or_default();
        let Some(unit) = near.iter().rev().find(|range| address < range.1).map(|range| range.2) else {
            return Vec::new();
        };
        let dwarf = borrow(&self.sections);
        if !self.calls.contains_key(&unit) {
            if self.kept > MAX_INLINED {
                self.calls.clear();
                self.kept = 0;
            }
            let calls = self.units.get(unit).and_then(|offset| calls(&dwarf, *offset, end)).unwrap_or_default();
            self.kept += calls.len();
            self.calls.insert(unit, calls);
        }
        let calls = self.calls.get(&unit).map(Vec::as_slice).unwrap_or_default();
        let mut here: Vec<&Call> = calls.iter().filter(|call| (call.begin..call.end).contains(&address)).collect();
        here.sort_by_key(|call| std::cmp::Reverse(call.depth));
        here.dedup_by_key(|call| call.depth);
        here.iter().filter_map(|call| self.name(&dwarf, call.function)).collect()
    }

    /// What a function is called, which may be said where it is declared.
    fn name(&self, dwarf: &Dwarf<Bytes<'_>>, function: DebugInfoOffset<usize>) -> Option<String> {
        let (mut at, mut plain) = (function, None);
        for _ in 0..MAX_HOPS {
            let unit =
                unit(dwarf, *self.units.get(self.units.partition_point(|begin| *begin <= at.0).checked_sub(1)?)?)?;
            let entry = unit.entry(at.to_unit_offset(&unit.header)?).ok()?;
            let text = |name| text(dwarf, &unit, entry.attr_value(name)?);
            if let Some(linked) = text(dw::DW_AT_linkage_name).or_else(|| text(dw::DW_AT_MIPS_linkage_name)) {
                return Some(demangled(&linked));
            }
            plain = plain.or_else(|| text(dw::DW_AT_name));
            let further = entry.attr_value(dw::DW_AT_specification).or(entry.attr_value(dw::DW_AT_abstract_origin));
            match further.and_then(|value| reference(&unit, value)) {
                Some(next) => at = next,
                None => break,
            }
        }
        plain.map(|name| demangled(&name))
    }
}

fn borrow(sections: &DwarfSections<Vec<u8>>) -> Dwarf<Bytes<'_>> {
    sections.borrow(|bytes| EndianSlice::new(bytes, LittleEndian))
}

fn unit<'b>(dwarf: &Dwarf<Bytes<'b>>, offset: usize) -> Option<Unit<Bytes<'b>>> {
    dwarf.unit(dwarf.debug_info.header_from_offset(DebugInfoOffset(offset)).ok()?).ok()
}

/// Where the units are, and which addresses they have.
fn index(dwarf: &Dwarf<Bytes<'_>>) -> (Vec<usize>, Vec<(u64, u64, usize)>) {
    let end = Instant::now() + TIME;
    let (mut units, mut all) = (Vec::new(), Vec::new());
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        let Some(offset) = header.debug_info_offset() else { continue };
        if units.len() == MAX_UNITS || all.len() >= MAX_RANGES || Instant::now() > end {
            break;
        }
        let number = units.len();
        units.push(offset.0);
        let Ok(unit) = dwarf.unit(header) else { continue };
        let mut entries = unit.entries();
        if let Ok(Some(root)) = entries.next_dfs() {
            let left = MAX_RANGES - all.len();
            all.extend(ranges(dwarf, &unit, root, left).into_iter().map(|(begin, end)| (begin, end, number)));
        }
    }
    all.sort_unstable();
    (units, all)
}

/// The inlined calls of a unit.
fn calls(dwarf: &Dwarf<Bytes<'_>>, offset: usize, end: Instant) -> Option<Vec<Call>> {
    let unit = unit(dwarf, offset)?;
    let mut entries = unit.entries();
    let mut calls = Vec::new();
    for count in 0..MAX_ENTRIES {
        let Ok(Some(entry)) = entries.next_dfs() else { break };
        if count % 4096 == 0 && Instant::now() > end {
            break;
        }
        if entry.tag() != dw::DW_TAG_inlined_subroutine || calls.len() >= MAX_INLINED {
            continue;
        }
        let origin = entry.attr_value(dw::DW_AT_abstract_origin).and_then(|value| reference(&unit, value));
        if let Some(function) = origin {
            let left = MAX_INLINED - calls.len();
            let depth = entry.depth();
            let ranges = ranges(dwarf, &unit, entry, left).into_iter();
            calls.extend(ranges.map(|(begin, end)| Call { begin, end, depth, function }));
        }
    }
    Some(calls)
}

/// The addresses of an entry: from, and up to; those of code that the linker dropped begin at 0.
fn ranges(
    dwarf: &Dwarf<Bytes<'_>>,
    unit: &Unit<Bytes<'_>>,
    entry: &DebuggingInformationEntry<Bytes<'_>>,
    most: usize,
) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let list = entry.attr_value(dw::DW_AT_ranges).and_then(|value| dwarf.attr_ranges(unit, value).ok()?);
    if let Some(mut list) = list {
        while found.len() < most
            && let Ok(Some(range)) = list.next()
        {
            found.push((range.begin, range.end));
        }
    } else {
        let address = |value| dwarf.attr_address(unit, value).ok().flatten();
        let begin = entry.attr_value(dw::DW_AT_low_pc).and_then(address);
        let end = entry.attr_value(dw::DW_AT_high_pc).and_then(|value| match value {
            AttributeValue::Udata(size) => begin?.checked_add(size),
            value => address(value),
        });
        found.extend(begin.zip(end));
    }
    found.retain(|(begin, end)| *begin != 0 && begin < end);
    found
}

/// Where in all of the debug information another entry is.
fn reference(unit: &Unit<Bytes<'_>>, value: AttributeValue<Bytes<'_>>) -> Option<DebugInfoOffset<usize>> {
    match value {
        AttributeValue::UnitRef(UnitOffset(offset)) => UnitOffset(offset).to_debug_info_offset(&unit.header),
        AttributeValue::DebugInfoRef(offset) => Some(offset),
        _ => None,
    }
}

fn text(dwarf: &Dwarf<Bytes<'_>>, unit: &Unit<Bytes<'_>>, value: AttributeValue<Bytes<'_>>) -> Option<String> {
    let text = dwarf.attr_string(unit, value).ok()?;
    Some(text.to_string_lossy().into_owned())
}

/// The contents of a section, no more than `most`: empty where there is none, `None` where it can't be read.
///
/// Compressed ones are those that the ELF specification knows, and those of older compilers: `.zdebug_info`, with `ZLIB` and the
/// size before what is compressed.
fn contents(file: &File, sections: &Sections, name: &str, most: usize) -> Option<Vec<u8>> {
    let (section, is_old) = match sections.named(name) {
        Some(section) => (section, false),
        None => match sections.named(&name.replacen(".debug", ".zdebug", 1)) {
            Some(section) => (section, true),
            None => return Some(Vec::new()),
        },
    };
    let size = usize::try_from(section.size).ok().filter(|size| *size <= most)?;
    let bytes = read(file, section.offset, size)?;
    if is_old {
        return unpacked(flate2::read::ZlibDecoder::new(bytes.strip_prefix(b"ZLIB")?.get(8..)?), most);
    }
    if section.flags & COMPRESSED == 0 {
        return Some(bytes);
    }
    let packed = bytes.get(sections.class().pick(COMPRESSION_HEADERS)..)?;
    match (u32_at(&bytes, 0)?, sections.class().word(&bytes, (4, 8))?) {
        (_, size) if size > most as u64 => None,
        (ZLIB, _) => unpacked(flate2::read::ZlibDecoder::new(packed), most),
        (ZSTD, _) => unpacked(zstd::stream::read::Decoder::new(packed).ok()?, most),
        _ => None,
    }
}

fn unpacked(from: impl Read, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= most).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::InlinedFunctions;
    use crate::symbols::elf::Elf;
    use crate::symbols::functions;
    use std::fs::File;
    use std::path::Path;
    use std::process::Command;

    const SOURCE: &str = "
        volatile long sink;
        static inline __attribute__((always_inline)) void leaf(void) { sink++; sink++; }
        static inline __attribute__((always_inline)) void middle(void) { leaf(); sink--; }
        __attribute__((noinline)) void outer(void) { middle(); }
        int main(void) { outer(); return 0; }
    ";

    /// What is inlined where `addr2line -i` says it is: it is compared at each address of `outer`.
    fn compare(dir: &Path, options: &[&str]) -> usize {
        let program = dir.join("program");
        let source = dir.join("program.c");
        std::fs::write(&source, SOURCE).unwrap();
        let built = Command::new("cc").args(["-O1", "-g", "-o"]).arg(&program).args(options).arg(&source).status();
        assert!(built.unwrap().success(), "{options:?}");
        let file = File::open(&program).unwrap();
        let symbols = Command::new("nm").arg("-S").arg(&program).output().unwrap().stdout;
        let symbols = String::from_utf8(symbols).unwrap();
        let line = symbols.lines().find(|line| line.ends_with(" outer")).unwrap();
        let number = |at: usize| u64::from_str_radix(line.split(' ').nth(at).unwrap(), 16).unwrap();
        let (begin, size) = (number(0), number(1));
        assert!(Elf::read(&file).is_some() && functions::count(&file) > 0);
        let mut inlined = InlinedFunctions::default();
        let mut deepest = 0;
        for address in begin..begin + size {
            let mut addr2line = Command::new("addr2line");
            let output = addr2line.args(["-i", "-f", "-e"]).arg(&program).arg(format!("{address:x}")).output().unwrap();
            let output = String::from_utf8(output.stdout).unwrap();
            let expected: Vec<&str> = output.lines().step_by(2).take_while(|name| *name != "outer").collect();
            let found = inlined.at(0, address, || file.try_clone().ok());
            assert_eq!(found, expected, "{address:x} of {options:?}");
            deepest = deepest.max(found.len());
        }
        deepest
    }

    #[test]
    fn inlined_functions_are_those_that_addr2line_names_however_the_sections_are_compressed() {
        let dir = tempfile::tempdir().unwrap();
        for options in [
            &["-gz=none"][..],
            &["-gz=zlib"],
            &["-gz=zlib-gnu"],
            &["-gdwarf-2"],
            &["-gdwarf-3"],
            &["-gdwarf-4"],
            &["-gdwarf-5", "-ffunction-sections"],
        ] {
            assert_eq!(compare(dir.path(), options), 2, "{options:?}");
        }
    }

    /// Debug information of one unit, in which `deep` is inlined at 0x1010 below so many blocks, one in the other.
    fn nested(dir: &Path, blocks: usize) -> File {
        let source = dir.join("nested.s");
        let abbreviations = "\
            .uleb128 1, 0x11\n .byte 1\n .uleb128 0x11, 0x01, 0x12, 0x07, 0, 0\n\
            .uleb128 2, 0x0b\n .byte 1\n .uleb128 0, 0\n\
            .uleb128 3, 0x1d\n .byte 0\n .uleb128 0x31, 0x13, 0x11, 0x01, 0x12, 0x07, 0, 0\n\
            .uleb128 4, 0x2e\n .byte 0\n .uleb128 0x03, 0x08, 0x20, 0x0b, 0, 0\n\
            .uleb128 5, 0x2e\n .byte 1\n .uleb128 0x11, 0x01, 0x12, 0x07, 0, 0\n .byte 0\n";
        let text = format!(
            ".section .debug_abbrev,\"\",%progbits\n{abbreviations}\
             .section .debug_line,\"\",%progbits\n\
             .section .debug_info,\"\",%progbits\n\
             .Lunit: .4byte .Lend - .Lbegin\n.Lbegin: .2byte 4\n .4byte 0\n .byte 8\n\
             .uleb128 1\n .8byte 0x1000, 0x100\n\
             .Ldeep: .uleb128 4\n .asciz \"deep\"\n .byte 1\n\
             .uleb128 5\n .8byte 0x1000, 0x100\n\
             .rept {blocks}\n .uleb128 2\n .endr\n\
             .uleb128 3\n .4byte .Ldeep - .Lunit\n .8byte 0x1010, 0x10\n\
             .zero {}\n.Lend:\n",
            blocks + 2
        );
        std::fs::write(&source, text).unwrap();
        let object = dir.join("nested.o");
        assert!(Command::new("cc").arg("-c").arg(&source).arg("-o").arg(&object).status().unwrap().success());
        File::open(&object).unwrap()
    }

    #[test]
    fn blocks_that_nest_by_the_hundred_thousand_take_neither_the_stack_nor_time() {
        let dir = tempfile::tempdir().unwrap();
        let begun = std::time::Instant::now();
        let at = |blocks, address| {
            InlinedFunctions::default().at(0, address, || nested(dir.path(), blocks).try_clone().ok())
        };
        assert_eq!(at(3, 0x1015), ["deep"]);
        assert_eq!(at(300_000, 0x1015), ["deep"]);
        assert_eq!(at(300_000, 0x1025), [""; 0]);
        // More entries than are looked at.
        assert_eq!(at(5_000_000, 0x1015), [""; 0]);
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_cut_short_or_is_no_debug_information_names_nothing() {
        let dir = tempfile::tempdir().unwrap();
        compare(dir.path(), &[]);
        let bytes = std::fs::read(dir.path().join("program")).unwrap();
        for length in (0..bytes.len()).step_by(97) {
            let cut = dir.path().join("cut");
            std::fs::write(&cut, &bytes[..length]).unwrap();
            assert_eq!(InlinedFunctions::default().at(0, 0x1140, || File::open(&cut).ok()), [""; 0]);
        }
        // Any byte of it may be another's.
        for at in (0..bytes.len()).step_by(13) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            let path = dir.path().join("changed");
            std::fs::write(&path, &changed).unwrap();
            InlinedFunctions::default().at(0, 0x1140, || File::open(&path).ok());
        }
    }
}
