//! A recording on its way to a pipe or a device.
//!
//! A Parquet file can't be read before its end is there, and small row groups are merged at the end, which takes reading back. So the
//! recording is made in a temporary directory, as any other, and copied when it is finished. One that is cut short is left there.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;

use crate::failure::Failure;
use crate::host::invoker::Invoker;
use crate::output::sink;
use crate::output::sink::Sink;
use crate::output::stdout;
use crate::regular_file;

/// The name of the recording in the directory.
const NAME: &str = "run.parquet";

/// A temporary directory, and where what is made in it goes.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    Stdout,
    Named(PathBuf, File),
}

impl Spool {
    /// Opens the stream and makes the directory, which belongs to who called sudo; `None` when the output is a file.
    ///
    /// # Errors
    /// The stream can't be opened or is a terminal, or there is no room for temporary files.
    pub(super) fn open(sink: &Sink, invoker: Option<&Invoker>) -> Result<Option<Spool>> {
        let (stream, is_terminal) = match sink {
            Sink::File(_) => return Ok(None),
            Sink::Stdout => {
                let out = stdout::lock().context("can't write to stdout")?;
                (Stream::Stdout, out.is_terminal())
            }
            Sink::Stream(path) => {
                let file = sink::open_stream(path).with_context(|| format!("can't write to '{}'", path.display()))?;
                let is_terminal = file.is_terminal();
                (Stream::Named(path.clone(), file), is_terminal)
            }
        };
        if is_terminal {
            let problem = "a recording is a binary file, and a terminal can't show it";
            return Err(Failure::usage(problem).hint("name a file: -o FILE").into());
        }
        let dir = tempfile::Builder::new().prefix("ebrec-").tempdir().context("can't make a temporary directory")?;
        // Not removed by itself: what is in it may be all that is left of a recording.
        let dir = dir.keep();
        if let Some(invoker) = invoker {
            std::os::unix::fs::chown(&dir, Some(invoker.uid), Some(invoker.gid))
                .with_context(|| format!("can't give '{}' away", dir.display()))?;
        }
        Ok(Some(Spool { dir, stream }))
    }

    /// The file to record into.
    pub(super) fn file(&self) -> PathBuf {
        self.dir.join(NAME)
    }

    /// What the stream is called.
    pub(super) fn name(&self) -> PathBuf {
        match &self.stream {
            Stream::Stdout => PathBuf::from("stdout"),
            Stream::Named(path, _) => path.clone(),
        }
    }

    /// Copies the finished recording into the stream and removes the directory.
    ///
    /// # Errors
    /// The stream does not take it all; the recording stays where it is.
    pub(super) fn deliver(self, finished: &Path) -> Result<()> {
        let copy = |mut to: &mut dyn Write| {
            io::copy(&mut regular_file::open(finished)?, &mut to)?;
            to.flush()
        };
        let name = self.name();
        let copied = match self.stream {
            Stream::Stdout => stdout::lock().and_then(|mut out| copy(&mut out)),
            Stream::Named(_, mut file) => copy(&mut file),
        };
        if let Err(error) = copied {
            // Not as a cause: a reader that has gone is not a success here, since it did not get its recording.
            let problem = format!("can't write the recording to {}: {error}", name.display());
            return Err(Failure::run(problem).hint(format!("it is in '{}'", finished.display())).into());
        }
        remove(&self.dir);
        Ok(())
    }

    /// Removes the directory: nothing was recorded.
    pub(super) fn discard(&self) {
        remove(&self.dir);
    }
}

/// A directory that can't be removed is in the place for what may be removed at any time.
fn remove(dir: &Path) {
    let _ = std::fs::remove_dir_all(dir);
}
