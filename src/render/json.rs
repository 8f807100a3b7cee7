//! Documents as JSON.

use std::cell::RefCell;
use std::io;

use serde::Serialize;
use serde::ser::Error;
use serde::ser::SerializeMap;
use serde::ser::SerializeSeq;
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
use crate::render::LeftOut;
use crate::render::Table;
use crate::render::Timeline;
use crate::render::Value;
use crate::render::stats::PERCENTILES;
use crate::text::is_unsafe;

/// The version of the object's form: it grows when a reader of the version before would be misled, not when fields are added.
const VERSION: u32 = 1;

/// Writes a document as one JSON object.
///
/// Keys, in this order; field names are stable, numbers raw (nanoseconds, bytes), what is missing is `null`, or left out of
/// rows where the field is sparse:
///
/// ```json
/// {
///   "version": 1,
///   "view": "processes",
///   "title": "…", "subtitle": "…",
///   "warnings": ["…"], "notes": ["…"],
///   "left_out": [ { "file": "…", "reason": "…" } ],
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
/// `left_out` has the recordings that could not be read, `depth` stands in the rows of a tree only, `omitted` counts the rows that `--top` left out, a bucket is `[lo, hi)`, times are seconds since
/// the window's start, points are (time, value). A second part of the same name gets `-2`. Strings are lossless; what a terminal would act on is written `\u001b`.
///
/// The object is written as it is made: of a table that is too long for memory, row by row.
///
/// # Errors
/// `out` refuses, or rows can't be read back.
pub fn write_json(document: &Document, out: &mut dyn io::Write) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(&mut *out, Safe(PrettyFormatter::new()));
    Root(document).serialize(&mut serializer)?;
    out.write_all(b"\n")
}

/// A document as the object that it is.
struct Root<'a>(&'a Document);

impl Serialize for Root<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Root(document) = self;
        let parts = Parts::of(document);
        let mut root = serializer.serialize_map(None)?;
        root.serialize_entry("version", &VERSION)?;
        root.serialize_entry("view", &document.name)?;
        root.serialize_entry("title", &document.title)?;
        root.serialize_entry("subtitle", &document.subtitle)?;
        root.serialize_entry("warnings", &parts.warnings)?;
        root.serialize_entry("notes", &parts.notes)?;
        root.serialize_entry("left_out", &document.left_out.iter().map(left_out).collect::<Vec<Json>>())?;
        root.serialize_entry("facts", &Named(&parts.facts))?;
        root.serialize_entry("tables", &Named(&parts.tables))?;
        root.serialize_entry("omitted", &Named(&parts.omitted))?;
        root.serialize_entry("histograms", &Named(&parts.histograms))?;
        root.serialize_entry("timelines", &Named(&parts.timelines))?;
        root.serialize_entry("heatmaps", &Named(&parts.heatmaps))?;
        root.serialize_entry("bars", &Named(&parts.bars))?;
        root.end()
    }
}

fn left_out(file: &LeftOut) -> Json {
    json!({ "file": file.path.to_string_lossy(), "reason": file.reason })
}

/// The parts of a document by what they are, each under a name of its own.
#[derive(Default)]
struct Parts<'a> {
    warnings: Vec<&'a str>,
    notes: Vec<&'a str>,
    facts: Names<&'a str>,
    tables: Names<Rows<'a>>,
    omitted: Names<u64>,
    histograms: Names<HistogramJson<'a>>,
    timelines: Names<TimelineJson<'a>>,
    heatmaps: Names<HeatmapJson<'a>>,
    bars: Names<BarsJson<'a>>,
}

type Names<T> = Vec<(String, T)>;

/// Parts as an object, in their order.
struct Named<'a, T>(&'a [(String, T)]);

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, part)| (name, part)))
    }
}

impl<'a> Parts<'a> {
    fn of(document: &'a Document) -> Parts<'a> {
        let mut parts = Parts::default();
        for block in &document.blocks {
            parts.add(block);
        }
        parts
    }

    fn add(&mut self, block: &'a Block) {
        match block {
            Block::Heading(_) | Block::Flame(_) | Block::OverTime(_) => {}
            Block::Note(note) => self.notes.push(note),
            Block::Warning(warning) => self.warnings.push(warning),
            Block::Pairs(pairs) => pairs.iter().for_each(|(name, value)| put(&mut self.facts, name, value)),
            Block::Table(table) => {
                put(&mut self.tables, &table.name, Rows(table));
                if table.omitted > 0
                    && let Some((name, _)) = self.tables.last()
                {
                    self.omitted.push((name.clone(), table.omitted));
                }
            }
            Block::Histogram(plot) => put(&mut self.histograms, &plot.name, HistogramJson(plot)),
            Block::Timeline(plot) => put(&mut self.timelines, &plot.name, TimelineJson(plot)),
            Block::Heatmap(plot) => put(&mut self.heatmaps, &plot.name, HeatmapJson(plot)),
            Block::Bars(plot) => put(&mut self.bars, &plot.name, BarsJson(plot)),
        }
    }
}

/// Adds a part under its name, or under one with a number after it where that is taken.
fn put<T>(parts: &mut Names<T>, name: &str, part: T) {
    let taken = |name: &str| parts.iter().any(|(own, _)| own == name);
    let numbered = (2u64..).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name));
    parts.push((free.unwrap_or_default(), part));
}

/// The rows of a table.
struct Rows<'a>(&'a Table);

impl Serialize for Rows<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Rows(table) = self;
        let mut rows = serializer.serialize_seq(None)?;
        let mut failed = None;
        let read = table.each(|at, cells| {
            let row = Row { table, at, cells };
            rows.serialize_element(&row).map_err(|error| {
                let told = io::Error::other(error.to_string());
                failed = Some(error);
                told
            })
        });
        match (failed, read) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(S::Error::custom(error)),
            (None, Ok(())) => rows.end(),
        }
    }
}

struct Row<'a> {
    table: &'a Table,
    at: usize,
    cells: &'a [Value],
}

impl Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_map(None)?;
        for (at, field) in self.table.fields.iter().enumerate() {
            let cell = self.cells.get(at).unwrap_or(&Value::Null);
            if !(field.sparse && *cell == Value::Null) {
                row.serialize_entry(&*field.name, &Cell(cell))?;
            }
        }
        if let Some(depths) = &self.table.depths {
            row.serialize_entry("depth", &depths.get(self.at).copied().unwrap_or(0))?;
        }
        row.end()
    }
}

struct Cell<'a>(&'a Value);

impl Serialize for Cell<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bool(yes) => serializer.serialize_bool(*yes),
            Value::Int(n) | Value::Id(n) | Value::Nanos(n) | Value::Bytes(n) | Value::Time(n) => {
                serializer.serialize_i64(*n)
            }
            // Not a number and infinity become null.
            Value::Float(n) | Value::Percent(n) | Value::Rate(n) => serializer.serialize_f64(*n),
        }
    }
}

/// A plot of distributions, one at a time.
struct HistogramJson<'a>(&'a HistogramPlot);

impl Serialize for HistogramJson<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let series = self.0.series.iter().map(|(name, histogram)| distribution(name, histogram));
        plot(serializer, self.0.unit.name(), "series", series)
    }
}

fn distribution(name: &str, histogram: &Histogram) -> Json {
    let percentiles = PERCENTILES
        .iter()
        .map(|(q, name)| ((*name).to_owned(), histogram.percentile(*q).map(|value| value as u64).into()));
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
}

/// An object with a unit and a list that is written element by element.
fn plot<S: serde::Serializer, T: Serialize>(
    serializer: S,
    unit: &str,
    name: &str,
    elements: impl Iterator<Item = T>,
) -> Result<S::Ok, S::Error> {
    let mut plot = serializer.serialize_map(None)?;
    plot.serialize_entry("unit", unit)?;
    plot.serialize_entry(name, &List(RefCell::new(Some(elements))))?;
    plot.end()
}

/// A list out of an iterator, which it can be written from once.
struct List<I>(RefCell<Option<I>>);

impl<T: Serialize, I: Iterator<Item = T>> Serialize for List<I> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.take().into_iter().flatten())
    }
}

struct TimelineJson<'a>(&'a Timeline);

impl Serialize for TimelineJson<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let series = self.0.series.iter().map(|(name, points)| {
            let points: Vec<Json> = points.iter().map(|(time, value)| json!([time, value])).collect();
            json!({ "name": name, "points": points })
        });
        plot(serializer, self.0.unit.name(), "series", series)
    }
}

fn buckets(histogram: &Histogram) -> Vec<Json> {
    histogram.buckets().map(|b| json!({ "lo": b.lo, "hi": b.hi, "count": b.count })).collect()
}

struct HeatmapJson<'a>(&'a Heatmap);

impl Serialize for HeatmapJson<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.0.columns.iter().map(|column| {
            let (count, buckets) = (column.values.count(), buckets(&column.values));
            json!({ "begin": column.begin, "end": column.end, "count": count, "buckets": buckets })
        });
        plot(serializer, self.0.unit.name(), "columns", columns)
    }
}

struct BarsJson<'a>(&'a Bars);

impl Serialize for BarsJson<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.0.rows.iter().map(|(name, values)| json!({ "name": name, "values": values }));
        let rows = rows.collect::<Vec<Json>>();
        json!({ "unit": "percent", "parts": self.0.parts, "rows": rows }).serialize(serializer)
    }
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
