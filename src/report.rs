//! Explains recordings: a table of views, each from rows to a document.

use anyhow::Result;

use crate::failure::Failure;
use crate::render::Block;
use crate::render::Document;
use crate::render::Table;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::files::Files;
use crate::report::read::input;
use crate::steps::Steps;

pub mod deliver;
mod explain;
mod fleet;
mod many;
mod over_time;
pub mod plan;
pub(crate) mod read;
pub(crate) mod table;
mod view;

pub use view::FINDINGS;
pub use view::SUMMARY;
pub use view::VIEWS;
pub use view::View;
pub use view::info;
pub use view::tables;

/// Opens the recordings and runs the view.
///
/// Many are read one by one, on all cores, and what is said of them is merged; a few are all open at a time. A recording that
/// can't be read is left out and named in the document, unless it is the only one.
///
/// # Errors
/// No recording can be read, the view or metric does not exist, or a picture is asked of a view that has none.
pub fn report(plan: &ReportPlan) -> Result<Document> {
    report_in_steps(plan, &Steps::default())
}

/// The same, counting recordings in steps where they are many.
///
/// # Errors
/// As [`report`].
pub fn report_in_steps(plan: &ReportPlan, steps: &Steps) -> Result<Document> {
    if let Some(page) = fleet::page(plan) {
        return fleet::report(&page, plan);
    }
    let view = view(plan)?;
    over(Files::of(&plan.files, plan.files_from.as_deref())?, view, plan, steps)
}

/// The view that is asked for.
fn view(plan: &ReportPlan) -> Result<&'static View, Failure> {
    let Some(view) = VIEWS.iter().find(|view| view.name == plan.view) else {
        return Err(Failure::usage(format!("no view '{}'", plan.view)));
    };
    if plan.format == Format::Svg && !view.draws {
        let drawing: Vec<&str> = VIEWS.iter().filter(|view| view.draws).map(|view| view.name).collect();
        let none = Failure::usage(format!("the view '{}' draws nothing", view.name));
        return Err(none.hint(format!("views that draw: {}", drawing.join(", "))));
    }
    Ok(view)
}

/// Runs a view over recordings that were found.
fn over(files: Files, view: &View, plan: &ReportPlan, steps: &Steps) -> Result<Document> {
    if files.list.len() > FEW || plan.by_host() {
        return many::report(files, view, plan, steps);
    }
    let mut sources = input::open(files, &plan.filter)?;
    if let (Some(name), [source]) = (&plan.called, sources.list.as_mut_slice()) {
        source.call(name);
    }
    let mut document = match explain::explain(&mut sources.list, view, plan) {
        Err(error) if sources.list.len() + sources.left_out.len() > 1 && !explain::is_refusal(&error) => {
            let damaged = explain::damaged(&mut sources.list, view, plan);
            if damaged.is_empty() {
                return Err(error);
            }
            sources.left_out.extend(damaged);
            if sources.list.is_empty() {
                return Err(input::none_opens(&sources.left_out).into());
            }
            explain::explain(&mut sources.list, view, plan)?
        }
        explained => explained?,
    };
    document.leave_out(sources.left_out);
    Ok(document)
}

/// The tables of a report by host, without rows: what programs may read.
///
/// # Errors
/// None: without rows no temporary file is needed.
pub fn tables_by_host() -> Result<Vec<Table>> {
    many::tables_by_host()
}

/// Recordings that are all open at a time; more are read one by one.
const FEW: usize = 8;

/// The pictures of a view, or without one of every view that draws, as one document: each is named after its view and what it shows.
///
/// # Errors
/// As [`report`].
pub fn pictures(plan: &ReportPlan, steps: &Steps) -> Result<Document> {
    if let Some(page) = fleet::page(plan) {
        return fleet::report(&page, &ReportPlan { format: Format::Svg, ..plan.clone() });
    }
    // All distributions are the summary's.
    let all = VIEWS.iter().filter(|view| view.draws && view.name != SUMMARY).map(|view| view.name);
    let everything = plan.view == SUMMARY;
    let views: Vec<&str> = if everything { all.collect() } else { vec![plan.view.as_str()] };
    let files = Files::of(&plan.files, plan.files_from.as_deref())?;
    let mut pictures = Document::default();
    for view in views {
        let plan = ReportPlan { view: view.to_owned(), ..plan.clone() };
        let mut document = over(files.clone(), self::view(&plan)?, &plan, steps)?;
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
