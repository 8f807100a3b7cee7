//! Rows as they are gathered, one set of column builders per kind: the drain thread's side of a recording.

use std::sync::Arc;

use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Schema;
use crate::recording::batch::Batch;
use crate::recording::batch::Cells;
use crate::recording::batch::Ints;
use crate::recording::batch::Lists;
use crate::recording::batch::Texts;
use crate::recording::column;
use crate::recording::intern::random_seed;

/// Rows that are not handed over yet.
#[derive(Debug)]
pub struct Rows {
    schema: Arc<Schema>,
    clock_offset_ns: i64,
    seed: u64,
    kinds: Vec<Kind>,
    /// The kind of the row before: rows come in runs.
    current: usize,
}

#[derive(Debug)]
struct Kind {
    name: &'static str,
    /// Rows begun since the last hand-over.
    len: usize,
    total: u64,
    cells: Vec<Option<Cells>>,
}

impl Kind {
    /// Whether its texts will soon have no room.
    fn is_heavy(&self) -> bool {
        let heavy = |cells: &Option<Cells>| matches!(cells, Some(Cells::Text(texts)) if texts.is_heavy());
        self.len > 0 && self.cells.iter().any(heavy)
    }
}

impl Rows {
    /// Starts empty; `clock_offset_ns` is what makes CLOCK_REALTIME of CLOCK_MONOTONIC, one value for the whole run.
    pub fn new(schema: Arc<Schema>, clock_offset_ns: i64) -> Rows {
        Rows { schema, clock_offset_ns, seed: random_seed(), kinds: Vec::new(), current: 0 }
    }

    /// Returns an empty set of builders for the same recording: for another thread.
    pub fn empty(&self) -> Rows {
        Rows {
            schema: Arc::clone(&self.schema),
            clock_offset_ns: self.clock_offset_ns,
            seed: self.seed,
            kinds: Vec::new(),
            current: 0,
        }
    }

    /// The time that rows have of CLOCK_MONOTONIC, in nanoseconds since the Unix epoch.
    pub fn real_ns(&self, mono_ns: u64) -> i64 {
        mono_ns.cast_signed().wrapping_add(self.clock_offset_ns)
    }

    /// Begins a row of this kind; columns that are not set stay null.
    #[inline]
    pub fn row(&mut self, kind: &'static str) -> Row<'_> {
        let same = self.kinds.get(self.current).is_some_and(|k| std::ptr::eq(k.name, kind));
        if !same {
            self.current = self.find_or_add(kind);
        }
        let offset = self.clock_offset_ns;
        let seed = self.seed;
        // `current` was just found or added.
        let kind = &mut self.kinds[self.current];
        let index = kind.len;
        kind.len += 1;
        kind.total += 1;
        Row { cells: &mut kind.cells, schema: &self.schema, index, offset, seed }
    }

    #[cold]
    fn find_or_add(&mut self, kind: &'static str) -> usize {
        if let Some(at) = self.kinds.iter().position(|k| k.name == kind) {
            return at;
        }
        let cells = self.schema.columns().iter().map(|_| None).collect();
        self.kinds.push(Kind { name: kind, len: 0, total: 0, cells });
        self.kinds.len() - 1
    }

    /// Fills in a number that follows from another of the same row and its time, as [`Rows::derive`] does a text.
    pub fn derive_int(&mut self, from: ColumnId, to: ColumnId, mut number: impl FnMut(i64, u64) -> Option<i64>) {
        self.each_underived(
            from,
            to,
            |_| Cells::Int(Ints::default()),
            |cells, index, from, at| {
                if let (Cells::Int(cells), Some(number)) = (cells, number(from, at)) {
                    cells.set(index, number);
                }
            },
        );
    }

    /// Fills in a text that follows from an integer of the same row and its time, in the rows that have the integer but no text
    /// yet. The time is that of CLOCK_MONOTONIC in nanoseconds.
    ///
    /// Only rows after the last one with a text are looked at: call it before each [`Rows::take`].
    pub fn derive<'t>(&mut self, from: ColumnId, to: ColumnId, mut text: impl FnMut(i64, u64) -> Option<&'t str>) {
        self.each_underived(
            from,
            to,
            |seed| Cells::Text(Texts::new(seed)),
            |cells, index, from, at| {
                if let (Cells::Text(cells), Some(text)) = (cells, text(from, at)) {
                    cells.set(index, text.as_bytes());
                }
            },
        );
    }

    /// Calls `set` for each row that has a number in `from` and comes after the last one with a value in `to`: with the cells of
    /// `to`, the row's place, the number and the time.
    fn each_underived(
        &mut self,
        from: ColumnId,
        to: ColumnId,
        fresh: impl Fn(u64) -> Cells,
        mut set: impl FnMut(&mut Cells, usize, i64, u64),
    ) {
        let (seed, offset) = (self.seed, self.clock_offset_ns);
        for kind in &mut self.kinds {
            let cells = kind.cells.get_disjoint_mut([from.index(), column::TS.index(), to.index()]);
            let Ok([Some(Cells::Int(from)), Some(Cells::Int(times)), derived]) = cells else { continue };
            let derived = derived.get_or_insert_with(|| fresh(seed));
            for (index, number) in from.values().iter().enumerate().skip(derived.len()) {
                if from.valid().get(index).copied().unwrap_or(true) {
                    let at =
                        times.values().get(index).map_or(0, |real_ns| real_ns.wrapping_sub(offset).cast_unsigned());
                    set(derived, index, *number, at);
                }
            }
        }
    }

    /// Shows `find` the rows of a kind from number `from` on, counted since the recording began, until it finds something. Returns the
    /// number after the last row that it was shown, and what it found. Rows that were handed over are not shown.
    pub fn search<T>(
        &self,
        kind: &str,
        from: u64,
        mut find: impl FnMut(RowSoFar<'_>) -> Option<T>,
    ) -> (u64, Option<T>) {
        let Some(kind) = self.kinds.iter().find(|known| known.name == kind) else { return (from, None) };
        let first = kind.total - kind.len as u64;
        // No more than there are rows, which have places in memory.
        let skipped = from.saturating_sub(first) as usize;
        for index in skipped..kind.len {
            if let Some(found) = find(RowSoFar { cells: &kind.cells, index, offset: self.clock_offset_ns }) {
                return (first + index as u64 + 1, Some(found));
            }
        }
        (kind.total, None)
    }

    /// Rows ever begun, per kind, in order of first use.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.kinds.iter().map(|kind| (kind.name, kind.total))
    }

    /// Whether some kind holds at least this many rows, so that [`Rows::take`] would hand something over.
    pub fn is_due(&self, max_rows: usize) -> bool {
        self.kinds.iter().any(|kind| kind.len >= max_rows || kind.is_heavy())
    }

    /// Takes out the rows of the kinds that hold at least `max_rows` or very much text, or of all kinds that hold any.
    pub fn take(&mut self, max_rows: usize, everything: bool) -> Vec<Batch> {
        let at_least = if everything { 1 } else { max_rows.max(1) };
        let due = self.kinds.iter_mut().filter(|kind| kind.len >= at_least || kind.is_heavy());
        due.map(|kind| {
            let len = std::mem::take(&mut kind.len);
            let mut columns = Vec::new();
            for (id, _) in self.schema.ids() {
                let Some(slot) = kind.cells.get_mut(id.index()) else { continue };
                let Some(cells) = slot else { continue };
                if cells.len() == 0 {
                    // Not set in any row of this batch: the column is all null, and its memory is given back.
                    *slot = None;
                    continue;
                }
                let mut full = std::mem::replace(cells, cells.fresh(self.seed));
                full.pad(len);
                columns.push((id, full));
            }
            Batch::new(kind.name, len, columns)
        })
        .collect()
    }
}

/// A row that is not handed over yet.
#[derive(Debug, Clone, Copy)]
pub struct RowSoFar<'a> {
    cells: &'a [Option<Cells>],
    index: usize,
    offset: i64,
}

impl<'a> RowSoFar<'a> {
    /// The value of a column of integers.
    pub fn int(self, id: ColumnId) -> Option<i64> {
        let Some(Some(Cells::Int(cells))) = self.cells.get(id.index()) else { return None };
        cells.get(self.index)
    }

    /// The value of a column of text.
    pub fn text(self, id: ColumnId) -> Option<&'a [u8]> {
        let Some(Some(Cells::Text(cells))) = self.cells.get(id.index()) else { return None };
        cells.get(self.index)
    }

    /// Its time, in nanoseconds of CLOCK_MONOTONIC.
    pub fn at_ns(self) -> Option<u64> {
        Some(self.int(column::TS)?.wrapping_sub(self.offset).cast_unsigned())
    }
}

/// One row while its columns are set, in any order; a column that is set twice keeps the last value.
///
/// A value that does not suit its column's type is a programming error: it panics in debug builds and is null otherwise.
#[derive(Debug)]
pub struct Row<'a> {
    cells: &'a mut Vec<Option<Cells>>,
    schema: &'a Schema,
    index: usize,
    offset: i64,
    seed: u64,
}

impl Row<'_> {
    /// Sets `ts` and `ts_sub_ns` from a CLOCK_MONOTONIC reading in nanoseconds.
    #[inline]
    pub fn at(&mut self, mono_ns: u64) -> &mut Self {
        // Nanoseconds since boot reach i64::MAX after 292 years; wrapping keeps this free of checks.
        let real_ns = (mono_ns as i64).wrapping_add(self.offset);
        self.integer(column::TS, real_ns)
    }

    /// Sets a column of integers (any width).
    #[inline]
    pub fn int(&mut self, id: ColumnId, value: i64) -> &mut Self {
        debug_assert!(id != column::TS && id != column::TS_SUB_NS, "times are set with `at`");
        self.integer(id, value)
    }

    /// Sets a column of integers (any width), or leaves it null.
    #[inline]
    pub fn maybe_int(&mut self, id: ColumnId, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.int(id, value),
            None => self,
        }
    }

    /// Sets a column of text.
    #[inline]
    pub fn text(&mut self, id: ColumnId, value: &str) -> &mut Self {
        self.raw(id, value.as_bytes())
    }

    /// Sets a column of text from a string of the kernel's, which ends at its first NUL or with the slice.
    ///
    /// Bytes that are not UTF-8 are kept: they are written as `\xNN` (see [`crate::recording::unescape`]).
    #[inline]
    pub fn bytes(&mut self, id: ColumnId, value: &[u8]) -> &mut Self {
        let value = match value.iter().position(|byte| *byte == 0) {
            // `end` is the place of a byte of `value`.
            Some(end) => &value[..end],
            None => value,
        };
        self.raw(id, value)
    }

    /// Sets a column of floating point numbers.
    pub fn double(&mut self, id: ColumnId, value: f64) -> &mut Self {
        let index = self.index;
        match self.slot(id) {
            Some(Cells::Double(cells)) => cells.set(index, value),
            _ => debug_assert!(false, "{id:?} is no column of floating point numbers"),
        }
        self
    }

    /// Sets a column of truth values.
    pub fn bool(&mut self, id: ColumnId, value: bool) -> &mut Self {
        let index = self.index;
        match self.slot(id) {
            Some(Cells::Bool(cells)) => cells.set(index, value),
            _ => debug_assert!(false, "{id:?} is no column of truth values"),
        }
        self
    }

    /// Sets a column of lists.
    pub fn list(&mut self, id: ColumnId, value: &[i32]) -> &mut Self {
        let index = self.index;
        match self.slot(id) {
            Some(Cells::List(cells)) => cells.set(index, value),
            _ => debug_assert!(false, "{id:?} is no column of lists"),
        }
        self
    }

    #[inline]
    fn integer(&mut self, id: ColumnId, value: i64) -> &mut Self {
        let index = self.index;
        if let Some(Some(Cells::Int(cells))) = self.cells.get_mut(id.index()) {
            cells.set(index, value);
        } else if let Some(Cells::Int(cells)) = self.slot(id) {
            cells.set(index, value);
        } else {
            debug_assert!(false, "{id:?} is no column of integers");
        }
        self
    }

    #[inline]
    fn raw(&mut self, id: ColumnId, value: &[u8]) -> &mut Self {
        let index = self.index;
        if let Some(Some(Cells::Text(cells))) = self.cells.get_mut(id.index()) {
            cells.set(index, value);
        } else if let Some(Cells::Text(cells)) = self.slot(id) {
            cells.set(index, value);
        } else {
            debug_assert!(false, "{id:?} is no column of text");
        }
        self
    }

    /// The cells of a column, made when it is set for the first time.
    #[cold]
    fn slot(&mut self, id: ColumnId) -> Option<&mut Cells> {
        let ty = self.schema.column(id)?.ty;
        let seed = self.seed;
        let slot = self.cells.get_mut(id.index())?;
        Some(slot.get_or_insert_with(|| match ty {
            ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 | ColumnType::Timestamp => {
                Cells::Int(Ints::default())
            }
            ColumnType::Double => Cells::Double(Default::default()),
            ColumnType::Bool => Cells::Bool(Default::default()),
            ColumnType::Text(_) => Cells::Text(Texts::new(seed)),
            ColumnType::ListInt32 => Cells::List(Lists::default()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Rows;
    use crate::recording::Schema;
    use crate::recording::column;

    fn rows() -> Rows {
        Rows::new(Arc::new(Schema::new([])), 1000)
    }

    #[test]
    fn rows_are_counted_per_kind_and_handed_over_once() {
        let mut rows = rows();
        for n in 0..10 {
            rows.row("exec").int(column::PID, n);
            if n % 2 == 0 {
                rows.row("exit");
            }
        }
        assert!(rows.is_due(10) && !rows.is_due(11));
        let batches = rows.take(10, false);
        assert_eq!(batches.iter().map(|batch| (batch.kind(), batch.rows())).collect::<Vec<_>>(), [("exec", 10)]);
        let batches = rows.take(10, true);
        assert_eq!(batches.iter().map(|batch| (batch.kind(), batch.rows())).collect::<Vec<_>>(), [("exit", 5)]);
        assert!(rows.take(1, true).is_empty());
        assert_eq!(rows.counts().collect::<Vec<_>>(), [("exec", 10), ("exit", 5)]);
    }

    #[test]
    fn kinds_are_told_by_what_they_say_not_by_where_they_stand() {
        let mut rows = rows();
        let elsewhere: &'static str = String::leak("exec".to_owned());
        rows.row("exec");
        rows.row(elsewhere);
        assert_eq!(rows.counts().collect::<Vec<_>>(), [("exec", 2)]);
    }

    #[test]
    fn a_column_that_is_set_twice_keeps_the_last_value_and_one_that_is_not_is_null() {
        let mut rows = rows();
        rows.row("exec");
        rows.row("exec")
            .int(column::PID, 1)
            .int(column::PID, 2)
            .list(column::FRAMES, &[1, 2])
            .list(column::FRAMES, &[3]);
        rows.row("exec").text(column::COMM, "a").text(column::COMM, "b");
        rows.row("exec");
        let batch = rows.take(1, true).remove(0);
        let columns = format!("{:?}", batch.into_columns());
        assert!(columns.contains("values: [0, 2, 0, 0], valid: [false, true, false, false]"), "{columns}");
        assert!(columns.contains("values: [0, 0, 1, 0], valid: [false, false, true, false]"), "{columns}");
        assert!(columns.contains("Lists { values: [3], ends: Plain { values: [0, 1, 1, 1]"), "{columns}");
    }

    #[test]
    fn a_text_is_derived_from_the_number_and_the_time_of_its_row_once() {
        let mut rows = rows();
        rows.row("exec").at(10).int(column::PID, 1);
        rows.row("exec").at(10);
        rows.row("exec").at(20).int(column::PID, 2);
        rows.derive(column::PID, column::PROCESS, |_, at_ns| (at_ns == 10).then_some("init"));
        rows.row("exec").at(30).int(column::PID, 3);
        rows.derive(column::PID, column::PROCESS, |pid, _| (pid > 1).then_some("late"));
        let columns = format!("{:?}", rows.take(1, true).remove(0).into_columns());
        // The second process was not known at first and is asked for again; the first keeps the name that it had.
        assert!(columns.contains("values: [0, 0, 1, 1], valid: [true, false, true, true]"), "{columns}");
    }

    #[test]
    fn rows_are_searched_once_and_only_while_they_are_here() {
        let mut rows = rows();
        for pid in [1, 2, 3, 4] {
            rows.row("exec")
                .at(pid)
                .int(column::PID, pid.cast_signed())
                .text(column::COMM, if pid > 2 { "b" } else { "a" });
        }
        rows.row("exec");
        let seen = |rows: &Rows, from| {
            rows.search("exec", from, |row| {
                (row.text(column::COMM) == Some(b"b")).then(|| (row.int(column::PID), row.at_ns()))
            })
        };
        assert_eq!(seen(&rows, 0), (3, Some((Some(3), Some(3)))));
        assert_eq!(seen(&rows, 3), (4, Some((Some(4), Some(4)))));
        assert_eq!(seen(&rows, 4), (5, None));
        rows.take(1, true);
        rows.row("exec").text(column::COMM, "b");
        assert_eq!(seen(&rows, 2), (6, Some((None, None))));
        assert_eq!(rows.search("exit", 0, |_| Some(())), (0, None));
    }

    #[test]
    fn a_kernel_string_ends_at_its_first_nul() {
        let mut rows = rows();
        rows.row("exec").bytes(column::COMM, b"sh\0garbage").bytes(column::NAME, b"full");
        let columns = format!("{:?}", rows.take(1, true).remove(0).into_columns());
        assert!(columns.contains(&format!("bytes: {:?}", b"sh")), "{columns}");
        assert!(columns.contains(&format!("bytes: {:?}", b"full")), "{columns}");
    }
}
