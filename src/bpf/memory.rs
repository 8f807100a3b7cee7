//! Kernel memory of maps, as the kernel accounts it in `/proc/self/fdinfo`.

use std::collections::BTreeMap;

use libbpf_rs::MapCore;

/// Bytes by the kernel's id of the map, so that a map that several objects share counts once.
///
/// What task storage keeps for each thread is not in it: the kernel does not count that for the map.
pub type MapMemory = BTreeMap<u32, u64>;

/// Adds a map, by at least so many bytes; nothing for one of which the kernel says nothing.
pub(super) fn add(memory: &mut MapMemory, map: &impl MapCore, at_least: u64) {
    let Ok(info) = map.query_fdinfo() else { return };
    if let Some(id) = info.map_id {
        memory.insert(id, info.memlock.unwrap_or(0).max(at_least));
    }
}
