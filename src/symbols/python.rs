//! What the code objects of Python programs are called, and the lines of their instructions.
//!
//! All of it was copied out of processes, which may have written anything there: every part has a bound, and what makes no sense is left out.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::bpf::python::PythonCode;
use crate::bpf::python::Text;
use crate::demangle::bounded;

/// Code objects that are remembered, and bytes of them; beyond, the oldest are forgotten.
const MAX_CODES: usize = 64 << 10;
const MAX_BYTES: usize = 24 << 20;
/// About what one takes beside its texts.
const CODE_BYTES: usize = 200;

/// The name and the file of `_Py_InitCleanup` in the sources of CPython 3.12 to 3.14.
const INITIALIZER: &str = "__init__";

/// A code object: a function, the body of a class or a module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Code {
    /// Its name, with its class and the functions that it is in; empty where that could not be read.
    pub(super) name: String,
    /// The file that it is from.
    pub(super) file: String,
    first_line: i32,
    lines: Vec<u8>,
}

/// The code objects of all processes.
#[derive(Debug, Default)]
pub(super) struct Codes {
    codes: HashMap<(u32, u64), Arc<Code>>,
    /// The oldest first.
    order: VecDeque<(u32, u64)>,
    bytes: usize,
}

impl Codes {
    /// Notes code objects that stacks have.
    pub(super) fn add(&mut self, codes: Vec<PythonCode>) {
        for PythonCode { pid, code, first_line, file, name, lines } in codes {
            let code_object = Code { name: text(&name), file: text(&file), first_line, lines: lines.bytes };
            self.bytes += size(&code_object);
            match self.codes.insert((pid, code), Arc::new(code_object)) {
                Some(old) => self.bytes -= size(&old),
                None => self.order.push_back((pid, code)),
            }
            while self.codes.len() > MAX_CODES || self.bytes > MAX_BYTES {
                let Some(oldest) = self.order.pop_front() else { break };
                self.bytes -= self.codes.remove(&oldest).map_or(0, |old| size(&old));
            }
        }
    }

    /// The code object that frames of a process call so.
    pub(super) fn get(&self, pid: u32, code: u64) -> Option<Arc<Code>> {
        self.codes.get(&(pid, code)).map(Arc::clone)
    }
}

impl Code {
    /// Whether it is the interpreter's own: what it puts between a class that is called and its `__init__`.
    pub(super) fn is_internal(&self) -> bool {
        self.name == INITIALIZER && self.file == INITIALIZER
    }

    /// The line of an instruction, by its place in bytes; `None` is before the first. No line: the compiler made the instruction up,
    /// or the table is not all there.
    pub(super) fn line(&self, instruction: Option<u32>) -> Option<u32> {
        let Some(instruction) = instruction else { return u32::try_from(self.first_line).ok() };
        line(&self.lines, self.first_line, instruction)
    }
}

fn size(code: &Code) -> usize {
    CODE_BYTES + code.name.len() + code.file.len() + code.lines.len()
}

/// The characters of a text; one that was cut ends with `…`.
fn text(text: &Text) -> String {
    let characters: String = match text.width {
        1 => text.bytes.iter().map(|byte| char::from(*byte)).collect(),
        2 => {
            let units = text.bytes.chunks_exact(2).filter_map(|unit| unit.first_chunk());
            char::decode_utf16(units.map(|unit| u16::from_le_bytes(*unit))).map(Result::unwrap_or_default).collect()
        }
        4 => {
            let units = text.bytes.chunks_exact(4).filter_map(|unit| unit.first_chunk());
            units.map(|unit| char::from_u32(u32::from_le_bytes(*unit)).unwrap_or_default()).collect()
        }
        // It is not a text.
        _ => return String::new(),
    };
    bounded(&if text.is_cut { characters + "…" } else { characters })
}

/// The line of the instruction at a place, in bytes. The table (`Objects/locations.md` in the sources of CPython 3.11) has an entry for a
/// few instructions each. An entry's first byte, and no other, has its highest bit set.
fn line(table: &[u8], first_line: i32, place: u32) -> Option<u32> {
    let mut line = i64::from(first_line);
    let mut end = 0;
    let mut rest = table;
    while let Some((head, behind)) = rest.split_first() {
        let length = behind.iter().take_while(|byte| **byte & 0x80 == 0).count();
        let (entry, next) = behind.split_at(length);
        if head & 0x80 == 0 {
            return None;
        }
        let kind = head >> 3 & 15;
        match kind {
            10..=12 => line += i64::from(kind - 10),
            13 | 14 => line += signed(entry)?,
            _ => {}
        }
        // Two bytes of each instruction, and of what it caches.
        end += 2 * (u32::from(head & 7) + 1);
        if place < end {
            return if kind == 15 { None } else { u32::try_from(line).ok() };
        }
        rest = next;
    }
    None
}

/// Six bits a byte, the lowest first, and a bit that says whether more follow; the sign is in the lowest bit of all.
fn signed(bytes: &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(6) {
        value |= u64::from(byte & 63) << (6 * index);
        if byte & 64 == 0 {
            let size = i64::try_from(value >> 1).ok()?;
            return Some(if value & 1 == 1 { -size } else { size });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Code;
    use super::Codes;
    use super::MAX_BYTES;
    use super::line;
    use super::text;
    use crate::bpf::python::PythonCode;
    use crate::bpf::python::Text;

    fn latin(bytes: &[u8]) -> Text {
        Text { bytes: bytes.to_vec(), width: 1, is_cut: false }
    }

    #[test]
    fn lines_are_those_that_python_itself_has() {
        // `co_linetable` and `co_lines()` of a function in CPython 3.13.0: a loop over calls of two lines, and a list comprehension in a `with`.
        let table = "8000db0d0e8801dc08098821dc0a0b88418b24f603010910f103000e0ff206000a0be11718f30301101ad9171890218a419171f10301101af703000a0b8911f9f20201101af703000a0b8d11fa";
        let table: Vec<u8> =
            (0..table.len()).step_by(2).map(|at| u8::from_str_radix(&table[at..at + 2], 16).unwrap()).collect();
        let expected = [
            (0, 2, Some(1)),
            (2, 12, Some(2)),
            (12, 24, Some(3)),
            (24, 44, Some(4)),
            (44, 58, Some(3)),
            (58, 62, Some(2)),
            (62, 68, Some(5)),
            (68, 72, Some(7)),
            (72, 80, Some(6)),
            (80, 96, Some(7)),
            (96, 100, Some(6)),
            (100, 120, Some(5)),
            (120, 124, None),
            (124, 130, Some(6)),
            (130, 158, Some(5)),
            (158, 164, None),
        ];
        for (start, end, number) in expected {
            for place in start..end {
                assert_eq!(line(&table, 1, place), number, "{place}");
            }
        }
        assert_eq!(line(&table, 1, 164), None);
        let code = Code { name: "f".into(), file: "a.py".into(), first_line: 12, lines: table };
        assert_eq!((code.line(None), code.line(Some(12))), (Some(12), Some(14)));
    }

    proptest! {
        #[test]
        fn any_table_gives_a_line_or_none(table in prop::collection::vec(any::<u8>(), 0..600), first in any::<i32>(), at in any::<u32>()) {
            let _ = line(&table, first, at % 4000);
        }

        #[test]
        fn any_text_is_bounded(bytes in prop::collection::vec(any::<u8>(), 0..2000), width in any::<u8>(), is_cut: bool) {
            let text = text(&Text { bytes, width, is_cut });
            prop_assert!(text.len() <= 1100, "{}", text.len());
        }
    }

    #[test]
    fn texts_of_every_width_are_read() {
        assert_eq!(text(&latin(b"Caf\xe9.price")), "Café.price");
        let wide = |text: &str, width| match width {
            2 => text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
            _ => text.chars().flat_map(|one| u32::from(one).to_le_bytes()).collect(),
        };
        for width in [2, 4] {
            assert_eq!(text(&Text { bytes: wide("цена", width), width, is_cut: true }), "цена…");
        }
    }

    #[test]
    fn the_oldest_code_objects_make_room_for_new_ones() {
        let mut codes = Codes::default();
        let one = |code: u64| PythonCode {
            pid: 7,
            code,
            first_line: 1,
            file: latin(b"a.py"),
            name: latin(b"f"),
            lines: Text { bytes: vec![0; 8192], width: 1, is_cut: false },
        };
        codes.add((0..4000).map(one).collect());
        codes.add(vec![one(3999)]);
        assert!(
            codes.bytes <= MAX_BYTES && codes.codes.len() == codes.order.len(),
            "{} {}",
            codes.bytes,
            codes.codes.len()
        );
        assert_eq!(codes.get(7, 0), None);
        let expected = Code { name: "f".into(), file: "a.py".into(), first_line: 1, lines: vec![0; 8192] };
        assert_eq!(codes.get(7, 3999).as_deref(), Some(&expected));
        assert_eq!(codes.get(8, 3999), None);
    }
}
