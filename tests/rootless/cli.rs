//! The program as a person calls it: what it prints, what it says when something is wrong, and how it ends.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use ebrec::sql::Dialect;

use crate::synthetic::build;

const EBREC: &str = env!("CARGO_BIN_EXE_ebrec");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The files that the cases in `tests/cli/` name.
fn files(dir: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    build::build("builder").write(&dir.join("run.parquet"));
    build::lossy("lossy").write(&dir.join("lossy.parquet"));
    build::build("builder").write_partial(&dir.join("killed.parquet"));
    fs::create_dir(dir.join("empty")).unwrap();
    fs::create_dir(dir.join("hosts")).unwrap();
    build::build("one").write(&dir.join("hosts/one.parquet"));
    build::lossy("two").write(&dir.join("hosts/two.parquet"));
    let whole = fs::read(dir.join("run.parquet")).unwrap();
    write("text.parquet", b"not a recording, whatever its name says");
    write("nothing.parquet", b"");
    write("truncated.parquet", &whole[..whole.len() / 2]);
    write("newer.parquet", &changed(&whole, b"\x0cebrec.format\x18\x011", b"\x0cebrec.format\x18\x019"));
    write("liar.parquet", &changed(&whole, b"{\"asked_ns\"", b"[\"asked_ns\""));
}

/// The same bytes with the last occurrence of some of them changed.
fn changed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).rposition(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn the_cases_in_tests_cli_hold() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    std::env::set_current_dir(dir.path()).unwrap();
    let cases = trycmd::TestCases::new();
    cases.register_bin("ebrec", Path::new(EBREC));
    cases.env("COLUMNS", "100").env("NO_COLOR", "1").case(format!("{ROOT}/tests/cli/*.toml"));
    if cfg!(not(all(feature = "record", target_os = "linux"))) {
        // What triggers may be about is the probes' to say.
        cases.skip(format!("{ROOT}/tests/cli/record-until-*.toml"));
    }
    cases.run();
}

#[test]
fn the_manual_is_what_the_command_line_says() {
    let man = Path::new(ROOT).join("man");
    let advice = "`cargo run -- man man` writes it";
    for (name, page) in ebrec::cli::man_pages().unwrap() {
        let committed = fs::read(man.join(&name)).unwrap_or_default();
        assert!(committed == page, "man/{name} is out of date: {advice}");
    }
}

#[test]
fn the_scripts_in_sql_are_what_the_program_prints() {
    for dialect in Dialect::ALL {
        let name = format!("sql/{}.sql", dialect.name());
        let committed = fs::read_to_string(Path::new(ROOT).join(&name)).unwrap_or_default();
        assert!(committed == ebrec::sql::script(dialect, &[]).unwrap(), "{name} is out of date: `make man` writes it");
    }
}

#[test]
fn a_directory_stands_for_the_recordings_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let script = |dialect: &str| {
        let output = Command::new(EBREC).args(["sql", "--dialect", dialect]).arg(dir.path()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let dir = dir.path().display();
    assert!(script("duckdb").contains(&format!("read_parquet('{dir}/**/*.parquet', union_by_name = true)")));
    assert!(script("clickhouse").contains(&format!("file('{dir}/**/*.parquet', Parquet)")));
    assert!(script("spark").contains(&format!("path '{dir}', recursiveFileLookup 'true'")));
    assert!(script("trino").contains(&format!("external_location = '{dir}'")));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    // More than a pipe holds, so that the writer meets the closed end.
    let mut made = build::build("builder");
    for pid in 0..20_000 {
        made.row("exec", 0, &[("pid", pid.into()), ("comm", "x".into())]);
    }
    made.write(&dir.path().join("run.parquet"));
    let mut child = Command::new(EBREC)
        .args(["report", "exec", "--top", "0", "run.parquet"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn colours_come_when_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    build::build("builder").write(&dir.path().join("run.parquet"));
    let colored = |args: &[&str]| {
        let output =
            Command::new(EBREC).args(args).args(["report", "run.parquet"]).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success());
        output.stdout.contains(&0x1b)
    };
    assert!(!colored(&[]), "stdout is no terminal");
    assert!(colored(&["--color", "always"]));
    assert!(!colored(&["--color", "never"]));
}

#[test]
fn every_plot_goes_into_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    build::build("builder").write(&dir.path().join("run.parquet"));
    let output = Command::new(EBREC)
        .args(["report", "block", "--svg-dir", "pictures", "run.parquet"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "pictures/block-device_time.svg\npictures/block-queue_time.svg\n");
    for name in said.lines() {
        assert!(fs::read_to_string(dir.path().join(name)).unwrap().starts_with("<svg"), "{name}");
    }
}

/// It wrote the distributions only.
#[test]
fn all_plots_are_those_of_every_view() {
    let dir = tempfile::tempdir().unwrap();
    build::waiting("builder").write(&dir.path().join("run.parquet"));
    let output =
        Command::new(EBREC).args(["report", "--svg-dir", ".", "run.parquet"]).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    for name in
        ["hist-block.device_time", "block-device_time", "threads", "timeline-sched.rate", "heatmap-block.device_time"]
    {
        assert_eq!(said.lines().filter(|line| *line == format!("./{name}.svg")).count(), 1, "{name} in\n{said}");
    }
    assert_eq!(said.lines().count(), fs::read_dir(dir.path()).unwrap().count() - 1, "no file was written twice");
}

#[test]
fn a_report_goes_into_a_file_by_its_ending() {
    let dir = tempfile::tempdir().unwrap();
    build::build("builder").write(&dir.path().join("run.parquet"));
    for (name, start) in [
        ("a.json", "{\n"),
        ("a.csv", "comm,pid,"),
        ("a.svg", "<svg"),
        ("a.md", "# builder: "),
        ("a.html", "<!DOCTYPE html>"),
        ("a.txt", "complete"),
    ] {
        let view = if name == "a.csv" { "processes" } else { "summary" };
        let status =
            Command::new(EBREC).args(["report", view, "-o", name, "run.parquet"]).current_dir(dir.path()).status();
        assert!(status.unwrap().success(), "{name}");
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.starts_with(start), "{name}: {}", text.lines().next().unwrap_or_default());
    }
}

#[test]
fn a_killed_recording_is_recovered_once() {
    let dir = tempfile::tempdir().unwrap();
    build::build("builder").write_partial(&dir.path().join("run.parquet"));
    let run = |args: &[&str]| {
        let output = Command::new(EBREC).args(args).current_dir(dir.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, said) = run(&["recover", "run.parquet"]);
    assert!(status == Some(0) && said.starts_with("recovered 'run.parquet': "), "{said}");
    assert_eq!(run(&["report", "run.parquet"]), (Some(0), String::new()));
    let (status, said) = run(&["recover", "run.parquet"]);
    assert_eq!((status, said.as_str()), (Some(1), "ebrec: 'run.parquet' is complete: there is nothing to recover\n"));
}
