//! Files from strangers: whatever bytes they hold, they are read or refused in one line, without a panic and in little memory.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Writer;
use ebrec::recording::column;
use ebrec::recording::footer_path;
use ebrec::recording::partial_path;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;

/// A small recording with several kinds, dictionaries, differences, plain texts, lists and nulls, and its rows' end.
static WHOLE: LazyLock<(Vec<u8>, usize)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    let writer = record(&path);
    let finished = writer.finish(Duration::from_secs(10)).unwrap();
    let bytes = fs::read(finished.path).unwrap();
    let tail = bytes.len() - 8;
    let footer = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
    (bytes, tail - footer)
});

fn record(path: &Path) -> Writer {
    let schema = Arc::new(Schema::new([]));
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let mut writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    let mut rows = Rows::new(schema, 1_700_000_000_000_000_000);
    for n in 0..2000_u64 {
        let name = format!("/usr/lib/file-{n}");
        let mut row = rows.row("exec");
        row.at(n * 1_234_567).int(column::PID, n as i64 % 50).text(column::COMM, if n % 2 == 0 { "a" } else { "b" });
        row.text(column::FILENAME, &name);
        if n % 3 == 0 {
            row.int(column::RET, -(n as i64)).text(column::CONTAINER, "c");
        }
        rows.row("stack").int(column::ID, n as i64).list(column::FRAMES, &[1, 2, 3][..n as usize % 4]);
        if n % 700 == 0 {
            rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
            writer.checkpoint().unwrap();
        }
    }
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    writer.checkpoint().unwrap();
    writer
}

/// Opens and reads everything; the sum keeps the reads from being left out.
fn read_all(path: &Path) -> Result<u64, String> {
    let recording = Recording::open(path).map_err(|error| error.to_string())?;
    let names: Vec<String> = recording.columns().iter().map(|column| column.name.clone()).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.extend(["exec", "pid", "comm", "frames", "ts"]);
    let mut sum = 0;
    for (kind, _) in recording.kinds() {
        for chunk in recording.scan(&kind, &names).unwrap() {
            let chunk = chunk.map_err(|error| error.to_string())?;
            for column in 0..names.len() {
                let (ints, texts, lists) = (chunk.int(column), chunk.text(column), chunk.list(column));
                for row in 0..chunk.len() {
                    sum += u64::from(ints.get(row).is_some());
                    sum += texts.get(row).map_or(0, str::len) as u64;
                    sum += lists.get(row).map_or(0, |list| list.len()) as u64;
                }
            }
        }
    }
    Ok(sum)
}

/// An error is one line that names the file, and at most a hint.
fn hold_error(path: &Path, error: &str) {
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines.len() <= 2, "{error}");
    assert!(lines[0].contains(&format!("'{}'", path.display())), "{error}");
    assert!(lines.get(1).is_none_or(|hint| hint.starts_with("hint: ")), "{error}");
    assert!(!error.chars().any(|c| c.is_control() && c != '\n'), "{error:?}");
    assert!(error.len() < 600, "{error}");
}

/// The most memory that this process ever had, in MiB.
#[cfg(target_os = "linux")]
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// One change to the bytes of a file.
#[derive(Clone, Debug)]
enum Damage {
    /// A bit of the rows or the footer, by its place in a thousandth of a thousandth.
    Flip(u32, u8),
    FlipFooter(u32, u8),
    /// Some bytes overwritten.
    Put(u32, Vec<u8>),
    PutFooter(u32, Vec<u8>),
    /// The end cut off.
    Cut(u32),
    /// A piece left out.
    Drop(u32, u8),
    /// A piece doubled.
    Double(u32, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0..1_000_000_u32;
    let bytes = prop_oneof![vec(any::<u8>(), 1..6), vec(0xff_u8..=0xff, 1..6), vec(0x80_u8..=0x80, 1..10)];
    prop_oneof![
        3 => (at.clone(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        6 => (at.clone(), 0..8_u8).prop_map(|(at, bit)| Damage::FlipFooter(at, bit)),
        2 => (at.clone(), bytes.clone()).prop_map(|(at, bytes)| Damage::Put(at, bytes)),
        4 => (at.clone(), bytes).prop_map(|(at, bytes)| Damage::PutFooter(at, bytes)),
        1 => at.clone().prop_map(Damage::Cut),
        1 => (at.clone(), 1..64_u8).prop_map(|(at, len)| Damage::Drop(at, len)),
        1 => (at, 1..64_u8).prop_map(|(at, len)| Damage::Double(at, len)),
    ]
}

fn apply(bytes: &mut Vec<u8>, rows_end: usize, damage: &Damage) {
    let rows_end = rows_end.min(bytes.len());
    let anywhere = |at: u32, from: usize, to: usize| from + at as usize * (to - from) / 1_000_000;
    let len = bytes.len();
    match damage {
        Damage::Flip(at, bit) => bytes[anywhere(*at, 0, rows_end)] ^= 1 << bit,
        Damage::FlipFooter(at, bit) if rows_end < len => bytes[anywhere(*at, rows_end, len)] ^= 1 << bit,
        Damage::Put(at, put) => {
            let at = anywhere(*at, 0, rows_end);
            put.iter().zip(&mut bytes[at..]).for_each(|(put, byte)| *byte = *put);
        }
        Damage::PutFooter(at, put) if rows_end < len => {
            let at = anywhere(*at, rows_end, len);
            put.iter().zip(&mut bytes[at..]).for_each(|(put, byte)| *byte = *put);
        }
        Damage::Cut(at) => bytes.truncate(anywhere(*at, 0, len)),
        Damage::Drop(at, drop) => {
            let at = anywhere(*at, 0, len);
            bytes.drain(at..len.min(at + usize::from(*drop)));
        }
        Damage::Double(at, double) => {
            let at = anywhere(*at, 0, len);
            let piece = bytes[at..len.min(at + usize::from(*double))].to_vec();
            bytes.splice(at..at, piece);
        }
        Damage::FlipFooter(..) | Damage::PutFooter(..) => {}
    }
}

#[test]
fn damaged_files_are_read_or_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.parquet");
    let (whole, rows_end) = &*WHOLE;
    fs::write(&path, whole).unwrap();
    let sum = read_all(&path).unwrap();
    let cases = std::env::var("EBREC_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1500);
    let mut runner =
        TestRunner::new(Config { max_shrink_iters: 50, failure_persistence: None, ..Config::with_cases(cases) });
    let counts = std::cell::Cell::new((0_u32, 0_u32));
    runner
        .run(&vec(damage(), 1..4), |damages| {
            let mut bytes = whole.clone();
            damages.iter().filter(|_| !whole.is_empty()).for_each(|damage| {
                if bytes.len() > 64 {
                    apply(&mut bytes, *rows_end, damage);
                }
            });
            fs::write(&path, &bytes).unwrap();
            let (read, refused) = counts.get();
            match read_all(&path) {
                Ok(_) => counts.set((read + 1, refused)),
                Err(error) => {
                    counts.set((read, refused + 1));
                    hold_error(&path, &error);
                }
            }
            Ok(())
        })
        .unwrap();
    let (read, refused) = counts.get();
    println!("{sum} values; {read} damaged files could be read, {refused} were refused");
    #[cfg(target_os = "linux")]
    {
        println!("{} MiB of memory at most", peak_memory());
        assert!(peak_memory() < 200, "{} MiB", peak_memory());
    }
}

#[test]
fn a_damaged_unfinished_recording_is_read_or_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    drop(record(&path));
    let partial = partial_path(&path);
    let (rows, footer) = (fs::read(&partial).unwrap(), fs::read(footer_path(&partial)).unwrap());
    assert!(read_all(&partial).is_ok());
    let mut runner =
        TestRunner::new(Config { max_shrink_iters: 50, failure_persistence: None, ..Config::with_cases(300) });
    runner
        .run(&vec(damage(), 1..3), |damages| {
            let mut joined = [&rows[..], &footer[..]].concat();
            damages.iter().for_each(|damage| {
                if joined.len() > 64 {
                    apply(&mut joined, rows.len(), damage);
                }
            });
            let at = rows.len().min(joined.len());
            fs::write(&partial, &joined[..at]).unwrap();
            fs::write(footer_path(&partial), &joined[at..]).unwrap();
            if let Err(error) = read_all(&partial) {
                hold_error(&partial, &error);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn files_that_are_something_else_are_told_for_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = Recording::open(&path).unwrap_err().to_string();
        hold_error(&path, &error);
        error.replace(&path.display().to_string(), name)
    };
    let (whole, rows_end) = &*WHOLE;
    assert_eq!(refused("empty", b""), "'empty' is not a recording: it is empty");
    assert_eq!(refused("text", b"hello, world\n"), "'text' is not a recording: it is not a Parquet file");
    assert_eq!(
        refused("short", b"PA"),
        "'short' is truncated: its end is missing\nhint: copy it again; if its recording was killed, `ebrec recover` needs the '.partial' file"
    );
    assert!(
        refused("cut.parquet", &whole[..rows_end / 2])
            .starts_with("'cut.parquet' is truncated: its end is missing\nhint: ")
    );
    assert_eq!(
        refused("run.parquet.partial", &whole[..rows_end / 2]),
        "'run.parquet.partial' holds nothing that can be recovered: its footer ('.footer' behind its name) is missing: nothing was checkpointed, or it was not copied along\nhint: to discard it, remove it: rm 'run.parquet.partial'"
    );
    let mut long = whole.clone();
    let tail = long.len() - 8;
    long[tail..tail + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(refused("long", &long).starts_with("'long' is corrupt: its footer claims 4294967295 bytes of the file's "));
    let newer = replaced(whole, b"ebrec.format\x18\x011", b"ebrec.format\x18\x019");
    assert_eq!(
        refused("newer", &newer),
        "'newer' has recording format 9, and this ebrec reads up to 1\nhint: needs a newer ebrec"
    );
    let other = replaced(whole, b"ebrec.format", b"other.format");
    assert_eq!(refused("other", &other), "'other' is not a recording: it is a Parquet file that ebrec did not write");
    let directory = Recording::open(dir.path()).unwrap_err().to_string();
    assert!(directory.ends_with("' is not a regular file"), "{directory}");
    let missing = Recording::open(&dir.path().join("missing")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read '") && missing.contains("No such file"), "{missing}");
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    // Rows of kind `recording` repeat the footer's pairs before it.
    let at = bytes.windows(from.len()).rposition(|window| window == from).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

/// A file as another program could write it: some text columns with the metadata of a recording, and one row.
fn forged(path: &Path, columns: usize, text: &str) {
    use arrow::array::ArrayRef;
    use arrow::array::RecordBatch;
    use arrow::array::StringArray;
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::basic::ZstdLevel;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;

    let names = std::iter::once("kind".to_owned()).chain((0..columns).map(|column| format!("own_{column}")));
    let arrays = names.map(|name| {
        let value = if name == "kind" { "exec" } else { text };
        (name, Arc::new(StringArray::from(vec![Some(value)])) as ArrayRef, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(arrays).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap()))
        .set_dictionary_enabled(false)
        .set_key_value_metadata(Some(vec![KeyValue::new("ebrec.format".to_owned(), "1".to_owned())]))
        .build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_small_file_that_unpacks_to_gigabytes_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.parquet");
    let mebibytes = |count: usize| "a".repeat(count << 20);
    let names: Vec<String> = (0..9).map(|column| format!("own_{column}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let read = |names: &[&str]| {
        let recording = Recording::open(&path).unwrap();
        let chunk = recording.scan("exec", names).unwrap().next().unwrap();
        chunk.map(|chunk| chunk.text(0).get(0).map(str::len)).map_err(|error| error.to_string())
    };

    forged(&path, 9, &mebibytes(20));
    assert!(fs::metadata(&path).unwrap().len() < 1 << 20);
    assert_eq!(read(&names[..2]), Ok(Some(20 << 20)));
    let error = read(&names).unwrap_err();
    assert!(error.ends_with("its pages would take 180 MiB of memory"), "{error}");
    #[cfg(all(feature = "record", target_os = "linux"))]
    for view in ["summary", "exec", "processes"] {
        let run = crate::measured::run_within(512, &["report", view, "--format", "json", path.to_str().unwrap()]);
        assert!(run.status <= 1, "{view}: exit status {}: {}", run.status, run.errors);
    }

    forged(&path, 1, &mebibytes(33));
    let error = read(&names[..1]).unwrap_err();
    assert!(error.ends_with("column 'own_0': a page claims 34603018 bytes"), "{error}");
}

#[test]
fn columns_of_other_tools_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.parquet");
    forged(&path, 1, "x");
    assert_eq!(Recording::open(&path).unwrap().kinds(), [("exec".to_owned(), 1)]);
    let mut bytes = fs::read(&path).unwrap();
    // The schema's own name for the column, in front of its other occurrences.
    while let Some(at) = bytes.windows(5).position(|window| window == b"own_0") {
        bytes[at..at + 5].copy_from_slice(b"o\x1b[0m");
    }
    fs::write(&path, bytes).unwrap();
    match Recording::open(&path) {
        Ok(recording) => assert_eq!(recording.rows("exec"), 1),
        Err(error) => hold_error(&path, &error.to_string()),
    }
}
