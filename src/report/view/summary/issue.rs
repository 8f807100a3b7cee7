//! The summary as a comment of an issue: who reads one scrolls little, so it has findings, three short tables and nothing else.

use anyhow::Result;

use crate::render::Block;
use crate::render::Document;
use crate::report::plan::ReportPlan;
use crate::report::read::health;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::read::window;
use crate::report::table::ranking::Ranking;
use crate::report::view::distributions;
use crate::report::view::summary::commands;
use crate::report::view::summary::facts;
use crate::report::view::summary::facts::Facts;
use crate::report::view::summary::slow;
use crate::report::view::summary::waits;

/// Rows of each table, sentences on completeness, and findings: together at most 60 lines.
const ROWS: usize = 6;
const SENTENCES: usize = 4;
const FINDINGS: usize = 5;

/// The document; `--top` asks for more rows.
pub(super) fn issue(sources: &[Source], facts: &[Facts], plan: &ReportPlan) -> Result<Document> {
    let most = plan.events_shown(ROWS);
    let mut document = Document::new("summary", "");
    match sources {
        [source] => {
            document.title = format!("{}: {}", source.label(), window::describe(source));
            document.subtitle = window::machine(source);
            let scope = window::scope(source).map(|scope| format!("only {scope}"));
            let part = window::part(source).map(|part| format!("shown: {part}"));
            scope.into_iter().chain(part).for_each(|words| document.subtitle.push_str(&format!("; {words}")));
        }
        _ => document.title = format!("{} recordings", sources.len()),
    }
    completeness(&mut document, sources)?;
    let mut waited = Document::default();
    waits::add_findings(&mut waited, sources, plan)?;
    for block in waited.blocks {
        if let Block::Pairs(mut findings) = block {
            findings.truncate(FINDINGS);
            document.heading("Findings");
            document.push(Block::Pairs(findings));
        }
    }
    if sources.len() > 1 {
        let mut hosts = Ranking::new(sources, "hosts", "", facts::columns()).top(most);
        for (source, facts) in sources.iter().zip(facts) {
            hosts.row(source, &facts.host(source));
        }
        document.heading("Hosts");
        document.push(hosts.table()?);
    }
    let mut of_commands = Ranking::new(sources, "commands", "", commands::columns()).largest_first("cpu_ns").top(most);
    let mut slowest = Ranking::new(sources, "slowest", "", slow::columns()).largest_first("dur_ns").top(most);
    for source in sources {
        let processes = ProcessTable::of(source)?;
        let (rows, left_out) = commands::rows(source, &processes, most)?;
        of_commands.left_out(left_out);
        rows.iter().for_each(|row| of_commands.row(source, row));
        slow::slowest(source, &processes, most)?.iter().for_each(|slow| slowest.row(source, slow));
    }
    document.heading("Processes that matter");
    document.push(of_commands.table()?);
    document.heading("Slowest");
    document.push(slowest.table()?);
    if sources.len() <= 1 {
        document.heading("Distributions");
        document.push(distributions::heaviest(sources, most)?);
    }
    Ok(document)
}

/// Whether the recordings are whole; what there is no room for is counted.
fn completeness(document: &mut Document, sources: &[Source]) -> Result<()> {
    let mut all = Document::default();
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        health::note(&mut all, source, &whose)?;
    }
    let shown = if all.blocks.len() > SENTENCES { SENTENCES - 1 } else { SENTENCES };
    let left_out = all.blocks.len().saturating_sub(shown);
    document.blocks.extend(all.blocks.into_iter().take(shown));
    if left_out > 0 {
        document.note(format!("{left_out} more such lines: 'ebrec report losses' and 'ebrec info' have them"));
    }
    Ok(())
}
