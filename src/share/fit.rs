//! What stays of a recording that is too large: all totals, and of the events the slowest.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::hist::Histogram;
use crate::recording::LEFT_OUT;
use crate::recording::Recording;
use crate::units;

/// A kind whose events take less than this share of the size stays whole.
const SMALL: u64 = 20;

/// What is left out of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cuts {
    by_kind: BTreeMap<String, Cut>,
}

/// What is left out of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    /// The shortest event that stays, in nanoseconds; `None`: none does, since they have no duration.
    least_ns: Option<i64>,
    /// Events that there were.
    rows: u64,
}

impl Cuts {
    /// Leaves out events until what is left takes about `share` of what the large kinds take now, none of them for 0.
    pub(super) fn to(recording: &Recording, share: f64, max_bytes: u64) -> Result<Cuts> {
        let mut cuts = Cuts::default();
        for (kind, rows) in events(recording) {
            if recording.bytes_of(&kind) <= max_bytes / SMALL {
                continue;
            }
            let cut = Cut { least_ns: least(recording, &kind, rows, share)?, rows };
            cuts.by_kind.insert(kind, cut);
        }
        Ok(cuts)
    }

    /// Bytes that the kinds take of which events may be left out.
    pub(super) fn bytes_of_events(recording: &Recording, max_bytes: u64) -> u64 {
        let bytes = events(recording).into_iter().map(|(kind, _)| recording.bytes_of(&kind));
        bytes.filter(|bytes| *bytes > max_bytes / SMALL).fold(0, u64::saturating_add)
    }

    /// Whether an event is left out.
    pub(super) fn leaves_out(&self, kind: &str, dur_ns: Option<i64>) -> bool {
        let Some(cut) = self.by_kind.get(kind) else { return false };
        match cut.least_ns {
            Some(least_ns) => dur_ns.is_none_or(|dur_ns| dur_ns < least_ns),
            None => true,
        }
    }

    /// What was left out, a sentence for each kind.
    pub(super) fn said(&self, left_out: &BTreeMap<String, u64>) -> Vec<String> {
        let sentences = left_out.iter().filter_map(|(kind, dropped)| {
            let cut = self.by_kind.get(kind)?;
            let (dropped, rows) = (units::count(*dropped), units::count(cut.rows));
            Some(match cut.least_ns {
                Some(least_ns) => {
                    format!(
                        "left out {dropped} of {rows} '{kind}' rows, those below {}, to fit the size",
                        units::duration(least_ns)
                    )
                }
                None => format!("{LEFT_OUT}{dropped} of {rows} '{kind}' rows, which have no duration, to fit the size"),
            })
        });
        sentences.collect()
    }
}

/// The kinds that probes stream, with their rows; totals, stacks and descriptions are none.
fn events(recording: &Recording) -> Vec<(String, u64)> {
    let kinds = &recording.meta().kinds;
    let is_event = |name: &str| kinds.iter().any(|kind| kind.name == name && kind.probe.is_some());
    recording.kinds().into_iter().filter(|(kind, _)| is_event(kind)).collect()
}

/// The duration from which on about `share` of the events of a kind stay.
fn least(recording: &Recording, kind: &str, rows: u64, share: f64) -> Result<Option<i64>> {
    if !recording.has_values(kind, &["dur_ns"]) {
        return Ok(None);
    }
    let mut durations = Histogram::new();
    for chunk in recording.scan(kind, &["dur_ns"])? {
        let chunk = chunk?;
        let values = chunk.int(0);
        (0..chunk.len())
            .filter_map(|index| values.get(index))
            .for_each(|dur_ns| durations.record(u64::try_from(dur_ns).unwrap_or(0)));
    }
    if share <= 0.0 || rows == 0 {
        return Ok(Some(i64::MAX));
    }
    // Nanoseconds of a window are far below 2⁵³.
    Ok(durations.percentile(1.0 - share).map(|ns| ns as i64))
}
