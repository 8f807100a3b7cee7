//! Explains recordings: a table of views, each from rows to a document.

use anyhow::Result;

use crate::render::Document;
use crate::report::plan::ReportPlan;

pub mod deliver;
pub mod plan;

/// One way to look at recordings.
pub struct View {
    /// Name on the command line.
    pub name: &'static str,
    /// What it shows, in one line without a final stop.
    pub summary: &'static str,
    /// Whether it has pictures.
    pub draws: bool,
}

/// Name of the view that is shown when none is asked for.
pub const SUMMARY: &str = "summary";

/// Every view, the summary first.
pub static VIEWS: &[View] = &[
    View { name: SUMMARY, summary: "What happened, who did it, what was slow, what was lost", draws: true },
    View { name: "processes", summary: "Every process with every metric, short-lived ones included", draws: false },
    View { name: "hist", summary: "Histogram and percentiles of a metric, or of all", draws: true },
    View { name: "exec", summary: "Process starts and exits with arguments, duration and exit status", draws: false },
    View { name: "block", summary: "Disk I/O by device and operation, and the slowest", draws: true },
    View { name: "losses", summary: "What is missing, by probe, cause and second", draws: true },
    View { name: "overhead", summary: "What the recording itself cost", draws: false },
];

/// Carries out a report.
pub fn report(_plan: &ReportPlan) -> Result<Document> {
    Err(anyhow::anyhow!("not here yet"))
}

/// Info.
pub fn info(_file: &std::path::Path) -> Result<Document> {
    Err(anyhow::anyhow!("not here yet"))
}

/// Recover.
pub fn recover(_file: &std::path::Path, _force: bool) -> Result<()> {
    Err(anyhow::anyhow!("not here yet"))
}
