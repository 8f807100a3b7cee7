//! The C library's pools of freed memory. Not about BPF, but this is the half that may call what no safe wrapper has.

/// Lets all threads share two pools, and gives blocks of 256 KiB and more back to the kernel when they are freed.
///
/// By default glibc makes a pool for each thread that allocates, which keeps what was freed there, and it gives large blocks back less and less
/// often, up to 32 MiB. A recorder has a dozen threads, each of which is done with most of its memory soon. Measured with every trick of
/// tests/root/hostile at once: 65 and 67 MiB resident instead of 81 and 84. Does nothing with another C library.
pub fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: both take any number, and refuse what they can't do.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
    }
}
