//! Draining the aggregate maps: per-CPU hashes of cells, read and emptied in batches.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use anyhow::Result;
use anyhow::bail;

use super::Cell;
use super::CellKey;

/// The bucket number of a counter's cell; the same number stands in bpf/include/hist.h.
pub const COUNTER: u16 = 0xffff;

/// Keys in one call. A hash bucket has to fit in a batch; the kernel's hashes have a handful of keys in each.
const BATCH: usize = 2048;

/// One histogram bucket, or a counter: what it is kept by, and the sum of all CPUs.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Its number, or `COUNTER`.
    pub index: u16,
    /// How many values.
    pub count: u64,
}

/// All that one key of one metric gathered.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// The probe's own number of the metric.
    pub metric: u16,
    /// The process, or 0.
    pub pid: u32,
    /// What else it is kept by, in the probe's packing.
    pub sub: u64,
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The least.
    pub min: u64,
    /// The greatest.
    pub max: u64,
    /// The buckets of a histogram, ascending; empty for a counter.
    pub buckets: Vec<Bucket>,
}

impl Gathered {
    /// A counter's key with nothing but its count and sum.
    pub fn counter(metric: u16, pid: u32, sub: u64, count: u64, sum: u64) -> Gathered {
        Gathered { metric, pid, sub, count, sum, min: 0, max: 0, buckets: Vec::new() }
    }

    /// Adds what another key of the same metric gathered.
    pub fn merge(&mut self, other: &Gathered) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for bucket in &other.buckets {
            match self.buckets.binary_search_by_key(&bucket.index, |own| own.index) {
                Ok(at) => self.buckets[at].count += bucket.count,
                Err(at) => self.buckets.insert(at, *bucket),
            }
        }
    }
}

/// Buffers for draining, kept between calls.
#[derive(Debug, Default)]
pub struct Drainer {
    keys: Vec<CellKey>,
    values: Vec<Cell>,
}

impl Drainer {
    /// Takes everything out of a map of cells, sorted by metric and key.
    ///
    /// # Errors
    /// When the kernel refuses the batch.
    pub fn drain(&mut self, map: BorrowedFd<'_>, cpus: usize) -> Result<Vec<Gathered>> {
        self.keys.resize(BATCH, CellKey::default());
        self.values.resize(BATCH * cpus, Cell::default());
        let mut found: HashMap<(u16, u32, u64), Gathered> = HashMap::new();
        let mut position = 0u32;
        let position = &raw mut position;
        let mut from = std::ptr::null_mut();
        loop {
            let mut count = BATCH as u32;
            // SAFETY: the buffers hold BATCH keys and BATCH × cpus values of the map's own sizes, and count says so.
            let code = unsafe {
                libbpf_sys::bpf_map_lookup_and_delete_batch(
                    map.as_raw_fd(),
                    from,
                    position.cast(),
                    self.keys.as_mut_ptr().cast(),
                    self.values.as_mut_ptr().cast(),
                    &mut count,
                    std::ptr::null(),
                )
            };
            from = position.cast();
            let end = code == -rustix::io::Errno::NOENT.raw_os_error();
            if code != 0 && !end {
                bail!("reading the aggregate maps failed with error {}", -code);
            }
            for (key, values) in self.keys.iter().zip(self.values.chunks_exact(cpus)).take(count as usize) {
                add(&mut found, key, values);
            }
            if end {
                break;
            }
        }
        let mut gathered: Vec<Gathered> = found.into_values().collect();
        gathered.sort_unstable_by_key(|one| (one.metric, one.pid, one.sub));
        for one in &mut gathered {
            one.buckets.sort_unstable_by_key(|bucket| bucket.index);
        }
        Ok(gathered)
    }
}

fn add(found: &mut HashMap<(u16, u32, u64), Gathered>, key: &CellKey, values: &[Cell]) {
    let one = found.entry((key.metric, key.pid, key.sub)).or_insert_with(|| Gathered {
        metric: key.metric,
        pid: key.pid,
        sub: key.sub,
        count: 0,
        sum: 0,
        min: u64::MAX,
        max: 0,
        buckets: Vec::new(),
    });
    let mut count = 0;
    for cell in values.iter().filter(|cell| cell.count != 0) {
        count += cell.count;
        one.sum = one.sum.wrapping_add(cell.sum);
        one.min = one.min.min(cell.min);
        one.max = one.max.max(cell.max);
    }
    one.count += count;
    if key.bucket != COUNTER && count != 0 {
        one.buckets.push(Bucket { index: key.bucket, count });
    }
}

#[cfg(test)]
mod tests {
    use super::COUNTER;
    use super::Cell;
    use super::CellKey;
    use super::add;
    use std::collections::HashMap;

    #[test]
    fn the_cells_of_all_cpus_add_up_and_an_idle_cpu_does_not_set_the_minimum() {
        let mut found = HashMap::new();
        let key = CellKey { metric: 1, bucket: 33, pid: 9, sub: 0 };
        let idle = Cell::default();
        add(&mut found, &key, &[Cell { count: 2, sum: 70, min: 34, max: 36 }, idle]);
        add(&mut found, &CellKey { bucket: 5, ..key }, &[idle, Cell { count: 1, sum: 5, min: 5, max: 5 }]);
        let one = &found[&(1, 9, 0)];
        assert_eq!((one.count, one.sum, one.min, one.max), (3, 75, 5, 36));
        assert_eq!(one.buckets.len(), 2);
    }

    #[test]
    fn a_counter_has_no_buckets() {
        let mut found = HashMap::new();
        add(
            &mut found,
            &CellKey { metric: 0, bucket: COUNTER, pid: 1, sub: 0 },
            &[Cell { count: 3, sum: 3, min: 1, max: 1 }],
        );
        assert!(found[&(0, 1, 0)].buckets.is_empty());
    }
}
