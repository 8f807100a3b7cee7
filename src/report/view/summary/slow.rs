//! The slowest things of a recording, each with its cause.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::Result;

use crate::report::read::input::Row;
use crate::report::read::input::Source;
use crate::report::read::processes::People;
use crate::report::table::cells::errno;
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

/// A kind of row that can be slow, and how its row explains itself.
struct Teller {
    kind: &'static str,
    ints: &'static [&'static str],
    texts: &'static [&'static str],
    /// What it was, and why it took so long.
    tell: fn(&Row<'_>, &People) -> (String, String),
}

static TELLERS: &[Teller] = &[
    Teller { kind: "wakeup", ints: &["cpu", "sched_prev_pid", "waker_pid"], texts: &["sched_prev_comm"], tell: wakeup },
    Teller { kind: "block_io", ints: &["bytes", "block_queue_ns", "ret"], texts: &["op", "dev"], tell: block_io },
    Teller { kind: "reclaim", ints: &["bytes"], texts: &["cause"], tell: reclaim },
    Teller { kind: "compaction", ints: &[], texts: &[], tell: compaction },
    Teller { kind: "irq", ints: &["cpu"], texts: &["name"], tell: interrupt },
    Teller { kind: "softirq", ints: &["cpu"], texts: &["name"], tell: interrupt },
    Teller { kind: "http", ints: &["http_status"], texts: &["op", "http_path", "http_side"], tell: request },
    Teller { kind: "http_unanswered", ints: &["http_status"], texts: &["op", "http_path", "http_side"], tell: request },
    Teller { kind: "dns", ints: &[], texts: &["op", "name", "dns_rcode", "daddr"], tell: query },
    Teller { kind: "file", ints: &[], texts: &["op", "filename", "files_error", "files_mount"], tell: file },
];

/// The `most` slowest things, the slowest first.
pub(super) fn slowest(source: &Source, people: &People, most: usize) -> Result<Vec<Slow>> {
    let mut heap: BinaryHeap<Reverse<Slow>> = BinaryHeap::new();
    for teller in TELLERS {
        source.rows(teller.kind, teller.ints, teller.texts, |row| {
            let (Some(at), Some(dur_ns)) = (row.at(), row.dur()) else { return };
            let full = heap.len() >= most;
            if full && heap.peek().is_none_or(|Reverse(least)| least.dur_ns >= dur_ns) {
                return;
            }
            let comm = row.comm().map(str::to_owned);
            let (what, cause) = (teller.tell)(row, people);
            heap.push(Reverse(Slow { dur_ns, at, what, pid: row.pid(), comm, cause }));
            if full {
                heap.pop();
            }
        })?;
    }
    Ok(heap.into_sorted_vec().into_iter().map(|Reverse(slow)| slow).collect())
}

/// `CPU wait`: `cc1 (4242) had CPU 1; woken by make (4200)`.
fn wakeup(row: &Row<'_>, people: &People) -> (String, String) {
    let mut parts = Vec::new();
    let cpu = row.int(0).map_or_else(|| "the CPU".to_owned(), |cpu| format!("CPU {cpu}"));
    if let Some(prev) = row.int(1) {
        parts.push(format!("{} had {cpu}", people.call(prev, row.text(0))));
    }
    if let Some(waker) = row.int(2) {
        parts.push(format!("woken by {}", people.call(waker, None)));
    }
    ("CPU wait".to_owned(), parts.join("; "))
}

/// `the machine is short of memory; freed 128 KiB`.
fn reclaim(row: &Row<'_>, _: &People) -> (String, String) {
    let mut cause = match row.text(0) {
        Some("cgroup limit") => "its memory control group is at its limit".to_owned(),
        _ => "the machine is short of memory".to_owned(),
    };
    if let Some(bytes) = row.int(0).and_then(|bytes| u64::try_from(bytes).ok()) {
        cause.push_str(&format!("; freed {}", units::bytes(bytes)));
    }
    ("stalled to free memory".to_owned(), cause)
}

fn compaction(_: &Row<'_>, _: &People) -> (String, String) {
    ("stalled to move memory".to_owned(), "no block of memory was large enough".to_owned())
}

/// `NET_RX on CPU 1`.
fn interrupt(row: &Row<'_>, _: &People) -> (String, String) {
    let cpu = row.int(0).map(|cpu| format!(" on CPU {cpu}")).unwrap_or_default();
    ("interrupted".to_owned(), format!("{}{cpu}", row.text(0).unwrap_or("an interrupt")))
}

/// `GET /report`: `as server; status 200`.
fn request(row: &Row<'_>, _: &People) -> (String, String) {
    let side = row.text(2).map(|side| format!("as {side}; ")).unwrap_or_default();
    let status = row.int(0).map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
    (format!("{} {}", row.text(0).unwrap_or("request"), row.text(1).unwrap_or("")), format!("{side}{status}"))
}

/// `name example.org`: `asked 10.0.0.1; NOERROR`.
fn query(row: &Row<'_>, _: &People) -> (String, String) {
    let server = row.text(3).map(|server| format!("asked {server}; ")).unwrap_or_default();
    let outcome = row.text(2).or(row.text(0)).unwrap_or("no answer");
    (format!("name {}", row.text(1).unwrap_or("")), format!("{server}{outcome}"))
}

/// `fsync /var/lib/journal`: `on /var`.
fn file(row: &Row<'_>, _: &People) -> (String, String) {
    let mount = row.text(3).map(|mount| format!("on {mount}"));
    let error = row.text(2).map(|error| format!("failed with {error}"));
    let cause: Vec<String> = mount.into_iter().chain(error).collect();
    (format!("{} {}", row.text(0).unwrap_or("call"), row.text(1).unwrap_or("")), cause.join("; "))
}

/// `disk write`: `2 ms in queue, 8 ms in vda; 64.0 KiB`.
fn block_io(row: &Row<'_>, _: &People) -> (String, String) {
    let dev = row.text(1).unwrap_or("the device");
    let took = row.dur().unwrap_or(0);
    let queued = row.int(1).unwrap_or(0);
    let in_device = units::duration(took.saturating_sub(queued));
    let mut text = match queued {
        0 => format!("{in_device} in {dev}"),
        queued => format!("{} in queue, {in_device} in {dev}", units::duration(queued)),
    };
    if let Some(error) = row.int(2).filter(|ret| *ret < 0) {
        text.push_str(&format!("; failed with {}", errno(error)));
    }
    if let Some(bytes) = row.int(0).and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0) {
        text.push_str(&format!("; {}", units::bytes(bytes)));
    }
    (format!("disk {}", row.text(0).unwrap_or("I/O")), text)
}
