//! One ring buffer per CPU, shared by all objects, and the map of processes in scope.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use libbpf_rs::RingBuffer;
use libbpf_rs::RingBufferBuilder;
use libbpf_sys::bpf_map_create_opts;

use super::stacks::StackMaps;

/// Processes that can be in scope at one time; the same number stands in bpf/include/filter.h.
const MAX_SCOPE_TASKS: u32 = 65_536;

/// The maps that all objects share.
#[derive(Debug)]
pub struct SharedMaps {
    rings: Vec<MapHandle>,
    by_cpu: MapHandle,
    scope_tasks: MapHandle,
    stacks: StackMaps,
    ring_bytes: u64,
}

impl SharedMaps {
    /// Creates one ring for each CPU of `online`, out of a total budget in bytes.
    ///
    /// A ring's size is a power of two and at least a page, so the total is at most the budget unless that is below a
    /// page per CPU.
    ///
    /// # Errors
    /// When the kernel refuses a map: no privilege, or no memory.
    pub fn create(online: &[u32], possible: u32, budget: u64, page: u64) -> Result<SharedMaps> {
        let ring_bytes = ring_size(budget, online.len() as u64, page);
        let size = u32::try_from(ring_bytes).context("the buffer is too large: a ring may have 2 GiB")?;
        let rings = online
            .iter()
            .map(|_| create_map(MapType::RingBuf, "ebrec_ring", 0, 0, size, &options()))
            .collect::<Result<Vec<_>>>()?;
        let inner = rings.first().context("no CPU is online")?;
        let mut with_inner = options();
        with_inner.inner_map_fd = u32::try_from(inner.as_fd().as_raw_fd())?;
        let by_cpu = create_map(MapType::ArrayOfMaps, "ebrec_rings", 4, 4, possible, &with_inner)?;
        for (cpu, ring) in online.iter().zip(&rings) {
            by_cpu
                .update(&cpu.to_ne_bytes(), &ring.as_fd().as_raw_fd().to_ne_bytes(), MapFlags::ANY)
                .with_context(|| format!("can't set the ring of CPU {cpu}"))?;
        }
        let mut sparse = options();
        sparse.map_flags = libbpf_sys::BPF_F_NO_PREALLOC;
        let scope_tasks = create_map(MapType::Hash, "ebrec_scope", 4, 1, MAX_SCOPE_TASKS, &sparse)?;
        let stacks = StackMaps::create(u32::try_from(online.len())?)?;
        Ok(SharedMaps { rings, by_cpu, scope_tasks, stacks, ring_bytes })
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

    /// One ring's size in bytes.
    pub fn ring_bytes(&self) -> u64 {
        self.ring_bytes
    }

    /// All rings' size in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.ring_bytes * self.rings.len() as u64
    }

    /// Puts a process in scope; `matched` has the SCOPE_* bits of the filters that it matches.
    ///
    /// # Errors
    /// When the map is full.
    pub fn put_in_scope(&self, pid: u32, matched: u8) -> Result<()> {
        self.scope_tasks
            .update(&pid.to_ne_bytes(), &[matched], MapFlags::ANY)
            .with_context(|| format!("can't put process {pid} in scope"))
    }

    /// A reader of all rings that hands each record to `sink`.
    ///
    /// # Errors
    /// When the rings can't be mapped.
    pub fn reader<S: RecordSink + 'static>(&self, sink: &Rc<RefCell<S>>) -> Result<Reader> {
        let mut builder = RingBufferBuilder::new();
        for ring in &self.rings {
            let sink = Rc::clone(sink);
            builder
                .add(ring, move |record| {
                    sink.borrow_mut().take(record);
                    0
                })
                .context("can't read a ring")?;
        }
        Ok(Reader { rings: builder.build().context("can't map the rings")? })
    }
}

/// What records are handed to.
pub trait RecordSink {
    /// Takes one record; the bytes are valid during the call only.
    fn take(&mut self, record: &[u8]);
}

/// Reads all rings.
#[derive(Debug)]
pub struct Reader {
    rings: RingBuffer<'static>,
}

impl Reader {
    /// Hands over every record that is there; returns how many.
    ///
    /// # Errors
    /// When libbpf can't go on.
    pub fn drain(&self) -> Result<usize> {
        let consumed = self.rings.consume_raw();
        usize::try_from(consumed).map_err(|_| anyhow::anyhow!("reading the rings failed with error {}", -consumed))
    }

    /// Waits until a ring is past half full, at most `patience`; may hand over records.
    ///
    /// # Errors
    /// When libbpf can't go on. An interrupted wait is none.
    pub fn wait(&self, patience: Duration) -> Result<usize> {
        let consumed = self.rings.poll_raw(patience);
        if consumed == -rustix::io::Errno::INTR.raw_os_error() {
            return Ok(0);
        }
        usize::try_from(consumed).map_err(|_| anyhow::anyhow!("waiting for the rings failed with error {}", -consumed))
    }
}

fn ring_size(budget: u64, cpus: u64, page: u64) -> u64 {
    let share = (budget / cpus.max(1)).max(page);
    // The largest power of two that fits.
    1 << share.ilog2()
}

pub(super) fn options() -> bpf_map_create_opts {
    bpf_map_create_opts { sz: size_of::<bpf_map_create_opts>() as libbpf_sys::size_t, ..Default::default() }
}

pub(super) fn create_map(
    kind: MapType,
    name: &str,
    key: u32,
    value: u32,
    entries: u32,
    options: &bpf_map_create_opts,
) -> Result<MapHandle> {
    MapHandle::create(kind, Some(name), key, value, entries, options)
        .with_context(|| format!("the kernel refused the map '{name}' with {entries} entries"))
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
