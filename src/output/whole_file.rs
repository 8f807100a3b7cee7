//! A file that is written whole or not at all.

use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use tempfile::NamedTempFile;

use crate::output::sink;
use crate::output::sink::Sink;
use crate::output::stdout;

/// Writes a file with `what`; one that was there is replaced at the end, or stays as it was. Standard output, pipes and devices are
/// written into.
///
/// # Errors
/// When the file can't be written; its name is in the message.
pub fn write(path: &Path, what: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let failed = || format!("can't write '{}'", path.display());
    match Sink::named(path)? {
        Sink::Stdout => to_stdout(what),
        Sink::Stream(stream) => {
            let mut out = BufWriter::new(sink::open_stream(&stream).with_context(failed)?);
            what(&mut out).and_then(|()| out.flush()).with_context(failed)
        }
        Sink::File(place) => replace(&place, what).with_context(failed),
    }
}

/// Writes to standard output with `what`.
///
/// # Errors
/// When it can't be written; a closed pipe comes as `std::io::Error`, for the code that ends the process.
pub fn to_stdout(what: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let write = |out| {
        let mut out = BufWriter::with_capacity(64 << 10, out);
        what(&mut out).and_then(|()| out.flush())
    };
    stdout::lock().and_then(write).context("can't write to stdout")
}

fn replace(place: &Path, what: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let dir = place.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dir.is_dir() {
        bail!("there is no directory '{}'", dir.display());
    }
    let mut out = BufWriter::new(new_file(dir)?);
    what(&mut out).and_then(|()| out.flush())?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.persist(place).map_err(|error| error.error)?;
    Ok(())
}

/// What is written is not private as a temporary file is: the umask alone decides who reads it.
#[cfg(unix)]
fn new_file(dir: &Path) -> std::io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o666)).tempfile_in(dir)
}

#[cfg(not(unix))]
fn new_file(dir: &Path) -> std::io::Result<NamedTempFile> {
    NamedTempFile::new_in(dir)
}
