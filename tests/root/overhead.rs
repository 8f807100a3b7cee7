//! What a recording says that it costs, against the kernel's own figures.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use libbpf_rs::query::ProgInfoIter;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;

const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// BPF run-time statistics that are on for everybody, as an administrator switches them on; as before once this goes.
struct EverybodysStatistics(String);

impl EverybodysStatistics {
    fn on() -> EverybodysStatistics {
        let before = fs::read_to_string(STATISTICS).unwrap();
        fs::write(STATISTICS, "1").unwrap();
        EverybodysStatistics(before)
    }
}

impl Drop for EverybodysStatistics {
    fn drop(&mut self) {
        let _ = fs::write(STATISTICS, self.0.trim());
    }
}

/// Estimated nanoseconds in programs: what ran in samples, for all of the window.
fn estimated(taken: &Taken) -> f64 {
    let mut programs: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in taken.rows("cost", &["name", "op", "sum", "dur_ns"]).named("op", "program").iter() {
        let (ns, during) = programs.entry(row.text("name").unwrap().to_owned()).or_default();
        *ns += row.int("sum");
        *during += row.int("dur_ns");
    }
    let window = taken.recording.meta().window.actual_ns as f64;
    programs.values().map(|(ns, during)| *ns as f64 * window / *during as f64).sum()
}

#[test]
#[ignore = "root: attaches probes, switches BPF statistics on"]
fn statistics_that_others_have_on_do_not_raise_the_cost() {
    let _statistics = EverybodysStatistics::on();
    let workload = Workload::build();
    // Before the window and beyond it, so that every sample finds the same load.
    let mut load = workload.command("pingpong 100000000").stdout(Stdio::null()).spawn().unwrap();
    let running = Recorder::new("-p sched --interval 500ms").start();
    // Three samples at least, whatever their places.
    std::thread::sleep(Duration::from_secs(4));
    let held = running.held().programs;
    // All of it is counted, since the statistics are on all the time.
    let truth: u64 = ProgInfoIter::default().filter(|info| held.contains(&info.id)).map(|info| info.run_time_ns).sum();
    let taken = running.finish();
    load.kill().unwrap();
    load.wait().unwrap();
    let estimated = estimated(&taken);
    println!("{:.1} ms estimated in programs, {:.1} ms by the kernel", estimated / 1e6, truth as f64 / 1e6);
    assert!(truth > 1_000_000, "the programs had too little to do: {truth} ns");
    // A twentieth of the window is measured, on a machine that others use, too.
    let factor = estimated / truth as f64;
    assert!((0.25..4.0).contains(&factor), "{factor:.2} times the truth");
}

#[test]
#[ignore = "root: attaches probes"]
fn the_recorder_s_own_cpu_time_is_stated_from_its_start_to_its_finish() {
    let workload = Workload::build();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.parquet");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebrec"));
    command.args(["record", "-p", "process,sched,cpu", "-d", "1s", "-o"]).arg(&file);
    let truth = workload.usage(&mut command).cpu_ns;
    let taken = Taken::open(&file, dir);
    let rows = taken.rows("cost", &["name", "op", "sum"]).named("name", "ebrec");
    let [start, window, finish] = ["cpu_start", "cpu", "cpu_finish"].map(|op| rows.named("op", op).sum("sum"));
    println!("{start} + {window} + {finish} ns stated, {truth} ns by wait4(2)");
    assert!(start > 0 && window > 0 && finish > 0);
    let stated = start + window + finish;
    let shown = taken.report("overhead")["tables"]["own_cpu"][0].clone();
    let shown = ["start_ns", "window_ns", "finish_ns"].map(|part| shown[part].as_i64().unwrap());
    assert_eq!(shown, [start, window, finish]);
    // Only the merge of the last row groups comes after the last row, and the kernel rounds.
    assert!(stated <= truth + truth / 50 && stated >= truth * 3 / 4, "{stated} ns of {truth}");
}

/// The maps that a process holds: kernel memory by map, as `/proc/PID/fdinfo` has it.
fn memory_of_maps(pid: u32) -> u64 {
    let mut maps: BTreeMap<u64, u64> = BTreeMap::new();
    for file in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().filter_map(Result::ok) {
        let info = fs::read_to_string(file.path()).unwrap_or_default();
        let number = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().parse::<u64>().ok()
        };
        if let (Some(id), Some(bytes)) = (number("map_id"), number("memlock")) {
            maps.insert(id, bytes);
        }
    }
    maps.values().sum()
}

#[test]
#[ignore = "root: attaches probes"]
fn kernel_memory_is_that_of_every_map_ring_buffers_and_stacks_included() {
    let running = Recorder::new("--interval 200ms").start();
    let truth = memory_of_maps(running.pid());
    let taken = running.finish();
    let stated = taken.rows("cost", &["op", "max"]).named("op", "maps").iter().map(|row| row.int("max")).max().unwrap();
    println!("{stated} bytes of maps stated, {truth} by /proc");
    // Some maps make their elements when they are used.
    assert!(stated.abs_diff(truth.cast_signed()) < truth / 20, "{stated} bytes, {truth} by /proc");
}
