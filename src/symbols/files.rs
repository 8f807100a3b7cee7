//! The files that frames are in, by build id: where each is, though the process that ran it may be gone.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use super::elf::Elf;
use super::functions;
use super::maps;
use super::maps::Mapping;
use crate::probe::stacks::Program;

/// A build id as the kernel gives it: shorter ones end in zeroes.
pub(super) type BuildId = [u8; 20];

/// Files of other file systems, or deleted ones, that are held open for their symbols.
const MAX_HELD: usize = 128;
/// Files looked at, at most, on behalf of one miss in the system's libraries.
const MAX_LIBRARIES: usize = 20_000;

/// A file with code.
pub(super) struct CodeFile {
    /// What it is called.
    pub(super) name: String,
    /// Its facts.
    pub(super) elf: Elf,
    /// Where it can be read.
    pub(super) readable: PathBuf,
    /// Keeps `readable` valid when that is a descriptor's.
    _held: Option<std::fs::File>,
}

/// All files seen so far.
#[derive(Default)]
pub(super) struct Files {
    files: Vec<CodeFile>,
    by_build_id: HashMap<BuildId, usize>,
    by_inode: HashMap<(u64, String), Option<usize>>,
    programs: Vec<Program>,
    seen: HashSet<PathBuf>,
    held: usize,
    libraries_read: bool,
    missing: HashSet<BuildId>,
}

impl Files {
    /// One file.
    pub(super) fn get(&self, file: usize) -> Option<&CodeFile> {
        self.files.get(file)
    }

    /// Notes programs in whose files frames may turn out to be.
    pub(super) fn heard(&mut self, programs: Vec<Program>) {
        self.programs.extend(programs);
        // They are looked at when a frame asks for them; what was never asked for is of no use later.
        let excess = self.programs.len().saturating_sub(MAX_LIBRARIES);
        self.programs.drain(..excess);
    }

    /// The file of a mapping of a process, opened while both are there.
    pub(super) fn of_mapping(&mut self, pid: u32, mapping: &Mapping) -> Option<usize> {
        let key = (mapping.inode, mapping.path.clone());
        if let Some(known) = self.by_inode.get(&key) {
            return *known;
        }
        let found = self.open_mapping(pid, mapping);
        self.by_inode.insert(key, found);
        found
    }

    fn open_mapping(&mut self, pid: u32, mapping: &Mapping) -> Option<usize> {
        let path = mapping.file();
        if std::fs::metadata(&path).is_ok_and(|facts| facts.ino() == mapping.inode) {
            return self.add(&path, path.display().to_string(), None);
        }
        // Of another mount namespace, or deleted: the kernel still has it for as long as we hold it open.
        let inside = format!("/proc/{pid}/root{}", path.display());
        let deleted = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
        for candidate in [inside, deleted] {
            let Ok(file) = std::fs::File::open(&candidate) else { continue };
            if file.metadata().is_ok_and(|facts| facts.ino() == mapping.inode) && self.held < MAX_HELD {
                self.held += 1;
                let readable = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
                return self.add(&readable, path.display().to_string(), Some(file));
            }
        }
        None
    }

    fn add(&mut self, readable: &Path, name: String, held: Option<std::fs::File>) -> Option<usize> {
        let elf = Elf::read(readable)?;
        let file = self.files.len();
        if let Some(id) = elf.build_id.as_deref().and_then(padded) {
            if let Some(known) = self.by_build_id.get(&id) {
                return Some(*known);
            }
            self.by_build_id.insert(id, file);
        }
        self.files.push(CodeFile { name, elf, readable: readable.to_owned(), _held: held });
        Some(file)
    }

    /// The file of a build id that a stack of the process `pid` has.
    pub(super) fn of_build_id(&mut self, id: &BuildId, pid: u32) -> Option<usize> {
        if let Some(known) = self.by_build_id.get(id) {
            return Some(*known);
        }
        for mapping in maps::of_process(pid).iter().flatten().filter(|mapping| mapping.is_file()) {
            self.of_mapping(pid, mapping);
        }
        if let Some(known) = self.by_build_id.get(id) {
            return Some(*known);
        }
        // The process is gone. What was started meanwhile, what the dynamic linker knows, what others run.
        for program in std::mem::take(&mut self.programs) {
            self.try_program(&program);
        }
        if !self.by_build_id.contains_key(id) && !self.libraries_read {
            self.libraries_read = true;
            for library in libraries() {
                self.try_path(&library);
            }
        }
        if !self.by_build_id.contains_key(id) && self.missing.insert(*id) {
            self.look_at_all_processes();
        }
        self.by_build_id.get(id).copied()
    }

    fn try_program(&mut self, program: &Program) {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(&program.path));
        if path.is_absolute() {
            self.try_path(path);
        } else if let Ok(directory) = std::fs::read_link(format!("/proc/{}/cwd", program.ppid)) {
            // Without the `.` of `./program`, which a join keeps at its seam.
            self.try_path(&directory.join(path).components().collect::<PathBuf>());
        }
    }

    fn try_path(&mut self, path: &Path) {
        if self.seen.insert(path.to_owned()) {
            self.add(path, path.display().to_string(), None);
        }
    }

    fn look_at_all_processes(&mut self) {
        let Ok(processes) = std::fs::read_dir("/proc") else { return };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for pid in pids {
            for mapping in maps::of_process(pid).iter().flatten().filter(|mapping| mapping.is_file()) {
                self.of_mapping(pid, mapping);
            }
        }
    }

    /// The functions at places in a file: from its own symbols, else from its debug information on this machine.
    pub(super) fn functions(&self, file: usize, offsets: &BTreeSet<u64>) -> HashMap<u64, String> {
        let Some(file) = self.files.get(file) else { return HashMap::new() };
        let places: Vec<(u64, u64)> =
            offsets.iter().filter_map(|offset| Some((*offset, file.elf.address(*offset)?))).collect();
        let mut names = functions::names(&file.readable, &places.iter().map(|place| place.1).collect());
        let missing: BTreeSet<u64> =
            places.iter().map(|place| place.1).filter(|address| !names.contains_key(address)).collect();
        if !missing.is_empty()
            && let Some(debug) = file.elf.build_id.as_deref().and_then(debug_file)
        {
            names.extend(functions::names(&debug, &missing));
        }
        places.iter().filter_map(|(offset, address)| Some((*offset, names.get(address)?.clone()))).collect()
    }
}

/// The separate debug information of a build id, if this machine has it.
fn debug_file(build_id: &str) -> Option<PathBuf> {
    let (directory, rest) = (build_id.get(..2)?, build_id.get(2..)?);
    let path = PathBuf::from(format!("/usr/lib/debug/.build-id/{directory}/{rest}.debug"));
    path.exists().then_some(path)
}

/// A build id out of a file, as the kernel would give it.
fn padded(hex: &str) -> Option<BuildId> {
    let mut id = BuildId::default();
    for (at, byte) in id.iter_mut().enumerate().take(hex.len() / 2) {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(id)
}

/// The libraries that the dynamic linker's cache names. Its format is a table of offsets and the texts behind it; only the
/// texts that are paths are wanted.
fn libraries() -> Vec<PathBuf> {
    let cache = std::fs::read("/etc/ld.so.cache").unwrap_or_default();
    let mut paths: Vec<PathBuf> = cache
        .split(|byte| *byte == 0)
        .filter(|text| text.starts_with(b"/") && text.len() < 4096)
        .filter_map(|text| std::str::from_utf8(text).ok())
        .map(PathBuf::from)
        .take(MAX_LIBRARIES)
        .collect();
    // The dynamic linker itself is in no cache.
    paths.extend(["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"].map(PathBuf::from));
    paths
}

#[cfg(test)]
mod tests {
    use super::padded;

    #[test]
    fn a_short_build_id_is_padded_as_the_kernel_pads_it() {
        assert_eq!(padded("abcd").map(|id| (id[0], id[1], id[2], id[19])), Some((0xab, 0xcd, 0, 0)));
        assert_eq!(padded("xy"), None);
    }
}
