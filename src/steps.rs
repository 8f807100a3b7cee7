//! How far some work is, for what shows it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Steps of some work, counted by those who do it while another thread looks on.
#[derive(Debug, Default)]
pub struct Steps {
    all: AtomicU64,
    done: AtomicU64,
}

impl Steps {
    /// Says that so many more are to be done.
    pub fn expect(&self, more: usize) {
        self.all.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// Counts one as done.
    pub fn step(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// How many are done, and how many there are; `None` for work that is not counted.
    pub fn so_far(&self) -> Option<(u64, u64)> {
        let (all, done) = (self.all.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed));
        (all > 0).then_some((done.min(all), all))
    }
}
