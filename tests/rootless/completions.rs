//! Completions as a shell asks for them.

use std::path::Path;
use std::process::Command;

use crate::synthetic::build;

const EBREC: &str = env!("CARGO_BIN_EXE_ebrec");

/// The candidates for the word at `cursor` (from 0, `ebrec` itself), as bash asks for them.
fn candidates(dir: &Path, line: &[&str], cursor: usize) -> Vec<String> {
    let mut command = Command::new(EBREC);
    command.current_dir(dir).arg("--").args(line).env("EBREC_COMPLETE", "bash");
    command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_INDEX", cursor.to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn views_metrics_columns_and_tables_are_those_of_the_recording_on_the_line() {
    let dir = tempfile::tempdir().unwrap();
    build::build("builder").write(&dir.path().join("a.parquet"));
    std::fs::write(dir.path().join("notes.txt"), "").unwrap();
    let ask = |line: &[&str], cursor| candidates(dir.path(), line, cursor);
    assert_eq!(ask(&["ebrec", "report", "he"], 2), ["heatmap"]);
    let metrics = ask(&["ebrec", "report", "hist", "block.d", "a.parquet"], 3);
    assert_eq!(metrics, ["block.device_time"]);
    let columns = ask(&["ebrec", "report", "hist", "block.device_time", "--by", "c", "a.parquet"], 5);
    assert_eq!(columns, ["comm"]);
    assert!(ask(&["ebrec", "report", "block", "--table", ""], 4).contains(&"requests".to_owned()));
    for command in ["info", "share"] {
        let files = ask(&["ebrec", command, ""], 2);
        assert!(files.contains(&"a.parquet".to_owned()) && !files.contains(&"notes.txt".to_owned()), "{files:?}");
    }
    assert_eq!(ask(&["ebrec", "recover", "a"], 2), Vec::<String>::new());
    std::fs::write(dir.path().join("b.parquet.partial"), "").unwrap();
    assert_eq!(ask(&["ebrec", "recover", "b"], 2), ["b.parquet.partial"]);
}

#[test]
#[cfg(feature = "record")]
fn probes_are_completed_with_signs_and_modes() {
    let dir = tempfile::tempdir().unwrap();
    let ask = |line: &[&str], cursor| candidates(dir.path(), line, cursor);
    assert_eq!(ask(&["ebrec", "record", "-p", "sched,+bl"], 3), ["sched,+block"]);
    assert_eq!(ask(&["ebrec", "record", "-p", "block:r"], 3), ["block:raw"]);
    assert_eq!(ask(&["ebrec", "probes", "of"], 2), ["offcpu"]);
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = Command::new(EBREC).args(["completions", shell]).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains("EBREC_COMPLETE"), "{shell}");
    }
}
