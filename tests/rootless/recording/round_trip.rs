//! What is written is read back, row by row, whatever happens in between.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Writer;
use ebrec::recording::column;
use ebrec::recording::footer_path;

fn identity() -> Identity {
    Identity { host: "box".to_owned(), run_id: "0123".to_owned() }
}

#[test]
fn rows_of_several_kinds_come_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let schema = Arc::new(Schema::new([]));
    let mut writer = Writer::create(&path, Arc::clone(&schema), identity(), Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 1_700_000_000_000_000_123);
    for n in 0..50_000_u64 {
        rows.row("exec")
            .at(n * 1001)
            .int(column::PID, n as i64)
            .text(column::COMM, if n % 3 == 0 { "sh" } else { "cc1" });
        if n % 7 == 0 {
            rows.row("stack").int(column::ID, n as i64).list(column::FRAMES, &[1, 2, n as i32]);
        }
        if n % 20_000 == 0 {
            for batch in rows.take(1, true) {
                writer.write(batch).unwrap();
            }
            writer.checkpoint().unwrap();
        }
    }
    for batch in rows.take(1, true) {
        writer.write(batch).unwrap();
    }
    let finished = writer.finish(Duration::from_secs(5)).unwrap();
    assert_eq!(finished.path, path);

    let recording = Recording::open(&path).unwrap();
    assert_eq!(recording.rows("exec"), 50_000);
    assert_eq!(recording.rows("stack"), 7143);
    let mut n = 0_u64;
    for chunk in recording.scan("exec", &["comm", "pid", "ts", "ts_sub_ns", "nothing", "dev", "host"]).unwrap() {
        let chunk = chunk.unwrap();
        for row in 0..chunk.len() {
            assert_eq!(chunk.int(1).get(row), Some(n as i64));
            assert_eq!(chunk.text(0).get(row), Some(if n.is_multiple_of(3) { "sh" } else { "cc1" }));
            assert_eq!(chunk.times(2, 3).get(row), Some(1_700_000_000_000_000_123 + n as i64 * 1001));
            assert_eq!(chunk.int(4).get(row), None);
            assert_eq!(chunk.text(5).get(row), None);
            assert_eq!(chunk.text(6).get(row), Some("box"));
            n += 1;
        }
    }
    assert_eq!(n, 50_000);
    let mut n = 0_i64;
    for chunk in recording.scan("stack", &["frames"]).unwrap() {
        let chunk = chunk.unwrap();
        for row in 0..chunk.len() {
            assert_eq!(chunk.list(0).get(row), Some(vec![1, 2, n as i32 * 7]));
            n += 1;
        }
    }
    assert_eq!(n, 7143);
    assert_eq!(recording.meta().columns.len(), ebrec::recording::CORE.len());
}

/// Rows in row groups of all sizes, some of them merged while recording.
fn long(path: &Path, incompressible: bool) -> Writer {
    let schema = Arc::new(Schema::new([]));
    let mut writer = Writer::create(path, Arc::clone(&schema), identity(), Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 0);
    let mut next = 0_i64;
    for round in 0..300_u64 {
        let many = if round % 100 == 50 { 70_000 } else { 100 };
        for _ in 0..many {
            let mut row = rows.row("exec");
            row.at(next as u64).int(column::TID, next).text(column::COMM, "sh");
            if incompressible {
                for id in [column::RET, column::BYTES, column::SUM, column::MIN, column::MAX] {
                    row.int(id, next.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) ^ i64::from(id == column::RET));
                }
            }
            next += 1;
        }
        rows.row("metric").int(column::COUNT, round as i64);
        rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
        writer.checkpoint().unwrap();
    }
    writer
}

fn hold_long(path: &Path) {
    let recording = Recording::open(path).unwrap();
    for (kind, name, rows) in [("exec", "tid", 239_700), ("metric", "count", 300)] {
        let mut next = 0;
        for chunk in recording.scan(kind, &[name, "run_id"]).unwrap() {
            let chunk = chunk.unwrap();
            for row in 0..chunk.len() {
                assert_eq!(chunk.int(0).get(row), Some(next));
                assert_eq!(chunk.text(1).get(row), Some("0123"));
                next += 1;
            }
        }
        assert_eq!(next, rows, "{kind}");
    }
}

#[test]
fn a_long_recording_keeps_the_order_of_its_rows_through_all_merging() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let writer = long(&path, false);
    let footer = std::fs::metadata(footer_path(writer.partial_path())).unwrap().len();
    assert!(footer < 1 << 20, "the footer has {footer} bytes: row groups were not merged");
    hold_long(writer.partial_path());
    let before = writer.bytes_written();
    let finished = writer.finish(Duration::from_secs(60)).unwrap();
    assert!(finished.merged);
    assert!(finished.bytes < before, "{} bytes of {before}", finished.bytes);
    hold_long(&path);
}

#[test]
fn a_recording_without_time_to_merge_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    assert!(!long(&path, false).finish(Duration::ZERO).unwrap().merged);
    hold_long(&path);
}

#[test]
fn a_recording_that_is_too_large_to_copy_is_merged_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    // Copying 9 MB in so little time is not tried, and what merging comes to in it depends on the machine.
    let finished = long(&path, true).finish(Duration::from_millis(20)).unwrap();
    println!("{finished:?}");
    hold_long(&path);
}
