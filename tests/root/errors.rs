//! Recordings that can't be: one clear line, nothing attached, no file left.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use tempfile::TempDir;

use crate::common::recorder::EBREC;
use crate::common::skip;

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
    // So few files may be open that the kernel refuses the probe's maps: how few is found by trying.
    for files in 16..64 {
        let stderr = refused(&mut limited(record(dir.path(), "-d 100ms -p process"), &format!("ulimit -n {files}")), 1);
        let is_told = stderr.contains("open files") || stderr.contains("EMFILE");
        assert_eq!(is_told, stderr.contains("\nhint: let it open more files: ulimit -n"), "{stderr}");
        if stderr.starts_with("ebrec: the probe 'process' can't run here: ") && is_told {
            assert_eq!(stderr.lines().count(), 2, "{stderr}");
            return;
        }
    }
    panic!("the probe was never refused");
}

/// Through a shell that sets a limit, without the capability to raise it again.
fn limited(command: Command, limit: &str) -> Command {
    let mut shell = Command::new("setpriv");
    shell.args(["--bounding-set=-sys_resource", "sh", "-c", &format!("{limit}; exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args()).current_dir(command.get_current_dir().unwrap());
    shell
}

/// What needs more files than most shells allow took an option to raise the limit.
#[test]
#[ignore = "root: attaches probes"]
fn the_number_of_files_is_raised_for_every_recording() {
    let dir = open_directory();
    let command = record(dir.path(), "-d 100ms -p all -o run.parquet");
    let output = limited(command, "ulimit -Sn 64").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "root: would attach probes"]
fn an_absurd_buffer_is_refused_in_one_line_and_the_smallest_works() {
    let dir = open_directory();
    for buffer in ["100GiB", "1TiB", "1000TiB"] {
        let stderr = refused(&mut record(dir.path(), &format!("-d 100ms --buffer {buffer}")), 1);
        assert!(
            stderr.starts_with("ebrec: a buffer of ") && stderr.contains("\nhint: --buffer takes up to "),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
    }
    assert!(refused(&mut record(dir.path(), "--buffer 0"), 2).contains("greater than zero"));
    let output = record(dir.path(), "-d 100ms -p process --buffer 1 -o run.parquet").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "root: attaches probes"]
fn little_address_space_is_enough_or_refused_in_one_line() {
    let dir = open_directory();
    // With less than its own image takes, which is twice as large where it is not optimised, the program can't begin.
    let begins = |kib: &u32| {
        let mut command = Command::new(EBREC);
        command.arg("--version").current_dir(dir.path());
        limited(command, &format!("ulimit -v {kib}")).output().unwrap().status.success()
    };
    let least = (20_000..100_000).step_by(1000).find(begins).unwrap();
    let more = [100_000, 200_000, 400_000, 600_000, 1_000_000];
    for kib in [least, least + 1000, least + 2000, least + 5000, least + 10_000].into_iter().chain(more) {
        let name = format!("{kib}.parquet");
        let mut command = limited(record(dir.path(), &format!("-d 100ms -o {name}")), &format!("ulimit -v {kib}"));
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        println!("{kib} KiB: {:?} {stderr}", output.status);
        match output.status.code() {
            Some(0) => assert!(dir.path().join(&name).exists()),
            Some(1) => {
                assert!(stderr.starts_with("ebrec: ") && stderr.contains("\nhint: "), "{stderr}");
                assert!(!dir.path().join(&name).exists() && stderr.lines().count() == 2, "{stderr}");
            }
            other => panic!("{kib} KiB: ended with {other:?}: {stderr}"),
        }
    }
}

/// A control group for memory, of either version, that goes with the test.
struct Group(std::path::PathBuf);

impl Group {
    fn with_limit(bytes: u64) -> Option<Group> {
        let version_1 = Path::new("/sys/fs/cgroup/memory");
        let two = |place: &str| {
            let controllers = std::fs::read_to_string(Path::new(place).join("cgroup.subtree_control")).ok()?;
            controllers.split_whitespace().any(|controller| controller == "memory").then(|| Path::new(place).to_owned())
        };
        let (parent, file) = match version_1.join("memory.limit_in_bytes").exists() {
            true => (version_1.to_owned(), "memory.limit_in_bytes"),
            false => (two("/sys/fs/cgroup")?, "memory.max"),
        };
        let group = Group(parent.join(format!("ebrec-test-{}", std::process::id())));
        std::fs::create_dir(&group.0).ok()?;
        std::fs::write(group.0.join(file), bytes.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The kernel killed the recorder, and left a file that was in the way.
#[test]
#[ignore = "root: makes a control group"]
fn a_control_group_with_too_little_memory_is_named() {
    let dir = open_directory();
    let Some(group) = Group::with_limit(60 << 20) else {
        skip("a_control_group_with_too_little_memory_is_named", "no control group for memory can be made here");
        return;
    };
    let enter = format!("echo $$ >'{}/cgroup.procs'", group.0.display());
    let stderr = refused(&mut limited(record(dir.path(), "-d 100ms"), &enter), 1);
    assert!(stderr.contains("of memory, and its control group may use 60"), "{stderr}");
    assert!(stderr.contains("\nhint: a smaller --buffer"), "{stderr}");
    let small =
        limited(record(dir.path(), "-d 100ms -p process --buffer 1MiB -o run.parquet"), &enter).output().unwrap();
    assert!(small.status.success(), "{}", String::from_utf8_lossy(&small.stderr));
}

/// In a mount namespace of its own, after this script.
fn mounted(command: Command, script: &str) -> Command {
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-c", &format!("{script} && exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args()).current_dir(command.get_current_dir().unwrap());
    shell
}

/// Root was told that it lacks CAP_BPF.
#[test]
#[ignore = "root: mounts"]
fn what_is_not_mounted_or_can_not_be_read_is_named_and_not_taken_for_a_missing_privilege() {
    let dir = open_directory();
    let hide = "mount -t tmpfs none";
    let unreadable = "mount -t tmpfs none /sys/kernel/btf && : >/sys/kernel/btf/vmlinux && chown 65534 /sys/kernel/btf/vmlinux && \
                      chmod 0 /sys/kernel/btf/vmlinux && exec setpriv --bounding-set=-dac_override,-dac_read_search \"$0\" \"$@\"";
    for (script, problem) in [
        (format!("{hide} /proc"), "/proc is not mounted here"),
        (format!("{hide} /sys"), "/sys is not mounted here"),
        (format!("{hide} /sys/kernel/btf"), "/sys/kernel/btf/vmlinux is missing"),
        (unreadable.to_owned(), "can't be read from /sys/kernel/btf/vmlinux: Permission denied"),
    ] {
        let stderr = refused(&mut mounted(record(dir.path(), "-d 100ms"), &script), 1);
        assert!(stderr.starts_with("ebrec: ") && stderr.contains(problem), "{script}: {stderr}");
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
        assert!(stderr.contains("\nhint: "), "{stderr}");
    }
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
    for wrong in ["0s", "0", "5x", "-1s", "1e3s"] {
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
