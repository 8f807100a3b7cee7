//! Names of processes that change them, against a program that knows what it did under which name.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::process::Child;
use std::process::Command;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;

/// Processes that are started, and calls of each under each name.
const ROUNDS: usize = 100;
const CALLS: usize = 10;

/// A process of `names.c`: its id and its names, in this order.
struct Process {
    pid: i64,
    names: [String; 4],
}

/// Records `names.c` and gives its processes.
fn recorded(options: &str) -> (Taken, Vec<Process>) {
    let workload = Workload::compile("names/names.c", "names", tempfile::tempdir().unwrap());
    for name in ["third", "fourth"] {
        symlink(workload.path(), workload.dir().join(name)).unwrap();
    }
    let program = workload.path().display().to_string();
    let (output, dir) = Recorder::new(options).run(&[program, ROUNDS.to_string()]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let process = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let names = [words[1], words[2], "third", "fourth"].map(str::to_owned);
        Process { pid: words[0].parse().unwrap(), names }
    };
    let taken = Taken::open(&dir.path().join("run.parquet"), dir);
    assert_eq!(taken.lost(), BTreeMap::new());
    (taken, text.lines().map(process).collect())
}

fn assert_named_by_the_moment() {
    let (taken, processes) = recorded("-p syscall:raw,tcp,process");
    assert_eq!(processes.len(), ROUNDS);
    let calls = taken.rows("syscall", &["pid", "name", "comm"]);
    let connections = taken.rows("tcp", &["pid", "op", "tcp_side", "comm"]).named("tcp_side", "connect");
    for Process { pid, names } in &processes {
        for (call, name) in ["getuid", "geteuid", "getgid", "getegid"].iter().zip(names) {
            let own = calls.with("pid", *pid).named("name", call);
            let named = own.named("comm", name).count();
            assert_eq!((own.count(), named), (CALLS, CALLS), "process {pid} called {call}: {own:?}");
        }
        let own = connections.with("pid", *pid);
        assert_eq!(own.named("op", "open").one().text("comm"), Some(names[0].as_str()), "process {pid}");
        let close = own.named("op", "close");
        assert!(close.one().text("comm").is_some_and(|comm| names.iter().any(|name| name == comm)), "{close:?}");
    }
    // A total has the name of its interval's end.
    for metric in ["syscall.latency", "tcp.connect_latency", "tcp.lifetime"] {
        let totals = taken.metric(metric, &["pid", "comm"]);
        for Process { pid, names } in &processes {
            let own = totals.with("pid", *pid);
            assert!(own.count() > 0, "no {metric} of process {pid}");
            let is_own = |comm: &str| comm == "names" || names.iter().any(|name| name == comm);
            assert!(own.iter().all(|row| row.text("comm").is_some_and(is_own)), "{metric}: {own:?}");
        }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_process_that_moves_to_another_cpu_has_the_name_of_the_moment_in_each_row() {
    assert_named_by_the_moment();
}

#[test]
#[ignore = "root: attaches probes"]
fn names_belong_to_the_moment_where_all_cpus_are_busy() {
    let cpus = std::thread::available_parallelism().unwrap().get();
    let busy = |_| Busy(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
    let _busy: Vec<Busy> = (0..cpus).map(busy).collect();
    assert_named_by_the_moment();
}

/// A program that spins until the test is over.
struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
