//! Where an export goes: a file, whole or not at all, or stdout.

use std::io::Write;
use std::path::Path;

use anyhow::Result;

use crate::output::whole_file;

/// Writes with `what` into a file, or to stdout without one.
pub(super) fn write(path: Option<&Path>, what: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    match path {
        Some(path) => whole_file::write(path, what),
        None => whole_file::to_stdout(what),
    }
}
