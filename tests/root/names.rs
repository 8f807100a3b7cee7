//! Names of processes that change them, against a program that knows what it did under which name.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::Timespec;

use crate::common::Recorder;
use crate::common::Spinners;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::recorder::EBREC;
use crate::common::rows::Row;

/// Processes that are started, and calls of each under each name.
const ROUNDS: usize = 100;
const CALLS: usize = 10;
/// How long a thread has the CPU: twenty samples.
const SPIN_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

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
        assert_eq!(close.count(), 1, "process {pid}: {own:?}");
        let is_own = |row: &Row| row.text("comm").is_some_and(|comm| names.iter().any(|name| name == comm));
        assert!(close.iter().all(is_own), "{close:?}");
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
    let port = serve();
    let running =
        Recorder::new(&format!("-p files:raw,syscall:raw,http:raw,cpu,process --pid {}", std::process::id())).start();
    let call = move || {
        (0..CALLS).for_each(|_| {
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            client.write_all(b"GET /named HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            assert!(client.read(&mut [0; 256]).unwrap() > 0);
        });
        (0..CALLS).for_each(|_| _ = std::fs::File::open("/proc/self/limits").unwrap());
        let start = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
        while rustix::time::clock_gettime(ClockId::ThreadCPUTime) - start < SPIN_TIME {}
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
    let requests = taken.rows("http", &["pid", "tid", "comm", "process"]);
    let samples = taken.rows("cpu_sample", &["pid", "tid", "comm", "process", "count"]);
    for (name, tid) in threads {
        for rows in [&files, &calls, &requests] {
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
fn reused(options: &str, processes: usize, ms: u32, port: Option<u16>) -> (Taken, i64, Vec<(i64, i64)>) {
    let workload = Workload::compile("names/reuse.c", "reuse", tempfile::tempdir().unwrap());
    let mut words = vec![workload.path().display().to_string(), processes.to_string(), ms.to_string()];
    words.extend(port.map(|port| port.to_string()));
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
        let (taken, pid, ended) = reused(options, processes, ms, None);
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

/// Serves one request by each connection, which it ends a while after its client has: a client that exits at once is gone by then.
fn serve() -> u16 {
    const LATER: Duration = Duration::from_millis(5);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut connection = connection?;
                let _ = connection.read(&mut [0; 256])?;
                connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
                while connection.read(&mut [0; 256])? > 0 {}
                std::thread::sleep(LATER);
                Ok(())
            });
        }
    });
    port
}

#[test]
#[ignore = "root: attaches probes"]
fn totals_within_an_interval_are_of_the_process_that_had_the_id() {
    const PROCESSES: usize = 6;
    let options = "-p tcp:raw,http:raw,syscall:hist,files,signals,offcpu,cpu,process --interval 1m";
    let (taken, pid, ended) = reused(options, PROCESSES, 40, Some(serve()));
    assert_eq!(ended.iter().map(|(code, _)| *code).collect::<Vec<_>>(), (1..=PROCESSES as i64).collect::<Vec<_>>());
    let exits = taken.rows("exit", &["pid", "process", "pid_start_ns", "exit_code"]).with("pid", pid);
    let totals = [
        ("tcp.connect_latency", None, 1),
        ("tcp.lifetime", None, 1),
        ("http.latency", None, 1),
        ("syscall.latency", Some(("name", "getppid")), 1),
        ("files.failed_opens", Some(("filename", "/no-such-file")), 1),
        ("files.latency", Some(("op", "open")), 2),
        ("signals.sent", Some(("name", "SIGUSR1")), 1),
    ];
    let columns = ["pid", "process", "pid_start_ns"];
    for (code, cpu_us) in ended.iter().map(|(code, cpu_ns)| (*code, cpu_ns / 1000)) {
        let name = format!("reuse-{code}");
        let exit = exits.with("exit_code", code);
        let (exit, start) = (exit.one(), exit.one().int("pid_start_ns"));
        assert_eq!(exit.text("process"), Some(name.as_str()));
        for (metric, key, times) in totals {
            let all = taken.metric(metric, &[&columns[..], &["name", "op", "filename"]].concat());
            let own = all.with("pid", pid).with("pid_start_ns", start);
            let own = key.map_or(own.clone(), |(column, value)| own.named(column, value));
            assert_eq!(own.named("process", &name).sum("count"), times * code, "{metric} of {name}: {own:?}");
            assert_eq!(own.sum("count"), times * code, "{metric} of {name} has another name: {own:?}");
        }
        // The last one's connection ends when the next process has the id.
        for op in ["open", "close"] {
            let rows = taken.rows("tcp", &[&columns[..], &["op", "comm"]].concat());
            let own = rows.with("pid", pid).named("op", op).with("pid_start_ns", start);
            assert_eq!(own.named("process", &name).named("comm", &name).count() as i64, code, "{op}: {own:?}");
        }
        let rows = taken.rows("http", &[&columns[..], &["comm"]].concat()).with("pid", pid);
        let own = rows.with("pid_start_ns", start).named("process", &name).named("comm", &name);
        assert_eq!(own.count() as i64, code);
        // At 99 Hz: ticks and samples do not fall together.
        let samples = taken.rows("cpu_sample", &[&columns[..], &["count"]].concat()).with("pid", pid);
        let seen = samples.with("pid_start_ns", start).sum("count");
        assert!((seen - cpu_us * 99 / 1_000_000).abs() <= 3, "{seen} samples in {cpu_us} µs of {name}");
    }
}
