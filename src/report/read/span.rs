//! The part of a recording that a report looks at: as asked for in rows of single events, by whole intervals in totals.
//!
//! A total of an interval can't be cut. So that shares of time stay shares, both ends move to the ends of the intervals that they fall in: an
//! interval counts whole if its middle was asked for, and what is divided by is the length of the intervals that count.

use anyhow::Result;

use crate::recording::Recording;
use crate::report::read::rows::Rows;

/// A stretch of the window, in nanoseconds since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Where it begins.
    pub(crate) begin_ns: i64,
    /// Where it ends.
    pub(crate) end_ns: i64,
}

impl Span {
    /// Its length.
    pub(crate) fn length_ns(&self) -> i64 {
        self.end_ns.saturating_sub(self.begin_ns)
    }

    fn middle(&self) -> i64 {
        self.begin_ns.saturating_add(self.length_ns() / 2)
    }

    /// Whether a row's time is in it.
    pub(crate) fn holds(&self, at: i64) -> bool {
        (self.begin_ns..self.end_ns).contains(&at)
    }

    /// By whole intervals: `at_begin` and `at_end` are those that its ends fall into.
    fn by_intervals(self, at_begin: Option<Span>, at_end: Option<Span>) -> Span {
        let begin_ns =
            at_begin.map_or(self.begin_ns, |cut| if cut.middle() >= self.begin_ns { cut.begin_ns } else { cut.end_ns });
        let end_ns =
            at_end.map_or(self.end_ns, |cut| if cut.middle() < self.end_ns { cut.end_ns } else { cut.begin_ns });
        if begin_ns < end_ns {
            return Span { begin_ns, end_ns };
        }
        // So little that it holds no middle.
        Span {
            begin_ns: at_begin.map_or(self.begin_ns, |cut| cut.begin_ns),
            end_ns: at_end.map_or(self.end_ns, |cut| cut.end_ns),
        }
    }
}

/// What totals cover when `asked` is asked for.
///
/// # Errors
/// The recording can't be read.
pub(crate) fn of_totals(recording: &Recording, asked: Span) -> Result<Span> {
    let (mut at_begin, mut at_end): (Option<Span>, Option<Span>) = (None, None);
    for kind in ["metric", "ledger", "cpu_ledger"] {
        Rows::all(recording, kind).each(|row| {
            let (Some(end_ns), Some(dur_ns)) = (row.at(), row.dur()) else { return };
            // The clock of the rows and that of the window differ by some nanoseconds.
            let row = Span { begin_ns: end_ns.saturating_sub(dur_ns.max(0)).max(0), end_ns };
            // Of a thread that lived for a part of an interval the ledger has that part only.
            let widen = |cut: &mut Option<Span>, at: i64| {
                let falls = row.begin_ns < at && at < row.end_ns;
                if falls && cut.is_none_or(|cut| cut.length_ns() < row.length_ns()) {
                    *cut = Some(row);
                }
            };
            widen(&mut at_begin, asked.begin_ns);
            widen(&mut at_end, asked.end_ns);
        })?;
    }
    Ok(asked.by_intervals(at_begin, at_end))
}

#[cfg(test)]
mod tests {
    use super::Span;

    fn span(begin_ns: i64, end_ns: i64) -> Span {
        Span { begin_ns, end_ns }
    }

    /// The interval that a time falls into, of such as are 100 long; none for one between two.
    fn cut(at: i64) -> Option<Span> {
        (at % 100 != 0).then(|| span(at / 100 * 100, at / 100 * 100 + 100))
    }

    #[test]
    fn what_is_shown_is_as_long_as_the_intervals_that_count() {
        for (asked, shown) in [
            ((200, 400), (200, 400)),
            ((210, 390), (200, 400)),
            ((260, 340), (200, 400)),
            ((249, 351), (200, 400)),
            ((251, 349), (200, 400)),
            ((251, 449), (300, 400)),
            // One of which no middle is asked for, and a part of one.
            ((260, 290), (200, 300)),
            ((210, 240), (200, 300)),
        ] {
            let asked = span(asked.0, asked.1);
            let by_intervals = asked.by_intervals(cut(asked.begin_ns), cut(asked.end_ns));
            assert_eq!(by_intervals, span(shown.0, shown.1), "{asked:?}");
        }
    }
}
