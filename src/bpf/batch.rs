//! Emptying a hash map in batches, as bytes.

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
