//! Columns of integers and times: by differences, by dictionary, or, where nearly all differ, as they are.

use parquet::basic::Encoding;
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use crate::recording::encode::PAGE_ROWS;
use crate::recording::encode::bits;
use crate::recording::encode::levels::Levels;
use crate::recording::encode::numbers::Numbers;
use crate::recording::encode::pages::Chunk;
use crate::recording::encode::pages::Codec;
use crate::recording::encode::pages::Compressed;
use crate::recording::encode::pages::Pages;

/// Beyond this a dictionary is larger than the cache it is looked up in, and its indices are hardly shorter than numbers.
const MAX_DICTIONARY: usize = 16 << 10;

/// The chunk of a column of integers while rows come in.
pub(crate) struct IntChunk {
    column: ColumnDescPtr,
    /// The values that the column's type has.
    least: i64,
    most: i64,
    how: How,
    levels: Levels,
    nulls: u64,
    min: i64,
    max: i64,
    pages: Pages,
    dictionary: Numbers,
    indices: Vec<u32>,
    /// Values of the page in work, when they have no dictionary.
    values: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Differences,
    Dictionary,
    Plain,
}

impl IntChunk {
    /// Begins a chunk; `bits` is the width of the column's type, `differences` says that its values grow by small steps.
    pub(crate) fn new(column: ColumnDescPtr, bits: u32, differences: bool) -> IntChunk {
        let how = if differences { How::Differences } else { How::Dictionary };
        IntChunk {
            column,
            least: i64::MIN >> (64 - bits),
            most: i64::MAX >> (64 - bits),
            how,
            levels: Levels::default(),
            nulls: 0,
            min: i64::MAX,
            max: i64::MIN,
            pages: Pages::new(if differences { Compressed::IfShorter } else { Compressed::Yes }),
            dictionary: Numbers::default(),
            indices: Vec::new(),
            values: Vec::new(),
        }
    }

    pub(crate) fn push_nulls(&mut self, rows: usize) {
        if rows > 0 {
            self.levels.push_nulls(rows);
            self.nulls += rows as u64;
        }
    }

    /// Adds rows; `valid` has a flag per row, or is empty when all have a value.
    pub(crate) fn push(&mut self, values: &[i64], valid: &[bool], codec: &mut Codec) -> Result<(), ParquetError> {
        for (at, values) in values.chunks(PAGE_ROWS).enumerate() {
            let valid = valid.get(at * PAGE_ROWS..).unwrap_or(&[]);
            if valid.is_empty() && self.fit(values) {
                self.levels.push_valid(values.len());
                self.take_in(values);
            } else {
                for (row, value) in values.iter().enumerate() {
                    // A number that the column's type does not have is left out: a wrong one would be worse.
                    if valid.get(row).copied().unwrap_or(true) && (self.least..=self.most).contains(value) {
                        self.levels.push_valid(1);
                        self.take_in(std::slice::from_ref(value));
                    } else {
                        self.push_nulls(1);
                    }
                }
            }
            if self.levels.rows() >= PAGE_ROWS {
                let (body, rows, encoding) = self.page();
                self.pages.push(body, rows, encoding, codec)?;
            }
        }
        Ok(())
    }

    fn fit(&self, values: &[i64]) -> bool {
        self.most == i64::MAX || values.iter().all(|value| (self.least..=self.most).contains(value))
    }

    fn take_in(&mut self, values: &[i64]) {
        if self.how != How::Dictionary {
            for value in values {
                self.min = self.min.min(*value);
                self.max = self.max.max(*value);
            }
            self.values.extend_from_slice(values);
            return;
        }
        self.dictionary.look_up(values, &mut self.indices);
    }

    /// The page in work: what is in front of the values, and them.
    fn page(&mut self) -> (Vec<u8>, usize, Encoding) {
        if self.how == How::Dictionary {
            self.judge_dictionary();
        }
        let rows = self.levels.rows();
        let mut body = Vec::with_capacity(rows / 2 + 64);
        self.levels.take(&mut body);
        let encoding = match self.how {
            How::Differences => {
                bits::delta(&self.values, &mut body);
                Encoding::DELTA_BINARY_PACKED
            }
            // Nothing but nulls so far.
            How::Dictionary if self.dictionary.len() == 0 => Encoding::PLAIN,
            How::Dictionary => {
                let width = bits::width_below(self.dictionary.len());
                body.push(width);
                bits::hybrid(&self.indices, width, &mut body);
                Encoding::RLE_DICTIONARY
            }
            How::Plain => {
                let levels = body.len();
                let physical = self.column.physical_type();
                // Numbers that nearly all differ are often counted up, such as ids.
                let count_up = differences_fit(&self.values, physical);
                if count_up {
                    bits::delta(&self.values, &mut body);
                }
                let width = if physical == Type::INT32 { 4 } else { 8 };
                if count_up && 2 * (body.len() - levels) < width * self.values.len() {
                    Encoding::DELTA_BINARY_PACKED
                } else {
                    body.truncate(levels);
                    plain(&self.values, physical, &mut body);
                    Encoding::PLAIN
                }
            }
        };
        self.values.clear();
        self.indices.clear();
        (body, rows, encoding)
    }

    /// Gives the dictionary up when most values are new to it, or when it has grown too large.
    fn judge_dictionary(&mut self) {
        let distinct = self.dictionary.len();
        let mostly_new = self.pages.is_empty() && distinct > 8 && 2 * distinct > self.indices.len();
        if !mostly_new && distinct <= MAX_DICTIONARY {
            return;
        }
        let known = self.dictionary.values();
        self.values.extend(self.indices.iter().filter_map(|index| known.get(*index as usize)));
        for value in known {
            self.min = self.min.min(*value);
            self.max = self.max.max(*value);
        }
        self.indices.clear();
        self.how = How::Plain;
        if self.pages.is_empty() {
            self.dictionary = Numbers::default();
        }
    }

    /// Ends the chunk.
    pub(crate) fn finish(mut self, codec: &mut Codec) -> Result<Chunk, ParquetError> {
        let last = if self.levels.rows() > 0 || self.pages.is_empty() { Some(self.page()) } else { None };
        for value in self.dictionary.values() {
            self.min = self.min.min(*value);
            self.max = self.max.max(*value);
        }
        let physical = self.column.physical_type();
        let statistics = statistics(physical, (self.min <= self.max).then_some((self.min, self.max)), self.nulls);
        let entries = self.dictionary.values();
        let dictionary = (!entries.is_empty()).then(|| {
            let mut bytes = Vec::with_capacity(entries.len() * 8);
            plain(entries, physical, &mut bytes);
            (bytes, entries.len())
        });
        self.pages.finish(self.column, dictionary, last, statistics, codec)
    }
}

/// Whether the differences between these values, and those between the differences, have the bits of the column's type.
fn differences_fit(values: &[i64], physical: Type) -> bool {
    let range = values.iter().fold((i64::MAX, i64::MIN), |(min, max), value| (min.min(*value), max.max(*value)));
    physical != Type::INT32 || range.1.saturating_sub(range.0) <= i64::from(i32::MAX)
}

fn plain(values: &[i64], physical: Type, out: &mut Vec<u8>) {
    if physical == Type::INT32 {
        // The values were held to the column's type when they came in.
        values.iter().for_each(|value| out.extend_from_slice(&(*value as i32).to_le_bytes()));
    } else {
        values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }
}

fn statistics(physical: Type, range: Option<(i64, i64)>, nulls: u64) -> Statistics {
    let (min, max) = (range.map(|range| range.0), range.map(|range| range.1));
    if physical == Type::INT32 {
        Statistics::int32(min.map(|min| min as i32), max.map(|max| max as i32), None, Some(nulls), false)
    } else {
        Statistics::int64(min, max, None, Some(nulls), false)
    }
}
