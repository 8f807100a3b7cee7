//! Tables as CSV.

use std::borrow::Cow;
use std::io;

use crate::render::Table;
use crate::render::Value;

/// Writes a table as CSV (RFC 4180).
///
/// The first record holds the stable field names, and `depth` at the end for a tree. Numbers are raw (nanoseconds, bytes); a missing value is
/// empty, an empty text is `""`. Text is lossless: nothing is put before `=` or `@`, so a spreadsheet should import such columns as text.
///
/// # Errors
/// `out` refuses, or rows can't be read back.
pub fn write_csv(table: &Table, out: &mut dyn io::Write) -> io::Result<()> {
    let depth = table.depths.is_some().then_some("depth");
    record(out, table.fields.iter().map(|f| f.name.as_ref()).chain(depth).map(quoted))?;
    table.each(|at, row| {
        let cells = (0..table.fields.len()).map(|i| row.get(i).map_or(Cow::Borrowed(""), cell));
        let depth = table.depths.as_ref().map(|d| Cow::Owned(d.get(at).copied().unwrap_or(0).to_string()));
        record(out, cells.chain(depth))
    })
}

fn record<'a>(out: &mut dyn io::Write, cells: impl Iterator<Item = Cow<'a, str>>) -> io::Result<()> {
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        out.write_all(cell.as_bytes())?;
    }
    out.write_all(b"\r\n")
}

fn cell(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "".into(),
        Value::Text(text) => quoted(text),
        Value::Bool(yes) => if *yes { "true" } else { "false" }.into(),
        Value::Int(n) | Value::Id(n) | Value::Nanos(n) | Value::Bytes(n) | Value::Time(n) => n.to_string().into(),
        Value::Float(n) | Value::Percent(n) | Value::Rate(n) if n.is_finite() => n.to_string().into(),
        Value::Float(_) | Value::Percent(_) | Value::Rate(_) => "".into(),
    }
}

/// A text as a field of a CSV record: in quotes where it needs them.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !matches!(c, '"' | ',' | '\r' | '\n');
    if !text.is_empty() && text.chars().all(plain) && text.trim() == text {
        return text.into();
    }
    format!("\"{}\"", text.replace('"', "\"\"")).into()
}
