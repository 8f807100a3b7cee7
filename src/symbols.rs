//! From addresses to functions: what the frames of stacks are called.
//!
//! While recording, [`resolver`] gives every frame a `symbol` row soon after it was seen, on a thread of its own. Names come from symbol
//! tables, which are small; a frame of a file without any keeps the file's build id and its place in it, from which
//! [`offline`] finds a name later, on any machine that has the file or its debug information.

#[cfg(all(feature = "record", target_os = "linux"))]
mod debug_files;
pub mod elf;
#[cfg(all(feature = "record", target_os = "linux"))]
mod files;
#[cfg(all(feature = "record", target_os = "linux"))]
mod functions;
#[cfg(all(any(test, fuzzing), feature = "record", target_os = "linux"))]
pub(crate) mod fuzzing;
#[cfg(all(feature = "record", target_os = "linux"))]
mod inlined;
#[cfg(all(feature = "record", target_os = "linux"))]
mod interpreter;
#[cfg(all(feature = "record", target_os = "linux"))]
mod jit;
#[cfg(all(feature = "record", target_os = "linux"))]
mod jitdump;
#[cfg(all(feature = "record", target_os = "linux"))]
mod kernel;
#[cfg(all(feature = "record", target_os = "linux"))]
mod live;
#[cfg(all(feature = "record", target_os = "linux"))]
mod maps;
pub mod offline;
#[cfg(all(feature = "record", target_os = "linux"))]
mod place;
#[cfg(all(feature = "record", target_os = "linux"))]
mod pool;
#[cfg(all(feature = "record", target_os = "linux"))]
mod python;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod resolver;
#[cfg(all(feature = "record", target_os = "linux"))]
mod sections;
mod table;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod tables;
#[cfg(all(feature = "record", target_os = "linux"))]
mod turns;
