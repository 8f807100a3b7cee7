//! Draining the aggregate maps: hashes of cells, one for each CPU that counted, and each CPU's hot cells, emptied in batches.

use std::collections::HashMap;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use anyhow::Result;

use super::Cell;
use super::CellKey;
use super::HotCell;
use super::batch::take_all;
use super::batch::take_range;
use super::read;

/// Bits of a bucket's number below the metric's in a key; the same number stands in bpf/shared/hist.h.
const BUCKET_BITS: u32 = 10;
/// The bucket number of a counter's cell.
const COUNTER: u16 = (1 << BUCKET_BITS) - 1;
/// Where metric and bucket begin in a key's head, and where the process does, as in bpf/shared/hist.h.
const METRIC_BUCKET: u32 = 16;
const PID: u32 = 32;
/// Where, in the half of the head that says which process it is, the number of the id's holder begins, as in bpf/shared/config.h.
const HOLDER: u32 = 22;

/// Keys in one call. A hash bucket has to fit in a batch; the kernel's hashes have a handful of keys in each.
const BATCH: u32 = 4096;

/// One histogram bucket, or a counter: what it is kept by, and the sum of all CPUs.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Its number.
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
    /// Which holder of the id it is, as [`Names::held`](crate::probe::names::NamesThen::held) takes it; 0: not known.
    pub holder: u16,
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
    /// A time of the process, where it ended within the interval and its id may be another's at the end; `None`: the end.
    pub at_ns: Option<u64>,
}

impl Gathered {
    /// A counter's key with nothing but its count and sum.
    pub fn counter(metric: u16, pid: u32, sub: u64, count: u64, sum: u64) -> Gathered {
        Gathered { metric, pid, holder: 0, sub, count, sum, min: 0, max: 0, buckets: Vec::new(), at_ns: None }
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

/// The process and the number of its id's holder, out of what `holder_of` in bpf/shared/config.h made of both.
pub fn process_of(holder: u32) -> (u32, u16) {
    (holder & ((1 << HOLDER) - 1), (holder >> HOLDER) as u16)
}

/// Takes everything out of the maps that are not being written, a hash of cells and a range of the hot ones, sorted by metric
/// and key.
///
/// # Errors
/// When the kernel refuses to empty them.
pub(super) fn drain(map: BorrowedFd<'_>, hot: Option<(BorrowedFd<'_>, Range<u32>)>) -> Result<Vec<Gathered>> {
    let mut found = Found::new();
    take_all(map, (size_of::<CellKey>(), size_of::<Cell>()), BATCH, |key, cell| {
        if let (Some(key), Some(cell)) = (read(key), read(cell)) {
            add(&mut found, &key, &cell);
        }
    })?;
    if let Some((map, places)) = hot {
        take_range(map, places, size_of::<HotCell>(), |hot| {
            let Some(hot) = read::<HotCell>(hot).filter(|hot| hot.cell.count > 0) else { return false };
            add(&mut found, &hot.key, &hot.cell);
            true
        })?;
    }
    let mut gathered: Vec<Gathered> = found.into_values().map(in_order).collect();
    gathered.sort_unstable_by_key(|one| (one.metric, one.pid, one.sub, one.holder));
    Ok(gathered)
}

/// By metric, process with the number of its holder, and `sub`.
type Found = HashMap<(u16, u32, u64), Gathered>;

fn add(found: &mut Found, key: &CellKey, cell: &Cell) {
    let (metric_bucket, process) = ((key.head >> METRIC_BUCKET) as u16, (key.head >> PID) as u32);
    let (metric, bucket) = (metric_bucket >> BUCKET_BITS, metric_bucket & COUNTER);
    let (pid, holder) = process_of(process);
    let one = found.entry((metric, process, key.sub)).or_insert_with(|| Gathered {
        metric,
        pid,
        holder,
        sub: key.sub,
        count: 0,
        sum: 0,
        min: u64::MAX,
        max: 0,
        buckets: Vec::new(),
        at_ns: None,
    });
    one.count += cell.count;
    one.sum = one.sum.wrapping_add(cell.sum);
    one.min = one.min.min(cell.min);
    one.max = one.max.max(cell.max);
    if bucket != COUNTER {
        one.buckets.push(Bucket { index: bucket, count: cell.count });
    }
}

/// With its buckets ascending, and what CPUs have of the same bucket as one.
fn in_order(mut one: Gathered) -> Gathered {
    one.buckets.sort_unstable_by_key(|bucket| bucket.index);
    one.buckets.dedup_by(|next, bucket| {
        let same = next.index == bucket.index;
        bucket.count += if same { next.count } else { 0 };
        same
    });
    one
}

#[cfg(test)]
mod tests {
    use super::BUCKET_BITS;
    use super::COUNTER;
    use super::Cell;
    use super::CellKey;
    use super::Found;
    use super::HOLDER;
    use super::METRIC_BUCKET;
    use super::PID;
    use super::add;
    use super::in_order;

    fn key(cpu: u64, metric: u64, bucket: u16) -> CellKey {
        CellKey { head: 9 << PID | (metric << BUCKET_BITS | u64::from(bucket)) << METRIC_BUCKET | cpu, sub: 0 }
    }

    #[test]
    fn the_cells_of_all_cpus_add_up() {
        let mut found = Found::new();
        add(&mut found, &key(0, 1, 33), &Cell { count: 2, sum: 70, min: 34, max: 36 });
        add(&mut found, &key(1, 1, 5), &Cell { count: 1, sum: 5, min: 5, max: 5 });
        add(&mut found, &key(1, 1, 33), &Cell { count: 1, sum: 35, min: 35, max: 35 });
        let one = in_order(found.remove(&(1, 9, 0)).unwrap());
        assert_eq!((one.count, one.sum, one.min, one.max), (4, 110, 5, 36));
        assert_eq!(one.buckets.iter().map(|one| (one.index, one.count)).collect::<Vec<_>>(), [(5, 1), (33, 3)]);
    }

    #[test]
    fn processes_that_share_an_id_are_told_apart_by_the_number_of_its_holder() {
        let mut found = Found::new();
        for holder in [1, 2, 2] {
            let key = CellKey { head: key(0, 0, COUNTER).head | holder << HOLDER << PID, sub: 0 };
            add(&mut found, &key, &Cell { count: 1, sum: holder, min: holder, max: holder });
        }
        let mut of: Vec<_> = found.values().map(|one| (one.pid, one.holder, one.sum)).collect();
        of.sort_unstable();
        assert_eq!(of, [(9, 1, 1), (9, 2, 4)]);
    }

    #[test]
    fn a_counter_has_no_buckets() {
        let mut found = Found::new();
        add(&mut found, &key(0, 0, COUNTER), &Cell { count: 3, sum: 3, min: 1, max: 1 });
        assert!(found[&(0, 9, 0)].buckets.is_empty());
    }
}
