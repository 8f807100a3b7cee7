//! The files that frames are in, by build id: where each is, though the process that ran it may be gone.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::StatVfsMountFlags;

use super::debug_files;
use super::elf::Elf;
use super::functions;
use super::inlined::InlinedFunctions;
use super::maps;
use super::maps::Mapped;
use super::maps::Mapping;
use super::sections::Sections;
use crate::host::code_file::FileIdentity;
use crate::host::foreign;
use crate::host::foreign::Identity;
use crate::host::watch::Suspect;
use crate::host::watch::Watch;
use crate::probe::stacks::Program;

/// A build id as the kernel gives it: shorter ones end in zeroes.
pub(super) type BuildId = [u8; 20];

/// Files that are known at once, and those among them of other file systems, or deleted ones, that are held open.
const MAX_FILES: usize = 16 << 10;
const MAX_HELD: usize = 128;
/// Bytes of the dynamic linker's cache.
const MAX_CACHE: usize = 16 << 20;
/// Time for looking at what all processes run, at most once in a look.
const LOOK_AROUND: Duration = Duration::from_millis(200);
/// The user who owns the machine's own files.
const ROOT: u32 = 0;
/// Files looked at, at most, on behalf of one miss in the system's libraries.
const MAX_LIBRARIES: usize = 20_000;
/// Copies of a user's file that are read where it has no name, and processes whose own copies are looked for then.
const MAX_COPIES: usize = 32;

/// A file with code.
pub(super) struct CodeFile {
    /// What it is called.
    pub(super) name: String,
    /// Its facts.
    pub(super) elf: Elf,
    place: Place,
    identity: Identity,
    /// As it was when its facts were read.
    state: FileIdentity,
    owner: u32,
}

/// A process, and the user who runs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    /// Its id.
    pub(super) pid: u32,
    /// Its real user id.
    pub(super) uid: u32,
}

/// Whose frames a file names. Anyone can make a file that has the build id of another one, with other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    /// Everyone's: only root can have written the file.
    Everyone,
    /// Those of a user who runs it.
    User(u32),
}

/// Where a file can be read.
enum Place {
    Path(PathBuf),
    /// It has no path here.
    Held(File),
}

impl CodeFile {
    /// Opens it; `None` when another file has taken its place, or it was written to.
    pub(super) fn open(&self) -> Option<File> {
        let file = match &self.place {
            Place::Path(path) => foreign::open(path).ok()?,
            Place::Held(file) => file.try_clone().ok()?,
        };
        (FileIdentity::of(&file.metadata().ok()?) == self.state).then_some(file)
    }

    /// Where else on this machine its symbols and debug information may be, the likeliest first; `opened` is the file itself.
    fn debug_files<'a>(&'a self, opened: &'a File) -> impl Iterator<Item = File> {
        let path = match &self.place {
            Place::Path(path) => Some(path.as_path()),
            Place::Held(_) => None,
        };
        debug_files::of(opened, &self.elf, path, self.owner)
    }
}

/// The other files that a user runs under the build id of one of them, which may be damaged or say less.
#[derive(Default)]
struct Copies {
    files: Vec<CodeFile>,
    /// Processes with a file of this build id: which one has not been looked at.
    unseen: Vec<u32>,
    seen: HashSet<u32>,
}

/// What is looked at once in a look.
#[derive(Default)]
pub(super) struct Look {
    processes: HashSet<u32>,
    around: bool,
}

/// All files seen so far.
pub(super) struct Files {
    watch: Arc<Watch>,
    files: Vec<CodeFile>,
    by_build_id: HashMap<(Whose, BuildId), usize>,
    /// Of files that others than root can have written.
    copies: HashMap<usize, Copies>,
    /// Whether they have a build id or not.
    by_state: HashMap<(Whose, FileIdentity), usize>,
    /// Of mappings, by user, device, inode and path.
    by_inode: HashMap<(u32, u64, u64, String), Option<usize>>,
    programs: Vec<Program>,
    /// Paths that were looked at, and what was there.
    seen: HashSet<(Whose, PathBuf, Option<FileIdentity>)>,
    held: usize,
    libraries_read: bool,
}

impl Files {
    /// Starts with none.
    pub(super) fn new(watch: Arc<Watch>) -> Files {
        Files {
            watch,
            files: Vec::new(),
            by_build_id: HashMap::new(),
            copies: HashMap::new(),
            by_state: HashMap::new(),
            by_inode: HashMap::new(),
            programs: Vec::new(),
            seen: HashSet::new(),
            held: 0,
            libraries_read: false,
        }
    }

    /// Whether so many files were seen that soon no more would be.
    pub(super) fn is_half_full(&self) -> bool {
        self.files.len() > MAX_FILES / 2 || self.by_inode.len() > MAX_FILES / 2 || self.held > MAX_HELD / 2
    }

    /// One file.
    pub(super) fn get(&self, file: usize) -> Option<&CodeFile> {
        self.files.get(file)
    }

    /// Notes programs in whose files frames may turn out to be.
    pub(super) fn add_programs(&mut self, programs: Vec<Program>) {
        self.programs.extend(programs);
        // They are looked at when a frame asks for them; what was never asked for is of no use later.
        let excess = self.programs.len().saturating_sub(MAX_LIBRARIES);
        self.programs.drain(..excess);
    }

    /// The file of a mapping of a process, opened while both are there.
    pub(super) fn of_mapping(&mut self, process: Process, mapping: &Mapping) -> Option<usize> {
        let key = (process.uid, mapping.device, mapping.inode, mapping.path.clone());
        if let Some(known) = self.by_inode.get(&key).copied().filter(|known| self.is_still(*known, process, mapping)) {
            return known;
        }
        let watch = Arc::clone(&self.watch);
        let found = watch.look(Suspect::Process(process.pid), || self.open_mapping(process, mapping));
        if self.by_inode.len() < MAX_FILES {
            self.by_inode.insert(key, found);
        }
        found
    }

    /// Whether a mapping of the same inode is of the same file: an inode that was freed is soon another file's.
    fn is_still(&self, known: Option<usize>, process: Process, mapping: &Mapping) -> bool {
        let look = || FileIdentity::known_here(&mapping.of_kernel(process.pid));
        // A process that has gone says nothing else.
        let Some(state) = self.watch.look(Suspect::Process(process.pid), look) else { return true };
        let is = |file: usize| {
            let copies = self.copies.get(&file).into_iter().flat_map(|copies| &copies.files);
            self.files.get(file).into_iter().chain(copies).any(|file| file.state == state)
        };
        known.is_some_and(is)
    }

    fn open_mapping(&mut self, Process { pid, uid }: Process, mapping: &Mapping) -> Option<usize> {
        let path = mapping.file();
        // The kernel gives the very file that is mapped, also a deleted one; another file may have its number on another device.
        let kernels = foreign::open(&mapping.of_kernel(pid)).ok();
        let identity = kernels.as_ref().and_then(Identity::of);
        let is_mapped = |file: &File| match (identity, Identity::of(file)) {
            (Some(mapped), here) => here == Some(mapped),
            (None, here) => here.is_some_and(|here| here.inode == mapping.inode),
        };
        if let Some(file) = foreign::open(&path).ok().filter(is_mapped) {
            return self.add_here(&file, Whose::User(uid));
        }
        // Of another mount namespace, or deleted: the kernel still has it for as long as we hold it open.
        let inside = || foreign::open_in_root_of(pid, &path).ok().filter(is_mapped);
        let file = kernels.or_else(inside).filter(|_| self.held < MAX_HELD)?;
        self.held += 1;
        let held = file.try_clone().ok()?;
        // In its own mount namespace, a process can give a file any name.
        self.add(&file, path.display().to_string(), Place::Held(held), Whose::User(uid))
    }

    /// Adds a file that has a path here; `runs` is whose frames it names if others than root can write it.
    fn add_here(&mut self, file: &File, runs: Whose) -> Option<usize> {
        // What led to it may be a link in anyone's directory: neither that name counts nor what lies beside it.
        let path = foreign::path_of(file).ok()?;
        let whose = if only_root_writes(file) { Whose::Everyone } else { runs };
        self.add(file, path.display().to_string(), Place::Path(path), whose)
    }

    fn add(&mut self, file: &File, name: String, place: Place, whose: Whose) -> Option<usize> {
        let facts = file.metadata().ok()?;
        let state = FileIdentity::of(&facts);
        if let Some(known) = self.by_state.get(&(whose, state)) {
            return Some(*known);
        }
        let (elf, identity) = (Elf::read(file)?, Identity::of(file)?);
        let id = id_of(file, &elf);
        let file = CodeFile { name, elf, place, identity, state, owner: facts.uid() };
        // A copy, as each container has its own: their frames are the same.
        if let Some(known) = id.and_then(|id| self.by_build_id.get(&(whose, id)).copied()) {
            if let Some(copies) = self.copies.get_mut(&known).filter(|copies| copies.files.len() < MAX_COPIES) {
                copies.files.push(file);
                self.by_state.insert((whose, state), known);
            }
            return Some(known);
        }
        let number = self.files.len();
        if number >= MAX_FILES {
            return None;
        }
        if let Some(id) = id {
            self.by_build_id.insert((whose, id), number);
        }
        if whose != Whose::Everyone {
            self.copies.insert(number, Copies::default());
        }
        self.files.push(file);
        self.by_state.insert((whose, state), number);
        Some(number)
    }

    /// The file that names the frames of a user in files of this build id.
    fn known(&self, id: &BuildId, uid: u32) -> Option<usize> {
        let of = |whose| self.by_build_id.get(&(whose, *id)).copied();
        of(Whose::Everyone).or_else(|| of(Whose::User(uid)))
    }

    /// The file of a build id that a stack of a process has.
    pub(super) fn of_build_id(&mut self, id: &BuildId, process: Process, look: &mut Look) -> Option<usize> {
        let Process { pid, uid } = process;
        if let Some(known) = self.known(id, uid) {
            if let Some(copies) = self.copies.get_mut(&known)
                && copies.seen.len() < MAX_COPIES
                && copies.seen.insert(pid)
            {
                copies.unseen.push(pid);
            }
            return Some(known);
        }
        self.look_at_process(pid, look);
        // The process is gone. What was started meanwhile, what the dynamic linker knows, what others run.
        if self.known(id, uid).is_none() {
            for program in std::mem::take(&mut self.programs) {
                self.try_program(&program);
            }
        }
        if self.known(id, uid).is_none() && !std::mem::replace(&mut self.libraries_read, true) {
            for library in libraries() {
                self.try_path(&library, ROOT);
            }
        }
        if self.known(id, uid).is_none() && !std::mem::replace(&mut look.around, true) {
            self.look_at_all_processes(look);
        }
        self.known(id, uid)
    }

    fn try_program(&mut self, program: &Program) {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(&program.path));
        if path.is_absolute() {
            self.try_path(path, program.uid);
        } else if let Ok(directory) = std::fs::read_link(format!("/proc/{}/cwd", program.ppid)) {
            // Without the `.` of `./program`, which a join keeps at its seam.
            self.try_path(&directory.join(path).components().collect::<PathBuf>(), program.uid);
        }
    }

    /// Looks at a file that `uid` runs.
    fn try_path(&mut self, path: &Path, uid: u32) {
        let (whose, watch) = (Whose::User(uid), Arc::clone(&self.watch));
        let state = watch.look(Suspect::Path(path.to_owned()), || FileIdentity::known_here(path));
        if self.seen.len() < MAX_LIBRARIES && self.seen.insert((whose, path.to_owned(), state)) {
            watch.look(Suspect::Path(path.to_owned()), || {
                let file = foreign::open(path).ok()?;
                self.add_here(&file, whose)
            });
        }
    }

    fn look_at_process(&mut self, pid: u32, look: &mut Look) {
        if look.processes.insert(pid)
            && let Some(Mapped { uid, mappings }) = self.watch.look(Suspect::Process(pid), || maps::of_process(pid))
        {
            for mapping in mappings.iter().filter(|mapping| mapping.is_file()) {
                self.of_mapping(Process { pid, uid }, mapping);
            }
        }
    }

    fn look_at_all_processes(&mut self, look: &mut Look) {
        let end = Instant::now() + LOOK_AROUND;
        let Ok(processes) = std::fs::read_dir("/proc") else { return };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for pid in pids.take_while(|_| Instant::now() < end) {
            self.look_at_process(pid, look);
        }
    }

    /// The copies of a user's file, those of processes included that were noted as having one.
    fn copies(&mut self, file: usize) -> &[CodeFile] {
        let unseen = self.copies.get_mut(&file).map(|copies| std::mem::take(&mut copies.unseen));
        for pid in unseen.unwrap_or_default() {
            self.look_at_process(pid, &mut Look::default());
        }
        self.copies.get(&file).map_or(&[], |copies| &copies.files)
    }

    /// Whether a place in a file can hold code.
    pub(super) fn is_code(&mut self, file: usize, offset: u64) -> bool {
        self.files.get(file).is_some_and(|file| file.elf.is_code(offset))
            || self.copies(file).iter().any(|copy| copy.elf.is_code(offset))
    }

    /// How many symbols a file has.
    pub(super) fn symbols(&self, file: usize) -> u64 {
        let count = |file: &CodeFile| {
            self.watch.look(Suspect::File(file.identity), || file.open().map(|file| functions::count(&file)))
        };
        self.files.get(file).and_then(count).unwrap_or(0)
    }

    /// The functions at places in a file: from its own symbols, else from its debug information on this machine, else from those of
    /// its copies.
    pub(super) fn functions(&mut self, file: usize, offsets: &BTreeSet<u64>) -> HashMap<u64, String> {
        let watch = Arc::clone(&self.watch);
        let mut names = HashMap::new();
        let mut missing = offsets.clone();
        let mut name = |file: &CodeFile| {
            let found = watch.look(Suspect::File(file.identity), || functions_of(file, &missing)).unwrap_or_default();
            missing.retain(|offset| !found.contains_key(offset));
            names.extend(found);
            missing.is_empty()
        };
        if !self.files.get(file).is_some_and(&mut name) {
            let _ = self.copies(file).iter().any(name);
        }
        names
    }

    /// The functions that the compiler put into others at a place in a file, the innermost first.
    pub(super) fn inlined(&self, number: usize, offset: u64, functions: &mut InlinedFunctions) -> Vec<String> {
        let Some(file) = self.files.get(number) else { return Vec::new() };
        let Some(address) = file.elf.address(offset) else { return Vec::new() };
        let of_copy = |copy: &CodeFile| self.watch.look(Suspect::File(copy.identity), || with_debug_info(copy));
        let of_copies = || self.copies.get(&number)?.files.iter().find_map(of_copy);
        let look = || Some(functions.at(number, address, || with_debug_info(file).or_else(of_copies)));
        self.watch.look(Suspect::File(file.identity), look).unwrap_or_default()
    }
}

/// The file itself, if it has debug information, or else the one on this machine that has it.
fn with_debug_info(file: &CodeFile) -> Option<File> {
    let opened = file.open()?;
    let has = |opened: &File| Sections::read(opened).is_some_and(|sections| sections.has_debug_info());
    if has(&opened) {
        return Some(opened);
    }
    file.debug_files(&opened).find(has)
}

/// Whether nobody but root can have written a file. On a file system that gives no privileges (`nosuid`), as one that a user
/// mounts, the owner of a file means nothing.
fn only_root_writes(file: &File) -> bool {
    let Ok(facts) = file.metadata() else { return false };
    let (by_group, by_others) = (facts.mode() & 0o020 != 0, facts.mode() & 0o002 != 0);
    let is_roots = facts.uid() == ROOT && !by_others && (facts.gid() == ROOT || !by_group);
    let counts = || rustix::fs::fstatvfs(file).is_ok_and(|system| !system.f_flag.contains(StatVfsMountFlags::NOSUID));
    is_roots && counts()
}

fn functions_of(file: &CodeFile, offsets: &BTreeSet<u64>) -> Option<HashMap<u64, String>> {
    let places: Vec<(u64, u64)> =
        offsets.iter().filter_map(|offset| Some((*offset, file.elf.address(*offset)?))).collect();
    let opened = file.open()?;
    let mut missing: BTreeSet<u64> = places.iter().map(|place| place.1).collect();
    let mut names = HashMap::new();
    let mut debug = file.debug_files(&opened);
    let mut next = opened.try_clone().ok();
    while let Some(source) = next
        && !missing.is_empty()
    {
        names.extend(functions::names(&source, &missing));
        missing.retain(|address| !names.contains_key(address));
        next = if missing.is_empty() { None } else { debug.next() };
    }
    Some(places.iter().filter_map(|(offset, address)| Some((*offset, names.get(address)?.clone()))).collect())
}

/// What ids begin with that are made up here.
const MADE_UP: [u8; 4] = *b"none";

/// What frames in a file have as its build id. Of one that has none, it tells the file from all others of this machine: an address would
/// be looked up when the process may have something else there.
pub(super) fn id_of(file: &File, elf: &Elf) -> Option<BuildId> {
    if let Some(id) = &elf.build_id {
        return padded(id);
    }
    let facts = file.metadata().ok()?;
    let mut id = BuildId::default();
    let written = facts.mtime().wrapping_mul(1_000_000_000).wrapping_add(facts.mtime_nsec());
    let parts = MADE_UP.into_iter().chain((facts.dev() as u32 ^ written as u32).to_ne_bytes());
    let parts = parts.chain(facts.ino().to_ne_bytes()).chain(((written >> 32) as u32).to_ne_bytes());
    id.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    Some(id)
}

/// Whether a file has an id of its own making.
pub(super) fn has_build_id(id: &BuildId) -> bool {
    !id.starts_with(&MADE_UP)
}

/// A build id out of a file, as the kernel would give it.
pub(super) fn padded(hex: &str) -> Option<BuildId> {
    let mut id = BuildId::default();
    for (at, byte) in id.iter_mut().enumerate().take(hex.len() / 2) {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(id)
}

/// The libraries that the dynamic linker's cache names. Its format is a table of offsets and the texts behind it; only the
/// texts that are paths are wanted.
fn libraries() -> Vec<PathBuf> {
    let cache = foreign::read(Path::new("/etc/ld.so.cache"), MAX_CACHE).unwrap_or_default();
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
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::Elf;
    use super::Files;
    use super::Look;
    use super::Process;
    use super::Watch;
    use super::has_build_id;
    use super::id_of;
    use super::padded;

    /// Copies of this program that others than root may write.
    fn copies<const N: usize>(names: [&str; N]) -> (Files, [PathBuf; N], tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let paths = names.map(|name| {
            let path = directory.path().join(name);
            std::fs::copy("/proc/self/exe", &path).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
            path
        });
        (Files::new(Arc::new(Watch::default())), paths, directory)
    }

    /// A place in this program's file: that of this function.
    fn place() -> u64 {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let address = place as *const () as u64;
        let offset = maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
            let offset = u64::from_str_radix(rest.split(' ').nth(1)?, 16).unwrap();
            (start..end).contains(&address).then(|| address - start + offset)
        });
        offset.unwrap()
    }

    #[test]
    fn where_the_symbols_of_a_copy_are_damaged_those_of_another_count() {
        let user = 1000;
        let (mut files, [damaged, whole], _directory) = copies(["damaged", "whole"]);
        // Where the section headers are (`e_shoff`).
        File::options().write(true).open(&damaged).unwrap().write_all_at(&[0; 8], 40).unwrap();
        files.try_path(&damaged, user);
        let elf = Elf::read(&File::open(&damaged).unwrap()).unwrap();
        let id = padded(elf.build_id.as_deref().unwrap()).unwrap();
        let process = Process { pid: 0, uid: user };
        let known = files.of_build_id(&id, process, &mut Look::default()).unwrap();
        let offsets = BTreeSet::from([place()]);
        assert!(files.functions(known, &offsets).is_empty());

        files.try_path(&whole, user);
        assert_eq!(files.of_build_id(&id, process, &mut Look::default()), Some(known));
        let names = files.functions(known, &offsets);
        assert!(names[&place()].contains("files::tests::place"), "{names:?}");
    }

    #[test]
    fn a_copy_of_one_user_names_nothing_of_another_s() {
        let (mut files, [theirs], _directory) = copies(["theirs"]);
        files.try_path(&theirs, 1000);
        let elf = Elf::read(&File::open(&theirs).unwrap()).unwrap();
        let id = padded(elf.build_id.as_deref().unwrap()).unwrap();
        assert!(files.known(&id, 1000).is_some() && files.known(&id, 1001).is_none());
    }

    #[test]
    fn a_file_without_a_build_id_is_told_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let copy = |name: &str| {
            let path = directory.path().join(name);
            std::fs::copy("/proc/self/exe", &path).unwrap();
            path
        };
        let id = |path: &Path| {
            let file = File::open(path).unwrap();
            let mut elf = Elf::read(&file).unwrap();
            elf.build_id = None;
            id_of(&file, &elf).unwrap()
        };
        let (one, other) = (copy("one"), copy("other"));
        assert_eq!(id(&one), id(&one));
        assert_ne!(id(&one), id(&other));
        assert!(!has_build_id(&id(&one)) && has_build_id(&[7; 20]));
    }

    #[test]
    fn a_short_build_id_is_padded_as_the_kernel_pads_it() {
        assert_eq!(padded("abcd").map(|id| (id[0], id[1], id[2], id[19])), Some((0xab, 0xcd, 0, 0)));
        assert_eq!(padded("xy"), None);
    }
}
