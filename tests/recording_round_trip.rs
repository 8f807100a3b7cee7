//! What is written is read back, row by row, whatever happens in between.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Writer;
use ebrec::recording::column;

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
