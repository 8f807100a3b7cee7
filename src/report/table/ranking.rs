//! The rows of a table, bounded in memory: the first of a ranking, or all of them by way of temporary files.

use std::cmp::Ordering;
use std::cmp::Reverse;
use std::io;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::recording::Longest;
use crate::render::Field;
use crate::render::Rest;
use crate::render::Table;
use crate::render::Value;
use crate::report::read::input::Source;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::table::columns::Columns;
use crate::spill::Runs;

/// About what the rows of one table may take in memory.
const MOST_BYTES: usize = 8 << 20;
/// Rows beyond twice those that are shown, before the last of them are dropped.
const SLACK: usize = 1024;

/// A table that grows by recording, with a host column in front when there are several.
///
/// How its rows are ordered and how many are shown is said first, so that it never holds many more.
pub(crate) struct Ranking<R> {
    pile: Pile,
    columns: Columns<R>,
    with_host: bool,
    /// Whether it is to be merged with the tables of other recordings.
    is_part: bool,
    /// The column that the rows are ordered by, the largest first; without one they stay as they come.
    by: Option<usize>,
}

/// A row with the number that it is ordered by.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ranked {
    weight: i64,
    cells: Vec<Value>,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        Reverse(self.weight).cmp(&Reverse(other.weight))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.weight == other.weight
    }
}

impl Eq for Ranked {}

impl<R> Ranking<R> {
    /// Starts a table without rows, in the order in which they come, that shows all of them.
    pub(crate) fn new(sources: &[Source], name: &str, title: &str, columns: Columns<R>) -> Ranking<R> {
        let is_part = sources.iter().any(Source::is_part);
        let with_host = sources.len() > 1 || is_part;
        let host = with_host.then(|| Field::new("host", "host").help("Host of the recording."));
        let fields = columns.fields().cloned();
        let table = Table::new(name, title, host.into_iter().chain(fields).collect());
        Ranking { pile: Pile::new(table), columns, with_host, is_part, by: None }
    }

    /// Orders the rows by a number of theirs, the largest first; equal ones stay as they come.
    pub(crate) fn largest_first(mut self, name: &str) -> Ranking<R> {
        self.by = self.columns.fields().position(|field| field.name == name);
        self
    }

    /// Shows no more than the first rows.
    pub(crate) fn top(mut self, shown: usize) -> Ranking<R> {
        self.pile.most = shown;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, source: &Source, row: &R) {
        let by = self.by.and_then(|by| self.columns.cell(by, row));
        let weight = by.map_or(0, |cell| magnitude(&cell));
        if self.pile.takes(weight) {
            self.add(source, weight, row);
        }
    }

    /// Adds a row whose weight is known before the rest of it, which is made only where it may be shown.
    pub(crate) fn weighed(&mut self, source: &Source, weight: Option<i64>, row: impl FnOnce() -> R) {
        let weight = weight.unwrap_or(i64::MIN);
        if self.pile.takes(weight) {
            self.add(source, weight, &row());
        }
    }

    /// Adds the rows of a kind by how long each lasted; of those that are not shown hardly more is read than that.
    pub(crate) fn longest<'r>(
        &mut self,
        source: &Source,
        rows: Rows<'r>,
        mut row: impl FnMut(&Row<'_>) -> R,
    ) -> Result<()> {
        let longest = Longest::new(self.pile.most);
        let before = self.pile.rows;
        let found = rows.longest(longest.as_ref(), |found| self.weighed(source, found.dur(), || row(found)))?;
        self.pile.rows = before.saturating_add(found.passed);
        Ok(())
    }

    fn add(&mut self, source: &Source, weight: i64, row: &R) {
        let host = self.with_host.then(|| Value::from(source.label()));
        let behind = self.is_part.then_some(Value::Int(weight));
        self.pile.add(weight, host.into_iter().chain(self.columns.cells(row)).chain(behind).collect());
    }

    /// Counts rows that exist and were never added.
    pub(crate) fn left_out(&mut self, rows: u64) {
        self.pile.left_out(rows);
    }

    /// The table.
    pub(crate) fn table(self) -> Result<Table> {
        let part_of = self.is_part.then_some(self.pile.most);
        Ok(Table { part_of, ..self.pile.table()? })
    }
}

/// The rows of a table by their weights, the heaviest first; equal ones stay as they come.
pub(crate) struct Pile {
    table: Table,
    /// Rows that are shown.
    most: usize,
    held: Vec<Ranked>,
    held_bytes: usize,
    /// Rows that could not be held.
    runs: Runs<Ranked>,
    rows: u64,
    /// Once as many rows are held as are shown: the least of their weights.
    least: Option<i64>,
    failed: Option<io::Error>,
}

impl Pile {
    /// Starts with a table without rows, to show all that are added.
    pub(crate) fn new(table: Table) -> Pile {
        Pile {
            table,
            most: usize::MAX,
            held: Vec::new(),
            held_bytes: 0,
            runs: Runs::default(),
            rows: 0,
            least: None,
            failed: None,
        }
    }

    /// Shows no more than the first rows.
    pub(crate) fn top(mut self, shown: usize) -> Pile {
        self.most = shown;
        self
    }

    /// The table's columns.
    pub(crate) fn fields(&mut self) -> &mut Vec<Field> {
        &mut self.table.fields
    }

    /// Counts a row, and says whether it may be shown.
    pub(crate) fn takes(&mut self, weight: i64) -> bool {
        self.rows += 1;
        self.least.is_none_or(|least| weight > least) && self.failed.is_none()
    }

    /// Adds a row that [`Pile::takes`] has counted.
    pub(crate) fn add(&mut self, weight: i64, cells: Vec<Value>) {
        self.held_bytes += size_of::<Ranked>() + cells.iter().map(bytes).sum::<usize>();
        self.held.push(Ranked { weight, cells });
        if self.held.len() >= self.most.saturating_mul(2).saturating_add(SLACK) {
            self.cut();
        }
        if self.held_bytes > MOST_BYTES {
            self.spill();
        }
    }

    /// Drops the rows that are not shown.
    fn cut(&mut self) {
        self.held.sort();
        self.held.truncate(self.most);
        self.least = self.held.last().map(|last| last.weight);
        self.held_bytes =
            self.held.iter().map(|row| size_of::<Ranked>() + row.cells.iter().map(bytes).sum::<usize>()).sum();
    }

    fn spill(&mut self) {
        self.held.sort();
        let rows = std::mem::take(&mut self.held).into_iter().take(self.most);
        self.held_bytes = 0;
        if let Err(error) = self.runs.add(rows) {
            self.failed = Some(error);
        }
    }

    /// Counts rows that exist and were never added.
    pub(crate) fn left_out(&mut self, rows: u64) {
        self.table.omitted = self.table.omitted.saturating_add(rows);
    }

    /// The table.
    ///
    /// # Errors
    /// Rows had to go to a temporary file, and it can't be written.
    pub(crate) fn table(mut self) -> Result<Table> {
        let shown = u64::try_from(self.most).unwrap_or(u64::MAX).min(self.rows);
        self.left_out(self.rows - shown);
        if self.runs.is_empty() && self.failed.is_none() {
            self.held.sort();
            self.table.rows = self.held.into_iter().take(self.most).map(|row| row.cells).collect();
            return Ok(self.table);
        }
        self.spill();
        if let Some(error) = self.failed {
            return Err(error).context("can't put rows into a temporary file");
        }
        let (runs, most) = (self.runs, self.most);
        self.table.rest =
            Some(Rest::new(shown, move || Ok(Box::new(runs.merged(Vec::new())?.take(most).map(|row| Ok(row?.cells))))));
        Ok(self.table)
    }
}

/// About what a cell takes in memory.
fn bytes(value: &Value) -> usize {
    let text = if let Value::Text(text) = value { text.len() + 16 } else { 0 };
    size_of::<Value>() + text
}

/// A number to order by; what is not there comes last.
pub(crate) fn magnitude(value: &Value) -> i64 {
    match value {
        Value::Int(n) | Value::Id(n) | Value::Nanos(n) | Value::Bytes(n) | Value::Time(n) => *n,
        // Hundredths and rates are ordered to a thousandth.
        Value::Float(x) | Value::Percent(x) | Value::Rate(x) => (x * 1000.0) as i64,
        Value::Bool(yes) => i64::from(*yes),
        Value::Null | Value::Text(_) => i64::MIN,
    }
}
