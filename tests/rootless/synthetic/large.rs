//! A recording that is larger than any report may hold in memory: many rows, processes, paths, stacks, threads and groups.
//!
//! Its values follow from their numbers, so that every run makes the same file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Column;
use ebrec::recording::ColumnId;
use ebrec::recording::ColumnType;
use ebrec::recording::EventMeta;
use ebrec::recording::Existing;
use ebrec::recording::Holds;
use ebrec::recording::HostMeta;
use ebrec::recording::Identity;
use ebrec::recording::KindMeta;
use ebrec::recording::Meta;
use ebrec::recording::MetricMeta;
use ebrec::recording::ProbeOutcome;
use ebrec::recording::ProbeState;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Window;
use ebrec::recording::Writer;

const SECOND: i64 = 1_000_000_000;
const START_REAL: i64 = 1_795_348_800 * SECOND;
/// Length of the window.
const SECONDS: i64 = 60;
/// Rows that are handed over at a time.
const BATCH: usize = 16 << 10;

/// How much of everything there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// System calls that were streamed.
    pub(crate) syscalls: u64,
    /// Rows of each other kind of events.
    pub(crate) events: u64,
    /// Processes that start, run a program with long arguments, and end.
    pub(crate) processes: u64,
    /// Bytes of each one's arguments.
    pub(crate) argv: usize,
    /// Paths that were not found.
    pub(crate) files: u64,
    /// Stacks that differ.
    pub(crate) stacks: u64,
    /// Functions.
    pub(crate) symbols: u64,
    /// Threads in the ledger.
    pub(crate) threads: u64,
    /// Groups of each metric.
    pub(crate) groups: u64,
}

/// The columns that probes add, and whether each is of text.
const OWN: &[(&str, bool)] = &[
    ("process_cpu_ns", false),
    ("process_max_rss_bytes", false),
    ("block_queue_ns", false),
    ("syscall_errno", true),
    ("syscall_class", true),
    ("http_status", false),
    ("http_side", true),
    ("http_path", true),
    ("http_route", true),
    ("tcp_side", true),
    ("tcp_sent_bytes", false),
    ("dns_rcode", true),
    ("files_error", true),
    ("files_mount", true),
    ("signals_sender", true),
    ("signals_sender_pid", false),
    ("signals_outcome", true),
    ("locks_address", true),
    ("events_function", true),
    ("events_by", true),
    ("irq_delay_ns", false),
];

static COLUMNS: std::sync::LazyLock<Vec<Column>> = std::sync::LazyLock::new(|| {
    let ty = |text| if text { ColumnType::Text(Holds::Word) } else { ColumnType::Int64 };
    let column =
        |(name, text): &(&'static str, bool)| Column { name, ty: ty(*text), title: name, unit: None, help: "" };
    OWN.iter().map(column).collect()
});

/// Metrics: name, whether it is a histogram, unit, dimensions beside process and command.
const METRICS: &[(&str, bool, &str, &[&str])] = &[
    ("sched.on_cpu", false, "ns", &[]),
    ("sched.runqueue_latency", true, "ns", &[]),
    ("block.device_time", true, "ns", &["dev", "op"]),
    ("block.queue_time", true, "ns", &["dev", "op"]),
    ("block.size", true, "bytes", &["dev", "op"]),
    ("memory.reclaim_stall", true, "ns", &["cause"]),
    ("memory.faults", false, "count", &["state"]),
    ("irq.hard_time", true, "ns", &["name"]),
    ("locks.contention", true, "ns", &["name"]),
    ("locks.futex_address", false, "ns", &["locks_address"]),
    ("syscall.latency", true, "ns", &["name", "syscall_class"]),
    ("syscall.errors", false, "count", &["name", "syscall_errno"]),
    ("http.latency", true, "ns", &["http_side", "op", "http_status", "http_route"]),
    ("tcp.connect_latency", true, "ns", &["tcp_side", "daddr", "dport"]),
    ("tcp.failures", false, "count", &["daddr", "dport", "cause"]),
    ("signals.sent", false, "count", &["name", "signals_sender", "signals_sender_pid", "signals_outcome"]),
    ("files.latency", true, "ns", &["op", "files_mount"]),
    ("files.failed_opens", false, "count", &["filename", "files_error"]),
    ("dns.latency", true, "ns", &["name"]),
    ("events.count", false, "count", &["name", "events_function", "events_by"]),
    ("events.latency", true, "ns", &["name", "events_function", "events_by"]),
];

/// Kinds of streamed events with the probe that they are of.
const EVENTS: &[(&str, &str)] = &[
    ("file", "files"),
    ("lock", "locks"),
    ("signal_taken", "signals"),
    ("signal_death", "signals"),
    ("dns", "dns"),
    ("tcp", "tcp"),
    ("http", "http"),
    ("block_io", "block"),
    ("off_cpu", "offcpu"),
    ("irq", "irq"),
    ("reclaim", "memory"),
    ("oom", "memory"),
    ("event", "events"),
    ("wakeup", "sched"),
];

/// The recording while it is written.
struct Large {
    schema: Arc<Schema>,
    rows: Rows,
    writer: Writer,
    size: Size,
}

/// Writes the recording.
pub(crate) fn write(path: &Path, size: Size) {
    let schema = Arc::new(Schema::new(COLUMNS.iter()));
    let identity = Identity { host: "large".to_owned(), run_id: "00000000-large".to_owned() };
    let mut writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Replace).unwrap();
    writer.set_meta(&meta());
    let rows = Rows::new(Arc::clone(&schema), START_REAL);
    let mut large = Large { schema, rows, writer, size };
    large.processes();
    large.symbols_and_stacks();
    large.ledger();
    large.metrics();
    large.events();
    large.syscalls();
    large.hand_over(true);
    large.writer.finish(Duration::from_secs(600)).unwrap();
}

fn meta() -> Meta {
    let probes = ["process", "sched", "cpu", "syscall"].into_iter().chain(EVENTS.iter().map(|(_, probe)| *probe));
    let mut names: Vec<&str> = probes.collect();
    names.sort_unstable();
    names.dedup();
    let probe = |name: &&str| ProbeState {
        name: (*name).to_owned(),
        state: ProbeOutcome::Ran,
        mode: "slow".to_owned(),
        hooks: vec![format!("tp_btf/{name}")],
        settings: [("slow_ns".to_owned(), 1.into())].into_iter().collect(),
        events: 1_000_000,
        ..ProbeState::default()
    };
    let kind = |(kind, probe): &(&str, &str)| KindMeta {
        name: (*kind).to_owned(),
        probe: Some((*probe).to_owned()),
        help: String::new(),
        ..KindMeta::default()
    };
    let metric = |(name, histogram, unit, by): &(&str, bool, &str, &[&str])| MetricMeta {
        name: (*name).to_owned(),
        probe: name.split('.').next().unwrap_or_default().to_owned(),
        kind: if *histogram { "histogram" } else { "counter" }.to_owned(),
        unit: (*unit).to_owned(),
        help: String::new(),
        by: ["pid", "comm"].iter().chain(*by).map(|column| (*column).to_owned()).collect(),
        events: None,
    };
    Meta {
        version: "0.1.0".to_owned(),
        window: Window {
            start_real_ns: START_REAL,
            actual_ns: SECONDS * SECOND,
            ended: "duration".to_owned(),
            interval_ns: SECOND,
            ..Window::default()
        },
        host: HostMeta { hostname: "large".to_owned(), cpus: 64, ..HostMeta::default() },
        probes: names.iter().map(probe).collect(),
        kinds: EVENTS.iter().chain(&[("syscall", "syscall")]).map(kind).collect(),
        metrics: METRICS.iter().map(metric).collect(),
        events: vec![EventMeta { name: "name-1".to_owned(), ..EventMeta::default() }],
        ..Meta::default()
    }
}

/// A number that looks like chance.
fn scatter(n: u64) -> u64 {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

impl Large {
    fn id(&self, name: &str) -> ColumnId {
        self.schema.id(name).unwrap_or_else(|| panic!("no column '{name}'"))
    }

    fn hand_over(&mut self, everything: bool) {
        if everything || self.rows.is_due(BATCH) {
            for batch in self.rows.take(BATCH, everything) {
                self.writer.write(batch).unwrap();
            }
        }
    }

    /// Process and command of the n-th row.
    fn whose(&self, n: u64) -> (i64, String) {
        let process = n % self.size.processes;
        (1000 + process as i64, format!("command-{}", process % 5000))
    }

    fn processes(&mut self) {
        let [ppid, uid, pid, comm, argv, filename, exit_code, dur] =
            ["ppid", "uid", "pid", "comm", "argv", "filename", "exit_code", "dur_ns"].map(|name| self.id(name));
        for n in 0..self.size.processes {
            let (own, name) = self.whose(n);
            let at = (n as i64 * SECONDS * SECOND / self.size.processes as i64).cast_unsigned();
            let mut long = format!("/opt/program-{n} --number={n}");
            while long.len() < self.size.argv {
                long.push_str(&format!(" --option-{}", scatter(n + long.len() as u64)));
            }
            let parent = own - 1 - (n % 7) as i64;
            self.rows.row("fork").at(at).int(pid, own).int(ppid, parent).int(uid, 1000).text(comm, &name);
            let mut exec = self.rows.row("exec");
            exec.at(at + 1).int(pid, own).int(ppid, parent).text(comm, &name).text(argv, &long);
            exec.text(filename, &format!("/opt/program-{}", n % 20_000));
            let mut exit = self.rows.row("exit");
            exit.at(at + 1_000_000).int(pid, own).text(comm, &name).int(exit_code, 0).int(dur, 1_000_000);
            self.hand_over(false);
        }
    }

    fn symbols_and_stacks(&mut self) {
        let [id, name, module, frames, kernel, user, sum, count, pid, comm, metric, state, dur] = [
            "id",
            "name",
            "module",
            "frames",
            "kstack_id",
            "ustack_id",
            "sum",
            "count",
            "pid",
            "comm",
            "metric",
            "state",
            "dur_ns",
        ]
        .map(|name| self.id(name));
        for n in 0..self.size.symbols {
            let function = format!("module_{}::Type{n}::function_{n}", n % 100);
            let file = format!("/usr/lib/library-{}.so", n % 100);
            self.rows.row("symbol").int(id, n as i64).text(name, &function).text(module, &file);
            self.hand_over(false);
        }
        for n in 0..self.size.stacks {
            // Calls that fan out: callers are shared by many stacks, as those of programs are.
            let depth = 12 + n % 20;
            let step = |level: u64| (scatter((n >> (2 * level.min(30))) * 31 + level) % self.size.symbols) as i32;
            let list: Vec<i32> = (0..depth).map(step).collect();
            self.rows.row("stack").int(id, n as i64).list(frames, &list);
            let (own, name) = self.whose(n);
            let at = (n as i64 * SECONDS * SECOND / self.size.stacks as i64).cast_unsigned();
            for (kind, weight) in [("cpu_sample", 10_000_000), ("stack_total", 1_000_000)] {
                let mut row = self.rows.row(kind);
                row.at(at).int(pid, own).text(comm, &name).int(user, n as i64).int(kernel, (n / 2) as i64);
                row.int(sum, weight + (scatter(n) % 1000) as i64).int(count, 1).int(dur, SECOND);
                row.text(metric, "offcpu.time").text(state, "sleeping");
            }
            self.hand_over(false);
        }
    }

    fn ledger(&mut self) {
        let [pid, tid, comm, state, cause, sum, count, dur] =
            ["pid", "tid", "comm", "state", "cause", "sum", "count", "dur_ns"].map(|name| self.id(name));
        let states = [
            ("on_cpu", ""),
            ("runnable", ""),
            ("interruptible", "futex"),
            ("interruptible", "poll"),
            ("uninterruptible", "fsync"),
        ];
        for n in 0..self.size.threads {
            let (own, _) = self.whose(n);
            for (at, (word, why)) in states.into_iter().enumerate() {
                let mut row = self.rows.row("ledger");
                row.at(SECOND.cast_unsigned()).int(pid, own).int(tid, 1_000_000 + n as i64).int(dur, SECOND);
                row.text(comm, &format!("thread-{}", n % 30_000)).text(state, word).text(cause, why);
                row.int(sum, (scatter(n + at as u64) % 400_000_000) as i64).int(count, 3);
            }
            self.hand_over(false);
        }
    }

    fn metrics(&mut self) {
        let [metric, pid, comm, dur, count, sum, min, max, lo, hi] =
            ["metric", "pid", "comm", "dur_ns", "count", "sum", "min", "max", "bucket_lo", "bucket_hi"]
                .map(|name| self.id(name));
        for (name, histogram, _, by) in METRICS {
            let by: Vec<(ColumnId, &str)> = by.iter().map(|column| (self.id(column), *column)).collect();
            let groups = if *name == "files.failed_opens" { self.size.files } else { self.size.groups };
            for n in 0..groups {
                let (own, command) = self.whose(n);
                let at = (SECOND + (n as i64 * SECONDS / groups as i64) * SECOND).cast_unsigned();
                let value = scatter(n) % 1_000_000;
                for kind in ["metric", "hist"].into_iter().take(if *histogram { 2 } else { 1 }) {
                    let (bucket_lo, bucket_hi) = ebrec::hist::bounds(ebrec::hist::bucket(value));
                    let mut row = self.rows.row(kind);
                    row.at(at).text(metric, name).int(pid, own).text(comm, &command).int(dur, SECOND).int(count, 1);
                    if kind == "hist" {
                        row.int(lo, bucket_lo as i64).int(hi, bucket_hi as i64);
                    } else {
                        row.int(sum, value as i64).int(min, value as i64).int(max, value as i64);
                    }
                    for (id, column) in &by {
                        match dimension(column, n) {
                            Ok(number) => row.int(*id, number),
                            Err(text) => row.text(*id, &text),
                        };
                    }
                }
                self.hand_over(false);
            }
        }
    }

    fn events(&mut self) {
        let [pid, tid, comm, dur, name, op, filename, bytes, daddr, dport, dev, state, cpu] = [
            "pid", "tid", "comm", "dur_ns", "name", "op", "filename", "bytes", "daddr", "dport", "dev", "state", "cpu",
        ]
        .map(|name| self.id(name));
        let [path, side] = ["http_path", "http_side"].map(|name| self.id(name));
        for (kind, _) in EVENTS {
            for n in 0..self.size.events {
                let (own, command) = self.whose(n);
                let at = (n as i64 * SECONDS * SECOND / self.size.events as i64).cast_unsigned();
                let mut row = self.rows.row(kind);
                row.at(at).int(pid, own).int(tid, own).text(comm, &command).int(cpu, (n % 64) as i64);
                row.int(dur, (scatter(n) % 100_000_000) as i64).text(name, &format!("name-{}", n % 1000));
                row.text(op, ["read", "write", "open"][n as usize % 3]).int(bytes, (n % 65_536) as i64);
                row.text(filename, &format!("/var/lib/data/{}/{n}", n % 1000)).text(dev, "vda");
                row.text(daddr, &format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)).int(dport, 443);
                if *kind == "off_cpu" {
                    row.text(state, "blocked");
                }
                if *kind == "http" {
                    row.text(path, &format!("/api/items/{}/{}", n % 40_000, n % 3)).text(side, "server");
                }
                self.hand_over(false);
            }
        }
    }

    fn syscalls(&mut self) {
        let [pid, tid, comm, dur, name, ret, class] =
            ["pid", "tid", "comm", "dur_ns", "name", "ret", "syscall_class"].map(|name| self.id(name));
        let names: Vec<String> = (0..300).map(|n| format!("call_{n}")).collect();
        for n in 0..self.size.syscalls {
            let (own, command) = self.whose(n / 16);
            let at = (n as i64 / 1000 * SECONDS * SECOND / (self.size.syscalls as i64 / 1000).max(1)).cast_unsigned();
            let mut row = self.rows.row("syscall");
            row.at(at + n % 1000).int(pid, own).int(tid, own).text(comm, &command).text(class, "work");
            row.int(dur, (scatter(n) % 10_000_000) as i64).int(ret, (n % 4096) as i64);
            row.text(name, &names[scatter(n) as usize % names.len()]);
            self.hand_over(false);
        }
    }
}

/// The value of a dimension in the n-th group: a number that names something, or a text.
fn dimension(column: &str, n: u64) -> Result<i64, String> {
    match column {
        "dport" => Ok(443),
        "http_status" => Ok(200 + (n % 5) as i64 * 100),
        "signals_sender_pid" => Ok(1000 + (scatter(n) % 50_000) as i64),
        "filename" => Err(format!("/usr/share/missing/{}/{n}.so", n % 977)),
        "daddr" => Err(format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)),
        "locks_address" => Err(format!("{:#x}", scatter(n))),
        "syscall_class" => Err(if n.is_multiple_of(3) { "wait" } else { "work" }.to_owned()),
        "http_route" => Err(format!("/api/{}/{{id}}", n % 2000)),
        "http_side" => Err("server".to_owned()),
        "name" => Err(format!("name-{}", scatter(n) % 3000)),
        "dev" => Err(format!("sd{}", n % 64)),
        _ => Err(format!("{column}-{}", n % 7)),
    }
}
