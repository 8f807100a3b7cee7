//! Recordings made in a container: in PID namespaces of its own, nested ones, and below another root.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::recorder::EBREC;
use crate::common::wait_for;
use tempfile::TempDir;

/// Enters a PID namespace of its own, with its own /proc.
const ENTER: &str = "unshare -p -f --mount-proc";

/// Runs a script of the shell in a container; `$E` is the program, `$D` the directory.
fn script(enter: &str, dir: &Path, text: &str) -> Output {
    let mut words = enter.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["sh", "-c", text]).env("E", EBREC).env("D", dir).stdin(Stdio::null());
    command.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER");
    command.output().unwrap()
}

/// What a script recorded; the recording is `$D/run.parquet`.
fn recorded(enter: &str, text: &str) -> (Output, Taken) {
    let dir = tempfile::tempdir().unwrap();
    let output = script(enter, dir.path(), text);
    let file = dir.path().join("run.parquet");
    assert!(file.exists(), "{output:?}");
    (output, Taken::open(&file, dir))
}

fn counts(taken: &Taken) -> [usize; 3] {
    ["fork", "exec", "exit"].map(|kind| taken.rows(kind, &[]).count())
}

const COMMAND: &str =
    r#""$E" record -q -o "$D/run.parquet" -p process -- /bin/sh -c '/bin/true; /bin/true; /bin/true; exit 7'"#;

#[test]
#[ignore = "root: attaches probes"]
fn a_command_in_a_pid_namespace_is_recorded_as_outside() {
    for enter in ["env", ENTER, "unshare -p -f unshare -p -f --mount-proc"] {
        let (output, taken) = recorded(enter, COMMAND);
        assert_eq!(output.status.code(), Some(7), "{enter}: {output:?}");
        // Three children, each of which is forked, runs a program and ends; and the shell itself.
        assert_eq!(counts(&taken), [3, 4, 4], "{enter}");
        assert!(taken.lost().is_empty());
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_command_below_another_root_is_recorded_as_outside() {
    let root = tempfile::tempdir().unwrap();
    let enter = "unshare -m -p -f";
    let text = format!(
        r#"R={}; mount --rbind / "$R" && mount -t proc proc "$R/proc" && exec chroot "$R" sh -c '{}'"#,
        root.path().display(),
        COMMAND.replace('\'', r#"'"'"'"#),
    );
    let (output, taken) = recorded(enter, &text);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(counts(&taken), [3, 4, 4]);
}

#[test]
#[ignore = "root: attaches probes"]
fn filters_in_a_pid_namespace_take_the_ids_and_names_that_are_seen_there() {
    let text = r#"
        mkfifo "$D/go"; cp /bin/sh "$D/ebrec-child"
        "$D/ebrec-child" -c 'read go < "$D/go"; /bin/true; /bin/true; exit 0' & N=$!
        "$E" record -v -o "$D/run.parquet" -p process FILTER 2> "$D/err" & R=$!
        until grep -q 'all probes live' "$D/err"; do sleep 0.05; done
        echo go > "$D/go"; wait $N; kill -INT $R; wait $R"#;
    for filter in ["--pid $N", "--comm ebrec-child"] {
        let (output, taken) = recorded(ENTER, &text.replace("FILTER", filter));
        assert_eq!(output.status.code(), Some(0), "{filter}: {output:?}");
        assert_eq!(counts(&taken), [2, 2, 3], "{filter}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn the_recorder_leaves_itself_out_in_a_pid_namespace_too() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("ebrec-apart");
    std::fs::copy(EBREC, &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let text = format!(r#""{}" record -q -d 1s -o "$D/run.parquet" -p syscall,sched"#, program.display());
    let (output, taken) = recorded(ENTER, &text);
    assert!(output.status.success(), "{output:?}");
    let calls = taken.metric("syscall.latency", &["comm"]);
    assert!(calls.count() > 0);
    assert_eq!(calls.named("comm", "ebrec-apart").count(), 0);
    assert_eq!(taken.rows("ledger", &["comm"]).named("comm", "ebrec-apart").count(), 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_proc_of_another_pid_namespace_is_refused_before_anything_is_attached() {
    let dir = tempfile::tempdir().unwrap();
    let output = script("unshare -p -f", dir.path(), COMMAND);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("/proc is not of this PID namespace") && said.contains("hint: "), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn from_outside_a_process_in_a_container_has_both_ids() {
    let workload = Workload::build();
    let mut before = in_namespace(&workload);
    let running = Recorder::new("-p process").start();
    let mut later = in_namespace(&workload);
    let taken = running.finish();
    let rows = taken.rows("process", &["pid", "ns_pid", "comm"]).named("comm", "workload");
    assert_eq!(rows.with("ns_pid", 1).count(), 2, "{rows:?}");
    assert!(rows.iter().all(|row| row.int("pid") != 1));
    for child in [&mut before, &mut later] {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

/// A process that is the first of a PID namespace, and waits for its standard input to end.
fn in_namespace(workload: &Workload) -> std::process::Child {
    let mut command = Command::new("unshare");
    command.args(["-p", "-f"]).arg(workload.path()).arg("wait").stdin(Stdio::piped());
    let child = command.spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    wait_for("the process in the namespace", || {
        let text = std::fs::read_to_string(&children).ok()?;
        let comm = std::fs::read_to_string(format!("/proc/{}/comm", text.trim())).ok()?;
        (comm.trim() == "workload").then_some(())
    });
    child
}

#[test]
#[ignore = "root: attaches probes"]
fn the_id_of_a_thread_is_refused_with_that_of_its_process() {
    let (sent, ids) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        sent.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let _ = wait.recv();
    });
    let tid = ids.recv().unwrap();
    let dir: TempDir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.parquet");
    let output =
        Command::new(EBREC).args(["record", "-o"]).arg(&file).args(["--pid", &tid.to_string()]).output().unwrap();
    drop(go);
    thread.join().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let own = std::process::id();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{tid} is a thread of process {own}")), "{said}");
    assert!(said.contains(&format!("hint: try --pid {own}")), "{said}");
    assert!(!file.exists());
}
