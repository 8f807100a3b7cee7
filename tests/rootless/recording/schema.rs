//! The schema is a promise to everyone who reads recordings: columns are only ever appended, and keep name and type.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ebrec::recording::CORE;
use ebrec::recording::Column;
use ebrec::recording::ColumnType;
use ebrec::recording::Existing;
use ebrec::recording::Identity;
use ebrec::recording::Recording;
use ebrec::recording::Schema;
use ebrec::recording::Writer;
use ebrec::recording::column;
use parquet::file::reader::FileReader;
use parquet::file::reader::SerializedFileReader;

/// What Parquet readers see. A line here may only be changed with a new number of the format.
const GOLDEN: &str = include_str!("../../golden/recording-schema.txt");

fn empty_recording(dir: &std::path::Path, schema: Schema) -> std::path::PathBuf {
    let identity = Identity { host: "box".to_owned(), run_id: "0123".to_owned() };
    let path = dir.join("run.parquet");
    let writer = Writer::create(&path, Arc::new(schema), identity, Existing::Keep).unwrap();
    writer.finish(Duration::from_secs(1)).unwrap().path
}

#[test]
#[cfg(all(feature = "record", target_os = "linux"))]
fn the_columns_of_a_file_are_those_of_the_golden_list() {
    let dir = tempfile::tempdir().unwrap();
    let columns = ebrec::probes::REGISTRY.iter().flat_map(|probe| probe.info().columns);
    let message = message(&empty_recording(dir.path(), Schema::new(columns)));
    if let Some(path) = std::env::var_os("EBREC_WRITE_GOLDEN") {
        std::fs::write(path, &message).unwrap();
    }
    let mut lines = GOLDEN.lines().zip(message.lines()).enumerate();
    let differing = lines.find_map(|(at, (golden, found))| (golden != found).then_some((at, golden, found)));
    assert_eq!(differing, None);
    assert_eq!(GOLDEN.lines().count(), message.lines().count());
}

#[test]
fn the_fixtures_have_the_columns_of_the_golden_list() {
    for fixture in std::fs::read_dir("fixtures").unwrap() {
        let path = fixture.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let differing = GOLDEN.lines().zip(message(&path).lines().map(str::to_owned)).find(|(a, b)| a != b);
            assert_eq!(differing, None, "{}: make it again with fixtures/make", path.display());
            assert_eq!(GOLDEN.lines().count(), message(&path).lines().count(), "{}", path.display());
        }
    }
}

/// The schema of a file in the notation of Parquet's own tools.
fn message(path: &std::path::Path) -> String {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut message = Vec::new();
    parquet::schema::printer::print_schema(&mut message, reader.metadata().file_metadata().schema());
    String::from_utf8(message).unwrap()
}

/// Words that PostgreSQL, and DuckDB with it, reserves (PostgreSQL 17, appendix C): a column of that name would need quotes.
const RESERVED: [&str; 77] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "qualify",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "summarize",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "unpivot",
    "pivot",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
    "describe",
    "show",
    "current_user",
];

#[test]
fn no_column_needs_quotes_in_sql() {
    for line in GOLDEN.lines() {
        let name = line.split_whitespace().last().unwrap_or_default().trim_end_matches(';');
        assert!(!RESERVED.contains(&name), "{name}");
    }
}

#[test]
fn the_footer_has_title_unit_and_help_of_every_column() {
    let dir = tempfile::tempdir().unwrap();
    static OWN: [Column; 1] = [Column {
        name: "own_delay_ns",
        ty: ColumnType::Int64,
        title: "Delay",
        unit: Some("ns"),
        help: "How long it was put off.",
    }];
    let path = empty_recording(dir.path(), Schema::new(&OWN));
    let recording = Recording::open(&path).unwrap();
    let columns = CORE.iter().chain(&OWN);
    assert_eq!(recording.columns().len(), columns.clone().count());
    for (column, told) in columns.zip(recording.columns()) {
        assert_eq!((told.name.as_str(), told.title.as_str()), (column.name, column.title));
        assert_eq!((told.unit.as_deref(), told.help.as_str()), (column.unit, column.help));
    }
}

#[test]
fn columns_are_named_and_explained_alike() {
    let mut names = HashSet::new();
    for column in CORE {
        assert!(names.insert(column.name), "'{}' is there twice", column.name);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(column.name.chars().all(plain), "{}", column.name);
        assert!(column.title.starts_with(|c: char| c.is_uppercase()), "{}", column.title);
        assert!(column.help.ends_with('.'), "{}", column.help);
        let nanoseconds = column.name.ends_with("_ns");
        assert_eq!(nanoseconds, column.unit == Some("ns"), "{}", column.name);
    }
}

#[test]
fn probes_that_declare_a_column_alike_share_it() {
    static SHARED: Column = Column { name: "own_x", ty: ColumnType::Int64, title: "X", unit: None, help: "Something." };
    let schema = Schema::new([&SHARED, &CORE[column_place("pid")], &SHARED]);
    assert_eq!(schema.columns().len(), CORE.len() + 1);
    assert_eq!(schema.id("pid"), Some(column::PID));
    assert_eq!(schema.column(schema.id("own_x").unwrap()), Some(&SHARED));
    assert_eq!(schema.id("nothing"), None);
}

fn column_place(name: &str) -> usize {
    CORE.iter().position(|column| column.name == name).unwrap()
}

#[test]
fn the_manual_page_describes_every_core_column() {
    let manual = include_str!("../../../man/ebrec-recording.5");
    let mut missing = String::new();
    for column in CORE.iter().filter(|column| !column.name.starts_with("arg_") && !column.name.starts_with("str_")) {
        // Roff writes names in bold, with no dash or dot in them that would have to be escaped.
        if !manual
            .lines()
            .any(|line| line.strip_prefix(".It Sy ").is_some_and(|rest| names(rest).any(|n| n == column.name)))
        {
            writeln!(missing, "{}", column.name).unwrap();
        }
    }
    assert_eq!(missing, "", "not in man/ebrec-recording.5");
}

fn names(item: &str) -> impl Iterator<Item = &str> {
    item.split([' ', ',']).filter(|word| !word.is_empty())
}
