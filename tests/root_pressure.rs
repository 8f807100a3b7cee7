//! The probes `memory`, `irq` and `locks` against getrusage(2), wait4(2), control groups, /proc, and a program that times
//! its own waits.
#![cfg(all(feature = "record", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may stop at what it did not expect"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use ebrec::recording::Recording;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use tempfile::TempDir;

#[path = "support/skip.rs"]
#[allow(unreachable_pub, reason = "other test programs export it")]
mod skip;

use skip::skip;

const MIB: i64 = 1 << 20;

/// The workload, compiled, in a directory of its own.
struct Workload {
    dir: TempDir,
}

impl Workload {
    fn build() -> Workload {
        // Beside the build, which is on a disk: temporary files may be in memory.
        let workload = Workload { dir: TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/pressure.c");
        let mut compiler = Command::new("cc");
        let status = compiler.args(["-O1", "-pthread", "-o"]).arg(workload.path()).arg(source).status().unwrap();
        assert!(status.success(), "cc could not compile {source}");
        workload
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("ebrec-pressure")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path());
        command.args(arguments);
        command
    }

    /// Runs it to its end and gives what it printed.
    fn run(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.command(arguments).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {:?}", output.status);
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
    }
}

/// A recording under way.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    file: PathBuf,
}

fn record(probes: &str, dir: &Path) -> Running {
    let file = dir.join("run.parquet");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ebrec"))
        .args(["record", "-v", "--force", "-d", "1h", "-p", probes, "-o"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("all probes live") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it was never live: {said}");
    }
    Running { child, stderr, file }
}

impl Running {
    fn finish(mut self) -> Taken {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said}");
        Taken(Recording::open(&self.file).unwrap())
    }
}

struct Taken(Recording);

type Row = (BTreeMap<String, i64>, BTreeMap<String, String>);

impl Taken {
    /// Rows of a kind with the numbers and texts asked for.
    fn rows(&self, kind: &str, ints: &[&str], texts: &[&str]) -> Vec<Row> {
        let columns = [ints, texts].concat();
        let mut rows = Vec::new();
        for chunk in self.0.scan(kind, &columns).unwrap() {
            let chunk = chunk.unwrap();
            for at in 0..chunk.len() {
                let int = |(place, name): (usize, &&str)| Some(((*name).to_owned(), chunk.int(place).get(at)?));
                let text = |(place, name): (usize, &&str)| {
                    Some(((*name).to_owned(), chunk.text(ints.len() + place).get(at)?.to_owned()))
                };
                let numbers = ints.iter().enumerate().filter_map(int).collect();
                rows.push((numbers, texts.iter().enumerate().filter_map(text).collect()));
            }
        }
        rows
    }

    /// Count and sum of a metric by a text column; of one process, where one is named.
    fn metric(&self, metric: &str, by: &str, pid: Option<i64>) -> BTreeMap<String, (i64, i64)> {
        let mut found: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for (ints, texts) in self.rows("metric", &["pid", "count", "sum"], &["metric", by]) {
            if texts["metric"] == metric && pid.is_none_or(|pid| ints.get("pid") == Some(&pid)) {
                let both = found.entry(texts.get(by).cloned().unwrap_or_default()).or_default();
                *both = (both.0 + ints["count"], both.1 + ints["sum"]);
            }
        }
        found
    }

    fn minor_faults(&self, pid: i64) -> i64 {
        self.metric("memory.faults", "state", Some(pid)).get("minor").map_or(0, |both| both.0)
    }

    fn lost(&self, probe: &str) -> i64 {
        let rows = self.rows("lost", &["count"], &["name"]);
        rows.iter().filter(|(_, texts)| texts["name"] == probe).map(|(ints, _)| ints["count"]).sum()
    }
}

/// A memory control group with a limit, of either version; removed at the end.
struct Group(PathBuf);

impl Group {
    fn new(name: &str, limit: i64) -> Option<Group> {
        let name = format!("ebrec-{name}-{}", std::process::id());
        for (root, file, swap) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
        ] {
            let group = Group(Path::new(root).join(&name));
            if fs::create_dir(&group.0).is_err() {
                continue;
            }
            if group.0.join(file).exists() && fs::write(group.0.join(file), limit.to_string()).is_ok() {
                let _ = fs::write(group.0.join(swap), if swap == "memory.swap.max" { 0 } else { limit }.to_string());
                return Some(group);
            }
        }
        None
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn minor_faults_of_a_process_are_as_many_as_the_kernel_says_when_it_ends() {
    let workload = Workload::build();
    let running = record("memory", workload.dir.path());
    let usages: Vec<Vec<String>> = ["1", "500", "20000"].iter().map(|pages| workload.run(&["faults", pages])).collect();
    let taken = running.finish();
    for words in usages {
        let (pid, faults) = (words[0].parse().unwrap(), words[1].parse::<i64>().unwrap());
        assert_eq!(taken.minor_faults(pid), faults);
    }
    assert_eq!(taken.lost("memory"), 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn faults_of_a_process_that_lives_on_are_in_the_recording_too() {
    let workload = Workload::build();
    let running = record("memory", workload.dir.path());
    let mut child = workload.command(&["stay", "5000"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let taken = running.finish();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let words: Vec<i64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let recorded = taken.minor_faults(words[0]);
    // Printing what it knew may have cost it a few more.
    assert!((words[1]..words[1] + 50).contains(&recorded), "getrusage: {}, recorded: {recorded}", words[1]);
}

#[test]
#[ignore = "root: attaches probes"]
fn an_oom_kill_in_a_control_group_is_reported_with_its_victim() {
    const LIMIT: i64 = 48 * MIB;
    let Some(group) = Group::new("oom", LIMIT) else {
        skip("an_oom_kill_in_a_control_group_is_reported_with_its_victim", "no memory control group can be made here");
        return;
    };
    let workload = Workload::build();
    let running = record("memory", workload.dir.path());
    let mut hog = workload.command(&["hog", group.text()]).spawn().unwrap();
    let pid = i64::from(hog.id());
    let status = hog.wait().unwrap();
    let taken = running.finish();
    assert_eq!(status.signal(), Some(9));
    let ints = [
        "pid",
        "uid",
        "memory_anon_rss",
        "memory_total_vm",
        "memory_pgtables",
        "memory_oom_score_adj",
        "memory_asker_pid",
    ];
    let rows = taken.rows("oom", &ints, &["comm", "memory_asker_comm"]);
    let (ints, texts) = rows.iter().find(|(ints, _)| ints["pid"] == pid).expect("no row of the victim");
    assert_eq!((texts["comm"].as_str(), ints["uid"]), ("ebrec-pressure", 0));
    assert_eq!((texts["memory_asker_comm"].as_str(), ints["memory_asker_pid"]), ("ebrec-pressure", pid));
    // All but what the kernel itself needs of the group's memory was the victim's.
    let anon = ints["memory_anon_rss"];
    assert!(anon > LIMIT / 2 && anon <= LIMIT, "{anon} of {LIMIT}");
    assert!(ints["memory_total_vm"] > anon && ints["memory_pgtables"] > 0);
    let adjusted: i64 = fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    assert_eq!(ints["memory_oom_score_adj"], adjusted);
    assert_eq!(taken.metric("memory.oom_kills", "comm", Some(pid)).values().copied().collect::<Vec<_>>(), [(1, 1)]);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_program_that_writes_more_than_its_control_group_may_hold_is_seen_to_free_the_difference() {
    const LIMIT: i64 = 32 * MIB;
    const WRITTEN: i64 = 192 * MIB;
    let test = "a_program_that_writes_more_than_its_control_group_may_hold_is_seen_to_free_the_difference";
    let Some(group) = Group::new("reclaim", LIMIT) else {
        skip(test, "no memory control group can be made here");
        return;
    };
    let workload = Workload::build();
    let file = workload.dir.path().join("written");
    let running = record("memory:raw", workload.dir.path());
    let begun = std::time::Instant::now();
    let words = workload.run(&["stream", group.text(), file.to_str().unwrap(), &(WRITTEN / MIB).to_string()]);
    let took = i64::try_from(begun.elapsed().as_nanos()).unwrap();
    let taken = running.finish();
    let pid: i64 = words[0].parse().unwrap();
    let freed = taken.metric("memory.reclaimed", "cause", Some(pid))["cgroup limit"];
    let stalls = taken.metric("memory.reclaim_stall", "cause", Some(pid))["cgroup limit"];
    // Its cache can't hold more than the limit. A page that is written back meanwhile may be freed by others.
    assert!(freed.1 > (WRITTEN - LIMIT) / 2 && freed.1 < 2 * WRITTEN, "freed {freed:?}");
    assert!(stalls.1 > 0 && stalls.1 < took, "stalled {stalls:?} of {took}");
    let rows = taken.rows("reclaim", &["pid", "dur_ns", "bytes"], &["cause"]);
    let own: Vec<&Row> = rows.iter().filter(|(ints, _)| ints["pid"] == pid).collect();
    assert_eq!(i64::try_from(own.len()).unwrap(), stalls.0, "events and histogram");
    assert_eq!(own.iter().map(|(ints, _)| ints["dur_ns"]).sum::<i64>(), stalls.1);
    assert_eq!(own.iter().map(|(ints, _)| ints["bytes"]).sum::<i64>(), freed.1);
}

/// The counts of all CPUs by the first or last word of a line of /proc/softirqs or /proc/interrupts.
fn interrupts(path: &str, name: fn(&[&str]) -> String) -> BTreeMap<String, i64> {
    let text = fs::read_to_string(path).unwrap();
    let cpus = text.lines().next().unwrap().split_whitespace().count();
    let counts = text.lines().skip(1).map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let count = words.iter().skip(1).take(cpus).filter_map(|word| word.parse::<i64>().ok()).sum();
        (name(&words), count)
    });
    counts.collect()
}

fn softirqs() -> BTreeMap<String, i64> {
    interrupts("/proc/softirqs", |words| words[0].trim_end_matches(':').to_owned())
}

fn devices() -> BTreeMap<String, i64> {
    interrupts("/proc/interrupts", |words| (*words.last().unwrap()).to_owned())
}

#[test]
#[ignore = "root: attaches probes"]
fn interrupts_are_as_many_as_proc_counts() {
    let workload = Workload::build();
    let outer = (softirqs(), devices());
    let running = record("irq", workload.dir.path());
    let inner = (softirqs(), devices());
    // A disk, if there is one below, and the scheduler have work to do.
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", "bs=64k", "count=500", "oflag=direct", "status=none"]);
    let _ = dd.arg(format!("of={}", workload.dir.path().join("written").display())).status();
    workload.run(&["futex", "20", "2"]);
    let inner_end = (softirqs(), devices());
    let taken = running.finish();
    let outer_end = (softirqs(), devices());
    let lost = taken.lost("irq");
    for (metric, [a, b, c, d]) in [
        ("irq.soft_time", [&outer.0, &inner.0, &inner_end.0, &outer_end.0]),
        ("irq.hard_time", [&outer.1, &inner.1, &inner_end.1, &outer_end.1]),
    ] {
        let recorded = taken.metric(metric, "name", None);
        assert!(!recorded.is_empty(), "no {metric}");
        for (name, (count, _)) in &recorded {
            // A handler that shares its line has no line of its own in /proc/interrupts.
            let (Some(least), Some(most)) = (c.get(name).zip(b.get(name)), d.get(name).zip(a.get(name))) else {
                continue;
            };
            let (least, most) = (least.0 - least.1, most.0 - most.1);
            assert!(*count + lost >= least && *count <= most, "{name}: {count} is not within {least} and {most}");
        }
    }
    assert!(taken.metric("irq.soft_time", "name", None).contains_key("TIMER"));
    let delays = taken.metric("irq.soft_delay", "name", None);
    assert!(delays.values().all(|(count, _)| *count > 0) && !delays.is_empty());
}

#[test]
#[ignore = "root: attaches probes"]
fn waits_for_a_futex_are_counted_and_timed_as_the_waiter_does() {
    let workload = Workload::build();
    let running = record("locks:raw", workload.dir.path());
    let words = workload.run(&["futex", "20", "15"]);
    let taken = running.finish();
    let number = |at: usize| words[at].parse::<i64>().unwrap();
    let (pid, waits, in_wait) = (number(0), number(1), number(2));
    let by_address = taken.metric("locks.futex_address", "locks_address", Some(pid));
    let (count, sum) = by_address[&words[3]];
    assert_eq!(count, waits);
    // Its clock is read outside of the call: its time is longer by the way into the kernel and back, and by what it
    // waited for a CPU on that way.
    assert!(sum <= in_wait && sum > in_wait * 8 / 10, "the waiter: {in_wait} ns, recorded: {sum} ns");
    let rows = taken.rows("lock", &["pid", "dur_ns"], &["name", "locks_address", "op"]);
    let own: Vec<&Row> = rows
        .iter()
        .filter(|(ints, texts)| ints["pid"] == pid && texts.get("locks_address") == Some(&words[3]))
        .collect();
    assert_eq!(i64::try_from(own.len()).unwrap(), waits);
    assert!(own.iter().all(|(_, texts)| texts["name"] == "futex" && texts["op"] == "wait"));
    assert_eq!(taken.lost("locks"), 0);
}
