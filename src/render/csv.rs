//! Tables as CSV.

use std::borrow::Cow;

use crate::render::Block;
use crate::render::Document;
use crate::render::Table;
use crate::render::Value;

/// Writes one table of a document as CSV (RFC 4180): the named one, or the first; `None` when there is none.
///
/// The first record holds the stable field names, and `depth` at the end for a tree. Numbers are raw (nanoseconds, bytes); a missing value is
/// empty, an empty text is `""`. Text is lossless: nothing is put before `=` or `@`, so a spreadsheet should import such columns as text.
pub fn csv(document: &Document, table: Option<&str>) -> Option<String> {
    let mut tables = document.blocks.iter().filter_map(|b| if let Block::Table(t) = b { Some(t) } else { None });
    let found = tables.find(|t| table.is_none_or(|name| name == t.name))?;
    Some(write(found))
}

fn write(table: &Table) -> String {
    let mut out = String::new();
    let depth = table.depths.is_some().then_some("depth");
    record(&mut out, table.fields.iter().map(|f| f.name.as_ref()).chain(depth).map(quoted));
    for (at, row) in table.rows.iter().enumerate() {
        let cells = (0..table.fields.len()).map(|i| row.get(i).map_or(Cow::Borrowed(""), cell));
        let depth = table.depths.as_ref().map(|d| Cow::Owned(d.get(at).copied().unwrap_or(0).to_string()));
        record(&mut out, cells.chain(depth));
    }
    out
}

fn record<'a>(out: &mut String, cells: impl Iterator<Item = Cow<'a, str>>) {
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&cell);
    }
    out.push_str("\r\n");
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

fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !matches!(c, '"' | ',' | '\r' | '\n');
    if !text.is_empty() && text.chars().all(plain) && text.trim() == text {
        return text.into();
    }
    format!("\"{}\"", text.replace('"', "\"\"")).into()
}
