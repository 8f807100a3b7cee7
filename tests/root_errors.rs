//! Recordings that can't be: one clear line, nothing attached, no file left.
#![cfg(all(feature = "record", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at what it did not expect")]

#[path = "common/root.rs"]
mod root;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use tempfile::TempDir;

use root::recorder::EBREC;

/// `nobody`.
const NOBODY: u32 = 65534;

/// A directory in which everybody may write.
fn open_directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    dir
}

/// `ebrec record` with these options, split at spaces, in a directory.
fn record(dir: &Path, options: &str) -> Command {
    let mut command = Command::new(EBREC);
    command.arg("record").args(options.split_whitespace()).current_dir(dir);
    command
}

/// Standard error of a run that has to end with this status and leave the directory as it is.
fn refused(command: &mut Command, status: i32) -> String {
    let dir = command.get_current_dir().unwrap().to_owned();
    let before = contents(&dir);
    let Output { status: ended, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(ended.code(), Some(status), "{stderr}");
    assert_eq!(contents(&dir), before, "{stderr}");
    stderr
}

fn contents(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut contents: Vec<_> = files.map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect();
    contents.sort();
    contents
}

#[test]
#[ignore = "root: becomes another user"]
fn who_may_not_record_learns_what_is_missing_and_the_three_ways() {
    let (dir, programs) = (open_directory(), open_directory());
    let program = programs.path().join("ebrec");
    std::fs::copy(EBREC, &program).unwrap();
    let mut command = Command::new(&program);
    let stderr = refused(command.arg("record").current_dir(dir.path()).uid(NOBODY).gid(NOBODY), 1);
    let lines: Vec<&str> = stderr.lines().collect();
    let [problem, hint] = lines[..] else { panic!("{stderr}") };
    assert_eq!(problem, "ebrec: recording needs CAP_BPF and CAP_PERFMON, which this process lacks");
    for way in ["sudo ", "setcap cap_bpf,cap_perfmon+ep", "systemd-run"] {
        assert!(hint.starts_with("hint: ") && hint.contains(way), "{hint}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_probe_that_was_named_and_can_not_run_is_an_error_that_leaves_nothing() {
    let dir = open_directory();
    let limit = getrlimit(Resource::Nofile);
    // So few files may be open that the kernel refuses the probe's maps: how few is found by trying.
    for files in 16..64 {
        let mut command = record(dir.path(), "-d 100ms -p process");
        limit_files(&mut command, Rlimit { current: Some(files), maximum: limit.maximum });
        let stderr = refused(&mut command, 1);
        if stderr.starts_with("ebrec: the probe 'process' can't run here: ") {
            assert_eq!(stderr.lines().nth(1), Some("hint: 'ebrec doctor' checks this machine"), "{stderr}");
            return;
        }
    }
    panic!("the probe was never refused");
}

/// Through a shell, which can set a limit without code between fork and exec.
fn limit_files(command: &mut Command, limit: Rlimit) {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -Sn {}; exec \"$0\" \"$@\"", limit.current.unwrap())]);
    shell.arg(command.get_program()).args(command.get_args()).current_dir(command.get_current_dir().unwrap());
    *command = shell;
}

#[test]
#[ignore = "root: would attach probes"]
fn an_unknown_probe_is_refused_with_the_names_that_are_like_it() {
    let dir = open_directory();
    let stderr = refused(&mut record(dir.path(), "-p proces"), 2);
    assert!(stderr.starts_with("ebrec: there is no probe 'proces'\nhint: "), "{stderr}");
    assert!(stderr.contains("process"), "{stderr}");
}

#[test]
#[ignore = "root: would attach probes"]
fn a_mode_or_setting_that_a_probe_has_not_is_refused() {
    let dir = open_directory();
    assert!(refused(&mut record(dir.path(), "-p block:all"), 2).contains("'all'"));
    assert!(refused(&mut record(dir.path(), "-p block:slow=5"), 2).contains("'5'"));
    assert!(refused(&mut record(dir.path(), "-p block:fast=5ms"), 2).contains("'fast'"));
}

#[test]
#[ignore = "root: would attach probes"]
fn a_window_that_is_no_duration_is_refused() {
    let dir = open_directory();
    for wrong in ["0s", "5", "5x", "-1s", "1e3s"] {
        let stderr = refused(&mut record(dir.path(), &format!("--duration={wrong}")), 2);
        assert!(stderr.contains(wrong), "{stderr}");
    }
}

#[test]
#[ignore = "root: would attach probes"]
fn an_output_that_exists_is_kept_unless_forced() {
    let dir = open_directory();
    std::fs::write(dir.path().join("run.parquet"), "precious").unwrap();
    let stderr = refused(&mut record(dir.path(), "-o run.parquet -d 100ms"), 1);
    assert!(stderr.contains("'run.parquet'") && stderr.contains("hint: --force replaces it"), "{stderr}");
    let forced = record(dir.path(), "-o run.parquet -d 100ms -p process --force").output().unwrap();
    assert!(forced.status.success(), "{}", String::from_utf8_lossy(&forced.stderr));
    assert_ne!(std::fs::read(dir.path().join("run.parquet")).unwrap(), b"precious");
}

#[test]
#[ignore = "root: attaches probes"]
fn without_a_name_the_next_free_one_is_taken_and_said() {
    let dir = open_directory();
    for name in ["run.parquet", "run-2.parquet", "run-3.parquet"] {
        let output = record(dir.path(), "-d 100ms -p process").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && stderr.contains(name), "{stderr}");
        assert!(dir.path().join(name).exists());
    }
}

#[test]
#[ignore = "root: would attach probes"]
fn a_directory_that_is_not_there_or_can_not_be_written_is_named() {
    let dir = open_directory();
    for file in ["no/such/run.parquet", "/proc/run.parquet", "."] {
        let stderr = refused(&mut record(dir.path(), &format!("-d 100ms -o {file}")), 1);
        assert!(stderr.starts_with("ebrec: ") && stderr.contains(file), "{stderr}");
    }
}

#[test]
#[ignore = "root: would attach probes"]
fn a_process_user_or_control_group_that_is_not_there_is_named() {
    let dir = open_directory();
    assert!(refused(&mut record(dir.path(), "--pid 4194304"), 1).contains("4194304"));
    assert!(refused(&mut record(dir.path(), "--uid nosuchuser"), 1).contains("'nosuchuser'"));
    assert!(refused(&mut record(dir.path(), "--cgroup /no/such/group"), 1).contains("/no/such/group"));
}
