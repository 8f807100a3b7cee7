//! Why a function's calls can't be timed at its own return instructions.

use std::fmt;

/// Why the ends of a function's calls are not certain; completes "can't time 'f': …".
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The file is not a 64-bit little-endian ELF file for a machine whose code is decoded here.
    UnsupportedMachine,
    /// The file contradicts itself, or the function is outside what it loads.
    Unreadable,
    /// Neither a symbol nor an unwind table says where the function ends.
    UnknownExtent,
    /// It has more code than is decoded for one function.
    TooLarge {
        /// Bytes.
        size: u64,
    },
    /// Bytes that are no instruction.
    Undecodable {
        /// Where, in the file's own numbering.
        address: u64,
    },
    /// The code and the unwind table disagree, as hand-written assembly often does.
    Contradiction {
        /// Where, in the file's own numbering.
        address: u64,
        /// What is contradictory; a clause.
        what: &'static str,
    },
    /// A tail call whose end can't be seen.
    TailCall {
        /// Which sort.
        how: TailCall,
        /// The function that is called, where its name is known.
        target: Option<String>,
    },
    /// It never returns.
    NoExit,
    /// It has more return instructions than are probed for one function.
    TooManyExits,
    /// The symbol is an indirect function's resolver: its name means code that is chosen when a program starts.
    IndirectFunction,
    /// Its first instruction is its return.
    EntryIsExit,
    /// It jumps back to its first instruction, which looks like another call.
    JumpsToEntry,
    /// It returns by an instruction that authenticates the return address (`retaa`, `retab`), which the kernel can't probe.
    AuthenticatedReturn,
    /// The kernel refuses probes on an instruction that has to be probed.
    Unprobeable {
        /// Where, in the file's own numbering.
        address: u64,
    },
    /// A Go function that does not keep its goroutine in a register: assembly, or compiled by Go before 1.17.
    GoStackAbi,
}

/// How a tail call leaves the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailCall {
    /// To another file, through the table of imported functions.
    Imported,
    /// Through a pointer.
    Indirect,
    /// Through more functions than are followed.
    TooMany,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnsupportedMachine => out.write_str("its file is not 64-bit code for x86_64 or aarch64"),
            Refusal::Unreadable => out.write_str("its file does not contain its code"),
            Refusal::UnknownExtent => out.write_str("neither a symbol nor an unwind table says where it ends"),
            Refusal::TooLarge { size } => write!(out, "its {size} bytes of code are too many to decode"),
            Refusal::Undecodable { address } => write!(out, "the bytes at {address:#x} are not a known instruction"),
            Refusal::Contradiction { address, what } => write!(out, "at {address:#x} {what}"),
            Refusal::TailCall { how, target } => {
                let target = target.as_ref().map_or("another function".to_owned(), |name| format!("'{name}'"));
                match how {
                    TailCall::Imported => write!(out, "it ends by a tail call to {target} of another file"),
                    TailCall::Indirect => write!(out, "it ends by a tail call to {target} through a pointer"),
                    TailCall::TooMany => {
                        write!(out, "it ends by tail calls to too many functions, one of them {target}")
                    }
                }
            }
            Refusal::NoExit => out.write_str("it never returns"),
            Refusal::TooManyExits => write!(out, "it has more than {} return instructions", super::MAX_EXITS),
            Refusal::IndirectFunction => {
                out.write_str("it is an indirect function, whose code is chosen when a program starts")
            }
            Refusal::EntryIsExit => out.write_str("its first instruction is its return"),
            Refusal::JumpsToEntry => out.write_str("it jumps back to its first instruction"),
            Refusal::AuthenticatedReturn => {
                out.write_str("it returns by an authenticating instruction, which the kernel can't probe")
            }
            Refusal::Unprobeable { address } => write!(out, "the kernel can't probe its instruction at {address:#x}"),
            Refusal::GoStackAbi => out.write_str("it is a Go function that does not keep its goroutine in a register"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// What to do instead, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Refusal::TailCall { target: Some(name), .. } => Some(format!("time '{name}', in which its calls end")),
            Refusal::IndirectFunction => Some("time one of its variants, which have names of their own".to_owned()),
            Refusal::UnknownExtent => Some("install the file's debug information".to_owned()),
            _ => None,
        }
    }
}
