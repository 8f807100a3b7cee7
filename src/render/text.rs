//! Documents for a terminal.

use crate::render::Document;

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Cells per line.
    pub width: usize,
    /// Whether to colour with escape sequences.
    pub color: bool,
}

/// Writes a document for a terminal.
pub fn text(document: &Document, style: &TextStyle) -> String {
    let _ = style;
    format!("{document:#?}\n")
}
