//! Rows of a recording, as tests ask for them.

use std::collections::BTreeMap;

use ebrec::recording::Recording;

/// Rows of one kind.
#[derive(Debug, Clone)]
pub struct Rows {
    rows: Vec<Row>,
}

/// One row: the columns that were asked for and are not null.
#[derive(Debug, Clone, Default)]
pub struct Row {
    cells: BTreeMap<String, Cell>,
}

#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Int(i64),
    Text(String),
}

/// The time of a row in nanoseconds since 1970, as `int("ts")` gives it.
const TS: &str = "ts";

impl Rows {
    /// Reads some columns of all rows of a kind, in the order of time; `ts` is in nanoseconds.
    pub fn read(recording: &Recording, kind: &str, columns: &[&str]) -> Rows {
        let mut asked = columns.to_vec();
        asked.extend([TS, "ts_sub_ns"]);
        let mut rows = Vec::new();
        for chunk in recording.scan(kind, &asked).unwrap() {
            let chunk = chunk.unwrap();
            let times = chunk.times(columns.len(), columns.len() + 1);
            for at in 0..chunk.len() {
                let mut cells = BTreeMap::new();
                for (index, name) in columns.iter().enumerate() {
                    let text = chunk.text(index).get(at).map(|text| Cell::Text(text.to_owned()));
                    if let Some(cell) = text.or_else(|| chunk.int(index).get(at).map(Cell::Int)) {
                        cells.insert((*name).to_owned(), cell);
                    }
                }
                cells.insert(TS.to_owned(), Cell::Int(times.get(at).unwrap()));
                rows.push(Row { cells });
            }
        }
        // In the file those of one CPU come together.
        rows.sort_by_key(|row| row.int(TS));
        Rows { rows }
    }

    /// The rows that have this number in a column.
    pub fn with(&self, column: &str, value: i64) -> Rows {
        self.keep(|row| row.maybe(column) == Some(value))
    }

    /// The rows that have this text in a column.
    pub fn named(&self, column: &str, value: &str) -> Rows {
        self.keep(|row| row.text(column) == Some(value))
    }

    /// The rows that a test wants.
    pub fn keep(&self, wanted: impl Fn(&Row) -> bool) -> Rows {
        Rows { rows: self.rows.iter().filter(|row| wanted(row)).cloned().collect() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// The sum of a column.
    pub fn sum(&self, column: &str) -> i64 {
        self.rows.iter().filter_map(|row| row.maybe(column)).sum()
    }

    /// Sums of a column by the texts in others; a text that is null is empty.
    pub fn sums(&self, column: &str, by: &[&str]) -> BTreeMap<Vec<String>, i64> {
        let mut sums = BTreeMap::new();
        for row in &self.rows {
            let key = by.iter().map(|name| row.text(name).unwrap_or_default().to_owned()).collect();
            *sums.entry(key).or_default() += row.maybe(column).unwrap_or_default();
        }
        sums
    }

    /// Likewise by one text.
    pub fn sums_by(&self, column: &str, by: &str) -> BTreeMap<String, i64> {
        self.sums(column, &[by]).into_iter().filter_map(|(mut key, sum)| Some((key.pop()?, sum))).collect()
    }

    /// The one row.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub fn one(&self) -> &Row {
        assert_eq!(self.rows.len(), 1, "{self:?}");
        &self.rows[0]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }
}

impl Row {
    /// A number.
    ///
    /// # Panics
    /// When it is null.
    pub fn int(&self, column: &str) -> i64 {
        self.maybe(column).unwrap_or_else(|| panic!("no '{column}' in {self:?}"))
    }

    /// A number, if it is not null.
    pub fn maybe(&self, column: &str) -> Option<i64> {
        match self.cells.get(column) {
            Some(Cell::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// A text, if it is not null.
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.cells.get(column) {
            Some(Cell::Text(value)) => Some(value),
            _ => None,
        }
    }
}
