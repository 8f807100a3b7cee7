//! More than one recording, and directories of them.

use ebrec::failure::Blame;
use serde_json::json;

use super::Case;
use super::cells;
use super::of_build;
use crate::synthetic::build::build;
use crate::synthetic::build::lossy;

#[test]
fn several_recordings_are_told_apart_by_host() {
    let two = || vec![("a.parquet", build("one")), ("b.parquet", lossy("two"))];
    for view in ["summary", "processes", "hist", "exec", "block", "losses", "overhead"] {
        let case = Case::new(view, two());
        let from_files = case.json();
        let dir = case.dir.path().to_owned();
        let from_dir = case.with(|plan| plan.files = vec![dir]).json();
        assert_eq!(from_files, from_dir, "{view}");
        for (name, rows) in from_files["tables"].as_object().unwrap() {
            for row in rows.as_array().unwrap() {
                assert!(row["host"] == "one" || row["host"] == "two", "{view} {name} {row}");
            }
        }
    }
}

#[test]
fn recordings_of_one_host_are_told_apart_by_file() {
    let document = Case::new("overhead", vec![("a.parquet", build("one")), ("b.parquet", build("one"))]).json();
    assert_eq!(cells(&document, "recorder", &["host"]), [[json!("one (a)")], [json!("one (b)")]]);
}

#[test]
fn what_is_no_recording_in_a_directory_is_left_out_and_named() {
    let case = Case::new("overhead", vec![("a.parquet", build("one"))]);
    std::fs::write(case.dir.path().join("b.parquet"), "no").unwrap();
    let dir = case.dir.path().to_owned();
    let document = case.with(|plan| plan.files = vec![dir]).json();
    let warning = document["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("left out: '") && warning.contains("b.parquet' is not a recording"), "{warning}");
}

#[test]
fn a_directory_without_recordings_is_an_error() {
    let empty = tempfile::tempdir().unwrap();
    let error = of_build("summary").with(|plan| plan.files = vec![empty.path().to_owned()]).error();
    assert!(error.message.starts_with("no recording in the directory '"), "{error}");
    assert_eq!(error.blame, Blame::Run);
}
