//! Where calls of a function begin and end, found by decoding its machine code.
//!
//! A return probe overwrites the return address on the stack, which kills programs that unwind or switch stacks. Ordinary probes on
//! the function's own return instructions change nothing that the program sees. This module finds those instructions in the file,
//! without privileges and without running anything, or says why it can't be certain of them.
//!
//! Everything about the file is untrusted: bytes, instructions, unwind tables and symbols are read up to named bounds.

mod aarch64;
mod body;
mod entry;
mod frames;
mod go;
mod go_frames;
mod growth;
mod instruction;
mod instruction_at;
mod machine;
mod parts;
mod program;
mod red_zone;
mod refusal;
mod switch;
mod walk;
mod x86_64;

pub use go_frames::GoFrame;
pub use go_frames::GoFrames;
pub use instruction_at::is_instruction;
pub use parts::parts;
pub use program::NamedFunction;
pub use program::Program;
pub use red_zone::NopSite;
pub use red_zone::nop_site;
pub use refusal::Refusal;
pub use refusal::TailCall;

use walk::Walk;

/// Functions that are read on behalf of one, at most: itself and those that its tail calls lead to.
pub const MAX_FUNCTIONS: usize = 8;
/// Stretches of code that these are split into, at most.
pub const MAX_PARTS: usize = 32;
/// Exits of one function, at most.
pub const MAX_EXITS: usize = 64;
/// Bytes of machine code that are decoded for one function, at most.
pub const MAX_CODE: u64 = 1 << 20;

/// Where to probe for the beginnings and ends of one function's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundaries {
    /// The place that every call passes exactly once, before it changes its arguments.
    pub entry: Entry,
    /// The places of which every call that returns passes exactly one, in the order of their offsets. Never empty, never the entry's place.
    pub exits: Vec<Exit>,
    /// What tells one call from another.
    pub pairing: Pairing,
}

/// Where a call begins: the function's first instruction, or a later one of its first block that is cheaper to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The stack pointer at the function's first instruction is the stack pointer here plus this many bytes.
    pub stack_delta: u32,
}

/// A return instruction. The stack pointer there is what it was at the function's first instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exit {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Whether it belongs to another function that this one ends in by a tail call. Other calls of that function return here too, so
    /// the return address (at the stack pointer on x86_64, in `x30` on aarch64) must be the one that was seen at the entry.
    pub is_shared: bool,
}

/// What an exit and its entry have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// The process and the stack pointer.
    StackPointer,
    /// A Go function: the process, the goroutine (`r14` on x86_64, `x28` on aarch64) and the distance from the stack's upper end (the
    /// word at goroutine + 8) to the stack pointer, because goroutines change threads and their stacks move.
    Goroutine,
}

/// Where calls of the function at `address` begin and end.
///
/// `address` is the file's own numbering, as in its symbol table; `size` is the symbol's, where one is known.
///
/// # Errors
/// The reason why the function's calls can't be told apart with certainty.
pub fn boundaries(program: &Program<'_>, address: u64, size: Option<u64>) -> Result<Boundaries, Refusal> {
    if program.is_indirect(address) {
        return Err(Refusal::IndirectFunction);
    }
    let stated = size.filter(|size| *size > 0).map(|size| address.checked_add(size).ok_or(Refusal::Unreadable));
    let end = stated.transpose()?.or_else(|| program.end(address)).ok_or(Refusal::UnknownExtent)?;
    let pairing = match program.go_function(address) {
        Some(function) if function.is_assembly || program.is_on_stack(address) => return Err(Refusal::GoStackAbi),
        Some(_) => Pairing::Goroutine,
        None if program.is_unknown_to_go(address) => return Err(Refusal::UnknownToGo),
        None => Pairing::StackPointer,
    };
    let walk = Walk::run(program, address, end)?;
    let entry = entry::entry(program, &walk, pairing)?;
    Ok(Boundaries { entry, exits: walk.exits().iter().copied().collect(), pairing })
}
