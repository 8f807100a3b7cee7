//! Rows of many files, packed for a search in the kernel.
//!
//! Each row takes four bytes: the low twelve bits of its place, and the number of its rule. Code is divided into pages; an entry
//! for each says where its rows begin and how many they are. The first row of a page is at its first byte, so that a search
//! needs no other page's. Rows lie in chunks, which the kernel finds by one look-up each, and those of a page lie in one chunk.

use std::collections::HashMap;

use super::rule::Rule;
use super::table::Row;
use super::table::UnwindTable;

/// Bytes of code that share an entry.
pub const PAGE: u64 = 4096;
/// Rows of a chunk: 64 KiB.
pub const CHUNK_ROWS: usize = 16 << 10;
/// Distinct rules; all programs and libraries of a Debian machine have some five thousand.
pub const MAX_RULES: usize = 16 << 10;

/// Where the rows of a page are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Page {
    /// The number of the first.
    pub first: u32,
    /// How many they are; 0: nothing is known of the page.
    pub count: u32,
}

/// A stretch of a file's code in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The number of its first page in the file.
    pub in_file: u64,
    /// The number of its first page in the pool.
    pub in_pool: u32,
    /// How many pages it has.
    pub pages: u32,
}

/// What has to be written to the kernel for a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Where its code is.
    pub stretches: Vec<Stretch>,
    /// Pages from this number on.
    pub pages: (u32, Vec<Page>),
    /// Rules from this number on.
    pub rules: (u16, Vec<Rule>),
}

/// The pool. What is in it stays until the recording ends.
#[derive(Debug)]
pub struct Pool {
    max_chunks: usize,
    max_pages: usize,
    /// The chunk that is being filled, by its number.
    chunk: (u32, Vec<u32>),
    /// Chunks that were filled since they were last taken.
    filled: Vec<(u32, Vec<u32>)>,
    pages: usize,
    rows: usize,
    rules: HashMap<Rule, u16>,
}

impl Pool {
    /// An empty one with room for so many chunks and pages.
    pub fn new(max_chunks: usize, max_pages: usize) -> Pool {
        let rules = HashMap::from([(Rule::UNKNOWN, 0)]);
        Pool { max_chunks, max_pages, chunk: (0, Vec::new()), filled: Vec::new(), pages: 0, rows: 0, rules }
    }

    /// Rows in it.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a file. `None`, and nothing changes, where there is no room for it.
    pub fn add(&mut self, table: &UnwindTable) -> Option<Added> {
        let spans: Vec<(u64, u64)> = spans(&table.code);
        let pages: u64 = spans.iter().map(|(first, end)| end - first).sum();
        // At most: a row for each, one for the first of each page, and what chunks leave empty.
        let rows = table.rows.len().saturating_add(usize::try_from(pages).ok()?);
        let chunks = rows.saturating_add(self.chunk.1.len()) / (CHUNK_ROWS - PAGE as usize) + 1;
        let has_room = self.chunk.0 as usize + chunks <= self.max_chunks
            && self.pages.saturating_add(usize::try_from(pages).ok()?) <= self.max_pages
            && self.rules.len() < MAX_RULES;
        if !has_room {
            return None;
        }
        let mut added = Added { rules: (u16::try_from(self.rules.len()).ok()?, Vec::new()), ..Added::default() };
        let numbers: Vec<u16> = table.rules.iter().map(|rule| self.number(*rule, &mut added.rules.1)).collect();
        added.pages.0 = u32::try_from(self.pages).ok()?;
        for (first, end) in spans {
            let in_pool = u32::try_from(self.pages).ok()?;
            added.stretches.push(Stretch { in_file: first, in_pool, pages: u32::try_from(end - first).ok()? });
            for page in first..end {
                let packed = page_rows(&table.rows, &numbers, page);
                added.pages.1.push(self.place(&packed));
                self.pages += 1;
            }
        }
        Some(added)
    }

    /// The chunks that have changed since this was last called, by number.
    pub fn take_chunks(&mut self) -> Vec<(u32, Vec<u32>)> {
        let mut chunks = std::mem::take(&mut self.filled);
        chunks.push(self.chunk.clone());
        chunks
    }

    /// The number of a rule. Where there is no room for another one, its places are unknown.
    fn number(&mut self, rule: Rule, fresh: &mut Vec<Rule>) -> u16 {
        if let Some(number) = self.rules.get(&rule) {
            return *number;
        }
        let number = self.rules.len();
        if number >= MAX_RULES {
            return 0;
        }
        self.rules.insert(rule, number as u16);
        fresh.push(rule);
        number as u16
    }

    /// Puts a page's rows into a chunk.
    fn place(&mut self, rows: &[u32]) -> Page {
        // Most pages of a file without tables are alike.
        if let [0] = rows {
            return Page::default();
        }
        if self.chunk.1.len() + rows.len() > CHUNK_ROWS {
            let number = self.chunk.0;
            let full = std::mem::replace(&mut self.chunk, (number + 1, Vec::new()));
            self.filled.push(full);
        }
        let first = self.chunk.0 * CHUNK_ROWS as u32 + self.chunk.1.len() as u32;
        self.chunk.1.extend(rows);
        self.rows += rows.len();
        Page { first, count: rows.len() as u32 }
    }
}

/// The rows of one page; `numbers` are those that the pool has for the table's rules.
fn page_rows(rows: &[Row], numbers: &[u16], page: u64) -> Vec<u32> {
    let (start, end) = (page * PAGE, (page + 1) * PAGE);
    let number = |row: &Row| u32::from(numbers.get(usize::from(row.rule)).copied().unwrap_or(0)) << 16;
    let behind = rows.partition_point(|row| u64::from(row.offset) <= start);
    let first = behind.checked_sub(1).and_then(|at| rows.get(at)).map_or(0, number);
    let within = rows.get(behind..).unwrap_or_default().iter().take_while(|row| u64::from(row.offset) < end);
    std::iter::once(first).chain(within.map(|row| number(row) | (row.offset % PAGE as u32))).collect()
}

/// Pages of code, without overlap: first, and the one behind the last.
fn spans(code: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut pages: Vec<(u64, u64)> =
        code.iter().filter(|(start, end)| start < end).map(|(start, end)| (start / PAGE, end.div_ceil(PAGE))).collect();
    pages.sort_unstable();
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for (first, end) in pages {
        match spans.last_mut() {
            Some(last) if first <= last.1 => last.1 = last.1.max(end),
            _ => spans.push((first, end)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::CHUNK_ROWS;
    use super::PAGE;
    use super::Page;
    use super::Pool;
    use crate::unwind::rule::Cfa;
    use crate::unwind::rule::FramePointer;
    use crate::unwind::rule::Rule;
    use crate::unwind::table::Row;
    use crate::unwind::table::UnwindTable;

    fn rule(offset: i32) -> Rule {
        Rule { cfa: Cfa::StackPointer(offset), frame_pointer: FramePointer::Same }
    }

    /// What the kernel's search finds: the rule of the last row that is not behind the place.
    fn search(pages: &[Page], chunks: &[(u32, Vec<u32>)], rules: &[Rule], page: usize, within: u32) -> Rule {
        let Page { first, count } = pages[page];
        let (chunk, start) = (first / CHUNK_ROWS as u32, first as usize % CHUNK_ROWS);
        let Some((_, rows)) = chunks.iter().find(|(number, _)| *number == chunk).filter(|_| count > 0) else {
            return Rule::UNKNOWN;
        };
        let row = rows[start..start + count as usize].iter().rfind(|row| *row & 0xffff <= within).unwrap();
        rules[(row >> 16) as usize]
    }

    proptest! {
        #[test]
        fn a_packed_table_says_what_its_rows_say(gaps in prop::collection::vec((1u32..3000, 0u16..50), 1..400)) {
            let rules: Vec<Rule> = (0..50).map(rule).collect();
            let mut offset = 0x1000;
            let mut rows = Vec::new();
            for (gap, number) in &gaps {
                rows.push(Row { offset, rule: *number });
                offset += gap;
            }
            let table = UnwindTable { code: vec![(0x1000, offset.into())], rules: rules.clone(), rows: rows.clone() };
            let mut pool = Pool::new(1000, 10_000);
            let added = pool.add(&table).unwrap();
            let packed: Vec<Rule> = [Rule::UNKNOWN].into_iter().chain(added.rules.1).collect();
            let chunks = pool.take_chunks();
            for row in &rows {
                for place in [row.offset, row.offset + 1, (row.offset | (PAGE as u32 - 1)).min(offset - 1)] {
                    let expected = rules[usize::from(rows.iter().rfind(|row| row.offset <= place).unwrap().rule)];
                    let page = (u64::from(place) / PAGE - added.stretches[0].in_file) as usize;
                    prop_assert_eq!(search(&added.pages.1, &chunks, &packed, page, place % PAGE as u32), expected);
                }
            }
        }
    }

    #[test]
    fn a_file_for_which_there_is_no_room_leaves_the_pool_as_it_was() {
        let rows: Vec<Row> = (0..60_000).map(|at| Row { offset: at, rule: (at % 2) as u16 }).collect();
        let table = UnwindTable { code: vec![(0, 60_000)], rules: vec![rule(8), rule(16)], rows };
        let mut pool = Pool::new(2, 1000);
        assert!(pool.add(&table).is_none());
        assert_eq!(pool.rows(), 0);
        let small = UnwindTable { code: vec![(0, 10)], rules: vec![rule(8)], rows: vec![Row { offset: 0, rule: 0 }] };
        assert_eq!(pool.add(&small).unwrap().pages.1, [Page { first: 0, count: 1 }]);
    }
}
