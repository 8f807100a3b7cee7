//! The probe `process` against what the kernel tells the parent of a process.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::rows::Row;

/// Short processes that are started.
const SHORT: usize = 2000;

#[test]
#[ignore = "root: attaches probes"]
fn two_thousand_processes_of_a_millisecond_are_all_in_the_file() {
    let workload = Workload::build();
    let running = Recorder::new("").start();
    let mut starter =
        workload.command(&format!("true {SHORT} /bin/true")).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let starter_pid = starter.id();
    let polled = poll_proc(starter_pid, || starter.try_wait().unwrap().is_some());
    let output = starter.wait_with_output().unwrap();
    assert_eq!(output.stdout, format!("{SHORT}\n").into_bytes(), "the workload counts otherwise");
    let taken = running.finish();
    let ours = |row: &Row| row.maybe("ppid") == Some(i64::from(starter_pid));
    let execs = taken.rows("exec", &["ppid", "filename"]).keep(ours).named("filename", "/bin/true").count();
    let exits = taken.rows("exit", &["ppid", "exit_code"]).keep(ours).with("exit_code", 0).count();
    println!("{SHORT} processes: {execs} execs and {exits} exits recorded; /proc looked at every second saw {polled}");
    assert_eq!((execs, exits), (SHORT, SHORT), "lost: {:?}", taken.lost());
    assert!(polled < SHORT / 10, "a poller saw {polled}: the comparison means nothing");
}

/// How many different children of a process somebody sees who reads /proc once a second.
fn poll_proc(parent: u32, mut over: impl FnMut() -> bool) -> usize {
    let mut seen = BTreeSet::new();
    while !over() {
        for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let ppid = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
            if ppid == Some(parent) {
                seen.insert(entry.file_name());
            }
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    seen.len()
}

/// Records this probe while the workload goes on.
fn recorded<T>(work: impl FnOnce(&Workload) -> T) -> (T, Taken) {
    let workload = Workload::build();
    let running = Recorder::new("-p process").start();
    let truth = work(&workload);
    (truth, running.finish())
}

const EXIT: [&str; 11] = [
    "pid",
    "tid",
    "ppid",
    "uid",
    "comm",
    "exit_code",
    "name",
    "dur_ns",
    "process_cpu_ns",
    "process_max_rss_bytes",
    "cgroup_id",
];

#[test]
#[ignore = "root: attaches probes"]
fn a_process_that_fails_has_its_exit_code() {
    let (truth, taken) = recorded(|workload| workload.usage(Command::new("sh").args(["-c", "exit 3"])));
    let exits = taken.rows("exit", &EXIT).with("pid", truth.pid);
    assert_eq!(truth.status, 3 << 8);
    assert_eq!((exits.one().maybe("exit_code"), exits.one().text("name")), (Some(3), None));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_process_that_is_killed_has_the_signal_and_no_exit_code() {
    let ((killed, crashed), taken) = recorded(|workload| {
        let by = |signal: &str| workload.usage(Command::new("sh").args(["-c", &format!("kill -{signal} $$")]));
        (by("KILL"), by("SEGV"))
    });
    let exits = taken.rows("exit", &EXIT);
    for (truth, number, name) in [(killed, 9, "SIGKILL"), (crashed, 11, "SIGSEGV")] {
        let exits = exits.with("pid", truth.pid);
        assert_eq!(truth.status & 0x7f, number);
        assert_eq!((exits.one().maybe("exit_code"), exits.one().text("name")), (None, Some(name)));
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn an_exec_has_its_file_and_arguments_as_a_shell_would_take_them() {
    let words = ["two words", "it's", "", "a\"b", "plain", "tab\there", "$HOME"];
    let (pid, taken) = recorded(|_| {
        let mut child = Command::new("/bin/true").args(words).spawn().unwrap();
        child.wait().unwrap();
        child.id()
    });
    let execs = taken.rows("exec", &["pid", "filename", "argv"]).with("pid", pid.into());
    let line = execs.one().text("argv").unwrap();
    let script = "for word in \"$@\"; do printf '%s\\n' \"$word\"; done";
    let shell = Command::new("sh").args(["-c", &format!("set -- {line}; {script}")]).output().unwrap();
    let expected: String = ["/bin/true"].iter().chain(&words).map(|word| format!("{word}\n")).collect();
    assert_eq!(String::from_utf8(shell.stdout).unwrap(), expected, "{line}");
    assert_eq!(execs.one().text("filename"), Some("/bin/true"));
}

#[test]
#[ignore = "root: attaches probes"]
fn arguments_beyond_four_kibibytes_are_cut_and_say_so() {
    let long = "x".repeat(6000);
    let (pids, taken) = recorded(|_| {
        ["y".repeat(4000), long.clone()].map(|word| {
            let mut child = Command::new("/bin/true").arg(word).spawn().unwrap();
            child.wait().unwrap();
            i64::from(child.id())
        })
    });
    let execs = taken.rows("exec", &["pid", "argv"]);
    assert_eq!(execs.with("pid", pids[0]).one().text("argv"), Some(&*format!("/bin/true {}", "y".repeat(4000))));
    let kept = 4096 - "/bin/true ".len();
    assert_eq!(execs.with("pid", pids[1]).one().text("argv"), Some(&*format!("/bin/true {}…", &long[..kept])));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_process_has_its_parent_and_its_user() {
    use std::os::unix::process::CommandExt;
    let (pid, taken) = recorded(|_| {
        let mut child = Command::new("/bin/true").uid(65534).gid(65534).spawn().unwrap();
        child.wait().unwrap();
        i64::from(child.id())
    });
    let (us, nobody) = (Some(i64::from(std::process::id())), Some(65534));
    for kind in ["exec", "exit"] {
        let rows = taken.rows(kind, &["pid", "ppid", "uid", "comm"]).with("pid", pid);
        assert_eq!((rows.one().maybe("ppid"), rows.one().maybe("uid")), (us, nobody), "{kind}");
        assert_eq!(rows.one().text("comm"), Some("true"), "{kind}");
    }
    let forks = taken.rows("fork", &["pid", "ppid"]).with("pid", pid);
    assert_eq!(forks.one().maybe("ppid"), us);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_process_whose_first_thread_ends_first_ends_once_and_with_the_status_of_the_last() {
    let (truth, taken) = recorded(|workload| workload.used("leader-first 7"));
    let exits = taken.rows("exit", &EXIT).with("pid", truth.pid);
    assert_eq!(truth.status, 7 << 8);
    assert_eq!((exits.one().maybe("exit_code"), exits.one().maybe("tid")), (Some(7), Some(truth.pid)));
}

#[test]
#[ignore = "root: attaches probes"]
fn peak_memory_is_what_the_parent_is_told() {
    let (truth, taken) = recorded(|workload| [workload.used("touch 1"), workload.used("touch 64")]);
    let exits = taken.rows("exit", &EXIT);
    for truth in truth {
        let recorded = exits.with("pid", truth.pid).one().int("process_max_rss_bytes");
        assert_eq!(recorded, truth.maxrss_bytes);
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn lifetime_is_between_the_process_s_own_work_and_what_its_parent_waited() {
    let (truth, taken) = recorded(|workload| workload.used("spin 50"));
    let lifetime = taken.rows("exit", &EXIT).with("pid", truth.pid).one().int("dur_ns");
    assert!(lifetime >= 50_000_000, "{lifetime}");
    assert!(lifetime <= truth.lifetime_ns, "{lifetime} > {}", truth.lifetime_ns);
}

/// What a process still does between the hook of its exit and its end: giving back its memory.
const EXIT_WORK_NS: i64 = 3_000_000;
/// The scheduler's accounting lags by a tick at most (HZ=100), where no thread was started in the second before.
const TICK_NS: i64 = 10_000_000;
/// What wait4(2) and the hook do not agree on: it gives whole microseconds, and leaves the time of interrupts out.
const ROUNDING_NS: i64 = 300_000;

#[test]
#[ignore = "root: attaches probes"]
fn cpu_time_is_what_the_parent_is_told_short_processes_included() {
    let (truth, taken) = recorded(|workload| {
        let mut truth: Vec<_> = (0..20).map(|_| workload.usage(&mut Command::new("/bin/true"))).collect();
        truth.extend(["spin 1", "spin 20", "spin 200"].map(|work| workload.used(work)));
        truth
    });
    let exits = taken.rows("exit", &EXIT);
    for truth in truth {
        let cpu = exits.with("pid", truth.pid).one().int("process_cpu_ns");
        println!("CPU time: {cpu} ns recorded, {} ns told to the parent", truth.cpu_ns);
        assert!(cpu <= truth.cpu_ns + ROUNDING_NS, "{cpu} is more than {}", truth.cpu_ns);
        let behind = if truth.lifetime_ns < 1_000_000_000 { 0 } else { TICK_NS };
        assert!(cpu + EXIT_WORK_NS + behind >= truth.cpu_ns, "{cpu} is less than {}", truth.cpu_ns);
        assert!(cpu > 100_000, "{cpu} is less than it takes to start a program");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn starts_and_exits_by_parent_are_the_counts_of_the_rows() {
    let workload = Workload::build();
    let running = Recorder::new("-p process").start();
    let mut storm = workload.command("storm 500").spawn().unwrap();
    let parent = i64::from(storm.id());
    storm.wait().unwrap();
    let taken = running.finish();
    for (metric, kind) in [("process.starts", "fork"), ("process.exits", "exit")] {
        assert_eq!(taken.metric(metric, &["ppid"]).with("ppid", parent).sum("count"), 500, "{metric}");
        assert_eq!(taken.rows(kind, &["ppid"]).with("ppid", parent).count(), 500, "{kind}");
    }
    let lifetimes = taken.histogram("process.lifetime", &["ppid"], |row| row.maybe("ppid") == Some(parent));
    assert_eq!(lifetimes.count(), 500);
}
