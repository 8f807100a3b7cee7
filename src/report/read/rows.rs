//! The rows of one kind, column by column and one after the other.

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::recording::Cell;
use crate::recording::Chunk;
use crate::recording::Counts;
use crate::recording::Extent;
use crate::recording::Ints;
use crate::recording::IsOut;
use crate::recording::Longest;
use crate::recording::MayHold;
use crate::recording::Recording;
use crate::recording::Search;
use crate::recording::Texts;
use crate::recording::Times;

/// A process: an id is used again, so its start belongs to it, where the recording knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Which {
    /// Its id.
    pub(crate) pid: i64,
    /// When it was born, in nanoseconds of CLOCK_BOOTTIME.
    pub(crate) start_ns: Option<i64>,
}

/// The rows of one kind, and the columns of theirs that are read.
///
/// A column is named once, before the rows are gone through; each row is then asked with what came of the name.
pub(crate) struct Rows<'a> {
    recording: &'a Recording,
    kind: &'a str,
    columns: Columns<'a>,
    /// Which of them are looked at, and the places of the columns that say so.
    filters: Vec<Filter<'a>>,
    filtered_by: Vec<usize>,
    may_hold: Vec<MayHold<'a>>,
    at_least: Option<i64>,
    without: Vec<(usize, IsOut<'a>)>,
}

/// Says whether a row is looked at.
type Filter<'a> = Box<dyn Fn(&Row<'_>) -> bool + Sync + 'a>;

/// The columns that are read, and the places among them of those that were asked for.
struct Columns<'a> {
    start_ns: i64,
    names: Vec<&'a str>,
    ints: Vec<usize>,
    texts: Vec<usize>,
}

/// A numeric column of [`Rows`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct IntColumn(usize);

/// A text column of [`Rows`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextColumn(usize);

/// A column of any type of [`Rows`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellColumn(usize);

const DUR: IntColumn = IntColumn(0);
const PID: IntColumn = IntColumn(1);
const PID_START: IntColumn = IntColumn(2);
const COMM: TextColumn = TextColumn(0);

impl<'a> Rows<'a> {
    /// All rows of a kind, with the columns that every row has at hand.
    pub(crate) fn all(recording: &'a Recording, kind: &'a str) -> Rows<'a> {
        let start_ns = recording.meta().window.start_real_ns;
        let names = vec!["ts", "ts_sub_ns"];
        let mut rows = Rows {
            recording,
            kind,
            columns: Columns { start_ns, names, ints: Vec::new(), texts: Vec::new() },
            filters: Vec::new(),
            filtered_by: Vec::new(),
            may_hold: Vec::new(),
            at_least: None,
            without: Vec::new(),
        };
        // In the order of `DUR` to `COMM`.
        for name in ["dur_ns", "pid", "pid_start_ns"] {
            rows.int(name);
        }
        rows.text("comm");
        rows
    }

    /// Those of them that pass, by these columns of those that every row has at hand: they are read before all others.
    pub(crate) fn only(mut self, by: &[&'a str], passes: impl Fn(&Row<'_>) -> bool + Sync + 'a) -> Rows<'a> {
        let places: Vec<usize> = by.iter().map(|name| self.columns.place(name)).collect();
        self.filtered_by.extend(places);
        self.filters.push(Box::new(passes));
        self
    }

    /// Passes over row groups that hold none that are looked for, by what the file says of their times.
    pub(crate) fn may_hold(mut self, may_hold: impl Fn(&Extent) -> bool + Sync + 'a) -> Rows<'a> {
        self.may_hold.push(Box::new(may_hold));
        self
    }

    /// Those of them that lasted so long, in nanoseconds.
    pub(crate) fn at_least(mut self, ns: i64) -> Rows<'a> {
        self.at_least = Some(self.at_least.map_or(ns, |before| before.max(ns)));
        self
    }

    /// Those of them that have none of these texts in a column; [`Rows::longest`] counts the others.
    pub(crate) fn without(self, column: &'a str, texts: &'a [&'a str]) -> Rows<'a> {
        self.left_out(column, |text| texts.contains(&text))
    }

    /// Those of them that have one of these texts in a column, or none.
    pub(crate) fn having(self, column: &'a str, texts: &'a [&'a str]) -> Rows<'a> {
        self.left_out(column, |text| !texts.contains(&text))
    }

    /// Leaves out the rows that have such a text in a column.
    pub(crate) fn left_out(mut self, column: &'a str, is_out: impl Fn(&str) -> bool + Sync + 'a) -> Rows<'a> {
        let place = self.columns.place(column);
        self.without.push((place, Box::new(is_out)));
        self
    }

    /// Reads a numeric column.
    pub(crate) fn int(&mut self, name: &'a str) -> IntColumn {
        let place = self.columns.place(name);
        self.columns.ints.push(place);
        IntColumn(self.columns.ints.len() - 1)
    }

    /// Reads a text column.
    pub(crate) fn text(&mut self, name: &'a str) -> TextColumn {
        let place = self.columns.place(name);
        self.columns.texts.push(place);
        TextColumn(self.columns.texts.len() - 1)
    }

    /// Reads a column, whatever its type.
    pub(crate) fn cell(&mut self, name: &'a str) -> CellColumn {
        CellColumn(self.columns.place(name))
    }

    /// Calls `visit` for every row, in the file's order.
    ///
    /// # Errors
    /// The file is damaged.
    pub(crate) fn each(self, visit: impl FnMut(&Row<'_>)) -> Result<()> {
        self.longest(None, visit).map(|_| ())
    }

    /// Calls `visit` for every row that may be among the longest, in the file's order, and counts all of them.
    ///
    /// # Errors
    /// The file is damaged.
    pub(crate) fn longest(self, longest: Option<&Longest>, mut visit: impl FnMut(&Row<'_>)) -> Result<Counts> {
        let Rows { recording, kind, columns, filters, filtered_by, may_hold, at_least, without } = self;
        let passes = |chunk: &Chunk| {
            let mut flags = Vec::with_capacity(chunk.len());
            columns.rows(chunk, |row| flags.push(filters.iter().all(|filter| filter(row))));
            flags
        };
        let search = Search {
            length: columns.ints.get(DUR.0).copied().unwrap_or(usize::MAX),
            may_hold: Some(Box::new(|extent| may_hold.iter().all(|may_hold| may_hold(extent)))),
            passes: (!filters.is_empty()).then(|| (filtered_by, Box::new(passes) as _)),
            at_least,
            without,
            longest,
        };
        let mut visit = |chunk: &Chunk| columns.rows(chunk, &mut visit);
        let found = recording.search(kind, &columns.names, &search, &mut visit);
        found.with_context(|| format!("can't read the rows of kind '{kind}' in '{}'", recording.path().display()))
    }
}

impl<'a> Columns<'a> {
    /// The place of a column among those that are read; some ask for one that is at hand anyway.
    fn place(&mut self, name: &'a str) -> usize {
        self.names.iter().position(|column| *column == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        })
    }

    /// Calls `visit` for every row of a chunk.
    fn rows(&self, chunk: &Chunk, mut visit: impl FnMut(&Row<'_>)) {
        let times = chunk.times(0, 1);
        let ints: Vec<Ints<'_>> = self.ints.iter().map(|at| chunk.int(*at)).collect();
        let texts: Vec<Texts<'_>> = self.texts.iter().map(|at| chunk.text(*at)).collect();
        for at in 0..chunk.len() {
            visit(&Row { at, start_ns: self.start_ns, times, ints: &ints, texts: &texts, chunk });
        }
    }
}

/// One row while it is looked at.
pub(crate) struct Row<'a> {
    at: usize,
    start_ns: i64,
    times: Times<'a>,
    ints: &'a [Ints<'a>],
    texts: &'a [Texts<'a>],
    chunk: &'a Chunk,
}

impl<'a> Row<'a> {
    /// When it ended, in nanoseconds since the window's start.
    pub(crate) fn at(&self) -> Option<i64> {
        Some(self.times.get(self.at)?.saturating_sub(self.start_ns))
    }

    /// How long it took, in nanoseconds.
    pub(crate) fn dur(&self) -> Option<i64> {
        self.int(DUR)
    }

    /// The process.
    pub(crate) fn pid(&self) -> Option<i64> {
        self.int(PID)
    }

    /// The process, told from others that had its id before or after.
    pub(crate) fn which(&self) -> Option<Which> {
        Some(Which { pid: self.pid()?, start_ns: self.int(PID_START) })
    }

    /// The command.
    pub(crate) fn comm(&self) -> Option<&'a str> {
        self.text(COMM)
    }

    /// The value of a numeric column.
    pub(crate) fn int(&self, column: IntColumn) -> Option<i64> {
        self.ints.get(column.0)?.get(self.at)
    }

    /// The same, where a negative number makes no sense and nothing counts as zero.
    pub(crate) fn natural(&self, column: IntColumn) -> u64 {
        self.int(column).and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
    }

    /// The value of a column of any type.
    pub(crate) fn cell(&self, column: CellColumn) -> Option<Cell<'a>> {
        self.chunk.cell(column.0, self.at)
    }

    /// The value of a text column.
    pub(crate) fn text(&self, column: TextColumn) -> Option<&'a str> {
        self.texts.get(column.0)?.get(self.at)
    }
}
