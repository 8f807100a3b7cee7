//! View `summary`: whether the recording is whole, what the machine spent its time on, who did it, what was slow, what it cost.

use anyhow::Result;

use crate::render::Block;
use crate::render::Document;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::health;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::read::window;
use crate::report::table::ranking::Ranking;
use crate::report::view::distributions;
use crate::report::view::summary::facts::Facts;

mod commands;
mod facts;
mod issue;
mod memory;
mod page;
mod slow;
pub(in crate::report) mod waits;

/// Rows of each ranking, so that a quiet machine fits on a screen.
const ROWS: usize = 10;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let facts: Vec<Facts> = sources.iter().map(Facts::of).collect::<Result<_>>()?;
    if plan.format == Format::Markdown {
        return issue::issue(sources, &facts, plan);
    }
    let title = match sources {
        [source] if plan.format == Format::Html => format!("{}: {}", source.label(), window::describe(source)),
        _ => String::new(),
    };
    let mut document = Document::new("summary", title);
    let several = sources.len() > 1;
    for source in sources {
        let whose = if several { format!("{}: ", source.label()) } else { String::new() };
        health::note(&mut document, source, &whose)?;
    }
    waits::add_findings(&mut document, sources, plan)?;
    if let ([source], [facts]) = (sources, facts.as_slice()) {
        if has_heading(&document) {
            document.heading("The window");
        }
        document.push(Block::Pairs(opening(source)));
        let mut machine = facts.machine();
        machine.extend(memory::lines(source)?);
        machine.extend(crate::report::view::tcp::lines(source)?);
        machine.extend(crate::report::view::dns::lines(source)?);
        if !machine.is_empty() {
            let whole = window::scope(source).is_none();
            document.heading(if whole { "What the machine did" } else { "What the recorded processes did" });
            document.push(Block::Pairs(machine));
        }
    }
    if several || plan.format.is_for_programs() {
        let mut hosts = Ranking::new(sources, "hosts", "Hosts", facts::columns());
        for (source, facts) in sources.iter().zip(&facts) {
            hosts.row(source, &facts.host(source));
        }
        document.push(hosts.table()?);
    }
    match sources {
        [source] if plan.format == Format::Html => document.push(page::over_time(source, plan)?),
        _ => tables(&mut document, sources, plan)?,
    }
    if let ([source], [facts]) = (sources, facts.as_slice()) {
        document.heading("The recording itself");
        document.push(Block::Pairs(facts.recording(source)));
    }
    Ok(document)
}

/// Whether recordings are whole, what each comes to in a few figures, and its distributions: what hosts are compared by.
pub(in crate::report) fn hosts(sources: &[Source], _: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("summary", "");
    let mut hosts = Ranking::new(sources, "hosts", "Hosts", facts::columns());
    for source in sources {
        health::note(&mut document, source, "")?;
        hosts.row(source, &Facts::of(source)?.host(source));
    }
    document.push(hosts.table()?);
    distributions::plots(&mut document, sources)?;
    Ok(document)
}

/// Who did it, what was slow, and all distributions.
fn tables(document: &mut Document, sources: &[Source], plan: &ReportPlan) -> Result<()> {
    if plan.format == Format::Html {
        document.note("a page with a timeline is of one recording: 'ebrec report -o NAME.html FILE' for each");
    }
    rankings(document, sources, plan)?;
    let latencies = distributions::table(sources, "distributions", plan)?;
    if !latencies.is_empty() || plan.format.is_for_programs() {
        document.heading("Distributions");
        document.push(latencies);
    }
    if plan.format != Format::Text {
        distributions::plots(document, sources)?;
    }
    Ok(())
}

/// Without a ledger the facts need no heading.
fn has_heading(document: &Document) -> bool {
    document.blocks.iter().any(|block| matches!(block, Block::Heading(_)))
}

/// Where, when, and what ran.
fn opening(source: &Source) -> Vec<(String, String)> {
    let meta = source.meta();
    let mut pairs = vec![("host".to_owned(), window::machine(source)), ("window".to_owned(), window::describe(source))];
    pairs.extend(window::trigger(source).map(|trigger| ("trigger".to_owned(), trigger)));
    pairs.extend(window::scope(source).map(|scope| ("only".to_owned(), scope)));
    pairs.extend(window::part(source).map(|part| ("shown".to_owned(), part)));
    if !meta.command.is_empty() {
        pairs.push(("command".to_owned(), meta.command.join(" ")));
    }
    let probes: Vec<String> = meta
        .probes
        .iter()
        .filter(|probe| probe.state.has_run())
        .map(
            |probe| if probe.mode.is_empty() { probe.name.clone() } else { format!("{} ({})", probe.name, probe.mode) },
        )
        .collect();
    pairs.push(("probes".to_owned(), if probes.is_empty() { "none".to_owned() } else { probes.join(", ") }));
    pairs
}

fn rankings(document: &mut Document, sources: &[Source], plan: &ReportPlan) -> Result<()> {
    let most = plan.events_shown(ROWS);
    let always = plan.format.is_for_programs();
    let mut commands = Ranking::new(sources, "commands", "", commands::columns());
    let mut slow = Ranking::new(sources, "slowest", "", slow::columns()).largest_first("dur_ns").top(most);
    let (mut any_command, mut any_slow) = (false, false);
    for source in sources {
        let processes = ProcessTable::of(source)?;
        let (rows, left_out) = commands::rows(source, &processes, most)?;
        commands.left_out(left_out);
        for row in rows {
            any_command = true;
            commands.row(source, &row);
        }
        for row in slow::slowest(source, &processes, most)? {
            any_slow = true;
            slow.row(source, &row);
        }
    }
    if any_command || always {
        document.heading("Processes that matter");
        document.push(commands.table()?);
    }
    if any_slow || always {
        document.heading("Slowest");
        document.push(slow.table()?);
    }
    Ok(())
}
