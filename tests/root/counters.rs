//! The kernel's counters in a recording, against the same files read beside it, and the findings from causes that are planted.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use rustix::net::AddressFamily;
use rustix::net::SocketType;

use crate::common::Quota;
use crate::common::Recorder;
use crate::common::Taken;
use crate::common::skip;
use crate::common::wait_for;

/// What a counter grew by in all rows of a kind about one place.
fn grown(taken: &Taken, kind: &str, place: Option<&str>, metric: &str) -> i64 {
    let rows = taken.rows(kind, &["metric", "name", "sum"]);
    let own = rows.iter().filter(|row| row.text("metric") == Some(metric) && row.text("name") == place);
    own.map(|row| row.int("sum")).sum()
}

/// The rules of the summary's findings about a process.
fn rules_about(taken: &Taken, pid: u32) -> Vec<String> {
    let summary = taken.report("summary");
    let findings = summary["tables"]["findings"].as_array().unwrap();
    let own = findings.iter().filter(|finding| finding["pid"] == pid);
    own.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

/// The counters of `/proc/net/netstat`.
fn netstat() -> BTreeMap<String, i64> {
    let text = std::fs::read_to_string("/proc/net/netstat").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.chunks_exact(2).flat_map(|pair| pair[0].split(' ').zip(pair[1].split(' ')).skip(1));
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap_or(0))).collect()
}

#[test]
#[ignore = "root: attaches probes"]
fn a_cgroup_over_its_quota_is_named_with_what_the_kernel_counts() {
    let Some(quota) = Quota::of("ebrec-test-counters", 20_000) else {
        return skip("a cgroup over its quota", "this machine has no CPU controller");
    };
    let mut hog = quota.runs(Command::new("yes").stdout(Stdio::null())).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the hog to be throttled", || (quota.throttled().periods > 1).then_some(()));
    let before = quota.throttled();
    let taken = Recorder::new("-p process,sched -d 3s").start().finished(0);
    let after = quota.throttled();
    hog.kill().unwrap();
    hog.wait().unwrap();
    let path = quota.path();
    let periods = grown(&taken, "cgroup_stat", Some(&path), "cpu.nr_throttled");
    let theirs = after.periods - before.periods;
    println!("throttled in {periods} periods, by the kernel in {theirs} from before the window to after it");
    // The window is thirty periods long.
    assert!((20..=theirs).contains(&periods), "{periods} of {theirs}");
    let members = taken.rows("cgroup_stat", &["metric", "name", "pid"]).named("metric", "cgroup.process");
    assert!(members.iter().any(|row| row.int("pid") == i64::from(hog.id())), "{members:?}");
    let rules = rules_about(&taken, hog.id());
    assert!(rules.contains(&"cpu-quota".to_owned()) && !rules.contains(&"cpu-queue".to_owned()), "{rules:?}");
}

/// A socket that listens and never accepts.
fn deaf() -> (OwnedFd, u16) {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    rustix::net::listen(&socket, 1).unwrap();
    let name = rustix::net::getsockname(&socket).unwrap();
    let port = SocketAddrV4::try_from(name).unwrap().port();
    (socket, port)
}

#[test]
#[ignore = "root: attaches probes"]
fn a_full_accept_queue_is_counted_and_its_server_is_named() {
    let (_socket, port) = deaf();
    let recorder = Recorder::new("-p process,sched,tcp -d 3s");
    let before = netstat();
    let running = recorder.start();
    let knocks: Vec<_> = (0..12)
        .map(|_| {
            std::thread::spawn(move || {
                TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(2))
            })
        })
        .collect();
    let taken = running.finished(0);
    let theirs = netstat()["ListenOverflows"] - before["ListenOverflows"];
    for knock in knocks {
        let _ = knock.join().unwrap();
    }
    let ours = grown(&taken, "net_stat", Some("own"), "TcpExt.ListenOverflows");
    println!("{ours} overflows, by the kernel {theirs} from before the window to after it");
    assert!((8..=theirs).contains(&ours), "{ours} of {theirs}");
    let queues = taken.rows("net_stat", &["metric", "pid", "sport", "max"]).named("metric", "Tcp.accept_queue");
    let own: Vec<_> = queues.iter().filter(|row| row.int("sport") == i64::from(port)).collect();
    // A queue of one that is full has two.
    assert!(own.iter().any(|row| row.int("pid") == i64::from(std::process::id()) && row.int("max") == 2), "{queues:?}");
    assert!(rules_about(&taken, std::process::id()).contains(&"accept-queue".to_owned()));
}

#[test]
#[ignore = "root: attaches probes"]
fn the_machine_s_counters_are_those_of_vmstat() {
    let pages = || {
        let text = std::fs::read_to_string("/proc/vmstat").unwrap();
        text.lines().find_map(|line| line.strip_prefix("pgmajfault ")?.parse::<i64>().ok()).unwrap()
    };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, vec![1; 8 << 20]).unwrap();
    // Pages that are dropped and read through a mapping are major faults.
    let read = "import mmap, os, sys; f = os.open(sys.argv[1], os.O_RDWR); os.fsync(f); os.posix_fadvise(f, 0, 0, 4)
m = mmap.mmap(f, 0); m.madvise(mmap.MADV_RANDOM); print(sum(m[i] for i in range(0, len(m), 65536)))";
    let running = Recorder::new("-p process -d 3s").start();
    let before = pages();
    let status = Command::new("python3").args(["-c", read]).arg(&file).stdout(Stdio::null()).status().unwrap();
    let certain = pages() - before;
    assert!(status.success());
    let taken = running.finished(0);
    let ours = grown(&taken, "machine_stat", None, "vmstat.pgmajfault");
    println!("{ours} major faults in the window, {certain} of them while the file was read");
    assert!(certain >= 100, "the file was in memory: {certain}");
    assert!(ours >= certain, "{ours} of at least {certain}");
}

/// A server with 20 descriptors, all of them in use, that accepts nothing; says on which port it listens.
const FULL: &str = "import os, resource, socket, sys
listener = socket.create_server(('127.0.0.1', 0), backlog=64)
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
try:
    while True: os.open('/dev/null', 0)
except OSError: print(listener.getsockname()[1], flush=True)
sys.stdin.read()";

#[test]
#[ignore = "root: attaches probes"]
fn connections_that_wait_for_a_process_at_its_limit_of_open_files_are_rows() {
    let mut servers = Vec::new();
    for _ in 0..2 {
        let mut command = Command::new("python3");
        let mut server = command.args(["-c", FULL]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut line).unwrap();
        servers.push((server, line.trim().parse::<u16>().unwrap()));
    }
    // Nobody connects to the second.
    let [(asked, port), (alone, _)] = &servers[..] else { unreachable!() };
    let connections: Vec<_> = (0..5).map(|_| TcpStream::connect(("127.0.0.1", *port)).unwrap()).collect();
    let taken = Recorder::new("-p process,sched -d 3s").start().finished(0);
    drop(connections);
    let rows = taken.rows("process_stat", &["metric", "pid", "sport", "max"]);
    let of = |pid: u32| rows.iter().filter(move |row| row.int("pid") == i64::from(pid));
    assert!(of(asked.id()).any(|row| row.text("metric") == Some("files.limit") && row.int("max") == 20), "{rows:?}");
    let waiting: Vec<_> =
        of(asked.id()).filter(|row| row.text("metric") == Some("files.connections_waiting")).collect();
    assert!(waiting.len() >= 2, "{rows:?}");
    for row in waiting {
        assert_eq!((row.int("sport"), row.int("max")), (i64::from(*port), 5), "{row:?}");
    }
    assert_eq!(of(alone.id()).count(), 0, "{rows:?}");
    assert!(rules_about(&taken, asked.id()).contains(&"descriptor-limit".to_owned()));
    assert!(!rules_about(&taken, alone.id()).contains(&"descriptor-limit".to_owned()));
    for (mut server, _) in servers {
        server.kill().unwrap();
        server.wait().unwrap();
    }
}

/// Fills a file system of its own, and tries again a hundred times a second; says in the end how often that failed.
const SPOOL: &str = "import os, signal, subprocess, sys, time
subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', sys.argv[1]], check=True)
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
spool = os.open(sys.argv[1] + '/spool', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
failed = 0
while not ended:
    try: os.write(spool, bytes(65536))
    except OSError:
        if not failed: print('full', flush=True)
        failed += 1
        time.sleep(0.01)
print(failed)";

#[test]
#[ignore = "root: attaches probes"]
fn calls_that_write_nothing_to_a_full_file_system_are_counted_as_the_program_counts_them() {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    let words = ["--mount", "python3", "-c", SPOOL];
    let mut spool = command.args(words).arg(place.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(spool.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line.trim(), "full");
    let taken = Recorder::new("-p process,sched -d 3s").start().finished(0);
    rustix::process::kill_process(rustix::process::Pid::from_child(&spool), rustix::process::Signal::TERM).unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    spool.wait().unwrap();
    let theirs: i64 = line.trim().parse().unwrap();
    let rows = taken.rows("process_stat", &["metric", "name", "pid", "sum"]).named("metric", "writes.failed");
    let own: Vec<_> = rows.iter().filter(|row| row.int("pid") == i64::from(spool.id())).collect();
    let ours: i64 = own.iter().map(|row| row.int("sum")).sum();
    println!("{ours} calls that wrote nothing in 3 s, {theirs} by the program from before the window to after it");
    assert!((100..=theirs).contains(&ours), "{ours} of {theirs}: {rows:?}");
    assert!(own.iter().all(|row| row.text("name") == place.path().to_str()), "{rows:?}");
    assert!(rules_about(&taken, spool.id()).contains(&"disk-full".to_owned()));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_process_has_the_unit_that_its_cgroup_is_named_after() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let Some(top) = mounts.lines().find_map(|line| line.split(' ').nth(1).filter(|_| line.contains(" cgroup2 ")))
    else {
        return skip("the unit of a process", "no cgroup v2 hierarchy is mounted");
    };
    let unit = format!("ebrec-test-{}.service", std::process::id());
    let directory = std::path::Path::new(top).join(&unit);
    std::fs::create_dir(&directory).unwrap();
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    std::fs::write(directory.join("cgroup.procs"), sleeper.id().to_string()).unwrap();
    let taken = Recorder::new("-p process -d 500ms").start().finished(0);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    wait_for("the cgroup to be empty", || std::fs::remove_dir(&directory).ok());
    let rows = taken.rows("process", &["pid", "unit_name"]);
    let own: Vec<_> = rows.iter().filter(|row| row.int("pid") == i64::from(sleeper.id())).collect();
    assert!(own.iter().any(|row| row.text("unit_name") == Some(&unit)), "{own:?}");
}
