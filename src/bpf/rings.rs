//! One ring buffer per CPU, shared by all probes, one for the scope, and the map of processes in scope.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use rustix::event::epoll;
use rustix::event::epoll::CreateFlags;
use rustix::event::epoll::Event;
use rustix::event::epoll::EventData;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::time::Timespec;

use super::bytes_of;
use super::compat::elements_may_be_made_late;
use super::create::create_map;
use super::create::options;
use super::epoch;
use super::memory;
use super::memory::MapMemory;
use super::ring::Ring;
use super::shared::types;
use super::stacks::RawStack;
use super::stacks::StackMaps;
use super::unwind::UnwindMaps;

/// Processes that can be in scope at one time; the same number stands in bpf/shared/filter.h.
const MAX_SCOPE_TASKS: u32 = 65_536;
/// A process there.
const SCOPE_TASK: u32 = size_of::<types::scope_task>() as u32;
/// Bytes of the scope's ring: 14,000 births, ends and names between two looks.
const SCOPE_RING_BYTES: u64 = 1 << 20;
/// Looks at a record of the scope that is not submitted yet, some microseconds in all, before the rows wait for the next round.
const SCOPE_LOOKS: usize = 1000;

/// The maps that all objects share.
#[derive(Debug)]
pub struct SharedMaps {
    epoch: MapHandle,
    rings: Vec<MapHandle>,
    scope_ring: MapHandle,
    by_cpu: MapHandle,
    scope_tasks: MapHandle,
    stacks: StackMaps,
    unwind: Option<UnwindMaps>,
    ring_bytes: u64,
    scope_ring_bytes: u64,
    scope_place: u32,
    page: u64,
}

impl SharedMaps {
    /// Creates one ring for each CPU of `online`, out of a total budget in bytes, and a small one for the scope.
    ///
    /// A ring's size is a power of two and at least a page, so the total is at most the budget unless that is below a
    /// page per CPU.
    ///
    /// # Errors
    /// When the kernel refuses a map: no privilege, or no memory.
    pub fn create(online: &[u32], possible: u32, budget: u64, page: u64, kernel: (u32, u32)) -> Result<SharedMaps> {
        let ring_bytes = ring_size(budget, online.len() as u64, page);
        let ring = |bytes: u64| {
            let size = u32::try_from(bytes).context("a ring may have 2 GiB")?;
            create_map(MapType::RingBuf, "ebrec_ring", 0, 0, size, &options())
        };
        let rings = online
            .iter()
            .map(|_| ring(ring_bytes))
            .collect::<Result<Vec<_>>>()
            .with_context(|| format!("no room for a buffer of {ring_bytes} bytes per CPU"))?;
        let scope_ring_bytes = ring_bytes.min(SCOPE_RING_BYTES);
        let scope_ring = ring(scope_ring_bytes)?;
        let mut with_inner = options();
        with_inner.inner_map_fd = u32::try_from(scope_ring.as_fd().as_raw_fd())?;
        // Rings of one array may differ in size since 5.10 (commit 134fede4eecf).
        let by_cpu = create_map(MapType::ArrayOfMaps, "ebrec_rings", 4, 4, possible + 1, &with_inner)?;
        let places: Vec<u32> = online.iter().copied().chain([possible]).collect();
        let all: Vec<&MapHandle> = rings.iter().chain([&scope_ring]).collect();
        set_rings(&by_cpu, &places, &all)?;
        let mut sparse = options();
        if elements_may_be_made_late(kernel) {
            sparse.map_flags = libbpf_sys::BPF_F_NO_PREALLOC;
        }
        let scope_tasks = create_map(MapType::Hash, "ebrec_scope", 4, SCOPE_TASK, MAX_SCOPE_TASKS, &sparse)?;
        let stacks = StackMaps::create(u32::try_from(online.len())?)?;
        Ok(SharedMaps {
            epoch: epoch::create()?,
            rings,
            scope_ring,
            by_cpu,
            scope_tasks,
            stacks,
            unwind: None,
            ring_bytes,
            scope_ring_bytes,
            scope_place: possible,
            page,
        })
    }

    /// The page of the window.
    pub fn epoch(&self) -> BorrowedFd<'_> {
        self.epoch.as_fd()
    }

    /// The array of rings by CPU.
    pub fn rings(&self) -> BorrowedFd<'_> {
        self.by_cpu.as_fd()
    }

    /// The map of processes in scope.
    pub fn scope_tasks(&self) -> BorrowedFd<'_> {
        self.scope_tasks.as_fd()
    }

    /// The stacks by hash.
    pub fn stacks(&self) -> &StackMaps {
        &self.stacks
    }

    /// Takes every stack out: (hash, frames).
    ///
    /// # Errors
    /// When the kernel refuses the batch.
    pub fn take_stacks(&self) -> Result<Vec<(u64, RawStack)>> {
        let mut known = HashMap::new();
        let mut build_id = |file: u32| {
            let read = || self.unwind.as_ref().and_then(|unwind| unwind.build_id(file));
            *known.entry(file).or_insert_with(read)
        };
        self.stacks.take(&mut build_id)
    }

    /// Creates the maps for unwinding user stacks by tables of so many bytes.
    ///
    /// # Errors
    /// When the kernel refuses a map.
    pub fn unwind_by_tables(&mut self, bytes: u64) -> Result<()> {
        self.unwind = Some(UnwindMaps::create(bytes, usize::try_from(self.page)?)?);
        Ok(())
    }

    /// The maps for unwinding user stacks, if that is wanted.
    pub fn unwind(&self) -> Option<&UnwindMaps> {
        self.unwind.as_ref()
    }

    /// One ring's size in bytes.
    pub fn ring_bytes(&self) -> u64 {
        self.ring_bytes
    }

    /// The place of the scope's ring in the array of rings, and its size in bytes.
    pub fn scope_ring(&self) -> (u32, u64) {
        (self.scope_place, self.scope_ring_bytes)
    }

    /// Kernel memory that they take; a ring at least by its size, which the kernel leaves out before Linux 6.4.
    pub fn memory(&self) -> MapMemory {
        let mut found = self.stacks.memory();
        self.rings.iter().for_each(|ring| memory::add(&mut found, ring, self.ring_bytes));
        memory::add(&mut found, &self.scope_ring, self.scope_ring_bytes);
        self.unwind.iter().for_each(|unwind| found.extend(unwind.memory()));
        [&self.epoch, &self.by_cpu, &self.scope_tasks].iter().for_each(|map| memory::add(&mut found, *map, 0));
        found
    }

    /// Puts a process that lives already in scope; `matched` has the SCOPE_* bits of the filters that it matches.
    ///
    /// # Errors
    /// When the map is full.
    pub fn put_in_scope(&self, pid: u32, matched: u8) -> Result<()> {
        let task = types::scope_task { matched: matched.into(), ..Default::default() };
        self.scope_tasks
            .update(&pid.to_ne_bytes(), bytes_of(&task), MapFlags::ANY)
            .with_context(|| format!("can't put process {pid} in scope"))
    }

    /// A reader of all rings.
    ///
    /// # Errors
    /// When the rings can't be mapped.
    pub fn reader(&self) -> Result<Reader> {
        let page = usize::try_from(self.page)?;
        let wakeups = epoll::create(CreateFlags::CLOEXEC).context("can't wait for rings")?;
        let map = |ring: &MapHandle, bytes: u64| {
            // Edge-triggered: only a ring past half full wakes, not one that merely has something.
            epoll::add(&wakeups, ring.as_fd(), EventData::new_u64(0), EventFlags::IN | EventFlags::ET)
                .context("can't wait for a ring")?;
            Ring::map(ring.as_fd(), usize::try_from(bytes)?, page)
        };
        let rings = self.rings.iter().map(|ring| map(ring, self.ring_bytes)).collect::<Result<Vec<_>>>()?;
        let scope = map(&self.scope_ring, self.scope_ring_bytes)?;
        Ok(Reader { rings: rings.into_iter().map(|ring| (ring, 0)).collect(), scope, wakeups })
    }
}

/// Reads all rings.
#[derive(Debug)]
pub struct Reader {
    /// Each CPU's, with the end of what is handed over in this round.
    rings: Vec<(Ring, usize)>,
    scope: Ring,
    wakeups: OwnedFd,
}

impl Reader {
    /// Hands over every record that is there, first those of the scope, then CPU by CPU; returns how many.
    ///
    /// A process that gets a name on one CPU may go on at once on another. So what is handed over of each CPU ends before the
    /// scope's records are read: whatever happened to a process before its row is known when the row is made.
    pub fn drain(&mut self, sink: &mut dyn FnMut(&[u8])) -> usize {
        self.rings.iter_mut().for_each(|(ring, end)| *end = ring.end());
        let end = self.scope.end();
        let mut records = 0;
        for _ in 0..SCOPE_LOOKS {
            records += self.scope.drain_to(end, sink);
            if self.scope.is_drained_to(end) {
                return records + self.rings.iter_mut().map(|(ring, end)| ring.drain_to(*end, sink)).sum::<usize>();
            }
            std::hint::spin_loop();
        }
        records
    }

    /// Has another descriptor end waits, each time that it becomes readable.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wait_also_for(&self, other: BorrowedFd<'_>) -> Result<()> {
        epoll::add(&self.wakeups, other, EventData::new_u64(0), EventFlags::IN | EventFlags::ET)
            .context("can't wait for a doorbell")
    }

    /// Waits until a ring is past half full or a program wakes the reader, at most `patience`. Says whether it was woken.
    ///
    /// # Errors
    /// When the kernel refuses to wait. An interrupted wait is none.
    pub fn wait(&self, patience: Duration) -> Result<bool> {
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }];
        let patience = Timespec::try_from(patience).context("too long a wait")?;
        match epoll::wait(&self.wakeups, &mut events, Some(&patience)) {
            Ok(woken) => Ok(woken > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error).context("waiting for the rings failed"),
        }
    }
}

/// Each slot of an array of maps is set after a wait for all programs, some 10 ms: many slots in one call, where the
/// kernel can (5.15), wait once.
fn set_rings(by_cpu: &MapHandle, places: &[u32], rings: &[&MapHandle]) -> Result<()> {
    let keys: Vec<u8> = places.iter().flat_map(|place| place.to_ne_bytes()).collect();
    let fds: Vec<u8> = rings.iter().flat_map(|ring| ring.as_fd().as_raw_fd().to_ne_bytes()).collect();
    if by_cpu.update_batch(&keys, &fds, u32::try_from(places.len())?, MapFlags::ANY, MapFlags::ANY).is_ok() {
        return Ok(());
    }
    for (place, fd) in keys.chunks_exact(4).zip(fds.chunks_exact(4)) {
        by_cpu.update(place, fd, MapFlags::ANY).context("can't set a ring")?;
    }
    Ok(())
}

fn ring_size(budget: u64, cpus: u64, page: u64) -> u64 {
    let share = (budget / cpus.max(1)).max(page);
    // The largest power of two that fits.
    1 << share.ilog2()
}

#[cfg(test)]
mod tests {
    use super::ring_size;

    #[test]
    fn a_ring_is_the_largest_power_of_two_within_its_share() {
        assert_eq!(ring_size(32 << 20, 2, 4096), 16 << 20);
        assert_eq!(ring_size(33 << 20, 3, 4096), 8 << 20);
        assert_eq!(ring_size(1, 64, 4096), 4096);
        assert_eq!(ring_size(1, 0, 65_536), 65_536);
    }
}
