//! Documents for a terminal.

mod bars;
mod heatmap;
mod plot;
mod table;

use std::io;

use crate::render::Block;
use crate::render::Document;
use crate::text::fit;
use crate::text::pad_right;
use crate::text::sanitize;
use crate::text::width;
use crate::text::wrap;

pub(super) use bars::bars;
pub(super) use heatmap::heatmap;
pub(super) use plot::histogram;
pub(super) use plot::timeline;

/// Widest line of prose; longer ones are hard to read.
const PROSE: usize = 100;

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Cells per line.
    pub width: usize,
    /// Whether to colour with escape sequences.
    pub color: bool,
}

impl TextStyle {
    fn paint(&self, code: &str, s: &str) -> String {
        if self.color && !s.is_empty() { format!("\x1b[{code}m{s}\x1b[0m") } else { s.to_owned() }
    }

    fn bold(&self, s: &str) -> String {
        self.paint("1", s)
    }

    fn dim(&self, s: &str) -> String {
        self.paint("2", s)
    }

    fn yellow(&self, s: &str) -> String {
        self.paint("33", s)
    }
}

/// Writes a document for a terminal; every string is escaped. From 80 cells on no line is wider than the terminal; on narrower ones
/// tables leave out their last columns.
///
/// # Errors
/// `out` refuses, or rows can't be read back.
pub fn write_text(document: &Document, style: &TextStyle, out: &mut dyn io::Write) -> io::Result<()> {
    let mut head = String::new();
    if !document.title.is_empty() {
        prose(&mut head, style, "", &document.title, |s| style.bold(s));
    }
    if !document.subtitle.is_empty() {
        prose(&mut head, style, "", &document.subtitle, |s| style.dim(s));
    }
    out.write_all(head.as_bytes())?;
    let mut previous: Option<&Block> = None;
    // A flame graph is a picture or nothing.
    for block in document.blocks.iter().filter(|block| !matches!(block, Block::Flame(_))) {
        let first = previous.is_none() && head.is_empty();
        if !first && apart(previous, block) {
            out.write_all(b"\n")?;
        }
        write(out, style, block)?;
        previous = Some(block);
    }
    Ok(())
}

/// Whether a blank line stands between two blocks: not between lines of prose, nor below a heading.
fn apart(previous: Option<&Block>, block: &Block) -> bool {
    match (previous, block) {
        (Some(Block::Heading(_)), next) => matches!(next, Block::Heading(_)),
        (Some(Block::Note(_)), Block::Note(_)) | (Some(Block::Warning(_)), Block::Warning(_)) => false,
        // A note explains what stands above it.
        (
            Some(
                Block::Table(_)
                | Block::Pairs(_)
                | Block::Histogram(_)
                | Block::Timeline(_)
                | Block::Heatmap(_)
                | Block::Bars(_),
            ),
            Block::Note(_),
        ) => false,
        _ => true,
    }
}

fn write(to: &mut dyn io::Write, style: &TextStyle, block: &Block) -> io::Result<()> {
    if let Block::Table(table) = block {
        return table.parts(|part| {
            let mut drawn = String::new();
            table::table(&mut drawn, style, part);
            to.write_all(drawn.as_bytes())
        });
    }
    let mut drawn = String::new();
    let out = &mut drawn;
    match block {
        Block::Heading(heading) => section(out, style, heading),
        Block::Note(note) => prose(out, style, "", note, |s| style.dim(s)),
        Block::Warning(warning) => prose(out, style, "warning: ", warning, |s| style.yellow(s)),
        Block::Pairs(pairs) => facts(out, style, pairs),
        Block::Histogram(plot) => histogram(out, style, plot),
        Block::Timeline(plot) => timeline(out, style, plot),
        Block::Heatmap(plot) => heatmap(out, style, plot),
        Block::Table(_) | Block::Flame(_) | Block::OverTime(_) => {}
        Block::Bars(plot) => bars(out, style, plot),
    }
    to.write_all(drawn.as_bytes())
}

fn line(out: &mut String, s: &str) {
    out.push_str(s);
    out.push('\n');
}

/// A heading with a rule to the end of the line, so that sections stand out without colour too.
fn section(out: &mut String, style: &TextStyle, heading: &str) {
    let heading = fit(&sanitize(heading), style.width.saturating_sub(3));
    let rule = style.width.min(PROSE).saturating_sub(width(&heading) + 4);
    line(out, &format!("{} {} {}", style.dim("──"), style.bold(&heading), style.dim(&"─".repeat(rule))));
}

/// Wrapped prose, its later lines below the end of `lead`.
fn prose(out: &mut String, style: &TextStyle, lead: &str, s: &str, paint: impl Fn(&str) -> String) {
    let indent = width(lead);
    let mut lead = lead.to_owned();
    for wrapped in wrap(&sanitize(s), style.width.min(PROSE).saturating_sub(indent)) {
        line(out, &paint(&format!("{lead}{wrapped}")));
        lead = " ".repeat(indent);
    }
}

fn facts(out: &mut String, style: &TextStyle, pairs: &[(String, String)]) {
    let names: Vec<String> = pairs.iter().map(|p| fit(&sanitize(&p.0), style.width / 2)).collect();
    let indent = names.iter().map(|n| width(n)).max().unwrap_or(0) + 2;
    for (name, pair) in names.iter().zip(pairs) {
        let lines = wrap(&sanitize(&pair.1), style.width.min(PROSE + indent).saturating_sub(indent));
        for (i, value) in lines.iter().enumerate() {
            let name = if i == 0 { style.dim(&pad_right(name, indent)) } else { " ".repeat(indent) };
            line(out, format!("{name}{value}").trim_end());
        }
    }
}
