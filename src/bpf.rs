//! BPF objects in the kernel: loading, attaching, rings, aggregate maps, cost and losses.
//!
//! The only place, with `probes`, that has `unsafe` code: records are plain bytes of C structs, and two of libbpf's
//! calls have no safe wrapper.

pub mod batch;
pub mod cells;
mod compat;
mod create;
pub mod epoch;
pub mod frames;
pub mod grace;
pub mod io_calls;
mod kernel_types;
pub mod live;
pub mod log;
pub mod losses;
pub mod mapped;
mod mapping;
pub mod memory;
pub mod object;
pub mod optional;
pub mod perf;
pub mod pids;
pub mod pools;
pub mod python;
mod ring;
pub mod rings;
pub mod scope;
pub mod settings;
mod shared;
pub mod signal_mask;
#[cfg(test)]
#[path = "../tests/support/skip.rs"]
#[allow(unreachable_pub, reason = "the tests of other programs use it as well")]
pub(crate) mod skip;
pub mod stacks;
pub mod stats;
pub mod unwind;

// What every object shares comes from the one that is always loaded.
pub use self::shared::types::cell as Cell;
pub use self::shared::types::cell_key as CellKey;
pub use self::shared::types::event_header as EventHeader;
pub use self::shared::types::hot_cell as HotCell;

/// A C struct of which every bit pattern is a value, so that bytes may be read as it.
///
/// # Safety
/// The type is `repr(C)`, has only integers and arrays of integers as fields, and no padding that is read.
pub unsafe trait Plain: Copy + Default {}

// SAFETY: an integer.
unsafe impl Plain for u64 {}

/// Copies a record out of bytes, if there are enough of them.
pub fn read<T: Plain>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: the length was checked, the read is unaligned, and any bytes are a valid `T`.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// The bytes of a C struct, to be put into a map.
pub fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: `T` is plain integers without padding, and the slice lives as long as the value.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::EventHeader;
    use super::bytes_of;
    use super::read;

    #[test]
    fn a_record_that_is_cut_short_is_not_read() {
        let header = EventHeader { ts: 5, pid: 1, tid: 2, cpu: 3, probe: 4, event: 6, pad: 0 };
        let bytes = bytes_of(&header);
        assert_eq!(bytes.len(), 24);
        assert!(read::<EventHeader>(&bytes[..23]).is_none());
        assert_eq!(read::<EventHeader>(bytes).map(|header| (header.ts, header.cpu)), Some((5, 3)));
    }
}
