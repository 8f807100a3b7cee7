//! Calls of 32-bit code, whose numbers and registers are others, and the newer calls that wait for a futex.
#![cfg(target_arch = "x86_64")]

use std::process::Stdio;

use crate::common::Recorder;
use crate::common::Workload;
use crate::common::skip;

/// Longer than anything that the program does but wait.
const LONG_NS: i64 = 40_000_000;

#[test]
#[ignore = "root: attaches probes"]
fn calls_of_32_bit_code_are_seen_under_their_own_numbers() {
    let name = "calls_of_32_bit_code_are_seen_under_their_own_numbers";
    let workload = Workload::compile("syscall/compat.c", "ebrec-compat", tempfile::tempdir().unwrap());
    let file = workload.dir().join("written");
    let words = [workload.path().display().to_string(), file.display().to_string()];
    if workload.words(&words[1]) == ["none"] {
        return skip(name, "the kernel takes no calls of 32-bit code");
    }
    let running = Recorder::new("-p sched,offcpu:raw,files:raw,locks:raw,syscall:raw");
    let taken = running.start_command(&words, Stdio::null(), Stdio::null()).finished(0);

    let slept = taken.rows("off_cpu", &["name", "dur_ns"]).keep(|row| row.int("dur_ns") >= LONG_NS);
    let slept: Vec<&str> = slept.iter().filter_map(|row| row.text("name")).collect();
    println!("slept in {slept:?}");
    assert!(slept.contains(&"compat_162") && slept.contains(&"compat_240"), "{slept:?}");
    assert!(!slept.contains(&"sync"), "{slept:?}");

    // nanosleep for 80 ms, and a futex for 60 ms of 32-bit code as of 64-bit code.
    let ledger = taken.rows("ledger", &["comm", "cause", "sum"]).named("comm", "ebrec-compat");
    let waited = |cause: &str| ledger.named("cause", cause).sum("sum");
    println!("slept {} ns, waited for a futex {} ns", waited("sleep"), waited("futex"));
    assert!(waited("sleep") >= 2 * LONG_NS, "{ledger:?}");
    assert!(waited("futex") >= LONG_NS, "{ledger:?}");
    assert!(waited("other") < LONG_NS, "{ledger:?}");

    let files = taken.rows("file", &["op", "filename", "bytes"]);
    let of_it = files.keep(|row| row.text("filename").is_some_and(|name| name.ends_with("written")));
    let count = |op: &str| of_it.named("op", op).count();
    assert_eq!((count("open"), count("write"), count("fsync")), (1, 3, 1), "{of_it:?}");
    assert_eq!(of_it.named("op", "write").sum("bytes"), 300);

    let locks = taken.rows("lock", &["name", "op", "dur_ns", "locks_address"]).named("name", "futex");
    let waits = locks.keep(|row| row.int("dur_ns") >= LONG_NS);
    let mut ops: Vec<&str> = waits.iter().filter_map(|row| row.text("op")).collect();
    ops.sort_unstable();
    println!("waited for a futex by {ops:?}");
    // Linux 6.7 has the third.
    assert!(ops == ["wait", "wait", "waitv"] || ops == ["wait", "waitv"], "{ops:?}");
    let addresses: std::collections::BTreeSet<&str> =
        waits.iter().filter_map(|row| row.text("locks_address")).collect();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
}
