//! Records a window of this machine's events into one file.

use std::path::PathBuf;

use anyhow::Result;

use crate::events::spec::Written;
use crate::record::plan::RecordPlan;
use crate::render::Document;

pub mod plan;

#[cfg(all(feature = "record", target_os = "linux"))]
mod backlog;
#[cfg(all(feature = "record", target_os = "linux"))]
mod budget;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod child;
#[cfg(all(feature = "record", target_os = "linux"))]
mod copies;
#[cfg(all(feature = "record", target_os = "linux"))]
mod cost;
#[cfg(all(feature = "record", target_os = "linux"))]
mod counters;
#[cfg(all(feature = "record", target_os = "linux"))]
mod describe;
#[cfg(all(feature = "record", target_os = "linux"))]
mod dispatch;
#[cfg(all(feature = "record", target_os = "linux"))]
mod documents;
#[cfg(all(feature = "record", target_os = "linux"))]
mod drain;
#[cfg(all(feature = "record", target_os = "linux"))]
mod identity;
#[cfg(all(feature = "record", target_os = "linux"))]
mod last;
#[cfg(all(feature = "record", target_os = "linux"))]
mod machine;
#[cfg(all(feature = "record", target_os = "linux"))]
mod output;
#[cfg(all(feature = "record", target_os = "linux"))]
mod own_cpu;
#[cfg(all(feature = "record", target_os = "linux"))]
mod pace;
#[cfg(all(feature = "record", target_os = "linux"))]
mod processes;
#[cfg(all(feature = "record", target_os = "linux"))]
mod progress;
#[cfg(all(feature = "record", target_os = "linux"))]
mod run;
#[cfg(all(feature = "record", target_os = "linux"))]
mod scope;
#[cfg(all(feature = "record", target_os = "linux"))]
mod select;
#[cfg(all(feature = "record", target_os = "linux"))]
mod signals;
#[cfg(all(feature = "record", target_os = "linux"))]
mod size;
#[cfg(all(feature = "record", target_os = "linux"))]
mod spool;
#[cfg(all(feature = "record", target_os = "linux"))]
mod state;
#[cfg(all(feature = "record", target_os = "linux"))]
mod summary;
#[cfg(all(feature = "record", target_os = "linux"))]
mod trigger;
#[cfg(all(feature = "record", target_os = "linux"))]
mod window;
#[cfg(all(feature = "record", target_os = "linux"))]
mod write;

/// How a recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status of the recorded command, 128 + N when signal N killed it; `None` without a command.
    pub command_status: Option<u8>,
    /// The recording; `None` where it went to something that is not a file.
    pub file: Option<PathBuf>,
}

/// Ends the process at once, because the user does not want to wait for the rest; the error says what is left.
pub type GiveUp = fn(anyhow::Error) -> !;

/// What this machine allows, and whether that is enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Doctor {
    /// The checks, with a remedy for each that failed.
    pub document: Document,
    /// Whether `record` can run here as this user.
    pub can_record: bool,
}

/// Records as planned and writes the file; `command_line` is kept in it. A second signal ends the process by `give_up`, whatever the
/// recording is doing.
///
/// # Errors
/// Something the user asked for can't be had, and nothing is left behind in the kernel.
#[cfg(all(feature = "record", target_os = "linux"))]
pub fn record(plan: &RecordPlan, command_line: Vec<String>, give_up: GiveUp) -> Result<Outcome> {
    run::record(plan, command_line, give_up)
}

/// Lists the probes, or everything about the one named.
///
/// # Errors
/// There is no probe of that name.
#[cfg(all(feature = "record", target_os = "linux"))]
pub fn probes_document(name: Option<&str>) -> Result<Document> {
    documents::probes(name)
}

/// Lists what events of the user's own would be put on, and which values they have; `pids` are processes in whose file systems
/// files are looked up.
///
/// # Errors
/// A name that this machine does not have.
#[cfg(all(feature = "record", target_os = "linux"))]
pub fn events_document(events: &[Written], pids: &[u32]) -> Result<Document> {
    documents::events(events, pids)
}

/// Checks this machine.
///
/// # Errors
/// None; the signature is that of the other commands.
#[cfg(all(feature = "record", target_os = "linux"))]
pub fn doctor_document() -> Result<Doctor> {
    Ok(documents::doctor())
}

/// Says that this build can't record.
///
/// # Errors
/// Always.
#[cfg(not(all(feature = "record", target_os = "linux")))]
pub fn record(_plan: &RecordPlan, _command_line: Vec<String>, _give_up: GiveUp) -> Result<Outcome> {
    Err(no_recorder())
}

/// Says that this build has no probes.
///
/// # Errors
/// Always.
#[cfg(not(all(feature = "record", target_os = "linux")))]
pub fn probes_document(_name: Option<&str>) -> Result<Document> {
    Err(no_recorder())
}

/// Says that this build has no events.
///
/// # Errors
/// Always.
#[cfg(not(all(feature = "record", target_os = "linux")))]
pub fn events_document(_events: &[Written], _pids: &[u32]) -> Result<Document> {
    Err(no_recorder())
}

/// Says that this build can't record, so that there is nothing to check.
///
/// # Errors
/// Always.
#[cfg(not(all(feature = "record", target_os = "linux")))]
pub fn doctor_document() -> Result<Doctor> {
    Err(no_recorder())
}

#[cfg(not(all(feature = "record", target_os = "linux")))]
fn no_recorder() -> anyhow::Error {
    use crate::failure::Failure;
    Failure::run("this build of ebrec can't record").hint("build it on Linux with default features").into()
}
