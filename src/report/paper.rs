//! What all views do alike: a host column for several recordings, the first rows of a ranking, and a word about absent probes.

use std::cmp::Reverse;

use crate::hist::Histogram;
use crate::names::errnos;
use crate::recording::ProbeOutcome;
use crate::render::Document;
use crate::render::Field;
use crate::render::Table;
use crate::render::Value;
use crate::report::source::Source;
use crate::units::Unit;

/// A table that grows by recording, with a host column in front when there are several.
pub(super) struct Ranking {
    table: Table,
    with_host: bool,
}

impl Ranking {
    /// Starts a table without rows.
    pub(super) fn new(sources: &[Source], name: &str, title: &str, fields: Vec<Field>) -> Ranking {
        let with_host = sources.len() > 1;
        let host = with_host.then(|| Field::new("host", "host").help("Host of the recording."));
        Ranking { table: Table::new(name, title, host.into_iter().chain(fields).collect()), with_host }
    }

    /// Adds a row, without the host.
    pub(super) fn row(&mut self, source: &Source, cells: Vec<Value>) {
        let host = self.with_host.then(|| Value::from(source.label()));
        self.table.rows.push(host.into_iter().chain(cells).collect());
    }

    /// Orders the rows by a number of theirs, the largest first; equal ones stay as they are.
    pub(super) fn largest_first(&mut self, field: &str) {
        if let Some(at) = self.table.fields.iter().position(|own| own.name == field) {
            self.table.rows.sort_by_key(|row| Reverse(row.get(at).map_or(i64::MIN, magnitude)));
        }
    }

    /// Counts rows that exist and were never added.
    pub(super) fn left_out(&mut self, rows: u64) {
        self.table.omitted = self.table.omitted.saturating_add(rows);
    }

    /// The table with no more than its first rows.
    pub(super) fn top(mut self, shown: usize) -> Table {
        let shown = shown.min(self.table.rows.len());
        self.left_out((self.table.rows.len() - shown) as u64);
        self.table.rows.truncate(shown);
        self.table
    }

    /// The table with every row.
    pub(super) fn all(self) -> Table {
        self.table
    }
}

/// A number to order by; what is not there comes last.
fn magnitude(value: &Value) -> i64 {
    match value {
        Value::Int(n) | Value::Id(n) | Value::Nanos(n) | Value::Bytes(n) | Value::Time(n) => *n,
        // Hundredths and rates are ordered to a thousandth.
        Value::Float(x) | Value::Percent(x) | Value::Rate(x) => (x * 1000.0) as i64,
        Value::Bool(yes) => i64::from(*yes),
        Value::Null | Value::Text(_) => i64::MIN,
    }
}

/// Says of each recording without a probe's rows why it has none, and which option would have recorded them.
pub(super) fn note_absent_probe(document: &mut Document, sources: &[Source], probe: &str) {
    for source in sources {
        let whose = if sources.len() > 1 { format!("{}: ", source.label()) } else { String::new() };
        let state = source.meta().probes.iter().find(|state| state.name == probe);
        match state.map(|state| (state.state, state.reason.as_deref())) {
            Some((ProbeOutcome::Ran | ProbeOutcome::Thinned | ProbeOutcome::Unknown, _)) => {}
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
pub(super) fn outcome_word(outcome: ProbeOutcome) -> &'static str {
    match outcome {
        ProbeOutcome::Ran => "ran",
        ProbeOutcome::Skipped => "was skipped",
        ProbeOutcome::Failed => "failed",
        ProbeOutcome::Thinned => "was thinned out",
        ProbeOutcome::Detached => "was detached early",
        ProbeOutcome::Unknown => "ended in a way that this version does not know",
    }
}

/// A percentile of a histogram as a cell; null without values.
pub(super) fn percentile(histogram: &Histogram, unit: Unit, q: f64) -> Value {
    Value::of(unit, histogram.percentile(q))
}

/// An error as rows give it, a negative errno number, by its name.
pub(super) fn errno(ret: i64) -> String {
    let number = ret.unsigned_abs();
    let name = i32::try_from(number).ok().and_then(errnos::name);
    name.map_or_else(|| format!("error {number}"), str::to_owned)
}

/// The unit of a metric by its short name; unknown ones count things.
pub(super) fn unit(name: &str) -> Unit {
    Unit::parse(name).unwrap_or(Unit::Count)
}

/// A count as a cell, without wrapping.
pub(super) fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `part` of `whole` in hundredths; null when there is no whole.
pub(super) fn share(part: f64, whole: f64) -> Value {
    if whole > 0.0 { Value::Percent(100.0 * part / whole) } else { Value::Null }
}
