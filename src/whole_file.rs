//! A file that is written whole or not at all.

use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use tempfile::NamedTempFile;

/// Writes a file with `what`; one that was there is replaced at the end, or stays as it was.
///
/// # Errors
/// When the file can't be written; its name is in the message.
pub fn write(path: &Path, what: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let failed = || format!("can't write '{}'", path.display());
    if path.exists() && !path.is_file() {
        // A device or a pipe, such as /dev/stdout, can't be renamed over.
        let mut out = BufWriter::new(std::fs::File::create(path).with_context(failed)?);
        return what(&mut out).and_then(|()| out.flush()).with_context(failed);
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dir.is_dir() {
        bail!("can't write '{}': there is no directory '{}'", path.display(), dir.display());
    }
    let mut out = BufWriter::new(new_file(dir).with_context(failed)?);
    what(&mut out).and_then(|()| out.flush()).with_context(failed)?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(failed)?;
    file.persist(path).map_err(|error| error.error).with_context(failed)?;
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
