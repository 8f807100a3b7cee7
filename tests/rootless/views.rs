//! Every view over recordings whose numbers can be added up by hand.

mod counters;
mod findings;
mod growing;
mod identity;
mod issue;
mod metrics;
mod page;
mod percentiles;
mod probes;
mod processes;
mod several;
mod summary;
mod tables;
mod units;

use std::path::PathBuf;

use crate::synthetic::build::build;
use crate::synthetic::build::lossy;
use crate::synthetic::build::syscalls;
use crate::synthetic::build::waiting;
use crate::synthetic::recording::Synthetic;
use ebrec::failure::Failure;
use ebrec::render;
use ebrec::report::info;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::report::plan::RowFilter;
use ebrec::report::report;
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
            files_from: None,
            called: None,
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
        let document = report(&self.plan).unwrap();
        units::assert_named(&document);
        serde_json::from_str(&render::json(&document)).unwrap()
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
            // Rows lack the fields of metrics that a process has no values of.
            let lacking =
                |name: &str| if name.contains('.') { Value::Null } else { panic!("no field '{name}' in {row}") };
            let cell = |name: &&str| row.get(name).cloned().unwrap_or_else(|| lacking(name));
            fields.iter().map(cell).collect()
        })
        .collect()
}

#[test]
fn losses_are_told_by_probe_and_by_time() {
    let document = Case::new("losses", vec![("run.parquet", lossy("builder"))]).json();
    let share = 2.5;
    assert_eq!(
        cells(&document, "probes", &["probe", "cause", "lost", "events", "lost_pct"]),
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
        cells(&document, "programs", &["program", "runs", "per_run_ns", "cpu_pct", "sum_ns"]),
        [
            json!(["sched/sched_switch", 5000, 200, 0.1, 1_000_000]),
            json!(["block/block_rq_issue", 100, 500, 0.005, 50_000]),
        ]
        .map(|row| row.as_array().unwrap().clone())
    );
    assert_eq!(
        cells(&document, "recorder", &["bpf_cpu_pct", "own_cpu_pct", "rss_bytes", "map_bytes", "measured_pct"]),
        [[json!(0.105), json!(1.0), json!(48 << 20), json!(33 << 20), json!(25.0)]]
    );
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

/// What docs/json.md promises to programs.
#[test]
fn the_json_of_every_view_has_the_keys_and_fields_that_are_documented() {
    let keys = ["version", "view", "title", "subtitle", "warnings", "notes", "left_out", "facts", "tables", "omitted"];
    let keys = [&keys[..], &["histograms", "timelines", "heatmaps", "bars"]].concat();
    let page = include_str!("../../docs/json.md");
    for key in &keys {
        assert!(page.contains(&format!("| `{key}` |")), "docs/json.md lacks '{key}'");
    }
    let mut undocumented = Vec::new();
    for view in ebrec::report::VIEWS {
        let made = if view.name == "http" { crate::synthetic::build::http("builder") } else { waiting("builder") };
        let case = Case::new(view.name, vec![("run.parquet", made)]);
        let document = case.json();
        let found: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(found, keys, "{}", view.name);
        assert_eq!(document["version"], 1);
        let declared = ebrec::report::tables(view);
        for (name, rows) in document["tables"].as_object().unwrap() {
            let Some(table) = declared.iter().find(|table| table.name == *name) else {
                undocumented.push(format!("{} {name}", view.name));
                continue;
            };
            for (key, cell) in rows.as_array().unwrap().iter().flat_map(|row| row.as_object().unwrap()) {
                let of_metric = key.contains('.');
                let known = of_metric || key == "depth" || table.fields.iter().any(|field| field.name == *key);
                assert!(known, "no field '{key}' of {name} in the manual");
                assert!(!of_metric || !cell.is_null(), "a null for '{key}'");
            }
        }
    }
    assert_eq!(undocumented, Vec::<String>::new(), "tables that the manual lacks");
}
