//! Output that goes elsewhere than into a new file, and input that is not a file: nothing is destroyed, nothing hangs, nothing seems
//! written that was not.

use std::fs;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use crate::synthetic::build;

const EBREC: &str = env!("CARGO_BIN_EXE_ebrec");
/// The longest that a refusal may take on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(20);

/// A directory with a recording.
fn directory() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run.parquet");
    build::build("builder").write(&run);
    (dir, run)
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn ebrec(arguments: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(EBREC);
    command.args(arguments).current_dir(dir).env("COLUMNS", "100").stdin(Stdio::null());
    command
}

/// Runs it to its end; one that hangs is killed and fails the test.
fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + AT_ONCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} hung");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn reading_a_pipe_that_nobody_writes_is_refused_at_once_and_says_what_to_do() {
    let (dir, _) = directory();
    mkfifo(&dir.path().join("pipe.parquet"));
    for arguments in [
        &["report", "pipe.parquet"] as &[&str],
        &["report", "processes", "pipe.parquet"],
        &["info", "pipe.parquet"],
        &["recover", "pipe.parquet"],
        &["export", "--to", "openmetrics", "pipe.parquet"],
        &["info", "/dev/zero"],
    ] {
        let output = run(&mut ebrec(arguments, dir.path()));
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("' is not a regular file\nhint: "), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
}

#[test]
fn recovering_through_a_pipe_in_the_place_of_either_file_is_refused_at_once() {
    let (dir, run_file) = directory();
    fs::remove_file(&run_file).unwrap();
    build::build("builder").write_partial(&run_file);
    let footer = dir.path().join("run.parquet.partial.footer");
    fs::remove_file(&footer).unwrap();
    mkfifo(&footer);
    let output = run(&mut ebrec(&["recover", "run.parquet"], dir.path()));
    assert_eq!(output.status.code(), Some(1));
    let partial = dir.path().join("run.parquet.partial");
    fs::remove_file(&partial).unwrap();
    mkfifo(&partial);
    let output = run(&mut ebrec(&["recover", "run.parquet"], dir.path()));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("'run.parquet.partial' is not a regular file"), "{}", stderr(&output));
    assert!(partial.symlink_metadata().unwrap().file_type().is_fifo());
}

#[test]
fn a_report_is_written_into_a_pipe_and_the_pipe_stays() {
    let (dir, _) = directory();
    let pipe = dir.path().join("pipe");
    mkfifo(&pipe);
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    let output = run(&mut ebrec(&["report", "run.parquet", "-o", "pipe"], dir.path()));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(reader.join().unwrap().contains("builder"));
    assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo());
}

#[test]
fn a_dash_is_standard_output_for_every_command_that_writes() {
    let (dir, _) = directory();
    for arguments in [
        &["report", "run.parquet", "-o", "-"] as &[&str],
        &["export", "--to", "openmetrics", "run.parquet", "-o", "-"],
        &["info", "run.parquet", "-o", "-"],
        &["info", "run.parquet", "-o", "/dev/stdout"],
    ] {
        let output = run(&mut ebrec(arguments, dir.path()));
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        assert!(!output.stdout.is_empty(), "{arguments:?}");
        assert!(!dir.path().join("-").exists(), "{arguments:?} made a file named '-'");
    }
}

#[test]
fn a_link_stays_and_the_file_that_it_points_to_is_replaced() {
    let (dir, _) = directory();
    fs::create_dir(dir.path().join("real")).unwrap();
    let (target, link) = (dir.path().join("real/report.txt"), dir.path().join("report.txt"));
    fs::write(&target, "old").unwrap();
    symlink(&target, &link).unwrap();
    for _ in 0..2 {
        let output = run(&mut ebrec(&["report", "run.parquet", "-o", "report.txt"], dir.path()));
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert!(fs::read_to_string(&target).unwrap().contains("builder"));
    }
}

#[test]
fn what_can_not_be_written_to_is_refused_with_a_reason_and_stays() {
    let (dir, _) = directory();
    let _listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    fs::create_dir(dir.path().join("directory")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    for (name, why) in [
        ("socket", "'socket' is a socket, not a file to write to"),
        ("directory", "'directory' is a directory, not a file to write to"),
        ("dangling", "'dangling' is a symbolic link to 'nowhere', which does not exist"),
    ] {
        let before = dir.path().join(name).symlink_metadata().unwrap().file_type();
        let output = run(&mut ebrec(&["report", "run.parquet", "-o", name], dir.path()));
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).starts_with(&format!("ebrec: {why}\nhint: ")), "{}", stderr(&output));
        assert_eq!(dir.path().join(name).symlink_metadata().unwrap().file_type(), before);
    }
    assert!(!dir.path().join("nowhere").exists());
}

/// Through a shell, which can close a descriptor.
fn in_shell(script: &str, dir: &Path) -> Output {
    run(Command::new("sh").args(["-c", script, EBREC]).current_dir(dir).stdin(Stdio::null()))
}

#[test]
fn a_closed_standard_output_is_an_error_of_every_command() {
    let (dir, _) = directory();
    for command in [
        "report run.parquet",
        "info run.parquet",
        "export --to openmetrics run.parquet",
        "report run.parquet -o -",
        "--version",
        "completions bash",
    ] {
        let output = in_shell(&format!("\"$0\" {command} >&-"), dir.path());
        assert_eq!(output.status.code(), Some(1), "{command}: {}", stderr(&output));
        assert_eq!(stderr(&output), "ebrec: can't write to stdout: it is closed\n", "{command}");
    }
}

#[test]
fn output_to_dev_null_is_none_however_it_was_opened() {
    let (dir, _) = directory();
    for to in [">/dev/null", "1<>/dev/null", ">>/dev/null"] {
        let output = in_shell(&format!("\"$0\" report run.parquet {to}"), dir.path());
        assert!(output.status.success(), "{to}: {}", stderr(&output));
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_leaves_the_old_file() {
    let (dir, _) = directory();
    fs::write(dir.path().join("report.json"), "old").unwrap();
    let output = in_shell("ulimit -f 1; \"$0\" report run.parquet --format json -o report.json", dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("can't write 'report.json': "), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(dir.path().join("report.json")).unwrap(), "old");
    let names = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(names, 2, "a temporary file is left");
    let output = in_shell("ulimit -f 1; \"$0\" report run.parquet --format json >report.json", dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("can't write to stdout: "), "{}", stderr(&output));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (dir, _) = directory();
    let mut child = ebrec(&["report", "run.parquet", "-o", "-"], dir.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut one = [0];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut one).unwrap();
    drop(out);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_recording_that_can_not_be_read_is_named_in_every_format() {
    let (dir, run) = directory();
    let bytes = fs::read(&run).unwrap();
    fs::write(dir.path().join("cut.parquet"), &bytes[..bytes.len() / 2]).unwrap();
    for format in ["text", "csv", "json", "md", "svg"] {
        let output = ebrec(&["report", "hist", "--format", format, "."], dir.path()).output().unwrap();
        assert!(output.status.success(), "{format}: {output:?}");
        let said = [output.stdout, output.stderr].concat();
        assert!(String::from_utf8_lossy(&said).contains("cut.parquet' is truncated"), "{format}");
    }
}
