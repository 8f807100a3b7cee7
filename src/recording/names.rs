//! The names of a recording's files, finished and not.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

/// The endings of a finished recording's name: as it was recorded, compressed, or in a bundle.
const FINISHED: [&str; 4] = [".parquet", ".parquet.gz", ".parquet.zst", ".zip"];
const PARTIAL: &str = ".partial";
const FOOTER: &str = ".footer";

/// Where the rows go until the recording is finished: `run.parquet.partial` for `run.parquet`.
pub fn partial_path(path: &Path) -> PathBuf {
    with_suffix(path, PARTIAL)
}

/// The footer beside an unfinished recording: `run.parquet.partial.footer` for `run.parquet.partial`.
pub fn footer_path(partial: &Path) -> PathBuf {
    with_suffix(partial, FOOTER)
}

/// The name of the finished recording: `run.parquet` for `run.parquet.partial`; `None` for other names.
pub fn finished_path(partial: &Path) -> Option<PathBuf> {
    let name = partial.file_name()?.as_encoded_bytes();
    let stem = name.strip_suffix(PARTIAL.as_bytes()).filter(|stem| !stem.is_empty())?;
    // Only the end was cut off, so the length in bytes tells where; lossy names are not ours.
    let stem = str::from_utf8(stem).ok()?;
    Some(partial.with_file_name(stem))
}

/// Whether the name is that of an unfinished recording.
pub fn is_partial(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "partial")
}

/// Whether the name is that of a finished recording, which may be compressed or in a bundle.
pub fn is_finished(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    FINISHED.iter().any(|ending| name.ends_with(ending))
}

/// A name beside `path` for a file that is renamed into place when it is whole.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    with_suffix(path, ".tmp")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::path::PathBuf;

    use super::finished_path;
    use super::footer_path;
    use super::is_partial;
    use super::partial_path;

    #[test]
    fn names_lead_to_each_other_and_back() {
        let run = Path::new("dir.d/run.parquet");
        let partial = partial_path(run);
        assert_eq!(partial, Path::new("dir.d/run.parquet.partial"));
        assert_eq!(footer_path(&partial), Path::new("dir.d/run.parquet.partial.footer"));
        assert_eq!(finished_path(&partial), Some(PathBuf::from("dir.d/run.parquet")));
        assert!(is_partial(&partial));
        assert!(!is_partial(run));
        assert_eq!(finished_path(run), None);
        assert_eq!(finished_path(Path::new(".partial")), None);
    }
}
