//! No view takes more memory than 256 MiB, in any format, of however large a recording.

use std::path::Path;
use std::sync::Mutex;

use crate::synthetic::large::Size;
use ebrec::report::SUMMARY;
use ebrec::report::VIEWS;

use crate::measured;
use crate::synthetic::large;

/// Names the file that a second process of this test writes.
const WRITE: &str = "EBREC_LARGE_WRITE";

/// The bound, for any view, format and file.
const MOST_MIB: u64 = 256;

/// The bound for [`SMALL`], which a report that holds all that it shows goes beyond: 217 MiB for `threads` as JSON.
const MOST_MIB_OF_SMALL: u64 = 128;

/// As many rows as an unoptimised build gets through in two minutes.
const SMALL: Size = Size {
    syscalls: 150_000,
    events: 4_000,
    processes: 6_000,
    argv: 2000,
    files: 30_000,
    stacks: 15_000,
    symbols: 5_000,
    threads: 10_000,
    groups: 4_000,
};

/// What a machine of 64 CPUs that compiles for an hour comes to.
const FULL: Size = Size {
    syscalls: 20_000_000,
    events: 1_000_000,
    processes: 50_000,
    argv: 4000,
    files: 2_000_000,
    stacks: 1_000_000,
    symbols: 200_000,
    threads: 100_000,
    groups: 300_000,
};

/// As many processes, threads and stacks, and few of all else: what views have to keep apart, in a tenth of the time.
const WIDE: Size = Size { syscalls: 20_000, events: 20_000, files: 20_000, groups: 20_000, ..FULL };

/// A command that is held to the bound.
struct Check {
    what: String,
    arguments: Vec<String>,
    may_fail: bool,
}

/// Runs them, as many at once as there are CPUs, and says which were beyond the bound, or failed.
fn all(checks: Vec<Check>, most_mib: u64) -> Vec<String> {
    let checks = Mutex::new(checks.into_iter());
    let beyond = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                loop {
                    let next = checks.lock().unwrap().next();
                    let Some(Check { what, arguments, may_fail }) = next else { return };
                    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                    let run = measured::run(&arguments);
                    println!("{what}\t{} MiB\t{:.2} s\t{}", run.peak_mib, run.took.as_secs_f64(), run.status);
                    if run.peak_mib > most_mib {
                        beyond.lock().unwrap().push(format!("{what}: {} MiB", run.peak_mib));
                    }
                    if run.status != 0 && !(may_fail && run.status == 1) {
                        beyond.lock().unwrap().push(format!("{what}: exit status {}: {}", run.status, run.errors));
                    }
                }
            });
        }
    });
    beyond.into_inner().unwrap()
}

/// `EBREC_LARGE=full` measures the large one and `wide` the wide one; EBREC_LARGE_FILE keeps it, EBREC_LARGE_ONLY chooses views.
#[test]
fn no_view_takes_more_than_256_mib() {
    let size = match std::env::var("EBREC_LARGE").as_deref() {
        Ok("full") => FULL,
        Ok("wide") => WIDE,
        _ => SMALL,
    };
    let dir = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("EBREC_LARGE_FILE").map(std::path::PathBuf::from);
    let file = kept.unwrap_or_else(|| dir.path().join("large.parquet"));
    if let Some(file) = std::env::var_os(WRITE) {
        return large::write(Path::new(&file), size);
    }
    if !file.exists() {
        // By a process of its own: the kernel counts a child's memory from before its exec, and writing takes more.
        let myself = std::env::current_exe().unwrap();
        let mut writer = std::process::Command::new(myself);
        writer.args(["--exact", "large::no_view_takes_more_than_256_mib"]).env(WRITE, &file);
        assert!(writer.status().unwrap().success());
    }
    let most_mib = if size.threads == SMALL.threads { MOST_MIB_OF_SMALL } else { MOST_MIB };
    println!("{} bytes", std::fs::metadata(&file).unwrap().len());
    let only = std::env::var("EBREC_LARGE_ONLY").ok();
    let mut runs = Vec::new();
    let mut add = |what: &str, arguments: &[&str], may_fail: bool| {
        if only.as_ref().is_none_or(|only| what.contains(only.as_str())) {
            let arguments = arguments.iter().chain([&file.to_str().unwrap()]).map(|word| (*word).to_owned()).collect();
            runs.push(Check { what: what.to_owned(), arguments, may_fail });
        }
    };
    for view in VIEWS {
        for (format, more) in [("text", &["--top", "0"][..]), ("json", &[]), ("csv", &[]), ("md", &[])] {
            let arguments = [&["report", view.name, "--format", format][..], more].concat();
            add(&arguments[1..].join(" "), &arguments, false);
        }
        // The page of a view has the rows of its text; that of the summary has what no other format has, and `cpu` the largest graph.
        if [SUMMARY, "cpu"].contains(&view.name) {
            add(&format!("{} html", view.name), &["report", view.name, "--format", "html"], false);
        }
        if view.draws {
            add(&format!("{} svg", view.name), &["report", view.name, "--format", "svg"], true);
        }
    }
    for by in [&["--by", "process"][..], &["--by", "process", "--format", "json"]] {
        let arguments = [&["report", "hist", "sched.runqueue_latency"][..], by].concat();
        add(&arguments[1..].join(" "), &arguments, false);
    }
    add("processes --tree json", &["report", "processes", "--tree", "--format", "json"], false);
    add("info", &["info"], false);
    for to in ["openmetrics", "prometheus", "otlp", "folded", "pprof", "perf-script", "perfetto", "jsonl", "csv"] {
        add(&format!("export {to}"), &["export", "--to", to], false);
    }
    for to in ["folded", "pprof"] {
        add(&format!("export {to} offcpu"), &["export", "--to", to, "--profile", "offcpu"], false);
    }
    let mut beyond = all(runs, most_mib);
    // It is put together in memory up to the bound, and fails beyond it.
    let run = measured::run(&["export", "--to", "firefox", file.to_str().unwrap()]);
    println!("export firefox\t{} MiB\t{:.2} s\t{}", run.peak_mib, run.took.as_secs_f64(), run.status);
    let fits = run.status == 0 || (run.status == 1 && run.errors.contains("than fit into memory"));
    if run.peak_mib > MOST_MIB || !fits {
        beyond.push(format!("export firefox: {} MiB, exit status {}: {}", run.peak_mib, run.status, run.errors));
    }
    assert!(beyond.is_empty(), "beyond {most_mib} MiB, or failed:\n{}", beyond.join("\n"));
}
