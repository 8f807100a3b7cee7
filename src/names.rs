//! Names of Linux's numbers: errors, signals and system calls.
//!
//! These tables are Linux's own, whatever system they are read on: a recording made on Linux is explained on any platform.

pub mod errnos;
pub mod signals;
pub mod syscalls;
