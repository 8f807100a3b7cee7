//! The options as clap sees them; what they say is turned into plain plans in [`super`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::ValueHint;
use clap_complete::Shell;

use crate::export;
use crate::report::plan::Format;
use crate::units::parse_duration;
use crate::units::parse_size;

/// Record what a Linux machine does during a short window, and explain the recording anywhere
///
/// `ebrec record` attaches eBPF programs to the kernel's own events, aggregates them in the kernel and writes one Parquet
/// file. `ebrec report` explains such a file later, without root and without the machine it came from.
#[derive(Parser, Debug)]
#[command(
    name = "ebrec",
    version,
    propagate_version = false,
    arg_required_else_help = true,
    subcommand_required = true
)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(clap::Args, Debug)]
pub(super) struct Global {
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, display_order = 1000, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say more on stderr; twice for what libbpf says
    #[arg(short, long, global = true, display_order = 1001, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// When to use colours; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, display_order = 1002, value_name = "WHEN", value_enum, default_value_t = When::Auto, hide_possible_values = true)]
    pub(super) color: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    Record(Record),
    Report(Report),
    Export(Export),
    Info(Info),
    Probes(Probes),
    Doctor(Doctor),
    Recover(Recover),
    Completions(Completions),
    Man(Man),
}

/// Record a window of this machine's events into one file
///
/// Attaches the probes, runs for the window or until the command ends, and writes one recording. Ctrl-C ends the window
/// early and still writes the file; a second Ctrl-C stops the finishing work and leaves what `ebrec recover` needs.
/// Needs CAP_BPF and CAP_PERFMON, which `sudo` gives.
#[derive(clap::Args, Debug)]
pub(super) struct Record {
    /// Length of the window: 500ms, 30s, 2m, 1h [default: 10s, or until COMMAND ends]
    #[arg(short, long, value_name = "DURATION", value_parser = positive_duration)]
    pub(super) duration: Option<Duration>,
    /// File to write, mode 0600; it must not exist; - is stdout [default: run.parquet, or the next free run-N.parquet]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// Replace the file given with --output
    #[arg(short, long)]
    pub(super) force: bool,
    /// Probes to run: a list, changes to the default set, or `all`
    ///
    /// A list (`block,sched`) runs exactly what it names; signs change the default set (`+http,-cpu`). A probe takes a
    /// mode (`block:raw` streams every event, `block:hist` none, `block:slow` those over the threshold) and settings
    /// (`block:slow=5ms`). `ebrec probes` lists the probes.
    #[arg(short, long = "probe", value_name = "PROBES", allow_hyphen_values = true)]
    pub(super) probes: Vec<String>,
    /// An event of your own: a function, trace point or static probe, as `kprobe:tcp_sendmsg`
    ///
    /// `latency:vfs_read` times a function from entry to return; globs (`kprobe:tcp_*`) take many. Values are kept of each hit
    /// (`uprobe:libc:getaddrinfo(str(arg0))`), and a filter counts some hits only (`latency:vfs_read/duration > 1ms/`): the manual has the
    /// whole language. `ebrec probes -e EVENT` shows what it is put on, and which values it has. Can be given many times.
    #[arg(short, long = "event", value_name = "EVENT", value_hint = ValueHint::Other)]
    pub(super) events: Vec<String>,
    /// How often histograms and counters are read out of the kernel
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = positive_duration)]
    pub(super) interval: Duration,
    /// Total size of the ring buffers of all CPUs: 32MiB, 512KiB
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = size)]
    pub(super) buffer: u64,
    /// Show inlined functions in stacks; reads debug information, which takes time and memory
    ///
    /// Stacks have a frame `NAME (inlined)` for each function that the compiler put into another one, where the program or its
    /// separate debug information is here and has no more than 192 MiB; compressed sections (zlib, zstd) are read, split DWARF
    /// (`.dwo`) is not. Without it names come from symbol tables, which know functions only.
    #[arg(long)]
    pub(super) inlines: bool,
    /// Record only these processes and their children
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = pid, help_heading = "Filters")]
    pub(super) pid: Vec<u32>,
    /// Record only processes of this command name, and their children
    #[arg(long, value_name = "NAME", value_parser = comm, help_heading = "Filters")]
    pub(super) comm: Vec<String>,
    /// Record only processes in this control group or below it
    #[arg(long, value_name = "PATH", help_heading = "Filters")]
    pub(super) cgroup: Vec<String>,
    /// Record only processes of this container, by id or the start of it
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    pub(super) container: Vec<String>,
    /// Record only processes of this user, by name or number
    #[arg(long, value_name = "USER", value_delimiter = ',', help_heading = "Filters")]
    pub(super) uid: Vec<String>,
    /// Leave out the children of the processes that the filters let through
    #[arg(long, help_heading = "Filters")]
    pub(super) no_follow: bool,
    /// With COMMAND: record the whole machine, not only COMMAND and its descendants
    #[arg(short = 'a', long, help_heading = "Filters")]
    pub(super) system_wide: bool,
    /// Command to run once the probes are live; ebrec exits with its status
    ///
    /// It runs as the user who called sudo and keeps its stdin and stdout. Only it and its descendants are recorded.
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub(super) command: Vec<OsString>,
}

/// Explain recordings: a summary, or one view of them
///
/// Without a view, the summary: whether anything was lost, what the machine spent its time on, the processes that matter,
/// the slowest things and their cause. Several files, or a directory of them, make one row set per host.
#[derive(clap::Args, Debug)]
#[command(override_usage = "ebrec report [OPTIONS] [VIEW] FILE...")]
pub(super) struct Report {
    /// A view (see below), for `hist`, `heatmap` and `timeline` also metrics, then recordings or directories of them
    #[arg(value_name = "VIEW|FILE", value_hint = ValueHint::FilePath)]
    pub(super) words: Vec<OsString>,
    /// How to write it: text, svg, md, json, csv [default: by the ending of --output, else text]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub(super) format: Option<FormatArg>,
    /// File to write in place of stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// Write every plot of the view, or without one of all views, into this directory, one SVG each
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["output", "format"])]
    pub(super) svg_dir: Option<PathBuf>,
    /// With csv: the table to write, by its name in json [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(super) table: Option<String>,
    /// Rows of a ranking to show; 0 is all [default: 20, in the summary and in `slow` 10; in json and csv all but of the slowest]
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub(super) top: Option<usize>,
    /// Only these processes
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = pid, help_heading = "Filters")]
    pub(super) pid: Vec<u32>,
    /// Only processes of this command name
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub(super) comm: Vec<String>,
    /// Leave out events that ended earlier than DURATION into the window
    ///
    /// Totals are kept by interval: an interval counts whole if its middle is in the part that is asked for, and shares of time are of the intervals that count.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Filters")]
    pub(super) from: Option<Duration>,
    /// Leave out events that ended later than DURATION into the window
    ///
    /// As with `--from`, totals cover whole intervals.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Filters")]
    pub(super) to: Option<Duration>,
    /// With `processes`: children under their parents
    #[arg(long)]
    pub(super) tree: bool,
    /// With `cpu` and `offcpu`: where to look, by build id, for symbols that the recorded machine did not have
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) debug_dir: Vec<PathBuf>,
    /// With `hist`: split the metric by process, pid, comm, dev, op or another of its columns
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(super) by: Vec<String>,
}

/// Carry a recording's metrics to a time-series database
///
/// Every counter and histogram, with a sample at the end of each interval, as text for an importer (--to) or to a database
/// over HTTP (--push).
#[derive(clap::Args, Debug)]
pub(super) struct Export {
    /// The recording
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,
    /// Format: openmetrics (for promtool tsdb create-blocks-from openmetrics), prometheus (for VictoriaMetrics' import)
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true, required_unless_present = "push")]
    pub(super) to: Option<ExportFormatArg>,
    /// File to write in place of stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "push")]
    pub(super) output: Option<PathBuf>,
    /// Send it to a Prometheus remote-write endpoint (.../api/v1/write) or VictoriaMetrics (.../api/v1/import/prometheus)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, conflicts_with = "to")]
    pub(super) push: Option<String>,
    /// Label sets of a metric that stay apart, the heaviest first; the rest is added up as `other`
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = label_sets)]
    pub(super) top: usize,
    /// Make process ids labels too; without it, processes of one name are added up
    #[arg(long)]
    pub(super) pid: bool,
    /// Histogram boundaries in each power of two: 1, 2, 4, 8 or 16, which is all that the recording has
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = boundaries)]
    pub(super) buckets: u32,
}

/// Show what a recording says of itself: host, window, probes, losses, cost, columns
#[derive(clap::Args, Debug)]
pub(super) struct Info {
    /// The recording
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) format: ListFormat,
}

/// List the probes: what each measures, and whether it can run here
#[derive(clap::Args, Debug)]
pub(super) struct Probes {
    /// Show everything about this probe
    pub(super) name: Option<String>,
    /// Show what an event of your own would be put on, and which values it has, as `kprobe:tcp_*`
    #[arg(short, long = "event", value_name = "EVENT", value_hint = ValueHint::Other, conflicts_with = "name")]
    pub(super) events: Vec<String>,
    /// With --event: look files and libraries up as these processes see them
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = pid, requires = "events")]
    pub(super) pid: Vec<u32>,
    #[command(flatten)]
    pub(super) format: ListFormat,
}

/// Check what this machine allows, and name the fix for what is missing
///
/// Exits with 0 when `ebrec record` can run here as this user, else with 1.
#[derive(clap::Args, Debug)]
pub(super) struct Doctor {
    #[command(flatten)]
    pub(super) format: ListFormat,
}

/// Finish a recording whose writer was killed
///
/// Makes a recording out of `FILE.partial` and `FILE.partial.footer`, without the rows that the writer had not finished:
/// at most those of the last second.
#[derive(clap::Args, Debug)]
pub(super) struct Recover {
    /// The recording, with or without the ending `.partial`
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,
    /// Replace the finished recording when there is one
    #[arg(short, long)]
    pub(super) force: bool,
}

/// Print completions for a shell
#[derive(clap::Args, Debug)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: Shell,
}

/// Write the manual pages into a directory
#[derive(clap::Args, Debug)]
#[command(hide = true)]
pub(super) struct Man {
    /// The directory
    #[arg(value_hint = ValueHint::DirPath)]
    pub(super) dir: PathBuf,
}

#[derive(clap::Args, Debug)]
pub(super) struct ListFormat {
    /// How to write it: text, md, json, csv
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ListFormatArg::Text, hide_possible_values = true)]
    pub(super) format: ListFormatArg,
    /// File to write in place of stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// With csv: the table to write, by its name in json [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(super) table: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    Text,
    Svg,
    Md,
    Json,
    Csv,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Format {
        match format {
            FormatArg::Text => Format::Text,
            FormatArg::Svg => Format::Svg,
            FormatArg::Md => Format::Markdown,
            FormatArg::Json => Format::Json,
            FormatArg::Csv => Format::Csv,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormatArg {
    Openmetrics,
    Prometheus,
}

impl From<ExportFormatArg> for export::Format {
    fn from(format: ExportFormatArg) -> export::Format {
        match format {
            ExportFormatArg::Openmetrics => export::Format::OpenMetrics,
            ExportFormatArg::Prometheus => export::Format::Prometheus,
        }
    }
}

/// The formats of documents that never draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormatArg {
    Text,
    Md,
    Json,
    Csv,
}

impl From<ListFormatArg> for Format {
    fn from(format: ListFormatArg) -> Format {
        match format {
            ListFormatArg::Text => Format::Text,
            ListFormatArg::Md => Format::Markdown,
            ListFormatArg::Json => Format::Json,
            ListFormatArg::Csv => Format::Csv,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than nothing".to_owned()),
        duration => Ok(duration),
    }
}

fn size(text: &str) -> Result<u64, String> {
    match parse_size(text).map_err(|error| error.to_string())? {
        0 => Err("it must be larger than nothing".to_owned()),
        size => Ok(size),
    }
}

fn pid(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|pid| *pid > 0).ok_or_else(|| format!("'{text}' is not a process id"))
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number of rows"))
}

fn label_sets(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|sets| *sets > 0).ok_or_else(|| format!("'{text}' is not a number of label sets"))
}

fn boundaries(text: &str) -> Result<u32, String> {
    let steps = text.parse().ok().filter(|steps| [1, 2, 4, 8, 16].contains(steps));
    steps.ok_or_else(|| format!("'{text}' is none of 1, 2, 4, 8, 16"))
}

/// The kernel keeps 15 bytes of a command name, so a longer one would match nothing.
fn comm(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("it is empty".to_owned()),
        1..=15 => Ok(text.to_owned()),
        _ => {
            let kept =
                text.char_indices().take_while(|(at, letter)| at + letter.len_utf8() <= 15).map(|(_, letter)| letter);
            Err(format!("the kernel keeps 15 bytes of a name: write '{}'", kept.collect::<String>()))
        }
    }
}
