//! The machines whose code is decoded here.

use super::aarch64;
use super::instruction::Effects;
use super::instruction::Instruction;
use super::instruction::Undecodable;
use super::x86_64;

/// A machine whose code is decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

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
