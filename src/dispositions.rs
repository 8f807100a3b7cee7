//! What this process does about signals.

/// A file that grows beyond the limit on its size (RLIMIT_FSIZE) is an error of the write from here on, as a full disk is, and not a
/// signal that ends the process in the middle of it.
#[cfg(unix)]
pub fn make_file_size_limit_an_error() {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    // A handler, unlike ignoring, does not reach the programs that this process starts; where the signal is ignored already, they
    // are to ignore it too. Where none can be set, the signal ends the process, as before.
    if !is_ignored(signal_hook::consts::SIGXFSZ) {
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    }
}

/// There is no such signal here.
#[cfg(not(unix))]
pub fn make_file_size_limit_an_error() {}

/// Whether this process ignores a signal, as nohup(1) makes it ignore hangups; known on Linux only.
pub fn is_ignored(signal: i32) -> bool {
    ignores(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), signal)
}

/// By the bits of `SigIgn` in the text of `/proc/PID/status`.
fn ignores(status: &str, signal: i32) -> bool {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    // Signal 1 is bit 0.
    signal > 0 && set.checked_shr(signal.unsigned_abs() - 1).is_some_and(|bits| bits & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::ignores;

    #[test]
    fn the_signal_that_nohup_ignores_is_found() {
        let status = "Name:\tebrec\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, 1));
        assert!(ignores(status, 13));
        assert!(!ignores(status, 2));
        assert!(!ignores(status, 0) && !ignores(status, 99));
        assert!(!ignores("", 1));
    }
}
