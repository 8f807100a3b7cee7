//! The `ebrec` program: what the command line asks for, one arm per command.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::Result;
use ebrec::cli;
use ebrec::cli::Action;
use ebrec::cli::Console;
use ebrec::cli::Invocation;
use ebrec::cli::Paper;
use ebrec::cli::Terminal;
use ebrec::exit;
use ebrec::record;
use ebrec::render::Document;
use ebrec::render::TextStyle;
use ebrec::report;
use ebrec::report::deliver::deliver;
use ebrec::report::deliver::write_stdout;

fn main() -> ExitCode {
    let outcome = match cli::parse(std::env::args_os(), &Terminal::of_this_process()) {
        Ok(invocation) => run(&invocation),
        Err(failure) => Err(failure.into()),
    };
    exit::of(outcome)
}

/// Runs one command and returns the exit status.
fn run(invocation: &Invocation) -> Result<u8> {
    let console = &invocation.console;
    match &invocation.action {
        Action::Record(plan) => return Ok(record::record(plan)?.command_status.unwrap_or(0)),
        Action::Report(plan, destination) => {
            let document = report::report(plan)?;
            deliver(&document, plan.format, style(console), destination)?;
        }
        Action::Info(file, paper) => show(&report::info(file)?, paper, console)?,
        Action::Probes(name, paper) => show(&record::probes_document(name.as_deref())?, paper, console)?,
        Action::Doctor(paper) => {
            let doctor = record::doctor_document()?;
            show(&doctor.document, paper, console)?;
            return Ok(if doctor.can_record { 0 } else { exit::FAILURE });
        }
        Action::Recover { file, force } => report::recover(file, *force)?,
        Action::Print(text) => write_stdout(text.as_bytes())?,
        Action::Help(text) => {
            eprint!("{text}");
            return Ok(exit::USAGE);
        }
        Action::Man(dir) => write_manual(dir)?,
    }
    Ok(0)
}

fn style(console: &Console) -> TextStyle {
    TextStyle { width: console.width, color: console.color }
}

fn show(document: &Document, paper: &Paper, console: &Console) -> Result<()> {
    deliver(document, paper.format, style(console), &paper.destination)
}

fn write_manual(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("can't make the directory '{}'", dir.display()))?;
    for (name, page) in cli::man_pages()? {
        let path = dir.join(name);
        std::fs::write(&path, page).with_context(|| format!("can't write '{}'", path.display()))?;
    }
    Ok(())
}
