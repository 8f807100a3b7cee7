//! Recordings whose intervals grew while nobody knew how long the window would be: rates are the same before and after.

use std::path::Path;
use std::time::Duration;

use ebrec::diff::DiffPlan;
use ebrec::diff::diff;
use ebrec::render;
use ebrec::report::info;
use ebrec::report::plan::Format;
use serde_json::Value;

use super::Case;
use crate::synthetic::recording::Cell;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;

const MS: i64 = 1_000_000;

/// A window of 4 s in which a process switches `rate` times a second and waits a millisecond each time: intervals of 250 ms for two seconds,
/// of 500 ms for one, and one of a second, with the moment that each ends late.
pub(super) fn growing(hostname: &str, rate: i64) -> Synthetic {
    let mut made = Synthetic::new(hostname);
    made.probe("sched", "hist", 4 * rate as u64);
    made.metric("sched.on_cpu", "counter", "ns", &["pid", "comm"]);
    made.metric("sched.switches", "counter", "count", &["pid", "comm"]);
    made.metric("sched.migrations", "counter", "count", &["pid", "comm"]);
    made.metric("sched.runqueue_latency", "histogram", "ns", &["pid", "comm"]);
    made.meta.window.first_interval_ns = Some(250 * MS);
    let lengths = [[250; 8].as_slice(), &[500; 2], &[1000]].concat();
    let mut begin = 0;
    for length in lengths {
        let end = begin + length * MS;
        let count = rate * length / 1000;
        let whose = [("pid", Cell::Int(7)), ("comm", Cell::Text("worker")), ("dur_ns", Cell::Int(length * MS))];
        let totals =
            |metric, count, sum| [("metric", Cell::Text(metric)), ("count", Cell::Int(count)), ("sum", Cell::Int(sum))];
        made.row("metric", end, &[&whose[..], &totals("sched.on_cpu", count, length * MS / 2)].concat());
        made.row("metric", end, &[&whose[..], &totals("sched.switches", count, count)].concat());
        let bounds = ebrec::hist::bounds(ebrec::hist::bucket(MS as u64));
        let bucket = [("bucket_lo", Cell::Int(bounds.0 as i64)), ("bucket_hi", Cell::Int(bounds.1 as i64))];
        let waited = [("metric", Cell::Text("sched.runqueue_latency")), ("count", Cell::Int(count))];
        made.row("hist", end, &[&whose[..], &waited, &bucket].concat());
        let span = [("min", Cell::Int(MS)), ("max", Cell::Int(MS))];
        let waited = totals("sched.runqueue_latency", count, count * MS);
        made.row("metric", end, &[&whose[..], &waited, &span].concat());
        let own = [("name", Cell::Text("ebrec")), ("op", Cell::Text("cpu")), ("dur_ns", Cell::Int(length * MS))];
        made.row("cost", end, &own);
        begin = end;
    }
    // In the first interval only.
    let seldom = [("metric", Cell::Text("sched.migrations")), ("count", Cell::Int(10)), ("sum", Cell::Int(10))];
    made.row("metric", 250 * MS, &[&[("pid", Cell::Int(7)), ("dur_ns", Cell::Int(250 * MS))], &seldom[..]].concat());
    made
}

fn points(document: &Value, plot: &str) -> Vec<(f64, f64)> {
    let points = document["timelines"][plot]["series"][0]["points"].as_array().unwrap().iter();
    points.map(|point| (point[0].as_f64().unwrap(), point[1].as_f64().unwrap())).collect()
}

#[test]
fn a_rate_is_the_same_in_short_and_long_intervals() {
    let case = Case::new("timeline", vec![("run.parquet", growing("builder", 100))]);
    let document = case.json();
    let middles = [0.5, 1.5, 2.5, 3.5];
    assert_eq!(points(&document, "sched.rate"), middles.map(|at| (at, 100.0)));
    assert_eq!(points(&document, "sched.time"), middles.map(|at| (at, 50.0)));
    // Where a metric has values in one short interval of a long one, its rate is still that of the long one.
    let series = document["timelines"]["sched.rate"]["series"].as_array().unwrap();
    let seldom = series.iter().find(|line| line["name"] == "migrations").unwrap();
    assert_eq!(seldom["points"], serde_json::json!([[0.5, 10.0], [1.5, 0.0], [2.5, 0.0], [3.5, 0.0]]));
    // A part that begins and ends within a second divides by its own length.
    let cut = case.with(|plan| {
        (plan.filter.from, plan.filter.to) = (Some(Duration::from_millis(250)), Some(Duration::from_millis(750)));
    });
    assert_eq!(points(&cut.json(), "sched.rate"), [(0.5, 100.0)]);
}

#[test]
fn a_heat_map_has_columns_of_the_longest_interval() {
    let case = Case::new("heatmap", vec![("run.parquet", growing("builder", 100))]);
    let columns = case.json()["heatmaps"]["sched.runqueue_latency"]["columns"].as_array().unwrap().clone();
    let column = |column: &Value| {
        let buckets = column["buckets"].as_array().unwrap().iter();
        let count: i64 = buckets.map(|bucket| bucket["count"].as_i64().unwrap()).sum();
        (column["begin"].as_f64().unwrap(), column["end"].as_f64().unwrap(), count)
    };
    let columns: Vec<_> = columns.iter().map(column).collect();
    assert_eq!(columns, [(0.0, 1.0, 100), (1.0, 2.0, 100), (2.0, 3.0, 100), (3.0, 4.0, 100)]);
}

fn compared(before: &Path, after: &Path) -> Value {
    let plan = DiffPlan { before: before.into(), after: after.into(), format: Format::Json, ..DiffPlan::default() };
    serde_json::from_str(&render::json(&diff(&plan).unwrap().document)).unwrap()
}

#[test]
fn a_bootstrap_draws_from_stretches_of_one_length() {
    let dir = tempfile::tempdir().unwrap();
    let [before, same, after] = ["before", "same", "after"].map(|name| dir.path().join(name).with_extension("parquet"));
    growing("builder", 100).write(&before);
    growing("builder", 100).write(&same);
    growing("builder", 1000).write(&after);
    let document = compared(&before, &after);
    assert!(document.to_string().contains("block bootstrap over 4 and 4 intervals"), "{document}");
    // The rate is constant, so its tenfold is found with no doubt at all.
    let rate = |document: &Value| {
        let rows = document["tables"]["changes"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["quantity"].as_str().is_some_and(|name| name.contains("sched.switches")))
    };
    let change = rate(&document).unwrap_or_else(|| panic!("{document}"));
    assert!((change["change_pct"].as_f64().unwrap() - 900.0).abs() < 1.0, "{change}");
    assert!(rate(&compared(&before, &same)).is_none());
}

#[test]
fn info_states_both_lengths() {
    let case = Case::new("summary", vec![("run.parquet", growing("builder", 100))]);
    let document = render::json(&info(&case.plan.files[0]).unwrap());
    assert!(document.contains("250 ms, growing to 1.00 s"), "{document}");
}

#[test]
fn a_long_first_interval_is_no_late_one() {
    let mut made = growing("builder", 100);
    let own = |length: i64| [("name", "ebrec".into()), ("op", "cpu".into()), ("dur_ns", Cell::Int(length))];
    made.row("cost", SECOND, &own(400 * MS)).row("cost", 4 * SECOND, &own(SECOND));
    let document = Case::new("losses", vec![("run.parquet", made)]).json();
    assert_eq!(document["warnings"], Value::Array(Vec::new()));
}
