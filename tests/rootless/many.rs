//! Reports of many recordings: the same numbers as of a few, in memory and with files open that do not grow with their number.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use ebrec::hist::Histogram;
use ebrec::recording::Recording;
use ebrec::render;
use ebrec::report::VIEWS;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::report::report;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::measured;
use crate::synthetic::build;
use crate::synthetic::fleet::host;
use crate::synthetic::recording::Synthetic;
use crate::synthetic::service::Planted;
use crate::synthetic::service::service;

/// Recordings that are all open at a time.
const FEW: usize = 8;

fn json(plan: &ReportPlan) -> Value {
    serde_json::from_str(&render::json(&report(plan).unwrap())).unwrap()
}

fn plan(view: &str, files: Vec<PathBuf>) -> ReportPlan {
    ReportPlan { view: view.to_owned(), files, format: Format::Json, width: 100, ..ReportPlan::default() }
}

/// Recordings of hosts h0, h1, …, one of each sort of synthetic ones.
fn mixed(dir: &Path, number: usize) -> Vec<PathBuf> {
    let recording = |at: usize, host: &str| -> Synthetic {
        let mut made = match at % 6 {
            0 => build::waiting(host),
            1 => build::lossy(host),
            2 => build::http(host),
            3 => service(at as u64, Planted::Disk),
            4 => build::syscalls(host),
            _ => service(at as u64, Planted::Nothing),
        };
        host.clone_into(&mut made.meta.host.hostname);
        made
    };
    let write = |at: usize| {
        let path = dir.join(format!("{at:03}.parquet"));
        recording(at, &format!("h{at}")).write(&path);
        path
    };
    (0..number).map(write).collect()
}

/// A fleet in directories by date and host, in which host 5 has a slow disk.
fn fleet(hosts: u64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..hosts {
        let place = dir.path().join(format!("date=2026-11-22/host={number:04}"));
        fs::create_dir_all(&place).unwrap();
        host(number, number == 5).write(&place.join("run.parquet"));
    }
    dir
}

/// Rows without what is null: a table has the columns of all its recordings.
fn rows(table: &Value) -> Vec<Value> {
    let rows = table.as_array().unwrap().iter().map(|row| {
        let cells = row.as_object().unwrap().iter().filter(|(_, cell)| !cell.is_null());
        Value::Object(cells.map(|(name, cell)| (name.clone(), cell.clone())).collect())
    });
    rows.collect()
}

#[test]
fn every_table_of_many_recordings_has_the_rows_that_it_has_of_a_few() {
    let dir = tempfile::tempdir().unwrap();
    let many = mixed(dir.path(), FEW + 2);
    let few = many[..FEW].to_vec();
    let is_among_few = |row: &Value| (0..FEW).any(|at| row["host"] == format!("h{at}"));
    let mut compared = 0;
    for view in VIEWS {
        let (of_few, of_many) = (json(&plan(view.name, few.clone())), json(&plan(view.name, many.clone())));
        for (name, table) in of_few["tables"].as_object().unwrap() {
            let expected = rows(table);
            let found: Vec<Value> = rows(&of_many["tables"][name]).into_iter().filter(is_among_few).collect();
            let is_cut = of_many["omitted"].get(name).is_some();
            let mut expected = if is_cut { expected[..found.len()].to_vec() } else { expected };
            let mut found = found;
            if view.name == "processes" {
                // Alone, recordings without CPU time are in the order of another metric.
                [&mut expected, &mut found].into_iter().for_each(|rows| rows.sort_by_key(Value::to_string));
            }
            assert_eq!(found, expected, "{} {name}", view.name);
            compared += found.len();
        }
    }
    assert!(compared > 300, "{compared} rows");
}

#[test]
fn a_call_tree_is_one_table_with_hosts_whatever_the_number_of_recordings() {
    let dir = tempfile::tempdir().unwrap();
    let write = |at: usize| {
        let mut made = service(at as u64, Planted::Nothing);
        made.meta.host.hostname = format!("h{at}");
        let path = dir.path().join(format!("{at}.parquet"));
        made.write(&path);
        path
    };
    let files: Vec<PathBuf> = (0..FEW + 1).map(write).collect();
    let alone = |file: &PathBuf| rows(&json(&plan("cpu", vec![file.clone()]))["tables"]["tree"]);
    for number in [2, FEW, FEW + 1] {
        let document = json(&plan("cpu", files[..number].to_vec()));
        let trees: Vec<&String> =
            document["tables"].as_object().unwrap().keys().filter(|name| name.starts_with("tree")).collect();
        assert_eq!(trees, ["tree"], "{number}");
        let found = rows(&document["tables"]["tree"]);
        for (at, file) in files[..number].iter().enumerate() {
            let mut of_host: Vec<Value> = found.iter().filter(|row| row["host"] == format!("h{at}")).cloned().collect();
            of_host.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("host")));
            assert!(!of_host.is_empty());
            assert_eq!(of_host, alone(file), "h{at} of {number}");
        }
    }
}

/// What files themselves say of a metric.
fn truth(files: &[PathBuf], metric: &str) -> Histogram {
    let mut truth = Histogram::new();
    for file in files {
        let recording = Recording::open(file).unwrap();
        for chunk in recording.scan("hist", &["metric", "bucket_lo", "bucket_hi", "count"]).unwrap() {
            let chunk = chunk.unwrap();
            let number = |column: usize, at: usize| chunk.int(column).get(at).unwrap().cast_unsigned();
            for at in (0..chunk.len()).filter(|at| chunk.text(0).get(*at) == Some(metric)) {
                truth.add_bucket(number(1, at), number(2, at), number(3, at));
            }
        }
    }
    truth
}

#[test]
fn percentiles_over_all_hosts_are_those_of_all_their_values() {
    let dir = fleet(12);
    let metric = "block.device_time";
    let files: Vec<PathBuf> =
        (0..12).map(|number| dir.path().join(format!("date=2026-11-22/host={number:04}/run.parquet"))).collect();
    let truth = truth(&files, metric);
    let near = |value: &Value, q: f64| (value.as_f64().unwrap() - truth.percentile(q).unwrap()).abs() <= 1.0;
    let of_all = json(&ReportPlan { by: vec!["host".into()], ..plan("summary", vec![dir.path().to_owned()]) });
    let fleet = of_all["tables"]["fleet"].as_array().unwrap();
    let row = fleet.iter().find(|row| row["metric"] == metric).unwrap();
    assert_eq!((&row["hosts"], &row["count"]), (&json!(12), &json!(truth.count())));
    assert!(near(&row["p50"], 0.5) && near(&row["p99"], 0.99) && near(&row["p90"], 0.9), "{row}");
    assert_eq!(row["highest_host"], "host-0005");
    // The picture of the view of one metric has every bucket.
    let plan = ReportPlan { metrics: vec![metric.into()], ..plan("hist", vec![dir.path().to_owned()]) };
    let series = &json(&plan)["histograms"][metric]["series"];
    assert_eq!(series.as_array().unwrap().len(), 1);
    let bucket = |bucket: &Value| ["lo", "hi", "count"].map(|name| bucket[name].as_u64().unwrap());
    let buckets: Vec<[u64; 3]> = series[0]["buckets"].as_array().unwrap().iter().map(bucket).collect();
    assert_eq!(buckets, truth.buckets().map(|bucket| [bucket.lo, bucket.hi, bucket.count]).collect::<Vec<_>>());
}

#[test]
fn a_host_with_a_slow_disk_differs_from_the_others_and_no_other_does() {
    let dir = fleet(12);
    let document = json(&plan("summary", vec![dir.path().to_owned()]));
    let outliers = document["tables"]["outliers"].as_array().unwrap();
    assert_eq!(outliers.len(), 1, "{outliers:?}");
    let row = &outliers[0];
    assert_eq!(
        (&row["host"], &row["figure"], &row["hosts"]),
        (&json!("host-0005"), &json!("block.device_time.p99"), &json!(12))
    );
    assert!(row["ratio"].as_f64().unwrap() > 15.0 && row["score"].as_f64().unwrap() > 3.5, "{row}");
}

#[test]
fn a_row_of_a_host_is_of_all_its_recordings() {
    let dir = tempfile::tempdir().unwrap();
    for (day, number) in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)] {
        let place = dir.path().join(format!("date={day}"));
        fs::create_dir_all(&place).unwrap();
        host(number, false).write(&place.join(format!("{number}.parquet")));
    }
    let by_host = json(&ReportPlan { by: vec!["host".into()], ..plan("summary", vec![dir.path().to_owned()]) });
    let one = json(&plan("summary", vec![dir.path().join("date=1/1.parquet")]));
    let (hosts, alone) = (&by_host["tables"]["hosts"], &one["tables"]["hosts"][0]);
    let of = |row: &Value, name: &str| row[name].as_i64().unwrap();
    assert_eq!(hosts.as_array().unwrap().len(), 2, "{hosts}");
    let (first, second) = (&hosts[0], &hosts[1]);
    assert_eq!((&first["host"], of(first, "recordings"), of(second, "recordings")), (&json!("host-0001"), 3, 2));
    for name in ["cpu_ns", "window_ns", "events", "io", "io_bytes", "runqueue_ns"] {
        assert_eq!(of(first, name), 3 * of(alone, name), "{name}");
    }
    assert_eq!(first["cpu_pct"], alone["cpu_pct"]);
}

#[test]
fn the_summary_of_many_hosts_fits_on_two_screens_and_says_what_is_odd() {
    let dir = fleet(40);
    fs::write(dir.path().join("cut.parquet"), "no").unwrap();
    let document =
        report(&ReportPlan { format: Format::Text, ..plan("summary", vec![dir.path().to_owned()]) }).unwrap();
    let text = render::text(&document, &render::TextStyle { width: 100, color: false });
    assert!(text.lines().count() < 100, "{text}");
    for part in
        ["40 recordings of 40 hosts", "complete: no event lost", "host-0005", "block.device_time.p99", "cut.parquet"]
    {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
    assert_eq!(text.matches("complete: no event lost").count(), 1, "{text}");
}

/// Puts other bytes into a page of the rows of a recording.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    // The footer, which is whole, is most of so small a file.
    let rows = 4..bytes.len() / 5;
    bytes[rows].iter_mut().step_by(7).for_each(|byte| *byte ^= 0x55);
    fs::write(path, bytes).unwrap();
}

fn ebrec(words: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ebrec")).args(words).current_dir(dir).output().unwrap()
}

#[test]
fn a_bad_recording_among_others_is_named_in_every_format_and_the_others_are_reported() {
    for number in [4, FEW + 2] {
        let dir = tempfile::tempdir().unwrap();
        let files = mixed(dir.path(), number);
        let whole = fs::read(&files[0]).unwrap();
        fs::write(&files[0], &whole[..whole.len() / 2]).unwrap();
        damage(&files[1]);
        for format in ["text", "json", "csv", "md"] {
            let output = ebrec(&["report", "processes", "--format", format, "."], dir.path());
            let (stdout, stderr) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert_eq!(output.status.code(), Some(0), "{format}: {stderr}");
            for bad in ["000.parquet", "001.parquet"] {
                let named = stderr.lines().any(|line| line.starts_with("warning: left out: './") && line.contains(bad));
                assert!(named, "{number} {format} {bad}: {stderr}");
            }
            assert!(stdout.contains("h2"), "{format}: {stdout}");
            if format == "json" {
                let document: Value = serde_json::from_str(&stdout).unwrap();
                let left_out = document["left_out"].as_array().unwrap();
                assert_eq!(left_out.len(), 2, "{left_out:?}");
                assert!(left_out.iter().any(|one| one["file"] == "./000.parquet"), "{left_out:?}");
            }
        }
        // One that the command line names by itself fails the run in part.
        let output = ebrec(&["report", "losses", "000.parquet", "002.parquet"], dir.path());
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stdout).unwrap().contains("http"));
        let output = ebrec(&["report", "losses", "000.parquet"], dir.path());
        assert!(output.stdout.is_empty() && output.status.code() == Some(1));
        // Where none is left, there is no report.
        files[2..].iter().for_each(|file| fs::write(file, "no").unwrap());
        let output = ebrec(&["report", "losses", "."], dir.path());
        assert!(output.stdout.is_empty() && output.status.code() == Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().starts_with("ebrec: none of "));
    }
}

#[test]
fn what_some_recordings_lack_is_said_and_what_all_lack_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    mixed(dir.path(), FEW + 4);
    let of = |metric: &str| {
        report(&ReportPlan { metrics: vec![metric.to_owned()], ..plan("hist", vec![dir.path().to_owned()]) })
    };
    let document = of("http.latency").unwrap();
    assert!(document.table(Some("groups")).unwrap().len() >= 2);
    let error = of("no.such").unwrap_err().to_string();
    assert_eq!(error, "no metric 'no.such' in the recording");
}

#[test]
fn a_list_names_the_recordings_on_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    mixed(dir.path(), 3);
    let script =
        "printf '%s\\0' 000.parquet 002.parquet gone.parquet | \"$0\" report overhead --files-from - --format csv";
    let run = |script: &str| {
        Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_ebrec")]).current_dir(dir.path()).output().unwrap()
    };
    let output = run(script);
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains("h0") && stdout.contains("h2") && !stdout.contains("h1,"), "{stdout}");
    assert_eq!(stderr.lines().last(), Some("warning: left out: 'gone.parquet': there is no such file"));
    let output = run("find . -name '*.parquet' | \"$0\" export --files-from - --to jsonl --kind process");
    let hosts: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["host"].clone())
        .collect();
    // The third has no rows of processes.
    assert!(["h0", "h1"].iter().all(|host| hosts.iter().any(|own| own == host)), "{hosts:?}");
}

#[test]
fn several_recordings_are_exported_into_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let files = mixed(dir.path(), 3);
    fs::write(dir.path().join("z.parquet"), "no").unwrap();
    fs::create_dir(dir.path().join("out")).unwrap();
    let output = ebrec(&["export", "--to", "openmetrics", "*.parquet", "-o", "out"], dir.path());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.contains("z.parquet' is not a recording"), "{said}");
    for (at, file) in files.iter().enumerate() {
        let alone = ebrec(&["export", "--to", "openmetrics", file.to_str().unwrap()], dir.path());
        let written = fs::read(dir.path().join(format!("out/h{at}.om"))).unwrap();
        assert!(alone.status.success() && alone.stdout == written, "{at}");
    }
    let output = ebrec(&["export", "--to", "openmetrics", "."], dir.path());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("hint: -o DIRECTORY writes a file for each recording"), "{said}");
}

#[test]
fn parts_of_paths_tell_recordings_of_one_host_apart() {
    let dir = tempfile::tempdir().unwrap();
    for (day, name) in [("1", "web"), ("2", "web"), ("2", "")] {
        let place = dir.path().join(format!("date={day}/host=db{day}{name}"));
        fs::create_dir_all(&place).unwrap();
        build::build(name).write(&place.join("run.parquet"));
    }
    let document = json(&plan("overhead", vec![dir.path().to_owned()]));
    let hosts: Vec<&Value> =
        document["tables"]["recorder"].as_array().unwrap().iter().map(|row| &row["host"]).collect();
    assert_eq!(hosts, ["web (date=1)", "db2", "web (date=2)"]);
}

#[test]
fn many_recordings_take_no_more_memory_and_files_than_a_few() {
    let dir = fleet(20);
    let files: Vec<PathBuf> =
        (0..20).map(|number| dir.path().join(format!("date=2026-11-22/host={number:04}/run.parquet"))).collect();
    for copy in 1..6 {
        let place = dir.path().join(format!("copy={copy}"));
        fs::create_dir(&place).unwrap();
        for (at, file) in files.iter().enumerate() {
            fs::hard_link(file, place.join(format!("{at}.parquet"))).unwrap();
        }
    }
    let (all, first) = (dir.path().to_str().unwrap(), dir.path().join("date=2026-11-22"));
    let mut peaks = BTreeMap::new();
    for (name, words) in [("hosts", &["report", "--by", "host"][..]), ("processes", &["report", "processes"])] {
        let few = measured::run(&[words, &[first.to_str().unwrap()]].concat());
        // As few files as the program's own streams and temporary files need, and one for each thread.
        let many = measured::run_with_files(40, &[words, &[all]].concat());
        assert_eq!((few.status, many.status), (0, 0), "{name}: {}{}", few.errors, many.errors);
        println!("{name}: {} MiB of 20, {} MiB of 120, {:.1} s", few.peak_mib, many.peak_mib, many.took.as_secs_f64());
        peaks.insert(name, (few.peak_mib, many.peak_mib));
    }
    // 100 more recordings took 100 MiB when all were open.
    assert!(peaks.values().all(|(few, many)| *many < few + 24), "{peaks:?}");
}

#[test]
fn a_comparison_of_many_recordings_takes_no_more_memory_than_one_of_a_few() {
    let dir = fleet(20);
    let files: Vec<PathBuf> =
        (0..20).map(|number| dir.path().join(format!("date=2026-11-22/host={number:04}/run.parquet"))).collect();
    let side = |name: &str, copies: usize| {
        let place = dir.path().join(name);
        fs::create_dir(&place).unwrap();
        for copy in 0..copies {
            for (at, file) in files.iter().enumerate() {
                fs::hard_link(file, place.join(format!("{copy}-{at}.parquet"))).unwrap();
            }
        }
        place.to_str().unwrap().to_owned()
    };
    let run = |before: &str, after: &str| {
        let run = measured::run_with_files(40, &["diff", "--format", "json", before, after]);
        assert_eq!(run.status, 0, "{}", run.errors);
        println!("{} MiB, {:.1} s", run.peak_mib, run.took.as_secs_f64());
        run.peak_mib
    };
    let few = run(&side("few-before", 1), &side("few-after", 1));
    let many = run(&side("many-before", 10), &side("many-after", 10));
    // 24 MiB of numbers at the most are in memory, and as much while they are sorted.
    assert!(many < few + 48, "{few} MiB of 40 recordings, {many} MiB of 400");
}

/// Writes what `benches/fleet.py` reads, into EBREC_FLEET; without it, a few hosts that are read here.
#[test]
fn a_fleet_for_benches_is_written() {
    let scratch = tempfile::tempdir().unwrap();
    let asked = std::env::var_os("EBREC_FLEET").map(PathBuf::from);
    let hosts: u64 = std::env::var("EBREC_FLEET_HOSTS").map_or(3, |hosts| hosts.parse().unwrap());
    let dir = asked.as_deref().unwrap_or(scratch.path());
    for number in 0..hosts {
        let place = dir.join(format!("date=2026-11-22/host={number:04}"));
        fs::create_dir_all(&place).unwrap();
        host(number, number == 5).write(&place.join("run.parquet"));
    }
    assert_eq!(fs::read_dir(dir.join("date=2026-11-22")).unwrap().count() as u64, hosts);
    if asked.is_none() {
        let read = json(&ReportPlan { by: vec!["host".into()], ..plan("summary", vec![scratch.path().to_owned()]) });
        assert_eq!(read["tables"]["hosts"].as_array().map(Vec::len), Some(3), "{read}");
    }
}
