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

/// Other names that people type for the same signals.
const ALIASES: [(&str, i32); 5] =
    [("SIGIOT", 6), ("SIGCLD", 17), ("SIGPOLL", 29), ("SIGUNUSED", 31), ("SIGRTMIN+30", 64)];

/// Returns the name of a signal, such as `SIGKILL` for 9, or `None` for a number that is no signal.
pub fn name(signal: i32) -> Option<&'static str> {
    let index = usize::try_from(signal).ok()?.checked_sub(1)?;
    NAMES.get(index).copied()
}

/// Returns the number of a signal that is given as `SIGKILL`, `KILL`, `kill` or `9`.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return name(number).map(|_| number);
    }
    let upper = text.to_ascii_uppercase();
    let wanted = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = (1..).zip(NAMES).map(|(number, name)| (name, number));
    named.chain(ALIASES).find(|(name, _)| name.strip_prefix("SIG") == Some(wanted)).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::name;
    use super::number;

    #[test]
    fn every_signal_has_a_name_that_leads_back_to_it() {
        for signal in 1..=64 {
            let name = name(signal).unwrap();
            assert_eq!(number(name), Some(signal), "{name}");
        }
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

    #[test]
    fn signals_are_understood_the_way_people_type_them() {
        for (text, expected) in
            [("kill", 9), ("KILL", 9), ("SigTerm", 15), ("2", 2), ("SIGPOLL", 29), ("rtmin+2", 36), ("RTMIN+30", 64)]
        {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in ["", "SIG", "SIGSIGKILL", "0", "-1", "65", "KILLER"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
