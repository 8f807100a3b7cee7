//! One view of recordings that are open: what it says of them, and what every view says besides.

use anyhow::Result;

use crate::failure::Blame;
use crate::failure::Failure;
use crate::render::Block;
use crate::render::Document;
use crate::render::LeftOut;
use crate::report::plan::Format;
use crate::report::plan::ReportPlan;
use crate::report::read::folding::RowPer;
use crate::report::read::health;
use crate::report::read::input::Source;
use crate::report::read::processes;
use crate::report::read::window;
use crate::report::view::SUMMARY;
use crate::report::view::View;
use crate::units;

/// What a document warns of where the filters leave nothing.
pub(super) const NO_MATCH: &str = "the filter matches no process of this recording";

/// Runs the view over recordings.
///
/// # Errors
/// A recording is damaged, or has nothing of what is asked for.
pub(super) fn explain(sources: &mut [Source], view: &View, plan: &ReportPlan) -> Result<Document> {
    check_window(sources, plan)?;
    let per = row_per(view, plan);
    for source in sources.iter_mut().filter(|_| per != RowPer::Process) {
        let folding = processes::ProcessTable::of(source)?.folding(per);
        source.fold(folding);
    }
    let sources = &*sources;
    let mut document = (view.run)(sources, plan)?;
    if let [source] = sources {
        document.trigger = window::fired_ns(source).map(|ns| ns as f64 / 1e9);
    }
    if plan.format == Format::Svg {
        document.subtitle = provenance(sources, plan)?;
    } else if let ([source], true) = (sources, document.subtitle.is_empty() && view.name != SUMMARY) {
        document.subtitle = format!("{}; {}", source.label(), window::describe(source));
        if let Some(part) = window::part(source) {
            document.subtitle.push_str(&format!("; shown: {part}"));
        }
    }
    if sources.len() > 1 {
        let parts =
            sources.iter().filter_map(|source| Some(format!("{} shown: {}", source.label(), window::part(source)?)));
        parts.for_each(|part| document.note(part));
    }
    if !view.tells_health {
        let several = sources.len() > 1;
        let mut warnings = Vec::new();
        for source in sources {
            let whose = if several { format!("{}: ", source.label()) } else { String::new() };
            warnings.extend(health::missing(source)?.into_iter().map(|what| Block::Warning(format!("{whose}{what}"))));
        }
        document.blocks.splice(0..0, warnings);
    }
    if plan.filter.by_process() && says_nothing(&document) && !knows_any(sources, plan)? {
        document.warning(NO_MATCH);
    }
    if per == RowPer::LongProcess && sources.iter().any(|source| !source.folding().is_none()) {
        document.note("processes that lived for less than a second share a row per command; --by pid shows each");
    }
    Ok(document)
}

/// Takes out the recordings of which the view can't be made, since their rows are damaged.
pub(super) fn damaged(sources: &mut Vec<Source>, view: &View, plan: &ReportPlan) -> Vec<LeftOut> {
    let mut damaged = Vec::new();
    for mut source in std::mem::take(sources) {
        match explain(std::slice::from_mut(&mut source), view, plan) {
            Err(error) if !is_refusal(&error) => {
                let by_itself = plan.files.iter().any(|file| file == source.recording().path());
                damaged.push(LeftOut { by_itself, ..source.left_out(&error) });
            }
            _ => sources.push(source),
        }
    }
    damaged
}

/// Whether an error says that the command line asks for what is not there, and not that a recording is damaged.
pub(super) fn is_refusal(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.blame == Blame::Usage)
}

/// What has a row of its own in the view's tables of processes.
fn row_per(view: &View, plan: &ReportPlan) -> RowPer {
    match plan.by.first().map(String::as_str) {
        _ if !view.by_process || plan.tree => RowPer::Process,
        Some("comm") => RowPer::Command,
        None if !plan.format.is_for_programs() => RowPer::LongProcess,
        _ => RowPer::Process,
    }
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
        let table = processes::ProcessTable::of(source)?;
        if table.iter().any(|(which, info)| plan.filter.passes_process(Some(which.pid), info.comm.as_deref())) {
            return Ok(true);
        }
    }
    Ok(false)
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
