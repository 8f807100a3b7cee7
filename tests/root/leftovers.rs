//! Nothing of a recording stays in the kernel, however it ends, and a killed one can be read.

use std::collections::HashSet;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use rustix::process::Signal;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;

#[test]
#[ignore = "root: attaches probes"]
fn nothing_is_left_in_the_kernel_after_the_window() {
    let mut running = Recorder::new("-d 1s").start();
    let held = running.held();
    assert_eq!(running.wait().code(), Some(0), "{}", running.stderr());
    held.wait_until_gone();
}

#[test]
#[ignore = "root: attaches probes"]
fn nothing_is_left_in_the_kernel_after_a_signal_whichever_it_is() {
    for (signal, status) in
        [(Signal::INT, Some(0)), (Signal::TERM, Some(0)), (Signal::HUP, Some(0)), (Signal::KILL, None)]
    {
        let mut running = Recorder::new("").start();
        let held = running.held();
        running.signal(signal);
        assert_eq!(running.wait().code(), status, "{signal:?}: {}", running.stderr());
        held.wait_until_gone();
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn nothing_is_left_in_the_kernel_after_the_command() {
    let mut running = Recorder::new("").start_command(&["sleep", "0.5"], Stdio::null(), Stdio::null());
    let held = running.held();
    assert_eq!(running.wait().code(), Some(0), "{}", running.stderr());
    held.wait_until_gone();
}

/// Recordings that are killed, and how many of them at one time.
const KILLS: u64 = 20;
const AT_ONCE: u64 = 5;
/// The first and the last moment to be killed at. The first checkpoint comes a second after the start.
const FIRST_MS: u64 = 1100;
const LAST_MS: u64 = 3000;
/// What may be missing at the end: what was recorded since the last checkpoint began, which is a second at most, and
/// this long for a busy machine to write one.
const BUSY: Duration = Duration::from_millis(500);

/// The same numbers each time, spread as if at random (splitmix64).
fn scattered(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn now_ns() -> i64 {
    i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Processes that ended one after the other, and when, as who started them saw it.
type Marks = Vec<(i64, i64)>;

/// Kills a recording at a moment, recovers it, and gives how old what is missing was when it was killed.
fn missing_after_kill(workload: &Workload, moment: Duration) -> Duration {
    let running = Recorder::new("-p process,sched").start();
    let held = running.held();
    let mut marker = workload.command("lines 10").stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(marker.stdout.take().unwrap());
    let reader = thread::spawn(move || -> Marks {
        output.lines().map_while(Result::ok).filter_map(|line| mark(&line)).collect()
    });
    // Not to wait for a fact: the moment is what is tested.
    thread::sleep(moment);
    let killed_ns = now_ns();
    let dir = running.kill();
    marker.kill().unwrap();
    marker.wait().unwrap();
    let marks = reader.join().unwrap();
    held.wait_until_gone();

    let file = dir.path().join("run.parquet");
    let recover = Command::new(crate::common::recorder::EBREC).args(["recover", "-q"]).arg(&file).output().unwrap();
    assert!(recover.status.success(), "{}", String::from_utf8_lossy(&recover.stderr));
    let taken = Taken::open(&file, dir);
    let ended: HashSet<i64> = taken.rows("exit", &["pid"]).iter().map(|row| row.int("pid")).collect();
    let missing =
        marks.iter().filter(|(pid, at)| *at < killed_ns && !ended.contains(pid)).map(|(_, at)| killed_ns - at);
    let missing = missing.max().unwrap_or(0);
    let kept = marks.iter().filter(|(pid, _)| ended.contains(pid)).count();
    println!(
        "killed after {moment:?}: {kept} of {} marks kept, missing the last {} ms",
        marks.len(),
        missing / 1_000_000
    );
    Duration::from_nanos(missing.unsigned_abs())
}

fn mark(line: &str) -> Option<(i64, i64)> {
    let (pid, at) = line.split_once(' ')?;
    Some((pid.parse().ok()?, at.parse().ok()?))
}

#[test]
#[ignore = "root: attaches probes"]
fn a_recording_that_is_killed_is_complete_to_within_a_second() {
    let workload = Workload::build();
    let moments: Vec<Duration> =
        (1..=KILLS).map(|seed| Duration::from_millis(FIRST_MS + scattered(seed) % (LAST_MS - FIRST_MS))).collect();
    let mut missing = Vec::new();
    for some in moments.chunks(AT_ONCE as usize) {
        thread::scope(|scope| {
            let kills: Vec<_> =
                some.iter().map(|moment| scope.spawn(|| missing_after_kill(&workload, *moment))).collect();
            missing.extend(kills.into_iter().map(|kill| kill.join().unwrap()));
        });
    }
    assert_eq!(missing.len(), moments.len());
    assert!(missing.iter().all(|missing| *missing <= Duration::from_secs(1) + BUSY), "{missing:?}");
}
