//! Documents: what a view found, apart from the characters that show it.
//!
//! A view fills a [`Document`] with raw values (nanoseconds, bytes, counts); [`write_text`], [`write_markdown`], [`write_html`], [`write_json`], [`write_csv`] and [`svg()`] turn it into
//! characters. Strings may come from the kernel or from a stranger's file and are escaped here, for each format in its own way.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::hist::Histogram;
use crate::units::Unit;

mod cells;
mod csv;
pub mod escaped;
mod flame;
mod grid;
mod heat;
mod html;
mod json;
mod markdown;
mod over_time;
mod rest;
mod stats;
mod svg;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use csv::quoted as csv_text;
pub use csv::write_csv;
pub use html::write_html;
pub use json::write_json;
pub use markdown::write_markdown;
pub use over_time::Distribution;
pub use over_time::Divisor;
pub use over_time::Events;
pub use over_time::Figure;
pub use over_time::Fired;
pub use over_time::FlameTree;
pub use over_time::Key;
pub use over_time::Lane;
pub use over_time::OverTime;
pub use over_time::SpanRow;
pub use over_time::SpanTable;
pub use over_time::Sparse;
pub use over_time::Strip;
pub use rest::Rest;
pub use rest::RowReader;
pub use svg::svg;
pub use text::TextStyle;
pub use text::write_text;

/// A document as [`write_text`] writes it.
pub fn text(document: &Document, style: &TextStyle) -> String {
    written(|out| write_text(document, style, out))
}

/// A document as [`write_markdown`] writes it.
pub fn markdown(document: &Document) -> String {
    written(|out| write_markdown(document, out))
}

/// A document as [`write_json`] writes it.
pub fn json(document: &Document) -> String {
    written(|out| write_json(document, out))
}

/// A document as [`write_html`] writes it.
pub fn html(document: &Document) -> String {
    written(|out| write_html(document, out))
}

/// A table of a document as [`write_csv`] writes it: the named one, or the first; `None` when there is none.
pub fn csv(document: &Document, table: Option<&str>) -> Option<String> {
    let table = document.table(table)?;
    Some(written(|out| write_csv(table, out)))
}

/// What was written into memory. That does not fail, unless rows can't be read back: then it ends there.
fn written<T>(write: impl FnOnce(&mut dyn io::Write) -> T) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub enum Value {
    /// Not known or not applicable.
    #[default]
    Null,
    /// A name, path, argument list…, as it came.
    Text(String),
    /// A number of things; people see commas between thousands.
    Int(i64),
    /// A number that names something (a process, a CPU, a status): no commas, no unit.
    Id(i64),
    /// A plain number with a fraction.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A length of time in nanoseconds.
    Nanos(i64),
    /// A size in bytes.
    Bytes(i64),
    /// Hundredths; 100 is the whole.
    Percent(f64),
    /// Things per second.
    Rate(f64),
    /// A moment in nanoseconds since the window's start; people see seconds.
    Time(i64),
}

impl Value {
    /// Makes an identifier of what may be missing.
    pub fn id(id: Option<i64>) -> Value {
        id.map_or(Value::Null, Value::Id)
    }

    /// Makes a length of time of what may be missing, from nanoseconds.
    pub fn nanos(ns: Option<i64>) -> Value {
        ns.map_or(Value::Null, Value::Nanos)
    }

    /// Makes a length of time of an estimate such as a percentile, from nanoseconds, rounded.
    pub fn nanos_f64(ns: Option<f64>) -> Value {
        ns.map_or(Value::Null, |ns| Value::Nanos(ns.round() as i64))
    }

    /// Makes a cell of a raw number by its unit.
    pub fn of(unit: Unit, value: Option<f64>) -> Value {
        let Some(value) = value.filter(|v| v.is_finite()) else { return Value::Null };
        match unit {
            Unit::Nanoseconds => Value::Nanos(value.round() as i64),
            Unit::Bytes => Value::Bytes(value.round() as i64),
            Unit::Count if value.fract() == 0.0 => Value::Int(value as i64),
            Unit::Count => Value::Float(value),
            Unit::Percent => Value::Percent(value),
            Unit::PerSecond => Value::Rate(value),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(count: i64) -> Value {
        Value::Int(count)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Value {
        Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Float(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Bool(yes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Stable name in JSON and CSV, with the raw unit where there is one: `cpu_ns`, `read_bytes`.
    pub name: Cow<'static, str>,
    /// Heading for people, without a unit: the unit is chosen by the values and added.
    pub title: String,
    /// One sentence that says what the column holds; may be empty.
    pub help: String,
    /// Whether every cell shows a unit of its own, since the rows are of different things and no one unit suits them all.
    pub mixed: bool,
    /// Whether a cell holds a sentence: on a terminal it goes on in the next line and is not cut.
    pub prose: bool,
    /// Whether the cells are command lines: where they are too long, directories go before the names of programs and scripts.
    pub command: bool,
    /// Cells of a terminal below which its text is not cut; a column after it is left out before that. 0 is the usual.
    pub least: usize,
    /// Whether most rows have nothing in it: JSON leaves the field out of those.
    pub sparse: bool,
}

impl Field {
    /// Makes a column without help.
    pub fn new(name: impl Into<Cow<'static, str>>, title: impl Into<String>) -> Field {
        let (name, title) = (name.into(), title.into());
        Field { name, title, help: String::new(), mixed: false, prose: false, command: false, least: 0, sparse: false }
    }

    /// Says that most rows have nothing in it.
    pub fn sparse(mut self) -> Field {
        self.sparse = true;
        self
    }

    /// Gives every cell a unit of its own, for rows of different things.
    pub fn each_its_unit(mut self) -> Field {
        self.mixed = true;
        self
    }

    /// Says that the cells hold sentences, which are worth lines of their own.
    pub fn prose(mut self) -> Field {
        self.prose = true;
        self
    }

    /// Says that the cells are command lines.
    pub fn command(mut self) -> Field {
        self.command = true;
        self
    }

    /// Says how many cells of a terminal its text is worth, before columns after it have a place.
    pub fn at_least(mut self, cells: usize) -> Field {
        self.least = cells;
        self
    }

    /// Adds the sentence that says what the column holds.
    pub fn help(mut self, help: impl Into<String>) -> Field {
        self.help = help.into();
        self
    }
}

/// Rows of cells, one cell per field.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Table {
    /// Stable name: the table's key in JSON.
    pub name: String,
    /// Heading for people; may be empty.
    pub title: String,
    /// Columns.
    pub fields: Vec<Field>,
    /// Rows; a row that is too short ends in nulls, cells beyond the fields are not shown.
    pub rows: Vec<Vec<Value>>,
    /// Rows after those, where they are too many for memory.
    pub rest: Option<Rest>,
    /// Depth of each row in a tree, 0 for roots, when the rows are a tree in depth-first order; the first text column carries the branches.
    pub depths: Option<Vec<u16>>,
    /// Rows that `--top` left out.
    pub omitted: u64,
    /// Rows that are shown at most, of a table that is to be merged with others: each of its rows has, behind its cells, the number that it
    /// is ordered by, the largest first.
    pub part_of: Option<usize>,
}

impl Table {
    /// Makes a table without rows.
    pub fn new(name: impl Into<String>, title: impl Into<String>, fields: Vec<Field>) -> Table {
        Table { name: name.into(), title: title.into(), fields, ..Table::default() }
    }
}

/// One distribution, or several of the same unit to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramPlot {
    /// Stable name: the plot's key in JSON.
    pub name: String,
    /// Heading for people.
    pub title: String,
    /// What the values measure.
    pub unit: Unit,
    /// Named distributions; the name of a single one may be empty.
    pub series: Vec<(String, Histogram)>,
}

/// Values over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// Stable name: the plot's key in JSON.
    pub name: String,
    /// Heading for people.
    pub title: String,
    /// What the values measure.
    pub unit: Unit,
    /// Named lines of (seconds since the window's start, value), by rising time.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
}

/// Distributions over time: how often which values occurred when.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// Stable name: the plot's key in JSON.
    pub name: String,
    /// Heading for people.
    pub title: String,
    /// What the values measure.
    pub unit: Unit,
    /// The stretches of time, by rising time.
    pub columns: Vec<HeatColumn>,
}

/// What a heat map shows of one stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatColumn {
    /// Its beginning, in seconds since the window's start.
    pub begin: f64,
    /// Its end.
    pub end: f64,
    /// The values that occurred in it.
    pub values: Histogram,
}

/// Stacks by weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlamePlot {
    /// Stable name: the plot's key.
    pub name: String,
    /// Heading for people.
    pub title: String,
    /// What the weights measure.
    pub unit: Unit,
    /// The stacks.
    pub stacks: Vec<FlameStack>,
}

/// A stack of a flame graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlameStack {
    /// Names from the outermost in, separated by semicolons.
    pub folded: String,
    /// What it weighed before, where two recordings are compared.
    pub before: Option<u64>,
    /// What it weighs.
    pub weight: u64,
}

/// Bars made of parts, one below the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// Stable name: the plot's key in JSON.
    pub name: String,
    /// Heading for people.
    pub title: String,
    /// What each part of a bar is, from the left.
    pub parts: Vec<String>,
    /// The part in which nothing happens by design, and which is drawn pale.
    pub pale: Option<usize>,
    /// Named bars with the hundredths that each part has; what misses to 100 stays empty.
    pub rows: Vec<(String, Vec<f64>)>,
}

/// A part of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Starts a section.
    Heading(String),
    /// A line of explanation.
    Note(String),
    /// Something that makes the numbers less than whole.
    Warning(String),
    /// Facts by name.
    Pairs(Vec<(String, String)>),
    /// Rows and columns.
    Table(Table),
    /// Distributions.
    Histogram(HistogramPlot),
    /// Values over time.
    Timeline(Timeline),
    /// Distributions over time.
    Heatmap(Heatmap),
    /// Stacks, for pictures only: tables say the same in words.
    Flame(FlamePlot),
    /// Bars made of parts.
    Bars(Bars),
    /// A recording by intervals, for pages on which a reader selects a span of time.
    OverTime(OverTime),
}

/// What a view found.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Document {
    /// Stable name of the view.
    pub name: String,
    /// Heading for people; may be empty.
    pub title: String,
    /// One line under the heading: host, window; may be empty.
    pub subtitle: String,
    /// Contents in reading order.
    pub blocks: Vec<Block>,
    /// When the recording's trigger fired, in seconds since the window's start: pictures over time mark it.
    pub trigger: Option<f64>,
    /// Recordings that were asked for and could not be read.
    pub left_out: Vec<LeftOut>,
}

/// Recordings that could not be read and are named in words.
const LEFT_OUT_SHOWN: usize = 10;

/// A recording that was asked for and could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The file, or the directory that it would be in.
    pub path: PathBuf,
    /// Why, in one line that names the file.
    pub reason: String,
    /// Whether the command line names this very file, so that the run failed in part.
    pub by_itself: bool,
}

impl LeftOut {
    /// Says why a file that was found in a directory, by a pattern or in a list is left out.
    pub fn new(path: &Path, reason: impl Into<String>) -> LeftOut {
        LeftOut { path: path.to_path_buf(), reason: reason.into(), by_itself: false }
    }
}

impl Document {
    /// Makes a document without contents.
    pub fn new(name: impl Into<String>, title: impl Into<String>) -> Document {
        Document { name: name.into(), title: title.into(), ..Document::default() }
    }

    /// The table of a name, or the first; `None` when there is none.
    pub fn table(&self, name: Option<&str>) -> Option<&Table> {
        let mut tables = self.blocks.iter().filter_map(|b| if let Block::Table(t) = b { Some(t) } else { None });
        tables.find(|table| name.is_none_or(|name| name == table.name))
    }

    /// Adds a part at the end.
    pub fn push(&mut self, block: impl Into<Block>) {
        self.blocks.push(block.into());
    }

    /// Says which recordings could not be read, the first of them in words.
    pub fn leave_out(&mut self, files: Vec<LeftOut>) {
        let shown = files.iter().take(LEFT_OUT_SHOWN);
        self.blocks.extend(shown.map(|file| Block::Warning(format!("left out: {}", file.reason))));
        if let Some(more) = files.len().checked_sub(LEFT_OUT_SHOWN).filter(|more| *more > 0) {
            self.warning(format!("left out: {more} more recordings that can't be read"));
        }
        self.left_out.extend(files);
    }

    /// Starts a section.
    pub fn heading(&mut self, heading: impl Into<String>) {
        self.blocks.push(Block::Heading(heading.into()));
    }

    /// Adds a line of explanation.
    pub fn note(&mut self, note: impl Into<String>) {
        self.blocks.push(Block::Note(note.into()));
    }

    /// Adds a warning.
    pub fn warning(&mut self, warning: impl Into<String>) {
        self.blocks.push(Block::Warning(warning.into()));
    }
}

impl Block {
    /// The stable name of a picture; nothing for what is not a picture.
    pub fn plot_name(&mut self) -> Option<&mut String> {
        match self {
            Block::Histogram(plot) => Some(&mut plot.name),
            Block::Timeline(plot) => Some(&mut plot.name),
            Block::Heatmap(plot) => Some(&mut plot.name),
            Block::Flame(plot) => Some(&mut plot.name),
            Block::Bars(bars) => Some(&mut bars.name),
            Block::Heading(_) | Block::Note(_) | Block::Warning(_) | Block::Pairs(_) | Block::Table(_) => None,
            Block::OverTime(_) => None,
        }
    }
}

/// Each part of a document by its own type.
macro_rules! blocks {
    ($($part:ty => $block:ident),*) => {
        $(impl From<$part> for Block {
            fn from(part: $part) -> Block {
                Block::$block(part)
            }
        })*
    };
}

blocks!(Table => Table, HistogramPlot => Histogram, FlamePlot => Flame, Timeline => Timeline, Heatmap => Heatmap, Bars => Bars, OverTime => OverTime);
