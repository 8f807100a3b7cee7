//! `/proc/PID/stat`, whose second field may hold anything.

/// A thread of the kernel (`PF_KTHREAD` in `include/linux/sched.h`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Bytes of a task's name without its NUL (`TASK_COMM_LEN` in `include/linux/sched.h`).
const NAME_BYTES: usize = 15;

/// What is used of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// The process's id.
    pub pid: i32,
    /// The name, raw: up to 15 bytes that the process chose; /proc makes those of kernel threads longer.
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

    /// Returns the name as programs in the kernel see it.
    ///
    /// /proc shows the whole name of a kernel thread, and of a worker also what it works on: `kworker/0:1-events` is
    /// `kworker/0:1` to everyone else. Source: `wq_worker_comm` in `kernel/workqueue.c` and `proc_task_name`.
    pub fn task_comm(&self) -> &[u8] {
        if !self.is_kernel() {
            return &self.comm;
        }
        let pool = self.comm.strip_prefix(b"kworker/").and_then(|rest| rest.iter().position(|byte| *byte == b':'));
        let work = pool.and_then(|_| self.comm.iter().position(|byte| matches!(byte, b'-' | b'+')));
        let end = work.unwrap_or(self.comm.len()).min(NAME_BYTES);
        self.comm.get(..end).unwrap_or(&self.comm)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

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
    fn kernel_threads_are_called_what_events_call_them() {
        for (comm, flags, expected) in [
            ("kworker/0:1-events", 2129984, "kworker/0:1"),
            ("kworker/u8:2+flush-254:0", 2129984, "kworker/u8:2"),
            ("kworker/0:0H", 2129984, "kworker/0:0H"),
            ("kworker/R-mm_percpu_wq", 2129984, "kworker/R-mm_pe"),
            ("pool_workqueue_release", 2129984, "pool_workqueue_"),
            ("ksoftirqd/0", 2129984, "ksoftirqd/0"),
            ("kworker/0:1-fake", 4194560, "kworker/0:1-fake"),
        ] {
            let line = format!("2 ({comm}) S 0 0 0 0 -1 {flags} 0 0 0 0 0 1 0 0 20 0 1 0 26 0 0");
            let stat = ProcessStat::parse(line.as_bytes()).unwrap();
            assert_eq!(str::from_utf8(stat.task_comm()), Ok(expected));
        }
    }

    proptest! {
        #[test]
        fn any_name_at_all_comes_back_unchanged(comm in vec(any::<u8>(), 0..64)) {
            let stat = named(&comm).unwrap();
            prop_assert_eq!(stat.comm, comm);
            prop_assert_eq!(stat.start_ticks, 26);
        }

        #[test]
        fn no_bytes_at_all_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = ProcessStat::parse(&bytes);
        }
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
