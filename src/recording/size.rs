//! How large a finished recording may be, and how near an unfinished one is to it.
//!
//! What a file will take is a sum: the row groups in it, its footer, the rows that wait for a row group, and what the end of the window still
//! brings. The first two are known to the byte. Small row groups get smaller when they are merged; by how much is measured each time.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::recording::footer::Group;
use crate::recording::merge::SMALL_ROWS;
use crate::recording::thinning::Thinning;

/// Bytes of a row before any row of its kind is in the file.
const UNKNOWN_ROW: u64 = 32;
/// Bytes of a row group without rows, in the file and in its footer, before there is one: the null columns take most of it.
const EMPTY_GROUP: u64 = 8 << 10;
/// The end of the window brings what is left of one checkpoint and all of another: the last interval, its processes, stacks and names.
const CHECKPOINTS_LEFT: u64 = 2;
/// Merging while recording has to be worth so much of the limit.
const WORTH: u64 = 8;
/// Row groups of events are at most such a part of the limit, so that few have to go when the room ends.
const GROUPS: u64 = 64;
/// Bytes that a row of an event takes at the least.
const LEAST_ROW: u64 = 2;

/// The bound on a finished file, and what was left out for its sake.
#[derive(Debug)]
pub(super) struct SizeLimit {
    /// Most bytes of the finished file.
    pub(super) most: u64,
    /// The kinds that are left out first: those with a row for each event.
    events: Vec<String>,
    /// No more events are taken.
    pub(super) is_reached: bool,
    /// Rows of a kind in the file, and their bytes.
    taken: HashMap<String, (u64, u64)>,
    /// Bytes of other rows than events since the last checkpoint, and the most between two, of which each checkpoint forgets a quarter: the first
    /// ones have what there was before the window.
    frame: u64,
    most_frame: u64,
    /// What merging leaves of a byte in a small row group.
    merged: f64,
    /// Rows of events are thinned before the window has to end.
    pub(super) thinning: Option<Thinning>,
    /// Rows left out in all.
    pub(super) left_out_rows: u64,
    /// Rows left out, by kind, that no row of the file states yet.
    pub(super) left_out: BTreeMap<String, u64>,
}

impl SizeLimit {
    pub(super) fn new(most: u64, events: Vec<String>) -> SizeLimit {
        SizeLimit {
            most,
            events,
            is_reached: false,
            taken: HashMap::new(),
            frame: 0,
            most_frame: 0,
            merged: 1.0,
            thinning: None,
            left_out_rows: 0,
            left_out: BTreeMap::new(),
        }
    }

    pub(super) fn is_event(&self, kind: &str) -> bool {
        self.events.iter().any(|event| event == kind)
    }

    /// Rows that make a row group.
    pub(super) fn group_rows(&self) -> usize {
        usize::try_from(self.most / GROUPS / LEAST_ROW).unwrap_or(usize::MAX).max(1024)
    }

    /// Whether rows of a kind are left out by now, and counts them if they are.
    pub(super) fn refuses(&mut self, kind: &str, rows: usize) -> bool {
        let refuses = self.is_reached && self.is_event(kind);
        if refuses {
            self.leave_out(kind, rows as u64);
        }
        refuses
    }

    /// Which of so many rows of a kind are taken, where it is thinned.
    pub(super) fn drawn(&mut self, kind: &str, rows: usize) -> Option<Vec<bool>> {
        self.thinning.as_mut()?.drawn(kind, rows)
    }

    pub(super) fn leave_out(&mut self, kind: &str, rows: u64) {
        self.left_out_rows += rows;
        *self.left_out.entry(kind.to_owned()).or_default() += rows;
    }

    /// A row group was written.
    pub(super) fn took(&mut self, group: &Group) {
        let taken = self.taken.entry(group.kind.clone()).or_default();
        *taken = (taken.0 + group.rows, taken.1 + cost(group));
        if !self.is_event(&group.kind) {
            // Without what a row group takes by itself: those of the window's end are merged into others.
            self.frame += cost(group).saturating_sub(EMPTY_GROUP);
            self.most_frame = self.most_frame.max(self.frame);
        }
    }

    /// A checkpoint was made.
    pub(super) fn checkpointed(&mut self) {
        self.most_frame -= self.most_frame / 4;
        self.frame = 0;
    }

    /// Whether rows of a kind are in the file, so that their size is known.
    pub(super) fn knows(&self, kind: &str) -> bool {
        self.taken.get(kind).is_some_and(|(rows, _)| *rows > 0)
    }

    /// What rows that wait will take in the file.
    fn waiting(&self, kind: &str, rows: u64) -> u64 {
        match self.taken.get(kind) {
            Some((known, bytes)) if *known > 0 => {
                (u128::from(*bytes) * u128::from(rows) / u128::from(*known)) as u64 + EMPTY_GROUP
            }
            _ => rows * UNKNOWN_ROW + EMPTY_GROUP,
        }
    }

    /// What the file would take if the window ended now: `fixed` bytes and these row groups, with rows that wait for one.
    pub(super) fn expected<'a>(
        &self,
        fixed: u64,
        groups: &[Group],
        waiting: impl Iterator<Item = (&'a str, u64)>,
    ) -> u64 {
        let settled: u64 = groups.iter().filter(|group| !is_fresh(group)).map(cost).sum();
        let waiting: u64 = waiting.map(|(kind, rows)| self.waiting(kind, rows)).sum();
        let smaller = fresh(groups) + waiting + CHECKPOINTS_LEFT * self.most_frame;
        fixed + settled + (smaller as f64 * self.merged) as u64
    }

    /// Whether merging would make room enough to go on.
    pub(super) fn is_worth_merging(&self, groups: &[Group]) -> bool {
        fresh(groups) > self.most / WORTH
    }

    /// Whether so much is unmerged that the disk holds much more than the file will.
    pub(super) fn must_merge(&self, groups: &[Group]) -> bool {
        fresh(groups) > self.most
    }

    /// Row groups were merged: what they took before and after, of which `fresh` bytes were merged for the first time.
    pub(super) fn was_merged(&mut self, before: u64, after: u64, fresh: u64) {
        if fresh > 0 {
            let left = after.saturating_sub(before.saturating_sub(fresh)) as f64 / fresh as f64;
            // What comes next may be less alike.
            self.merged = (left * 1.25).clamp(0.05, 1.0);
        }
    }
}

/// What a row group takes of the finished file: its bytes and its entry in the footer.
pub(super) fn cost(group: &Group) -> u64 {
    group.bytes.end.saturating_sub(group.bytes.start) + group.encoded.len() as u64
}

/// Whether merging makes it smaller.
fn is_fresh(group: &Group) -> bool {
    group.level == 0 && group.rows < SMALL_ROWS
}

/// Bytes of the row groups that were never merged and will be.
pub(super) fn fresh(groups: &[Group]) -> u64 {
    groups.iter().filter(|group| is_fresh(group)).map(cost).sum()
}
