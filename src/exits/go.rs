//! The function table that every Go program carries, stripped or not (`.gopclntab`), as `runtime/symtab.go` reads it.

use super::frames::Frame;
use super::frames::Rows;
use super::machine::Machine;

/// Bytes of the table, at most; Kubernetes' programs have 40 MiB.
pub(super) const MAX_TABLE: u64 = 256 << 20;
/// Functions of one program, at most.
const MAX_FUNCTIONS: usize = 1 << 20;
/// Bytes of a function's name, at most.
const MAX_NAME: usize = 4096;
/// Stretches of one function with a stack depth each, at most.
const MAX_ROWS: usize = 1 << 16;
/// Flags: nobody called the function, and it changes to another stack (both from Go 1.17 on); it is written in assembly (from 1.19 on).
const FLAG_TOP: u8 = 1;
const FLAG_WRITES_STACK_POINTER: u8 = 2;
const FLAG_ASSEMBLY: u8 = 4;

/// The smallest distance between a table's beginning and its neighbours'.
const ALIGNMENT: usize = 8;

/// The layout of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Go 1.16 and 1.17: entries are addresses.
    Addresses,
    /// Go 1.18 on: entries are distances from the beginning of the code.
    Distances,
}

/// A Go program's functions.
pub(super) struct GoTable<'data> {
    bytes: &'data [u8],
    layout: Layout,
    machine: Machine,
    /// The smallest instruction's bytes, the unit of program counters.
    quantum: u64,
    text: u64,
    names: usize,
    depths: usize,
    functions: usize,
    count: usize,
}

/// One function of a Go program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GoFunction<'data> {
    pub(super) name: &'data str,
    pub(super) start: u64,
    /// Where the next one begins; filling belongs to it.
    pub(super) end: u64,
    pub(super) is_assembly: bool,
    /// Nobody called it.
    pub(super) is_top: bool,
    /// It changes to another stack.
    pub(super) writes_stack_pointer: bool,
    depths: usize,
}

impl<'data> GoTable<'data> {
    /// Where in a section a table begins: linkers merge it with other data.
    pub(super) fn find(bytes: &[u8]) -> Option<usize> {
        let is_head = |head: &[u8]| matches!(head, [0xfa | 0xf0 | 0xf1, 0xff, 0xff, 0xff, 0, 0, 1 | 2 | 4, 8]);
        bytes.chunks_exact(ALIGNMENT).position(is_head).map(|index| index * ALIGNMENT)
    }

    /// Reads the table's head. Its functions are not where they are said to be before [`GoTable::begin`].
    pub(super) fn read(bytes: &'data [u8], machine: Machine) -> Option<Self> {
        let layout = match u32_at(bytes, 0)? {
            0xffff_fffa => Layout::Addresses,
            0xffff_fff0 | 0xffff_fff1 => Layout::Distances,
            _ => return None,
        };
        let quantum = u64::from(*bytes.get(6)?);
        if *bytes.get(7)? != 8 || !matches!(quantum, 1 | 2 | 4) {
            return None;
        }
        let word = |index: usize| usize::try_from(u64_at(bytes, 8 + index * 8)?).ok();
        let count = word(0)?.min(MAX_FUNCTIONS);
        let (text, names, depths, functions) = match layout {
            Layout::Addresses => (0, word(2)?, word(5)?, word(6)?),
            Layout::Distances => (u64_at(bytes, 24)?, word(3)?, word(6)?, word(7)?),
        };
        Some(GoTable { bytes, layout, machine, quantum, text, names, depths, functions, count })
    }

    /// Where the program's code begins, if the table says so. Position-independent programs learn it from the dynamic linker, and from Go
    /// 1.26 on it is not in the table at all.
    pub(super) fn text(&self) -> Option<u64> {
        (self.text != 0 || self.layout == Layout::Addresses).then_some(self.text)
    }

    /// The same table of a program whose code begins at `text`.
    pub(super) fn begin(self, text: u64) -> Self {
        GoTable { text, ..self }
    }

    /// How far behind the beginning of the code the first function is.
    pub(super) fn first(&self) -> Option<u64> {
        u32_at(self.bytes, self.functions).map(u64::from)
    }

    /// Bytes of an entry's address in the index.
    fn width(&self) -> usize {
        match self.layout {
            Layout::Addresses => 8,
            Layout::Distances => 4,
        }
    }

    /// The `index`th address of the index, and where the function's record is. The last is the end of all code.
    fn entry(&self, index: usize) -> Option<(u64, u64)> {
        let at = self.functions.checked_add(index.checked_mul(2 * self.width())?)?;
        let number = |at: usize| match self.layout {
            Layout::Addresses => u64_at(self.bytes, at),
            Layout::Distances => u32_at(self.bytes, at).map(u64::from),
        };
        Some((self.text.checked_add(number(at)?)?, number(at.checked_add(self.width())?).unwrap_or(0)))
    }

    /// The function that begins at an address.
    pub(super) fn function(&self, address: u64) -> Option<GoFunction<'data>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.0 < address { low = middle + 1 } else { high = middle }
        }
        self.nth(low).filter(|function| function.start == address)
    }

    fn nth(&self, index: usize) -> Option<GoFunction<'data>> {
        if index >= self.count {
            return None;
        }
        let (start, record) = self.entry(index)?;
        let (end, _) = self.entry(index + 1)?;
        let at = self.functions.checked_add(usize::try_from(record).ok()?)?;
        // The record begins with the function's own address, and its other numbers have four bytes each.
        let field = |number: usize| u32_at(self.bytes, at.checked_add(self.width())?.checked_add(number * 4)?);
        let name = usize::try_from(field(0)?).ok()?;
        let depths = usize::try_from(field(3)?).ok()?;
        // The flags are the second byte behind the compilation unit, or behind the line that Go 1.20 added.
        let behind = if u32_at(self.bytes, 0)? == 0xffff_fff1 { 9 } else { 8 };
        let flags = *self.bytes.get(at.checked_add(self.width())?.checked_add(behind * 4 + 1)?)?;
        Some(GoFunction {
            name: self.name(name)?,
            start,
            end,
            is_assembly: self.layout == Layout::Distances && flags & FLAG_ASSEMBLY != 0,
            is_top: flags & FLAG_TOP != 0,
            writes_stack_pointer: flags & FLAG_WRITES_STACK_POINTER != 0,
            depths,
        })
    }

    fn name(&self, at: usize) -> Option<&'data str> {
        let bytes = self.bytes.get(self.names.checked_add(at)?..)?;
        let bytes = bytes.get(..bytes.len().min(MAX_NAME))?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(bytes.get(..end)?).ok()
    }

    /// All functions, in the order of their addresses.
    pub(super) fn functions(&self) -> impl Iterator<Item = GoFunction<'data>> {
        (0..self.count).map_while(|index| self.entry(index).map(|_| index)).filter_map(|index| self.nth(index))
    }

    /// Whether it may be of a Go that kept arguments and goroutine on the stack.
    pub(super) fn is_before_registers(&self) -> bool {
        self.layout == Layout::Addresses
    }

    /// The frames of a function, from the depth of its stack at each instruction.
    pub(super) fn rows(&self, function: &GoFunction<'data>) -> Option<Rows> {
        let register = self.machine.stack_pointer();
        let row = |(start, end, distance)| (start, end, Frame::Register { register, distance });
        self.distances(function).map(|rows| Rows::new(rows.into_iter().map(row).collect()))
    }

    /// How far a function's frame is above the stack pointer: from one address to another, in bytes.
    pub(super) fn distances(&self, function: &GoFunction<'data>) -> Option<Vec<(u64, u64, i64)>> {
        let mut bytes = self.bytes.get(self.depths.checked_add(function.depths)?..)?;
        let (mut depth, mut at) = (-1i64, function.start);
        let mut rows = Vec::new();
        while at < function.end {
            let zigzag = number(&mut bytes)?;
            if zigzag == 0 && !rows.is_empty() {
                break;
            }
            let change = i64::from(zigzag >> 1) ^ -i64::from(zigzag & 1);
            depth = depth.checked_add(change)?;
            let size = u64::from(number(&mut bytes)?).checked_mul(self.quantum)?;
            let end = at.checked_add(size)?;
            rows.push((at, end, depth.checked_add(self.machine.pushed_by_call())?));
            at = end;
            if rows.len() > MAX_ROWS {
                return None;
            }
        }
        Some(rows)
    }
}

/// Takes a number of seven bits a byte off the front.
fn number(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for shift in (0..32).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
