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
    with_inlined: bool,
}

impl Tables {
    /// Starts with no file.
    pub(super) fn new() -> Tables {
        Tables { symbolizer: symbolizer(false), files: Vec::new(), with_inlined: false }
    }

    /// Starts with no file, and reads debug information too, which may take hundreds of megabytes.
    #[cfg(all(feature = "record", target_os = "linux"))]
    pub(super) fn with_inlined() -> Tables {
        Tables { symbolizer: symbolizer(true), files: Vec::new(), with_inlined: true }
    }

    /// The functions that the compiler put into others at a place in a file, the innermost first.
    #[cfg(all(feature = "record", target_os = "linux"))]
    pub(super) fn inlined(&mut self, file: &std::fs::File, offset: u64) -> Vec<String> {
        use std::os::fd::AsRawFd;
        let source = self.source(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())));
        let found = self.symbolizer.symbolize_single(&source, Input::FileOffset(offset)).ok();
        let inlined = found.as_ref().and_then(|found| found.as_sym()).map(|symbol| &symbol.inlined);
        inlined.into_iter().flatten().rev().map(|function| demangled(&function.name)).collect()
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
                self.symbolizer = symbolizer(self.with_inlined);
                self.files.clear();
            }
            self.files.push(path.into());
        }
        let mut elf = Elf::new(path);
        elf.debug_syms = self.with_inlined;
        Source::Elf(elf)
    }
}

fn symbolizer(with_inlined: bool) -> Symbolizer {
    // Where the code stands in the source is not wanted, but comes with what was inlined.
    let builder = Symbolizer::builder();
    builder.enable_code_info(with_inlined).enable_inlined_fns(with_inlined).build()
}
