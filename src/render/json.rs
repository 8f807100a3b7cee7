//! Documents as json.

use crate::render::Document;

/// Writes a document as json.
pub fn json(document: &Document) -> String {
    format!("{document:#?}\n")
}
