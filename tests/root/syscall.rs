//! The probe `syscall` against strace, syscount, and a program that knows what it called.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::common::Recorder;
use crate::common::Running;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::skip;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

/// The workload, as the kernel calls it.
const COMM: &str = "ebrec-calls";
/// From here on a call is slow, unless one says otherwise.
const SLOW_NS: i64 = 10_000_000;

fn workload() -> Workload {
    Workload::compile("syscall/calls.c", COMM, tempfile::tempdir().unwrap())
}

/// Records what bears the workload's name, with the probe set up so.
fn record(probe: &str) -> Running {
    Recorder::new(&format!("-p {probe} --comm {COMM}")).start()
}

/// Sums of a column of `syscall.latency`, by the texts in others.
fn latency(taken: &Taken, by: &[&str], what: &str) -> BTreeMap<Vec<String>, i64> {
    taken.metric("syscall.latency", by).sums(what, by)
}

/// Errors, by the texts in these columns.
fn errors(taken: &Taken, by: &[&str]) -> BTreeMap<Vec<String>, i64> {
    taken.metric("syscall.errors", by).sums("count", by)
}

fn counts(taken: &Taken) -> BTreeMap<String, i64> {
    taken.metric("syscall.latency", &["name"]).sums_by("count", "name")
}

fn within(ours: i64, theirs: i64, percent: i64) -> bool {
    (ours - theirs).abs() * 100 <= theirs * percent
}

/// What `strace -c` says of a program: calls and errors by name.
fn strace(program: &Path) -> Option<BTreeMap<String, (i64, i64)>> {
    let output = Command::new("strace").args(["-f", "-c"]).arg(program).env_remove("LD_LIBRARY_PATH").output().ok()?;
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
    let workload = workload();
    let Some(theirs) = strace(&workload.path()).filter(|found| found.len() > 5) else {
        skip("calls_and_errors_of_a_fixed_program_are_counted_as_strace_counts_them", "no strace that can trace");
        return;
    };
    let running = record("syscall");
    workload.run("");
    let taken = running.finish();
    let ours = counts(&taken);
    let failed = errors(&taken, &["name"]);
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
    assert_eq!(taken.lost(), BTreeMap::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn errors_are_counted_by_name_and_waits_are_told_from_work() {
    let workload = workload();
    let running = record("syscall");
    workload.run("");
    let taken = running.finish();
    let errors = errors(&taken, &["name", "syscall_errno"]);
    let of = |name: &str, errno: &str| errors.get(&vec![name.to_owned(), errno.to_owned()]).copied();
    assert_eq!(of("openat", "ENOENT"), Some(300));
    assert_eq!(of("openat", "ENOTDIR"), Some(100));
    assert_eq!(of("fsync", "EBADF"), Some(200));
    assert_eq!(of("syscall_9999", "ENOSYS"), Some(100));
    assert_eq!(of("futex", "ETIMEDOUT"), Some(4));
    let classes = latency(&taken, &["name", "syscall_class"], "count");
    let of = |name: &str, class: &str| classes.get(&vec![name.to_owned(), class.to_owned()]).copied();
    assert_eq!((of("futex", "work"), of("futex", "wait")), (Some(7), Some(4)));
    assert_eq!((of("getppid", "work"), of("getppid", "wait")), (Some(1000), None));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_call_waits_or_works_by_what_is_behind_its_descriptor() {
    let workload = Workload::compile("syscall/blocks.c", COMM, tempfile::tempdir().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let running = Recorder::new(&format!("-p syscall:raw,files:raw --comm {COMM}")).start();
    workload.run(dir.path().to_str().unwrap());
    let taken = running.finish();
    let rows = taken.rows("syscall", &["name", "syscall_class", "dur_ns"]);
    // It blocks for 50 ms each time.
    let long = rows.keep(|row| row.int("dur_ns") >= 30_000_000);
    let mut blocked: BTreeMap<String, i64> = BTreeMap::new();
    for row in long.iter() {
        let name = row.text("name").unwrap();
        assert_eq!(row.text("syscall_class"), Some("wait"), "{name} of {} ns", row.int("dur_ns"));
        *blocked.entry(name.to_owned()).or_default() += 1;
    }
    println!("blocked: {blocked:?}");
    let at_least =
        [("readv", 1), ("recvfrom", 1), ("recvmsg", 1), ("recvmmsg", 1), ("accept4", 1), ("sendto", 1), ("write", 1)];
    let others = [("read", 4), ("openat", 1), ("epoll_wait", 1), ("msgrcv", 1), ("flock", 1)];
    for (name, times) in at_least.iter().chain(&others) {
        assert!(blocked.get(*name).is_some_and(|count| count >= times), "{name}: {blocked:?}");
    }
    let work = rows.named("syscall_class", "work").named("name", "read").count();
    assert!(work >= 200, "reads of a file and of random bytes are work: {work}");
    let slow = taken.rows("file", &["op", "filename", "dur_ns"]).keep(|row| row.int("dur_ns") >= 30_000_000);
    assert_eq!(slow.count(), 0, "no file was slow: {slow:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn raw_events_are_as_many_as_the_histograms_count_and_failures_are_streamed_on_request() {
    let workload = workload();
    let running = record("syscall:raw");
    workload.run("");
    let taken = running.finish();
    let aggregated = counts(&taken);
    let buckets = taken.rows("hist", &["metric", "name", "count"]).named("metric", "syscall.latency");
    let rows = taken.rows("syscall", &["name", "dur_ns", "comm"]);
    let mut events: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows.iter() {
        *events.entry(row.text("name").unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(events, aggregated);
    // A name that another CPU's ring brings can be heard a moment late.
    assert!(rows.named("comm", COMM).count() * 2 > rows.count(), "few of {events:?} bear the program's name");
    assert_eq!(buckets.sums_by("count", "name"), events);
    assert_eq!(taken.metric("syscall.latency", &[]).sum("sum"), rows.sum("dur_ns"));

    let running = record("syscall:errors=on");
    workload.run("");
    let taken = running.finish();
    let streamed = taken.rows("syscall", &["name", "syscall_errno", "ret", "dur_ns"]);
    let failed = streamed.sums("ret", &["name", "syscall_errno"]);
    assert_eq!(failed.get(&vec!["fsync".to_owned(), "EBADF".to_owned()]), Some(&(-9 * 200)));
    // Of those that did not fail, what took long: on a busy machine that may be any.
    let quick = streamed.iter().filter(|row| row.text("syscall_errno").is_none() && row.int("dur_ns") < SLOW_NS);
    assert_eq!(quick.count(), 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn bursts_at_full_rate_are_recorded_one_by_one_and_nothing_is_lost() {
    const BURSTS: i64 = 25;
    let workload = workload();
    let running = record("syscall:raw");
    workload.run(&format!("storm {BURSTS}"));
    let taken = running.finish();
    assert_eq!(taken.lost(), BTreeMap::new());
    assert_eq!(counts(&taken).get("getppid"), Some(&(20_000 * BURSTS)));
    let ret = taken.rows("syscall", &["name", "ret"]).named("name", "getppid").sum("ret");
    let parent = i64::from(std::process::id());
    assert_eq!(ret, 20_000 * BURSTS * parent);
}

#[test]
#[ignore = "root: attaches probes"]
fn the_calls_of_more_processes_than_a_cpu_has_hot_cells_are_all_counted() {
    const PROCESSES: i64 = 600;
    let workload = workload();
    let running = record("syscall");
    workload.run(&format!("crowd {PROCESSES}"));
    let taken = running.finish();
    let mut by_process: BTreeMap<i64, i64> = BTreeMap::new();
    for row in taken.metric("syscall.latency", &["name", "pid"]).named("name", "getppid").iter() {
        *by_process.entry(row.int("pid")).or_default() += row.int("count");
    }
    assert_eq!(by_process.len() as i64, PROCESSES);
    assert!(by_process.values().all(|calls| *calls == 50), "{by_process:?}");
    let buckets = taken.rows("hist", &["metric", "name", "count"]).named("metric", "syscall.latency");
    assert_eq!(buckets.sums_by("count", "name").get("getppid"), Some(&(50 * PROCESSES)));
    assert_eq!(taken.lost(), BTreeMap::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn the_time_in_sleeps_and_reads_is_that_of_syscount_and_of_the_programs_own_clock() {
    let workload = workload();
    let running = record("syscall");
    let mut program = workload.command("lengths 25").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
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
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        text
    });
    let taken = running.finish();
    // The child of the program sleeps as often as the program, so the sleeps of the scope are twice its own; reads are its alone.
    let pids = by_process(&taken, "clock_nanosleep");
    let slept = pids.values().copied().filter(|ns| within(*ns, own[0], 5)).count();
    assert!(slept >= 1, "it slept {} ns by its own clock, by ours: {pids:?}", own[0]);
    let reads = taken.metric("syscall.latency", &["name"]).named("name", "read").sum("sum");
    assert!(reads >= own[1] * 95 / 100, "it read for {} ns by its own clock, {reads} by ours", own[1]);
    let classes = latency(&taken, &["name", "syscall_class"], "sum");
    let waited = classes.get(&vec!["read".to_owned(), "wait".to_owned()]).copied().unwrap_or(0);
    assert!(waited >= own[1] * 95 / 100, "it read from a pipe for {} ns, and that was waiting: {classes:?}", own[1]);
    let Some(theirs) = theirs else {
        skip("the_time_in_sleeps_and_reads_is_that_of_syscount", "no bcc syscount that runs");
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
fn by_process(taken: &Taken, name: &str) -> BTreeMap<i64, i64> {
    let mut found = BTreeMap::new();
    for row in taken.metric("syscall.latency", &["name", "pid"]).named("name", name).iter() {
        *found.entry(row.int("pid")).or_default() += row.int("sum");
    }
    found
}
