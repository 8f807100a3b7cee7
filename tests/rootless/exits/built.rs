//! Small programs, compiled for one test each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use ebrec::exits::Boundaries;
use ebrec::exits::NopSite;
use ebrec::exits::Program;
use ebrec::exits::Refusal;
use object::Object;
use object::ObjectSymbol;

/// A compiled file.
pub(crate) struct Built {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    symbols: BTreeMap<String, (u64, u64)>,
    _directory: Option<tempfile::TempDir>,
}

impl Built {
    /// Compiles `source`, a file of this extension, by a command whose last argument it is.
    pub(crate) fn new(command: &[&str], extension: &str, source: &str) -> Built {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("source").with_extension(extension);
        let path = directory.path().join("built");
        fs::write(&input, source).unwrap();
        run(Command::new(command[0]).args(&command[1..]).arg("-o").arg(&path).arg(&input));
        let mut built = Built::open(&path);
        built._directory = Some(directory);
        built
    }

    /// A library of assembly for this machine.
    pub(crate) fn assembly(source: &str) -> Built {
        Built::new(&["cc", "-shared", "-nostdlib"], "s", source)
    }

    pub(crate) fn open(path: &Path) -> Built {
        let bytes = fs::read(path).unwrap();
        let mut symbols = BTreeMap::new();
        let elf = object::File::parse(&*bytes).unwrap();
        for symbol in elf.symbols().chain(elf.dynamic_symbols()) {
            let is_code = symbol.kind() == object::SymbolKind::Text || symbol.address() != 0;
            if is_code && !symbol.is_undefined() {
                symbols.insert(symbol.name().unwrap().to_owned(), (symbol.address(), symbol.size()));
            }
        }
        Built { path: path.to_owned(), bytes, symbols, _directory: None }
    }

    /// The same file without its symbol table, and the addresses that the functions had.
    pub(crate) fn stripped(&self) -> Built {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stripped");
        run(Command::new("strip").arg("-o").arg(&path).arg(&self.path));
        let mut built = Built::open(&path);
        built.symbols = self.symbols.clone();
        built._directory = Some(directory);
        built
    }

    pub(crate) fn program(&self) -> Program<'_> {
        Program::read(&*self.bytes).unwrap()
    }

    /// Address and size of a symbol.
    pub(crate) fn symbol(&self, name: &str) -> (u64, u64) {
        *self.symbols.get(name).unwrap_or_else(|| panic!("no symbol '{name}' in '{}'", self.path.display()))
    }

    pub(crate) fn has_symbol(&self, name: &str) -> bool {
        self.symbols.contains_key(name)
    }

    pub(crate) fn functions(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.symbols.iter().map(|(name, (address, size))| (name.as_str(), *address, *size))
    }

    pub(crate) fn boundaries(&self, name: &str) -> Result<Boundaries, Refusal> {
        let (address, size) = self.symbol(name);
        ebrec::exits::boundaries(&self.program(), address, Some(size))
    }

    /// The same by the address only.
    pub(crate) fn boundaries_without_size(&self, name: &str) -> Result<Boundaries, Refusal> {
        ebrec::exits::boundaries(&self.program(), self.symbol(name).0, None)
    }

    /// The exits as labels: `name` plus a distance.
    pub(crate) fn exits(&self, name: &str) -> Vec<(String, bool)> {
        let boundaries = self.boundaries(name).unwrap_or_else(|why| panic!("{name}: {why}"));
        boundaries.exits.iter().map(|exit| (self.label(exit.offset), exit.is_shared)).collect()
    }

    /// What a probe on a nop at a label does.
    pub(crate) fn nop_site(&self, label: &str) -> NopSite {
        ebrec::exits::nop_site(&self.program(), self.symbol(label).0).unwrap()
    }

    /// The last symbol at or before a place of the file.
    pub(crate) fn label(&self, offset: u64) -> String {
        let program = self.program();
        let at = |address: u64| program.offset(address).filter(|start| *start <= offset).map(|start| offset - start);
        let nearest = self.symbols.iter().filter_map(|(name, (address, _))| Some((at(*address)?, name))).min();
        match nearest.unwrap() {
            (0, name) => name.clone(),
            (distance, name) => format!("{name}+{distance}"),
        }
    }

    pub(crate) fn offset(&self, label: &str) -> u64 {
        self.program().offset(self.symbol(label).0).unwrap()
    }
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a tool is here.
pub(crate) fn has(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok()
}
