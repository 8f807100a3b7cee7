//! The recordings of each side: a file, a directory, or a pattern.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;

use crate::failure::Failure;
use crate::report::plan::RowFilter;
use crate::report::read::input;
use crate::report::read::input::Source;

/// Most recordings of a side.
const MOST: usize = 1000;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Before,
    After,
}

/// The files of one side.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// In the order of their names.
    pub(super) files: Vec<PathBuf>,
    /// Whether one that does not open is left out: nobody named it by itself.
    is_lenient: bool,
}

impl Side {
    /// Finds the files that a word of the command line means.
    ///
    /// # Errors
    /// None is there, or very many are.
    pub(super) fn of(word: &Path) -> Result<Side> {
        if word.is_dir() {
            let failed = || format!("can't read the directory '{}'", word.display());
            let files = input::recordings_in(word).with_context(failed)?;
            let none = || format!("no recording in the directory '{}'", word.display());
            return Side::some(files, none, true);
        }
        let text = word.to_string_lossy();
        if word.exists() || !text.contains(['*', '?', '[']) {
            return Ok(Side { files: vec![word.to_path_buf()], is_lenient: false });
        }
        let paths = glob::glob(&text).map_err(|error| Failure::usage(format!("'{text}' is no pattern: {error}")))?;
        let mut files: Vec<PathBuf> =
            paths.filter_map(Result::ok).filter(|path| path.is_file()).take(MOST + 1).collect();
        files.sort();
        Side::some(files, || format!("no file matches '{text}'"), false)
    }

    fn some(files: Vec<PathBuf>, none: impl Fn() -> String, is_lenient: bool) -> Result<Side> {
        match files.len() {
            0 => Err(Failure::run(none()).into()),
            number if number > MOST => Err(Failure::run(format!("a side can have {MOST} recordings at most")).into()),
            _ => Ok(Side { files, is_lenient }),
        }
    }

    /// Opens the recordings one after the other; what can't be opened is in `left_out` where the side is a directory.
    ///
    /// # Errors
    /// A recording does not open, none of them does, or `visit` fails.
    pub(super) fn each(
        &self,
        filter: &RowFilter,
        left_out: &mut Vec<String>,
        mut visit: impl FnMut(&Source) -> Result<()>,
    ) -> Result<()> {
        let mut opened = 0;
        for file in &self.files {
            match Source::open(file, filter) {
                Ok(source) => {
                    opened += 1;
                    visit(&source)?;
                }
                Err(error) if self.is_lenient => left_out.push(input::first_line(&error)),
                Err(error) => return Err(error),
            }
        }
        match (opened, left_out.last()) {
            (0, Some(why)) => Err(Failure::run(why.clone()).into()),
            _ => Ok(()),
        }
    }
}
