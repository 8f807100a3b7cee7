//! A window has intervals enough to show its shape, however short it is.

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::Workload;

const MS: i64 = 1_000_000;

/// The lengths of the intervals, in milliseconds.
fn lengths(taken: &Taken) -> Vec<i64> {
    let rows = taken.rows("cost", &["op", "dur_ns"]).named("op", "cpu");
    rows.iter().map(|row| (row.int("dur_ns") + MS / 2) / MS).collect()
}

#[test]
#[ignore = "root: attaches probes"]
fn a_recording_of_a_second_shows_when_its_command_was_busy() {
    let workload = Workload::build();
    let script = format!("{} spin 80; exec sleep 2", workload.path().display());
    let (output, dir) = Recorder::new("-p process,sched -d 1s").run(&["sh", "-c", &script]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&dir.path().join("run.parquet"), dir);
    // Twenty of 50 ms; on a busy machine some take two.
    let lengths = lengths(&taken);
    assert!((10..=20).contains(&lengths.len()), "{lengths:?}");
    let timeline = taken.report("timeline sched.on_cpu");
    let rows = timeline["tables"]["intervals"].as_array().unwrap().iter();
    let busy: Vec<i64> = rows.map(|row| row["sum"].as_i64().unwrap() / MS).collect();
    println!("{lengths:?}: {busy:?} ms on a CPU");
    assert!(busy.iter().sum::<i64>() >= 78, "{busy:?}");
    assert!(busy.iter().filter(|ms| **ms <= 2).count() >= busy.len() / 4, "{busy:?}");
}

#[test]
#[ignore = "root: attaches probes"]
fn intervals_grow_with_a_command_and_none_is_lost() {
    let (output, dir) = Recorder::new("-p process,sched").run(&["sleep", "4.2"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken = Taken::open(&dir.path().join("run.parquet"), dir);
    let window = taken.recording.meta().window.clone();
    assert_eq!(window.first_interval_ns, Some(62_500_000));
    // By its length 125 ms, and longer if the machine was too busy to end intervals in time.
    assert!(window.interval_ns >= 125 * MS, "{window:?}");
    let lengths = lengths(&taken);
    let longest = window.interval_ns / MS;
    assert!(lengths.len() <= 50 + 25, "{lengths:?}");
    assert!(lengths.len() >= (window.actual_ns / MS / longest / 2) as usize, "{lengths:?}");
    let covered: i64 = taken.rows("cost", &["op", "dur_ns"]).named("op", "cpu").sum("dur_ns");
    assert!((covered - window.actual_ns).abs() < MS, "{covered} of {} ns", window.actual_ns);
    let shown = taken.report("timeline sched.switches");
    let rows = shown["tables"]["intervals"].as_array().unwrap();
    let covered: i64 = rows.iter().map(|row| row["dur_ns"].as_i64().unwrap()).sum();
    assert!((covered - window.actual_ns).abs() < window.actual_ns / 100, "{covered} ns in {rows:?}");
    assert!((8..=50).contains(&rows.len()), "{} rows", rows.len());
}
