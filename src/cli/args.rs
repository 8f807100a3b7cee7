//! The options as clap sees them; what they say is turned into plain plans in [`super`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::ValueHint;

use super::completions;
use crate::export;
use crate::report::plan::Format;
use crate::share::Sensitive;
use crate::sql::Dialect;
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
#[command(max_term_width = 100)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(clap::Args, Debug)]
pub(super) struct Global {
    /// Print only errors to stderr
    #[arg(short, long, global = true, display_order = 1000, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Print more to stderr; repeat for libbpf's messages
    #[arg(short, long, global = true, display_order = 1001, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// When to use colors: auto, always, never; `auto` is on a terminal unless NO_COLOR is set
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
    Diff(Diff),
    Export(Export),
    Share(Share),
    Info(Info),
    Probes(Probes),
    Doctor(Doctor),
    Recover(Recover),
    Sql(Sql),
    Completions(Completions),
    Man(Man),
}

/// Record a window of this machine's events into one file
///
/// Attaches the probes, runs for the window or until the command ends, and writes one recording. Ctrl-C ends the window
/// early and still writes the file; a second Ctrl-C exits at once and leaves files that `ebrec recover` can finish.
/// Needs CAP_BPF and CAP_PERFMON, which `sudo` provides.
#[derive(clap::Args, Debug)]
pub(super) struct Record {
    /// Length of the window: 30 (seconds), 500ms, 2m, 1h [default: 10s, or until COMMAND ends]
    #[arg(short, long, value_name = "DURATION", value_parser = positive_duration)]
    pub(super) duration: Option<Duration>,
    /// Keep only the newest DURATION, until Ctrl-C, --until or --duration; SIGUSR1 saves what is kept and goes on
    ///
    /// A flight recorder: it runs for as long as you like on bounded memory and disk. The recording begins with the interval
    /// in which the newest DURATION began. Each SIGUSR1 writes it to FILE-1.parquet, FILE-2.parquet and so on.
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    pub(super) last: Option<Duration>,
    /// End the window when EXPR becomes true: 'block.device_time > 100ms', 'process.exit != 0', or the name of a custom event
    ///
    /// EXPR compares a value of a probe's events with a duration, a size or a number (>, >=, <, <=, ==, !=). Or it names an
    /// occurrence, such as memory.oom_kills, or a custom event, whose own filter applies. psi.memory.full > 20% compares
    /// the share of the last second in which tasks waited for memory. `ebrec probes PROBE` lists what can be compared. The
    /// window still ends at --duration if EXPR does not become true.
    #[arg(long, value_name = "EXPR", value_hint = ValueHint::Other)]
    pub(super) until: Option<String>,
    /// With --until: go on for DURATION after EXPR became true
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "until")]
    pub(super) after: Option<Duration>,
    /// Output file, mode 0600; must not exist; - is stdout [default: run.parquet, or the next free run-N.parquet]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// Replace the file named by --output
    #[arg(short, long)]
    pub(super) force: bool,
    /// Probes to run: a list, changes to the default set, or `all`
    ///
    /// A list (`block,sched`) runs exactly these probes; signs change the default set (`+http,-cpu`). A probe takes a
    /// mode (`block:raw` streams every event, `block:slow` only those over the threshold, `block:hist` none) and settings
    /// (`block:slow=5ms`). `ebrec probes` lists the probes.
    #[arg(short, long = "probe", value_name = "PROBES", allow_hyphen_values = true, add = completions::probe_lists())]
    pub(super) probes: Vec<String>,
    /// A custom event: a function, tracepoint or USDT probe, such as `kprobe:tcp_sendmsg`
    ///
    /// `latency:vfs_read` times a function from entry to return; globs (`kprobe:tcp_*`) match many functions. An event
    /// can capture values of each hit (`uprobe:libc:getaddrinfo(str(arg0))`) and filter hits
    /// (`latency:vfs_read/duration > 1ms/`); the manual describes the language. `ebrec probes -e EVENT` shows where an
    /// event attaches and what it can capture. Can be repeated.
    #[arg(short, long = "event", value_name = "EVENT", value_hint = ValueHint::Other)]
    pub(super) events: Vec<String>,
    /// How often to read histograms and counters from the kernel [default: 50 times per window, every 50ms to 1s]
    ///
    /// Without -d, a recorded command begins with intervals of 62.5 ms. They double each time there are 50 of them, up to
    /// 1 s. They also double when the machine is too busy to end them in time. With this option, the length is fixed.
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    pub(super) interval: Option<Duration>,
    /// Keep the recording within SIZE by ending the window early: 20MiB; or by keeping fewer events: 20MiB,thin
    ///
    /// The finished file is never larger than SIZE. Events that don't fit count as lost. Before it ends the window, ebrec
    /// merges small parts of the file to make room. Meanwhile the recording takes up to four times SIZE on disk; the closing
    /// lines state how much. A file that `ebrec recover` makes of a killed recording may be larger than SIZE.
    ///
    /// With `,thin`, the window is as long as asked for. When the file is full, ebrec removes half of the rows of its largest
    /// kind of events, at random, and from then on writes the same fraction of new ones. Totals still cover every event, and
    /// the report states the fraction. If totals, stacks and processes alone fill the file, the window ends early.
    #[arg(long, value_name = "SIZE", value_parser = max_size)]
    pub(super) max_size: Option<MaxSize>,
    /// Limit the cost of recording to this share of one CPU by recording fewer events: 2%, 0.5%
    ///
    /// About four times a second, ebrec measures the time in its BPF programs and its own CPU time. While they are over the
    /// budget, it thins the probe that costs most. Of `syscall`, it records one call in N, which counts N times; calls that
    /// leave their CPU are recorded 16 times as often, with the time since they left it. Of other probes in raw mode, and of
    /// custom events, it writes one row in N, and totals stay exact. N is a power of two, at most 1,024. When the cost has
    /// been low for two seconds, N is halved.
    ///
    /// `report` and `info` state when a probe was thinned, by how much and why; `report overhead` lists each step. A count of
    /// events that were thinned all the time has a relative standard error of sqrt((N - 1) / COUNT). Minima and maxima are
    /// those of recorded events. If `syscall` costs too much even when thinned, it is detached.
    ///
    /// The cost of other probes' histograms, ledgers and stacks can't be lowered, and a probe that --until waits for is not
    /// thinned. The closing lines state how often the budget did not hold. In the window's first second, only the cost of
    /// events counts, not that of reading processes and programs.
    #[arg(long, value_name = "PERCENT", value_parser = budget)]
    pub(super) max_overhead: Option<u32>,
    /// Total size of the ring buffers of all CPUs: 64MiB, 512KiB [default: 16MiB, or 32MiB]
    ///
    /// The default is 32MiB if a probe is in raw mode or has a threshold (`slow=`), with custom events, and with all probes.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) buffer: Option<u64>,
    /// Kernel memory for the unwind tables of programs: 16MiB, 0
    ///
    /// ebrec follows user stacks by the unwind tables that compilers put into programs and libraries for exceptions
    /// (`.eh_frame`), since most programs are built without frame pointers. A program with its libraries takes 0.5 to
    /// 4 MiB. With 0, ebrec follows frame pointers alone, and misses callers of code without them. Unwind tables are
    /// used on x86_64 only.
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = size_or_nothing)]
    pub(super) unwind_memory: u64,
    /// Show inlined functions in stacks; needs debug information, and time and memory to read it
    ///
    /// Adds a frame `NAME (inlined)` for each inlined function, if the program's debug information is on this machine, in
    /// the program or separate, and at most 192 MiB. Reads compressed sections (zlib, zstd), but not split DWARF (`.dwo`). Without
    /// this option, names come from symbol tables, which lack inlined functions.
    #[arg(long)]
    pub(super) inlines: bool,
    /// Record only these processes and their children
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = pid, help_heading = "Filters")]
    pub(super) pid: Vec<u32>,
    /// Record only processes with this command name, and their children
    #[arg(long, value_name = "NAME", value_parser = comm, help_heading = "Filters")]
    pub(super) comm: Vec<String>,
    /// Record only processes in this cgroup or below it
    #[arg(long, value_name = "PATH", help_heading = "Filters")]
    pub(super) cgroup: Vec<String>,
    /// Record only processes of this container, by id or id prefix
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    pub(super) container: Vec<String>,
    /// Record only processes of this user, by name or number
    #[arg(long, value_name = "USER", value_delimiter = ',', help_heading = "Filters")]
    pub(super) uid: Vec<String>,
    /// Don't record the children of matching processes
    #[arg(long, help_heading = "Filters")]
    pub(super) no_follow: bool,
    /// With COMMAND: record the whole machine, not only COMMAND and its descendants
    #[arg(short = 'a', long, help_heading = "Filters")]
    pub(super) system_wide: bool,
    /// Print the findings when the window ends: what threads waited for, and which process caused it
    ///
    /// Prints the same as `ebrec report findings FILE`, to stdout; with COMMAND to stderr, since stdout is the command's.
    #[arg(long)]
    pub(super) report: bool,
    /// Command to run once the probes are attached; ebrec exits with its status
    ///
    /// It runs as the user who called sudo and inherits stdin and stdout. Only the command and its descendants are recorded.
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub(super) command: Vec<OsString>,
}

/// Explain recordings: a summary, or one view of them
///
/// Without a view, prints the summary: whether events were lost, what the machine spent its time on, the processes that
/// matter, and the slowest events with their cause. Several recordings give one set of rows per host. A recording may be
/// compressed (`.gz`, `.zst`) or in a bundle (`.zip`); `-` is standard input.
///
/// A directory stands for all recordings in it and below it, and a quoted pattern such as 'date=2026-11-*/host=web*' for the files
/// and directories that match. Parts `KEY=VALUE` of a path distinguish recordings of one host. More than eight recordings are
/// read one by one, on all cores, in memory that does not grow with their number: distributions and flame graphs are added up
/// exactly, rankings cover all hosts, and the summary shows which hosts differ. A recording that can't be read is left out, and
/// named on stderr and in `left_out` of JSON output; the exit status is 1 only if the command line names that very file.
///
/// The output directory of the fleet job (fleet/README.md), or the directory `page` in it, is reported as one page: percentiles of all hosts
/// together, the slowest hosts, those that differ, and flame graphs of all hosts.
#[derive(clap::Args, Debug)]
#[command(override_usage = "ebrec report [OPTIONS] [VIEW] FILE...")]
pub(super) struct Report {
    /// A view (see below); for `hist`, `heatmap` and `timeline` also metrics; then recordings or directories
    #[arg(value_name = "VIEW|FILE", add = completions::report_words())]
    pub(super) words: Vec<OsString>,
    /// Read recordings and directories from LIST, one per line or separated by zero bytes; - is standard input
    #[arg(long, value_name = "LIST", value_hint = ValueHint::FilePath)]
    pub(super) files_from: Option<PathBuf>,
    /// Output format: text, svg, html, md, json, csv [default: from the extension of --output, else text]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub(super) format: Option<FormatArg>,
    /// Write to FILE instead of stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// Write the view's plots to DIR as SVG; without a view, write the plots of all views
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["output", "format"])]
    pub(super) svg_dir: Option<PathBuf>,
    /// With CSV: the table to write, by its JSON name [default: the first]
    #[arg(long, value_name = "NAME", add = completions::table_names())]
    pub(super) table: Option<String>,
    /// Rows of a ranking to show; 0 shows all [default: 20, 10 in the summary and in `slow`; JSON and CSV include every row, except in rankings of the slowest events]
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub(super) top: Option<usize>,
    /// Show only these processes
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = pid, help_heading = "Filters")]
    pub(super) pid: Vec<u32>,
    /// Show only processes, or threads, with this name
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub(super) comm: Vec<String>,
    /// Leave out events that ended earlier than DURATION into the window
    ///
    /// Totals are stored per interval: an interval counts as a whole if its middle is within the range, and shares of time
    /// refer to the intervals that count.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Filters")]
    pub(super) from: Option<Duration>,
    /// Leave out events that ended later than DURATION into the window
    ///
    /// As with `--from`, totals cover whole intervals.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Filters")]
    pub(super) to: Option<Duration>,
    /// With `processes`: show children under their parents
    #[arg(long)]
    pub(super) tree: bool,
    /// With `cpu` and `offcpu`: look here, by build ID, for symbols that were missing on the recorded machine
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) debug_dir: Vec<PathBuf>,
    /// With `hist`: split the metric by process, pid, comm, dev, op or another of its columns; in views with a row per process:
    /// pid or comm; without a view or with `hist METRIC`: host
    ///
    /// In views with a row per process, `pid` shows a row for each process and `comm` a row for each command. By default, many
    /// processes of a command that lived for less than a second share a row, except in JSON and CSV. `host` shows a row per host,
    /// percentiles of all hosts together, and the hosts that differ from the others.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', add = completions::split_columns())]
    pub(super) by: Vec<String>,
}

/// Show what changed between two recordings or two sets, and how certain that is
///
/// Each side is a recording, a directory, or a quoted pattern such as 'before-*.parquet'. With three or more recordings a side,
/// each recording is one observation, and a change has to exceed the differences within a side. With fewer, intervals
/// within the recordings are compared, which can't distinguish a change from chance differences between runs. Changes are
/// ranked by their effect on time.
#[derive(clap::Args, Debug)]
pub(super) struct Diff {
    /// Recording, directory or quoted pattern of the state before
    #[arg(add = completions::recordings())]
    pub(super) before: PathBuf,
    /// Recording, directory or quoted pattern of the state after
    #[arg(add = completions::recordings())]
    pub(super) after: PathBuf,
    /// Exit with 4 if EXPR holds and the change is significant, such as 'block.device_time{dev=vda}.p99 > +20%'; may be repeated
    #[arg(long, value_name = "EXPR", value_hint = ValueHint::Other)]
    pub(super) fail_if: Vec<String>,
    /// With --fail-if: exit with 4 if EXPR holds, even if the change is not significant
    #[arg(long, requires = "fail_if")]
    pub(super) strict: bool,
    /// Output format: text, svg (a differential flame graph of CPU time), html, md, json, csv [default: from the extension of --output, else text]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub(super) format: Option<FormatArg>,
    /// Write to FILE instead of stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// With CSV: the table to write, by its JSON name [default: changes]
    #[arg(long, value_name = "NAME")]
    pub(super) table: Option<String>,
    /// Changes to show; 0 shows all [default: 10 in words and 20 rows; JSON and CSV include every row]
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub(super) top: Option<usize>,
    /// Compare only processes with this command name
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub(super) comm: Vec<String>,
    /// Leave out events that ended earlier than DURATION into each window
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Filters")]
    pub(super) from: Option<Duration>,
    /// Leave out events that ended later than DURATION into each window
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Filters")]
    pub(super) to: Option<Duration>,
    /// Look here, by build ID, for symbols that were missing on the recorded machine
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) debug_dir: Vec<PathBuf>,
}

/// Export a recording's stacks, timeline, metrics or rows to other tools
///
/// Stacks: `folded` for FlameGraph, inferno and speedscope, `pprof` for `go tool pprof`, `perf-script` for tools that read the output of
/// `perf script`. `--profile` selects the stacks and their weight. `firefox`, for profiler.firefox.com, always has the CPU samples, with
/// slow events as markers.
///
/// Timeline: `perfetto` for ui.perfetto.dev, with threads, CPU samples, slow events and metrics.
///
/// Rows: `jsonl` and `csv` write the recording's rows unchanged, of all kinds or of those that `--kind` names.
///
/// Metrics: every counter and histogram, with a sample at the end of each interval, as text for an importer (`openmetrics`,
/// `prometheus`, `otlp`) or over HTTP to a database (--push). So are the time of threads and CPUs by state, losses, the recorder's
/// cost, and the recorded time. The Grafana dashboard in share/ebrec/grafana shows them.
///
/// Several recordings, named as for `ebrec report`, are exported one after the other: to a file each in a directory (--output), to
/// a database, or as `jsonl` to one file. Each row has its host and its recording's `run_id`.
#[derive(clap::Args, Debug)]
pub(super) struct Export {
    /// Recordings, directories or quoted patterns
    #[arg(value_name = "FILE", required_unless_present = "files_from", add = completions::recordings())]
    pub(super) files: Vec<PathBuf>,
    /// Read recordings and directories from LIST, one per line or separated by zero bytes; - is standard input
    #[arg(long, value_name = "LIST", value_hint = ValueHint::FilePath)]
    pub(super) files_from: Option<PathBuf>,
    /// Format: folded, pprof, perf-script, firefox, perfetto, otlp, jsonl, csv; openmetrics (for promtool tsdb create-blocks-from openmetrics), prometheus
    /// (for VictoriaMetrics' import)
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true, required_unless_present = "push")]
    pub(super) to: Option<ExportFormatArg>,
    /// Write to FILE instead of stdout; a name that ends in .gz compresses it; a directory gets a file for each recording
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "push")]
    pub(super) output: Option<PathBuf>,
    /// Push to a Prometheus remote-write endpoint (.../api/v1/write) or to VictoriaMetrics (.../api/v1/import/prometheus)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, conflicts_with = "to")]
    pub(super) push: Option<String>,
    /// Stacks to export: cpu (time on a CPU), offcpu (time asleep), locks (waits for locks of the kernel and in futexes) [default: cpu]
    ///
    /// For the formats folded, pprof and perf-script. The numbers are those of the views of the same name. The probe `locks` records no call stacks: a stack there is the kind of
    /// lock and the address of the futex.
    #[arg(long, value_enum, value_name = "PROFILE", hide_possible_values = true, help_heading = "Stacks")]
    pub(super) profile: Option<ProfileArg>,
    /// Look here, by build ID, for symbols that were missing on the recorded machine
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Stacks")]
    pub(super) debug_dir: Vec<PathBuf>,
    /// Kinds of rows to export, such as exec,exit [default: all]; `ebrec info FILE` lists them
    ///
    /// Filters leave out rows of other processes and times, except rows that say what others mean: stacks, symbols,
    /// processes, cgroups, CPUs, clocks and metadata.
    #[arg(long, value_name = "KIND", value_delimiter = ',', help_heading = "Rows")]
    pub(super) kind: Vec<String>,
    /// Label sets to keep per metric, the heaviest first; the rest are summed as `other`; 0 keeps all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = label_sets, help_heading = "Metrics")]
    pub(super) top: usize,
    /// Add process ids as labels; without it, processes with the same name are summed
    #[arg(long, help_heading = "Metrics")]
    pub(super) label_pids: bool,
    /// Histogram boundaries per power of two: 1, 2, 4, 8 or 16; 16 is the recording's resolution
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = boundaries, help_heading = "Metrics")]
    pub(super) buckets: u32,
    /// Export only these processes
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = pid, help_heading = "Filters")]
    pub(super) pid: Vec<u32>,
    /// Export only processes with this command name
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub(super) comm: Vec<String>,
    /// Leave out events that ended earlier than DURATION into the window
    ///
    /// Totals are stored per interval: an interval counts as a whole if its middle is within the range.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Filters")]
    pub(super) from: Option<Duration>,
    /// Leave out events that ended later than DURATION into the window, like `--to` of `report`
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Filters")]
    pub(super) until: Option<Duration>,
}

/// Show a recording's metadata: host, window, probes, losses, cost, columns
#[derive(clap::Args, Debug)]
pub(super) struct Info {
    /// The recording
    #[arg(add = completions::recordings())]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) format: ListFormat,
}

/// List the probes: what each measures, and whether it can run here
#[derive(clap::Args, Debug)]
pub(super) struct Probes {
    /// Show everything about one probe
    #[arg(add = completions::probe_names())]
    pub(super) name: Option<String>,
    /// Show where a custom event attaches and what it can capture, such as `kprobe:tcp_*`
    #[arg(short, long = "event", value_name = "EVENT", value_hint = ValueHint::Other, conflicts_with = "name")]
    pub(super) events: Vec<String>,
    /// With --event: resolve files and libraries as these processes see them
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = pid, requires = "events")]
    pub(super) pid: Vec<u32>,
    #[command(flatten)]
    pub(super) format: ListFormat,
}

/// Check what this machine allows, and print the fix for what is missing
///
/// Exits with 0 if `ebrec record` can run here as this user, else with 1.
#[derive(clap::Args, Debug)]
pub(super) struct Doctor {
    #[command(flatten)]
    pub(super) format: ListFormat,
}

/// Make a small, redacted bundle of a recording, for a bug tracker
///
/// The bundle is a zip file with the recording, a summary in Markdown and a README. By default, arguments, addresses, DNS
/// names, URLs, captured texts, and the names of hosts, containers, and of files and programs that not every system has become
/// pseudonyms. Equal names stay equal within the bundle, and a pseudonym can't be traced back to its name. Function names
/// and build ids stay. If the bundle would be larger than --max-size, ebrec leaves out the shortest events, and the bundle
/// says so; totals, histograms and stacks stay complete.
#[derive(clap::Args, Debug)]
pub(super) struct Share {
    /// The recording
    #[arg(add = completions::recordings())]
    pub(super) file: PathBuf,
    /// Output file; must not exist [default: run.zip, or the next free run-N.zip]
    #[arg(short, long, value_name = "BUNDLE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// Replace the file named by --output
    #[arg(short, long, requires = "output")]
    pub(super) force: bool,
    /// Largest size of the bundle: 24MiB, 100MiB
    #[arg(long, value_name = "SIZE", default_value = "24MiB", value_parser = size)]
    pub(super) max_size: u64,
    /// Keep texts of this kind as they are; `all` keeps everything
    ///
    /// Kinds: arguments, paths, programs, addresses, dns, urls, hosts, containers, captured, symbols, build-ids. Can be
    /// repeated, or a list.
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = sensitive, action = ArgAction::Append)]
    pub(super) keep: Vec<Sensitives>,
    /// Replace texts of this kind too: `symbols`, `build-ids`
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = sensitive, action = ArgAction::Append)]
    pub(super) redact: Vec<Sensitives>,
    /// Also replace whatever matches the regular expressions in FILE, one per line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) patterns: Option<PathBuf>,
    /// Only list what in the recording could identify someone, and how it would be replaced
    #[arg(long, conflicts_with_all = ["output", "force", "max_size"])]
    pub(super) show: bool,
}

/// Kinds of sensitive text: one, or all.
#[derive(Clone, Debug)]
pub(super) struct Sensitives(pub(super) Vec<Sensitive>);

fn sensitive(text: &str) -> Result<Sensitives, String> {
    if text == "all" {
        return Ok(Sensitives(Sensitive::ALL.to_vec()));
    }
    match Sensitive::ALL.into_iter().find(|kind| kind.name() == text) {
        Some(kind) => Ok(Sensitives(vec![kind])),
        None => Err(format!("kinds: {}, all", Sensitive::ALL.map(Sensitive::name).join(", "))),
    }
}

/// Finish a recording whose writer was killed
///
/// Builds the recording from `FILE.partial` and `FILE.partial.footer`. Rows that the writer had not finished are dropped:
/// at most those of the last second.
#[derive(clap::Args, Debug)]
pub(super) struct Recover {
    /// The recording, with or without the extension `.partial`
    #[arg(add = completions::unfinished())]
    pub(super) file: PathBuf,
    /// Replace an existing recording
    #[arg(short, long)]
    pub(super) force: bool,
}

/// Print SQL views over recordings
///
/// Each view answers a common question in one line: processes by CPU, percentiles by key, over time and over hosts, where a
/// thread's time went, who waited for whom, flame graphs, functions, slow events, process starts, losses and cost. Feed the
/// script to the engine, then query `ebrec_processes` and the other views, or `ebrec`, the rows themselves.
#[derive(clap::Args, Debug)]
pub(super) struct Sql {
    /// The engine: duckdb, clickhouse, spark, trino
    #[arg(long, value_enum, value_name = "DIALECT", default_value_t = DialectArg::Duckdb, hide_possible_values = true)]
    pub(super) dialect: DialectArg,
    /// Recordings, directories or patterns, as the engine sees them [default: *.parquet]
    ///
    /// A directory stands for all recordings in it and below it. Paths and URLs go into the script as they are. Trino reads one
    /// directory, and by default the script names a bucket to be filled in.
    #[arg(value_name = "FILE|PATTERN", value_hint = ValueHint::AnyPath)]
    pub(super) recordings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DialectArg {
    Duckdb,
    Clickhouse,
    Spark,
    Trino,
}

impl From<DialectArg> for Dialect {
    fn from(dialect: DialectArg) -> Dialect {
        match dialect {
            DialectArg::Duckdb => Dialect::DuckDb,
            DialectArg::Clickhouse => Dialect::ClickHouse,
            DialectArg::Spark => Dialect::Spark,
            DialectArg::Trino => Dialect::Trino,
        }
    }
}

/// Print completions for a shell
#[derive(clap::Args, Debug)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: completions::ShellArg,
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
    /// Output format: text, md, json, csv
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ListFormatArg::Text, hide_possible_values = true)]
    pub(super) format: ListFormatArg,
    /// Write to FILE instead of stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// With CSV: the table to write, by its JSON name [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(super) table: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    Text,
    Svg,
    Html,
    Md,
    Json,
    Csv,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Format {
        match format {
            FormatArg::Text => Format::Text,
            FormatArg::Svg => Format::Svg,
            FormatArg::Html => Format::Html,
            FormatArg::Md => Format::Markdown,
            FormatArg::Json => Format::Json,
            FormatArg::Csv => Format::Csv,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormatArg {
    Folded,
    Pprof,
    PerfScript,
    Firefox,
    Perfetto,
    Openmetrics,
    Prometheus,
    Otlp,
    Jsonl,
    Csv,
}

impl From<ExportFormatArg> for export::Format {
    fn from(format: ExportFormatArg) -> export::Format {
        match format {
            ExportFormatArg::Folded => export::Format::Folded,
            ExportFormatArg::Pprof => export::Format::Pprof,
            ExportFormatArg::PerfScript => export::Format::PerfScript,
            ExportFormatArg::Firefox => export::Format::Firefox,
            ExportFormatArg::Perfetto => export::Format::Perfetto,
            ExportFormatArg::Otlp => export::Format::Otlp,
            ExportFormatArg::Jsonl => export::Format::Jsonl,
            ExportFormatArg::Csv => export::Format::Csv,
            ExportFormatArg::Openmetrics => export::Format::OpenMetrics,
            ExportFormatArg::Prometheus => export::Format::Prometheus,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileArg {
    Cpu,
    Offcpu,
    Locks,
}

impl From<ProfileArg> for export::Profile {
    fn from(profile: ProfileArg) -> export::Profile {
        match profile {
            ProfileArg::Cpu => export::Profile::Cpu,
            ProfileArg::Offcpu => export::Profile::OffCpu,
            ProfileArg::Locks => export::Profile::Locks,
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

/// A number without a unit is of seconds, as with sleep(1).
fn duration(text: &str) -> Result<Duration, String> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().any(|byte| byte.is_ascii_digit());
    let with_unit = if number { format!("{text}s") } else { text.to_owned() };
    parse_duration(&with_unit).map_err(|error| error.to_string())
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be greater than zero".to_owned()),
        duration => Ok(duration),
    }
}

fn size_or_nothing(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

fn size(text: &str) -> Result<u64, String> {
    match parse_size(text).map_err(|error| error.to_string())? {
        0 => Err("it must be greater than zero".to_owned()),
        size => Ok(size),
    }
}

/// The bound on a file, and whether rows are thinned to hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MaxSize {
    pub(super) bytes: u64,
    pub(super) thin: bool,
}

fn max_size(text: &str) -> Result<MaxSize, String> {
    match text.split_once(',') {
        None => Ok(MaxSize { bytes: size(text)?, thin: false }),
        Some((bytes, "thin")) => Ok(MaxSize { bytes: size(bytes)?, thin: true }),
        Some((_, other)) => Err(format!("'{other}' can't follow the size; only 'thin' can")),
    }
}

/// A part of one CPU in per cent, as millionths.
fn budget(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').ok_or("it needs a '%', as in '2%'")?;
    let percent: f64 = number.trim().parse().map_err(|_| format!("'{number}' is not a number"))?;
    if (0.1..=100.0).contains(&percent) {
        Ok((percent * 10_000.0).round() as u32)
    } else {
        Err(format!("'{text}' is not from 0.1% to 100% of one CPU"))
    }
}

fn pid(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|pid| *pid > 0).ok_or_else(|| format!("'{text}' is not a process id"))
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number of rows"))
}

fn label_sets(text: &str) -> Result<usize, String> {
    let sets: usize = text.parse().map_err(|_| format!("'{text}' is not a number of label sets"))?;
    Ok(if sets == 0 { usize::MAX } else { sets })
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
