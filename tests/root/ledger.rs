//! The wall-clock ledger against what threads know of their own waits, and what /proc and perf say of their CPU time.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use ebrec::recording::Recording;
use tempfile::TempDir;

/// Threads that `waits` starts and that only live.
const BRIEF: usize = 100;
/// What the clocks of a thread may miss of its waits: it reads them one after the other, with others in between.
const SLACK_NS: i64 = 2_000_000;
/// How much later than the kernel's clock the hook may read its own, on a machine that is busy.
const SLICE_SLACK_NS: i64 = 50_000;

/// A `ledger` row.
#[derive(Debug, Clone)]
struct Row {
    at: i64,
    lived: i64,
    pid: Option<i64>,
    tid: Option<i64>,
    cpu: Option<i64>,
    comm: String,
    state: String,
    cause: String,
    ns: i64,
    count: i64,
}

struct Taken {
    rows: Vec<Row>,
    window_ns: i64,
    said: String,
    _dir: TempDir,
}

/// What a thread says of itself: blocked, on a CPU and runnable, in nanoseconds.
#[derive(Debug)]
struct Truth {
    pid: i64,
    tid: i64,
    blocked: i64,
    on_cpu: i64,
    runnable: i64,
}

fn compile(dir: &Path) -> PathBuf {
    let program = dir.join("waits");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/root/ledger/waits.c");
    let built = Command::new("cc").args(["-O2", "-pthread", "-o"]).arg(&program).arg(source).status().unwrap();
    assert!(built.success());
    program
}

/// Records a command to its end.
fn record(dir: TempDir, interval: &str, command: &[&str]) -> Taken {
    let file = dir.path().join("run.parquet");
    let mut ebrec = Command::new(env!("CARGO_BIN_EXE_ebrec"));
    ebrec.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER");
    ebrec.args(["record", "-p", "process,sched", "--interval", interval, "-o"]).arg(&file).arg("--").args(command);
    let Output { status, stdout, stderr } = ebrec.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let recording = Recording::open(&file).unwrap();
    Taken {
        rows: rows(&recording),
        window_ns: recording.meta().window.actual_ns,
        said: String::from_utf8(stdout).unwrap(),
        _dir: dir,
    }
}

fn rows(recording: &Recording) -> Vec<Row> {
    let columns = ["dur_ns", "pid", "tid", "cpu", "sum", "comm", "state", "cause", "ts", "ts_sub_ns", "count"];
    let mut rows = Vec::new();
    for chunk in ["ledger", "cpu_ledger"].iter().flat_map(|kind| recording.scan(kind, &columns).unwrap()) {
        let chunk = chunk.unwrap();
        let times = chunk.times(8, 9);
        for at in 0..chunk.len() {
            let int = |column: usize| chunk.int(column).get(at);
            let text = |column: usize| chunk.text(column).get(at).unwrap_or_default().to_owned();
            rows.push(Row {
                at: times.get(at).unwrap(),
                lived: int(0).unwrap(),
                pid: int(1),
                tid: int(2),
                cpu: int(3),
                comm: text(5),
                state: text(6),
                cause: text(7),
                ns: int(4).unwrap(),
                count: int(10).unwrap_or(0),
            });
        }
    }
    rows
}

impl Taken {
    fn truths(&self) -> BTreeMap<&str, Truth> {
        let truth = |line: &'_ str| {
            let mut words = line.split(' ');
            let name = &line[..words.next()?.len()];
            let numbers: Vec<i64> = words.map(|word| word.parse().unwrap()).collect();
            let [pid, tid, blocked, on_cpu, runnable] = numbers.try_into().ok()?;
            Some((name.len(), Truth { pid, tid, blocked, on_cpu, runnable }))
        };
        self.said.lines().filter_map(|line| truth(line).map(|(len, truth)| (&line[..len], truth))).collect()
    }

    fn spent(&self, wanted: impl Fn(&Row) -> bool) -> i64 {
        self.rows.iter().filter(|row| wanted(row)).map(|row| row.ns).sum()
    }

    fn times(&self, wanted: impl Fn(&Row) -> bool) -> i64 {
        self.rows.iter().filter(|row| wanted(row)).map(|row| row.count).sum()
    }

    /// Life and sum of states of what `key` tells apart.
    fn closure(&self, key: impl Fn(&Row) -> Option<i64>) -> BTreeMap<i64, (i64, i64)> {
        let mut parts: BTreeMap<(i64, i64), (i64, i64)> = BTreeMap::new();
        for row in &self.rows {
            let Some(key) = key(row) else { continue };
            let part = parts.entry((key, row.at)).or_default();
            *part = (row.lived, part.1 + row.ns);
        }
        let mut lives: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for ((key, _), (lived, spent)) in parts {
            let life = lives.entry(key).or_default();
            *life = (life.0 + lived, life.1 + spent);
        }
        lives
    }
}

/// Whether this kernel has the tracepoint, as its types say.
fn tells_locks() -> bool {
    let name = b"btf_trace_contention_begin\0";
    std::fs::read("/sys/kernel/btf/vmlinux").unwrap().windows(name.len()).any(|window| window == name)
}

/// `slices`: the kernel reads its clock at the beginning of a switch and the hook somewhat later, with other tracers and the
/// hypervisor in between, so that each may go to one side or the other.
fn assert_near(what: &str, ours: i64, truth: i64, slices: i64) {
    let bound = truth / 100 + SLACK_NS + SLICE_SLACK_NS * slices;
    assert!((ours - truth).abs() <= bound, "{what}: the ledger has {ours} ns, the thread itself {truth} ns");
}

#[test]
#[ignore = "root: attaches probes"]
fn each_wait_is_in_the_ledger_under_its_cause_and_everything_adds_up() {
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path());
    let place = dir.path().to_owned();
    let taken = record(dir, "500ms", &[program.to_str().unwrap(), place.to_str().unwrap()]);
    let truths = taken.truths();
    let causes = [
        ("sleep", "interruptible", "sleep"),
        ("poll", "interruptible", "poll"),
        ("futex", "interruptible", "futex"),
        ("pipe", "interruptible", "pipe"),
        ("fsync", "uninterruptible", "fsync"),
        ("read", "uninterruptible", "file read"),
        // Before 5.19 no kernel tells of its locks: the call that waited is the cause.
        ("lock", "uninterruptible", if tells_locks() { "kernel lock" } else { "file write" }),
        ("stopped", "stopped", ""),
    ];
    for (name, state, cause) in causes {
        let Some(truth) = truths.get(name) else {
            let why = match name {
                "fsync" | "read" => "this disk takes no direct I/O",
                "lock" => "this kernel has no userfaultfd",
                _ => panic!("'{name}' said nothing: {}", taken.said),
            };
            crate::common::skip(&format!("the ledger of {name}"), why);
            continue;
        };
        let of = |row: &Row| row.tid == Some(truth.tid) && row.state == state && row.cause == cause;
        assert_near(name, taken.spent(of), truth.blocked, taken.times(of));
    }
    let spin = &truths["spin"];
    let of = |state: &str| taken.spent(|row| row.tid == Some(spin.tid) && row.state == state);
    let slices = taken.times(|row| row.tid == Some(spin.tid) && row.state == "on_cpu");
    assert_near("spin on a CPU", of("on_cpu"), spin.on_cpu, slices);
    assert_near("spin waiting for one", of("runnable"), spin.runnable, slices);

    let brief: std::collections::BTreeSet<i64> =
        taken.rows.iter().filter(|row| row.comm == "brief").filter_map(|row| row.tid).collect();
    assert_eq!(brief.len(), BRIEF, "threads that live for microseconds");

    let threads = taken.closure(|row| row.tid);
    for (tid, (lived, spent)) in &threads {
        assert!((lived - spent).abs() * 1000 <= *lived, "thread {tid} lived {lived} ns, its states are {spent} ns");
    }
    let cpus = taken.closure(|row| row.cpu);
    assert!(!cpus.is_empty());
    for (cpu, (lived, spent)) in &cpus {
        assert!((lived - spent).abs() * 1000 <= *lived, "CPU {cpu}: window {lived} ns, busy and idle {spent} ns");
        assert!(
            (lived - taken.window_ns).abs() * 1000 <= taken.window_ns,
            "CPU {cpu}: {lived} of {} ns",
            taken.window_ns
        );
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn time_on_cpus_by_process_is_what_perf_counts() {
    let works = Command::new("perf").args(["stat", "-e", "task-clock", "true"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        crate::common::skip("the ledger beside perf stat", "perf stat does not run here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path());
    let (place, counted) = (dir.path().to_owned(), dir.path().join("perf.csv"));
    let perf = ["perf", "stat", "-x", ",", "-e", "task-clock", "-o", counted.to_str().unwrap(), "--"];
    let command = [&perf[..], &[program.to_str().unwrap(), place.to_str().unwrap()]].concat();
    let taken = record(dir, "1s", &command);
    let text = std::fs::read_to_string(&counted).unwrap();
    let line = text.lines().find(|line| line.contains("task-clock")).unwrap();
    let truth = (line.split(',').next().unwrap().parse::<f64>().unwrap() * 1e6) as i64;
    // Its child too, which perf counts with it.
    let pids: Vec<i64> = taken.truths().values().map(|truth| truth.pid).collect();
    let on_cpu = |row: &Row| row.pid.is_some_and(|pid| pids.contains(&pid)) && row.state == "on_cpu";
    let ours = taken.spent(on_cpu);
    println!("ledger {ours} ns on CPUs, perf's task-clock {truth} ns");
    assert_near("on CPUs", ours, truth, taken.times(on_cpu));
}
