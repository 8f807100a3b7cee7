//! The kinds of rows that every recording may have, whatever probes ran.

use crate::recording::Holds;

/// One of them, as documentation is made from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreKind {
    /// The value of the column `kind`.
    pub name: &'static str,
    /// Its rows add something up over an interval.
    pub is_aggregate: bool,
    /// One sentence: what a row is.
    pub help: &'static str,
    /// The columns that its rows may fill, beside `kind`, `host`, `run_id`, `ts` and `ts_sub_ns`, which all rows have; of metrics,
    /// the dimensions too.
    pub columns: &'static [&'static str],
    /// What its texts say in columns where that depends on the kind; of aggregates, the metric's probe says it.
    pub holds: &'static [(&'static str, Holds)],
}

/// The kinds that the core writes.
pub static CORE_KINDS: &[CoreKind] = &[
    CoreKind {
        name: "hist",
        is_aggregate: true,
        help: "One bucket of a histogram: one interval, one key.",
        columns: &["dur_ns", "metric", "unit", "key", "bucket_lo", "bucket_hi", "count"],
        holds: &[],
    },
    CoreKind {
        name: "metric",
        is_aggregate: true,
        help: "A metric in one interval, by one key: how many values, their total, the smallest and the largest, and percentiles of a histogram.",
        columns: &["dur_ns", "metric", "unit", "key", "count", "sum", "min", "max", "p50", "p99"],
        holds: &[],
    },
    CoreKind {
        name: "stack_total",
        is_aggregate: true,
        help: "What a metric added up to by process and stacks: one interval, one pair of stacks, one state and system call.",
        columns: &[
            "dur_ns",
            "metric",
            "unit",
            "pid",
            "comm",
            "process",
            "state",
            "name",
            "kstack_id",
            "ustack_id",
            "count",
            "sum",
        ],
        holds: &[("name", Holds::Word)],
    },
    CoreKind {
        name: "ledger",
        is_aggregate: true,
        help: "Time (total, in nanoseconds) that a thread was in a state, by cause, and how often (n) it went into it. dur_ns, up to ts, is how long it lived in the interval.",
        columns: &["dur_ns", "pid", "tid", "comm", "process", "state", "cause", "count", "sum"],
        holds: &[],
    },
    CoreKind {
        name: "cpu_ledger",
        is_aggregate: true,
        help: "Time (total, in nanoseconds) that a CPU was in a state in an interval of dur_ns.",
        columns: &["dur_ns", "cpu", "state", "sum"],
        holds: &[],
    },
    CoreKind {
        name: "stack",
        is_aggregate: false,
        help: "A stack: its frames from the innermost out as ids of symbols, and as text. cause says why its outermost frames are not there; none: it is whole.",
        columns: &["id", "frames", "folded", "depth", "cause", "flags"],
        holds: &[],
    },
    CoreKind {
        name: "symbol",
        is_aggregate: false,
        help: "A function, or where cause says why it has no name, the place in its file.",
        columns: &["id", "name", "cause", "module", "build_id", "file_offset", "module_addr", "line"],
        holds: &[("name", Holds::Symbol)],
    },
    CoreKind {
        name: "process",
        is_aggregate: false,
        help: "A process: at the start of the window, and whenever one appears or changes its name.",
        columns: &["pid", "ppid", "ns_pid", "uid", "comm", "process", "cgroup_id", "container", "filename", "argv"],
        holds: &[],
    },
    CoreKind {
        name: "cgroup",
        is_aggregate: false,
        help: "A control group: its number and path.",
        columns: &["cgroup_id", "name"],
        holds: &[("name", Holds::Cgroup)],
    },
    CoreKind {
        name: "cpu_info",
        is_aggregate: false,
        help: "A CPU and its model.",
        columns: &["cpu", "name"],
        holds: &[("name", Holds::Word)],
    },
    CoreKind {
        name: "lost",
        is_aggregate: true,
        help: "What could not be kept: probe, cause, CPU, interval.",
        columns: &["dur_ns", "cpu", "name", "cause", "count"],
        holds: &[("name", Holds::Word)],
    },
    CoreKind {
        name: "cost",
        is_aggregate: true,
        help: "What recording cost: time in a BPF program while it was measured, and ebrec's own CPU time (op cpu; cpu_start until the window begins, cpu_finish from its end until the rows are written) and memory.",
        columns: &["dur_ns", "name", "op", "count", "sum", "max"],
        holds: &[("name", Holds::Word)],
    },
    CoreKind {
        name: "clock",
        is_aggregate: false,
        help: "The same moment by the monotonic, boot and real-time clock.",
        columns: &["mono_ns", "boot_ns", "real_ns"],
        holds: &[],
    },
    CoreKind {
        name: "recording",
        is_aggregate: false,
        help: "The metadata of the file, once more as rows.",
        columns: &["attr", "value"],
        holds: &[],
    },
];
