//! `/proc/PID/stat`, whose second field may hold anything.

/// A thread of the kernel (`PF_KTHREAD` in `include/linux/sched.h`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What is used of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// The process's id.
    pub pid: i32,
    /// The name, raw: up to 15 bytes that the process chose, or up to 63 for kernel workers.
    pub comm: Vec<u8>,
    /// One letter: R running, S sleeping, D blocked, Z ended and not yet collected, T stopped, I idle kernel thread.
    pub state: char,
    /// The parent's id.
    pub ppid: i32,
    /// The kernel's flags of the task.
    pub flags: u64,
    /// CPU time in user mode, in ticks.
    pub user_ticks: u64,
    /// CPU time in the kernel, in ticks.
    pub system_ticks: u64,
    /// How many threads it has.
    pub threads: u32,
    /// When it started: ticks of the boot clock.
    pub start_ticks: u64,
}

impl ProcessStat {
    /// Parses the file, or returns `None` when it isn't whole.
    ///
    /// The name stands between the first `(` and the last `)`, and may itself hold both, spaces and newlines. Fields:
    /// proc_pid_stat(5).
    pub fn parse(stat: &[u8]) -> Option<ProcessStat> {
        let open = stat.iter().position(|byte| *byte == b'(')?;
        let close = stat.iter().rposition(|byte| *byte == b')')?;
        let pid = str::from_utf8(stat.get(..open)?).ok()?.trim().parse().ok()?;
        let comm = stat.get(open + 1..close)?.to_vec();
        let rest: Vec<&str> = str::from_utf8(stat.get(close + 1..)?).ok()?.split_whitespace().collect();
        // Fields are counted from 1 in the manual; the third is the first after the name.
        let field = |number: usize| rest.get(number - 3).copied();
        let number = |position| field(position)?.parse::<u64>().ok();
        Some(ProcessStat {
            pid,
            comm,
            state: field(3)?.chars().next()?,
            ppid: field(4)?.parse().ok()?,
            flags: number(9)?,
            user_ticks: number(14)?,
            system_ticks: number(15)?,
            threads: number(20)?.try_into().ok()?,
            start_ticks: number(22)?,
        })
    }

    /// Tells whether it is a thread of the kernel.
    pub fn is_kernel(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessStat;

    const TAIL: &str = "S 0 0 0 0 -1 4194560 34416 7900394 0 838 83 275 59048 3080 10 -10 13 0 26 46346240 3736 \
                        18446744073709551615 1 1 0 0 0 0 0 4096 1256 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    fn named(comm: &[u8]) -> Option<ProcessStat> {
        ProcessStat::parse(&[b"1 (", comm, b") ", TAIL.as_bytes()].concat())
    }

    #[test]
    fn a_real_line_gives_its_fields() {
        let stat = named(b"systemd").unwrap();
        assert_eq!(stat.pid, 1);
        assert_eq!(stat.comm, b"systemd");
        assert_eq!((stat.state, stat.ppid, stat.threads), ('S', 0, 13));
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.start_ticks), (83, 275, 26));
        assert!(!stat.is_kernel());
    }

    #[test]
    fn a_process_cannot_hide_or_pose_as_another_by_its_name() {
        for comm in [
            b"a) R 4711 1 1 (".as_slice(),
            b") S 1 (init",
            b"((()))",
            b"))))",
            b"two words",
            b"new\nline",
            b"",
            b" ",
            b"\xff\xfe\x1b[2J",
        ] {
            let stat = named(comm).unwrap();
            assert_eq!(stat.comm, comm);
            assert_eq!((stat.pid, stat.ppid, stat.state, stat.start_ticks), (1, 0, 'S', 26));
        }
    }

    #[test]
    fn kernel_threads_are_known_by_their_flag() {
        let line = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 1 0 0 20 0 1 0 26 0 0 18446744073709551615 0 0 0";
        let stat = ProcessStat::parse(line.as_bytes()).unwrap();
        assert!(stat.is_kernel());
        assert_eq!(stat.threads, 1);
    }

    #[test]
    fn a_cut_or_empty_file_is_no_process() {
        for text in ["", "1", "1 (", "1 (a", "1 (a)", ") (", "1 (a) S", "1 (a) S 1 2 3", "x (a) S 1 2 3", "(((", ")"] {
            assert_eq!(ProcessStat::parse(text.as_bytes()), None, "{text}");
        }
        let whole = format!("1 (a) {TAIL}");
        for end in 0..whole.find(" 26 ").unwrap() {
            assert_eq!(ProcessStat::parse(whole.as_bytes().get(..end).unwrap()), None, "{end}");
        }
    }
}
