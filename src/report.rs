//! Explains recordings: a table of views, each from rows to a document.

use anyhow::Result;

use crate::failure::Failure;
use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::source::Source;

mod block;
mod cost;
pub mod deliver;
mod distributions;
mod exec;
mod health;
mod hist;
mod info;
mod losses;
mod memory;
mod metrics;
mod overhead;
mod paper;
mod people;
pub mod plan;
mod processes;
mod source;
mod summary;
mod tally;
mod window;

pub use info::info;

/// A table's name, and its columns.
pub type Columns = (&'static str, fn() -> Vec<Field>);

/// One way to look at recordings.
pub struct View {
    /// Name on the command line.
    pub name: &'static str,
    /// What it shows, in one line without a final stop.
    pub summary: &'static str,
    /// Whether it has pictures.
    pub draws: bool,
    /// Its tables by the name that they have in JSON, with the columns that every recording's has.
    pub tables: &'static [Columns],
    /// Whether it says by itself, and in detail, what the recording lacks.
    tells_health: bool,
    run: fn(&[Source], &ReportPlan) -> Result<Document>,
}

/// Name of the view that is shown when none is asked for.
pub const SUMMARY: &str = "summary";

/// Every view, the summary first.
pub static VIEWS: &[&View] =
    &[&summary::VIEW, &processes::VIEW, &hist::VIEW, &exec::VIEW, &block::VIEW, &losses::VIEW, &overhead::VIEW];

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
    let sources = source::open(&plan.files, &plan.filter)?;
    let mut document = (view.run)(&sources.list, plan)?;
    if let ([source], true) = (sources.list.as_slice(), document.subtitle.is_empty() && view.name != SUMMARY) {
        document.subtitle = format!("{}; {}", source.label(), window::describe(source));
        if let Some(part) = window::part(source) {
            document.subtitle.push_str(&format!("; shown: {part}"));
        }
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
    for reason in sources.left_out {
        document.warning(format!("left out: {reason}"));
    }
    Ok(document)
}
