//! The probes `memory`, `irq` and `locks` against getrusage(2), wait4(2), control groups, /proc, and a program that times
//! its own waits.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::common::Recorder;
use crate::common::Rows;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::skip;
use tempfile::TempDir;

const MIB: i64 = 1 << 20;

/// Beside the build, which is on a disk: temporary files may be in memory.
fn workload() -> Workload {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    Workload::compile("common/pressure.c", "ebrec-pressure", dir)
}

/// A metric of one process, kept by a text column.
fn of_process(taken: &Taken, metric: &str, by: &str, pid: i64) -> Rows {
    taken.metric(metric, &["pid", by]).with("pid", pid)
}

fn minor_faults(taken: &Taken, pid: i64) -> i64 {
    of_process(taken, "memory.faults", "state", pid).named("state", "minor").sum("count")
}

/// A memory control group with a limit, of either version; removed at the end.
struct Group(PathBuf);

impl Group {
    fn new(name: &str, limit: i64) -> Option<Group> {
        let name = format!("ebrec-{name}-{}", std::process::id());
        for (root, file, swap) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
        ] {
            let group = Group(Path::new(root).join(&name));
            if fs::create_dir(&group.0).is_err() {
                continue;
            }
            if group.0.join(file).exists() && fs::write(group.0.join(file), limit.to_string()).is_ok() {
                let _ = fs::write(group.0.join(swap), if swap == "memory.swap.max" { 0 } else { limit }.to_string());
                return Some(group);
            }
        }
        None
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn minor_faults_of_a_process_are_as_many_as_the_kernel_says_when_it_ends() {
    let workload = workload();
    let running = Recorder::new("-p memory").start();
    let usages = [1, 500, 20_000].map(|pages| workload.run(&format!("faults {pages}")));
    let taken = running.finish();
    for numbers in usages {
        assert_eq!(minor_faults(&taken, numbers[0]), numbers[1]);
    }
    assert_eq!(taken.lost_by("memory"), 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn faults_of_a_process_that_lives_on_are_in_the_recording_too() {
    let workload = workload();
    let running = Recorder::new("-p memory").start();
    let mut child = workload.command("stay 5000").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let taken = running.finish();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let words: Vec<i64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let recorded = minor_faults(&taken, words[0]);
    // Printing what it knew may have cost it a few more.
    assert!((words[1]..words[1] + 50).contains(&recorded), "getrusage: {}, recorded: {recorded}", words[1]);
}

#[test]
#[ignore = "root: attaches probes"]
fn an_oom_kill_in_a_control_group_is_reported_with_its_victim() {
    const LIMIT: i64 = 48 * MIB;
    let Some(group) = Group::new("oom", LIMIT) else {
        skip("an_oom_kill_in_a_control_group_is_reported_with_its_victim", "no memory control group can be made here");
        return;
    };
    let workload = workload();
    let running = Recorder::new("-p memory").start();
    let mut hog = workload.command(&format!("hog {}", group.text())).spawn().unwrap();
    let pid = i64::from(hog.id());
    let status = hog.wait().unwrap();
    let taken = running.finish();
    assert_eq!(status.signal(), Some(9));
    let columns = [
        "pid",
        "uid",
        "comm",
        "memory_anon_rss_bytes",
        "memory_total_vm_bytes",
        "memory_pgtables_bytes",
        "memory_oom_score_adj",
        "memory_asker_pid",
        "memory_asker_comm",
    ];
    let rows = taken.rows("oom", &columns).with("pid", pid);
    let victim = rows.one();
    assert_eq!((victim.text("comm"), victim.int("uid")), (Some("ebrec-pressure"), 0));
    assert_eq!((victim.text("memory_asker_comm"), victim.int("memory_asker_pid")), (Some("ebrec-pressure"), pid));
    // All but what the kernel itself needs of the group's memory was the victim's.
    let anon = victim.int("memory_anon_rss_bytes");
    assert!(anon > LIMIT / 2 && anon <= LIMIT, "{anon} of {LIMIT}");
    assert!(victim.int("memory_total_vm_bytes") > anon && victim.int("memory_pgtables_bytes") > 0);
    let adjusted: i64 = fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    assert_eq!(victim.int("memory_oom_score_adj"), adjusted);
    let kills = of_process(&taken, "memory.oom_kills", "comm", pid);
    assert_eq!((kills.one().int("count"), kills.one().int("sum")), (1, 1));
}

#[test]
#[ignore = "root: attaches probes"]
fn a_program_that_writes_more_than_its_control_group_may_hold_is_seen_to_free_the_difference() {
    const LIMIT: i64 = 32 * MIB;
    const WRITTEN: i64 = 192 * MIB;
    let test = "a_program_that_writes_more_than_its_control_group_may_hold_is_seen_to_free_the_difference";
    let Some(group) = Group::new("reclaim", LIMIT) else {
        skip(test, "no memory control group can be made here");
        return;
    };
    let workload = workload();
    let file = workload.dir().join("written");
    let running = Recorder::new("-p memory:raw").start();
    let begun = std::time::Instant::now();
    let pid = workload.run(&format!("stream {} {} {}", group.text(), file.display(), WRITTEN / MIB))[0];
    let took = i64::try_from(begun.elapsed().as_nanos()).unwrap();
    let taken = running.finish();
    let by_limit = |metric| of_process(&taken, metric, "cause", pid).named("cause", "cgroup limit");
    let (freed, stalls) = (by_limit("memory.reclaimed").sum("sum"), by_limit("memory.reclaim_stall"));
    // Its cache can't hold more than the limit. A page that is written back meanwhile may be freed by others.
    assert!(freed > (WRITTEN - LIMIT) / 2 && freed < 2 * WRITTEN, "freed {freed}");
    let stalled = stalls.sum("sum");
    assert!(stalled > 0 && stalled < took, "stalled {stalled} of {took}");
    let own = taken.rows("reclaim", &["pid", "dur_ns", "bytes"]).with("pid", pid);
    assert_eq!(i64::try_from(own.count()).unwrap(), stalls.sum("count"), "events and histogram");
    assert_eq!(own.sum("dur_ns"), stalled);
    assert_eq!(own.sum("bytes"), freed);
}

/// The counts of all CPUs by the first or last word of a line of /proc/softirqs or /proc/interrupts.
fn interrupts(path: &str, name: fn(&[&str]) -> String) -> BTreeMap<String, i64> {
    let text = fs::read_to_string(path).unwrap();
    let cpus = text.lines().next().unwrap().split_whitespace().count();
    let counts = text.lines().skip(1).map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let count = words.iter().skip(1).take(cpus).filter_map(|word| word.parse::<i64>().ok()).sum();
        (name(&words), count)
    });
    counts.collect()
}

fn softirqs() -> BTreeMap<String, i64> {
    interrupts("/proc/softirqs", |words| words[0].trim_end_matches(':').to_owned())
}

fn devices() -> BTreeMap<String, i64> {
    interrupts("/proc/interrupts", |words| (*words.last().unwrap()).to_owned())
}

#[test]
#[ignore = "root: attaches probes"]
fn interrupts_are_as_many_as_proc_counts() {
    // Some hardened kernels hide tasks from tracing, and with them the interrupts during their time: one run in twenty has some.
    let runs: Vec<Vec<String>> = (0..3).map(|_| interrupts_that_are_missing_or_too_many()).collect();
    assert!(runs.iter().any(Vec::is_empty), "{runs:#?}");
}

/// Of one recording: the counts that are not within those of /proc just inside and just outside of it.
fn interrupts_that_are_missing_or_too_many() -> Vec<String> {
    let workload = workload();
    let outer = (softirqs(), devices());
    let running = Recorder::new("-p irq").start();
    let inner = (softirqs(), devices());
    // A disk, if there is one below, and the scheduler have work to do.
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", "bs=64k", "count=500", "oflag=direct", "status=none"]);
    let _ = dd.arg(format!("of={}", workload.dir().join("written").display())).status();
    workload.run("futex 20 2");
    let inner_end = (softirqs(), devices());
    let taken = running.finish();
    let outer_end = (softirqs(), devices());
    let lost = taken.lost_by("irq");
    let mut wrong = Vec::new();
    for (metric, [a, b, c, d]) in [
        ("irq.soft_time", [&outer.0, &inner.0, &inner_end.0, &outer_end.0]),
        ("irq.hard_time", [&outer.1, &inner.1, &inner_end.1, &outer_end.1]),
    ] {
        let recorded = taken.metric(metric, &["name"]).sums_by("count", "name");
        assert!(!recorded.is_empty(), "no {metric}");
        for (name, count) in &recorded {
            // A handler that shares its line has no line of its own in /proc/interrupts.
            let (Some(least), Some(most)) = (c.get(name).zip(b.get(name)), d.get(name).zip(a.get(name))) else {
                continue;
            };
            let (least, most) = (least.0 - least.1, most.0 - most.1);
            if *count + lost < least || *count > most {
                wrong.push(format!("{name}: {count} is not within {least} and {most}"));
            }
        }
    }
    assert!(taken.metric("irq.soft_time", &["name"]).named("name", "TIMER").count() > 0);
    let delays = taken.metric("irq.soft_delay", &["name"]).sums_by("count", "name");
    assert!(delays.values().all(|count| *count > 0) && !delays.is_empty());
    wrong
}

#[test]
#[ignore = "root: attaches probes"]
fn waits_for_a_futex_are_counted_and_timed_as_the_waiter_does() {
    let workload = workload();
    let running = Recorder::new("-p locks:raw").start();
    let words = workload.words("futex 20 15");
    let taken = running.finish();
    let number = |at: usize| words[at].parse::<i64>().unwrap();
    let (pid, waits, in_wait) = (number(0), number(1), number(2));
    let counted = of_process(&taken, "locks.futex_address", "locks_address", pid).named("locks_address", &words[3]);
    assert_eq!(counted.sum("count"), waits);
    // Its clock is read outside of the call: its time is longer by the way into the kernel and back, and by what it
    // waited for a CPU on that way.
    let sum = counted.sum("sum");
    assert!(sum <= in_wait && sum > in_wait * 8 / 10, "the waiter: {in_wait} ns, recorded: {sum} ns");
    let rows = taken.rows("lock", &["pid", "dur_ns", "name", "locks_address", "op"]);
    let own = rows.with("pid", pid).named("locks_address", &words[3]);
    assert_eq!(i64::try_from(own.count()).unwrap(), waits);
    assert_eq!(own.named("name", "futex").named("op", "wait").count(), own.count());
    assert_eq!(taken.lost_by("locks"), 0);
}
