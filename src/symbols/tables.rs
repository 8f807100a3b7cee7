//! The thread that keeps the kernel's unwind tables: of the files that processes have mapped, and of the mappings themselves.
//!
//! Programs ask for the mappings of a process when they first meet it, when its executable memory has changed, and when they
//! come to an address that is not in them; and the kernel tells who maps code. Its tables are in place some milliseconds later; the stacks until then say that they
//! had none. Files are shared by all processes that have them mapped, and stay until the recording ends.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use object::ReadCache;
use rustix::thread::Pid;
use rustix::thread::gettid;

use super::elf::Elf;
use super::files::id_of;
use super::interpreter;
use super::maps;
use super::maps::Mapped;
use super::maps::Mapping;
use super::sections;
use super::sections::Section;
use super::sections::Sections;
use crate::bpf::mapped::MappedCode;
use crate::bpf::python::MAX_INTERPRETERS;
use crate::bpf::unwind;
use crate::bpf::unwind::MappingKind;
use crate::bpf::unwind::Runs;
use crate::bpf::unwind::UnwindMaps;
use crate::exits;
use crate::exits::GoFrame;
use crate::host::clocks;
use crate::host::code_file::FileIdentity;
use crate::host::doorbell::Doorbell;
use crate::host::foreign;
use crate::host::foreign::Identity;
use crate::host::priority;
use crate::host::process_ids::ProcessIds;
use crate::probe::stacks::Program;
use crate::unwind::pool::PAGE;
use crate::unwind::pool::Pool;
use crate::unwind::pool::Stretch;
use crate::unwind::rule::Cfa;
use crate::unwind::rule::FramePointer;
use crate::unwind::rule::Rule;
use crate::unwind::table;
use crate::unwind::table::Segment;
use crate::unwind::table::UnwindTable;

/// Whether programs follow unwind tables on this machine's architecture.
pub const UNWINDS: bool = cfg!(target_arch = "x86_64");

/// The least time between two looks at one process, while its mappings change; where they do not, looking takes at most this
/// part of the time: stacks may lead to addresses that no mapping has.
const SHORTEST_REST: Duration = Duration::from_millis(1);
const SHARE: u32 = 20;
/// Mappings of one process that are searched, as in bpf/shared/unwind.h.
const MAX_MAPPINGS: usize = 1 << 10;
/// Mappings of all processes that are remembered, as many as the kernel's map holds; files that are; and characters of a name,
/// `[vsyscall]` being the longest that matters.
const MAX_KEPT: usize = 32 << 10;
const MAX_FILES: usize = 16 << 10;
const MAX_NAME: usize = 10;
/// How long a process rests for which there is no room.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Bytes of a file's tables; node has 8 MiB, Chromium 20.
const MAX_SECTION: u64 = 32 << 20;
/// How often processes that have ended are forgotten.
const SWEEP: Duration = Duration::from_secs(2);
/// Instruction set of this build, as ELF files name it.
const MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
/// The table of functions that a Go program has.
const GO_TABLES: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// SHF_COMPRESSED of elf.h.
const COMPRESSED: u64 = 1 << 11;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Tables {
    stop: Arc<AtomicBool>,
    stopped: Doorbell,
    thread: Arc<OnceLock<Pid>>,
    ready: Receiver<()>,
    loaded: Option<Receiver<Program>>,
}

impl Tables {
    /// Starts the thread. `ids`: what `/proc` calls processes; `command`: what will be run, whose program is read before that.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start(
        maps: UnwindMaps,
        mapped: Option<MappedCode>,
        ids: Arc<ProcessIds>,
        command: &[OsString],
    ) -> Result<Tables> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Doorbell::new().context("can't make a doorbell")?;
        let (is_stopped, stops) = (Arc::clone(&stop), stopped.clone());
        let thread = Arc::<OnceLock<Pid>>::default();
        let begun = Arc::clone(&thread);
        let (done, ready) = channel();
        let (loads, loaded) = channel();
        let program = command.first().and_then(|name| program(name));
        let work = move || {
            begun.get_or_init(gettid);
            // A stack that comes before the mappings are in place is cut short: that is little work, and reading tables is not.
            priority::first();
            let mut work = Work::new(maps, mapped, ids, (done, loads));
            // Without tables stacks are shorter, and say so.
            let _ = program.map_or(Ok(()), |file| work.expect(file)).and_then(|()| work.run(&is_stopped, &stops));
        };
        thread::Builder::new().name("ebrec-unwind".to_owned()).spawn(work).context("can't start a thread")?;
        Ok(Tables { stop, stopped, thread, ready, loaded: Some(loaded) })
    }

    /// Tells the libraries that processes load while they are recorded: they may be gone when their functions are named.
    pub fn loaded(&mut self) -> Option<Receiver<Program>> {
        self.loaded.take()
    }

    /// Waits until the tables are in place of all that ran when it was started, and of the command; at most so long.
    pub fn wait(&self, patience: Duration) {
        let _ = self.ready.recv_timeout(patience);
    }
}

/// The file of a program as a shell would find it.
fn program(name: &OsStr) -> Option<File> {
    if name.as_encoded_bytes().contains(&b'/') {
        return foreign::open(Path::new(name)).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|directory| foreign::open(&directory.join(name)).ok())
}

impl Drop for Tables {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.get().copied().into_iter().for_each(priority::last);
        self.stopped.ring();
    }
}

/// A file that is mapped executable.
#[derive(Debug, Clone)]
enum Known {
    /// No program and no library of this machine: there frame pointers are all there is.
    NoCode,
    /// Its tables are not read yet.
    Unread(u32),
    /// They are in place.
    Read(u32, Vec<Stretch>),
    /// There was no room for them.
    NoRoom(u32),
}

/// A file: its device and its inode as mappings have them, and what tells it from an earlier file that had the same inode. A compiler
/// that writes its output again gets the one that it has just freed.
type FileKey = (u64, u64, FileIdentity);

/// A mapping, and which file it is of if it is a file's that was there to be looked at.
type Code = (Mapping, Option<FileIdentity>);

/// What a process has mapped of a program that it runs.
struct Image {
    program: u64,
    mappings: Vec<Code>,
    /// When they were read.
    read: Instant,
    /// Until when it is not looked at again, unless it has changed.
    rests_until: Instant,
}

struct Work {
    maps: UnwindMaps,
    /// Tells who maps code, where the kernel lets it.
    mapped: Option<MappedCode>,
    /// Those who did since their mappings were read.
    mappers: BTreeSet<u32>,
    ids: Arc<ProcessIds>,
    pool: Pool,
    runs: Runs,
    files: HashMap<FileKey, Known>,
    /// Files whose tables are wanted, the smallest first.
    unread: BTreeMap<(u64, FileKey), (File, Elf)>,
    images: HashMap<u32, Image>,
    /// The code that the kernel maps into processes.
    vdso: Option<Known>,
    swept: Instant,
    /// The file of this program.
    own: Option<Identity>,
    /// Files that have a number.
    numbered: u32,
    /// Interpreters that have one.
    interpreters: u32,
    /// Told when nothing is left to be read for the first time.
    ready: Option<Sender<()>>,
    loads: Sender<Program>,
}

impl Work {
    fn new(
        maps: UnwindMaps,
        mapped: Option<MappedCode>,
        ids: Arc<ProcessIds>,
        (ready, loads): (Sender<()>, Sender<Program>),
    ) -> Work {
        let (chunks, pages) = maps.room();
        Work {
            maps,
            mapped,
            mappers: BTreeSet::new(),
            ids,
            pool: Pool::new(chunks, pages),
            runs: Runs::default(),
            files: HashMap::new(),
            unread: BTreeMap::new(),
            images: HashMap::new(),
            vdso: None,
            swept: Instant::now(),
            own: foreign::open(Path::new("/proc/self/exe")).ok().and_then(|file| Identity::of(&file)),
            numbered: 0,
            interpreters: 0,
            ready: Some(ready),
            loads,
        }
    }

    fn run(&mut self, stop: &AtomicBool, stops: &Doorbell) -> Result<()> {
        self.vdso = self.read_vdso()?;
        let mut bell = self.maps.bell()?;
        let goes_on = || !stop.load(Ordering::Relaxed);
        let unless_stopped = |processes: Vec<(u32, u64)>| processes.into_iter().take_while(|_| goes_on());
        while goes_on() {
            let now = Instant::now();
            // Before others are loaded: they have its room.
            if self.swept.elapsed() > SWEEP {
                self.swept = now;
                self.sweep();
            }
            // Without a process that rests there is nothing to do until the bell rings.
            let mut patience: Option<Duration> = None;
            self.note_mappers();
            for (pid, program) in unless_stopped(self.again()) {
                let image = self.images.get(&pid).map(|image| image.read);
                let rest = image.map_or(Duration::ZERO, |read| (read + SHORTEST_REST).saturating_duration_since(now));
                if rest.is_zero() {
                    self.load(pid, program)?;
                } else {
                    patience = Some(patience.map_or(rest, |patience| patience.min(rest)));
                }
            }
            for (pid, program) in unless_stopped(self.maps.wanted()?) {
                match self.rest(pid, program, now) {
                    Duration::ZERO => self.load(pid, program)?,
                    rest => patience = Some(patience.map_or(rest, |patience| patience.min(rest))),
                }
            }
            // One file, and between two a look at who else is waiting.
            match self.unread.pop_first() {
                Some(((_, key), (file, elf))) if goes_on() => {
                    priority::ordinary();
                    self.read(key, &file, &elf)?;
                    priority::first();
                }
                _ => {
                    self.ready = None;
                    bell.wait(stops, self.mapped.as_ref(), patience)?;
                }
            }
        }
        Ok(())
    }

    /// Notes whose mappings are not what they were: libraries come and go, and one may be where another was.
    fn note_mappers(&mut self) {
        let Some(mapped) = &mut self.mapped else { return };
        let found = mapped.take();
        if found.lost {
            self.mappers.extend(self.images.keys());
        }
        let machine = found.pids.into_iter().filter_map(|pid| self.ids.machine(pid));
        // The mappings of others are read when they are wanted.
        self.mappers.extend(machine.filter(|pid| self.images.contains_key(pid)));
    }

    /// Those of them whose mappings are known, and of which program.
    fn again(&self) -> Vec<(u32, u64)> {
        self.mappers.iter().filter_map(|pid| Some((*pid, self.images.get(pid)?.program))).collect()
    }

    /// How long a process is not to be looked at yet.
    fn rest(&self, pid: u32, program: u64, now: Instant) -> Duration {
        let image = self.images.get(&pid).filter(|image| image.program == program);
        image.map_or(Duration::ZERO, |image| image.rests_until.saturating_duration_since(now))
    }

    /// Puts a process's mappings in place, with the tables of the files that were read.
    fn load(&mut self, pid: u32, program: u64) -> Result<()> {
        let begun = Instant::now();
        // Before its mappings are read: what changes from here on is asked for again.
        self.maps.answer(pid);
        self.mappers.remove(&pid);
        let Some(here) = self.ids.here(pid) else { return Ok(()) };
        let Some(Mapped { uid, mut mappings }) = maps::of_process(here) else { return Ok(()) };
        mappings.truncate(MAX_MAPPINGS);
        let identified = |mapping: Mapping| {
            let identity = if mapping.is_file() { identity(here, &mapping) } else { None };
            (mapping, identity)
        };
        let mut mappings: Vec<Code> = mappings.into_iter().map(identified).collect();
        let others = self.images.iter().filter(|(own, _)| **own != pid);
        let kept = others.map(|(_, image)| image.mappings.len()).sum::<usize>();
        if kept + mappings.len() > MAX_KEPT {
            self.leave_out(pid, program, begun);
            return Ok(());
        }
        let is_known = self.images.get(&pid).is_some_and(|image| image.program == program);
        for (mapping, identity) in &mut mappings {
            if let Some(key) = key(mapping, *identity)
                && !self.files.contains_key(&key)
                && self.files.len() < MAX_FILES
                && self.meet(here, mapping, key)?
                && is_known
            {
                let path = mapping.file().into_os_string().into_vec();
                let _ = self.loads.send(Program { ppid: 0, uid, path });
            }
            // What it begins with is all that is asked from here on, and anyone can make long ones.
            mapping.path = mapping.path.chars().take(MAX_NAME).collect();
        }
        let is_same = |image: &Image| image.program == program && image.mappings == mappings;
        let rest = if self.images.get(&pid).is_some_and(is_same) {
            begun.elapsed() * SHARE
        } else if self.set(pid, program, &mappings)? {
            SHORTEST_REST
        } else {
            self.leave_out(pid, program, begun);
            return Ok(());
        };
        self.images.insert(pid, Image { program, mappings, read: begun, rests_until: begun + rest });
        Ok(())
    }

    /// Leaves a process alone for a while, since there is no room for its mappings.
    fn leave_out(&mut self, pid: u32, program: u64, now: Instant) {
        let image = Image { program, mappings: Vec::new(), read: now, rests_until: now + LONGEST_REST };
        self.images.insert(pid, image);
    }

    /// Notes a file that some process has mapped, while it can be opened; false: the process has gone.
    fn meet(&mut self, pid: u32, mapping: &Mapping, key: FileKey) -> Result<bool> {
        let file = open(pid, mapping);
        if file.is_none() && identity(pid, mapping).is_none() {
            return Ok(false);
        }
        self.note(key, mapping.end - mapping.start, file).map(|()| true)
    }

    /// Notes the file of a program that will run.
    fn expect(&mut self, file: File) -> Result<()> {
        let facts = file.metadata()?;
        let device = u64::from(rustix::fs::major(facts.dev())) << 32 | u64::from(rustix::fs::minor(facts.dev()));
        self.note((device, facts.ino(), FileIdentity::of(&facts)), facts.size(), Some(file))
    }

    /// Notes a file of so many bytes, if it could be opened; its tables are read later.
    fn note(&mut self, key: FileKey, bytes: u64, file: Option<File>) -> Result<()> {
        let is_ours = |file: File| Some((Elf::read(&file).filter(|elf| elf.machine == MACHINE)?, file));
        let known = match file.and_then(is_ours) {
            None => Known::NoCode,
            // The number 0 is that of files without one.
            Some(_) if self.numbered + 1 >= self.maps.max_files() => Known::NoRoom(0),
            Some((elf, file)) => {
                self.numbered += 1;
                self.maps.write_file(self.numbered, id_of(&file, &elf), None)?;
                // A command has this program mapped until it is released. Its tables would be the largest of all.
                if Identity::of(&file) != self.own {
                    self.unread.insert((bytes, key), (file, elf));
                }
                Known::Unread(self.numbered)
            }
        };
        self.files.insert(key, known);
        Ok(())
    }

    /// Reads a file's tables, and tells the mappings that processes have of it.
    fn read(&mut self, file: FileKey, opened: &File, elf: &Elf) -> Result<()> {
        let Some(Known::Unread(number)) = self.files.get(&file) else { return Ok(()) };
        let (number, sections) = (*number, Sections::read(opened));
        self.note_interpreter(number, opened, sections.as_ref(), elf)?;
        let known = self.add(number, &read_table(opened, sections.as_ref(), elf))?;
        self.files.insert(file, known);
        let mut changed = Vec::new();
        for (pid, image) in &self.images {
            let is_own = |code: &Code| key(&code.0, code.1) == Some(file);
            let own = image.mappings.iter().enumerate().filter(|(_, code)| is_own(code));
            changed.extend(own.map(|(number, code)| (*pid, number, self.place(code))));
        }
        self.runs.complete(&self.maps, &changed)
    }

    /// Notes the interpreter that a file has.
    fn note_interpreter(&mut self, file: u32, opened: &File, sections: Option<&Sections>, elf: &Elf) -> Result<()> {
        let number = self.interpreters + 1;
        let Some(found) = sections.and_then(|sections| interpreter::of(opened, sections, elf)) else { return Ok(()) };
        if number >= MAX_INTERPRETERS {
            return Ok(());
        }
        self.interpreters = number;
        self.maps.write_interpreter(number, &found)?;
        self.maps.write_file(file, id_of(opened, elf), Some(number))
    }

    /// False: there is no room.
    fn set(&mut self, pid: u32, program: u64, mappings: &[Code]) -> Result<bool> {
        let placed: Vec<unwind::Mapping> = mappings.iter().map(|code| self.place(code)).collect();
        // What the kernel counts as executable memory of a process (`is_exec_mapping()` in mm/internal.h); this page is not a mapping.
        let mappings = mappings.iter().map(|(mapping, _)| mapping);
        let executable = mappings.filter(|mapping| !mapping.is_writable && mapping.path != "[vsyscall]");
        let pages = executable.map(|mapping| (mapping.end - mapping.start) / PAGE).sum();
        self.runs.set(&self.maps, (pid, program), &placed, pages, clocks::monotonic_ns())
    }

    /// A mapping as the programs search it.
    fn place(&self, (mapping, identity): &Code) -> unwind::Mapping {
        let known = match mapping.path.as_str() {
            "[vdso]" => self.vdso.as_ref(),
            _ => key(mapping, *identity).and_then(|key| self.files.get(&key)),
        };
        let (file, pages, kind) = match known {
            None if mapping.is_file() => (0, (0, 0), MappingKind::MAPPING_NO_ROOM),
            None | Some(Known::NoCode) => (0, (0, 0), MappingKind::MAPPING_GENERATED),
            Some(Known::Unread(number)) => (*number, (0, 0), MappingKind::MAPPING_FILE_UNREAD),
            Some(Known::NoRoom(number)) => (*number, (0, 0), MappingKind::MAPPING_NO_ROOM),
            Some(Known::Read(number, stretches)) => {
                let kind = if *number == 0 { MappingKind::MAPPING_KERNEL } else { MappingKind::MAPPING_FILE };
                (*number, pages(mapping, stretches), kind)
            }
        };
        unwind::Mapping { start: mapping.start, end: mapping.end, offset: mapping.offset, pages, file, kind }
    }

    fn add(&mut self, number: u32, table: &UnwindTable) -> Result<Known> {
        let Some(added) = self.pool.add(table) else { return Ok(Known::NoRoom(number)) };
        for (chunk, rows) in self.pool.take_chunks() {
            self.maps.write_chunk(chunk, &rows)?;
        }
        self.maps.write_rules(added.rules.0, &added.rules.1)?;
        self.maps.write_pages(added.pages.0, &added.pages.1)?;
        Ok(Known::Read(number, added.stretches))
    }

    /// The tables of the code that the kernel maps into every process: ours is the same.
    fn read_vdso(&mut self) -> Result<Option<Known>> {
        self.maps.write_file(0, None, None)?;
        let Some(Mapped { mappings, .. }) = maps::of_process(std::process::id()) else { return Ok(None) };
        let Some(mapping) = mappings.iter().find(|mapping| mapping.path == "[vdso]") else { return Ok(None) };
        let Ok(image) = foreign::memory_of_self(mapping.start..mapping.end) else { return Ok(None) };
        let Some(elf) = Elf::read(&image) else { return Ok(None) };
        let table = read_table(&image, Sections::read(&image).as_ref(), &elf);
        self.add(0, &table).map(Some)
    }

    fn sweep(&mut self) {
        let ids = Arc::clone(&self.ids);
        let lives = |pid| ids.here(pid).is_some_and(|here| Path::new(&format!("/proc/{here}")).exists());
        self.images.retain(|pid, _| lives(*pid));
        self.mappers.retain(|pid| self.images.contains_key(pid));
        self.runs.retain(&self.maps, |pid| self.images.contains_key(&pid), clocks::monotonic_ns());
    }
}

fn key(mapping: &Mapping, identity: Option<FileIdentity>) -> Option<FileKey> {
    identity.map(|identity| (mapping.device, mapping.inode, identity))
}

/// Where the pages of a mapping have their entries: the number of the first, and how many. Code that the file does not call
/// executable has none.
fn pages(mapping: &Mapping, stretches: &[Stretch]) -> (u32, u32) {
    let page = mapping.offset / PAGE;
    let into = |stretch: &Stretch| {
        let into = u32::try_from(page.checked_sub(stretch.in_file)?).ok()?;
        Some((stretch.in_pool + into, stretch.pages.checked_sub(into)?))
    };
    stretches.iter().find_map(into).unwrap_or_default()
}

/// Which file a mapping is of, without opening it where the kernel leads to it.
fn identity(pid: u32, mapping: &Mapping) -> Option<FileIdentity> {
    let opened = || Some(FileIdentity::of(&open(pid, mapping)?.metadata().ok()?));
    FileIdentity::known_here(&mapping.of_kernel(pid)).or_else(opened)
}

/// The file of a mapping: the kernel gives the very one that is mapped, also if it was deleted.
fn open(pid: u32, mapping: &Mapping) -> Option<File> {
    let has_inode = |file: &File| Identity::of(file).is_some_and(|identity| identity.inode == mapping.inode);
    let inside = || foreign::open_in_root_of(pid, &mapping.file()).ok().filter(has_inode);
    foreign::open(&mapping.of_kernel(pid)).ok().or_else(inside)
}

/// What a file says of its code.
fn read_table(file: &File, sections: Option<&Sections>, elf: &Elf) -> UnwindTable {
    let named = |name: &str| sections.and_then(|sections| sections.named(name));
    let bytes = |section: Option<Section>| {
        let section = section.filter(|section| section.size <= MAX_SECTION && section.flags & COMPRESSED == 0)?;
        sections::read(file, section.offset, usize::try_from(section.size).ok()?)
    };
    let segment = |(address, offset, size)| Segment { address, offset, size };
    let eh_frame = named(".eh_frame");
    let read = bytes(eh_frame).unwrap_or_default();
    let debug_frame = bytes(named(".debug_frame")).unwrap_or_default();
    let image = table::Image {
        segments: elf.code().map(segment).collect(),
        eh_frame: &read,
        eh_frame_address: eh_frame.map_or(0, |section| section.address),
        text_address: named(".text").map(|section| section.address),
        got_address: named(".got").map(|section| section.address),
        debug_frame: &debug_frame,
    };
    let go = GO_TABLES.iter().find_map(|name| named(name)).filter(|section| section.size <= MAX_SECTION);
    let cache = ReadCache::new(file);
    let program = go.and_then(|_| exits::Program::read_go(&cache));
    let mut own = program
        .iter()
        .flat_map(exits::Program::go_frames)
        .flat_map(|frames| frames.rows)
        .map(|(start, end, frame)| (start, end, go_rule(frame)));
    UnwindTable::read(&image, &mut own)
}

/// A row of a Go program's own table as one of others'.
fn go_rule(frame: GoFrame) -> Rule {
    let number = |distance: i64| i32::try_from(distance).ok();
    match frame {
        GoFrame::Top => Rule::OUTERMOST,
        GoFrame::Signal => Rule::SIGNAL,
        GoFrame::Unknown => Rule::UNSUPPORTED,
        GoFrame::FramePointer => Rule { cfa: Cfa::OtherStack(16), frame_pointer: FramePointer::AtCfa(-16) },
        GoFrame::Goroutine { current, distance } => {
            Rule { cfa: Cfa::Goroutine(current, distance), frame_pointer: FramePointer::Same }
        }
        GoFrame::Stack { distance, keeps } => {
            let frame_pointer = if keeps { FramePointer::AtCfa(-16) } else { FramePointer::Same };
            number(distance)
                .map_or(Rule::UNSUPPORTED, |distance| Rule { cfa: Cfa::StackPointer(distance), frame_pointer })
        }
    }
}
