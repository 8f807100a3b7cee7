//! `ebrec diff`: what was planted is named, what did not change is not, and what can't be compared is said.
//!
//! The runs are made up (`synthetic/service.rs`), so that every run of the test has the same; benches/diff.py does the same with real ones.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ebrec::diff::DiffPlan;
use ebrec::diff::diff;
use ebrec::failure::Blame;
use ebrec::failure::Failure;
use ebrec::recording::Recording;
use ebrec::report::plan::Format;
use ebrec::report::plan::RowFilter;
use serde_json::Value;

use crate::synthetic::build::build;
use crate::synthetic::build::lossy;
use crate::synthetic::build::waiting;
use crate::synthetic::recording::SECOND;
use crate::synthetic::recording::Synthetic;
use crate::synthetic::service::Planted;
use crate::synthetic::service::Random;
use crate::synthetic::service::idle;
use crate::synthetic::service::sampled;
use crate::synthetic::service::service;
use crate::synthetic::service::service_on;
use crate::synthetic::service::traffic;

/// Recordings a side.
const SIDE: u64 = 5;

fn plan(before: &Path, after: &Path) -> DiffPlan {
    DiffPlan { before: before.into(), after: after.into(), format: Format::Json, ..DiffPlan::default() }
}

fn json(plan: &DiffPlan) -> Value {
    serde_json::from_str(&ebrec::render::json(&diff(plan).unwrap().document)).unwrap()
}

/// The sentences about changes.
fn told(document: &Value) -> Vec<String> {
    let notes = document["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap());
    notes
        .filter(|note| note.starts_with(|letter: char| letter.is_ascii_digit()) && note.contains(" = "))
        .map(str::to_owned)
        .collect()
}

/// Writes runs of the service into a directory.
fn runs(dir: &Path, name: &str, runs: impl Iterator<Item = u64>, planted: Planted) -> PathBuf {
    runs_of(dir, name, runs, |run| service(run, planted))
}

/// Writes runs of anything into a directory.
fn runs_of(dir: &Path, name: &str, runs: impl Iterator<Item = u64>, made: impl Fn(u64) -> Synthetic) -> PathBuf {
    let side = dir.join(name);
    std::fs::create_dir_all(&side).unwrap();
    runs.for_each(|run| made(run).write(&side.join(format!("{run:05}.parquet"))));
    side
}

/// Recordings drawn without replacement from a pool, as two directories of `side` files each.
fn drawn(dir: &Path, name: &str, pools: [&Path; 2], side: u64, random: &mut Random) -> [PathBuf; 2] {
    let files = |pool: &Path| -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(pool).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    };
    let mut pools = pools.map(files);
    // Both sides may draw from one pool.
    let is_one = pools[0] == pools[1];
    let mut taken: Vec<PathBuf> = Vec::new();
    ["before", "after"].map(|word| {
        let pool = &mut pools[usize::from(word == "after" && !is_one)];
        let to = dir.join(format!("{name}-{word}"));
        std::fs::create_dir(&to).unwrap();
        for _ in 0..side {
            pool.retain(|file| !taken.contains(file));
            let file = pool.remove(random.below(pool.len() as u64) as usize);
            std::fs::hard_link(&file, to.join(file.file_name().unwrap())).unwrap();
            taken.push(file);
        }
        to
    })
}

/// The first sentences of twenty trials with five recordings a side, drawn from twenty.
fn trials(planted: Planted) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let run = 1000 * (planted as u64 + 1);
    let before = runs(dir.path(), "without", run..run + 20, Planted::Nothing);
    let after = runs(dir.path(), "with", run + 20..run + 40, planted);
    first_told(dir.path(), [&before, &after], run)
}

fn first_told(dir: &Path, pools: [&Path; 2], seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let first = |trial: u64| {
        let [before, after] = drawn(dir, &trial.to_string(), pools, SIDE, &mut random);
        told(&json(&plan(&before, &after))).first().cloned().unwrap_or_default()
    };
    (0..20).map(first).collect()
}

fn is_named(planted: Planted, named: impl Fn(&str) -> bool) {
    let told = trials(planted);
    let first = told.iter().filter(|first| named(first)).count();
    assert!(first >= 18, "{planted:?} is first in {first} of 20: {told:#?}");
}

#[test]
fn a_function_that_is_a_tenth_slower_is_named_first() {
    is_named(Planted::Function, |first| first.contains("app: on CPU +") && first.contains("work()"));
}

#[test]
fn a_millisecond_more_for_each_write_is_named_first() {
    let named = |first: &str| {
        first.contains("writer: waiting for files and disks (fsync) +") && first.contains("block.device_time{dev=vda")
    };
    is_named(Planted::Disk, named);
}

#[test]
fn a_lock_that_is_held_a_fifth_longer_is_named_first() {
    // Totals alone don't say that a futex is a lock; the functions on the stacks do.
    let named =
        |first: &str| first.contains("app: asleep in futex +") && first.contains("pthread_mutex_lock() < critical()");
    is_named(Planted::Lock, named);
}

#[test]
fn one_more_query_for_each_request_is_named_first() {
    let named = |first: &str| {
        first.contains("redis-server: on CPU +") || first.contains("app: waiting for pipes and sockets (socket) +")
    };
    is_named(Planted::Query, named);
}

/// Its callers have its time, too, and by chance a little more.
#[test]
fn a_function_that_is_a_tenth_slower_is_named_before_its_callers_where_only_cpus_were_sampled() {
    let dir = tempfile::tempdir().unwrap();
    let before = runs_of(dir.path(), "without", 0..20, |run| sampled(run, false));
    let after = runs_of(dir.path(), "with", 20..40, |run| sampled(run, true));
    let told = first_told(dir.path(), [&before, &after], 5);
    let first = told.iter().filter(|first| first.contains("work()")).count();
    assert!(first >= 18, "first in {first} of 20: {told:#?}");
}

/// Where traffic differs, so does all time per second; what a function has of the process's CPU time does not.
#[test]
fn a_function_that_is_a_tenth_slower_is_named_by_its_share_where_traffic_differs() {
    let dir = tempfile::tempdir().unwrap();
    let before = runs_of(dir.path(), "without", 0..20, |run| traffic(run, false));
    let after = runs_of(dir.path(), "with", 20..40, |run| traffic(run, true));
    let told = first_told(dir.path(), [&before, &after], 3);
    let named = |first: &&String| first.contains("app: work() ") && first.contains("share of the process's CPU time");
    let first = told.iter().filter(named).count();
    assert!(first >= 18, "first in {first} of 20: {told:#?}");
    assert!(told.iter().all(|first| !first.contains("render") && !first.contains("parse")), "{told:#?}");
}

#[test]
fn an_expression_can_be_about_a_share() {
    let dir = tempfile::tempdir().unwrap();
    let before = runs_of(dir.path(), "before", 0..SIDE, |run| traffic(run, false));
    let after = runs_of(dir.path(), "after", SIDE..2 * SIDE, |run| traffic(run, true));
    let fails = |expression: &str| {
        diff(&DiffPlan { fail_if: vec![expression.into()], ..plan(&before, &after) }).unwrap().failed
    };
    assert!(fails("cpu.total{comm=app, function=work}.share > +3%"));
    assert!(!fails("cpu.total{comm=app, function=work}.share > +10%"));
    // Of all processes, where none is named; in percent, where the bound is a number.
    assert!(fails("cpu.self{function=work}.share > 35") && !fails("cpu.self{function=work}.share > 50"));
    assert!(!fails("cpu.total{comm=app, function=main}.share < 99.9"));
}

#[test]
fn an_idle_server_whose_timers_take_twice_as_long_in_one_other_run_is_no_change() {
    let dir = tempfile::tempdir().unwrap();
    let [before, after] = [5, 10].map(|ms| runs_of(dir.path(), &ms.to_string(), 0..1, |run| idle(run, ms)));
    assert_eq!(told(&json(&plan(&before, &after))), Vec::<String>::new());
    let busy = runs_of(dir.path(), "busy", 0..1, |run| idle(run, 100));
    let said = told(&json(&plan(&before, &busy)));
    assert!(said.len() == 1 && said[0].contains("app: on CPU +95"), "{said:?}");
}

/// What forty pairs of the same service report, drawn from eighty recordings.
fn false_alarms(side: u64, made: impl Fn(u64) -> Synthetic) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let pool = runs_of(dir.path(), "pool", 0..80, made);
    let mut random = Random::new(7);
    let mut alarms = Vec::new();
    for pair in 0..40 {
        let [before, after] = drawn(dir.path(), &pair.to_string(), [&pool, &pool], side, &mut random);
        let document = json(&plan(&before, &after));
        assert!(document["tables"]["tested"].as_array().unwrap().len() > 15, "nothing was tested");
        let changes = document["tables"]["changes"].as_array().unwrap();
        alarms.extend(changes.first().map(|change| change.to_string()));
    }
    alarms
}

#[test]
fn at_most_two_of_forty_steady_pairs_of_five_report_anything() {
    let services: [fn(u64) -> Synthetic; 2] = [|run| service_on(run, Planted::Nothing, 1.0), |run| traffic(run, false)];
    for made in services {
        let alarms = false_alarms(SIDE, made);
        assert!(alarms.len() <= 2, "{alarms:#?}");
    }
}

#[test]
fn at_most_two_of_forty_steady_pairs_of_one_report_anything() {
    // One recording can't know by how much others differ, so here they differ by what is assumed.
    let alarms = false_alarms(1, |run| service_on(run, Planted::Nothing, 0.1));
    assert!(alarms.len() <= 2, "{alarms:#?}");
}

#[test]
fn one_recording_a_side_says_what_it_can_not_show() {
    let dir = tempfile::tempdir().unwrap();
    let [before, after] = [(1, Planted::Nothing), (2, Planted::Query)]
        .map(|(run, planted)| runs(dir.path(), &run.to_string(), run..run + 1, planted));
    let document = json(&plan(&before, &after));
    let notes = document["notes"].to_string();
    assert!(
        notes.contains("block bootstrap")
            && notes.contains("can't distinguish a change from the differences between any two runs"),
        "{notes}"
    );
}

#[test]
fn no_process_id_is_part_of_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let before = runs(dir.path(), "before", 0..3, Planted::Nothing);
    let after = runs(dir.path(), "after", 3..6, Planted::Query);
    let document = json(&plan(&before, &after));
    for row in document["tables"]["tested"].as_array().unwrap() {
        let quantity = row["quantity"].as_str().unwrap();
        assert!(
            !quantity.contains("pid") && row["before"].as_f64() != Some(0.0) && row["after"].as_f64() != Some(0.0),
            "{row}"
        );
    }
}

#[test]
fn what_is_not_comparable_is_said_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = build("one");
    other.meta.host.kernel = "6.1.0".into();
    other.meta.window.interval_ns = SECOND / 2;
    other.meta.window.actual_ns = 8 * SECOND;
    other.meta.probes[1].settings.insert("slow_ns".into(), 1.into());
    other.write(&dir.path().join("b.parquet"));
    lossy("two").write(&dir.path().join("c.parquet"));
    build("one").write(&dir.path().join("a.parquet"));
    let warnings =
        |after: &str| json(&plan(&dir.path().join("a.parquet"), &dir.path().join(after)))["warnings"].to_string();
    let said = warnings("b.parquet");
    for what in [
        "kernel: Linux 6.18.0 x86_64 before, Linux 6.1.0 x86_64 after",
        "interval:",
        "length of the window: 4.00 s",
        "probe 'sched'",
    ] {
        assert!(said.contains(what), "{what} in {said}");
    }
    let said = warnings("c.parquet");
    for what in ["machine: one before, two after", "probe 'block'", "losses: none before, 2.5% of the events after"] {
        assert!(said.contains(what), "{what} in {said}");
    }
    assert_eq!(warnings("a.parquet"), "[]");
}

/// Percentiles are the report's, and so are sums.
#[test]
fn numbers_are_those_of_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("a.parquet");
    service(1, Planted::Nothing).write(&run);
    let compared = json(&plan(&run, &run));
    let report = Command::new(env!("CARGO_BIN_EXE_ebrec"))
        .args(["report", "hist", "--format", "json"])
        .arg(&run)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let metric = |name: &str| {
        let rows = report["tables"].as_object().unwrap().values().flat_map(|rows| rows.as_array().unwrap());
        rows.into_iter().find(|row| row["metric"] == name).unwrap().clone()
    };
    let rows = compared["tables"]["tested"].as_array().unwrap();
    let own = |quantity: &str| rows.iter().find(|row| row["quantity"] == quantity).unwrap()["before"].as_f64().unwrap();
    let device = metric("block.device_time");
    let name = "block.device_time{dev=vda, op=write, comm=writer}";
    for percentile in ["p50", "p90"] {
        let ours = own(&format!("{name}.{percentile}"));
        assert!((ours - device[percentile].as_f64().unwrap()).abs() <= 1.0, "{percentile}: {ours} {device}");
    }
    assert!((own(&format!("{name}.rate")) - device["count"].as_f64().unwrap() / 4.0).abs() < 0.01);
}

#[test]
fn an_expression_fails_the_run_only_if_the_change_is_significant() {
    let dir = tempfile::tempdir().unwrap();
    let before = runs(dir.path(), "before", 0..SIDE, Planted::Nothing);
    let after = runs(dir.path(), "after", SIDE..2 * SIDE, Planted::Query);
    let fails = |expression: &str, strict: bool| {
        diff(&DiffPlan { fail_if: vec![expression.into()], strict, ..plan(&before, &after) }).unwrap().failed
    };
    assert!(fails("ledger.on_cpu{comm=redis-server}.time > +20%", false));
    assert!(!fails("ledger.on_cpu{comm=redis-server}.time > +60%", true));
    assert!(fails("ledger.on_cpu{comm=redis-server}.time > +10ms/s", false));
    assert!(fails("ledger.on_cpu{comm=redis-server}.time > 70ms", false));
    // What is not changed moves by chance, in one of the two directions.
    let either = |strict| {
        fails("ledger.on_cpu{comm=make}.time > +0.1%", strict) || fails("ledger.on_cpu{comm=make}.time < -0.1%", strict)
    };
    assert!(!either(false) && either(true));
}

#[test]
fn what_neither_side_has_is_an_error_with_the_nearest_name() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("a.parquet");
    service(1, Planted::Nothing).write(&run);
    let refused = |expression: &str| {
        let error = diff(&DiffPlan { fail_if: vec![expression.into()], ..plan(&run, &run) }).unwrap_err();
        let failure = error.downcast::<ebrec::failure::Failure>().unwrap();
        format!("{} / {}", failure.message, failure.hint.unwrap_or_default())
    };
    for (expression, says) in [
        ("blok.device_time.p99 > +1%", "did you mean 'block.device_time'?"),
        ("block.device_time{devi=vda}.p99 > +1%", "has no label 'devi' / did you mean 'dev'?"),
        (
            "block.device_time{dev=vdb}.p99 > +1%",
            "neither side has 'block.device_time' with dev=vdb / did you mean 'vda'?",
        ),
        ("block.device_time{dev=vda}.p90 > +1MiB", "is not in the unit of 'block.device_time'"),
        ("block.device_time.bytes > +1%", "'block.device_time' has no statistic 'bytes' / it has time, rate, p50"),
    ] {
        let said = refused(expression);
        assert!(said.contains(says), "{expression}: {said}");
    }
}

/// Nothing on both sides is no change, so what nobody measured would pass.
#[test]
fn what_a_metric_does_not_have_is_an_error_however_many_recordings_a_side_has() {
    let dir = tempfile::tempdir().unwrap();
    let side = |name: &str, number: u64| runs_of(dir.path(), name, 0..number, |_| waiting("builder"));
    let sides = [side("one", 1), side("three", 3), side("five", 5)];
    let check = |expression: &str, side: &Path| {
        let refused = diff(&DiffPlan { fail_if: vec![expression.into()], strict: true, ..plan(side, side) }).err()?;
        let failure = refused.downcast::<Failure>().unwrap();
        assert_eq!(failure.blame, Blame::Usage, "{failure}");
        Some(format!("{} / {}", failure.message, failure.hint.unwrap_or_default()))
    };
    for side in &sides {
        for (expression, says) in [
            ("sched.on_cpu{comm=cc1}.time > +5%", "'sched.on_cpu{comm=cc1}' has no statistic 'time' / the ledger has"),
            ("sched.on_cpu.time < 1h", "that time: 'ledger.on_cpu.time'"),
            ("sched.on_cpu.rate > +5%", "no statistic 'rate' / this metric is not compared"),
            ("sched.runqueue_latency.time > +5%", "that time: 'ledger.runnable.time'"),
            ("sched.switches.time > +5%", "no statistic 'time' / it has rate"),
            ("sched.switches.bytes > +5%", "no statistic 'bytes' / it has rate"),
            ("sched.switches.share > +5%", "no statistic 'share' / it has rate"),
            ("block.device_time.length > +5%", "no statistic 'length' / it has time, rate, p50"),
        ] {
            let said = check(expression, side).unwrap_or_else(|| panic!("{expression} passed for {side:?}"));
            assert!(said.contains(says), "{expression}: {said}");
        }
        assert_eq!(check("sched.switches.rate > +5%", side), None);
        assert_eq!(check("ledger.on_cpu.time > +5%", side), None);
    }
}

#[test]
fn a_part_of_the_window_that_has_nothing_is_an_error_and_no_commands_length() {
    let dir = tempfile::tempdir().unwrap();
    let made = |_| {
        let mut made = waiting("builder");
        made.meta.window.ended = "command".into();
        made
    };
    for number in [1, 3] {
        let side = runs_of(dir.path(), &number.to_string(), 0..number, made);
        let says = |from: Option<u64>, to: Option<u64>, fail_if: &[&str]| {
            let filter = RowFilter {
                from: from.map(Duration::from_secs),
                to: to.map(Duration::from_secs),
                ..RowFilter::default()
            };
            let fail_if = fail_if.iter().map(|text| (*text).to_owned()).collect();
            let failure =
                diff(&DiffPlan { fail_if, filter, ..plan(&side, &side) }).err()?.downcast::<Failure>().unwrap();
            assert_eq!(failure.blame, Blame::Usage, "{failure}");
            Some(failure.message)
        };
        let length = &["command.length > +1%"];
        assert_eq!(says(None, None, length), None);
        for (from, to) in [(Some(1), None), (None, Some(2)), (Some(60), None)] {
            assert!(says(from, to, length).unwrap().contains("can't be checked in a part of the window"));
        }
        let outside = says(Some(60), None, &[]).unwrap();
        assert!(outside.starts_with("no interval of '") && outside.contains("its window is 4.00 s long"), "{outside}");
        assert_eq!(says(Some(1), Some(3), &[]), None);
        let cut = DiffPlan {
            filter: RowFilter { to: Some(Duration::from_secs(2)), ..RowFilter::default() },
            ..plan(&side, &side)
        };
        let tested = json(&cut)["tables"]["tested"].as_array().unwrap().clone();
        assert!(tested.iter().all(|row| row["quantity"] != "command.length"), "{tested:?}");
    }
}

#[test]
fn the_exit_status_is_4_for_an_expression_that_holds() {
    let dir = tempfile::tempdir().unwrap();
    service(1, Planted::Nothing).write(&dir.path().join("a.parquet"));
    service(1, Planted::Query).write(&dir.path().join("b.parquet"));
    let run = |expression: &str, more: &[&str]| {
        let words = ["diff", "a.parquet", "b.parquet", "--fail-if", expression];
        let output =
            Command::new(env!("CARGO_BIN_EXE_ebrec")).args(words).args(more).current_dir(dir.path()).output().unwrap();
        output.status.code()
    };
    assert_eq!(run("ledger.on_cpu{comm=redis-server}.time > +20%", &[]), Some(4));
    assert_eq!(run("ledger.on_cpu{comm=redis-server}.time > +90%", &[]), Some(0));
    assert_eq!(run("ledger.on_cpu{comm=redis-server}.time > +90", &[]), Some(2));
    assert_eq!(run("syscall.latency{comm=app}.p50 > +1%", &["--strict", "-q", "--format", "md"]), Some(0));
}

#[test]
fn what_one_side_did_not_measure_is_not_compared() {
    let dir = tempfile::tempdir().unwrap();
    let [one, other] = ["one.parquet", "other.parquet"].map(|name| dir.path().join(name));
    service(1, Planted::Nothing).write(&one);
    build("builder").write(&other);
    let metrics = |path: &Path| -> BTreeSet<String> {
        let recording = Recording::open(path).unwrap();
        recording.meta().metrics.iter().map(|metric| metric.name.clone()).collect()
    };
    let (one_has, other_has) = (metrics(&one), metrics(&other));
    let only_one: Vec<&String> = one_has.symmetric_difference(&other_has).collect();
    assert!(!only_one.is_empty() && one_has.intersection(&other_has).count() > 0);
    for [before, after] in [[&one, &other], [&other, &one]] {
        let document = json(&plan(before, after));
        let tested = document["tables"]["tested"].as_array().unwrap();
        assert!(!tested.is_empty());
        for quantity in tested.iter().map(|row| row["quantity"].as_str().unwrap()) {
            assert!(!only_one.iter().any(|metric| quantity.starts_with(metric.as_str())), "{quantity}");
        }
        for said in told(&document) {
            assert!(!said.contains("000 %"), "what is new is called so: {said}");
        }
    }
}

/// Something out of nothing is more than any bound, but what was not measured is not nothing.
#[test]
fn an_expression_about_what_one_side_did_not_measure_is_an_error_that_names_the_side() {
    let dir = tempfile::tempdir().unwrap();
    let [one, other] = ["one.parquet", "other.parquet"].map(|name| dir.path().join(name));
    service(1, Planted::Nothing).write(&one);
    traffic(1, false).write(&other);
    for (before, after, lacking) in [(&one, &other, "after"), (&other, &one, "before")] {
        for expression in ["block.device_time.rate > +1%", "block.device_time.p90 > 1h", "block.device_time.rate < 1"] {
            let output = Command::new(env!("CARGO_BIN_EXE_ebrec"))
                .args(["diff", "--strict", "--fail-if", expression])
                .args([before, after])
                .output()
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let error =
                format!("'{expression}' can't be checked: not every recording {lacking} measured 'block.device_time'");
            assert!(said.contains(&error) && said.contains("hint: record both sides"), "{said}");
            assert_eq!(output.status.code(), Some(1), "{said}");
        }
    }
}

#[test]
fn a_side_is_a_file_a_directory_or_a_pattern() {
    let dir = tempfile::tempdir().unwrap();
    let side = runs(dir.path(), "side", 0..3, Planted::Nothing);
    let subtitle =
        |before: PathBuf, after: PathBuf| json(&plan(&before, &after))["subtitle"].as_str().unwrap().to_owned();
    assert!(subtitle(side.clone(), side.join("*.parquet")).matches("(3 recordings)").count() == 2);
    assert!(subtitle(side.join("0000[01].parquet"), side.join("00002.parquet")).contains("(2 recordings)"));
    let error = diff(&plan(&side.join("x*.parquet"), &side)).unwrap_err();
    assert!(error.to_string().starts_with("no file matches '"), "{error}");
    // What is not a recording is left out of a directory, and an error by name.
    std::fs::write(side.join("z.parquet"), "no").unwrap();
    let document = json(&plan(&side, &side));
    assert!(document["warnings"][0].as_str().unwrap().contains("z.parquet' is not a recording"), "{document}");
    assert!(diff(&plan(&side.join("z.parquet"), &side)).is_err());
}

#[test]
fn the_flame_graph_shows_which_functions_grew() {
    let dir = tempfile::tempdir().unwrap();
    let [before, after] = [(0, Planted::Nothing), (3, Planted::Lock)]
        .map(|(run, planted)| runs(dir.path(), &run.to_string(), run..run + 3, planted));
    let drawn = |before: &Path, after: &Path| {
        let plan = DiffPlan { format: Format::Svg, ..plan(before, after) };
        ebrec::render::svg(&diff(&plan).unwrap().document).unwrap()
    };
    // Of a frame: its weight after, its part of all, and its change in hundredths of all.
    let title = |svg: &str| {
        let at = svg.find("<title>work (").unwrap();
        svg[at..].split_once("</title>").unwrap().0.to_owned()
    };
    let (there, back) = (title(&drawn(&before, &after)), title(&drawn(&after, &before)));
    let change = |title: &str| title.rsplit_once("; ").unwrap().1.to_owned();
    assert!(there.contains(" ms, "), "{there}");
    assert_eq!(change(&there).replace('+', "-"), change(&back).replace('+', "-"), "{there} and {back}");
    assert_ne!(change(&there), change(&back));
}
