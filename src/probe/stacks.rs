//! Numbers for the stacks of a recording: probes ask for a number, and the writer of the recording finds out what it stands for.

use std::collections::HashMap;

/// Bit 0 of a user stack's hash, as in bpf/shared/stack.h: it means something in its process only.
const PRIVATE: u64 = 1;

/// Programs that were heard of, at most; beyond, the oldest are forgotten.
const MAX_PROGRAMS: usize = 4096;

/// A stack that has a number and no row yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The number: `kstack_id` or `ustack_id`.
    pub id: i32,
    /// What the kernel keeps it under.
    pub hash: u64,
    /// A process that has it; `None` for a kernel stack.
    pub pid: Option<u32>,
}

impl Wanted {
    /// Whether its frames may be addresses of its process.
    pub fn is_private(&self) -> bool {
        self.pid.is_some() && self.hash & PRIVATE != 0
    }
}

/// A program that a process has begun to run: where to look for the file of a frame when the process is gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program {
    /// Its parent, whose directory a relative path most likely begins in.
    pub ppid: u32,
    /// The user who runs it.
    pub uid: u32,
    /// The path as it was given.
    pub path: Vec<u8>,
}

/// The numbers of stacks.
#[derive(Debug, Default)]
pub struct Stacks {
    /// By process (0: any, or the kernel's) and hash.
    user: HashMap<(u32, u64), i32>,
    kernel: HashMap<u64, i32>,
    wanted: Vec<Wanted>,
    programs: Vec<Program>,
    last: i32,
}

impl Stacks {
    /// The number of a kernel stack by its hash; `None` where there is none.
    pub fn kernel(&mut self, hash: u64) -> Option<i32> {
        if hash == 0 {
            return None;
        }
        let Stacks { kernel, wanted, last, .. } = self;
        Some(*kernel.entry(hash).or_insert_with(|| {
            *last += 1;
            wanted.push(Wanted { id: *last, hash, pid: None });
            *last
        }))
    }

    /// The number of a user stack by its hash, of the process `pid`; `None` where there is none.
    pub fn user(&mut self, pid: u32, hash: u64) -> Option<i32> {
        if hash == 0 {
            return None;
        }
        let owner = if hash & PRIVATE == 0 { 0 } else { pid };
        let Stacks { user, wanted, last, .. } = self;
        Some(*user.entry((owner, hash)).or_insert_with(|| {
            *last += 1;
            wanted.push(Wanted { id: *last, hash, pid: Some(pid) });
            *last
        }))
    }

    /// Whether a stack of this hash that means the same everywhere has a number.
    pub fn knows(&self, hash: u64, is_user: bool) -> bool {
        if is_user { self.user.contains_key(&(0, hash)) } else { self.kernel.contains_key(&hash) }
    }

    /// Notes that a process has begun to run a program.
    pub fn add_program(&mut self, program: Program) {
        if program.path.is_empty() {
            return;
        }
        if self.programs.len() >= MAX_PROGRAMS {
            self.programs.remove(0);
        }
        if !self.programs.contains(&program) {
            self.programs.push(program);
        }
    }

    /// Gives every stack a new number from here on, so that rows made from here on refer to none of those before. Says which number
    /// the next one will have.
    pub fn forget(&mut self) -> i32 {
        self.user.clear();
        self.kernel.clear();
        // Only the numbers of the last generations are in use.
        if self.last > i32::MAX / 2 {
            self.last = 0;
        }
        self.last + 1
    }

    /// Takes the programs that were heard of since the call before.
    pub fn take_programs(&mut self) -> Vec<Program> {
        std::mem::take(&mut self.programs)
    }

    /// Takes the stacks that need a row.
    pub fn take_wanted(&mut self) -> Vec<Wanted> {
        std::mem::take(&mut self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::Stacks;

    #[test]
    fn a_stack_of_files_is_one_for_all_processes_and_one_of_addresses_is_not() {
        let mut stacks = Stacks::default();
        assert_eq!(stacks.user(7, 0x10), stacks.user(8, 0x10));
        assert_ne!(stacks.user(7, 0x11), stacks.user(8, 0x11));
        assert_eq!(stacks.user(7, 0), None);
        assert_eq!(stacks.take_wanted().len(), 3);
        assert!(stacks.take_wanted().is_empty());
    }

    #[test]
    fn after_forgetting_a_stack_has_another_number_and_needs_a_row_again() {
        let mut stacks = Stacks::default();
        let before = stacks.kernel(5);
        stacks.take_wanted();
        stacks.forget();
        assert_ne!(stacks.kernel(5), before);
        assert_eq!(stacks.take_wanted().len(), 1);
    }

    #[test]
    fn kernel_and_user_stacks_share_one_row_of_numbers() {
        let mut stacks = Stacks::default();
        assert_eq!((stacks.kernel(5), stacks.user(1, 4), stacks.kernel(5)), (Some(1), Some(2), Some(1)));
    }
}
