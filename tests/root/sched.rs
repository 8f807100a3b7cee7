//! The probe `sched` against bcc's runqlat, the kernel's own accounting, and programs that know what they did.

use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::find;
use crate::common::skip;
use crate::common::wait_for;

/// Eight workers on two CPUs; they go when the test ends.
struct Stress(Child);

impl Stress {
    fn start(program: &std::path::Path) -> Stress {
        let words = ["--cpu", "8", "--taskset", "0,1", "--timeout", "5m"];
        let child = Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let stress = Stress(child);
        let children = format!("/proc/{0}/task/{0}/children", stress.0.id());
        wait_for("stress-ng to start its workers", || {
            let workers = std::fs::read_to_string(&children).unwrap().split_whitespace().count();
            (workers >= 8).then_some(())
        });
        stress
    }
}

impl Drop for Stress {
    fn drop(&mut self) {
        // It ends its workers when it is told to end.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// A histogram of runqlat: microseconds from 2^slot on (the first from 0), and how many.
struct Slots(Vec<(u32, u64)>);

impl Slots {
    fn parse(text: &str) -> Slots {
        let slots = text.lines().filter_map(|line| {
            let (range, rest) = line.split_once(':')?;
            let (lo, _) = range.split_once("->")?;
            let lo: u64 = lo.trim().parse().ok()?;
            Some((slot(lo), rest.split_whitespace().next()?.parse().ok()?))
        });
        Slots(slots.collect())
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    fn percentile(&self, q: f64) -> u32 {
        let rank = (self.count() as f64 * q.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        let reached = self.0.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        reached.unwrap().0
    }
}

/// The power of two that microseconds are counted under.
fn slot(microseconds: u64) -> u32 {
    microseconds.max(1).ilog2()
}

/// The two windows begin and end some milliseconds apart, so a share of the waits is in one of them alone. Where the
/// distribution has a cliff at a percentile, that share decides on which side of it the percentile is.
const APART: f64 = 0.01;

#[test]
#[ignore = "root: attaches probes"]
fn waits_for_a_cpu_are_as_runqlat_has_them() {
    let name = "waits_for_a_cpu_are_as_runqlat_has_them";
    let (Some(runqlat), Some(stress)) = (find("runqlat").or_else(|| find("bpf-runqlat")), find("stress-ng")) else {
        return skip(name, "bcc's runqlat (libbpf-tools) or stress-ng is not installed");
    };
    let _stress = Stress::start(&stress);
    let running = Recorder::new("-p sched:hist").start();
    let output = Command::new(runqlat).args(["5", "1"]).output().unwrap();
    let taken = running.finish();
    let theirs = Slots::parse(&String::from_utf8_lossy(&output.stdout));
    if theirs.count() == 0 {
        return skip(name, &format!("runqlat gives nothing here: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let ours = taken.histogram("sched.runqueue_latency", &[], |_| true);
    println!("{} waits recorded, {} by runqlat; lost {:?}", ours.count(), theirs.count(), taken.lost());
    for q in [0.5, 0.9, 0.99] {
        let microseconds = ours.percentile(q).unwrap() / 1000.0;
        let (low, high) = (theirs.percentile(q - APART), theirs.percentile(q + APART));
        println!("p{}: {microseconds:.1} µs recorded, slots 2^{low}..2^{high} µs by runqlat", q * 100.0);
        let own = slot(microseconds as u64);
        assert!((low.saturating_sub(1)..=high + 1).contains(&own), "p{}: {microseconds} µs", q * 100.0);
    }
}

/// Switches whose start the kernel did not show, and that are counted as lost.
fn unseen(taken: &Taken) -> i64 {
    taken.lost_by("sched")
}

/// A slice that fills an interval ends in none: most intervals of a spinning thread have CPU time and no count.
#[test]
#[ignore = "root: attaches probes"]
fn reports_have_the_cpu_time_of_a_thread_that_no_interval_sees_leave_its_cpu() {
    let name = "reports_have_the_cpu_time_of_a_thread_that_no_interval_sees_leave_its_cpu";
    // Others on this machine don't preempt a thread of real time.
    let Some(chrt) = find("chrt") else { return skip(name, "chrt (util-linux) is not installed") };
    let workload = Workload::build();
    let spinning = workload.named("spinner");
    let running = Recorder::new("-p process,sched --interval 50ms").start();
    let mut command = Command::new(chrt);
    let truth = workload.usage(command.args(["-f", "1"]).arg(&spinning).args(["spin", "700"]));
    let taken = running.finish();
    let uncounted = taken.metric("sched.on_cpu", &["pid"]).with("pid", truth.pid).with("count", 0).sum("sum");
    assert!(uncounted > truth.cpu_ns / 2, "it left its CPU in most intervals: {uncounted} ns without a count");
    let (low, high) = (truth.cpu_ns - truth.cpu_ns / 100, truth.lifetime_ns - truth.waited_ns + truth.cpu_ns / 100);
    for (view, table, column) in [
        ("processes", "processes", "sched.on_cpu.sum_ns"),
        ("threads", "threads", "on_cpu_ns"),
        ("summary", "commands", "cpu_ns"),
    ] {
        let report = taken.report(view);
        let rows = report["tables"][table].as_array().unwrap();
        let own = rows.iter().find(|row| row["pid"] == truth.pid && row["comm"] == "spinner").unwrap();
        let told = own[column].as_i64().unwrap();
        println!("{view}: {told} ns on a CPU, {} by the kernel, {uncounted} without a count", truth.cpu_ns);
        assert!((low..=high).contains(&told), "{view}: {told} ns");
    }
}

/// An interval counted whole by its middle, and shares were of the span asked for: 153 % of a CPU for one thread.
#[test]
#[ignore = "root: attaches probes"]
fn no_part_of_the_window_has_more_than_all_of_a_cpu_for_one_thread() {
    let name = "no_part_of_the_window_has_more_than_all_of_a_cpu_for_one_thread";
    let Some(chrt) = find("chrt") else { return skip(name, "chrt (util-linux) is not installed") };
    let workload = Workload::build();
    let spinning = workload.named("spinner");
    let running = Recorder::new("-p process,sched --interval 500ms").start();
    let mut command = Command::new(chrt);
    command.args(["-f", "1"]).arg(&spinning).args(["spin", "3000"]);
    workload.usage(&mut command);
    let taken = running.finish();
    for (from, to) in
        [("1s", "2s"), ("1300ms", "1700ms"), ("1240ms", "2260ms"), ("1260ms", "1740ms"), ("1600ms", "1650ms")]
    {
        let part = format!("--from {from} --to {to}");
        let summary = taken.report(&format!("summary {part}"));
        let commands = summary["tables"]["commands"].as_array().unwrap();
        let of_a_cpu = commands.iter().find(|row| row["comm"] == "spinner").unwrap()["cpu_pct"].as_f64().unwrap();
        let shown = summary["facts"].to_string();
        println!("{part}: {of_a_cpu:.1} % of a CPU, {shown}");
        // The kernel leaves a twentieth to threads that are not of real time.
        assert!((80.0..=100.5).contains(&of_a_cpu), "{part}: {of_a_cpu} % of a CPU");
        let threads = taken.report(&format!("threads {part}"));
        let own = threads["tables"]["threads"].as_array().unwrap().iter().find(|row| row["comm"] == "spinner").unwrap();
        let (on_cpu, lived) = (own["on_cpu_ns"].as_i64().unwrap(), own["lived_ns"].as_i64().unwrap());
        assert!(on_cpu <= lived && lived > 0, "{part}: {on_cpu} of {lived} ns");
        let timeline = taken.report(&format!("timeline sched.on_cpu {part}"));
        let rows = timeline["tables"]["intervals"].as_array().unwrap();
        let covered: i64 = rows.iter().map(|row| row["dur_ns"].as_i64().unwrap()).sum();
        let window = summary["tables"]["hosts"][0]["window_ns"].as_i64().unwrap();
        assert!(
            (covered - window).abs() <= window / 100,
            "{part}: {covered} ns in the timeline, {window} ns in the summary"
        );
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn time_on_a_cpu_is_what_the_parent_is_told_within_a_percent() {
    let workload = Workload::build();
    let running = Recorder::new("-p sched --interval 300ms").start();
    let truth = workload.used("spin 1000");
    let taken = running.finish();
    let recorded = taken.metric("sched.on_cpu", &["pid"]).with("pid", truth.pid).sum("sum");
    // It never sleeps. The kernel leaves out of its CPU time what interrupts and the hypervisor took while it had the CPU.
    let had = truth.lifetime_ns - truth.waited_ns;
    println!("{recorded} ns on a CPU recorded, {} told, {had} at most; lost {:?}", truth.cpu_ns, taken.lost());
    let percent = truth.cpu_ns / 100;
    assert!(
        (truth.cpu_ns - percent..=had + percent).contains(&recorded),
        "{recorded} ns, of {} to {had}",
        truth.cpu_ns
    );
}

#[test]
#[ignore = "root: attaches probes"]
fn a_program_that_sleeps_two_hundred_times_has_that_many_voluntary_switches() {
    let workload = Workload::build();
    let running = Recorder::new("-p sched:raw").start();
    let mut command = workload.command("usage");
    command.arg(workload.path()).args(["sleeps", "200"]);
    let numbers = crate::common::workload::numbers(&mut command);
    let [sleeps, pid, _, _, _, voluntary, involuntary, _, _] = numbers[..] else { panic!("{numbers:?}") };
    let taken = running.finish();
    assert!(sleeps >= 200, "the kernel counts {sleeps}");
    let switches = taken.metric("sched.switches", &["pid", "state"]).with("pid", pid);
    for (state, truth) in [("voluntary", voluntary), ("involuntary", involuntary)] {
        let recorded = switches.named("state", state).sum("count");
        println!("{state}: {recorded} recorded, {truth} told; lost {:?}", taken.lost());
        // The last switch of all, away from a process that has ended, may come after its parent was told.
        assert!((truth - unseen(&taken)..=truth + 1).contains(&recorded), "{state}: {recorded}, not {truth}");
    }
    let slices = |state| taken.rows("slice", &["pid", "state"]).with("pid", pid).named("state", state).count() as i64;
    assert_eq!(slices("preempted"), switches.named("state", "involuntary").sum("count"));
    assert!(slices("sleeping") + unseen(&taken) >= 200, "{}", slices("sleeping"));
    assert!(slices("dead") <= 1);
}
