//! What is compared: one statistic of one metric for one set of labels that survives a restart.

use std::fmt;
use std::rc::Rc;

use serde::Deserialize;
use serde::Serialize;

use crate::units::Unit;

/// A number that describes a metric over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Statistic {
    /// Nanoseconds spent per second.
    Time,
    /// Percent of the CPU time of the process, for functions.
    Share,
    /// Occurrences per second.
    Rate,
    /// Bytes per second.
    Bytes,
    /// A percentile, in tenths of a percent.
    Percentile(u16),
    /// Nanoseconds from the start to the end of the window.
    Length,
}

impl Statistic {
    /// Those that an expression can name.
    pub(super) const NAMED: [Statistic; 9] = [
        Statistic::Time,
        Statistic::Share,
        Statistic::Rate,
        Statistic::Bytes,
        Statistic::Percentile(500),
        Statistic::Percentile(900),
        Statistic::Percentile(990),
        Statistic::Percentile(999),
        Statistic::Length,
    ];

    /// The percentiles of every histogram.
    pub(super) const PERCENTILES: [Statistic; 4] = [
        Statistic::Percentile(500),
        Statistic::Percentile(900),
        Statistic::Percentile(990),
        Statistic::Percentile(999),
    ];

    /// The stable name: `time`, `share`, `rate`, `bytes`, `p50` to `p99.9`, `length`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Statistic::Time => "time",
            Statistic::Share => "share",
            Statistic::Rate => "rate",
            Statistic::Bytes => "bytes",
            Statistic::Length => "length",
            Statistic::Percentile(500) => "p50",
            Statistic::Percentile(900) => "p90",
            Statistic::Percentile(990) => "p99",
            Statistic::Percentile(_) => "p99.9",
        }
    }

    /// The percentile between 0 and 1, where it is one.
    pub(super) fn percentile(self) -> Option<f64> {
        match self {
            Statistic::Percentile(tenths) => Some(f64::from(tenths) / 1000.0),
            _ => None,
        }
    }

    /// Whether the value is an amount per second.
    pub(super) fn is_per_second(self) -> bool {
        matches!(self, Statistic::Time | Statistic::Rate | Statistic::Bytes)
    }

    /// Whether a recording that does not mention it has none of it; where percentiles are not mentioned, they are not known.
    pub(super) fn is_amount(self) -> bool {
        self.is_per_second() || self == Statistic::Share
    }

    /// What a value of the statistic measures, for a metric whose values are in `own`.
    pub(super) fn unit(self, own: Unit) -> Unit {
        match self {
            Statistic::Time | Statistic::Length => Unit::Nanoseconds,
            Statistic::Share => Unit::Percent,
            Statistic::Rate => Unit::PerSecond,
            Statistic::Bytes => Unit::Bytes,
            Statistic::Percentile(_) => own,
        }
    }
}

/// Column and value, in the order of the metric's columns.
pub(super) type Labels = Vec<(Rc<str>, Rc<str>)>;

/// A metric with the labels that tell its groups apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Name {
    /// Such as `block.device_time`.
    pub(super) metric: Rc<str>,
    /// What tells the group apart from the metric's others.
    pub(super) labels: Labels,
}

impl Name {
    /// The value of a label.
    pub(super) fn label(&self, column: &str) -> Option<&str> {
        self.labels.iter().find(|(own, _)| **own == *column).map(|(_, value)| &**value)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if self.labels.is_empty() {
            return Ok(());
        }
        let labels: Vec<String> =
            self.labels.iter().map(|(column, value)| format!("{column}={}", quoted(value))).collect();
        write!(f, "{{{}}}", labels.join(", "))
    }
}

/// A value as an expression has to write it.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty() && !value.contains([',', '{', '}', '"', '=', ' ']);
    if plain { value.to_owned() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// One thing that is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Quantity {
    /// Metric and labels.
    pub(super) name: Name,
    /// Which number of it.
    pub(super) statistic: Statistic,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.statistic.name())
    }
}
