//! System calls: how long each took and how it failed, by process and call; slow, failed, or all of them one by one.

use anyhow::Result;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::read;
use super::signed;
use crate::bpf::bytes_of;
use crate::bpf::cells::Gathered;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::names::errnos;
use crate::names::syscalls::Arch;
use crate::names::syscalls::OPENS;
use crate::names::syscalls::READS;
use crate::names::syscalls::WAITS;
use crate::names::syscalls::WRITES;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::Switch;
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

use self::calls::Calls;

mod calls;

object! {
    name: "syscall",
    // A hundred processes of ten calls each, every call spread over sixteen buckets.
    cells: 16_384,
    // SAFETY: integers only, as bpf/syscall/syscall.bpf.c declares them.
    unsafe plain: syscall_record, thread_record, syscall_knobs,
}

const ERRNO: &str = "syscall_errno";
const CLASS: &str = "syscall_class";
/// The place of the switch `errors`.
const ERRORS: usize = 0;

static INFO: ProbeInfo = ProbeInfo {
    name: "syscall",
    summary: "Latency and errors of system calls, by process and call; waits separate from work.",
    slow: Some(std::time::Duration::from_millis(10)),
    switches: &[Switch { name: "errors", help: "Also stream every call that fails." }],
    metrics: &[
        Metric {
            number: types::syscall_metric::SYSCALL_LATENCY.0 as u16,
            name: "syscall.latency",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm", "name", CLASS],
            help: "Time from a system call's entry to its return; calls that began and ended within the window.",
            events: Some("syscall"),
        },
        Metric {
            number: types::syscall_metric::SYSCALL_ERRORS.0 as u16,
            name: "syscall.errors",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "name", ERRNO],
            help: "System calls that returned an error.",
            events: None,
        },
    ],
    kinds: &[EventKind {
        name: "syscall",
        help: "A system call returned ret after dur_ns; slow mode has the slow ones, except waits by design.",
        columns: &["dur_ns", "cpu", "pid", "tid", "comm", "process", "name", "ret", "syscall_errno", "syscall_class"],
    }],
    columns: &[
        Column {
            name: ERRNO,
            ty: ColumnType::Text(Holds::Word),
            title: "Error",
            unit: None,
            help: "Error that the system call returned, such as 'ENOENT'; null if it succeeded.",
        },
        Column {
            name: CLASS,
            ty: ColumnType::Text(Holds::Word),
            title: "Class",
            unit: None,
            help: "'wait' for a system call whose purpose is to wait, such as poll, nanosleep, accept or recvmsg, for a futex or a file lock that waits, for reading a pipe, socket, terminal or eventfd, for a write to one that slept, and for opening a FIFO; 'work' for any other.",
        },
    ],
    holds: &[("name", Holds::Word)],
    watches: &[Watch::duration("syscall.latency", "syscall", "Time in a system call, except in waits by design.")],
    hooks: &["tp_btf/sys_enter", "tp_btf/sys_exit", "tp_btf/sched_switch", "tp_btf/sched_process_free", "iter/task"],
    cost: "a quarter to half a microsecond for each system call, most of it two readings of the clock",
    thins: Thins::Events,
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Syscall {
    calls: Calls,
    errno: Option<ColumnId>,
    class: Option<ColumnId>,
}

impl BuiltIn for Syscall {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Syscall {
        let arch = Arch::of(&setup.host.arch);
        Syscall { calls: Calls::of(arch), errno: setup.schema.id(ERRNO), class: setup.schema.id(CLASS) }
    }

    fn knobs(setup: &Setup<'_>) -> Option<Vec<u8>> {
        Some(bytes_of(&knobs(Arch::of(&setup.host.arch), setup.settings.is_on(ERRORS))).to_vec())
    }
}

/// What the programs know of the architecture's numbers.
fn knobs(arch: Option<Arch>, errors: bool) -> types::syscall_knobs {
    let number = |name: &str| arch.and_then(|arch| arch.number(name));
    // A number that no call has: 32 bits of it never match.
    let mut knobs = types::syscall_knobs {
        futex: number("futex").unwrap_or(u32::MAX),
        fcntl: number("fcntl").unwrap_or(u32::MAX),
        sigreturn: number("rt_sigreturn").unwrap_or(u32::MAX),
        errors: u8::from(errors),
        ..Default::default()
    };
    let sets =
        [(&mut knobs.waits, WAITS), (&mut knobs.reads, READS), (&mut knobs.writes, WRITES), (&mut knobs.opens, OPENS)];
    for (set, names) in sets {
        for number in names.iter().filter_map(|name| number(name)) {
            if let Some(word) = set.get_mut(number as usize / 64) {
                *word |= 1 << (number % 64);
            }
        }
    }
    knobs
}

impl Decoder for Syscall {
    fn under_way(&self, live: &Live) -> Result<Option<u64>> {
        Ok(Some((live.walk("syscall_walk")?.len() / size_of::<u64>()) as u64))
    }

    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let (call, comm) = match crate::bpf::read::<types::thread_record>(record) {
            Some(of_thread) => (of_thread.call, Some(of_thread.comm)),
            None => (read(record)?, None),
        };
        let types::syscall_record { header, took_ns, ret } = call;
        if u32::from(header.event) != types::syscall_event::SYSCALL_DONE.0 {
            return Err(Undecodable { length: record.len() });
        }
        let call = self.calls.get(header.pad);
        let mut row = context.rows.row("syscall");
        row.at(header.ts).int(column::DUR_NS, signed(took_ns)).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into());
        row.text(column::NAME, &call.name).int(column::RET, ret);
        match comm {
            Some(comm) => _ = row.bytes(column::COMM, &comm),
            None => {
                if let Some(comm) = context.names.get(header.pid) {
                    row.text(column::COMM, comm);
                }
            }
        }
        if let Some(class) = self.class {
            row.text(class, call.class());
        }
        if let Some(column) = self.errno
            && let Some(errno) = errno_of(ret)
        {
            row.text(column, &errno);
        }
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        // The packing of bpf/syscall/syscall.bpf.c: the call below, its error above.
        let call = self.calls.get(gathered.sub as u32);
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        key.push(KeyPart::Text(column::NAME, call.name.to_string()));
        let own = match metric {
            "syscall.errors" => {
                let number = -signed(gathered.sub >> types::call_bits::CALL_ERROR_SHIFT.0);
                self.errno.zip(errno_of(number))
            }
            _ => self.class.map(|column| (column, call.class().to_owned())),
        };
        key.extend(own.map(|(column, text)| KeyPart::Text(column, text)));
        key
    }
}

/// The error that a result is, by name.
fn errno_of(ret: i64) -> Option<String> {
    let number = i32::try_from(ret).ok().filter(|ret| (-4095..0).contains(ret))?;
    Some(errnos::name(-number).map_or_else(|| format!("errno_{}", -number), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::Arch;
    use super::errno_of;
    use super::knobs;

    #[test]
    fn the_kernel_is_told_which_numbers_wait() {
        let knobs = knobs(Some(Arch::X86_64), true);
        let waits = |number: usize| knobs.waits[number / 64] >> (number % 64) & 1 == 1;
        assert!(waits(7) && waits(232) && waits(35) && waits(61), "poll, epoll_wait, nanosleep, wait4");
        assert!(!waits(0) && !waits(1) && !waits(202), "read, write, futex");
        assert_eq!(knobs.reads[0], 1 | 1 << 19, "read, readv");
        assert!(waits(45) && waits(47) && !waits(2), "recvfrom, recvmsg; not open");
        assert_eq!((knobs.opens[0], knobs.fcntl), (1 << 2, 72), "open, fcntl");
        assert_eq!((knobs.futex, knobs.sigreturn, knobs.errors), (202, 15, 1));
    }

    #[test]
    fn on_an_unknown_architecture_nothing_is_taken_for_a_wait() {
        let knobs = knobs(None, false);
        assert!(knobs.waits.iter().all(|set| *set == 0));
        assert_eq!(knobs.futex, u32::MAX);
    }

    #[test]
    fn a_result_is_an_error_where_the_kernel_takes_it_for_one() {
        assert_eq!(errno_of(-2).as_deref(), Some("ENOENT"));
        assert_eq!(errno_of(-4000).as_deref(), Some("errno_4000"));
        assert_eq!(errno_of(0), None);
        assert_eq!(errno_of(-4096), None);
        assert_eq!(errno_of(i64::MIN), None);
    }
}
