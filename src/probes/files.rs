//! Files: what system calls on them took and moved, which opens failed, and which files did not last.

mod mounts;

use std::collections::HashMap;

use anyhow::Result;

use self::mounts::Mounts;
use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::read;
use super::signed;
use crate::bpf::EventHeader;
use crate::bpf::cells::Gathered;
use crate::bpf::cells::process_of;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::names::errnos;
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
    name: "files",
    // A hundred processes with a few operations each on two file systems, each spread over sixteen buckets of time and four of size.
    cells: 16_384,
    // SAFETY: integers only, as bpf/files/files.bpf.c declares them.
    unsafe plain: file_record, path_key,
}

const MOUNT: &str = "files_mount";
const ERROR: &str = "files_error";

static INFO: ProbeInfo = ProbeInfo {
    name: "files",
    summary: "Latency and bytes of opening, reading, writing and syncing files; failed opens, short-lived files.",
    slow: Some(std::time::Duration::from_millis(10)),
    metrics: &[
        Metric {
            number: types::files_metric::FILES_LATENCY.0 as u16,
            name: "files.latency",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm", "op", MOUNT],
            help: "Time from the entry to the return of a system call that opens, reads, writes, copies, syncs, resizes, renames or unlinks; by descriptor of regular files and directories only. Memory maps and io_uring are not seen.",
            events: Some("file"),
        },
        Metric {
            number: types::files_metric::FILES_SIZE.0 as u16,
            name: "files.size",
            kind: MetricKind::Histogram,
            unit: Unit::Bytes,
            by: &["pid", "comm", "op", MOUNT],
            help: "Bytes that one call read, wrote or copied; calls that moved none are left out.",
            events: None,
        },
        Metric {
            number: types::files_metric::FILES_FAILED.0 as u16,
            name: "files.failed_opens",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["pid", "comm", "filename", ERROR],
            help: "Opens that failed, by path and error; paths are cut at 255 bytes.",
            events: None,
        },
        Metric {
            number: types::files_metric::FILES_SHORT_LIVED.0 as u16,
            name: "files.short_lived",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["pid", "comm", MOUNT],
            help: "Time from a file's creation until it was unlinked by the same path, both within the window; by the process that unlinked it.",
            events: Some("file_short_lived"),
        },
    ],
    kinds: &[
        EventKind {
            name: "file",
            help: "A system call on a file returned after dur_ns; filename is the path passed to it, or the name behind its descriptor.",
            columns: &[
                "dur_ns",
                "cpu",
                "pid",
                "tid",
                "comm",
                "process",
                "op",
                "filename",
                "bytes",
                "ret",
                "files_mount",
                "files_error",
            ],
        },
        EventKind {
            name: "file_short_lived",
            help: "A file was unlinked dur_ns after its creation; in every mode but hist.",
            columns: &["dur_ns", "cpu", "pid", "tid", "comm", "process", "op", "filename", "files_mount"],
        },
    ],
    columns: &[
        Column {
            name: MOUNT,
            ty: ColumnType::Text(Holds::Path),
            title: "Mount",
            unit: None,
            help: "Mount point of the file's file system; its device number, such as '0:53', if the recorder sees no mount of it; null for calls that don't say.",
        },
        Column {
            name: ERROR,
            ty: ColumnType::Text(Holds::Word),
            title: "Error",
            unit: None,
            help: "Error that the call returned, such as 'ENOENT'; null if it succeeded.",
        },
    ],
    watches: &[Watch::duration("files.latency", "file", "Time in a system call on a file.")],
    hooks: &["tp_btf/sys_enter", "tp_btf/sys_exit", "tp_btf/sched_process_free", "iter/task"],
    cost: "tens of nanoseconds for each system call, half a microsecond for one on a file",
    thins: Thins::Rows,
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Files {
    mounts: Mounts,
    /// Opens that failed in the interval that ended last.
    failed: Vec<Gathered>,
    paths: Paths,
    mount: Option<ColumnId>,
    error: Option<ColumnId>,
}

impl BuiltIn for Files {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Files {
        Files {
            mounts: Mounts::default(),
            failed: Vec::new(),
            paths: Paths::default(),
            mount: setup.schema.id(MOUNT),
            error: setup.schema.id(ERROR),
        }
    }
}

impl Decoder for Files {
    fn under_way(&self, live: &Live) -> Result<Option<u64>> {
        Ok(Some((live.walk("files_walk")?.len() / size_of::<u64>()) as u64))
    }

    fn decode(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(bytes)?;
        let kind = match types::files_event(header.event.into()) {
            types::files_event::FILES_DONE => "file",
            types::files_event::FILES_GONE => "file_short_lived",
            _ => return Err(Undecodable { length: bytes.len() }),
        };
        let record: types::file_record = read(bytes)?;
        let mut row = context.rows.row(kind);
        row.at(header.ts).int(column::DUR_NS, signed(record.took_ns)).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into()).bytes(column::COMM, &record.comm);
        row.text(column::OP, op(record.op.into())).bytes(column::FILENAME, &record.path);
        if let Some(column) = self.mount.filter(|_| record.known != 0) {
            row.text(column, self.mounts.name(record.dev));
        }
        if kind == "file" {
            row.int(column::RET, record.ret);
            if let (Some(column), Some(error)) = (self.error, error(record.ret)) {
                row.text(column, &error);
            }
            if record.ret > 0 && moves_bytes(record.op.into()) {
                row.int(column::BYTES, record.ret);
            }
        }
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        let mut key = Vec::from(KeyPart::process(gathered.pid, names));
        if metric == "files.failed_opens" {
            key.push(KeyPart::Text(column::FILENAME, self.paths.get(gathered.sub as u32).to_owned()));
            let error = error(-signed(gathered.sub >> 32)).unwrap_or_default();
            key.extend(self.error.map(|column| KeyPart::Text(column, error)));
            return key;
        }
        // The packing of bpf/files/records.h.
        if metric != "files.short_lived" {
            let number = (gathered.sub >> types::sub_bits::SUB_OP_SHIFT.0 & 0xff) as u32;
            key.push(KeyPart::Text(column::OP, op(number).to_owned()));
        }
        if let Some(column) = self.mount.filter(|_| gathered.sub >> types::sub_bits::SUB_KNOWN_SHIFT.0 & 1 == 1) {
            key.push(KeyPart::Text(column, self.mounts.name(gathered.sub as u32).to_owned()));
        }
        key
    }

    fn end_interval(&mut self, _: &Live, _: u64) -> Result<()> {
        self.mounts.look_again();
        Ok(())
    }

    fn collect(&mut self, live: &Live) -> Result<()> {
        self.paths = Paths::default();
        let (failed, paths) = (&mut self.failed, &mut self.paths);
        live.take_idle("failed_even", "failed_odd", |key: types::path_key, count: u64| {
            let sub = u64::from(paths.number(&key.path)) | u64::from(key.extra.unsigned_abs()) << 32;
            let (pid, holder) = process_of(key.pid);
            let metric = types::files_metric::FILES_FAILED.0 as u16;
            failed.push(Gathered { holder, ..Gathered::counter(metric, pid, sub, count, count) });
        })
    }

    fn derive(&mut self, mut gathered: Vec<Gathered>) -> Vec<Gathered> {
        gathered.append(&mut self.failed);
        gathered
    }
}

/// Paths by number, for as long as the metrics of an interval are written.
#[derive(Default)]
struct Paths {
    known: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Paths {
    fn number(&mut self, path: &[u8]) -> u32 {
        let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
        let path = String::from_utf8_lossy(&path[..end]).into_owned();
        *self.numbers.entry(path).or_insert_with_key(|path| {
            self.known.push(path.clone());
            self.known.len() as u32 - 1
        })
    }

    fn get(&self, number: u32) -> &str {
        self.known.get(number as usize).map_or("", String::as_str)
    }
}

/// The name of a `file_op` of bpf/files/calls.h.
fn op(number: u32) -> &'static str {
    match types::file_op(number) {
        types::file_op::FILE_OPEN => "open",
        types::file_op::FILE_READ => "read",
        types::file_op::FILE_WRITE => "write",
        types::file_op::FILE_FSYNC => "fsync",
        types::file_op::FILE_FDATASYNC => "fdatasync",
        types::file_op::FILE_SYNC_RANGE => "sync_file_range",
        types::file_op::FILE_UNLINK => "unlink",
        types::file_op::FILE_RENAME => "rename",
        types::file_op::FILE_COPY => "copy",
        types::file_op::FILE_TRUNCATE => "truncate",
        types::file_op::FILE_ALLOCATE => "allocate",
        _ => "other",
    }
}

fn moves_bytes(number: u32) -> bool {
    matches!(types::file_op(number), types::file_op::FILE_READ | types::file_op::FILE_WRITE | types::file_op::FILE_COPY)
}

/// The error that a result is, by name.
fn error(ret: i64) -> Option<String> {
    let number = i32::try_from(ret).ok().filter(|ret| (-4095..0).contains(ret))?;
    Some(errnos::name(-number).map_or_else(|| format!("errno_{}", -number), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::Paths;
    use super::error;
    use super::op;

    #[test]
    fn a_path_keeps_its_number_and_ends_at_its_nul() {
        let mut paths = Paths::default();
        assert_eq!((paths.number(b"/a\0junk"), paths.number(b"/b\0"), paths.number(b"/a\0")), (0, 1, 0));
        assert_eq!((paths.get(1), paths.get(9)), ("/b", ""));
    }

    #[test]
    fn operations_and_errors_have_names() {
        assert_eq!(op(1), "open");
        assert_eq!(op(11), "allocate");
        assert_eq!(error(-2).as_deref(), Some("ENOENT"));
        assert_eq!(error(5), None);
    }
}
