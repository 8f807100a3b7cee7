//! Gives the stacks of a recording their rows, once a second, while the processes that had them are still near.
//!
//! A row is never written again, so a frame gets its name when it first appears or not at all; what is missing then is said in
//! the row's `cause`, and its build id and place in the file let `report --debug-dir` find it later.

use std::collections::BTreeSet;
use std::collections::HashMap;

use super::elf;
use super::files::BuildId;
use super::files::Files;
use super::jit::JitMap;
use super::kernel::Function;
use super::kernel::Kernel;
use super::maps;
use super::maps::Mapping;
use super::table::Tables;
use crate::bpf::stacks::RawStack;
use crate::bpf::stacks::UserFrame;
use crate::probe::stacks::Stacks;
use crate::probe::stacks::Wanted;
use crate::recording::Rows;
use crate::recording::column;

/// Processes whose mappings are remembered beyond their end.
const MAX_PROCESSES: usize = 4096;
/// Stacks that are held back until something asks for them; beyond, they are given up.
const MAX_POOL: usize = 65_536;

const NO_SYMBOL: &str = "no symbol there";
const NO_FILE: &str = "file not found";
const GONE: &str = "process ended";
const NO_CODE: &str = "no code there";
const GENERATED: &str = "generated code";
const NO_KERNEL_SYMBOL: &str = "no kernel symbol";

/// What a frame is: frames that are the same share a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Kernel(Function),
    File(usize, u64),
    /// A function that the compiler put into another one of a file.
    Inlined(usize, String),
    /// In a file that was not found.
    Lost(BuildId, u64),
    /// Memory of one process, by the name of its function or of the mapping.
    Process(u32, String, &'static str),
    Generated(u32, String),
    Nowhere(&'static str),
}

/// The symbols of a recording.
pub struct Symbols {
    kernel: Kernel,
    files: Files,
    inlined: Option<Inlined>,
    /// Stacks out of the kernel's maps, by whether they are user stacks and their hash.
    pool: HashMap<(bool, u64), RawStack>,
    maps: HashMap<u32, Vec<Mapping>>,
    symbols: HashMap<Place, i32>,
    /// What each symbol is called in a folded stack; its number is its place, from 1.
    texts: Vec<Box<str>>,
}

/// The functions that were inlined at places in files, the innermost first.
struct Inlined {
    tables: Tables,
    known: HashMap<(usize, u64), Vec<String>>,
}

/// The functions at places in files.
type Names = HashMap<(usize, u64), String>;

/// What is looked at once in a round.
#[derive(Default)]
struct Round {
    fresh_maps: HashMap<u32, bool>,
    jit: HashMap<u32, Option<JitMap>>,
}

impl Symbols {
    /// Starts with none; `inlines`: debug information is read for what the compiler inlined.
    pub fn new(inlines: bool) -> Symbols {
        let inlined = || Inlined { tables: Tables::with_inlined(), known: HashMap::new() };
        Symbols {
            kernel: Kernel::default(),
            files: Files::default(),
            inlined: inlines.then(inlined),
            pool: HashMap::new(),
            maps: HashMap::new(),
            symbols: HashMap::new(),
            texts: Vec::new(),
        }
    }

    /// Writes a `stack` row for every stack that was asked for since the call before, and the `symbol` rows that those
    /// need; `taken` is what the kernel's maps held.
    pub fn write(&mut self, taken: Vec<(u64, RawStack)>, stacks: &mut Stacks, now_ns: u64, rows: &mut Rows) {
        self.files.heard(stacks.take_programs());
        let wanted = stacks.take_wanted();
        for (hash, stack) in taken {
            self.pool.insert((matches!(stack, RawStack::User(_)), hash), stack);
        }
        let mut round = Round::default();
        let placed: Vec<(i32, Vec<Place>)> = wanted.iter().map(|one| (one.id, self.places(one, &mut round))).collect();
        let names = self.names(placed.iter().flat_map(|(_, places)| places));
        for (id, places) in placed {
            let frames: Vec<i32> = places.into_iter().map(|place| self.symbol(place, &names, now_ns, rows)).collect();
            self.write_stack(id, &frames, now_ns, rows);
        }
        // What has a number is not asked for again, unless it means something else in another process.
        let written = |is_user: bool, hash: u64| stacks.knows(hash, is_user);
        self.pool.retain(|(is_user, hash), _| !written(*is_user, *hash));
        if self.pool.len() > MAX_POOL {
            self.pool.clear();
        }
    }

    /// The frames of a stack from the innermost out; none if the kernel's map did not have it.
    fn places(&mut self, wanted: &Wanted, round: &mut Round) -> Vec<Place> {
        let key = (wanted.pid.is_some(), wanted.hash);
        let stack = if wanted.is_private() { self.pool.get(&key).cloned() } else { self.pool.remove(&key) };
        match (stack, wanted.pid) {
            (Some(RawStack::Kernel(stack)), _) => {
                self.kernel.functions(&stack).into_iter().map(Place::Kernel).collect()
            }
            (Some(RawStack::User(stack)), Some(pid)) => {
                let mut places = Vec::new();
                for (depth, frame) in stack.iter().enumerate() {
                    let place = self.place(pid, depth, *frame, round);
                    places.extend(self.inlined(&place));
                    // Code without frame pointers: from here on the kernel followed numbers that mean something else.
                    let is_lost = place == Place::Nowhere(NO_CODE);
                    places.push(place);
                    if is_lost {
                        break;
                    }
                }
                places
            }
            _ => Vec::new(),
        }
    }

    /// The functions that the compiler put where a frame is, if they are wanted.
    fn inlined(&mut self, place: &Place) -> Vec<Place> {
        let (Some(Inlined { tables, known }), Place::File(file, offset)) = (&mut self.inlined, place) else {
            return Vec::new();
        };
        let Some(path) = self.files.get(*file).map(|file| &*file.readable) else { return Vec::new() };
        let names = known.entry((*file, *offset)).or_insert_with(|| tables.inlined(path, *offset));
        names.iter().map(|name| Place::Inlined(*file, name.clone())).collect()
    }

    /// The names of the functions that have no row yet, file by file.
    fn names<'a>(&self, places: impl Iterator<Item = &'a Place>) -> Names {
        let mut asked: HashMap<usize, BTreeSet<u64>> = HashMap::new();
        for place in places {
            if let Place::File(file, offset) = place
                && !self.symbols.contains_key(place)
            {
                asked.entry(*file).or_default().insert(*offset);
            }
        }
        let of_file = |(file, offsets): (usize, BTreeSet<u64>)| {
            let names = self.files.functions(file, &offsets);
            names.into_iter().map(move |(offset, name)| ((file, offset), name))
        };
        asked.into_iter().flat_map(of_file).collect()
    }

    fn place(&mut self, pid: u32, depth: usize, frame: UserFrame, round: &mut Round) -> Place {
        // What a frame calls is before the address that it returns to.
        let back = u64::from(depth > 0);
        match frame {
            UserFrame::InFile { build_id, offset } => {
                let offset = offset.saturating_sub(back);
                match self.files.of_build_id(&build_id, pid) {
                    Some(file) => Place::File(file, offset),
                    None => Place::Lost(build_id, offset),
                }
            }
            UserFrame::At(address) => self.place_in_memory(pid, address.saturating_sub(back), round),
        }
    }

    fn place_in_memory(&mut self, pid: u32, address: u64, round: &mut Round) -> Place {
        let alive = *round.fresh_maps.entry(pid).or_insert_with(|| match maps::of_process(pid) {
            Some(fresh) => {
                if self.maps.len() >= MAX_PROCESSES {
                    self.maps.clear();
                }
                self.maps.insert(pid, fresh);
                true
            }
            None => false,
        });
        let Some(mappings) = self.maps.get(&pid) else { return Place::Nowhere(GONE) };
        let Some(mapping) = maps::at(mappings, address) else {
            return Place::Nowhere(if alive { NO_CODE } else { GONE });
        };
        let mapping = mapping.clone();
        if mapping.is_file() {
            return match self.files.of_mapping(pid, &mapping) {
                Some(file) => Place::File(file, address - mapping.start + mapping.offset),
                None => Place::Process(pid, mapping.path, NO_FILE),
            };
        }
        let jit = round.jit.entry(pid).or_insert_with(|| JitMap::of_process(pid));
        if let Some(name) = jit.as_ref().and_then(|map| map.name(address)) {
            return Place::Generated(pid, name.to_owned());
        }
        if mapping.path.starts_with("[v") {
            return Place::Process(pid, mapping.path, NO_SYMBOL);
        }
        Place::Nowhere(GENERATED)
    }

    /// The number of a symbol; its row is written when it is new.
    fn symbol(&mut self, place: Place, names: &Names, now_ns: u64, rows: &mut Rows) -> i32 {
        if let Some(known) = self.symbols.get(&place) {
            return *known;
        }
        // Two thousand million symbols are more than memory holds.
        let id = i32::try_from(self.texts.len() + 1).unwrap_or(i32::MAX);
        let symbol = self.describe(&place, names);
        self.texts.push(symbol.text().replace(';', ":").into());
        let mut row = rows.row("symbol");
        row.at(now_ns).int(column::ID, id.into());
        row.maybe_int(column::FILE_OFFSET, symbol.offset.and_then(|offset| i64::try_from(offset).ok()));
        row.maybe_int(column::MODULE_ADDR, symbol.address.and_then(|address| i64::try_from(address).ok()));
        for (column, text) in [
            (column::NAME, symbol.name.as_deref()),
            (column::MODULE, symbol.module.as_deref()),
            (column::BUILD_ID, symbol.build_id.as_deref()),
            (column::CAUSE, symbol.unnamed),
        ] {
            if let Some(text) = text {
                row.text(column, text);
            }
        }
        self.symbols.insert(place, id);
        id
    }

    fn describe(&self, place: &Place, names: &Names) -> Symbol {
        let missing = |name: &Option<String>, why| if name.is_none() { Some(why) } else { None };
        match place {
            Place::Kernel(function) => {
                let unnamed = missing(&function.name, NO_KERNEL_SYMBOL);
                let module = function.module.clone().unwrap_or_else(|| "[kernel]".to_owned());
                Symbol { name: function.name.clone(), module: Some(module), unnamed, ..Symbol::default() }
            }
            Place::File(file, offset) => {
                let name = names.get(&(*file, *offset)).cloned();
                let unnamed = missing(&name, NO_SYMBOL);
                let file = self.files.get(*file);
                Symbol {
                    name,
                    module: file.map(|file| file.name.clone()),
                    build_id: file.and_then(|file| file.elf.build_id.clone()),
                    offset: Some(*offset),
                    address: file.and_then(|file| file.elf.address(*offset)),
                    unnamed,
                }
            }
            Place::Inlined(file, name) => {
                let file = self.files.get(*file);
                Symbol {
                    name: Some(format!("{name} (inlined)")),
                    module: file.map(|file| file.name.clone()),
                    build_id: file.and_then(|file| file.elf.build_id.clone()),
                    ..Symbol::default()
                }
            }
            Place::Lost(id, offset) => Symbol {
                build_id: Some(elf::hex(id.strip_suffix(&[0; 4]).unwrap_or(id))),
                offset: Some(*offset),
                unnamed: Some(NO_FILE),
                ..Symbol::default()
            },
            Place::Process(_, module, why) => {
                Symbol { module: Some(module.clone()), unnamed: Some(why), ..Symbol::default() }
            }
            Place::Generated(_, name) => {
                Symbol { name: Some(name.clone()), module: Some("[generated]".to_owned()), ..Symbol::default() }
            }
            Place::Nowhere(why) => Symbol { unnamed: Some(why), ..Symbol::default() },
        }
    }

    fn write_stack(&self, id: i32, frames: &[i32], now_ns: u64, rows: &mut Rows) {
        let text = |frame: &i32| {
            let at = usize::try_from(*frame).ok().and_then(|id| id.checked_sub(1));
            at.and_then(|at| self.texts.get(at)).map_or("", |text| &**text)
        };
        let folded: Vec<&str> = frames.iter().rev().map(text).collect();
        let mut row = rows.row("stack");
        row.at(now_ns).int(column::ID, id.into()).list(column::FRAMES, frames);
        row.text(column::FOLDED, &folded.join(";")).int(column::DEPTH, i64::try_from(frames.len()).unwrap_or(i64::MAX));
    }
}

/// The columns of a `symbol` row.
#[derive(Debug, Default)]
struct Symbol {
    name: Option<String>,
    module: Option<String>,
    build_id: Option<String>,
    offset: Option<u64>,
    address: Option<u64>,
    unnamed: Option<&'static str>,
}

impl Symbol {
    /// What stands in a folded stack.
    fn text(&self) -> String {
        let file = self.module.as_deref().map(|module| module.rsplit('/').next().unwrap_or(module));
        match (&self.name, file, &self.build_id, self.offset) {
            (Some(name), ..) => name.clone(),
            (None, Some(file), _, Some(offset)) => format!("{file}+{offset:#x}"),
            (None, None, Some(id), Some(offset)) => format!("{}+{offset:#x}", id.get(..8).unwrap_or(id)),
            (None, Some(file), ..) => file.to_owned(),
            _ => "[unknown]".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Symbol;

    #[test]
    fn a_frame_without_a_name_is_called_by_its_place() {
        let mut symbol =
            Symbol { module: Some("/usr/lib/libc.so.6".into()), offset: Some(0x1234), ..Symbol::default() };
        assert_eq!(symbol.text(), "libc.so.6+0x1234");
        symbol = Symbol { build_id: Some("0123456789ab".into()), offset: Some(16), ..Symbol::default() };
        assert_eq!(symbol.text(), "01234567+0x10");
        assert_eq!(Symbol::default().text(), "[unknown]");
    }
}
