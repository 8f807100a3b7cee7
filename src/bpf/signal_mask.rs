//! Which signals the calling thread takes. It stands here since no safe crate that ebrec has knows it: nix does, and with it the
//! libraries that both builds share would be compiled once for each.

use std::io;
use std::mem::MaybeUninit;

/// Signals that a thread does not take.
pub struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// Blocks these signals in the calling thread, and in those that it starts from here on; gives what it blocked before.
    ///
    /// # Errors
    /// When one of them is no signal.
    pub fn block(signals: &[i32]) -> io::Result<SignalMask> {
        change(libc::SIG_BLOCK, &set_of(signals)?)
    }

    /// Takes these signals in the calling thread.
    ///
    /// # Errors
    /// When one of them is no signal.
    pub fn unblock(signals: &[i32]) -> io::Result<()> {
        change(libc::SIG_UNBLOCK, &set_of(signals)?).map(|_| ())
    }

    /// The calling thread blocks these signals and no others.
    pub fn restore(&self) {
        // It can't be refused: the kernel itself gave the set.
        let _ = change(libc::SIG_SETMASK, &self.0);
    }
}

fn set_of(signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset() initialises all of the set that it is given.
    let mut set: libc::sigset_t = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for signal in signals {
        // SAFETY: the set is initialised, and a number that is no signal is refused.
        if unsafe { libc::sigaddset(&raw mut set, *signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(set)
}

fn change(how: i32, set: &libc::sigset_t) -> io::Result<SignalMask> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: both sets are valid for the call, which writes the second one when it succeeds.
    match unsafe { libc::pthread_sigmask(how, set, before.as_mut_ptr()) } {
        // SAFETY: see above.
        0 => Ok(SignalMask(unsafe { before.assume_init() })),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
