//! What the threads of a recording tell one another.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;

use crate::record::own_cpu::OwnCpu;
use crate::recording::Batch;
use crate::recording::ClockAnchor;

/// What the drain tells the writer.
#[derive(Debug)]
pub(super) enum Message {
    /// Rows.
    Batch(Batch),
    /// Everything up to now was sent: make it durable, with what is now known.
    Checkpoint(State),
}

/// What is known of a recording that is being made.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// How far it has got, in nanoseconds of CLOCK_MONOTONIC.
    pub(super) now_ns: u64,
    /// The clocks so far.
    pub(super) clocks: Vec<ClockAnchor>,
    /// Every attached probe's figures, in the order of attachment.
    pub(super) probes: Vec<Figures>,
    /// Lost by what all probes share.
    pub(super) shared_lost: u64,
    /// Stacks that have no names for want of time.
    pub(super) unnamed_stacks: u64,
    /// Checkpoints that were due while the disk was still busy with the one before.
    pub(super) skipped_checkpoints: u64,
    /// Estimated nanoseconds in programs that all probes share.
    pub(super) shared_cost_ns: u64,
    /// ebrec's own CPU time.
    pub(super) own_cpu: OwnCpu,
}

/// A probe's figures.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// Events, those in aggregates included.
    pub(super) events: u64,
    /// Events lost.
    pub(super) lost: u64,
    /// Estimated nanoseconds in its programs.
    pub(super) cost_ns: u64,
    /// What had begun in the window and had not ended at its end, where that is known.
    pub(super) unfinished: Option<u64>,
}

/// What the other threads may look at and set.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The window is over.
    pub(super) stop: AtomicBool,
    /// Events so far.
    pub(super) events: AtomicU64,
    /// Losses so far.
    pub(super) lost: AtomicU64,
    /// Bytes in the file so far.
    pub(super) bytes: AtomicU64,
    /// A checkpoint is on its way, or the disk is slow in taking it.
    pub(super) checkpointing: AtomicBool,
}
