//! Whatever values are recorded, in whatever pieces, they are read back the same.

use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Column;
use ebrec::recording::ColumnType;
use ebrec::recording::Existing;
use ebrec::recording::Holds;
use ebrec::recording::Identity;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Writer;
use ebrec::recording::column;
use ebrec::recording::unescape;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::test_runner::Config;
use proptest::test_runner::TestCaseError;
use proptest::test_runner::TestRunner;

static OWN: [Column; 3] = [
    Column { name: "own_ratio", ty: ColumnType::Double, title: "Ratio", unit: None, help: "A number." },
    Column { name: "own_flag", ty: ColumnType::Bool, title: "Flag", unit: None, help: "A truth value." },
    Column { name: "own_note", ty: ColumnType::Text(Holds::Word), title: "Note", unit: None, help: "A text." },
];
const KINDS: [&str; 3] = ["exec", "exit", "block_io"];

/// A row as it was recorded, and as it must come back.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    kind: usize,
    mono_ns: Option<u32>,
    dur_ns: Option<i64>,
    cpu: Option<i16>,
    pid: Option<i32>,
    bytes: Option<i64>,
    comm: Option<Vec<u8>>,
    note: Option<String>,
    frames: Option<Vec<i32>>,
    ratio: Option<f64>,
    flag: Option<bool>,
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 0_i64..4, Just(i64::MIN), Just(i64::MAX), -1000_i64..100_000]
}

fn row() -> impl Strategy<Value = Expected> {
    let name = prop_oneof![
        Just(b"cc1".to_vec()),
        Just(b"sh".to_vec()),
        vec(prop_oneof![Just(b'\\'), Just(b'x'), Just(b'f'), 1..=255_u8], 0..12)
    ];
    let first = (
        0..KINDS.len(),
        option::of(any::<u32>()),
        option::of(number()),
        option::of(any::<i16>()),
        option::of(any::<i32>()),
    );
    let second = (
        option::of(number()),
        option::of(name),
        option::of("[a-zß\u{202e}]{0,3}"),
        option::of(vec(any::<i32>(), 0..4)),
        option::of(-1e9_f64..1e9),
        option::of(any::<bool>()),
    );
    (first, second).prop_map(|((kind, mono_ns, dur_ns, cpu, pid), (bytes, comm, note, frames, ratio, flag))| Expected {
        kind,
        mono_ns,
        dur_ns,
        cpu,
        pid,
        bytes,
        comm,
        note,
        frames,
        ratio,
        flag,
    })
}

const OFFSET: i64 = 1_700_000_000_000_000_777;

fn record(rows: &mut Rows, schema: &Schema, row: &Expected) {
    let mut to = rows.row(KINDS[row.kind]);
    if let Some(ns) = row.mono_ns {
        to.at(u64::from(ns));
    }
    to.maybe_int(column::DUR_NS, row.dur_ns)
        .maybe_int(column::CPU, row.cpu.map(i64::from))
        .maybe_int(column::PID, row.pid.map(i64::from))
        .maybe_int(column::BYTES, row.bytes);
    if let Some(comm) = &row.comm {
        to.bytes(column::COMM, comm);
    }
    if let Some(note) = &row.note {
        to.text(schema.id("own_note").unwrap(), note);
    }
    if let Some(frames) = &row.frames {
        to.list(column::FRAMES, frames);
    }
    if let Some(ratio) = row.ratio {
        to.double(schema.id("own_ratio").unwrap(), ratio);
    }
    if let Some(flag) = row.flag {
        to.bool(schema.id("own_flag").unwrap(), flag);
    }
}

fn read(recording: &Recording) -> Vec<Expected> {
    let columns =
        ["ts", "ts_sub_ns", "dur_ns", "cpu", "pid", "bytes", "comm", "own_note", "frames", "own_ratio", "own_flag"];
    let mut rows = Vec::new();
    for (kind, name) in KINDS.iter().enumerate() {
        for chunk in recording.scan(name, &columns).unwrap() {
            let chunk = chunk.unwrap();
            for row in 0..chunk.len() {
                rows.push(Expected {
                    kind,
                    mono_ns: chunk.times(0, 1).get(row).map(|ns| u32::try_from(ns - OFFSET).unwrap()),
                    dur_ns: chunk.int(2).get(row),
                    cpu: chunk.int(3).get(row).map(|value| i16::try_from(value).unwrap()),
                    pid: chunk.int(4).get(row).map(|value| i32::try_from(value).unwrap()),
                    bytes: chunk.int(5).get(row),
                    comm: chunk.text(6).get(row).map(|text| unescape(text).into_owned()),
                    note: chunk.text(7).get(row).map(str::to_owned),
                    frames: chunk.list(8).get(row),
                    ratio: chunk.double(9).get(row),
                    flag: chunk.bool(10).get(row),
                });
            }
        }
    }
    rows
}

/// Records the rows many times over, hands them on and checkpoints every so many, and reads them back.
fn round_trip(rows: &[Expected], times: usize, take: usize, checkpoint: usize) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let schema = Arc::new(Schema::new(&OWN));
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let mut writer = Writer::create(&path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    let mut builders = Rows::new(Arc::clone(&schema), OFFSET);
    let mut expected = Vec::new();
    for (n, row) in rows.iter().cycle().take(rows.len() * times).enumerate() {
        record(&mut builders, &schema, row);
        expected.push(row.clone());
        for batch in builders.take(take, false) {
            writer.write(batch).unwrap();
        }
        if n % checkpoint == checkpoint - 1 {
            builders.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
            writer.checkpoint().unwrap();
        }
    }
    builders.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish(Duration::from_secs(10)).unwrap();
    expected.sort_by_key(|row| row.kind);
    let read = read(&Recording::open(&path).unwrap());
    for (index, (read, expected)) in read.iter().zip(&expected).enumerate() {
        proptest::prop_assert_eq!(read, expected, "row {}", index);
    }
    proptest::prop_assert_eq!(read.len(), expected.len());
    Ok(())
}

#[test]
fn few_rows_of_any_values_come_back() {
    let strategy = (vec(row(), 1..60), 1..40_usize, 1..50_usize);
    let mut runner = TestRunner::new(Config::with_cases(64));
    runner.run(&strategy, |(rows, take, checkpoint)| round_trip(&rows, 1, take, checkpoint)).unwrap();
}

#[test]
fn many_rows_of_any_values_come_back() {
    let strategy = (vec(row(), 1..300), 200..400_usize, 10_000..90_000_usize);
    let mut runner = TestRunner::new(Config::with_cases(6));
    runner.run(&strategy, |(rows, times, checkpoint)| round_trip(&rows, times, 9000, checkpoint)).unwrap();
}
