//! The drain thread: empties the rings, snapshots the aggregates once per interval, and hands batches to the writer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::Result;

use crate::bpf::epoch::Epoch;
use crate::bpf::grace;
use crate::bpf::grace::Grace;
use crate::bpf::live::Live;
use crate::bpf::python::CodeRing;
use crate::bpf::rings::Reader;
use crate::bpf::rings::SharedMaps;
use crate::bpf::unwind::UnwindMaps;
use crate::host::cgroups::Cgroups;
use crate::host::clocks;
use crate::host::priority;
use crate::host::process_ids::ProcessIds;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probe::attached::Loss;
use crate::probe::stacks::Stacks;
use crate::record::backlog::Backlog;
use crate::record::backlog::Weight;
use crate::record::cost::CostMeter;
use crate::record::dispatch::Dispatch;
use crate::record::dispatch::Source;
use crate::record::processes::Processes;
use crate::record::state::Figures;
use crate::record::state::Message;
use crate::record::state::Shared;
use crate::record::state::State;
use crate::recording::Batch;
use crate::recording::ClockAnchor;
use crate::recording::Rows;
use crate::recording::column;
use crate::symbols::resolver::LAST_LOOK;
use crate::symbols::resolver::Resolver;

/// Rows of a kind that make a batch.
const BATCH_ROWS: usize = 16_384;
/// How often it is asked whether the programs that were running at the end of an interval have ended.
const GRACE_LOOK_NS: u64 = 10_000_000;
/// How often the rings are looked at: often while events come, seldom while none do. Past half full the kernel wakes.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Records in one look that call for looking more often, and few enough to look less often.
const MANY: usize = 4096;
const FEW: usize = 256;
/// A program that reads the clock may give its record this much later, where the machine's host takes its CPU away.
const LATE_NS: u64 = 50_000_000;
/// A killed recording is whole to within a second: this long between checkpoints, and the rest to write one.
const CHECKPOINT_NS: u64 = 800_000_000;

/// Everything the drain works on.
pub(super) struct Drain {
    /// The object that keeps the scope.
    pub(super) scope: Live,
    /// The maps that all objects share.
    pub(super) maps: SharedMaps,
    /// The window as the programs see it.
    pub(super) epoch: Arc<Epoch>,
    /// The CPUs to visit where the kernel is slow to say that all programs have ended.
    pub(super) visited: Option<Vec<u32>>,
    /// All rings, mapped.
    pub(super) reader: Reader,
    /// For the wait for programs at the ends of intervals.
    pub(super) grace: grace::Maps,
    /// The probes; the number 0 in a record is the scope's.
    pub(super) sources: Vec<Source>,
    /// The column builders.
    pub(super) rows: Rows,
    /// The processes.
    pub(super) processes: Processes,
    /// The control groups, for the containers of new processes.
    pub(super) cgroups: Option<Cgroups>,
    /// Where the window begins.
    pub(super) start_ns: u64,
    /// Where it will end if nothing ends it before: `u64::MAX` where that is not known.
    pub(super) end_ns: u64,
    /// How often aggregates are read.
    pub(super) interval: Duration,
    /// Whether functions that the compiler inlined are frames of their own.
    pub(super) inlines: bool,
    /// What processes are called here, for reading their files.
    pub(super) ids: Arc<ProcessIds>,
    /// Measures what recording costs.
    pub(super) cost: CostMeter,
    /// What other threads see.
    pub(super) shared: Arc<Shared>,
    /// To the writer.
    pub(super) out: Backlog,
}

impl Drain {
    /// Runs until it is told to stop; then detaches everything and hands over the rest.
    ///
    /// # Errors
    /// When the kernel refuses to go on; what was handed over until then is in the file.
    pub(super) fn run(self) -> Result<State> {
        let Drain {
            scope,
            maps,
            epoch,
            visited,
            mut reader,
            grace,
            sources,
            rows,
            processes,
            cgroups,
            start_ns,
            end_ns,
            interval,
            inlines,
            ids,
            cost,
            shared,
            out,
        } = self;
        let symbols = Resolver::start(inlines, ids, rows.empty())?;
        // Where every CPU has more to do than it can, rings and maps are full before a thread like any other is back.
        priority::first();
        let dispatch =
            Dispatch { sources, rows, processes, stacks: Stacks::default(), start_ns, latest_ns: 0, undecodable: 0 };
        let mut round = Round {
            dispatch,
            codes: maps.unwind().map(UnwindMaps::codes).transpose()?,
            maps,
            epoch,
            symbols,
            scope,
            cgroups,
            cost,
            shared,
            out,
            interval_ns: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX),
            interval_start: start_ns,
            end_ns,
            swapped: None,
            grace: Grace::start(grace, visited)?,
            next_look: u64::MAX,
            next_checkpoint: start_ns + CHECKPOINT_NS,
            stacks_taken: 0,
            state: State::default(),
        };
        round.follow(&mut reader)?;
        round.finish(&mut reader)
    }
}

/// The drain at work.
struct Round {
    dispatch: Dispatch,
    maps: SharedMaps,
    /// What programs tell of Python's code objects.
    codes: Option<CodeRing>,
    epoch: Arc<Epoch>,
    symbols: Resolver,
    scope: Live,
    cgroups: Option<Cgroups>,
    cost: CostMeter,
    shared: Arc<Shared>,
    out: Backlog,
    interval_ns: u64,
    interval_start: u64,
    end_ns: u64,
    /// An interval whose maps are not read yet.
    swapped: Option<Interval>,
    /// Its maps are read when no program writes them any more.
    grace: Grace,
    next_look: u64,
    next_checkpoint: u64,
    /// Stacks that were put into the maps before they were last emptied.
    stacks_taken: u64,
    state: State,
}

impl Round {
    fn follow(&mut self, reader: &mut Reader) -> Result<()> {
        let mut patience = SHORTEST_WAIT;
        while self.epoch.is_open() && !self.shared.stop.load(Ordering::Relaxed) {
            let until_due = self.next_due().saturating_sub(clocks::monotonic_ns());
            reader.wait(patience.min(Duration::from_nanos(until_due)))?;
            let records = reader.drain(&mut |record| self.dispatch.take(record));
            let now = clocks::monotonic_ns();
            let stacks_fill = self.maps.stacks().is_filling(self.epoch.stacks() - self.stacks_taken);
            patience = match records {
                _ if stacks_fill => patience / 2,
                MANY.. => patience / 2,
                ..FEW => patience * 3 / 2,
                _ => patience,
            }
            .clamp(SHORTEST_WAIT, LONGEST_WAIT);
            if now >= self.end_ns {
                self.epoch.close(now);
                break;
            }
            self.cost.tick(now, &self.scope, &self.dispatch.sources)?;
            if now >= self.interval_due() {
                self.end_interval(now)?;
            }
            if now >= self.next_look {
                self.next_look = now + GRACE_LOOK_NS;
                if self.grace.is_over(now)? {
                    self.snapshot()?;
                    self.write_stacks(now)?;
                }
            }
            // A build starts thousands of programs, whose sleeps all differ.
            if stacks_fill {
                self.write_stacks(now)?;
            }
            self.publish();
            let due = now >= self.next_checkpoint;
            if due {
                self.dispatch_rows(|dispatch, cgroups| dispatch.processes.write_fresh(cgroups, &mut dispatch.rows));
                self.write_stacks(now)?;
                self.anchor_clocks();
            }
            self.dispatch.name_processes();
            // What ended within an interval has its rows at the interval's end.
            let needed = self.swapped.map_or(self.interval_start, |interval| interval.start_ns);
            self.dispatch.processes.forget_names_before(needed.saturating_sub(LATE_NS));
            self.send(due)?;
            if due {
                self.checkpoint(now);
            }
        }
        Ok(())
    }

    /// When something other than records has to be seen to.
    fn next_due(&self) -> u64 {
        let next = self.interval_due().min(self.next_look).min(self.next_checkpoint).min(self.cost.next_due());
        next.min(self.end_ns)
    }

    /// When the interval ends. Not while programs write into the one before: it is longer for it. What would be less than half
    /// of one at the end of the window belongs to the last.
    fn interval_due(&self) -> u64 {
        let due = self.interval_start.saturating_add(self.interval_ns);
        let is_last = due.saturating_add(self.interval_ns / 2) > self.end_ns;
        if self.swapped.is_some() || is_last { u64::MAX } else { due }
    }

    fn finish(mut self, reader: &mut Reader) -> Result<State> {
        let now = self.epoch.close(clocks::monotonic_ns());
        self.cost.stop(now, &self.scope, &self.dispatch.sources)?;
        // The pending interval first: its set of maps takes new values from the next swap on.
        self.settle(reader)?;
        self.snapshot()?;
        self.swap(now)?;
        self.epoch.end_totals();
        let sources = &mut self.dispatch.sources;
        self.state.probes.resize_with(sources.len(), Figures::default);
        for (source, figures) in sources.iter_mut().zip(&mut self.state.probes) {
            source.attached.ended()?;
            figures.unfinished = source.attached.unfinished()?;
        }
        self.dispatch.sources.iter_mut().for_each(|source| source.attached.detach());
        self.scope.detach();
        self.grace.begin(clocks::monotonic_ns());
        self.settle(reader)?;
        // What was dropped is known from here on: nothing more is.
        self.send(true)?;
        self.out.wait_from_here()?;
        self.swapped = Some(Interval { start_ns: self.interval_start, end_ns: now });
        self.snapshot()?;
        self.late_values(now)?;
        self.dispatch_rows(|dispatch, cgroups| dispatch.processes.write_fresh(cgroups, &mut dispatch.rows));
        self.write_stacks(now)?;
        let named = self.symbols.finish(Instant::now() + LAST_LOOK, now, &mut self.dispatch.rows);
        self.send_batches(named)?;
        self.state.unnamed_stacks = self.symbols.given_up();
        self.anchor_clocks();
        self.publish();
        self.send(true)?;
        self.state.now_ns = now.max(self.dispatch.latest_ns);
        Ok(self.state)
    }

    /// Takes records until the programs that were to end have ended.
    fn settle(&mut self, reader: &mut Reader) -> Result<()> {
        loop {
            let over = self.grace.is_over(clocks::monotonic_ns())?;
            reader.drain(&mut |record| self.dispatch.take(record));
            if over {
                return Ok(());
            }
            reader.wait(SHORTEST_WAIT)?;
        }
    }

    fn dispatch_rows(&mut self, write: impl FnOnce(&mut Dispatch, Option<&Cgroups>)) {
        write(&mut self.dispatch, self.cgroups.as_ref());
    }

    /// From here on new values go to the other set of maps.
    fn swap(&mut self, now: u64) -> Result<()> {
        let sources = &mut self.dispatch.sources;
        sources.iter_mut().try_for_each(|source| source.attached.ending_interval())?;
        self.epoch.swap();
        sources.iter_mut().try_for_each(|source| source.attached.end_interval(now))
    }

    fn end_interval(&mut self, now: u64) -> Result<()> {
        self.swap(now)?;
        self.grace.begin(now);
        self.next_look = now + GRACE_LOOK_NS;
        self.swapped = Some(Interval { start_ns: self.interval_start, end_ns: now });
        self.interval_start = now;
        Ok(())
    }

    /// Writes the aggregates, losses and cost of the interval that has ended, if it is not written yet.
    fn snapshot(&mut self) -> Result<()> {
        let Some(interval) = self.swapped.take() else { return Ok(()) };
        self.next_look = u64::MAX;
        let mut dropped = self.out.take_dropped();
        let Dispatch { sources, rows, processes, stacks, undecodable, .. } = &mut self.dispatch;
        self.state.probes.resize_with(sources.len(), Figures::default);
        for (source, figures) in sources.iter_mut().zip(&mut self.state.probes) {
            let mut context =
                Context { rows: &mut *rows, names: processes.names().at(interval.end_ns), stacks: &mut *stacks };
            source.attached.snapshot(interval, &mut context)?;
            let mut losses = source.attached.losses().with_context(|| format!("the losses of '{}'", source.name))?;
            losses.extend(too_slow(source.kinds.iter().filter_map(|kind| dropped.remove(kind)).sum()));
            figures.lost += write_losses(source.name, &losses, interval, rows);
        }
        let shared = self.scope.losses()?.into_iter().map(|(cause, cpu, count)| Loss { cause, cpu, count });
        let mut shared: Vec<Loss> = shared.collect();
        let count = std::mem::take(undecodable);
        if count > 0 {
            shared.push(Loss { cause: "record not understood".to_owned(), cpu: None, count });
        }
        shared.extend(too_slow(dropped.into_values().sum()));
        self.state.shared_lost += write_losses("scope", &shared, interval, rows);
        let mut memory = self.maps.memory();
        memory.extend(self.scope.map_memory());
        memory.extend(sources.iter().flat_map(|source| source.attached.map_memory()));
        let spent = self.cost.write(interval, memory.values().sum(), rows);
        self.state.own_cpu = self.cost.own_cpu();
        self.state.shared_cost_ns = spent.shared_ns;
        for (figures, ns) in self.state.probes.iter_mut().zip(spent.probes_ns) {
            figures.cost_ns = ns;
        }
        Ok(())
    }

    /// Values of programs that were still running at the last swap.
    fn late_values(&mut self, now: u64) -> Result<()> {
        self.swap(now)?;
        let Dispatch { sources, rows, processes, stacks, .. } = &mut self.dispatch;
        let interval = Interval { start_ns: self.interval_start, end_ns: now };
        for source in sources {
            let mut context =
                Context { rows: &mut *rows, names: processes.names().at(interval.end_ns), stacks: &mut *stacks };
            source.attached.snapshot(interval, &mut context)?;
        }
        Ok(())
    }

    /// Has the stacks that rows refer to named, while the processes that had them may still be there.
    fn write_stacks(&mut self, now: u64) -> Result<()> {
        self.stacks_taken = self.epoch.stacks();
        let taken = self.maps.take_stacks()?;
        // A program reports a code object before it stores a stack that has it.
        self.codes.iter_mut().for_each(|codes| self.symbols.heard_codes(codes.take()));
        let Dispatch { rows, stacks, .. } = &mut self.dispatch;
        self.symbols.ask(taken, stacks, now, rows);
        Ok(())
    }

    fn anchor_clocks(&mut self) {
        let reading = clocks::read();
        let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        let anchor = ClockAnchor {
            mono_ns: signed(reading.mono_ns),
            boot_ns: signed(reading.boot_ns),
            real_ns: reading.real_ns,
        };
        write_clock(&anchor, &mut self.dispatch.rows);
        // The footer has the first and the last; the rows have all.
        self.state.clocks.truncate(1);
        self.state.clocks.push(anchor);
    }

    /// Lets the other threads see how far it has got.
    fn publish(&mut self) {
        let dispatch = &self.dispatch;
        self.state.probes.resize_with(dispatch.sources.len(), Figures::default);
        let streamed: HashMap<&str, u64> = dispatch.rows.counts().collect();
        for (source, figures) in dispatch.sources.iter().zip(&mut self.state.probes) {
            let aggregated = source.attached.aggregated();
            let of =
                |kind: &&str| aggregated.get(kind).copied().unwrap_or(0).max(streamed.get(kind).copied().unwrap_or(0));
            figures.events = source.kinds.iter().map(of).sum();
        }
        let events = self.state.probes.iter().map(|figures| figures.events).sum();
        let lost = self.state.probes.iter().map(|figures| figures.lost).sum::<u64>() + self.state.shared_lost;
        self.shared.events.store(events, Ordering::Relaxed);
        self.shared.lost.store(lost, Ordering::Relaxed);
    }

    /// Hands over what makes a batch, or everything, as far as the writer takes it now.
    fn send(&mut self, everything: bool) -> Result<()> {
        let named = self.symbols.answers(clocks::monotonic_ns());
        self.send_batches(named)?;
        if everything || self.dispatch.rows.is_due(BATCH_ROWS) {
            self.dispatch.name_processes();
            let batches = self.dispatch.rows.take(BATCH_ROWS, everything);
            self.send_batches(batches)?;
        }
        self.out.hand_over()
    }

    fn send_batches(&mut self, batches: Vec<Batch>) -> Result<()> {
        for batch in batches {
            let is_event = self.dispatch.sources.iter().any(|source| source.kinds.contains(&batch.kind()));
            self.out.take(batch, if is_event { Weight::Event } else { Weight::Frame })?;
        }
        Ok(())
    }

    /// Asks for a checkpoint, or counts it as skipped while the disk is still busy with the one before.
    fn checkpoint(&mut self, now: u64) {
        self.state.now_ns = now;
        self.next_checkpoint = now + CHECKPOINT_NS;
        if self.shared.checkpointing.swap(true, Ordering::Relaxed) {
            self.state.skipped_checkpoints += 1;
        } else {
            self.out.checkpoint(Message::Checkpoint(self.state.clone()));
        }
    }
}

/// Writes a `clock` row.
pub(super) fn write_clock(anchor: &ClockAnchor, rows: &mut Rows) {
    let mut row = rows.row("clock");
    row.at(u64::try_from(anchor.mono_ns).unwrap_or(0));
    row.int(column::MONO_NS, anchor.mono_ns).int(column::BOOT_NS, anchor.boot_ns).int(column::REAL_NS, anchor.real_ns);
}

/// Rows that found no room before the writer.
fn too_slow(count: u64) -> Option<Loss> {
    (count > 0).then(|| Loss { cause: "writer too slow".to_owned(), cpu: None, count })
}

fn write_losses(probe: &str, losses: &[Loss], interval: Interval, rows: &mut Rows) -> u64 {
    for loss in losses {
        let mut row = rows.row("lost");
        row.at(interval.end_ns).int(column::DUR_NS, i64::try_from(interval.length_ns()).unwrap_or(i64::MAX));
        row.text(column::NAME, probe).text(column::CAUSE, &loss.cause);
        row.int(column::COUNT, i64::try_from(loss.count).unwrap_or(i64::MAX));
        if let Some(cpu) = loss.cpu {
            row.int(column::CPU, cpu.into());
        }
    }
    losses.iter().map(|loss| loss.count).sum()
}
