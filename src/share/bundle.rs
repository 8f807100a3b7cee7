//! The bundle: the recording, and what those who open it read first.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::recording::Recording;
use crate::render;
use crate::report;
use crate::report::SUMMARY;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;

/// What the recording is called in a bundle.
pub(super) const RECORDING: &str = "run.parquet";
/// Columns of text in a bundle's files.
const WIDTH: usize = 100;

/// Packs a recording that may be given away; what its redaction says.
pub(super) fn pack(copied: &Path, bundle: &Path) -> Result<Vec<String>> {
    let recording = Recording::open(copied)?;
    let mut zip = ZipWriter::new(io::BufWriter::new(File::create(bundle)?));
    let options = SimpleFileOptions::default();
    zip.start_file("README.md", options)?;
    zip.write_all(readme(&recording).as_bytes())?;
    zip.start_file("summary.md", options)?;
    let summary = report::report(&plan(copied, Format::Markdown))?;
    render::write_markdown(&summary, &mut zip)?;
    zip.start_file("report.html", options)?;
    render::write_html(&report::report(&plan(copied, Format::Html))?, &mut zip)?;
    zip.start_file(RECORDING, options)?;
    io::copy(&mut File::open(copied)?, &mut zip)?;
    zip.finish()?.flush().context("can't write the bundle")?;
    Ok(recording.meta().redaction.clone())
}

fn plan(file: &Path, format: Format) -> ReportPlan {
    ReportPlan {
        view: SUMMARY.to_owned(),
        files: vec![file.to_owned()],
        // Where the copy was made is nobody's business, and names the user where TMPDIR is below a home directory.
        called: Some(RECORDING.into()),
        format,
        width: WIDTH,
        ..ReportPlan::default()
    }
}

/// What somebody needs who has never heard of ebrec.
fn readme(recording: &Recording) -> String {
    let mut text = String::from(
        "# A recording of a Linux machine

`ebrec record` made it. It holds what the kernel of one machine did in a short window, as histograms, stacks and single events.

- `summary.md`: the main findings.
- `report.html`: all of it as a page for any browser; it needs no network.
- `run.parquet`: the recording. `ebrec report run.parquet`, or the bundle itself: `ebrec report BUNDLE.zip`. DuckDB, Polars, pandas and others read it as a table;
  its rows of kind `recording` say what it is.

## What was replaced or left out

",
    );
    let redaction = &recording.meta().redaction;
    for line in redaction {
        text.push_str(&format!("- {line}\n"));
    }
    if redaction.is_empty() {
        text.push_str("Nothing: it was shared with everything that was recorded.\n");
    } else {
        text.push_str("\nEqual names stand for equal things within this bundle. The key that made them is gone.\n");
    }
    text
}
