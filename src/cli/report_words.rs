//! The words after `ebrec report`: which is a view, which a metric, which a recording.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::report::SUMMARY;
use crate::report::VIEWS;
use crate::text::nearest;

/// What the words mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) view: &'static str,
    pub(super) metric: Option<String>,
    pub(super) files: Vec<PathBuf>,
}

/// Reads the words; `exists` tells whether a path is there, which decides only what could be either.
///
/// A first word that is a view's name is the view, so a recording of that name needs its path: `./block`.
pub(super) fn read(words: &[OsString], exists: impl Fn(&Path) -> bool) -> Result<Words, Failure> {
    let is_file = |word: &OsString| looks_like_a_path(word) || exists(Path::new(word));
    let Some((first, rest)) = words.split_first() else {
        return Err(Failure::usage("no recording is named").hint("ebrec report run.parquet"));
    };
    let view = VIEWS.iter().map(|view| view.name).find(|name| Some(*name) == first.to_str());
    let (view, rest) = match view {
        Some(view) => (view, rest),
        None if is_file(first) => (SUMMARY, words),
        None => return Err(neither(first)),
    };
    let (metric, files) = match rest.split_first() {
        Some((word, files)) if view == "hist" && !is_file(word) => (Some(word.to_string_lossy().into_owned()), files),
        _ => (None, rest),
    };
    if files.is_empty() {
        let metric = metric.map(|metric| format!(" {metric}")).unwrap_or_default();
        let message = format!("no recording is named after 'report {view}{metric}'");
        return Err(Failure::usage(message).hint(format!("ebrec report {view}{metric} run.parquet")));
    }
    Ok(Words { view, metric, files: files.iter().map(PathBuf::from).collect() })
}

/// Views and metrics have neither a separator nor a recording's ending.
fn looks_like_a_path(word: &OsString) -> bool {
    let word = word.to_string_lossy();
    word.contains(std::path::is_separator)
        || word.ends_with(".parquet")
        || word.ends_with(".partial")
        || word == "."
        || word == ".."
}

fn neither(word: &OsString) -> Failure {
    let word = word.to_string_lossy();
    let names: Vec<&str> = VIEWS.iter().map(|view| view.name).collect();
    let near = nearest(&word, names.iter().copied());
    Failure::usage(format!("'{word}' is neither a view nor a file")).hint(did_you_mean(&near, &names))
}

#[cfg(test)]
mod tests {
    use super::Words;
    use super::read;
    use crate::failure::Failure;
    use std::ffi::OsString;
    use std::path::PathBuf;

    fn words(line: &str, there: &[&str]) -> Result<Words, Failure> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        read(&words, |path| there.iter().any(|name| path.as_os_str() == *name))
    }

    fn read_as(view: &'static str, metric: Option<&str>, files: &[&str]) -> Result<Words, Failure> {
        Ok(Words { view, metric: metric.map(str::to_owned), files: files.iter().map(PathBuf::from).collect() })
    }

    #[test]
    fn a_file_alone_is_summarised_whether_it_exists_or_not() {
        assert_eq!(words("run.parquet", &[]), read_as("summary", None, &["run.parquet"]));
        assert_eq!(words("recordings b", &["recordings"]), read_as("summary", None, &["recordings", "b"]));
    }

    #[test]
    fn a_view_goes_before_a_file_of_the_same_name() {
        assert_eq!(words("block run.parquet", &["block"]), read_as("block", None, &["run.parquet"]));
        assert_eq!(words("./block", &["block"]), read_as("summary", None, &["./block"]));
    }

    #[test]
    fn hist_takes_a_metric_if_one_is_given() {
        assert_eq!(words("hist a.b x y", &["x"]), read_as("hist", Some("a.b"), &["x", "y"]));
        assert_eq!(words("hist x.parquet", &[]), read_as("hist", None, &["x.parquet"]));
        assert_eq!(words("hist dir", &["dir"]), read_as("hist", None, &["dir"]));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert_eq!(words("block", &[]).unwrap_err().message, "no recording is named after 'report block'");
        assert_eq!(words("hist a.b", &[]).unwrap_err().message, "no recording is named after 'report hist a.b'");
        let unknown = words("proceses run.parquet", &[]).unwrap_err();
        assert_eq!(unknown.message, "'proceses' is neither a view nor a file");
        assert_eq!(unknown.hint.as_deref(), Some("did you mean 'processes'?"));
    }
}
