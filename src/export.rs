//! Carries a recording's metrics to time-series databases: as text for their importers, or to them over HTTP.
//!
//! Every counter and histogram of the recording becomes a family of series: counters with `_total`, histograms with
//! cumulative buckets, one sample at the window's start, where all are zero, and one at the end of each interval.

mod family;
mod names;
mod openmetrics;
mod output;
mod prometheus;
mod push;
mod read;
mod remote_write;
mod weights;

use std::path::PathBuf;

use anyhow::Result;

use crate::failure::Failure;
use crate::recording::Recording;

/// What is to be exported, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPlan {
    /// The recording.
    pub file: PathBuf,
    /// Where it goes.
    pub target: Target,
    /// Label sets of a metric that stay apart; the others are added up under the value `other`.
    pub top: usize,
    /// Whether process ids are labels.
    pub pids: bool,
    /// Histogram boundaries in each power of two: 1, 2, 4, 8 or 16, as fine as the recording is.
    pub steps: u32,
}

/// Where an export goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Text, into a file or to stdout.
    Text {
        /// The format.
        format: Format,
        /// The file; stdout without.
        output: Option<PathBuf>,
    },
    /// A database's address.
    Push(String),
}

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, for `promtool tsdb create-blocks-from openmetrics`.
    OpenMetrics,
    /// Prometheus' text format with timestamps, for VictoriaMetrics' `/api/v1/import/prometheus`.
    Prometheus,
}

/// What was sent to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Series.
    pub series: u64,
    /// Samples, all series together.
    pub samples: u64,
    /// Requests that it took.
    pub requests: u64,
}

/// Exports a recording; what was pushed is told.
///
/// # Errors
/// When the recording does not open or holds more than fits, when the output can't be written, when the database does
/// not take it. A closed pipe is a `std::io::Error` in the chain.
pub fn export(plan: &ExportPlan) -> Result<Option<Pushed>> {
    if let Target::Push(url) = &plan.target {
        // Before the work: a bad address fails first.
        let endpoint = push::Endpoint::of(url)?;
        let metrics = read::metrics(&Recording::open(&plan.file)?, plan)?;
        return push::push(&metrics, &endpoint).map(Some);
    }
    let metrics = read::metrics(&Recording::open(&plan.file)?, plan)?;
    if metrics.families.is_empty() {
        let none = Failure::run(format!("'{}' holds no metrics", plan.file.display()));
        return Err(none.hint("ebrec info FILE lists what a recording holds").into());
    }
    if let Target::Text { format, output } = &plan.target {
        output::write(output.as_deref(), |out| match format {
            Format::OpenMetrics => openmetrics::write(&metrics, out),
            Format::Prometheus => prometheus::write(&metrics, out),
        })?;
    }
    Ok(None)
}
