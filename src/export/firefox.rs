//! A profile for profiler.firefox.com, in its processed format: threads by process with samples, and slow events as markers.

use std::collections::HashMap;
use std::io;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use fxprof_processed_profile::CategoryColor;
use fxprof_processed_profile::CategoryHandle;
use fxprof_processed_profile::CategoryPairHandle;
use fxprof_processed_profile::CpuDelta;
use fxprof_processed_profile::Frame as FxFrame;
use fxprof_processed_profile::FrameFlags;
use fxprof_processed_profile::FrameInfo;
use fxprof_processed_profile::MarkerFieldFlags;
use fxprof_processed_profile::MarkerFieldFormat;
use fxprof_processed_profile::MarkerTiming;
use fxprof_processed_profile::ProcessHandle;
use fxprof_processed_profile::Profile as FxProfile;
use fxprof_processed_profile::ReferenceTimestamp;
use fxprof_processed_profile::SamplingInterval;
use fxprof_processed_profile::StackHandle;
use fxprof_processed_profile::StaticSchemaMarker;
use fxprof_processed_profile::StaticSchemaMarkerField;
use fxprof_processed_profile::StringHandle;
use fxprof_processed_profile::ThreadHandle;
use fxprof_processed_profile::Timestamp;

use crate::export::facts;
use crate::export::frames;
use crate::export::samples::Owner;
use crate::export::samples::Samples;
use crate::export::timed;
use crate::export::timed::InOrder;
use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::processes::ProcessTable;
use crate::report::read::profile::Frame;
use crate::report::read::slow;
use crate::report::read::slow::SlowEvent;

/// Markers: the slowest events; a raw recording has millions.
const MARKERS: usize = 10_000;
/// Modules that are told apart in the profiler's sidebar.
const MODULES: usize = 1000;
/// What a profile may take in memory, which it is put together in.
const MOST_BYTES: usize = 96 << 20;
/// About what a sample, a thread with its tables, a node of a thread's stacks, and a marker take, as measured.
const SAMPLE_BYTES: usize = 40;
const THREAD_BYTES: usize = 4096;
const NODE_BYTES: usize = 400;
const MARKER_BYTES: usize = 512;

/// Writes the profile.
pub(super) fn write(source: &Source, samples: &Samples, timed: &InOrder, out: &mut dyn Write) -> Result<()> {
    let mut profile = Profile::new(source)?;
    timed.each(|sample| {
        let thread = profile.thread(samples.owner(&sample.stack));
        let stack = samples.frames(&sample.stack);
        profile.sample(thread, sample.at, &stack, sample.ns);
        Ok(())
    })?;
    profile.markers(source)?;
    profile.limit.check(source, "samples and threads")?;
    serde_json::to_writer(&mut *out, &profile.inner).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// A profile while it is put together.
struct Profile {
    inner: FxProfile,
    processes: HashMap<Option<i64>, ProcessHandle>,
    threads: HashMap<(Option<i64>, Option<i64>), ThreadHandle>,
    /// The frames of each thread below their callers, by the number of the symbol.
    nodes: HashMap<(ThreadHandle, Option<StackHandle>, i32), StackHandle>,
    categories: Categories,
    limit: Limit,
}

impl Profile {
    fn new(source: &Source) -> Result<Profile> {
        let start = Duration::from_nanos(source.meta().window.start_real_ns.max(0).unsigned_abs());
        let host = frames::name(source.label()).into_owned();
        let (start, interval) = (
            ReferenceTimestamp::from_duration_since_unix_epoch(start),
            SamplingInterval::from_hz(source.sample_hertz() as f32),
        );
        let mut inner = FxProfile::new(&format!("ebrec on {host}"), start, interval);
        inner.set_os_name(&format!("Linux {}", frames::name(&source.meta().host.kernel)));
        // All names are there: nothing is to be looked up on the machine that opens it.
        inner.set_symbolicated(true);
        let categories = Categories::of(&mut inner);
        let (processes, threads) = (HashMap::new(), HashMap::new());
        let (nodes, limit) = (HashMap::new(), Limit::of(MOST_BYTES));
        let mut profile = Profile { inner, processes, threads, nodes, categories, limit };
        profile.facts(source)?;
        Ok(profile)
    }

    /// What is known of the recording, as markers over the whole window in a process of its own.
    fn facts(&mut self, source: &Source) -> Result<()> {
        let recording = self.inner.add_process("recording", 0, at(0));
        let thread = self.inner.add_thread(recording, 0, at(0), true);
        self.inner.set_thread_name(thread, "about this recording");
        let name = self.inner.intern_string("recording");
        for fact in facts::of(source)?.into_iter().chain(timed::note(source)) {
            let text = self.inner.intern_string(&fact);
            let timing = MarkerTiming::Interval(at(source.begin_ns()), at(source.end_ns()));
            self.inner.add_marker(thread, timing, TextMarker { name, text });
        }
        Ok(())
    }

    fn thread(&mut self, owner: &Owner) -> ThreadHandle {
        let key = (owner.pid, owner.tid.or(owner.pid));
        if let Some(thread) = self.threads.get(&key) {
            return *thread;
        }
        // Nothing is kept of what has no room; the export then fails as a whole.
        self.limit.take(THREAD_BYTES);
        let number = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
        let name = frames::name(&owner.process).into_owned();
        let process = *self.processes.entry(key.0).or_insert_with(|| {
            let process = self.inner.add_process(&name, number(key.0), at(0));
            self.inner.set_process_start_time(process, at(0));
            process
        });
        let thread = self.inner.add_thread(process, number(key.1), at(0), key.0 == key.1);
        let comm = owner.comm.as_deref().map_or(name.as_str().into(), frames::name);
        self.inner.set_thread_name(thread, &comm);
        self.threads.insert(key, thread);
        thread
    }

    fn sample(&mut self, thread: ThreadHandle, when: i64, frames: &[(i32, &Frame)], ns: u64) {
        let mut stack = None;
        for (symbol, frame) in frames.iter().rev() {
            let Some(node) = self.node(thread, stack, *symbol, frame) else { return };
            stack = Some(node);
        }
        if self.limit.take(SAMPLE_BYTES) {
            self.inner.add_sample(thread, at(when), stack, CpuDelta::from_nanos(ns), 1);
        }
    }

    /// A frame below its callers; `None` without room for another.
    fn node(
        &mut self,
        thread: ThreadHandle,
        caller: Option<StackHandle>,
        symbol: i32,
        frame: &Frame,
    ) -> Option<StackHandle> {
        let key = (thread, caller, symbol);
        if let Some(node) = self.nodes.get(&key) {
            return Some(*node);
        }
        if !self.limit.take(NODE_BYTES) {
            return None;
        }
        let name = self.inner.intern_string(&frames::name(&frame.function.text));
        let category_pair = self.categories.of_frame(&mut self.inner, frame);
        let info = FrameInfo { frame: FxFrame::Label(name), category_pair, flags: FrameFlags::empty() };
        let frame = self.inner.intern_frame(thread, info);
        let node = self.inner.intern_stack(thread, caller, frame);
        self.nodes.insert(key, node);
        Some(node)
    }

    /// Adds the slowest events, each to its thread.
    fn markers(&mut self, source: &Source) -> Result<()> {
        let processes = ProcessTable::of(source)?;
        let kinds = slow::kinds(source);
        for mut event in slow::slowest(source, &kinds, MARKERS)?.events {
            event.name_processes(&processes);
            let process = processes.name(event.which).map(str::to_owned).or_else(|| event.comm.clone());
            let owner = Owner {
                process: process.as_deref().unwrap_or("no process").into(),
                pid: event.which.map(|which| which.pid),
                tid: event.tid,
                comm: event.comm.as_deref().map(Into::into),
            };
            let thread = self.thread(&owner);
            if self.limit.take(MARKER_BYTES) {
                self.marker(thread, &event);
            }
        }
        Ok(())
    }

    fn marker(&mut self, thread: ThreadHandle, event: &SlowEvent) {
        let name = self.inner.intern_string(&frames::name(&event.what()));
        let text = self.inner.intern_string(&frames::name(&event.facts()));
        self.inner.add_marker(
            thread,
            MarkerTiming::Interval(at(event.begin()), at(event.at)),
            TextMarker { name, text },
        );
    }
}

/// A time of the window; a stranger's file may have times before it.
fn at(ns: i64) -> Timestamp {
    Timestamp::from_nanos_since_reference(ns.max(0).unsigned_abs())
}

/// The kernel's frames and programs', by module.
struct Categories {
    kernel: CategoryHandle,
    user: CategoryHandle,
    modules: HashMap<Rc<str>, CategoryPairHandle>,
}

impl Categories {
    fn of(profile: &mut FxProfile) -> Categories {
        let kernel = profile.add_category("Kernel", CategoryColor::Orange);
        let user = profile.add_category("User", CategoryColor::Yellow);
        Categories { kernel, user, modules: HashMap::new() }
    }

    fn of_frame(&mut self, profile: &mut FxProfile, frame: &Frame) -> CategoryPairHandle {
        let module = &frame.function.module;
        if let Some(known) = self.modules.get(module) {
            return *known;
        }
        let category = if &**module == "[kernel]" { self.kernel } else { self.user };
        if self.modules.len() >= MODULES || module.is_empty() {
            return category.into();
        }
        let pair = profile.add_subcategory(category, &frames::name(module));
        self.modules.insert(Rc::clone(module), pair);
        pair
    }
}

/// A marker with a text.
struct TextMarker {
    name: StringHandle,
    text: StringHandle,
}

impl StaticSchemaMarker for TextMarker {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "ebrec";
    const CHART_LABEL: Option<&'static str> = Some("{marker.data.text}");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.name}: {marker.data.text}");
    const TOOLTIP_LABEL: Option<&'static str> = Some("{marker.name}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[StaticSchemaMarkerField {
        key: "text",
        label: "Details",
        format: MarkerFieldFormat::String,
        flags: MarkerFieldFlags::SEARCHABLE,
    }];

    fn name(&self, _: &mut FxProfile) -> StringHandle {
        self.name
    }

    fn category(&self, _: &mut FxProfile) -> CategoryHandle {
        CategoryHandle::OTHER
    }

    fn string_field_value(&self, _: u32) -> StringHandle {
        self.text
    }

    fn number_field_value(&self, _: u32) -> f64 {
        0.0
    }
}
