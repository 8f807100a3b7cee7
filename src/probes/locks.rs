//! Waits for locks: the kernel's own by kind, and futexes, by process and address.

use anyhow::Result;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::read;
use super::signed;
use crate::bpf::EventHeader;
use crate::bpf::cells::Gathered;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::Thins;
use crate::probe::attached::Context;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
use crate::probe::watch::Watch;
use crate::recording::Column;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Holds;
use crate::recording::column;
use crate::units::Unit;

object! {
    name: "locks",
    // A hundred processes that wait for locks within one interval, on a few thousand addresses.
    cells: 8192,
    // SAFETY: integers only, as bpf/locks/locks.bpf.c declares it.
    unsafe plain: lock_record,
}

const ADDRESS: &str = "locks_address";

static INFO: ProbeInfo = ProbeInfo {
    name: "locks",
    summary: "Waits for the kernel's locks by kind, and in futex(2), on which programs build theirs, by address.",
    slow: Some(std::time::Duration::from_millis(10)),
    metrics: &[
        Metric {
            number: types::locks_metric::LOCKS_CONTENTION.0 as u16,
            name: "locks.contention",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["name", "pid", "comm"],
            help: "Time that a thread waited for a lock of the kernel, by kind of lock; Linux 5.19.",
            events: None, // rows of both metrics are of one kind
        },
        Metric {
            number: types::locks_metric::LOCKS_FUTEX_WAIT.0 as u16,
            name: "locks.futex_wait",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm"],
            help: "Time in a futex(2) call that waits, which idle threads do too. Excludes calls that found the value changed.",
            events: None,
        },
        Metric {
            number: types::locks_metric::LOCKS_FUTEX_ADDRESS.0 as u16,
            name: "locks.futex_address",
            kind: MetricKind::Counter,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm", ADDRESS],
            help: "Waits in futex(2) and their time, by the address of the futex in the process.",
            events: None,
        },
    ],
    kinds: &[EventKind {
        name: "lock",
        help: "A thread got a lock, or gave up, after waiting dur_ns; name is the kind of lock, 'futex' for one in user space.",
        columns: &["dur_ns", "cpu", "pid", "tid", "comm", "process", "name", "op", "ret", "locks_address"],
    }],
    columns: &[Column {
        name: ADDRESS,
        ty: ColumnType::Text(Holds::Word),
        title: "Futex address",
        unit: None,
        help: "Address of the futex in the process's memory; null for the kernel's locks.",
    }],
    holds: &[("name", Holds::Word)],
    watches: &[Watch::duration("locks.wait", "lock", "Time that a thread waited for a kernel lock or a futex.")],
    hooks: &["tp_btf/contention_begin", "tp_btf/contention_end", "tp_btf/sys_enter", "tp_btf/sys_exit"],
    cost: "tens of nanoseconds for each system call, under a microsecond for each wait",
    thins: Thins::Rows,
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Locks {
    address: Option<ColumnId>,
}

impl BuiltIn for Locks {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Locks {
        Locks { address: setup.schema.id(ADDRESS) }
    }
}

impl Decoder for Locks {
    fn under_way(&self, live: &Live) -> Result<Option<u64>> {
        Ok(Some(live.entries("sleepers")?.saturating_add(live.entries("futexes")?)))
    }

    fn decode(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(bytes)?;
        let futex = match types::locks_event(header.event.into()) {
            types::locks_event::LOCKS_KERNEL => false,
            types::locks_event::LOCKS_FUTEX => true,
            _ => return Err(Undecodable { length: bytes.len() }),
        };
        let record: types::lock_record = read(bytes)?;
        let mut row = context.rows.row("lock");
        row.at(header.ts).int(column::DUR_NS, signed(record.dur_ns)).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into()).bytes(column::COMM, &record.comm);
        row.int(column::RET, record.ret);
        if futex {
            row.text(column::NAME, "futex").text(column::OP, command(record.kind));
            if let Some(column) = self.address {
                row.text(column, &address(record.address));
            }
        } else {
            row.text(column::NAME, kind(record.kind));
        }
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        match metric {
            "locks.contention" => key.insert(0, KeyPart::Text(column::NAME, kind(gathered.sub as u32).to_owned())),
            "locks.futex_address" => {
                key.extend(self.address.map(|column| KeyPart::Text(column, address(gathered.sub))));
            }
            _ => {}
        }
        key
    }
}

fn address(address: u64) -> String {
    format!("{address:#x}")
}

/// The kind of a kernel lock, from the flags of include/trace/events/lock.h.
fn kind(flags: u32) -> &'static str {
    let has = |flag: types::lock_flags| flags & flag.0 != 0;
    let (read, write) = (has(types::lock_flags::LCB_F_READ), has(types::lock_flags::LCB_F_WRITE));
    match () {
        () if flags == 0 || has(types::lock_flags::LCB_F_MUTEX) => "mutex",
        () if has(types::lock_flags::LCB_F_PERCPU) && write => "percpu-rwsem write",
        () if has(types::lock_flags::LCB_F_PERCPU) => "percpu-rwsem read",
        () if has(types::lock_flags::LCB_F_RT) && read => "rt-rwlock read",
        () if has(types::lock_flags::LCB_F_RT) && write => "rt-rwlock write",
        () if has(types::lock_flags::LCB_F_RT) => "rt-mutex",
        () if has(types::lock_flags::LCB_F_SPIN) && read => "rwlock read",
        () if has(types::lock_flags::LCB_F_SPIN) && write => "rwlock write",
        () if has(types::lock_flags::LCB_F_SPIN) => "spinlock",
        () if read => "rwsem read",
        () if write => "rwsem write",
        () => "other",
    }
}

/// What a futex(2) call that waits does.
fn command(command: u32) -> &'static str {
    match types::futex_command(command) {
        types::futex_command::FUTEX_WAIT => "wait",
        types::futex_command::FUTEX_WAIT_BITSET => "wait_bitset",
        types::futex_command::FUTEX_LOCK_PI => "lock_pi",
        types::futex_command::FUTEX_LOCK_PI2 => "lock_pi2",
        types::futex_command::FUTEX_WAIT_REQUEUE_PI => "wait_requeue_pi",
        types::futex_command::FUTEX_WAITV => "waitv",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::command;
    use super::kind;

    #[test]
    fn locks_are_named_by_their_flags() {
        assert_eq!(kind(0x01), "spinlock");
        assert_eq!(kind(0x01 | 0x02), "rwlock read");
        assert_eq!(kind(0x04), "rwsem write");
        assert_eq!(kind(0x20 | 0x01), "mutex");
        assert_eq!(kind(0x10 | 0x02), "percpu-rwsem read");
        assert_eq!(kind(0x08), "rt-mutex");
    }

    #[test]
    fn futex_commands_are_named_as_in_the_manual() {
        assert_eq!(command(0), "wait");
        assert_eq!(command(9), "wait_bitset");
    }
}
