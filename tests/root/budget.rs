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

/// What the workload itself says.
#[derive(Debug)]
struct Own {
    /// Calls of getppid.
    calls: i64,
    /// Calls of close, which all fail.
    failures: i64,
    sleeps: i64,
    /// Sleeps that left their CPU, by the kernel's count of switches.
    slept: i64,
}

impl Own {
    fn of(stdout: &[u8]) -> Own {
        let said = std::str::from_utf8(stdout).unwrap();
        let numbers: Vec<i64> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let [calls, failures, sleeps, slept] = numbers[..] else { panic!("{said}") };
        Own { calls, failures, sleeps, slept }
    }

    /// Calls that leave their CPU are all kept up to 1 in 16; one that doesn't is passed over, or stands for as many.
    fn holds_sleeps(&self, ours: i64, most: u64) {
        let awake = self.sleeps - self.slept;
        assert!(awake * 20 <= self.sleeps, "{self:?}: the machine hardly ran");
        if most <= 16 {
            assert!((self.slept..=self.slept + awake * 16).contains(&ours), "{ours} sleeps of {self:?}, 1 in {most}");
        }
    }
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

/// Calls between two sleeps of the workload: so many that recording them costs far more than the recorder's own work.
const CALLS: &str = "4000";

/// What recording the workload costs here with a budget: the mean of the intervals after the first three.
fn mean_cost(workload: &Workload, percent: f64) -> f64 {
    let running =
        Recorder::new(&format!("-p syscall --comm {COMM} --interval 250ms --max-overhead {percent}%")).start();
    assert!(workload.command(&format!("2500 {CALLS}")).status().unwrap().success());
    let costs = costs(&running.finish());
    println!("with a budget of {percent} %: {costs:.4?}");
    let later: Vec<f64> = costs[3..].iter().map(|(_, cost)| *cost).collect();
    later.iter().sum::<f64>() / later.len() as f64
}

/// A budget for this machine, in per cent of a CPU: in the middle between what recording all calls costs and what is left when hardly any
/// is taken, which no budget saves.
fn tight(workload: &Workload) -> f64 {
    let (full, least) = (mean_cost(workload, 100.0), mean_cost(workload, 1.0));
    (1000.0 * f64::midpoint(full, least)).round() / 10.0
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
    let workload = workload();
    let percent = tight(&workload);
    let budget = percent / 100.0;
    let running =
        Recorder::new(&format!("-p syscall --comm {COMM} --interval 250ms --max-overhead {percent}%")).start();
    let output = workload.command(&format!("6000 {CALLS}")).output().unwrap();
    let taken = running.finish();
    let own = Own::of(&output.stdout);
    let Own { calls, failures, .. } = own;

    let costs = costs(&taken);
    println!("{}", taken.stderr);
    println!("{costs:.4?}");
    let later: Vec<f64> = costs[costs.len() / 2..].iter().map(|(_, cost)| *cost).collect();
    let mean = later.iter().sum::<f64>() / later.len() as f64;
    assert!(mean <= budget * 1.2, "{mean} of a CPU on average in the later half: {later:?}");

    let syscall = probe(&taken, "syscall");
    assert_eq!(syscall.state, ProbeOutcome::Thinned);
    let most = syscall.thinned.iter().map(|step| step.one_in).max().unwrap();
    assert!(most >= 2 && syscall.thinned[0].cost_pct > percent, "{:?}", syscall.thinned);
    let error = syscall.error_pct.unwrap() / 100.0;
    // By the formula in the manual, and no wider: no more than if all calls had been thinned as much as any.
    let by_formula = ((most - 1) as f64 / (calls + failures) as f64).sqrt();
    assert!(error > 0.0 && error <= by_formula * 1.05, "{error} stated, {by_formula} at most by the formula");

    let ours = counts(&taken);
    println!("{own:?}, ours: {ours:?}, 1 in {most}, error {error}");
    let within = |ours: i64, theirs: i64, error: f64| (ours - theirs).abs() as f64 <= 4.0 * error * theirs as f64;
    assert!(within(ours["getppid"], calls, ((most - 1) as f64 / calls as f64).sqrt()), "getppid: {ours:?}, {calls}");
    assert!(
        within(ours["close"], failures, ((most - 1) as f64 / failures as f64).sqrt()),
        "close: {ours:?}, {failures}"
    );
    let errors =
        taken.metric("syscall.errors", &["name", "syscall_errno"]).named("syscall_errno", "EBADF").sum("count");
    assert!(within(errors, failures, ((most - 1) as f64 / failures as f64).sqrt()), "EBADF: {errors}, {failures}");
    own.holds_sleeps(ours["clock_nanosleep"], most);
    assert_eq!(taken.lost(), BTreeMap::new());

    let warnings = taken.report("summary")["warnings"].to_string();
    assert!(warnings.contains("the probe 'syscall' was thinned: at most 1 in"), "{warnings}");
    assert!(warnings.contains("its counts are estimates with a standard error of"), "{warnings}");
    let steps = taken.report("overhead")["tables"]["thinning"].clone();
    assert_eq!(steps.as_array().unwrap().len(), syscall.thinned.len(), "{steps}");
    assert_eq!(steps[0]["one_in"], syscall.thinned[0].one_in);
    let info = Command::new(EBREC).arg("info").arg(taken.recording.path()).output().unwrap();
    let info = String::from_utf8(info.stdout).unwrap();
    assert!(info.contains("budget") && info.contains(&format!("{percent:.1}% of a CPU; cost")), "{info}");
    assert!(taken.stderr.contains("thinned: syscall (at most 1 in"), "{}", taken.stderr);
}

#[test]
#[ignore = "root: attaches probes"]
fn sleeps_keep_their_number_and_their_time_while_calls_are_thinned() {
    let workload = workload();
    let percent = tight(&workload);
    let running =
        Recorder::new(&format!("-p syscall --comm {COMM} --interval 250ms --max-overhead {percent}%")).start();
    let output = workload.command(&format!("3000 {CALLS}")).output().unwrap();
    let taken = running.finish();
    let own = Own::of(&output.stdout);
    let syscall = probe(&taken, "syscall");
    let most = syscall.thinned.iter().map(|step| step.one_in).max().unwrap();
    let sleeps = taken.metric("syscall.latency", &["name"]).named("name", "clock_nanosleep");
    println!("{own:?}, 1 in {most}: {} sleeps of {} ms", sleeps.sum("count"), sleeps.sum("sum") / 1_000_000);
    // None is the last resort, which takes no more calls.
    assert!(most >= 2 && syscall.thinned.iter().all(|step| step.one_in > 0), "{syscall:?}");
    // The time of each is at least a millisecond by the kernel's word.
    own.holds_sleeps(sleeps.sum("count"), most);
    assert!(most > 16 || sleeps.sum("sum") >= own.slept * 990_000, "1 in {most}");
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
