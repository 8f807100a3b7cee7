//! `record --last`: what the newest span has, what it does not have, and what signals and kills leave.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use ebrec::recording::Existing;
use ebrec::recording::Recording;
use ebrec::recording::recover;

use crate::common::Recorder;
use crate::common::Rows;
use crate::common::Running;
use crate::common::Taken;
use crate::common::wait_for;
use rustix::process::Signal;
use rustix::process::getpriority_process;

const SECOND: i64 = 1_000_000_000;
/// An interval, by which the span may be longer, and what a busy machine adds.
const SLACK: i64 = SECOND + SECOND / 2;

/// Children that exit with `status`, one after the other, for `time`: their ids, with when each was waited for.
fn exits(status: u8, time: Duration) -> Vec<(i64, i64)> {
    let begun = Instant::now();
    let mut exits = Vec::new();
    while begun.elapsed() < time {
        let mut child = Command::new("sh").args(["-c", &format!("exit {status}")]).spawn().unwrap();
        let pid = child.id().into();
        child.wait().unwrap();
        exits.push((pid, now_ns()));
        std::thread::sleep(Duration::from_millis(20));
    }
    exits
}

/// CLOCK_MONOTONIC.
fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * SECOND + now.tv_nsec
}

/// The pids of rows of a kind.
fn pids(rows: &Rows) -> Vec<i64> {
    rows.iter().map(|row| row.int("pid")).collect()
}

/// The span of a recording, on CLOCK_MONOTONIC.
fn span(recording: &Recording) -> (i64, i64) {
    let window = &recording.meta().window;
    (window.start_mono_ns, window.start_mono_ns + window.actual_ns)
}

/// What every recording of a span has to be, after `exits` that are all there were, of children of this process.
fn is_whole(recording: &Recording, exits: &[(i64, i64)]) {
    let (begin, end) = span(recording);
    let start_real = recording.meta().window.start_real_ns;
    let own = i64::from(std::process::id());
    // Rows are within the span.
    let rows = Rows::read(recording, "exit", &["pid", "ppid"]);
    let ours = rows.with("ppid", own);
    for row in ours.iter() {
        assert!(row.int("ts") > start_real && row.int("ts") <= start_real + (end - begin) + SECOND / 100);
    }
    // Those that ended well within the span are there, and those from before it are not. A child ends before it was waited for.
    let pids = pids(&ours);
    for (index, (pid, waited)) in exits.iter().enumerate() {
        let begun = index.checked_sub(1).map_or(0, |before| exits[before].1);
        if begun > begin && *waited < end {
            assert!(pids.contains(pid), "{pid} ended in the span");
        }
        if *waited < begin || begun > end {
            assert!(!pids.contains(pid), "{pid} ended outside of the span");
        }
    }
    // Totals are of the same: the kernel has counted each that has a row.
    let metric = Rows::read(recording, "metric", &["metric", "ppid", "count"]);
    assert_eq!(metric.named("metric", "process.exits").with("ppid", own).sum("count"), ours.count() as i64);
    // The intervals add up to the span.
    let cost = Rows::read(recording, "cost", &["op", "dur_ns"]).named("op", "cpu").sum("dur_ns");
    assert!((cost - (end - begin)).abs() < SECOND / 100, "{cost} of {}", end - begin);
    // Processes are there once, those from before the span too: this one, which lived before the recorder.
    let processes = Rows::read(recording, "process", &["pid", "comm", "argv"]);
    assert_eq!(processes.with("pid", own).iter().filter(|row| row.text("argv").is_some()).count(), 1);
    for pid in &pids {
        assert!(processes.with("pid", *pid).count() > 0, "process {pid} is described");
    }
}

fn opened(path: &Path) -> Recording {
    wait_for("a recording", || path.exists().then_some(()));
    Recording::open(path).unwrap()
}

fn beside(running: &Running, name: &str) -> PathBuf {
    running.file().with_file_name(name)
}

#[test]
#[ignore = "root: attaches probes"]
fn the_newest_span_has_what_happened_in_it_and_signals_have_recordings_of_their_own() {
    let mut sleeper = Command::new("sleep").arg("100").spawn().unwrap();
    let running = Recorder::new("--last 3s -p process,sched,offcpu").start();
    let mut ended = exits(1, Duration::from_secs(6));
    running.signal(Signal::USR1);
    ended.extend(exits(2, Duration::from_millis(4500)));
    running.signal(Signal::USR1);
    ended.extend(exits(3, Duration::from_millis(2500)));
    let (first, second) = (beside(&running, "run-1.parquet"), beside(&running, "run-2.parquet"));
    let taken = running.finish();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let (first, second) = (opened(&first), opened(&second));
    let all = [&first, &second, &taken.recording];
    for recording in all {
        let length = recording.meta().window.actual_ns;
        assert!((3 * SECOND..3 * SECOND + SLACK).contains(&length), "{length} ns");
        is_whole(recording, &ended);
    }
    let codes = |recording: &Recording| {
        let rows = Rows::read(recording, "exit", &["ppid", "exit_code"]).with("ppid", i64::from(std::process::id()));
        let mut codes: Vec<i64> = rows.iter().map(|row| row.int("exit_code")).collect();
        codes.dedup();
        codes
    };
    let [first_codes, second_codes, last_codes] = all.map(codes);
    assert!(first_codes.contains(&1) && !first_codes.contains(&3), "{first_codes:?}");
    assert!(second_codes.contains(&2) && !second_codes.contains(&1), "{second_codes:?}");
    assert!(last_codes.contains(&3) && !last_codes.contains(&1), "{last_codes:?}");
    assert_eq!(all.map(|recording| recording.meta().window.ended.as_str().to_owned())[2], "interrupt");
    // What a thread did in the span adds up to it, though it has slept since before the span.
    for recording in all {
        let ledger = Rows::read(recording, "ledger", &["pid", "tid", "sum"]).with("tid", i64::from(sleeper.id()));
        let (begin, end) = span(recording);
        let lived = ledger.sum("sum");
        assert!((lived - (end - begin)).abs() < SECOND / 100, "{lived} of {}", end - begin);
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn stacks_of_the_span_have_names_though_they_were_seen_before_it() {
    let running = Recorder::new("--last 2s -p offcpu,cpu").start();
    let mut sleeper = Command::new("sh").args(["-c", "while :; do sleep 0.06; done"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(8));
    let taken = running.finish();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let known: Vec<i64> = taken.rows("stack", &["id"]).iter().map(|row| row.int("id")).collect();
    let symbols: Vec<i64> = taken.rows("symbol", &["id"]).iter().map(|row| row.int("id")).collect();
    let mut used = 0;
    for (kind, columns) in [("off_cpu", ["kstack_id", "ustack_id"]), ("stack_total", ["kstack_id", "ustack_id"])] {
        for row in taken.rows(kind, &columns).iter() {
            for id in columns.iter().filter_map(|column| row.maybe(column)) {
                assert!(known.contains(&id), "the stack {id} of a row of {kind} has no row");
                used += 1;
            }
        }
    }
    assert!(used > 50, "{used} stacks in rows");
    let named = taken.rows("stack", &["folded"]);
    assert!(named.iter().any(|row| row.text("folded").is_some_and(|folded| folded.contains("nanosleep"))));
    let unique: std::collections::BTreeSet<&i64> = symbols.iter().collect();
    assert_eq!(unique.len(), symbols.len(), "symbols have numbers of their own");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_trigger_keeps_what_was_before_it_and_what_follows() {
    let own = std::process::id();
    let event = format!("asked = tracepoint:syscalls:sys_enter_getpriority/pid == {own} && who == 54321/");
    let recorder = Recorder::new("--last 3s --after 1s -p process").word("-e").word(&event);
    let running = recorder.word("--until").word("asked").start();
    let ended = exits(1, Duration::from_secs(6));
    let _ = getpriority_process(rustix::process::Pid::from_raw(54321));
    let mut ended = ended;
    ended.extend(exits(2, Duration::from_secs(1)));
    let taken = running.finished(0);
    let fired = crate::trigger::fired(&taken);
    let (begin, end) = span(&taken.recording);
    let before = fired.mono_ns - begin;
    assert!((3 * SECOND..3 * SECOND + SLACK).contains(&before), "{before} ns before the trigger");
    assert!((SECOND..SECOND + SECOND / 10).contains(&(end - fired.mono_ns)), "{} ns after it", end - fired.mono_ns);
    is_whole(&taken.recording, &ended);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_kill_leaves_a_span_that_can_be_recovered() {
    let running = Recorder::new("--last 2s -p process").start();
    let ended = exits(1, Duration::from_secs(7));
    let dir = running.kill();
    let path = dir.path().join("run.parquet");
    assert!(!path.exists());
    let recovered = recover(&path, Existing::Keep).unwrap();
    let taken = Taken::open(&recovered.path, dir);
    let (begin, end) = span(&taken.recording);
    let killed = ended.last().unwrap().1;
    assert!((killed - 2 * SECOND..=killed).contains(&end), "short of at most the last second: {}", killed - end);
    let length = end - begin;
    assert!((2 * SECOND..2 * SECOND + 3 * SECOND).contains(&length), "{length} ns");
    let pids = pids(&taken.rows("exit", &["pid", "ppid"]).with("ppid", i64::from(std::process::id())));
    let (mut within, mut before) = (0, 0);
    for (index, (pid, waited)) in ended.iter().enumerate().skip(1) {
        if ended[index - 1].1 > begin && *waited < end {
            assert!(pids.contains(pid), "{pid} ended in the span");
            within += 1;
        }
        before += usize::from(*waited < begin && pids.contains(pid));
    }
    // What is older than a generation is gone.
    assert!(within > 20 && before < 80, "{within} {before}");
    assert!(taken.rows("process", &["pid"]).count() > 5);
}

#[test]
#[ignore = "root: attaches probes"]
fn nothing_grows_while_only_the_newest_second_is_kept() {
    let running = Recorder::new("--last 1s --interval 100ms -p process,sched,offcpu,cpu,syscall").start();
    let rss = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().split(' ').next().unwrap().parse::<i64>().unwrap()
    };
    let partial = running.file().with_file_name("run.parquet.partial");
    let size = || std::fs::metadata(&partial).map_or(0, |file| file.len());
    // New processes, new names and new programs all the time.
    let churn = |time: Duration| {
        let begun = Instant::now();
        let mut number = 0;
        let (mut memory, mut disk) = (0, 0);
        while begun.elapsed() < time {
            number += 1;
            Command::new("sh").args(["-c", &format!("echo name{number} > /proc/self/comm; :")]).status().unwrap();
            (memory, disk) = (rss().max(memory), size().max(disk));
        }
        (memory, disk)
    };
    churn(Duration::from_secs(4));
    let before = churn(Duration::from_secs(4));
    let after = churn(Duration::from_secs(8));
    assert!(after.0 < before.0 + before.0 / 5, "{} KiB of memory became {}", before.0, after.0);
    assert!(after.1 < before.1 + (5 << 20), "{} bytes on the disk became {}", before.1, after.1);
    let taken = running.finish();
    assert!(taken.recording.meta().window.actual_ns < 2 * SECOND);
}
