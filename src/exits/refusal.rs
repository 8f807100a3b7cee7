//! Why a function's calls can't be timed at its own return instructions.

use std::fmt;

use super::instruction::Undecodable;

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
    /// Bytes that are not an instruction.
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
    /// A jump leaves its code, and there is no unwind table to tell a tail call from a part that was split off.
    NoUnwindTable {
        /// Where, in the file's own numbering.
        address: u64,
    },
    /// A tail call to a function of the same file that can't be taken itself.
    Beyond {
        /// The function, where its name is known.
        target: Option<String>,
        /// What is wrong with it.
        why: Box<Refusal>,
    },
    /// It is split into more parts than are read for one function.
    TooManyParts,
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
    /// It, or a function that it ends in, jumps back to its first instruction, which looks like another call.
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
    /// It is not in the table of a Go program's functions, or that table can't be read.
    UnknownToGo,
}

/// How a tail call leaves the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailCall {
    /// To a function that the dynamic linker chooses, in this file or another, through the table of imported functions.
    Imported,
    /// Through a pointer.
    Indirect,
    /// Through more functions than are followed.
    TooMany,
    /// To code of which neither a symbol nor an unwind table is known.
    Unknown,
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
            Refusal::NoUnwindTable { address } => {
                write!(out, "it leaves its code at {address:#x}, and no unwind table says what for")
            }
            Refusal::Beyond { target, why } => {
                write!(out, "it ends by a tail call to {}, and there {why}", shown(target))
            }
            Refusal::TooManyParts => {
                write!(out, "it and the functions that it ends in are split into more than {} parts", super::MAX_PARTS)
            }
            Refusal::TailCall { how, target } => {
                let target = shown(target);
                match how {
                    TailCall::Imported => {
                        write!(out, "it ends by a tail call to {target}, which the dynamic linker chooses")
                    }
                    TailCall::Indirect => write!(out, "it ends by a tail call to {target} through a pointer"),
                    TailCall::Unknown => write!(out, "it ends by a tail call to code without symbol and unwind table"),
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
            Refusal::JumpsToEntry => {
                out.write_str("it jumps back to its first instruction, or ends in a function that does")
            }
            Refusal::AuthenticatedReturn => {
                out.write_str("it returns by an authenticating instruction, which the kernel can't probe")
            }
            Refusal::Unprobeable { address } => write!(out, "the kernel can't probe its instruction at {address:#x}"),
            Refusal::UnknownToGo => out.write_str("it is not in its Go program's table of functions"),
            Refusal::GoStackAbi => out.write_str("it is a Go function that does not keep its goroutine in a register"),
        }
    }
}

fn shown(target: &Option<String>) -> String {
    target.as_ref().map_or("another function".to_owned(), |name| format!("'{name}'"))
}

impl std::error::Error for Refusal {}

impl From<Undecodable> for Refusal {
    fn from(Undecodable(address): Undecodable) -> Refusal {
        Refusal::Undecodable { address }
    }
}

impl Refusal {
    /// What to do instead, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Refusal::TailCall { target: Some(name), .. } | Refusal::Beyond { target: Some(name), .. } => {
                Some(format!("time '{name}', in which its calls end"))
            }
            Refusal::IndirectFunction => Some("time one of its variants, which have names of their own".to_owned()),
            Refusal::UnknownExtent => Some("install the file's debug information".to_owned()),
            _ => None,
        }
    }
}
