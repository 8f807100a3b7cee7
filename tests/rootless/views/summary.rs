//! The first screen: what it adds up, and what it warns of.

use serde_json::Value;
use serde_json::json;

use super::Case;
use super::cells;
use super::of_build;
use crate::synthetic::build::build;
use crate::synthetic::build::http;
use crate::synthetic::build::lossy;
use crate::synthetic::build::waiting;
use crate::synthetic::recording::Cell;
use crate::synthetic::recording::MS;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

#[test]
fn the_summary_of_a_whole_recording_says_so_first() {
    let document = of_build("summary").json();
    assert_eq!(document["notes"], json!(["complete: no event lost"]));
    assert_eq!(document["warnings"], json!([]));
}

#[test]
fn the_summary_adds_up_what_the_machine_did() {
    let document = of_build("summary").json();
    let fields =
        ["window_ns", "lost", "events", "cpu_pct", "cpu_ns", "runqueue_ns", "starts", "exits", "io", "io_bytes"];
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

/// A thread whose switch from its CPU went unseen has more time than there was: 108.6 % of the machine were «in use».
#[test]
fn the_machine_is_no_busier_than_its_cpus() {
    let document = Case::new("summary", vec![("run.parquet", waiting("builder"))]).json();
    assert_eq!(document["facts"]["CPU"], "12.5% in use: 1.00 s of 8.00 s");
    let mut made = waiting("builder");
    let ghost = [("pid", 1.into()), ("comm", "systemd".into())];
    made.counter("sched.on_cpu", 4 * SECOND, &ghost, 1, 9 * SECOND.cast_unsigned());
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    assert_eq!(document["facts"]["CPU"], "12.5% in use: 1.00 s of 8.00 s");
}

#[test]
fn the_summary_ranks_commands_by_cpu_and_counts_their_starts() {
    let document = of_build("summary").json();
    let fields = ["comm", "pid", "processes", "starts", "cpu_ns", "cpu_pct", "runqueue_ns", "io", "io_bytes", "io_ns"];
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
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
}

/// A flush that writes a hundred blocks is one thing that happened, not the ten slowest.
#[test]
fn slow_events_that_follow_one_another_are_one_burst() {
    let mut made = build("builder");
    let write =
        |pid| [("dev", Cell::Text("vdb")), ("op", "write".into()), ("pid", Cell::Int(pid)), ("comm", "sync".into())];
    for (pid, at, took) in [(400, 1000, 50), (401, 1020, 90), (402, 1100, 40), (400, 2000, 60)] {
        made.row("block_io", at * MS, &[&write(pid)[..], &[("dur_ns", Cell::Int(took * MS))]].concat());
    }
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    let rows = cells(&document, "slowest", &["what", "comm", "dur_ns", "pid", "count", "burst_ns"]);
    assert_eq!(
        rows[..2],
        [
            // From 930 to 1100 ms, by three processes.
            json!(["disk write", "sync", 90 * MS, null, 3, 170 * MS]),
            json!(["disk write", "sync", 60 * MS, 400, 1, 60 * MS]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
}

/// A slow event is one whatever its kind: also of a custom event, or of a probe that this report does not know.
#[test]
fn every_kind_of_slow_event_is_among_the_slowest() {
    let mut made = build("builder");
    made.probe("disc", "slow", 1).slow("disc", "disc_change", MS);
    let cells_of_row = [("pid", Cell::Int(200)), ("comm", "postgres".into()), ("op", "eject".into())];
    made.row("disc_change", 2 * SECOND, &[&cells_of_row[..], &[("dur_ns", Cell::Int(SECOND))]].concat());
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    let rows = cells(&document, "slowest", &["what", "comm", "dur_ns"]);
    assert_eq!(rows[0], *json!(["disc change eject", "postgres", SECOND]).as_array().unwrap());
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
    made.counter("sched.runqueue_latency", SECOND, &by, 5, 5000);
    let document = Case::new("summary", vec![("run.parquet", made)]).json();
    assert_eq!(document["warnings"], json!(["the histogram 'sched.runqueue_latency' holds 6 of 11 values"]));
}

#[test]
fn skipped_checkpoints_and_late_intervals_are_stated() {
    for view in ["summary", "losses"] {
        let mut made = Synthetic::new("builder");
        made.meta.skipped_checkpoints = 2;
        for (at, length) in [(1000, 1000), (3400, 2400), (5000, 1500)] {
            let own = [("name", "ebrec".into()), ("op", "cpu".into()), ("dur_ns", Cell::Int(length * MS))];
            made.row("cost", at * MS, &own);
        }
        let document = Case::new(view, vec![("run.parquet", made)]).json();
        assert_eq!(
            document["warnings"],
            json!([
                "2 checkpoints were skipped while the disk was slow; a kill then would have lost more than the last second",
                "1 of 3 intervals ended late, up to 2.40 s long instead of 1.00 s: counts are complete, their times less exact",
            ])
        );
    }
}

#[test]
fn a_recording_whose_writer_was_killed_says_so() {
    let case = of_build("summary");
    let path = case.dir.path().join("cut.parquet");
    build("builder").write_partial(&path);
    let document = case.with(|plan| plan.files = vec![path.with_extension("parquet.partial")]).json();
    let expected = "unfinished: its writer was killed or is still running; the last rows may be missing";
    assert_eq!(document["warnings"], json!([expected]));
    assert_eq!(cells(&document, "hosts", &["partial"]), [[json!(true)]]);
}

#[test]
fn threads_add_up_to_their_lives_and_the_summary_begins_with_what_was_waited_for() {
    let of = |view: &str| Case::new(view, vec![("run.parquet", waiting("builder"))]).text();
    let threads = of("threads");
    assert!(threads.contains("the states of one thread add up to its life within 0.0%"), "{threads}");
    assert!(threads.contains("blocked in fsync"), "{threads}");
    let summary = of("summary");
    // Of 4 s it polled 1.5; the disk was its own, with 119 of 120 ms of requests and 800 of 840 KiB.
    let sentence = "postgres (200) waited for storage (fsync) 80.0% of the time it was not idle: 2.00 s in 100 waits, \
                    20.0 ms each. It used the disk most itself: 99.2% of vda's time, 800 KiB of 840 KiB.";
    let words: Vec<&str> = summary.split_whitespace().collect();
    assert!(words.join(" ").contains(sentence), "{summary}");
    assert!(summary.contains("idle by design: postgres (poll, 1.50 s)"), "{summary}");
    assert!(summary.find("Findings") < summary.find("host"), "{summary}");
}

#[test]
fn the_summary_begins_with_slow_routes_and_failed_ones() {
    let case = Case::new("summary", vec![("run.parquet", http("builder"))]);
    let document = case.json();
    assert_eq!(
        cells(&document, "findings", &["resource", "comm", "pid", "waited_ns", "count"]),
        [
            json!(["failed request", "nginx", 10, 0, 1]),
            json!(["failed request", "nginx", 10, 0, 1]),
            json!(["slow request", "nginx", 10, 550_000_000, 2]),
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

/// 20 curls of a slow route and 10 of a broken one, and one wget.
fn short_lived_clients() -> Synthetic {
    let mut made = Synthetic::new("builder");
    made.probe("http", "slow", 40);
    made.metric("http.latency", "histogram", "ns", &["pid", "comm", "op", "http_status", "http_side", "http_tls"]);
    let mut ask = |pid: i64, comm: &'static str, path: &'static str, status: i64, took_ns: u64| {
        let by = [
            ("pid", Cell::Int(pid)),
            ("comm", Cell::Text(comm)),
            ("op", Cell::Text("GET")),
            ("http_side", Cell::Text("client")),
            ("http_status", Cell::Int(status)),
        ];
        made.values("http.latency", SECOND, &by, &[took_ns]);
        let own = [("dur_ns", Cell::Int(took_ns.cast_signed())), ("http_path", Cell::Text(path))];
        made.row("http", 900_000_000, &[&by[..], &own].concat());
    };
    (0..20).for_each(|at| ask(1000 + at, "curl", "/slow", 200, 200_000_000 + u64::try_from(at).unwrap() * 1_000_000));
    (0..10).for_each(|at| ask(1100 + at, "curl", "/broken", 503, 1_000_000));
    ask(1200, "wget", "/slow", 200, 150_000_000);
    made
}

#[test]
fn one_route_of_many_short_lived_clients_is_one_row_of_the_view() {
    let document = Case::new("http", vec![("run.parquet", short_lived_clients())]).json();
    let expected = [
        json!(["/slow", "curl", null, 20, 20, 4_190_000_000i64, 0]),
        json!(["/slow", "wget", 1200, 1, 1, 150_000_000, 0]),
        json!(["/broken", "curl", null, 10, 10, 10_000_000, 10]),
    ];
    assert_eq!(
        cells(&document, "routes", &["path", "comm", "pid", "processes", "count", "sum_ns", "failed"]),
        expected.map(|row| row.as_array().unwrap().clone())
    );
}

/// Each request of a shell's loop is another curl: of 20 findings, two were shown, and none of the other routes.
#[test]
fn one_route_of_many_short_lived_clients_is_one_finding() {
    let case = Case::new("summary", vec![("run.parquet", short_lived_clients())]);
    assert_eq!(
        cells(&case.json(), "findings", &["resource", "comm", "pid", "waited_ns", "count"]),
        [
            json!(["slow request", "curl", null, 4_190_000_000i64, 20]),
            json!(["failed request", "curl", null, 0, 10]),
            json!(["slow request", "wget", 1200, 150_000_000, 1]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    let said = case.text().split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        "GET /slow asked by curl (20 processes): 20 requests of status 200 took 210 ms each, 219 ms the slowest; \
         99.8% of the time of their 30 requests.",
        "GET /broken asked by curl (10 processes): 10 requests failed, status 503 (10); they had 30 answers.",
    ] {
        assert!(said.contains(sentence), "{sentence}\n{said}");
    }
}

#[test]
fn kills_of_one_command_are_named_once() {
    let mut made = Synthetic::new("builder");
    made.probe("memory", "slow", 5);
    for (at, (comm, mib)) in [("worker", 100), ("worker", 300), ("make", 16), ("worker", 200)].into_iter().enumerate() {
        let at = i64::try_from(at).unwrap();
        let own = [("pid", (500 + at).into()), ("comm", comm.into()), ("memory_anon_rss_bytes", (mib << 20).into())];
        made.row("oom", (at + 1) * 100_000_000, &own);
    }
    let said = Case::new("summary", vec![("run.parquet", made)]).text();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = "4 killed because memory ran out: worker (3 processes, largest 300 MiB), make (502, 16.0 MiB)";
    assert!(said.contains(line), "{said}");
}
