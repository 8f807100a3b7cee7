//! States and causes in words, as they stand in the recording.

use super::types;

/// The state of a slot and, for a sleep, its cause.
pub(in super::super) fn of(slot: u32) -> (&'static str, Option<&'static str>) {
    let interruptible = types::ledger_slot::SLOT_INTERRUPTIBLE.0;
    let uninterruptible = types::ledger_slot::SLOT_UNINTERRUPTIBLE.0;
    match types::ledger_slot(slot) {
        types::ledger_slot::SLOT_ON_CPU => ("on_cpu", None),
        types::ledger_slot::SLOT_RUNNABLE => ("runnable", None),
        types::ledger_slot::SLOT_THROTTLED => ("throttled", None),
        types::ledger_slot::SLOT_STOPPED => ("stopped", None),
        _ if slot >= types::ledger_slot::SLOTS.0 => ("unknown", None),
        _ if slot >= uninterruptible => ("uninterruptible", Some(cause(slot - uninterruptible))),
        _ if slot >= interruptible => ("interruptible", Some(cause(slot - interruptible))),
        _ => ("unknown", None),
    }
}

/// The causes of bpf/shared/causes.h.
pub(in super::super::super) fn cause(cause: u32) -> &'static str {
    match types::ledger_cause(cause) {
        types::ledger_cause::CAUSE_FUTEX => "futex",
        types::ledger_cause::CAUSE_POLL => "poll",
        types::ledger_cause::CAUSE_SLEEP => "sleep",
        types::ledger_cause::CAUSE_SIGNAL => "signal",
        types::ledger_cause::CAUSE_READ => "file read",
        types::ledger_cause::CAUSE_WRITE => "file write",
        types::ledger_cause::CAUSE_COPY => "file copy",
        types::ledger_cause::CAUSE_PIPE => "pipe",
        types::ledger_cause::CAUSE_SOCKET => "socket",
        types::ledger_cause::CAUSE_DEVICE => "device",
        types::ledger_cause::CAUSE_FSYNC => "fsync",
        types::ledger_cause::CAUSE_FILES => "file system",
        types::ledger_cause::CAUSE_MEMORY => "memory",
        types::ledger_cause::CAUSE_CHILD => "child",
        types::ledger_cause::CAUSE_FORK => "fork",
        types::ledger_cause::CAUSE_EXEC => "exec",
        types::ledger_cause::CAUSE_EXIT => "exit",
        types::ledger_cause::CAUSE_ASYNC_IO => "async I/O",
        types::ledger_cause::CAUSE_IOCTL => "ioctl",
        types::ledger_cause::CAUSE_IPC => "ipc",
        types::ledger_cause::CAUSE_FILE_LOCK => "file lock",
        types::ledger_cause::CAUSE_PAGE_FAULT => "page fault",
        types::ledger_cause::CAUSE_BLOCK_IO => "block I/O",
        types::ledger_cause::CAUSE_KERNEL => "kernel work",
        types::ledger_cause::CAUSE_ANONYMOUS => "event file",
        types::ledger_cause::CAUSE_LOCK => "kernel lock",
        _ => "other system call",
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use super::types;

    #[test]
    fn every_slot_of_sleep_has_a_cause_and_each_its_own_name() {
        let causes = types::ledger_cause::CAUSES.0;
        let mut names = std::collections::HashSet::new();
        for cause in 0..causes {
            let (state, name) = of(types::ledger_slot::SLOT_INTERRUPTIBLE.0 + cause);
            assert_eq!(state, "interruptible");
            assert!(names.insert(name.unwrap()), "two causes are called '{name:?}'");
            assert_eq!(of(types::ledger_slot::SLOT_UNINTERRUPTIBLE.0 + cause), ("uninterruptible", name));
        }
        assert_eq!(of(types::ledger_slot::SLOTS.0), ("unknown", None));
        assert_eq!(of(types::ledger_slot::SLOT_ON_CPU.0), ("on_cpu", None));
    }
}
