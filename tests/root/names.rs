//! Names of processes that change them, against a program that knows what it did under which name.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use crate::common::Recorder;
use crate::common::Spinners;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::recorder::EBREC;

/// Processes that are started, and calls of each under each name.
const ROUNDS: usize = 100;
const CALLS: usize = 10;
/// How long a thread spins: twenty samples, less what others take of its CPU.
const SPIN: Duration = Duration::from_millis(200);

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
        assert_eq!(
            close.count(),
            1,
            "process {pid}, the last one {:?}: {own:?}",
            processes.last().map(|last| last.pid)
        );
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
    let _busy = Spinners::start(1);
    assert_named_by_the_moment();
}

/// A process is called by its leader, whatever its threads call themselves.
#[test]
#[ignore = "root: attaches probes"]
fn rows_of_a_renamed_thread_have_its_name_and_that_of_its_process() {
    let leader = std::fs::read_to_string("/proc/self/comm").unwrap();
    let running = Recorder::new(&format!("-p files:raw,syscall:raw,cpu,process --pid {}", std::process::id())).start();
    let call = || {
        (0..CALLS).for_each(|_| _ = std::fs::File::open("/proc/self/limits").unwrap());
        let start = Instant::now();
        while start.elapsed() < SPIN {}
        i64::from(rustix::thread::gettid().as_raw_nonzero().get())
    };
    let threads = ["one-thread", "other-thread"].map(|name| {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(call).unwrap();
        (name, thread.join().unwrap())
    });
    let taken = running.finish();
    let leader = leader.trim_end();
    let files = taken.rows("file", &["pid", "tid", "op", "comm", "process"]).named("op", "open");
    let calls = taken.rows("syscall", &["pid", "tid", "name", "comm", "process"]).named("name", "openat");
    let samples = taken.rows("cpu_sample", &["pid", "tid", "comm", "process", "count"]);
    for (name, tid) in threads {
        for rows in [&files, &calls] {
            let own = rows.with("tid", tid).with("pid", std::process::id().into());
            let named = own.named("comm", name).named("process", leader);
            assert_eq!((own.count(), named.count()), (CALLS, CALLS), "{own:?}");
        }
        let own = samples.with("tid", tid);
        let named = own.named("comm", name).named("process", leader);
        assert!(own.sum("count") >= 5 && named.count() == own.count(), "{own:?}");
    }
    // Of all threads, whatever they are called, where the process's name is asked for; of one where its own is.
    let counted = |comm: &str| {
        let mut report = Command::new(EBREC);
        report.args(["report", "cpu", "--format", "json", "--comm", comm]).arg(taken.recording.path());
        let document: serde_json::Value = serde_json::from_slice(&report.output().unwrap().stdout).unwrap();
        document["notes"][0].as_str().unwrap().split(' ').next().unwrap().parse::<i64>().unwrap()
    };
    let threads = threads.map(|(name, _)| counted(name));
    assert!(counted(leader) >= threads.iter().sum() && threads.iter().all(|samples| *samples > 0), "{threads:?}");
}

/// Records `reuse.c`; gives the id that its processes share, and the exit code and CPU time of each.
fn reused(options: &str, processes: usize, ms: u32) -> (Taken, i64, Vec<(i64, i64)>) {
    let workload = Workload::compile("names/reuse.c", "reuse", tempfile::tempdir().unwrap());
    let words = [workload.path().display().to_string(), processes.to_string(), ms.to_string()];
    let (output, dir) = Recorder::new(options).run(&words);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<i64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let ended = numbers.chunks_exact(3).map(|line| (line[1], line[2] * 1000)).collect();
    (Taken::open(&dir.path().join("run.parquet"), dir), numbers[0], ended)
}

/// A table of a view.
fn lines_of(taken: &Taken, view: &[&str], table: &str) -> Vec<serde_json::Value> {
    let mut command = Command::new(EBREC);
    let output =
        command.arg("report").args(view).args(["--format", "json"]).arg(taken.recording.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    document["tables"][table].as_array().unwrap().clone()
}

#[test]
#[ignore = "root: attaches probes"]
fn processes_that_share_one_id_are_told_apart() {
    const WITHIN_ONE: &str = "--interval 1m";
    // At once, within one interval; and each over several intervals.
    for (options, processes, ms) in [(WITHIN_ONE, 8, 20), ("--interval 50ms", 4, 180)] {
        let (taken, pid, ended) = reused(options, processes, ms);
        assert_eq!(taken.lost_by("scope") + taken.lost_by("process"), 0, "{:?}", taken.lost());
        let exits = taken.rows("exit", &["pid", "process", "pid_start_ns", "exit_code", "process_cpu_ns"]);
        let exits = exits.with("pid", pid).keep(|row| row.maybe("exit_code") != Some(0));
        let codes: Vec<i64> = exits.iter().map(|row| row.int("exit_code")).collect();
        assert_eq!(codes, ended.iter().map(|(code, _)| *code).collect::<Vec<_>>(), "{options}");
        let columns = ["pid", "tid", "process", "pid_start_ns", "state", "sum"];
        let on_cpu = taken.rows("ledger", &columns).with("pid", pid).named("state", "on_cpu");
        let rows = taken.rows("process", &["pid", "process", "pid_start_ns"]).with("pid", pid);
        let lines = lines_of(&taken, &["processes"], "processes");
        let by_process = lines_of(&taken, &["hist", "sched.on_cpu", "--by", "process"], "groups");
        let mut starts = Vec::new();
        for (exit, (code, cpu_ns)) in exits.iter().zip(&ended) {
            let (name, start) = (format!("reuse-{code}"), exit.int("pid_start_ns"));
            assert_eq!(exit.text("process"), Some(name.as_str()), "{options}");
            let own = on_cpu.with("pid_start_ns", start);
            // An interval may end before it calls itself so.
            let names = [Some("reuse"), Some(name.as_str())];
            let names = if options == WITHIN_ONE { &names[1..] } else { &names[..] };
            assert!(own.iter().all(|row| names.contains(&row.text("process"))), "{own:?}");
            // The kernel's rusage counts the work on the process's end too.
            let seen = [own.sum("sum"), exit.int("process_cpu_ns")];
            assert!(seen.iter().all(|seen| (seen - cpu_ns).abs() < 3_000_000), "{options}: {seen:?} of {cpu_ns}");
            assert!(rows.with("pid_start_ns", start).count() > 0, "no row of {name}");
            let total = taken.metric("sched.on_cpu", &["pid", "pid_start_ns"]).with("pid_start_ns", start).sum("sum");
            assert!((total - cpu_ns).abs() < 3_000_000, "{options}: a total of {total} of {cpu_ns}");
            let own: Vec<_> = lines.iter().filter(|line| line["comm"] == name.as_str()).collect();
            let [own] = own[..] else { panic!("{options}: {name} has the lines {own:?}") };
            let figures: Vec<i64> = own.as_object().unwrap().values().filter_map(serde_json::Value::as_i64).collect();
            assert!(figures.contains(&pid) && figures.contains(&total), "{options}: {total} is not in {own}");
            let name = serde_json::Value::from(format!("{name} ({pid})"));
            let apart: Vec<_> = by_process.iter().filter(|line| line["process"] == name).collect();
            assert!(matches!(apart[..], [line] if line["sum_ns"] == total), "{options}: {name} has {apart:?}");
            starts.push(start);
        }
        assert!(starts.is_sorted_by(|a, b| a < b), "{starts:?}");
    }
}
