//! Recordings as the views see them: a label, a window, and the rows that the filters let through.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::failure::Failure;
use crate::recording::CORE_KINDS;
use crate::recording::Extent;
use crate::recording::Meta;
use crate::recording::OpenError;
use crate::recording::Recording;
use crate::render::LeftOut;
use crate::report::plan::RowFilter;
use crate::report::read::files::Files;
use crate::report::read::files::Named;
use crate::report::read::folding::Folding;
use crate::report::read::label;
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
    folding: Folding,
    /// Whether what is said of it is merged with what is said of others.
    is_part: bool,
}

/// The recordings of a report.
pub(crate) struct Sources {
    /// In the order of the files.
    pub(crate) list: Vec<Source>,
    /// Files that could not be opened.
    pub(crate) left_out: Vec<LeftOut>,
}

/// Opens the recordings, and tells them apart by their labels.
///
/// One that can't be opened is left out.
///
/// # Errors
/// None can be opened.
pub(crate) fn open(files: Files, filter: &RowFilter) -> Result<Sources> {
    let mut left_out = files.left_out;
    let mut list = Vec::new();
    let single = files.list.len() == 1;
    for named in &files.list {
        match Source::open(&named.path, filter) {
            Ok(source) => list.push(source),
            Err(error) if single && left_out.is_empty() => return Err(error),
            Err(error) => left_out.push(named.left_out(&error)),
        }
    }
    if list.is_empty() {
        return Err(none_opens(&left_out).into());
    }
    let named: Vec<(String, &Path)> =
        list.iter().map(|source| (source.label.clone(), source.recording.path())).collect();
    let labels = label::labels(&named);
    list.iter_mut().zip(labels).for_each(|(source, label)| source.label = label);
    Ok(Sources { list, left_out })
}

/// Why no recording is left.
pub(crate) fn none_opens(left_out: &[LeftOut]) -> Failure {
    match left_out {
        [] => Failure::usage("no recording is named").hint("ebrec report run.parquet"),
        [one] => Failure::run(one.reason.clone()),
        [first, rest @ ..] => Failure::run(format!(
            "none of {} recordings can be read: {}; {} more",
            rest.len() + 1,
            first.reason,
            rest.len()
        )),
    }
}

impl Named {
    /// The recording without its rows, since they can't be read.
    pub(crate) fn left_out(&self, error: &anyhow::Error) -> LeftOut {
        LeftOut { by_itself: self.by_itself, ..LeftOut::new(&self.path, first_line(error)) }
    }
}

/// What is wrong with a recording, without the advice; of damaged rows, what the damage is.
fn first_line(error: &anyhow::Error) -> String {
    let own = error.chain().find_map(|cause| cause.downcast_ref::<OpenError>());
    let text = own.map_or_else(|| error.to_string(), OpenError::to_string);
    text.lines().next().unwrap_or_default().to_owned()
}

impl Source {
    /// Opens one recording.
    pub(crate) fn open(path: &Path, filter: &RowFilter) -> Result<Source> {
        let recording = Recording::open(path)?;
        let window_ns = recording.meta().window.actual_ns.max(0);
        let begin_ns = filter.from.map_or(0, nanos);
        let asked = Span { begin_ns, end_ns: filter.to.map_or(window_ns, |to| nanos(to).min(window_ns)).max(begin_ns) };
        let shown = if filter.by_time() { span::of_totals(&recording, asked)? } else { asked };
        let label = label::host(&recording.meta().host.hostname, path);
        let (filter, folding) = (filter.clone(), Folding::default());
        Ok(Source { label, recording, filter, asked, shown, folding, is_part: false })
    }

    /// Calls it by a name other than its path.
    pub(crate) fn call(&mut self, name: &Path) {
        self.recording.call(name);
    }

    /// Makes it one of many that are read one by one: its tables say its label in each row, and are merged.
    pub(crate) fn part(self, label: String) -> Source {
        Source { label, is_part: true, ..self }
    }

    /// Whether what is said of it is merged with what is said of others.
    pub(crate) fn is_part(&self) -> bool {
        self.is_part
    }

    /// The recording without its rows, since they can't be read.
    pub(crate) fn left_out(&self, error: &anyhow::Error) -> LeftOut {
        LeftOut::new(self.recording.path(), first_line(error))
    }

    /// Lets processes share the rows of tables.
    pub(crate) fn fold(&mut self, folding: Folding) {
        self.folding = folding;
    }

    /// Which processes share rows.
    pub(crate) fn folding(&self) -> &Folding {
        &self.folding
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

    /// Samples a second that the probe `cpu` took on each CPU: any number from 1 to a billion, since a file may claim what it likes.
    pub(crate) fn sample_hertz(&self) -> u64 {
        let cpu = self.meta().probes.iter().find(|probe| probe.name == "cpu");
        let hertz = cpu.and_then(|cpu| cpu.settings.get("hz")?.as_u64());
        // Before the rate could be set, recordings did not state it.
        hertz.unwrap_or(99).clamp(1, 1_000_000_000)
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

    /// Whether any filter is by process.
    pub(crate) fn filters_processes(&self) -> bool {
        self.filter.by_process()
    }

    /// Whether any filter is by time.
    pub(crate) fn filters_times(&self) -> bool {
        self.filter.by_time()
    }

    /// Whether the filters by process let a row through: its process id, what its process is called, and its thread.
    pub(crate) fn passes(&self, pid: Option<i64>, process: Option<&str>, comm: Option<&str>) -> bool {
        self.filter.passes_thread(pid, process, comm)
    }

    /// The rows of a kind that the filters let through, in the file's order.
    pub(crate) fn rows<'a>(&'a self, kind: &'a str) -> Rows<'a> {
        let mut rows = self.rows_of_all_processes(kind);
        let filter = &self.filter;
        if !filter.by_process() {
            return rows;
        }
        let process = rows.text("process");
        rows.only(&["pid", "process", "comm"], move |row| {
            filter.passes_thread(row.pid(), row.text(process), row.comm())
        })
    }

    /// The same without the filters by process, for rows about the recording itself.
    pub(crate) fn rows_of_all_processes<'a>(&'a self, kind: &'a str) -> Rows<'a> {
        let rows = self.rows_of_all_times(kind);
        if !self.filters_times() {
            return rows;
        }
        let times = Times { asked: self.asked, shown: self.shown, to: self.filter.to, aggregate: is_aggregate(kind) };
        let start_ns = self.meta().window.start_real_ns;
        rows.only(&["ts", "ts_sub_ns", "dur_ns"], move |row| times.pass(row))
            .may_hold(move |extent| times.may_pass(extent, start_ns))
    }

    /// The same without any filter, for rows that give names to others.
    pub(crate) fn rows_of_all_times<'a>(&'a self, kind: &'a str) -> Rows<'a> {
        Rows::all(&self.recording, kind)
    }
}

/// The part of the window that is asked for, as the rows of a kind see it.
#[derive(Clone, Copy)]
struct Times {
    asked: Span,
    shown: Span,
    to: Option<Duration>,
    aggregate: bool,
}

impl Times {
    /// An event belongs to the moment it ended, an interval to its middle, so that each counts once however it is cut.
    fn pass(&self, row: &Row<'_>) -> bool {
        let Some(at) = row.at() else { return false };
        match self.aggregate {
            true => self.shown.holds(at.saturating_sub(row.dur().unwrap_or(0) / 2)),
            // What a program that was under way when the window closed says is a moment later.
            false => at >= self.asked.begin_ns && self.to.is_none_or(|to| at < nanos(to)),
        }
    }

    /// Whether any of the rows of a row group may pass.
    fn may_pass(&self, extent: &Extent, start_ns: i64) -> bool {
        let Some((first, last)) = extent.ends else { return true };
        let (first, last) = (first.saturating_sub(start_ns), last.saturating_sub(start_ns));
        match self.aggregate {
            true => {
                let before_end = extent.longest.is_none_or(|longest| first.saturating_sub(longest) < self.shown.end_ns);
                before_end && last >= self.shown.begin_ns
            }
            false => last >= self.asked.begin_ns && self.to.is_none_or(|to| first < nanos(to)),
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
