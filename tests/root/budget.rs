//! `--max-overhead`: a budget of CPU time holds, and what is estimated then is as near to the truth as it says.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use ebrec::recording::ProbeOutcome;
use ebrec::recording::ProbeState;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;
use crate::common::recorder::EBREC;

/// The workload, as the kernel calls it.
const COMM: &str = "ebrec-calls";

fn workload() -> Workload {
    Workload::compile("budget/paced.c", COMM, tempfile::tempdir().unwrap())
}

/// What recording cost in each interval in which programs were measured, as a part of one CPU: (end of the interval, cost).
fn costs(taken: &Taken) -> Vec<(i64, f64)> {
    let mut by_interval: BTreeMap<i64, (f64, Option<f64>)> = BTreeMap::new();
    for row in taken.rows("cost", &["ts", "name", "op", "sum", "dur_ns"]).iter() {
        let (op, cost) = (row.text("op"), by_interval.entry(row.int("ts")).or_default());
        let part = || row.int("sum") as f64 / row.int("dur_ns") as f64;
        match op {
            Some("program") => *cost = (cost.0, Some(cost.1.unwrap_or(0.0) + part())),
            Some("cpu") => cost.0 += part(),
            _ => {}
        }
    }
    by_interval.into_iter().filter_map(|(end, (own, programs))| Some((end, own + programs?))).collect()
}

fn probe(taken: &Taken, name: &str) -> ProbeState {
    taken.recording.meta().probes.iter().find(|probe| probe.name == name).unwrap().clone()
}

/// Calls by name, as the recording counts or estimates them.
fn counts(taken: &Taken) -> BTreeMap<String, i64> {
    taken.metric("syscall.latency", &["name"]).sums_by("count", "name")
}

#[test]
#[ignore = "root: attaches probes"]
fn a_storm_of_calls_costs_no_more_than_the_budget_and_its_totals_are_estimates_with_the_error_stated() {
    const BUDGET: f64 = 0.1;
    let workload = workload();
    let running = Recorder::new(&format!("-p syscall --comm {COMM} --interval 250ms --max-overhead 10%")).start();
    let output = workload.command("6000 400").output().unwrap();
    let taken = running.finish();
    // What the workload itself says: calls of getppid, of a close that fails, and sleeps.
    let said = String::from_utf8(output.stdout).unwrap();
    let own: Vec<i64> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [calls, failures, sleeps] = own[..] else { panic!("{said}") };

    let costs = costs(&taken);
    println!("{}", taken.stderr);
    println!("{costs:.4?}");
    let first = costs.iter().map(|(_, cost)| *cost).take(2).fold(0.0, f64::max);
    assert!(first > BUDGET, "the storm costs too little to try a budget: {first}");
    let later: Vec<f64> = costs[costs.len() / 2..].iter().map(|(_, cost)| *cost).collect();
    let mean = later.iter().sum::<f64>() / later.len() as f64;
    assert!(mean <= BUDGET * 1.2, "{mean} of a CPU on average in the later half: {later:?}");

    let syscall = probe(&taken, "syscall");
    assert_eq!(syscall.state, ProbeOutcome::Thinned);
    let most = syscall.thinned.iter().map(|step| step.one_in).max().unwrap();
    assert!(most >= 2 && syscall.thinned[0].cost_pct > 100.0 * BUDGET, "{:?}", syscall.thinned);
    let error = syscall.error_pct.unwrap() / 100.0;
    // By the formula in the manual, and no wider: no more than if all calls had been thinned as much as any.
    let by_formula = ((most - 1) as f64 / (calls + failures) as f64).sqrt();
    assert!(error > 0.0 && error <= by_formula * 1.05, "{error} stated, {by_formula} at most by the formula");

    let ours = counts(&taken);
    println!("own: {own:?}, ours: {ours:?}, 1 in {most}, error {error}");
    let within = |ours: i64, theirs: i64, error: f64| (ours - theirs).abs() as f64 <= 4.0 * error * theirs as f64;
    assert!(within(ours["getppid"], calls, ((most - 1) as f64 / calls as f64).sqrt()), "getppid: {ours:?}, {calls}");
    assert!(
        within(ours["close"], failures, ((most - 1) as f64 / failures as f64).sqrt()),
        "close: {ours:?}, {failures}"
    );
    let errors =
        taken.metric("syscall.errors", &["name", "syscall_errno"]).named("syscall_errno", "EBADF").sum("count");
    assert!(within(errors, failures, ((most - 1) as f64 / failures as f64).sqrt()), "EBADF: {errors}, {failures}");
    // A call that sleeps leaves its CPU, and all of those are kept up to 1 in 16.
    if most <= 16 {
        assert_eq!(ours["clock_nanosleep"], sleeps);
    }
    assert_eq!(taken.lost(), BTreeMap::new());

    let warnings = taken.report("summary")["warnings"].to_string();
    assert!(warnings.contains("the probe 'syscall' was thinned: at most 1 in"), "{warnings}");
    assert!(warnings.contains("its counts are estimates with a standard error of"), "{warnings}");
    let steps = taken.report("overhead")["tables"]["thinning"].clone();
    assert_eq!(steps.as_array().unwrap().len(), syscall.thinned.len(), "{steps}");
    assert_eq!(steps[0]["one_in"], syscall.thinned[0].one_in);
    let info = Command::new(EBREC).arg("info").arg(taken.recording.path()).output().unwrap();
    let info = String::from_utf8(info.stdout).unwrap();
    assert!(info.contains("budget") && info.contains("10.0% of a CPU; cost"), "{info}");
    assert!(taken.stderr.contains("thinned: syscall (at most 1 in"), "{}", taken.stderr);
}

#[test]
#[ignore = "root: attaches probes"]
fn sleeps_keep_their_number_and_their_time_while_calls_are_thinned() {
    let workload = workload();
    let running = Recorder::new(&format!("-p syscall --comm {COMM} --interval 250ms --max-overhead 10%")).start();
    let output = workload.command("3000 600").output().unwrap();
    let taken = running.finish();
    let said = String::from_utf8(output.stdout).unwrap();
    let own: Vec<i64> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let syscall = probe(&taken, "syscall");
    let most = syscall.thinned.iter().map(|step| step.one_in).max().unwrap();
    let sleeps = taken.metric("syscall.latency", &["name"]).named("name", "clock_nanosleep");
    println!("own: {own:?}, 1 in {most}: {} sleeps of {} ms", sleeps.sum("count"), sleeps.sum("sum") / 1_000_000);
    // None is the last resort, which takes no more calls.
    assert!(most >= 2 && syscall.thinned.iter().all(|step| step.one_in > 0), "{syscall:?}");
    // The time of each is at least a millisecond by the kernel's word.
    assert!(most > 16 || sleeps.sum("count") == own[2], "1 in {most}");
    assert!(most > 16 || sleeps.sum("sum") >= own[2] * 990_000, "1 in {most}");
}

/// Two processes that switch as fast as they can.
struct Switching(Child);

impl Switching {
    fn start(workload: &Workload) -> Switching {
        Switching(workload.command("pingpong 100000000").stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Switching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn raw_rows_are_thinned_while_totals_stay_exact_and_a_budget_that_can_not_hold_is_said() {
    let workload = Workload::build();
    let load = Switching::start(&workload);
    let taken = Recorder::new("-p sched:raw -d 4s --interval 250ms --max-overhead 1%").start().finished(0);
    drop(load);
    println!("{}", taken.stderr);
    let sched = probe(&taken, "sched");
    assert_eq!((sched.state, sched.error_pct), (ProbeOutcome::Thinned, None), "{sched:?}");
    // By the histogram, which has all slices still: as many switches as threads left their CPUs.
    let slices = taken.metric("sched.slice", &[]).sum("count");
    let rows = taken.recording.rows("slice").cast_signed();
    let most = sched.thinned.iter().map(|step| step.one_in).max().unwrap().cast_signed();
    println!("{rows} rows of {slices} slices, 1 in {most} at most");
    assert!(slices > 100_000 && rows < slices / 2 && rows > slices / most / 2, "{rows} of {slices}");
    let budget = taken.recording.meta().budget.clone().unwrap();
    assert!(budget.measured > 8 && budget.over > budget.measured / 2, "{budget:?}");
    let warnings = taken.report("summary")["warnings"].to_string();
    assert!(warnings.contains("recording cost more than its budget of 1.0% of a CPU"), "{warnings}");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_budget_that_is_never_reached_thins_nothing() {
    let workload = workload();
    let running = Recorder::new(&format!("-p syscall --comm {COMM} --max-overhead 100%")).start();
    let mut child = workload.command("500 200").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    let taken = running.finish();
    let calls: i64 = said.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(counts(&taken)["getppid"], calls, "exact");
    let syscall = probe(&taken, "syscall");
    assert!(
        syscall.state == ProbeOutcome::Ran && syscall.thinned.is_empty() && syscall.error_pct.is_none(),
        "{syscall:?}"
    );
}
