//! Recordings as the views see them: a label, a window, and the rows that the filters let through.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use crate::failure::Failure;
use crate::recording::CORE_KINDS;
use crate::recording::Meta;
use crate::recording::Recording;
use crate::recording::finished_path;
use crate::recording::is_finished;
use crate::recording::is_partial;
use crate::report::plan::RowFilter;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::span;
use crate::report::read::span::Span;

/// One recording under one set of filters.
pub(crate) struct Source {
    recording: Recording,
    label: String,
    filter: RowFilter,
    /// The part of the window that is asked for.
    asked: Span,
    /// What totals cover of the window.
    shown: Span,
}

/// The recordings of a report.
pub(crate) struct Sources {
    /// In the order of the command line, directories by file name.
    pub(crate) list: Vec<Source>,
    /// Files of directories that could not be opened, with the reason.
    pub(crate) left_out: Vec<String>,
}

/// Opens every recording that the paths name.
///
/// A directory stands for the recordings in it, and what can't be opened there is left out; a file named by itself must open.
pub(crate) fn open(paths: &[PathBuf], filter: &RowFilter) -> Result<Sources> {
    let mut sources = Sources { list: Vec::new(), left_out: Vec::new() };
    for path in paths {
        if !path.is_dir() {
            sources.list.push(Source::open(path, filter)?);
            continue;
        }
        let files = recordings_in(path).with_context(|| format!("can't read the directory '{}'", path.display()))?;
        if files.is_empty() {
            return Err(Failure::run(format!("no recording in the directory '{}'", path.display())).into());
        }
        for file in files {
            match Source::open(&file, filter) {
                Ok(source) => sources.list.push(source),
                Err(error) => sources.left_out.push(first_line(&error)),
            }
        }
    }
    if sources.list.is_empty() {
        let why = sources.left_out.first().cloned().unwrap_or_else(|| "no recording is named".to_owned());
        return Err(Failure::run(why).into());
    }
    tell_apart(&mut sources.list);
    Ok(sources)
}

/// What is wrong, without the advice.
pub(crate) fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Finished recordings by name, and unfinished ones that have no finished one beside them.
pub(crate) fn recordings_in(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let unfinished = is_partial(&path)
            && finished_path(&path).is_some_and(|finished| is_finished(&finished) && !finished.exists());
        if (is_finished(&path) || unfinished) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Hosts that occur once keep their name, others get their file's beside it.
fn tell_apart(sources: &mut [Source]) {
    let hosts: Vec<String> = sources.iter().map(|source| source.label.clone()).collect();
    for source in sources {
        if hosts.iter().filter(|host| **host == source.label).count() > 1 {
            let file = source.recording.path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
            source.label = format!("{} ({})", source.label, file.unwrap_or_default());
        }
    }
}

impl Source {
    /// Opens one recording.
    pub(crate) fn open(path: &Path, filter: &RowFilter) -> Result<Source> {
        let recording = Recording::open(path)?;
        let window_ns = recording.meta().window.actual_ns.max(0);
        let begin_ns = filter.from.map_or(0, nanos);
        let asked = Span { begin_ns, end_ns: filter.to.map_or(window_ns, |to| nanos(to).min(window_ns)).max(begin_ns) };
        let by_time = filter.from.is_some() || filter.to.is_some();
        let shown = if by_time { span::of_totals(&recording, asked)? } else { asked };
        let label = recording.meta().host.hostname.clone();
        Ok(Source { label, recording, filter: filter.clone(), asked, shown })
    }

    /// The file behind it.
    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }

    /// What it says of itself.
    pub(crate) fn meta(&self) -> &Meta {
        self.recording.meta()
    }

    /// Its host, with the file's name where several files are of one host.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The part of the window that is asked for: rows of single events are from it.
    pub(crate) fn asked(&self) -> Span {
        self.asked
    }

    /// Start of the part of the window that totals cover, in nanoseconds since the window's start.
    pub(crate) fn begin_ns(&self) -> i64 {
        self.shown.begin_ns
    }

    /// End of the part of the window that totals cover, in nanoseconds since the window's start.
    pub(crate) fn end_ns(&self) -> i64 {
        self.shown.end_ns
    }

    /// Length of the part of the window that totals cover, in nanoseconds.
    pub(crate) fn span_ns(&self) -> i64 {
        self.shown.length_ns()
    }

    /// Whether the filters let a process through that lived from `started` to `ended`, in nanoseconds since the window's start.
    pub(crate) fn shows(&self, pid: i64, comm: Option<&str>, started: Option<i64>, ended: Option<i64>) -> bool {
        let time = started.is_none_or(|at| at <= self.end_ns()) && ended.is_none_or(|at| at >= self.begin_ns());
        time && self.filter.passes_process(Some(pid), comm)
    }

    /// The rows of a kind that the filters let through, in the file's order.
    pub(crate) fn rows<'a>(&'a self, kind: &'a str) -> Rows<'a> {
        let aggregate = is_aggregate(kind);
        self.rows_of_all_times(kind).only(move |row| {
            self.passes_time(row, aggregate)
                && (!self.filter.by_process() || self.filter.passes_process(row.pid(), row.comm()))
        })
    }

    /// The same without the filters by process, for rows about the recording itself.
    pub(crate) fn rows_of_all_processes<'a>(&'a self, kind: &'a str) -> Rows<'a> {
        let aggregate = is_aggregate(kind);
        self.rows_of_all_times(kind).only(move |row| self.passes_time(row, aggregate))
    }

    /// The same without any filter, for rows that give names to others.
    pub(crate) fn rows_of_all_times<'a>(&'a self, kind: &'a str) -> Rows<'a> {
        Rows::all(&self.recording, kind)
    }

    /// An event belongs to the moment it ended, an interval to its middle, so that each counts once however it is cut.
    fn passes_time(&self, row: &Row<'_>, aggregate: bool) -> bool {
        if self.filter.from.is_none() && self.filter.to.is_none() {
            return true;
        }
        let Some(at) = row.at() else { return false };
        match aggregate {
            true => self.shown.holds(at.saturating_sub(row.dur().unwrap_or(0) / 2)),
            // What a program that was under way when the window closed says is a moment later.
            false => at >= self.asked.begin_ns && self.filter.to.is_none_or(|to| at < nanos(to)),
        }
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether the rows of a kind sum up an interval each: the schema says so of the core's; of the probes', samples of CPUs do.
fn is_aggregate(kind: &str) -> bool {
    kind == "cpu_sample" || CORE_KINDS.iter().any(|core| core.name == kind && core.is_aggregate)
}
