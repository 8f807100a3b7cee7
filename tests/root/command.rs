//! `ebrec record -- COMMAND`: the command runs as it would alone, and how the file is left.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use ebrec::recording::Recording;
use rustix::process::Signal;

use crate::common::Recorder;
use crate::common::Workload;

fn status_of(words: &[&str]) -> Option<i32> {
    Recorder::new("-p process").run(words).0.status.code()
}

#[test]
#[ignore = "root: attaches probes"]
fn ebrec_ends_with_the_status_of_the_command() {
    assert_eq!(status_of(&["sh", "-c", "exit 3"]), Some(3));
    assert_eq!(status_of(&["true"]), Some(0));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_command_that_is_killed_gives_128_and_the_signal() {
    assert_eq!(status_of(&["sh", "-c", "kill -KILL $$"]), Some(128 + 9));
    assert_eq!(status_of(&["sh", "-c", "kill -SEGV $$"]), Some(128 + 11));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_command_that_can_not_run_says_why_and_gives_a_shell_s_status() {
    let (output, _) = Recorder::new("-p process").run(&["ebrec-no-such-command"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(127), "{stderr}");
    assert!(stderr.contains("ebrec: can't run 'ebrec-no-such-command': no such file or directory\n"), "{stderr}");
    assert_eq!(status_of(&["/etc/passwd"]), Some(126));
}

#[test]
#[ignore = "root: attaches probes"]
fn only_the_command_and_its_descendants_are_recorded_from_its_exec_on() {
    let workload = Workload::build();
    let path = workload.path().into_os_string().into_string().unwrap();
    let running = Recorder::new("-p process").start_command(&[&*path, "family", "30"], Stdio::null(), Stdio::null());
    let taken = running.finished(0);
    assert_eq!(["fork", "exec", "exit"].map(|kind| taken.recording.rows(kind)), [60, 1, 61]);
    assert_eq!(taken.rows("exec", &["filename"]).one().text("filename"), Some(&*path));
}

/// Its process waits until the probes are attached: 1,136 ms in a window of 1,020 ms.
#[test]
#[ignore = "root: attaches probes"]
fn the_life_of_the_command_begins_with_its_exec() {
    for mode in ["raw", "hist"] {
        let running = Recorder::new(&format!("-p process:{mode}"));
        let taken = running.start_command(&["sleep", "0.3"], Stdio::null(), Stdio::null()).finished(0);
        let lifetime = taken.metric("process.lifetime", &[]).sum("sum");
        let window = taken.recording.meta().window.actual_ns;
        println!("{mode}: {lifetime} ns in a window of {window} ns");
        assert!((300_000_000..=window).contains(&lifetime), "{mode}: {lifetime} ns in a window of {window} ns");
        let rows: Vec<i64> = taken.rows("exit", &["dur_ns"]).iter().map(|row| row.int("dur_ns")).collect();
        assert_eq!(rows, if mode == "raw" { vec![lifetime] } else { vec![] });
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn the_command_keeps_standard_input_and_output() {
    let (input, mut to_input) = std::io::pipe().unwrap();
    let (mut from_output, output) = std::io::pipe().unwrap();
    let running = Recorder::new("-p process").start_command(&["cat"], input.into(), output.into());
    to_input.write_all(b"in and out\n").unwrap();
    drop(to_input);
    running.finished(0);
    let mut text = String::new();
    from_output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "in and out\n");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_signal_to_ebrec_is_passed_on_to_the_command() {
    let (output, input) = std::io::pipe().unwrap();
    let script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.01; done";
    let running = Recorder::new("-p process").start_command(&["sh", "-c", script], Stdio::null(), input.into());
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    running.signal(Signal::TERM);
    let taken = running.finished(42);
    assert_eq!(taken.recording.meta().window.ended, "command (status 42)");
}

#[test]
#[ignore = "root: attaches probes"]
fn under_sudo_the_command_runs_as_the_caller_and_the_file_is_the_caller_s() {
    let (mut output, input) = std::io::pipe().unwrap();
    let recorder = Recorder::new("-p process").env("SUDO_UID", "65534").env("SUDO_GID", "65534");
    let running = recorder.start_command(&["id", "-u"], Stdio::null(), input.into());
    let taken = running.finished(0);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "65534\n");
    let file = std::fs::metadata(taken.recording.path()).unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (65534, 65534, 0o600));
}

#[test]
#[ignore = "root: attaches probes"]
fn ctrl_c_ends_the_window_and_writes_the_file_for_its_owner_alone() {
    let running = Recorder::new("").start();
    let file = running.file();
    let taken = running.finish();
    assert_eq!(taken.recording.meta().window.ended, "interrupt");
    let names: Vec<_> = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names, std::slice::from_ref(&file));
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    assert!(!Recording::open(&file).unwrap().is_partial());
}
