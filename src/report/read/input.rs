//! Recordings as the views see them: a label, a window, and the rows that the filters let through.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::failure::Failure;
use crate::recording::Chunk;
use crate::recording::Ints;
use crate::recording::Meta;
use crate::recording::Recording;
use crate::recording::Texts;
use crate::recording::Times;
use crate::report::plan::RowFilter;
use crate::report::read::span;
use crate::report::read::span::Span;

/// One recording under one set of filters.
pub(in crate::report) struct Source {
    recording: Recording,
    label: String,
    filter: RowFilter,
    /// The part of the window that is asked for.
    asked: Span,
    /// What totals cover of the window.
    shown: Span,
}

/// The recordings of a report.
pub(in crate::report) struct Sources {
    /// In the order of the command line, directories by file name.
    pub(in crate::report) list: Vec<Source>,
    /// Files of directories that could not be opened, with the reason.
    pub(in crate::report) left_out: Vec<String>,
}

/// Opens every recording that the paths name.
///
/// A directory stands for the recordings in it, and what can't be opened there is left out; a file named by itself must open.
pub(in crate::report) fn open(paths: &[PathBuf], filter: &RowFilter) -> Result<Sources> {
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
fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Finished recordings by name, and unfinished ones that have no finished one beside them.
fn recordings_in(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let finished = name.ends_with(".parquet");
        let unfinished = name.ends_with(".parquet.partial") && !path.with_extension("").exists();
        if (finished || unfinished) && path.is_file() {
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
    pub(in crate::report) fn open(path: &Path, filter: &RowFilter) -> Result<Source> {
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
    pub(in crate::report) fn recording(&self) -> &Recording {
        &self.recording
    }

    /// What it says of itself.
    pub(in crate::report) fn meta(&self) -> &Meta {
        self.recording.meta()
    }

    /// Its host, with the file's name where several files are of one host.
    pub(in crate::report) fn label(&self) -> &str {
        &self.label
    }

    /// The part of the window that is asked for: rows of single events are from it.
    pub(in crate::report) fn asked(&self) -> Span {
        self.asked
    }

    /// Start of the part of the window that totals cover, in nanoseconds since the window's start.
    pub(in crate::report) fn begin_ns(&self) -> i64 {
        self.shown.begin_ns
    }

    /// End of the part of the window that totals cover, in nanoseconds since the window's start.
    pub(in crate::report) fn end_ns(&self) -> i64 {
        self.shown.end_ns
    }

    /// Length of the part of the window that totals cover, in nanoseconds.
    pub(in crate::report) fn span_ns(&self) -> i64 {
        self.shown.length_ns()
    }

    /// Whether the filters let a process through that lived from `started` to `ended`, in nanoseconds since the window's start.
    pub(in crate::report) fn shows(
        &self,
        pid: i64,
        comm: Option<&str>,
        started: Option<i64>,
        ended: Option<i64>,
    ) -> bool {
        let time = started.is_none_or(|at| at <= self.end_ns()) && ended.is_none_or(|at| at >= self.begin_ns());
        time && self.filter.passes_process(Some(pid), comm)
    }

    /// Calls `each` for every row of a kind that the filters let through, in the file's order.
    pub(in crate::report) fn rows(
        &self,
        kind: &str,
        ints: &[&str],
        texts: &[&str],
        each: impl FnMut(&Row<'_>),
    ) -> Result<()> {
        self.scan(kind, ints, texts, true, each)
    }

    /// The same without the filters by process, for rows about the recording itself.
    pub(in crate::report) fn rows_of_all_processes(
        &self,
        kind: &str,
        ints: &[&str],
        texts: &[&str],
        each: impl FnMut(&Row<'_>),
    ) -> Result<()> {
        self.scan(kind, ints, texts, false, each)
    }

    /// The same without any filter, for rows that give names to others.
    pub(in crate::report) fn rows_of_all_times(
        &self,
        kind: &str,
        ints: &[&str],
        texts: &[&str],
        each: impl FnMut(&Row<'_>),
    ) -> Result<()> {
        scan(&self.recording, kind, ints, texts, self.meta().window.start_real_ns, each)
    }

    fn scan(
        &self,
        kind: &str,
        ints: &[&str],
        texts: &[&str],
        by_process: bool,
        mut each: impl FnMut(&Row<'_>),
    ) -> Result<()> {
        let aggregate = matches!(
            kind,
            "hist" | "metric" | "ledger" | "cpu_ledger" | "lost" | "cost" | "stack_total" | "cpu_sample"
        );
        let by_process = by_process && self.filter.by_process();
        let by_time = self.filter.from.is_some() || self.filter.to.is_some();
        self.rows_of_all_times(kind, ints, texts, |row| {
            let pass = (!by_time || self.is_in_time(row, aggregate))
                && (!by_process || self.filter.passes_process(row.pid(), row.comm()));
            if pass {
                each(row);
            }
        })
    }

    /// An event belongs to the moment it ended, an interval to its middle, so that each counts once however it is cut.
    fn is_in_time(&self, row: &Row<'_>, aggregate: bool) -> bool {
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

/// A process: an id is used again, so its start belongs to it, where the recording knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in crate::report) struct Which {
    /// Its id.
    pub(in crate::report) pid: i64,
    /// When it was born, in nanoseconds of CLOCK_BOOTTIME.
    pub(in crate::report) start_ns: Option<i64>,
}

/// Columns that every row has at hand, before those that a view asks for.
const INTS: [&str; 3] = ["dur_ns", "pid", "pid_start_ns"];
const TEXTS: [&str; 1] = ["comm"];

/// One row while it is looked at.
pub(in crate::report) struct Row<'a> {
    at: usize,
    start_ns: i64,
    times: Times<'a>,
    ints: &'a [Ints<'a>],
    texts: &'a [Texts<'a>],
}

impl<'a> Row<'a> {
    /// When it ended, in nanoseconds since the window's start.
    pub(in crate::report) fn at(&self) -> Option<i64> {
        Some(self.times.get(self.at)?.saturating_sub(self.start_ns))
    }

    /// How long it took, in nanoseconds.
    pub(in crate::report) fn dur(&self) -> Option<i64> {
        self.ints.first()?.get(self.at)
    }

    /// The process.
    pub(in crate::report) fn pid(&self) -> Option<i64> {
        self.ints.get(1)?.get(self.at)
    }

    /// The process, told from others that had its id before or after.
    pub(in crate::report) fn which(&self) -> Option<Which> {
        Some(Which { pid: self.pid()?, start_ns: self.ints.get(2)?.get(self.at) })
    }

    /// The command.
    pub(in crate::report) fn comm(&self) -> Option<&'a str> {
        self.texts.first()?.get(self.at)
    }

    /// The view's own numeric column of that place in its list.
    pub(in crate::report) fn int(&self, column: usize) -> Option<i64> {
        self.ints.get(INTS.len() + column)?.get(self.at)
    }

    /// The same, where a negative number makes no sense and nothing counts as zero.
    pub(in crate::report) fn natural(&self, column: usize) -> u64 {
        self.int(column).and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
    }

    /// The view's own text column of that place in its list.
    pub(in crate::report) fn text(&self, column: usize) -> Option<&'a str> {
        self.texts.get(TEXTS.len() + column)?.get(self.at)
    }
}

/// Calls `each` for every row of a kind; `start_ns` is when the window began.
pub(in crate::report) fn scan<'b>(
    recording: &Recording,
    kind: &str,
    ints: &[&'b str],
    texts: &[&'b str],
    start_ns: i64,
    mut each: impl FnMut(&Row<'_>),
) -> Result<()> {
    let mut columns = vec!["ts", "ts_sub_ns"];
    let mut place = |name: &&'b str| {
        // A view may ask for a column that is at hand anyway.
        columns.iter().position(|column| column == name).unwrap_or_else(|| {
            columns.push(*name);
            columns.len() - 1
        })
    };
    let int_places: Vec<usize> = INTS.iter().chain(ints).map(&mut place).collect();
    let text_places: Vec<usize> = TEXTS.iter().chain(texts).map(&mut place).collect();
    let failed = || format!("can't read the rows of kind '{kind}' in '{}'", recording.path().display());
    for chunk in recording.scan(kind, &columns).with_context(failed)? {
        let chunk: Chunk = chunk.with_context(failed)?;
        let times = chunk.times(0, 1);
        let ints: Vec<Ints<'_>> = int_places.iter().map(|at| chunk.int(*at)).collect();
        let texts: Vec<Texts<'_>> = text_places.iter().map(|at| chunk.text(*at)).collect();
        for at in 0..chunk.len() {
            each(&Row { at, start_ns, times, ints: &ints, texts: &texts });
        }
    }
    Ok(())
}
