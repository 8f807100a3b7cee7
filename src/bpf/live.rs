//! One BPF object in the kernel: loaded with its configuration, attached, drained, detached.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::IntoRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use libbpf_rs::Iter;
use libbpf_rs::Link;
use libbpf_rs::Map;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::Object;
use libbpf_rs::ObjectBuilder;
use libbpf_rs::OpenMapMut;
use libbpf_rs::OpenObject;
use libbpf_rs::ProgramMut;
use libbpf_rs::ProgramType;
use libbpf_rs::UprobeOpts;

use super::Plain;
use super::batch::take_all;
use super::bytes_of;
use super::cells::Drainer;
use super::cells::Gathered;
use super::log;
use super::optional;
use super::read;
use super::scope::types;
use super::source::Source;
use super::stats;

/// What perf_event_open(2) takes for all processes.
const EVERY_PROCESS: i32 = -1;
/// Keys in one call when a map of an object's own is emptied.
const IDLE_BATCH: u32 = 2048;

/// What all objects are told before they are loaded.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// Which tasks.
    pub scope: ScopeSettings<'a>,
    /// The number in the records' headers.
    pub index: u8,
    /// The kernel's `enum stream_mode`.
    pub stream: Stream,
    /// The threshold of `Stream::Slow` in nanoseconds.
    pub slow_ns: u64,
    /// The kernel's version.
    pub kernel: (u32, u32),
    /// CPUs that could exist.
    pub possible_cpus: u32,
    /// The shared array of rings.
    pub rings: BorrowedFd<'a>,
    /// One ring's bytes.
    pub ring_bytes: u64,
    /// The shared map of processes in scope.
    pub scope_tasks: BorrowedFd<'a>,
    /// The shared map of user stacks.
    pub user_stacks: BorrowedFd<'a>,
    /// The shared map of kernel stacks.
    pub kernel_stacks: BorrowedFd<'a>,
    /// The object's own constants, as the bytes of its `knobs`.
    pub knobs: Option<&'a [u8]>,
}

/// What an object streams; mirrors `enum stream_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Nothing.
    None,
    /// Events over the threshold.
    Slow,
    /// Everything.
    All,
}

/// The filters, as numbers.
#[derive(Debug, Clone, Copy)]
pub struct ScopeSettings<'a> {
    /// ebrec itself, which is left out.
    pub own_pid: u32,
    /// Filters that a process has to have matched: SCOPE_* bits.
    pub task_filters: u8,
    /// Children of what matched are in scope.
    pub follow: bool,
    /// How many names --comm gave.
    pub comms: u8,
    /// Users.
    pub uids: &'a [u32],
    /// Control groups: number and depth.
    pub cgroups: &'a [(u64, u32)],
}

/// An object at work; dropping it detaches and unloads it.
#[derive(Debug)]
pub struct Live {
    // Links go first: a program is detached before its object is closed. By the program's name.
    links: HashMap<String, Link>,
    object: Object,
    name: &'static str,
    lacking: Vec<String>,
    start_ns: u64,
    parity: u32,
    cpus: usize,
    drainer: Drainer,
    counted: HashMap<(String, Option<u32>), u64>,
    /// The hooks of programs for which the section says too little.
    sampled: Option<String>,
}

impl Live {
    /// Loads and attaches an object.
    ///
    /// # Errors
    /// One sentence: what the kernel or its verifier refused.
    pub fn attach(source: Source, settings: &Settings<'_>) -> Result<Live> {
        let mut live = Live::load(source, settings, optional::choose)?;
        for program in loaded(&live.object).filter(attaches_by_itself) {
            let link = program.attach().map_err(|error| {
                let hook = program.section().to_string_lossy().into_owned();
                anyhow!("can't attach to '{hook}': {}", log::reason(&log::take(), &error))
            })?;
            live.links.insert(program.name().to_string_lossy().into_owned(), link);
        }
        Ok(live)
    }

    /// Loads an object and attaches nothing; `choose` says which programs and maps it has, and gives the hooks that are lacking.
    ///
    /// # Errors
    /// One sentence: what the kernel or its verifier refused.
    pub fn load(
        source: Source,
        settings: &Settings<'_>,
        choose: impl FnOnce(&mut OpenObject) -> Result<Vec<String>>,
    ) -> Result<Live> {
        log::take();
        let mut open = ObjectBuilder::default()
            .open_memory(source.object)
            .map_err(|error| anyhow!(log::reason(&log::take(), &error)))?;
        configure(&mut open, source.cells, settings)?;
        let lacking = choose(&mut open)?;
        let object = open.load().map_err(|error| anyhow!(log::reason(&log::take(), &error)))?;
        Ok(Live {
            links: HashMap::new(),
            object,
            name: source.name,
            lacking,
            start_ns: 0,
            parity: 0,
            cpus: settings.possible_cpus as usize,
            drainer: Drainer::default(),
            counted: HashMap::new(),
            sampled: None,
        })
    }

    /// Attaches the object's perf event program to each of the events; `hook` says what they are.
    ///
    /// # Errors
    /// When the object has no such program, or the kernel refuses.
    pub fn sample(&mut self, events: Vec<OwnedFd>, hook: String) -> Result<()> {
        let mut programs = self.object.progs_mut();
        let program = programs.find(|program| program.prog_type() == ProgramType::PerfEvent);
        let program = program.with_context(|| format!("the object '{}' has no program for perf events", self.name))?;
        for event in events {
            let link = program
                .attach_perf_event(event.as_raw_fd())
                .map_err(|error| anyhow!("can't attach to '{hook}': {}", log::reason(&log::take(), &error)))?;
            // The link closes it from here on.
            let _ = event.into_raw_fd();
            self.links.insert(format!("{hook} {}", self.links.len()), link);
        }
        self.sampled = Some(hook);
        Ok(())
    }

    /// Attaches a program to a function of a library, in every process that has it mapped or ever will.
    ///
    /// # Errors
    /// When the object has no such program, the library no such function, or the kernel refuses.
    pub fn attach_function(&self, program: &str, library: &Path, function: &str, at_return: bool) -> Result<Link> {
        let options = UprobeOpts { retprobe: at_return, func_name: Some(function.to_owned()), ..Default::default() };
        self.attach_by(program, |program| program.attach_uprobe_with_opts(EVERY_PROCESS, library, 0, options))
    }

    /// Attaches a program as the caller knows how to.
    ///
    /// # Errors
    /// When the object has no such program, or the kernel refuses.
    pub fn attach_by(
        &self,
        program: &str,
        attach: impl FnOnce(&ProgramMut<'_>) -> libbpf_rs::Result<Link>,
    ) -> Result<Link> {
        let mut programs = self.object.progs_mut();
        let found = programs.find(|found| found.name() == program);
        let found = found.with_context(|| format!("the object '{}' has no program '{program}'", self.name))?;
        attach(&found).map_err(|error| anyhow!(log::reason(&log::take(), &error)))
    }

    /// Says that a hook is missing, beside those that the kernel has not.
    pub fn lacks(&mut self, hook: String) {
        self.lacking.push(hook);
    }

    /// A map by name.
    ///
    /// # Errors
    /// When the object has none of that name.
    pub fn map(&self, name: &str) -> Result<Map<'_>> {
        self.object
            .maps()
            .find(|map| map.name() == name)
            .with_context(|| format!("the object '{}' has no map '{name}'", self.name))
    }

    /// Where the window begins, in nanoseconds of CLOCK_MONOTONIC; 0 outside of it.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// The window is over: the programs record nothing more.
    ///
    /// # Errors
    /// When the kernel refuses to write the end.
    pub fn stop(&mut self) -> Result<()> {
        self.start_ns = 0;
        self.write_epoch()
    }

    /// Runs an iterator program over all that it goes through, and gives what it wrote; nothing once it is detached.
    ///
    /// # Errors
    /// When the kernel refuses to run it.
    pub fn walk(&self, program: &str) -> Result<Vec<u8>> {
        let mut written = Vec::new();
        if let Some(link) = self.links.get(program) {
            let failed = || format!("can't run the iterator '{}/{program}'", self.name);
            Iter::new(link).with_context(failed)?.read_to_end(&mut written).with_context(failed)?;
        }
        Ok(written)
    }

    /// The window begins: from here on the programs record.
    ///
    /// # Errors
    /// When the kernel refuses to write the start.
    pub fn begin(&mut self, start_ns: u64) -> Result<()> {
        self.start_ns = start_ns;
        self.write_epoch()
    }

    /// From here on new values go to the other set of cells.
    ///
    /// # Errors
    /// When the kernel refuses to write the switch.
    pub fn swap(&mut self) -> Result<()> {
        self.parity ^= 1;
        self.write_epoch()
    }

    fn write_epoch(&self) -> Result<()> {
        let epoch = types::epoch { start_ns: self.start_ns, parity: self.parity, pad: 0 };
        self.map(".data.epoch")?
            .update(&0u32.to_ne_bytes(), bytes_of(&epoch), MapFlags::ANY)
            .with_context(|| format!("can't steer the programs of '{}'", self.name))
    }

    /// Takes what the set that is not being written has gathered.
    ///
    /// # Errors
    /// When the kernel refuses to read it.
    pub fn gathered(&mut self) -> Result<Vec<Gathered>> {
        let idle = if self.parity == 0 { "cells_odd" } else { "cells_even" };
        let Some(map) = self.object.maps().find(|map| map.name() == idle) else { return Ok(Vec::new()) };
        self.drainer.drain(map.as_fd(), self.cpus)
    }

    /// Takes all out of one of two maps that the programs swap as they do the cells: the one that is not being written.
    ///
    /// # Errors
    /// When the object has no such map, or the kernel refuses to read it.
    pub fn take_idle<K: Plain, V: Plain>(&self, even: &str, odd: &str, mut each: impl FnMut(K, V)) -> Result<()> {
        let map = self.map(if self.parity == 0 { odd } else { even })?;
        take_all(map.as_fd(), (size_of::<K>(), size_of::<V>()), IDLE_BATCH, |key, value| {
            if let (Some(key), Some(value)) = (read(key), read(value)) {
                each(key, value);
            }
        })
    }

    /// What was lost since the last call: (cause, CPU where known, count).
    ///
    /// # Errors
    /// When the kernel refuses to read the counters.
    pub fn losses(&mut self) -> Result<Vec<(String, Option<u32>, u64)>> {
        let mut totals = Vec::new();
        let map = self.map("losses")?;
        for cause in 0..types::loss_cause::LOSS_CAUSES.0 {
            let by_cpu = map.lookup_percpu(&cause.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
            for (cpu, count) in by_cpu.iter().enumerate() {
                let count = count.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
                totals.push((cause_name(cause), u32::try_from(cpu).ok(), count));
            }
        }
        for program in loaded(&self.object) {
            let missed = stats::runs(program.as_fd())?.missed;
            totals.push((format!("{} interrupted itself", program.name().to_string_lossy()), None, missed));
        }
        let mut fresh = Vec::new();
        for (cause, cpu, total) in totals {
            let before = self.counted.entry((cause.clone(), cpu)).or_default();
            if total > *before {
                fresh.push((cause, cpu, total - *before));
                *before = total;
            }
        }
        Ok(fresh)
    }

    /// What each program's runs have cost since it was loaded: (`object/program`, runs).
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub fn costs(&self) -> Result<Vec<(String, stats::Runs)>> {
        loaded(&self.object)
            .map(|program| {
                let runs = stats::runs(program.as_fd())?;
                Ok((format!("{}/{}", self.name, program.name().to_string_lossy()), runs))
            })
            .collect()
    }

    /// The hooks of the programs that are attached.
    pub fn hooks(&self) -> Vec<String> {
        let hook = |section: &str| match &self.sampled {
            Some(hook) if section == "perf_event" => hook.clone(),
            _ => section.to_owned(),
        };
        loaded(&self.object).map(|program| hook(&program.section().to_string_lossy())).collect()
    }

    /// The optional hooks that this kernel does not have.
    pub fn lacking(&self) -> &[String] {
        &self.lacking
    }

    /// Kernel memory of the object's own maps in bytes, as the kernel accounts it.
    pub fn map_bytes(&self) -> u64 {
        let shared = ["rings", "scope_tasks", "user_stacks", "kernel_stacks"];
        let own = |map: &Map<'_>| !shared.iter().any(|name| map.name() == *name);
        self.object.maps().filter(own).filter_map(|map| map.query_fdinfo().ok()).filter_map(|info| info.memlock).sum()
    }

    /// Detaches every program; the maps stay readable.
    pub fn detach(&mut self) {
        self.links.clear();
    }
}

/// Whether a program's section says all that it takes to attach it: not for perf events, nor functions of libraries.
fn attaches_by_itself(program: &ProgramMut<'_>) -> bool {
    let section = program.section().to_string_lossy();
    let in_library = section.starts_with("uprobe") || section.starts_with("uretprobe");
    program.prog_type() != ProgramType::PerfEvent && !in_library
}

/// The programs that were loaded: all but optional ones without a hook.
fn loaded(object: &Object) -> impl Iterator<Item = ProgramMut<'_>> {
    object.progs_mut().filter(|program| program.autoload())
}

fn configure(open: &mut OpenObject, cells: u32, settings: &Settings<'_>) -> Result<()> {
    let scope = &settings.scope;
    let mut config = types::config {
        ring_wake_bytes: settings.ring_bytes / 2,
        slow_ns: settings.slow_ns,
        self_tgid: scope.own_pid,
        probe: settings.index,
        stream: match settings.stream {
            Stream::None => types::stream_mode::STREAM_NONE,
            Stream::Slow => types::stream_mode::STREAM_SLOW,
            Stream::All => types::stream_mode::STREAM_ALL,
        }
        .0 as u8,
        task_storage: u8::from(task_storage_is_safe(settings.kernel)),
        task_filters: scope.task_filters,
        follow: u8::from(scope.follow),
        comm_count: scope.comms,
        ..Default::default()
    };
    for (to, from) in config.uids.iter_mut().zip(scope.uids) {
        *to = *from;
        config.uid_count += 1;
    }
    for (to, (id, level)) in config.cgroups.iter_mut().zip(scope.cgroups) {
        *to = types::scope_cgroup { id: *id, level: *level, pad: 0 };
        config.cgroup_count += 1;
    }
    let compat = types::compat {
        block_rq_has_queue: u8::from(settings.kernel < (5, 11)),
        sched_switch_has_state: u8::from(settings.kernel >= (5, 18)),
        pad: [0; 6],
    };
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        match name.as_str() {
            "rings" => map.reuse_fd(settings.rings).context("can't share the rings")?,
            "scope_tasks" => map.reuse_fd(settings.scope_tasks).context("can't share the scope")?,
            "user_stacks" => map.reuse_fd(settings.user_stacks).context("can't share the user stacks")?,
            "kernel_stacks" => map.reuse_fd(settings.kernel_stacks).context("can't share the kernel stacks")?,
            // Made at the start and not when needed (BPF_F_NO_PREALLOC): with interrupts off, as at a context switch, the
            // kernel's allocator runs dry after some tens of elements, and values were lost just when a load began.
            "cells_even" | "cells_odd" => map.set_max_entries(cells)?,
            "state_by_task" => map.set_autocreate(config.task_storage != 0)?,
            "state_by_tid" => map.set_autocreate(config.task_storage == 0)?,
            _ if name.ends_with(".rodata.config") => fill(&mut map, bytes_of(&config))?,
            _ if name.ends_with(".rodata.compat") => fill(&mut map, bytes_of(&compat))?,
            _ if name.ends_with(".rodata.knobs") => {
                if let Some(knobs) = settings.knobs {
                    fill(&mut map, knobs)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn fill(map: &mut OpenMapMut<'_>, bytes: &[u8]) -> Result<()> {
    let value = map.initial_value_mut().context("a constant section has no bytes")?;
    let start = value.get_mut(..bytes.len()).context("a constant section is too short")?;
    start.copy_from_slice(bytes);
    Ok(())
}

/// Before 6.4 (commit 6ae9d5e99e1d) task storage allocated with kmalloc, which under the run-queue lock can wake
/// kswapd and deadlock.
fn task_storage_is_safe(kernel: (u32, u32)) -> bool {
    kernel >= (6, 4)
}

/// The causes of bpf/include/loss.h, in words.
fn cause_name(cause: u32) -> String {
    let name = match types::loss_cause(cause) {
        types::loss_cause::LOSS_RING_FULL => "ring full",
        types::loss_cause::LOSS_NO_RING => "cpu without ring",
        types::loss_cause::LOSS_HISTOGRAM_FULL => "histogram full",
        types::loss_cause::LOSS_STATE_FULL => "state full",
        types::loss_cause::LOSS_UNREADABLE => "text unreadable",
        types::loss_cause::LOSS_START_UNSEEN => "start not seen",
        types::loss_cause::LOSS_STACK_NOT_KEPT => "stack not kept",
        types::loss_cause::LOSS_END_UNSEEN => "end not seen",
        types::loss_cause::LOSS_NAME_NOT_KEPT => "name not kept",
        types::loss_cause::LOSS_MEMORY_UNREADABLE => "memory unreadable",
        _ => "unknown",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::task_storage_is_safe;

    #[test]
    fn task_storage_is_not_used_where_it_could_deadlock() {
        assert!(!task_storage_is_safe((5, 10)));
        assert!(!task_storage_is_safe((6, 1)));
        assert!(task_storage_is_safe((6, 12)));
    }
}
