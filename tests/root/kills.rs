//! A recording is killed at a hundred moments, from its first to after its last: each time there is a way on.

use std::collections::BTreeMap;
use std::fs;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use ebrec::recording::Recording;

use crate::common::recorder::EBREC;

const KILLS: u64 = 100;
const AT_ONCE: usize = 4;
/// Rows of many kinds, read out so often that there is much to merge at the end.
const OPTIONS: [&str; 7] = ["record", "-q", "-d", "700ms", "--interval", "50ms", "-o"];

fn record(file: &Path, force: bool) -> Command {
    let mut command = Command::new(EBREC);
    command.args(OPTIONS).arg(file).stdin(Stdio::null()).stderr(Stdio::null());
    command.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER");
    if force {
        command.arg("--force");
    }
    command
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// How long one lasts that is not killed.
fn whole() -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    assert!(record(&dir.path().join("run.parquet"), false).status().unwrap().success());
    begin.elapsed()
}

/// Kills one at a moment; follows what the messages say until the name can be recorded to; tells what was left at first.
fn way_on(moment: Duration, earlier: bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.parquet");
    if earlier {
        // An earlier recording that is to be replaced stays until the new one is whole.
        assert!(record(&file, false).args(["-p", "process"]).status().unwrap().success());
    }
    let mut child = record(&file, earlier).spawn().unwrap();
    thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    let left = names(dir.path());
    let context = format!("after {moment:?}: {left:?}");

    if file.exists() {
        let recording = Recording::open(&file).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(recording.rows("process") > 0, "{context}");
    }
    if left.contains(&"run.parquet.partial".to_owned()) {
        let output = recover(&file, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Recording::open(&file).unwrap_or_else(|error| panic!("{context}: {error}"));
        } else if said.contains("exists already") {
            assert!(earlier && said.contains("hint: --force replaces it"), "{context}: {said}");
            let forced = recover(&file, &["--force"]);
            assert!(forced.status.success(), "{context}: {}", String::from_utf8_lossy(&forced.stderr));
            Recording::open(&file).unwrap_or_else(|error| panic!("{context}: {error}"));
        } else {
            assert!(said.starts_with("ebrec: nothing was recorded into '"), "{context}: {said}");
            assert!(said.contains("\nhint: remove it, or record to '"), "{context}: {said}");
        }
    }
    // The next recording to the same name, and whoever reports on it.
    let next = record(&file, file.exists()).args(["-p", "process"]).stderr(Stdio::piped()).output().unwrap();
    assert!(next.status.success(), "{context}: {}", String::from_utf8_lossy(&next.stderr));
    assert_eq!(names(dir.path()), ["run.parquet"], "{context}");
    let report = Command::new(EBREC).arg("report").arg(&file).output().unwrap();
    assert!(report.status.success(), "{context}: {}", String::from_utf8_lossy(&report.stderr));
    left.join(" ")
}

fn recover(file: &Path, options: &[&str]) -> Output {
    Command::new(EBREC).arg("recover").args(options).arg(file).output().unwrap()
}

#[test]
#[ignore = "root: attaches probes"]
fn after_each_of_a_hundred_kills_every_file_is_readable_and_the_name_can_be_used_again() {
    let whole = whole();
    let random = RandomState::new();
    let moments: Mutex<Vec<(Duration, bool)>> = Mutex::new(
        (0..KILLS)
            .map(|kill| {
                let fraction = (random.hash_one(kill) % 1_000_000) as f64 / 1e6;
                // Half of them anywhere, half in its first and last quarters, where the states change.
                let at = match kill % 4 {
                    0 | 1 => fraction,
                    2 => fraction / 4.0,
                    _ => 0.8 + fraction * 0.3,
                };
                (whole.mul_f64(at), kill % 3 == 0)
            })
            .collect(),
    );
    let left: Mutex<BTreeMap<String, u32>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((moment, earlier)) = moments.lock().unwrap().pop() else { return };
                    *left.lock().unwrap().entry(way_on(moment, earlier)).or_default() += 1;
                }
            });
        }
    });
    println!("one lasts {whole:?}; left by {KILLS} kills:");
    for (files, times) in left.into_inner().unwrap() {
        println!("{times:>4} times {}", if files.is_empty() { "nothing" } else { &files });
    }
}
