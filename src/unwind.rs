//! How a function's caller is found at each of its instructions: what a file's unwind tables (`.eh_frame`) say, as rows that
//! a BPF program can search.
//!
//! Compilers leave out frame pointers, so a stack can't be followed by its own words alone. The tables that exceptions need say
//! for every instruction how far the stack pointer is from where the caller left it, and where the caller's frame pointer is kept.
//! [`table`] reads them, [`pool`] packs those of many files into the two arrays of `bpf/shared/unwind.h`. Neither knows BPF.

pub mod pool;
pub mod python;
pub mod rule;
pub mod table;
