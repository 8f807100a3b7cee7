//! From addresses to functions: what the frames of stacks are called.
//!
//! While recording, `live` gives every frame a `symbol` row at the next checkpoint after it was seen. Names come from symbol
//! tables, which are small; a frame of a file without any keeps the file's build id and its place in it, from which
//! [`offline`] finds a name later, on any machine that has the file or its debug information.

pub mod elf;
#[cfg(all(feature = "record", target_os = "linux"))]
mod files;
#[cfg(all(feature = "record", target_os = "linux"))]
mod functions;
#[cfg(all(any(test, fuzzing), feature = "record", target_os = "linux"))]
pub(crate) mod fuzzing;
#[cfg(all(feature = "record", target_os = "linux"))]
mod jit;
#[cfg(all(feature = "record", target_os = "linux"))]
mod kernel;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod live;
#[cfg(all(feature = "record", target_os = "linux"))]
mod maps;
pub mod offline;
mod table;
