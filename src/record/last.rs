//! `--last`: where the newest span of a window begins, when the writer's generations do, and the copies that are asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::record::state::Mark;
use crate::record::state::State;

/// A span has about so many generations: what is kept beyond it is one of them.
const GENERATIONS: u64 = 4;
/// Describing everything that a generation refers to takes some milliseconds.
const SHORTEST_GENERATION_NS: u64 = 1_000_000_000;
/// How long a copy waits for the names of its stacks.
const PATIENCE_NS: u64 = 3_000_000_000;

/// A copy on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copying {
    /// None.
    Idle,
    /// The interval has to end, so that it has all that happened until then.
    Asked,
    /// The interval has ended at this time, and its totals have to be read.
    Reading(u64),
    /// Stacks up to this number have to be named, until that time.
    Naming { end_ns: u64, last_stack: i32, until_ns: u64 },
}

/// The newest span.
#[derive(Debug)]
pub(super) struct Last {
    span_ns: u64,
    generation: u64,
    generation_ns: u64,
    next_generation_ns: u64,
    /// The oldest first; the first is where the span begins, or before that.
    marks: VecDeque<Arc<Mark>>,
    /// The first stack of each generation that is kept, the oldest first.
    stacks: VecDeque<(u64, i32)>,
    /// What follows the trigger is kept beside the span.
    fired_ns: Option<u64>,
    asked: u64,
    /// What is being done about a copy.
    pub(super) copying: Copying,
}

impl Last {
    /// Begins with the window.
    pub(super) fn new(span_ns: u64, start_ns: u64) -> Last {
        let generation_ns = (span_ns / GENERATIONS).max(SHORTEST_GENERATION_NS);
        let begin = Mark { end_ns: start_ns, swapped_ns: start_ns, generation: 0, state: State::default() };
        Last {
            span_ns,
            generation: 0,
            generation_ns,
            next_generation_ns: start_ns.saturating_add(generation_ns),
            marks: VecDeque::from([Arc::new(begin)]),
            stacks: VecDeque::from([(0, 0)]),
            fired_ns: None,
            asked: 0,
            copying: Copying::Idle,
        }
    }

    /// An interval has ended and its totals are read.
    pub(super) fn mark(&mut self, end_ns: u64, swapped_ns: u64, state: &State) {
        let state = State { since: None, ..state.clone() };
        self.marks.push_back(Arc::new(Mark { end_ns, swapped_ns, generation: self.generation, state }));
    }

    /// The trigger has fired: the span before it stays.
    pub(super) fn fired(&mut self, at_ns: u64) {
        self.fired_ns = Some(at_ns);
    }

    /// Where the span begins that ends at `end_ns`: an interval's end, so that it is longer by less than an interval.
    pub(super) fn begin(&self, end_ns: u64) -> Option<Arc<Mark>> {
        let from = self.from(end_ns);
        let begin = self.marks.iter().rev().find(|mark| mark.end_ns <= from).or(self.marks.front());
        begin.map(Arc::clone)
    }

    /// The interval's end at that time.
    pub(super) fn at(&self, end_ns: u64) -> Option<Arc<Mark>> {
        self.marks.iter().rev().find(|mark| mark.end_ns == end_ns).map(Arc::clone)
    }

    fn from(&self, end_ns: u64) -> u64 {
        self.fired_ns.unwrap_or(end_ns).min(end_ns).saturating_sub(self.span_ns)
    }

    /// Whether it is time for another generation. Not while a copy is made, which needs the oldest.
    pub(super) fn is_generation_due(&self, now_ns: u64) -> bool {
        now_ns >= self.next_generation_ns && self.copying == Copying::Idle
    }

    /// Begins a generation: gives the oldest that is needed, and where the span begins.
    pub(super) fn begin_generation(&mut self, now_ns: u64) -> Option<(u64, Arc<Mark>)> {
        self.next_generation_ns = now_ns.saturating_add(self.generation_ns);
        let begin = self.begin(now_ns)?;
        while self.marks.front().is_some_and(|mark| mark.end_ns < begin.end_ns) {
            self.marks.pop_front();
        }
        self.generation += 1;
        Some((begin.generation, begin))
    }

    /// The generation that was just begun has stacks from `first` on; gives the first that a generation from `oldest` on has.
    pub(super) fn begin_stacks(&mut self, oldest: u64, first: i32) -> i32 {
        while self.stacks.front().is_some_and(|(generation, _)| *generation < oldest) {
            self.stacks.pop_front();
        }
        self.stacks.push_back((self.generation, first));
        // Where numbers have begun again, older stacks have higher ones.
        self.stacks.front().map_or(0, |(_, oldest)| *oldest).min(first)
    }

    /// Notes how many copies were asked for so far; those that come while one is made are one.
    pub(super) fn ask(&mut self, asked: u64) {
        if asked > self.asked && self.copying == Copying::Idle {
            self.asked = asked;
            self.copying = Copying::Asked;
        }
    }

    /// The totals of the copy's last interval are read: its stacks are named next.
    pub(super) fn name(&mut self, end_ns: u64, last_stack: i32, now_ns: u64) {
        self.copying = Copying::Naming { end_ns, last_stack, until_ns: now_ns.saturating_add(PATIENCE_NS) };
    }
}

#[cfg(test)]
mod tests {
    use super::Copying;
    use super::Last;
    use crate::record::state::State;

    const S: u64 = 1_000_000_000;

    fn marked(last: &mut Last, ends: impl IntoIterator<Item = u64>) {
        ends.into_iter().for_each(|end| last.mark(end * S, end * S + 1, &State::default()));
    }

    fn begin(last: &Last, end: u64) -> u64 {
        last.begin(end * S).unwrap().end_ns / S
    }

    #[test]
    fn the_span_begins_with_an_interval_and_is_longer_by_less_than_one() {
        let mut last = Last::new(10 * S, 100 * S);
        assert_eq!(begin(&last, 103), 100, "the window has not lasted for so long");
        marked(&mut last, (102..130).step_by(2));
        assert_eq!([109, 110, 111, 112, 113].map(|end| begin(&last, end)), [100, 100, 100, 102, 102]);
    }

    #[test]
    fn generations_are_given_up_when_the_span_needs_none_of_their_rows() {
        let mut last = Last::new(8 * S, 0);
        let mut oldest = Vec::new();
        for second in 1..30 {
            marked(&mut last, [second]);
            if last.is_generation_due(second * S) {
                let (needed, begin) = last.begin_generation(second * S).unwrap();
                assert!(second < 8 || begin.end_ns == (second - 8) * S);
                oldest.push(needed);
            }
        }
        // Every two seconds, and at most four of them and the one that is being written.
        assert_eq!(oldest[..8], [0, 0, 0, 0, 0, 1, 2, 3]);
        assert!(last.marks.len() <= 12, "{}", last.marks.len());
    }

    #[test]
    fn a_day_leaves_no_more_than_a_minute_does() {
        let mut last = Last::new(10 * S, 0);
        let mut most = 0;
        for second in 1..86_400 {
            marked(&mut last, [second]);
            if last.is_generation_due(second * S) {
                let (oldest, _) = last.begin_generation(second * S).unwrap();
                assert!(last.generation - oldest <= 6, "{} {oldest}", last.generation);
            }
            most = most.max(last.marks.len());
        }
        assert!(most < 16, "{most}");
    }

    #[test]
    fn what_follows_a_trigger_does_not_push_out_what_was_before_it() {
        let mut last = Last::new(10 * S, 0);
        marked(&mut last, 1..60);
        last.fired(50 * S);
        marked(&mut last, 60..80);
        assert_eq!(begin(&last, 79), 40);
    }

    #[test]
    fn copies_that_are_asked_for_while_one_is_made_are_one() {
        let mut last = Last::new(S, 0);
        last.ask(0);
        assert_eq!(last.copying, Copying::Idle);
        last.ask(1);
        assert_eq!(last.copying, Copying::Asked);
        last.name(5, 7, 10);
        last.ask(3);
        assert!(matches!(last.copying, Copying::Naming { last_stack: 7, .. }));
        last.copying = Copying::Idle;
        last.ask(3);
        assert_eq!(last.copying, Copying::Asked);
        last.copying = Copying::Idle;
        last.ask(3);
        assert_eq!(last.copying, Copying::Idle);
    }
}
