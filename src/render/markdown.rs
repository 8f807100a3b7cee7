//! Documents as markdown.

use crate::render::Document;

/// Writes a document as markdown.
pub fn markdown(document: &Document) -> String {
    format!("{document:#?}\n")
}
