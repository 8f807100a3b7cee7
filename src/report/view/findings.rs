//! View `findings`: the first part of the summary by itself, which `record --report` shows.

use anyhow::Result;

use crate::render::Document;
use crate::report::plan::ReportPlan;
use crate::report::read::health;
use crate::report::read::input::Source;
use crate::report::view::summary::waits;

pub(super) fn run(sources: &[Source], plan: &ReportPlan) -> Result<Document> {
    let mut document = Document::new("findings", "");
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        health::note(&mut document, source, &whose)?;
    }
    waits::add_findings(&mut document, sources, plan)?;
    Ok(document)
}
