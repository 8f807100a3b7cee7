//! A window in stretches of equal length: what a bootstrap draws from. Where recordings are the observations, a window is one stretch.

use crate::report::read::input::Source;
use crate::report::read::rows::Row;

/// The stretches of one recording's window.
#[derive(Clone, Debug)]
pub(super) struct Stretches {
    begin_ns: i64,
    step_ns: i64,
    /// Length of each, in seconds.
    pub(super) seconds: Vec<f64>,
}

impl Stretches {
    /// The whole window.
    pub(super) fn whole(source: &Source) -> Stretches {
        Stretches::of(source, source.span_ns())
    }

    /// The recorded intervals; neighbours are joined where there are more than `most`.
    pub(super) fn intervals(source: &Source, most: usize) -> Stretches {
        let interval = source.meta().window.interval_ns.max(1);
        let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
        let joined = (source.span_ns() / interval).div_euclid(most) + 1;
        Stretches::of(source, interval.saturating_mul(joined))
    }

    /// A rest of less than half a step belongs to the stretch before it.
    fn of(source: &Source, step: i64) -> Stretches {
        let (span, step_ns) = (source.span_ns().max(1), step.max(1));
        let full = span / step_ns;
        let number = (if span % step_ns >= step_ns / 2 { full + 1 } else { full }).max(1);
        let last = span.saturating_sub((number - 1).saturating_mul(step_ns));
        let seconds = (0..number).map(|at| if at + 1 < number { step_ns } else { last } as f64 / 1e9).collect();
        Stretches { begin_ns: source.begin_ns(), step_ns, seconds }
    }

    /// The stretch that a row of an interval belongs to, by the interval's middle.
    pub(super) fn place(&self, row: &Row<'_>) -> usize {
        let middle = row.at().unwrap_or(0).saturating_sub(row.dur().unwrap_or(0).max(0) / 2);
        let at = middle.saturating_sub(self.begin_ns).div_euclid(self.step_ns).max(0);
        usize::try_from(at).unwrap_or(0).min(self.seconds.len() - 1)
    }
}
