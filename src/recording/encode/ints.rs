//! Columns of integers and times: by differences, by dictionary, or, where nearly all differ, as they are. The first page of a chunk decides
//! which of them is shortest.

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
use crate::recording::encode::pages::TOO_SMALL;

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
    Differences(Width),
    Dictionary(Width),
    Plain,
}

/// Bits that the numbers of a page take: as many as the largest needs, or whole bytes, which are longer and compress to less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Width {
    Bits,
    Bytes,
}

impl Width {
    fn round(self, width: u8) -> u8 {
        match self {
            Width::Bits => width,
            Width::Bytes => bits::whole_bytes(width),
        }
    }
}

/// Compressed pages have to be shorter than others by an eighth, which pays for the reader's time.
fn is_worth_it(compressed: usize, plain: usize) -> bool {
    compressed <= plain - plain / 8
}

impl IntChunk {
    /// Begins a chunk; `bits` is the width of the column's type, `differences` says that its values grow by small steps.
    pub(crate) fn new(column: ColumnDescPtr, bits: u32, differences: bool) -> IntChunk {
        let how = if differences { How::Differences(Width::Bits) } else { How::Dictionary(Width::Bits) };
        IntChunk {
            column,
            least: i64::MIN >> (64 - bits),
            most: i64::MAX >> (64 - bits),
            how,
            levels: Levels::default(),
            nulls: 0,
            min: i64::MAX,
            max: i64::MIN,
            pages: Pages::new(if differences { Compressed::No } else { Compressed::Yes }),
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
                let (body, rows, encoding) = self.page(codec)?;
                self.pages.push(body, rows, encoding, codec)?;
            }
        }
        Ok(())
    }

    fn fit(&self, values: &[i64]) -> bool {
        self.most == i64::MAX || values.iter().all(|value| (self.least..=self.most).contains(value))
    }

    fn take_in(&mut self, values: &[i64]) {
        if !matches!(self.how, How::Dictionary(_)) {
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
    fn page(&mut self, codec: &mut Codec) -> Result<(Vec<u8>, usize, Encoding), ParquetError> {
        if self.pages.is_empty() {
            self.choose(codec)?;
        } else {
            self.judge_dictionary();
        }
        let rows = self.levels.rows();
        let mut body = Vec::with_capacity(rows / 2 + 64);
        self.levels.take(&mut body);
        let encoding = match self.how {
            How::Differences(width) => {
                bits::delta(&self.values, |bits| width.round(bits), &mut body);
                Encoding::DELTA_BINARY_PACKED
            }
            // Nothing but nulls so far.
            How::Dictionary(_) if self.dictionary.len() == 0 => Encoding::PLAIN,
            How::Dictionary(width) => {
                append_indices(&self.indices, self.dictionary.len(), width, &mut body);
                Encoding::RLE_DICTIONARY
            }
            How::Plain => {
                let levels = body.len();
                let physical = self.column.physical_type();
                // Numbers that nearly all differ are often counted up, such as ids.
                let count_up = differences_fit(&self.values, physical);
                if count_up {
                    // Few of them are not compressed.
                    let width = if self.values.len() < TOO_SMALL { Width::Bits } else { Width::Bytes };
                    bits::delta(&self.values, |bits| width.round(bits), &mut body);
                }
                let bytes = if physical == Type::INT32 { 4 } else { 8 };
                if count_up && 2 * (body.len() - levels) < bytes * self.values.len() {
                    Encoding::DELTA_BINARY_PACKED
                } else {
                    body.truncate(levels);
                    plain_values(&self.values, physical, &mut body);
                    Encoding::PLAIN
                }
            }
        };
        self.values.clear();
        self.indices.clear();
        Ok((body, rows, encoding))
    }

    /// Decides by the first page how the chunk is encoded, and whether it is compressed. A short one keeps what its column begins with.
    fn choose(&mut self, codec: &mut Codec) -> Result<(), ParquetError> {
        match self.how {
            How::Differences(_) => self.choose_from_values(codec),
            How::Dictionary(_) if self.is_mostly_new() => {
                self.give_up_dictionary();
                Ok(())
            }
            How::Dictionary(_) => self.choose_from_indices(codec),
            How::Plain => Ok(()),
        }
    }

    /// Differences as they are, compressed, or in whole bytes and compressed; or a dictionary, as for lengths of the same work.
    fn choose_from_values(&mut self, codec: &mut Codec) -> Result<(), ParquetError> {
        let mut body = Vec::new();
        let mut least = usize::MAX;
        let mut best = self.how;
        let mut plain = 0;
        for width in [Width::Bits, Width::Bytes] {
            body.clear();
            bits::delta(&self.values, |bits| width.round(bits), &mut body);
            if width == Width::Bits {
                plain = body.len();
            }
            if plain < TOO_SMALL {
                return Ok(());
            }
            let length = codec.length_of(&body)?;
            if length < least {
                (least, best) = (length, How::Differences(width));
            }
        }
        let (mut dictionary, mut indices) = (Numbers::default(), Vec::new());
        for values in self.values.chunks(MAX_DICTIONARY) {
            dictionary.look_up(values, &mut indices);
            // Its entries alone would take as much as the differences.
            if dictionary.len() > MAX_DICTIONARY.min(least / 4) {
                break;
            }
        }
        if indices.len() == self.values.len() {
            body.clear();
            append_indices(&indices, dictionary.len(), Width::Bytes, &mut body);
            let mut entries = Vec::new();
            plain_values(dictionary.values(), self.column.physical_type(), &mut entries);
            let length = codec.length_of(&body)? + codec.length_of(&entries)?;
            if length < least {
                (least, best) = (length, How::Dictionary(Width::Bytes));
            }
        }
        if is_worth_it(least, plain) {
            self.pages.compress(Compressed::Yes);
            self.how = best;
            if let How::Dictionary(_) = best {
                (self.dictionary, self.indices) = (dictionary, indices);
                self.values.clear();
            }
        }
        Ok(())
    }

    /// A dictionary, its indices in bits or in whole bytes; or differences, as for what counts up and begins again.
    fn choose_from_indices(&mut self, codec: &mut Codec) -> Result<(), ParquetError> {
        let mut body = Vec::new();
        append_indices(&self.indices, self.dictionary.len(), Width::Bits, &mut body);
        if body.len() < TOO_SMALL {
            return Ok(());
        }
        let mut least = codec.length_of(&body)?;
        body.clear();
        append_indices(&self.indices, self.dictionary.len(), Width::Bytes, &mut body);
        let length = codec.length_of(&body)?;
        if length < least {
            (least, self.how) = (length, How::Dictionary(Width::Bytes));
        }
        let known = self.dictionary.values();
        let values: Vec<i64> = self.indices.iter().filter_map(|index| known.get(*index as usize)).copied().collect();
        // Few numbers have no differences worth a try.
        if known.len() > 256 && differences_fit(&values, self.column.physical_type()) {
            body.clear();
            bits::delta(&values, |bits| Width::Bytes.round(bits), &mut body);
            if codec.length_of(&body)? < least {
                self.give_up_dictionary();
                self.how = How::Differences(Width::Bytes);
            }
        }
        Ok(())
    }

    /// Gives the dictionary up when it has grown too large.
    fn judge_dictionary(&mut self) {
        if matches!(self.how, How::Dictionary(_)) && self.dictionary.len() > MAX_DICTIONARY {
            self.give_up_dictionary();
        }
    }

    /// Whether most values are new to the dictionary.
    fn is_mostly_new(&self) -> bool {
        let distinct = self.dictionary.len();
        distinct > MAX_DICTIONARY || (distinct > 8 && 2 * distinct > self.indices.len())
    }

    /// The page in work has its values themselves, and later ones, too.
    fn give_up_dictionary(&mut self) {
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
        let last = if self.levels.rows() > 0 || self.pages.is_empty() { Some(self.page(codec)?) } else { None };
        for value in self.dictionary.values() {
            self.min = self.min.min(*value);
            self.max = self.max.max(*value);
        }
        let physical = self.column.physical_type();
        let statistics = statistics(physical, (self.min <= self.max).then_some((self.min, self.max)), self.nulls);
        let entries = self.dictionary.values();
        let dictionary = (!entries.is_empty()).then(|| {
            let mut bytes = Vec::with_capacity(entries.len() * 8);
            plain_values(entries, physical, &mut bytes);
            (bytes, entries.len())
        });
        self.pages.finish(self.column, dictionary, last, statistics, codec)
    }
}

/// The width of the indices, and them.
fn append_indices(indices: &[u32], count: usize, width: Width, out: &mut Vec<u8>) {
    let width = width.round(bits::width_below(count));
    out.push(width);
    bits::hybrid(indices, width, out);
}

/// Whether the differences between these values, and those between the differences, have the bits of the column's type.
fn differences_fit(values: &[i64], physical: Type) -> bool {
    let range = values.iter().fold((i64::MAX, i64::MIN), |(min, max), value| (min.min(*value), max.max(*value)));
    physical != Type::INT32 || range.1.saturating_sub(range.0) <= i64::from(i32::MAX)
}

fn plain_values(values: &[i64], physical: Type, out: &mut Vec<u8>) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Encoding;
    use parquet::basic::Repetition;
    use parquet::basic::Type as Physical;
    use parquet::column::reader::ColumnReaderImpl;
    use parquet::data_type::Int32Type;
    use parquet::data_type::Int64Type;
    use parquet::file::serialized_reader::SerializedPageReader;
    use parquet::schema::types::ColumnDescPtr;
    use parquet::schema::types::ColumnDescriptor;
    use parquet::schema::types::ColumnPath;
    use parquet::schema::types::Type;

    use super::IntChunk;
    use crate::recording::encode::PAGE_ROWS;
    use crate::recording::encode::pages::Chunk;
    use crate::recording::encode::pages::Codec;

    /// How a column is made.
    #[derive(Clone, Copy)]
    enum Column {
        Growing,
        Wide,
        Narrow,
    }

    fn descriptor(physical: Physical) -> ColumnDescPtr {
        let ty = Type::primitive_type_builder("x", physical).with_repetition(Repetition::OPTIONAL).build().unwrap();
        Arc::new(ColumnDescriptor::new(Arc::new(ty), 1, 0, ColumnPath::from("x")))
    }

    /// Bytes for each value and the encodings of the pages, once the values were read back as they are.
    fn encoded(column: Column, values: &[Option<i64>]) -> (f64, Vec<Encoding>) {
        let (physical, bits, growing) = match column {
            Column::Growing => (Physical::INT64, 64, true),
            Column::Wide => (Physical::INT64, 64, false),
            Column::Narrow => (Physical::INT32, 16, false),
        };
        let mut codec = Codec::new().unwrap();
        let mut chunk = IntChunk::new(descriptor(physical), bits, growing);
        for values in values.chunks(5_000) {
            let valid: Vec<bool> = values.iter().map(Option::is_some).collect();
            let all = valid.iter().all(|valid| *valid);
            let numbers: Vec<i64> = values.iter().map(|value| value.unwrap_or(0)).collect();
            chunk.push(&numbers, if all { &[] } else { &valid }, &mut codec).unwrap();
        }
        let Chunk { bytes, close } = chunk.finish(&mut codec).unwrap();
        let length = bytes.len() as f64 / values.len() as f64;
        let encodings = close.metadata.encodings().filter(|encoding| *encoding != Encoding::RLE).collect();
        let pages = SerializedPageReader::new(Arc::new(bytes), &close.metadata, values.len(), None).unwrap();
        let (mut levels, mut read) = (Vec::new(), Vec::new());
        if physical == Physical::INT32 {
            let mut narrow = Vec::new();
            let mut reader = ColumnReaderImpl::<Int32Type>::new(descriptor(physical), Box::new(pages));
            reader.read_records(values.len(), Some(&mut levels), None, &mut narrow).unwrap();
            read.extend(narrow.into_iter().map(i64::from));
        } else {
            let mut reader = ColumnReaderImpl::<Int64Type>::new(descriptor(physical), Box::new(pages));
            reader.read_records(values.len(), Some(&mut levels), None, &mut read).unwrap();
        }
        let mut read = read.into_iter();
        let read: Vec<Option<i64>> = levels.iter().map(|level| (*level == 1).then(|| read.next().unwrap())).collect();
        assert!(read == values, "{} values came back as {}", values.len(), read.len());
        (length, encodings)
    }

    /// Numbers below `below`, the same each time.
    fn noise(below: u64) -> impl FnMut() -> i64 {
        let mut state = 1_u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % below) as i64
        }
    }

    #[test]
    fn a_storm_of_calls_takes_less_than_a_byte_and_a_half_for_time_and_length() {
        let (mut jitter, mut rare) = (noise(9), noise(1000));
        let lengths: Vec<Option<i64>> =
            (0..100_000).map(|_| Some(if rare() == 0 { 2_000 + 100 * jitter() } else { 50 + jitter() / 2 })).collect();
        let mut at = 0;
        let times: Vec<i64> = (0..100_000)
            .map(|_| {
                at += 195 + jitter();
                at
            })
            .collect();
        let (length, _) = encoded(Column::Growing, &lengths);
        let (micros, _) = encoded(Column::Growing, &times.iter().map(|at| Some(at / 1000)).collect::<Vec<_>>());
        let (nanos, _) = encoded(Column::Narrow, &times.iter().map(|at| Some(at % 1000)).collect::<Vec<_>>());
        assert!(length + micros + nanos < 1.5, "{length} + {micros} + {nanos}");
    }

    #[test]
    fn numbers_of_every_sort_come_back_whatever_the_first_page_was_like() {
        let rows = 3 * PAGE_ROWS + 1_000;
        let few = |seed: usize| [7, 1_000_000, -3][seed % 3];
        let mut any = noise(u64::MAX);
        let random: Vec<i64> = (0..rows).map(|_| any().wrapping_mul(0x1_0000_0001)).collect();
        let counted: Vec<i64> = (0..rows as i64).collect();
        let runs: Vec<i64> = (0..rows).map(|row| few(row / 500)).collect();
        let mixed: Vec<i64> = (0..rows).map(|row| few(row * row)).collect();
        let sorts = [&random, &counted, &runs, &mixed];
        for column in [Column::Growing, Column::Wide, Column::Narrow] {
            // What the type does not have is left out by the writer: it is not there to begin with.
            let fits = |value: i64| !matches!(column, Column::Narrow) || i16::try_from(value).is_ok();
            for first in sorts {
                for then in sorts {
                    let value = |row: usize| if row < PAGE_ROWS { first[row] } else { then[row] };
                    let values: Vec<Option<i64>> =
                        (0..rows).map(|row| Some(value(row)).filter(|value| row % 11 != 5 && fits(*value))).collect();
                    encoded(column, &values);
                }
            }
        }
    }

    #[test]
    fn a_few_rows_are_neither_compressed_nor_tried_in_many_ways() {
        assert_eq!(encoded(Column::Growing, &[Some(5), None, Some(7)]).1, [Encoding::DELTA_BINARY_PACKED]);
        assert_eq!(encoded(Column::Wide, &[Some(5), None, Some(5)]).1, [Encoding::PLAIN, Encoding::RLE_DICTIONARY]);
        assert_eq!(encoded(Column::Wide, &[None, None]).1, [Encoding::PLAIN]);
    }
}
