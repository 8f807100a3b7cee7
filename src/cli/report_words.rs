//! The words after `ebrec report`: which is a view, which a metric, which a recording.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::recording::is_finished;
use crate::recording::is_partial;
use crate::report::SUMMARY;
use crate::report::VIEWS;
use crate::text::nearest;

/// What the words mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) view: &'static str,
    pub(super) metrics: Vec<String>,
    pub(super) files: Vec<PathBuf>,
}

/// Reads the words; `exists` tells whether a path is there, which decides only what could be either.
///
/// A first word that is a view's name is the view, so a recording of that name needs its path: `./block`.
///
/// With a list of recordings there need not be others.
pub(super) fn read(words: &[OsString], has_list: bool, exists: impl Fn(&Path) -> bool) -> Result<Words, Failure> {
    let is_file = |word: &OsString| looks_like_a_path(word) || exists(Path::new(word));
    let Some((first, rest)) = words.split_first() else {
        if has_list {
            return Ok(Words { view: SUMMARY, metrics: Vec::new(), files: Vec::new() });
        }
        return Err(Failure::usage("no recording is named").hint("ebrec report run.parquet"));
    };
    let view = VIEWS.iter().map(|view| view.name).find(|name| Some(*name) == first.to_str());
    let (view, rest) = match view {
        Some(view) => (view, rest),
        None if is_file(first) => (SUMMARY, words),
        None => return Err(neither(first)),
    };
    let taken = rest.iter().take(metrics_of(view)).take_while(|word| !is_file(word)).count();
    let (metrics, files) = rest.split_at(taken);
    let metrics: Vec<String> = metrics.iter().map(|metric| metric.to_string_lossy().into_owned()).collect();
    if files.is_empty() && !has_list {
        let called = [vec![view.to_owned()], metrics].concat().join(" ");
        let message = format!("no recording follows 'report {called}'");
        return Err(Failure::usage(message).hint(format!("ebrec report {called} run.parquet")));
    }
    Ok(Words { view, metrics, files: files.iter().map(PathBuf::from).collect() })
}

/// How many metrics a view takes before its recordings.
fn metrics_of(view: &str) -> usize {
    match view {
        "hist" | "heatmap" => 1,
        "timeline" => usize::MAX,
        _ => 0,
    }
}

/// Views and metrics have neither a separator, nor what patterns have, nor a recording's ending.
fn looks_like_a_path(word: &OsString) -> bool {
    let path = Path::new(word);
    let is_name = |name| word == name;
    let text = word.to_string_lossy();
    text.contains(std::path::is_separator)
        || text.contains(['*', '?', '['])
        || is_finished(path)
        || is_partial(path)
        || is_name("-")
        || is_name(".")
        || is_name("..")
}

fn neither(word: &OsString) -> Failure {
    let word = word.to_string_lossy();
    let names: Vec<&str> = VIEWS.iter().map(|view| view.name).collect();
    let near = nearest(&word, names.iter().copied());
    let failure = Failure::usage(format!("'{word}' is neither a view nor a file"));
    failure.hint(if near.is_empty() {
        "see 'ebrec report --help' for the views".to_owned()
    } else {
        did_you_mean(&near, &names)
    })
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
        read(&words, false, |path| there.iter().any(|name| path.as_os_str() == *name))
    }

    fn read_as(view: &'static str, metrics: &[&str], files: &[&str]) -> Result<Words, Failure> {
        let metrics = metrics.iter().map(|metric| (*metric).to_owned()).collect();
        Ok(Words { view, metrics, files: files.iter().map(PathBuf::from).collect() })
    }

    #[test]
    fn a_file_alone_is_summarised_whether_it_exists_or_not() {
        assert_eq!(words("run.parquet", &[]), read_as("summary", &[], &["run.parquet"]));
        assert_eq!(words("runs-* hist", &[]), read_as("summary", &[], &["runs-*", "hist"]));
        assert_eq!(words("recordings b", &["recordings"]), read_as("summary", &[], &["recordings", "b"]));
    }

    #[test]
    fn a_view_goes_before_a_file_of_the_same_name() {
        assert_eq!(words("block run.parquet", &["block"]), read_as("block", &[], &["run.parquet"]));
        assert_eq!(words("./block", &["block"]), read_as("summary", &[], &["./block"]));
    }

    #[test]
    fn hist_takes_a_metric_if_one_is_given() {
        assert_eq!(words("hist a.b x y", &["x"]), read_as("hist", &["a.b"], &["x", "y"]));
        assert_eq!(words("hist x.parquet", &[]), read_as("hist", &[], &["x.parquet"]));
        assert_eq!(words("hist dir", &["dir"]), read_as("hist", &[], &["dir"]));
    }

    #[test]
    fn timeline_takes_as_many_metrics_as_are_given() {
        assert_eq!(words("timeline a.b c x y", &["x"]), read_as("timeline", &["a.b", "c"], &["x", "y"]));
        assert_eq!(words("timeline x.parquet", &[]), read_as("timeline", &[], &["x.parquet"]));
        assert_eq!(words("heatmap a.b x.parquet", &[]), read_as("heatmap", &["a.b"], &["x.parquet"]));
    }

    #[test]
    fn a_list_is_enough() {
        let words = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            read(&words, true, |_| false)
        };
        assert_eq!(words(""), read_as("summary", &[], &[]));
        assert_eq!(words("hist a.b"), read_as("hist", &["a.b"], &[]));
        assert_eq!(words("block x/y"), read_as("block", &[], &["x/y"]));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert_eq!(words("block", &[]).unwrap_err().message, "no recording follows 'report block'");
        assert_eq!(words("hist a.b", &[]).unwrap_err().message, "no recording follows 'report hist a.b'");
        let unknown = words("proceses run.parquet", &[]).unwrap_err();
        assert_eq!(unknown.message, "'proceses' is neither a view nor a file");
        assert_eq!(unknown.hint.as_deref(), Some("did you mean 'processes'?"));
    }
}
