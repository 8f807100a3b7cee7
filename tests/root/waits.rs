//! What threads waited for, in programs that wait for a known reason: each target gets the verdict that is true, and the waits add up
//! to what the ledger has.

use std::process::Command;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::Recorder;
use crate::common::Spinners;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::recorder::EBREC;

/// Threads that wait on a target of a pool; the main thread waits alone for their ends.
const POOL: u64 = 3;

struct Planted(Workload);

impl Planted {
    fn build() -> Planted {
        Planted(Workload::compile("waits/planted.c", "planted", tempfile::tempdir().unwrap()))
    }

    /// Records the program as it waits for a reason.
    fn record(&self, reason: &str) -> Taken {
        let program = self.0.path();
        record(&[program.to_str().unwrap(), reason, "2"])
    }
}

fn record(words: &[&str]) -> Taken {
    let (output, dir) = Recorder::in_memory("-p sched,offcpu").run(words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Taken::open(&dir.path().join("run.parquet"), dir)
}

/// The targets on which several threads waited, those with most of the waiting first.
fn shared_targets(taken: &Taken) -> Vec<Value> {
    let report = taken.report("locks");
    let rows = report["tables"]["evidence"].as_array().unwrap_or_else(|| panic!("{report}")).clone();
    rows.into_iter().filter(|row| row["threads"].as_u64() >= Some(POOL)).collect()
}

fn verdict(taken: &Taken) -> String {
    let targets = shared_targets(taken);
    let first = targets.first().unwrap_or_else(|| panic!("nobody waited: {}", taken.report("locks")));
    first["verdict"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "root: attaches probes"]
fn a_mutex_is_a_lock_whether_its_holder_works_or_sleeps_and_its_owner_is_a_thread_of_the_program() {
    let planted = Planted::build();
    for reason in ["lock-busy", "lock-asleep", "lock-held"] {
        let taken = planted.record(reason);
        assert_eq!(verdict(&taken), "lock", "{reason}");
        let target = &shared_targets(&taken)[0];
        let owner = target["owner_tid"].as_i64().unwrap_or_else(|| panic!("{reason}: no owner in {target}"));
        let threads = taken.rows("ledger", &["tid"]);
        assert!(threads.with("tid", owner).count() > 0, "{reason}: {owner} is no thread of the program");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn idle_pools_are_idle_whoever_wakes_them() {
    let planted = Planted::build();
    for reason in ["idle-pool", "self-waking-pool"] {
        let taken = planted.record(reason);
        assert_eq!(verdict(&taken), "idle", "{reason}: {}", taken.report("locks"));
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_barrier_and_a_queue_wait_for_the_work_of_others() {
    let planted = Planted::build();
    for reason in ["barrier", "queue"] {
        let taken = planted.record(reason);
        assert_eq!(verdict(&taken), "work", "{reason}: {}", taken.report("locks"));
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn threads_of_python_wait_for_one_another_as_for_a_lock() {
    const PROGRAM: &str = "
import threading, time
end = time.time() + 2
def run():
    x = 0
    while time.time() < end:
        for i in range(1000): x += i
threads = [threading.Thread(target=run) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
";
    let taken = record(&["python3", "-c", PROGRAM]);
    assert_eq!(verdict(&taken), "lock-like", "{}", taken.report("locks"));
}

#[test]
#[ignore = "root: attaches probes"]
fn waits_add_up_to_what_the_ledger_has() {
    assert_waits_add_up(&["lock-busy", "lock-held", "idle-pool"]);
}

/// Some kernels don't show each switch then: of ten recordings, one to five lacked a sleep.
#[test]
#[ignore = "root: attaches probes"]
fn waits_add_up_where_all_cpus_are_busy() {
    let _busy = Spinners::start(4);
    assert_waits_add_up(&["idle-pool"; 6]);
}

fn assert_waits_add_up(reasons: &[&str]) {
    let planted = Planted::build();
    for reason in reasons {
        let taken = planted.record(reason);
        let sums = |kind| taken.rows(kind, &["cause", "sum"]).sums_by("sum", "cause");
        let all = [sums("wait"), sums("ledger")];
        println!("{reason}: waits and the ledger {all:?}");
        let [waits, ledger] = all.map(|sums| sums["futex"]);
        assert!(ledger > 2_000_000_000, "{reason}: {ledger} ns");
        assert!((waits - ledger).abs() * 100 < ledger, "{reason}: {waits} ns of waits, {ledger} in the ledger");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_lock_that_was_held_before_the_window_and_after_it_is_found() {
    let planted = Planted::build();
    let mut holder = Command::new(planted.0.path()).args(["lock-held", "60"]).stdout(Stdio::null()).spawn().unwrap();
    let task = format!("/proc/{}/task", holder.id());
    crate::common::wait_for("three threads to want the lock", || {
        let waiting = std::fs::read_dir(&task).unwrap().flatten().filter(|thread| {
            let call = std::fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
            let mut words = call.split_whitespace();
            // futex(address, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, …)
            words.next() == Some("202")
                && words.next().is_some()
                && words.next() == Some("0x80")
                && words.next() == Some("0x2")
        });
        (waiting.count() == 3).then_some(())
    });
    let dir: TempDir = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = dir.path().join("run.parquet");
    let mut command = Command::new(EBREC);
    command
        .args(["record", "-q", "-d", "1s", "-p", "sched,offcpu", "--pid", &holder.id().to_string(), "-o"])
        .arg(&file);
    let recorded = command.status().unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(recorded.success());
    let taken = Taken::open(&file, dir);
    assert_eq!(verdict(&taken), "lock", "{}", taken.report("locks"));
    let waits = taken
        .rows("wait", &["wait_by", "wait_contended_ns", "sum"])
        .keep(|row| row.maybe("wait_contended_ns") > Some(0));
    assert_eq!(waits.named("wait_by", "nobody").count(), 3);
}

/// A program of the chain, which goes with the test.
struct Hop(std::process::Child, String);

impl Hop {
    /// Starts it, and waits for the line that it writes.
    fn start(words: &[&str]) -> Hop {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/waits/hops.py");
        let mut child = Command::new("python3").arg(script).args(words).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        Hop(child, line.trim().to_owned())
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_chain_goes_from_the_client_by_the_proxy_to_the_lock_of_the_server() {
    let server = Hop::start(&["server"]);
    let proxy = Hop::start(&["proxy", &server.1]);
    let client = Hop::start(&["client", &proxy.1]);
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = dir.path().join("run.parquet");
    let recorded =
        Command::new(EBREC).args(["record", "-q", "-d", "3s", "-p", "sched,offcpu", "-o"]).arg(&file).status();
    assert!(recorded.unwrap().success());
    let taken = Taken::open(&file, dir);
    let report = taken.report("chains");
    let lines = report["tables"]["chains"].as_array().unwrap_or_else(|| panic!("{report}"));
    let [client, proxy, server] = [&client, &proxy, &server].map(|hop| i64::from(hop.0.id()));
    let begin = lines.iter().position(|line| line["pid"] == client && line["known"] == "");
    let chain = &lines[begin.unwrap_or_else(|| panic!("the client has no chain: {report}"))..];
    let hop = |at: usize, pid: i64, known: &str, least: f64| {
        let line = &chain[at];
        assert_eq!((line["pid"].as_i64(), line["known"].as_str()), (Some(pid), Some(known)), "{report}");
        assert!(line["share_percent"].as_f64() > Some(least), "{report}");
    };
    hop(1, proxy, "answered by", 90.0);
    hop(2, server, "answered by", 80.0);
    // Three threads share the lock, so each waits for two others; the rest it sleeps itself.
    hop(3, server, "woken by", 40.0);
    assert!(chain[3]["text"].as_str().unwrap().contains("lock"), "{report}");
}
