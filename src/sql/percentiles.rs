//! The query for percentiles of histograms: the same definition as [`crate::hist::Histogram::percentile`].

use crate::sql::template::expand;

/// The query with markers for its columns.
///
/// Rows of kind `hist` are cells with bounds, those of kind `metric` together one cell without. The cells of a group are put in
/// the order of their bounds. A percentile is the middle of the first bucket up to which as many values are, kept between the
/// smallest and the largest value; those are exact where the totals (`t_`) count every value that the buckets (`h_`) have.
const QUERY: &str = include_str!("percentiles.sql");

/// The query for the metrics by the columns `by`; the columns `with` take the last value of each group, and `process` that of the process.
pub(super) fn query(by: &[String], with: &[String]) -> String {
    let list =
        |names: &[String], write: &dyn Fn(&str) -> String| names.iter().map(|name| write(name)).collect::<String>();
    let word = |name: &str, arguments: &[String]| {
        let first = arguments.first()?;
        match (name, arguments.get(1)) {
            ("by", _) => Some(list(by, &|name| format!("{first}.{name}, "))),
            ("with", _) => Some(list(with, &|name| format!("{first}.{name}, "))),
            ("named", Some(at)) => Some(list(with, &|name| match name {
                "process" => format!(
                    "$last({first}.process, {first}.{at}) over (partition by {first}.run_id, {first}.pid, {first}.pid_start_ns) as process, "
                ),
                name => format!("{first}.{name}, "),
            })),
            ("lasts", Some(at)) => Some(list(with, &|name| format!("$last({first}.{name}, {first}.{at}) as {name}, "))),
            // Only what is the last of something needs a time.
            ("at", _) => Some(if with.is_empty() { String::new() } else { format!("{first}, ") }),
            ("group", _) => Some(by.iter().map(|name| format!("{first}.{name}")).collect::<Vec<String>>().join(", ")),
            // The dialect's own.
            _ => Some(format!("${name}({})", arguments.join(", "))),
        }
    };
    expand(QUERY.trim_end(), &word)
}
