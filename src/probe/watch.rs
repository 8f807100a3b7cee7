//! What `record --until` can watch for: values of a probe's rows.

use crate::units::Unit;

/// A value of a probe's rows, or the rows themselves, that can end a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// `probe.value`, as on the command line.
    pub name: &'static str,
    /// The kind of rows.
    pub kind: &'static str,
    /// Only rows with this text in this column, where the kind has others.
    pub only: Option<(&'static str, &'static str)>,
    /// What is compared; `None`: every row counts.
    pub value: Option<Watched>,
    /// Which rows the kernel streams in mode `slow`.
    pub streamed: Streamed,
    /// One sentence: what the value is.
    pub help: &'static str,
}

/// Where the value of a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// Its column, one of integers.
    pub column: &'static str,
    /// A column to subtract, where the row has it.
    pub less: Option<&'static str>,
    /// The value of a row that has none; `None`: such a row is not compared.
    pub absent: Option<i64>,
    /// Its unit.
    pub unit: Unit,
}

/// Which rows the kernel streams in mode `slow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streamed {
    /// Those whose value is at least the threshold, which can be lowered.
    OverThreshold,
    /// Those whose value is at least this, whatever the threshold.
    From(i64),
}

/// A duration in the column `dur_ns`.
pub const DURATION: Watched = Watched { column: "dur_ns", less: None, absent: None, unit: Unit::Nanoseconds };

impl Watch {
    /// A duration that the probe's threshold is about.
    pub const fn duration(name: &'static str, kind: &'static str, help: &'static str) -> Watch {
        Watch { name, kind, only: None, value: Some(DURATION), streamed: Streamed::OverThreshold, help }
    }

    /// Rows that the kernel streams in every mode but `hist`.
    pub const fn occurrence(name: &'static str, kind: &'static str, help: &'static str) -> Watch {
        Watch { name, kind, only: None, value: None, streamed: Streamed::From(i64::MIN), help }
    }
}
