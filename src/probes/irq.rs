//! Interrupts: time in hard and soft ones by name, and how late soft ones begin.

use std::collections::HashMap;

use anyhow::Result;
use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;

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
    name: "irq",
    // A hundred handlers and ten vectors, each with the twenty or so buckets of a distribution.
    cells: 4096,
    // SAFETY: integers only, as bpf/irq/irq.bpf.c declares them.
    unsafe plain: irq_record, irq_handler,
}

const NUMBER: &str = "irq_number";
const DELAY: &str = "irq_delay_ns";

/// The vectors of include/linux/interrupt.h, as /proc/softirqs calls them.
const VECTORS: [&str; 10] =
    ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];

static INFO: ProbeInfo = ProbeInfo {
    name: "irq",
    summary: "Time in hard interrupts by handler and in soft interrupts by vector, and the delay of soft ones.",
    slow: Some(std::time::Duration::from_millis(1)),
    metrics: &[
        Metric {
            number: types::irq_metric::IRQ_HARD_TIME.0 as u16,
            name: "irq.hard_time",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["name"],
            help: "Time in the handler of a device's interrupt; excludes interrupts without a device, such as the timer's.",
            events: Some("irq"),
        },
        Metric {
            number: types::irq_metric::IRQ_SOFT_TIME.0 as u16,
            name: "irq.soft_time",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["name"],
            help: "Time in a soft interrupt, including hard interrupts in between.",
            events: Some("softirq"),
        },
        Metric {
            number: types::irq_metric::IRQ_SOFT_DELAY.0 as u16,
            name: "irq.soft_delay",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["name"],
            help: "Time from a soft interrupt's first raise until it runs.",
            events: None,
        },
    ],
    kinds: &[
        EventKind {
            name: "irq",
            help: "A hard interrupt's handler ran for dur_ns, interrupting the thread.",
            columns: &["dur_ns", "cpu", "pid", "tid", "comm", "process", "name", "ret", "irq_number"],
        },
        EventKind {
            name: "softirq",
            help: "A soft interrupt ran for dur_ns, interrupting the thread, irq_delay_ns after it was raised.",
            columns: &["dur_ns", "cpu", "pid", "tid", "comm", "process", "name", "irq_number", "irq_delay_ns"],
        },
    ],
    columns: &[
        Column {
            name: NUMBER,
            ty: ColumnType::Int32,
            title: "Interrupt",
            unit: None,
            help: "Number of the hard interrupt, or of the soft one's vector.",
        },
        Column {
            name: DELAY,
            ty: ColumnType::Int64,
            title: "Delay",
            unit: Some("ns"),
            help: "Time from the soft interrupt's raise until it ran; null if the raise was not seen.",
        },
    ],
    holds: &[("name", Holds::Word)],
    watches: &[
        Watch::duration("irq.hard_time", "irq", "Time in the handler of a hard interrupt."),
        Watch::duration("irq.soft_time", "softirq", "Time in a soft interrupt."),
    ],
    hooks: &[
        "tp_btf/irq_handler_entry",
        "tp_btf/irq_handler_exit",
        "tp_btf/softirq_raise",
        "tp_btf/softirq_entry",
        "tp_btf/softirq_exit",
    ],
    cost: "a few hundred nanoseconds for each interrupt",
    thins: Thins::Rows,
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Irq {
    /// Names by the handler's key in the kernel.
    handlers: HashMap<u64, String>,
    number: Option<ColumnId>,
    delay: Option<ColumnId>,
}

impl BuiltIn for Irq {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Irq {
        Irq { handlers: HashMap::new(), number: setup.schema.id(NUMBER), delay: setup.schema.id(DELAY) }
    }
}

impl Decoder for Irq {
    fn decode(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(bytes)?;
        let hard = match types::irq_event(header.event.into()) {
            types::irq_event::IRQ_HARD => true,
            types::irq_event::IRQ_SOFT => false,
            _ => return Err(Undecodable { length: bytes.len() }),
        };
        let record: types::irq_record = read(bytes)?;
        let mut row = context.rows.row(if hard { "irq" } else { "softirq" });
        row.at(header.ts).int(column::DUR_NS, signed(record.dur_ns)).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into()).bytes(column::COMM, &record.comm);
        if let Some(column) = self.number {
            row.int(column, record.number.into());
        }
        if hard {
            row.bytes(column::NAME, &record.name).int(column::RET, record.ret.into());
        } else {
            row.text(column::NAME, vector(record.number.into()));
        }
        if let Some(column) = self.delay.filter(|_| record.delayed != 0) {
            row.int(column, signed(record.delay_ns));
        }
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, _: NamesThen<'_>) -> Vec<KeyPart> {
        let name = match metric {
            "irq.hard_time" => self.handlers.get(&gathered.sub).cloned().unwrap_or_else(|| "unknown".to_owned()),
            _ => vector(gathered.sub).to_owned(),
        };
        vec![KeyPart::Text(column::NAME, name)]
    }

    fn end_interval(&mut self, live: &Live, _: u64) -> Result<()> {
        let map = live.map("handlers")?;
        for key in map.keys() {
            let handler =
                map.lookup(&key, MapFlags::ANY)?.and_then(|value| crate::bpf::read::<types::irq_handler>(&value));
            if let (Some(key), Some(handler)) = (key.first_chunk(), handler) {
                self.handlers.insert(u64::from_ne_bytes(*key), handler_name(&handler));
            }
        }
        Ok(())
    }
}

/// What the driver called its handler, else the interrupt's number.
fn handler_name(handler: &types::irq_handler) -> String {
    let end = handler.name.iter().position(|byte| *byte == 0).unwrap_or(handler.name.len());
    match &handler.name[..end] {
        [] => format!("irq {}", handler.number),
        name => String::from_utf8_lossy(name).into_owned(),
    }
}

fn vector(number: u64) -> &'static str {
    usize::try_from(number).ok().and_then(|number| VECTORS.get(number)).copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::handler_name;
    use super::types;
    use super::vector;

    #[test]
    fn a_handler_without_a_name_is_called_by_its_number() {
        let mut handler = types::irq_handler { number: 9, ..Default::default() };
        assert_eq!(handler_name(&handler), "irq 9");
        handler.name[..4].copy_from_slice(b"acpi");
        assert_eq!(handler_name(&handler), "acpi");
    }

    #[test]
    fn vectors_that_are_newer_than_this_are_not_misnamed() {
        assert_eq!(vector(3), "NET_RX");
        assert_eq!(vector(10), "other");
    }
}
