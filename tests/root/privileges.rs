//! What a recorder keeps of its privileges while it records, and that a recorded command gets nothing from it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;

use rustix::thread::CapabilitySet;
use rustix::thread::capabilities;

use crate::common::Recorder;
use crate::common::Workload;
use crate::common::wait_for;

/// `nobody`.
const NOBODY: u32 = 65534;
/// What a recording needs on every kernel once its probes are attached, as the manual lists it.
const ALWAYS: CapabilitySet = CapabilitySet::SYS_PTRACE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::SYSLOG)
    .union(CapabilitySet::CHECKPOINT_RESTORE)
    .union(CapabilitySet::SYS_NICE)
    .union(CapabilitySet::SYS_ADMIN);

/// `CapEff`, `CapPrm`, `CapInh`, `CapBnd`, `CapAmb` and `NoNewPrivs` of every thread, by its name.
fn threads(pid: u32) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let fields: BTreeMap<String, String> = status
            .lines()
            .filter_map(|line| line.split_once(":\t"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let numbers = fields.iter().filter(|(name, _)| name.starts_with("Cap") || *name == "NoNewPrivs");
        let numbers = numbers.map(|(name, value)| (name.clone(), u64::from_str_radix(value.trim(), 16).unwrap()));
        let numbers = numbers.collect();
        threads.insert(format!("{} {}", fields["Name"], fields["Pid"]), numbers);
    }
    threads
}

fn before_5_19() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) < (5, 19)
}

/// Holds that each thread of a recording has just these capabilities, of those that this process has, and can gain none.
fn hold(recorder: Recorder, mut needed: CapabilitySet) {
    needed.set(CapabilitySet::BPF, needed.contains(CapabilitySet::BPF) || before_5_19());
    let has = capabilities(None).unwrap().permitted;
    let running = recorder.start();
    let expected = (needed & has).bits();
    let found = wait_for("all threads", || {
        let threads = threads(running.pid());
        ["ebrec-drain", "ebrec-write", "ebrec-grace", "ebrec-signals"]
            .iter()
            .all(|name| threads.keys().any(|thread| thread.starts_with(name)))
            .then_some(threads)
    });
    for (thread, fields) in &found {
        println!("{thread}: {fields:x?}");
        // The thread of signals does one thing, and that takes none unless a command is another user's.
        let expected = if thread.starts_with("ebrec-signals") { 0 } else { expected };
        let effective = fields["CapEff"];
        assert_eq!(effective, expected, "{thread}: {effective:x} is not {expected:x}");
        assert_eq!(fields["CapPrm"], effective, "{thread}");
        assert_eq!((fields["CapInh"], fields["CapAmb"]), (0, 0), "{thread}");
        assert_eq!(fields["NoNewPrivs"], 1, "{thread}");
        if has.contains(CapabilitySet::SETPCAP) {
            assert_eq!(fields["CapBnd"] & !needed.bits(), 0, "{thread}");
        }
    }
    let taken = running.finish();
    assert!(taken.recording.rows("process") > 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_recorder_keeps_only_the_capabilities_that_it_still_needs() {
    hold(Recorder::new(""), ALWAYS);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_probe_that_attaches_to_more_later_keeps_what_that_takes() {
    hold(Recorder::new("-p http"), ALWAYS | CapabilitySet::BPF | CapabilitySet::PERFMON);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_file_of_another_user_keeps_what_writing_it_takes() {
    let foreign = CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER | CapabilitySet::CHOWN;
    let recorder = Recorder::new("-p process").env("SUDO_UID", "65534").env("SUDO_GID", "65534");
    hold(recorder, ALWAYS | foreign);
    let recorder = Recorder::new("-p process");
    std::os::unix::fs::chown(recorder.dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    hold(recorder, ALWAYS | foreign);
}

/// Without that capability the command would go on.
#[test]
#[ignore = "root: attaches probes"]
fn a_signal_is_passed_on_to_a_command_of_another_user() {
    let recorder = Recorder::new("-p process").env("SUDO_UID", "65534").env("SUDO_GID", "65534");
    let (output, input) = std::io::pipe().unwrap();
    let script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.01; done";
    let running = recorder.start_command(&["sh", "-c", script], Stdio::null(), input.into());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    running.signal(rustix::process::Signal::TERM);
    running.finished(42);
}

/// A recording without the privileges that were given up has what one with them has: other users' programs with their symbols,
/// and what BPF programs cost.
#[test]
#[ignore = "root: attaches probes"]
fn other_users_programs_and_the_cost_are_recorded_without_the_rest() {
    let workload = Workload::build();
    let private = workload.named("ebrec-private");
    // The file is readable by its owner alone, who runs it.
    std::os::unix::fs::chown(&private, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(&private, PermissionsExt::from_mode(0o500)).unwrap();
    let running = Recorder::new("-p cpu,sched --interval 200ms").start();
    let mut spin = Command::new(&private).args(["spin", "2000"]).uid(NOBODY).gid(NOBODY).spawn().unwrap();
    spin.wait().unwrap();
    let taken = running.finish();
    let symbols = taken.rows("symbol", &["name", "module"]);
    let of_it = symbols.keep(|row| row.text("module").is_some_and(|module| module.ends_with("ebrec-private")));
    assert!(of_it.iter().any(|row| row.text("name").is_some_and(|name| !name.starts_with("0x"))), "no symbol of it");
    assert!(taken.recording.rows("cost") > 0);
}

fn dump(command: &mut Command) -> Vec<String> {
    let (mut output, input) = std::io::pipe().unwrap();
    let status = command.stdin(Stdio::null()).stdout(input).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    // The command holds the writing end as long as it is there.
    *command = Command::new("true");
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "root: attaches probes"]
fn a_command_gets_what_it_would_get_from_a_plain_exec() {
    let inherited = Workload::compile("common/inherited.c", "inherited", tempfile::tempdir().unwrap());
    let alone = dump(&mut Command::new(inherited.path()));
    assert!(
        alone.contains(&"descriptor 2".to_owned()) && alone.iter().any(|line| line.contains("CapEff")),
        "{alone:?}"
    );
    let dir = tempfile::tempdir().unwrap();
    for options in ["-p process", "", "-p process -a"] {
        let mut command = Command::new(crate::common::recorder::EBREC);
        command.args(["record", "-q", "--force", "-o"]).arg(dir.path().join("run.parquet"));
        command.args(options.split_whitespace()).arg("--").arg(inherited.path());
        command.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER");
        let recorded = dump(&mut command);
        assert_eq!(recorded, alone, "with '{options}'");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn what_the_caller_changed_reaches_the_command_and_what_ebrec_changes_does_not() {
    let inherited = Workload::compile("common/inherited.c", "inherited", tempfile::tempdir().unwrap());
    let dir = tempfile::tempdir().unwrap();
    // A descriptor, a limit, a mask, an ignored hangup and a lower priority of the caller's.
    let script = "exec 7</dev/null; ulimit -n 300; ulimit -Hn 3000; umask 027; trap '' HUP; exec nice -n 5";
    let alone = dump(Command::new("sh").arg("-c").arg(format!("{script} \"$0\"")).arg(inherited.path()));
    assert!(
        alone.contains(&"descriptor 7".to_owned()) && alone.contains(&"signal 1 is not handled by default".to_owned())
    );
    let record = format!("{script} \"$0\" record -q -p process -o \"$1\" -- \"$2\"");
    let mut command = Command::new("sh");
    command
        .args(["-c", &record, crate::common::recorder::EBREC])
        .arg(dir.path().join("run.parquet"))
        .arg(inherited.path());
    command.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER");
    assert_eq!(dump(&mut command), alone);
}

#[test]
#[ignore = "root: attaches probes"]
fn under_sudo_the_command_has_no_capability_and_set_user_id_programs_work() {
    let inherited = Workload::compile("common/inherited.c", "inherited", tempfile::tempdir().unwrap());
    fs::set_permissions(inherited.dir(), PermissionsExt::from_mode(0o755)).unwrap();
    let recorded = |program: &std::path::Path, arguments: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(crate::common::recorder::EBREC);
        command.args(["record", "-q", "-p", "process", "-o"]).arg(dir.path().join("run.parquet"));
        command.arg("--").arg(program).args(arguments).env("SUDO_UID", "65534").env("SUDO_GID", "65534");
        dump(&mut command)
    };
    let lines = recorded(&inherited.path(), &[]);
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert!(lines.contains(&format!("/proc/self/status: {set}:\t0000000000000000")), "{set}: {lines:?}");
    }
    assert!(lines.contains(&"/proc/self/status: NoNewPrivs:\t0".to_owned()), "{lines:?}");
    let set_user_id = inherited.dir().join("id");
    fs::copy(crate::common::find("id").unwrap(), &set_user_id).unwrap();
    fs::set_permissions(&set_user_id, PermissionsExt::from_mode(0o4755)).unwrap();
    assert_eq!(recorded(&set_user_id, &["-u"]), ["0"]);
}
