//! `ebrec export` to profilers: what pprof, inferno and FlameGraph's scripts make of it has the numbers of `ebrec report`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Meta;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Window;
use ebrec::recording::Writer;
use ebrec::recording::column;
use inferno::collapse::Collapse;
use inferno::collapse::perf;
use serde_json::Value;

use crate::skip::skip;

/// The recordings with stacks, and their profiles.
const PROFILES: [(&str, &str); 5] =
    [("compile", "cpu"), ("compile", "offcpu"), ("redis", "cpu"), ("redis", "offcpu"), ("storm", "cpu")];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.parquet"))
}

fn ebrec(words: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ebrec")).args(words).arg(file).output().unwrap()
}

/// What a run prints that works.
fn printed(words: &[&str], file: &Path) -> Vec<u8> {
    let output = ebrec(words, file);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn export(format: &str, profile: &str, file: &Path) -> String {
    String::from_utf8(printed(&["export", "--to", format, "--profile", profile], file)).unwrap()
}

/// What functions weigh by name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Weights {
    /// Itself.
    own: BTreeMap<String, u64>,
    /// With what it called.
    total: BTreeMap<String, u64>,
}

impl Weights {
    /// Adds a stack, from the outermost function in.
    fn add(&mut self, stack: &[&str], ns: u64) {
        for function in stack.iter().copied().collect::<BTreeSet<&str>>() {
            *self.total.entry(function.to_owned()).or_default() += ns;
        }
        if let Some(innermost) = stack.last() {
            *self.own.entry((*innermost).to_owned()).or_default() += ns;
        }
    }

    /// What `ebrec report` says; of names that several modules have, only what they weigh themselves.
    fn of_report(view: &str, file: &Path) -> Weights {
        let document: Value = serde_json::from_slice(&printed(&["report", view, "--format", "json"], file)).unwrap();
        let (mut weights, mut seen) = (Weights::default(), BTreeSet::new());
        for row in document["tables"]["functions"].as_array().unwrap() {
            let name = row["function"].as_str().unwrap().to_owned();
            *weights.own.entry(name.clone()).or_default() += row["self_ns"].as_u64().unwrap();
            if seen.insert(name.clone()) {
                weights.total.insert(name, row["total_ns"].as_u64().unwrap());
            } else {
                weights.total.remove(&name);
            }
        }
        weights.own.retain(|_, ns| *ns > 0);
        assert!(weights.own.len() > 5 && weights.total.len() > 40, "{view} of {}", file.display());
        weights
    }

    /// Holds what another tool found against the report's.
    fn agree_with(&self, report: &Weights, what: &str) {
        assert_eq!(self.own, report.own, "{what}");
        for (function, ns) in &report.total {
            assert_eq!(self.total.get(function), Some(ns), "{what}: {function}");
        }
    }
}

/// The stacks of folded lines, without the process, and their weights.
fn folded(text: &str) -> Vec<(Vec<&str>, u64)> {
    let line = |line: &'static str| -> (Vec<&'static str>, u64) {
        let (stack, ns) = line.rsplit_once(' ').unwrap();
        (stack.split(';').skip(1).collect(), ns.parse().unwrap())
    };
    // The test ends with the text.
    String::from(text).leak().lines().map(line).collect()
}

fn weights_of_folded(text: &str) -> Weights {
    let mut weights = Weights::default();
    folded(text).iter().for_each(|(stack, ns)| weights.add(stack, *ns));
    weights
}

#[test]
fn folded_stacks_weigh_what_the_report_says() {
    for (name, profile) in PROFILES {
        let file = fixture(name);
        let text = export("folded", profile, &file);
        weights_of_folded(&text).agree_with(&Weights::of_report(profile, &file), &format!("{profile} of {name}"));
        let lines: BTreeSet<&str> = text.lines().map(|line| line.rsplit_once(' ').unwrap().0).collect();
        assert_eq!(lines.len(), text.lines().count(), "a stack is there once");
    }
}

#[test]
fn inferno_draws_a_flame_graph_of_folded_stacks() {
    let text = export("folded", "cpu", &fixture("redis"));
    let mut options = inferno::flamegraph::Options::default();
    options.count_name = "ns".to_owned();
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut options, text.lines(), &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    let all: u64 = folded(&text).iter().map(|(_, ns)| ns).sum();
    let digits = svg.split("<title>all (").nth(1).unwrap().split(' ').next().unwrap().replace(',', "");
    assert_eq!(digits, all.to_string());
}

/// Whether Go's tools are installed; said aloud where they are not.
fn go(test: &str) -> bool {
    let found = Command::new("go").args(["tool", "pprof", "-h"]).output().is_ok();
    if !found {
        skip(test, "no go");
    }
    found
}

fn pprof(words: &[&str], file: &Path) -> String {
    let mut command = Command::new("go");
    command.args(["tool", "pprof", "-symbolize=none"]).args(words).arg(file);
    let output = command.env("PPROF_TMPDIR", file.parent().unwrap()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn pprof_finds_in_each_function_what_the_report_says() {
    if !go("pprof_finds_in_each_function_what_the_report_says") {
        return;
    }
    for (name, profile) in PROFILES {
        let (dir, file) = (tempfile::tempdir().unwrap(), fixture(name));
        let out = dir.path().join("run.pb.gz");
        printed(&["export", "--to", "pprof", "--profile", profile, "-o", out.to_str().unwrap()], &file);
        let top = pprof(&["-top", "-unit=ns", "-nodecount=0", "-nodefraction=0", "-edgefraction=0"], &out);
        let rows = top.lines().skip_while(|line| !line.trim_start().starts_with("flat")).skip(1);
        let mut found = Weights::default();
        for row in rows {
            let mut words = row.trim_start();
            let mut cells = Vec::new();
            for _ in 0..5 {
                let (cell, rest) = words.split_once(' ').unwrap();
                cells.push(cell.trim_end_matches("ns").to_owned());
                words = rest.trim_start();
            }
            let [own, total] = [&cells[0], &cells[3]].map(|ns| ns.parse::<u64>().unwrap());
            found.total.insert(words.to_owned(), total);
            if own > 0 {
                found.own.insert(words.to_owned(), own);
            }
        }
        found.agree_with(&Weights::of_report(profile, &file), &format!("{profile} of {name}"));
    }
}

#[test]
fn pprof_knows_processes_threads_files_and_what_was_recorded() {
    if !go("pprof_knows_processes_threads_files_and_what_was_recorded") {
        return;
    }
    let (dir, file) = (tempfile::tempdir().unwrap(), fixture("redis"));
    let out = dir.path().join("run.pb.gz");
    printed(&["export", "--to", "pprof", "-o", out.to_str().unwrap()], &file);
    let raw = pprof(&["-raw"], &out);
    for part in [
        "PeriodType: cpu nanoseconds\nPeriod: 10101010\n",
        "samples/count cpu/nanoseconds\n",
        "process:[redis-server]",
        "thread:[",
        "complete: no event lost",
        "host: ",
        "window: ",
    ] {
        assert!(raw.contains(part), "{part}: {raw}");
    }
    let mapping = raw.split("Mappings\n").nth(1).unwrap();
    let libc = mapping.lines().find(|line| line.contains("libc.so.6")).unwrap();
    assert!(libc.split_whitespace().any(|word| word.len() == 40), "no build id: {libc}");
}

/// A text with what inferno takes out of names.
fn tidied(name: &str) -> bool {
    name.contains(['<', '(', '[', '.', '+', ' ', '-'])
}

#[test]
fn inferno_collapses_the_text_of_perf_script_to_the_same_stacks() {
    for (name, profile) in PROFILES {
        let file = fixture(name);
        let text = export("perf-script", profile, &file);
        let mut collapsed = Vec::new();
        perf::Folder::from(perf::Options::default()).collapse(text.as_bytes(), &mut collapsed).unwrap();
        let collapsed = String::from_utf8(collapsed).unwrap();
        let found = weights_of_folded(&collapsed);
        let expected = weights_of_folded(&export("folded", profile, &file));
        let sum = |weights: &Weights| weights.own.values().sum::<u64>();
        assert_eq!(sum(&found), sum(&expected) + bare(&file, profile), "{profile} of {name}");
        let plain = |(name, _): &(&String, &u64)| !tidied(name);
        for (function, ns) in expected.total.iter().filter(plain) {
            assert_eq!(found.total.get(function), Some(ns), "{profile} of {name}: {function}");
        }
    }
}

/// What has no stack at all, which perf's readers show as `[unknown]`.
fn bare(file: &Path, profile: &str) -> u64 {
    let text = export("folded", profile, file);
    folded(&text).iter().filter(|(stack, _)| stack.is_empty()).map(|(_, ns)| ns).sum()
}

#[test]
fn perf_script_lists_each_sample_in_the_order_of_time() {
    let file = fixture("redis");
    let text = export("perf-script", "cpu", &file);
    let heads: Vec<&str> = text.lines().filter(|line| line.ends_with("cpu-clock:")).collect();
    let samples: u64 = folded(&export("folded", "cpu", &file)).iter().map(|(_, ns)| ns / 10_101_010).sum();
    assert_eq!(heads.len() as u64, samples);
    let times: Vec<f64> =
        heads.iter().map(|head| head.rsplit(' ').nth(2).unwrap().trim_end_matches(':').parse().unwrap()).collect();
    assert!(times.is_sorted() && times.last().unwrap() - times[0] < 1.5, "{times:?}");
    assert!(text.lines().any(|line| line.starts_with("# times of samples: ")), "{text}");
}

#[test]
fn a_firefox_profile_is_whole_and_weighs_what_the_report_says() {
    for name in ["compile", "redis", "storm"] {
        let file = fixture(name);
        let profile: Value = serde_json::from_slice(&printed(&["export", "--to", "firefox"], &file)).unwrap();
        assert_eq!(profile["meta"]["preprocessedProfileVersion"], 55);
        let mut found = Weights::default();
        let mut markers = 0;
        for thread in profile["threads"].as_array().unwrap() {
            let column = |table: &str, column: &str| thread[table][column].as_array().unwrap().clone();
            let strings = thread.get("stringArray").unwrap_or(&profile["shared"]["stringArray"]).as_array().unwrap();
            let (funcs, frames) = (column("funcTable", "name"), column("frameTable", "func"));
            let (prefixes, of_stack) = (column("stackTable", "prefix"), column("stackTable", "frame"));
            let at = |values: &[Value], place: &Value| values[place.as_u64().unwrap() as usize].clone();
            let weights = thread["samples"]["weight"].as_array();
            for (place, stack) in column("samples", "stack").iter().enumerate() {
                let mut names = Vec::new();
                let mut stack = stack.clone();
                while !stack.is_null() {
                    let func = at(&frames, &at(&of_stack, &stack));
                    names.push(at(strings, &at(&funcs, &func)).as_str().unwrap().to_owned());
                    stack = at(&prefixes, &stack);
                }
                names.reverse();
                let weight = weights.map_or(1, |weights| weights[place].as_u64().unwrap());
                found.add(&names.iter().map(String::as_str).collect::<Vec<_>>(), weight * 10_101_010);
            }
            markers += thread["markers"]["length"].as_u64().unwrap();
        }
        found.agree_with(&Weights::of_report("cpu", &file), name);
        let slow: Value =
            serde_json::from_slice(&printed(&["report", "slow", "--format", "json", "-n", "0"], &file)).unwrap();
        let slow = slow["tables"].get("events").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        // Those of the recording itself are about host, window, losses and the like.
        let about = profile["threads"][0]["markers"]["length"].as_u64().unwrap();
        assert!(about >= 4, "{about}");
        assert_eq!(markers - about, slow, "{name}");
    }
}

/// A recording of a sample whose names are made to break the formats.
fn hostile(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join("hostile.parquet");
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: name.to_owned(), run_id: "r".to_owned() };
    let mut writer = Writer::create(&path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 1_700_000_000_000_000_000);
    rows.row("cpu_sample")
        .at(1_000_000_000)
        .int(column::DUR_NS, 1_000_000_000)
        .int(column::PID, 42)
        .text(column::COMM, name)
        .int(column::USTACK_ID, 1)
        .int(column::COUNT, 3)
        .int(column::SUM, 30);
    rows.row("symbol").at(1).int(column::ID, 7).text(column::NAME, name).text(column::MODULE, name);
    rows.row("stack").at(1).int(column::ID, 1).list(column::FRAMES, &[7, 7]);
    for batch in rows.take(1, true) {
        writer.write(batch).unwrap();
    }
    let window = Window { start_real_ns: 1_700_000_000_000_000_000, actual_ns: 1_000_000_000, ..Window::default() };
    writer.set_meta(&Meta { window, command: vec![name.to_owned()], ..Meta::default() });
    writer.finish(Duration::from_secs(5)).unwrap().path
}

#[test]
fn names_that_a_stranger_made_stay_within_their_lines_and_fields() {
    let names =
        ["a;b\nc 5\n", "\u{1b}[31m\"}\\", &"x".repeat(100_000), " ", "1 2/3 [000] 4.5: 6 cycles:", "#\n\n\t0 f (m)"];
    for name in names {
        let dir = tempfile::tempdir().unwrap();
        let file = hostile(dir.path(), name);
        let text = export("folded", "cpu", &file);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.len() < 5000 && !text.contains('\u{1b}'));
        let (stack, ns) = &folded(&text)[0];
        assert_eq!((stack.len(), *ns), (2, 30));
        let text = export("perf-script", "cpu", &file);
        let mut collapsed = Vec::new();
        perf::Folder::from(perf::Options::default()).collapse(text.as_bytes(), &mut collapsed).unwrap();
        let collapsed = String::from_utf8(collapsed).unwrap();
        assert_eq!(collapsed.lines().count(), 1, "{name:?}: {text}: {collapsed}");
        assert!(collapsed.trim_end().ends_with(" 30"), "{text}: {collapsed}");
        let profile: Value = serde_json::from_slice(&printed(&["export", "--to", "firefox"], &file)).unwrap();
        assert_eq!(profile["threads"].as_array().unwrap().len(), 2);
        if go("names_that_a_stranger_made_stay_within_their_lines_and_fields") {
            let out = dir.path().join("run.pb.gz");
            printed(&["export", "--to", "pprof", "-o", out.to_str().unwrap()], &file);
            assert!(pprof(&["-raw"], &out).contains("\n          3         30: 1 1 \n"));
        }
    }
}

#[test]
fn a_recording_without_the_stacks_asked_for_says_so_in_one_line_with_a_hint() {
    for (words, file, said) in [
        (["--to", "folded", "--profile", "cpu"], "fio", "has no CPU samples"),
        (["--to", "pprof", "--profile", "locks"], "redis", "has no waits for locks and in futexes"),
        (["--to", "perf-script", "--profile", "offcpu"], "fio", "has no off-CPU stacks"),
        (["--to", "firefox", "--pid", "1"], "redis", "passes the filters"),
    ] {
        let output = ebrec(&[&["export"], &words[..]].concat(), &fixture(file));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.lines().next().unwrap().contains(said) && text.lines().count() <= 2, "{text}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_name_that_ends_in_gz_is_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (fixture("redis"), dir.path().join("run.folded.gz"));
    printed(&["export", "--to", "folded", "-o", out.to_str().unwrap()], &file);
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&out).unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!(text, export("folded", "cpu", &file));
}

#[test]
fn filters_leave_what_the_report_leaves() {
    let file = fixture("redis");
    let sum = |words: &[&str]| {
        let text = String::from_utf8(printed(&[&["export", "--to", "folded"], words].concat(), &file)).unwrap();
        folded(&text).iter().map(|(_, ns)| ns).sum::<u64>()
    };
    let report = |words: &[&str]| {
        let document = printed(&[&["report", "cpu", "--format", "json"], words].concat(), &file);
        let document: Value = serde_json::from_slice(&document).unwrap();
        let rows = document["tables"]["functions"].as_array().unwrap().clone();
        rows.iter().map(|row| row["self_ns"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(sum(&["--comm", "redis-server"]), report(&["--comm", "redis-server"]));
    assert_eq!(sum(&["--until", "1s"]), report(&["--to", "1s"]));
    assert!(sum(&["--comm", "redis-server"]) < sum(&[]) && sum(&[]) == report(&[]));
}
