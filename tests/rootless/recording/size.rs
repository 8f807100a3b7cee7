//! A finished recording is never larger than it may be, whatever the limit is and whatever comes at the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::KindMeta;
use ebrec::recording::Meta;
use ebrec::recording::ProbeOutcome;
use ebrec::recording::ProbeState;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Window;
use ebrec::recording::Writer;
use ebrec::recording::column;

/// The kind of the events, and others that every recording has.
const EVENT: &str = "exec";
const FRAMES: [&str; 3] = ["process", "metric", "stack"];
/// Limits that are tried.
const LIMITS: u32 = 50;
const LARGEST: f64 = 1024.0 * 1024.0;

/// Numbers that neither compress nor have differences that do: the finalizer of SplitMix64.
fn number(n: i64) -> i64 {
    let mixed = n.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31).cast_signed()
}

fn meta() -> Meta {
    let probe = |name: &str| ProbeState { name: name.into(), state: ProbeOutcome::Ran, ..ProbeState::default() };
    Meta {
        kinds: vec![KindMeta { name: EVENT.into(), probe: Some("process".into()), ..KindMeta::default() }],
        probes: vec![probe("process"), probe("sched")],
        window: Window {
            start_real_ns: 1_700_000_000_000_000_000,
            start_mono_ns: 7,
            actual_ns: 9,
            ..Window::default()
        },
        ..Meta::default()
    }
}

/// A recording that is being made, and the rows of each kind that it was given.
struct Made {
    writer: Writer,
    rows: Rows,
    given: BTreeMap<&'static str, u64>,
}

impl Made {
    fn new(path: &Path) -> Made {
        let schema = Arc::new(Schema::new([]));
        let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
        let mut writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
        writer.set_meta(&meta());
        Made { writer, rows: Rows::new(schema, 0), given: BTreeMap::new() }
    }

    fn rows(&mut self, kind: &'static str, count: u64) -> &mut Made {
        let given = self.given.entry(kind).or_default();
        for n in *given..*given + count {
            let n = n as i64;
            self.rows
                .row(kind)
                .at(n as u64)
                .int(column::TID, n)
                .int(column::SUM, number(n))
                .int(column::DUR_NS, number(n * 3));
        }
        *given += count;
        for batch in self.rows.take(1, true) {
            self.writer.write(batch).unwrap();
        }
        self
    }

    /// Ends it, and compares what the file has with what was given, in rows and as told.
    fn end(self, path: &Path, most: u64) -> (u64, BTreeMap<String, u64>) {
        let finished = self.writer.finish(Duration::from_secs(20)).unwrap();
        let bytes = path.metadata().unwrap().len();
        assert!(bytes <= most, "{bytes} bytes of at most {most}");
        assert_eq!(bytes, finished.bytes);
        let recording = Recording::open(path).unwrap();
        let mut lost: BTreeMap<String, u64> = BTreeMap::new();
        for chunk in recording.scan("lost", &["name", "cause", "count"]).unwrap() {
            let chunk = chunk.unwrap();
            let (names, causes, counts) = (chunk.text(0), chunk.text(1), chunk.int(2));
            for row in 0..chunk.len() {
                let what = format!("{} {}", names.get(row).unwrap(), causes.get(row).unwrap());
                *lost.entry(what).or_default() += counts.get(row).unwrap() as u64;
            }
        }
        for (kind, given) in &self.given {
            let told =
                if *kind == EVENT { "process size limit".to_owned() } else { format!("ebrec size limit: {kind} rows") };
            let lost = lost.get(&told).copied().unwrap_or(0);
            assert_eq!(recording.rows(kind) + lost, *given, "{kind} within {most} bytes: {lost} lost");
        }
        assert_eq!(lost.values().sum::<u64>(), finished.left_out);
        let of_probe = lost.get("process size limit").copied().unwrap_or(0);
        assert_eq!(recording.meta().probes[0].lost, of_probe);
        (bytes, lost)
    }
}

/// What a recording takes without any rows but those that say what was left out.
fn least(dir: &Path) -> u64 {
    let path = dir.join("empty.parquet");
    let mut made = Made::new(&path);
    FRAMES.iter().chain([&EVENT, &"lost"]).for_each(|kind| {
        made.rows(kind, 1);
    });
    let bytes = made.writer.finish(Duration::ZERO).unwrap().bytes;
    std::fs::remove_file(&path).unwrap();
    bytes + bytes / 4
}

#[test]
fn fifty_limits_are_never_exceeded() {
    let dir = tempfile::tempdir().unwrap();
    let least = least(dir.path());
    let ratio = (LARGEST / least as f64).powf(1.0 / f64::from(LIMITS - 1));
    for at in 0..LIMITS {
        // A few bytes more or less each time, so that ends of row groups fall everywhere.
        let most = (least as f64 * ratio.powi(at as i32)) as u64 + u64::from(at * 37);
        let path = dir.path().join(format!("{at}.parquet"));
        let mut made = Made::new(&path);
        made.writer.limit_size(most, [EVENT.to_owned()]);
        made.rows("process", 300);
        let mut is_full = false;
        for round in 0..400 {
            // In every third limit totals take more than events.
            let (events, frames) = if at % 3 == 0 { (100, 250) } else { (1500, 60) };
            made.rows(EVENT, events);
            is_full = made.writer.is_full().unwrap();
            FRAMES.iter().for_each(|kind| {
                made.rows(kind, frames);
            });
            is_full |= made.writer.is_full().unwrap();
            if is_full {
                break;
            }
            if round % 4 == 0 {
                made.writer.checkpoint().unwrap();
            }
        }
        assert!(is_full, "{most} bytes are never reached");
        // What was under way, the last interval, and names for stacks.
        made.rows(EVENT, 5000);
        FRAMES.iter().for_each(|kind| {
            made.rows(kind, 120);
        });
        let (bytes, lost) = made.end(&path, most);
        println!("{bytes} of {most} bytes, lost {lost:?}");
        assert!(lost["process size limit"] >= 5000, "{lost:?}");
        if most > 512 << 10 {
            assert!(bytes > most / 2, "{bytes} of {most} bytes: the window ended too early");
            assert_eq!(lost.len(), 1, "there was room for the totals: {lost:?}");
        }
    }
}

/// A storm brings more between two looks at the size than the file may ever have.
#[test]
fn a_batch_of_many_times_the_limit_fills_the_file_and_is_not_left_out_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    for (at, most) in [400 << 10, 1 << 20, 4 << 20].into_iter().enumerate() {
        let path = dir.path().join(format!("{at}.parquet"));
        let mut made = Made::new(&path);
        made.writer.limit_size(most, [EVENT.to_owned()]);
        made.rows("process", 300).rows(EVENT, 400_000);
        assert!(made.writer.is_full().unwrap());
        FRAMES.iter().for_each(|kind| {
            made.rows(kind, 120);
        });
        let (bytes, lost) = made.end(&path, most);
        println!("{bytes} of {most} bytes, lost {lost:?}");
        assert!(lost["process size limit"] < 400_000, "{bytes} of {most} bytes: {lost:?}");
        // In a small one the room for what the end of the window may bring is most of it.
        assert!(bytes > most / if most < 512 << 10 { 4 } else { 2 }, "{bytes} of {most} bytes");
    }
}

#[test]
fn a_flood_of_rows_that_are_no_events_is_left_out_and_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let most = 300 << 10;
    let path = dir.path().join("run.parquet");
    let mut made = Made::new(&path);
    made.writer.limit_size(most, [EVENT.to_owned()]);
    made.rows(EVENT, 1000).rows("process", 20_000).rows("stack", 40_000);
    assert!(made.writer.is_full().unwrap());
    let (_, lost) = made.end(&path, most);
    assert!(lost.keys().any(|what| what.starts_with("ebrec size limit")), "{lost:?}");
}

#[test]
fn a_recording_with_room_enough_loses_nothing_and_is_the_same_as_without_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let record = |name: &str, most: Option<u64>| {
        let path = dir.path().join(name);
        let mut made = Made::new(&path);
        most.into_iter().for_each(|most| made.writer.limit_size(most, [EVENT.to_owned()]));
        for _ in 0..5 {
            made.rows(EVENT, 300).rows("process", 20);
            assert!(!made.writer.is_full().unwrap());
            made.writer.checkpoint().unwrap();
        }
        let (bytes, lost) = made.end(&path, most.unwrap_or(u64::MAX));
        assert!(lost.is_empty());
        bytes
    };
    let without = record("without.parquet", None);
    assert_eq!(record("within.parquet", Some(4 << 20)), without);
}

/// Rows of a kind in a file, by their place among all that were given.
fn places(path: &Path, kind: &str) -> Vec<i64> {
    let recording = Recording::open(path).unwrap();
    let chunks = recording.scan(kind, &["tid"]).unwrap().map(Result::unwrap);
    chunks.flat_map(|chunk| (0..chunk.len()).map(|row| chunk.int(0).get(row).unwrap()).collect::<Vec<i64>>()).collect()
}

#[test]
fn a_thinned_recording_is_never_too_large_and_has_rows_of_all_its_window() {
    const ROUNDS: u64 = 300;
    const EVENTS: u64 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let least = least(dir.path());
    // What 300 rounds of totals take, twice to twenty times over.
    for at in 0..8u64 {
        let most = least + (400 << 10) * (at + 1) + at * 37;
        let path = dir.path().join(format!("{at}.parquet"));
        let mut made = Made::new(&path);
        made.writer.limit_size(most, [EVENT.to_owned(), "exit".to_owned()]);
        made.writer.thin_to_size();
        for round in 0..ROUNDS {
            made.rows(EVENT, EVENTS).rows("metric", 20);
            if round % 10 == 0 {
                made.rows("exit", 1);
            }
            assert!(!made.writer.is_full().unwrap(), "{most} bytes: the window ended in round {round} of {ROUNDS}");
            if round % 4 == 0 {
                made.writer.set_meta(&meta());
                made.writer.checkpoint().unwrap();
            }
        }
        // The end of the window.
        made.rows("metric", 100);
        made.writer.set_meta(&meta());
        let finished = made.writer.finish(Duration::from_secs(20)).unwrap();
        let bytes = path.metadata().unwrap().len();
        assert!(bytes <= most, "{bytes} bytes of at most {most}");
        let recording = Recording::open(&path).unwrap();
        let one_in = recording.meta().rows_one_in[EVENT];
        assert_eq!(finished.rows_one_in, recording.meta().rows_one_in);
        println!("{bytes} of {most} bytes, {} rows of {}, 1 in {one_in}", recording.rows(EVENT), ROUNDS * EVENTS);
        assert!(bytes > most / 4, "{bytes} of {most} bytes: thinned too much");
        // Nothing else is thinned, and nothing is lost.
        assert_eq!((recording.rows("metric"), recording.rows("exit")), (ROUNDS * 20 + 100, ROUNDS / 10));
        assert_eq!((recording.rows("lost"), finished.left_out), (0, 0));
        // As many from each tenth of the window, within five standard deviations of a binomial distribution.
        let places = places(&path, EVENT);
        assert!(places.is_sorted_by(|one, other| one < other), "in the order of time, and each row once");
        let of_each = (ROUNDS * EVENTS / 10) as f64 / one_in as f64;
        let deviation = (of_each * (1.0 - 1.0 / one_in as f64)).sqrt();
        for tenth in 0..10 {
            let (from, to) = (tenth * 30_000, (tenth + 1) * 30_000);
            let rows = places.iter().filter(|place| (from..to).contains(*place)).count() as f64;
            assert!(
                (rows - of_each).abs() <= 5.0 * deviation + 1.0,
                "{rows} rows in tenth {tenth}, {of_each} expected"
            );
        }
        // Chance, not a pattern: neighbours stay as often as any two.
        let pairs = places.windows(2).filter(|pair| pair[1] == pair[0] + 1).count() as f64;
        let expected = places.len() as f64 / one_in as f64;
        assert!(
            (pairs - expected).abs() <= 6.0 * expected.sqrt() + 3.0,
            "{pairs} pairs of neighbours, {expected} expected"
        );
    }
}
