//! The rows of one kind, column by column and one after the other.

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::recording::Cell;
use crate::recording::Chunk;
use crate::recording::Ints;
use crate::recording::Recording;
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
    /// Which of them are looked at.
    passes: Option<Filter<'a>>,
    columns: Vec<&'a str>,
    ints: Vec<usize>,
    texts: Vec<usize>,
}

/// Says whether a row is looked at.
type Filter<'a> = Box<dyn Fn(&Row<'_>) -> bool + 'a>;

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
        let (columns, ints, texts) = (vec!["ts", "ts_sub_ns"], Vec::new(), Vec::new());
        let mut rows = Rows { recording, kind, passes: None, columns, ints, texts };
        // In the order of `DUR` to `COMM`.
        for name in ["dur_ns", "pid", "pid_start_ns"] {
            rows.int(name);
        }
        rows.text("comm");
        rows
    }

    /// Those of them that pass.
    pub(crate) fn only(self, passes: impl Fn(&Row<'_>) -> bool + 'a) -> Rows<'a> {
        Rows { passes: Some(Box::new(passes)), ..self }
    }

    /// Reads a numeric column.
    pub(crate) fn int(&mut self, name: &'a str) -> IntColumn {
        let place = self.place(name);
        self.ints.push(place);
        IntColumn(self.ints.len() - 1)
    }

    /// Reads a text column.
    pub(crate) fn text(&mut self, name: &'a str) -> TextColumn {
        let place = self.place(name);
        self.texts.push(place);
        TextColumn(self.texts.len() - 1)
    }

    /// Reads a column, whatever its type.
    pub(crate) fn cell(&mut self, name: &'a str) -> CellColumn {
        CellColumn(self.place(name))
    }

    /// The place of a column among those that are read; some ask for one that is at hand anyway.
    fn place(&mut self, name: &'a str) -> usize {
        self.columns.iter().position(|column| *column == name).unwrap_or_else(|| {
            self.columns.push(name);
            self.columns.len() - 1
        })
    }

    /// Calls `visit` for every row, in the file's order.
    ///
    /// # Errors
    /// The file is damaged.
    pub(crate) fn each(self, mut visit: impl FnMut(&Row<'_>)) -> Result<()> {
        let Rows { recording, kind, passes, columns, ints, texts } = self;
        let start_ns = recording.meta().window.start_real_ns;
        let failed = || format!("can't read the rows of kind '{kind}' in '{}'", recording.path().display());
        for chunk in recording.scan(kind, &columns).with_context(failed)? {
            let chunk: Chunk = chunk.with_context(failed)?;
            let times = chunk.times(0, 1);
            let ints: Vec<Ints<'_>> = ints.iter().map(|at| chunk.int(*at)).collect();
            let texts: Vec<Texts<'_>> = texts.iter().map(|at| chunk.text(*at)).collect();
            for at in 0..chunk.len() {
                let row = Row { at, start_ns, times, ints: &ints, texts: &texts, chunk: &chunk };
                if passes.as_ref().is_none_or(|passes| passes(&row)) {
                    visit(&row);
                }
            }
        }
        Ok(())
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
