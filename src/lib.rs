//! ebrec: a one-shot Linux profiler and tracer that records kernel events into one Parquet file and explains that file offline.

pub mod hist;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod host;
pub mod names;
pub mod render;
pub mod text;
pub mod units;
