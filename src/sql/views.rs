//! The views as data: their names, what they answer, an example, and their queries in one dialect.

use crate::report::read::profile::LEAVING;
use crate::sql::dialect::Dialect;
use crate::sql::percentiles;
use crate::sql::template::expand;
use crate::sql::template::filled;

/// The views in a dialect of no engine: [`expand`] makes each engine's of it.
const SOURCE: &str = include_str!("views.sql");

/// Kinds of rows that the view `ebrec_slow_events` has: those of probes that stream what is slow, without lifetimes.
const SLOW_KINDS: [&str; 15] = [
    "wakeup",
    "off_cpu",
    "block_io",
    "reclaim",
    "compaction",
    "syscall",
    "irq",
    "softirq",
    "lock",
    "tcp",
    "dns",
    "http",
    "http_unanswered",
    "file",
    "signal_taken",
];

/// A view over recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// A query of one line that uses it.
    pub example: &'static str,
    /// What it answers, as comments.
    pub(super) comment: &'static str,
    /// The query behind it, with markers.
    query: &'static str,
}

/// The views in the order in which they build on each other.
pub fn views() -> impl Iterator<Item = View> {
    SOURCE.split("\n\n").filter_map(|text| {
        let (comment, rest) = text.split_once("\n-- example: ")?;
        let (example, rest) = rest.split_once("\ncreate view ")?;
        let (name, query) = rest.split_once('\n')?;
        Some(View { name, example, comment: comment.trim_start(), query: query.trim_end().trim_end_matches(';') })
    })
}

impl View {
    /// What the view answers.
    pub fn help(&self) -> String {
        let lines = self.comment.lines().map(|line| line.trim_start_matches('-').trim_start());
        lines.collect::<Vec<&str>>().join(" ")
    }

    /// The query behind the view in a dialect.
    pub(super) fn query(&self, dialect: Dialect) -> String {
        expand(self.query, &|name, arguments| word(dialect, name, arguments))
    }
}

/// What a marker of the source stands for.
fn word(dialect: Dialect, name: &str, arguments: &[String]) -> Option<String> {
    let quoted = |names: &[&str]| names.iter().map(|name| format!("'{name}'")).collect::<Vec<String>>().join(", ");
    match name {
        "percentiles" => {
            // The columns before the semicolon make the groups.
            let columns = arguments.join(",");
            let (by, with) = columns.split_once(';').unwrap_or((&columns, ""));
            let names = |text: &'_ str| -> Vec<String> {
                text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
            };
            let query = percentiles::query(&names(by), &names(with));
            Some(expand(&query, &|name, arguments| word(dialect, name, arguments)))
        }
        "leaving" => Some(quoted(&LEAVING)),
        "leaving_regex" => Some(LEAVING.join("|")),
        "slow_kinds" => Some(quoted(&SLOW_KINDS)),
        _ => {
            let functions = dialect.words().functions;
            let (_, pattern) = functions.iter().find(|(own, _)| *own == name)?;
            Some(filled(pattern, arguments))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::views;
    use crate::sql::dialect::Dialect;

    #[test]
    fn every_view_of_the_source_is_found() {
        let names: Vec<&str> = views().map(|view| view.name).collect();
        assert_eq!(names.len(), super::SOURCE.matches("create view ").count());
        assert!(names.iter().all(|name| name.starts_with("ebrec_")), "{names:?}");
    }

    #[test]
    #[cfg(all(feature = "record", target_os = "linux"))]
    fn slow_events_are_of_the_kinds_that_probes_stream_when_they_are_slow() {
        // Nobody waits for a slice or for the life of a file.
        let lives = ["slice", "file_short_lived"];
        let slow = crate::probes::REGISTRY.iter().map(|probe| probe.info()).filter(|info| info.slow.is_some());
        let kinds = slow.flat_map(|info| info.kinds).filter(|kind| kind.columns.contains(&"dur_ns"));
        let mut expected: Vec<&str> = kinds.map(|kind| kind.name).filter(|kind| !lives.contains(kind)).collect();
        let mut kinds = super::SLOW_KINDS.to_vec();
        expected.sort_unstable();
        kinds.sort_unstable();
        assert_eq!(kinds, expected);
    }

    #[test]
    fn every_marker_has_a_meaning_in_every_dialect() {
        for view in views() {
            for dialect in Dialect::ALL {
                let query = view.query(dialect);
                let left = query.match_indices('$').find(|(at, _)| !query[at + 1..].starts_with(['.', '\'']));
                assert_eq!(left, None, "{} in {}: {query}", view.name, dialect.name());
            }
        }
    }
}
