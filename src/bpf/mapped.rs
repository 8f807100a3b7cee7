//! Where processes map code while they are recorded, as the kernel tells profilers: by records in a ring for each CPU.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use anyhow::Result;
use rustix::mm::ProtFlags;

use super::mapping::Mapping;
use super::perf;

/// Pages of a ring, a power of two: a record has some 130 bytes, and a program that starts makes five.
const PAGES: usize = 8;
/// Of struct perf_event_mmap_page in uapi/linux/perf_event.h: where data_head and data_tail are.
const HEAD: usize = 1024;
const TAIL: usize = 1032;
/// PERF_RECORD_LOST and PERF_RECORD_MMAP2 there.
const LOST: u32 = 2;
const MMAP2: u32 = 10;
/// Bytes of a record's header; and where the process's id and the file's name are in a PERF_RECORD_MMAP2.
const HEADER: usize = 8;
const PID: usize = 8;
const NAME: usize = 72;
/// What the kernel calls memory without a file.
const NO_FILE: &[u8] = b"//anon";

/// Processes that have mapped code.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mappers {
    /// By the ids that they have here.
    pub pids: BTreeSet<u32>,
    /// There were more.
    pub lost: bool,
}

/// The rings.
#[derive(Debug)]
pub struct MappedCode {
    rings: Vec<Ring>,
}

impl MappedCode {
    /// Opens a ring on each of the CPUs of a machine with pages of `page` bytes.
    ///
    /// # Errors
    /// When the kernel gives none: no privilege, or no such CPU.
    pub fn open(cpus: &[u32], page: usize) -> Result<MappedCode> {
        let ring = |event: OwnedFd| {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            let memory = Mapping::new(event.as_fd(), 0, page * (1 + PAGES), protection)?;
            Ok(Ring { memory, event, page })
        };
        Ok(MappedCode { rings: perf::mapped_code(cpus)?.into_iter().map(ring).collect::<Result<_>>()? })
    }

    /// What becomes readable when there is a record.
    pub fn events(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.iter().map(|ring| ring.event.as_fd())
    }

    /// The processes that have mapped code of a file since the last time.
    pub fn take(&mut self) -> Mappers {
        let mut found = Mappers::default();
        self.rings.iter_mut().for_each(|ring| ring.drain(&mut |record| found.add(record)));
        found
    }
}

impl Mappers {
    fn add(&mut self, record: &[u8]) {
        let number = |at: usize| record.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_ne_bytes(*bytes));
        match number(0) {
            Some(LOST) => self.lost = true,
            Some(MMAP2) => {
                let name = record.get(NAME..).unwrap_or_default();
                if name.starts_with(b"/") && !name.starts_with(NO_FILE) {
                    self.pids.extend(number(PID));
                }
            }
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Ring {
    // Unmapped before the event goes.
    memory: Mapping,
    event: OwnedFd,
    page: usize,
}

impl Ring {
    /// Hands every record to `sink`.
    fn drain(&mut self, sink: &mut dyn FnMut(&[u8])) {
        let (head, mut tail) =
            (self.position(HEAD).load(Ordering::Acquire), self.position(TAIL).load(Ordering::Relaxed));
        let mut record = Vec::new();
        while tail < head {
            self.copy(tail, HEADER, &mut record);
            let size = record.get(6..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_ne_bytes(*bytes));
            if usize::from(size) < HEADER {
                break;
            }
            self.copy(tail, usize::from(size), &mut record);
            sink(&record);
            tail += u64::from(size);
        }
        // Also where a record made no sense: the kernel is not kept from writing others.
        self.position(TAIL).store(head, Ordering::Release);
    }

    /// Copies bytes of the data, which may go on at its beginning.
    fn copy(&self, at: u64, bytes: usize, to: &mut Vec<u8>) {
        let size = self.page * PAGES;
        let at = at as usize & (size - 1);
        let before_end = bytes.min(size - at);
        to.clear();
        for (from, bytes) in [(at, before_end), (0, (bytes - before_end).min(size))] {
            // SAFETY: inside the mapped data; the kernel writes none of it until the tail has passed it.
            to.extend_from_slice(unsafe {
                std::slice::from_raw_parts(self.memory.start().add(self.page + from).as_ptr(), bytes)
            });
        }
    }

    fn position(&self, at: usize) -> &AtomicU64 {
        // SAFETY: in the first of the mapped pages, aligned to eight bytes; the kernel reads and writes it atomically.
        unsafe { self.memory.start().add(at).cast().as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::Mappers;

    #[test]
    fn only_code_of_files_counts() {
        let record = |kind: u32, pid: u32, name: &[u8]| {
            let mut bytes = [kind.to_ne_bytes(), [0; 4], pid.to_ne_bytes()].concat();
            bytes.resize(72, 0);
            bytes.extend(name);
            bytes
        };
        let mut found = Mappers::default();
        for (kind, pid, name) in
            [(10, 7, &b"/lib/a.so\0"[..]), (10, 8, b"//anon\0"), (10, 9, b"[vdso]\0"), (1, 5, b"/a\0")]
        {
            found.add(&record(kind, pid, name));
        }
        found.add(&[10, 0, 0, 0]);
        assert_eq!(found, Mappers { pids: [7].into(), lost: false });
        found.add(&record(2, 0, b""));
        assert!(found.lost);
    }
}
