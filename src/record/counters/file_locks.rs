//! Who holds locks on files that others wait for, by `/proc/locks`: a look at each reading, 20 µs on an ordinary machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::host::counters::Name;
use crate::host::counters::Unit;
use crate::host::foreign;
use crate::host::process_ids::ProcessIds;
use crate::host::root::Root;
use crate::record::counters::Fact;
use crate::record::counters::Value;

/// The kind of its rows.
const KIND: &str = "process_stat";
/// Bytes that are read: a lock takes 60, and those that wait for it as many each.
const FILE_BYTES: usize = 256 << 10;
/// Holders that are named in a reading.
const MOST_NAMED: usize = 16;

const WAITING: Name = Name::new("file_lock", "waiting");

/// The locks of a machine.
pub(super) struct FileLocks {
    ids: Arc<ProcessIds>,
}

impl FileLocks {
    pub(super) fn new(ids: Arc<ProcessIds>) -> FileLocks {
        FileLocks { ids }
    }

    /// How many wait for the locks of each holder.
    pub(super) fn read(&self, root: &Root) -> Vec<Fact> {
        let file = foreign::open(&root.path("/proc/locks"));
        let bytes = file.and_then(|file| foreign::read_up_to(file, FILE_BYTES)).unwrap_or_default();
        let mut held: Vec<(u32, u64)> = held(&String::from_utf8_lossy(&bytes)).into_iter().collect();
        held.sort_by_key(|(pid, waiting)| (std::cmp::Reverse(*waiting), *pid));
        let named = held.into_iter().filter_map(|(pid, waiting)| Some((self.ids.machine(pid)?, waiting)));
        let fact =
            |(pid, waiting)| Fact { pid: Some(pid), ..Fact::new(KIND, WAITING, Unit::Count, Value::Is(waiting)) };
        named.take(MOST_NAMED).map(fact).collect()
    }
}

/// Who holds a lock that others wait for, and how many do. Locks of open file descriptions have no holder, and -1 for its number.
///
/// Format: proc_locks(5); those that wait follow the lock that they wait for, after an arrow.
fn held(locks: &str) -> BTreeMap<u32, u64> {
    let mut held = BTreeMap::new();
    let mut holder = None;
    for line in locks.lines() {
        let mut words = line.split_ascii_whitespace().skip(1).peekable();
        if words.peek() == Some(&"->") {
            if let Some(pid) = holder {
                *held.entry(pid).or_default() += 1;
            }
        } else {
            holder = words.nth(3).and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0);
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::held;

    #[test]
    fn those_that_wait_count_for_the_holder_of_the_lock_before_them() {
        let locks = "1: FLOCK  ADVISORY  WRITE 812 fe:00:4711 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 813 fe:00:4711 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 814 fe:00:4711 0 EOF\n\
                     2: POSIX  ADVISORY  READ  900 fe:00:12 0 EOF\n\
                     3: OFDLCK ADVISORY  WRITE -1 fe:00:13 0 EOF\n\
                     3: -> OFDLCK ADVISORY  WRITE -1 fe:00:13 0 EOF\n";
        assert_eq!(held(locks), [(812, 2)].into());
        assert_eq!(held("1: nonsense\n1: ->\n"), [].into());
    }
}
