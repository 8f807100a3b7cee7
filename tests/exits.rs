//! Where functions return: programs are compiled for each trap, and `objdump` is the outside truth about instructions.

#![cfg(all(feature = "record", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that can not go on has failed.

#[path = "exits/aarch64.rs"]
mod aarch64;
#[path = "exits/assembly.rs"]
mod assembly;
#[path = "exits/built.rs"]
mod built;
#[path = "exits/compiled.rs"]
mod compiled;
#[path = "exits/go.rs"]
mod go;
#[path = "exits/hostile.rs"]
mod hostile;
#[path = "exits/libraries.rs"]
mod libraries;
#[path = "exits/objdump.rs"]
mod objdump;
#[path = "exits/red_zone.rs"]
mod red_zone;
#[path = "support/skip.rs"]
#[allow(unreachable_pub, reason = "other test programs export it")]
mod skip;
