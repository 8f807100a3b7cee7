//! Custom events (`record -e`): each is one object, loaded with the event's code as constants.

mod code;
mod decoder;
mod hooks;
mod joined;
mod sites;
mod spots;
mod text;

use std::collections::HashMap;
use std::thread;

use anyhow::Context as _;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;
use libbpf_rs::OpenObject;

use self::code::Place;
use self::decoder::Hits;
use self::hooks::Links;
use self::hooks::Plan;
use self::hooks::Way;
use self::joined::Joined;
use self::spots::Ends;
use super::read;
use super::running::Running;
use super::settings::cgroup_numbers;
use super::settings::object_settings;
use crate::bpf::EventHeader;
use crate::bpf::bytes_of;
use crate::bpf::live::Live;
use crate::bpf::memory::MapMemory;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::bpf::settings::Settings;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::Thins;
use crate::probe::attached::Attached;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probe::attached::Loss;
use crate::probe::attached::Probe;
use crate::probe::attached::ProgramCost;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::event::CustomEvent;
use crate::probe::event::Value;
use crate::probe::hook::Hook;
use crate::recording::Column;
use crate::recording::ColumnType;
use crate::recording::Holds;
use crate::units::Unit;

object! {
    name: "events",
    // Each event has its own number: see `cells`.
    cells: 4096,
    // SAFETY: integers only, as bpf/events/{knobs,rows,hit,sites}.h declare them.
    unsafe plain: event_record, event_key, event_key_text, event_knobs, event_site,
}

/// Objects that the number in a record tells apart.
const MAX_OBJECTS: usize = 250;
/// Cells of an object that stands for many events, at most.
const MAX_CELLS: u32 = 131_072;
/// Objects that are loaded at the same time: more only wait for the CPUs.
const LOADED_AT_ONCE: usize = 8;

/// Places that are named of those that an event leaves out.
const LEFT_OUT_NAMED: usize = 3;

/// What fentry and fexit have failed for so far. On aarch64: commit 2aa6ac03516d.
const NO_TRAMPOLINE: &str =
    "this kernel gives no BPF trampolines (on aarch64 there are some since 6.4, and locked-down kernels refuse them)";

const FUNCTION: &str = "events_function";
const BY: &str = "events_by";

static KEYS: &[&str] = &["pid", "comm", "name", FUNCTION, BY];

static INFO: ProbeInfo = ProbeInfo {
    name: "events",
    summary: "Custom events (-e): functions of the kernel and of programs, tracepoints, USDT, and the latency of functions.",
    metrics: &[
        Metric {
            number: types::event_metric::EVENT_COUNT.0 as u16,
            name: "events.count",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: KEYS,
            help: "Hits of the event that pass its filter; for a latency, calls that returned.",
            events: Some("event"),
        },
        Metric {
            number: types::event_metric::EVENT_LATENCY.0 as u16,
            name: "events.latency",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: KEYS,
            help: "Time from a function's entry to its return, including the functions it calls; only calls that began and ended in the window.",
            events: None,
        },
        Metric {
            number: types::event_metric::EVENT_VALUE.0 as u16,
            name: "events.value",
            kind: MetricKind::Histogram,
            unit: Unit::Count,
            by: KEYS,
            help: "Value of the event's hist(…), unless it is negative.",
            events: None,
        },
        Metric {
            number: types::event_metric::EVENT_NEGATIVE.0 as u16,
            name: "events.negative",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: KEYS,
            help: "Negative values of hist(…), which a histogram can't hold: their number, and the sum of their magnitudes.",
            events: None,
        },
    ],
    kinds: &[EventKind {
        name: "event",
        help: "A hit of the event 'name': numbers in arg_N and texts in str_N, whose names are in 'ebrec.events' in the metadata; for a latency, dur_ns is the length of the call.",
        columns: &[
            "dur_ns",
            "cpu",
            "pid",
            "tid",
            "comm",
            "process",
            "name",
            "kstack_id",
            "ustack_id",
            "arg_0",
            "arg_1",
            "arg_2",
            "arg_3",
            "arg_4",
            "arg_5",
            "str_0",
            "str_1",
            "str_2",
            "events_function",
        ],
    }],
    columns: &[
        Column {
            name: FUNCTION,
            ty: ColumnType::Text(Holds::Symbol),
            title: "Function",
            unit: None,
            help: "Which of the functions or tracepoints that a pattern matched; null if the event has only one, or the kernel does not say.",
        },
        Column {
            name: BY,
            ty: ColumnType::Text(Holds::Captured),
            title: "By",
            unit: None,
            help: "Value of the event's by(…).",
        },
    ],
    holds: &[("name", Holds::Event)],
    hooks: &["kprobe", "kretprobe", "fentry", "fexit", "tracepoint", "raw_tracepoint", "uprobe", "uretprobe", "usdt"],
    cost: "0.1 microseconds for a hit of a tracepoint, 0.5 for a function of a program and 1 for its latency; 0.1 more for a row",
    thins: Thins::Rows,
    ..ProbeInfo::PLAIN
};

/// The probe.
pub(super) struct Events;

impl Probe for Events {
    fn info(&self) -> &'static ProbeInfo {
        &INFO
    }

    fn takes_events(&self) -> bool {
        true
    }

    fn attach(&self, setup: &Setup<'_>) -> Result<Box<dyn Attached>> {
        if setup.events.is_empty() {
            bail!("it needs an event (-e), and none is given");
        }
        let version = setup.host.kernel.version;
        let joined = joined::joined(setup.events, hooks::has_cookies((version.major, version.minor)));
        let wanted: Vec<(&Joined, usize)> = joined.iter().flat_map(objects).collect();
        if wanted.len() > MAX_OBJECTS {
            bail!("{} events are more than the {MAX_OBJECTS} that can be recorded at once", wanted.len());
        }
        let numbered: Vec<(u8, (&Joined, usize))> = (0u8..).zip(wanted).collect();
        let mut objects = Vec::new();
        for some in numbered.chunks(LOADED_AT_ONCE) {
            let loaded: Vec<Result<Object>> = thread::scope(|threads| {
                let load = |&(number, (joined, of_type))| threads.spawn(move || object(joined, of_type, number, setup));
                let started: Vec<_> = some.iter().map(load).collect();
                let join = |thread: thread::ScopedJoinHandle<'_, Result<Object>>| {
                    thread.join().unwrap_or_else(|_| Err(anyhow!("attaching it panicked")))
                };
                started.into_iter().map(join).collect()
            });
            for (object, (_, (joined, _))) in loaded.into_iter().zip(some) {
                objects.push(object.with_context(|| format!("'{}'", joined.label()))?);
            }
        }
        Ok(Box::new(Attachment { objects, aggregated: HashMap::new() }))
    }
}

/// The objects that an event takes: one, but a program that is attached by a function's type is loaded for that function.
fn objects(joined: &Joined) -> Vec<(&Joined, usize)> {
    match &joined.event.hook {
        Hook::Fentry { functions, .. } => (0..functions.len()).map(|index| (joined, index)).collect(),
        _ => vec![(joined, 0)],
    }
}

/// Loads and attaches an event, in the best way that the kernel has.
fn object(joined: &Joined, of_type: usize, number: u8, setup: &Setup<'_>) -> Result<Object> {
    let event = &joined.event;
    let mut refused = None;
    let version = setup.host.kernel.version;
    for way in hooks::ways(event, (version.major, version.minor)) {
        match object_in(joined, of_type, number, setup, way) {
            Ok(object) => return Ok(object),
            // What the last way says counts: it is what every kernel has.
            Err(error) => refused = Some(error),
        }
    }
    let refused = refused.unwrap_or_else(|| anyhow!("there is no way to attach it"));
    match &event.hook {
        // Which says why in no way of its own.
        Hook::Fentry { .. } => {
            let instead = if setup.host.kernel.kprobes {
                "'kprobe:' needs none"
            } else {
                "it has no kprobes either; 'tracepoint:' and 'rawtp:' need neither"
            };
            Err(refused.context(format!("{NO_TRAMPOLINE}; {instead}")))
        }
        _ => Err(refused),
    }
}

fn object_in(
    joined: &Joined,
    of_type: usize,
    number: u8,
    setup: &Setup<'_>,
    (way, may_sleep): (Way, bool),
) -> Result<Object> {
    let event = &joined.event;
    let version = setup.host.kernel.version;
    let cookies = hooks::cookies(&event.hook, (version.major, version.minor));
    let several = event.hook.places() > 1;
    let parameters = match &event.hook {
        Hook::Fentry { functions, .. } => functions.get(of_type).map_or(0, |function| function.parameters),
        _ => 0,
    };
    // By its type, the object is for one place. Of several that the kernel does not tell apart it is none.
    let typed = matches!(event.hook, Hook::Fentry { .. });
    let number_alone = if typed {
        of_type as u64
    } else if several {
        u32::MAX.into()
    } else {
        0
    };
    let ends = event.hook.at_exits().map(|functions| spots::of_functions(functions, cookies).0);
    let (place, exit_place) = match ends.as_deref() {
        Some([Ends { entry, exits }, ..]) => (entry.cookie, exits.first().map_or(0, |exit| exit.cookie)),
        _ => (number_alone, number_alone),
    };
    let place = Place { event: number, place, exit_place, parameters, cookies, may_sleep };
    let knobs = code::knobs(event, setup.settings.mode, place)?;
    let cgroups = cgroup_numbers(setup.scope);
    let settings = Settings { knobs: Some(bytes_of(&knobs)), ..object_settings(setup, &cgroups) };
    let plan = Plan::new(event, way, may_sleep);
    let live = Live::load(BpfObject { cells: cells(joined), ..OBJECT }, &settings, |open| {
        choose(open, event, &plan, of_type)?;
        if let Hook::Usdt { sites, .. } = &event.hook {
            sites::make_room(open, sites, cookies)?;
        }
        Ok(Vec::new())
    })?;
    if let Hook::Usdt { sites, .. } = &event.hook {
        sites::fill(&live, sites, cookies)?;
    }
    let mut links = Links::default();
    for program in plan.watchers() {
        links.keep(live.attach_by(program, |program| program.attach())?);
    }
    plan.attach(&live, cookies, of_type, &mut links)?;
    if let Some(label) = joined.without_places(&links.refused_numbers) {
        bail!("the kernel refuses every place of '{label}'");
    }
    let running = Running::new(&INFO, live, Hits::new(joined, setup))?;
    Ok(Object { links, running, label: joined.label(), left_out: left_out(event) })
}

/// What an event does without, and why: the first few.
fn left_out(event: &CustomEvent) -> Vec<String> {
    let (named, more) = event.left_out.split_at(LEFT_OUT_NAMED.min(event.left_out.len()));
    let mut texts: Vec<String> = named.iter().map(|place| format!("{}: {}", place.name, place.reason)).collect();
    if !more.is_empty() {
        texts.push(format!("{} more of '{}': 'ebrec probes -e' lists them", more.len(), event.label));
    }
    texts
}

/// Keys in an interval: processes, by the values or functions that the event is kept by, each with the buckets of what it measures.
fn cells(joined: &Joined) -> u32 {
    let event = &joined.event;
    let typed = matches!(event.hook, Hook::Fentry { .. });
    let several = !typed && event.hook.places() > 1;
    let measures = event.hook.is_latency() || event.hist.is_some();
    let cells = match (measures, several || event.by.is_some()) {
        (false, false) => 2048,
        (true, true) => 32768,
        _ => 8192,
    };
    // As many as its events would have had, within reason.
    let each = if measures { 8192 } else { 2048 };
    let all = u32::try_from(joined.count()).unwrap_or(u32::MAX).saturating_mul(each);
    cells.max(all.min(MAX_CELLS))
}

/// Takes in the programs and maps that the event needs.
fn choose(open: &mut OpenObject, event: &CustomEvent, plan: &Plan<'_>, of_type: usize) -> Result<()> {
    let programs = plan.programs();
    let by_thread = event.hook.is_latency() && event.hook.at_exits().is_none();
    for mut program in open.progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        let is_wanted = programs.contains(&name.as_str()) || plan.watchers().contains(&name.as_str());
        program.set_autoload(is_wanted);
        if let (true, Hook::Fentry { functions, .. }) = (is_wanted, &event.hook) {
            let function = functions.get(of_type).context("an event without a function")?;
            program.set_attach_target(0, Some(function.name.clone()))?;
        }
    }
    let stacks = event.kernel_stack || event.user_stack;
    for mut map in open.maps_mut() {
        let is_wanted = match &*map.name().to_string_lossy() {
            "calls_of_thread" | "deeper_calls" => by_thread,
            "frames" | "frame_owners" | "frame_owners_gone" | "told" => event.hook.pairs_exits(),
            // The program at tracepoints refers to it, whether or not it waits for returns.
            "unread_calls" => matches!(event.hook, Hook::Tracepoint { .. }),
            "event_keys" => event.by.is_some(),
            "event_key_texts" => event.by.as_ref().is_some_and(|by| matches!(by.value, Value::Text { .. })),
            "event_sites" => matches!(event.hook, Hook::Usdt { .. }),
            // Not the buffers: older kernels look at global functions though nothing calls them.
            "stack_taken" => stacks,
            _ => true,
        };
        if !is_wanted {
            map.set_autocreate(false)?;
        }
    }
    Ok(())
}

/// One object at work. Its links go first.
struct Object {
    links: Links,
    running: Running<Hits>,
    label: String,
    left_out: Vec<String>,
}

/// All events of a recording.
struct Attachment {
    objects: Vec<Object>,
    aggregated: HashMap<&'static str, u64>,
}

impl Attachment {
    fn each(&mut self, mut what: impl FnMut(&mut Running<Hits>) -> Result<()>) -> Result<()> {
        self.objects.iter_mut().try_for_each(|object| what(&mut object.running))
    }
}

impl Attached for Attachment {
    fn begin(&mut self) -> Result<()> {
        self.each(Running::begin)
    }

    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(record)?;
        let object = self.objects.get_mut(usize::from(header.event));
        object.ok_or(Undecodable { length: record.len() })?.running.decode(record, context)
    }

    fn ending_interval(&mut self) -> Result<()> {
        self.each(Running::ending_interval)
    }

    fn end_interval(&mut self, end_ns: u64) -> Result<()> {
        self.each(|event| event.end_interval(end_ns))
    }

    fn snapshot(&mut self, interval: Interval, context: &mut Context<'_>) -> Result<()> {
        self.each(|event| event.snapshot(interval, context))?;
        self.aggregated.clear();
        for (kind, count) in self.objects.iter().flat_map(|object| object.running.aggregated()) {
            *self.aggregated.entry(kind).or_default() += count;
        }
        Ok(())
    }

    fn ended(&mut self) -> Result<()> {
        self.each(Running::ended)
    }

    fn unfinished(&self) -> Result<Option<u64>> {
        let mut sum = None;
        for object in &self.objects {
            if let Some(unfinished) = object.running.unfinished()? {
                sum = Some(unfinished.saturating_add(sum.unwrap_or(0)));
            }
        }
        Ok(sum)
    }

    fn detach(&mut self) {
        thread::scope(|threads| {
            for object in &mut self.objects {
                threads.spawn(|| object.links.clear());
            }
        });
        self.objects.iter_mut().for_each(|object| object.running.detach());
    }

    fn losses(&mut self, with_missed_runs: bool) -> Result<Vec<Loss>> {
        let mut losses: Vec<Loss> = Vec::new();
        for object in &mut self.objects {
            for loss in object.running.losses(with_missed_runs)? {
                let same = losses.iter_mut().find(|other| other.cause == loss.cause && other.cpu == loss.cpu);
                match same {
                    Some(same) => same.count += loss.count,
                    None => losses.push(loss),
                }
            }
        }
        Ok(losses)
    }

    fn costs(&self) -> Result<Vec<ProgramCost>> {
        let mut costs = Vec::new();
        for (number, object) in self.objects.iter().enumerate() {
            for cost in object.running.costs()? {
                // Events with the same hook have programs of the same name.
                let program = cost.name.rsplit('/').next().unwrap_or_default();
                let name = format!("{}/{number} {} {program}", INFO.name, object.label);
                costs.push(ProgramCost { name, ..cost });
            }
        }
        Ok(costs)
    }

    fn hooks(&self) -> Vec<String> {
        self.objects.iter().flat_map(|object| object.links.hooks.iter().cloned()).collect()
    }

    fn lacking(&self) -> Vec<String> {
        self.objects.iter().flat_map(|object| object.links.refused.iter().cloned()).collect()
    }

    fn left_out(&self) -> Vec<String> {
        self.objects.iter().flat_map(|object| object.left_out.iter().cloned()).collect()
    }

    fn map_memory(&self) -> MapMemory {
        self.objects.iter().flat_map(|object| object.running.map_memory()).collect()
    }

    fn aggregated(&self) -> &HashMap<&'static str, u64> {
        &self.aggregated
    }
}
