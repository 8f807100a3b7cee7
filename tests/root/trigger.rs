//! `record --until`: each sort of trigger fires on what a test plants, in time, and on nothing before it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use ebrec::recording::FiredMeta;

use crate::common::Recorder;
use crate::common::Spinners;
use crate::common::Taken;
use crate::common::skip;
use crate::common::wait_for;
use rustix::process::getpriority_process;

const MS: i64 = 1_000_000;
/// From the event until ebrec has noticed it.
const IN_TIME: i64 = 100 * MS;

/// How the trigger of a recording that it ended has fired.
pub fn fired(taken: &Taken) -> FiredMeta {
    let meta = taken.recording.meta();
    assert_eq!(meta.window.ended, "trigger", "{}", taken.stderr);
    let fired = meta.trigger.as_ref().unwrap().fired.clone().unwrap();
    let late = fired.noticed_mono_ns - fired.mono_ns;
    assert!((0..IN_TIME).contains(&late), "noticed after {late} ns");
    fired
}

/// A program that is waited for, and what its exit status was.
fn ran(program: &str, arguments: &[&str]) -> (i64, Option<i32>) {
    let mut child = Command::new(program).args(arguments).spawn().unwrap();
    let pid = child.id().into();
    (pid, child.wait().unwrap().code())
}

#[test]
#[ignore = "root: attaches probes"]
fn an_exit_status_ends_the_window_and_those_before_it_do_not() {
    let running = Recorder::new("-p process").word("--until").word("process.exit == 3").start();
    assert_eq!(ran("sh", &["-c", "exit 1"]).1, Some(1));
    assert_eq!(ran("true", &[]).1, Some(0));
    let (pid, _) = ran("sh", &["-c", "exit 3"]);
    let taken = running.finished(0);
    let fired = fired(&taken);
    assert_eq!((fired.pid, fired.value), (Some(pid), Some(3)));
    let ours = taken.rows("exit", &["ppid", "exit_code"]).with("ppid", std::process::id().into());
    let codes: Vec<i64> = ours.iter().map(|row| row.int("exit_code")).collect();
    assert_eq!(codes, [1, 0, 3]);
    let summary = taken.report("summary").to_string();
    assert!(summary.contains("process.exit == 3"), "the first screen has the trigger: {summary}");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_process_that_a_signal_ends_has_no_exit_status_of_0() {
    let running = Recorder::new("-p process").word("--until").word("process.exit != 0").start();
    let (pid, code) = ran("sh", &["-c", "kill -9 $$"]);
    let fired = fired(&running.finished(0));
    assert_eq!((fired.pid, fired.value, code), (Some(pid), Some(128), None));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_threshold_below_that_of_the_probe_lowers_it() {
    // Less than the 50 ms from which on the probe streams by itself.
    let running = Recorder::new("-p offcpu --comm sleep").word("--until").word("offcpu.time > 20ms").start();
    let (pid, _) = ran("sleep", &["0.03"]);
    let taken = running.finished(0);
    let fired = fired(&taken);
    assert_eq!(fired.pid, Some(pid));
    assert!(fired.value.unwrap() > 20 * MS, "{fired:?}");
    let offcpu = taken.recording.meta().probes.iter().find(|probe| probe.name == "offcpu").unwrap();
    assert_eq!(offcpu.settings["slow_ns"], 20 * MS, "the recording says what was streamed");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_request_of_a_disk_ends_the_window() {
    let running = Recorder::in_memory("-p block").word("--until").word("block.device_time > 1us").start();
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    wait_for("a write to a disk", || {
        file.write_all(&[7; 8192]).unwrap();
        file.sync_all().unwrap();
        running.stderr().contains("ended by trigger").then_some(())
    });
    let fired = fired(&running.finished(0));
    assert!(fired.value.unwrap() > 1000, "{fired:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_custom_event_ends_the_window_by_its_own_filter_and_what_follows_is_kept() {
    let own = std::process::id();
    let event = format!("asked = tracepoint:syscalls:sys_enter_getpriority/pid == {own} && who == 12345/");
    let running = Recorder::new("--after 700ms").word("-e").word(&event).word("--until").word("asked").start();
    let ask = |pid: i32| {
        let _ = getpriority_process(rustix::process::Pid::from_raw(pid));
    };
    ask(1);
    ask(12345);
    let taken = running.finished(0);
    let (fired, window) = (fired(&taken), &taken.recording.meta().window);
    assert_eq!(fired.pid, Some(own.into()));
    let after = window.start_mono_ns + window.actual_ns - fired.mono_ns;
    assert!((700 * MS..700 * MS + IN_TIME).contains(&after), "{after} ns after the trigger");
    assert_eq!(taken.recording.rows("event"), 1, "each hit that passes the filter is a row");
}

#[test]
#[ignore = "root: attaches probes"]
fn pressure_ends_the_window() {
    let test = "pressure_ends_the_window";
    let Ok(pressure) = File::open("/proc/pressure/cpu") else { return skip(test, "the kernel has no PSI") };
    let running = Recorder::new("-p process").word("--until").word("psi.cpu.some > 40%").start();
    let hogs = Spinners::start(3);
    let total = || {
        let mut text = [0; 512];
        let length = pressure.read_at(&mut text, 0).unwrap();
        let text = String::from_utf8_lossy(&text[..length]).into_owned();
        text.lines().next().unwrap().rsplit_once("total=").unwrap().1.parse::<u64>().unwrap()
    };
    let before = total();
    let taken = running.finished(0);
    // The kernel's own account of a window that covers it.
    assert!(total() - before > 300_000, "µs that tasks waited for a CPU");
    drop(hogs);
    assert!((41..=100).contains(&fired(&taken).value.unwrap()));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_trigger_that_does_not_fire_leaves_the_window_as_it_is() {
    let running = Recorder::new("-p process -d 1s").word("--until").word("process.lifetime > 1h").start();
    ran("true", &[]);
    let taken = running.finished(0);
    let meta = taken.recording.meta();
    assert_eq!((meta.window.ended.as_str(), &meta.trigger.as_ref().unwrap().fired), ("duration", &None));
    let over = Duration::from_nanos(meta.window.actual_ns.unsigned_abs()).saturating_sub(Duration::from_secs(1));
    assert!(over < Duration::from_millis(50), "{over:?}");
}
