//! Metrics as tables, distributions and courses over time.

use std::time::Duration;

use ebrec::failure::Blame;
use serde_json::json;

use super::Case;
use super::cells;
use super::of_build;
use crate::synthetic::build::build;
use crate::synthetic::build::lossy;
use crate::synthetic::recording::SECOND;

#[test]
fn a_histogram_has_the_percentiles_of_its_values() {
    let of = |by: &[&str]| {
        of_build("hist").with(|plan| {
            plan.metrics = vec!["block.device_time".into()];
            plan.by = by.iter().map(|column| (*column).to_owned()).collect();
        })
    };
    let fields = ["count", "share_pct", "sum_ns", "max_ns"];
    assert_eq!(
        cells(&of(&[]).json(), "groups", &fields),
        [[json!(110), json!(100.0), json!(120_000_000), json!(20_000_000)]]
    );
    let document = of(&["op"]).json();
    assert_eq!(
        cells(&document, "groups", &["op", "count", "sum_ns", "max_ns"]),
        [json!(["write", 100, 119_000_000, 20_000_000]), json!(["read", 10, 1_000_000, 100_000])]
            .map(|row| row.as_array().unwrap().clone())
    );
    let p50 = cells(&document, "groups", &["p50_ns"])[0][0].as_f64().unwrap();
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

/// The clock of totals and that of the window differ by some nanoseconds.
#[test]
fn what_is_shown_of_a_window_does_not_begin_before_it() {
    let mut made = build("builder");
    let early = [("metric", "sched.on_cpu".into()), ("pid", 301.into()), ("comm", "cc1".into()), ("count", 1.into())];
    made.row("metric", SECOND, &[&early[..], &[("sum", 1.into()), ("dur_ns", (SECOND + 1).into())]].concat());
    let text = Case::new("processes", vec![("run.parquet", made)])
        .with(|plan| {
            plan.filter.from = Some(Duration::ZERO);
            plan.filter.to = Some(Duration::from_millis(1100));
        })
        .text();
    // Lines wrap between words.
    let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("totals cover whole intervals: 0 ns to 1.00 s"), "{text}");
}
