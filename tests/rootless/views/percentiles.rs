//! One percentile of the same values is the same number in every view.

use std::collections::BTreeMap;
use std::path::Path;

use ebrec::render;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::report::plan::RowFilter;
use ebrec::report::report;
use serde_json::Value;

const FIXTURES: [&str; 4] = ["compile", "fio", "redis", "storm"];

/// A view of a fixture, as programs read it.
fn read(fixture: &str, view: &str, metric: Option<&str>, by: &[&str]) -> Value {
    let plan = ReportPlan {
        view: view.to_owned(),
        files: vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{fixture}.parquet"))],
        files_from: None,
        called: None,
        metrics: metric.into_iter().map(str::to_owned).collect(),
        by: by.iter().map(|column| (*column).to_owned()).collect(),
        filter: RowFilter::default(),
        top: None,
        tree: false,
        debug_dirs: Vec::new(),
        format: Format::Json,
        width: 120,
    };
    serde_json::from_str(&render::json(&report(&plan).unwrap())).unwrap()
}

fn rows(document: &Value, table: &str) -> Vec<Value> {
    document["tables"][table].as_array().cloned().unwrap_or_default()
}

/// A row's percentile, whatever its unit.
fn of<'a>(row: &'a Value, name: &str) -> &'a Value {
    let fields = row.as_object().unwrap();
    let units = ["", "_ns", "_bytes"].map(|unit| format!("{name}{unit}"));
    units.iter().find_map(|name| fields.get(name)).unwrap_or(&Value::Null)
}

/// What a row is about.
fn key(row: &Value, by: &[&str]) -> Vec<String> {
    by.iter().map(|column| row[*column].to_string()).collect()
}

#[test]
fn a_metric_has_one_percentile_in_hist_its_histogram_and_its_timeline() {
    let mut compared = 0;
    for fixture in FIXTURES {
        for listed in rows(&read(fixture, "hist", None, &[]), "metrics") {
            let metric = listed["metric"].as_str().unwrap();
            let whole = read(fixture, "hist", Some(metric), &[]);
            let [group] = &rows(&whole, "groups")[..] else { panic!("{metric} of {fixture}: {whole}") };
            let drawn = &whole["histograms"][metric]["series"][0]["percentiles"];
            for name in ["p50", "p90", "p99", "p99.9", "p99.99"] {
                let seen = [of(&listed, name), of(group, name), &drawn[name]];
                assert!(seen.iter().all(|value| *value == seen[0] && value.is_number()), "{metric} {name}: {seen:?}");
                compared += 1;
            }
            if let [interval] = &rows(&read(fixture, "timeline", Some(metric), &[]), "intervals")[..] {
                let seen = [of(interval, "p50"), of(interval, "p99")];
                assert_eq!(seen, [of(&listed, "p50"), of(&listed, "p99")], "{metric} of {fixture}");
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn views_of_a_probe_have_the_percentiles_of_hist_by_the_same_columns() {
    let mut compared = 0;
    for fixture in FIXTURES {
        for (view, table, by, metric, names) in [
            ("block", "devices", &["dev", "op"][..], "block.device_time", ["device_p50", "device_p99"]),
            ("block", "devices", &["dev", "op"], "block.queue_time", ["queue_p50", "queue_p99"]),
            ("processes", "processes", &["pid"], "sched.runqueue_latency", ["p50", "p99"]),
            ("processes", "processes", &["pid"], "sched.slice", ["p50", "p99"]),
            ("processes", "processes", &["pid"], "block.size", ["p50", "p99"]),
        ] {
            let listed = rows(&read(fixture, "hist", None, &[]), "metrics");
            if !listed.iter().any(|row| row["metric"] == metric) {
                continue;
            }
            let groups = rows(&read(fixture, "hist", Some(metric), by), "groups");
            let groups: BTreeMap<_, _> = groups.iter().map(|row| (key(row, by), row)).collect();
            for row in rows(&read(fixture, view, None, &[]), table) {
                let Some(hist) = groups.get(&key(&row, by)) else { continue };
                let names =
                    names.map(|name| if view == "processes" { format!("{metric}.{name}") } else { name.into() });
                for (name, percentile) in names.iter().zip(["p50", "p99"]) {
                    assert_eq!(of(&row, name), of(hist, percentile), "{name} of {row} in {fixture}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 50, "{compared}");
}
