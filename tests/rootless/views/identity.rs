//! Two processes that had the same id and name one after the other, in every view that separates processes.

use serde_json::Value;

use super::Case;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

const PID: i64 = 77;

/// A view, one of its tables, and the metric that its rows are out of: name, whether it is a histogram, unit.
const TABLES: &[(&str, &str, (&str, bool, &str))] = &[
    ("processes", "processes", ("sched.on_cpu", false, "ns")),
    ("block", "processes", ("block.device_time", true, "ns")),
    ("syscalls", "processes", ("syscall.latency", true, "ns")),
    ("syscalls", "errors", ("syscall.errors", false, "count")),
    ("http", "requests", ("http.latency", true, "ns")),
    ("http", "unparsed", ("http.unparsed", false, "count")),
    ("memory", "faults", ("memory.faults", false, "count")),
    ("memory", "stalls", ("memory.reclaim_stall", true, "ns")),
    ("locks", "kernel", ("locks.contention", true, "ns")),
    ("locks", "futexes", ("locks.futex_wait", true, "ns")),
    ("tcp", "peers", ("tcp.connect_latency", true, "ns")),
    ("tcp", "failures", ("tcp.failures", false, "count")),
    ("dns", "names", ("dns.latency", true, "ns")),
    ("files", "processes", ("files.latency", true, "ns")),
    ("files", "short_lived", ("files.short_lived", true, "ns")),
    ("events", "events", ("events.count", false, "count")),
    ("events", "latency", ("events.latency", true, "ns")),
];

/// The rows of the table for two processes whose starts are given.
fn rows(
    (view, table, (metric, histogram, unit)): (&str, &str, (&'static str, bool, &str)),
    starts: [i64; 2],
) -> Vec<Value> {
    let mut made = Synthetic::new("builder");
    let probe = metric.split('.').next().unwrap();
    made.probe(probe, "raw", 2);
    made.metric(metric, if histogram { "histogram" } else { "counter" }, unit, &["pid", "comm"]);
    for (at, start) in [SECOND, 2 * SECOND].into_iter().zip(starts) {
        let own = [("pid", PID.into()), ("pid_start_ns", start.into()), ("comm", "worker".into())];
        made.row("fork", at - SECOND, &own);
        if histogram {
            made.values(metric, at, &own, &[1000]);
        } else {
            made.counter(metric, at, &own, 1, 1000);
        }
    }
    let document = Case::new(view, vec![("run.parquet", made)]).json();
    let rows = document["tables"][table].as_array().unwrap_or_else(|| panic!("{view} has no table '{table}'"));
    rows.iter().filter(|row| row["pid"] == PID || row.get("pid").is_none()).cloned().collect()
}

#[test]
fn processes_that_had_one_id_and_name_after_each_other_are_two_rows_in_every_view() {
    let counts = |of| [rows(of, [5, 6]), rows(of, [5, 5])].map(|rows| rows.len());
    let wrong: Vec<_> = TABLES.iter().filter(|of| counts(**of) != [2, 1]).map(|of| (of, counts(*of))).collect();
    assert!(wrong.is_empty(), "tables with the rows of two processes, and of one: {wrong:#?}");
}

#[test]
fn a_command_counts_its_processes_by_their_starts() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 2).metric("sched.on_cpu", "counter", "ns", &["pid", "comm"]);
    for start in [5, 6, 7] {
        let own = [("pid", PID.into()), ("pid_start_ns", start.into()), ("comm", "worker".into())];
        made.counter("sched.on_cpu", start * SECOND / 2, &own, 1, 1000);
    }
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    assert_eq!(document["tables"]["commands"][0]["processes"], 3);
    assert!(document["tables"]["commands"][0]["pid"].is_null(), "a process is named where there is one only");
}
