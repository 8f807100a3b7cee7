//! What this process itself uses.

use rustix::time::ClockId;
use rustix::time::clock_gettime;

use crate::host::root::Root;

/// This process's own use of the machine so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all its threads, user and kernel, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory it holds now, in bytes.
    pub rss_bytes: u64,
    /// The most memory it ever held, in bytes.
    pub peak_rss_bytes: u64,
}

impl Usage {
    /// Measures it; memory from `/proc/self/status`, whose figures may lag by some pages per thread.
    pub fn read(root: &Root) -> Usage {
        let (rss_bytes, peak_rss_bytes) = memory(&root.text("/proc/self/status").unwrap_or_default());
        Usage { cpu_ns: cpu_ns(), rss_bytes, peak_rss_bytes }
    }
}

/// Returns the CPU time of this process in nanoseconds; far cheaper than the whole of [`Usage`].
pub fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)).unwrap_or(0)
}

fn memory(status: &str) -> (u64, u64) {
    let bytes = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
    };
    (bytes("VmRSS:").unwrap_or(0), bytes("VmHWM:").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::Usage;
    use super::cpu_ns;
    use super::memory;
    use crate::host::root::Root;

    #[test]
    fn memory_is_told_in_bytes() {
        let status = "Name:\tcat\nVmHWM:\t    1680 kB\nVmRSS:\t    1564 kB\nRssAnon:\t     116 kB\n";
        assert_eq!(memory(status), (1564 * 1024, 1680 * 1024));
        assert_eq!(memory("Name:\tkthreadd\n"), (0, 0));
    }

    #[test]
    fn work_shows_in_the_cpu_time() {
        let before = cpu_ns();
        let mut sum = 0u64;
        while cpu_ns() == before {
            sum = black_box(sum + 1);
        }
        let usage = Usage::read(&Root::system());
        assert!(usage.cpu_ns > before);
        assert!(usage.rss_bytes > 0 && usage.peak_rss_bytes >= usage.rss_bytes / 2);
    }
}
