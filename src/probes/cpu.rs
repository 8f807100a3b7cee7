//! What the CPUs run: samples by thread and stack.

use anyhow::Result;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::read;
use super::running::put_holder;
use super::signed;
use crate::bpf::cells::Gathered;
use crate::bpf::cells::process_of;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::bpf::optional;
use crate::bpf::perf;
use crate::probe::EventKind;
use crate::probe::Hertz;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::Mode;
use crate::probe::ProbeInfo;
use crate::probe::attached::Context;
use crate::probe::attached::Interval;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
use crate::recording::column;
use crate::units::Unit;
use libbpf_rs::OpenObject;

object! {
    name: "cpu",
    // Processes that run within one interval, and CPUs that idle.
    cells: 4096,
    // SAFETY: integers only, as bpf/cpu/cpu.bpf.c declares them.
    unsafe plain: sample_key, sampled, sample_record,
}

/// Not 100, so as not to fall in step with what happens a hundred times a second. At the most, a sample of a deep stack costs a tenth of the
/// time that it stands for.
const HERTZ: Hertz = Hertz { default: 99, most: 5_000 };

/// Threads and stacks that are kept apart in one interval, whatever the rate: 6 MiB of kernel memory, twice.
const MOST_SAMPLES: u32 = 65_536;

const SAMPLES: &str = "cpu.samples";
const IDLE: &str = "cpu.idle";

static INFO: ProbeInfo = ProbeInfo {
    name: "cpu",
    summary: "What the CPUs run, by process, thread and stack: 99 samples a second on each, or as many as asked for, without idle ones.",
    default_on: true,
    default_mode: Mode::Hist,
    hertz: Some(HERTZ),
    metrics: &[
        Metric {
            number: types::cpu_metric::CPU_SAMPLES.0 as u16,
            name: SAMPLES,
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm"],
            help: "Samples that found a thread of the process on a CPU.",
            events: Some("cpu_sample"),
        },
        Metric {
            number: types::cpu_metric::CPU_IDLE.0 as u16,
            name: IDLE,
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["cpu"],
            help: "Samples that found the CPU idle. Only the timer-based clock samples an idle CPU.",
            events: None,
        },
    ],
    kinds: &[EventKind {
        name: "cpu_sample",
        help: "Samples of one thread with one pair of stacks in one interval: count is their number, sum the nanoseconds that they represent. In raw mode, a single sample at its own time.",
        columns: &["dur_ns", "cpu", "pid", "tid", "comm", "process", "kstack_id", "ustack_id", "count", "sum"],
    }],
    hooks: &["perf_event/cycles at 99 Hz", "perf_event/cpu-clock at 99 Hz"],
    cost: "4 to 30 microseconds, by the depth of the stacks, for each sample on each CPU",
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Cpu {
    cpus: Vec<u32>,
    /// Samples a second on each.
    hertz: u32,
    /// What one sample stands for.
    sample_ns: u64,
}

impl BuiltIn for Cpu {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn choose(setup: &Setup<'_>, open: &mut OpenObject) -> Vec<String> {
        let a_second = setup.settings.hertz.saturating_mul(setup.host.cpus.online.len() as u32);
        for mut map in open.maps_mut().filter(|map| map.name() == "samples_even" || map.name() == "samples_odd") {
            let entries = a_second.clamp(map.max_entries(), MOST_SAMPLES);
            // As at the default rate, samples that find no room count as lost.
            let _ = map.set_max_entries(entries);
        }
        optional::choose(open)
    }

    fn new(setup: &Setup<'_>) -> Cpu {
        let hertz = setup.settings.hertz;
        Cpu { cpus: setup.host.cpus.online.clone(), hertz, sample_ns: 1_000_000_000 / u64::from(hertz.max(1)) }
    }
}

impl Decoder for Cpu {
    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let record: types::sample_record = read(record)?;
        let header = &record.header;
        if u32::from(header.event) != types::cpu_event::CPU_SAMPLE.0 {
            return Err(Undecodable { length: size_of::<types::sample_record>() });
        }
        let (kstack, ustack) = (context.stacks.kernel(record.kstack), context.stacks.user(header.pid, record.ustack));
        let mut row = context.rows.row("cpu_sample");
        row.at(header.ts).int(column::CPU, header.cpu.into()).bytes(column::COMM, &record.comm);
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into());
        row.maybe_int(column::KSTACK_ID, kstack.map(i64::from)).maybe_int(column::USTACK_ID, ustack.map(i64::from));
        row.int(column::COUNT, 1).int(column::SUM, signed(self.sample_ns));
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        match metric {
            IDLE => vec![KeyPart::Int(column::CPU, signed(gathered.sub))],
            _ => Vec::from(KeyPart::process(gathered.pid, names)),
        }
    }

    fn attached(&mut self, live: &mut Live) -> Result<()> {
        let (clock, events) = perf::open_on_each(&self.cpus, self.hertz)?;
        live.sample(events, format!("perf_event/{} at {} Hz", clock.name(), self.hertz))
    }

    fn snapshot(&mut self, live: &Live, interval: Interval, context: &mut Context<'_>) -> Result<()> {
        live.take_idle("samples_even", "samples_odd", |key: types::sample_key, sampled: types::sampled| {
            let (pid, holder) = process_of(key.pid);
            let (kstack, ustack) = (context.stacks.kernel(key.kstack), context.stacks.user(pid, key.ustack));
            let mut row = context.rows.row("cpu_sample");
            row.at(interval.end_ns).int(column::DUR_NS, signed(interval.length_ns()));
            row.int(column::PID, pid.into()).int(column::TID, key.tid.into()).bytes(column::COMM, &sampled.comm);
            put_holder(&mut row, pid, holder, context.names);
            row.maybe_int(column::KSTACK_ID, kstack.map(i64::from)).maybe_int(column::USTACK_ID, ustack.map(i64::from));
            row.int(column::COUNT, signed(sampled.count));
            row.int(column::SUM, signed(sampled.count.saturating_mul(self.sample_ns)));
        })
    }
}
