//! Block I/O: time in the queue, time in the device, sizes, depth, access pattern; slow and failed requests.

use anyhow::Result;

use super::BuiltIn;
use super::Decoder;
use super::KeyPart;
use super::read;
use super::signed;
use crate::bpf::EventHeader;
use crate::bpf::bytes_of;
use crate::bpf::cells::Gathered;
use crate::bpf::live::Live;
use crate::bpf::object::BpfObject;
use crate::bpf::object::object;
use crate::host::devices::BlockDevices;
use crate::host::devices::stacked;
use crate::host::root::Root;
use crate::probe::EventKind;
use crate::probe::Metric;
use crate::probe::MetricKind;
use crate::probe::ProbeInfo;
use crate::probe::Thins;
use crate::probe::attached::Context;
use crate::probe::attached::Setup;
use crate::probe::attached::Undecodable;
use crate::probe::names::NamesThen;
use crate::probe::watch::DURATION;
use crate::probe::watch::Watch;
use crate::probe::watch::Watched;
use crate::recording::Column;
use crate::recording::ColumnId;
use crate::recording::ColumnType;
use crate::recording::Holds;
use crate::recording::column;
use crate::units::Unit;

object! {
    name: "block",
    // A few disks, four operations, some tens of processes.
    cells: 4096,
    // SAFETY: integers only, as bpf/block/block.bpf.c declares it.
    unsafe plain: block_record, block_knobs,
}

const QUEUE_NS: &str = "block_queue_ns";
const FLAGS: &str = "block_flags";

static INFO: ProbeInfo = ProbeInfo {
    name: "block",
    summary: "Block I/O by disk, operation and process: time in the queue and in the device, sizes, depth, errors.",
    default_on: true,
    slow: Some(std::time::Duration::from_millis(10)),
    metrics: &[
        Metric {
            number: types::block_metric::BLOCK_QUEUE_TIME.0 as u16,
            name: "block.queue_time",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["dev", "op", "pid", "comm"],
            help: "Time from a request's insertion into the I/O scheduler to its issue; excludes requests that are issued at once.",
            events: None,
        },
        Metric {
            number: types::block_metric::BLOCK_DEVICE_TIME.0 as u16,
            name: "block.device_time",
            kind: MetricKind::Histogram,
            unit: Unit::Nanoseconds,
            by: &["dev", "op", "pid", "comm"],
            help: "Time from a request's issue to the device to its completion; for a device that takes bios without requests (zram), from a \
                   bio's submission.",
            events: Some("block_io"),
        },
        Metric {
            number: types::block_metric::BLOCK_SIZE.0 as u16,
            name: "block.size",
            kind: MetricKind::Histogram,
            unit: Unit::Bytes,
            by: &["dev", "op", "pid", "comm"],
            help: "Bytes of a request.",
            events: Some("block_io"),
        },
        Metric {
            number: types::block_metric::BLOCK_DEPTH.0 as u16,
            name: "block.queue_depth",
            kind: MetricKind::Histogram,
            unit: Unit::Count,
            by: &["dev"],
            help: "Requests of the recorded processes in flight at a disk when one is issued, including that one.",
            events: None,
        },
        Metric {
            number: types::block_metric::BLOCK_ACCESS.0 as u16,
            name: "block.access",
            kind: MetricKind::Counter,
            unit: Unit::Bytes,
            by: &["dev", "op", "state"],
            help: "Requests issued; 'sequential' if one begins where the previous one on that disk ended.",
            events: None,
        },
        Metric {
            number: types::block_metric::BLOCK_UNSHOWN.0 as u16,
            name: "block.unshown",
            kind: MetricKind::Counter,
            unit: Unit::Count,
            by: &["dev", "op"],
            help: "Requests whose completion the kernel hid from tracing, so that their end comes from the disk's own counters: to some tens \
                   of microseconds if one ended alone, otherwise the mean of those that ended together.",
            events: None,
        },
    ],
    kinds: &[EventKind {
        name: "block_io",
        help: "A request was completed; dur_ns is its time in the queue and in the device, ret its error.",
        columns: &[
            "dur_ns",
            "cpu",
            "pid",
            "tid",
            "comm",
            "process",
            "op",
            "dev",
            "sector",
            "bytes",
            "ret",
            "block_queue_ns",
            "block_flags",
        ],
    }],
    columns: &[
        Column {
            name: QUEUE_NS,
            ty: ColumnType::Int64,
            title: "Time in queue",
            unit: Some("ns"),
            help: "The part of dur_ns before the request was issued; null if it was issued at once.",
        },
        Column {
            name: FLAGS,
            ty: ColumnType::Text(Holds::Word),
            title: "Request flags",
            unit: None,
            help: "What the request asked for: sync, meta, fua, preflush, readahead; joined by commas.",
        },
    ],
    watches: &[Watch {
        value: Some(Watched { less: Some(QUEUE_NS), ..DURATION }),
        ..Watch::duration(
            "block.device_time",
            "block_io",
            "Time from a request's issue to the device to its completion.",
        )
    }],
    hooks: &[
        "tp_btf/block_rq_insert",
        "tp_btf/block_rq_merge",
        "tp_btf/block_rq_requeue",
        "tp_btf/block_rq_issue",
        "tp_btf/block_rq_complete",
        "tp_btf/block_bio_queue",
        "tp_btf/block_bio_complete",
    ],
    cost: "under two microseconds for each request",
    thins: Thins::Rows,
    ..ProbeInfo::PLAIN
};

/// The probe at work.
pub(super) struct Block {
    disks: BlockDevices,
    queue_ns: Option<ColumnId>,
    flags: Option<ColumnId>,
}

impl BuiltIn for Block {
    const INFO: &'static ProbeInfo = &INFO;
    const OBJECT: BpfObject = OBJECT;

    fn new(setup: &Setup<'_>) -> Block {
        Block {
            disks: BlockDevices::new(&Root::system()),
            queue_ns: setup.schema.id(QUEUE_NS),
            flags: setup.schema.id(FLAGS),
        }
    }

    fn knobs(_: &Setup<'_>) -> Option<Vec<u8>> {
        let mut knobs = types::block_knobs::default();
        for (slot, dev) in knobs.stacked.iter_mut().zip(stacked(&Root::system())) {
            *slot = dev;
        }
        Some(bytes_of(&knobs).to_vec())
    }
}

impl Decoder for Block {
    fn under_way(&self, live: &Live) -> Result<Option<u64>> {
        Ok(Some(live.entries("requests")?))
    }

    fn decode(&mut self, record: &[u8], context: &mut Context<'_>) -> Result<(), Undecodable> {
        let header: EventHeader = read(record)?;
        if u32::from(header.event) != types::block_event::BLOCK_DONE.0 {
            return Err(Undecodable { length: record.len() });
        }
        let record: types::block_record = read(record)?;
        let mut row = context.rows.row("block_io");
        row.at(header.ts).int(column::CPU, header.cpu.into());
        row.int(column::PID, header.pid.into()).int(column::TID, header.tid.into()).bytes(column::COMM, &record.comm);
        row.int(column::DUR_NS, signed(record.queue_ns.saturating_add(record.device_ns)));
        row.text(column::DEV, self.disks.name(record.dev)).text(column::OP, op_name(record.op));
        row.int(column::BYTES, record.bytes.into()).int(column::RET, errno(record.error).into());
        if record.bytes != 0 {
            row.int(column::SECTOR, signed(record.sector));
        }
        if let Some(column) = self.queue_ns.filter(|_| record.queued != 0) {
            row.int(column, signed(record.queue_ns));
        }
        if let Some(column) = self.flags.filter(|_| record.flags != 0) {
            row.text(column, &flag_names(record.flags));
        }
        Ok(())
    }

    fn key(&mut self, metric: &str, gathered: &Gathered, names: NamesThen<'_>) -> Vec<KeyPart> {
        // The packing of bpf/block/block.bpf.c: the disk alone, the disk and operation, or those and the access pattern.
        let sub = gathered.sub;
        let (dev, op) = match metric {
            "block.queue_depth" => (sub as u32, None),
            "block.access" | "block.unshown" => ((sub >> 16) as u32, Some((sub >> 8) as u8)),
            _ => ((sub >> 8) as u32, Some(sub as u8)),
        };
        let mut key = vec![KeyPart::Text(column::DEV, self.disks.name(dev).to_owned())];
        key.extend(op.map(|op| KeyPart::Text(column::OP, op_name(op).to_owned())));
        match metric {
            "block.queue_depth" | "block.unshown" => {}
            "block.access" => {
                let pattern = if sub & 1 == 1 { "sequential" } else { "random" };
                key.push(KeyPart::Text(column::STATE, pattern.to_owned()));
            }
            _ => key.extend(KeyPart::process(gathered.pid, names)),
        }
        key
    }
}

/// The operation's name, from enum req_op of include/linux/blk_types.h; zone operations were renumbered in 6.x and
/// are called by one name.
fn op_name(op: u8) -> &'static str {
    match op {
        0 => "read",
        1 => "write",
        2 => "flush",
        3 => "discard",
        5 => "secure_erase",
        9 => "write_zeroes",
        34 => "drv_in",
        35 => "drv_out",
        6..=17 => "zone",
        _ => "other",
    }
}

/// The tracepoint's error as 0 or -errno. Since 5.16 it is a blk_status_t, whose numbers are those of
/// include/linux/blk_types.h and stand for the errno values of blk_errors[] in block/blk-core.c.
fn errno(error: i32) -> i32 {
    match error {
        i32::MIN..=0 => error,
        1 => -95,  // BLK_STS_NOTSUPP: EOPNOTSUPP
        2 => -110, // BLK_STS_TIMEOUT: ETIMEDOUT
        3 => -28,  // BLK_STS_NOSPC: ENOSPC
        4 => -67,  // BLK_STS_TRANSPORT: ENOLINK
        5 => -121, // BLK_STS_TARGET: EREMOTEIO
        6 => -52,  // BLK_STS_RESV_CONFLICT: EBADE
        7 => -61,  // BLK_STS_MEDIUM: ENODATA
        8 => -84,  // BLK_STS_PROTECTION: EILSEQ
        9 => -12,  // BLK_STS_RESOURCE: ENOMEM
        12 => -11, // BLK_STS_AGAIN: EAGAIN
        _ => -5,   // BLK_STS_IOERR and what came later: EIO
    }
}

fn flag_names(flags: u16) -> String {
    let names = [
        (types::block_flag::BLOCK_SYNC, "sync"),
        (types::block_flag::BLOCK_META, "meta"),
        (types::block_flag::BLOCK_FUA, "fua"),
        (types::block_flag::BLOCK_PREFLUSH, "preflush"),
        (types::block_flag::BLOCK_READAHEAD, "readahead"),
    ];
    let set: Vec<&str> =
        names.iter().filter(|(flag, _)| u32::from(flags) & flag.0 != 0).map(|(_, name)| *name).collect();
    set.join(",")
}

#[cfg(test)]
mod tests {
    use super::errno;
    use super::flag_names;

    #[test]
    fn an_error_is_the_same_number_before_and_after_it_became_a_block_status() {
        assert_eq!(errno(0), 0);
        assert_eq!(errno(-5), -5);
        assert_eq!(errno(10), -5);
        assert_eq!(errno(7), -61);
    }

    #[test]
    fn request_flags_are_named() {
        assert_eq!(flag_names(0x1 | 0x8), "sync,preflush");
        assert_eq!(flag_names(0), "");
    }
}
