//! The maps that the programs unwind user stacks by: bpf/shared/unwind.h searches them, `symbols::tables` fills them.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::poll;
use rustix::io::Errno;
use rustix::time::Timespec;

use super::Plain;
use super::bytes_of;
use super::create::create_map;
use super::create::options;
use super::mapped::MappedCode;
use super::memory;
use super::memory::MapMemory;
use super::python::CodeRing;
use super::python::Interpreter;
use super::python::PythonMaps;
use super::read;
use super::ring::Ring;
use super::shared::types;
use crate::host::doorbell::Doorbell;
use crate::unwind::pool::CHUNK_ROWS;
use crate::unwind::pool::MAX_RULES;
use crate::unwind::pool::Page;
use crate::unwind::rule::Cfa;
use crate::unwind::rule::FramePointer;
use crate::unwind::rule::Rule;

pub use types::unwind_mapping_kind as MappingKind;

/// Pages of code that have an entry for each chunk of rows: a page of compiled code has some 60 rows, one without tables none.
const PAGES_PER_CHUNK: u32 = 1024;
/// Files, mappings of all processes, and processes.
const MAX_FILES: u32 = 4096;
const MAX_MAPPINGS: u32 = 32 << 10;
const MAX_PROCESSES: u32 = 8192;
/// Processes whose mappings may be wanted at a time; the program asks again for those that found no room.
const MAX_WANTED: u32 = 8192;
/// FRAME_IS_IN_FILE and FRAME_IS_ADDRESS of bpf/shared/stack_types.h.
const IN_FILE: i32 = 1;
const AT_ADDRESS: i32 = 2;
/// Keys in one call.
const BATCH: u32 = 1024;

/// An executable mapping of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// The place in the file of the first address.
    pub offset: u64,
    /// The number of the first page's entry, and how many of its pages have one.
    pub pages: (u32, u32),
    /// The file, by its number.
    pub file: u32,
    /// What it is.
    pub kind: MappingKind,
}

/// Where mappings are in the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u32,
    room: u32,
}

/// The maps.
#[derive(Debug)]
pub struct UnwindMaps {
    chunks: MapHandle,
    pages: MapHandle,
    rules: MapHandle,
    mappings: MapHandle,
    files: MapHandle,
    processes: MapHandle,
    wanted: MapHandle,
    bell: MapHandle,
    python: PythonMaps,
    max_chunks: u32,
    page: usize,
}

impl UnwindMaps {
    /// Creates maps for tables of so many bytes, on a machine with pages of `page` bytes.
    ///
    /// # Errors
    /// When the kernel refuses a map: no privilege, or no memory.
    pub fn create(bytes: u64, page: usize) -> Result<UnwindMaps> {
        let chunk = size_of::<u32>() * CHUNK_ROWS;
        let max_chunks = u32::try_from(bytes / chunk as u64).unwrap_or(u32::MAX).clamp(1, 1 << 16);
        let array = |name, value, entries| create_map(MapType::Array, name, 4, value, entries, &options());
        let hash = |name, value, entries| create_map(MapType::Hash, name, 4, value, entries, &options());
        Ok(UnwindMaps {
            chunks: array("ebrec_unw_rows", chunk as u32, max_chunks)?,
            pages: array("ebrec_unw_pages", size_of::<types::unwind_page>() as u32, max_chunks * PAGES_PER_CHUNK)?,
            rules: array("ebrec_unw_rules", size_of::<types::unwind_rule>() as u32, MAX_RULES as u32)?,
            mappings: array("ebrec_unw_maps", size_of::<types::unwind_mapping>() as u32, MAX_MAPPINGS)?,
            files: array("ebrec_unw_files", size_of::<types::unwind_file>() as u32, MAX_FILES)?,
            processes: hash("ebrec_unw_procs", size_of::<types::unwind_process>() as u32, MAX_PROCESSES)?,
            wanted: hash("ebrec_unw_want", 8, MAX_WANTED)?,
            bell: create_map(MapType::RingBuf, "ebrec_unw_bell", 0, 0, u32::try_from(page)?, &options())?,
            python: PythonMaps::create(page)?,
            max_chunks,
            page,
        })
    }

    /// Chunks and pages that there is room for.
    pub fn room(&self) -> (usize, usize) {
        (self.max_chunks as usize, (self.max_chunks * PAGES_PER_CHUNK) as usize)
    }

    /// Files that there is room for.
    pub fn max_files(&self) -> u32 {
        MAX_FILES
    }

    /// The maps, by what objects call them.
    pub fn named(&self) -> Vec<(&'static str, BorrowedFd<'_>)> {
        vec![
            ("unwind_chunks", self.chunks.as_fd()),
            ("unwind_pages", self.pages.as_fd()),
            ("unwind_rules", self.rules.as_fd()),
            ("unwind_mappings", self.mappings.as_fd()),
            ("unwind_files", self.files.as_fd()),
            ("unwind_processes", self.processes.as_fd()),
            ("unwind_wanted", self.wanted.as_fd()),
            ("unwind_bell", self.bell.as_fd()),
        ]
        .into_iter()
        .chain(self.python.named())
        .collect()
    }

    /// Kernel memory that they take.
    pub fn memory(&self) -> MapMemory {
        let mut found = MapMemory::new();
        let maps = [&self.chunks, &self.pages, &self.rules, &self.mappings, &self.files, &self.processes, &self.wanted];
        maps.into_iter().for_each(|map| memory::add(&mut found, map, 0));
        self.python.add_memory(&mut found);
        found
    }

    /// Handles to the same maps, for another thread.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn share(&self) -> Result<UnwindMaps> {
        let again = |map: &MapHandle| MapHandle::try_from(map).context("can't share a map");
        Ok(UnwindMaps {
            chunks: again(&self.chunks)?,
            pages: again(&self.pages)?,
            rules: again(&self.rules)?,
            mappings: again(&self.mappings)?,
            files: again(&self.files)?,
            processes: again(&self.processes)?,
            wanted: again(&self.wanted)?,
            bell: again(&self.bell)?,
            python: self.python.share()?,
            max_chunks: self.max_chunks,
            page: self.page,
        })
    }

    /// Writes the rows of a chunk.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn write_chunk(&self, number: u32, rows: &[u32]) -> Result<()> {
        let mut bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_ne_bytes()).collect();
        bytes.resize(size_of::<u32>() * CHUNK_ROWS, 0);
        self.chunks.update(&number.to_ne_bytes(), &bytes, MapFlags::ANY).context("can't write unwind rows")
    }

    /// Writes the entries of pages from a number on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn write_pages(&self, first: u32, pages: &[Page]) -> Result<()> {
        let pages = pages.iter().map(|page| types::unwind_page { first: page.first, count: page.count });
        write(&self.pages, first, pages)
    }

    /// Writes rules from a number on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn write_rules(&self, first: u16, rules: &[Rule]) -> Result<()> {
        write(&self.rules, first.into(), rules.iter().map(rule))
    }

    /// Writes what frames of a file begin with: what it is told by, if that is known; and the interpreter that it has, by its number.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn write_file(&self, number: u32, build_id: Option<[u8; 20]>, python: Option<u32>) -> Result<()> {
        let status = if build_id.is_some() { IN_FILE } else { AT_ADDRESS };
        let python = python.unwrap_or(0);
        let file = types::unwind_file { status, build_id: build_id.unwrap_or_default(), python };
        write(&self.files, number, [file].into_iter())
    }

    /// Writes an interpreter, by its number.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn write_interpreter(&self, number: u32, interpreter: &Interpreter) -> Result<()> {
        self.python.write_interpreter(number, interpreter)
    }

    /// The code objects that stacks have.
    ///
    /// # Errors
    /// When the ring can't be mapped.
    pub fn codes(&self) -> Result<CodeRing> {
        self.python.codes()
    }

    /// The build id of a file, if it has one.
    pub fn build_id(&self, number: u32) -> Option<[u8; 20]> {
        let file: types::unwind_file = read(&self.files.lookup(&number.to_ne_bytes(), MapFlags::ANY).ok()??)?;
        (file.status == IN_FILE).then_some(file.build_id)
    }

    /// The processes whose mappings are wanted, with the programs that they run. Each stays one until it is given an answer.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wanted(&self) -> Result<Vec<(u32, u64)>> {
        let mut wanted = Vec::new();
        for (pid, program) in self.wanted.lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY)? {
            if let (Some(pid), Some(program)) = (pid.first_chunk(), program.first_chunk()) {
                wanted.push((u32::from_ne_bytes(*pid), u64::from_ne_bytes(*program)));
            }
        }
        Ok(wanted)
    }

    /// Answers for a process: the programs may ask for it again from here on.
    pub fn answer(&self, pid: u32) {
        let _ = self.wanted.delete(&pid.to_ne_bytes());
    }

    /// What rings when another process is wanted.
    ///
    /// # Errors
    /// When it can't be mapped.
    pub fn bell(&self) -> Result<Bell> {
        Ok(Bell { ring: Ring::map(self.bell.as_fd(), self.page, self.page)?, map: MapHandle::try_from(&self.bell)? })
    }
}

/// Rings when there is something to do.
#[derive(Debug)]
pub struct Bell {
    ring: Ring,
    map: MapHandle,
}

impl Bell {
    /// Waits until it rings, or has rung since the last time, or until the other doorbell has rung, or there is a record of code that a
    /// process maps; at most so long, if that is given.
    ///
    /// # Errors
    /// When the kernel refuses to wait. An interrupted wait is none.
    pub fn wait(&mut self, other: &Doorbell, mapped: Option<&MappedCode>, patience: Option<Duration>) -> Result<()> {
        let patience = patience.map(Timespec::try_from).transpose().context("too long a wait")?;
        let map = self.map.as_fd();
        let events: Vec<BorrowedFd<'_>> = mapped.into_iter().flat_map(MappedCode::events).collect();
        let mut bells = vec![PollFd::new(&map, PollFlags::IN), PollFd::new(other, PollFlags::IN)];
        bells.extend(events.iter().map(|event| PollFd::new(event, PollFlags::IN)));
        match poll(&mut bells, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for processes failed"),
        }
        self.ring.drain_to(self.ring.end(), &mut |_| {});
        Ok(())
    }
}

/// Which process has its mappings where. A run that is given up is used again when no program searches it any more.
#[derive(Debug, Default)]
pub struct Runs {
    of: BTreeMap<u32, Run>,
    /// By how many mappings they have room for.
    free: BTreeMap<u32, Vec<u32>>,
    /// Given up, and when that may have been seen everywhere.
    resting: Vec<(Run, u64)>,
    end: u32,
}

/// A program that was under way when a run was given up has ended by then: none runs for a hundredth of that.
const REST_NS: u64 = 1_000_000_000;

impl Runs {
    /// Sets what a process that runs a program has mapped; `exec_pages` is how many pages all of that has. False: there is no room.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set(
        &mut self,
        maps: &UnwindMaps,
        (pid, program): (u32, u64),
        mappings: &[Mapping],
        exec_pages: u64,
        now_ns: u64,
    ) -> Result<bool> {
        let count = u32::try_from(mappings.len())?;
        let Some(run) = self.take(count, now_ns) else { return Ok(false) };
        write(&maps.mappings, run.first, mappings.iter().map(mapping))?;
        let process = types::unwind_process { program, exec_vm: exec_pages, first: run.first, count };
        if maps.processes.update(&pid.to_ne_bytes(), bytes_of(&process), MapFlags::ANY).is_err() {
            self.give_up(run, now_ns);
            return Ok(false);
        }
        if let Some(old) = self.of.insert(pid, run) {
            self.give_up(old, now_ns);
        }
        Ok(true)
    }

    /// Gives mappings of a file the place of its tables: each is told by its process and by its number among that one's mappings.
    ///
    /// They stay where they are: programs search them meanwhile. So their pages are written first, and after that their kind, which says
    /// that there are some.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn complete(&self, maps: &UnwindMaps, changed: &[(u32, usize, Mapping)]) -> Result<()> {
        let place = |(pid, number, mapping): &(u32, usize, Mapping)| {
            let run = self.of.get(pid)?;
            let number = u32::try_from(*number).ok().filter(|number| *number < run.room)?;
            Some((run.first + number, *mapping))
        };
        let placed: Vec<(u32, Mapping)> = changed.iter().filter_map(place).collect();
        let unread = |(number, mapping): &(u32, Mapping)| {
            (*number, Mapping { kind: MappingKind::MAPPING_FILE_UNREAD, ..*mapping })
        };
        write_all(&maps.mappings, placed.iter().map(unread).map(|(number, one)| (number, mapping(&one))))?;
        write_all(&maps.mappings, placed.iter().map(|(number, one)| (*number, mapping(one))))
    }

    /// Forgets the processes that are not there any more.
    pub fn retain(&mut self, maps: &UnwindMaps, lives: impl Fn(u32) -> bool, now_ns: u64) {
        let gone: Vec<u32> = self.of.keys().copied().filter(|pid| !lives(*pid)).collect();
        for pid in gone {
            let _ = maps.processes.delete(&pid.to_ne_bytes());
            if let Some(run) = self.of.remove(&pid) {
                self.give_up(run, now_ns);
            }
        }
    }

    fn give_up(&mut self, run: Run, now_ns: u64) {
        self.resting.push((run, now_ns.saturating_add(REST_NS)));
    }

    fn take(&mut self, count: u32, now_ns: u64) -> Option<Run> {
        let free = &mut self.free;
        self.resting.retain(|(run, until)| {
            let rests = *until > now_ns;
            if !rests {
                free.entry(run.room).or_default().push(run.first);
            }
            rests
        });
        let room = count.max(4).next_power_of_two();
        if let Some(first) = self.free.get_mut(&room).and_then(Vec::pop) {
            return Some(Run { first, room });
        }
        let first = self.end;
        self.end = first.checked_add(room).filter(|end| *end <= MAX_MAPPINGS)?;
        Some(Run { first, room })
    }
}

/// Writes the elements of an array from a number on.
fn write<T: Plain>(map: &MapHandle, first: u32, values: impl Iterator<Item = T>) -> Result<()> {
    write_all(map, (first..).zip(values))
}

/// Writes elements of an array, by number.
fn write_all<T: Plain>(map: &MapHandle, values: impl Iterator<Item = (u32, T)>) -> Result<()> {
    let (mut keys, mut bytes, mut count) = (Vec::new(), Vec::new(), 0);
    for (number, value) in values {
        keys.extend(number.to_ne_bytes());
        bytes.extend(bytes_of(&value));
        count += 1;
    }
    if count == 0 {
        return Ok(());
    }
    map.update_batch(&keys, &bytes, count, MapFlags::ANY, MapFlags::ANY).context("can't write unwind tables")
}

fn mapping(mapping: &Mapping) -> types::unwind_mapping {
    types::unwind_mapping {
        start: mapping.start,
        end: mapping.end,
        offset: mapping.offset,
        page: mapping.pages.0,
        pages: mapping.pages.1,
        file: mapping.file,
        kind: mapping.kind.0,
    }
}

fn rule(rule: &Rule) -> types::unwind_rule {
    use types::unwind_cfa as cfa;
    use types::unwind_frame_pointer as frame_pointer;
    let (kind, reg, offset, more) = match rule.cfa {
        Cfa::Unknown => (cfa::CFA_UNKNOWN, 0, 0, 0),
        Cfa::Outermost => (cfa::CFA_OUTERMOST, 0, 0, 0),
        Cfa::StackPointer(offset) => (cfa::CFA_STACK_POINTER, 0, offset, 0),
        Cfa::FramePointer(offset) => (cfa::CFA_FRAME_POINTER, 0, offset, 0),
        Cfa::OtherStack(offset) => (cfa::CFA_OTHER_STACK, 0, offset, 0),
        Cfa::Register(register, offset) => (cfa::CFA_REGISTER, register, offset, 0),
        Cfa::ReturnInRegister(register, offset) => (cfa::CFA_RETURN_IN_REGISTER, register, offset, 0),
        Cfa::AtStackPointer(offset, more) => (cfa::CFA_AT_STACK_POINTER, 0, offset, more),
        Cfa::AtFramePointer(offset, more) => (cfa::CFA_AT_FRAME_POINTER, 0, offset, more),
        Cfa::Goroutine(current, distance) => (cfa::CFA_GOROUTINE, 0, current, distance),
        Cfa::Stub(offset) => (cfa::CFA_STUB, 0, offset, 0),
        Cfa::Signal => (cfa::CFA_SIGNAL, 0, 0, 0),
        Cfa::Unsupported => (cfa::CFA_UNSUPPORTED, 0, 0, 0),
    };
    let (kept, at) = match rule.frame_pointer {
        FramePointer::Same => (frame_pointer::FP_SAME, 0),
        FramePointer::AtCfa(offset) => (frame_pointer::FP_AT_CFA, offset),
        FramePointer::AtFramePointer(offset) => (frame_pointer::FP_AT_FRAME_POINTER, offset),
        FramePointer::Lost => (frame_pointer::FP_LOST, 0),
    };
    types::unwind_rule {
        cfa: kind.0 as u8,
        frame_pointer: kept.0 as u8,
        reg: reg.into(),
        offset,
        more,
        frame_pointer_offset: at,
    }
}

#[cfg(test)]
mod tests {
    use super::REST_NS;
    use super::Run;
    use super::Runs;

    #[test]
    fn a_run_that_was_given_up_rests_before_it_is_used_again() {
        let mut runs = Runs::default();
        let first = runs.take(5, 0).unwrap();
        assert_eq!(first, Run { first: 0, room: 8 });
        runs.give_up(first, 10);
        assert_eq!(runs.take(8, REST_NS), Some(Run { first: 8, room: 8 }));
        assert_eq!(runs.take(6, 10 + REST_NS), Some(Run { first: 0, room: 8 }));
        assert_eq!(runs.take(1 << 20, 0), None);
    }
}
