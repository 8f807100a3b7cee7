//! Wakes a thread that waits for descriptors.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::EventfdFlags;
use rustix::event::eventfd;

/// A doorbell, which every clone of it rings: an eventfd.
#[derive(Debug, Clone)]
pub struct Doorbell(Arc<OwnedFd>);

impl Doorbell {
    /// A doorbell that nobody has rung.
    ///
    /// # Errors
    /// When the process may have no more descriptors.
    pub fn new() -> std::io::Result<Doorbell> {
        Ok(Doorbell(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Rings it: its descriptor becomes readable, and stays so.
    pub fn ring(&self) {
        // It fails only where it has been rung 2^64 - 2 times.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
