//! Signals: who sends which to whom, how late they are taken, and which processes they end.

use anyhow::Result;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::read;
use super::signed;
use crate::bpf::EventHeader;
use crate::bpf::cells::Gathered;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::names::signals;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::attached::Context;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
use crate::probe::watch::Watch;
use crate::recording::Column;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Holds;
use crate::recording::Row;
use crate::recording::column;
use crate::units::Unit;

object! {
    name: "signals",
    // A few hundred pairs of processes within one interval, and the delays of as many signals.
    cells: 4096,
    // SAFETY: integers only, as bpf/signals/signals.bpf.c declares it.
    unsafe plain: signal_record,
}

const SENDER: &str = "signals_sender";
const SENDER_PID: &str = "signals_sender_pid";
const OUTCOME: &str = "signals_outcome";

static INFO: ProbeInfo = ProbeInfo {
    name: "signals",
    summary: "Signals by number, sender and target, the delay of their delivery, and the processes that they end.",
    slow: Some(std::time::Duration::from_millis(10)),
    metrics: &[
        Metric {
            number: types::signals_metric::SIGNALS_SENDS.0 as u16,
            name: "signals.sent",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "name", SENDER, SENDER_PID, OUTCOME],
            help: "Signals sent, by target, signal, sender and outcome; including those that the target ignores.",
            events: Some("signal"),
        },
        Metric {
            number: types::signals_metric::SIGNALS_DELIVERED.0 as u16,
            name: "signals.delivered",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "name"],
            help: "Signals delivered to a thread: to run its handler, to stop it, or to end its process.",
            events: None,
        },
        Metric {
            number: types::signals_metric::SIGNALS_DELAY.0 as u16,
            name: "signals.delay",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm", "name"],
            help: "Time from sending a signal to its delivery; without real-time signals, which queue up.",
            events: Some("signal_taken"),
        },
        Metric {
            number: types::signals_metric::SIGNALS_DEATHS.0 as u16,
            name: "signals.deaths",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "name"],
            help: "Processes that a signal ended.",
            events: Some("signal_death"),
        },
    ],
    kinds: &[
        EventKind {
            name: "signal",
            help: "A signal was sent to the process; raw mode only.",
            columns: &[
                "cpu",
                "pid",
                "tid",
                "comm",
                "process",
                "name",
                "signals_sender",
                "signals_sender_pid",
                "signals_outcome",
            ],
        },
        EventKind {
            name: "signal_taken",
            help: "A signal was delivered dur_ns after it was sent.",
            columns: &[
                "dur_ns",
                "cpu",
                "pid",
                "tid",
                "comm",
                "process",
                "name",
                "signals_sender",
                "signals_sender_pid",
            ],
        },
        EventKind {
            name: "signal_death",
            help: "A signal ended the process; in every mode but hist.",
            columns: &[
                "cpu",
                "pid",
                "tid",
                "comm",
                "process",
                "name",
                "signals_sender",
                "signals_sender_pid",
                "signals_outcome",
            ],
        },
    ],
    columns: &[
        Column {
            name: SENDER,
            ty: ColumnType::Text(Holds::Program),
            title: "Sender",
            unit: None,
            help: "Name of the thread that sent the signal; 'kernel' for faults, terminals and the like, 'timer' for timers.",
        },
        Column {
            name: SENDER_PID,
            ty: ColumnType::Int32,
            title: "Sender's process",
            unit: None,
            help: "Process that sent the signal, or whose end or stop it reports; null for the kernel and timers.",
        },
        Column {
            name: OUTCOME,
            ty: ColumnType::Text(Holds::Word),
            title: "Outcome",
            unit: None,
            help: "'queued', 'ignored' by the target, 'pending' if it was pending already, 'overflow' if the queue was full, 'uninformed' if only its details were lost; of a death 'ended' or 'core dumped'.",
        },
    ],
    holds: &[("name", Holds::Word)],
    watches: &[
        Watch::duration("signals.delay", "signal_taken", "Time from sending a signal to its delivery."),
        Watch::occurrence("signals.deaths", "signal_death", "A signal ended a process."),
    ],
    hooks: &[
        "tp_btf/signal_generate",
        "tp_btf/signal_deliver",
        "tp_btf/sched_process_exit",
        "tp_btf/sched_process_free",
    ],
    cost: "a few hundred nanoseconds for each signal",
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Signals {
    sender: Option<ColumnId>,
    sender_pid: Option<ColumnId>,
    outcome: Option<ColumnId>,
}

impl BuiltIn for Signals {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Signals {
        let id = |name| setup.schema.id(name);
        Signals { sender: id(SENDER), sender_pid: id(SENDER_PID), outcome: id(OUTCOME) }
    }
}

impl Signals {
    fn put_sender(&self, row: &mut Row<'_>, record: &types::signal_record, names: NamesThen<'_>) {
        if let Some(column) = self.sender {
            match (origin(record.origin), names.get(record.sender_pid)) {
                (Some(origin), _) => row.text(column, origin),
                (None, Some(name)) if record.sender_comm.starts_with(&[0]) => row.text(column, name),
                (None, _) => row.bytes(column, &record.sender_comm),
            };
        }
        if let Some(column) = self.sender_pid.filter(|_| record.sender_pid != 0) {
            row.int(column, record.sender_pid.into());
        }
    }
}

impl Decoder for Signals {
    fn decode(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(bytes)?;
        let event = types::signals_event(header.event.into());
        let kind = match event {
            types::signals_event::SIGNALS_SENT => "signal",
            types::signals_event::SIGNALS_TAKEN => "signal_taken",
            types::signals_event::SIGNALS_DEATH => "signal_death",
            _ => return Err(Undecodable { length: bytes.len() }),
        };
        let record: types::signal_record = read(bytes)?;
        let mut row = context.rows.row(kind);
        row.at(header.ts).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into()).bytes(column::COMM, &record.comm);
        row.text(column::NAME, &name(record.signal));
        self.put_sender(&mut row, &record, context.names);
        let became = match event {
            types::signals_event::SIGNALS_TAKEN => {
                row.int(column::DUR_NS, signed(record.delay_ns));
                return Ok(());
            }
            types::signals_event::SIGNALS_DEATH if record.dumped != 0 => "core dumped",
            types::signals_event::SIGNALS_DEATH => "ended",
            _ => outcome(record.outcome),
        };
        if let Some(column) = self.outcome {
            row.text(column, became);
        }
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        if metric != "signals.sent" {
            key.push(KeyPart::Text(column::NAME, name(gathered.sub as u32)));
            return key;
        }
        // The packing of bpf/signals/signals.bpf.c.
        let byte = |shift: types::send_shift| (gathered.sub >> shift.0 & 0xff) as u32;
        key.push(KeyPart::Text(column::NAME, name(byte(types::send_shift::SEND_SIGNAL_SHIFT))));
        let pid = gathered.sub as u32;
        let sender = match origin(byte(types::send_shift::SEND_ORIGIN_SHIFT)) {
            Some(origin) => origin,
            None => names.get(pid).unwrap_or_default(),
        };
        key.extend(self.sender.map(|column| KeyPart::Text(column, sender.to_owned())));
        key.extend(self.sender_pid.filter(|_| pid != 0).map(|column| KeyPart::Int(column, pid.into())));
        let outcome = outcome(byte(types::send_shift::SEND_OUTCOME_SHIFT));
        key.extend(self.outcome.map(|column| KeyPart::Text(column, outcome.to_owned())));
        key
    }
}

/// Who sent a signal, where it was no process.
fn origin(origin: u32) -> Option<&'static str> {
    match types::signal_origin(origin) {
        types::signal_origin::ORIGIN_KERNEL => Some("kernel"),
        types::signal_origin::ORIGIN_TIMER => Some("timer"),
        _ => None,
    }
}

/// The results of include/trace/events/signal.h.
fn outcome(result: u32) -> &'static str {
    match result {
        0 => "queued",
        1 => "ignored",
        2 => "pending",
        3 => "overflow",
        4 => "uninformed",
        _ => "other",
    }
}

fn name(signal: u32) -> String {
    let name = i32::try_from(signal).ok().and_then(signals::name);
    name.map_or_else(|| format!("signal {signal}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::name;
    use super::origin;
    use super::outcome;

    #[test]
    fn signals_have_names_and_others_their_numbers() {
        assert_eq!(name(9), "SIGKILL");
        assert_eq!(name(34), "SIGRTMIN");
        assert_eq!(name(99), "signal 99");
    }

    #[test]
    fn a_process_that_sends_is_called_by_its_own_name() {
        assert_eq!(origin(0), None);
        assert_eq!(origin(1), Some("kernel"));
        assert_eq!(origin(2), Some("timer"));
        assert_eq!(outcome(1), "ignored");
    }
}
