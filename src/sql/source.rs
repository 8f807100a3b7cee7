//! The first statements of a script: the recordings as one table, `ebrec`.

use crate::failure::Failure;
use crate::sql::dialect::Dialect;

/// The columns of every recording, in the notation of Parquet's own tools; a test holds recordings to it.
const COLUMNS: &str = include_str!("../../tests/golden/recording-schema.txt");

/// Where recordings are unless the command line says so.
const ANY: &str = "*.parquet";
/// The same for an engine that reads a directory.
const BUCKET: &str = "s3://bucket/recordings/";

/// Where recordings are, as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A path, a URL, or a pattern of the engine's for several.
    Pattern(String),
    /// A directory, which stands for all recordings in it and below it.
    Directory(String),
}

impl Place {
    /// What an engine reads that has no word for all that is below a directory.
    fn pattern(&self) -> String {
        match self {
            Place::Pattern(pattern) => pattern.clone(),
            Place::Directory(path) => format!("{}/**/*.parquet", path.trim_end_matches('/')),
        }
    }

    fn as_given(&self) -> &str {
        match self {
            Place::Pattern(path) | Place::Directory(path) => path,
        }
    }
}

/// The statements that make the view `ebrec` over the recordings.
///
/// # Errors
/// The dialect can't express these places.
pub(super) fn statements(dialect: Dialect, recordings: &[Place]) -> Result<String, Failure> {
    Ok(match dialect {
        Dialect::DuckDb => duckdb(recordings),
        Dialect::ClickHouse => format!(
            "create or replace view ebrec as\nselect *, toUnixTimestamp64Micro(ts) * 1000 + ts_sub_ns as ts_ns\n\
             from file({}, Parquet)\nsettings schema_inference_mode = 'union';\n",
            dialect.quoted(&one_pattern(dialect, recordings)?)
        ),
        Dialect::Spark => {
            let (path, more) = match recordings {
                [Place::Directory(path)] => (path.clone(), ", recursiveFileLookup 'true', pathGlobFilter '*.parquet'"),
                several => (one_pattern(dialect, several)?, ""),
            };
            format!(
                "create or replace temporary view ebrec_rows\nusing parquet options (path {}{more}, mergeSchema 'true');\n\n\
                 create or replace temporary view ebrec as\n\
                 select *, unix_micros(ts) * 1000 + ts_sub_ns as ts_ns from ebrec_rows;\n",
                dialect.quoted(&path)
            )
        }
        Dialect::Trino => trino(recordings)?,
    })
}

fn duckdb(recordings: &[Place]) -> String {
    let dialect = Dialect::DuckDb;
    let view = |files: &str| {
        format!(
            "create or replace view ebrec as\nselect *, epoch_us(ts) * 1000 + ts_sub_ns as ts_ns\n\
             from read_parquet({files}, union_by_name = true);\n"
        )
    };
    match recordings {
        [] => format!(
            "-- Other recordings: set variable recordings = 'PATTERN'; before this script or after it.\n\
             set variable recordings = coalesce(getvariable('recordings'), {});\n\n{}",
            dialect.quoted(ANY),
            view("getvariable('recordings')")
        ),
        [one] => view(&dialect.quoted(&one.pattern())),
        many => {
            let list: Vec<String> = many.iter().map(|place| dialect.quoted(&place.pattern())).collect();
            view(&format!("[{}]", list.join(", ")))
        }
    }
}

/// The paths as one pattern, since the engine takes no list.
fn one_pattern(dialect: Dialect, recordings: &[Place]) -> Result<String, Failure> {
    match recordings {
        [] => Ok(ANY.to_owned()),
        [one] => Ok(one.pattern()),
        many => together(dialect, &many.iter().map(Place::pattern).collect::<Vec<String>>()),
    }
}

/// Several paths as one pattern with braces, behind the directory that they have in common: an engine that finds a brace first takes
/// the path for a relative one.
fn together(dialect: Dialect, paths: &[String]) -> Result<String, Failure> {
    let first = paths.first().map(String::as_str).unwrap_or_default();
    let common = |at: &usize| paths.iter().all(|path| path.get(..*at) == first.get(..*at));
    let slashes = first.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| at + 1);
    let directory = first.get(..slashes.rev().find(common).unwrap_or(0)).unwrap_or_default();
    let is_rooted = |path: &&String| path.starts_with('/') || path.contains("://");
    let refused = match (directory, paths.iter().find(|path| path.contains(['{', '}', ',']))) {
        (_, Some(path)) => Some(path),
        ("", None) => paths.iter().find(is_rooted),
        (scheme, None) => paths.last().filter(|_| scheme.ends_with("//")),
    };
    if let Some(path) = refused {
        let why = format!("'{path}' can't be one of several paths for {}", dialect.words().engine);
        return Err(Failure::usage(why).hint("name one pattern, such as 'recordings/*.parquet'"));
    }
    let rest: Vec<&str> = paths.iter().filter_map(|path| path.get(directory.len()..)).collect();
    Ok(format!("{directory}{{{}}}", rest.join(",")))
}

fn trino(recordings: &[Place]) -> Result<String, Failure> {
    let location = match recordings {
        [] => BUCKET,
        [one] => one.as_given(),
        [_, other, ..] => {
            let why = format!("Trino reads one directory, and '{}' is a second one", other.as_given());
            return Err(Failure::usage(why).hint(format!("ebrec sql --dialect trino {BUCKET}")));
        }
    };
    let columns: Vec<String> = columns().map(|(name, ty)| format!("  {name} {ty}")).collect();
    Ok(format!(
        "create table if not exists ebrec_rows (\n{}\n) with (format = 'PARQUET', external_location = {});\n\n\
         create or replace view ebrec as\n\
         select *, cast(round(to_unixtime(ts) * 1e6) as bigint) * 1000 + ts_sub_ns as ts_ns from ebrec_rows;\n",
        columns.join(",\n"),
        Dialect::Trino.quoted(location)
    ))
}

/// The columns of a recording with their types as Hive tables have them.
fn columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    COLUMNS.lines().filter_map(|line| {
        // A column stands two blanks in; what is further in belongs to a list.
        let words = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.strip_prefix("OPTIONAL ")?;
        let (physical, rest) = words.split_once(' ')?;
        let (name, logical) = rest.trim_end_matches([';', '{']).trim_end().split_once(' ').unwrap_or((rest, ""));
        let ty = match (physical, logical.trim_matches(['(', ')'])) {
            ("group", _) => "array(integer)",
            ("BYTE_ARRAY", _) => "varchar",
            ("INT32", "INTEGER(16,true") => "smallint",
            ("INT32", _) => "integer",
            ("INT64", logical) if logical.starts_with("TIMESTAMP") => "timestamp(6)",
            ("INT64", _) => "bigint",
            ("DOUBLE", _) => "double",
            ("BOOLEAN", _) => "boolean",
            _ => return None,
        };
        Some((name.trim_end_matches(';'), ty))
    })
}

#[cfg(test)]
mod tests {
    use super::Place;
    use super::columns;
    use super::statements;
    use crate::recording::CORE;
    use crate::sql::dialect::Dialect;

    fn paths(paths: &[&str]) -> Vec<Place> {
        paths.iter().map(|path| Place::Pattern((*path).to_owned())).collect()
    }

    #[test]
    fn every_column_of_a_recording_is_in_the_table_with_its_type() {
        let columns: Vec<_> = columns().collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        assert!(names.starts_with(&CORE.iter().map(|column| column.name).collect::<Vec<_>>()));
        let ty = |name: &str| columns.iter().find(|column| column.0 == name).map(|column| column.1);
        let expected = [
            ("kind", "varchar"),
            ("ts", "timestamp(6)"),
            ("ts_sub_ns", "smallint"),
            ("dur_ns", "bigint"),
            ("pid", "integer"),
            ("frames", "array(integer)"),
            ("http_status", "smallint"),
        ];
        for (name, expected) in expected {
            assert_eq!(ty(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_quote_in_a_path_ends_no_text() {
        let script = |dialect, given: &[&str]| statements(dialect, &paths(given)).unwrap();
        assert!(script(Dialect::DuckDb, &["o'hara.parquet"]).contains("read_parquet('o''hara.parquet',"));
        assert!(script(Dialect::DuckDb, &["a", "b'"]).contains("read_parquet(['a', 'b'''],"));
        assert!(script(Dialect::ClickHouse, &["o'h\\.parquet"]).contains("file('o\\'h\\\\.parquet', Parquet)"));
        assert!(script(Dialect::Spark, &["a.parquet", "b/*.parquet"]).contains("path '{a.parquet,b/*.parquet}'"));
        assert!(script(Dialect::Trino, &["s3://o'hara/"]).contains("external_location = 's3://o''hara/'"));
    }

    #[test]
    fn several_paths_are_one_pattern_behind_the_directory_that_they_share() {
        let script = |given: &[&str]| statements(Dialect::ClickHouse, &paths(given)).unwrap();
        assert!(
            script(&["/a/b/x.parquet", "/a/c/*.parquet"]).contains("file('/a/{b/x.parquet,c/*.parquet}', Parquet)")
        );
        assert!(script(&["/x", "/y"]).contains("file('/{x,y}', Parquet)"));
        assert!(script(&["s3a://a/x", "s3a://a/y"]).contains("file('s3a://a/{x,y}', Parquet)"));
        assert!(script(&["a", "b/c"]).contains("file('{a,b/c}', Parquet)"));
    }

    #[test]
    fn paths_that_a_dialect_cannot_express_are_refused_by_name() {
        let refused = |dialect, given: &[&str]| statements(dialect, &paths(given)).unwrap_err().message;
        assert_eq!(refused(Dialect::Spark, &["a", "b,c"]), "'b,c' can't be one of several paths for Spark");
        assert_eq!(refused(Dialect::Spark, &["a", "/b"]), "'/b' can't be one of several paths for Spark");
        let why = "'s3a://b/y' can't be one of several paths for ClickHouse";
        assert_eq!(refused(Dialect::ClickHouse, &["s3a://a/x", "s3a://b/y"]), why);
        assert_eq!(refused(Dialect::Trino, &["a/", "b/"]), "Trino reads one directory, and 'b/' is a second one");
    }
}
