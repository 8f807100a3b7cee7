//! Records a window of this machine's events into one file.

use anyhow::Result;

use crate::failure::Failure;
use crate::record::plan::RecordPlan;
use crate::render::Document;

pub mod plan;

/// How a recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status of the recorded command, 128 + N when signal N killed it; `None` without a command.
    pub command_status: Option<u8>,
}

/// What this machine allows, and whether that is enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Doctor {
    /// The checks, with a remedy for each that failed.
    pub document: Document,
    /// Whether `record` can run here as this user.
    pub can_record: bool,
}

/// Records as planned and writes the file.
pub fn record(_plan: &RecordPlan) -> Result<Outcome> {
    Err(no_recorder())
}

/// Lists the probes, or everything about the one named.
pub fn probes_document(_name: Option<&str>) -> Result<Document> {
    Err(no_recorder())
}

/// Checks this machine.
pub fn doctor_document() -> Result<Doctor> {
    Err(no_recorder())
}

fn no_recorder() -> anyhow::Error {
    Failure::run("this build of ebrec can't record").hint("build it on Linux with its default features").into()
}
