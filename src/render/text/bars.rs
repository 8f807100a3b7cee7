//! Bars made of parts, for a terminal.

use crate::render::Bars;
use crate::render::stats::edges;
use crate::render::text::TextStyle;
use crate::render::text::line;
use crate::text::fit;
use crate::text::pad_right;
use crate::text::sanitize;
use crate::text::width;

/// One character for each part, told apart without colour.
const GLYPHS: [char; 10] = ['█', '▒', 'q', 'd', 'l', 'f', 'm', 's', 'o', '·'];

/// Longest bar, in cells.
const BAR: usize = 60;

/// Writes bars below each other, each with its name, and what the characters mean.
pub(in crate::render) fn bars(out: &mut String, style: &TextStyle, plot: &Bars) {
    line(out, &style.bold(&fit(&sanitize(&plot.title), style.width)));
    debug_assert!(plot.parts.len() <= GLYPHS.len(), "two parts have one character: {:?}", plot.parts);
    let glyph = |part: usize| GLYPHS.get(part % GLYPHS.len()).copied().unwrap_or('?');
    let room = (style.width / 3).min(28);
    let names: Vec<String> = plot.rows.iter().map(|(name, _)| fit(&sanitize(name), room)).collect();
    let named = names.iter().map(|name| width(name)).max().unwrap_or(0) + 2;
    let cells = style.width.saturating_sub(named).clamp(8, BAR);
    for (name, (_, values)) in names.iter().zip(&plot.rows) {
        let mut bar = String::new();
        for (part, (from, to)) in edges(values, cells as i32).enumerate() {
            bar.extend((from..to).map(|_| glyph(part)));
        }
        line(out, format!("{}{bar}", pad_right(name, named)).trim_end());
    }
    let used = |part: usize| plot.rows.iter().any(|(_, values)| values.get(part).is_some_and(|value| *value > 0.0));
    let mut legend: Vec<String> = Vec::new();
    for (part, title) in plot.parts.iter().enumerate().filter(|(part, _)| used(*part)) {
        let entry = format!("{} {}", glyph(part), sanitize(title));
        match legend.last_mut() {
            Some(last) if width(last) + 3 + width(&entry) <= style.width => {
                last.push_str("   ");
                last.push_str(&entry);
            }
            _ => legend.push(entry),
        }
    }
    for entry in legend {
        line(out, &style.dim(&entry));
    }
}
