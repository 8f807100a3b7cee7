//! What a probe says of itself, and what it is asked: plain data. What it does while attached is `attached`'s.

#[cfg(all(feature = "record", target_os = "linux"))]
pub mod attached;
pub mod event;
#[cfg(all(feature = "record", target_os = "linux"))]
pub mod hook;
mod mode;
pub mod names;
pub mod site;
pub mod stacks;
pub mod watch;

use std::time::Duration;

pub use self::mode::Mode;
use self::watch::Watch;
use crate::recording::Column;
use crate::recording::Holds;
use crate::units::Unit;

/// What a probe says of itself.
pub struct ProbeInfo {
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence: what it measures.
    pub summary: &'static str,
    /// Part of the default set.
    pub default_on: bool,
    /// The mode without a request.
    pub default_mode: Mode,
    /// The threshold of `slow` without a request; `None`: the probe has no threshold.
    pub slow: Option<Duration>,
    /// How many samples a second it takes on each CPU without a request, and the most that it may be asked for with `probe:hz=N`; `None`:
    /// it does not sample.
    pub hertz: Option<Hertz>,
    /// The settings that only it has.
    pub switches: &'static [Switch],
    /// Its histograms and counters.
    pub metrics: &'static [Metric],
    /// The kinds of rows that it streams.
    pub kinds: &'static [EventKind],
    /// The columns that it adds to the core ones.
    pub columns: &'static [Column],
    /// What the texts of its kinds and metrics say in columns where that depends on the probe.
    pub holds: &'static [(&'static str, Holds)],
    /// What `record --until` can watch for in its rows.
    pub watches: &'static [Watch],
    /// The kernel hooks that it attaches to.
    pub hooks: &'static [&'static str],
    /// The oldest kernel that it runs on.
    pub oldest_kernel: (u32, u32),
    /// One sentence: what it costs.
    pub cost: &'static str,
    /// What `record --max-overhead` thins.
    pub thins: Thins,
}

/// What of a probe is thinned to hold a budget of CPU time: one in so many is taken then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Thins {
    /// Nothing.
    #[default]
    Nothing,
    /// The rows that each event has in raw mode. Totals have all events still.
    Rows,
    /// Events, with all that is made of them. Totals are estimates then.
    Events,
}

impl ProbeInfo {
    /// What a probe is that says nothing else: asked for by name only, `slow` without a threshold, on every kernel that ebrec supports.
    pub const PLAIN: ProbeInfo = ProbeInfo {
        name: "",
        summary: "",
        default_on: false,
        default_mode: Mode::Slow,
        slow: None,
        hertz: None,
        switches: &[],
        metrics: &[],
        kinds: &[],
        columns: &[],
        holds: &[],
        watches: &[],
        hooks: &[],
        oldest_kernel: (5, 10),
        cost: "",
        thins: Thins::Nothing,
    };

    /// The metric that the probe's programs give this number.
    pub fn metric(&self, number: u16) -> Option<&'static Metric> {
        self.metrics.iter().find(|metric| metric.number == number)
    }
}

/// The rate of a probe that samples CPUs, in samples a second on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hertz {
    /// Without a request.
    pub default: u32,
    /// The most that can be asked for.
    pub most: u32,
}

/// A setting that only one probe has: off, unless the user says `probe:name=on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence: what it does when it is on.
    pub help: &'static str,
}

/// A histogram or counter.
pub struct Metric {
    /// Its enumerator in C, which cells of aggregates carry.
    pub number: u16,
    /// `probe.metric`.
    pub name: &'static str,
    /// How it aggregates.
    pub kind: MetricKind,
    /// The unit of its values.
    pub unit: Unit,
    /// The columns that it is kept by.
    pub by: &'static [&'static str],
    /// One sentence: between which two events it measures.
    pub help: &'static str,
    /// The kind of rows that hold the same values one by one in raw mode.
    pub events: Option<&'static str>,
}

/// How a metric aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Log-linear buckets, and exact count, sum, minimum and maximum.
    Histogram,
    /// Count and sum.
    Counter,
}

/// A kind of streamed row.
pub struct EventKind {
    /// The value of the column `kind`.
    pub name: &'static str,
    /// One sentence: what a row is.
    pub help: &'static str,
    /// The columns that its rows may fill, beside `kind`, `host`, `run_id`, `ts` and `ts_sub_ns`, which all rows have.
    pub columns: &'static [&'static str],
}

/// A probe's resolved settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How much it streams.
    pub mode: Mode,
    /// The threshold of `slow`, in nanoseconds.
    pub slow_ns: u64,
    /// Samples a second on each CPU; 0: the probe does not sample.
    pub hertz: u32,
    /// Which of the probe's switches are on: a bit for each, by its place among them.
    pub switched_on: u32,
}

impl Settings {
    /// Whether the switch at this place among the probe's is on.
    pub fn is_on(self, place: usize) -> bool {
        self.switched_on >> place & 1 == 1
    }
}

/// Which tasks a recording is about. Empty lists filter nothing; filters of different sorts must all match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Processes by id.
    pub pids: Vec<u32>,
    /// Processes by name.
    pub comms: Vec<String>,
    /// Users by id.
    pub uids: Vec<u32>,
    /// Control groups with what is below them.
    pub cgroups: Vec<CgroupScope>,
    /// Children of a process in scope are in scope.
    pub follow: bool,
}

/// A control group in scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupScope {
    /// Its number, which is its directory's inode number.
    pub id: u64,
    /// Its depth; the root's is 0.
    pub level: u32,
}
