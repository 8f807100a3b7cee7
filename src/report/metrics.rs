//! Metrics that single views know by name, because the view is about what they measure.

/// Nanoseconds on a CPU, by process.
pub(super) const ON_CPU: &str = "sched.on_cpu";
/// Nanoseconds runnable but waiting for a CPU, by process.
pub(super) const RUN_QUEUE: &str = "sched.runqueue_latency";
/// Context switches, by process and whether they were voluntary.
pub(super) const SWITCHES: &str = "sched.switches";
/// Moves from CPU to CPU, by process.
pub(super) const MIGRATIONS: &str = "sched.migrations";
/// Processes that started.
pub(super) const STARTS: &str = "process.starts";
/// Processes that ended.
pub(super) const EXITS: &str = "process.exits";
/// Nanoseconds that disk I/O waited before the device got it.
pub(super) const BLOCK_QUEUE: &str = "block.queue_time";
/// Nanoseconds that disk I/O spent in the device.
pub(super) const BLOCK_DEVICE: &str = "block.device_time";
/// Bytes of disk I/O.
pub(super) const BLOCK_SIZE: &str = "block.size";
/// Requests in a device when another came.
pub(super) const BLOCK_DEPTH: &str = "block.queue_depth";
/// Disk I/O by whether it continued where the last one ended.
pub(super) const BLOCK_ACCESS: &str = "block.access";
/// Nanoseconds in system calls, by process, call and whether it waits by design.
pub(super) const SYSCALL_LATENCY: &str = "syscall.latency";
/// System calls that failed, by process, call and error.
pub(super) const SYSCALL_ERRORS: &str = "syscall.errors";
