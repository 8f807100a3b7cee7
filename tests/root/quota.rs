//! CPU quotas of cgroups: what they keep from running, against the kernel's own counters.

use std::process::Command;
use std::process::Stdio;

use crate::common::Quota;
use crate::common::Recorder;
use crate::common::skip;
use crate::common::wait_for;

/// What the kernel's period adds: a thread that is throttled at an end of the window.
const SLACK_NS: i64 = 100_000_000;

#[test]
#[ignore = "root: attaches probes"]
fn a_thread_over_its_quota_is_throttled_and_not_waiting_for_a_cpu() {
    let Some(quota) = Quota::of("ebrec-test-ledger", 20_000) else {
        return skip("a thread over its quota", "this machine has no CPU controller");
    };
    let mut hog = quota.runs(Command::new("yes").stdout(Stdio::null())).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the hog to be throttled", || (quota.throttled().periods > 1).then_some(()));
    let recorder = Recorder::new("-p process,sched -d 3s");
    let before = quota.throttled();
    let taken = recorder.start().finished(0);
    let after = quota.throttled();
    hog.kill().unwrap();
    hog.wait().unwrap();
    let rows = taken.rows("ledger", &["pid", "state", "sum"]);
    let spent = |state: &str| -> i64 {
        let own = rows.iter().filter(|row| row.int("pid") == i64::from(hog.id()) && row.text("state") == Some(state));
        own.map(|row| row.int("sum")).sum()
    };
    let ours = spent("throttled");
    // The kernel's counter for the same window; `throttled_usec` in version 2, in nanoseconds too.
    let counted = taken.rows("cgroup_stat", &["metric", "name", "sum"]).named("name", &quota.path());
    let is_time = |metric: &str| metric.starts_with("cpu.throttled_");
    let theirs: i64 =
        counted.iter().filter(|row| row.text("metric").is_some_and(is_time)).map(|row| row.int("sum")).sum();
    let outside = after.ns - before.ns;
    println!(
        "throttled {ours} ns, by the kernel {theirs} ns in the window and {outside} ns from before it to after it"
    );
    assert!(theirs > 0 && theirs <= outside, "{theirs} ns in the window, {outside} ns from before it to after it");
    // The ledger also has how long the thread queued once it was let go: that is long where others want the CPUs.
    assert!(ours >= theirs * 3 / 4 - SLACK_NS, "{ours} ns, by the kernel {theirs} ns");
    assert!(ours <= theirs * 3 / 2 + SLACK_NS, "{ours} ns, by the kernel {theirs} ns");
}
