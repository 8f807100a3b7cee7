//! What was waited for, and who is named as having had it.

use serde_json::Value;
use serde_json::json;

use super::Case;
use super::cells;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

/// A thread's time in one state, in the one interval of the recording.
fn spent(made: &mut Synthetic, (pid, tid): (i64, i64), comm: &str, (state, cause): (&str, &str), ms: i64, count: i64) {
    let cells = [
        ("pid", pid.into()),
        ("tid", tid.into()),
        ("comm", comm.into()),
        ("dur_ns", (4 * SECOND).into()),
        ("state", state.into()),
        ("cause", cause.into()),
        ("sum", (ms * MS).into()),
        ("count", count.into()),
    ];
    made.row("ledger", 4 * SECOND, &cells);
}

/// The findings of a recording: resource, who waited, and who had it.
fn findings(made: Synthetic) -> Vec<Vec<Value>> {
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    cells(&document, "findings", &["resource", "comm", "by_comm"])
}

#[test]
fn the_one_that_fills_the_disk_is_named_and_the_one_that_waits_for_it() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9).probe("block", "slow", 9);
    made.metric("block.device_time", "histogram", "ns", &["dev", "pid", "comm"]);
    made.metric("block.size", "histogram", "bytes", &["dev", "pid", "comm"]);
    for (pid, comm, count, ns, bytes) in [(7, "victim", 400, 2_000_000, 4096), (8, "noisy", 9000, 2_000_000, 1 << 20)] {
        let by = [("dev", "vda".into()), ("pid", pid.into()), ("comm", comm.into())];
        made.values("block.device_time", 4 * SECOND, &by, &vec![ns; count]);
        made.values("block.size", 4 * SECOND, &by, &vec![bytes; count]);
        spent(&mut made, (pid, pid), comm, ("uninterruptible", "fsync"), 3000, 400);
        spent(&mut made, (pid, pid), comm, ("on_cpu", ""), 1000, 400);
    }
    assert_eq!(findings(made), [[json!("disk"), json!("victim"), json!("noisy")]]);
}

#[test]
fn threads_that_wait_for_a_timer_are_no_lock_convoy() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9);
    // The one thread wakes up every 50 ms and does next to nothing; the others hold a lock in turn.
    spent(&mut made, (7, 7), "timer", ("interruptible", "futex"), 3990, 80);
    spent(&mut made, (7, 7), "timer", ("on_cpu", ""), 10, 80);
    for tid in 20..24 {
        spent(&mut made, (20, tid), "convoy", ("interruptible", "futex"), 3000, 1000);
        spent(&mut made, (20, tid), "convoy", ("on_cpu", ""), 1000, 1000);
    }
    assert_eq!(findings(made), [[json!("lock"), json!("convoy"), Value::Null]]);
}

#[test]
fn who_has_the_cpus_is_named_and_who_starves() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9);
    made.metric("sched.on_cpu", "counter", "ns", &["pid", "comm"]);
    for (pid, comm, on_cpu) in [(7, "service", 400u64), (8, "hog", 3600), (9, "hog", 3600)] {
        let by = [("pid", pid.into()), ("comm", comm.into())];
        made.counter("sched.on_cpu", 4 * SECOND, &by, 1, on_cpu * 1_000_000);
        spent(&mut made, (pid, pid), comm, ("on_cpu", ""), on_cpu.cast_signed(), 100);
        spent(&mut made, (pid, pid), comm, ("runnable", ""), 4000 - on_cpu.cast_signed(), 100);
    }
    assert_eq!(findings(made), [[json!("CPU"), json!("service"), json!("hog")]]);
}

#[test]
fn a_quiet_machine_is_told_that_it_is() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9);
    spent(&mut made, (7, 7), "server", ("interruptible", "poll"), 3990, 4);
    spent(&mut made, (7, 7), "server", ("on_cpu", ""), 10, 4);
    let text = Case::new("summary", vec![("run.parquet", made)]).text();
    assert!(text.contains("quiet  no process waited for a CPU, a disk, a lock or memory"), "{text}");
}
