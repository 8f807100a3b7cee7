//! Carries recordings to other tools: stacks to profilers, metrics to time-series databases.
//!
//! Metrics become families of series: counters with `_total`, histograms with cumulative buckets, one sample at the window's
//! start, where all are zero, and one at the end of each interval. Stacks become profiles with the numbers of the views `cpu`,
//! `offcpu` and `locks`.

mod facts;
mod family;
mod firefox;
mod folded;
mod frames;
mod names;
mod openmetrics;
mod otlp;
mod output;
mod own;
mod perf_script;
mod perfetto;
mod pprof;
mod prometheus;
mod push;
mod read;
mod remote_write;
mod rows;
mod samples;
mod several;
mod timed;
mod weights;

use std::path::Path;
use std::path::PathBuf;

use anyhow::Result;

use crate::export::family::Metrics;
use crate::export::samples::Samples;
use crate::failure::Failure;
use crate::render::LeftOut;
use crate::report::plan::RowFilter;
use crate::report::read::files::Files;
use crate::report::read::input::Source;
use crate::steps::Steps;

/// What is to be exported, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPlan {
    /// Recordings, directories of them, or patterns.
    pub files: Vec<PathBuf>,
    /// A file that lists more of them; `-` is standard input.
    pub files_from: Option<PathBuf>,
    /// Where it goes.
    pub target: Target,
    /// Which rows count.
    pub filter: RowFilter,
    /// What stacks weigh, in the formats for stacks.
    pub profile: Profile,
    /// Directories with symbols for frames that have no name in the recording.
    pub debug_dirs: Vec<PathBuf>,
    /// Kinds of rows, in the formats for rows; none means all.
    pub kinds: Vec<String>,
    /// Label sets of a metric that stay apart; the others are added up under the value `other`.
    pub top: usize,
    /// Whether process ids are labels.
    pub label_pids: bool,
    /// Histogram boundaries in each power of two: 1, 2, 4, 8 or 16, as fine as the recording is.
    pub steps: u32,
}

/// Where an export goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into a file or to stdout.
    File {
        /// The format.
        format: Format,
        /// The file, or a directory that gets a file for each recording; stdout without.
        output: Option<PathBuf>,
    },
    /// A database's address.
    Push(String),
}

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Folded stacks, for flame graphs.
    Folded,
    /// pprof's profile.proto, compressed.
    Pprof,
    /// The text of `perf script`.
    PerfScript,
    /// The processed format of profiler.firefox.com.
    Firefox,
    /// A trace for ui.perfetto.dev.
    Perfetto,
    /// OpenMetrics 1.0, for `promtool tsdb create-blocks-from openmetrics`.
    OpenMetrics,
    /// Prometheus' text format with timestamps, for VictoriaMetrics' `/api/v1/import/prometheus`.
    Prometheus,
    /// OpenTelemetry's OTLP in JSON.
    Otlp,
    /// The rows, a JSON object a line.
    Jsonl,
    /// The rows, a CSV record each.
    Csv,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 10] = [
        Format::Folded,
        Format::Pprof,
        Format::PerfScript,
        Format::Firefox,
        Format::Perfetto,
        Format::OpenMetrics,
        Format::Prometheus,
        Format::Otlp,
        Format::Jsonl,
        Format::Csv,
    ];

    /// Whether it is of no use on a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Pprof | Format::Perfetto)
    }

    /// Whether it holds one profile of several.
    pub fn has_stacks(self) -> bool {
        matches!(self, Format::Folded | Format::Pprof | Format::PerfScript)
    }

    /// Whether it holds the recording's rows as they are.
    pub fn has_rows(self) -> bool {
        matches!(self, Format::Jsonl | Format::Csv)
    }

    /// A file name's usual ending.
    pub fn ending(self) -> &'static str {
        match self {
            Format::Folded => "folded",
            Format::Pprof => "pb.gz",
            Format::PerfScript => "perf",
            Format::Firefox => "json.gz",
            Format::OpenMetrics => "om",
            Format::Prometheus => "prom",
            Format::Perfetto => "pftrace",
            Format::Otlp => "json",
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
        }
    }
}

/// What the stacks of an export weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Time on a CPU, as in the view `cpu`.
    #[default]
    Cpu,
    /// Time asleep, as in the view `offcpu`.
    OffCpu,
    /// Waits for locks of the kernel and in futexes, as in the view `locks`. A wait in a futex need not be for a lock.
    Locks,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 3] = [Profile::Cpu, Profile::OffCpu, Profile::Locks];

    /// What there has to be in a recording.
    fn what(self) -> &'static str {
        match self {
            Profile::Cpu => "CPU samples",
            Profile::OffCpu => "off-CPU stacks",
            Profile::Locks => "waits for locks and in futexes",
        }
    }

    /// The probe that records it.
    fn probe(self) -> &'static str {
        match self {
            Profile::Cpu => "cpu",
            Profile::OffCpu => "offcpu",
            Profile::Locks => "locks",
        }
    }
}

/// What was sent to a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Series.
    pub series: u64,
    /// Samples, all series together.
    pub samples: u64,
    /// Requests that it took.
    pub requests: u64,
}

impl Pushed {
    fn add(&mut self, more: Pushed) {
        let Pushed { series, samples, requests } = self;
        for (sum, more) in [(series, more.series), (samples, more.samples), (requests, more.requests)] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What an export came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Recordings that were exported.
    pub recordings: u64,
    /// What was sent to a database, where that was asked for.
    pub pushed: Option<Pushed>,
    /// Recordings of several that can't be read, or have nothing of what is asked for.
    pub left_out: Vec<LeftOut>,
}

/// Exports recordings, counting them in steps.
///
/// Several go to a database one after the other, into a directory as a file each, or as rows of JSON into one file.
///
/// # Errors
/// No recording opens, or none has what is asked for; one holds more than fits; the output can't be written, or the database does not take
/// it. A closed pipe is a `std::io::Error` in the chain.
pub fn export(plan: &ExportPlan, steps: &Steps) -> Result<Exported> {
    if let Target::Push(url) = &plan.target {
        // Before the work: a bad address fails first.
        push::Endpoint::of(url)?;
    }
    let files = Files::of(&plan.files, plan.files_from.as_deref())?;
    let [named] = files.list.as_slice() else { return several::export(files, plan, steps) };
    let mut done = Exported { recordings: 1, ..Exported::default() };
    match &plan.target {
        Target::Push(url) => {
            let metrics = read::metrics(&Source::open(&named.path, &plan.filter)?, plan)?;
            done.pushed = Some(push::push(&metrics, &push::Endpoint::of(url)?)?);
        }
        Target::File { output: Some(directory), .. } if directory.is_dir() => {
            return several::export(files, plan, steps);
        }
        Target::File { format, output } => {
            write(&Source::open(&named.path, &plan.filter)?, plan, *format, output.as_deref())?;
        }
    }
    done.left_out = files.left_out;
    Ok(done)
}

fn write(source: &Source, plan: &ExportPlan, format: Format, output: Option<&Path>) -> Result<()> {
    let gzip = format == Format::Pprof || output.is_some_and(output::is_gzip);
    match format {
        Format::Folded => {
            let (samples, totals) = Samples::added_up(source, plan)?;
            output::write(output, gzip, |out| folded::write(&samples, &totals, out))
        }
        Format::Pprof => {
            let (samples, totals) = Samples::added_up(source, plan)?;
            output::write(output, gzip, |out| pprof::write(source, plan.profile, &samples, &totals, out))
        }
        Format::PerfScript => {
            let (samples, timed) = timed::read(source, plan)?;
            output::write(output, gzip, |out| perf_script::write(source, plan.profile, &samples, &timed, out))
        }
        Format::Firefox => {
            let (samples, timed) = timed::read(source, plan)?;
            output::write(output, gzip, |out| firefox::write(source, &samples, &timed, out))
        }
        Format::Perfetto => {
            let has_samples = source.recording().rows("cpu_sample") > 0;
            let samples = has_samples.then(|| timed::read(source, plan)).transpose();
            // Filters may leave none, and a trace has more than samples.
            let samples = if plan.filter.passes_all() { samples? } else { samples.ok().flatten() };
            output::write(output, gzip, |out| perfetto::write(source, samples.as_ref(), out))
        }
        Format::Otlp => {
            let metrics = some_metrics(source, plan)?;
            output::write(output, gzip, |out| otlp::write(source, &metrics, out))
        }
        Format::Jsonl => {
            let kinds = rows::kinds(source, plan)?;
            output::write(output, gzip, |out| rows::jsonl(source, &kinds, out))
        }
        Format::Csv => {
            let kinds = rows::kinds(source, plan)?;
            output::write(output, gzip, |out| rows::csv(source, &kinds, out))
        }
        Format::OpenMetrics => {
            let metrics = some_metrics(source, plan)?;
            output::write(output, gzip, |out| Ok(openmetrics::write(&metrics, out)?))
        }
        Format::Prometheus => {
            let metrics = some_metrics(source, plan)?;
            output::write(output, gzip, |out| Ok(prometheus::write(&metrics, out)?))
        }
    }
}

/// The metrics of a recording that has any.
fn some_metrics(source: &Source, plan: &ExportPlan) -> Result<Metrics> {
    let metrics = read::metrics(source, plan)?;
    if !metrics.families.is_empty() {
        return Ok(metrics);
    }
    let path = source.recording().path().display();
    Err(match plan.filter.passes_all() {
        true => Failure::run(format!("'{path}' holds no metrics")).hint("ebrec info FILE lists what a recording holds"),
        false => Failure::run(format!("no metric in '{path}' passes the filters")),
    }
    .into())
}
