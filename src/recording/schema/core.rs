//! The core columns: the vocabulary that all kinds share. Only ever appended to.

use super::Column;
use super::ColumnType;
use crate::recording::Holds;

/// The columns whose values mostly grow by small steps from row to row, so that they are encoded as differences.
pub(crate) const GROWING: [&str; 6] = ["ts", "dur_ns", "sector", "mono_ns", "boot_ns", "real_ns"];

/// The columns of every recording, in file order; probes append theirs behind them.
#[rustfmt::skip]
pub static CORE: &[Column] = &[
    Column { name: "kind", ty: ColumnType::Text(Holds::Word), title: "Kind", unit: None, help: "What the row is: an event such as 'exec' or 'block_io', an aggregate ('hist', 'metric'), or a description ('process', 'lost', 'cost', 'clock', 'recording'). Every row group holds one kind." },
    Column { name: "host", ty: ColumnType::Text(Holds::Host), title: "Host", unit: None, help: "Host name of the recorded machine." },
    Column { name: "run_id", ty: ColumnType::Text(Holds::Word), title: "Run", unit: None, help: "Identifier of the recording, which distinguishes rows of different files." },
    Column { name: "ts", ty: ColumnType::Timestamp, title: "Time", unit: None, help: "End of the event, or of the interval of an aggregate." },
    Column { name: "ts_sub_ns", ty: ColumnType::Int16, title: "Nanoseconds of time", unit: Some("ns"), help: "Nanoseconds (0 to 999) below the microsecond of ts." },
    Column { name: "dur_ns", ty: ColumnType::Int64, title: "Duration", unit: Some("ns"), help: "Duration; the event began at ts minus dur_ns." },
    Column { name: "cpu", ty: ColumnType::Int16, title: "CPU", unit: None, help: "CPU it happened on." },
    Column { name: "pid", ty: ColumnType::Int32, title: "Process", unit: None, help: "Process (thread group) id in the host's PID namespace." },
    Column { name: "tid", ty: ColumnType::Int32, title: "Thread", unit: None, help: "Thread id in the host's PID namespace." },
    Column { name: "ppid", ty: ColumnType::Int32, title: "Parent", unit: None, help: "Process id of the parent." },
    Column { name: "ns_pid", ty: ColumnType::Int32, title: "Process in its namespace", unit: None, help: "Id of the process in its own PID namespace, as in a container; null if that is the host's." },
    Column { name: "uid", ty: ColumnType::Int64, title: "User", unit: None, help: "Real user id." },
    Column { name: "comm", ty: ColumnType::Text(Holds::Program), title: "Command", unit: None, help: "Name of the thread, at most 15 bytes; of the process, in rows about a whole process." },
    Column { name: "process", ty: ColumnType::Text(Holds::Program), title: "Process name", unit: None, help: "Name of the process with the id pid, at most 15 bytes, whatever its threads are called." },
    Column { name: "cgroup_id", ty: ColumnType::Int64, title: "Cgroup", unit: None, help: "Id of the cgroup (version 2 hierarchy); rows of kind 'cgroup' give its path." },
    Column { name: "container", ty: ColumnType::Text(Holds::Container), title: "Container", unit: None, help: "Container id, if the cgroup belongs to one." },
    Column { name: "name", ty: ColumnType::Text(Holds::ByKind), title: "Name", unit: None, help: "Name of what the row is about: system call, function, metric, probe, symbol, program or signal." },
    Column { name: "kstack_id", ty: ColumnType::Int32, title: "Kernel stack", unit: None, help: "Kernel stack: id of a row of kind 'stack'." },
    Column { name: "ustack_id", ty: ColumnType::Int32, title: "User stack", unit: None, help: "User stack: id of a row of kind 'stack'." },
    Column { name: "ret", ty: ColumnType::Int64, title: "Result", unit: None, help: "Return value; negative values are errno numbers." },
    Column { name: "bytes", ty: ColumnType::Int64, title: "Size", unit: Some("bytes"), help: "Bytes moved or asked for." },
    Column { name: "op", ty: ColumnType::Text(Holds::Word), title: "Operation", unit: None, help: "Operation, such as 'read', 'write' or 'flush'." },
    Column { name: "state", ty: ColumnType::Text(Holds::Word), title: "State", unit: None, help: "State of the thread or connection, or how a time on a CPU ended." },
    Column { name: "cause", ty: ColumnType::Text(Holds::Word), title: "Cause", unit: None, help: "Why: the reason for a wait or for a loss." },
    Column { name: "prio", ty: ColumnType::Int32, title: "Priority", unit: None, help: "Kernel priority; lower runs first, 120 is the default." },
    Column { name: "waker_pid", ty: ColumnType::Int32, title: "Waker", unit: None, help: "Process that made the thread runnable." },
    Column { name: "waker_tid", ty: ColumnType::Int32, title: "Waker thread", unit: None, help: "Thread that made the thread runnable." },
    Column { name: "waker_process", ty: ColumnType::Text(Holds::Program), title: "Waker name", unit: None, help: "Name of the process that made the thread runnable." },
    Column { name: "dev", ty: ColumnType::Text(Holds::Device), title: "Device", unit: None, help: "Block device, by name." },
    Column { name: "sector", ty: ColumnType::Int64, title: "Sector", unit: None, help: "First sector, in units of 512 bytes." },
    Column { name: "family", ty: ColumnType::Text(Holds::Word), title: "Family", unit: None, help: "Address family: 'ipv4', 'ipv6' or 'unix'." },
    Column { name: "saddr", ty: ColumnType::Text(Holds::Address), title: "Local address", unit: None, help: "Local address as text." },
    Column { name: "sport", ty: ColumnType::Int32, title: "Local port", unit: None, help: "Local port." },
    Column { name: "daddr", ty: ColumnType::Text(Holds::Address), title: "Remote address", unit: None, help: "Remote address as text." },
    Column { name: "dport", ty: ColumnType::Int32, title: "Remote port", unit: None, help: "Remote port." },
    Column { name: "filename", ty: ColumnType::Text(Holds::Path), title: "File", unit: None, help: "Path as passed to the kernel." },
    Column { name: "argv", ty: ColumnType::Text(Holds::Arguments), title: "Arguments", unit: None, help: "Argument vector, quoted as for a shell, so that arguments with spaces stay separate; it ends in '…' if it was cut at 4 KiB." },
    Column { name: "exit_code", ty: ColumnType::Int32, title: "Exit status", unit: None, help: "Exit status, 0 to 255; null when a signal ended the process." },
    Column { name: "metric", ty: ColumnType::Text(Holds::Word), title: "Metric", unit: None, help: "Name of the metric, such as 'sched.runqueue_latency'." },
    Column { name: "unit", ty: ColumnType::Text(Holds::Word), title: "Unit", unit: None, help: "Unit of the metric's values: 'ns', 'bytes' or 'count'." },
    Column { name: "key", ty: ColumnType::Text(Holds::Key), title: "Key", unit: None, help: "Values of the metric's dimensions, joined by spaces." },
    Column { name: "bucket_lo", ty: ColumnType::Int64, title: "From", unit: None, help: "Lower bound of the histogram bucket, in the metric's unit, inclusive." },
    Column { name: "bucket_hi", ty: ColumnType::Int64, title: "To", unit: None, help: "Upper bound of the histogram bucket, in the metric's unit, exclusive." },
    Column { name: "count", ty: ColumnType::Int64, title: "Count", unit: Some("count"), help: "How many: events in a bucket or interval, events lost, runs of a program." },
    Column { name: "sum", ty: ColumnType::Int64, title: "Total", unit: None, help: "Exact sum of the values, in the metric's unit; nanoseconds in rows without a metric." },
    Column { name: "min", ty: ColumnType::Int64, title: "Minimum", unit: None, help: "Exact smallest value, in the metric's unit." },
    Column { name: "max", ty: ColumnType::Int64, title: "Maximum", unit: None, help: "Exact largest value, in the metric's unit." },
    Column { name: "p50", ty: ColumnType::Int64, title: "Median", unit: None, help: "Median of the values, in the metric's unit; within 3.2 % of the true one." },
    Column { name: "p99", ty: ColumnType::Int64, title: "P99", unit: None, help: "99th percentile of the values, in the metric's unit; within 3.2 % of the true one." },
    Column { name: "id", ty: ColumnType::Int32, title: "Id", unit: None, help: "Id of the stack or symbol that the row describes." },
    Column { name: "frames", ty: ColumnType::ListInt32, title: "Frames", unit: None, help: "Frames of a stack from the innermost out: ids of rows of kind 'symbol'." },
    Column { name: "folded", ty: ColumnType::Text(Holds::Stack), title: "Folded stack", unit: None, help: "The stack as text, outermost first, separated by semicolons." },
    Column { name: "depth", ty: ColumnType::Int32, title: "Depth", unit: Some("count"), help: "Number of frames." },
    Column { name: "module", ty: ColumnType::Text(Holds::Path), title: "Module", unit: None, help: "Executable, library, kernel module or Python source file that holds the symbol." },
    Column { name: "build_id", ty: ColumnType::Text(Holds::BuildId), title: "Build id", unit: None, help: "Build id of the module in hexadecimal." },
    Column { name: "file_offset", ty: ColumnType::Int64, title: "File offset", unit: Some("bytes"), help: "Offset of the address in the module's file." },
    Column { name: "module_addr", ty: ColumnType::Int64, title: "Module address", unit: None, help: "Address of the frame as the module's own symbol table numbers it." },
    Column { name: "arg_0", ty: ColumnType::Int64, title: "Argument 0", unit: None, help: "Captured number 0 of a custom event; the metadata has its name." },
    Column { name: "arg_1", ty: ColumnType::Int64, title: "Argument 1", unit: None, help: "Captured number 1 of a custom event; the metadata has its name." },
    Column { name: "arg_2", ty: ColumnType::Int64, title: "Argument 2", unit: None, help: "Captured number 2 of a custom event; the metadata has its name." },
    Column { name: "arg_3", ty: ColumnType::Int64, title: "Argument 3", unit: None, help: "Captured number 3 of a custom event; the metadata has its name." },
    Column { name: "arg_4", ty: ColumnType::Int64, title: "Argument 4", unit: None, help: "Captured number 4 of a custom event; the metadata has its name." },
    Column { name: "arg_5", ty: ColumnType::Int64, title: "Argument 5", unit: None, help: "Captured number 5 of a custom event; the metadata has its name." },
    Column { name: "str_0", ty: ColumnType::Text(Holds::Captured), title: "String 0", unit: None, help: "Captured string 0 of a custom event; the metadata has its name." },
    Column { name: "str_1", ty: ColumnType::Text(Holds::Captured), title: "String 1", unit: None, help: "Captured string 1 of a custom event; the metadata has its name." },
    Column { name: "str_2", ty: ColumnType::Text(Holds::Captured), title: "String 2", unit: None, help: "Captured string 2 of a custom event; the metadata has its name." },
    Column { name: "attr", ty: ColumnType::Text(Holds::Word), title: "Attribute", unit: None, help: "Key of one pair of the footer's metadata." },
    Column { name: "value", ty: ColumnType::Text(Holds::Unknown), title: "Value", unit: None, help: "Value of one pair of the footer's metadata." },
    Column { name: "mono_ns", ty: ColumnType::Int64, title: "Monotonic clock", unit: Some("ns"), help: "CLOCK_MONOTONIC at one moment." },
    Column { name: "boot_ns", ty: ColumnType::Int64, title: "Boot clock", unit: Some("ns"), help: "CLOCK_BOOTTIME at the same moment." },
    Column { name: "real_ns", ty: ColumnType::Int64, title: "Real-time clock", unit: Some("ns"), help: "CLOCK_REALTIME at the same moment, since the Unix epoch." },
    Column { name: "pid_start_ns", ty: ColumnType::Int64, title: "Start of the process", unit: Some("ns"), help: "When the process with the id pid started, in nanoseconds of CLOCK_BOOTTIME. Since ids are reused, pid and pid_start_ns together identify a process, in all recordings between two boots. For a process older than the recording it is exact to 10 ms, as in /proc. Totals of an interval in which an id is reused are of the process that had it; of a connection that outlives its process, of the one that owned it." },
    Column { name: "flags", ty: ColumnType::Int64, title: "Flags", unit: None, help: "Flag bits: in a stack, 1 if it lacks callers, for the reason in cause." },
    Column { name: "line", ty: ColumnType::Int32, title: "Line", unit: None, help: "Source line of a frame, for Python functions." },
    Column { name: "wait_on", ty: ColumnType::Text(Holds::Word), title: "Waited on", unit: None, help: "What a thread waited for: 'futex', 'pipe', 'unix', 'tcp', 'udp', 'socket', 'eventfd', 'timerfd', 'event file', 'epoll', 'poll' (several descriptors), 'file', 'device', 'child', 'timer', 'signal', 'page', 'kernel_lock', 'disk', 'io_uring', 'semaphore' or 'other'." },
    Column { name: "wait_target", ty: ColumnType::Int64, title: "Target", unit: None, help: "What distinguishes two targets of a process: the address of a futex rounded down to a multiple of 8, an inode number, a descriptor, or a hash of a kernel lock." },
    Column { name: "wait_by", ty: ColumnType::Text(Holds::Word), title: "Ended by", unit: None, help: "What ended the waits: 'thread', 'timer', 'interrupt' (of a device, or the network's), 'nobody' before the window's end; null if the kernel did not show it." },
    Column { name: "wait_active_ns", ty: ColumnType::Int64, title: "Waker active", unit: Some("ns"), help: "Time of the waits in which the waker ran, was blocked, or waited for a thread that was itself active." },
    Column { name: "wait_unknown_ns", ty: ColumnType::Int64, title: "Waker unknown", unit: Some("ns"), help: "Share of the waits for which the waker's activity is unknown." },
    Column { name: "wait_contended_ns", ty: ColumnType::Int64, title: "Contended", unit: Some("ns"), help: "Waits for a futex whose word said that threads wait for a lock: word and expected value 2, or an owner's id with bit 31." },
    Column { name: "wait_handed_ns", ty: ColumnType::Int64, title: "Handed on", unit: Some("ns"), help: "Waits for a futex that were ended by a thread that had waited for it itself." },
    Column { name: "wait_request_ns", ty: ColumnType::Int64, title: "In requests", unit: Some("ns"), help: "Time of the waits in which the process had received a request and not yet answered it." },
    Column { name: "wait_question_ns", ty: ColumnType::Int64, title: "Awaiting an answer", unit: Some("ns"), help: "Time of the waits in which the process had sent a request that was not yet answered." },
    Column { name: "wait_owner_tid", ty: ColumnType::Int32, title: "Owner", unit: None, help: "Thread that held the lock, if the lock names it." },
    Column { name: "wait_name", ty: ColumnType::Text(Holds::Path), title: "Target name", unit: None, help: "Name of the target: a path, or the name in /proc for a pipe or an event file; for a futex, the mapping that contains it." },
    Column { name: "wait_peer_pid", ty: ColumnType::Int32, title: "Peer", unit: None, help: "Process at the other end of a socket, if it is on this machine." },
    Column { name: "unit_name", ty: ColumnType::Text(Holds::Cgroup), title: "Unit", unit: None, help: "Unit of systemd that the process belongs to, such as 'web.service'." },
    Column { name: "pod", ty: ColumnType::Text(Holds::Container), title: "Pod", unit: None, help: "UID of the Kubernetes pod that the process belongs to." },
];

/// Where each core column stands in every schema; a test holds these against [`CORE`].
pub mod column {
    use super::super::ColumnId;

    /// Column `kind`.
    pub const KIND: ColumnId = ColumnId(0);
    /// Column `host`.
    pub const HOST: ColumnId = ColumnId(1);
    /// Column `run_id`.
    pub const RUN_ID: ColumnId = ColumnId(2);
    /// Column `ts`.
    pub const TS: ColumnId = ColumnId(3);
    /// Column `ts_sub_ns`.
    pub const TS_SUB_NS: ColumnId = ColumnId(4);
    /// Column `dur_ns`.
    pub const DUR_NS: ColumnId = ColumnId(5);
    /// Column `cpu`.
    pub const CPU: ColumnId = ColumnId(6);
    /// Column `pid`.
    pub const PID: ColumnId = ColumnId(7);
    /// Column `tid`.
    pub const TID: ColumnId = ColumnId(8);
    /// Column `ppid`.
    pub const PPID: ColumnId = ColumnId(9);
    /// Column `ns_pid`.
    pub const NS_PID: ColumnId = ColumnId(10);
    /// Column `uid`.
    pub const UID: ColumnId = ColumnId(11);
    /// Column `comm`.
    pub const COMM: ColumnId = ColumnId(12);
    /// Column `process`.
    pub const PROCESS: ColumnId = ColumnId(13);
    /// Column `cgroup_id`.
    pub const CGROUP_ID: ColumnId = ColumnId(14);
    /// Column `container`.
    pub const CONTAINER: ColumnId = ColumnId(15);
    /// Column `name`.
    pub const NAME: ColumnId = ColumnId(16);
    /// Column `kstack_id`.
    pub const KSTACK_ID: ColumnId = ColumnId(17);
    /// Column `ustack_id`.
    pub const USTACK_ID: ColumnId = ColumnId(18);
    /// Column `ret`.
    pub const RET: ColumnId = ColumnId(19);
    /// Column `bytes`.
    pub const BYTES: ColumnId = ColumnId(20);
    /// Column `op`.
    pub const OP: ColumnId = ColumnId(21);
    /// Column `state`.
    pub const STATE: ColumnId = ColumnId(22);
    /// Column `cause`.
    pub const CAUSE: ColumnId = ColumnId(23);
    /// Column `prio`.
    pub const PRIO: ColumnId = ColumnId(24);
    /// Column `waker_pid`.
    pub const WAKER_PID: ColumnId = ColumnId(25);
    /// Column `waker_tid`.
    pub const WAKER_TID: ColumnId = ColumnId(26);
    /// Column `waker_process`.
    pub const WAKER_PROCESS: ColumnId = ColumnId(27);
    /// Column `dev`.
    pub const DEV: ColumnId = ColumnId(28);
    /// Column `sector`.
    pub const SECTOR: ColumnId = ColumnId(29);
    /// Column `family`.
    pub const FAMILY: ColumnId = ColumnId(30);
    /// Column `saddr`.
    pub const SADDR: ColumnId = ColumnId(31);
    /// Column `sport`.
    pub const SPORT: ColumnId = ColumnId(32);
    /// Column `daddr`.
    pub const DADDR: ColumnId = ColumnId(33);
    /// Column `dport`.
    pub const DPORT: ColumnId = ColumnId(34);
    /// Column `filename`.
    pub const FILENAME: ColumnId = ColumnId(35);
    /// Column `argv`.
    pub const ARGV: ColumnId = ColumnId(36);
    /// Column `exit_code`.
    pub const EXIT_CODE: ColumnId = ColumnId(37);
    /// Column `metric`.
    pub const METRIC: ColumnId = ColumnId(38);
    /// Column `unit`.
    pub const UNIT: ColumnId = ColumnId(39);
    /// Column `key`.
    pub const KEY: ColumnId = ColumnId(40);
    /// Column `bucket_lo`.
    pub const BUCKET_LO: ColumnId = ColumnId(41);
    /// Column `bucket_hi`.
    pub const BUCKET_HI: ColumnId = ColumnId(42);
    /// Column `count`.
    pub const COUNT: ColumnId = ColumnId(43);
    /// Column `sum`.
    pub const SUM: ColumnId = ColumnId(44);
    /// Column `min`.
    pub const MIN: ColumnId = ColumnId(45);
    /// Column `max`.
    pub const MAX: ColumnId = ColumnId(46);
    /// Column `p50`.
    pub const P50: ColumnId = ColumnId(47);
    /// Column `p99`.
    pub const P99: ColumnId = ColumnId(48);
    /// Column `id`.
    pub const ID: ColumnId = ColumnId(49);
    /// Column `frames`.
    pub const FRAMES: ColumnId = ColumnId(50);
    /// Column `folded`.
    pub const FOLDED: ColumnId = ColumnId(51);
    /// Column `depth`.
    pub const DEPTH: ColumnId = ColumnId(52);
    /// Column `module`.
    pub const MODULE: ColumnId = ColumnId(53);
    /// Column `build_id`.
    pub const BUILD_ID: ColumnId = ColumnId(54);
    /// Column `file_offset`.
    pub const FILE_OFFSET: ColumnId = ColumnId(55);
    /// Column `module_addr`.
    pub const MODULE_ADDR: ColumnId = ColumnId(56);
    /// Column `arg_0`.
    pub const ARG_0: ColumnId = ColumnId(57);
    /// Column `arg_1`.
    pub const ARG_1: ColumnId = ColumnId(58);
    /// Column `arg_2`.
    pub const ARG_2: ColumnId = ColumnId(59);
    /// Column `arg_3`.
    pub const ARG_3: ColumnId = ColumnId(60);
    /// Column `arg_4`.
    pub const ARG_4: ColumnId = ColumnId(61);
    /// Column `arg_5`.
    pub const ARG_5: ColumnId = ColumnId(62);
    /// Column `str_0`.
    pub const STR_0: ColumnId = ColumnId(63);
    /// Column `str_1`.
    pub const STR_1: ColumnId = ColumnId(64);
    /// Column `str_2`.
    pub const STR_2: ColumnId = ColumnId(65);
    /// Column `attr`.
    pub const ATTR: ColumnId = ColumnId(66);
    /// Column `value`.
    pub const VALUE: ColumnId = ColumnId(67);
    /// Column `mono_ns`.
    pub const MONO_NS: ColumnId = ColumnId(68);
    /// Column `boot_ns`.
    pub const BOOT_NS: ColumnId = ColumnId(69);
    /// Column `real_ns`.
    pub const REAL_NS: ColumnId = ColumnId(70);
    /// Column `pid_start_ns`.
    pub const PID_START_NS: ColumnId = ColumnId(71);
    /// Column `flags`.
    pub const FLAGS: ColumnId = ColumnId(72);
    /// Column `line`.
    pub const LINE: ColumnId = ColumnId(73);
    /// Column `wait_on`.
    pub const WAIT_ON: ColumnId = ColumnId(74);
    /// Column `wait_target`.
    pub const WAIT_TARGET: ColumnId = ColumnId(75);
    /// Column `wait_by`.
    pub const WAIT_BY: ColumnId = ColumnId(76);
    /// Column `wait_active_ns`.
    pub const WAIT_ACTIVE_NS: ColumnId = ColumnId(77);
    /// Column `wait_unknown_ns`.
    pub const WAIT_UNKNOWN_NS: ColumnId = ColumnId(78);
    /// Column `wait_contended_ns`.
    pub const WAIT_CONTENDED_NS: ColumnId = ColumnId(79);
    /// Column `wait_handed_ns`.
    pub const WAIT_HANDED_NS: ColumnId = ColumnId(80);
    /// Column `wait_request_ns`.
    pub const WAIT_REQUEST_NS: ColumnId = ColumnId(81);
    /// Column `wait_question_ns`.
    pub const WAIT_QUESTION_NS: ColumnId = ColumnId(82);
    /// Column `wait_owner_tid`.
    pub const WAIT_OWNER_TID: ColumnId = ColumnId(83);
    /// Column `wait_name`.
    pub const WAIT_NAME: ColumnId = ColumnId(84);
    /// Column `wait_peer_pid`.
    pub const WAIT_PEER_PID: ColumnId = ColumnId(85);
    /// Column `unit_name`.
    pub const UNIT_NAME: ColumnId = ColumnId(86);
    /// Column `pod`.
    pub const POD: ColumnId = ColumnId(87);
}

#[cfg(test)]
mod tests {
    use super::CORE;
    use super::ColumnType;
    use super::GROWING;
    use super::column;

    #[test]
    fn only_columns_of_64_bits_are_encoded_as_differences() {
        for name in GROWING {
            let column = CORE.iter().find(|column| column.name == name);
            let ty = column.map(|column| column.ty);
            assert!(matches!(ty, Some(ColumnType::Int64 | ColumnType::Timestamp)), "{name}: {ty:?}");
        }
    }

    #[test]
    fn every_constant_names_the_column_at_its_place() {
        let constants = [
            ("kind", column::KIND),
            ("host", column::HOST),
            ("run_id", column::RUN_ID),
            ("ts", column::TS),
            ("ts_sub_ns", column::TS_SUB_NS),
            ("dur_ns", column::DUR_NS),
            ("cpu", column::CPU),
            ("pid", column::PID),
            ("tid", column::TID),
            ("ppid", column::PPID),
            ("ns_pid", column::NS_PID),
            ("uid", column::UID),
            ("comm", column::COMM),
            ("process", column::PROCESS),
            ("cgroup_id", column::CGROUP_ID),
            ("container", column::CONTAINER),
            ("name", column::NAME),
            ("kstack_id", column::KSTACK_ID),
            ("ustack_id", column::USTACK_ID),
            ("ret", column::RET),
            ("bytes", column::BYTES),
            ("op", column::OP),
            ("state", column::STATE),
            ("cause", column::CAUSE),
            ("prio", column::PRIO),
            ("waker_pid", column::WAKER_PID),
            ("waker_tid", column::WAKER_TID),
            ("waker_process", column::WAKER_PROCESS),
            ("dev", column::DEV),
            ("sector", column::SECTOR),
            ("family", column::FAMILY),
            ("saddr", column::SADDR),
            ("sport", column::SPORT),
            ("daddr", column::DADDR),
            ("dport", column::DPORT),
            ("filename", column::FILENAME),
            ("argv", column::ARGV),
            ("exit_code", column::EXIT_CODE),
            ("metric", column::METRIC),
            ("unit", column::UNIT),
            ("key", column::KEY),
            ("bucket_lo", column::BUCKET_LO),
            ("bucket_hi", column::BUCKET_HI),
            ("count", column::COUNT),
            ("sum", column::SUM),
            ("min", column::MIN),
            ("max", column::MAX),
            ("p50", column::P50),
            ("p99", column::P99),
            ("id", column::ID),
            ("frames", column::FRAMES),
            ("folded", column::FOLDED),
            ("depth", column::DEPTH),
            ("module", column::MODULE),
            ("build_id", column::BUILD_ID),
            ("file_offset", column::FILE_OFFSET),
            ("module_addr", column::MODULE_ADDR),
            ("arg_0", column::ARG_0),
            ("arg_1", column::ARG_1),
            ("arg_2", column::ARG_2),
            ("arg_3", column::ARG_3),
            ("arg_4", column::ARG_4),
            ("arg_5", column::ARG_5),
            ("str_0", column::STR_0),
            ("str_1", column::STR_1),
            ("str_2", column::STR_2),
            ("attr", column::ATTR),
            ("value", column::VALUE),
            ("mono_ns", column::MONO_NS),
            ("boot_ns", column::BOOT_NS),
            ("real_ns", column::REAL_NS),
            ("pid_start_ns", column::PID_START_NS),
            ("flags", column::FLAGS),
            ("line", column::LINE),
            ("wait_on", column::WAIT_ON),
            ("wait_target", column::WAIT_TARGET),
            ("wait_by", column::WAIT_BY),
            ("wait_active_ns", column::WAIT_ACTIVE_NS),
            ("wait_unknown_ns", column::WAIT_UNKNOWN_NS),
            ("wait_contended_ns", column::WAIT_CONTENDED_NS),
            ("wait_handed_ns", column::WAIT_HANDED_NS),
            ("wait_request_ns", column::WAIT_REQUEST_NS),
            ("wait_question_ns", column::WAIT_QUESTION_NS),
            ("wait_owner_tid", column::WAIT_OWNER_TID),
            ("wait_name", column::WAIT_NAME),
            ("wait_peer_pid", column::WAIT_PEER_PID),
            ("unit_name", column::UNIT_NAME),
            ("pod", column::POD),
        ];
        assert_eq!(constants.len(), CORE.len());
        for (index, (name, id)) in constants.into_iter().enumerate() {
            assert_eq!(id.index(), index);
            assert_eq!(CORE[index].name, name);
        }
    }
}
