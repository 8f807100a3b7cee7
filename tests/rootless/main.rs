//! Every test that needs no privilege: one program, as root's tests are another.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test may stop at what it did not expect, and exports nothing"
)]

#[cfg(all(feature = "record", target_os = "linux"))]
mod browser;
mod cli;
mod completions;
mod diff;
#[cfg(all(feature = "record", target_os = "linux"))]
mod exits;
mod export;
mod floors;
#[cfg(all(feature = "record", target_os = "linux"))]
mod harmless;
#[cfg(all(feature = "record", target_os = "linux"))]
mod headers;
#[cfg(all(feature = "record", target_os = "linux"))]
mod large;
#[cfg(all(feature = "record", target_os = "linux"))]
mod many;
#[cfg(all(feature = "record", target_os = "linux"))]
mod measured;
#[cfg(target_os = "linux")]
mod native;
#[cfg(target_os = "linux")]
mod oldest_rust;
#[cfg(unix)]
mod outputs;
mod packed;
mod profiles;
mod recording;
#[cfg(all(feature = "record", target_os = "linux"))]
mod report_nonsense;
#[cfg(all(feature = "record", target_os = "linux"))]
mod share;
#[path = "../support/skip.rs"]
mod skip;
mod synthetic;
mod views;
