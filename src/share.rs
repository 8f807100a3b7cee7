//! Makes of a recording what may be attached to a ticket: a bundle of bounded size in which nothing names anyone.
//!
//! The rule is that a text goes unless it is known to name nobody. What a column's texts say stands in the recording ([`Holds`](crate::recording::Holds)), so a probe that
//! is added later is covered, and what it forgot to classify is replaced.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use regex_lite::Regex;

use crate::failure::Failure;
use crate::output::whole_file;
use crate::recording::Recording;
use crate::regular_file;
use crate::render::Document;
use crate::units;

use self::fit::Cuts;
use self::redactor::Redactor;

mod bundle;
mod copy;
mod fit;
mod kernel_threads;
mod known;
mod metadata;
mod pseudonyms;
mod redactor;
mod sensitive;
mod show;
mod texts;

pub use self::sensitive::Sensitive;

/// Attempts to fit a recording into the size asked for; each leaves less than the one before.
const ATTEMPTS: usize = 6;
/// Bytes of a file of patterns.
const PATTERN_BYTES: u64 = 1 << 20;

/// What is to be shared, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePlan {
    /// The recording.
    pub file: PathBuf,
    /// The bundle; without, the recording's name with `.zip`, or the next free one.
    pub output: Option<PathBuf>,
    /// Whether a file of the bundle's name is replaced.
    pub force: bool,
    /// The largest that the bundle may be, in bytes.
    pub max_bytes: u64,
    /// What is replaced by pseudonyms.
    pub replaced: BTreeSet<Sensitive>,
    /// A file of regular expressions, one a line: what they match is replaced in every text that is left.
    pub patterns: Option<PathBuf>,
}

/// A bundle that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What was replaced and left out, a sentence each.
    pub redaction: Vec<String>,
}

/// Makes the bundle.
///
/// # Errors
/// The recording does not open, the bundle exists or can't be written, a pattern is none, or the totals alone are too large.
pub fn share(plan: &SharePlan) -> Result<Shared> {
    let recording = Recording::open(&plan.file)?;
    let output = output(plan)?;
    let dir = tempfile::tempdir().context("can't make a directory for temporary files")?;
    let mut cuts = Cuts::default();
    let mut share = 1.0;
    for attempt in 0..ATTEMPTS {
        let copied = dir.path().join(bundle::RECORDING);
        copy::copy(&recording, &copied, &mut redactor(plan)?, &cuts)?;
        let packed = dir.path().join("bundle.zip");
        let redaction = bundle::pack(&copied, &packed)?;
        let bytes = packed.metadata()?.len();
        if bytes <= plan.max_bytes {
            write(&packed, &output)?;
            return Ok(Shared { path: output, bytes, redaction });
        }
        // What else is in the bundle does not shrink.
        let events = Cuts::bytes_of_events(&Recording::open(&copied)?, plan.max_bytes);
        let room = plan.max_bytes.saturating_sub(bytes.saturating_sub(events));
        if share == 0.0 || events == 0 {
            return Err(too_large(plan, bytes).into());
        }
        share *= if attempt + 2 >= ATTEMPTS { 0.0 } else { 0.8 * room as f64 / events as f64 };
        cuts = Cuts::to(&recording, share, plan.max_bytes)?;
        std::fs::remove_file(&copied)?;
        std::fs::remove_file(&packed)?;
    }
    Err(too_large(plan, plan.max_bytes).into())
}

/// Lists what in a recording could identify someone, and what would become of it; writes nothing.
///
/// # Errors
/// The recording does not open, or a pattern is none.
pub fn show(plan: &SharePlan) -> Result<Document> {
    let recording = Recording::open(&plan.file)?;
    let mut redactor = redactor(plan)?;
    let dir = tempfile::tempdir().context("can't make a directory for temporary files")?;
    copy::copy(&recording, &dir.path().join("run.parquet"), &mut redactor, &Cuts::default())?;
    Ok(show::document(&recording, &redactor))
}

fn too_large(plan: &SharePlan, bytes: u64) -> Failure {
    let what = format!(
        "'{}' doesn't fit into {}: without single events it takes {}",
        plan.file.display(),
        units::bytes(plan.max_bytes),
        units::bytes(bytes)
    );
    Failure::run(what).hint("allow more with --max-size, or record a shorter window")
}

fn redactor(plan: &SharePlan) -> Result<Redactor> {
    let patterns = plan.patterns.as_deref().map_or_else(|| Ok(Vec::new()), patterns)?;
    Redactor::new(plan.replaced.clone(), patterns).context("the operating system gives no random numbers")
}

/// The regular expressions of a file; empty lines and those that begin with `#` are none.
fn patterns(path: &Path) -> Result<Vec<Regex>> {
    let mut file = regular_file::open(path).with_context(|| format!("can't read '{}'", path.display()))?;
    if file.metadata()?.len() > PATTERN_BYTES {
        return Err(Failure::run(format!("'{}' is too large for a file of patterns", path.display())).into());
    }
    let text = io::read_to_string(&mut file).with_context(|| format!("can't read '{}'", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| {
            Regex::new(line).map_err(|error| {
                let why = error.to_string().lines().last().unwrap_or_default().to_owned();
                Failure::usage(format!("line {} of '{}' is not a regular expression: {why}", index + 1, path.display()))
                    .into()
            })
        })
        .collect()
}

/// The bundle's name.
fn output(plan: &SharePlan) -> Result<PathBuf> {
    if let Some(output) = &plan.output {
        if output.is_file() && !plan.force {
            let exists = Failure::run(format!("'{}' exists already", output.display()));
            return Err(exists.hint("--force replaces it").into());
        }
        return Ok(output.clone());
    }
    let stem = plan.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = match stem.split(".parquet").next().unwrap_or_default().trim_end_matches(".zip") {
        "" | "-" => "run",
        stem => stem,
    };
    let names = std::iter::once(format!("{stem}.zip")).chain((2..).map(|number| format!("{stem}-{number}.zip")));
    let free = names.map(PathBuf::from).find(|name| name.symlink_metadata().is_err());
    free.context("no name is free")
}

fn write(packed: &Path, output: &Path) -> Result<()> {
    let mut from = File::open(packed)?;
    whole_file::write(output, |out| io::copy(&mut from, out).map(drop))
}
