//! What the search for exits needs to know of an instruction, on either machine.

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) address: u64,
    pub(super) size: u8,
    pub(super) flow: Flow,
    /// Whether the kernel accepts a probe on it.
    pub(super) is_probeable: bool,
    /// Whether the kernel emulates it under a probe, which costs one trap, instead of stepping over it, which costs two.
    pub(super) is_emulated: bool,
    /// A nop of five bytes, which kernels from 6.17 on replace by a call while it is probed.
    pub(super) is_nop5: bool,
    /// A nop of any length.
    pub(super) is_nop: bool,
}

impl Instruction {
    pub(super) fn end(&self) -> u64 {
        self.address.saturating_add(u64::from(self.size))
    }
}

/// Where an instruction goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Behind itself.
    Next,
    /// At its target, or behind itself.
    Branch(u64),
    /// At its target.
    Jump(u64),
    /// At one of several places of its own function, by a table.
    Switch {
        /// The table, if its address is known.
        table: Option<JumpTable>,
        /// Whether nothing but a switch looks like this. Otherwise it could be a call through an array of functions.
        is_certain: bool,
    },
    /// Where a pointer in memory leads, at this address if it is known.
    Pointer(Option<u64>),
    /// Behind itself, after a call.
    Call(Option<u64>),
    /// At the return address.
    Return,
    /// At the return address, after checking its signature.
    AuthenticatedReturn,
    /// Nowhere: it traps.
    Stop,
    /// Out of this address space or privilege level, or back from a signal.
    Leave,
}

/// A table of jump targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JumpTable {
    pub(super) address: u64,
    pub(super) entries: Entries,
}

/// What the entries of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entries {
    /// Addresses of eight bytes.
    Absolute,
    /// Distances of four bytes from the table's beginning.
    Relative,
}

/// What an instruction does to general registers and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effects {
    /// A bit for each general register that it may write.
    pub(super) written: u32,
    /// The operand in memory, or the address that it computes.
    pub(super) operand: Option<Operand>,
    /// Bytes by which it lowers the stack pointer, where it does so by a constant.
    pub(super) pushed: i32,
    /// Whether it copies the stack pointer to another register.
    pub(super) copies_stack_pointer: bool,
    /// Whether it reads the thread's own memory.
    pub(super) reads_thread_pointer: bool,
}

/// An operand in memory, by its general registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operand {
    pub(super) base: Option<u8>,
    pub(super) index: Option<u8>,
    pub(super) distance: i64,
}

/// Bytes that are not an instruction, at this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undecodable(pub(super) u64);
