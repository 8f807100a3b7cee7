//! Processes: forks, execs with their arguments, exits with status, lifetime, CPU time and peak memory.

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
use crate::probe::Mode;
use crate::probe::ProbeInfo;
use crate::probe::attached::Context;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
use crate::probe::watch::Streamed;
use crate::probe::watch::Watch;
use crate::probe::watch::Watched;
use crate::recording::Column;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Holds;
use crate::recording::column;
use crate::text::shell_words;
use crate::units::Unit;

object! {
    name: "process",
    // Parents that start or end processes within one interval: a hundred, each with a lifetime histogram.
    cells: 2048,
    // SAFETY: integers only, as bpf/process/process.bpf.c declares them.
    unsafe plain: fork_record, exec_record, exit_record,
}

const CPU_NS: &str = "process_cpu_ns";
const MAX_RSS: &str = "process_max_rss_bytes";

static INFO: ProbeInfo = ProbeInfo {
    name: "process",
    summary: "Every process that starts or ends: who started it, with which arguments, how it ended, what it used.",
    default_on: true,
    default_mode: Mode::Raw,
    metrics: &[
        Metric {
            number: types::process_metric::PROCESS_STARTS.0 as u16,
            name: "process.starts",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["ppid", "comm"],
            help: "Processes forked, by the parent's id and name.",
            events: Some("fork"),
        },
        Metric {
            number: types::process_metric::PROCESS_EXITS.0 as u16,
            name: "process.exits",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["ppid", "comm"],
            help: "Processes ended, by the parent's id and name.",
            events: Some("exit"),
        },
        Metric {
            number: types::process_metric::PROCESS_LIFETIME.0 as u16,
            name: "process.lifetime",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["ppid", "comm"],
            help: "Time from a process's fork to the exit of its last thread, by the parent's id and name.",
            events: Some("exit"),
        },
    ],
    kinds: &[
        EventKind {
            name: "fork",
            help: "A process was forked; comm is still its parent's.",
            columns: &["cpu", "pid", "tid", "ppid", "uid", "comm", "process", "cgroup_id"],
        },
        EventKind {
            name: "exec",
            help: "A process began another program.",
            columns: &["cpu", "pid", "tid", "ppid", "uid", "comm", "process", "cgroup_id", "filename", "argv"],
        },
        EventKind {
            name: "exit",
            help: "A process ended; dur_ns is its lifetime, name the signal that killed it.",
            columns: &[
                "dur_ns",
                "cpu",
                "pid",
                "tid",
                "comm",
                "process",
                "ppid",
                "uid",
                "cgroup_id",
                "name",
                "exit_code",
                "process_cpu_ns",
                "process_max_rss_bytes",
            ],
        },
    ],
    columns: &[
        Column {
            name: CPU_NS,
            ty: ColumnType::Int64,
            title: "CPU time",
            unit: Some("ns"),
            help: "CPU time of all threads of the process, without the kernel's work on its end; up to a tick behind if no thread started in the second before.",
        },
        Column {
            name: MAX_RSS,
            ty: ColumnType::Int64,
            title: "Peak memory",
            unit: Some("bytes"),
            help: "Largest resident set of the process.",
        },
    ],
    holds: &[("name", Holds::Word)],
    watches: &[
        Watch {
            name: "process.exit",
            kind: "exit",
            only: None,
            value: Some(Watched { column: "exit_code", less: None, absent: Some(128), unit: Unit::Count }),
            streamed: Streamed::From(i64::MIN),
            help: "Exit status of a process; 128 if a signal ended it.",
        },
        Watch {
            streamed: Streamed::From(i64::MIN),
            ..Watch::duration("process.lifetime", "exit", "Time from a process's fork to its end.")
        },
    ],
    hooks: &[
        "tp_btf/sched_process_fork",
        "tp_btf/sched_process_exec",
        "tp_btf/sched_process_exit",
        "tp_btf/sched_wakeup_new",
    ],
    cost: "a few microseconds for each process's life",
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Process {
    page_bytes: u64,
    cpu_ns: Option<ColumnId>,
    max_rss: Option<ColumnId>,
}

impl BuiltIn for Process {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Process {
        Process {
            page_bytes: setup.host.auxv.page_size,
            cpu_ns: setup.schema.id(CPU_NS),
            max_rss: setup.schema.id(MAX_RSS),
        }
    }
}

impl Decoder for Process {
    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(record)?;
        match types::process_event(header.event.into()) {
            types::process_event::PROCESS_FORK => fork(&read(record)?, context),
            types::process_event::PROCESS_EXEC => exec(record, context)?,
            types::process_event::PROCESS_EXIT => self.exit(&read(record)?, context),
            _ => return Err(Undecodable { length: record.len() }),
        }
        Ok(())
    }

    fn key(&mut self, _: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let parent = names.get(gathered.pid).unwrap_or_default().to_owned();
        vec![KeyPart::Int(column::PPID, gathered.pid.into()), KeyPart::Text(column::COMM, parent)]
    }
}

fn fork(record: &types::fork_record, context: &mut Context<'_>) {
    let header = &record.header;
    let mut row = context.rows.row("fork");
    row.at(header.ts).int(column::CPU, header.cpu.into());
    row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into());
    row.int(column::PPID, record.ppid.into()).int(column::UID, record.uid.into());
    row.int(column::CGROUP_ID, signed(record.cgroup_id)).bytes(column::COMM, &record.comm);
}

/// An exec record and the arguments that follow it.
fn exec(bytes: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
    let record: types::exec_record = read(bytes)?;
    let begin = size_of::<types::exec_record>();
    let argv = bytes.get(begin..begin + record.argv_len as usize).ok_or(Undecodable { length: bytes.len() })?;
    let header = &record.header;
    let mut row = context.rows.row("exec");
    row.at(header.ts).int(column::CPU, header.cpu.into());
    row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into());
    row.int(column::PPID, record.ppid.into()).int(column::UID, record.uid.into());
    row.int(column::CGROUP_ID, signed(record.cgroup_id)).bytes(column::COMM, &record.comm);
    row.bytes(column::FILENAME, &record.filename);
    row.bytes(column::ARGV, &command_line(argv, record.argv_cut != 0));
    Ok(())
}

/// An argument vector as a shell would take it; `…` where it was cut.
fn command_line(argv: &[u8], cut: bool) -> Vec<u8> {
    let arguments = argv.strip_suffix(b"\0").unwrap_or(argv);
    let mut line = shell_words(arguments.split(|byte| *byte == 0));
    if cut {
        line.extend_from_slice("…".as_bytes());
    }
    line
}

impl Process {
    fn exit(&self, record: &types::exit_record, context: &mut Context<'_>) {
        let header = &record.header;
        let mut row = context.rows.row("exit");
        row.at(header.ts).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into());
        row.int(column::PPID, record.ppid.into()).int(column::UID, record.uid.into());
        row.int(column::CGROUP_ID, signed(record.cgroup_id)).bytes(column::COMM, &record.comm);
        row.int(column::DUR_NS, signed(record.lifetime_ns));
        match ended(record.status) {
            WaitStatus::Exited(code) => row.int(column::EXIT_CODE, code.into()),
            WaitStatus::Killed(signal) => row.text(column::NAME, &signal_name(signal)),
        };
        if let Some(column) = self.cpu_ns {
            row.int(column, signed(record.cpu_ns));
        }
        if let Some(column) = self.max_rss {
            row.int(column, signed(record.max_rss_pages.saturating_mul(self.page_bytes)));
        }
    }
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
enum WaitStatus {
    Exited(u32),
    Killed(u32),
}

fn signal_name(signal: u32) -> String {
    let name = i32::try_from(signal).ok().and_then(signals::name);
    name.map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// A status as wait(2) gives it: the signal in the low seven bits, else the exit code in the second byte.
fn ended(status: u32) -> WaitStatus {
    match status & 0x7f {
        0 => WaitStatus::Exited(status >> 8 & 0xff),
        signal => WaitStatus::Killed(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::WaitStatus;
    use super::command_line;
    use super::ended;

    fn line(argv: &[u8]) -> String {
        String::from_utf8(command_line(argv, false)).unwrap()
    }

    #[test]
    fn arguments_with_spaces_or_quotes_stay_apart() {
        assert_eq!(line(b"ls\0-l\0/tmp\0"), "ls -l /tmp");
        assert_eq!(line(b"sh\0-c\0echo it's\0"), r"sh -c 'echo it'\''s'");
        assert_eq!(line(b"printf\0\0x\0"), "printf '' x");
    }

    #[test]
    fn a_cut_command_line_says_so() {
        assert!(String::from_utf8(command_line(b"cc\0-c", true)).unwrap().ends_with('…'));
    }

    #[test]
    fn a_status_is_read_as_wait_gives_it() {
        assert_eq!(ended(0), WaitStatus::Exited(0));
        assert_eq!(ended(3 << 8), WaitStatus::Exited(3));
        assert_eq!(ended(9), WaitStatus::Killed(9));
        assert_eq!(ended(11 | 0x80), WaitStatus::Killed(11));
    }
}
