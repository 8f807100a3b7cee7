//! Where an export goes: a file, whole or not at all, or stdout.

use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

use crate::whole_file;

/// Writes with `what` into a file, or to stdout without one.
pub(super) fn write(path: Option<&Path>, what: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    match path {
        Some(path) => whole_file::write(path, what),
        None => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            what(&mut out).and_then(|()| out.flush()).context("can't write to stdout")
        }
    }
}
