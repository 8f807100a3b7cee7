//! One BPF object in the kernel: loaded with its configuration, attached, drained, detached.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
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
use libbpf_rs::OpenObject;
use libbpf_rs::ProgramAttachType;
use libbpf_rs::ProgramMut;
use libbpf_rs::ProgramType;
use libbpf_rs::UprobeMultiOpts;
use libbpf_rs::UprobeOpts;

use super::Plain;
use super::batch::take_all;
use super::cells;
use super::cells::Gathered;
use super::epoch::Epoch;
use super::kernel_types;
use super::log;
use super::losses;
use super::losses::Losses;
use super::losses::Lost;
use super::memory;
use super::memory::MapMemory;
use super::object::BpfObject;
use super::optional;
use super::read;
use super::settings::Settings;
use super::stats;

/// What perf_event_open(2) takes for all processes.
const EVERY_PROCESS: i32 = -1;
/// Keys in one call when a map of an object's own is emptied.
const IDLE_BATCH: u32 = 2048;

/// An object at work; dropping it detaches and unloads it.
#[derive(Debug)]
pub struct Live {
    // Links go first: a program is detached before its object is closed. By the program's name.
    links: HashMap<String, Link>,
    object: Object,
    name: &'static str,
    lacking: Vec<String>,
    left_out: Vec<String>,
    epoch: Epoch,
    losses: Losses,
    /// The hooks of programs for which the section says too little.
    sampled: Option<String>,
}

impl Live {
    /// Loads and attaches an object.
    ///
    /// # Errors
    /// One sentence: what the kernel or its verifier refused.
    pub fn attach(source: BpfObject, settings: &Settings<'_>) -> Result<Live> {
        Live::attach_chosen(source, settings, |open| Ok(optional::choose(open)))
    }

    /// Loads an object, of which `choose` takes what is needed, as [`Live::load`] has it, and attaches that.
    ///
    /// # Errors
    /// One sentence: what the kernel or its verifier refused.
    pub fn attach_chosen(
        source: BpfObject,
        settings: &Settings<'_>,
        choose: impl FnOnce(&mut OpenObject) -> Result<Vec<String>>,
    ) -> Result<Live> {
        let mut live = Live::load(source, settings, choose)?;
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
        source: BpfObject,
        settings: &Settings<'_>,
        choose: impl FnOnce(&mut OpenObject) -> Result<Vec<String>>,
    ) -> Result<Live> {
        log::take();
        let mut builder = ObjectBuilder::default();
        if let Some(types) = kernel_types::cut() {
            builder.btf_custom_path(types)?;
        }
        let mut open =
            builder.open_memory(source.object).map_err(|error| anyhow!(log::reason(&log::take(), &error)))?;
        settings.put_into(&mut open, source.cells)?;
        let lacking = choose(&mut open)?;
        let object = open.load().map_err(|error| anyhow!(log::reason(&log::take(), &error)))?;
        Ok(Live {
            links: HashMap::new(),
            object,
            name: source.name,
            lacking,
            left_out: Vec::new(),
            epoch: Epoch::view(settings.epoch)?,
            losses: Losses::default(),
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

    /// Attaches a program to places in a file, (offset, cookie), in every process that has it mapped or ever will: to all by one link if
    /// the program was loaded for that. Before Linux 5.15 cookies have to be 0.
    ///
    /// # Errors
    /// When the object has no such program, or the kernel refuses one of the places.
    pub fn attach_in_file(&self, program: &str, file: &Path, places: &[(u64, u64)]) -> Result<Vec<Link>> {
        let at_once = |program: &ProgramMut<'_>| {
            let offsets = places.iter().map(|(offset, _)| *offset as usize).collect();
            let cookies = places.iter().map(|(_, cookie)| *cookie).collect();
            let options = UprobeMultiOpts { offsets, cookies, ..Default::default() };
            program.attach_uprobe_multi_with_opts(EVERY_PROCESS, file, "", options)
        };
        let one = |program: &ProgramMut<'_>, (offset, cookie): (u64, u64)| {
            let options = UprobeOpts { cookie, ..Default::default() };
            program.attach_uprobe_with_opts(EVERY_PROCESS, file, offset as usize, options)
        };
        let is_multi = self
            .object
            .progs()
            .any(|found| found.name() == program && matches!(found.attach_type(), ProgramAttachType::TraceUprobeMulti));
        match is_multi {
            true => Ok(vec![self.attach_by(program, at_once)?]),
            false => places.iter().map(|place| self.attach_by(program, |program| one(program, *place))).collect(),
        }
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

    /// Says what is left out, in a sentence with the reason.
    pub fn leaves_out(&mut self, what: String) {
        self.left_out.push(what);
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

    /// How many entries a hash map has.
    ///
    /// # Errors
    /// When the object has no such map.
    pub fn entries(&self, map: &str) -> Result<u64> {
        Ok(self.map(map)?.keys().count() as u64)
    }

    /// How much ended after the window that had begun in it (bpf/shared/unfinished.h); 0 for an object that does not count it.
    ///
    /// # Errors
    /// When the kernel refuses to read the counter.
    pub fn unfinished(&self) -> Result<u64> {
        let Ok(map) = self.map("unfinished") else { return Ok(0) };
        let by_cpu = map.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
        Ok(by_cpu.iter().filter_map(|bytes| super::read::<u64>(bytes)).sum())
    }

    /// When the window began, in nanoseconds of CLOCK_MONOTONIC; 0 before it, and once all totals are read.
    pub fn start_ns(&self) -> u64 {
        self.epoch.start_ns()
    }

    /// Whether the window is open.
    pub fn is_open(&self) -> bool {
        self.epoch.is_open()
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

    /// Takes what the set that is not being written has gathered.
    ///
    /// # Errors
    /// When the kernel refuses to read it.
    pub fn gathered(&self) -> Result<Vec<Gathered>> {
        let idle = if self.epoch.is_odd() { "cells_even" } else { "cells_odd" };
        let Some(map) = self.object.maps().find(|map| map.name() == idle) else { return Ok(Vec::new()) };
        let hot = self.hot_cells();
        let hot = hot.as_ref().map(|(map, half)| {
            let idle = if self.epoch.is_odd() { 0 } else { *half };
            (map.as_fd(), idle..idle + half)
        });
        cells::drain(map.as_fd(), hot)
    }

    /// The hot cells of an object that has them, and how many are in one set.
    fn hot_cells(&self) -> Option<(Map<'_>, u32)> {
        let map = self.object.maps().find(|map| map.name() == "hot_cells")?;
        let half = map.max_entries() / 2;
        Some((map, half))
    }

    /// Takes all out of one of two maps that the programs swap as they do the cells: the one that is not being written.
    ///
    /// # Errors
    /// When the object has no such map, or the kernel refuses to read it.
    pub fn take_idle<K: Plain, V: Plain>(&self, even: &str, odd: &str, mut each: impl FnMut(K, V)) -> Result<()> {
        let map = self.map(if self.epoch.is_odd() { even } else { odd })?;
        take_all(map.as_fd(), (size_of::<K>(), size_of::<V>()), IDLE_BATCH, |key, value| {
            if let (Some(key), Some(value)) = (read(key), read(value)) {
                each(key, value);
            }
        })
    }

    /// What was lost since the last call; runs that the kernel left out only `with_missed_runs`, as each program is asked for them.
    ///
    /// # Errors
    /// When the kernel refuses to read the counters.
    pub fn losses(&mut self, with_missed_runs: bool) -> Result<Vec<Lost>> {
        let mut totals = losses::counted(&self.map("losses")?)?;
        if with_missed_runs {
            totals.extend(losses::interrupted(loaded(&self.object), self.map("first_copies").ok().as_ref())?);
        }
        Ok(self.losses.fresh(totals))
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
        let mut hooks: Vec<String> =
            loaded(&self.object).map(|program| hook(&program.section().to_string_lossy())).collect();
        // Two copies of a program share one.
        let mut seen = HashSet::new();
        hooks.retain(|hook| seen.insert(hook.clone()));
        hooks
    }

    /// The optional hooks that this kernel does not have.
    pub fn lacking(&self) -> &[String] {
        &self.lacking
    }

    /// What is left out for other reasons, in a sentence each.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Kernel memory of the object's maps, those that it shares with others among them.
    pub fn map_memory(&self) -> MapMemory {
        let mut found = MapMemory::new();
        self.object.maps().for_each(|map| memory::add(&mut found, &map, 0));
        found
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
