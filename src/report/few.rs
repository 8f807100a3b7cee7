//! The heaviest few of many things, in words, for a line of the summary.

use std::cmp::Reverse;

/// A few words by their weight.
#[derive(Debug)]
pub(super) struct Few {
    most: usize,
    held: Vec<(u64, String)>,
    seen: usize,
}

impl Few {
    /// Starts without any; so many are named.
    pub(super) fn new(most: usize) -> Few {
        Few { most, held: Vec::new(), seen: 0 }
    }

    /// Adds one; its words are made only where it may be named.
    pub(super) fn add(&mut self, weight: u64, words: impl FnOnce() -> String) {
        self.seen += 1;
        if self.held.len() < self.most || self.held.last().is_some_and(|least| least.0 < weight) {
            self.held.push((weight, words()));
            self.held.sort_by_key(|(weight, _)| Reverse(*weight));
            self.held.truncate(self.most);
        }
    }

    /// The words, the heaviest first, and what says that there are more.
    pub(super) fn words(self) -> (Vec<String>, &'static str) {
        let more = if self.seen > self.held.len() { ", …" } else { "" };
        (self.held.into_iter().map(|(_, words)| words).collect(), more)
    }
}
