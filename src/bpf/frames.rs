//! Frames of functions of programs, which bpf/shared/frames.h pairs: what the attachments say of their places, and sweeping up
//! after processes that are gone.

use std::collections::HashMap;

use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;

use super::live::Live;
use super::read;
use super::shared::types;
use super::shared::types::frame_place as bits;
use crate::exits::Pairing;

/// Frames that are looked at in one call.
const BATCH: u32 = 4096;

/// What the cookie of an exit says: the function's number, how its frames are told apart, and whether return addresses have to be
/// compared because the exit is another function's.
pub fn exit_place(number: u32, pairing: Pairing, is_shared: bool) -> u64 {
    let goroutine = pairing == Pairing::Goroutine;
    u64::from(number)
        | u64::from(is_shared) << bits::PLACE_SHARED_BIT.0
        | u64::from(goroutine) << bits::PLACE_GOROUTINE_BIT.0
}

/// What the cookie of an entry says: the same, and how far the stack pointer is below where it was at the first instruction. `None`: too
/// far.
pub fn entry_place(number: u32, pairing: Pairing, shares_exits: bool, stack_delta: u32) -> Option<u64> {
    let delta = u64::from(stack_delta);
    let fits = delta >> bits::PLACE_STACK_BITS.0 == 0;
    fits.then(|| exit_place(number, pairing, shares_exits) | delta << bits::PLACE_STACK_SHIFT.0)
}

/// Drops frames of processes that ended, or run another program by now: nothing will return there.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// Processes with frames that were gone when it swept last.
    gone: u64,
}

impl Sweeper {
    /// Sweeps if a process is gone since the last time.
    ///
    /// # Errors
    /// When the kernel refuses to read the frames.
    pub fn sweep(&mut self, live: &Live) -> Result<()> {
        let counter = live.map("frame_owners_gone")?.lookup(&0u32.to_ne_bytes(), MapFlags::ANY)?;
        let gone = counter.as_deref().and_then(read::<u64>).unwrap_or_default();
        if gone == self.gone {
            return Ok(());
        }
        self.gone = gone;
        let owners = live.map("frame_owners")?;
        let mut known: HashMap<u32, Option<u64>> = HashMap::new();
        let mut dead = Vec::new();
        let frames = live.map("frames")?;
        for (bytes, value) in frames.lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY)? {
            let (Some(key), Some(frame)) = (read::<types::frame_key>(&bytes), read::<types::frame>(&value)) else {
                continue;
            };
            let owner = *known.entry(key.pid).or_insert_with(|| {
                let identity = owners.lookup(&key.pid.to_ne_bytes(), MapFlags::ANY).ok().flatten();
                identity.as_deref().and_then(read::<u64>)
            });
            if owner != Some(frame.process) {
                dead.push(bytes);
            }
        }
        for key in dead {
            // It may have ended since.
            let _ = frames.delete(&key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::entry_place;
    use super::exit_place;
    use crate::exits::Pairing;

    #[test]
    fn a_cookie_says_what_the_programs_need_of_a_place() {
        assert_eq!(exit_place(7, Pairing::StackPointer, false), 7);
        assert_eq!(exit_place(7, Pairing::StackPointer, true), 1 << 62 | 7);
        assert_eq!(exit_place(7, Pairing::Goroutine, false), 1 << 63 | 7);
        assert_eq!(entry_place(7, Pairing::StackPointer, true, 0x58), Some(1 << 62 | 0x58 << 32 | 7));
        assert_eq!(entry_place(7, Pairing::StackPointer, false, 1 << 24), None, "there is no room for it");
    }
}
