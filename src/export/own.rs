//! Counters beside the metrics of probes: where the time of threads and CPUs went, what was lost, and what recording cost.
//!
//! All of them are rows by interval of other kinds than `metric`.

use crate::recording::MetricMeta;
use crate::report::read::input::Source;
use crate::report::read::rows::Rows;
use crate::units::Unit;

/// A counter that is made of rows of one kind.
#[derive(Debug)]
pub(super) struct Own {
    /// The name, as metrics of probes have one.
    pub(super) name: &'static str,
    /// One sentence.
    pub(super) help: &'static str,
    /// Unit of the amount.
    pub(super) unit: Unit,
    /// Kind of the rows.
    kind: &'static str,
    /// Column of the amount.
    pub(super) amount: &'static str,
    /// What stands in column `op` of its rows, where others have something else there.
    pub(super) op: Option<&'static str>,
    /// The columns that are labels, with the names of the labels.
    pub(super) by: &'static [(&'static str, &'static str)],
    /// Whether filters by process say nothing about it.
    is_of_the_recorder: bool,
}

/// The losses of each probe.
pub(super) const LOST: &str = "recording.lost";
/// The time that was recorded: what counters are divided by to become rates that gaps between recordings do not lower.
pub(super) const TIME: &str = "recording.time";
/// The time in which BPF programs were measured.
pub(super) const MEASURED: &str = "recording.bpf_measured";

/// All of them.
pub(super) const ALL: [Own; 5] = [
    Own {
        name: "threads.time",
        help: "Time of threads by state and cause: on a CPU, waiting for one, blocked or asleep.",
        unit: Unit::Nanoseconds,
        kind: "ledger",
        amount: "sum",
        op: None,
        by: &[("comm", "comm"), ("state", "state"), ("cause", "cause")],
        is_of_the_recorder: false,
    },
    Own {
        name: "cpus.time",
        help: "Time of CPUs by state: busy or idle.",
        unit: Unit::Nanoseconds,
        kind: "cpu_ledger",
        amount: "sum",
        op: None,
        by: &[("cpu", "cpu"), ("state", "state")],
        is_of_the_recorder: false,
    },
    Own {
        name: LOST,
        help: "Events that could not be kept, by probe and cause; a probe that lost none has a series without cause.",
        unit: Unit::Count,
        kind: "lost",
        amount: "count",
        op: None,
        by: &[("name", "probe"), ("cause", "cause")],
        is_of_the_recorder: true,
    },
    Own {
        name: "recording.bpf_time",
        help: "Time in BPF programs, within the time in which they were measured.",
        unit: Unit::Nanoseconds,
        kind: "cost",
        amount: "sum",
        op: Some("program"),
        by: &[("name", "program")],
        is_of_the_recorder: true,
    },
    Own {
        name: "recording.cpu_time",
        help: "CPU time of the recorder's process within the window.",
        unit: Unit::Nanoseconds,
        kind: "cost",
        amount: "sum",
        op: Some("cpu"),
        by: &[],
        is_of_the_recorder: true,
    },
];

/// Those that are a length of time for each interval, not rows.
pub(super) const LENGTHS: [(&str, &str); 2] = [
    (TIME, "Time that was recorded."),
    (MEASURED, "Time in which BPF programs were measured; their time divided by this is their share of a CPU."),
];

impl Own {
    /// Its rows, as far as the filters let them through.
    pub(super) fn rows<'a>(&self, source: &'a Source) -> Rows<'a> {
        if self.is_of_the_recorder { source.rows_of_all_processes(self.kind) } else { source.rows(self.kind) }
    }

    /// As a metric of a recording.
    pub(super) fn meta(&self) -> MetricMeta {
        let by = self.by.iter().map(|(column, _)| (*column).to_owned()).collect();
        MetricMeta { by, unit: self.unit.name().to_owned(), ..length(self.name, self.help) }
    }

    /// The names of its labels.
    pub(super) fn labels(&self) -> Vec<String> {
        self.by.iter().map(|(_, label)| (*label).to_owned()).collect()
    }
}

/// A counter of nanoseconds without labels.
pub(super) fn length(name: &str, help: &str) -> MetricMeta {
    let [name, kind, help] = [name, "counter", help].map(str::to_owned);
    MetricMeta { name, kind, unit: Unit::Nanoseconds.name().to_owned(), help, ..MetricMeta::default() }
}
