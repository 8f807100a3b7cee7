//! The probe `syscall` against strace, syscount, and a program that knows what it called.
#![cfg(all(feature = "record", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may stop at what it did not expect"
)]

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
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

/// The workload, as the kernel calls it.
const COMM: &str = "ebrec-calls";

/// The workload of `calls.c`, compiled.
struct Workload {
    dir: TempDir,
}

impl Workload {
    fn build() -> Workload {
        let workload = Workload { dir: tempfile::tempdir().unwrap() };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root_syscall/calls.c");
        let status = Command::new("cc").args(["-O1", "-o"]).arg(workload.path()).arg(source).status().unwrap();
        assert!(status.success(), "cc could not compile {source}");
        workload
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(COMM)
    }

    fn run(&self, arguments: &[&str]) {
        // A loader that is told of more directories looks, and fails, in each.
        let mut workload = Command::new(self.path());
        workload.env_remove("LD_LIBRARY_PATH").args(arguments);
        assert!(workload.status().unwrap().success());
    }
}

/// A recording of what bears the workload's name, under way.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    file: PathBuf,
}

/// Records with the probe set up so, and returns once it is live.
fn record(probe: &str, dir: &Path) -> Running {
    let file = dir.join("run.parquet");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ebrec"))
        .args(["record", "-v", "--force", "-d", "1h", "-p", probe, "--comm", COMM, "-o"])
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
    fn finish(mut self) -> Recording {
        interrupt(&self.child);
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said}");
        Recording::open(&self.file).unwrap()
    }
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
}

/// Sums of a column of the rows of a kind, by the texts in others; of one metric, where one is named.
fn sums(recording: &Recording, kind: &str, metric: &str, by: &[&str], what: &str) -> BTreeMap<Vec<String>, i64> {
    let columns = [by, &["metric", what]].concat();
    let mut sums = BTreeMap::new();
    for chunk in recording.scan(kind, &columns).unwrap() {
        let chunk = chunk.unwrap();
        for at in 0..chunk.len() {
            if chunk.text(by.len()).get(at).unwrap_or_default() == metric {
                let key = (0..by.len()).map(|place| chunk.text(place).get(at).unwrap_or_default().to_owned()).collect();
                *sums.entry(key).or_default() += chunk.int(by.len() + 1).get(at).unwrap();
            }
        }
    }
    sums
}

fn counts(recording: &Recording) -> BTreeMap<String, i64> {
    let sums = sums(recording, "metric", "syscall.latency", &["name"], "count");
    sums.into_iter().map(|(mut key, count)| (key.remove(0), count)).collect()
}

fn total_ns(recording: &Recording, name: &str) -> i64 {
    let sums = sums(recording, "metric", "syscall.latency", &["name"], "sum");
    sums.get(&vec![name.to_owned()]).copied().unwrap_or(0)
}

fn lost(recording: &Recording) -> BTreeMap<Vec<String>, i64> {
    sums(recording, "lost", "", &["name", "cause"], "count")
}

fn within(ours: i64, theirs: i64, percent: i64) -> bool {
    (ours - theirs).abs() * 100 <= theirs * percent
}

/// What `strace -c` says of a program: calls and errors by name.
fn strace(program: &Path) -> Option<BTreeMap<String, (i64, i64)>> {
    let output = Command::new("strace").args(["-f", "-c"]).arg(program).output().ok()?;
    let text = String::from_utf8(output.stderr).unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse().unwrap_or(0);
        match words.len() {
            5 | 6 if words[0].parse::<f64>().is_ok() && words[words.len() - 1] != "total" => {
                let errors = if words.len() == 6 { number(4) } else { 0 };
                found.insert(words[words.len() - 1].to_owned(), (number(3), errors));
            }
            _ => {}
        }
    }
    Some(found)
}

#[test]
#[ignore = "root: attaches probes"]
fn calls_and_errors_of_a_fixed_program_are_counted_as_strace_counts_them() {
    let workload = Workload::build();
    let Some(theirs) = strace(&workload.path()).filter(|found| found.len() > 5) else {
        skip::skip("calls_and_errors_of_a_fixed_program_are_counted_as_strace_counts_them", "no strace that can trace");
        return;
    };
    let running = record("syscall", workload.dir.path());
    workload.run(&[]);
    let recording = running.finish();
    let ours = counts(&recording);
    let failed = sums(&recording, "metric", "syscall.errors", &["name"], "count");
    for (name, (calls, errors)) in &theirs {
        // The name by which the program is recorded comes with the execve.
        if name != "execve" {
            assert_eq!(ours.get(name), Some(calls), "calls of {name}; strace: {theirs:?}, ours: {ours:?}");
            assert_eq!(failed.get(&vec![name.clone()]).copied().unwrap_or(0), *errors, "errors of {name}");
        }
    }
    // strace counts only calls that it has names for.
    assert_eq!(ours.get("syscall_9999"), Some(&100));
    let unknown = |name: &&String| !theirs.contains_key(*name) && *name != "syscall_9999";
    assert_eq!(ours.keys().filter(unknown).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(lost(&recording), BTreeMap::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn errors_are_counted_by_name_and_waits_are_told_from_work() {
    let workload = Workload::build();
    let running = record("syscall", workload.dir.path());
    workload.run(&[]);
    let recording = running.finish();
    let errors = sums(&recording, "metric", "syscall.errors", &["name", "syscall_errno"], "count");
    let of = |name: &str, errno: &str| errors.get(&vec![name.to_owned(), errno.to_owned()]).copied();
    assert_eq!(of("openat", "ENOENT"), Some(300));
    assert_eq!(of("openat", "ENOTDIR"), Some(100));
    assert_eq!(of("fsync", "EBADF"), Some(200));
    assert_eq!(of("syscall_9999", "ENOSYS"), Some(100));
    assert_eq!(of("futex", "ETIMEDOUT"), Some(4));
    let classes = sums(&recording, "metric", "syscall.latency", &["name", "syscall_class"], "count");
    let of = |name: &str, class: &str| classes.get(&vec![name.to_owned(), class.to_owned()]).copied();
    assert_eq!((of("futex", "work"), of("futex", "wait")), (Some(7), Some(4)));
    assert_eq!((of("getppid", "work"), of("getppid", "wait")), (Some(1000), None));
}

#[test]
#[ignore = "root: attaches probes"]
fn raw_events_are_as_many_as_the_histograms_count_and_failures_are_streamed_on_request() {
    let workload = Workload::build();
    let running = record("syscall:raw", workload.dir.path());
    workload.run(&[]);
    let recording = running.finish();
    let aggregated = counts(&recording);
    let buckets = sums(&recording, "hist", "syscall.latency", &["name"], "count");
    let mut events: BTreeMap<String, i64> = BTreeMap::new();
    let (mut took, mut named) = (0, 0);
    for chunk in recording.scan("syscall", &["name", "dur_ns", "comm"]).unwrap() {
        let chunk = chunk.unwrap();
        for at in 0..chunk.len() {
            *events.entry(chunk.text(0).get(at).unwrap().to_owned()).or_default() += 1;
            took += chunk.int(1).get(at).unwrap();
            named += i64::from(chunk.text(2).get(at) == Some(COMM));
        }
    }
    assert_eq!(events, aggregated);
    // A name that another CPU's ring brings can be heard a moment late.
    assert!(named * 2 > events.values().sum(), "{named} of {events:?} bear the program's name");
    assert_eq!(buckets.into_iter().map(|(mut key, count)| (key.remove(0), count)).collect::<BTreeMap<_, _>>(), events);
    assert_eq!(sums(&recording, "metric", "syscall.latency", &[], "sum").values().sum::<i64>(), took);

    let running = record("syscall:errors=on", workload.dir.path());
    workload.run(&[]);
    let recording = running.finish();
    let streamed = sums(&recording, "syscall", "", &["name", "syscall_errno"], "ret");
    assert_eq!(streamed.get(&vec!["fsync".to_owned(), "EBADF".to_owned()]), Some(&(-9 * 200)));
    assert_eq!(streamed.keys().find(|key| key[1].is_empty() && key[0] == "getppid"), None);
}

#[test]
#[ignore = "root: attaches probes"]
fn bursts_at_full_rate_are_recorded_one_by_one_and_nothing_is_lost() {
    const BURSTS: i64 = 25;
    let workload = Workload::build();
    let running = record("syscall:raw", workload.dir.path());
    workload.run(&["storm", &BURSTS.to_string()]);
    let recording = running.finish();
    assert_eq!(lost(&recording), BTreeMap::new());
    assert_eq!(counts(&recording).get("getppid"), Some(&(20_000 * BURSTS)));
    let ret = sums(&recording, "syscall", "", &["name"], "ret");
    let parent = i64::from(std::process::id());
    assert_eq!(ret.get(&vec!["getppid".to_owned()]), Some(&(20_000 * BURSTS * parent)));
}

#[test]
#[ignore = "root: attaches probes"]
fn the_time_in_sleeps_and_reads_is_that_of_syscount_and_of_the_programs_own_clock() {
    let workload = Workload::build();
    let running = record("syscall", workload.dir.path());
    let mut program = Command::new(workload.path())
        .args(["lengths", "25"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let syscount = Command::new("stdbuf")
        .args(["-oL", "/usr/sbin/syscount", "-L", "-p", &program.id().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let syscount = syscount.ok().and_then(|mut child| {
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let live = output.read_line(&mut line).unwrap() > 0 && line.contains("Tracing");
        if !live {
            child.wait().unwrap();
        }
        live.then_some((child, output))
    });
    program.stdin.take().unwrap().write_all(b"x").unwrap();
    let output = program.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let own: Vec<i64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let theirs = syscount.map(|(mut child, mut output)| {
        interrupt(&child);
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        text
    });
    let recording = running.finish();
    // The child of the program sleeps as often as the program, so the sleeps of the scope are twice its own; reads are its alone.
    let pids = by_process(&recording, "clock_nanosleep");
    let slept = pids.values().copied().filter(|ns| within(*ns, own[0], 5)).count();
    assert!(slept >= 1, "it slept {} ns by its own clock, by ours: {pids:?}", own[0]);
    let reads = total_ns(&recording, "read");
    assert!(reads >= own[1] * 95 / 100, "it read for {} ns by its own clock, {reads} by ours", own[1]);
    let Some(theirs) = theirs else {
        skip::skip("the_time_in_sleeps_and_reads_is_that_of_syscount", "no bcc syscount that runs");
        return;
    };
    let of = |name: &str| {
        let line = theirs.lines().find(|line| line.split_whitespace().next() == Some(name));
        let us: f64 =
            line.and_then(|line| line.split_whitespace().nth(2)?.parse().ok()).unwrap_or_else(|| panic!("{theirs}"));
        (us * 1000.0) as i64
    };
    let sleeps = of("clock_nanosleep");
    assert!(pids.values().any(|ns| within(*ns, sleeps, 5)), "syscount: {sleeps} ns, ours: {pids:?}");
    println!(
        "sleeps: {sleeps} by syscount, {} by its own clock, ours {pids:?}; reads: {reads} ours, {} own",
        own[0], own[1]
    );
}

/// Total time in a call by process.
fn by_process(recording: &Recording, name: &str) -> BTreeMap<i64, i64> {
    let mut found = BTreeMap::new();
    for chunk in recording.scan("metric", &["metric", "name", "pid", "sum"]).unwrap() {
        let chunk = chunk.unwrap();
        for at in 0..chunk.len() {
            if chunk.text(0).get(at) == Some("syscall.latency") && chunk.text(1).get(at) == Some(name) {
                *found.entry(chunk.int(2).get(at).unwrap()).or_default() += chunk.int(3).get(at).unwrap();
            }
        }
    }
    found
}
