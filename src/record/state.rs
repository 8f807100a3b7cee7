//! What the threads of a recording share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::host::doorbell::Doorbell;
use crate::probe::Thins;
use crate::record::budget::Held;
use crate::record::budget::Step;
use crate::record::own_cpu::OwnCpu;
use crate::record::trigger::Fired;
use crate::recording::Batch;
use crate::recording::ClockAnchor;
use crate::recording::NarrowBatch;
use crate::recording::Span;

/// What the drain passes to the writer.
#[derive(Debug)]
pub(super) enum Message {
    /// Rows.
    Batch(Batch),
    /// Rows that waited.
    Narrow(NarrowBatch),
    /// Everything up to now was sent: make it durable, with what is now known.
    Checkpoint(State),
    /// From here on rows refer to nothing in rows before.
    Generation(Generation),
    /// Make a recording of a part of what was sent.
    Copy(Box<Part>),
}

/// The end of an interval, or the beginning of the window.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    /// When it was, in nanoseconds of CLOCK_MONOTONIC.
    pub(super) end_ns: u64,
    /// When the kernel's maps had been swapped: what ended until then was counted.
    pub(super) swapped_ns: u64,
    /// The generation that rows were written to.
    pub(super) generation: u64,
    /// What was known then.
    pub(super) state: State,
}

/// A generation of rows that begins.
#[derive(Debug)]
pub(super) struct Generation {
    /// The oldest that is still needed.
    pub(super) oldest: u64,
    /// What all rows that are kept refer to.
    pub(super) descriptions: Vec<Batch>,
    /// What is known.
    pub(super) state: State,
}

/// A part of the window.
#[derive(Debug)]
pub(super) struct Part {
    /// Which rows it has.
    pub(super) span: Span,
    /// What is known of it.
    pub(super) state: State,
    /// Why it ends.
    pub(super) ended: String,
    /// Rows of its own.
    pub(super) more: Vec<Batch>,
}

/// What is known of a recording that is being made.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// How far it has got, in nanoseconds of CLOCK_MONOTONIC.
    pub(super) now_ns: u64,
    /// How long intervals are by now; 0 before the first has ended.
    pub(super) interval_ns: u64,
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
    /// What recording cost by the measurements for a budget, where there is one.
    pub(super) held: Option<Held>,
    /// How the trigger fired, once it has.
    pub(super) fired: Option<Fired>,
    /// The most that the file has taken on the disk.
    pub(super) disk_bytes: u64,
    /// Where the part of the window begins that is kept; `None`: all of it is.
    pub(super) since: Option<Arc<Mark>>,
}

impl State {
    /// The same without what there was before the part that is kept.
    pub(super) fn of_part(&self) -> State {
        let mut part = self.clone();
        let Some(mark) = part.since.take() else { return part };
        let before = &mark.state;
        for (figures, before) in part.probes.iter_mut().zip(&before.probes) {
            figures.events = figures.events.saturating_sub(before.events);
            figures.lost = figures.lost.saturating_sub(before.lost);
            figures.cost_ns = figures.cost_ns.saturating_sub(before.cost_ns);
            figures.variance = (figures.variance - before.variance).max(0.0);
            figures.forget_steps_before(mark.end_ns);
        }
        part.shared_lost = part.shared_lost.saturating_sub(before.shared_lost);
        part.shared_cost_ns = part.shared_cost_ns.saturating_sub(before.shared_cost_ns);
        part.unnamed_stacks = part.unnamed_stacks.saturating_sub(before.unnamed_stacks);
        part.skipped_checkpoints = part.skipped_checkpoints.saturating_sub(before.skipped_checkpoints);
        part.own_cpu.before_ns = before.own_cpu.window_ns;
        part.own_cpu.window_ns = part.own_cpu.window_ns.saturating_sub(before.own_cpu.window_ns);
        part
    }
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
    /// What was thinned of it, if anything.
    pub(super) thins: Thins,
    /// How it was thinned, in order of time.
    pub(super) steps: Vec<Step>,
    /// Variance of the number of events, where that is an estimate.
    pub(super) variance: f64,
}

impl Figures {
    /// Keeps the steps from a time on, and what was in force then.
    fn forget_steps_before(&mut self, ns: u64) {
        let gone = self.steps.iter().filter(|step| step.at_ns < ns).count();
        self.steps.drain(..gone.saturating_sub(1));
    }
}

/// What the other threads may look at and set.
#[derive(Debug)]
pub(super) struct Shared {
    /// The window is over.
    stop: AtomicBool,
    /// Wakes the drain.
    doorbell: Doorbell,
    /// Events so far.
    pub(super) events: AtomicU64,
    /// Losses so far.
    pub(super) lost: AtomicU64,
    /// Bytes in the file so far.
    pub(super) bytes: AtomicU64,
    /// The most that the file has taken on the disk.
    pub(super) most_bytes: AtomicU64,
    /// Recordings of the newest part that were asked for so far.
    copies: AtomicU64,
    /// A generation is on its way to the writer: no other begins until it has.
    pub(super) generating: AtomicBool,
    /// A checkpoint is on its way, or the disk is slow in taking it.
    pub(super) checkpointing: AtomicBool,
}

impl Shared {
    /// What is true before the window.
    ///
    /// # Errors
    /// When the process may have no more descriptors.
    pub(super) fn new() -> std::io::Result<Shared> {
        Ok(Shared {
            stop: AtomicBool::new(false),
            doorbell: Doorbell::new()?,
            events: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            most_bytes: AtomicU64::new(0),
            copies: AtomicU64::new(0),
            generating: AtomicBool::new(false),
            checkpointing: AtomicBool::new(false),
        })
    }

    /// What wakes the drain.
    pub(super) fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }

    /// Says that the window is over, and wakes the drain.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.doorbell.ring();
    }

    /// Whether the window is over.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Asks for a recording of the newest part, and wakes the drain.
    pub(super) fn ask_for_copy(&self) {
        self.copies.fetch_add(1, Ordering::Relaxed);
        self.doorbell.ring();
    }

    /// Recordings of the newest part that were asked for so far.
    pub(super) fn copies(&self) -> u64 {
        self.copies.load(Ordering::Relaxed)
    }
}
