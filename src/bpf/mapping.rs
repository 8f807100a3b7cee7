//! Memory that the kernel shares with this process.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use anyhow::Context;
use anyhow::Result;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;
use rustix::mm::mmap;
use rustix::mm::munmap;

/// Pages of a map, unmapped when this is dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the pages belong to this value alone and stay valid on any thread; what they hold is read and written as atomics, or
// not at all while the kernel writes it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of a map, from a page on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn new(fd: BorrowedFd<'_>, offset: usize, length: usize, protection: ProtFlags) -> Result<Mapping> {
        // SAFETY: the kernel chooses an address that nothing else uses.
        let start = unsafe {
            mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, fd, offset as u64)
                .context("can't map a map of the kernel's")?
        };
        let start = NonNull::new(start.cast()).context("can't map a map of the kernel's")?;
        Ok(Mapping { start, length })
    }

    /// The first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nothing refers to it after its owner is dropped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
