//! The probe contract: what a source of rows does once it is attached.
//!
//! Nothing here knows BPF. `probes` implements the contract, `record` drives it through these types alone.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use anyhow::Result;

use super::ProbeInfo;
use super::Scope;
use super::Settings;
use super::event::CustomEvent;
use super::names::NamesThen;
use super::stacks::Stacks;
use crate::host::Host;
use crate::recording::Rows;
use crate::recording::Schema;

/// A source of rows: one BPF object, one column group of the recording.
pub trait Probe: Sync {
    /// What the probe says of itself: constant, so that it can be listed without privilege.
    fn info(&self) -> &'static ProbeInfo;

    /// Whether it records what `-e` asks for, and nothing else.
    fn takes_events(&self) -> bool {
        false
    }

    /// Loads and attaches the probe's programs; it records from here on.
    ///
    /// # Errors
    /// One sentence that says what the kernel refused, fit to be stored as the reason in the recording.
    fn attach(&self, setup: &Setup<'_>) -> Result<Box<dyn Attached>>;
}

/// A probe at work. Dropping it detaches its programs and frees its maps.
pub trait Attached: Send {
    /// The window has just begun: nothing was recorded before.
    ///
    /// # Errors
    /// When the kernel refuses a first look at what there is.
    fn begin(&mut self) -> Result<()>;

    /// Turns one record out of the rings into rows.
    ///
    /// # Errors
    /// `Undecodable` when the record is not one of this probe's; nothing is added then.
    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable>;

    /// The interval is about to end: what is counted now still belongs to it.
    ///
    /// # Errors
    /// When the kernel refuses a look at what there is.
    fn ending_interval(&mut self) -> Result<()>;

    /// The interval has ended: new values go to the other set of maps from here on.
    ///
    /// # Errors
    /// When the kernel refuses a look at what there is.
    fn end_interval(&mut self, end_ns: u64) -> Result<()>;

    /// Drains the maps of the interval that ended last, as `hist` and `metric` rows.
    ///
    /// # Errors
    /// When the kernel refuses to read them.
    fn snapshot(&mut self, interval: Interval, context: &mut Context<'_>) -> Result<()>;

    /// The last interval of all probes has ended, and all totals are read; the programs are attached still.
    ///
    /// # Errors
    /// When the kernel refuses a last look at what there is.
    fn ended(&mut self) -> Result<()>;

    /// How much had begun in the window and had not ended at its end; `None` for a probe whose events are moments. Asked after
    /// [`Attached::ended`], while the programs are attached.
    ///
    /// # Errors
    /// When the kernel refuses a last look at what there is.
    fn unfinished(&self) -> Result<Option<u64>>;

    /// Rows from here on refer to none before: what was written once is written again when it is needed.
    fn forget(&mut self) {}

    /// Whether it attaches to more while it records, as to libraries that are loaded later: the privilege for that is kept then.
    fn attaches_more(&self) -> bool {
        false
    }

    /// Detaches every program; what was gathered stays readable.
    fn detach(&mut self);

    /// Everything lost since the call before, by cause and CPU; runs that the kernel left out only `with_missed_runs`, as asking for those
    /// takes a call for each program.
    ///
    /// # Errors
    /// When the kernel refuses to read the counters.
    fn losses(&mut self, with_missed_runs: bool) -> Result<Vec<Loss>>;

    /// What each program has cost in total since it was attached.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    fn costs(&self) -> Result<Vec<ProgramCost>>;

    /// The hooks in use, as `tp_btf/sched_switch`.
    fn hooks(&self) -> Vec<String>;

    /// Hooks that the probe does without because this kernel does not have them.
    fn lacking(&self) -> Vec<String>;

    /// Places that it does without since probing them would harm what is observed, each with the reason.
    fn left_out(&self) -> Vec<String> {
        Vec::new()
    }

    /// Kernel memory of the maps that it uses, those that it shares with others among them: bytes by the kernel's id of the map.
    fn map_memory(&self) -> BTreeMap<u32, u64>;

    /// Events that the aggregates have counted so far, by the kind of row that stands for one.
    fn aggregated(&self) -> &HashMap<&'static str, u64>;
}

/// What rows are built with: the builders, and the names of processes.
pub struct Context<'a> {
    /// The column builders.
    pub rows: &'a mut Rows,
    /// Process names at the moment that the rows are about: the record's time, or the interval's end.
    pub names: NamesThen<'a>,
    /// The numbers of stacks.
    pub stacks: &'a mut Stacks,
}

/// A record that does not have the shape its header claims.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a record of {length} bytes is not one of this probe's")]
pub struct Undecodable {
    /// The record's length in bytes.
    pub length: usize,
}

/// A stretch of the window, in nanoseconds of CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Where it begins.
    pub start_ns: u64,
    /// Where it ends.
    pub end_ns: u64,
}

impl Interval {
    /// Its length in nanoseconds.
    pub fn length_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// Something that could not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Why, as `ring full`.
    pub cause: String,
    /// The CPU on which it happened, where that is known.
    pub cpu: Option<u32>,
    /// How often.
    pub count: u64,
}

/// The measured cost of one BPF program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramCost {
    /// The kernel's id of the program.
    pub id: u32,
    /// `probe/program`.
    pub name: String,
    /// Runs while statistics were on.
    pub runs: u64,
    /// Nanoseconds spent in those runs.
    pub ns: u64,
    /// Instructions that the verifier looked at; 0 before Linux 5.16, which does not tell.
    pub verified_instructions: u32,
}

/// What a probe is attached with.
pub struct Setup<'a> {
    /// The number that the probe's records carry.
    pub index: u8,
    /// The machine's id of the recorder, which is left out.
    pub own_pid: u32,
    /// The probe's own settings.
    pub settings: Settings,
    /// Which tasks to record.
    pub scope: &'a Scope,
    /// The machine.
    pub host: &'a Host,
    /// The recording's columns.
    pub schema: &'a Schema,
    /// The page of the window: an array of one element.
    pub epoch: BorrowedFd<'a>,
    /// The per-CPU rings: an array of maps.
    pub rings: BorrowedFd<'a>,
    /// One ring's size in bytes.
    pub ring_bytes: u64,
    /// The map of processes in scope.
    pub scope_tasks: BorrowedFd<'a>,
    /// The maps of stacks, by name.
    pub stacks: &'a [(&'static str, BorrowedFd<'a>)],
    /// The maps to unwind user stacks by, by name; none: user stacks are followed by frame pointers.
    pub unwind: &'a [(&'static str, BorrowedFd<'a>)],
    /// The events of the user's own, for the probe that records them.
    pub events: &'a [CustomEvent],
}
