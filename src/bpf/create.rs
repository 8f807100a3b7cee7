//! Maps that user space creates for the objects to share.

use anyhow::Context;
use anyhow::Result;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use libbpf_sys::bpf_map_create_opts;

/// The options of a map, none of them set.
pub(super) fn options() -> bpf_map_create_opts {
    bpf_map_create_opts { sz: size_of::<bpf_map_create_opts>() as libbpf_sys::size_t, ..Default::default() }
}

/// Creates a map; sizes of keys and values are in bytes.
///
/// # Errors
/// The kernel refuses it: no privilege, or no memory.
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
