//! Names the frames of stacks, once a second, while the processes that had them are still near.
//!
//! All of it happens on a thread of its own ([`super::resolver`]): it reads files that anyone may have made.
//!
//! A row is never written again, so a frame gets its name when it first appears or not at all; what is missing then is said in
//! the row's `cause`, and its build id and place in the file let `report --debug-dir` find it later.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI32;

use super::files::Files;
use super::files::Look;
use super::files::Process;
use super::inlined::InlinedFunctions;
use super::jit;
use super::kernel::Kernel;
use super::maps;
use super::maps::MAX_MAPPINGS;
use super::maps::Mapped;
use super::place::GONE;
use super::place::InFile;
use super::place::NO_CODE;
use super::place::NO_CODE_OBJECT;
use super::place::NO_FILE;
use super::place::Numbered;
use super::place::Place;
use super::place::StackRows;
use super::place::SymbolRows;
use super::place::cause_of;
use super::python::Codes;
use super::turns::User;
use crate::bpf::stacks::RawStack;
use crate::bpf::stacks::StackEnd;
use crate::bpf::stacks::UserFrame;
use crate::host::process_ids::ProcessIds;
use crate::host::watch::Suspect;
use crate::host::watch::Watch;
use crate::probe::stacks::Program;
use crate::recording::Rows;

/// Mappings that are remembered beyond the end of their processes.
const MAX_REMEMBERED: usize = 4 * MAX_MAPPINGS;
/// A file of more symbols takes long: a tenth of a second and more.
const MANY_SYMBOLS: u64 = 500_000;
/// Places in files whose inlined functions are remembered.
const MAX_INLINED: usize = 100_000;

/// A mapping that the kernel made, as `[vdso]`: it has no file, and no name of its functions is known.
const OF_THE_KERNEL: &str = "[v";
const NO_SYMBOL: &str = "no symbol there";

/// A stack that needs a row.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its number.
    pub(super) id: i32,
    /// The process that has it; `None` for a kernel stack.
    pub(super) pid: Option<u32>,
    /// Its frames; `None`: the kernel's maps did not have it.
    pub(super) stack: Option<Arc<RawStack>>,
}

impl Asked {
    /// Whose it is.
    pub(super) fn user(&self) -> User {
        match self.stack.as_deref() {
            Some(RawStack::User { uid, .. }) => Some(*uid),
            _ => None,
        }
    }

    /// How it ended; a stack of the kernel's is whole.
    pub(super) fn end(&self) -> StackEnd {
        match self.stack.as_deref() {
            Some(RawStack::User { end, .. }) => *end,
            Some(RawStack::Kernel(_)) => StackEnd::Whole,
            None => StackEnd::NoTable,
        }
    }
}

/// A stack whose frames' places are known.
pub(super) struct Placed {
    /// Its number.
    pub(super) id: i32,
    /// Whose it is.
    pub(super) user: User,
    end: StackEnd,
    places: Vec<Place>,
}

impl Placed {
    /// How many frames it has.
    pub(super) fn depth(&self) -> usize {
        self.places.len()
    }
}

/// The symbols of a recording.
pub(super) struct Symbols {
    ids: Arc<ProcessIds>,
    watch: Arc<Watch>,
    kernel: Kernel,
    files: Files,
    inlined: Option<Inlined>,
    maps: HashMap<u32, Mapped>,
    codes: Arc<Mutex<Codes>>,
    jit: jit::Sources,
    symbols: SymbolRows,
    /// How many symbols files have.
    sizes: HashMap<usize, u64>,
}

/// The functions that were inlined at places in files, the innermost first.
struct Inlined {
    functions: InlinedFunctions,
    known: HashMap<(usize, u64), Vec<String>>,
}

/// The functions at places in files.
type Names = HashMap<(usize, u64), String>;

/// What is looked at once.
#[derive(Default)]
struct Round {
    fresh_maps: HashMap<u32, bool>,
    look: Look,
}

impl Symbols {
    /// Starts with none; `inlines`: debug information is read for what the compiler inlined; `ids`: what `/proc` calls processes;
    /// `codes`: what Python programs have reported; `last` numbers the symbols.
    pub(super) fn new(
        inlines: bool,
        ids: Arc<ProcessIds>,
        codes: Arc<Mutex<Codes>>,
        last: Arc<AtomicI32>,
        watch: Arc<Watch>,
    ) -> Symbols {
        let inlined = || Inlined { functions: InlinedFunctions::default(), known: HashMap::new() };
        Symbols {
            ids,
            kernel: Kernel::default(),
            files: Files::new(Arc::clone(&watch)),
            watch,
            inlined: inlines.then(inlined),
            maps: HashMap::new(),
            codes,
            jit: jit::Sources::default(),
            symbols: SymbolRows::new(last),
            sizes: HashMap::new(),
        }
    }

    /// Notes programs that processes began to run.
    pub(super) fn add_programs(&mut self, mut programs: Vec<Program>) {
        for program in &mut programs {
            program.ppid = self.ids.here(program.ppid).unwrap_or(0);
        }
        self.files.add_programs(programs);
    }

    /// Forgets which rows were written, and what grows with the files and processes that there ever were. No stack may be under way.
    pub(super) fn forget(&mut self) {
        self.symbols.forget();
        if self.files.is_half_full() {
            self.symbols.forget_all();
            self.files = Files::new(Arc::clone(&self.watch));
            self.sizes.clear();
            self.maps.clear();
            if let Some(Inlined { functions, known }) = &mut self.inlined {
                (*functions, *known) = (InlinedFunctions::default(), HashMap::new());
            }
        }
        if self.jit.is_half_full() {
            self.jit = jit::Sources::default();
        }
    }

    /// Finds what the frames of stacks are.
    pub(super) fn place_all(&mut self, asked: &[Asked]) -> Vec<Placed> {
        let mut round = Round::default();
        let placed =
            |one: &Asked| Placed { id: one.id, user: one.user(), end: one.end(), places: self.places(one, &mut round) };
        asked.iter().map(placed).collect()
    }

    /// Whether the names of a stack take long to find: they are in what a compiler left behind, or in a large file.
    pub(super) fn takes_long(&mut self, placed: &Placed) -> bool {
        placed.places.iter().any(|place| match place {
            Place::Memory(..) => true,
            Place::File(file, _) if !self.symbols.knows(place) => {
                *self.sizes.entry(*file).or_insert_with(|| self.files.symbols(*file)) > MANY_SYMBOLS
            }
            _ => false,
        })
    }

    /// Gives generated code the names that its compilers have left so far.
    pub(super) fn name_generated(&mut self, stacks: &mut [Placed]) {
        let mut asked: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for place in stacks.iter().flat_map(|stack| &stack.places) {
            if let Place::Memory(pid, address) = place {
                asked.entry(*pid).or_default().push(*address);
            }
        }
        if asked.is_empty() {
            return;
        }
        let names = self.jit.names(&asked, &self.watch);
        for place in stacks.iter_mut().flat_map(|stack| &mut stack.places) {
            if let Place::Memory(pid, address) = place
                && let Some(name) = names.get(&(*pid, *address))
            {
                *place = Place::Generated(*pid, name.clone());
            }
        }
    }

    /// Whether a stack has generated code without a name whose compiler may tell it later.
    pub(super) fn may_be_named(&self, stack: &Placed) -> bool {
        stack.places.iter().any(|place| matches!(place, Place::Memory(pid, _) if self.jit.has(*pid)))
    }

    /// Writes a `stack` row for every stack, and the `symbol` rows that those need.
    pub(super) fn write(&mut self, stacks: Vec<Placed>, now_ns: u64, rows: &mut Rows) {
        let names = self.names(stacks.iter().flat_map(|stack| &stack.places));
        let mut written = StackRows::new();
        for Placed { id, end, places, .. } in stacks {
            let frames: Vec<Numbered> =
                places.into_iter().map(|place| self.symbol(place, &names, now_ns, rows)).collect();
            written.write(id, &frames, end, now_ns, rows);
        }
    }

    /// The frames of a stack from the innermost out; none if the kernel's map did not have it.
    fn places(&mut self, asked: &Asked, round: &mut Round) -> Vec<Place> {
        match (asked.stack.as_deref(), asked.pid) {
            (Some(RawStack::Kernel(stack)), _) => self.kernel.functions(stack).into_iter().map(Place::Kernel).collect(),
            (Some(RawStack::User { uid, end, frames }), Some(pid)) => {
                // 0 is not a process: of one outside of this PID namespace there are no files to read.
                let process = Process { pid: self.ids.here(pid).unwrap_or(0), uid: *uid };
                let mut places = Vec::new();
                for (depth, frame) in frames.iter().enumerate() {
                    let place = self.place((process, pid), depth, *frame, round);
                    if matches!(&place, Place::Python(_, code, _) if code.is_internal()) {
                        continue;
                    }
                    places.extend(self.inlined(&place));
                    // Code without frame pointers: from here on the kernel followed numbers that mean something else.
                    let is_lost = place == Place::Nowhere(NO_CODE);
                    places.push(place);
                    if is_lost {
                        return places;
                    }
                }
                places.extend(cause_of(*end).map(Place::Truncated));
                places
            }
            _ => Vec::new(),
        }
    }

    /// The functions that the compiler put where a frame is, if they are wanted.
    fn inlined(&mut self, place: &Place) -> Vec<Place> {
        let (Some(Inlined { functions, known }), Place::File(file, offset)) = (&mut self.inlined, place) else {
            return Vec::new();
        };
        if known.len() >= MAX_INLINED {
            known.clear();
        }
        let names = known.entry((*file, *offset)).or_insert_with(|| self.files.inlined(*file, *offset, functions));
        names.iter().map(|name| Place::Inlined(*file, name.clone())).collect()
    }

    /// The names of the functions that have no row yet, file by file: those that are read soon first.
    fn names<'a>(&mut self, places: impl Iterator<Item = &'a Place>) -> Names {
        let mut asked: HashMap<usize, BTreeSet<u64>> = HashMap::new();
        for place in places {
            if let Place::File(file, offset) = place
                && !self.symbols.knows(place)
            {
                asked.entry(*file).or_default().insert(*offset);
            }
        }
        let mut asked: Vec<_> = asked.into_iter().collect();
        asked.sort_by_cached_key(|(file, _)| self.files.symbols(*file));
        let of_file = |(file, offsets): (usize, BTreeSet<u64>)| {
            let names = self.files.functions(file, &offsets);
            names.into_iter().map(move |(offset, name)| ((file, offset), name))
        };
        asked.into_iter().flat_map(of_file).collect()
    }

    fn place(
        &mut self,
        (process, machine_pid): (Process, u32),
        depth: usize,
        frame: UserFrame,
        round: &mut Round,
    ) -> Place {
        match before_return(depth, frame) {
            UserFrame::InFile { build_id, offset } => match self.files.of_build_id(&build_id, process, &mut round.look)
            {
                Some(file) if !self.files.is_code(file, offset) => Place::Nowhere(NO_CODE),
                Some(file) => Place::File(file, offset),
                None => Place::Unknown(build_id, offset, NO_FILE),
            },
            UserFrame::At(address) => self.place_in_memory(process.pid, address, round),
            UserFrame::Python { code, instruction } => self.place_in_python(machine_pid, code, instruction),
        }
    }

    fn place_in_python(&self, pid: u32, code: u64, instruction: Option<u32>) -> Place {
        let codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        match codes.get(pid, code).filter(|code| !code.name.is_empty()) {
            Some(code) => {
                let line = code.line(instruction);
                Place::Python(pid, code, line)
            }
            None => Place::NoPython(NO_CODE_OBJECT),
        }
    }

    fn place_in_memory(&mut self, pid: u32, address: u64, round: &mut Round) -> Place {
        let alive = *round.fresh_maps.entry(pid).or_insert_with(|| {
            match self.watch.look(Suspect::Process(pid), || maps::of_process(pid)) {
                Some(fresh) => {
                    let remembered: usize = self.maps.values().map(|mapped| mapped.mappings.len()).sum();
                    if remembered + fresh.mappings.len() > MAX_REMEMBERED {
                        self.maps.clear();
                    }
                    self.maps.insert(pid, fresh);
                    true
                }
                None => false,
            }
        });
        let Some(Mapped { uid, mappings }) = self.maps.get(&pid) else { return Place::Nowhere(GONE) };
        let Some(mapping) = maps::at(mappings, address) else {
            return Place::Nowhere(if alive { NO_CODE } else { GONE });
        };
        if mapping.is_file() {
            return match self.files.of_mapping(Process { pid, uid: *uid }, mapping) {
                Some(file) => Place::File(file, address - mapping.start + mapping.offset),
                None => Place::Mapping(pid, mapping.path.clone(), NO_FILE),
            };
        }
        match mapping.path.starts_with(OF_THE_KERNEL) {
            true => Place::Mapping(pid, mapping.path.clone(), NO_SYMBOL),
            false => Place::Memory(pid, address),
        }
    }

    fn symbol(&mut self, place: Place, names: &Names, now_ns: u64, rows: &mut Rows) -> Numbered {
        let file = match &place {
            Place::File(file, _) | Place::Inlined(file, _) => self.files.get(*file),
            _ => None,
        };
        let (function, address) = match &place {
            Place::File(number, offset) => {
                (names.get(&(*number, *offset)).map(String::as_str), file.and_then(|file| file.elf.address(*offset)))
            }
            _ => (None, None),
        };
        let file = InFile {
            function,
            module: file.map(|file| &*file.name),
            build_id: file.and_then(|file| file.elf.build_id.as_deref()),
            address,
        };
        self.symbols.symbol(place, &file, now_ns, rows)
    }
}

/// A frame by what it calls, which is before the address that it returns to; the innermost returns nowhere.
pub(super) fn before_return(depth: usize, frame: UserFrame) -> UserFrame {
    let back = u64::from(depth > 0);
    match frame {
        UserFrame::InFile { build_id, offset } => UserFrame::InFile { build_id, offset: offset.saturating_sub(back) },
        UserFrame::At(address) => UserFrame::At(address.saturating_sub(back)),
        UserFrame::Python { .. } => frame,
    }
}
