//! What an object is told before it is loaded.

use std::os::fd::BorrowedFd;

use anyhow::Context;
use anyhow::Result;
use libbpf_rs::OpenMapMut;
use libbpf_rs::OpenObject;

use super::bytes_of;
use super::compat;
use super::shared::types;

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
    /// The shared page of the window.
    pub epoch: BorrowedFd<'a>,
    /// The shared array of rings.
    pub rings: BorrowedFd<'a>,
    /// One ring's bytes.
    pub ring_bytes: u64,
    /// The shared map of processes in scope.
    pub scope_tasks: BorrowedFd<'a>,
    /// The shared maps of stacks, by name.
    pub stacks: &'a [(&'static str, BorrowedFd<'a>)],
    /// The shared maps to unwind user stacks by, by name; none: user stacks are followed by frame pointers.
    pub unwind: &'a [(&'static str, BorrowedFd<'a>)],
    /// The object's own constants, as the bytes of its `knobs`.
    pub knobs: Option<&'a [u8]>,
}

impl Settings<'_> {
    /// Puts the settings into the object, and the shared maps in the places of its own.
    ///
    /// # Errors
    /// When a constant of the object is not as large as here, or libbpf refuses a map.
    pub(super) fn put_into(&self, open: &mut OpenObject, cells: u32) -> Result<()> {
        let hot_cells = open.maps_mut().find(|map| map.name() == "hot_cells");
        let hot_cells = hot_cells.map_or(0, |map| map.max_entries() / 2 * self.possible_cpus);
        let config = types::config { hot_cells, ..self.config() };
        let compat = compat::shape(self.kernel);
        compat::make_elements_early(open, self.kernel)?;
        for mut map in open.maps_mut() {
            let name = map.name().to_string_lossy().into_owned();
            if let Some((_, shared)) = self.stacks.iter().chain(self.unwind).find(|(own, _)| *own == name) {
                map.reuse_fd(*shared).with_context(|| format!("can't share '{name}'"))?;
            }
            match name.as_str() {
                ".data.epoch" => map.reuse_fd(self.epoch).context("can't share the window")?,
                "rings" => map.reuse_fd(self.rings).context("can't share the rings")?,
                "scope_tasks" => map.reuse_fd(self.scope_tasks).context("can't share the scope")?,
                // Made at the start and not when needed (BPF_F_NO_PREALLOC): with interrupts off, as at a context switch, the
                // kernel's allocator runs dry after some tens of elements, and values were lost just when a load began.
                "cells_even" | "cells_odd" => map.set_max_entries(cells * self.cpus_of_a_cell())?,
                "hot_cells" => map.set_max_entries(map.max_entries() * self.possible_cpus)?,
                "state_by_task" => map.set_autocreate(config.task_storage != 0)?,
                "state_by_tid" => map.set_autocreate(config.task_storage == 0)?,
                _ if name.ends_with(".rodata.config") => fill(&mut map, bytes_of(&config))?,
                _ if name.ends_with(".rodata.compat") => fill(&mut map, bytes_of(&compat))?,
                _ if name.ends_with(".rodata.knobs") => {
                    if let Some(knobs) = self.knobs {
                        fill(&mut map, knobs)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// How many CPUs' own cells there is room for, for each: most of what is counted is counted on one CPU or two within an
    /// interval, but more happens in an interval where there are more CPUs.
    fn cpus_of_a_cell(&self) -> u32 {
        2 + self.possible_cpus / 8
    }

    /// What the programs know of the recording.
    fn config(&self) -> types::config {
        let scope = &self.scope;
        let mut config = types::config {
            ring_wake_bytes: self.ring_bytes / 2,
            slow_ns: self.slow_ns,
            self_tgid: scope.own_pid,
            probe: self.index,
            stream: match self.stream {
                Stream::None => types::stream_mode::STREAM_NONE,
                Stream::Slow => types::stream_mode::STREAM_SLOW,
                Stream::All => types::stream_mode::STREAM_ALL,
            }
            .0 as u8,
            task_storage: u8::from(compat::task_storage_is_safe(self.kernel)),
            unwinds: u32::from(!self.unwind.is_empty()),
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
        config
    }
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

fn fill(map: &mut OpenMapMut<'_>, bytes: &[u8]) -> Result<()> {
    let value = map.initial_value_mut().context("a constant section has no bytes")?;
    let start = value.get_mut(..bytes.len()).context("a constant section is too short")?;
    start.copy_from_slice(bytes);
    Ok(())
}
