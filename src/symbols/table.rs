//! Symbol tables of files, through blazesym, within bounds.

use std::path::Path;

use blazesym::symbolize::Input;
use blazesym::symbolize::Symbolizer;
use blazesym::symbolize::source::Elf;
use blazesym::symbolize::source::Source;

use crate::demangle::demangled;

/// Files whose tables are kept. A large one has some ten megabytes, a usual one some hundred kilobytes.
const MAX_FILES: usize = 64;

/// Finds names in files' symbol tables.
pub(super) struct Tables {
    symbolizer: Symbolizer,
    files: Vec<Box<Path>>,
}

impl Tables {
    /// Starts with no file.
    pub(super) fn new() -> Tables {
        Tables { symbolizer: symbolizer(), files: Vec::new() }
    }

    /// The name of the function at a place in a file.
    pub(super) fn at_offset(&mut self, path: &Path, offset: u64) -> Option<String> {
        self.name(path, Input::FileOffset(offset))
    }

    /// The name of the function at an address of the file's own numbering.
    pub(super) fn at_address(&mut self, path: &Path, address: u64) -> Option<String> {
        self.name(path, Input::VirtOffset(address))
    }

    fn name(&mut self, path: &Path, input: Input<u64>) -> Option<String> {
        let source = self.source(path);
        let found = self.symbolizer.symbolize_single(&source, input).ok()?;
        found.as_sym().map(|symbol| demangled(&symbol.name))
    }

    fn source(&mut self, path: &Path) -> Source<'static> {
        if !self.files.iter().any(|known| **known == *path) {
            if self.files.len() >= MAX_FILES {
                self.symbolizer = symbolizer();
                self.files.clear();
            }
            self.files.push(path.into());
        }
        let mut elf = Elf::new(path);
        elf.debug_syms = false;
        Source::Elf(elf)
    }
}

fn symbolizer() -> Symbolizer {
    Symbolizer::builder().enable_code_info(false).enable_inlined_fns(false).build()
}
