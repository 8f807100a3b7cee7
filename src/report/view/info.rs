//! What a recording says of itself: host, window, probes, kinds of rows, metrics, columns.

use std::path::Path;

use anyhow::Result;
use serde_json::Value as Json;
use serde_json::json;

use crate::render::Block;
use crate::render::Document;
use crate::render::Field;
use crate::render::Table;
use crate::render::Value;
use crate::report::plan::RowFilter;
use crate::report::read::health;
use crate::report::read::input::Source;
use crate::report::read::window;
use crate::report::table::cells::whole;
use crate::units;

/// Describes one recording from its metadata and its `lost` rows.
///
/// Fails when the file does not open as a recording.
pub fn info(path: &Path) -> Result<Document> {
    let source = Source::open(path, &RowFilter::default())?;
    let mut document = Document::new("info", "");
    health::tell(&mut document, &source, "")?;
    document.push(Block::Pairs(pairs(&source, path)));
    document.push(probes(&source));
    document.push(kinds(&source));
    document.push(metrics(&source));
    document.push(columns(&source));
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
        ("interval", units::duration(meta.window.interval_ns)),
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
    for line in &meta.redaction {
        pairs.push(("redacted".to_owned(), line.clone()));
    }
    pairs
}

fn probes(source: &Source) -> Table {
    let fields = vec![
        Field::new("probe", "probe"),
        Field::new("state", "state"),
        Field::new("mode", "mode"),
        Field::new("events", "events"),
        Field::new("lost", "lost"),
        Field::new("cost_ns", "cost").help("Time in its BPF programs, where it was measured."),
        Field::new("hooks", "hooks").prose(),
        Field::new("settings", "settings"),
        Field::new("reason", "reason").help("Why it did not run, or not all the time.").prose(),
    ];
    let mut table = Table::new("probes", "Probes", fields);
    for probe in &source.meta().probes {
        let setting = |(key, value): (&String, &Json)| {
            format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        table.rows.push(vec![
            probe.name.as_str().into(),
            format!("{:?}", probe.state).to_lowercase().into(),
            some(&probe.mode),
            Value::Int(whole(probe.events)),
            Value::Int(whole(probe.lost)),
            if probe.cost_ns == 0 { Value::Null } else { Value::Nanos(whole(probe.cost_ns)) },
            some(&probe.hooks.join(" ")),
            some(&probe.settings.iter().map(setting).collect::<Vec<_>>().join(" ")),
            probe.reason.clone().into(),
        ]);
    }
    table
}

/// A text that may be empty.
fn some(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

fn kinds(source: &Source) -> Table {
    let fields = vec![
        Field::new("kind", "kind"),
        Field::new("rows", "rows"),
        Field::new("probe", "probe").help("The probe that writes it; empty for ebrec's own."),
        Field::new("help", "what a row is").prose(),
    ];
    let mut table = Table::new("kinds", "Rows", fields);
    for (name, rows) in source.recording().kinds() {
        let kind = source.meta().kinds.iter().find(|kind| kind.name == name);
        table.rows.push(vec![
            name.as_str().into(),
            Value::Int(whole(rows)),
            kind.and_then(|kind| kind.probe.clone()).into(),
            kind.map(|kind| kind.help.clone()).into(),
        ]);
    }
    table
}

fn metrics(source: &Source) -> Table {
    let fields = vec![
        Field::new("metric", "metric"),
        Field::new("type", "type"),
        Field::new("unit", "unit"),
        Field::new("by", "by").help("Columns that break it down.").prose(),
        Field::new("events", "events").help("The kind of rows with its single events."),
        Field::new("help", "what it means").prose(),
    ];
    let mut table = Table::new("metrics", "Metrics", fields);
    for metric in &source.meta().metrics {
        table.rows.push(vec![
            metric.name.as_str().into(),
            metric.kind.as_str().into(),
            metric.unit.as_str().into(),
            metric.by.join(" ").into(),
            metric.events.clone().into(),
            some(&metric.help),
        ]);
    }
    table
}

fn columns(source: &Source) -> Table {
    let fields =
        vec![Field::new("column", "column"), Field::new("unit", "unit"), Field::new("help", "what it holds").prose()];
    let mut table = Table::new("columns", "Columns", fields);
    for column in &source.meta().columns {
        table.rows.push(vec![column.name.as_str().into(), column.unit.clone().into(), some(&column.help)]);
    }
    table
}
