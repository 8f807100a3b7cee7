//! What threads waited for: time asleep by stack, system call and state, and the long sleeps one by one with their wakers.

use anyhow::Result;
use libbpf_rs::OpenObject;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::read;
use super::running::put_holder;
use super::signed;
use crate::bpf::bytes_of;
use crate::bpf::cells::Gathered;
use crate::bpf::cells::process_of;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::bpf::optional;
use crate::names::syscalls::Arch;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::Thins;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
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

use self::waits::Waits;

mod waits;

object! {
    name: "offcpu",
    // Processes that sleep within one interval, a few hundred, each in one or two ways of 20 or so buckets.
    cells: 16_384,
    // SAFETY: integers only, as bpf/offcpu/{records,edges,knobs}.h declare them.
    unsafe plain: total_key, total, block_record, edge_key, edge, open_wait, offcpu_knobs,
}

const TIME: &str = "offcpu.time";
/// The hook without which nothing is known of requests.
const TURNS: &str = "sock_send_length";
const RUNNABLE: &str = "offcpu_runnable_ns";
const WAKER_COMM: &str = "offcpu_waker_comm";
const WAKER_KSTACK: &str = "offcpu_waker_kstack_id";
const WAKER_USTACK: &str = "offcpu_waker_ustack_id";

static INFO: ProbeInfo = ProbeInfo {
    name: "offcpu",
    summary: "What threads waited for: time asleep by stack, system call and state, and who ended the long sleeps.",
    default_on: true,
    slow: Some(std::time::Duration::from_millis(50)),
    metrics: &[Metric {
        number: types::offcpu_metric::OFFCPU_TIME.0 as u16,
        name: TIME,
        kind: MetricKind::Histogram,
        unit: Unit::Nanoseconds,
        by: &["pid", "comm", "state"],
        help: "Time from going to sleep to being on a CPU again; sleeps that end in the window.",
        events: Some("off_cpu"),
    }],
    kinds: &[EventKind {
        name: "off_cpu",
        help: "A thread got a CPU again after dur_ns: it had slept in the system call 'name' with these stacks, until the waker woke it.",
        columns: &[
            "dur_ns",
            "cpu",
            "pid",
            "tid",
            "comm",
            "process",
            "name",
            "state",
            "kstack_id",
            "ustack_id",
            "waker_pid",
            "waker_tid",
            "waker_process",
            "offcpu_runnable_ns",
            "offcpu_waker_comm",
            "offcpu_waker_kstack_id",
            "offcpu_waker_ustack_id",
        ],
    }],
    columns: &[
        Column {
            name: RUNNABLE,
            ty: ColumnType::Int64,
            title: "Waited for a CPU",
            unit: Some("ns"),
            help: "The end of dur_ns, in which the thread was awake and waited for a CPU.",
        },
        Column {
            name: WAKER_COMM,
            ty: ColumnType::Text(Holds::Program),
            title: "Waker command",
            unit: None,
            help: "Name of the thread that woke it, or of the thread that was interrupted if an interrupt woke it.",
        },
        Column {
            name: WAKER_KSTACK,
            ty: ColumnType::Int32,
            title: "Waker kernel stack",
            unit: None,
            help: "Kernel stack of the waker: id of a row of kind 'stack'.",
        },
        Column {
            name: WAKER_USTACK,
            ty: ColumnType::Int32,
            title: "Waker user stack",
            unit: None,
            help: "User stack of the waker: id of a row of kind 'stack'.",
        },
    ],
    holds: &[("name", Holds::Word)],
    watches: &[Watch::duration("offcpu.time", "off_cpu", "Time that a thread was blocked or asleep.")],
    hooks: &[
        "tp_btf/sched_switch",
        "tp_btf/sched_waking",
        "tp_btf/sched_process_free",
        "tp_btf/contention_begin",
        "tp_btf/contention_end",
        "tp_btf/sock_send_length",
        "tp_btf/sock_recv_length",
        "tp_btf/inet_sock_set_state",
        "iter/task",
        "iter/task_file",
    ],
    cost: "3 to 5 microseconds, by the depth of the stacks, for each sleep with its end; 0.4 for threads with many short sleeps",
    thins: Thins::Rows,
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct OffCpu {
    arch: Option<Arch>,
    waits: Waits,
    runnable: Option<ColumnId>,
    waker_comm: Option<ColumnId>,
    waker_kstack: Option<ColumnId>,
    waker_ustack: Option<ColumnId>,
}

impl BuiltIn for OffCpu {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn knobs(_: &Setup<'_>) -> Option<Vec<u8>> {
        // Without a secret locks of the kernel have no number.
        let secret = getrandom::u64().ok()?;
        Some(bytes_of(&types::offcpu_knobs { secret }).to_vec())
    }

    fn choose(_: &Setup<'_>, open: &mut OpenObject) -> Vec<String> {
        let mut lacking = optional::choose(open);
        let sees_turns = !lacking.iter().any(|hook| hook.ends_with(TURNS));
        // Without the sends nobody asks whose turn it is.
        for mut program in open.progs_mut() {
            if ["offcpu_state", "offcpu_listeners"].iter().any(|name| program.name() == *name) {
                program.set_autoload(sees_turns);
            }
        }
        lacking.retain(|hook| !hook.ends_with("iter/task_file"));
        lacking
    }

    fn new(setup: &Setup<'_>) -> OffCpu {
        OffCpu {
            arch: Arch::of(&setup.host.arch),
            waits: Waits::default(),
            runnable: setup.schema.id(RUNNABLE),
            waker_comm: setup.schema.id(WAKER_COMM),
            waker_kstack: setup.schema.id(WAKER_KSTACK),
            waker_ustack: setup.schema.id(WAKER_USTACK),
        }
    }
}

impl Decoder for OffCpu {
    fn attached(&mut self, live: &mut Live) -> Result<()> {
        self.waits.attached(!live.lacking().iter().any(|hook| hook.ends_with(TURNS)));
        // The window opens before `begin`: a connection on which bytes move by then has to know its listener.
        live.walk("offcpu_listeners")?;
        // Makes room for the states of all threads that there are.
        live.walk("offcpu_threads").map(drop)
    }

    fn begin(&mut self, live: &Live) -> Result<()> {
        live.walk("offcpu_listeners")?;
        // Notes who is asleep.
        live.walk("offcpu_threads").map(drop)
    }

    fn forget(&mut self) {
        self.waits.forget();
    }

    fn end_interval(&mut self, live: &Live, _: u64) -> Result<()> {
        if live.is_open() { Ok(()) } else { self.waits.find_open(live) }
    }

    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let record: types::block_record = read(record)?;
        let header = &record.header;
        if u32::from(header.event) != types::offcpu_event::OFFCPU_BLOCK.0 {
            return Err(Undecodable { length: size_of::<types::block_record>() });
        }
        let stacks = &mut *context.stacks;
        let (kstack, ustack) = (stacks.kernel(record.kstack), stacks.user(header.pid, record.ustack));
        let waker_kstack = stacks.kernel(record.waker_kstack);
        let waker_ustack = stacks.user(record.waker_pid, record.waker_ustack);
        let mut row = context.rows.row("off_cpu");
        row.at(header.ts).int(column::DUR_NS, signed(record.off_ns)).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into()).bytes(column::COMM, &record.comm);
        row.maybe_int(column::KSTACK_ID, kstack.map(i64::from)).maybe_int(column::USTACK_ID, ustack.map(i64::from));
        row.text(column::STATE, sleep_name(record.sleep));
        if let Some(name) = call_name(self.arch, record.syscall) {
            row.text(column::NAME, &name);
        }
        if let Some(id) = self.runnable {
            row.int(id, signed(record.runnable_ns));
        }
        if record.waker_tid != 0 || waker_kstack.is_some() {
            row.int(column::WAKER_PID, record.waker_pid.into()).int(column::WAKER_TID, record.waker_tid.into());
            if let Some(id) = self.waker_comm {
                row.bytes(id, &record.waker_comm);
            }
            for (id, stack) in [(self.waker_kstack, waker_kstack), (self.waker_ustack, waker_ustack)] {
                if let (Some(id), Some(stack)) = (id, stack) {
                    row.int(id, stack.into());
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, _metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        key.push(KeyPart::Text(column::STATE, sleep_name(gathered.sub as u32).to_owned()));
        key
    }

    fn snapshot(&mut self, live: &Live, interval: Interval, context: &mut Context<'_>) -> Result<()> {
        let arch = self.arch;
        live.take_idle("totals_even", "totals_odd", |key: types::total_key, total: types::total| {
            let (pid, holder) = process_of(key.pid);
            let names = context.names.held(pid, holder);
            let (kstack, ustack) = (context.stacks.kernel(key.kstack), context.stacks.user(pid, key.ustack));
            let mut row = context.rows.row("stack_total");
            row.at(interval.end_ns).int(column::DUR_NS, signed(interval.length_ns()));
            row.text(column::METRIC, TIME).text(column::UNIT, Unit::Nanoseconds.name());
            row.int(column::PID, pid.into());
            if let Some(comm) = names.get(pid) {
                row.text(column::COMM, comm);
            }
            put_holder(&mut row, pid, holder, context.names);
            row.maybe_int(column::KSTACK_ID, kstack.map(i64::from)).maybe_int(column::USTACK_ID, ustack.map(i64::from));
            row.text(column::STATE, sleep_name(key.sleep.into()));
            if let Some(name) = call_name(arch, key.syscall.into()) {
                row.text(column::NAME, &name);
            }
            row.int(column::COUNT, signed(total.count)).int(column::SUM, signed(total.sum));
        })?;
        self.waits.write(live, interval, context)
    }
}

fn sleep_name(sleep: u32) -> &'static str {
    match types::sleep(sleep) {
        types::sleep::SLEEP_INTERRUPTIBLE => "sleeping",
        types::sleep::SLEEP_UNINTERRUPTIBLE => "blocked",
        types::sleep::SLEEP_STOPPED => "stopped",
        types::sleep::SLEEP_IDLE => "idle",
        _ => "other",
    }
}

/// The system call of a number; none outside of one.
fn call_name(arch: Option<Arch>, number: i32) -> Option<String> {
    let number = u32::try_from(number).ok()?;
    let (compat, number) = (number & types::call_bits::CALL_COMPAT.0, number & types::call_bits::CALL_NUMBER.0);
    if compat != 0 {
        // As the probe `syscall` calls it.
        return Some(format!("compat_{number}"));
    }
    let name = arch.and_then(|arch| arch.name(number));
    Some(name.map_or_else(|| format!("syscall {number}"), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::Arch;
    use super::call_name;
    use super::sleep_name;

    #[test]
    fn a_page_fault_is_no_system_call() {
        let arch = Arch::of("x86_64");
        assert_eq!(call_name(arch, -1), None);
        assert_eq!(call_name(arch, 0).as_deref(), Some("read"));
        assert_eq!(call_name(arch, 9_999).as_deref(), Some("syscall 9999"));
    }

    #[test]
    fn a_call_of_32_bit_code_has_no_64_bit_name() {
        let arch = Arch::of("x86_64");
        assert_eq!(call_name(arch, 162).as_deref(), Some("sync"));
        assert_eq!(call_name(arch, 0x4000 | 162).as_deref(), Some("compat_162"));
    }

    #[test]
    fn states_are_called_what_the_scheduler_probe_calls_them() {
        assert_eq!([0, 1, 2, 3, 9].map(sleep_name), ["sleeping", "blocked", "stopped", "idle", "other"]);
    }
}
