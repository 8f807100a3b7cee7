//! A writer that keeps the newest part only: bounded on the disk, whole at every moment, and exact in its copies.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ebrec::recording::Batch;
use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Meta;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Span;
use ebrec::recording::Window;
use ebrec::recording::Writer;
use ebrec::recording::column;
use ebrec::recording::partial_path;
use ebrec::recording::recover;

/// Intervals of one generation, and generations that are kept.
const INTERVALS: u64 = 4;
const KEPT: u64 = 3;
/// Events of an interval, which are numbered through.
const EVENTS: u64 = 500;
const SECOND: u64 = 1_000_000_000;

/// A recording that goes on for ever: an interval a second, with events and a total of them.
struct Endless {
    writer: Writer,
    rows: Rows,
    interval: u64,
}

impl Endless {
    fn begin(path: &Path) -> Endless {
        let schema = Arc::new(Schema::new([]));
        let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
        let writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
        Endless { writer, rows: Rows::new(schema, 0), interval: 0 }
    }

    fn taken(&mut self) -> Vec<Batch> {
        self.rows.take(1, true)
    }

    fn write(&mut self) {
        for batch in self.taken() {
            self.writer.write(batch).unwrap();
        }
    }

    /// One interval, a checkpoint, and a generation where one is due.
    fn go_on(&mut self) {
        for event in 0..EVENTS {
            let at = self.interval * SECOND + (event + 1) * (SECOND / EVENTS);
            let number = i64::try_from(self.interval * EVENTS + event).unwrap();
            // Texts that differ, so that the file has a size to speak of.
            let text = format!("{:x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()));
            self.rows.row("block_io").at(at).int(column::SECTOR, number).text(column::DEV, &text);
        }
        self.interval += 1;
        let mut row = self.rows.row("metric");
        row.at(self.interval * SECOND).int(column::DUR_NS, SECOND.cast_signed()).text(column::METRIC, "block.size");
        row.int(column::COUNT, EVENTS.cast_signed());
        self.write();
        self.writer.checkpoint().unwrap();
        if self.interval.is_multiple_of(INTERVALS) {
            let oldest = (self.writer.generation() + 1).saturating_sub(KEPT);
            let mut rows = self.rows.empty();
            rows.row("process").at(0).int(column::PID, 1).text(column::COMM, "init");
            rows.row("process").at(0).int(column::PID, self.interval.cast_signed()).text(column::COMM, "newest");
            self.writer.begin_generation(oldest, rows.take(1, true)).unwrap();
        }
    }
}

fn numbers(recording: &Recording) -> Vec<i64> {
    let chunks = recording.scan("block_io", &["sector"]).unwrap().map(Result::unwrap);
    let mut numbers: Vec<i64> = chunks
        .flat_map(|chunk| (0..chunk.len()).map(|row| chunk.int(0).get(row).unwrap()).collect::<Vec<_>>())
        .collect();
    numbers.sort_unstable();
    numbers
}

fn counted(recording: &Recording) -> i64 {
    let chunks = recording.scan("metric", &["count"]).unwrap().map(Result::unwrap);
    chunks.map(|chunk| (0..chunk.len()).filter_map(|row| chunk.int(0).get(row)).sum::<i64>()).sum()
}

fn newest(recording: &Recording) -> BTreeSet<i64> {
    let chunks = recording.scan("process", &["pid"]).unwrap().map(Result::unwrap);
    chunks.flat_map(|chunk| (0..chunk.len()).filter_map(|row| chunk.int(0).get(row)).collect::<Vec<_>>()).collect()
}

/// After the second `from`, up to the second `to`.
fn span(from: u64, to: u64) -> Span {
    let (after_ns, until_ns) = ((from * SECOND).cast_signed(), (to * SECOND).cast_signed());
    Span { after_ns, until_ns, events_after_ns: after_ns, events_until_ns: until_ns }
}

#[test]
fn a_thousand_intervals_take_no_more_room_than_some_tens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let mut endless = Endless::begin(&path);
    let (mut early, mut late) = (0, 0);
    for interval in 0..1000 {
        endless.go_on();
        let size = std::fs::metadata(partial_path(&path)).unwrap().len();
        if interval < 500 {
            early = early.max(size);
        } else {
            late = late.max(size);
        }
        assert!(size <= 3 * endless.writer.bytes_kept() + (5 << 20), "{size} bytes at {interval}");
    }
    assert!(late <= early + early / 4, "{early} bytes became {late}");
    // Opened while it is written, and after a kill.
    let partial = Recording::open(&partial_path(&path)).unwrap();
    let kept = numbers(&partial);
    assert_eq!(*kept.last().unwrap(), (1000 * EVENTS - 1).cast_signed());
    assert!(kept.len() as u64 <= (KEPT + 1) * INTERVALS * EVENTS, "{}", kept.len());
    drop(endless);
    let recovered = recover(&path, Existing::Keep).unwrap();
    assert_eq!(numbers(&Recording::open(&recovered.path).unwrap()), kept);
}

#[test]
fn a_copy_has_the_intervals_of_its_span_and_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let mut endless = Endless::begin(&path);
    for number in 1..=3_u32 {
        (0..30).for_each(|_| endless.go_on());
        let end = endless.interval;
        let meta = Meta { window: Window { ended: "USR1".to_owned(), ..Window::default() }, ..Meta::default() };
        let mut more = endless.rows.empty();
        more.row("cost").at(end * SECOND).int(column::SUM, 7);
        let copy = endless.writer.copy(span(end - 7, end - 1), &meta, more.take(1, true)).unwrap();
        // The copy is of then, whatever is given up meanwhile.
        (0..20).for_each(|_| endless.go_on());
        let made = copy.write_numbered(&path, 1).unwrap();
        assert_eq!(made.path, dir.path().join(format!("run-{number}.parquet")));
        let recording = Recording::open(&made.path).unwrap();
        let expected: Vec<i64> = ((end - 7) * EVENTS..(end - 1) * EVENTS).map(u64::cast_signed).collect();
        assert_eq!(numbers(&recording), expected);
        assert_eq!(counted(&recording), expected.len() as i64);
        assert_eq!((recording.rows("cost"), recording.meta().window.ended.as_str()), (1, "USR1"));
        assert!(!recording.meta().columns.is_empty() && recording.rows("recording") > 0);
        // Descriptions are those of the newest generation, and none is there twice.
        let described = (end / INTERVALS * INTERVALS).cast_signed();
        assert_eq!(newest(&recording), BTreeSet::from([1, described]));
        assert_eq!(recording.rows("process"), 2);
    }
    endless.writer.discard();
    let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["run-1.parquet", "run-2.parquet", "run-3.parquet"]);
}
