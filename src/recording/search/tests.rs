//! A search finds what looking at every row finds, and reads no more than it has to.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::Just;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;

use super::Counts;
use super::Longest;
use super::Search;
use crate::recording::Chunk;
use crate::recording::Existing;
use crate::recording::Identity;
use crate::recording::OpenError;
use crate::recording::Recording;
use crate::recording::Rows;
use crate::recording::Schema;
use crate::recording::Writer;
use crate::recording::column;

const COLUMNS: [&str; 5] = ["dur_ns", "state", "pid", "bytes", "op"];
const STATES: [&str; 3] = ["blocked", "idle", "sleeping"];

/// Length, state, process; `bytes` numbers the rows.
type Given = (Option<i64>, Option<usize>, i64);
/// A row's number and its length.
type Found = (i64, Option<i64>);
/// The rows of a row group, and the state that all of them have, if one is given.
type OfOneState = (Vec<Given>, Option<Option<usize>>);
/// At least how long, without which states, of which process, how many, and by how many threads.
type Asked = (Option<i64>, Vec<usize>, Option<i64>, usize, usize);

/// Writes row groups as they are given, and opens the file as it is then.
fn recording(path: &Path, groups: &[Vec<Given>]) -> Recording {
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "box".to_owned(), run_id: "0".to_owned() };
    let mut writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Replace).unwrap();
    let mut rows = Rows::new(schema, 0);
    let mut number = 0;
    for group in groups {
        for (length, state, pid) in group {
            let mut row = rows.row("off_cpu");
            row.at(number as u64).int(column::PID, *pid).int(column::BYTES, number).maybe_int(column::DUR_NS, *length);
            if let Some(state) = state {
                row.text(column::STATE, STATES[*state]);
            }
            number += 1;
        }
        rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
        writer.checkpoint().unwrap();
    }
    Recording::open(writer.partial_path()).unwrap()
}

fn search<'a>(at_least: Option<i64>, without: &[usize], pid: Option<i64>, longest: Option<&'a Longest>) -> Search<'a> {
    let passes = move |chunk: &Chunk| (0..chunk.len()).map(|row| chunk.int(2).get(row) == pid).collect();
    let states: Vec<&str> = without.iter().map(|state| STATES[*state]).collect();
    Search {
        length: 0,
        may_hold: None,
        passes: pid.map(|_| (vec![2], Box::new(passes) as _)),
        at_least,
        without: vec![(1, Box::new(move |state| states.contains(&state))), (4, Box::new(|op| op == "open"))],
        longest,
    }
}

/// The rows that are found, by number with their lengths, and their counts.
fn found(recording: &Recording, threads: usize, search: &Search<'_>) -> Result<(Vec<Found>, Counts), OpenError> {
    let mut found = Vec::new();
    let mut visit = |chunk: &Chunk| {
        found.extend((0..chunk.len()).map(|row| (chunk.int(3).get(row).unwrap(), chunk.int(0).get(row))));
    };
    let counts = recording.search_by(threads, "off_cpu", &COLUMNS, search, &mut visit)?;
    Ok((found, counts))
}

#[test]
fn a_search_finds_what_looking_at_every_row_finds_in_the_order_of_the_file() {
    let length = prop_oneof![-3_i64..30, Just(i64::MIN), Just(i64::MAX), 10_i64..12];
    let row = (option::weighted(0.9, length), option::of(0_usize..3), 1_i64..3);
    // Row groups of one state throughout, of none, and of several.
    let groups = vec((vec(row, 1..40), option::of(option::of(0_usize..3))), 1..8);
    let asked = (option::of(-2_i64..20), vec(0_usize..3, 0..3), option::of(1_i64..3), 1_usize..50, 1_usize..5);
    let mut runner = TestRunner::new(Config { cases: 50, failure_persistence: None, ..Config::default() });
    let test = |(mut groups, (at_least, without, pid, most, threads)): (Vec<OfOneState>, Asked)| {
        for (rows, state) in &mut groups {
            if let Some(state) = state {
                rows.iter_mut().for_each(|row| row.1 = *state);
            }
        }
        let groups: Vec<Vec<Given>> = groups.into_iter().map(|(rows, _)| rows).collect();
        let dir = tempfile::tempdir().unwrap();
        let recording = recording(&dir.path().join("run.parquet"), &groups);
        let all = groups.iter().flatten().zip(0_i64..);
        let long = |length: &Option<i64>| at_least.is_none_or(|least| length.is_some_and(|length| length >= least));
        let passing: Vec<_> =
            all.filter(|((length, _, own), _)| long(length) && pid.is_none_or(|pid| pid == *own)).collect();
        let is_out = |state: &Option<usize>| state.is_some_and(|state| without.contains(&state));
        let wanted: Vec<Found> = passing
            .iter()
            .filter(|((_, state, _), _)| !is_out(state))
            .map(|((length, ..), number)| (*number, *length))
            .collect();
        let counts = Counts { passed: wanted.len() as u64, left_out: (passing.len() - wanted.len()) as u64 };

        let (each, own) = found(&recording, threads, &search(at_least, &without, pid, None)).unwrap();
        prop_assert_eq!((&each, own), (&wanted, counts));

        let longest = Longest::new(most).unwrap();
        let (few, own) = found(&recording, threads, &search(at_least, &without, pid, Some(&longest))).unwrap();
        prop_assert_eq!(own, counts);
        // Beside the longest there may be others, in the same order; equally long ones are taken as they come.
        prop_assert!(few.is_sorted() && few.iter().all(|row| wanted.contains(row)));
        let rank = |mut rows: Vec<Found>| {
            rows.sort_by_key(|(_, length)| std::cmp::Reverse(length.unwrap_or(i64::MIN)));
            rows.truncate(most);
            rows
        };
        prop_assert_eq!(rank(few), rank(wanted));
        Ok(())
    };
    runner.run(&(groups, asked), test).unwrap();
}

#[test]
fn two_searches_share_the_longest() {
    let dir = tempfile::tempdir().unwrap();
    let long = recording(&dir.path().join("long.parquet"), &[vec![(Some(500), None, 1), (Some(400), None, 1)]]);
    let short = recording(&dir.path().join("short.parquet"), &[vec![(Some(450), None, 1), (Some(399), None, 1)]]);
    let longest = Longest::new(2).unwrap();
    assert_eq!(found(&long, 1, &search(None, &[], None, Some(&longest))).unwrap().0.len(), 2);
    let (few, counts) = found(&short, 1, &search(None, &[], None, Some(&longest))).unwrap();
    assert_eq!((few, counts.passed), (vec![(0, Some(450))], 2));
}

/// Spoils the rows of a row group.
fn spoil(recording: &Recording, path: &Path, group: usize) {
    let group = &recording.metadata().row_groups()[recording.groups["off_cpu"][group]];
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    for column in group.columns() {
        let (start, length) = column.byte_range();
        file.write_all_at(&vec![0xff; length as usize], start).unwrap();
    }
}

#[test]
fn nothing_is_read_of_a_row_group_that_can_hold_nothing_and_other_damage_shows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let groups: Vec<Vec<Given>> = (0..6_i64)
        .map(|group| (0..2000).map(|n| (Some(group * 1000 + n % 1000), Some(usize::from(group == 5)), 1)).collect())
        .collect();
    let recording = recording(&path, &groups);
    [0, 1, 5].iter().for_each(|group| spoil(&recording, &path.with_extension("parquet.partial"), *group));
    for threads in [1, 3] {
        let with = |at_least, without: &[usize], most: Option<usize>| {
            let longest = most.and_then(Longest::new);
            found(&recording, threads, &search(at_least, without, None, longest.as_ref()))
        };
        // Too short by what the file says of them; the last one is idle throughout.
        let (rows, counts) = with(Some(3990), &[1], None).unwrap();
        assert_eq!((rows.len(), counts), (2 * 10 + 2000, Counts { passed: 2020, left_out: 2000 }));
        // All rows of the others pass, and are counted without being read.
        let (rows, counts) = with(None, &[1], Some(3)).unwrap();
        assert_eq!(counts, Counts { passed: 5 * 2000, left_out: 2000 });
        assert!(rows.iter().filter(|(_, length)| *length >= Some(4998)).count() >= 3, "{rows:?}");
        assert!(with(Some(1990), &[1], None).is_err());
        assert!(with(None, &[], None).is_err());
    }
}
