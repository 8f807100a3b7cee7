//! Recording into what is not a new file: devices, pipes, links, standard output, and a limit on the size of files.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use ebrec::recording::Recording;
use tempfile::TempDir;

use crate::common::has;
use crate::common::recorder::EBREC;
use crate::common::skip;

/// The shortest recording that there is.
const RECORD: &str = "\"$EBREC\" record -p process -d 100ms";

/// Runs a script in a directory, with the program as `$EBREC`; temporary files go to `tmp` in it.
fn script(dir: &Path, text: &str) -> Output {
    fs::create_dir_all(dir.join("tmp")).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", text]).current_dir(dir).env("EBREC", EBREC).env("TMPDIR", dir.join("tmp"));
    command.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER").stdin(Stdio::null());
    command.output().unwrap()
}

/// Likewise in a mount namespace of its own, where the directory holds devices: null, full, and a block device that has no driver.
fn with_devices(dir: &Path, text: &str) -> Output {
    let mounted = format!(
        "mount -t tmpfs none . && cd \"$PWD\" && mkdir tmp && mknod null c 1 3 && mknod full c 1 7 && mknod block b 240 0 && {{ {text}; }}"
    );
    fs::create_dir_all(dir.join("tmp")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &mounted]).current_dir(dir).env("EBREC", EBREC).env("TMPDIR", dir.join("tmp"));
    command.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER").stdin(Stdio::null());
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file of these bytes opens as a recording with rows.
fn hold_that_it_is_a_recording(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.parquet");
    fs::write(&file, bytes).unwrap();
    let recording = Recording::open(&file).unwrap();
    assert!(recording.rows("process") > 0 && !recording.is_partial());
}

fn left(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir.join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// As root it made a file of /dev/null.
#[test]
#[ignore = "root: attaches probes"]
fn a_device_is_written_into_and_stays_a_device_even_with_force() {
    let dir = tempfile::tempdir().unwrap();
    for force in ["", "--force"] {
        let output = with_devices(dir.path(), &format!("{RECORD} {force} -o null; echo $?; stat -c %F null; ls tmp"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, "0\ncharacter special file\n", "{}", stderr(&output));
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_device_that_is_full_leaves_the_recording_where_the_message_says() {
    let dir = tempfile::tempdir().unwrap();
    let then =
        "file=$(sed -n \"s/^hint: it is in '\\(.*\\)'$/\\1/p\" said); cat said >&2; stat -c %F full; cat \"$file\"";
    let output = with_devices(dir.path(), &format!("{RECORD} -q -o full 2>said && echo succeeded; {then}"));
    let kind = b"character special file\n";
    assert!(output.stdout.starts_with(kind), "{}", stderr(&output));
    assert!(
        stderr(&output).starts_with("ebrec: can't write the recording to full: No space left"),
        "{}",
        stderr(&output)
    );
    hold_that_it_is_a_recording(&output.stdout[kind.len()..]);
}

#[test]
#[ignore = "root: attaches probes"]
fn what_can_not_take_a_recording_is_refused_and_stays_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let output = with_devices(dir.path(), &format!("{RECORD} --force -o block; echo $?; stat -c %F block; ls tmp"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\nblock special file\n", "{}", stderr(&output));
    assert!(stderr(&output).starts_with("ebrec: 'block' is a block device, not a file to write to\nhint: "));

    let _listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    fs::create_dir(dir.path().join("directory")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    for (name, why) in [("socket", "is a socket"), ("directory", "is a directory"), ("dangling", "does not exist")] {
        let before = dir.path().join(name).symlink_metadata().unwrap().file_type();
        let output = script(dir.path(), &format!("{RECORD} --force -o {name}"));
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(why) && stderr(&output).contains("\nhint: "), "{}", stderr(&output));
        assert_eq!(dir.path().join(name).symlink_metadata().unwrap().file_type(), before);
    }
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_named_pipe_gets_the_recording_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let output =
        script(dir.path(), &format!("mkfifo pipe; cat pipe >got & {RECORD} -o pipe; status=$?; wait; exit $status"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(dir.path().join("pipe").symlink_metadata().unwrap().file_type().is_fifo());
    hold_that_it_is_a_recording(&fs::read(dir.path().join("got")).unwrap());
    assert_eq!(left(dir.path()), Vec::<PathBuf>::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_recording_goes_to_standard_output_and_makes_no_file() {
    for name in ["-", "/dev/stdout"] {
        for way in ["| cat", ""] {
            let dir = tempfile::tempdir().unwrap();
            let output = script(dir.path(), &format!("{RECORD} -o {name} {way} >got"));
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(!stderr(&output).contains("next: ebrec report"), "{}", stderr(&output));
            hold_that_it_is_a_recording(&fs::read(dir.path().join("got")).unwrap());
            let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["got", "tmp"]);
            assert_eq!(left(dir.path()), Vec::<PathBuf>::new());
        }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_command_writes_to_standard_error_when_the_recording_has_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    let output = script(dir.path(), "\"$EBREC\" record -p process -o - -- echo hello >got");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("hello\n"));
    hold_that_it_is_a_recording(&fs::read(dir.path().join("got")).unwrap());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_reader_that_leaves_is_an_error_and_the_recording_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let output = script(dir.path(), &format!("{{ {RECORD} -q -o -; echo $? >status; }} | true"));
    assert_eq!(fs::read_to_string(dir.path().join("status")).unwrap(), "1\n", "{}", stderr(&output));
    let said = stderr(&output);
    let file = said.lines().find_map(|line| line.strip_prefix("hint: it is in '")?.strip_suffix('\'')).unwrap();
    hold_that_it_is_a_recording(&fs::read(file).unwrap());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_terminal_or_a_closed_standard_output_gets_no_recording() {
    let dir = tempfile::tempdir().unwrap();
    let output = script(dir.path(), &format!("{RECORD} -o - >&-"));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("can't write to stdout: it is closed"), "{}", stderr(&output));
    if !has("script") {
        skip("a_terminal_or_a_closed_standard_output_gets_no_recording", "script(1) is not installed");
        return;
    }
    let output = script(dir.path(), &format!("script -qec '{RECORD} -o -' typescript"));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("a terminal can't show it") && said.contains("hint: name a file: -o FILE"), "{said}");
    assert_eq!(left(dir.path()), Vec::<PathBuf>::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_link_stays_and_the_file_that_it_points_to_is_replaced_with_force_only() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real.parquet"), dir.path().join("link.parquet"));
    fs::write(&real, "precious").unwrap();
    symlink("real.parquet", &link).unwrap();
    let refused = script(dir.path(), &format!("{RECORD} -o link.parquet"));
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("exists already\nhint: --force replaces it"), "{}", stderr(&refused));
    assert_eq!(fs::read(&real).unwrap(), b"precious");
    let forced = script(dir.path(), &format!("{RECORD} --force -o link.parquet"));
    assert!(forced.status.success(), "{}", stderr(&forced));
    assert!(link.symlink_metadata().unwrap().is_symlink());
    hold_that_it_is_a_recording(&fs::read(&real).unwrap());
}

/// What comes while the recording is made must not be replaced either.
#[test]
#[ignore = "root: attaches probes"]
fn a_pipe_that_takes_the_name_meanwhile_stays_and_the_recording_can_be_recovered_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let meanwhile =
        "for i in $(seq 500); do [ -e run.parquet.partial.footer ] && break; sleep 0.01; done; mkfifo run.parquet";
    let output = script(
        dir.path(),
        &format!("\"$EBREC\" record -p process -d 2s --force -o run.parquet & {meanwhile}; wait $!"),
    );
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("'run.parquet' is not a regular file"), "{}", stderr(&output));
    assert!(dir.path().join("run.parquet").symlink_metadata().unwrap().file_type().is_fifo());
    let moved = script(dir.path(), "rm run.parquet; \"$EBREC\" recover run.parquet");
    assert!(moved.status.success(), "{}", stderr(&moved));
    hold_that_it_is_a_recording(&fs::read(dir.path().join("run.parquet")).unwrap());
}

/// The signal of the limit killed the recorder.
#[test]
#[ignore = "root: attaches probes"]
fn a_limit_on_the_size_of_files_ends_as_a_full_disk_does() {
    let mut ended = Vec::new();
    for blocks in [40, 100, 160, 220, 280] {
        let dir: TempDir = tempfile::tempdir().unwrap();
        let output = script(
            dir.path(),
            &format!("ulimit -f {blocks}; exec \"$EBREC\" record -q -d 2500ms --interval 100ms -o run.parquet"),
        );
        let said = stderr(&output);
        println!("{blocks} blocks: {:?} {said}", output.status);
        ended.push(output.status.code());
        if output.status.code() == Some(1) {
            assert!(
                said.starts_with("ebrec: cannot write 'run.parquet.partial") && said.contains("File too large"),
                "{said}"
            );
            assert!(said.contains("\nhint: ebrec recover '"), "{said}");
            let recover = script(dir.path(), "\"$EBREC\" recover run.parquet");
            if !recover.status.success() {
                assert!(stderr(&recover).contains("nothing was recorded"), "{}", stderr(&recover));
                continue;
            }
        }
        assert!(Recording::open(&dir.path().join("run.parquet")).is_ok(), "{said}");
    }
    assert!(ended.contains(&Some(1)), "no limit was reached: {ended:?}");
    assert!(ended.iter().all(|status| matches!(status, Some(0 | 1))), "{ended:?}");
}
