//! Explains recordings: a table of views, each from rows to a document.

use anyhow::Result;

use crate::failure::Failure;
use crate::render::Block;
use crate::render::Document;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::health;
use crate::report::read::input;
use crate::report::read::input::Source;
use crate::report::read::processes;
use crate::report::read::window;
use crate::units;

pub mod deliver;
mod over_time;
pub mod plan;
pub(crate) mod read;
pub(crate) mod table;
mod view;

pub use view::SUMMARY;
pub use view::VIEWS;
pub use view::View;
pub use view::info;
pub use view::tables;

/// Opens the recordings and runs the view.
///
/// Fails when a file does not open as a recording, when the view or metric does not exist, or when a picture is asked of a view that has none.
pub fn report(plan: &ReportPlan) -> Result<Document> {
    let Some(view) = VIEWS.iter().find(|view| view.name == plan.view) else {
        return Err(Failure::usage(format!("no view '{}'", plan.view)).into());
    };
    if plan.format == Format::Svg && !view.draws {
        let drawing: Vec<&str> = VIEWS.iter().filter(|view| view.draws).map(|view| view.name).collect();
        let none = Failure::usage(format!("the view '{}' draws nothing", view.name));
        return Err(none.hint(format!("views that draw: {}", drawing.join(", "))).into());
    }
    let sources = input::open(&plan.files, &plan.filter)?;
    check_window(&sources.list, plan)?;
    let mut document = (view.run)(&sources.list, plan)?;
    if let ([source], true) = (sources.list.as_slice(), document.subtitle.is_empty() && view.name != SUMMARY) {
        document.subtitle = format!("{}; {}", source.label(), window::describe(source));
        if let Some(part) = window::part(source) {
            document.subtitle.push_str(&format!("; shown: {part}"));
        }
    }
    if sources.list.len() > 1 {
        let parts = sources
            .list
            .iter()
            .filter_map(|source| Some(format!("{} shown: {}", source.label(), window::part(source)?)));
        parts.for_each(|part| document.note(part));
    }
    if !view.tells_health {
        let several = sources.list.len() > 1;
        let mut warnings = Vec::new();
        for source in &sources.list {
            let whose = if several { format!("{}: ", source.label()) } else { String::new() };
            warnings.extend(health::missing(source)?.into_iter().map(|what| Block::Warning(format!("{whose}{what}"))));
        }
        document.blocks.splice(0..0, warnings);
    }
    if plan.filter.by_process() && says_nothing(&document) && !knows_any(&sources.list, plan)? {
        document.warning("the filter matches no process of this recording");
    }
    for reason in sources.left_out {
        document.warning(format!("left out: {reason}"));
    }
    Ok(document)
}

/// A part of the window that no recording has is a mistake, and an empty report would hide it.
fn check_window(sources: &[Source], plan: &ReportPlan) -> Result<()> {
    let longest = sources.iter().map(|source| source.meta().window.actual_ns).max();
    if let (Some(from), Some(longest)) = (plan.filter.from, longest)
        && from.as_nanos() >= u128::try_from(longest).unwrap_or(0)
        && longest > 0
    {
        let from = units::duration(i64::try_from(from.as_nanos()).unwrap_or(i64::MAX));
        let after = format!("--from {from} is after the end of the window, which is {} long", units::duration(longest));
        return Err(Failure::usage(after).into());
    }
    Ok(())
}

fn says_nothing(document: &Document) -> bool {
    // Each recording has a row among hosts, whatever the filter.
    document
        .blocks
        .iter()
        .all(|block| !matches!(block, Block::Table(table) if !table.is_empty() && table.name != "hosts"))
}

fn knows_any(sources: &[Source], plan: &ReportPlan) -> Result<bool> {
    for source in sources {
        let people = processes::People::of(source)?;
        if people.iter().any(|(which, person)| plan.filter.passes_process(Some(which.pid), person.comm.as_deref())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The pictures of every view that draws, as one document: those of the summary by their own names, the others with
/// their view's in front.
///
/// Fails as [`report`] does.
pub fn pictures(plan: &ReportPlan) -> Result<Document> {
    let mut document = report(plan)?;
    // All distributions are in the summary.
    for view in VIEWS.iter().filter(|view| view.draws && ![SUMMARY, "hist"].contains(&view.name)) {
        let plan = ReportPlan { view: view.name.to_owned(), ..plan.clone() };
        for mut block in report(&plan)?.blocks {
            if let Some(name) = block.plot_name() {
                let own = name.strip_prefix(view.name).map(|rest| rest.trim_start_matches('.')).unwrap_or(name);
                *name = if own.is_empty() { view.name.to_owned() } else { format!("{}-{own}", view.name) };
                document.push(block);
            }
        }
    }
    Ok(document)
}
