//! Rows of one kind, column by column, on their way from the drain thread to the writer thread.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::BooleanArray;
use arrow::array::Float64Array;
use arrow::array::Int32Array;
use arrow::array::ListArray;
use arrow::buffer::NullBuffer;
use arrow::buffer::OffsetBuffer;
use arrow::buffer::ScalarBuffer;

use crate::recording::ColumnId;
use crate::recording::intern::Interner;
use crate::recording::limits;
use crate::recording::limits::BATCH_TEXT_BYTES;
use crate::recording::limits::CUT;
use crate::recording::limits::LIST_VALUES;
use crate::recording::limits::TEXT_BYTES;
use crate::recording::schema::list_item;

/// Rows of one kind, handed from the thread that gathers them to the one that writes them.
#[derive(Debug, Default)]
pub struct Batch {
    kind: &'static str,
    rows: usize,
    columns: Vec<(ColumnId, Cells)>,
}

impl Batch {
    pub(crate) fn new(kind: &'static str, rows: usize, columns: Vec<(ColumnId, Cells)>) -> Batch {
        Batch { kind, rows, columns }
    }

    /// The kind of all rows in it.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how much memory its values take, in bytes.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(|(_, cells)| cells.bytes()).sum()
    }

    /// Length of the different texts of all columns.
    pub(crate) fn text_bytes(&self) -> usize {
        self.columns
            .iter()
            .map(|(_, cells)| if let Cells::Text(cells) = cells { cells.strings.bytes() } else { 0 })
            .sum()
    }

    /// Elements of the column with the most in its lists.
    pub(crate) fn list_values(&self) -> usize {
        let values = |cells: &Cells| if let Cells::List(cells) = cells { cells.values.len() } else { 0 };
        self.columns.iter().map(|(_, cells)| values(cells)).max().unwrap_or(0)
    }

    /// Takes out the rows from `at` on.
    pub(crate) fn split_off(&mut self, at: usize) -> Batch {
        let at = at.min(self.rows);
        let columns = self.columns.iter_mut().map(|(id, cells)| (*id, cells.split_off(at))).collect();
        let rows = self.rows - at;
        self.rows = at;
        Batch { kind: self.kind, rows, columns }
    }

    /// Leaves out the rows that the mask does not have.
    pub(crate) fn keep(&mut self, mask: &[bool]) {
        self.columns.iter_mut().for_each(|(_, cells)| cells.keep(mask));
        self.rows = mask.iter().take(self.rows).filter(|keep| **keep).count();
    }

    /// The columns that some row has set; times are in nanoseconds, under the id of `ts`.
    pub(crate) fn into_columns(self) -> Vec<(ColumnId, Cells)> {
        self.columns
    }
}

/// The values of one column so far.
///
/// They may be fewer than the rows: what is missing at the end is null, and is filled in when it must be.
#[derive(Debug)]
pub(crate) enum Cells {
    Int(Ints),
    Double(Plain<f64>),
    Bool(Plain<bool>),
    Text(Texts),
    List(Lists),
}

/// Integers of any width, and times in nanoseconds.
pub(crate) type Ints = Plain<i64>;

impl Cells {
    pub(crate) fn len(&self) -> usize {
        match self {
            Cells::Int(cells) => cells.values.len(),
            Cells::Double(cells) => cells.values.len(),
            Cells::Bool(cells) => cells.values.len(),
            Cells::Text(cells) => cells.keys.values.len(),
            Cells::List(cells) => cells.ends.values.len(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Cells::Int(cells) => cells.bytes(),
            Cells::Double(cells) => cells.bytes(),
            Cells::Bool(cells) => cells.bytes(),
            Cells::Text(cells) => cells.keys.bytes() + cells.strings.bytes(),
            Cells::List(cells) => cells.ends.bytes() + size_of_val(&cells.values[..]),
        }
    }

    /// Fills up with nulls.
    pub(crate) fn pad(&mut self, len: usize) {
        match self {
            Cells::Int(cells) => cells.pad(len),
            Cells::Double(cells) => cells.pad(len),
            Cells::Bool(cells) => cells.pad(len),
            Cells::Text(cells) => cells.keys.pad(len),
            Cells::List(cells) => cells.pad(len),
        }
    }

    fn split_off(&mut self, at: usize) -> Cells {
        match self {
            Cells::Int(cells) => Cells::Int(cells.split_off(at)),
            Cells::Double(cells) => Cells::Double(cells.split_off(at)),
            Cells::Bool(cells) => Cells::Bool(cells.split_off(at)),
            Cells::Text(cells) => Cells::Text(Texts { keys: cells.keys.split_off(at), strings: cells.strings.clone() }),
            Cells::List(cells) => Cells::List(cells.split_off(at)),
        }
    }

    fn keep(&mut self, mask: &[bool]) {
        match self {
            Cells::Int(cells) => cells.keep(mask),
            Cells::Double(cells) => cells.keep(mask),
            Cells::Bool(cells) => cells.keep(mask),
            Cells::Text(cells) => cells.keys.keep(mask),
            Cells::List(cells) => cells.keep(mask),
        }
    }

    /// Empty cells of the same type, with room for as many.
    pub(crate) fn fresh(&self, seed: u64) -> Cells {
        match self {
            Cells::Int(cells) => Cells::Int(cells.fresh()),
            Cells::Double(cells) => Cells::Double(cells.fresh()),
            Cells::Bool(cells) => Cells::Bool(cells.fresh()),
            Cells::Text(cells) => {
                Cells::Text(Texts { keys: cells.keys.fresh(), strings: Interner::new(seed, BATCH_TEXT_BYTES) })
            }
            Cells::List(cells) => Cells::List(Lists { values: Vec::new(), ends: cells.ends.fresh() }),
        }
    }

    /// The values as an array, for the types that are encoded from arrays.
    pub(crate) fn into_array(self) -> Option<ArrayRef> {
        match self {
            Cells::Double(cells) => {
                let nulls = cells.nulls();
                Some(Arc::new(Float64Array::new(cells.values.into(), nulls)))
            }
            Cells::Bool(cells) => {
                let nulls = cells.nulls();
                Some(Arc::new(BooleanArray::new(cells.values.into(), nulls)))
            }
            Cells::List(cells) => cells.into_array(),
            Cells::Int(_) | Cells::Text(_) => None,
        }
    }
}

/// Values of a fixed width; where one is missing a default stands, and `valid` says so.
#[derive(Debug, Default)]
pub(crate) struct Plain<T> {
    values: Vec<T>,
    /// One flag per value; empty while none is missing.
    valid: Vec<bool>,
}

impl<T: Copy + Default> Plain<T> {
    /// Sets the value of row `index`, the last row begun; rows that were passed over become null.
    #[inline]
    pub(crate) fn set(&mut self, index: usize, value: T) {
        if self.values.len() == index && self.valid.is_empty() {
            self.values.push(value);
        } else {
            self.set_slowly(index, value);
        }
    }

    #[inline(never)]
    fn set_slowly(&mut self, index: usize, value: T) {
        self.pad(index);
        if let Some(last) = self.values.get_mut(index) {
            *last = value;
            if let Some(valid) = self.valid.get_mut(index) {
                *valid = true;
            }
        } else {
            self.values.push(value);
            if !self.valid.is_empty() {
                self.valid.push(true);
            }
        }
    }

    /// Makes the value of row `index` null.
    fn clear(&mut self, index: usize) {
        self.values.truncate(index);
        self.valid.truncate(index);
    }

    /// The value of a row, unless it is null or has none yet.
    pub(crate) fn get(&self, index: usize) -> Option<T> {
        let value = self.values.get(index).copied()?;
        self.valid.get(index).copied().unwrap_or(true).then_some(value)
    }

    fn pad(&mut self, len: usize) {
        if self.values.len() < len {
            if self.valid.is_empty() {
                self.valid.resize(self.values.len(), true);
            }
            self.valid.resize(len, false);
            self.values.resize(len, T::default());
        }
    }

    fn split_off(&mut self, at: usize) -> Plain<T> {
        let split = |of: usize| at.min(of);
        let (values, valid) = (split(self.values.len()), split(self.valid.len()));
        Plain { values: self.values.split_off(values), valid: self.valid.split_off(valid) }
    }

    /// The values, and one flag for each; no flags while none is missing.
    pub(crate) fn into_parts(self) -> (Vec<T>, Vec<bool>) {
        (self.values, self.valid)
    }

    pub(crate) fn from_parts(values: Vec<T>, valid: Vec<bool>) -> Plain<T> {
        Plain { values, valid }
    }

    fn keep(&mut self, mask: &[bool]) {
        let of = |index: usize| mask.get(index).copied().unwrap_or(false);
        let (mut value, mut valid) = (0.., 0..);
        // Neither has 2^64 elements.
        self.values.retain(|_| value.next().is_some_and(of));
        self.valid.retain(|_| valid.next().is_some_and(of));
    }

    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.values[..]) + self.valid.len()
    }

    /// One flag per value; empty when none is missing.
    pub(crate) fn valid(&self) -> &[bool] {
        &self.valid
    }

    fn fresh(&self) -> Plain<T> {
        let room = self.values.len();
        Plain {
            values: Vec::with_capacity(room),
            valid: if self.valid.is_empty() { Vec::new() } else { Vec::with_capacity(room) },
        }
    }

    fn nulls(&self) -> Option<NullBuffer> {
        if self.valid.is_empty() { None } else { Some(NullBuffer::from(&self.valid[..])) }
    }
}

impl Ints {
    /// Nanoseconds since the Unix epoch as microseconds and the nanoseconds below them.
    pub(crate) fn times(&self) -> (Vec<i64>, Vec<i64>) {
        (
            self.values.iter().map(|ns| ns.div_euclid(1000)).collect(),
            self.values.iter().map(|ns| ns.rem_euclid(1000)).collect(),
        )
    }
}

/// Strings as numbers into a dictionary of those that occur.
#[derive(Debug)]
pub(crate) struct Texts {
    keys: Plain<i32>,
    strings: Interner,
}

impl Texts {
    pub(crate) fn new(seed: u64) -> Texts {
        Texts { keys: Plain::default(), strings: Interner::new(seed, BATCH_TEXT_BYTES) }
    }

    /// Sets the string of row `index`, cut where it is too long; of one for which there is no room, nothing else is left.
    #[inline]
    pub(crate) fn set(&mut self, index: usize, value: &[u8]) {
        match self.strings.intern(value) {
            Some(key) if value.len() <= TEXT_BYTES => self.keys.set(index, key as i32),
            _ => self.set_cut(index, value),
        }
    }

    #[cold]
    fn set_cut(&mut self, index: usize, value: &[u8]) {
        match self.strings.intern(&limits::cut(value)).or_else(|| self.strings.intern(CUT.as_bytes())) {
            Some(key) => self.keys.set(index, key as i32),
            None => self.keys.clear(index),
        }
    }

    /// Whether a batch should be handed over before its texts have no room.
    pub(crate) fn is_heavy(&self) -> bool {
        self.strings.bytes() > BATCH_TEXT_BYTES / 2
    }

    /// The string of a row, unless it is null or has none yet.
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        Some(self.strings.get(u32::try_from(self.keys.get(index)?).ok()?))
    }

    pub(crate) fn keys(&self) -> &Plain<i32> {
        &self.keys
    }

    pub(crate) fn keys_mut(&mut self) -> &mut Plain<i32> {
        &mut self.keys
    }

    pub(crate) fn strings(&self) -> &Interner {
        &self.strings
    }
}

/// Lists, one behind the other, with the end of each.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    values: Vec<i32>,
    ends: Plain<i32>,
}

impl Lists {
    /// Sets the list of row `index`, without what is beyond the bound; null if the batch has no room for it.
    pub(crate) fn set(&mut self, index: usize, value: &[i32]) {
        let value = value.get(..LIST_VALUES).unwrap_or(value);
        self.pad(index);
        self.ends.clear(index);
        let start = self.ends.values.last().copied().unwrap_or(0);
        self.values.truncate(start as usize);
        // 2^31 elements are the end of an Arrow list array's offsets.
        let Ok(end) = i32::try_from(self.values.len() + value.len()) else { return };
        self.values.extend_from_slice(value);
        self.ends.set(index, end);
    }

    fn pad(&mut self, len: usize) {
        let have = self.ends.values.len();
        let end = self.ends.values.last().copied().unwrap_or(0);
        self.ends.pad(len);
        // A list that is null ends where the one before it does.
        for missing in self.ends.values.iter_mut().skip(have) {
            *missing = end;
        }
    }

    fn split_off(&mut self, at: usize) -> Lists {
        let mut ends = self.ends.split_off(at);
        let start = self.ends.values.last().copied().unwrap_or(0);
        ends.values.iter_mut().for_each(|end| *end -= start);
        Lists { values: self.values.split_off(start as usize), ends }
    }

    fn keep(&mut self, mask: &[bool]) {
        let mut all = std::mem::take(self);
        let mut start = 0;
        let ends = std::mem::take(&mut all.ends.values);
        for (index, end) in ends.into_iter().enumerate() {
            if mask.get(index).copied().unwrap_or(false) {
                self.values.extend_from_slice(all.values.get(start..end as usize).unwrap_or_default());
                // No longer than it was.
                self.ends.values.push(self.values.len() as i32);
                self.ends.valid.extend(all.ends.valid.get(index));
            }
            start = end as usize;
        }
    }

    fn into_array(self) -> Option<ArrayRef> {
        let nulls = self.ends.nulls();
        let mut offsets = Vec::with_capacity(self.ends.values.len() + 1);
        offsets.push(0);
        offsets.extend_from_slice(&self.ends.values);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let values = Arc::new(Int32Array::new(self.values.into(), None));
        let list = ListArray::try_new(Arc::new(list_item()), offsets, values, nulls);
        list.ok().map(|array| Arc::new(array) as ArrayRef)
    }
}
