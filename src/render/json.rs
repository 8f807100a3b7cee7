//! Documents as JSON.

use std::io;

use serde::Serialize;
use serde_json::Map;
use serde_json::Serializer;
use serde_json::Value as Json;
use serde_json::json;
use serde_json::ser::Formatter;
use serde_json::ser::PrettyFormatter;

use crate::hist::Histogram;
use crate::render::Bars;
use crate::render::Block;
use crate::render::Document;
use crate::render::Heatmap;
use crate::render::HistogramPlot;
use crate::render::Table;
use crate::render::Timeline;
use crate::render::Value;
use crate::render::stats::PERCENTILES;
use crate::text::is_unsafe;

/// Writes a document as one JSON object.
///
/// Keys, in this order; field names are stable, numbers raw (nanoseconds, bytes), what is missing is `null`:
///
/// ```json
/// {
///   "view": "processes",
///   "title": "…", "subtitle": "…",
///   "warnings": ["…"], "notes": ["…"],
///   "facts": { "host": "…" },
///   "tables": { "processes": [ { "pid": 1, "comm": "…", "cpu_ns": 12, "depth": 0 } ] },
///   "omitted": { "processes": 3 },
///   "histograms": { "run_queue": { "unit": "ns", "series": [ { "name": "", "count": 2, "sum": 3.0, "min": 1, "max": 2, "mean": 1.5,
///       "percentiles": { "p50": 1.0, "p90": 2.0, "p99": 2.0, "p99.9": 2.0, "p99.99": 2.0 }, "relative_error": 0.0,
///       "buckets": [ { "lo": 1, "hi": 2, "count": 1 } ] } ] } },
///   "timelines": { "cpu": { "unit": "percent", "series": [ { "name": "", "points": [ [0.0, 12.5] ] } ] } },
///   "heatmaps": { "block.device_time": { "unit": "ns", "columns": [ { "begin": 0.0, "end": 1.0, "count": 2,
///       "buckets": [ { "lo": 1, "hi": 2, "count": 2 } ] } ] } },
///   "bars": { "threads": { "unit": "percent", "parts": ["on CPU"], "rows": [ { "name": "make (7)", "values": [100.0] } ] } }
/// }
/// ```
///
/// `depth` stands in the rows of a tree only, `omitted` counts the rows that `--top` left out, a bucket is `[lo, hi)`, times are seconds since
/// the window's start, points are (time, value). A second part of the same name gets `-2`. Strings are lossless; what a terminal would act on is written `\u001b`.
pub fn json(document: &Document) -> String {
    let mut parts = Parts::default();
    for block in &document.blocks {
        parts.add(block);
    }
    let root = json!({
        "view": document.name,
        "title": document.title,
        "subtitle": document.subtitle,
        "warnings": parts.warnings,
        "notes": parts.notes,
        "facts": parts.facts,
        "tables": parts.tables,
        "omitted": parts.omitted,
        "histograms": parts.histograms,
        "timelines": parts.timelines,
        "heatmaps": parts.heatmaps,
        "bars": parts.bars,
    });
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, Safe(PrettyFormatter::new()));
    // A tree of JSON values written to memory cannot fail; were it to, `null` is still JSON.
    if root.serialize(&mut serializer).is_err() {
        return "null\n".to_owned();
    }
    out.push(b'\n');
    String::from_utf8(out).unwrap_or_else(|_| "null\n".to_owned())
}

#[derive(Default)]
struct Parts {
    warnings: Vec<Json>,
    notes: Vec<Json>,
    facts: Map<String, Json>,
    tables: Map<String, Json>,
    omitted: Map<String, Json>,
    histograms: Map<String, Json>,
    timelines: Map<String, Json>,
    heatmaps: Map<String, Json>,
    bars: Map<String, Json>,
}

impl Parts {
    fn add(&mut self, block: &Block) {
        match block {
            Block::Heading(_) | Block::Flame(_) => {}
            Block::Note(note) => self.notes.push(note.as_str().into()),
            Block::Warning(warning) => self.warnings.push(warning.as_str().into()),
            Block::Pairs(pairs) => {
                for (name, value) in pairs {
                    let name = free(&self.facts, name);
                    self.facts.insert(name, value.as_str().into());
                }
            }
            Block::Table(table) => {
                let name = free(&self.tables, &table.name);
                if table.omitted > 0 {
                    self.omitted.insert(name.clone(), table.omitted.into());
                }
                self.tables.insert(name, rows(table));
            }
            Block::Histogram(plot) => {
                self.histograms.insert(free(&self.histograms, &plot.name), histogram(plot));
            }
            Block::Timeline(plot) => {
                self.timelines.insert(free(&self.timelines, &plot.name), timeline(plot));
            }
            Block::Heatmap(plot) => {
                self.heatmaps.insert(free(&self.heatmaps, &plot.name), heatmap(plot));
            }
            Block::Bars(plot) => {
                self.bars.insert(free(&self.bars, &plot.name), bars(plot));
            }
        }
    }
}

/// The name, or with a number after it where it is taken.
fn free(taken: &Map<String, Json>, name: &str) -> String {
    if !taken.contains_key(name) {
        return name.to_owned();
    }
    let mut number = 2u64;
    loop {
        let numbered = format!("{name}-{number}");
        if !taken.contains_key(&numbered) {
            return numbered;
        }
        number += 1;
    }
}

fn rows(table: &Table) -> Json {
    let row = |(at, row): (usize, &Vec<Value>)| {
        let cells = table.fields.iter().enumerate();
        let mut object: Map<String, Json> =
            cells.map(|(i, f)| (f.name.to_string(), row.get(i).map_or(Json::Null, cell))).collect();
        if let Some(depths) = &table.depths {
            object.insert("depth".to_owned(), depths.get(at).copied().unwrap_or(0).into());
        }
        Json::Object(object)
    };
    table.rows.iter().enumerate().map(row).collect()
}

fn cell(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Text(text) => text.as_str().into(),
        Value::Bool(yes) => (*yes).into(),
        Value::Int(n) | Value::Id(n) | Value::Nanos(n) | Value::Bytes(n) | Value::Time(n) => (*n).into(),
        // Not a number and infinity become null.
        Value::Float(n) | Value::Percent(n) | Value::Rate(n) => (*n).into(),
    }
}

fn histogram(plot: &HistogramPlot) -> Json {
    let series = plot.series.iter().map(|(name, histogram)| {
        let percentiles = PERCENTILES.iter().map(|(q, name)| ((*name).to_owned(), histogram.percentile(*q).into()));
        json!({
            "name": name,
            "count": histogram.count(),
            "sum": histogram.sum(),
            "min": histogram.min(),
            "max": histogram.max(),
            "mean": histogram.mean(),
            "percentiles": percentiles.collect::<Map<String, Json>>(),
            "relative_error": histogram.error(),
            "buckets": buckets(histogram),
        })
    });
    json!({ "unit": plot.unit.name(), "series": series.collect::<Vec<Json>>() })
}

fn timeline(plot: &Timeline) -> Json {
    let series = plot.series.iter().map(|(name, points)| {
        let points: Vec<Json> = points.iter().map(|(time, value)| json!([time, value])).collect();
        json!({ "name": name, "points": points })
    });
    json!({ "unit": plot.unit.name(), "series": series.collect::<Vec<Json>>() })
}

fn buckets(histogram: &Histogram) -> Vec<Json> {
    histogram.buckets().map(|b| json!({ "lo": b.lo, "hi": b.hi, "count": b.count })).collect()
}

fn heatmap(plot: &Heatmap) -> Json {
    let columns = plot.columns.iter().map(|column| {
        let (count, buckets) = (column.values.count(), buckets(&column.values));
        json!({ "begin": column.begin, "end": column.end, "count": count, "buckets": buckets })
    });
    json!({ "unit": plot.unit.name(), "columns": columns.collect::<Vec<Json>>() })
}

fn bars(plot: &Bars) -> Json {
    let rows = plot.rows.iter().map(|(name, values)| json!({ "name": name, "values": values }));
    json!({ "unit": "percent", "parts": plot.parts, "rows": rows.collect::<Vec<Json>>() })
}

/// Indented JSON, with what [`is_unsafe`] names as `\u` escapes: the same strings to a parser, harmless to a terminal.
struct Safe<'a>(PrettyFormatter<'a>);

impl Formatter for Safe<'_> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            let (safe, tail) = rest.split_at(at);
            writer.write_all(safe.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = tail.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}
