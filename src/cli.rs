//! The command line: options in, plain plans out. clap's types stay in this module.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use clap::CommandFactory;
use clap::FromArgMatches;
use clap::error::ErrorKind;

use crate::diff::DiffPlan;
use crate::events;
use crate::events::spec::Written;
use crate::export;
use crate::export::ExportPlan;
use crate::export::Target;
use crate::failure::Failure;
use crate::record::plan::Filters;
use crate::record::plan::RecordPlan;
use crate::record::plan::User;
use crate::record::plan::Verbosity;
use crate::report::SUMMARY;
use crate::report::VIEWS;
use crate::report::plan::Destination;
use crate::report::plan::Format;
use crate::report::plan::HOST;
use crate::report::plan::ReportPlan;
use crate::report::plan::RowFilter;
use crate::share::Sensitive;
use crate::share::SharePlan;
use crate::sql;
use crate::sql::Place;

mod args;
pub mod completions;
mod diff;
mod examples;
#[cfg(all(feature = "record", target_os = "linux"))]
mod format_page;
mod man;
mod probe_spec;
mod report_words;
mod terminal;
mod usage;

pub use man::pages as man_pages;
pub use terminal::Terminal;

/// What one run of the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The work.
    pub action: Action,
    /// How it shows.
    pub console: Console,
}

/// How output shows on this run's streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// How much is said on stderr.
    pub verbosity: Verbosity,
    /// Whether text on stdout is coloured.
    pub color: bool,
    /// Columns of stdout.
    pub width: usize,
}

/// The commands, with all that they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Record a window.
    Record(Box<RecordPlan>),
    /// Explain recordings.
    Report(Box<ReportPlan>, Destination),
    /// Compare recordings.
    Diff(Box<DiffPlan>, Destination),
    /// Carry a recording's metrics to a time-series database.
    Export(Box<ExportPlan>),
    /// Make a bundle for a bug tracker.
    Share(SharePlan),
    /// List what in a recording could identify someone.
    ShowSensitive(SharePlan),
    /// Show what a recording says of itself.
    Info(PathBuf, OutputOptions),
    /// List the probes, or everything about one.
    Probes(Option<String>, OutputOptions),
    /// List what events of the user's own would be put on.
    Events {
        /// The events.
        events: Vec<Written>,
        /// Processes in whose file systems files are looked up.
        pids: Vec<u32>,
        /// How the list is written.
        output: OutputOptions,
    },
    /// Check this machine.
    Doctor(OutputOptions),
    /// Finish a recording whose writer was killed.
    Recover {
        /// The recording, with or without `.partial`.
        file: PathBuf,
        /// Whether a finished recording is replaced.
        force: bool,
    },
    /// Print text that is ready: help, version, completions.
    Print(String),
    /// Print help to stderr, since nothing was asked.
    Help(String),
    /// Write the manual pages into a directory.
    Man(PathBuf),
}

/// How a document that never draws is written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOptions {
    /// The format.
    pub format: Format,
    /// Where it goes.
    pub destination: Destination,
}

/// Reads the command line, program name first.
///
/// Errors are usage errors in the words of every other error; help and version are actions like any other.
pub fn parse(words: impl IntoIterator<Item = OsString>, terminal: &Terminal) -> Result<Invocation, Failure> {
    let words: Vec<OsString> = words.into_iter().collect();
    let color = |when: args::When, is_terminal: bool| match when {
        args::When::Always => true,
        args::When::Never => false,
        args::When::Auto => is_terminal && !terminal.plain,
    };
    let console = |verbosity, color| Console { verbosity, color, width: terminal.width() };
    let parsed =
        command(terminal).try_get_matches_from(&words).and_then(|matches| args::Args::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => {
            let styled = color(args::When::Auto, terminal.stdout);
            let text = if styled { error.render().ansi().to_string() } else { error.render().to_string() };
            let action = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Action::Print(text),
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Action::Help(text),
                _ => {
                    let (command, rest) = named_command(terminal, &words);
                    return Err(usage::failure(&error, &command, rest));
                }
            };
            return Ok(Invocation { action, console: console(Verbosity::Normal, styled) });
        }
    };
    let verbosity = match (args.global.quiet, args.global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, 1) => Verbosity::Verbose,
        (false, _) => Verbosity::Debug,
    };
    let action = match args.command {
        args::Command::Record(record) => Action::Record(Box::new(record_plan(record, verbosity, terminal.stderr)?)),
        args::Command::Report(report) => {
            let (plan, destination) = report_plan(report, terminal)?;
            Action::Report(Box::new(plan), destination)
        }
        args::Command::Export(export) => Action::Export(Box::new(export_plan(export, terminal)?)),
        args::Command::Diff(diff) => {
            let (plan, destination) = diff::plan(diff, terminal)?;
            Action::Diff(Box::new(plan), destination)
        }
        args::Command::Info(info) => Action::Info(info.file, info.format.into()),
        args::Command::Probes(probes) if probes.events.is_empty() => Action::Probes(probes.name, probes.format.into()),
        args::Command::Probes(probes) => {
            Action::Events { events: events::read(probes.events)?, pids: probes.pid, output: probes.format.into() }
        }
        args::Command::Doctor(doctor) => Action::Doctor(doctor.format.into()),
        args::Command::Share(share) => match share.show {
            true => Action::ShowSensitive(share_plan(share)),
            false if terminal.stdout && share.output.as_deref() == Some(Path::new("-")) => {
                let refused = Failure::usage("a bundle is binary and can't be written to a terminal");
                return Err(refused.hint("ebrec share -o BUNDLE.zip FILE"));
            }
            false => Action::Share(share_plan(share)),
        },
        args::Command::Recover(recover) => Action::Recover { file: recover.file, force: recover.force },
        args::Command::Sql(asked) => Action::Print(sql_script(asked)?),
        args::Command::Completions(asked) => Action::Print(completions::script(asked.shell)),
        args::Command::Man(man) => Action::Man(man.dir),
    };
    Ok(Invocation { action, console: console(verbosity, color(args.global.color, terminal.stdout)) })
}

/// The command line as clap knows it, with the examples and the views in its help.
fn command(terminal: &Terminal) -> clap::Command {
    let mut command = args::Args::command().after_long_help(examples::help("")).term_width(terminal.width().min(100));
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let mut end = examples::help(&name);
        if name == "report" {
            end = format!("{}\n\n{end}", views_help());
        }
        command = command.mut_subcommand(&name, |sub| {
            let sub = sub.bin_name(format!("ebrec {name}")).after_long_help(end);
            if name == "report" { sub.after_help(views_help()) } else { sub }
        });
    }
    // clap adds `help` when it builds the command.
    command.build();
    command.mut_subcommand("help", |help| help.about("Show the help of a command"))
}

fn views_help() -> String {
    let widest = VIEWS.iter().map(|view| view.name.len()).max().unwrap_or(0);
    let mut text = String::from("Views:");
    for view in VIEWS {
        text.push_str(&format!("\n  {:widest$}  {}", view.name, view.summary));
    }
    text
}

/// The subcommand that the words name, else the program itself, and the words after it.
fn named_command<'w>(terminal: &Terminal, words: &'w [OsString]) -> (clap::Command, &'w [OsString]) {
    let command = command(terminal);
    let named =
        words.iter().enumerate().skip(1).find_map(|(at, word)| Some((at, command.find_subcommand(word.to_str()?)?)));
    match named {
        Some((at, sub)) => (sub.clone(), words.get(at + 1..).unwrap_or_default()),
        None => (command, words.get(1..).unwrap_or_default()),
    }
}

impl From<args::ListFormat> for OutputOptions {
    fn from(list: args::ListFormat) -> OutputOptions {
        OutputOptions {
            format: list.format.into(),
            destination: Destination { file: list.output, svg_dir: None, table: list.table },
        }
    }
}

fn record_plan(record: args::Record, verbosity: Verbosity, columns: Option<usize>) -> Result<RecordPlan, Failure> {
    if record.force && record.output.is_none() {
        let why = "--force needs --output: without a name, an existing file is never replaced";
        return Err(Failure::usage(why).hint("ebrec record --force --output FILE"));
    }
    if record.report && record.output.as_deref() == Some(Path::new("-")) {
        let why = "--report needs a file: '-o -' writes the recording to stdout";
        return Err(Failure::usage(why).hint("ebrec record --report -o FILE"));
    }
    if record.system_wide && record.command.is_empty() {
        let why = "--system-wide needs a command: without one, the whole machine is recorded anyway";
        return Err(Failure::usage(why).hint("ebrec record --system-wide -- COMMAND"));
    }
    if record.last.is_some() && record.output.as_deref() == Some(Path::new("-")) {
        let why = "--last needs a file: the recordings that SIGUSR1 asks for are written beside it";
        return Err(Failure::usage(why).hint("ebrec record --last 10s -o FILE"));
    }
    if record.last.is_some() && record.max_size.is_some() {
        let why = "--last bounds the file by itself, and takes no --max-size";
        return Err(Failure::usage(why).hint("ebrec record --last 10s"));
    }
    let users = record.uid.into_iter().map(|user| user.parse().map_or_else(|_| User::Name(user), User::Id)).collect();
    let probes = probe_spec::parse(&record.probes)?;
    let events = events::read(record.events)?;
    Ok(RecordPlan {
        window: record.duration,
        last: record.last,
        until: record.until,
        after: record.after.unwrap_or_default(),
        output: record.output,
        force: record.force,
        inlines: record.inlines,
        unwind_bytes: record.unwind_memory,
        buffer_bytes: record.buffer.unwrap_or_else(|| probes.buffer_bytes(!events.is_empty())),
        probes,
        events,
        filters: Filters {
            pids: record.pid,
            comms: record.comm,
            cgroups: record.cgroup,
            containers: record.container,
            users,
            follow: !record.no_follow,
        },
        command: record.command,
        system_wide: record.system_wide,
        interval: record.interval,
        max_size: record.max_size.map(|max| max.bytes),
        thin_to_size: record.max_size.is_some_and(|max| max.thin),
        max_overhead_ppm: record.max_overhead,
        report: record.report,
        verbosity,
        columns,
    })
}

fn report_plan(report: args::Report, terminal: &Terminal) -> Result<(ReportPlan, Destination), Failure> {
    let words = report_words::read(&report.words, report.files_from.is_some(), |path| path.exists())?;
    if report.tree && words.view != "processes" {
        return Err(Failure::usage(format!("--tree has no effect on the view '{}'", words.view))
            .hint("ebrec report processes --tree FILE"));
    }
    if VIEWS.iter().any(|view| view.name == words.view && view.by_process) {
        if let Some(other) = report.by.iter().find(|by| !matches!(by.as_str(), "pid" | "comm")) {
            let why = format!("--by '{other}': the view '{}' has rows by pid or by comm", words.view);
            return Err(Failure::usage(why).hint(format!("ebrec report {} --by comm FILE", words.view)));
        }
        if report.by.len() > 1 {
            return Err(Failure::usage("--by takes one of pid and comm here"));
        }
    } else if report.by.iter().any(|by| by == HOST) && words.view != "hist" && words.view != SUMMARY {
        let why = format!("--by host: the view '{}' is not by host", words.view);
        return Err(
            Failure::usage(why).hint("ebrec report --by host FILE..., or ebrec report hist METRIC --by host FILE...")
        );
    } else if report.by.iter().any(|by| by != HOST) && (words.view != "hist" || words.metrics.is_empty()) {
        return Err(Failure::usage("--by needs a metric").hint("ebrec report hist METRIC --by COLUMN FILE"));
    }
    if let (Some(from), Some(to)) = (report.from, report.to)
        && from >= to
    {
        return Err(Failure::usage("--from is not before --to, so the span is empty"));
    }
    let format = match (&report.svg_dir, report.format, report.output.as_deref()) {
        (Some(_), _, _) => Format::Svg,
        (None, Some(format), _) => format.into(),
        (None, None, Some(path)) => format_of(path)?,
        (None, None, None) => Format::default(),
    };
    let to_terminal = terminal.stdout && report.output.is_none() && report.svg_dir.is_none();
    let unreadable = match format {
        Format::Svg => Some("a picture"),
        Format::Html => Some("a page"),
        _ => None,
    };
    if let Some(what) = unreadable.filter(|_| to_terminal) {
        let hint = format!("ebrec report {} -o {0}.{} FILE", words.view, format.name());
        return Err(Failure::usage(format!("{what} can't be written to a terminal")).hint(hint));
    }
    let plan = ReportPlan {
        view: words.view.to_owned(),
        files: words.files,
        files_from: report.files_from,
        called: None,
        metrics: words.metrics,
        by: report.by,
        filter: RowFilter {
            pids: report.pid.into_iter().map(i64::from).collect(),
            comms: report.comm,
            from: report.from,
            to: report.to,
        },
        top: report.top,
        tree: report.tree,
        debug_dirs: report.debug_dir,
        format,
        width: terminal.width(),
    };
    Ok((plan, Destination { file: report.output, svg_dir: report.svg_dir, table: report.table }))
}

/// The format that a file's name asks for: text where it has no ending.
fn format_of(path: &Path) -> Result<Format, Failure> {
    match (Format::of_path(path), path.extension()) {
        (Some(format), _) => Ok(format),
        (None, None) => Ok(Format::Text),
        (None, Some(ending)) => {
            let message = format!("no format has the extension '.{}' of '{}'", ending.display(), path.display());
            Err(Failure::usage(message).hint("extensions: .txt, .svg, .html, .md, .json, .csv; or give --format"))
        }
    }
}

fn export_plan(export: args::Export, terminal: &Terminal) -> Result<ExportPlan, Failure> {
    if let (Some(from), Some(until)) = (export.from, export.until)
        && from >= until
    {
        return Err(Failure::usage("--from is not before --until, so the span is empty"));
    }
    // clap asks for a format where nothing is pushed.
    let format = export.to.map(export::Format::from);
    if let (Some(_), Some(format)) = (export.profile, format)
        && !format.has_stacks()
    {
        let stacks =
            "--profile selects the stacks of folded, pprof and perf-script; this format has content of its own";
        return Err(Failure::usage(stacks).hint("ebrec export --to pprof --profile offcpu FILE"));
    }
    if !export.kind.is_empty() && !format.is_some_and(export::Format::has_rows) {
        return Err(Failure::usage("--kind selects rows, which only jsonl and csv have")
            .hint("ebrec export --to jsonl --kind KIND FILE"));
    }
    let to_terminal = terminal.stdout && export.output.as_deref().is_none_or(|path| path == Path::new("-"));
    if let Some(format) = format.filter(|format| format.is_binary() && to_terminal) {
        let hint = format!("-o FILE.{}", format.ending());
        return Err(Failure::usage("this format is binary and can't be written to a terminal").hint(hint));
    }
    let target = match (export.push, format) {
        (Some(url), _) => Target::Push(url),
        (None, format) => Target::File { format: format.unwrap_or(export::Format::OpenMetrics), output: export.output },
    };
    Ok(ExportPlan {
        files: export.files,
        files_from: export.files_from,
        target,
        filter: RowFilter {
            pids: export.pid.into_iter().map(i64::from).collect(),
            comms: export.comm,
            from: export.from,
            to: export.until,
        },
        profile: export.profile.map(export::Profile::from).unwrap_or_default(),
        debug_dirs: export.debug_dir,
        kinds: export.kind,
        top: export.top,
        label_pids: export.label_pids,
        steps: export.buckets,
    })
}

fn sql_script(asked: args::Sql) -> Result<String, Failure> {
    let place = |path: String| if Path::new(&path).is_dir() { Place::Directory(path) } else { Place::Pattern(path) };
    let places: Vec<Place> = asked.recordings.into_iter().map(place).collect();
    sql::script(asked.dialect.into(), &places)
}

fn share_plan(share: args::Share) -> SharePlan {
    let kinds = |named: Vec<args::Sensitives>| named.into_iter().flat_map(|named| named.0);
    let mut replaced: BTreeSet<Sensitive> = Sensitive::ALL.into_iter().filter(|kind| kind.by_default()).collect();
    for kind in kinds(share.keep) {
        replaced.remove(&kind);
    }
    replaced.extend(kinds(share.redact));
    SharePlan {
        file: share.file,
        output: share.output,
        force: share.force,
        max_bytes: share.max_size,
        replaced,
        patterns: share.patterns,
    }
}

#[cfg(test)]
mod tests {
    use super::Action;
    use super::Invocation;
    use super::Terminal;
    use super::parse;
    use crate::failure::Failure;
    use crate::record::plan::Filters;
    use crate::record::plan::ProbeBase;
    use crate::record::plan::RecordPlan;
    use crate::record::plan::User;
    use crate::record::plan::Verbosity;
    use crate::report::plan::Format;
    use std::ffi::OsString;
    use std::time::Duration;

    fn run(line: &str) -> Result<Invocation, Failure> {
        parse(["ebrec"].into_iter().chain(line.split_whitespace()).map(OsString::from), &Terminal::default())
    }

    fn record(line: &str) -> RecordPlan {
        match run(line).unwrap().action {
            Action::Record(plan) => *plan,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn buffers_are_larger_where_rows_of_every_event_may_come() {
        let bytes = |line: &str| record(line).buffer_bytes;
        assert_eq!(bytes("record -p +syscall"), 16 << 20);
        for line in
            ["record -p syscall:raw", "record -p +block:slow=0", "record -p all", "record -e rawtp:sched_switch"]
        {
            assert_eq!(bytes(line), 32 << 20, "{line}");
        }
        assert_eq!(bytes("record -p all --buffer 1MiB"), 1 << 20);
    }

    #[test]
    fn record_alone_is_the_default_window_of_the_default_probes_on_the_whole_machine() {
        let plan = record("record");
        assert_eq!((plan.window, plan.output, plan.force), (None, None, false));
        assert_eq!((plan.probes.base, plan.filters), (ProbeBase::Default, Filters::default()));
        assert_eq!((plan.interval, plan.buffer_bytes), (None, 16 << 20));
        assert_eq!((plan.verbosity, plan.columns), (Verbosity::Normal, None));
    }

    #[test]
    fn every_filter_reaches_the_plan() {
        let plan =
            record("record --pid 1,2 --pid 3 --comm a --comm b --cgroup /x --container c0 --uid 0,me --no-follow");
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let expected = Filters {
            pids: vec![1, 2, 3],
            comms: texts(&["a", "b"]),
            cgroups: texts(&["/x"]),
            containers: texts(&["c0"]),
            users: vec![User::Id(0), User::Name("me".to_owned())],
            follow: false,
        };
        assert_eq!(plan.filters, expected);
    }

    #[test]
    fn what_follows_two_dashes_is_the_command_whatever_it_looks_like() {
        let plan = record("record -a -d 2m -- make -j8 --force -o x");
        assert_eq!(plan.command, ["make", "-j8", "--force", "-o", "x"]);
        assert_eq!((plan.window, plan.system_wide, plan.force), (Some(Duration::from_secs(120)), true, false));
    }

    #[test]
    fn a_probe_that_is_taken_out_is_no_option() {
        assert_eq!(record("record -p -cpu -p +http").probes.removed, ["cpu"]);
        assert_eq!(record("record --probe=-cpu").probes.removed, ["cpu"]);
    }

    #[test]
    fn the_format_follows_the_ending_unless_it_is_named() {
        let format = |line: &str| match run(line).unwrap().action {
            Action::Report(plan, _) => plan.format,
            other => panic!("{other:?}"),
        };
        assert_eq!(format("report x.parquet"), Format::Text);
        assert_eq!(format("report x.parquet -o y.svg"), Format::Svg);
        assert_eq!(format("report x.parquet -o y.svg --format json"), Format::Json);
        assert_eq!(format("report x.parquet -o y"), Format::Text);
        assert_eq!(format("report x.parquet -o y.pdf --format md"), Format::Markdown);
        assert_eq!(format("report x.parquet --svg-dir y"), Format::Svg);
    }

    #[test]
    fn an_ending_without_a_format_is_refused() {
        let failure = run("report x.parquet -o plots/y.pdf").unwrap_err();
        assert_eq!(failure.message, "no format has the extension '.pdf' of 'plots/y.pdf'");
        assert!(failure.hint.unwrap().contains(".svg"));
    }

    #[test]
    fn a_picture_is_not_written_to_a_terminal() {
        let terminal = Terminal { stdout: true, ..Terminal::default() };
        let on_terminal =
            |line: &str| parse(["ebrec"].into_iter().chain(line.split(' ')).map(OsString::from), &terminal);
        let failure = on_terminal("report block --format svg x.parquet").unwrap_err();
        assert_eq!(failure.hint.as_deref(), Some("ebrec report block -o block.svg FILE"));
        assert!(on_terminal("report block -o x.svg x.parquet").is_ok());
        let failure = on_terminal("report --format html x.parquet").unwrap_err();
        assert_eq!(failure.message, "a page can't be written to a terminal");
        assert_eq!(failure.hint.as_deref(), Some("ebrec report summary -o summary.html FILE"));
        let failure = on_terminal("export --to pprof x.parquet").unwrap_err();
        assert_eq!(failure.hint.as_deref(), Some("-o FILE.pb.gz"));
        assert!(on_terminal("export --to perfetto -o - x.parquet").is_err());
        assert!(on_terminal("export --to pprof -o x.pb.gz x.parquet").is_ok());
        assert!(on_terminal("export --to folded x.parquet").is_ok() && run("export --to pprof x.parquet").is_ok());
        assert!(run("report block --format svg x.parquet").is_ok());
    }

    #[test]
    fn a_bare_number_is_of_seconds() {
        assert_eq!(record("record -d 30").window, Some(Duration::from_secs(30)));
        assert_eq!(record("record -d 1.5 --interval 2").interval, Some(Duration::from_secs(2)));
        assert!(run("record -d .").is_err());
        assert!(run("record -d 0").is_err());
    }

    #[test]
    fn a_command_without_dashes_is_shown_with_them() {
        let failure = run("record -d 5 make -j4").unwrap_err();
        assert_eq!(failure.message, "unexpected word 'make'");
        let hint = "to record a command, write it after '--': ebrec record -d 5 -- make -j4";
        assert_eq!(failure.hint.as_deref(), Some(hint));
    }

    #[test]
    fn a_process_id_in_place_of_a_probe_hints_at_the_filter() {
        let failure = run("record -p 1234,99").unwrap_err();
        assert_eq!(failure.message, "'1234,99' names no probe");
        assert_eq!(failure.hint.as_deref(), Some("to record these processes: ebrec record --pid 1234,99"));
    }

    #[test]
    fn an_export_without_a_format_names_the_formats() {
        let failure = run("export x.parquet").unwrap_err();
        assert_eq!(
            failure.hint.as_deref(),
            Some(
                "--to takes one of: folded, pprof, perf-script, firefox, perfetto, openmetrics, prometheus, otlp, jsonl, csv"
            )
        );
    }

    #[test]
    fn zero_is_all_in_every_command() {
        let Action::Export(plan) = run("export --to prometheus -n 0 x.parquet").unwrap().action else { panic!() };
        assert_eq!(plan.top, usize::MAX);
    }

    #[test]
    fn help_knows_the_commands() {
        let Action::Print(text) = run("help report").unwrap().action else { panic!() };
        assert!(text.contains("ebrec report [OPTIONS] [VIEW] FILE"), "{text}");
    }

    #[test]
    fn colours_and_words_follow_the_options_then_the_terminal() {
        let terminal = Terminal { stdout: true, stderr: Some(80), columns: Some(80), plain: false };
        let console = |line: &str, terminal: &Terminal| {
            parse(["ebrec"].into_iter().chain(line.split_whitespace()).map(OsString::from), terminal).unwrap().console
        };
        assert!(console("report x.parquet", &terminal).color);
        assert!(!console("report x.parquet --color never", &terminal).color);
        let plain = Terminal { plain: true, ..terminal };
        assert!(!console("report x.parquet", &plain).color);
        assert!(console("report x.parquet --color always", &plain).color);
        assert_eq!(console("-vv report x.parquet", &plain).verbosity, Verbosity::Debug);
        assert_eq!(console("report -q x.parquet", &plain).verbosity, Verbosity::Quiet);
    }
}
