//! The drain thread: empties the rings, snapshots the aggregates once per interval, and hands batches to the writer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::Result;
use signal_hook::consts::SIGUSR1;

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
use crate::host::processes as host_processes;
use crate::host::root::Root;
use crate::names::signals;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probe::attached::Loss;
use crate::probe::stacks::Program;
use crate::probe::stacks::Stacks;
use crate::record::backlog::Backlog;
use crate::record::backlog::Weight;
use crate::record::budget::Budget;
use crate::record::budget::Thinning;
use crate::record::cost::CostMeter;
use crate::record::cost::Measured;
use crate::record::counters::Counters;
use crate::record::dispatch::AttachedProbe;
use crate::record::dispatch::Dispatch;
use crate::record::last::Copying;
use crate::record::last::Last;
use crate::record::machine;
use crate::record::own_cpu;
use crate::record::pace::Pace;
use crate::record::processes::Processes;
use crate::record::state::Figures;
use crate::record::state::Generation;
use crate::record::state::Message;
use crate::record::state::Part;
use crate::record::state::Shared;
use crate::record::state::State;
use crate::record::trigger::Watcher;
use crate::record::window::WindowEvent;
use crate::recording::Batch;
use crate::recording::ClockAnchor;
use crate::recording::Rows;
use crate::recording::Span;
use crate::recording::column;
use crate::symbols::resolver::LAST_LOOK;
use crate::symbols::resolver::Resolver;

/// Rows of a kind that make a batch.
const BATCH_ROWS: usize = 16_384;
/// How often it is asked whether the programs that were running at the end of an interval have ended. The first time is when something
/// else is due, which saves a wake-up, and at most the latter time after the end.
const GRACE_LOOK_NS: u64 = 10_000_000;
const FIRST_GRACE_LOOK_NS: u64 = 400_000_000;
/// How often the rings are looked at: often while events come, seldom while none do. Programs wake the drain when a ring is half full, and
/// when the maps of stacks fill.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often at least while someone waits for records: a trigger, a copy, a backlog, a thread that asks what a new process is called here.
const LONGEST_URGENT_WAIT: Duration = Duration::from_millis(50);
/// Records in one look that call for looking more often, and few enough to look less often.
const MANY: usize = 4096;
const FEW: usize = 256;
/// A program that reads the clock may give its record this much later, where the machine's host takes its CPU away.
const LATE_NS: u64 = 50_000_000;
/// How often programs are asked for runs that the kernel left out, and maps for their memory: each takes a call for each of a hundred.
const MISSED_RUNS_NS: u64 = 1_000_000_000;
const MEMORY_NS: u64 = 5_000_000_000;
/// A killed recording is whole to within a second: this long between checkpoints, and the rest to write one.
const CHECKPOINT_NS: u64 = 800_000_000;
/// A checkpoint follows a reading of aggregates that is at most so much, or half an interval, before the time when it is due, or so much after
/// it: then it has them.
const CHECKPOINT_EARLY_NS: u64 = 400_000_000;
const CHECKPOINT_LATE_NS: u64 = 20_000_000;

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
    pub(super) probes: Vec<AttachedProbe>,
    /// The column builders.
    pub(super) rows: Rows,
    /// The processes.
    pub(super) processes: Processes,
    /// Processes whose arguments could not be read at the start.
    pub(super) unread: u64,
    /// The control groups, for the containers of new processes.
    pub(super) cgroups: Option<Cgroups>,
    /// Where the window begins.
    pub(super) start_ns: u64,
    /// Where it will end if nothing ends it before: `u64::MAX` where that is not known.
    pub(super) end_ns: u64,
    /// How often aggregates are read.
    pub(super) pace: Pace,
    /// Whether functions that the compiler inlined are frames of their own.
    pub(super) inlines: bool,
    /// What processes are called here, for reading their files.
    pub(super) ids: Arc<ProcessIds>,
    /// Measures what recording costs.
    pub(super) cost: CostMeter,
    /// What it may cost, where that is bounded.
    pub(super) budget: Option<Budget>,
    /// Reads the kernel's counters of trouble.
    pub(super) counters: Counters,
    /// What other threads see.
    pub(super) shared: Arc<Shared>,
    /// To the writer.
    pub(super) out: Backlog,
    /// Watches for what ends the window before its time.
    pub(super) watcher: Option<Watcher>,
    /// Reports events to the thread that waits for the end of the window.
    pub(super) events: Sender<WindowEvent>,
    /// The newest span, where only that is kept.
    pub(super) last: Option<Last>,
    /// Models of CPUs.
    pub(super) cpu_models: Vec<(u32, String)>,
    /// Libraries that processes load.
    pub(super) loaded: Option<Receiver<Program>>,
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
            probes,
            rows,
            processes,
            unread,
            cgroups,
            start_ns,
            end_ns,
            pace,
            inlines,
            ids,
            cost,
            budget,
            counters,
            shared,
            out,
            watcher,
            events,
            last,
            cpu_models,
            loaded,
        } = self;
        let ids_differ = ids.differ();
        let symbols = Resolver::start(inlines, ids, rows.empty())?;
        // Where every CPU has more to do than it can, rings and maps are full before a thread like any other is back.
        priority::first();
        let streamed = vec![0; probes.len()];
        let dispatch =
            Dispatch { probes, rows, processes, stacks: Stacks::default(), start_ns, latest_ns: 0, undecodable: 0 };
        let mut round = Round {
            dispatch,
            codes: maps.unwind().map(UnwindMaps::codes).transpose()?,
            loaded,
            maps,
            epoch,
            symbols,
            scope,
            unread,
            cgroups,
            cost,
            streamed,
            budget,
            counters: Some(counters),
            shared,
            out,
            pace,
            interval_start: start_ns,
            end_ns,
            swapped: None,
            grace: Grace::start(grace, visited)?,
            look_from: u64::MAX,
            next_look: u64::MAX,
            next_checkpoint: start_ns + CHECKPOINT_NS,
            missed_runs_due: start_ns + MISSED_RUNS_NS,
            memory_due: start_ns,
            map_bytes: 0,
            stacks_taken: 0,
            state: State::default(),
            watcher,
            trigger_end_ns: u64::MAX,
            events,
            last,
            cpu_models,
            swapped_ns: start_ns,
            ids_differ,
        };
        round.follow(&mut reader)?;
        round.finish(&mut reader)
    }
}

/// The drain at work.
struct Round {
    dispatch: Dispatch,
    maps: SharedMaps,
    /// Libraries that processes load.
    loaded: Option<Receiver<Program>>,
    /// What programs tell of Python's code objects.
    codes: Option<CodeRing>,
    epoch: Arc<Epoch>,
    symbols: Resolver,
    scope: Live,
    /// Processes whose arguments were not read, until that is written.
    unread: u64,
    cgroups: Option<Cgroups>,
    cost: CostMeter,
    budget: Option<Budget>,
    /// Rows that each probe had streamed at the last measurement.
    streamed: Vec<u64>,
    /// Until the window ends.
    counters: Option<Counters>,
    shared: Arc<Shared>,
    out: Backlog,
    pace: Pace,
    interval_start: u64,
    end_ns: u64,
    /// An interval whose maps are not read yet.
    swapped: Option<Interval>,
    /// Its maps are read when no program writes them any more.
    grace: Grace,
    /// From when on the drain asks whether that is so, and when it wakes for that alone.
    look_from: u64,
    next_look: u64,
    next_checkpoint: u64,
    /// The first interval that ends after this looks up the runs that the kernel left out, or the memory of maps.
    missed_runs_due: u64,
    memory_due: u64,
    /// Kernel memory of all maps.
    map_bytes: u64,
    /// Stacks that were put into the maps before they were last emptied.
    stacks_taken: u64,
    state: State,
    watcher: Option<Watcher>,
    /// When what was to follow the trigger is over.
    trigger_end_ns: u64,
    events: Sender<WindowEvent>,
    last: Option<Last>,
    cpu_models: Vec<(u32, String)>,
    /// When the maps were swapped last.
    swapped_ns: u64,
    /// Whether processes have other ids here, which their records say.
    ids_differ: bool,
}

impl Round {
    fn follow(&mut self, reader: &mut Reader) -> Result<()> {
        let mut patience = SHORTEST_WAIT;
        while self.epoch.is_open() && !self.shared.is_stopped() {
            let until_due = self.next_due().saturating_sub(clocks::monotonic_ns());
            let longest = if self.is_urgent() { LONGEST_URGENT_WAIT } else { LONGEST_WAIT };
            patience = patience.clamp(SHORTEST_WAIT, longest);
            let was_woken = reader.wait(patience.min(Duration::from_nanos(until_due)))?;
            let records = reader.drain(&mut |record| self.dispatch.take(record));
            let now = clocks::monotonic_ns();
            let stacks_fill = self.maps.stacks().is_filling(self.epoch.stacks() - self.stacks_taken, was_woken);
            patience = match records {
                _ if stacks_fill => patience / 2,
                MANY.. => patience / 2,
                ..FEW => patience * 3 / 2,
                _ => patience,
            };
            self.watch(now);
            if now >= self.end_ns {
                self.epoch.close(now);
                break;
            }
            if let Some(measured) = self.cost.tick(now, &self.scope, &self.dispatch.probes)? {
                self.hold_budget(&measured, now);
            }
            let mut has_read = false;
            if now >= self.look_from {
                has_read = self.grace.is_over(now)?;
                if has_read {
                    self.snapshot()?;
                    self.write_stacks(now)?;
                    self.begin_generation(now)?;
                } else {
                    self.look_from = now + GRACE_LOOK_NS;
                    self.next_look = self.next_look.max(self.look_from);
                }
            }
            // The window may have ended while this waited, and no interval ends after it.
            if now >= self.interval_due() && self.epoch.is_open() {
                self.end_interval()?;
            }
            // A build starts thousands of programs, whose sleeps all differ.
            if stacks_fill {
                self.write_stacks(now)?;
            }
            self.make_copy(now)?;
            self.publish();
            let early = CHECKPOINT_EARLY_NS.min(self.pace.length_ns() / 2);
            let due = now >= self.checkpoint_due() || has_read && now + early >= self.next_checkpoint;
            if due {
                self.dispatch_rows(|dispatch, cgroups| dispatch.processes.write_fresh(cgroups, &mut dispatch.rows));
                self.write_stacks(now)?;
                self.anchor_clocks();
            }
            self.dispatch.name_processes();
            // What ended within an interval has its rows at the interval's end.
            let needed = self.swapped.map_or(self.interval_start, |interval| interval.start_ns);
            self.dispatch.processes.forget_names_before(needed.saturating_sub(LATE_NS));
            self.gather(due)?;
            if due {
                self.checkpoint(now);
            }
            self.out.hand_over()?;
        }
        Ok(())
    }

    /// Whether someone waits for what comes next.
    fn is_urgent(&self) -> bool {
        let is_watching = self.watcher.is_some() && self.state.fired.is_none();
        is_watching
            || self.ids_differ
            || !self.out.is_empty()
            || self.last.as_ref().is_some_and(|last| last.copying != Copying::Idle)
    }

    /// When the next checkpoint has to be: with the next reading of aggregates, if that is about to be.
    fn checkpoint_due(&self) -> u64 {
        let soon = self.next_checkpoint..self.next_checkpoint + CHECKPOINT_LATE_NS;
        if soon.contains(&self.next_look) { self.next_look } else { self.next_checkpoint }
    }

    /// When something other than records has to be seen to.
    fn next_due(&self) -> u64 {
        let next = self.interval_due().min(self.next_look).min(self.checkpoint_due()).min(self.cost.next_due());
        let watch = self.watcher.as_ref().filter(|_| self.state.fired.is_none()).map_or(u64::MAX, Watcher::next_due);
        next.min(self.end_ns).min(watch)
    }

    /// Looks whether the trigger fires, and ends the window when what was to follow it has.
    fn watch(&mut self, now: u64) {
        let Some(watcher) = &mut self.watcher else { return };
        if self.state.fired.is_none() {
            let Dispatch { rows, processes, .. } = &self.dispatch;
            let Some(fired) = watcher.look(rows, processes.names(), now) else { return };
            let after = u64::try_from(watcher.trigger().after().as_nanos()).unwrap_or(u64::MAX);
            self.trigger_end_ns = fired.at_ns.saturating_add(after);
            self.end_ns = self.end_ns.min(self.trigger_end_ns);
            self.last.iter_mut().for_each(|last| last.fired(fired.at_ns));
            self.state.fired = Some(fired);
        }
        // Otherwise the window ends as it was to end anyway.
        if now >= self.trigger_end_ns && self.end_ns == self.trigger_end_ns {
            let _ = self.events.send(WindowEvent::Triggered);
        }
    }

    /// Thins what costs too much, or takes more again.
    fn hold_budget(&mut self, measured: &Measured, now: u64) {
        let Some(budget) = &mut self.budget else { return };
        let counts: HashMap<&str, u64> = self.dispatch.rows.counts().collect();
        let probes = &mut self.dispatch.probes;
        let of = |probe: &AttachedProbe| probe.kinds.iter().filter_map(|kind| counts.get(kind)).sum();
        let streamed: Vec<u64> = probes.iter().map(of).collect();
        let fresh = streamed.iter().zip(&self.streamed).map(|(now, before)| now.saturating_sub(*before));
        let steps = budget.measured(&measured.shares(now, &fresh.collect::<Vec<u64>>()));
        self.streamed = streamed;
        self.state.held = Some(budget.held());
        self.state.probes.resize_with(probes.len(), Figures::default);
        for (place, step) in steps {
            let (Some(probe), Some(figures)) = (probes.get_mut(place), self.state.probes.get_mut(place)) else {
                continue;
            };
            match step.to {
                Thinning::Shift(shift) => self.epoch.thin(probe.number, shift),
                Thinning::Detached => probe.attached.detach(),
            }
            figures.thins = probe.thins;
            figures.steps.push(step);
        }
    }

    /// When the interval ends. Not while programs write into the one before: it is longer for it.
    fn interval_due(&self) -> u64 {
        if self.swapped.is_some() { u64::MAX } else { self.pace.due(self.interval_start, self.end_ns) }
    }

    fn finish(mut self, reader: &mut Reader) -> Result<State> {
        let now = self.epoch.close(clocks::monotonic_ns());
        self.last.iter_mut().for_each(|last| last.ask(self.shared.copies()));
        self.cost.stop(now, &self.scope, &self.dispatch.probes)?;
        self.counters.iter().for_each(|counters| counters.end_window(now));
        // The pending interval first: its set of maps takes new values from the next swap on.
        self.settle(reader)?;
        self.snapshot()?;
        self.swap(Some(now))?;
        self.epoch.end_totals();
        let probes = &mut self.dispatch.probes;
        self.state.probes.resize_with(probes.len(), Figures::default);
        for (probe, figures) in probes.iter_mut().zip(&mut self.state.probes) {
            probe.attached.ended()?;
            figures.unfinished = probe.attached.unfinished()?;
        }
        self.dispatch.probes.iter_mut().for_each(|probe| probe.attached.detach());
        self.scope.detach();
        self.grace.begin(clocks::monotonic_ns());
        self.settle(reader)?;
        // What was dropped is known from here on: nothing more is.
        self.send(true)?;
        self.out.wait_from_here()?;
        self.swapped = Some(Interval { start_ns: self.interval_start, end_ns: now });
        self.snapshot()?;
        self.late_values(now)?;
        self.last_counters(now);
        self.dispatch_rows(|dispatch, cgroups| dispatch.processes.write_fresh(cgroups, &mut dispatch.rows));
        self.write_stacks(now)?;
        let named = self.symbols.finish(Instant::now() + LAST_LOOK, now, &mut self.dispatch.rows);
        self.send_batches(named)?;
        self.state.unnamed_stacks = self.symbols.given_up();
        self.anchor_clocks();
        self.publish();
        self.send(true)?;
        match self.last.as_ref().map_or(Copying::Idle, |last| last.copying) {
            Copying::Idle => {}
            Copying::Asked => self.copy(now, 0),
            Copying::Reading(end_ns) | Copying::Naming { end_ns, .. } => self.copy(end_ns, 0),
        }
        self.state.now_ns = now.max(self.dispatch.latest_ns);
        self.state.since = self.last.as_ref().and_then(|last| last.begin(now));
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

    /// From here on new values go to the other set of maps; the window may have ended before. Says when the interval ended.
    fn swap(&mut self, window_end: Option<u64>) -> Result<u64> {
        let probes = &mut self.dispatch.probes;
        probes.iter_mut().try_for_each(|probe| probe.attached.ending_interval())?;
        let end = window_end.unwrap_or_else(clocks::monotonic_ns);
        self.epoch.swap();
        self.swapped_ns = clocks::monotonic_ns();
        probes.iter_mut().try_for_each(|probe| probe.attached.end_interval(end))?;
        Ok(end)
    }

    /// Says when the interval ended.
    fn end_interval(&mut self) -> Result<u64> {
        let now = self.swap(None)?;
        self.counters.iter_mut().for_each(|counters| counters.end_interval(now));
        self.grace.begin(now);
        self.look_from = now + GRACE_LOOK_NS;
        self.swapped = Some(Interval { start_ns: self.interval_start, end_ns: now });
        self.pace.ended(self.interval_start, now);
        self.state.interval_ns = self.pace.length_ns();
        self.interval_start = now;
        // The next interval can't end before this one is read.
        self.next_look = self.pace.due(now, self.end_ns).min(now + FIRST_GRACE_LOOK_NS);
        Ok(now)
    }

    /// Writes the aggregates, losses and cost of the interval that has ended, if it is not written yet.
    fn snapshot(&mut self) -> Result<()> {
        let Some(interval) = self.swapped.take() else { return Ok(()) };
        (self.look_from, self.next_look) = (u64::MAX, u64::MAX);
        let mut dropped = self.out.take_dropped();
        // When the window is over all is looked up.
        let is_over = !self.epoch.is_open();
        let with_missed_runs = is_over || interval.end_ns >= self.missed_runs_due;
        if with_missed_runs {
            self.missed_runs_due = interval.end_ns + MISSED_RUNS_NS;
        }
        let Dispatch { probes, rows, processes, stacks, undecodable, .. } = &mut self.dispatch;
        self.state.probes.resize_with(probes.len(), Figures::default);
        for (place, (probe, figures)) in probes.iter_mut().zip(&mut self.state.probes).enumerate() {
            let mut context =
                Context { rows: &mut *rows, names: processes.names().at(interval.end_ns), stacks: &mut *stacks };
            let before: u64 = probe.attached.aggregated().values().sum();
            probe.attached.snapshot(interval, &mut context)?;
            if let Some(budget) = &mut self.budget {
                let fresh = probe.attached.aggregated().values().sum::<u64>().saturating_sub(before);
                figures.variance += variance(fresh, budget.take_weight(place));
            }
            let mut losses =
                probe.attached.losses(with_missed_runs).with_context(|| format!("the losses of '{}'", probe.name))?;
            losses.extend(too_slow(probe.kinds.iter().filter_map(|kind| dropped.remove(kind)).sum()));
            figures.lost += write_losses(probe.name, &losses, interval, rows);
        }
        let shared =
            self.scope.losses(with_missed_runs)?.into_iter().map(|(cause, cpu, count)| Loss { cause, cpu, count });
        let mut shared: Vec<Loss> = shared.collect();
        let count = std::mem::take(undecodable);
        if count > 0 {
            shared.push(Loss { cause: "record not understood".to_owned(), cpu: None, count });
        }
        let count = std::mem::take(&mut self.unread);
        if count > 0 {
            shared.push(Loss { cause: "arguments not read in time".to_owned(), cpu: None, count });
        }
        shared.extend(too_slow(dropped.into_values().sum()));
        self.state.shared_lost += write_losses("scope", &shared, interval, rows);
        if is_over || interval.end_ns >= self.memory_due {
            self.memory_due = interval.end_ns + MEMORY_NS;
            let mut memory = self.maps.memory();
            memory.extend(self.scope.map_memory());
            memory.extend(probes.iter().flat_map(|probe| probe.attached.map_memory()));
            self.map_bytes = memory.values().sum();
        }
        let spent = self.cost.write(interval, self.map_bytes, rows);
        self.state.own_cpu = self.cost.own_cpu();
        self.state.shared_cost_ns = spent.shared_ns;
        for (figures, ns) in self.state.probes.iter_mut().zip(spent.probes_ns) {
            figures.cost_ns = ns;
        }
        self.publish();
        if let Some(last) = &mut self.last {
            last.mark(interval.end_ns, self.swapped_ns, &self.state);
        }
        Ok(())
    }

    /// Values of programs that were still running at the last swap.
    fn late_values(&mut self, now: u64) -> Result<()> {
        self.swap(Some(now))?;
        let Dispatch { probes, rows, processes, stacks, .. } = &mut self.dispatch;
        let interval = Interval { start_ns: self.interval_start, end_ns: now };
        for probe in probes {
            let mut context =
                Context { rows: &mut *rows, names: processes.names().at(interval.end_ns), stacks: &mut *stacks };
            probe.attached.snapshot(interval, &mut context)?;
        }
        Ok(())
    }

    /// The counters at the window's end, or a loss where they were not read in time.
    fn last_counters(&mut self, now: u64) {
        let rows = &mut self.dispatch.rows;
        if let Some(counters) = self.counters.take()
            && !counters.finish(rows)
        {
            let late = Loss { cause: "counters not read in time".to_owned(), cpu: None, count: 1 };
            let interval = Interval { start_ns: self.interval_start, end_ns: now };
            self.state.shared_lost += write_losses("counters", &[late], interval, rows);
        }
    }

    /// Has the stacks that rows refer to named, while the processes that had them may still be there.
    fn write_stacks(&mut self, now: u64) -> Result<()> {
        let put = self.epoch.stacks();
        let taken = if put == self.stacks_taken { Vec::new() } else { self.maps.take_stacks()? };
        self.stacks_taken = put;
        // A program reports a code object before it stores a stack that has it.
        self.codes.iter_mut().for_each(|codes| self.symbols.add_codes(codes.take()));
        let Dispatch { rows, stacks, .. } = &mut self.dispatch;
        self.loaded.iter().flat_map(Receiver::try_iter).for_each(|library| stacks.add_program(library));
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
        self.state.probes.resize_with(dispatch.probes.len(), Figures::default);
        let streamed: HashMap<&str, u64> = dispatch.rows.counts().collect();
        for (probe, figures) in dispatch.probes.iter().zip(&mut self.state.probes) {
            let aggregated = probe.attached.aggregated();
            let of =
                |kind: &&str| aggregated.get(kind).copied().unwrap_or(0).max(streamed.get(kind).copied().unwrap_or(0));
            figures.events = probe.kinds.iter().map(of).sum();
        }
        let events = self.state.probes.iter().map(|figures| figures.events).sum();
        let lost = self.state.probes.iter().map(|figures| figures.lost).sum::<u64>() + self.state.shared_lost;
        self.state.disk_bytes = self.shared.most_bytes.load(Ordering::Relaxed);
        self.shared.events.store(events, Ordering::Relaxed);
        self.shared.lost.store(lost, Ordering::Relaxed);
    }

    /// Hands over what makes a batch, or everything, as far as the writer takes it now.
    fn send(&mut self, everything: bool) -> Result<()> {
        self.gather(everything)?;
        self.out.hand_over()
    }

    /// Makes batches of what makes one, or of everything.
    fn gather(&mut self, everything: bool) -> Result<()> {
        let named = self.symbols.answers(clocks::monotonic_ns());
        self.send_batches(named)?;
        self.counters.iter_mut().for_each(|counters| counters.write(&mut self.dispatch.rows));
        if everything || self.dispatch.rows.is_due(BATCH_ROWS) {
            self.dispatch.name_processes();
            let batches = self.dispatch.rows.take(BATCH_ROWS, everything);
            self.send_batches(batches)?;
        }
        Ok(())
    }

    fn send_batches(&mut self, batches: Vec<Batch>) -> Result<()> {
        for batch in batches {
            let is_event = self.dispatch.probes.iter().any(|probe| probe.kinds.contains(&batch.kind()));
            self.out.take(batch, if is_event { Weight::Event } else { Weight::Frame })?;
        }
        Ok(())
    }

    /// Has rows from here on refer to none before, so that the writer can give up what is older than the span.
    fn begin_generation(&mut self, now: u64) -> Result<()> {
        let Some(last) = self.last.as_mut().filter(|last| last.is_generation_due(now)) else { return Ok(()) };
        // While the disk is slow the generation goes on.
        if self.shared.generating.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let Some((oldest, begin)) = last.begin_generation(now) else { return Ok(()) };
        self.dispatch_rows(|dispatch, cgroups| dispatch.processes.write_fresh(cgroups, &mut dispatch.rows));
        self.send(true)?;
        let Dispatch { rows, processes, stacks, probes, .. } = &mut self.dispatch;
        let first = stacks.forget();
        let needed = self.last.as_mut().map_or(0, |last| last.begin_stacks(oldest, first));
        probes.iter_mut().for_each(|probe| probe.attached.forget());
        self.symbols.forget(needed, now);
        let alive =
            host_processes::pids(&Root::system()).into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect();
        processes.forget_gone(&alive, now, begin.end_ns);
        let mut rows = rows.empty();
        machine::write(&self.cpu_models, self.cgroups.as_ref(), begin.end_ns, &mut rows);
        processes.write_kept(self.cgroups.as_ref(), &mut rows);
        self.state.now_ns = now;
        self.state.since = Some(begin);
        let descriptions = rows.take(1, true);
        self.out.in_order(Message::Generation(Generation { oldest, descriptions, state: self.state.clone() }));
        Ok(())
    }

    /// Has a recording made of the newest span where that was asked for: first its last interval has to end and be read, then its
    /// stacks have to be named.
    fn make_copy(&mut self, now: u64) -> Result<()> {
        let Some(last) = &mut self.last else { return Ok(()) };
        last.ask(self.shared.copies());
        if last.copying != Copying::Idle && self.swapped.is_some() {
            self.look_from = self.look_from.min(now + GRACE_LOOK_NS);
            self.next_look = self.look_from;
        }
        match last.copying {
            Copying::Asked if self.swapped.is_none() => {
                self.counters.iter_mut().for_each(Counters::end_part);
                let end_ns = self.end_interval()?;
                self.last.iter_mut().for_each(|last| last.copying = Copying::Reading(end_ns));
                Ok(())
            }
            Copying::Reading(end_ns) if self.swapped.is_none() => {
                self.dispatch_rows(|dispatch, cgroups| dispatch.processes.write_fresh(cgroups, &mut dispatch.rows));
                self.write_stacks(now)?;
                self.symbols.release(now);
                let last_stack = self.symbols.last_waiting();
                self.last.iter_mut().for_each(|last| last.name(end_ns, last_stack, now));
                Ok(())
            }
            Copying::Naming { end_ns, last_stack, until_ns } => {
                let unnamed = self.symbols.waiting(last_stack);
                let counted = self.counters.as_ref().is_none_or(|counters| counters.has_read());
                if (unnamed > 0 || !counted) && now < until_ns {
                    return Ok(());
                }
                last.copying = Copying::Idle;
                self.send(true)?;
                self.copy(end_ns, unnamed as u64);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Asks the writer for a recording of the span that ends at `end_ns`.
    fn copy(&mut self, end_ns: u64, unnamed: u64) {
        let Some(last) = &self.last else { return };
        let (Some(begin), Some(end)) = (last.begin(end_ns), last.at(end_ns)) else { return };
        let mut rows = self.dispatch.rows.empty();
        own_cpu::write("cpu_start", begin.end_ns, self.state.own_cpu.start_ns, &mut rows);
        let span = Span {
            after_ns: rows.real_ns(begin.end_ns),
            until_ns: rows.real_ns(end_ns),
            events_after_ns: rows.real_ns(begin.swapped_ns),
            events_until_ns: rows.real_ns(end.swapped_ns),
        };
        let mut state =
            State { now_ns: end_ns, since: Some(begin), clocks: self.state.clocks.clone(), ..end.state.clone() };
        state.unnamed_stacks += unnamed;
        let ended = signals::name(SIGUSR1).unwrap_or("signal").to_owned();
        self.out.in_order(Message::Copy(Box::new(Part { span, state, ended, more: rows.take(1, true) })));
    }

    /// Asks for a checkpoint, or counts it as skipped while the disk is still busy with the one before.
    fn checkpoint(&mut self, now: u64) {
        self.state.now_ns = now;
        self.next_checkpoint = now + CHECKPOINT_NS;
        if self.shared.checkpointing.swap(true, Ordering::Relaxed) {
            self.state.skipped_checkpoints += 1;
        } else {
            self.out.in_order(Message::Checkpoint(self.state.clone()));
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

/// The variance of a number of events of which one in `weight` was taken by chance, each for that many: n p (1 - p) / p² with p = 1 / weight.
fn variance(events: u64, weight: u64) -> f64 {
    events as f64 * weight.saturating_sub(1) as f64
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
