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
    if plan.format == Format::Svg {
        document.subtitle = provenance(&sources.list, plan)?;
    } else if let ([source], true) = (sources.list.as_slice(), document.subtitle.is_empty() && view.name != SUMMARY) {
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

/// The pictures of a view, or without one of every view that draws, as one document: each is named after its view and what it shows.
///
/// Fails as [`report`] does.
pub fn pictures(plan: &ReportPlan) -> Result<Document> {
    // All distributions are the summary's.
    let all = VIEWS.iter().filter(|view| view.draws && view.name != SUMMARY).map(|view| view.name);
    let everything = plan.view == SUMMARY;
    let views: Vec<&str> = if everything { all.collect() } else { vec![plan.view.as_str()] };
    let mut pictures = Document::default();
    for view in views {
        let mut document = report(&ReportPlan { view: view.to_owned(), ..plan.clone() })?;
        for name in document.blocks.iter_mut().filter_map(Block::plot_name) {
            let own = name.strip_prefix(view).map(|rest| rest.trim_start_matches('.')).unwrap_or(name);
            *name = if own.is_empty() { view.to_owned() } else { format!("{view}-{own}") };
        }
        match pictures.name.is_empty() {
            true => pictures = document,
            false => {
                pictures.blocks.extend(document.blocks.into_iter().filter(|block| !matches!(block, Block::Warning(_))))
            }
        }
    }
    if everything {
        // Each picture has a heading of its own.
        pictures.title.clear();
    }
    Ok(pictures)
}

/// What a picture says of where it comes from, since it is looked at without the rest: host, time, filters and losses.
fn provenance(sources: &[Source], plan: &ReportPlan) -> Result<String> {
    let mut parts = match sources {
        [source] => {
            let mut parts = vec![source.label().to_owned(), window::describe(source)];
            parts.extend(window::scope(source).map(|scope| format!("only {scope}")));
            parts.extend(window::part(source).map(|part| format!("shown: {part}")));
            parts
        }
        _ => {
            let labels: Vec<&str> = sources.iter().take(LABELS).map(Source::label).collect();
            let more = if sources.len() > LABELS { ", …" } else { "" };
            vec![format!("{} recordings: {}{more}", sources.len(), labels.join(", "))]
        }
    };
    let pids = plan.filter.pids.iter().map(i64::to_string);
    let processes: Vec<String> = plan.filter.comms.iter().cloned().chain(pids).collect();
    if !processes.is_empty() {
        parts.push(format!("of {}", processes.join(", ")));
    }
    let mut lost = 0u64;
    for source in sources {
        lost = lost.saturating_add(health::Losses::of(source)?.total());
    }
    parts.push(if lost > 0 { format!("{} events lost", units::count(lost)) } else { "no event lost".to_owned() });
    Ok(parts.join("; "))
}

/// Recordings that a picture names.
const LABELS: usize = 3;
