//! The window as all programs see it: one page that they share with this process.

use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use anyhow::Result;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use rustix::mm::ProtFlags;

use super::create::create_map;
use super::create::options;
use super::mapping::Mapping;
use super::shared::types;

/// `due_ns` of a window whose end is not known.
const NOT_DUE: u64 = u64::MAX;

/// Probes that can be thinned: those whose numbers are lower.
const MOST_THINNED: usize = offset_of!(types::epoch, stacks) - offset_of!(types::epoch, thin);

/// Creates the map that all objects share.
///
/// # Errors
/// When the kernel refuses it.
pub(super) fn create() -> Result<MapHandle> {
    let mut shared = options();
    shared.map_flags = libbpf_sys::BPF_F_MMAPABLE;
    create_map(MapType::Array, "ebrec_epoch", 4, size_of::<types::epoch>() as u32, 1, &shared)
}

/// A view of the window: when it began, when it ended, and which of two sets of maps takes new values.
///
/// One store closes the window for all programs of all probes, so that their counts are of the same time.
#[derive(Debug)]
pub struct Epoch(Mapping);

impl Epoch {
    /// Maps the shared map.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn view(map: BorrowedFd<'_>) -> Result<Epoch> {
        Mapping::new(map, 0, size_of::<types::epoch>(), ProtFlags::READ | ProtFlags::WRITE).map(Epoch)
    }

    /// Opens the window, which is to end at `due_ns` if that is known. Times are in nanoseconds of CLOCK_MONOTONIC.
    pub fn open(&self, start_ns: u64, due_ns: Option<u64>) {
        self.set(offset_of!(types::epoch, due_ns), due_ns.unwrap_or(NOT_DUE));
        self.set(offset_of!(types::epoch, start_ns), start_ns);
        self.set(offset_of!(types::epoch, open_ns), start_ns);
    }

    /// Closes the window, if it is not closed yet, and gives its end: nothing more is recorded.
    pub fn close(&self, now_ns: u64) -> u64 {
        if self.is_open() {
            // In this order: programs that go on with their totals look for the end.
            self.set(offset_of!(types::epoch, end_ns), now_ns);
            self.set(offset_of!(types::epoch, open_ns), 0);
        }
        self.get(offset_of!(types::epoch, end_ns))
    }

    /// Whether programs record.
    pub fn is_open(&self) -> bool {
        self.get(offset_of!(types::epoch, open_ns)) != 0
    }

    /// When the window began; 0 before it, and once all totals are read.
    pub fn start_ns(&self) -> u64 {
        self.get(offset_of!(types::epoch, start_ns))
    }

    /// All totals of threads and sockets are read: from here on programs keep none.
    pub fn end_totals(&self) {
        self.set(offset_of!(types::epoch, start_ns), 0);
    }

    /// From here on new values go to the other set.
    pub fn swap(&self) {
        self.set(offset_of!(types::epoch, parity), u64::from(!self.is_odd()));
    }

    /// Which set takes new values.
    pub fn is_odd(&self) -> bool {
        self.get(offset_of!(types::epoch, parity)) != 0
    }

    /// From here on a probe, by the number in its records, takes one of 2^`shift` events; all of them with 0.
    pub fn thin(&self, probe: u8, shift: u8) {
        let place = usize::from(probe);
        if place >= MOST_THINNED {
            return;
        }
        let word = offset_of!(types::epoch, thin) + place / 8 * 8;
        let mut bytes = self.get(word).to_ne_bytes();
        // A remainder of eight is within eight bytes.
        bytes[place % 8] = shift;
        self.set(word, u64::from_ne_bytes(bytes));
    }

    /// How many stacks programs have put into the maps so far.
    pub fn stacks(&self) -> u64 {
        self.get(offset_of!(types::epoch, stacks))
    }

    fn get(&self, offset: usize) -> u64 {
        self.word(offset).load(Ordering::Acquire)
    }

    fn set(&self, offset: usize, value: u64) {
        self.word(offset).store(value, Ordering::Release);
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset.is_multiple_of(8) && offset < size_of::<types::epoch>());
        // SAFETY: within the mapped struct and aligned to eight bytes; programs and this process access whole words.
        unsafe { self.0.start().add(offset).cast().as_ref() }
    }
}
