//! Stacks out of the kernel's maps, held back until something asks for them.

use std::collections::HashMap;
use std::sync::Arc;

use super::live::Asked;
use crate::bpf::stacks::RawStack;
use crate::probe::stacks::Stacks;
use crate::probe::stacks::Wanted;

/// Frames that are held back; beyond, all are given up: 8 MiB.
const MAX_FRAMES: usize = 256 << 10;

/// The stacks, by whether they are user stacks and their hash.
#[derive(Debug, Default)]
pub(super) struct Pool {
    stacks: HashMap<(bool, u64), Arc<RawStack>>,
}

impl Pool {
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
        let stack = if wanted.is_private() { self.stacks.get(&key).cloned() } else { self.stacks.remove(&key) };
        Asked { id: wanted.id, pid: wanted.pid, stack }
    }
}
