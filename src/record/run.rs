//! One recording, from the plan to the file: `record` reads as the run itself, top to bottom.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use rustix::process::getpid;
use rustix::thread::CpuSet;
use rustix::thread::sched_getaffinity;
use rustix::thread::sched_setaffinity;

use crate::bpf::epoch::Epoch;
use crate::bpf::grace;
use crate::bpf::log;
use crate::bpf::mapped::MappedCode;
use crate::bpf::pools;
use crate::bpf::rings::Reader;
use crate::bpf::rings::SharedMaps;
use crate::bpf::scope::close_at;
use crate::bpf::stats::Statistics;
use crate::bpf::unwind::UnwindMaps;
use crate::events;
use crate::failure::Failure;
use crate::host::Host;
use crate::host::cgroups::Cgroups;
use crate::host::clocks;
use crate::host::clocks::ClockReading;
use crate::host::confine;
use crate::host::confine::Duties;
use crate::host::foundation;
use crate::host::foundation::Lack;
use crate::host::limits;
use crate::host::limits::Needs;
use crate::host::memory_limit;
use crate::host::mounts;
use crate::host::priority;
use crate::host::processes;
use crate::host::root::Root;
use crate::output::sink::Sink;
use crate::probe::Mode;
use crate::probe::ProbeInfo;
use crate::probe::Scope;
use crate::probe::Settings;
use crate::probe::Thins;
use crate::probe::attached::Attached;
use crate::probe::attached::Setup;
use crate::probe::event::CustomEvent;
use crate::probes::REGISTRY;
use crate::probes::settings;
use crate::record::GiveUp;
use crate::record::Outcome;
use crate::record::backlog::Backlog;
use crate::record::budget::Budget;
use crate::record::child::Waiting;
use crate::record::copies::Copies;
use crate::record::cost::CostMeter;
use crate::record::counters::Counters;
use crate::record::describe::Attempt;
use crate::record::describe::Description;
use crate::record::describe::Hooks;
use crate::record::dispatch::AttachedProbe;
use crate::record::drain::Drain;
use crate::record::drain::write_clock;
use crate::record::identity::Identity;
use crate::record::last::Last;
use crate::record::machine;
use crate::record::output::Output;
use crate::record::own_cpu;
use crate::record::pace::Pace;
use crate::record::plan::RecordPlan;
use crate::record::plan::Verbosity;
use crate::record::processes::Processes;
use crate::record::progress::Progress;
use crate::record::scope;
use crate::record::select;
use crate::record::select::Chosen;
use crate::record::select::CustomEvents;
use crate::record::signals::Interrupts;
use crate::record::signals::Stage;
use crate::record::size;
use crate::record::spool::Spool;
use crate::record::state::Mark;
use crate::record::state::Message;
use crate::record::state::Shared;
use crate::record::state::State;
use crate::record::summary;
use crate::record::trigger::Trigger;
use crate::record::window::EndReason;
use crate::record::window::Events;
use crate::record::window::WindowEvent;
use crate::record::write;
use crate::recording::Batch;
use crate::recording::ClockAnchor;
use crate::recording::Finished;
use crate::recording::Identity as Named;
use crate::recording::Meta;
use crate::recording::Rows;
use crate::recording::Schema;
use crate::recording::Span;
use crate::recording::WriteError;
use crate::recording::Writer;
use crate::symbols::tables::Tables;
use crate::symbols::tables::UNWINDS;

/// Bundles of batches on their way to the writer; more wait in the drain's backlog.
const BUNDLES_IN_FLIGHT: usize = 2;
/// How long a command waits for the unwind tables of its program and its libraries.
const FIRST_TABLES: Duration = Duration::from_secs(1);
/// The column that stands for a stack of a program.
const USER_STACK: &str = "ustack_id";
/// Processes that a warning names.
const MAX_NAMED: usize = 5;
/// Time for merging small row groups at the end.
const MERGE_BUDGET: Duration = Duration::from_secs(20);

/// Records as planned and writes the file.
///
/// # Errors
/// Something the user asked for can't be had: the file, the privilege, a probe by name, a filter. Nothing is left
/// behind in the kernel.
pub(super) fn record(plan: &RecordPlan, command_line: Vec<String>, give_up: GiveUp) -> Result<Outcome> {
    // Before anything that takes memory: an allocation that fails ends the process.
    if let Some(failure) = limits::too_little_address_space(plan.buffer_bytes, limits::address_space()) {
        return Err(failure.into());
    }
    pools::share();
    log::route(plan.verbosity >= Verbosity::Debug);
    let host = Host::this();
    if let Some(Lack { problem, remedy }) = foundation::lack(&host) {
        return Err(Failure::run(problem).hint(remedy).into());
    }
    let registry: Vec<&'static ProbeInfo> = REGISTRY.iter().map(|probe| probe.info()).collect();
    let own = REGISTRY.iter().position(|probe| probe.takes_events());
    let mut chosen =
        select::choose(&plan.probes, &registry, CustomEvents { index: own, asked: !plan.events.is_empty() })?;
    let trigger = choose_trigger(plan, &registry, &mut chosen)?;
    let cgroups = host.cgroups.clone().map(Cgroups::read);
    let mut scope = scope::resolve(&plan.filters, cgroups.as_ref())?;
    if let Some(problem) = host.privilege.missing_for_record(&own_path()) {
        return Err(Failure::from_error(&problem).into());
    }
    let memory = memory_limit::read(&Root::system(), &mounts::read(&Root::system()));
    let unwind = if unwinds(plan, &chosen) { plan.unwind_bytes } else { 0 };
    let needs = Needs { buffer: plan.buffer_bytes, unwind, probes: chosen.len() as u64 };
    if let Some(failure) = limits::too_large(needs, &host, memory) {
        return Err(failure.into());
    }
    if plan.max_overhead_ppm.is_some()
        && let Err(error) = Statistics::switch_on()
    {
        let problem = format!("--max-overhead can't be measured: {error:#}");
        return Err(Failure::run(problem).hint("record as root, or without --max-overhead").into());
    }
    let identity = Identity::find(&host)?;
    let mut own_events = events::resolve(&plan.events, &host, &scope)?;
    trigger.iter().for_each(|trigger| trigger.stream_hits(&mut own_events));
    let schema = Arc::new(Schema::new(registry.iter().flat_map(|info| info.columns)));
    let watcher = trigger.as_ref().map(|trigger| trigger.watch(&schema, &Root::system())).transpose()?;
    let start_clock = clocks::read();
    // Before anything of this process changes that a command inherits.
    let sink = plan.output.as_deref().map(Sink::named).transpose()?;
    let to_stdout = sink == Some(Sink::Stdout);
    if plan.last.is_some() && sink.as_ref().is_some_and(|sink| !matches!(sink, Sink::File(_))) {
        let problem = "--last needs a file: the recordings that SIGUSR1 asks for are written beside it";
        return Err(Failure::usage(problem).hint("ebrec record --last 10s -o FILE").into());
    }
    let waiting = if plan.command.is_empty() { None } else { Some(Waiting::start(&plan.command, to_stdout)?) };
    if let (Some(waiting), false) = (&waiting, plan.system_wide) {
        scope.pids.push(waiting.pid());
    }
    if let Some(most) = plan.max_size {
        let (attempts, clock) = (size::attempts(&chosen, &registry), anchor(&start_clock));
        let empty = Description::new(plan, command_line.clone(), &host, &registry, &attempts, &own_events, &clock);
        size::check(most, &empty, &schema, Named { host: host.hostname.clone(), run_id: run_id(&start_clock) })?;
    }
    let Output { mut writer, spool } = Output::open(sink.as_ref(), plan.force, &schema, &host, &run_id(&start_clock))?;
    if let Some(most) = plan.max_size {
        let kinds = registry.iter().flat_map(|info| info.kinds.iter().map(|kind| kind.name.to_owned()));
        writer.limit_size(most, kinds);
        if plan.thin_to_size {
            writer.thin_to_size();
        }
    }
    let partial = writer.partial_path().to_owned();

    let shared = Arc::new(Shared::new().context("can't make a doorbell")?);
    let events = Events::new();
    let interrupts = Interrupts::listen(
        waiting.is_some() && host.invoker.is_some(),
        plan.last.is_some(),
        Arc::clone(&shared),
        events.sender(),
        give_up,
        interrupted(&partial),
    )?;
    limits::raise_open_files(host.cpus.slots() as u64);
    let command = waiting.as_ref().map(Waiting::pid);
    let here = Here { host: &host, identity: &identity, cgroups: cgroups.as_ref() };
    // Among threads that all want a CPU, attaching would take as many times longer as there are of them.
    let attached = priority::first_while(|| {
        let wanted = Wanted { chosen: &chosen, events: &own_events, trigger: trigger.as_ref() };
        attach(plan, here, wanted, &mut scope, &schema)
    });
    let attached = attached.and_then(|ready| interrupts.enter(Stage::Window { command }).map(|()| ready));
    let attached = match attached {
        Ok(attached) => attached,
        Err(error) => {
            // Nothing was recorded: an empty file would only be in the way.
            drop(writer);
            let _ = std::fs::remove_file(&partial);
            spool.iter().for_each(Spool::discard);
            return Err(advised(error, &host));
        }
    };
    let Ready { maps, reader, grace, mut scope_object, mut probes, attempts, processes, mut rows, unread } = attached;

    reader.wait_also_for(shared.doorbell().as_fd())?;
    let window = plan.length();
    let epoch = Arc::new(Epoch::view(maps.epoch())?);
    let start = clocks::read();
    let due_ns = window.map(|length| start.mono_ns.saturating_add(whole_ns(length)));
    // Here and not in the drain's thread, which may get a CPU only after the command, or who watches us, has begun.
    epoch.open(start.mono_ns, due_ns);
    if let Some(Err(error)) = due_ns.map(|due_ns| close_at(&mut scope_object, due_ns, &host.cpus.online)) {
        say(plan, Verbosity::Verbose, || format!("the window is closed by a thread, which may be late: {error:#}"));
    }
    for probe in &mut probes {
        probe.attached.begin()?;
    }
    let anchor = anchor(&start);
    write_clock(&anchor, &mut rows);
    let cost = CostMeter::new(start.mono_ns, plan.max_overhead_ppm.is_some());
    let thins: Vec<Thins> = probes.iter().map(|probe| probe.thins).collect();
    let most = plan.max_overhead_ppm.map(|ppm| f64::from(ppm) / 1e6);
    own_cpu::write("cpu_start", start.mono_ns, cost.own_cpu().start_ns, &mut rows);
    let mut last_rows = rows.empty();
    let description = Description::new(plan, command_line, &host, &registry, &attempts, &own_events, &anchor)
        .with_trigger(trigger.as_ref());
    let page = usize::try_from(host.auxv.page_size)?;
    let mapped = maps.unwind().map(|_| MappedCode::open(&host.cpus.online, page)).transpose();
    if let Err(error) = &mapped {
        say(plan, Verbosity::Verbose, || format!("a library in the place of another is not noticed: {error:#}"));
    }
    // All that takes more privileges has been done.
    confine(&host, &partial, &probes)?;
    let (out, messages) = sync_channel::<Vec<Message>>(BUNDLES_IN_FLIGHT);
    let mut state = State { now_ns: start.mono_ns, clocks: vec![anchor], ..State::default() };
    out.send(vec![Message::Checkpoint(state.clone())]).context("the writer has stopped")?;
    let unwind = maps.unwind().map(UnwindMaps::share).transpose()?;
    let mut tables = unwind
        .map(|unwind| Tables::start(unwind, mapped.unwrap_or_default(), Arc::clone(&identity.ids), &plan.command))
        .transpose()?;
    let version = (host.kernel.version.major, host.kernel.version.minor);
    let hooks: Vec<String> = probes.iter().flat_map(|probe| probe.attached.hooks()).collect();
    let counters = Counters::start(Root::system(), host.auxv, Arc::clone(&identity.ids), start.mono_ns)
        .context("can't start a thread that reads counters")?;
    let drain = Drain {
        visited: grace::visited(&host.cpus.online, version, hooks.iter().map(String::as_str)),
        scope: scope_object,
        maps,
        epoch: Arc::clone(&epoch),
        reader,
        grace,
        probes,
        rows,
        processes,
        unread,
        cgroups,
        start_ns: start.mono_ns,
        end_ns: due_ns.unwrap_or(u64::MAX),
        pace: Pace::new(plan, start.mono_ns),
        inlines: plan.inlines,
        ids: Arc::clone(&identity.ids),
        cost,
        budget: most.map(|most| Budget::new(most, start.mono_ns, thins)),
        counters,
        shared: Arc::clone(&shared),
        out: Backlog::new(out),
        watcher,
        events: events.sender(),
        last: plan.last.map(|span| Last::new(whole_ns(span), start.mono_ns)),
        cpu_models: host.cpus.models.clone(),
        loaded: tables.as_mut().and_then(Tables::loaded),
    };
    let copies = plan.last.map(|_| Copies::start(writer.path().to_owned(), events.sender())).transpose()?;

    let failed = events.sender();
    let drain_thread = thread::Builder::new().name("ebrec-drain".to_owned()).spawn(move || {
        let result = drain.run();
        if result.is_err() {
            let _ = failed.send(WindowEvent::Failed);
        }
        result
    })?;
    let failed = events.sender();
    let write_thread = thread::Builder::new().name("ebrec-write".to_owned()).spawn({
        let (description, shared) = (description.clone(), Arc::clone(&shared));
        move || {
            let result = write::run(writer, &messages, &description, &shared, &failed, copies);
            if result.is_err() {
                let _ = failed.send(WindowEvent::Failed);
            }
            result
        }
    })?;

    visit_every_cpu(&host.cpus.online);
    let live_after = Duration::from_nanos(clocks::monotonic_ns().saturating_sub(start_clock.mono_ns));
    say(plan, Verbosity::Verbose, || format!("all probes live after {} ms", live_after.as_millis()));
    if let Some(waiting) = waiting {
        tables.iter().for_each(|tables| tables.wait(FIRST_TABLES));
        events.watch(waiting.release()?)?;
    }
    let mut progress =
        Progress::begin(window, plan.last, plan.verbosity == Verbosity::Quiet || !plan.command.is_empty());
    let left = due_ns.map(|due_ns| Duration::from_nanos(due_ns.saturating_sub(clocks::monotonic_ns())));
    let copied = |made: Result<Finished, String>| {
        let line = summary::copied(&made);
        say(plan, if made.is_ok() { Verbosity::Normal } else { Verbosity::Quiet }, || line);
    };
    let draw = progress.is_visible().then_some(|| progress.draw(&shared));
    let ended = events.wait(left, draw, copied);
    epoch.close(clocks::monotonic_ns());
    // No stack is taken from here on.
    drop(tables);
    interrupts.enter(Stage::Finishing)?;
    priority::sooner();
    progress.finishing();
    shared.stop();

    let drained = drain_thread.join().map_err(|_| anyhow!("the drain thread panicked"))?;
    let written = write_thread.join().map_err(|_| anyhow!("the writer thread panicked"))?;
    let writer = written.map_err(|error| unfinished(&error, &partial))?;
    state = drained.map_err(|error| unfinished(&format!("{error:#}"), &partial))?;
    events.copies().for_each(copied);
    own_cpu::write("cpu_finish", state.now_ns, state.own_cpu.finish_ns(), &mut last_rows);
    let meta = description.meta(&state, &ended.name());
    let finished = match &state.since {
        None => finish(writer, &meta, last_rows.take(0, true)),
        Some(begin) => {
            own_cpu::write("cpu_start", begin.end_ns, state.own_cpu.start_ns, &mut last_rows);
            finish_last(writer, &meta, begin, last_rows)
        }
    };
    let mut finished = finished.map_err(|error| unfinished(&error, &partial))?;
    let is_file = spool.is_none();
    if let Some(spool) = spool {
        let name = spool.name();
        interrupts.enter(Stage::Copying { from: finished.path.clone() })?;
        spool.deliver(&finished.path)?;
        finished.path = name;
    }
    interrupts.enter(Stage::Finished)?;
    progress.end();
    say(plan, Verbosity::Normal, || summary::text(&finished, is_file, &meta, &state.of_part(), plan));
    let status = match ended {
        EndReason::Command(status) => Some(status),
        _ if command.is_some() => events.command_status(),
        _ => None,
    };
    Ok(Outcome { command_status: status, file: is_file.then_some(finished.path) })
}

/// Writes what is left and finishes the file.
fn finish(mut writer: Writer, meta: &Meta, rest: Vec<Batch>) -> Result<Finished, WriteError> {
    rest.into_iter().try_for_each(|batch| writer.write(batch))?;
    writer.set_meta(meta);
    writer.finish(MERGE_BUDGET)
}

/// Makes the file of the newest span, with some rows more.
fn finish_last(mut writer: Writer, meta: &Meta, begin: &Mark, mut rest: Rows) -> Result<Finished, WriteError> {
    let span = Span {
        after_ns: rest.real_ns(begin.end_ns),
        events_after_ns: rest.real_ns(begin.swapped_ns),
        until_ns: i64::MAX,
        events_until_ns: i64::MAX,
    };
    // What can be recovered is this span as well.
    writer.set_meta(meta);
    writer.checkpoint()?;
    let (path, existing) = (writer.path().to_owned(), writer.existing());
    let finished = writer.copy(span, meta, rest.take(0, true))?.write(&path, existing)?;
    writer.discard();
    Ok(finished)
}

/// What is there once the probes are.
struct Ready {
    maps: SharedMaps,
    reader: Reader,
    grace: grace::Maps,
    scope_object: crate::bpf::live::Live,
    probes: Vec<AttachedProbe>,
    attempts: Vec<Attempt>,
    processes: Processes,
    rows: Rows,
    /// Processes whose arguments could not be read.
    unread: u64,
}

/// The trigger that ends the window, if there is one; its probe streams what it needs.
fn choose_trigger(
    plan: &RecordPlan,
    registry: &[&'static ProbeInfo],
    chosen: &mut [Chosen],
) -> Result<Option<Trigger>> {
    let Some(text) = &plan.until else { return Ok(None) };
    let own: Vec<String> = plan.events.iter().map(|event| event.label().to_owned()).collect();
    Ok(Some(Trigger::choose(text, plan.after, registry, &own, chosen)?))
}

fn whole_ns(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// The machine, and the recorder's place in it.
#[derive(Clone, Copy)]
struct Here<'a> {
    host: &'a Host,
    identity: &'a Identity,
    cgroups: Option<&'a Cgroups>,
}

/// What is recorded.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    chosen: &'a [Chosen],
    events: &'a [CustomEvent],
    trigger: Option<&'a Trigger>,
}

/// Attaches the chosen probes.
fn attach(
    plan: &RecordPlan,
    here: Here<'_>,
    wanted: Wanted<'_>,
    scope: &mut Scope,
    schema: &Arc<Schema>,
) -> Result<Ready> {
    let Here { host, identity, cgroups } = here;
    let Wanted { chosen, events, trigger } = wanted;
    let possible = u32::try_from(host.cpus.slots())?;
    let kernel = (host.kernel.version.major, host.kernel.version.minor);
    let mut maps = SharedMaps::create(&host.cpus.online, possible, plan.buffer_bytes, host.auxv.page_size, kernel)?;
    if unwinds(plan, chosen) {
        maps.unwind_by_tables(plan.unwind_bytes)?;
    }
    let stacks = maps.stacks().named();
    let unwind = maps.unwind().map(UnwindMaps::named).unwrap_or_default();
    let grace = grace::Maps::create()?;
    let reader = maps.reader()?;
    identity.look_again()?;
    // Names of files in processes are looked up by now: from here on only the machine's ids are asked for.
    scope.pids = scope.pids.iter().map(|pid| identity.machine(*pid)).collect::<Result<_>>()?;
    for cgroup in &mut scope.cgroups {
        cgroup.level += identity.cgroups_above;
    }
    let scope = &*scope;
    let setup = |index: u8, settings: Settings| Setup {
        index,
        own_pid: identity.own_pid,
        settings,
        scope,
        host,
        schema,
        epoch: maps.epoch(),
        rings: maps.rings(),
        ring_bytes: maps.ring_bytes(),
        scope_tasks: maps.scope_tasks(),
        stacks: &stacks,
        unwind: &unwind,
        events,
    };
    let shared = Settings { mode: Mode::Raw, slow_ns: 0, hertz: 0, switched_on: 0 };
    let scope_object = settings::attach_scope(&setup(0, shared), identity.namespace, maps.scope_ring())?;
    let mut processes = Processes::new(Arc::clone(&identity.ids));
    let clock = clocks::read();
    if plan.last.is_some() {
        processes.keep(&clock);
    }
    let mut rows = Rows::new(Arc::clone(schema), clock.offset_ns());
    let mut arguments = processes::arguments();
    let mut look = || {
        let processes = processes::snapshot(&Root::system(), host.auxv, cgroups, &mut arguments);
        identity.look_again().map(|()| identity.as_the_machine_has(processes))
    };
    // Twice where it matters: a child of a process that was not in scope yet may have been born during the first look.
    if settings::task_filters(scope) != 0 {
        scope::seed(scope, &look()?, &maps)?;
    }
    let snapshot = look()?;
    scope::seed(scope, &snapshot, &maps)?;
    if !unwind.is_empty() {
        scope_object.walk("scope_programs")?;
    }
    let unread: Vec<String> =
        snapshot.iter().filter(|process| process.argv_unread).map(|process| process.pid.to_string()).collect();
    if !unread.is_empty() {
        let (count, pids) = (unread.len(), unread.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>());
        let (pids, more) = (pids.join(", "), if count > MAX_NAMED { ", …" } else { "" });
        say(plan, Verbosity::Normal, || {
            format!("warning: arguments of processes not read, since their memory is locked: {pids}{more}")
        });
    }
    let in_scope = scope::contains(scope, &snapshot, cgroups);
    processes.write_snapshot(&snapshot, &in_scope, &clock, &mut rows);
    machine::write(&host.cpus.models, cgroups, clock.mono_ns, &mut rows);

    let mut probes = Vec::new();
    let mut attempts = Vec::new();
    for (Chosen { index, settings, named }, (number, attached)) in
        chosen.iter().zip(attach_side_by_side(chosen, setup)?)
    {
        let Some(info) = REGISTRY.get(*index).map(|probe| probe.info()) else { continue };
        let outcome = match attached {
            Ok(attached) => {
                let hooks =
                    Hooks { used: attached.hooks(), lacking: attached.lacking(), left_out: attached.left_out() };
                say(plan, Verbosity::Verbose, || format!("{}: attached to {}", info.name, hooks.used.join(", ")));
                for hook in &hooks.lacking {
                    say(plan, Verbosity::Verbose, || format!("{}: this kernel has no '{hook}'", info.name));
                }
                for place in &hooks.left_out {
                    say(plan, Verbosity::Normal, || format!("warning: left out {place}"));
                }
                for program in attached.costs()? {
                    let verified = program.verified_instructions;
                    say(plan, Verbosity::Debug, || format!("{}: {verified} instructions verified", program.name));
                }
                let kinds = info.kinds.iter().map(|kind| kind.name).collect();
                let thins = match info.thins {
                    // What ends the window is in its rows.
                    _ if trigger.is_some_and(|trigger| trigger.is_by(info)) => Thins::Nothing,
                    Thins::Rows if settings.mode != Mode::Raw && !takes_events(*index) => Thins::Nothing,
                    thins => thins,
                };
                probes.push(AttachedProbe { number, name: info.name, kinds, thins, attached });
                Ok(hooks)
            }
            Err(error) if *named => {
                return Err(refused(&format!("the probe '{}' can't run here: {error:#}", info.name), host));
            }
            Err(error) => {
                say(plan, Verbosity::Normal, || format!("warning: the probe '{}' is left out: {error:#}", info.name));
                Err(format!("{error:#}"))
            }
        };
        attempts.push(Attempt { name: info.name, switches: info.switches, settings: *settings, outcome });
    }
    if probes.is_empty() {
        let reasons: Vec<String> = attempts.iter().filter_map(|attempt| attempt.outcome.clone().err()).collect();
        return Err(refused(&format!("no probe can run here: {}", reasons.join("; ")), host));
    }
    let unread = unread.len() as u64;
    Ok(Ready { maps, reader, grace, scope_object, probes, attempts, processes, rows, unread })
}

/// Whether a probe records what `-e` asks for: each hit is a row, whatever the mode.
fn takes_events(index: usize) -> bool {
    REGISTRY.get(index).is_some_and(|probe| probe.takes_events())
}

/// Whether stacks of programs are unwound by tables.
fn unwinds(plan: &RecordPlan, chosen: &[Chosen]) -> bool {
    plan.unwind_bytes > 0 && UNWINDS && chosen.iter().any(has_user_stacks)
}

/// Whether rows of a probe have stacks of programs.
fn has_user_stacks(chosen: &Chosen) -> bool {
    let has = |info: &ProbeInfo| info.kinds.iter().any(|kind| kind.columns.contains(&USER_STACK));
    REGISTRY.get(chosen.index).is_some_and(|probe| has(probe.info()))
}

/// A probe's number in its records, and the probe or why it can't run.
type Numbered = (u8, Result<Box<dyn Attached>>);

/// Attaches every chosen probe on a thread of its own: loading is mostly the verifier's work, and each loads one object.
fn attach_side_by_side<'a>(
    chosen: &[Chosen],
    setup: impl Fn(u8, Settings) -> Setup<'a> + Sync,
) -> Result<Vec<Numbered>> {
    thread::scope(|threads| {
        let attach = |(place, chosen): (usize, &Chosen)| {
            let number = u8::try_from(place + 1).context("more probes than a record can number")?;
            let probe = *REGISTRY.get(chosen.index).context("a probe is not in the registry")?;
            let (settings, setup) = (chosen.settings, &setup);
            let attach = move || probe.attach(&setup(number, settings));
            let thread = thread::Builder::new().spawn_scoped(threads, attach).context("can't start a thread")?;
            Ok((number, thread))
        };
        let started = chosen.iter().enumerate().map(attach).collect::<Result<Vec<_>>>()?;
        let join = |(number, thread): (u8, thread::ScopedJoinHandle<'_, Result<Box<dyn Attached>>>)| {
            let attached = thread.join().unwrap_or_else(|_| Err(anyhow!("attaching it panicked")));
            (number, attached)
        };
        Ok(started.into_iter().map(join).collect())
    })
}

/// Makes each CPU switch once, so that the scheduler's probe knows what runs on it: a thread that never leaves its CPU
/// would otherwise never be seen. Returns to where it was allowed to run.
fn visit_every_cpu(online: &[u32]) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    for cpu in online {
        let mut one = CpuSet::new();
        one.set(*cpu as usize);
        // A CPU outside our cpuset is not ours to visit; what runs there is seen at its first switch.
        let _ = sched_setaffinity(None, &one);
    }
    let _ = sched_setaffinity(None, &allowed);
}

fn anchor(reading: &ClockReading) -> ClockAnchor {
    let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    ClockAnchor { mono_ns: signed(reading.mono_ns), boot_ns: signed(reading.boot_ns), real_ns: reading.real_ns }
}

/// A name for the recording, unlike that of any other on this machine or, with the host's, anywhere.
fn run_id(clock: &ClockReading) -> String {
    format!("{:x}-{:x}", clock.real_ns, getpid().as_raw_nonzero())
}

fn own_path() -> std::path::PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "ebrec".into())
}

/// An error without advice, with that on the limit that it is due to.
fn advised(error: anyhow::Error, host: &Host) -> anyhow::Error {
    let problem = format!("{error:#}");
    match limits::advice(&problem, host) {
        Some(advice) if !error.is::<Failure>() => Failure::run(problem).hint(advice).into(),
        _ => error,
    }
}

/// Why a probe can't run, with what to do about it.
fn refused(problem: &str, host: &Host) -> anyhow::Error {
    Failure::run(problem).hint(limits::advice(problem, host).unwrap_or("'ebrec doctor' checks this machine")).into()
}

/// Gives up the privileges that are not needed any more. The threads that are started from here on never have them.
fn confine(host: &Host, partial: &Path, probes: &[AttachedProbe]) -> Result<()> {
    let duties = Duties {
        attaches_more: probes.iter().any(|probe| probe.attached.attaches_more()),
        foreign_directory: host.invoker.is_some() || confine::is_foreign_directory(partial),
    };
    confine::keep_only(confine::needed(host, duties)).context("can't give up privileges")
}

/// What is said when signals end the process before the recording is finished.
fn interrupted(partial: &Path) -> impl Fn(&Stage) -> anyhow::Error + Send + 'static {
    let partial = partial.display().to_string();
    move |stage| match stage {
        Stage::Attaching => Failure::run("interrupted before the window began: nothing was recorded").into(),
        Stage::Window { .. } | Stage::Finishing => {
            let failure = Failure::run(format!("interrupted before '{partial}' was finished"));
            failure.hint(format!("ebrec recover '{partial}'")).into()
        }
        Stage::Copying { from } => {
            let failure = Failure::run("interrupted before the recording was copied");
            failure.hint(format!("it is in '{}'", from.display())).into()
        }
        Stage::Finished => Failure::run("interrupted when the recording was finished").into(),
    }
}

fn unfinished(error: &impl std::fmt::Display, partial: &Path) -> anyhow::Error {
    let failure = Failure::from_error(error);
    if failure.hint.is_some() {
        // It says more exactly what is left, and where.
        return failure.into();
    }
    failure.hint(format!("ebrec recover '{}' saves what was written", partial.display())).into()
}

/// Says a line on standard error, if that much is wanted.
fn say(plan: &RecordPlan, from: Verbosity, text: impl FnOnce() -> String) {
    if plan.verbosity >= from {
        let text = text();
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}
