//! The rows of a recording as they are, one JSON object or one CSV record each.
//!
//! Rows are read and written some thousand at a time, kind by kind, so memory does not grow with the recording.

use std::io;
use std::io::Write;

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap;

use crate::export::ExportPlan;
use crate::failure::Failure;
use crate::failure::did_you_mean;
use crate::recording::Cell;
use crate::render::csv_text;
use crate::report::read::input::Source;
use crate::report::read::rows::CellColumn;
use crate::report::read::rows::Row;
use crate::text::nearest;

/// Kinds whose rows say what others mean: filters leave them.
const CONTEXT: [&str; 7] = ["stack", "symbol", "process", "cgroup", "cpu_info", "clock", "recording"];
/// Columns that are written in another form, before all others.
const FIRST: [&str; 3] = ["kind", "ts", "ts_sub_ns"];

/// The kinds of rows that are asked for and that the recording has, in its order.
///
/// # Errors
/// The recording has no rows of a kind.
pub(super) fn kinds(source: &Source, plan: &ExportPlan) -> Result<Vec<String>> {
    let known = source.recording().kinds();
    let mut names: Vec<&str> = known.iter().filter(|(_, rows)| *rows > 0).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(wrong) = plan.kinds.iter().find(|kind| !names.contains(&kind.as_str())) {
        let near = nearest(wrong, names.iter().copied());
        let path = source.recording().path().display();
        let failure = Failure::run(format!("'{path}' has no rows of kind '{wrong}'"));
        return Err(failure.hint(did_you_mean(&near, &names)).into());
    }
    names.retain(|name| plan.kinds.is_empty() || plan.kinds.iter().any(|kind| kind == name));
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Writes a JSON object for each row, a line each, without what is null.
pub(super) fn jsonl(source: &Source, kinds: &[String], out: &mut dyn Write) -> Result<()> {
    for kind in kinds {
        let columns = columns(source, std::slice::from_ref(kind));
        each(source, kind, &columns, |row| {
            serde_json::to_writer(&mut *out, &row).map_err(io::Error::from)?;
            Ok(out.write_all(b"\n")?)
        })?;
    }
    Ok(())
}

/// Writes a header, and a record for each row; what is null is empty.
pub(super) fn csv(source: &Source, kinds: &[String], out: &mut dyn Write) -> Result<()> {
    let columns = columns(source, kinds);
    let names = ["kind", "ts", "time_ns"].into_iter().chain(columns.iter().map(String::as_str));
    let header: Vec<String> = names.map(|name| csv_text(name).into_owned()).collect();
    write!(out, "{}\r\n", header.join(","))?;
    for kind in kinds {
        each(source, kind, &columns, |row| {
            write!(out, "{},{},", csv_text(row.kind), row.ts())?;
            if let Some(time) = row.row.at() {
                write!(out, "{time}")?;
            }
            for (_, column) in row.columns {
                out.write_all(b",")?;
                match row.row.cell(*column) {
                    None => {}
                    Some(Cell::Int(number)) => write!(out, "{number}")?,
                    Some(Cell::Double(number)) => write!(out, "{number}")?,
                    Some(Cell::Bool(yes)) => write!(out, "{yes}")?,
                    Some(Cell::Text(text)) => out.write_all(csv_text(text).as_bytes())?,
                    Some(Cell::List(list)) => out.write_all(csv_text(&serde_json::to_string(&list)?).as_bytes())?,
                }
            }
            Ok(out.write_all(b"\r\n")?)
        })?;
    }
    Ok(())
}

/// The columns that hold anything in these kinds, in the file's order, without those that come first.
fn columns(source: &Source, kinds: &[String]) -> Vec<String> {
    let recording = source.recording();
    let holds = |name: &str| kinds.iter().any(|kind| recording.has_values(kind, &[name]));
    let names = recording.columns().iter().map(|column| column.name.as_str());
    names.filter(|name| !FIRST.contains(name) && holds(name)).map(str::to_owned).collect()
}

fn each(source: &Source, kind: &str, columns: &[String], mut visit: impl FnMut(&Line<'_>) -> Result<()>) -> Result<()> {
    let mut rows = if CONTEXT.contains(&kind) { source.rows_of_all_times(kind) } else { source.rows(kind) };
    let columns: Vec<(&str, CellColumn)> = columns.iter().map(|name| (name.as_str(), rows.cell(name))).collect();
    let start_ns = source.meta().window.start_real_ns;
    let mut failed = None;
    rows.each(|row| {
        if failed.is_none() {
            failed = visit(&Line { kind, start_ns, columns: &columns, row }).err();
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// A row as it is written.
struct Line<'a> {
    kind: &'a str,
    start_ns: i64,
    columns: &'a [(&'a str, CellColumn)],
    row: &'a Row<'a>,
}

impl Line<'_> {
    /// The moment of the row in UTC, to the nanosecond; empty where it has none.
    fn ts(&self) -> String {
        let at = self.row.at().map(|at| i128::from(self.start_ns) + i128::from(at));
        at.and_then(|at| Timestamp::from_nanosecond(at).ok()).map(|at| format!("{at:.9}")).unwrap_or_default()
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind)?;
        if let Some(at) = self.row.at() {
            map.serialize_entry("ts", &self.ts())?;
            map.serialize_entry("time_ns", &at)?;
        }
        for (name, column) in self.columns {
            match self.row.cell(*column) {
                None => {}
                Some(Cell::Int(number)) => map.serialize_entry(name, &number)?,
                Some(Cell::Double(number)) => map.serialize_entry(name, &number)?,
                Some(Cell::Bool(yes)) => map.serialize_entry(name, &yes)?,
                Some(Cell::Text(text)) => map.serialize_entry(name, text)?,
                Some(Cell::List(list)) => map.serialize_entry(name, &list)?,
            }
        }
        map.end()
    }
}
