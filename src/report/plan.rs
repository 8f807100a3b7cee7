//! What to report, as plain data: the command line fills it, [`crate::report::report`] carries it out.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// How many times as many rows a page holds as a terminal shows.
const PAGE: usize = 10;

/// One report over one or more recordings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportPlan {
    /// Name of the view, one of [`crate::report::VIEWS`].
    pub view: String,
    /// Recordings, directories of them, or patterns.
    pub files: Vec<PathBuf>,
    /// A file that lists more of them; `-` is standard input.
    pub files_from: Option<PathBuf>,
    /// What the recording is called in what readers are told to type, if it is one and not to be called by its path.
    pub called: Option<PathBuf>,
    /// The metrics that the views `hist`, `heatmap` and `timeline` are about; none means all of them.
    pub metrics: Vec<String>,
    /// What the `hist` view splits its metric by: columns of the metric, `process` or `host`. In views with a row per process: `pid` or `comm`.
    /// In the summary: `host`.
    pub by: Vec<String>,
    /// Which rows count.
    pub filter: RowFilter,
    /// How many rows of a ranking are shown, 0 for all; `None` leaves it to the view.
    pub top: Option<usize>,
    /// Whether processes stand under their parents.
    pub tree: bool,
    /// Directories with symbols for frames that have no name in the recording.
    pub debug_dirs: Vec<PathBuf>,
    /// How the report is written.
    pub format: Format,
    /// Columns of the terminal or page, for the text format.
    pub width: usize,
}

/// The word of [`ReportPlan::by`] for a row per host.
pub const HOST: &str = "host";

impl ReportPlan {
    /// Whether the report is one of hosts, whatever their number.
    pub fn by_host(&self) -> bool {
        self.by.iter().any(|by| by == HOST)
    }

    /// How many of the slowest events are shown, when the view would show `usual`; there may be millions, so programs get no more.
    pub fn events_shown(&self, usual: usize) -> usize {
        match self.top {
            None => usual,
            Some(0) => usize::MAX,
            Some(top) => top,
        }
    }

    /// How many rows of a ranking are shown, when the view would show `usual` to a person; programs get all that they do not refuse.
    pub fn rows_shown(&self, usual: usize) -> usize {
        match (self.top, self.format) {
            (None, Format::Json | Format::Csv) => usize::MAX,
            // A page folds its tables, and searches all of them.
            (None, Format::Html) => self.events_shown(usual.saturating_mul(PAGE)),
            _ => self.events_shown(usual),
        }
    }
}

/// Which rows of a recording count; empty lists let everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowFilter {
    /// Process ids.
    pub pids: Vec<i64>,
    /// Exact command names.
    pub comms: Vec<String>,
    /// Start, after the start of the window.
    pub from: Option<Duration>,
    /// End, after the start of the window.
    pub to: Option<Duration>,
}

impl RowFilter {
    /// Whether every row counts.
    pub fn passes_all(&self) -> bool {
        self == &RowFilter::default()
    }

    /// Whether what belongs to this process counts.
    pub fn passes_process(&self, pid: Option<i64>, comm: Option<&str>) -> bool {
        self.passes_thread(pid, comm, None)
    }

    /// Whether what belongs to a thread of this process counts: the name of either is enough, since a process is called by its
    /// leader, whatever its threads call themselves.
    pub fn passes_thread(&self, pid: Option<i64>, process: Option<&str>, comm: Option<&str>) -> bool {
        let is_wanted = |name: &str| self.comms.iter().any(|wanted| wanted == name);
        let by_pid = self.pids.is_empty() || pid.is_some_and(|pid| self.pids.contains(&pid));
        by_pid && (self.comms.is_empty() || process.is_some_and(is_wanted) || comm.is_some_and(is_wanted))
    }

    /// Whether rows are chosen by the process they belong to.
    pub fn by_process(&self) -> bool {
        !self.pids.is_empty() || !self.comms.is_empty()
    }

    /// Whether rows are chosen by their time.
    pub fn by_time(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }
}

/// Where a document goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// A file that is replaced; `None` is stdout.
    pub file: Option<PathBuf>,
    /// A directory that takes every plot as a file of its own, in place of the document.
    pub svg_dir: Option<PathBuf>,
    /// The table that the CSV format writes; `None` is the first.
    pub table: Option<String>,
}

/// How a document is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Aligned tables for people.
    #[default]
    Text,
    /// The plots of the document.
    Svg,
    /// One self-contained page.
    Html,
    /// Tables for a ticket or a wiki.
    Markdown,
    /// Everything, with stable field names.
    Json,
    /// The first table.
    Csv,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 6] = [Format::Text, Format::Svg, Format::Html, Format::Markdown, Format::Json, Format::Csv];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Svg => "svg",
            Format::Html => "html",
            Format::Markdown => "md",
            Format::Json => "json",
            Format::Csv => "csv",
        }
    }

    /// The format that a file name's ending asks for.
    pub fn of_path(path: &Path) -> Option<Format> {
        let ending = path.extension()?.to_str()?;
        if ending == "txt" {
            Some(Format::Text)
        } else {
            Format::ALL.into_iter().find(|format| format.name() == ending)
        }
    }

    /// Whether a program reads it, which then wants every column and raw numbers.
    pub fn is_for_programs(self) -> bool {
        matches!(self, Format::Json | Format::Csv)
    }
}
