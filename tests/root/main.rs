//! Every test that attaches probes: one program, which `tests/run` runs as root, one test at a time.
#![cfg(all(feature = "record", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test may stop at what it did not expect, and exports nothing"
)]

mod common;
#[path = "../support/skip.rs"]
mod skip;

mod block;
mod budget;
mod command;
mod compat;
mod containers;
mod counters;
mod diagnosis;
mod dns;
mod errors;
mod events;
mod files;
mod generic;
mod hostile;
mod http;
mod interrupts;
mod kills;
mod last;
mod ledger;
mod leftovers;
mod limits;
mod names;
mod outputs;
mod overhead;
mod pace;
mod pressure;
mod privileges;
mod process;
mod python;
mod quota;
mod sched;
mod signals;
mod size;
mod stacks;
mod stuck;
mod symbols;
mod syscall;
mod tcp;
mod trigger;
mod waits;
mod window;
