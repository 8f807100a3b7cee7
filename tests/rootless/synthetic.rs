//! Recordings that were never recorded: rows of every kind whose report is known.

pub mod build;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod fleet;
pub mod large;
pub mod recording;
pub mod service;
