//! ebrec: a one-shot Linux profiler and tracer that records kernel events into one Parquet file and explains that file offline.

pub mod cli;
pub mod exit;
pub mod failure;
pub mod hist;
pub mod record;
pub mod recording;
pub mod render;
pub mod report;
pub mod text;
pub mod units;
