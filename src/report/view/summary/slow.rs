//! The slowest things of a recording, each with its cause.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::Result;

use crate::render::Value;
use crate::report::read::input::Source;
use crate::report::read::processes::People;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::table::cells::errno;
use crate::report::table::columns::Columns;
use crate::units;

/// One slow thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slow {
    /// How long it took, in nanoseconds.
    pub(super) dur_ns: i64,
    /// When it ended, in nanoseconds since the window's start.
    pub(super) at: i64,
    /// What it was, as a person says it.
    pub(super) what: String,
    /// Whose it was.
    pub(super) pid: Option<i64>,
    /// Its command.
    pub(super) comm: Option<String>,
    /// Why it took so long, as far as the row tells.
    pub(super) cause: String,
}

/// Says of a row what it was, and why it took so long.
type Tell = Box<dyn Fn(&Row<'_>, &People) -> (String, String)>;

/// Reads the columns by which the rows of a kind explain themselves.
type Teller = fn(&mut Rows<'_>) -> Tell;

/// Kinds of rows that can be slow.
static TELLERS: &[(&str, Teller)] = &[
    ("wakeup", wakeup),
    ("block_io", block_io),
    ("reclaim", reclaim),
    ("compaction", compaction),
    ("irq", interrupt),
    ("softirq", interrupt),
    ("http", request),
    ("http_unanswered", request),
    ("dns", query),
    ("file", file),
];

pub(super) fn columns() -> Columns<Slow> {
    Columns::<Slow>::new()
        .column("time_ns", "end", |slow| Value::Time(slow.at))
        .help("When it ended.")
        .column("dur_ns", "took", |slow| Value::Nanos(slow.dur_ns))
        .column("what", "what", |slow| slow.what.clone())
        .column("comm", "command", |slow| slow.comm.clone())
        .column("pid", "pid", |slow| Value::id(slow.pid))
        .column("cause", "cause", |slow| slow.cause.clone())
        .help("Why it took so long, as far as the recording tells.")
        .prose()
}

/// The `most` slowest things, the slowest first.
pub(super) fn slowest(source: &Source, people: &People, most: usize) -> Result<Vec<Slow>> {
    let mut heap: BinaryHeap<Reverse<Slow>> = BinaryHeap::new();
    for (kind, teller) in TELLERS {
        let mut rows = source.rows(kind);
        let tell = teller(&mut rows);
        rows.each(|row| {
            let (Some(at), Some(dur_ns)) = (row.at(), row.dur()) else { return };
            let full = heap.len() >= most;
            if full && heap.peek().is_none_or(|Reverse(least)| least.dur_ns >= dur_ns) {
                return;
            }
            let comm = people.of_row(row).map(str::to_owned);
            let (what, cause) = tell(row, people);
            heap.push(Reverse(Slow { dur_ns, at, what, pid: row.pid(), comm, cause }));
            if full {
                heap.pop();
            }
        })?;
    }
    Ok(heap.into_sorted_vec().into_iter().map(|Reverse(slow)| slow).collect())
}

/// `CPU wait`: `cc1 (4242) had CPU 1; woken by make (4200)`.
fn wakeup(rows: &mut Rows<'_>) -> Tell {
    let (cpu, waker) = (rows.int("cpu"), rows.int("waker_pid"));
    let (prev, prev_comm) = (rows.int("sched_prev_pid"), rows.text("sched_prev_comm"));
    Box::new(move |row, people| {
        let mut parts = Vec::new();
        let cpu = row.int(cpu).map_or_else(|| "the CPU".to_owned(), |cpu| format!("CPU {cpu}"));
        if let Some(prev) = row.int(prev) {
            parts.push(format!("{} had {cpu}", people.call(prev, row.text(prev_comm))));
        }
        if let Some(waker) = row.int(waker) {
            parts.push(format!("woken by {}", people.call(waker, None)));
        }
        ("CPU wait".to_owned(), parts.join("; "))
    })
}

/// `the machine is short of memory; freed 128 KiB`.
fn reclaim(rows: &mut Rows<'_>) -> Tell {
    let (freed, cause) = (rows.int("bytes"), rows.text("cause"));
    Box::new(move |row, _| {
        let mut cause = match row.text(cause) {
            Some("cgroup limit") => "its memory control group is at its limit".to_owned(),
            _ => "the machine is short of memory".to_owned(),
        };
        if let Some(bytes) = row.int(freed).and_then(|bytes| u64::try_from(bytes).ok()) {
            cause.push_str(&format!("; freed {}", units::bytes(bytes)));
        }
        ("stalled to free memory".to_owned(), cause)
    })
}

fn compaction(_: &mut Rows<'_>) -> Tell {
    Box::new(|_, _| ("stalled to move memory".to_owned(), "no block of memory was large enough".to_owned()))
}

/// `NET_RX on CPU 1`.
fn interrupt(rows: &mut Rows<'_>) -> Tell {
    let (cpu, name) = (rows.int("cpu"), rows.text("name"));
    Box::new(move |row, _| {
        let cpu = row.int(cpu).map(|cpu| format!(" on CPU {cpu}")).unwrap_or_default();
        ("interrupted".to_owned(), format!("{}{cpu}", row.text(name).unwrap_or("an interrupt")))
    })
}

/// `GET /report`: `as server; status 200`.
fn request(rows: &mut Rows<'_>) -> Tell {
    let (method, path) = (rows.text("op"), rows.text("http_path"));
    let (side, status) = (rows.text("http_side"), rows.int("http_status"));
    Box::new(move |row, _| {
        let side = row.text(side).map(|side| format!("as {side}; ")).unwrap_or_default();
        let status = row.int(status).map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
        let (method, path) = (row.text(method).unwrap_or("request"), row.text(path).unwrap_or(""));
        (format!("{method} {path}"), format!("{side}{status}"))
    })
}

/// `name example.org`: `asked 10.0.0.1; NOERROR`.
fn query(rows: &mut Rows<'_>) -> Tell {
    let (op, name) = (rows.text("op"), rows.text("name"));
    let (code, server) = (rows.text("dns_rcode"), rows.text("daddr"));
    Box::new(move |row, _| {
        let server = row.text(server).map(|server| format!("asked {server}; ")).unwrap_or_default();
        let outcome = row.text(code).or(row.text(op)).unwrap_or("no answer");
        (format!("name {}", row.text(name).unwrap_or("")), format!("{server}{outcome}"))
    })
}

/// `fsync /var/lib/journal`: `on /var`.
fn file(rows: &mut Rows<'_>) -> Tell {
    let (op, path) = (rows.text("op"), rows.text("filename"));
    let (error, mount) = (rows.text("files_error"), rows.text("files_mount"));
    Box::new(move |row, _| {
        let mount = row.text(mount).map(|mount| format!("on {mount}"));
        let error = row.text(error).map(|error| format!("failed with {error}"));
        let cause: Vec<String> = mount.into_iter().chain(error).collect();
        let (op, path) = (row.text(op).unwrap_or("call"), row.text(path).unwrap_or(""));
        (format!("{op} {path}"), cause.join("; "))
    })
}

/// `disk write`: `2 ms in queue, 8 ms in vda; 64.0 KiB`.
fn block_io(rows: &mut Rows<'_>) -> Tell {
    let (op, dev) = (rows.text("op"), rows.text("dev"));
    let (bytes, queued, ret) = (rows.int("bytes"), rows.int("block_queue_ns"), rows.int("ret"));
    Box::new(move |row, _| {
        let dev = row.text(dev).unwrap_or("the device");
        let took = row.dur().unwrap_or(0);
        let queued = row.int(queued).unwrap_or(0);
        let in_device = units::duration(took.saturating_sub(queued));
        let mut text = match queued {
            0 => format!("{in_device} in {dev}"),
            queued => format!("{} in queue, {in_device} in {dev}", units::duration(queued)),
        };
        if let Some(error) = row.int(ret).filter(|ret| *ret < 0) {
            text.push_str(&format!("; failed with {}", errno(error)));
        }
        if let Some(bytes) = row.int(bytes).and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0) {
            text.push_str(&format!("; {}", units::bytes(bytes)));
        }
        (format!("disk {}", row.text(op).unwrap_or("I/O")), text)
    })
}
