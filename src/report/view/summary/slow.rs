//! The slowest events of a recording, each with its cause; events of one command that follow one another closely are one burst.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

use anyhow::Result;

use crate::render::Value;
use crate::report::over_time::Intervals;
use crate::report::read::input::Source;
use crate::report::read::processes::ProcessTable;
use crate::report::read::rows::Row;
use crate::report::read::rows::Rows;
use crate::report::read::rows::TextColumn;
use crate::report::read::slow;
use crate::report::read::slow::Kind;
use crate::report::read::slow::KindRow;
use crate::report::table::cells::errno;
use crate::report::table::columns::Columns;
use crate::units;

/// Events of one sort and command are one burst while less than this lies between them, in nanoseconds.
const GAP_NS: i64 = 100_000_000;
/// Bursts that are held at a time: several hundred bytes each.
const OPEN: usize = 20_000;
/// The texts of a row that make it another sort of event than the rest of its kind.
const SORTS: [&str; 5] = ["op", "name", "filename", "http_path", "dev"];

/// The slowest event of a burst.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slow {
    /// How long it took, in nanoseconds.
    pub(super) dur_ns: i64,
    /// When it ended, in nanoseconds since the window's start.
    pub(super) at: i64,
    /// What it was, as a person says it.
    pub(super) what: String,
    /// The process that waited, if all of the burst are of one.
    pub(super) pid: Option<i64>,
    /// Its command.
    pub(super) comm: Option<String>,
    /// Why it took so long, as far as the row tells.
    pub(super) cause: String,
    /// Events of the burst.
    pub(super) count: u64,
    /// From the begin of the first event to the end of the last, in nanoseconds.
    pub(super) burst_ns: i64,
}

/// Says of a row what it was, and why it took so long.
type Tell = Box<dyn Fn(&Row<'_>, &ProcessTable) -> (String, String)>;

/// Reads the columns by which the rows of a kind explain themselves.
type Teller = fn(&mut Rows<'_>) -> Tell;

/// Kinds that are told in words of their own; the others by the titles of their columns.
static TELLERS: &[(&str, Teller)] = &[
    ("wakeup", wakeup),
    ("off_cpu", blocked),
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
        .help("When the slowest event of the burst ended.")
        .column("dur_ns", "took", |slow| Value::Nanos(slow.dur_ns))
        .help("How long that event took.")
        .column("what", "what", |slow| slow.what.clone())
        .column("comm", "command", |slow| slow.comm.clone())
        .column("pid", "pid", |slow| Value::id(slow.pid))
        .column("count", "burst of", |slow| slow.count)
        .help("Events of the same command and kind that follow each other within 100 ms.")
        .column("burst_ns", "lasting", |slow| Value::Nanos(slow.burst_ns))
        .help("From the start of the burst's first event to the end of its last.")
        .column("cause", "cause", |slow| slow.cause.clone())
        .help("Why it took so long, as far as the recording shows.")
        .prose()
}

/// The `most` slowest bursts, the slowest first.
pub(super) fn slowest(source: &Source, processes: &ProcessTable, most: usize) -> Result<Vec<Slow>> {
    let mut slowest = Slowest::new(most);
    bursts(source, processes, |_| 0, |burst| drop(slowest.add(burst)))?;
    Ok(slowest.in_order())
}

/// The `each` slowest bursts of every interval and the `most` slowest of the others, the slowest first; and whether there are more. A burst
/// is within the interval that its events end in, so that a span of intervals has all of its bursts.
pub(super) fn slowest_by_interval(
    source: &Source,
    processes: &ProcessTable,
    intervals: &Intervals,
    each: usize,
    most: usize,
) -> Result<(Vec<Slow>, bool)> {
    let mut of_intervals: Vec<Slowest> = (0..intervals.count().max(1)).map(|_| Slowest::new(each)).collect();
    let (mut others, mut more) = (Slowest::new(most), false);
    bursts(
        source,
        processes,
        |at| intervals.of_moment(at),
        |burst| {
            let passed = of_intervals.get_mut(intervals.of_moment(burst.at)).and_then(|own| own.add(burst));
            more |= passed.and_then(|passed| others.add(passed)).is_some();
        },
    )?;
    let mut all = others.in_order();
    all.extend(of_intervals.into_iter().flat_map(Slowest::in_order));
    all.sort_unstable_by(|a, b| b.cmp(a));
    Ok((all, more))
}

/// Hands over every burst; events in different intervals are different bursts.
fn bursts(
    source: &Source,
    processes: &ProcessTable,
    interval: impl Fn(i64) -> usize,
    mut found: impl FnMut(Slow),
) -> Result<()> {
    let mut found = |burst: Burst| found(burst.whole());
    let kinds = slow::kinds(source);
    for (place, kind) in kinds.iter().enumerate() {
        let mut rows = kind.rows(source);
        let words = TELLERS.iter().find(|(name, _)| *name == kind.name).map(|(_, teller)| teller(&mut rows));
        let sorts = SORTS.map(|name| rows.text(name));
        let tell = |row: &KindRow<'_>| match &words {
            Some(words) => words(row.row, processes),
            None => in_titles(kind, place, row, processes),
        };
        let mut open: HashMap<(u64, usize), Burst> = HashMap::new();
        kind.each(rows, None, |row| {
            let (Some(at), Some(dur_ns)) = (row.row.at(), row.row.dur()) else { return };
            let slow = || {
                let (what, cause) = tell(row);
                let comm = processes.of_row(row.row).map(str::to_owned);
                Slow { dur_ns, at, what, pid: row.row.pid(), comm, cause, count: 1, burst_ns: 0 }
            };
            let begin = at.saturating_sub(dur_ns);
            let sort = (sort_of(processes, row.row, &sorts), interval(at));
            match open.get_mut(&sort) {
                Some(burst) if burst.reaches(begin, at) => burst.add(begin, at, row.row.pid(), slow),
                Some(burst) => found(std::mem::replace(burst, Burst { begin, end: at, slow: slow() })),
                None => {
                    if open.len() >= OPEN {
                        open.drain().for_each(|(_, burst)| found(burst));
                    }
                    open.insert(sort, Burst { begin, end: at, slow: slow() });
                }
            }
        })?;
        open.into_values().for_each(&mut found);
    }
    Ok(())
}

/// The slowest bursts so far.
struct Slowest {
    most: usize,
    heap: BinaryHeap<Reverse<Slow>>,
}

impl Slowest {
    fn new(most: usize) -> Slowest {
        Slowest { most, heap: BinaryHeap::new() }
    }

    /// Adds a burst, and hands back the one that no longer is among the slowest.
    fn add(&mut self, burst: Slow) -> Option<Slow> {
        self.heap.push(Reverse(burst));
        let is_full = self.heap.len() > self.most;
        is_full.then(|| self.heap.pop()).flatten().map(|Reverse(passed)| passed)
    }

    fn in_order(self) -> Vec<Slow> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(slow)| slow).collect()
    }
}

/// Events of one sort and command that follow one another closely.
struct Burst {
    begin: i64,
    end: i64,
    /// The slowest of them, and how many they are.
    slow: Slow,
}

impl Burst {
    fn whole(self) -> Slow {
        Slow { burst_ns: self.end.saturating_sub(self.begin), ..self.slow }
    }

    /// Whether an event is close enough to belong to it; rows of several CPUs are not quite in order.
    fn reaches(&self, begin: i64, end: i64) -> bool {
        begin <= self.end.saturating_add(GAP_NS) && end >= self.begin.saturating_sub(GAP_NS)
    }

    fn add(&mut self, begin: i64, end: i64, pid: Option<i64>, slow: impl FnOnce() -> Slow) {
        self.begin = self.begin.min(begin);
        self.end = self.end.max(end);
        let (count, pid) = (self.slow.count + 1, self.slow.pid.filter(|own| pid == Some(*own)));
        if end.saturating_sub(begin) > self.slow.dur_ns {
            self.slow = slow();
        }
        self.slow.count = count;
        self.slow.pid = pid;
    }
}

/// What tells the sort and command of an event from those of other events of its kind.
fn sort_of(processes: &ProcessTable, row: &Row<'_>, sorts: &[TextColumn]) -> u64 {
    let mut hasher = DefaultHasher::new();
    processes.of_row(row).hash(&mut hasher);
    sorts.iter().for_each(|column| row.text(*column).hash(&mut hasher));
    hasher.finish()
}

/// An event of a kind without words of its own: its name, and the titles and values of its columns.
fn in_titles(kind: &Kind, place: usize, row: &KindRow<'_>, processes: &ProcessTable) -> (String, String) {
    let Some(mut event) = kind.event(place, row) else { return (kind.name.clone(), String::new()) };
    event.name_processes(processes);
    (event.what(), event.facts())
}

/// `blocked in fsync`; an interrupt mostly ends such a sleep, and the thread that it interrupted is not the cause.
fn blocked(rows: &mut Rows<'_>) -> Tell {
    let call = rows.text("name");
    Box::new(move |row, _| {
        let what =
            row.text(call).map_or_else(|| "blocked in a page fault".to_owned(), |call| format!("blocked in {call}"));
        (what, String::new())
    })
}

/// `CPU wait`: `cc1 (4242) had CPU 1; woken by make (4200)`.
fn wakeup(rows: &mut Rows<'_>) -> Tell {
    let (cpu, waker) = (rows.int("cpu"), rows.int("waker_pid"));
    let (prev, prev_comm) = (rows.int("sched_prev_pid"), rows.text("sched_prev_comm"));
    Box::new(move |row, processes| {
        let mut parts = Vec::new();
        let cpu = row.int(cpu).map_or_else(|| "the CPU".to_owned(), |cpu| format!("CPU {cpu}"));
        if let Some(prev) = row.int(prev) {
            parts.push(format!("{} had {cpu}", processes.call(prev, row.text(prev_comm))));
        }
        if let Some(waker) = row.int(waker) {
            parts.push(format!("woken by {}", processes.call(waker, None)));
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
    Box::new(|_, _| ("stalled to compact memory".to_owned(), "no block of memory was large enough".to_owned()))
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
