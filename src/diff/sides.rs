//! The recordings of each side: a file, a directory, or a pattern.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde::Serialize;

use crate::failure::Failure;
use crate::render::LeftOut;
use crate::report::plan::RowFilter;
use crate::report::read::files::Files;
use crate::report::read::input;
use crate::report::read::input::Source;

/// Most recordings of a side.
const MOST: usize = 1000;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Which {
    Before,
    After,
}

/// The recordings of one side.
#[derive(Clone, Debug)]
pub(super) struct Side(Files);

impl Side {
    /// Finds the recordings that a word of the command line means.
    ///
    /// # Errors
    /// None is there, or very many are.
    pub(super) fn of(word: &Path) -> Result<Side> {
        let files = Files::of(&[word.to_path_buf()], None)?;
        match files.list.len() {
            number if number > MOST => Err(Failure::run(format!("a side can have at most {MOST} recordings")).into()),
            _ => Ok(Side(files)),
        }
    }

    /// How many there are, those included that do not open.
    pub(super) fn len(&self) -> usize {
        self.0.list.len()
    }

    /// Opens the recordings one after the other; what can't be opened is in `left_out`, unless a word names it by itself.
    ///
    /// # Errors
    /// A recording does not open, none of them does, or `visit` fails.
    pub(super) fn each(
        &self,
        filter: &RowFilter,
        left_out: &mut Vec<LeftOut>,
        mut visit: impl FnMut(&Source) -> Result<()>,
    ) -> Result<()> {
        let mut opened = 0;
        let mut own = self.0.left_out.clone();
        for named in &self.0.list {
            match Source::open(&named.path, filter) {
                Ok(source) => {
                    opened += 1;
                    visit(&source)?;
                }
                Err(error) if !named.by_itself => own.push(named.left_out(&error)),
                Err(error) => return Err(error),
            }
        }
        if opened == 0 {
            return Err(input::none_opens(&own).into());
        }
        left_out.extend(own);
        Ok(())
    }
}
