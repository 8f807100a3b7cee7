//! A bit that a disk or a network flips is found out, or changes nothing that is read.

use std::fs;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::Column;
use ebrec::recording::ColumnType;
use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Meta;
use ebrec::recording::Recording;
use ebrec::recording::Rows;
use ebrec::recording::Schema;
use ebrec::recording::Writer;
use ebrec::recording::column;

static OWN: [Column; 2] = [
    Column { name: "own_ratio", ty: ColumnType::Double, title: "Ratio", unit: None, help: "A number." },
    Column { name: "own_flag", ty: ColumnType::Bool, title: "Flag", unit: None, help: "A truth value." },
];

/// A recording with columns of every type and encoding: differences, dictionaries, plain numbers and texts, lists.
fn record(path: &Path) {
    let schema = Arc::new(Schema::new(&OWN));
    let own = |name: &str| schema.id(name).unwrap();
    let (ratio, flag) = (own("own_ratio"), own("own_flag"));
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let mut writer = Writer::create(path, Arc::clone(&schema), identity, Existing::Keep).unwrap();
    writer.set_meta(&Meta { command: vec!["ebrec".to_owned(), "record".to_owned()], ..Meta::default() });
    let mut rows = Rows::new(Arc::clone(&schema), 1_700_000_000_000_000_000);
    for n in 0..200_u64 {
        let scattered = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as i64;
        rows.row("exec")
            .at(n * 1_234_567)
            .int(column::PID, n as i64 % 50)
            .int(column::BYTES, scattered)
            .text(column::COMM, ["cc1", "make", "sh"][n as usize % 3])
            .text(column::FILENAME, &format!("/usr/lib/{scattered:x}"))
            .double(ratio, n as f64 / 7.0)
            .bool(flag, n % 3 == 0);
        rows.row("stack").int(column::ID, n as i64).list(column::FRAMES, &[n as i32, 2, 3][..n as usize % 4]);
    }
    rows.take(1, true).into_iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish(Duration::from_secs(10)).unwrap();
}

/// A digest of all that can be read of a file: what it says of itself, and every value of every row.
fn read(path: &Path) -> Result<u64, String> {
    let recording = Recording::open(path).map_err(|error| error.to_string())?;
    let mut digest = DefaultHasher::new();
    format!("{:?} {:?}", recording.meta(), recording.kinds()).hash(&mut digest);
    let names: Vec<&str> = recording.columns().iter().map(|column| column.name.as_str()).collect();
    for (kind, _) in recording.kinds() {
        for chunk in recording.scan(&kind, &names).unwrap() {
            let chunk = chunk.map_err(|error| error.to_string())?;
            for column in 0..names.len() {
                let (ints, texts, lists) = (chunk.int(column), chunk.text(column), chunk.list(column));
                let (bools, doubles) = (chunk.bool(column), chunk.double(column));
                for row in 0..chunk.len() {
                    (ints.get(row), texts.get(row), lists.get(row), bools.get(row)).hash(&mut digest);
                    doubles.get(row).map(f64::to_bits).hash(&mut digest);
                }
            }
        }
    }
    Ok(digest.finish())
}

#[test]
fn a_flipped_bit_is_found_out_or_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.parquet");
    record(&path);
    let whole = read(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // All of them take minutes: EBREC_FLIPS=all.
    let all = std::env::var_os("EBREC_FLIPS").is_some_and(|flips| flips == "all");
    let bits = bytes.len() * 8;
    let step = if all { 1 } else { (bits / 2200).max(1) | 1 };
    let (mut found, mut harmless) = (0, 0);
    for bit in (0..bits).step_by(step) {
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        match read(&path) {
            Ok(digest) => {
                assert_eq!(digest, whole, "bit {bit} of {bits} changed what is read");
                harmless += 1;
            }
            Err(error) => {
                assert!(error.contains(&format!("'{}'", path.display())), "{error}");
                found += 1;
            }
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    println!("{found} of {} flips were found, {harmless} changed nothing", found + harmless);
    assert!(found + harmless >= 2000 && found > 3 * harmless, "{found} found, {harmless} not");
}
