//! What recordings are called where there are several: by host, and by what else distinguishes them.

use std::collections::HashMap;
use std::path::Path;

/// Names of the parts of paths that name a host, as in `date=2026-01-01/host=web1/run.parquet`.
const HOST_KEYS: [&str; 4] = ["host", "hostname", "node", "instance"];

/// The host of a recording: as the file says, else as a part `host=` of its path, else its file's name.
pub(crate) fn host(hostname: &str, path: &Path) -> String {
    if !hostname.is_empty() {
        return hostname.to_owned();
    }
    let parts = partitions(path);
    let named = parts.iter().rev().find(|(key, _)| HOST_KEYS.contains(&key.as_str()));
    named.map_or_else(|| stem(path), |(_, value)| value.clone())
}

/// A label for each recording, given its host and path.
///
/// A host that occurs once is its label. The others get the parts `key=value` of their paths behind it, and their files' names where
/// these are not enough.
pub(crate) fn labels(recordings: &[(String, &Path)]) -> Vec<String> {
    let behind = |place: fn(&Path) -> String, labels: &[String]| -> Vec<String> {
        let often = counts(labels);
        let label = |((host, path), label): (&(String, &Path), &String)| {
            let is_unique = often.get(label.as_str()) == Some(&1);
            let more = if is_unique { String::new() } else { place(path) };
            if more.is_empty() { label.clone() } else { format!("{host} ({more})") }
        };
        recordings.iter().zip(labels).map(label).collect()
    };
    let mut labels: Vec<String> = recordings.iter().map(|(host, _)| host.clone()).collect();
    for place in [parts, parts_and_stem, whole] {
        labels = behind(place, &labels);
    }
    labels
}

fn counts(labels: &[String]) -> HashMap<&str, usize> {
    let mut often = HashMap::new();
    labels.iter().for_each(|label| *often.entry(label.as_str()).or_default() += 1);
    often
}

/// `date=2026-01-01, shift=night`.
fn parts(path: &Path) -> String {
    let parts = partitions(path).into_iter().filter(|(key, _)| !HOST_KEYS.contains(&key.as_str()));
    parts.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn parts_and_stem(path: &Path) -> String {
    let (parts, stem) = (parts(path), stem(path));
    if parts.is_empty() { stem } else { format!("{parts}, {stem}") }
}

fn whole(path: &Path) -> String {
    path.display().to_string()
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The directories of a path that are named `key=value`, as Hive and the engines that followed it name them.
fn partitions(path: &Path) -> Vec<(String, String)> {
    let directories = path.parent().into_iter().flat_map(Path::components);
    let pair = |part: std::path::Component<'_>| {
        let text = part.as_os_str().to_str()?;
        let (key, value) = text.split_once('=')?;
        (!key.is_empty() && !value.is_empty()).then(|| (key.to_owned(), unescaped(value)))
    };
    directories.filter_map(pair).collect()
}

/// A value without the percent signs by which Hive writes what file systems don't allow.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|code| str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::host;
    use super::labels;

    fn of(recordings: &[(&str, &'static str)]) -> Vec<String> {
        let named: Vec<_> = recordings.iter().map(|(host, path)| ((*host).to_owned(), Path::new(*path))).collect();
        labels(&named)
    }

    #[test]
    fn hosts_that_occur_once_need_no_more() {
        assert_eq!(of(&[("a", "x/1.parquet"), ("b", "x/1.parquet")]), ["a", "b"]);
    }

    #[test]
    fn recordings_of_one_host_get_what_tells_them_apart_and_no_more() {
        assert_eq!(of(&[("a", "x/1.parquet"), ("a", "x/2.parquet"), ("b", "3.parquet")]), ["a (1)", "a (2)", "b"]);
        let by_day = [("a", "date=1/host=a/run.parquet"), ("a", "date=2/host=a/run.parquet")];
        assert_eq!(of(&by_day), ["a (date=1)", "a (date=2)"]);
        let by_file = [("a", "date=1/r.parquet"), ("a", "date=1/s.parquet"), ("a", "date=2/r.parquet")];
        assert_eq!(of(&by_file), ["a (date=1, r)", "a (date=1, s)", "a (date=2)"]);
        assert_eq!(of(&[("a", "x/r.parquet"), ("a", "y/r.parquet")]), ["a (x/r.parquet)", "a (y/r.parquet)"]);
    }

    #[test]
    fn a_host_that_the_file_does_not_name_is_the_paths() {
        assert_eq!(host("web", Path::new("host=other/run.parquet")), "web");
        assert_eq!(host("", Path::new("d/host=web%2F1/date=3/run.parquet")), "web/1");
        assert_eq!(host("", Path::new("d/run.parquet")), "run");
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(host("", Path::new("host=a%zz%4/run.parquet")), "a%zz%4");
    }
}
