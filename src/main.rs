//! The `ebrec` program: what the command line asks for, one arm per command.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use ebrec::cli;
use ebrec::cli::Action;
use ebrec::cli::Console;
use ebrec::cli::Invocation;
use ebrec::cli::OutputOptions;
use ebrec::cli::Terminal;
use ebrec::diff;
use ebrec::dispositions;
use ebrec::exit;
use ebrec::export;
use ebrec::failure::Failure;
use ebrec::output::stdout;
use ebrec::record;
use ebrec::record::plan::Verbosity;
use ebrec::recording;
use ebrec::recording::Existing;
use ebrec::recording::RecoverError;
use ebrec::recording::WriteError;
use ebrec::render;
use ebrec::render::Block;
use ebrec::render::Document;
use ebrec::render::LeftOut;
use ebrec::render::TextStyle;
use ebrec::report;
use ebrec::report::deliver::deliver;
use ebrec::report::plan::Destination;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::share;
use ebrec::spinner;
use ebrec::spinner::SoFar;
use ebrec::steps::Steps;
use ebrec::text;
use ebrec::units;

fn main() -> ExitCode {
    #[cfg(all(feature = "record", target_os = "linux"))]
    if let Some(arguments) = launch_arguments() {
        return exit::of(record::child::launch(&arguments));
    }
    dispositions::make_file_size_limit_an_error();
    match cli::completions::answer(std::env::args_os()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return exit::of(Err(error.into())),
    }
    let outcome = match cli::parse(std::env::args_os(), &Terminal::of_this_process()) {
        Ok(invocation) => run(&invocation),
        Err(failure) => Err(failure.into()),
    };
    exit::of(outcome)
}

/// What follows the hidden subcommand with which ebrec starts the command that it records.
#[cfg(all(feature = "record", target_os = "linux"))]
fn launch_arguments() -> Option<Vec<std::ffi::OsString>> {
    let mut words = std::env::args_os().skip(1);
    (words.next()? == record::child::LAUNCH).then(|| words.collect())
}

/// Runs one command and returns the exit status.
fn run(invocation: &Invocation) -> Result<u8> {
    let console = &invocation.console;
    match &invocation.action {
        Action::Record(plan) => {
            let outcome = record::record(plan, command_line(), exit::at_once)?;
            if plan.report {
                print_findings(outcome.file, !plan.command.is_empty(), console)?;
            }
            return Ok(outcome.command_status.unwrap_or(0));
        }
        Action::Report(plan, destination) => {
            let draws = destination.svg_dir.is_some();
            let steps = Steps::default();
            let work = || match draws {
                true => report::pictures(plan, &steps),
                false => report::report_in_steps(plan, &steps),
            };
            let what = if plan.files_from.is_some() { "reading recordings".to_owned() } else { reading(&plan.files) };
            let document = while_reading(&what, &|| steps.so_far(), console, work)?;
            hand_out(&document, plan.format, destination, console)?;
            if document.left_out.iter().any(|file| file.by_itself) {
                return Ok(exit::FAILURE);
            }
        }
        Action::Diff(plan, destination) => {
            let sides = [plan.before.clone(), plan.after.clone()];
            let compared = while_reading(&reading(&sides), &|| None, console, || diff::diff(plan))?;
            hand_out(&compared.document, plan.format, destination, console)?;
            if compared.failed {
                return Ok(exit::CHANGED);
            }
        }
        Action::Export(plan) => {
            let steps = Steps::default();
            let what = if plan.files_from.is_some() { "reading recordings".to_owned() } else { reading(&plan.files) };
            let done = while_reading(&what, &|| steps.so_far(), console, || export::export(plan, &steps))?;
            name_left_out(&done.left_out, console);
            if let (Some(pushed), true) = (done.pushed, console.verbosity > Verbosity::Quiet) {
                let [samples, series] = [pushed.samples, pushed.series].map(units::count);
                eprintln!("pushed {samples} samples of {series} series in {} requests", units::count(pushed.requests));
            }
            if done.left_out.iter().any(|file| file.by_itself) {
                return Ok(exit::FAILURE);
            }
        }
        Action::Share(plan) => {
            let what = reading(std::slice::from_ref(&plan.file));
            let shared = while_reading(&what, &|| None, console, || share::share(plan))?;
            if console.verbosity > Verbosity::Quiet {
                eprintln!("{}, {}", shared.path.display(), units::bytes(shared.bytes));
                shared.redaction.iter().for_each(|line| eprintln!("  {line}"));
            }
        }
        Action::ShowSensitive(plan) => {
            let what = reading(std::slice::from_ref(&plan.file));
            let document = while_reading(&what, &|| None, console, || share::show(plan))?;
            hand_out(&document, Format::Text, &Destination::default(), console)?;
        }
        Action::Info(file, output) => show(&report::info(file)?, output, console)?,
        Action::Probes(name, output) => show(&record::probes_document(name.as_deref())?, output, console)?,
        Action::Events { events, pids, output } => show(&record::events_document(events, pids)?, output, console)?,
        Action::Doctor(output) => {
            let doctor = record::doctor_document()?;
            show(&doctor.document, output, console)?;
            return Ok(if doctor.can_record { 0 } else { exit::FAILURE });
        }
        Action::Recover { file, force } => recover(file, *force, console)?,
        Action::Print(text) => stdout::write(text.as_bytes())?,
        Action::Help(text) => {
            eprint!("{text}");
            return Ok(exit::USAGE);
        }
        Action::Man(dir) => write_manual(dir)?,
    }
    Ok(0)
}

/// Prints what a recording found; to stderr where stdout is the recorded command's.
fn print_findings(file: Option<PathBuf>, to_stderr: bool, console: &Console) -> Result<()> {
    let Some(file) = file else {
        bail!("--report: the recording went into a stream and can't be read back");
    };
    let (files, width) = (vec![file], console.width);
    let plan = ReportPlan { view: report::FINDINGS.to_owned(), files, width, ..ReportPlan::default() };
    let document = while_reading(&reading(&plan.files), &|| None, console, || report::report(&plan))?;
    if !to_stderr {
        return hand_out(&document, plan.format, &Destination::default(), console);
    }
    let mut text = Vec::new();
    render::write_text(&document, &TextStyle { color: false, ..style(console) }, &mut text)?;
    std::io::stderr().write_all(&text).context("can't write to stderr")
}

/// What is being read, in words.
fn reading(files: &[PathBuf]) -> String {
    match files {
        [place] => format!("reading {}", text::sanitize(&place.display().to_string())),
        files => format!("reading {} recordings", files.len()),
    }
}

/// Does the work, with a line on a terminal if it takes long.
fn while_reading<T>(what: &str, so_far: SoFar<'_>, console: &Console, work: impl FnOnce() -> T) -> T {
    if console.verbosity == Verbosity::Quiet { work() } else { spinner::show_while(what, so_far, work) }
}

/// The command line as it was typed, for the recording.
fn command_line() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Finishes a recording and says on stderr what came of it.
fn recover(file: &Path, force: bool, console: &Console) -> Result<()> {
    let recovered = recording::recover(file, if force { Existing::Replace } else { Existing::Keep });
    let recovered = recovered.map_err(|error| match &error {
        RecoverError::Write(WriteError::Exists { .. }) => {
            Failure::from_error(&error).hint("--force replaces it").into()
        }
        _ => anyhow::Error::new(error),
    })?;
    if console.verbosity > Verbosity::Quiet {
        let (rows, size) = (units::count(recovered.rows), units::bytes(recovered.bytes));
        let dropped = match recovered.dropped_bytes {
            0 => String::new(),
            bytes => format!("; {} after the last checkpoint were lost", units::bytes(bytes)),
        };
        eprintln!("recovered '{}': {rows} rows, {size}{dropped}", recovered.path.display());
    }
    Ok(())
}

fn style(console: &Console) -> TextStyle {
    TextStyle { width: console.width, color: console.color }
}

fn show(document: &Document, output: &OutputOptions, console: &Console) -> Result<()> {
    hand_out(document, output.format, &output.destination, console)
}

/// Delivers a document; warnings go to stderr where rows or a picture have no place for them.
fn hand_out(document: &Document, format: Format, destination: &Destination, console: &Console) -> Result<()> {
    deliver(document, format, style(console), destination)?;
    if console.verbosity == Verbosity::Quiet {
        return Ok(());
    }
    let has_no_words = matches!(format, Format::Csv | Format::Svg) || destination.svg_dir.is_some();
    for block in document.blocks.iter().filter(|_| has_no_words) {
        if let Block::Warning(warning) = block {
            eprintln!("warning: {}", text::sanitize(warning));
        }
    }
    // On a terminal the document itself names them.
    let is_shown = format == Format::Text && destination.file.is_none() && stdout::is_terminal();
    if !has_no_words && !is_shown {
        name_left_out(&document.left_out, console);
    }
    Ok(())
}

/// Names the recordings that could not be read.
fn name_left_out(files: &[LeftOut], console: &Console) {
    for file in files.iter().filter(|_| console.verbosity > Verbosity::Quiet) {
        eprintln!("warning: left out: {}", text::sanitize(&file.reason));
    }
}

fn write_manual(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("can't make the directory '{}'", dir.display()))?;
    for (name, page) in cli::man_pages()? {
        let path = dir.join(name);
        std::fs::write(&path, page).with_context(|| format!("can't write '{}'", path.display()))?;
    }
    Ok(())
}
