//! Every view over recordings whose numbers can be added up by hand.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that can not go on has failed.

#[path = "synthetic/build.rs"]
mod build;
#[path = "synthetic/recording.rs"]
mod recording;

use std::path::PathBuf;
use std::time::Duration;

use build::build;
use build::http;
use build::lossy;
use build::syscalls;
use build::waiting;
use ebrec::failure::Blame;
use ebrec::failure::Failure;
use ebrec::render;
use ebrec::report::info;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::report::plan::RowFilter;
use ebrec::report::report;
use recording::MS;
use recording::SECOND;
use recording::Synthetic;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

/// A directory with recordings, and the report that a test is about.
struct Case {
    dir: TempDir,
    plan: ReportPlan,
}

impl Case {
    fn new(view: &str, recordings: Vec<(&str, Synthetic)>) -> Case {
        let dir = tempfile::tempdir().unwrap();
        let files = recordings.into_iter().map(|(name, synthetic)| {
            let path = dir.path().join(name);
            synthetic.write(&path);
            path
        });
        let plan = ReportPlan {
            view: view.to_owned(),
            files: files.collect(),
            metrics: Vec::new(),
            by: Vec::new(),
            filter: RowFilter::default(),
            top: None,
            tree: false,
            debug_dirs: Vec::new(),
            format: Format::Json,
            width: 120,
        };
        Case { dir, plan }
    }

    fn with(mut self, change: impl FnOnce(&mut ReportPlan)) -> Case {
        change(&mut self.plan);
        self
    }

    /// The report as a program reads it.
    fn json(&self) -> Value {
        serde_json::from_str(&render::json(&report(&self.plan).unwrap())).unwrap()
    }

    /// The report as a person reads it.
    fn text(&self) -> String {
        let plan = ReportPlan { format: Format::Text, ..self.plan.clone() };
        render::text(&report(&plan).unwrap(), &render::TextStyle { width: 120, color: false })
    }

    fn error(&self) -> Failure {
        report(&self.plan).unwrap_err().downcast().unwrap()
    }
}

/// The report of a view over the one machine that lost nothing.
fn of_build(view: &str) -> Case {
    Case::new(view, vec![("run.parquet", build("builder"))])
}

/// Some fields of the rows of a table.
fn cells(document: &Value, table: &str, fields: &[&str]) -> Vec<Vec<Value>> {
    let rows = document["tables"][table].as_array().unwrap_or_else(|| panic!("no table '{table}' in {document:#}"));
    rows.iter()
        .map(|row| {
            let cell = |name: &&str| row.get(name).unwrap_or_else(|| panic!("no field '{name}' in {row}")).clone();
            fields.iter().map(cell).collect()
        })
        .collect()
}

#[test]
fn the_summary_of_a_whole_recording_says_so_first() {
    let document = of_build("summary").json();
    assert_eq!(document["notes"], json!(["complete: no event lost"]));
    assert_eq!(document["warnings"], json!([]));
}

#[test]
fn the_summary_adds_up_what_the_machine_did() {
    let document = of_build("summary").json();
    let fields = ["window_ns", "lost", "events", "cpu", "cpu_ns", "runqueue_ns", "starts", "exits", "io", "io_bytes"];
    // 1 s on two CPUs in 4 s; three waits of cc1 and one, two of postgres; 10 reads of 4 KiB and 100 writes of 8 KiB.
    assert_eq!(
        cells(&document, "hosts", &fields),
        [[
            json!(4_000_000_000i64),
            json!(0),
            json!(5119),
            json!(12.5),
            json!(1_000_000_000),
            json!(30_009_000),
            json!(3),
            json!(2),
            json!(110),
            json!(860_160)
        ]]
    );
    assert_eq!(document["facts"]["CPU"], "12.5% in use: 1.00 s of 8.00 s");
    assert_eq!(document["facts"]["switches"], "30 voluntary, 9 forced");
}

#[test]
fn the_summary_ranks_commands_by_cpu_and_counts_their_starts() {
    let document = of_build("summary").json();
    let fields = ["comm", "pid", "processes", "starts", "cpu_ns", "cpu", "runqueue_ns", "io", "io_bytes", "io_ns"];
    assert_eq!(
        cells(&document, "commands", &fields),
        [
            json!(["cc1", null, 3, 3, 600_000_000, 15.0, 30_007_000, 10, 40_960, 1_000_000]),
            json!(["postgres", 200, 1, 0, 400_000_000, 10.0, 2_000, 100, 819_200, 119_000_000]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
}

#[test]
fn the_slowest_things_name_their_cause() {
    let document = of_build("summary").json();
    assert_eq!(
        cells(&document, "slowest", &["time_ns", "dur_ns", "comm", "pid", "cause"]),
        [
            json!([500_000_000, 30_000_000, "cc1", 301, "postgres (200) had CPU 1; woken by make (100)"]),
            json!([1_500_000_000, 20_000_000, "postgres", 200, "1.00 ms in queue, 19.0 ms in vda; 8.00 KiB"]),
            json!([
                1_600_000_000,
                2_000_000,
                "postgres",
                200,
                "1.00 ms in queue, 1.00 ms in vda; failed with EIO; 8.00 KiB"
            ]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
}

#[test]
fn what_was_lost_and_what_did_not_run_comes_before_everything() {
    let document = Case::new("summary", vec![("run.parquet", lossy("builder"))]).json();
    assert_eq!(document["notes"], json!([]));
    assert_eq!(
        document["warnings"],
        json!([
            "incomplete: 25 of 1,009 events lost (2.5%): sched 25 (ring full)",
            "the probe 'block' was skipped: the kernel has no tracepoint 'block_rq_issue'",
        ])
    );
    // What was not recorded is not zero.
    assert_eq!(cells(&document, "commands", &["io"]), [[Value::Null], [Value::Null]]);
}

#[test]
fn buckets_that_do_not_add_up_to_the_totals_are_told() {
    let mut made = build("builder");
    let by = [("pid", 200.into()), ("comm", "postgres".into())];
    made.counter("sched.runqueue_latency", recording::SECOND, &by, 5, 5000);
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    assert_eq!(document["warnings"], json!(["the histogram 'sched.runqueue_latency' holds 6 of 11 values"]));
}

#[test]
fn a_recording_whose_writer_was_killed_says_so() {
    let case = of_build("summary");
    let path = case.dir.path().join("cut.parquet");
    build("builder").write_partial(&path);
    let document = case.with(|plan| plan.files = vec![path.with_extension("parquet.partial")]).json();
    let expected = "unfinished: its writer was stopped or still runs; what it wrote last may be missing";
    assert_eq!(document["warnings"], json!([expected]));
    assert_eq!(cells(&document, "hosts", &["partial"]), [[json!(true)]]);
}

#[test]
fn processes_have_every_metric_that_tells_them_apart() {
    let document = of_build("processes").json();
    let fields = ["pid", "ppid", "comm", "status", "lifetime_ns", "sched.on_cpu.sum", "sched.runqueue_latency.count"];
    assert_eq!(
        cells(&document, "processes", &fields),
        [
            json!([200, 1, "postgres", null, null, 400_000_000, 2]),
            json!([302, 100, "cc1", "SIGKILL", 700_000_000, 350_000_000, 1]),
            json!([301, 100, "cc1", "0", 500_000_000, 250_000_000, 3]),
            json!([1, 0, "systemd", null, null, null, null]),
            json!([100, 1, "make", null, null, null, null]),
            json!([303, 100, "cc1", null, null, null, null]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let fields = ["sched.switches.count", "block.size.sum", "block.device_time.max", "block.device_time.count"];
    let expected = [json!(13), json!(819_200), json!(20_000_000), json!(100)];
    assert_eq!(cells(&document, "processes", &fields)[0], expected);
}

#[test]
fn processes_stand_under_their_parents() {
    let document = of_build("processes").with(|plan| plan.tree = true).json();
    assert_eq!(
        cells(&document, "processes", &["pid", "depth"]),
        [[1, 0], [100, 1], [301, 2], [302, 2], [303, 2], [200, 1]].map(|row| row.map(Value::from))
    );
}

#[test]
fn top_cuts_the_ranking_and_says_how_much_it_cut() {
    let document = of_build("processes").with(|plan| plan.top = Some(2)).json();
    assert_eq!(cells(&document, "processes", &["pid"]), [[json!(200)], [json!(302)]]);
    assert_eq!(document["omitted"], json!({ "processes": 4 }));
    let all = of_build("processes").with(|plan| plan.top = Some(0)).json();
    assert_eq!(all["tables"]["processes"].as_array().unwrap().len(), 6);
}

#[test]
fn a_filter_by_process_leaves_that_process() {
    let only = |plan: &mut ReportPlan| plan.filter.pids = vec![301];
    let document = of_build("processes").with(only).json();
    assert_eq!(cells(&document, "processes", &["pid", "sched.on_cpu.sum"]), [[json!(301), json!(250_000_000)]]);
    let document = of_build("block").with(only).json();
    assert_eq!(cells(&document, "devices", &["op", "count"]), [[json!("read"), json!(10)]]);
    let document = of_build("exec").with(|plan| plan.filter.comms = vec!["make".into()]).json();
    assert_eq!(document["tables"]["commands"].as_array().unwrap().len(), 1);
}

#[test]
fn a_filter_by_time_counts_each_interval_once_wherever_it_is_cut() {
    let part = |from: u64, to: u64| {
        let document = of_build("processes").with(|plan| {
            plan.filter.from = Some(Duration::from_millis(from));
            plan.filter.to = Some(Duration::from_millis(to));
        });
        cells(&document.json(), "processes", &["pid", "sched.on_cpu.sum"])
    };
    let on_cpu = |rows: Vec<Vec<Value>>| rows.iter().filter_map(|row| row[1].as_i64()).sum::<i64>();
    // Half of the CPU time is in the first second, half in the third.
    assert_eq!(on_cpu(part(0, 1000)), 500_000_000);
    assert_eq!(on_cpu(part(0, 2200)), 500_000_000);
    assert_eq!(on_cpu(part(2200, 4000)), 500_000_000);
    assert_eq!(on_cpu(part(3000, 4000)), 0);
}

#[test]
fn a_histogram_has_the_percentiles_of_its_values() {
    let of = |by: &[&str]| {
        of_build("hist").with(|plan| {
            plan.metrics = vec!["block.device_time".into()];
            plan.by = by.iter().map(|column| (*column).to_owned()).collect();
        })
    };
    let fields = ["count", "share", "sum", "max"];
    assert_eq!(
        cells(&of(&[]).json(), "groups", &fields),
        [[json!(110), json!(100.0), json!(120_000_000), json!(20_000_000)]]
    );
    let document = of(&["op"]).json();
    assert_eq!(
        cells(&document, "groups", &["op", "count", "sum", "max"]),
        [json!(["write", 100, 119_000_000, 20_000_000]), json!(["read", 10, 1_000_000, 100_000])]
            .map(|row| row.as_array().unwrap().clone())
    );
    let p50 = cells(&document, "groups", &["p50"])[0][0].as_f64().unwrap();
    assert!((p50 / 1e6 - 1.0).abs() <= ebrec::hist::ERROR, "{p50}");
    assert_eq!(document["histograms"]["block.device_time"]["series"][0]["name"], "write");
    assert_eq!(
        cells(&of(&["process"]).json(), "groups", &["process", "count"]),
        [[json!("postgres (200)"), json!(100)], [json!("cc1 (301)"), json!(10)]]
    );
}

#[test]
fn a_counter_is_a_table_without_a_picture() {
    let document = of_build("hist").with(|plan| {
        plan.metrics = vec!["sched.switches".into()];
        plan.by = vec!["state".into()];
    });
    let document = document.json();
    assert_eq!(
        cells(&document, "groups", &["state", "count"]),
        [[json!("voluntary"), json!(30)], [json!("involuntary"), json!(9)]]
    );
    assert_eq!(document["histograms"], json!({}));
}

#[test]
fn unknown_metrics_and_columns_are_usage_errors_with_near_names() {
    let wrong = |metric: &str, by: &str| {
        let by = if by.is_empty() { vec![] } else { vec![by.to_owned()] };
        of_build("hist").with(|plan| (plan.metrics, plan.by) = (vec![metric.into()], by)).error()
    };
    let error = wrong("block.devicetime", "");
    assert_eq!(error.blame, Blame::Usage);
    assert_eq!(error.message, "no metric 'block.devicetime' in the recording");
    assert_eq!(error.hint.as_deref(), Some("did you mean 'block.device_time'?"));
    let error = wrong("block.device_time", "proces");
    assert_eq!(error.message, "'block.device_time' can't be split by 'proces'");
    assert_eq!(error.hint.as_deref(), Some("did you mean 'process'?"));
}

#[test]
fn a_metric_of_a_probe_that_did_not_run_is_an_empty_table_with_the_reason() {
    let case = Case::new("hist", vec![("run.parquet", lossy("builder"))]);
    let document = case.with(|plan| plan.metrics = vec!["block.device_time".into()]).json();
    assert_eq!(document["tables"]["groups"], json!([]));
    assert_eq!(
        document["warnings"],
        json!([
            "incomplete: 25 of 1,009 events lost (2.5%): sched 25 (ring full)",
            "the probe 'block' was skipped: the kernel has no tracepoint 'block_rq_issue'",
        ])
    );
}

#[test]
fn exec_joins_starts_and_exits() {
    let document = of_build("exec").json();
    let fields = ["time_ns", "pid", "ppid", "status", "dur_ns", "cpu_ns", "argv", "filename", "executed"];
    assert_eq!(
        cells(&document, "runs", &fields),
        [
            json!([100_000_000, 301, 100, "0", 500_000_000, 250_000_000, "cc1 -O2 a.c", "/usr/lib/cc1", true]),
            json!([200_000_000, 302, 100, "SIGKILL", 700_000_000, 350_000_000, "cc1 -O2 b.c", "/usr/lib/cc1", true]),
            json!([300_000_000, 303, 100, "running", null, null, "cc1 -O2 c.c", "/usr/lib/cc1", true]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let fields = ["program", "starts", "exits", "failed", "killed", "dur_p50_ns", "dur_max_ns", "dur_sum_ns"];
    assert_eq!(
        cells(&document, "commands", &fields),
        [json!(["/usr/lib/cc1", 3, 2, 0, 1, 500_000_000, 700_000_000, 1_200_000_000]).as_array().unwrap().clone()]
    );
}

#[test]
fn a_process_that_runs_a_second_program_is_two_runs() {
    let mut made = Synthetic::new("builder");
    made.probe("process", "raw", 4);
    let who = [("pid", 10.into()), ("ppid", 1.into())];
    let named = |file: &'static str| [&who[..], &[("comm", file.into()), ("filename", file.into())]].concat();
    made.row("fork", 0, &who);
    made.row("exec", recording::SECOND, &named("env"));
    made.row("exec", 2 * recording::SECOND, &named("cat"));
    made.row("exit", 3 * recording::SECOND, &[&named("cat")[..], &[("exit_code", 1.into())]].concat());
    let document = Case::new("exec", vec![("run.parquet", made)]).json();
    assert_eq!(
        cells(&document, "runs", &["filename", "status", "dur_ns"]),
        [[json!("env"), json!("replaced"), json!(2_000_000_000i64)], [json!("cat"), json!("1"), json!(1_000_000_000)]]
    );
    assert_eq!(
        cells(&document, "commands", &["program", "starts", "exits", "failed"]),
        [json!(["cat", 1, 1, 1]), json!(["env", 1, 0, 0])].map(|row| row.as_array().unwrap().clone())
    );
}

#[test]
fn an_exit_without_its_start_is_dated_by_its_lifetime() {
    let mut made = Synthetic::new("builder");
    made.probe("process", "raw", 2);
    for (pid, lived) in [(10, recording::SECOND), (11, 100 * recording::SECOND)] {
        let cells = [("pid", pid.into()), ("comm", "sh".into()), ("dur_ns", lived.into()), ("exit_code", 0.into())];
        made.row("exit", 3 * recording::SECOND, &cells);
    }
    let document = Case::new("exec", vec![("run.parquet", made)]).json();
    assert_eq!(
        cells(&document, "runs", &["pid", "time_ns", "dur_ns", "executed"]),
        [
            [json!(11), Value::Null, Value::Null, json!(false)],
            [json!(10), json!(2_000_000_000i64), json!(1_000_000_000), json!(false)]
        ]
    );
}

#[test]
fn block_adds_up_devices_processes_and_requests() {
    let document = of_build("block").json();
    let fields = ["dev", "op", "count", "bytes", "device_max_ns", "queue_max_ns", "sequential", "errors", "depth_mean"];
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
fn the_summary_begins_with_slow_routes_and_failed_ones() {
    let case = Case::new("summary", vec![("run.parquet", http("builder"))]);
    let document = case.json();
    assert_eq!(
        cells(&document, "findings", &["resource", "comm", "pid", "ns", "count"]),
        [
            json!(["slow request", "nginx", 10, 550_000_000, 2]),
            json!(["failed request", "nginx", 10, 0, 1]),
            json!(["failed request", "nginx", 10, 0, 1]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let text = case.text();
    let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let slow = "GET /report of nginx (10): 2 requests of status 200 took 275 ms each, 300 ms the slowest; 98.6% of the time of its 5 requests.";
    assert!(said.contains(slow), "{text}");
    assert!(said.contains("GET /broken of nginx (10): 1 request failed, status 503 (1); it answered 5."), "{text}");
    let (found, window) = (text.find("slow request").unwrap(), text.find("The window").unwrap());
    assert!(found < window, "{text}");
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
fn processes_have_system_calls_where_they_were_recorded() {
    let document = Case::new("processes", vec![("run.parquet", syscalls("builder"))]).json();
    let fields = ["comm", "syscall.latency.sum", "syscall.latency.count", "syscall.errors.count"];
    assert_eq!(
        cells(&document, "processes", &fields),
        [[json!("cat"), json!(830_003_500), json!(5), json!(1)], [json!("find"), json!(91_000), json!(10), json!(6)],]
    );
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
fn losses_are_told_by_probe_and_by_time() {
    let document = Case::new("losses", vec![("run.parquet", lossy("builder"))]).json();
    let share = 2.5;
    assert_eq!(
        cells(&document, "probes", &["probe", "cause", "lost", "events", "lost_share"]),
        [
            json!(["process", null, 0, 9, 0.0]),
            json!(["sched", "ring full", 25, 975, share]),
            json!(["block", null, 0, 0, null]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    assert_eq!(
        cells(&document, "moments", &["time_ns", "probe", "cpu", "lost"]),
        [json!([3_000_000_000i64, "sched", 0, 20]), json!([3_000_000_000i64, "sched", 1, 5])]
            .map(|row| row.as_array().unwrap().clone())
    );
    assert_eq!(document["timelines"]["lost"]["series"], json!([{ "name": "sched", "points": [[3.0, 25.0]] }]));
}

#[test]
fn overhead_scales_samples_and_says_how_much_was_measured() {
    let document = of_build("overhead").json();
    assert_eq!(document["notes"], json!(["the time in BPF programs is estimated from 25.0% of the window"]));
    assert_eq!(
        cells(&document, "programs", &["program", "runs", "ns_per_run", "cpu", "ns"]),
        [
            json!(["sched/sched_switch", 5000, 200, 0.1, 1_000_000]),
            json!(["block/block_rq_issue", 100, 500, 0.005, 50_000]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    assert_eq!(
        cells(&document, "recorder", &["bpf_cpu", "own_cpu", "rss_bytes", "map_bytes", "measured"]),
        [[json!(0.105), json!(1.0), json!(48 << 20), json!(33 << 20), json!(25.0)]]
    );
}

#[test]
fn several_recordings_are_told_apart_by_host() {
    let two = || vec![("a.parquet", build("one")), ("b.parquet", lossy("two"))];
    for view in ["summary", "processes", "hist", "exec", "block", "losses", "overhead"] {
        let case = Case::new(view, two());
        let from_files = case.json();
        let dir = case.dir.path().to_owned();
        let from_dir = case.with(|plan| plan.files = vec![dir]).json();
        assert_eq!(from_files, from_dir, "{view}");
        for (name, rows) in from_files["tables"].as_object().unwrap() {
            for row in rows.as_array().unwrap() {
                assert!(row["host"] == "one" || row["host"] == "two", "{view} {name} {row}");
            }
        }
    }
}

#[test]
fn recordings_of_one_host_are_told_apart_by_file() {
    let document = Case::new("overhead", vec![("a.parquet", build("one")), ("b.parquet", build("one"))]).json();
    assert_eq!(cells(&document, "recorder", &["host"]), [[json!("one (a)")], [json!("one (b)")]]);
}

#[test]
fn what_is_no_recording_in_a_directory_is_left_out_and_named() {
    let case = Case::new("overhead", vec![("a.parquet", build("one"))]);
    std::fs::write(case.dir.path().join("b.parquet"), "no").unwrap();
    let dir = case.dir.path().to_owned();
    let document = case.with(|plan| plan.files = vec![dir]).json();
    let warning = document["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("left out: '") && warning.contains("b.parquet' is not a recording"), "{warning}");
}

#[test]
fn a_directory_without_recordings_is_an_error() {
    let empty = tempfile::tempdir().unwrap();
    let error = of_build("summary").with(|plan| plan.files = vec![empty.path().to_owned()]).error();
    assert!(error.message.starts_with("no recording in the directory '"), "{error}");
    assert_eq!(error.blame, Blame::Run);
}

/// Views of probes that the recording of this test has no rows of.
const UNRECORDED: &[&str] =
    &["cpu", "offcpu", "memory", "irq", "locks", "tcp", "dns", "http", "files", "signals", "events"];

#[test]
fn every_view_is_every_format_or_a_clear_error() {
    for view in ebrec::report::VIEWS {
        let made = match view.name {
            "losses" => lossy("builder"),
            "syscalls" => syscalls("builder"),
            "threads" => waiting("builder"),
            _ => build("builder"),
        };
        let case = Case::new(view.name, vec![("run.parquet", made)]);
        for format in Format::ALL {
            let plan = ReportPlan { format, ..case.plan.clone() };
            match report(&plan) {
                Ok(document) => {
                    let style = render::TextStyle { width: 80, color: true };
                    assert!(!render::text(&document, &style).is_empty());
                    // What people see as pictures or sentences, programs get as a table.
                    let for_people = !format.is_for_programs();
                    assert!(for_people || render::csv(&document, None).is_some(), "{}", view.name);
                    assert!(!render::markdown(&document).is_empty());
                    match render::svg(&document) {
                        Ok(svg) => assert!(svg.contains("<svg"), "{}", view.name),
                        Err(_) => assert!(format != Format::Svg || UNRECORDED.contains(&view.name), "{}", view.name),
                    }
                }
                Err(error) => {
                    assert_eq!((format, view.draws), (Format::Svg, false), "{} {error:#}", view.name);
                    assert_eq!(error.to_string(), format!("the view '{}' draws nothing", view.name));
                }
            }
        }
    }
}

#[test]
fn an_empty_recording_is_reported_by_every_view() {
    for view in ebrec::report::VIEWS {
        let document = Case::new(view.name, vec![("run.parquet", Synthetic::new("empty"))]).json();
        assert_eq!(document["view"], view.name);
    }
}

#[test]
fn names_from_the_kernel_reach_the_terminal_escaped() {
    let mut made = Synthetic::new("builder");
    made.probe("process", "raw", 1);
    let cells =
        [("pid", 10.into()), ("comm", "\x1b[2Jx".into()), ("filename", "a\nb".into()), ("argv", "\u{202e}c".into())];
    made.row("exec", 0, &cells);
    let case = Case::new("exec", vec![("run.parquet", made)]).with(|plan| plan.format = Format::Text);
    let text = render::text(&report(&case.plan).unwrap(), &render::TextStyle { width: 120, color: false });
    assert!(text.contains(r"\x1b[2Jx") && text.contains(r"\u{202e}c") && text.contains(r"a\x0ab"), "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
}

#[test]
fn info_shows_what_the_recording_says_of_itself() {
    let case = of_build("summary");
    let path: &PathBuf = &case.plan.files[0];
    let document: Value = serde_json::from_str(&render::json(&info(path).unwrap())).unwrap();
    assert_eq!(document["facts"]["window"], "4.00 s from 2026-11-22 12:00:00 UTC");
    assert_eq!(
        cells(&document, "probes", &["probe", "state", "mode", "events", "lost"]),
        [
            json!(["process", "ran", "raw", 9, 0]),
            json!(["sched", "ran", "slow", 5000, 0]),
            json!(["block", "ran", "slow", 110, 0])
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let kinds = cells(&document, "kinds", &["kind", "rows"]);
    assert!(kinds.contains(&vec![json!("exec"), json!(3)]), "{kinds:?}");
    assert_eq!(document["tables"]["metrics"].as_array().unwrap().len(), 11);
}

#[test]
fn threads_add_up_to_their_lives_and_the_summary_begins_with_what_was_waited_for() {
    let of = |view: &str| Case::new(view, vec![("run.parquet", waiting("builder"))]).text();
    let threads = of("threads");
    assert!(threads.contains("the states of 1 threads add up to their lives within 0.0%"), "{threads}");
    assert!(threads.contains("blocked in fsync"), "{threads}");
    let summary = of("summary");
    // Of 4 s it polled 1.5; the disk was its own, with 119 of 120 ms of requests and 800 of 840 KiB.
    let sentence = "postgres (200) waited for storage (fsync) 80.0% of the time it was not idle: 2.00 s in 100 waits, \
                    20.0 ms each. It used the disk most itself: 99.2% of vda's time, 800 KiB of 840 KiB.";
    let words: Vec<&str> = summary.split_whitespace().collect();
    assert!(words.join(" ").contains(sentence), "{summary}");
    assert!(summary.contains("idle by design: postgres (poll, 1.50 s)"), "{summary}");
    assert!(summary.find("What was waited for") < summary.find("host"), "{summary}");
}

/// A thread's time in one state, in the one interval of the recording.
fn spent(made: &mut Synthetic, (pid, tid): (i64, i64), comm: &str, (state, cause): (&str, &str), ms: i64, count: i64) {
    let cells = [
        ("pid", pid.into()),
        ("tid", tid.into()),
        ("comm", comm.into()),
        ("dur_ns", (4 * SECOND).into()),
        ("state", state.into()),
        ("cause", cause.into()),
        ("sum", (ms * MS).into()),
        ("count", count.into()),
    ];
    made.row("ledger", 4 * SECOND, &cells);
}

/// The findings of a recording: resource, who waited, and who had it.
fn findings(made: Synthetic) -> Vec<Vec<Value>> {
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    cells(&document, "findings", &["resource", "comm", "by_comm"])
}

#[test]
fn the_one_that_fills_the_disk_is_named_and_the_one_that_waits_for_it() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9).probe("block", "slow", 9);
    made.metric("block.device_time", "histogram", "ns", &["dev", "pid", "comm"]);
    made.metric("block.size", "histogram", "bytes", &["dev", "pid", "comm"]);
    for (pid, comm, count, ns, bytes) in [(7, "victim", 400, 2_000_000, 4096), (8, "noisy", 9000, 2_000_000, 1 << 20)] {
        let by = [("dev", "vda".into()), ("pid", pid.into()), ("comm", comm.into())];
        made.values("block.device_time", 4 * SECOND, &by, &vec![ns; count]);
        made.values("block.size", 4 * SECOND, &by, &vec![bytes; count]);
        spent(&mut made, (pid, pid), comm, ("uninterruptible", "fsync"), 3000, 400);
        spent(&mut made, (pid, pid), comm, ("on_cpu", ""), 1000, 400);
    }
    assert_eq!(findings(made), [[json!("disk"), json!("victim"), json!("noisy")]]);
}

#[test]
fn threads_that_wait_for_a_timer_are_no_lock_convoy() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9);
    // The one thread wakes up every 50 ms and does next to nothing; the others hold a lock in turn.
    spent(&mut made, (7, 7), "timer", ("interruptible", "futex"), 3990, 80);
    spent(&mut made, (7, 7), "timer", ("on_cpu", ""), 10, 80);
    for tid in 20..24 {
        spent(&mut made, (20, tid), "convoy", ("interruptible", "futex"), 3000, 1000);
        spent(&mut made, (20, tid), "convoy", ("on_cpu", ""), 1000, 1000);
    }
    assert_eq!(findings(made), [[json!("lock"), json!("convoy"), Value::Null]]);
}

#[test]
fn who_has_the_cpus_is_named_and_who_starves() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9);
    made.metric("sched.on_cpu", "counter", "ns", &["pid", "comm"]);
    for (pid, comm, on_cpu) in [(7, "service", 400u64), (8, "hog", 3600), (9, "hog", 3600)] {
        let by = [("pid", pid.into()), ("comm", comm.into())];
        made.counter("sched.on_cpu", 4 * SECOND, &by, 1, on_cpu * 1_000_000);
        spent(&mut made, (pid, pid), comm, ("on_cpu", ""), on_cpu.cast_signed(), 100);
        spent(&mut made, (pid, pid), comm, ("runnable", ""), 4000 - on_cpu.cast_signed(), 100);
    }
    assert_eq!(findings(made), [[json!("CPU"), json!("service"), json!("hog")]]);
}

#[test]
fn a_quiet_machine_is_told_that_it_is() {
    let mut made = Synthetic::new("builder");
    made.probe("sched", "slow", 9);
    spent(&mut made, (7, 7), "server", ("interruptible", "poll"), 3990, 4);
    spent(&mut made, (7, 7), "server", ("on_cpu", ""), 10, 4);
    let text = Case::new("summary", vec![("run.parquet", made)]).text();
    assert!(text.contains("quiet  no process waited for a CPU, a disk, a lock or memory"), "{text}");
}

#[test]
fn a_heat_map_has_a_column_for_each_interval_and_every_value_in_it() {
    let case = of_build("heatmap").with(|plan| plan.metrics = vec!["block.device_time".into()]);
    let columns = case.json()["heatmaps"]["block.device_time"]["columns"].clone();
    let column = |at: usize| {
        let column = &columns[at];
        let buckets = column["buckets"].as_array().unwrap().iter();
        let count: i64 = buckets.map(|bucket| bucket["count"].as_i64().unwrap()).sum();
        (column["begin"].as_f64().unwrap(), column["end"].as_f64().unwrap(), count)
    };
    assert_eq!([0, 1, 2, 3].map(column), [(0.0, 1.0, 0), (1.0, 2.0, 110), (2.0, 3.0, 0), (3.0, 4.0, 0)]);
    let text = case.text();
    assert!(text.contains("most 99"), "{text}");
    let unknown = of_build("heatmap").with(|plan| plan.metrics = vec!["block.device_tim".into()]).error();
    assert_eq!(unknown.message, "no metric 'block.device_tim' in the recording");
    let counter = of_build("heatmap").with(|plan| plan.metrics = vec!["sched.switches".into()]).text();
    assert!(counter.contains("'sched.switches' is a counter"), "{counter}");
}

#[test]
fn a_timeline_has_rates_and_percentiles_of_each_interval() {
    let metrics = vec!["sched.on_cpu".into(), "block.device_time".into()];
    let document = of_build("timeline").with(|plan| plan.metrics = metrics).json();
    // 1 s of CPU time, one half of it in each of two seconds.
    let points = |plot: &str, line: usize| document["timelines"][plot]["series"][line]["points"].clone();
    assert_eq!(points("sched.time", 0), json!([[0.5, 50.0], [1.5, 0.0], [2.5, 50.0], [3.5, 0.0]]));
    assert_eq!(points("block.rate", 0), json!([[0.5, 0.0], [1.5, 110.0], [2.5, 0.0], [3.5, 0.0]]));
    assert_eq!(document["timelines"]["block.latency"]["series"][1]["name"], "device_time p99");
    assert_eq!(points("block.latency", 1).as_array().unwrap().len(), 1);
    let fields = ["time_ns", "metric", "count", "sum"];
    let rows = cells(&document, "intervals", &fields);
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[5], [json!(2 * SECOND), json!("block.device_time"), json!(110), json!(120_000_000)]);
    // A probe's name stands for all of its metrics, of which it has five.
    let of_probe = of_build("timeline").with(|plan| plan.metrics = vec!["block".into()]).json();
    assert_eq!(cells(&of_probe, "intervals", &fields).len(), 20);
    let text = of_build("timeline").with(|plan| plan.filter.comms = vec!["cc1".into()]).text();
    assert!(text.contains("sched: share of time"), "{text}");
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
    let case = Case::new("slow", vec![("run.parquet", made)]);
    let document = case.json();
    let fields = ["dur_ns", "kind", "comm", "dev", "overlapping", "busiest_comm", "busiest"];
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
