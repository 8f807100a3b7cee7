//! The manual page of the file format: columns and kinds out of the registry, the rest by hand (`ebrec-recording.5` beside this file).

use std::fmt::Write as _;

use crate::probe::EventKind;
use crate::probe::ProbeInfo;
use crate::probes::REGISTRY;
use crate::recording::CORE;
use crate::recording::CORE_KINDS;
use crate::recording::Column;
use crate::recording::ColumnType;
use crate::recording::CoreKind;

const TEMPLATE: &str = include_str!("ebrec-recording.5");

/// Headings of the core columns, each with the first column under it.
const GROUPS: [(&str, &str); 10] = [
    ("kind", "In every row"),
    ("ts", "Time"),
    ("cpu", "Who and where"),
    ("name", "What"),
    ("dev", "Block devices"),
    ("family", "Network"),
    ("filename", "Programs and files"),
    ("metric", "Aggregates"),
    ("id", "Stacks and symbols"),
    ("arg_0", "Custom events"),
];

/// The page: the template with a list in the place of each comment.
pub(super) fn page() -> String {
    let probes: Vec<&ProbeInfo> = REGISTRY.iter().map(|probe| probe.info()).collect();
    let mut page = String::with_capacity(4 * TEMPLATE.len());
    for line in TEMPLATE.lines() {
        match line.strip_prefix(r#".\" "#) {
            Some("columns") => columns(&mut page, &probes),
            Some("events") => {
                for info in &probes {
                    list(&mut page, info.kinds.iter().map(|kind| of_probe(info, kind)));
                }
            }
            Some("aggregates") => list(&mut page, CORE_KINDS.iter().filter(|kind| kind.is_aggregate).map(of_core)),
            Some("descriptions") => list(&mut page, CORE_KINDS.iter().filter(|kind| !kind.is_aggregate).map(of_core)),
            _ => {
                page.push_str(line);
                page.push('\n');
            }
        }
    }
    page
}

fn columns(page: &mut String, probes: &[&ProbeInfo]) {
    let heading = |column: &Column| GROUPS.iter().find(|(first, _)| *first == column.name).map(|(_, heading)| *heading);
    for group in CORE.chunk_by(|_, next| heading(next).is_none()) {
        subsection(page, group.first().and_then(heading).unwrap_or_default());
        list(page, group.iter().map(of_column));
    }
    for info in probes.iter().filter(|info| !info.columns.is_empty()) {
        subsection(page, &format!("Of the probe {}", info.name));
        list(page, info.columns.iter().map(of_column));
    }
}

/// An item of a list: its tag as macros, and lines of text or macros.
type Item = (String, String);

fn of_column(column: &Column) -> Item {
    let ty = match column.ty {
        ColumnType::Int16 => "int16",
        ColumnType::Int32 => "int32",
        ColumnType::Int64 => "int64",
        ColumnType::Double => "double",
        ColumnType::Bool => "boolean",
        ColumnType::Text(_) => "text",
        ColumnType::Timestamp => "timestamp",
        ColumnType::ListInt32 => "list of int32",
    };
    let unit = column.unit.map_or_else(String::new, |unit| format!(", {unit}"));
    (format!("Sy {} Pq {ty}{unit}", column.name), text(column.help))
}

fn of_probe(info: &ProbeInfo, kind: &EventKind) -> Item {
    (format!("Sy {} Pq probe {}", kind.name, info.name), described(kind.help, kind.columns))
}

fn of_core(kind: &CoreKind) -> Item {
    (format!("Sy {}", kind.name), described(kind.help, kind.columns))
}

fn described(help: &str, columns: &[&str]) -> String {
    format!("{}Columns:\n.Sy {} .\n", text(help), columns.join(" , "))
}

fn subsection(page: &mut String, heading: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(page, ".Ss {heading}");
}

fn list(page: &mut String, items: impl Iterator<Item = Item>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    page.push_str(".Bl -tag -width Ds -compact\n");
    for (tag, body) in items {
        let _ = write!(page, ".It {tag}\n{body}");
    }
    page.push_str(".El\n");
}

/// Text as roff takes it: one sentence a line, no line that begins like a macro, backslashes as they are.
fn text(help: &str) -> String {
    let help = help.replace('\\', r"\e").replace(". ", ".\n");
    help.lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}\n") } else { format!("{line}\n") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::probes::REGISTRY;
    use crate::recording::CORE;
    use crate::recording::CORE_KINDS;
    use crate::recording::Meta;
    use crate::recording::Schema;

    fn has_item(page: &str, name: &str) -> bool {
        let named = |line: &str| {
            line.strip_prefix(".It Sy ").is_some_and(|rest| rest.split([' ', ',']).any(|word| word == name))
        };
        page.lines().any(named)
    }

    #[test]
    fn the_page_has_every_column_kind_and_key() {
        let page = page();
        let columns =
            CORE.iter().chain(REGISTRY.iter().flat_map(|probe| probe.info().columns)).map(|column| column.name);
        let kinds = REGISTRY.iter().flat_map(|probe| probe.info().kinds).map(|kind| kind.name);
        let keys: Vec<String> = Meta::default().to_pairs().into_iter().map(|(key, _)| key).collect();
        let core = CORE_KINDS.iter().map(|kind| kind.name);
        for name in columns.chain(kinds).chain(core).chain(keys.iter().map(String::as_str)).chain(["ebrec.checksum"]) {
            assert!(has_item(&page, name), "'{name}' is not in the page");
        }
    }

    #[test]
    fn the_columns_of_every_kind_are_in_the_schema() {
        let schema = Schema::new(REGISTRY.iter().flat_map(|probe| probe.info().columns));
        let of_probes = REGISTRY.iter().flat_map(|probe| probe.info().kinds).map(|kind| (kind.name, kind.columns));
        for (kind, columns) in of_probes.chain(CORE_KINDS.iter().map(|kind| (kind.name, kind.columns))) {
            for column in columns {
                assert!(schema.id(column).is_some(), "'{kind}' has no column '{column}'");
            }
        }
    }
}
