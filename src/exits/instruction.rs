//! What the search for exits needs to know of an instruction, on either machine.

use super::aarch64;
use super::x86_64;

/// A machine whose code is decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

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
        table: Option<Table>,
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
pub(super) struct Table {
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

/// Bytes that are no instruction, at this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undecodable(pub(super) u64);

impl Machine {
    /// Calls `each` with every instruction of `code`, which begins at `address`, until it returns an error.
    pub(super) fn decode<E: From<Undecodable>>(
        self,
        code: &[u8],
        address: u64,
        each: &mut dyn FnMut(Instruction) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Machine::X86_64 => x86_64::decode(code, address, each),
            Machine::Aarch64 => aarch64::decode(code, address, each),
        }
    }

    /// What the first instruction of `code` does.
    pub(super) fn effects(self, code: &[u8], address: u64) -> Option<Effects> {
        match self {
            Machine::X86_64 => x86_64::effects(code, address),
            Machine::Aarch64 => aarch64::effects(code),
        }
    }

    /// The address of the pointer that an import stub at the beginning of `code` jumps through.
    pub(super) fn stub(self, code: &[u8], address: u64) -> Option<u64> {
        match self {
            Machine::X86_64 => x86_64::stub(code, address),
            Machine::Aarch64 => aarch64::stub(code, address),
        }
    }

    /// Bytes that a call pushes, by which the frame's address differs from the stack pointer at a function's first instruction.
    pub(super) fn pushed_by_call(self) -> i64 {
        match self {
            Machine::X86_64 => 8,
            Machine::Aarch64 => 0,
        }
    }

    /// The registers that hold arguments, by general number: of C functions, or of Go's, with the goroutine's own.
    pub(super) fn argument_registers(self, is_go: bool) -> u32 {
        let registers: &[u32] = match (self, is_go) {
            (Machine::X86_64, false) => &[7, 6, 2, 1, 8, 9],
            (Machine::X86_64, true) => &[0, 3, 1, 7, 6, 8, 9, 10, 11, 14],
            (Machine::Aarch64, false) => &[0, 1, 2, 3, 4, 5, 6, 7, 8],
            (Machine::Aarch64, true) => &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 28],
        };
        registers.iter().fold(0, |mask, register| mask | 1 << register)
    }

    /// The stack pointer's number in unwind tables.
    pub(super) fn stack_pointer(self) -> u16 {
        match self {
            Machine::X86_64 => 7,
            Machine::Aarch64 => 31,
        }
    }
}
