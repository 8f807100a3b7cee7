//! The window is as long as asked for, whatever is slow: the scheduler, the kernel's grace periods, the disk.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::common::Recorder;
use crate::common::Running;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::disk::Disk;
use crate::common::find;
use crate::common::has;
use crate::common::skip;

/// The window of each recording here.
const WINDOW: Duration = Duration::from_secs(4);
/// From the end of the window to the end of the program: detaching and writing the file, on a machine with no time for it.
const FINISH: Duration = Duration::from_secs(12);
const MS: i64 = 1_000_000;

/// A program that runs until this is dropped, with all that it started.
struct Load(Child);

impl Load {
    /// Starts it in a process group of its own; `words` are its arguments.
    fn start(words: &str) -> Load {
        let mut words = words.split(' ');
        let mut command = Command::new(find(words.next().unwrap()).unwrap());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Load(command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Waits for the end of a recording of [`WINDOW`], which must come in time.
fn finished(running: Running, live: Instant) -> Taken {
    let taken = running.finished(0);
    let took = live.elapsed();
    assert!(took < WINDOW + FINISH, "the window of {WINDOW:?} and its end took {took:?}\n{}", taken.stderr);
    taken
}

/// The recorded window is the one that was asked for, and nothing is after it or before it.
fn assert_window(taken: &Taken) {
    let window = &taken.recording.meta().window;
    let asked = i64::try_from(WINDOW.as_nanos()).unwrap();
    let over = window.actual_ns - asked;
    assert!((0..MS).contains(&over), "the window is {over} ns longer than asked for");
    let end = window.start_real_ns + window.actual_ns;
    for (kind, _) in taken.recording.kinds() {
        // The clocks have the time when they were read, and what describes the recording has none.
        if kind == "clock" || kind == "recording" {
            continue;
        }
        for row in taken.rows(&kind, &[]).iter() {
            // What makes the one clock of the other was read twice.
            assert!(row.int("ts") <= end + MS / 1000, "a row of '{kind}' is {} ns after the end", row.int("ts") - end);
        }
    }
    let ended: i64 = taken.rows("cost", &["name", "op", "dur_ns"]).named("op", "cpu").sum("dur_ns");
    assert!((ended - asked).abs() < MS, "the intervals add up to {ended} ns");
}

/// No value is missing in an aggregate.
fn assert_counted(taken: &Taken) {
    let lost = taken.lost();
    let aggregates: Vec<_> = lost.iter().filter(|(what, _)| what.ends_with("histogram full")).collect();
    assert!(aggregates.is_empty(), "{lost:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_storm_of_context_switches_does_not_make_the_window_longer() {
    if !has("stress-ng") {
        skip("a_storm_of_context_switches_does_not_make_the_window_longer", "no stress-ng");
        return;
    }
    let _storm = Load::start("stress-ng --switch 16 --timeout 60s");
    let running = Recorder::in_memory("-d 4s").start();
    let taken = finished(running, Instant::now());
    assert_window(&taken);
    assert_counted(&taken);
}

#[test]
#[ignore = "root: attaches probes"]
fn more_work_than_cpus_does_not_make_the_window_longer_and_every_process_is_counted() {
    let test = "more_work_than_cpus_does_not_make_the_window_longer_and_every_process_is_counted";
    if !has("stress-ng") {
        skip(test, "no stress-ng");
        return;
    }
    let workload = Workload::build();
    let running = Recorder::in_memory("-d 4s").nice(10).start();
    let live = Instant::now();
    // They outlast the window and the reading of its maps. How long the rest takes beside them is a matter of the machine's speed alone.
    let _hogs = Load::start("stress-ng --cpu 12 --timeout 10s");
    // It has to be done within the window, so it comes before the others.
    let mut storm = Command::new("nice").arg("-n-19").arg(workload.path()).args(["storm", "200"]).spawn().unwrap();
    let pid = i64::from(storm.id());
    assert!(storm.wait().unwrap().success());
    assert!(live.elapsed() < WINDOW, "the workload was not done in time");
    let taken = finished(running, live);
    assert_window(&taken);
    assert_counted(&taken);
    let starts = taken.metric("process.starts", &["ppid"]).with("ppid", pid);
    assert_eq!(starts.sum("count"), 200, "{:?}", taken.lost());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_disk_that_stands_still_for_seconds_costs_no_value_of_an_aggregate() {
    let test = "a_disk_that_stands_still_for_seconds_costs_no_value_of_an_aggregate";
    let Some(disk) = Disk::new() else {
        skip(test, "no ext4 on a loop device can be made and frozen here");
        return;
    };
    let workload = Workload::compile("window/calls.c", "ebrec-steady", tempfile::tempdir().unwrap());
    let running = Recorder::in_directory(disk.path(), "-d 4s -p syscall:raw --comm ebrec-steady").start();
    let live = Instant::now();
    let frozen = disk.freeze();
    // About as many rows as the drain holds back.
    let calls = 800_000;
    let done = Command::new("nice").arg("-n-19").arg(workload.path()).arg(calls.to_string()).output().unwrap();
    assert!(done.status.success() && live.elapsed() < WINDOW, "the workload was not done in time");
    std::thread::sleep(Duration::from_secs(3).saturating_sub(live.elapsed()));
    drop(frozen);
    let taken = finished(running, live);
    assert_window(&taken);
    let counted = taken.metric("syscall.latency", &["name"]).named("name", "getppid").sum("count");
    assert_eq!(counted, calls, "{:?}", taken.lost());
    let lost = taken.lost();
    let rows = i64::try_from(taken.rows("syscall", &["name"]).named("name", "getppid").count()).unwrap();
    println!("{rows} rows of {calls}, {lost:?}");
    // Every call is a row or a loss; how many of them had to wait for the disk differs from run to run.
    assert!(rows + lost.values().sum::<i64>() >= calls, "{rows} rows of {calls}, {lost:?}");
    // The first is under way until the disk goes on, three seconds later; one is due every 0.8 s.
    let skipped = taken.recording.meta().skipped_checkpoints;
    assert!((1..=4).contains(&skipped), "{skipped} checkpoints skipped");
    let said = taken.report("losses")["warnings"].to_string();
    assert!(said.contains("skipped while the disk was slow"), "{said}");
}

/// Threads of real-time priority leave 5 % of each CPU to all others, among them what ends the kernel's grace periods.
#[test]
#[ignore = "root: attaches probes"]
fn a_slow_grace_period_does_not_make_the_window_longer() {
    let test = "a_slow_grace_period_does_not_make_the_window_longer";
    if !has("chrt") || !has("stress-ng") {
        skip(test, "no chrt or no stress-ng");
        return;
    }
    let running = Recorder::in_memory("-d 4s").start();
    let live = Instant::now();
    let cpus = std::thread::available_parallelism().unwrap();
    let hogs = Load::start(&format!("stress-ng --cpu {cpus} --sched fifo --sched-prio 1 --timeout 3s"));
    let taken = finished(running, live);
    drop(hogs);
    assert_window(&taken);
    assert_counted(&taken);
}

/// Whatever reads the time of a recording sees one that is over.
#[test]
#[ignore = "root: attaches probes"]
fn an_interrupted_window_ends_at_the_interrupt() {
    let running = Recorder::in_memory("-p sched,syscall,process").start();
    std::thread::sleep(Duration::from_millis(300));
    let before = clock_ns();
    let taken = running.finish();
    let window = &taken.recording.meta().window;
    let end = window.start_mono_ns + window.actual_ns;
    assert!((0..200 * MS).contains(&(end - before)), "the window ended {} ns after the interrupt", end - before);
}

fn clock_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// A histogram has no call that is under way at the window's end, however long it takes: the recording says how many there are.
#[test]
#[ignore = "root: attaches probes"]
fn what_the_end_of_the_window_cuts_off_is_counted_by_each_probe() {
    let test = "what_the_end_of_the_window_cuts_off_is_counted_by_each_probe";
    let Some(disk) = Disk::new() else {
        skip(test, "no ext4 on a loop device can be made and frozen here");
        return;
    };
    let workload = Workload::compile("window/cut.c", "ebrec-cut", tempfile::tempdir().unwrap());
    let event = format!("latency:{}:held", workload.path().display());
    let running = Recorder::in_memory("-p syscall,locks,http,files,process --comm ebrec-cut -e").word(&event).start();
    let frozen = disk.freeze();
    let mut command = Command::new(workload.path());
    command.arg(disk.path().join("new")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    let taken = running.finish();
    drop(frozen);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let unfinished: BTreeMap<_, _> =
        taken.recording.meta().probes.iter().map(|probe| (probe.name.as_str(), probe.unfinished)).collect();
    let probe = |name: &str| taken.recording.meta().probes.iter().find(|probe| probe.name == name).unwrap();
    // A frozen file system holds a lock of the kernel, whose waits are seen since Linux 5.19.
    let kernel_locks = u64::from(probe("locks").hooks.iter().any(|hook| hook == "tp_btf/contention_begin"));
    // The four threads and the main one; both ends of a request.
    let expected = [
        ("events", Some(1)),
        ("files", Some(1)),
        ("http", Some(2)),
        ("locks", Some(1 + kernel_locks)),
        ("process", None),
        ("syscall", Some(5)),
    ];
    assert_eq!(unfinished, BTreeMap::from(expected));
    let report = taken.report("losses");
    let rows = report["tables"]["probes"].as_array().unwrap();
    let syscalls = rows.iter().find(|row| row["probe"] == "syscall").unwrap();
    assert_eq!(syscalls["unfinished"], 5);
}
