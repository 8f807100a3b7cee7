//! What a file's unwind tables (`.eh_frame`) say of its functions: their extents, and where their frames are at each instruction.

use std::collections::HashMap;

use gimli::BaseAddresses;
use gimli::CfaRule;
use gimli::CieOrFde;
use gimli::CommonInformationEntry;
use gimli::EhFrame;
use gimli::EhFrameOffset;
use gimli::EndianSlice;
use gimli::LittleEndian;
use gimli::UnwindContext;
use gimli::UnwindSection;
use gimli::Vendor;

use super::machine::Machine;

/// Bytes of `.eh_frame`, at most; node's has 8 MiB, Chromium's 20.
pub(super) const MAX_TABLE: u64 = 64 << 20;
/// Functions of one table, at most.
const MAX_FUNCTIONS: usize = 1 << 20;
/// Rows of one function, at most. A function of 1 MiB with a row for each few instructions stays below it.
const MAX_ROWS: usize = 1 << 16;
/// Bytes of the entries that one stretch of code has, at most: this bounds the time that it takes.
const MAX_ENTRIES: usize = 4 << 20;

type Bytes<'data> = EndianSlice<'data, LittleEndian>;
type Cie<'data> = CommonInformationEntry<Bytes<'data>>;

/// A file's unwind tables.
pub(super) struct Frames<'data> {
    section: EhFrame<Bytes<'data>>,
    bases: BaseAddresses,
    /// In the order of their addresses.
    functions: Vec<Function>,
}

/// The entry of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Function {
    start: u64,
    end: u64,
    offset: usize,
}

/// How the address of a frame is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// A register plus a constant.
    Register {
        /// By its number in unwind tables.
        register: u16,
        /// What is added.
        distance: i64,
    },
    /// An expression, which is not evaluated here.
    Expression,
}

/// The frames of a stretch of code.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// In the order of their addresses: where each begins and ends.
    rows: Vec<(u64, u64, Frame)>,
}

impl Rows {
    pub(super) fn new(mut rows: Vec<(u64, u64, Frame)>) -> Rows {
        rows.sort_by_key(|(start, ..)| *start);
        Rows { rows }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The frame at an instruction, before it runs.
    pub(super) fn at(&self, address: u64) -> Option<Frame> {
        let behind = self.rows.partition_point(|(start, ..)| *start <= address);
        let (_, end, frame) = self.rows.get(behind.checked_sub(1)?)?;
        (address < *end).then_some(*frame)
    }
}

impl<'data> Frames<'data> {
    /// Reads the table at `address`; what can't be read in it, and all behind that, is left out.
    pub(super) fn read(section: &'data [u8], address: u64, text: Option<u64>, machine: Machine) -> Frames<'data> {
        let mut table = EhFrame::new(section, LittleEndian);
        table.set_address_size(8);
        if machine == Machine::Aarch64 {
            table.set_vendor(Vendor::AArch64);
        }
        let mut bases = BaseAddresses::default().set_eh_frame(address);
        if let Some(text) = text {
            bases = bases.set_text(text);
        }
        let mut functions = Vec::new();
        let mut cies: HashMap<usize, Option<Cie<'data>>> = HashMap::new();
        let mut entries = table.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let fde = partial.parse(|section, bases, offset| {
                let cie = cies.entry(offset.0).or_insert_with(|| section.cie_from_offset(bases, offset).ok());
                cie.clone().ok_or(gimli::Error::NotCiePointer(offset.0 as u64))
            });
            // An entry that can't be read belongs to a function whose extent stays unknown.
            let Ok(fde) = fde else { continue };
            if functions.len() == MAX_FUNCTIONS {
                break;
            }
            // Linkers leave the entries of functions that they dropped at address zero.
            if fde.initial_address() != 0 && fde.len() > 0 {
                functions.push(Function { start: fde.initial_address(), end: fde.end_address(), offset: fde.offset() });
            }
        }
        functions.sort();
        Frames { section: table, bases, functions }
    }

    fn function(&self, address: u64) -> Option<Function> {
        let behind = self.functions.partition_point(|function| function.start <= address);
        let function = self.functions.get(behind.checked_sub(1)?)?;
        (address < function.end).then_some(*function)
    }

    /// Where the function or the split-off part of one that contains an address begins and ends.
    pub(super) fn extent(&self, address: u64) -> Option<(u64, u64)> {
        self.function(address).map(|function| (function.start, function.end))
    }

    /// The frames of the code between two addresses. `None` if they can't be read.
    pub(super) fn rows(&self, start: u64, end: u64) -> Option<Rows> {
        let mut rows = Vec::new();
        let mut budget = MAX_ENTRIES;
        let mut at = start;
        // A symbol may span several entries, as in assembly that describes its parts.
        while at < end {
            let Some(function) = self.function(at) else {
                let next = self.functions.partition_point(|function| function.start <= at);
                match self.functions.get(next) {
                    Some(function) => at = function.start,
                    None => break,
                }
                continue;
            };
            self.append(function, &mut rows, &mut budget)?;
            at = function.end;
        }
        Some(Rows::new(rows))
    }

    fn append(&self, function: Function, rows: &mut Vec<(u64, u64, Frame)>, budget: &mut usize) -> Option<()> {
        let offset = EhFrameOffset(function.offset);
        let fde = self.section.fde_from_offset(&self.bases, offset, EhFrame::cie_from_offset).ok()?;
        *budget = budget.checked_sub(fde.entry_len())?.checked_sub(fde.cie().entry_len())?;
        let mut context = UnwindContext::new();
        let mut table = fde.rows(&self.section, &self.bases, &mut context).ok()?;
        while let Some(row) = table.next_row().ok()? {
            let frame = match row.cfa() {
                CfaRule::RegisterAndOffset { register, offset } => {
                    Frame::Register { register: register.0, distance: *offset }
                }
                CfaRule::Expression(_) => Frame::Expression,
            };
            if rows.len() == MAX_ROWS {
                return None;
            }
            rows.push((row.start_address(), row.end_address(), frame));
        }
        Some(())
    }
}
