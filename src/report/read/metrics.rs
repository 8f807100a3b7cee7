//! Metrics that single views know by name, because the view is about what they measure.

/// Nanoseconds on a CPU, by process.
pub(crate) const ON_CPU: &str = "sched.on_cpu";
/// Nanoseconds runnable but waiting for a CPU, by process.
pub(crate) const RUN_QUEUE: &str = "sched.runqueue_latency";
/// Context switches, by process and whether they were voluntary.
pub(crate) const SWITCHES: &str = "sched.switches";
/// Moves from CPU to CPU, by process.
pub(crate) const MIGRATIONS: &str = "sched.migrations";
/// Processes that started.
pub(crate) const STARTS: &str = "process.starts";
/// Processes that ended.
pub(crate) const EXITS: &str = "process.exits";
/// Nanoseconds that disk I/O waited before the device got it.
pub(crate) const BLOCK_QUEUE: &str = "block.queue_time";
/// Nanoseconds that disk I/O spent in the device.
pub(crate) const BLOCK_DEVICE: &str = "block.device_time";
/// Bytes of disk I/O.
pub(crate) const BLOCK_SIZE: &str = "block.size";
/// Requests in a device when another came.
pub(crate) const BLOCK_DEPTH: &str = "block.queue_depth";
/// Disk I/O by whether it continued where the last one ended.
pub(crate) const BLOCK_ACCESS: &str = "block.access";

/// Page faults, by process and whether they were major.
pub(crate) const FAULTS: &str = "memory.faults";
/// Nanoseconds that threads stalled to free memory.
pub(crate) const RECLAIM: &str = "memory.reclaim_stall";
/// Bytes that they freed.
pub(crate) const RECLAIMED: &str = "memory.reclaimed";
/// Nanoseconds that threads stalled to move memory together.
pub(crate) const COMPACTION: &str = "memory.compaction_stall";
/// Nanoseconds that kswapd was awake.
pub(crate) const KSWAPD: &str = "memory.kswapd";
/// Nanoseconds in the handlers of hard interrupts.
pub(crate) const HARD_IRQ: &str = "irq.hard_time";
/// Nanoseconds in soft interrupts.
pub(crate) const SOFT_IRQ: &str = "irq.soft_time";
/// Nanoseconds that soft interrupts came late.
pub(crate) const SOFT_IRQ_DELAY: &str = "irq.soft_delay";
/// Nanoseconds that threads waited for the kernel's locks.
pub(crate) const CONTENTION: &str = "locks.contention";
/// Nanoseconds that threads waited in futex(2).
pub(crate) const FUTEX_WAIT: &str = "locks.futex_wait";
/// The same by address.
pub(crate) const FUTEX_ADDRESS: &str = "locks.futex_address";
/// Nanoseconds in system calls, by process, call and whether it waits by design.
pub(crate) const SYSCALL_LATENCY: &str = "syscall.latency";
/// System calls that failed, by process, call and error.
pub(crate) const SYSCALL_ERRORS: &str = "syscall.errors";
/// Nanoseconds that HTTP requests took, by process, side, method and status.
pub(crate) const HTTP_LATENCY: &str = "http.latency";
/// HTTP requests without a whole answer.
pub(crate) const HTTP_UNANSWERED: &str = "http.unanswered";
/// What may be HTTP and is not told apart, by cause.
pub(crate) const HTTP_UNPARSED: &str = "http.unparsed";
/// Nanoseconds from the first SYN until a connection was established, by process and peer, as all of TCP's.
pub(crate) const TCP_CONNECT: &str = "tcp.connect_latency";
/// Connections that came in.
pub(crate) const TCP_ACCEPTED: &str = "tcp.accepted";
/// Nanoseconds that connections lived.
pub(crate) const TCP_LIFETIME: &str = "tcp.lifetime";
/// Nanoseconds of smoothed round-trip times.
pub(crate) const TCP_RTT: &str = "tcp.rtt";
/// Bytes of payload sent.
pub(crate) const TCP_SENT: &str = "tcp.sent";
/// Bytes of payload received.
pub(crate) const TCP_RECEIVED: &str = "tcp.received";
/// Segments sent again.
pub(crate) const TCP_RETRANSMITS: &str = "tcp.retransmits";
/// Resets sent.
pub(crate) const TCP_RESETS_SENT: &str = "tcp.resets_sent";
/// Resets received.
pub(crate) const TCP_RESETS_RECEIVED: &str = "tcp.resets_received";
/// Connects that failed, also by cause.
pub(crate) const TCP_FAILURES: &str = "tcp.failures";
/// Signals sent, by target, signal, sender and what became of them.
pub(crate) const SIGNALS_SENT: &str = "signals.sent";
/// Signals that threads took.
pub(crate) const SIGNALS_DELIVERED: &str = "signals.delivered";
/// Nanoseconds from a signal's sending until it was taken.
pub(crate) const SIGNAL_DELAY: &str = "signals.delay";
/// Nanoseconds in system calls on files, by process, operation and mount.
pub(crate) const FILES_LATENCY: &str = "files.latency";
/// Bytes that they moved.
pub(crate) const FILES_SIZE: &str = "files.size";
/// Opens that failed, by process, path and error.
pub(crate) const FAILED_OPENS: &str = "files.failed_opens";
/// Nanoseconds that files were there that were made and unlinked.
pub(crate) const SHORT_LIVED: &str = "files.short_lived";
/// Nanoseconds until a DNS query was answered, by process and name.
pub(crate) const DNS_LATENCY: &str = "dns.latency";
/// Answers with an error, also by code.
pub(crate) const DNS_FAILURES: &str = "dns.failures";
/// Queries without an answer.
pub(crate) const DNS_UNANSWERED: &str = "dns.unanswered";
/// Connects to port 53, by process.
pub(crate) const DNS_BY_TCP: &str = "dns.by_tcp";
/// Directions of connections to port 53 that were not read to their end, by process.
pub(crate) const DNS_UNREAD: &str = "dns.unread";
/// Hits of events of the user's own, by process, event, function and what they are kept by, as all of theirs.
pub(crate) const EVENT_COUNT: &str = "events.count";
/// Nanoseconds from entry to return.
pub(crate) const EVENT_LATENCY: &str = "events.latency";
/// Values of hist(…).
pub(crate) const EVENT_VALUE: &str = "events.value";
/// Values of hist(…) below zero.
pub(crate) const EVENT_NEGATIVE: &str = "events.negative";
/// Nanoseconds of each stay on a CPU, by process.
pub(crate) const SLICE: &str = "sched.slice";
/// Nanoseconds off the CPU, by process and state.
pub(crate) const OFF_CPU: &str = "offcpu.time";
/// Nanoseconds that processes lived, by their parents.
pub(crate) const LIFETIME: &str = "process.lifetime";
/// Samples of CPUs, by process.
pub(crate) const CPU_SAMPLES: &str = "cpu.samples";
/// Samples that found a CPU idle.
pub(crate) const CPU_IDLE: &str = "cpu.idle";
