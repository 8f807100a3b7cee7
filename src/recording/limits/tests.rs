//! At each bound the writer makes what the reader takes, and beyond it the writer cuts or divides.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::BATCH_TEXT_BYTES;
use super::COLUMNS;
use super::CUT;
use super::FOOTER_BYTES;
use super::GROUP_LIST_VALUES;
use super::GROUP_ROWS;
use super::LIST_VALUES;
use super::TEXT_BYTES;
use super::cut;
use crate::recording::CORE;
use crate::recording::Column;
use crate::recording::ColumnType;
use crate::recording::Existing;
use crate::recording::Identity;
use crate::recording::Recording;
use crate::recording::Rows;
use crate::recording::Schema;
use crate::recording::WriteError;
use crate::recording::Writer;
use crate::recording::column;

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new([]))
}

fn writer(path: &Path, schema: Arc<Schema>) -> Result<Writer, WriteError> {
    let identity = Identity { host: "box".to_owned(), run_id: "0".to_owned() };
    Writer::create(path, schema, identity, Existing::Replace)
}

/// Writes rows that are handed over at once, as often as `rounds` says, and reads them back.
fn read_back(
    rounds: usize,
    mut fill: impl FnMut(&mut Rows, usize),
    mut each: impl FnMut(&crate::recording::Chunk),
) -> Recording {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let mut writer = writer(&path, schema()).unwrap();
    for round in 0..rounds {
        let mut rows = Rows::new(schema(), 0);
        fill(&mut rows, round);
        rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    }
    writer.finish(Duration::from_secs(60)).unwrap();
    let recording = Recording::open(&path).unwrap();
    for chunk in recording.scan("exec", &["pid", "argv", "frames", "comm"]).unwrap() {
        each(&chunk.unwrap());
    }
    recording
}

fn largest_group(recording: &Recording) -> i64 {
    recording.metadata().row_groups().iter().map(|group| group.num_rows()).max().unwrap()
}

#[test]
fn a_text_at_the_bound_stays_and_one_beyond_is_cut_between_characters() {
    for letter in ["a", "ß", "€", "𝄞"] {
        for shift in 0..4 {
            let whole = "x".repeat(shift) + &letter.repeat((TEXT_BYTES - shift) / letter.len());
            assert_eq!(*cut(whole.as_bytes()), *whole.as_bytes());
            let beyond = whole + "abcd";
            let cut = String::from_utf8(cut(beyond.as_bytes()).into_owned()).unwrap();
            assert!(cut.len() <= TEXT_BYTES && cut.len() + 8 > TEXT_BYTES);
            assert!(beyond.starts_with(cut.strip_suffix(CUT).unwrap()));
        }
    }
}

#[test]
fn long_texts_are_cut_visibly_and_read_back() {
    let mut lengths = Vec::new();
    let fill = |rows: &mut Rows, _: usize| {
        for length in [TEXT_BYTES, TEXT_BYTES + 1, 3 * TEXT_BYTES] {
            rows.row("exec").text(column::ARGV, &"x".repeat(length));
        }
    };
    read_back(1, fill, |chunk| {
        let texts = chunk.text(1);
        lengths.extend((0..chunk.len()).map(|row| {
            let text = texts.get(row).unwrap();
            (text.len(), text.ends_with(CUT))
        }));
    });
    assert_eq!(lengths, [(TEXT_BYTES, false), (TEXT_BYTES, true), (TEXT_BYTES, true)]);
}

#[test]
fn more_text_than_a_batch_has_room_for_is_cut_visibly_and_what_is_no_text_takes_four_times_the_room() {
    let (mut whole, mut gone) = (0, 0);
    let fill = |rows: &mut Rows, _: usize| {
        assert!(!rows.is_due(usize::MAX));
        for n in 0..10u8 {
            let mut bytes = vec![0xff; TEXT_BYTES - 8];
            bytes.push(b'0' + n);
            rows.row("exec").bytes(column::ARGV, &bytes);
        }
        // A writer that asks in time loses nothing.
        assert!(rows.is_due(usize::MAX));
    };
    read_back(1, fill, |chunk| {
        let texts = chunk.text(1);
        for row in 0..chunk.len() {
            let text = texts.get(row).unwrap();
            whole += usize::from(text.len() == 4 * (TEXT_BYTES - 8) + 1);
            gone += usize::from(text == CUT);
        }
    });
    assert_eq!((whole, gone), (BATCH_TEXT_BYTES / TEXT_BYTES, 10 - BATCH_TEXT_BYTES / TEXT_BYTES));
}

#[test]
fn batch_after_batch_of_long_texts_is_read_back_in_full() {
    let mut read = Vec::new();
    let fill = |rows: &mut Rows, round: usize| {
        for n in 0..3 {
            rows.row("exec").text(column::ARGV, &format!("{round}-{n}-{}", "y".repeat(TEXT_BYTES - 100)));
        }
    };
    read_back(12, fill, |chunk| {
        let texts = chunk.text(1);
        read.extend((0..chunk.len()).map(|row| texts.get(row).unwrap()[..6].trim_end_matches(['y', '-']).to_owned()));
    });
    let expected: Vec<String> = (0..12).flat_map(|round| (0..3).map(move |n| format!("{round}-{n}"))).collect();
    assert_eq!(read, expected);
}

#[test]
fn a_few_long_texts_that_recur_make_no_page_beyond_the_bound() {
    let mut rows_read = 0;
    let fill = |rows: &mut Rows, _: usize| {
        for n in 0..200u64 {
            let text = if n % 2 == 0 { "z".repeat(TEXT_BYTES) } else { n.to_string() };
            rows.row("exec").text(column::ARGV, &text);
        }
    };
    read_back(1, fill, |chunk| rows_read += chunk.len());
    assert_eq!(rows_read, 200);
}

#[test]
fn a_batch_of_more_rows_than_a_row_group_has_becomes_several() {
    let count = 2 * GROUP_ROWS + 7;
    let mut next = 0;
    let fill = |rows: &mut Rows, _: usize| {
        for n in 0..count {
            rows.row("exec").int(column::PID, n as i64).text(column::COMM, ["a", "b"][n % 2]);
        }
    };
    let recording = read_back(1, fill, |chunk| {
        let (pids, comms) = (chunk.int(0), chunk.text(3));
        for row in 0..chunk.len() {
            assert_eq!((pids.get(row), comms.get(row)), (Some(next), Some(["a", "b"][next as usize % 2])));
            next += 1;
        }
    });
    assert_eq!(next, count as i64);
    assert!(largest_group(&recording) <= GROUP_ROWS as i64);
}

#[test]
fn lists_are_cut_and_divided_at_their_bounds() {
    let count = 2 * GROUP_LIST_VALUES / LIST_VALUES + 3;
    let long: Vec<i32> = (0..=LIST_VALUES as i32).collect();
    let mut read = 0;
    let fill = |rows: &mut Rows, _: usize| {
        for n in 0..count {
            rows.row("exec").int(column::PID, n as i64).list(column::FRAMES, &long);
        }
    };
    read_back(1, fill, |chunk| {
        let (pids, lists) = (chunk.int(0), chunk.list(2));
        for row in 0..chunk.len() {
            assert_eq!(pids.get(row), Some(read));
            assert_eq!(lists.get(row).unwrap(), long[..LIST_VALUES]);
            read += 1;
        }
    });
    assert_eq!(read, count as i64);
}

#[test]
fn a_schema_with_more_columns_than_are_read_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let own = |n: usize| Column {
        name: String::leak(format!("own_{n}")),
        ty: ColumnType::Int64,
        title: "",
        unit: None,
        help: "",
    };
    let columns: &'static [Column] = Vec::leak((0..COLUMNS / 3 - CORE.len() - 6).map(own).collect());
    let mut most = writer(&path, Arc::new(Schema::new(columns))).unwrap();
    most.checkpoint().unwrap();
    most.finish(Duration::from_secs(1)).unwrap();
    Recording::open(&path).unwrap();
    let more: &'static [Column] = Vec::leak((0..COLUMNS / 3).map(own).collect());
    let error = writer(&path, Arc::new(Schema::new(more))).err().unwrap().to_string();
    assert!(error.contains("columns are too many"), "{error}");
}

#[test]
fn a_footer_beyond_the_bound_is_neither_written_nor_read() {
    use crate::recording::encode::Encoders;
    use crate::recording::encode::pages::Codec;
    use crate::recording::footer::Group;
    use crate::recording::footer::Template;
    use crate::recording::layout::Layout;

    let schema = schema();
    let identity = Identity { host: "box".to_owned(), run_id: "0".to_owned() };
    let (encoders, codec) = (Encoders::new(&schema).unwrap(), Codec::new().unwrap());
    let layout = Layout { schema, encoders, identity, codec };
    let template = Template::new(&crate::recording::Meta::default(), &layout).unwrap();
    let empty = template.footer(std::iter::empty()).unwrap().len();
    let group = |bytes: usize| Group {
        kind: "exec".to_owned(),
        rows: 0,
        level: 0,
        generation: 0,
        bytes: 4..4,
        encoded: vec![0; bytes],
    };
    let most = FOOTER_BYTES - (empty - 8);
    assert!(template.footer([group(most)].iter()).is_ok());
    let error = template.footer([group(most + 64)].iter()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.parquet");
    let mut bytes = b"PAR1".to_vec();
    bytes.resize(FOOTER_BYTES + 64, 0);
    bytes.extend_from_slice(&(FOOTER_BYTES as u32 + 1).to_le_bytes());
    bytes.extend_from_slice(b"PAR1");
    std::fs::write(&path, bytes).unwrap();
    let error = Recording::open(&path).unwrap_err().to_string();
    assert!(error.ends_with(&format!("is corrupt: its footer claims {} bytes", FOOTER_BYTES + 1)), "{error}");
}
