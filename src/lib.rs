//! ebrec: a one-shot Linux profiler and tracer that records kernel events into one Parquet file and explains that file offline.

pub mod recording;
