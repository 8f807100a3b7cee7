//! What all views do alike: a word about absent probes, cells for percentiles, shares and errors.

use crate::hist::Histogram;
use crate::names::errnos;
use crate::recording::ProbeOutcome;
use crate::render::Document;
use crate::render::Value;
use crate::report::read::input::Source;
use crate::units::Unit;

/// The help of a column `pid_start_ns`.
pub(crate) const PROCESS_START: &str = "Start of the process in nanoseconds of CLOCK_BOOTTIME, which distinguishes it from other processes with the same id.";

/// Says of each recording without a probe's rows why it has none, and which option would have recorded them; and how far its totals are
/// estimates, where the probe was thinned.
pub(crate) fn note_absent_probe(document: &mut Document, sources: &[Source], probe: &str) {
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        let state = source.meta().probes.iter().find(|state| state.name == probe);
        match state.map(|state| (state.state, state.reason.as_deref())) {
            Some((ProbeOutcome::Ran | ProbeOutcome::Unknown, _)) => {}
            Some((ProbeOutcome::Thinned, reason)) => {
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                document.note(format!("{whose}the probe '{probe}' {}{reason}", outcome_word(ProbeOutcome::Thinned)));
            }
            Some((outcome, reason)) => {
                let became = outcome_word(outcome);
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                document.warning(format!("{whose}the probe '{probe}' {became}{reason}"));
            }
            None => document
                .note(format!("{whose}the probe '{probe}' was not asked for; 'ebrec record -p +{probe}' records this")),
        }
    }
}

/// What became of a probe, as the predicate of a sentence.
pub(crate) fn outcome_word(outcome: ProbeOutcome) -> &'static str {
    match outcome {
        ProbeOutcome::Ran => "ran",
        ProbeOutcome::Skipped => "was skipped",
        ProbeOutcome::Failed => "failed",
        ProbeOutcome::Thinned => "was thinned",
        ProbeOutcome::Detached => "was detached early",
        ProbeOutcome::Unknown => "is in a state that this version does not know",
    }
}

/// A percentile of a histogram as a cell; null without values.
pub(crate) fn percentile(histogram: &Histogram, unit: Unit, q: f64) -> Value {
    Value::of(unit, histogram.percentile(q))
}

/// An error as rows give it, a negative errno number, by its name.
pub(crate) fn errno(ret: i64) -> String {
    let number = ret.unsigned_abs();
    let name = i32::try_from(number).ok().and_then(errnos::name);
    name.map_or_else(|| format!("error {number}"), str::to_owned)
}

/// The unit of a metric by its short name; unknown ones count things.
pub(crate) fn unit(name: &str) -> Unit {
    Unit::parse(name).unwrap_or(Unit::Count)
}

/// A length of time as a cell.
pub(crate) fn nanos(ns: u64) -> Value {
    Value::Nanos(whole(ns))
}

/// A size as a cell.
pub(crate) fn bytes(bytes: u64) -> Value {
    Value::Bytes(whole(bytes))
}

/// A moment as a cell, null where it is not known.
pub(crate) fn time(at: Option<i64>) -> Value {
    at.map_or(Value::Null, Value::Time)
}

/// A text as a cell, null where it is empty.
pub(crate) fn some(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

/// A count as a number with a sign, without wrapping.
pub(crate) fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `part` of `whole` in hundredths; null when there is no whole.
pub(crate) fn share(part: f64, whole: f64) -> Value {
    if whole > 0.0 { Value::Percent(100.0 * part / whole) } else { Value::Null }
}
