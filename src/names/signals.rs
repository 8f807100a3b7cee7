//! Signal numbers and their names, as on x86_64 and aarch64.

/// Names of the signals 1 to 64, in the order of their numbers.
///
/// Real-time signals are counted from the C library's SIGRTMIN (34), as `kill -l` prints them; 32 and 33 belong to the
/// C library. Source: `include/uapi/asm-generic/signal.h` and `arch/x86/include/uapi/asm/signal.h`.
const NAMES: [&str; 64] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
    "SIG32",
    "SIG33",
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMIN+16",
    "SIGRTMIN+17",
    "SIGRTMIN+18",
    "SIGRTMIN+19",
    "SIGRTMIN+20",
    "SIGRTMIN+21",
    "SIGRTMIN+22",
    "SIGRTMIN+23",
    "SIGRTMIN+24",
    "SIGRTMIN+25",
    "SIGRTMIN+26",
    "SIGRTMIN+27",
    "SIGRTMIN+28",
    "SIGRTMIN+29",
    "SIGRTMAX",
];

/// Returns the name of a signal, such as `SIGKILL` for 9, or `None` for a number that is not a signal.
pub fn name(signal: i32) -> Option<&'static str> {
    let index = usize::try_from(signal).ok()?.checked_sub(1)?;
    NAMES.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::name;
    use std::collections::HashSet;

    #[test]
    fn every_signal_has_a_name_and_no_name_is_twice() {
        let names: HashSet<&str> = (1..=64).map(|signal| name(signal).unwrap()).collect();
        assert_eq!(names.len(), 64);
    }

    #[test]
    fn the_signals_that_end_processes_have_their_usual_numbers() {
        for (signal, expected) in [
            (1, "SIGHUP"),
            (6, "SIGABRT"),
            (9, "SIGKILL"),
            (11, "SIGSEGV"),
            (13, "SIGPIPE"),
            (15, "SIGTERM"),
            (16, "SIGSTKFLT"),
            (17, "SIGCHLD"),
            (31, "SIGSYS"),
            (34, "SIGRTMIN"),
            (63, "SIGRTMIN+29"),
            (64, "SIGRTMAX"),
        ] {
            assert_eq!(name(signal), Some(expected));
        }
    }

    #[test]
    fn numbers_that_are_no_signal_have_no_name() {
        for signal in [i32::MIN, -9, 0, 65, i32::MAX] {
            assert_eq!(name(signal), None);
        }
    }
}
