//! ebrec: a one-shot Linux profiler and tracer that records kernel events into one Parquet file and explains that file
//! offline.

#[cfg(all(feature = "record", target_os = "linux"))]
pub mod bpf;
pub mod cli;
pub mod demangle;
pub mod diff;
pub mod dispositions;
pub mod events;
pub mod exit;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod exits;
pub mod export;
pub mod failure;
#[cfg(all(any(test, fuzzing), feature = "record", target_os = "linux"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod glob;
pub mod hist;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod host;
pub mod names;
pub mod output;
pub mod probe;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod probes;
pub mod record;
pub mod recording;
pub mod regular_file;
pub mod render;
pub mod report;
pub mod routes;
pub mod share;
pub mod spill;
pub mod spinner;
pub mod sql;
pub mod steps;
pub mod symbols;
pub mod text;
pub mod units;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod unwind;

/// The programs in Rust of docs/reading.md, which run as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/reading.md")]
pub struct ReadingPage;
