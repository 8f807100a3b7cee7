//! Pages in a real browser: Chromium, driven by `tests/browser/page.mjs` through playwright-core (`tests/browser/install`).

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ebrec::recording::FiredMeta;
use ebrec::recording::Recording;
use ebrec::recording::TriggerMeta;
use ebrec::render;
use ebrec::report::plan::Format;
use ebrec::report::plan::ReportPlan;
use ebrec::report::plan::RowFilter;
use ebrec::report::report;
use ebrec::units;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::skip::skip;
use crate::synthetic::build;

/// A command's name, which anyone may choose, and what a reader sees of it: it has what ends an element, starts one, and reorders text.
const HOSTILE: &str = "</b><i>\u{202e}\x1b[1m";
const SHOWN: &str = "</b><i>\\u{202e}\\x1b[1m";
/// What would run.
const SCRIPT: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>";

/// Node, Chromium and playwright-core, or what is missing.
fn browser() -> Result<(PathBuf, PathBuf), String> {
    let found = |program: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).map(|dir| dir.join(program)).find(|path| path.is_file())
    };
    let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(found);
    let chromium = chromium.ok_or("no chromium here")?;
    found("node").ok_or("no node here")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let playwright = root.join(target).join("browser/node_modules/playwright-core");
    match playwright.is_dir() {
        true => Ok((playwright, chromium)),
        false => Err("no playwright-core here (tests/browser/install)".to_owned()),
    }
}

fn plan(view: &str, file: &Path, format: Format) -> ReportPlan {
    let (view, files) = (view.to_owned(), vec![file.to_owned()]);
    ReportPlan { view, files, format, width: 120, ..ReportPlan::default() }
}

fn page(view: &str, recording: &Path, dir: &Path) -> PathBuf {
    let stem = recording.file_stem().unwrap().to_string_lossy();
    let path = dir.join(format!("{stem}-{view}.html"));
    fs::write(&path, render::html(&report(&plan(view, recording, Format::Html)).unwrap())).unwrap();
    path
}

/// What the commands that used the CPU most should show as CPU time, by what `processes` says.
fn cpu_times(recording: &Path, filter: RowFilter) -> Value {
    let plan = ReportPlan { filter, ..plan("processes", recording, Format::Json) };
    let document: Value = serde_json::from_str(&render::json(&report(&plan).unwrap())).unwrap();
    let mut times: Map<String, Value> = Map::new();
    for row in document["tables"]["processes"].as_array().unwrap() {
        let own = row.get("sched.on_cpu.sum_ns").and_then(Value::as_i64).unwrap_or(0);
        let sum = times.entry(row["comm"].as_str().unwrap_or("?")).or_insert(json!(0));
        *sum = json!(sum.as_i64().unwrap() + own);
    }
    let mut ranked: Vec<(String, i64)> = times.into_iter().map(|(name, ns)| (name, ns.as_i64().unwrap())).collect();
    ranked.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    ranked.into_iter().take(3).map(|(name, ns)| (name, json!(units::duration(ns)))).collect::<Map<_, _>>().into()
}

#[test]
fn a_page_follows_its_selection_and_stays_what_it_is_in_a_browser() {
    const NAME: &str = "a_page_follows_its_selection_and_stays_what_it_is_in_a_browser";
    let (playwright, chromium) = match browser() {
        Ok(found) => found,
        Err(missing) => return skip(NAME, &missing),
    };
    let dir = tempfile::tempdir().unwrap();
    let hostile = dir.path().join("hostile.parquet");
    build::hostile("builder", HOSTILE, SCRIPT).write(&hostile);
    // The same machine, recorded until something happened 0.6 s after the start.
    let fired = dir.path().join("fired.parquet");
    let mut made = build::hostile("builder", "cc1", "");
    made.meta.trigger = Some(TriggerMeta {
        expression: "block.device_time > 50ms".into(),
        custom: false,
        unit: Some("ns".into()),
        after_ns: 0,
        fired: Some(FiredMeta {
            mono_ns: made.meta.window.start_mono_ns + 600_000_000,
            noticed_mono_ns: made.meta.window.start_mono_ns + 610_000_000,
            value: Some(80_000_000),
            pid: Some(666),
            process: Some(HOSTILE.into()),
        }),
    });
    made.write(&fired);
    let storm = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/storm.parquet");
    // The keyboard selects the first interval first.
    let interval = Recording::open(&storm).unwrap().meta().window.interval_ns;
    let interval = Duration::from_nanos(u64::try_from(interval).unwrap());
    let first = RowFilter { from: Some(Duration::ZERO), to: Some(interval), ..RowFilter::default() };
    let cases = json!({
        "hostile": { "file": page("summary", &hostile, dir.path()), "name": HOSTILE, "shown": SHOWN },
        "fired": { "file": page("summary", &fired, dir.path()), "shown": SHOWN },
        "selection": {
            "file": page("summary", &storm, dir.path()),
            "whole": cpu_times(&storm, RowFilter::default()),
            "selected": cpu_times(&storm, first),
        },
        "views": [
            { "file": page("cpu", &storm, dir.path()), "sections": 3 },
            { "file": page("threads", &storm, dir.path()), "sections": 4 },
        ],
    });
    let list = dir.path().join("cases.json");
    fs::write(&list, cases.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/page.mjs");
    let output = Command::new("node").arg(script).args([&playwright, &chromium, &list]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(2) {
        return skip(NAME, said.trim());
    }
    println!("{said}");
    assert!(output.status.success() && said.matches("\nok: ").count() > 40, "{said}");
}
