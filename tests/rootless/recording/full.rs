//! A disk that is full in the middle of a recording: the error is told, and what was checkpointed is kept.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::WriteError;
use ebrec::recording::Writer;
use ebrec::recording::column;
use ebrec::recording::partial_path;
use ebrec::recording::recover;

/// Names the file to the child, which is this very test program.
const FILE: &str = "EBREC_TEST_RECORDING";

/// Numbers that do not compress.
fn number(n: i64) -> i64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)
}

fn identity() -> Identity {
    Identity { host: "box".to_owned(), run_id: "0123".to_owned() }
}

/// Records until the disk is full, and tells how many rows were checkpointed.
///
/// As a test of its own it does nothing.
#[test]
fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let path = Path::new(&path);
    let schema = Arc::new(Schema::new([]));
    let mut writer = Writer::create(path, Arc::clone(&schema), identity(), Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 0);
    let (mut n, mut safe) = (0, 0);
    let error = loop {
        for _ in 0..1000 {
            rows.row("exec").int(column::TID, n).int(column::RET, number(n));
            n += 1;
        }
        let written = rows.take(1, true).into_iter().try_for_each(|batch| writer.write(batch));
        if let Err(error) = written.and_then(|()| writer.checkpoint()) {
            break error;
        }
        safe = n;
    };
    assert!(error.is_full(), "{error}");
    assert!(error.to_string().starts_with("cannot write '"), "{error}");
    // What had room before is still there, and later rows are refused or taken, but never half.
    assert_eq!(Recording::open(&partial_path(path)).unwrap().rows("exec"), safe as u64);
    assert!(safe >= 1000, "nothing fitted");
    println!("\n@{safe}");
    match writer.finish(Duration::from_secs(1)) {
        Ok(finished) => println!("@finished {}", finished.path.display()),
        Err(error) => assert!(error.is_full(), "{error}"),
    }
}

fn read(path: &Path) -> i64 {
    let mut next = 0;
    for chunk in Recording::open(path).unwrap().scan("exec", &["tid", "ret"]).unwrap() {
        let chunk = chunk.unwrap();
        for row in 0..chunk.len() {
            assert_eq!(chunk.int(0).get(row), Some(next));
            assert_eq!(chunk.int(1).get(row), Some(number(next)));
            next += 1;
        }
    }
    next
}

#[test]
fn a_full_disk_keeps_what_was_checkpointed() {
    // The limit is hit by the rows, by a footer beside them, or by what the end adds, as it falls.
    for blocks in (300..700).step_by(40) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.parquet");
        // A limit on the size of a file is a full disk without one: with its signal ignored, writes fail.
        let out = Command::new("sh")
            .args([
                "-c",
                &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" --exact recording::full::child --nocapture"),
            ])
            .arg(std::env::current_exe().unwrap())
            .env(FILE, &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
        let safe: i64 = said.lines().find_map(|line| line.strip_prefix('@')?.parse().ok()).unwrap();
        let finished = said.contains("@finished");
        println!("{blocks} blocks: {safe} rows, finished: {finished}");
        if finished {
            assert!(!partial_path(&path).exists());
        } else {
            assert_eq!(read(&partial_path(&path)), safe);
            assert_eq!(recover(&path, Existing::Keep).unwrap().path, path);
        }
        assert!(read(&path) >= safe);
    }
}

/// It was found out when the window was over, with the advice to use --force.
#[test]
fn a_directory_is_refused_before_anything_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    for existing in [Existing::Keep, Existing::Replace] {
        let refused = Writer::create(dir.path(), Arc::new(Schema::new([])), identity(), existing);
        assert!(matches!(refused, Err(WriteError::Directory { .. })));
    }
    assert!(!partial_path(dir.path()).exists(), "nothing is left behind");
}

#[test]
fn a_file_in_the_way_is_never_replaced_unless_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let schema = Arc::new(Schema::new([]));
    let create = |existing| Writer::create(&path, Arc::clone(&schema), identity(), existing);
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(create(Existing::Keep), Err(WriteError::Exists { .. })));
    assert!(!partial_path(&path).exists(), "nothing is left behind");
    let writer = create(Existing::Replace).unwrap();
    assert!(matches!(create(Existing::Replace), Err(WriteError::Running { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious", "it stays until the end");
    writer.finish(Duration::from_secs(1)).unwrap();
    assert!(Recording::open(&path).is_ok());

    // A file that appears while recording.
    std::fs::remove_file(&path).unwrap();
    let mut writer = create(Existing::Keep).unwrap();
    let mut rows = Rows::new(Arc::clone(&schema), 0);
    rows.row("exec").int(column::TID, 0).int(column::RET, number(0));
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(writer.finish(Duration::from_secs(1)), Err(WriteError::Exists { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert_eq!(read(&partial_path(&path)), 1, "the rows are not lost");
    std::fs::remove_file(&path).unwrap();
    recover(&path, Existing::Keep).unwrap();
    assert_eq!(read(&path), 1);
}

#[test]
fn the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let schema = Arc::new(Schema::new([]));
    let mut writer = Writer::create(&path, Arc::clone(&schema), identity(), Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 0);
    for kind in ["exec", "exec", "exit"] {
        rows.row(kind).int(column::PID, 1);
        rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
        writer.checkpoint().unwrap();
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(writer.partial_path()), 0o600);
    assert_eq!(mode(&ebrec::recording::footer_path(writer.partial_path())), 0o600);
    let finished = writer.finish(Duration::from_secs(1)).unwrap();
    assert!(finished.merged);
    assert_eq!(mode(&path), 0o600);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["run.parquet"]);
}
