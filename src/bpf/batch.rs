//! Emptying maps in batches, as bytes.

use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use anyhow::Result;
use anyhow::bail;

/// Takes everything out of a hash map, so many keys in one call; the sizes are the map's own.
///
/// # Errors
/// When the kernel refuses the batch.
pub fn take_all(
    map: BorrowedFd<'_>,
    (key_bytes, value_bytes): (usize, usize),
    batch: u32,
    mut each: impl FnMut(&[u8], &[u8]),
) -> Result<()> {
    let mut keys = vec![0u8; batch as usize * key_bytes];
    let mut values = vec![0u8; batch as usize * value_bytes];
    let mut position = 0u32;
    let position = &raw mut position;
    let mut from = std::ptr::null_mut();
    loop {
        let mut count = batch;
        // SAFETY: the buffers hold `batch` keys and values of the map's own sizes, and count says so.
        let code = unsafe {
            libbpf_sys::bpf_map_lookup_and_delete_batch(
                map.as_raw_fd(),
                from,
                position.cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &mut count,
                std::ptr::null(),
            )
        };
        from = position.cast();
        let end = code == -rustix::io::Errno::NOENT.raw_os_error();
        if code != 0 && !end {
            bail!("emptying a map failed with error {}", -code);
        }
        let entries = keys.chunks_exact(key_bytes).zip(values.chunks_exact(value_bytes));
        for (key, value) in entries.take(count as usize) {
            each(key, value);
        }
        if end {
            return Ok(());
        }
    }
}

/// Goes through a range of an array map, whose values have so many bytes, and zeroes those that were taken.
///
/// # Errors
/// When the kernel refuses the batch.
pub(super) fn take_range(
    map: BorrowedFd<'_>,
    range: Range<u32>,
    value_bytes: usize,
    mut taken: impl FnMut(&[u8]) -> bool,
) -> Result<()> {
    let mut keys = vec![0u32; range.len()];
    let mut values = vec![0u8; range.len() * value_bytes];
    let mut count = range.end.saturating_sub(range.start);
    // It begins behind the key that it is given, or with the first.
    let mut before = range.start.wrapping_sub(1);
    let from = if range.start == 0 { std::ptr::null_mut() } else { (&raw mut before).cast() };
    let mut position = 0u32;
    // SAFETY: the buffers hold `count` keys and values of the map's own sizes.
    let code = unsafe {
        libbpf_sys::bpf_map_lookup_batch(
            map.as_raw_fd(),
            from,
            (&raw mut position).cast(),
            keys.as_mut_ptr().cast(),
            values.as_mut_ptr().cast(),
            &mut count,
            std::ptr::null(),
        )
    };
    // The range may end with the map.
    if code != 0 && code != -rustix::io::Errno::NOENT.raw_os_error() {
        bail!("reading a map failed with error {}", -code);
    }
    let read = keys.iter().zip(values.chunks_exact(value_bytes)).take(count as usize);
    let mut full: Vec<u32> = read.filter(|(_, value)| taken(value)).map(|(key, _)| *key).collect();
    let zeroes = vec![0u8; full.len() * value_bytes];
    let mut count = full.len() as u32;
    if count == 0 {
        return Ok(());
    }
    // SAFETY: the buffers hold `count` keys and values of the map's own sizes.
    let code = unsafe {
        libbpf_sys::bpf_map_update_batch(
            map.as_raw_fd(),
            full.as_mut_ptr().cast(),
            zeroes.as_ptr().cast(),
            &mut count,
            std::ptr::null(),
        )
    };
    if code != 0 {
        bail!("emptying a map failed with error {}", -code);
    }
    Ok(())
}
