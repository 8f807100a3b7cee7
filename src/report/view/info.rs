//! What a recording says of itself: host, window, probes, kinds of rows, metrics, columns.

use std::path::Path;

use anyhow::Result;
use serde_json::Value as Json;
use serde_json::json;

use crate::recording::ColumnMeta;
use crate::recording::KindMeta;
use crate::recording::MetricMeta;
use crate::recording::ProbeState;
use crate::render::Block;
use crate::render::Document;
use crate::render::Table;
use crate::report::plan::RowFilter;
use crate::report::read::health;
use crate::report::read::input::Source;
use crate::report::read::window;
use crate::report::table::cells::nanos;
use crate::report::table::cells::some;
use crate::report::table::columns::Columns;
use crate::report::table::ranking::Ranking;
use crate::units;

/// Describes one recording from its metadata and its `lost` rows.
///
/// Fails when the file does not open as a recording.
pub fn info(path: &Path) -> Result<Document> {
    let source = Source::open(path, &RowFilter::default())?;
    let mut document = Document::new("info", "");
    health::note(&mut document, &source, "")?;
    document.push(Block::Pairs(pairs(&source, path)));
    document.push(probes(&source)?);
    document.push(kinds(&source)?);
    document.push(metrics(&source)?);
    document.push(columns(&source)?);
    Ok(document)
}

fn pairs(source: &Source, path: &Path) -> Vec<(String, String)> {
    let meta = source.meta();
    let recording = source.recording();
    let rows = recording.kinds().iter().map(|(_, rows)| *rows).sum::<u64>();
    let size = units::bytes(recording.file_bytes());
    let mut pairs = vec![
        ("file", format!("{}, {size}, {} rows", path.display(), units::count(rows))),
        ("format", format!("{}{}", meta.format, if recording.is_partial() { ", unfinished" } else { "" })),
        (
            "written by",
            format!(
                "ebrec {}{}",
                meta.version,
                if meta.git.is_empty() { String::new() } else { format!(" ({})", meta.git) }
            ),
        ),
        ("host", window::machine(source)),
        ("window", window::describe(source)),
        ("interval", window::interval(source)),
    ];
    if !meta.command.is_empty() {
        pairs.push(("command", meta.command.join(" ")));
    }
    let mut pairs: Vec<(String, String)> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let is_set = |value: &Json| !matches!(value, Json::Null | Json::Bool(false)) && *value != json!([]);
    for (name, value) in meta.config.iter().filter(|(_, value)| is_set(value)) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        pairs.push((format!("option {name}"), text));
    }
    pairs.extend(window::trigger(source).map(|trigger| ("trigger".to_owned(), trigger)));
    pairs.extend(meta.budget.as_ref().map(|budget| ("budget".to_owned(), budget.to_string())));
    for line in &meta.redaction {
        pairs.push(("redacted".to_owned(), line.clone()));
    }
    pairs
}

fn probes(source: &Source) -> Result<Table> {
    let columns = Columns::<ProbeState>::new()
        .column("probe", "probe", |probe| probe.name.clone())
        .column("state", "state", |probe| format!("{:?}", probe.state).to_lowercase())
        .column("mode", "mode", |probe| some(&probe.mode))
        .column("events", "events", |probe| probe.events)
        .column("lost", "lost", |probe| probe.lost)
        .column("cost_ns", "cost", |probe| (probe.cost_ns > 0).then(|| nanos(probe.cost_ns)))
        .help("Time in its BPF programs, where it was measured.")
        .column("hooks", "hooks", |probe| some(&probe.hooks.join(" ")))
        .prose()
        .column("settings", "settings", |probe| some(&settings(probe)))
        .column("reason", "reason", |probe| probe.reason.clone())
        .help("Why it did not run, or not all the time.")
        .prose();
    table(source, "probes", "Probes", columns, &source.meta().probes)
}

/// `slow_ns=10000000 all=true`.
fn settings(probe: &ProbeState) -> String {
    let setting = |(key, value): (&String, &Json)| {
        format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    probe.settings.iter().map(setting).collect::<Vec<_>>().join(" ")
}

/// A table of one recording.
fn table<'r, R: 'r>(
    source: &Source,
    name: &str,
    title: &str,
    columns: Columns<R>,
    rows: impl IntoIterator<Item = &'r R>,
) -> Result<Table> {
    let mut table = Ranking::new(std::slice::from_ref(source), name, title, columns);
    rows.into_iter().for_each(|row| table.row(source, row));
    table.table()
}

/// A kind of rows that the recording has.
struct Kind {
    name: String,
    rows: u64,
    meta: Option<KindMeta>,
}

fn kinds(source: &Source) -> Result<Table> {
    let columns = Columns::<Kind>::new()
        .column("kind", "kind", |kind| kind.name.clone())
        .column("rows", "rows", |kind| kind.rows)
        .column("probe", "probe", |kind| kind.meta.as_ref().and_then(|kind| kind.probe.clone()))
        .help("The probe that writes it; empty for ebrec's own.")
        .column("help", "what a row is", |kind| kind.meta.as_ref().map(|kind| kind.help.clone()))
        .prose();
    let meta = |name: &str| source.meta().kinds.iter().find(|kind| kind.name == name).cloned();
    let kinds = source.recording().kinds().into_iter().map(|(name, rows)| Kind { meta: meta(&name), name, rows });
    table(source, "kinds", "Rows", columns, &kinds.collect::<Vec<Kind>>())
}

fn metrics(source: &Source) -> Result<Table> {
    let columns = Columns::<MetricMeta>::new()
        .column("metric", "metric", |metric| metric.name.clone())
        .column("type", "type", |metric| metric.kind.clone())
        .column("unit", "unit", |metric| metric.unit.clone())
        .column("by", "by", |metric| metric.by.join(" "))
        .help("Columns that break it down.")
        .prose()
        .column("events", "events", |metric| metric.events.clone())
        .help("The kind of rows with its single events.")
        .column("help", "what it means", |metric| some(&metric.help))
        .prose();
    table(source, "metrics", "Metrics", columns, &source.meta().metrics)
}

fn columns(source: &Source) -> Result<Table> {
    let columns = Columns::<ColumnMeta>::new()
        .column("column", "column", |column| column.name.clone())
        .column("unit", "unit", |column| column.unit.clone())
        .column("help", "what it holds", |column| some(&column.help))
        .prose();
    table(source, "columns", "Columns", columns, &source.meta().columns)
}
