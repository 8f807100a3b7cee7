//! Documents as GitHub-flavoured Markdown.

use std::fmt::Write;
use std::io;

use crate::render::Block;
use crate::render::Document;
use crate::render::Table;
use crate::render::cells::Column;
use crate::render::cells::columns;
use crate::render::text;
use crate::render::text::TextStyle;
use crate::text::sanitize;
use crate::units;

/// Plots are drawn in characters, in a code block of this width.
const PLOT: TextStyle = TextStyle { width: 90, color: false };

/// Writes a document as GitHub-flavoured Markdown; plots become code blocks.
///
/// Names out of a recording cannot become markup, links or mentions: free text in tables is code, the rest is escaped.
///
/// # Errors
/// `out` refuses, or rows can't be read back.
pub fn write_markdown(document: &Document, out: &mut dyn io::Write) -> io::Result<()> {
    let mut out = Parts { out, first: true };
    if !document.title.is_empty() {
        out.part(&format!("# {}", escape(&document.title)))?;
    }
    if !document.subtitle.is_empty() {
        out.part(&escape(&document.subtitle))?;
    }
    for block in &document.blocks {
        match block {
            Block::Heading(heading) => out.part(&format!("## {}", escape(heading)))?,
            Block::Note(note) => out.part(&escape(note))?,
            Block::Warning(warning) => out.part(&format!("> **Warning:** {}", escape(warning)))?,
            Block::Pairs(pairs) => {
                let line = |p: &(String, String)| format!("- **{}:** {}", escape(&p.0), escape(&p.1));
                out.part(&pairs.iter().map(line).collect::<Vec<_>>().join("\n"))?;
            }
            Block::Table(t) => t.parts(|part| table(&mut out, part))?,
            Block::Histogram(plot) => out.code(|drawn| text::histogram(drawn, &PLOT, plot))?,
            Block::Timeline(plot) => out.code(|drawn| text::timeline(drawn, &PLOT, plot))?,
            Block::Heatmap(plot) => out.code(|drawn| text::heatmap(drawn, &PLOT, plot))?,
            Block::Flame(_) | Block::OverTime(_) => {}
            Block::Bars(bars) => out.code(|drawn| text::bars(drawn, &PLOT, bars))?,
        }
    }
    Ok(())
}

/// Blocks with a blank line between them.
struct Parts<'a> {
    out: &'a mut dyn io::Write,
    first: bool,
}

impl Parts<'_> {
    /// Adds a block.
    fn part(&mut self, part: &str) -> io::Result<()> {
        let before: &[u8] = if self.first { b"" } else { b"\n" };
        self.first = false;
        [before, part.as_bytes(), b"\n"].into_iter().try_for_each(|bytes| self.out.write_all(bytes))
    }

    fn code(&mut self, draw: impl Fn(&mut String)) -> io::Result<()> {
        let mut drawn = String::new();
        draw(&mut drawn);
        // A fence longer than any in the content cannot be closed by it.
        let longest = drawn.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        self.part(&format!("{fence}text\n{}\n{fence}", drawn.trim_end()))
    }
}

fn table(out: &mut Parts<'_>, table: &Table) -> io::Result<()> {
    if !table.title.is_empty() {
        out.part(&format!("**{}**", escape(&table.title)))?;
    }
    let columns = columns(table);
    if columns.is_empty() || table.rows.is_empty() {
        out.part("(none)")?;
    } else {
        out.part(rows(&columns, table.rows.len()).trim_end())?;
    }
    if table.omitted > 0 {
        out.part(&format!("… and {} more (`--top 0` shows all)", units::count(table.omitted)))?;
    }
    Ok(())
}

fn rows(columns: &[Column], rows: usize) -> String {
    let mut out = String::new();
    for column in columns {
        // Writing into a String cannot fail.
        let _ = write!(out, "| {} ", escape(&column.header));
    }
    out.push_str("|\n");
    for column in columns {
        out.push_str(if column.numeric { "| ---: " } else { "| --- " });
    }
    out.push_str("|\n");
    let plain: Vec<bool> = columns.iter().map(|c| !c.elastic || c.cells.iter().all(|cell| is_plain(cell))).collect();
    for row in 0..rows {
        for (column, plain) in columns.iter().zip(&plain) {
            let cell = column.cells.get(row).map_or("", String::as_str);
            // No-break spaces, since a cell's leading spaces are dropped.
            let branch = column.branches.get(row).map(|b| b.replace(' ', "\u{a0}")).unwrap_or_default();
            let cell = if *plain || cell.is_empty() || cell == "-" { cell.to_owned() } else { code_span(cell) };
            let _ = write!(out, "| {branch}{cell} ");
        }
        out.push_str("|\n");
    }
    out
}

/// Whether text cannot be taken for markup, nor for a link to a person, page or commit.
fn is_plain(text: &str) -> bool {
    text.len() < 40
        && !text.starts_with(['-', ' '])
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " -".contains(c))
        && !text.split(' ').any(is_reference)
        || text == "-"
}

/// Whether a word is turned into a link where an issue is shown: `GH-7`, the number of a commit, `www.`, `https://`.
fn is_reference(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    let lower = word.to_ascii_lowercase();
    let hex = (7..=40).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let numbered = lower.strip_prefix("gh-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    numbered
        || lower.contains("www.")
        || lower.contains("://")
        || hex && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Text as code: between backticks, or entities within `<code>` where a backtick, pipe or backslash could end it early.
fn code_span(text: &str) -> String {
    if !text.contains(['`', '|', '\\']) && text.trim() == text {
        return format!("`{text}`");
    }
    let mut out = String::from("<code>");
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || !c.is_ascii() || " ./:-,=()".contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "&#{};", c as u32);
        }
    }
    out.push_str("</code>");
    out
}

/// Prose with nothing in it that Markdown or HTML would act on, in one line.
fn escape(text: &str) -> String {
    let text = sanitize(text);
    let mut out = String::new();
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        escape_word(word, &mut out);
    }
    out
}

/// A zero-width space between two letters, which keeps them from being a mention or a link.
const APART: &str = "&#8203;";

fn escape_word(word: &str, out: &mut String) {
    let is_reference = is_reference(word);
    let mut before = ' ';
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        let inside_word = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // What an escape does not keep from being a mention or a reference.
            '@' => out.extend(["@", APART]),
            '#' => out.extend(["\\#", APART]),
            // Not emphasis within a word.
            '_' if inside_word => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
        if is_reference && matches!(c, 'w' | 'W' | ':' | '-' | '0'..='9' | 'a'..='f' | 'A'..='F') {
            out.push_str(APART);
        }
        before = c;
    }
}
