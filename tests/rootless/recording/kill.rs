//! A writer that is killed at any moment leaves a recording of all that it checkpointed.

use std::fs;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::OpenError;
use ebrec::recording::Recording;
use ebrec::recording::RecoverError;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Writer;
use ebrec::recording::column;
use ebrec::recording::footer_path;
use ebrec::recording::partial_path;
use ebrec::recording::recover;

/// Names the file to the child, which is this very test program.
const FILE: &str = "EBREC_TEST_RECORDING";
/// Enough that row groups are merged while it records.
const KINDS: [&str; 7] = ["exec", "exit", "fork", "wakeup", "slice", "block_io", "metric"];
/// The child ends its recording when it has so many rows of each kind.
const ROWS: i64 = 60_000;

/// Records numbered rows, says after every checkpoint how many are safe, ends the recording, and waits to be killed.
///
/// As a test of its own it does nothing.
#[test]
fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let mut writer = Writer::create(Path::new(&path), Arc::clone(&schema), identity, Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 0);
    let mut out = std::io::stdout();
    let mut say = |line: &str| {
        out.write_all(format!("\n@{line}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    for n in 0..ROWS {
        for kind in KINDS {
            rows.row(kind).at(n as u64 * 1009).int(column::TID, n).text(column::COMM, &format!("thread/{}", n % 97));
        }
        for batch in rows.take(700, false) {
            writer.write(batch).unwrap();
        }
        if n % 1000 == 999 {
            for batch in rows.take(1, true) {
                writer.write(batch).unwrap();
            }
            writer.checkpoint().unwrap();
            say(&(n + 1).to_string());
        }
    }
    say("ending");
    writer.finish(Duration::from_secs(10)).unwrap();
    say("ended");
    loop {
        std::thread::park();
    }
}

/// Starts the child, kills it a moment after it has said so many lines, and returns how many rows it said were safe.
fn kill_after(path: &Path, lines: usize, moment: Duration) -> (i64, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "recording::kill::child", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said: Vec<String> = Vec::new();
    let mut line = String::new();
    while said.len() < lines && out.read_line(&mut line).unwrap() > 0 {
        said.extend(line.trim().strip_prefix('@').map(str::to_owned));
        line.clear();
    }
    // No synchronisation: the moment is to be any, also in the middle of a write.
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(out.lines().map_while(Result::ok).filter_map(|line| line.trim().strip_prefix('@').map(str::to_owned)));
    let safe = said.iter().filter_map(|line| line.parse().ok()).max().unwrap_or(0);
    (safe, said.iter().any(|line| line == "ended"))
}

/// Holds that every kind's rows are numbered without a gap, and returns how many there are.
fn read(path: &Path) -> Vec<i64> {
    let recording = Recording::open(path).unwrap();
    let count = |kind: &str| {
        let mut next = 0;
        for chunk in recording.scan(kind, &["tid", "comm", "ts", "ts_sub_ns", "run_id"]).unwrap() {
            let chunk = chunk.unwrap();
            for row in 0..chunk.len() {
                assert_eq!(chunk.int(0).get(row), Some(next), "{kind}");
                assert_eq!(chunk.text(1).get(row).unwrap(), format!("thread/{}", next % 97));
                assert_eq!(chunk.times(2, 3).get(row), Some(next * 1009));
                assert_eq!(chunk.text(4).get(row), Some("0123"));
                next += 1;
            }
        }
        assert_eq!(next as u64, recording.rows(kind));
        next
    };
    KINDS.map(count).to_vec()
}

fn kill_and_read_back(lines: usize, moment: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let partial = partial_path(&path);
    let (safe, ended) = kill_after(&path, lines, moment);
    if path.exists() {
        // It was killed after it had ended the recording, or just before it could say so.
        assert_eq!(read(&path), [ROWS; KINDS.len()]);
        assert!(!Recording::open(&path).unwrap().is_partial());
        return;
    }
    assert!(!ended, "the recording was ended and is not there");
    assert!(matches!(Recording::open(&path), Err(OpenError::OnlyPartial { .. })));
    let before = read(&partial);
    assert!(before.iter().all(|rows| *rows >= safe), "{before:?} of {safe}");
    assert!(Recording::open(&partial).unwrap().is_partial());
    // Nothing of ours is needed for this one.
    let joined = dir.path().join("joined.parquet");
    let mut bytes = fs::read(&partial).unwrap();
    bytes.extend(fs::read(footer_path(&partial)).unwrap());
    fs::write(&joined, bytes).unwrap();
    assert_eq!(read(&joined), before);
    let recovered = recover(&path, Existing::Keep).unwrap();
    assert_eq!(recovered.path, path);
    assert_eq!(recovered.bytes, fs::metadata(&path).unwrap().len());
    assert_eq!(read(&path), before);
    assert!(!partial.exists() && !footer_path(&partial).exists());
    assert!(matches!(recover(&path, Existing::Keep), Err(RecoverError::Whole { .. })));
}

#[test]
fn twenty_writers_killed_at_random_lose_nothing_that_was_checkpointed() {
    for round in 0..20_usize {
        let random = RandomState::new().hash_one(round);
        let lines = 1 + (random >> 32) as usize % 58;
        let moment = Duration::from_micros(random % 20_000);
        println!("round {round}: after {lines} lines and {moment:?}");
        kill_and_read_back(lines, moment);
    }
}

#[test]
fn writers_killed_while_they_end_a_recording_leave_it_or_what_makes_it() {
    // The child says a line per checkpoint, and then that it ends.
    let lines = ROWS as usize / 1000 + 1;
    for round in 0..8_u64 {
        let moment = Duration::from_micros(RandomState::new().hash_one(round) % 12_000 * round);
        println!("round {round}: {moment:?} into the end");
        kill_and_read_back(lines, moment);
    }
}

#[test]
fn a_running_recording_is_read_but_not_recovered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let mut writer = Writer::create(&path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    assert!(matches!(Recording::open(&partial_path(&path)), Err(OpenError::Unrecoverable { .. })));
    writer.checkpoint().unwrap();
    let mut rows = Rows::new(schema, 0);
    rows.row("exec").int(column::PID, 1);
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    writer.checkpoint().unwrap();
    assert_eq!(Recording::open(&partial_path(&path)).unwrap().rows("exec"), 1);
    assert!(matches!(recover(&path, Existing::Keep), Err(RecoverError::Running { .. })));
    let finished = writer.finish(Duration::ZERO).unwrap();
    assert_eq!(Recording::open(&finished.path).unwrap().rows("exec"), 1);
}
