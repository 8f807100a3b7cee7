//! What every recording measured. What only some of them did would be new or gone without having changed.

use std::collections::BTreeSet;

use crate::diff::ledger::LEDGER;
use crate::diff::observe::CPU_SELF;
use crate::diff::observe::CPU_TOTAL;
use crate::diff::observe::OFF_CPU_SELF;
use crate::diff::observe::OFF_CPU_TOTAL;
use crate::diff::quantity::Name;
use crate::diff::sides::Which;
use crate::recording::ProbeOutcome;
use crate::report::read::input::Source;
use crate::report::read::metrics;

/// Where quantities come from that are not metrics of a probe: how they begin, the kind of their rows, and a metric of the same probe.
const DERIVED: [(&str, &str, &str); 5] = [
    (LEDGER, "ledger", metrics::ON_CPU),
    (CPU_SELF, "cpu_sample", metrics::CPU_SAMPLES),
    (CPU_TOTAL, "cpu_sample", metrics::CPU_SAMPLES),
    (OFF_CPU_SELF, "stack_total", metrics::OFF_CPU),
    (OFF_CPU_TOTAL, "stack_total", metrics::OFF_CPU),
];

/// The metrics of all recordings that were added, and those of some.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    /// Measured by all; `None` before the first.
    all: Option<BTreeSet<String>>,
    some: BTreeSet<String>,
    /// The same of each side.
    sides: [Option<BTreeSet<String>>; 2],
}

impl Common {
    /// Adds a recording.
    pub(super) fn add(&mut self, which: Which, source: &Source) {
        let meta = source.meta();
        let failed = |probe: &str| {
            let absent = [ProbeOutcome::Skipped, ProbeOutcome::Failed];
            meta.probes.iter().any(|state| state.name == probe && absent.contains(&state.state))
        };
        let declared = meta.metrics.iter().filter(|metric| !failed(&metric.probe)).map(|metric| metric.name.clone());
        let mut measured: BTreeSet<String> = declared.collect();
        for (begin, kind, metric) in DERIVED {
            if measured.contains(metric) || source.recording().rows(kind) > 0 {
                measured.insert(begin.to_owned());
            }
        }
        self.some.extend(measured.iter().cloned());
        for common in [&mut self.sides[which as usize], &mut self.all] {
            *common = Some(match common.take() {
                None => measured.clone(),
                Some(all) => all.intersection(&measured).cloned().collect(),
            });
        }
    }

    /// The side where not all recordings measured it, if the other one has it: what is only missing has not changed.
    pub(super) fn lacks(&self, name: &Name) -> Option<Which> {
        let source = source(name);
        let [before, after] = self.sides.each_ref().map(|side| side.as_ref().is_some_and(|all| all.contains(source)));
        match (before, after) {
            _ if !self.some.contains(source) => None,
            (false, _) => Some(Which::Before),
            (_, false) => Some(Which::After),
            _ => None,
        }
    }

    /// Whether all recordings measured it; what says something of the recordings themselves, all have.
    pub(super) fn has(&self, name: &Name) -> bool {
        let source = source(name);
        !self.some.contains(source) || self.all.as_ref().is_some_and(|all| all.contains(source))
    }
}

/// What a recording has to measure in order to have a quantity.
fn source(name: &Name) -> &str {
    let derived = DERIVED.iter().find(|(begin, ..)| name.metric.starts_with(begin)).map(|(begin, ..)| *begin);
    derived.unwrap_or(&name.metric)
}
