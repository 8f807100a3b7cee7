//! The heaviest few of many things: words for a line of the summary, bars of a picture.

use std::cmp::Reverse;

/// A few things by their weight.
#[derive(Debug)]
pub(crate) struct Few<T = String> {
    most: usize,
    held: Vec<(u64, T)>,
    seen: usize,
}

impl<T> Few<T> {
    /// Starts without any; so many are kept.
    pub(crate) fn new(most: usize) -> Few<T> {
        Few { most, held: Vec::new(), seen: 0 }
    }

    /// Adds one, which is made only where it may be kept.
    pub(crate) fn add(&mut self, weight: u64, make: impl FnOnce() -> T) {
        self.seen += 1;
        if self.held.len() < self.most || self.held.last().is_some_and(|least| least.0 < weight) {
            self.held.push((weight, make()));
            self.held.sort_by_key(|(weight, _)| Reverse(*weight));
            self.held.truncate(self.most);
        }
    }

    /// The things, the heaviest first.
    pub(crate) fn things(self) -> Vec<T> {
        self.held.into_iter().map(|(_, thing)| thing).collect()
    }

    /// The things, the heaviest first, and what says that there are more.
    pub(crate) fn words(self) -> (Vec<T>, &'static str) {
        let more = if self.seen > self.held.len() { ", …" } else { "" };
        (self.things(), more)
    }
}
