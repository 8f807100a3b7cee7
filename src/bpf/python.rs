//! The maps that let the programs follow CPython's frames. `bpf/shared/python.h` reads interpreters from them, and reports code objects.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use anyhow::Context;
use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;

use super::bytes_of;
use super::create::create_map;
use super::create::options;
use super::memory;
use super::memory::MapMemory;
use super::ring::Ring;
use super::shared::types;
use crate::unwind::python::Entry;
use crate::unwind::python::Layout;

/// Stretches of a file that are one interpreter's loop, and interpreters, as in bpf/shared/python_types.h.
pub const MAX_PARTS: usize = 4;
/// Interpreters, of which the number 0 is none.
pub const MAX_INTERPRETERS: u32 = 64;
/// Threads whose state is remembered, and code objects that user space was told of; beyond, the oldest are found out again.
const MAX_THREADS: u32 = 4096;
const MAX_TOLD: u32 = 8192;
/// Code objects between two looks: some thousand, half a kilobyte to one each.
const RING: u32 = 1 << 20;
/// `struct python_code` there: its texts have their bytes one after the other behind the head.
const HEAD: usize = 40;
const FILE_BYTES: usize = 512;
const NAME_BYTES: usize = 256;

/// An interpreter in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Where things are in it.
    pub layout: Layout,
    /// The parts of its loop in the file, each up to an end.
    pub parts: Vec<(u64, u64)>,
    /// How far its runtime is from where the file's first byte would be, were that mapped as the loop is.
    pub runtime: u64,
}

/// A text out of a process, as its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// What was copied of it.
    pub bytes: Vec<u8>,
    /// Bytes of a character: 1, 2 or 4.
    pub width: u8,
    /// Whether there is more of it.
    pub is_cut: bool,
}

/// A code object that a stack has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonCode {
    /// The process.
    pub pid: u32,
    /// What frames call it.
    pub code: u64,
    /// The line that it begins at.
    pub first_line: i32,
    /// The file that it is from.
    pub file: Text,
    /// Its name, with its class and the functions that it is in.
    pub name: Text,
    /// The lines of its instructions (`co_linetable`).
    pub lines: Text,
}

/// The maps.
#[derive(Debug)]
pub(super) struct PythonMaps {
    interpreters: MapHandle,
    threads: MapHandle,
    told: MapHandle,
    codes: MapHandle,
    page: usize,
}

impl PythonMaps {
    /// Creates them, on a machine with pages of `page` bytes.
    pub(super) fn create(page: usize) -> Result<PythonMaps> {
        let interpreter = size_of::<types::python_interpreter>() as u32;
        let thread = size_of::<types::python_thread>() as u32;
        let seen = size_of::<types::python_seen>() as u32;
        let map = |kind, name, key, value, entries| create_map(kind, name, key, value, entries, &options());
        Ok(PythonMaps {
            interpreters: map(MapType::Array, "ebrec_py_interp", 4, interpreter, MAX_INTERPRETERS)?,
            threads: map(MapType::LruHash, "ebrec_py_thread", 4, thread, MAX_THREADS)?,
            told: map(MapType::LruHash, "ebrec_py_told", seen, 4, MAX_TOLD)?,
            codes: map(MapType::RingBuf, "ebrec_py_codes", 0, 0, RING.max(u32::try_from(page)?))?,
            page,
        })
    }

    /// The maps, by what objects call them.
    pub(super) fn named(&self) -> [(&'static str, BorrowedFd<'_>); 4] {
        [
            ("python_interpreters", self.interpreters.as_fd()),
            ("python_threads", self.threads.as_fd()),
            ("python_told", self.told.as_fd()),
            ("python_codes", self.codes.as_fd()),
        ]
    }

    /// Adds the kernel memory that they take.
    pub(super) fn add_memory(&self, found: &mut MapMemory) {
        [&self.interpreters, &self.threads, &self.told].into_iter().for_each(|map| memory::add(found, map, 0));
        memory::add(found, &self.codes, RING.into());
    }

    /// Handles to the same maps.
    pub(super) fn share(&self) -> Result<PythonMaps> {
        let again = |map: &MapHandle| MapHandle::try_from(map).context("can't share a map");
        Ok(PythonMaps {
            interpreters: again(&self.interpreters)?,
            threads: again(&self.threads)?,
            told: again(&self.told)?,
            codes: again(&self.codes)?,
            page: self.page,
        })
    }

    pub(super) fn write_interpreter(&self, number: u32, interpreter: &Interpreter) -> Result<()> {
        let Interpreter { layout, parts, runtime } = interpreter;
        let (mut starts, mut ends) = ([0; MAX_PARTS], [0; MAX_PARTS]);
        for ((start, end), part) in starts.iter_mut().zip(&mut ends).zip(parts) {
            (*start, *end) = *part;
        }
        let entry = match layout.entry {
            Entry::Marked => types::python_entry::PYTHON_MARKED,
            Entry::Linked => types::python_entry::PYTHON_LINKED,
            Entry::OnStack => types::python_entry::PYTHON_ON_STACK,
        };
        let value = types::python_interpreter {
            starts,
            ends,
            runtime: *runtime,
            interpreters: layout.interpreters,
            next_interpreter: layout.next_interpreter,
            threads: layout.threads,
            next_thread: layout.next_thread,
            thread_id: layout.thread_id,
            current: layout.current,
            entry: entry.0,
            chain_frame: layout.chain_frame,
            chain_previous: layout.chain_previous,
            code: layout.code,
            previous: layout.previous,
            instruction: layout.instruction,
            owner: layout.owner,
            names: layout.names,
            first_line: layout.first_line,
            instructions: layout.instructions,
            ascii: layout.ascii,
            wide: layout.wide,
        };
        self.interpreters
            .update(&number.to_ne_bytes(), bytes_of(&value), MapFlags::ANY)
            .context("can't write an interpreter")
    }

    pub(super) fn codes(&self) -> Result<CodeRing> {
        Ok(CodeRing { ring: Ring::map(self.codes.as_fd(), RING.try_into()?, self.page)? })
    }
}

/// Code objects, as the programs report them.
#[derive(Debug)]
pub struct CodeRing {
    ring: Ring,
}

impl CodeRing {
    /// Takes those out that have come since the call before.
    pub fn take(&mut self) -> Vec<PythonCode> {
        let mut codes = Vec::new();
        self.ring.drain_to(self.ring.end(), &mut |record| codes.extend(code(record)));
        codes
    }
}

fn code(record: &[u8]) -> Option<PythonCode> {
    let texts = record.get(HEAD..)?;
    let text = |head: usize, texts: &[u8]| {
        let length = u32::from_ne_bytes(*record.get(head..)?.first_chunk()?);
        let bytes = usize::from(u16::from_ne_bytes(*record.get(head + 4..)?.first_chunk()?));
        let width = *record.get(head + 6)?;
        let is_cut = u64::from(length) * u64::from(width) > bytes as u64;
        Some(Text { bytes: texts.get(..bytes)?.to_vec(), width, is_cut })
    };
    Some(PythonCode {
        code: u64::from_ne_bytes(*record.first_chunk()?),
        pid: u32::from_ne_bytes(*record.get(8..)?.first_chunk()?),
        first_line: i32::from_ne_bytes(*record.get(12..)?.first_chunk()?),
        file: text(16, texts)?,
        name: text(24, texts.get(FILE_BYTES..)?)?,
        lines: text(32, texts.get(FILE_BYTES + NAME_BYTES..)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::PythonCode;
    use super::Text;
    use super::code;

    #[test]
    fn a_code_object_is_read_as_it_is_laid_out_and_no_further_than_it_reaches() {
        let mut record = [0x1234_u64.to_ne_bytes().as_slice(), &7_u32.to_ne_bytes(), &12_i32.to_ne_bytes()].concat();
        for (length, bytes, width) in [(4_u32, 4_u16, 1_u8), (300, 256, 1), (2, 2, 1)] {
            record.extend([length.to_ne_bytes().as_slice(), &bytes.to_ne_bytes(), &[width, 0]].concat());
        }
        record.extend([b"a.py".as_slice(), &[0; 508], &[b'f'; 256], &[0x80, 0]].concat());
        let file = Text { bytes: b"a.py".to_vec(), width: 1, is_cut: false };
        let name = Text { bytes: vec![b'f'; 256], width: 1, is_cut: true };
        let lines = Text { bytes: vec![0x80, 0], width: 1, is_cut: false };
        assert_eq!(code(&record), Some(PythonCode { pid: 7, code: 0x1234, first_line: 12, file, name, lines }));
        assert_eq!(code(&record[..record.len() - 1]), None);
        assert_eq!(code(&record[..20]), None);
    }
}
