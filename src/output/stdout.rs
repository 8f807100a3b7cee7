//! Standard output, which may be closed.
//!
//! Rust's start-up code opens /dev/null in its place, so that no other file gets its number; all output would then seem to be
//! written. Whether it was closed shows only before that.

use std::io;
use std::io::IsTerminal;
use std::io::StdoutLock;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use anyhow::Context;
use anyhow::Result;

static CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: it runs before main and calls nothing of the standard library that needs the start-up code: one system call, one store.
#[cfg(unix)]
#[ctor::ctor(unsafe)]
fn look_before_main() {
    let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
    CLOSED.store(closed, Ordering::Relaxed);
}

/// Standard output for one writer.
///
/// # Errors
/// It was closed when the program started.
pub fn lock() -> io::Result<StdoutLock<'static>> {
    if CLOSED.load(Ordering::Relaxed) {
        return Err(io::Error::other("it is closed"));
    }
    Ok(io::stdout().lock())
}

/// Whether standard output is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes to standard output, which may be a pipe that closes.
///
/// # Errors
/// A closed pipe comes as `std::io::Error`, for the code that ends the process.
pub fn write(bytes: &[u8]) -> Result<()> {
    lock().and_then(|mut out| out.write_all(bytes).and_then(|()| out.flush())).context("can't write to stdout")
}
