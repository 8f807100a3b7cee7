//! Views that are one probe's own.

use serde_json::Value;
use serde_json::json;

use super::Case;
use super::cells;
use super::of_build;
use crate::synthetic::build::build;
use crate::synthetic::build::http;
use crate::synthetic::build::syscalls;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::Synthetic;

#[test]
fn block_adds_up_devices_processes_and_requests() {
    let document = of_build("block").json();
    let fields =
        ["dev", "op", "count", "bytes", "device_max_ns", "queue_max_ns", "sequential_pct", "errors", "depth_mean"];
    assert_eq!(
        cells(&document, "devices", &fields),
        [
            json!(["vda", "write", 100, 819_200, 20_000_000, 50_000, 75.0, 0, 2]),
            json!(["vda", "read", 10, 40_960, 100_000, 50_000, 0.0, 1, 2]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let fields = ["comm", "pid", "op", "count", "bytes", "device_sum_ns", "queue_sum_ns"];
    assert_eq!(
        cells(&document, "processes", &fields),
        [
            json!(["postgres", 200, "write", 100, 819_200, 119_000_000, 5_000_000]),
            json!(["cc1", 301, "read", 10, 40_960, 1_000_000, 500_000]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let fields = ["time_ns", "dur_ns", "queue_ns", "op", "bytes", "comm", "error", "flags", "sector"];
    assert_eq!(
        cells(&document, "requests", &fields),
        [
            json!([1_500_000_000, 20_000_000, 1_000_000, "write", 8192, "postgres", null, "sync", 2048]),
            json!([1_600_000_000, 2_000_000, 1_000_000, "read", 8192, "postgres", "EIO", "sync", 2048]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
}

#[test]
fn http_names_slow_routes_failures_and_what_is_not_parsed() {
    let document = Case::new("http", vec![("run.parquet", http("builder"))]).json();
    let fields = ["comm", "side", "method", "status", "count", "sum_ns", "unanswered"];
    assert_eq!(
        cells(&document, "requests", &fields),
        [
            json!(["nginx", "server", "GET", 200, 4, 553_000_000, 1]),
            json!(["nginx", "server", "GET", 503, 1, 5_000_000, 0]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    assert_eq!(
        cells(&document, "routes", &["path", "count", "max_ns", "failed"])[0],
        [json!("/report"), json!(2), json!(300_000_000), json!(0)]
    );
    assert_eq!(
        cells(&document, "slowest", &["path", "dur_ns", "status", "bytes", "peer_port"])[0],
        [json!("/report"), json!(300_000_000), json!(200), json!(1024), json!(40000)]
    );
    assert_eq!(
        cells(&document, "failures", &["path", "failure", "status"]),
        [[json!("/cut"), json!("answer cut short"), json!(200)], [json!("/broken"), json!("status"), json!(503)]]
    );
    assert_eq!(cells(&document, "unparsed", &["cause", "comm", "count"]), [[json!("HTTP/2"), json!("curl"), json!(3)]]);
}

#[test]
fn syscalls_tells_waits_from_work_and_errors_by_name() {
    let case = Case::new("syscalls", vec![("run.parquet", syscalls("builder"))]);
    let document = case.json();
    let fields = ["name", "class", "count", "sum_ns", "errors", "errnos"];
    // Work first, each by its total; the errors of futex stand beside its waits.
    assert_eq!(
        cells(&document, "calls", &fields),
        [
            vec![json!("read"), json!("work"), json!(4), json!(30_004_000), json!(0), json!(null)],
            vec![json!("openat"), json!("work"), json!(9), json!(90_000), json!(6), json!("ENOENT 4, EACCES 2")],
            vec![json!("futex"), json!("work"), json!(1), json!(500), json!(0), json!(null)],
            vec![json!("futex"), json!("wait"), json!(1), json!(800_000_000), json!(1), json!("ETIMEDOUT 1")],
        ]
    );
    assert_eq!(
        cells(&document, "processes", &["comm", "pid", "count", "errors", "work_ns", "wait_ns", "max_ns", "most"]),
        [
            [
                json!("cat"),
                json!(10),
                json!(5),
                json!(1),
                json!(30_003_500),
                json!(800_000_000),
                json!(30_000_000),
                json!("read")
            ],
            [json!("find"), json!(20), json!(10), json!(6), json!(91_000), json!(0), json!(10_000), json!("openat")],
        ]
    );
    assert_eq!(
        cells(&document, "errors", &["name", "errno", "pid", "count"])[0],
        [json!("openat"), json!("ENOENT"), json!(20), json!(4)]
    );
    assert_eq!(
        cells(&document, "slowest", &["name", "dur_ns", "ret"]),
        [[json!("read"), json!(30_000_000), json!(4096)]]
    );
    let of_find = case.with(|plan| plan.filter.pids = vec![20]).json();
    assert_eq!(cells(&of_find, "calls", &["name", "count"]), [[json!("openat"), json!(9)], [json!("read"), json!(1)]]);
}

#[test]
fn a_view_of_a_probe_that_was_not_asked_for_names_the_option() {
    let mut made = Synthetic::new("builder");
    made.probe("process", "raw", 0);
    let document = Case::new("block", vec![("run.parquet", made)]).json();
    assert_eq!(
        document["notes"],
        json!(["the probe 'block' was not asked for; 'ebrec record -p +block' records this"])
    );
    assert_eq!(document["tables"]["devices"], json!([]));
}

#[test]
fn a_slow_event_tells_what_happened_around_it() {
    let mut made = build("builder");
    // Another request of 25 ms that was under way at the same disk.
    let other = [
        ("dev", "vda".into()),
        ("op", "read".into()),
        ("pid", 301.into()),
        ("comm", "cc1".into()),
        ("dur_ns", (25 * MS).into()),
        ("bytes", 4096.into()),
    ];
    made.row("block_io", 1495 * MS, &other);
    // A fast one at the same time: a raw recording has millions of them.
    made.row("block_io", 1490 * MS, &[("dev", "vda".into()), ("pid", 301.into()), ("dur_ns", MS.into())]);
    let case = Case::new("slow", vec![("run.parquet", made)]);
    let document = case.json();
    let fields = ["dur_ns", "kind", "comm", "dev", "overlapping", "busiest_comm", "busiest_pct"];
    let rows = cells(&document, "events", &fields);
    // In the second interval nobody had a CPU.
    let none = Value::Null;
    assert_eq!(
        rows,
        [
            [json!(30 * MS), json!("wakeup"), json!("cc1"), none.clone(), json!(0), json!("cc1"), json!(30.0)],
            [json!(25 * MS), json!("block_io"), json!("cc1"), json!("vda"), json!(1), none.clone(), none.clone()],
            [json!(20 * MS), json!("block_io"), json!("postgres"), json!("vda"), json!(1), none.clone(), none],
        ]
    );
    let text = case.text();
    assert!(text.contains("30.0 ms  wakeup: cc1 (301), until 0.500 s"), "{text}");
    assert!(text.contains("meanwhile: 1 more slow on vda (cc1 1)"), "{text}");
    assert!(text.contains("2.0 requests in flight there"), "{text}");
    assert!(text.contains("sched_prev_pid postgres (200)"), "{text}");
}

/// The first place in the list of slow events was a temporary file's that was kept for a second.
#[test]
fn how_long_a_file_was_there_is_no_slow_event() {
    let mut made = build("builder");
    made.slow("block", "file_short_lived", 10 * MS);
    let life = [("op", "unlink".into()), ("pid", 301.into()), ("dur_ns", (900 * MS).into())];
    made.row("file_short_lived", 1495 * MS, &life);
    let document = Case::new("slow", vec![("run.parquet", made)]).json();
    assert_eq!(cells(&document, "events", &["dur_ns"]), [[json!(30 * MS)], [json!(20 * MS)]]);
}
