//! Stacks out of the kernel's maps, held back until something asks for them.

use std::collections::HashMap;
use std::sync::Arc;

use super::live::Asked;
use crate::bpf::stacks::RawStack;
use crate::probe::stacks::Stacks;
use crate::probe::stacks::Wanted;

/// Frames that are held back; beyond, all are given up: 8 MiB.
const MAX_FRAMES: usize = 256 << 10;
/// Stacks that may be asked for again: with 40 frames of 16 bytes each, 20 MiB.
const MAX_ASKED: usize = 32 << 10;

/// Stacks by whether they are user stacks and their hash.
type ByHash = HashMap<(bool, u64), Arc<RawStack>>;

/// The stacks.
#[derive(Debug, Default)]
pub(super) struct Pool {
    stacks: ByHash,
    /// Those that were asked for, where they will be asked for again: since stacks were last forgotten, and before.
    asked: Option<[ByHash; 2]>,
}

impl Pool {
    /// All stacks get new numbers: what was asked for may be asked for again though no program stores it again.
    pub(super) fn forget(&mut self) {
        let [now, before] = self.asked.get_or_insert_default();
        *before = std::mem::take(now);
    }

    /// Adds what the kernel's maps held, and takes out what was asked for since the call before.
    pub(super) fn take(&mut self, taken: Vec<(u64, RawStack)>, stacks: &mut Stacks) -> Vec<Asked> {
        for (hash, stack) in taken {
            self.stacks.insert((matches!(stack, RawStack::User { .. }), hash), Arc::new(stack));
        }
        let asked = stacks.take_wanted().iter().map(|wanted| self.one(wanted)).collect();
        // What has a number is not asked for again, unless it means something else in another process.
        self.stacks.retain(|(is_user, hash), _| !stacks.knows(*hash, *is_user));
        if self.stacks.values().map(|stack| stack.depth()).sum::<usize>() > MAX_FRAMES {
            self.stacks.clear();
        }
        asked
    }

    fn one(&mut self, wanted: &Wanted) -> Asked {
        let key = (wanted.pid.is_some(), wanted.hash);
        let mut stack = if wanted.is_private() { self.stacks.get(&key).cloned() } else { self.stacks.remove(&key) };
        if let Some([now, before]) = &mut self.asked {
            stack = stack.or_else(|| before.get(&key).cloned());
            if let Some(stack) = stack.as_ref().filter(|_| now.len() < MAX_ASKED) {
                now.insert(key, Arc::clone(stack));
            }
        }
        Asked { id: wanted.id, pid: wanted.pid, stack }
    }
}
