//! Which rows of a page have a value.

use crate::recording::encode::bits;

/// The definition levels of the rows since the last page: 1 for a value, 0 for none.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    rows: usize,
    /// One level per row; empty while all rows have a value.
    levels: Vec<u32>,
}

impl Levels {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn push_valid(&mut self, rows: usize) {
        self.rows += rows;
        if !self.levels.is_empty() {
            self.levels.resize(self.rows, 1);
        }
    }

    pub(crate) fn push_nulls(&mut self, rows: usize) {
        self.levels.resize(self.rows, 1);
        self.rows += rows;
        self.levels.resize(self.rows, 0);
    }

    /// The levels as a version 1 data page begins with them; the next page starts empty.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        if self.levels.is_empty() {
            bits::run(self.rows, 1, 1, out);
        } else {
            bits::hybrid(&self.levels, 1, out);
        }
        // A page has far fewer than 2^32 rows.
        let len = (out.len() - at - 4) as u32;
        if let Some(place) = out.get_mut(at..at + 4) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        *self = Levels::default();
    }
}
