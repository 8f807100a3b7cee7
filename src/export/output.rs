//! Where an export goes: a file, whole or not at all, or stdout; compressed where the format or the file's name says so.

use std::io;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::output::stdout;
use crate::output::whole_file;
use crate::render::escaped::Escaped;

/// Writes with `what` into a file, or to stdout without one; `gzip` compresses it. On a terminal, names that it would act on are escaped.
///
/// # Errors
/// What `what` says, else why the file can't be written.
pub(super) fn write(path: Option<&Path>, gzip: bool, what: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut own = None;
    let to_terminal = path.is_none_or(|path| path == Path::new("-")) && stdout::is_terminal();
    let whole = |out: &mut dyn Write| {
        let written = match gzip {
            true => compressed(out, what),
            false if to_terminal => {
                let mut escaped = Escaped::new(out);
                what(&mut escaped).and_then(|()| Ok(escaped.flush()?))
            }
            false => what(out),
        };
        // What the output refused is about the output; all else stays as it was said.
        written.map_err(|error| {
            error.downcast::<io::Error>().unwrap_or_else(|error| io::Error::other(own.insert(error).to_string()))
        })
    };
    let written = match path {
        Some(path) => whole_file::write(path, whole),
        None => whole_file::to_stdout(whole),
    };
    own.map_or(written, Err)
}

/// Whether a file's name says that it is compressed.
pub(super) fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "gz")
}

fn compressed(out: &mut dyn Write, what: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut encoder = GzEncoder::new(out, Compression::default());
    what(&mut encoder)?;
    encoder.finish()?.flush()?;
    Ok(())
}
