//! `ebrec export`: promtool makes blocks of it, Prometheus and VictoriaMetrics take it and answer as the recording does.
//!
//! The servers are started on free ports of the loopback interface and ended with the test.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use ebrec::hist::ERROR;
use ebrec::hist::Histogram;
use ebrec::recording::Recording;
use ebrec::units::Unit;

use crate::skip::skip;

const FIXTURES: [&str; 4] = ["compile", "fio", "redis", "storm"];
/// The longest that a server may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.parquet"))
}

fn ebrec(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ebrec")).arg("export").args(words).output().unwrap()
}

/// Runs an export that works, and gives what it says on stderr.
fn export(words: &[&str]) -> String {
    let output = ebrec(words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words:?}: {said}");
    said
}

/// What a recording itself says of a metric.
struct Truth {
    metric: String,
    unit: Unit,
    /// Of the rows that hold totals.
    count: u64,
    sum: u64,
    /// `None` for a counter.
    buckets: Option<Histogram>,
}

/// The metrics that a recording has rows of, and its last moment in seconds.
fn truths(path: &Path) -> (Vec<Truth>, f64) {
    let recording = Recording::open(path).unwrap();
    let mut truths: BTreeMap<String, Truth> = BTreeMap::new();
    let mut last = 0;
    for kind in ["metric", "hist"] {
        let columns = ["metric", "count", "sum", "bucket_lo", "bucket_hi", "ts", "ts_sub_ns"];
        for chunk in recording.scan(kind, &columns).unwrap() {
            let chunk = chunk.unwrap();
            for row in 0..chunk.len() {
                last = last.max(chunk.times(5, 6).get(row).unwrap());
                let name = chunk.text(0).get(row).unwrap().to_owned();
                let meta = recording.meta().metrics.iter().find(|metric| metric.name == name).unwrap();
                let truth = truths.entry(name.clone()).or_insert_with(|| Truth {
                    metric: name,
                    unit: Unit::parse(&meta.unit).unwrap(),
                    count: 0,
                    sum: 0,
                    buckets: (meta.kind == "histogram").then(Histogram::new),
                });
                let number = |column| chunk.int(column).get(row).unwrap().cast_unsigned();
                match &mut truth.buckets {
                    Some(buckets) if kind == "hist" => buckets.add_bucket(number(3), number(4), number(1)),
                    _ => (truth.count, truth.sum) = (truth.count + number(1), truth.sum + number(2)),
                }
            }
        }
    }
    // Databases keep milliseconds.
    (truths.into_values().collect(), (last / 1_000_000) as f64 / 1e3)
}

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Starts a program and waits until it answers at `ready`.
    fn start(program: &str, arguments: &[String], port: u16, ready: &str) -> Server {
        let mut command = Command::new(program);
        command.args(arguments).env_remove("LD_LIBRARY_PATH").stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = Server { child: command.stderr(Stdio::null()).spawn().unwrap(), port };
        let end = Instant::now() + PATIENCE;
        while server.get(ready, &[]).is_none() {
            assert!(server.child.try_wait().unwrap().is_none(), "{program} ended");
            assert!(Instant::now() < end, "{program} does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// A Prometheus over the blocks in a directory.
    fn prometheus(data: &Path) -> Server {
        let port = free_port();
        let config = data.join("prometheus.yml");
        std::fs::create_dir_all(data).unwrap();
        std::fs::write(&config, "").unwrap();
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", data.join("tsdb").display()),
            "--storage.tsdb.retention.time=100y".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--web.enable-remote-write-receiver".to_owned(),
        ];
        Server::start("prometheus", &arguments, port, "/-/ready")
    }

    fn victoria(data: &Path) -> Server {
        let port = free_port();
        let arguments = [
            format!("-storageDataPath={}", data.display()),
            format!("-httpListenAddr=127.0.0.1:{port}"),
            "-retentionPeriod=100y".to_owned(),
        ];
        Server::start("victoria-metrics", &arguments, port, "/health")
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<String> {
        let mut request = ureq::get(self.url(path));
        for (name, value) in query {
            request = request.query(*name, *value);
        }
        request.call().ok()?.body_mut().read_to_string().ok()
    }

    /// The one number that an expression has at a time; `None` without data.
    fn ask(&self, expression: &str, at: f64) -> Option<f64> {
        let at = format!("{at:.3}");
        let answer = self.get("/api/v1/query", &[("query", expression), ("time", &at), ("nocache", "1")]).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let result = answer["data"]["result"].as_array().unwrap();
        assert!(result.len() < 2, "{expression}: {answer}");
        result.first()?["value"][1].as_str()?.parse().ok()
    }

    /// Holds what it answers against the recording; boundaries are so many in each power of two.
    fn agrees_with(&self, file: &Path, steps: u32) {
        let (truths, last) = truths(file);
        assert!(truths.len() > 8, "{}", file.display());
        for truth in &truths {
            let base = match truth.unit {
                Unit::Nanoseconds => 1e9,
                _ => 1.0,
            };
            let mut name = format!("ebrec_{}", truth.metric.replace('.', "_"));
            match truth.unit {
                Unit::Nanoseconds => name.push_str("_seconds"),
                Unit::Bytes => name.push_str("_bytes"),
                _ => {}
            }
            let same = |expression: &str, expected: f64| {
                let found = self.ask(expression, last).unwrap_or_else(|| panic!("no {expression}"));
                assert!((found - expected).abs() <= expected * 1e-9, "{expression}: {found}, recorded {expected}");
            };
            let Some(buckets) = &truth.buckets else {
                let expected = if truth.unit == Unit::Count { truth.count as f64 } else { truth.sum as f64 / base };
                same(&format!("sum({name}_total)"), expected);
                continue;
            };
            same(&format!("sum({name}_count)"), buckets.count() as f64);
            same(&format!("sum({name}_bucket{{le=\"+Inf\"}})"), buckets.count() as f64);
            same(&format!("sum({name}_sum)"), truth.sum as f64 / base);
            for q in [0.5, 0.9, 0.99] {
                let expression = format!("histogram_quantile({q}, sum by (le) ({name}_bucket))");
                let found = self.ask(&expression, last).unwrap() * base;
                let own = buckets.percentile(q).unwrap();
                // A bucket's width, the recording's own error, and the one unit by which an inclusive bound is short.
                let error = own * (1.0 / f64::from(steps) + ERROR) + 1.0;
                assert!((found - own).abs() <= error, "{expression}: {found}, recorded {own} ± {error}");
            }
        }
    }
}

/// Whether a program is installed; said aloud where it is not.
fn here(test: &str, program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        skip(test, &format!("no {program}"));
    }
    found
}

#[test]
fn promtool_makes_blocks_from_which_prometheus_answers_as_the_recording_does() {
    const TEST: &str = "promtool_makes_blocks_from_which_prometheus_answers_as_the_recording_does";
    if !here(TEST, "promtool") || !here(TEST, "prometheus") {
        return;
    }
    for (name, steps) in FIXTURES.into_iter().zip([1u32, 2, 4, 16]) {
        let dir = tempfile::tempdir().unwrap();
        let (file, text) = (fixture(name), dir.path().join("run.om"));
        let steps_word = steps.to_string();
        let words = ["--to", "openmetrics", "-n", "3", "--buckets", &steps_word, "-o", text.to_str().unwrap()];
        export(&[&words[..], &[file.to_str().unwrap()]].concat());
        let mut promtool = Command::new("promtool");
        promtool.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&text).arg(dir.path().join("tsdb"));
        let made = promtool.output().unwrap();
        assert!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
        Server::prometheus(dir.path()).agrees_with(&file, steps);
    }
}

#[test]
fn prometheus_takes_a_push_and_answers_as_the_recording_does() {
    const TEST: &str = "prometheus_takes_a_push_and_answers_as_the_recording_does";
    if !here(TEST, "prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::prometheus(dir.path());
    let file = fixture("redis");
    let said = export(&["--push", &server.url("/api/v1/write"), file.to_str().unwrap()]);
    assert!(said.starts_with("pushed ") && said.ends_with(" requests\n"), "{said}");
    server.agrees_with(&file, 4);
    let missing = ebrec(&["--push", &server.url("/nowhere/write"), file.to_str().unwrap()]);
    let said = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(said.contains("/nowhere/write': 4") && said.contains("hint: "), "{said}");
}

#[test]
fn victoria_metrics_takes_text_and_both_pushes_and_answers_as_the_recording_does() {
    const TEST: &str = "victoria_metrics_takes_text_and_both_pushes_and_answers_as_the_recording_does";
    if !here(TEST, "victoria-metrics") {
        return;
    }
    for (name, road) in [("compile", "file"), ("redis", "/api/v1/import/prometheus"), ("fio", "/api/v1/write")] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::victoria(&dir.path().join("data"));
        let file = fixture(name);
        if road == "file" {
            let text = dir.path().join("run.prom");
            export(&["--to", "prometheus", "--label-pids", "-o", text.to_str().unwrap(), file.to_str().unwrap()]);
            let answer = ureq::post(server.url("/api/v1/import/prometheus")).send(&std::fs::read(text).unwrap()[..]);
            assert!(answer.unwrap().status().is_success());
        } else {
            export(&["--push", &server.url(road), "-n", "2", file.to_str().unwrap()]);
        }
        server.get("/internal/force_flush", &[]).unwrap();
        server.agrees_with(&file, 4);
    }
}

/// Answers one request after the other with these statuses, and gives how many it had.
fn answering(statuses: &'static [&'static str]) -> (u16, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
            stream.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
            let body = "no\nsecond line";
            let length = if status.starts_with("204") { 0 } else { body.len() };
            let close = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all(close.as_bytes()).unwrap();
            stream.write_all(&body.as_bytes()[..length]).unwrap();
        }
        statuses.len()
    });
    (port, thread)
}

#[test]
fn a_push_is_tried_again_where_that_may_help_and_else_ends_with_one_line() {
    let file = fixture("fio");
    let push = |port: u16| {
        let url = format!("http://127.0.0.1:{port}/api/v1/import/prometheus");
        let output = ebrec(&["--push", &url, "-n", "1", "--buckets", "1", file.to_str().unwrap()]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (port, server) = answering(&["503 Service Unavailable", "429 Too Many Requests", "204 No Content"]);
    let (code, said) = push(port);
    assert_eq!((code, server.join().unwrap()), (Some(0), 3), "{said}");
    let (port, server) = answering(&["400 Bad Request"]);
    let (code, said) = push(port);
    server.join().unwrap();
    let expected = format!("ebrec: can't push to 'http://127.0.0.1:{port}/api/v1/import/prometheus': 400: no\n");
    assert_eq!((code, said), (Some(1), expected));
    let (code, said) = push(free_port());
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("', 4 tries: "), "{said}");
}

#[test]
fn label_sets_beyond_the_heaviest_are_added_up_and_none_has_a_process_id_unless_asked() {
    let file = fixture("redis");
    let lines = |words: &[&str]| {
        let output = ebrec(&[words, &["--to", "prometheus", file.to_str().unwrap()]].concat());
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = lines(&["-n", "2"]);
    let sets = |text: &str| {
        let name = "ebrec_sched_slice_seconds_count{";
        let sets: std::collections::BTreeSet<String> =
            text.lines().filter_map(|line| Some(line.strip_prefix(name)?.split('}').next()?.to_owned())).collect();
        sets
    };
    assert_eq!(sets(&text).len(), 3, "{:?}", sets(&text));
    assert!(sets(&text).iter().any(|set| set.contains("comm=\"other\"")));
    assert!(!text.contains("pid=\""));
    let with_pids = lines(&["--label-pids", "-n", "1000"]);
    assert!(sets(&with_pids).iter().all(|set| set.contains("pid=\"")) && !with_pids.contains("\"other\""));
}

#[test]
fn losses_cost_and_states_are_counters_at_the_ends_of_intervals() {
    let file = fixture("web");
    let output = ebrec(&["--to", "prometheus", "--top", "0", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    // Name, value and time of the last sample of each series.
    let mut last: BTreeMap<&str, (f64, &str)> = BTreeMap::new();
    let mut times = std::collections::BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, rest) = line.rsplit_once("} ").unwrap();
        let (value, time) = rest.split_once(' ').unwrap();
        last.insert(series, (value.parse().unwrap(), time));
        times.insert(time);
    }
    let recording = Recording::open(&file).unwrap();
    let sum = |kind: &str, column: &str, op: Option<&str>| {
        let mut sum = 0;
        for chunk in recording.scan(kind, &[column, "op"]).unwrap() {
            let chunk = chunk.unwrap();
            let rows = (0..chunk.len()).filter(|row| op.is_none() || chunk.text(1).get(*row) == op);
            sum += rows.filter_map(|row| chunk.int(0).get(row)).sum::<i64>();
        }
        sum as f64 / 1e9
    };
    let total = |name: &str| {
        let own = last.iter().filter(|(series, _)| series.split('{').next() == Some(name));
        own.map(|(_, (value, _))| value).sum::<f64>()
    };
    for (name, expected) in [
        ("ebrec_threads_time_seconds_total", sum("ledger", "sum", None)),
        ("ebrec_cpus_time_seconds_total", sum("cpu_ledger", "sum", None)),
        ("ebrec_recording_bpf_time_seconds_total", sum("cost", "sum", Some("program"))),
        ("ebrec_recording_cpu_time_seconds_total", sum("cost", "sum", Some("cpu"))),
        ("ebrec_recording_time_seconds_total", recording.meta().window.actual_ns as f64 / 1e9),
    ] {
        assert!(expected > 0.0 && (total(name) / expected - 1.0).abs() < 1e-3, "{name}: {} of {expected}", total(name));
    }
    // Nothing was lost, which differs from nothing being known.
    let probes = recording.meta().probes.iter().filter(|probe| probe.state.has_run());
    for probe in probes {
        let series = format!("ebrec_recording_lost_total{{host=\"vm\",probe=\"{}\"", probe.name);
        assert_eq!(last.get(series.as_str()).map(|(value, _)| *value), Some(0.0), "{series}");
    }
    // Threads end at any time, and samples come at the ends of intervals all the same.
    assert!(times.len() < 70, "{} times", times.len());
    let filtered = ebrec(&["--to", "prometheus", "--comm", "nobody", file.to_str().unwrap()]);
    let said = String::from_utf8(filtered.stderr).unwrap();
    assert!(filtered.status.code() == Some(1) && said.contains("passes the filters"), "{said}");
}
