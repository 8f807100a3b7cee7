//! A recording is killed at a hundred moments, from its first to after its last, and at more while its row groups are merged: each time
//! there is a way on. `EBREC_KILLS=1000` takes as many moments.

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

use crate::common::Rows;
use crate::common::recorder::EBREC;

/// Kills at any moment, where `EBREC_KILLS` does not say how many; of those within merges there are a quarter as many.
const KILLS: u64 = 100;
const AT_ONCE: usize = 4;
/// The file that row groups are merged into until it is whole.
const MERGED: &str = "run.parquet.partial.tmp";
/// A window that ends before the first checkpoint is due: each kind has one row group, and nothing is merged.
const SHORT: &str = "700ms";
/// A window that shows that a name can be recorded to.
const SHORTEST: &str = "50ms";
/// A window with a checkpoint before its end: each kind has row groups to merge.
const LONG: &str = "1300ms";

fn kills() -> u64 {
    std::env::var("EBREC_KILLS").map_or(KILLS, |kills| kills.parse().expect("EBREC_KILLS is a number"))
}

/// Records rows of many kinds, and many of them.
fn record(window: &str, file: &Path, force: bool) -> Command {
    let mut command = Command::new(EBREC);
    command
        .args(["record", "-q", "-d", window, "--interval", "20ms", "-o"])
        .arg(file)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
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
    assert!(record(SHORT, &dir.path().join("run.parquet"), false).status().unwrap().success());
    begin.elapsed()
}

/// Kills a recording when `moment` returns, which takes the recording's file and describes the moment; then follows the messages until
/// the name can be recorded to. Returns the names that the kill left.
fn way_on(window: &str, moment: impl FnOnce(&Path) -> String, earlier: bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.parquet");
    if earlier {
        // An earlier recording that is to be replaced stays until the new one is whole.
        assert!(record(SHORTEST, &file, false).args(["-p", "process"]).status().unwrap().success());
    }
    let mut child = record(window, &file, earlier).spawn().unwrap();
    let moment = moment(&file);
    child.kill().unwrap();
    child.wait().unwrap();
    let left = names(dir.path());
    let context = format!("{moment}: {left:?}");
    let in_merge = left.iter().any(|name| name == MERGED);

    if file.exists() {
        let recording = Recording::open(&file).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(recording.rows("process") > 0, "{context}");
    }
    if left.contains(&"run.parquet.partial".to_owned()) {
        let output = recover(&file, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            assert_recovered(&file, in_merge, &context);
        } else if said.contains("exists already") {
            assert!(earlier && said.contains("hint: --force replaces it"), "{context}: {said}");
            let forced = recover(&file, &["--force"]);
            assert!(forced.status.success(), "{context}: {}", String::from_utf8_lossy(&forced.stderr));
            assert_recovered(&file, in_merge, &context);
        } else {
            assert!(!in_merge, "{context}: {said}");
            assert!(said.starts_with("ebrec: nothing was recorded into '"), "{context}: {said}");
            assert!(said.contains("\nhint: remove it, or record to '"), "{context}: {said}");
        }
    }
    // The next recording to the same name, and a report on it.
    let next = record(SHORTEST, &file, file.exists()).args(["-p", "process"]).stderr(Stdio::piped()).output().unwrap();
    assert!(next.status.success(), "{context}: {}", String::from_utf8_lossy(&next.stderr));
    assert_eq!(names(dir.path()), ["run.parquet"], "{context}");
    let report = Command::new(EBREC).arg("report").arg(&file).output().unwrap();
    assert!(report.status.success(), "{context}: {}", String::from_utf8_lossy(&report.stderr));
    left.join(" ")
}

/// The recording opens; one that was killed in its merge has its whole window, since everything was checkpointed before.
fn assert_recovered(file: &Path, in_merge: bool, context: &str) {
    let recording = Recording::open(file).unwrap_or_else(|error| panic!("{context}: {error}"));
    if in_merge {
        let window = &recording.meta().window;
        assert_eq!(window.ended, "duration", "{context}");
        assert!(window.actual_ns >= window.asked_ns.unwrap(), "{context}: {window:?}");
        // The last row of any recording.
        assert_eq!(Rows::read(&recording, "cost", &["op"]).named("op", "cpu_finish").count(), 1, "{context}");
    }
}

fn recover(file: &Path, options: &[&str]) -> Output {
    Command::new(EBREC).arg("recover").args(options).arg(file).output().unwrap()
}

/// Kills a recording at each of these moments, [`AT_ONCE`] side by side, and counts and prints what they left.
fn kill_all<M: FnOnce(&Path) -> String + Send>(moments: Vec<(M, bool)>, window: &str) -> BTreeMap<String, u32> {
    let kills = moments.len();
    let moments = Mutex::new(moments);
    let left: Mutex<BTreeMap<String, u32>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((moment, earlier)) = moments.lock().unwrap().pop() else { return };
                    *left.lock().unwrap().entry(way_on(window, moment, earlier)).or_default() += 1;
                }
            });
        }
    });
    let left = left.into_inner().unwrap();
    println!("left by {kills} kills:");
    for (files, times) in &left {
        println!("{times:>4} times {}", if files.is_empty() { "nothing" } else { files });
    }
    left
}

/// A number from 0 to 1 that differs from run to run.
fn fraction(random: &RandomState, kill: u64) -> f64 {
    (random.hash_one(kill) % 1_000_000) as f64 / 1e6
}

#[test]
#[ignore = "root: attaches probes"]
fn after_each_of_many_kills_every_file_is_readable_and_the_name_can_be_used_again() {
    let whole = whole();
    println!("one lasts {whole:?}");
    let random = RandomState::new();
    let moments = (0..kills()).map(|kill| {
        let fraction = fraction(&random, kill);
        // Half of them anywhere, half in its first and last quarters, where the states change.
        let at = match kill % 4 {
            0 | 1 => fraction,
            2 => fraction / 4.0,
            _ => 0.8 + fraction * 0.3,
        };
        let at = whole.mul_f64(at);
        let moment = move |_: &Path| {
            thread::sleep(at);
            format!("after {at:?}")
        };
        (moment, kill % 3 == 0)
    });
    kill_all(moments.collect(), SHORT);
}

/// Waits until the merge begins; a recording that has none ends here.
fn merge_begins(file: &Path) {
    let merged = file.with_file_name(MERGED);
    let end = Instant::now() + Duration::from_secs(60);
    while !merged.exists() {
        assert!(Instant::now() < end, "no merge begins");
        thread::sleep(Duration::from_micros(200));
    }
}

/// How long the merge of one lasts that is not killed.
fn merge() -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.parquet");
    let mut child = record(LONG, &file, false).spawn().unwrap();
    merge_begins(&file);
    let begin = Instant::now();
    assert!(child.wait().unwrap().success());
    begin.elapsed()
}

#[test]
#[ignore = "root: attaches probes"]
fn a_kill_while_the_row_groups_are_merged_costs_nothing_of_the_recording() {
    let merge = merge();
    println!("the merge lasts {merge:?}");
    let random = RandomState::new();
    let kills = kills().div_ceil(4);
    let moments = (0..kills).map(|kill| {
        let into = merge.mul_f64(fraction(&random, kill) * 1.1);
        let moment = move |file: &Path| {
            merge_begins(file);
            thread::sleep(into);
            format!("{into:?} into the merge")
        };
        (moment, kill % 3 == 0)
    });
    let left = kill_all(moments.collect(), LONG);
    let in_merge = left.iter().filter(|(files, _)| files.split(' ').any(|name| name == MERGED));
    let in_merge: u32 = in_merge.map(|(_, times)| times).sum();
    assert!(in_merge >= kills as u32 / 4, "only {in_merge} of {kills} were killed in the merge");
}
