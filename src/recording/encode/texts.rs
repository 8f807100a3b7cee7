//! Columns of text: by dictionary, or as they are when nearly all differ.
//!
//! A chunk is one or the other throughout: decoders copy a dictionary's texts out row by row where a chunk mixes both.

use std::borrow::Cow;

use parquet::basic::Encoding;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use crate::recording::encode::PAGE_ROWS;
use crate::recording::encode::bits;
use crate::recording::encode::levels::Levels;
use crate::recording::encode::pages::Chunk;
use crate::recording::encode::pages::Codec;
use crate::recording::encode::pages::Compressed;
use crate::recording::encode::pages::Pages;
use crate::recording::intern::Interner;
use crate::recording::intern::random_seed;
use crate::recording::limits::BATCH_TEXT_BYTES;
use crate::recording::limits::PAGE_BYTES;

/// A row group with more text than this in one column is ended.
const MAX_PLAIN: usize = 32 << 20;
/// A page with more text than this is ended.
const PLAIN_PAGE_BYTES: usize = 1 << 20;
/// Longer texts give no statistics: no filter needs them, and footers stay small.
const MAX_STATISTIC: usize = 64;
const UNKNOWN: u32 = u32::MAX;

/// The chunk of a column of text while rows come in.
pub(crate) struct TextChunk {
    column: ColumnDescPtr,
    /// The dictionary; empty once it was given up.
    texts: Interner,
    by_dictionary: bool,
    levels: Levels,
    nulls: u64,
    /// Indices of the page in work, with a dictionary.
    indices: Vec<u32>,
    /// Texts of the page in work, each behind its length, without a dictionary.
    plain: Vec<u8>,
    plain_total: usize,
    pages: Pages,
    /// From the numbers of the rows at hand to those of the dictionary.
    renumbered: Vec<u32>,
}

impl TextChunk {
    pub(crate) fn new(column: ColumnDescPtr) -> TextChunk {
        TextChunk {
            column,
            texts: Interner::new(random_seed(), PAGE_BYTES),
            by_dictionary: true,
            levels: Levels::default(),
            nulls: 0,
            indices: Vec::new(),
            plain: Vec::new(),
            plain_total: 0,
            pages: Pages::new(Compressed::Yes),
            renumbered: Vec::new(),
        }
    }

    /// Whether the row group should end: a reader holds the whole dictionary in memory.
    pub(crate) fn is_heavy(&self) -> bool {
        self.texts.bytes() > BATCH_TEXT_BYTES || self.plain_total > MAX_PLAIN
    }

    /// Length of the dictionary's texts.
    pub(crate) fn dictionary_bytes(&self) -> usize {
        self.texts.bytes()
    }

    pub(crate) fn push_nulls(&mut self, rows: usize) {
        if rows > 0 {
            self.levels.push_nulls(rows);
            self.nulls += rows as u64;
        }
    }

    /// Adds rows by the numbers of their texts, of which there are `texts`; `valid` has a flag per row, or is empty when
    /// all have a text.
    pub(crate) fn push<'a>(
        &mut self,
        keys: &[i32],
        valid: &[bool],
        texts: usize,
        text: impl Fn(usize) -> Cow<'a, str>,
        codec: &mut Codec,
    ) -> Result<(), ParquetError> {
        self.renumbered.clear();
        self.renumbered.resize(texts, UNKNOWN);
        for (at, keys) in keys.chunks(PAGE_ROWS).enumerate() {
            let valid = valid.get(at * PAGE_ROWS..).unwrap_or(&[]);
            if !self.by_dictionary {
                self.push_plain(keys, valid, &text, codec)?;
            } else if valid.is_empty() {
                self.push_indices(keys, &text);
            } else {
                for (key, valid) in keys.iter().zip(valid) {
                    if *valid { self.push_indices(std::slice::from_ref(key), &text) } else { self.push_nulls(1) }
                }
            }
            if self.levels.rows() >= PAGE_ROWS {
                self.end_page(codec)?;
            }
        }
        Ok(())
    }

    fn push_indices<'a>(&mut self, keys: &[i32], text: &impl Fn(usize) -> Cow<'a, str>) {
        self.levels.push_valid(keys.len());
        self.indices.reserve(keys.len());
        for key in keys {
            // Batches and decoders number texts from 0 up.
            let key = *key as usize;
            let index = match self.renumbered.get(key).copied() {
                Some(index) if index != UNKNOWN => index,
                _ => self.renumber(key, text),
            };
            self.indices.push(index);
        }
    }

    #[cold]
    fn renumber<'a>(&mut self, key: usize, text: &impl Fn(usize) -> Cow<'a, str>) -> u32 {
        // The row group ends long before the dictionary is full.
        let index = self.texts.intern(text(key).as_bytes()).unwrap_or(0);
        if let Some(place) = self.renumbered.get_mut(key) {
            *place = index;
        }
        index
    }

    fn push_plain<'a>(
        &mut self,
        keys: &[i32],
        valid: &[bool],
        text: &impl Fn(usize) -> Cow<'a, str>,
        codec: &mut Codec,
    ) -> Result<(), ParquetError> {
        for (row, key) in keys.iter().enumerate() {
            if !valid.get(row).copied().unwrap_or(true) {
                self.push_nulls(1);
                continue;
            }
            self.levels.push_valid(1);
            append(text(*key as usize).as_bytes(), &mut self.plain);
            if self.plain.len() >= PLAIN_PAGE_BYTES {
                self.end_page(codec)?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self, codec: &mut Codec) -> Result<(), ParquetError> {
        let (body, rows, encoding) = self.page();
        self.pages.push(body, rows, encoding, codec)
    }

    /// The page in work: what is in front of the texts, and them.
    fn page(&mut self) -> (Vec<u8>, usize, Encoding) {
        let distinct = self.texts.len();
        let mostly_new =
            self.by_dictionary && self.pages.is_empty() && distinct > 8 && 2 * distinct > self.indices.len();
        // A few long texts that recur could make a page of any size.
        if mostly_new && self.texts.bytes() < PLAIN_PAGE_BYTES * 4 && self.longest() * self.indices.len() < PAGE_BYTES {
            for index in self.indices.drain(..) {
                append(self.texts.get(index), &mut self.plain);
            }
            self.texts = Interner::new(random_seed(), PAGE_BYTES);
            self.by_dictionary = false;
        }
        let rows = self.levels.rows();
        let mut body = Vec::with_capacity(rows / 2 + self.plain.len() + 64);
        self.levels.take(&mut body);
        if self.texts.len() == 0 && self.plain.is_empty() {
            // Nothing but nulls so far.
            (body, rows, Encoding::PLAIN)
        } else if self.by_dictionary {
            let width = bits::width_below(self.texts.len());
            body.push(width);
            bits::hybrid(&self.indices, width, &mut body);
            self.indices.clear();
            (body, rows, Encoding::RLE_DICTIONARY)
        } else {
            body.extend_from_slice(&self.plain);
            self.plain_total += self.plain.len();
            self.plain.clear();
            (body, rows, Encoding::PLAIN)
        }
    }

    /// Ends the chunk.
    pub(crate) fn finish(mut self, codec: &mut Codec) -> Result<Chunk, ParquetError> {
        let last = if self.levels.rows() > 0 || self.pages.is_empty() { Some(self.page()) } else { None };
        let range = self.range();
        let (min, max) = (range.map(|range| ByteArray::from(range.0)), range.map(|range| ByteArray::from(range.1)));
        let statistics = Statistics::byte_array(min, max, None, Some(self.nulls), false);
        let dictionary = (self.texts.len() > 0).then(|| {
            let mut entries = Vec::with_capacity(self.texts.bytes() + 4 * self.texts.len());
            self.each(|text| append(text, &mut entries));
            (entries, self.texts.len())
        });
        self.pages.finish(self.column, dictionary, last, statistics, codec)
    }

    fn each<'a>(&'a self, mut then: impl FnMut(&'a [u8])) {
        // Row groups have fewer rows than 2^32, and no more texts than rows.
        (0..self.texts.len()).for_each(|index| then(self.texts.get(index as u32)));
    }

    fn longest(&self) -> usize {
        let mut longest = 0;
        self.each(|text| longest = longest.max(text.len()));
        longest
    }

    /// The first and last text in the order of their bytes.
    fn range(&self) -> Option<(&[u8], &[u8])> {
        let mut range: Option<(&[u8], &[u8])> = None;
        let mut longest = 0;
        self.each(|text| {
            longest = longest.max(text.len());
            range = Some(range.map_or((text, text), |(min, max)| (min.min(text), max.max(text))));
        });
        range.filter(|_| self.by_dictionary && longest <= MAX_STATISTIC)
    }
}

/// A text as PLAIN encodes it: behind its length.
fn append(text: &[u8], out: &mut Vec<u8>) {
    // The interner holds far less than 2^32 bytes.
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}
