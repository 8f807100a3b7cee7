//! What the frames of stacks are, and their rows: frames that are the same share one.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use super::elf;
use super::files::BuildId;
use super::files::has_build_id;
use super::kernel::Function;
use super::python::Code;
use crate::bpf::stacks::StackEnd;
use crate::demangle::bounded;
use crate::recording::Rows;
use crate::recording::column;

/// Distinct frames of a recording, and bytes of names: of all, and of one process or file, so that a program with names
/// without end leaves room for those of others.
const MAX_SYMBOLS: usize = 500_000;
const MAX_NAMES: usize = 32 << 20;
const MAX_NAMES_OF_ONE: usize = 2 << 20;
/// Bytes of a stack as one text, and of all that are written at once; the list of frames is whole in any case.
const MAX_FOLDED: usize = 16 << 10;
const MAX_FOLDED_AT_ONCE: usize = 4 << 20;

const NO_SYMBOL: &str = "no symbol there";
const NO_KERNEL_SYMBOL: &str = "no kernel symbol";
const TOO_MANY: &str = "too many names";

/// What stands for the cause where a stack was followed by frame pointers: whether it is whole is not known.
const BY_FRAME_POINTER: &str = "frame pointers only";

/// Why frames have no name.
pub(super) const NO_FILE: &str = "file not found";
pub(super) const GONE: &str = "process ended";
pub(super) const NO_CODE: &str = "no code there";
const GENERATED: &str = "generated code";
pub(super) const NO_TIME: &str = "no time left";
pub(super) const NO_CODE_OBJECT: &str = "code object not read";

/// Why the outermost frames of a stack are not there; `None` for a whole one, and for one of which nobody knows.
pub(super) fn cause_of(end: StackEnd) -> Option<&'static str> {
    match end {
        StackEnd::Whole | StackEnd::ByFramePointer => None,
        StackEnd::TooDeep => Some("stack too deep"),
        StackEnd::NoTable => Some("no unwind table yet"),
        StackEnd::NoRoom => Some("no room for unwind tables"),
        StackEnd::NoMapping => Some("nothing mapped there"),
        StackEnd::NoRule => Some("no unwind information"),
        StackEnd::Unreadable => Some("memory not resident"),
        StackEnd::Generated => Some("generated code without frame pointers"),
        StackEnd::InExec => Some("within execve"),
    }
}

/// What a frame is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Kernel(Function),
    /// In a file: its number, and the place in it.
    File(usize, u64),
    /// A function that the compiler put into another one of a file.
    Inlined(usize, String),
    /// In a file that is not known, and why.
    Unknown(BuildId, u64, &'static str),
    /// A mapping of one process that has a name, and why its functions have none.
    Mapping(u32, String, &'static str),
    /// Memory of one process that is no file's.
    Memory(u32, u64),
    /// A function that a process generated.
    Generated(u32, String),
    /// A function of a process that is Python's, and the line.
    Python(u32, Arc<Code>, Option<u32>),
    /// A function of Python's that is not known, and why.
    NoPython(&'static str),
    Nowhere(&'static str),
    /// The outermost frames, which are not known, and why.
    Truncated(&'static str),
}

/// What is known of a file that frames are in.
#[derive(Debug, Default)]
pub(super) struct InFile<'a> {
    /// The function.
    pub(super) function: Option<&'a str>,
    /// The file.
    pub(super) module: Option<&'a str>,
    /// Its build id.
    pub(super) build_id: Option<&'a str>,
    /// The address that its own symbol table has for the place.
    pub(super) address: Option<u64>,
}

/// The number of a symbol, and what it is called in a stack's text.
pub(super) type Numbered = (i32, Rc<str>);

/// Numbers symbols and writes their rows, each once.
pub(super) struct SymbolRows {
    symbols: HashMap<Place, Known>,
    /// Those that have to be written again if they are needed again.
    before: HashMap<Place, Known>,
    /// Shared: no two symbols of a recording have the same number, whichever thread writes them.
    last: Arc<AtomicI32>,
    names: usize,
    names_of: HashMap<Owner, usize>,
}

/// A symbol that has a row.
struct Known {
    numbered: Numbered,
    symbol: Symbol,
}

/// Whose names they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    File(usize),
    Process(u32),
}

impl SymbolRows {
    /// Starts with none; `last` is the highest number that was given out.
    pub(super) fn new(last: Arc<AtomicI32>) -> SymbolRows {
        SymbolRows { symbols: HashMap::new(), before: HashMap::new(), last, names: 0, names_of: HashMap::new() }
    }

    /// Has what is needed again written again; what was not needed since the call before is forgotten.
    pub(super) fn forget(&mut self) {
        self.before = std::mem::take(&mut self.symbols);
        self.names_of.clear();
        self.names = 0;
    }

    /// Forgets all, since numbers of files mean something else from here on.
    pub(super) fn forget_all(&mut self) {
        self.forget();
        self.before.clear();
    }

    /// Whether a place has its row already, or what it takes.
    pub(super) fn knows(&self, place: &Place) -> bool {
        self.symbols.contains_key(place) || self.before.contains_key(place)
    }

    /// The number of a symbol; its row is written when it is new.
    pub(super) fn symbol(&mut self, place: Place, file: &InFile<'_>, now_ns: u64, rows: &mut Rows) -> Numbered {
        if let Some(known) = self.symbols.get(&place) {
            return known.numbered.clone();
        }
        let symbol = match self.before.remove(&place) {
            Some(known) => known.symbol,
            None => Symbol::of(&place, file),
        };
        if self.symbols.len() < MAX_SYMBOLS && self.has_room(&place, &symbol) {
            return self.add(place, symbol, now_ns, rows);
        }
        let (place, symbol) = match place {
            Place::File(..) if self.symbols.len() < MAX_SYMBOLS => (place, symbol.without_name()),
            _ => (Place::Nowhere(TOO_MANY), Symbol { unnamed: Some(TOO_MANY), ..Symbol::default() }),
        };
        match self.symbols.get(&place) {
            Some(known) => known.numbered.clone(),
            None => self.add(place, symbol, now_ns, rows),
        }
    }

    fn has_room(&mut self, place: &Place, symbol: &Symbol) -> bool {
        let Some(owner) = owner(place) else { return true };
        let of_one = self.names_of.entry(owner).or_default();
        let bytes = symbol.name.as_deref().map_or(0, str::len);
        let has_room = self.names + bytes <= MAX_NAMES && *of_one + bytes <= MAX_NAMES_OF_ONE;
        if has_room {
            self.names += bytes;
            *of_one += bytes;
        }
        has_room
    }

    fn add(&mut self, place: Place, symbol: Symbol, now_ns: u64, rows: &mut Rows) -> Numbered {
        // Two thousand million symbols are more than memory holds.
        let number = self.last.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        symbol.write(number, now_ns, rows);
        let numbered = (number, symbol.text().replace(';', ":").into());
        self.symbols.insert(place, Known { numbered: Numbered::clone(&numbered), symbol });
        numbered
    }
}

/// Writes `stack` rows whose texts together have a bound.
pub(super) struct StackRows {
    left: usize,
}

impl StackRows {
    /// Starts a number of rows that are written at once.
    pub(super) fn new() -> StackRows {
        StackRows { left: MAX_FOLDED_AT_ONCE }
    }

    /// Writes the row of a stack: its frames from the innermost out, and how it ended.
    pub(super) fn write(&mut self, id: i32, frames: &[Numbered], end: StackEnd, now_ns: u64, rows: &mut Rows) {
        let numbers: Vec<i32> = frames.iter().map(|(number, _)| *number).collect();
        let mut row = rows.row("stack");
        row.at(now_ns).int(column::ID, id.into()).list(column::FRAMES, &numbers);
        row.int(column::DEPTH, i64::try_from(frames.len()).unwrap_or(i64::MAX));
        let cause = if end == StackEnd::ByFramePointer { Some(BY_FRAME_POINTER) } else { cause_of(end) };
        row.int(column::FLAGS, cause_of(end).is_some().into());
        if let Some(cause) = cause {
            row.text(column::CAUSE, cause);
        }
        let folded = folded(frames);
        if let Some(left) = self.left.checked_sub(folded.len()) {
            self.left = left;
            row.text(column::FOLDED, &folded);
        }
    }
}

/// The names from the outermost in; a text that gets too long ends with `…`.
fn folded(frames: &[Numbered]) -> String {
    let mut text = String::new();
    for (_, name) in frames.iter().rev() {
        if !text.is_empty() {
            text.push(';');
        }
        if text.len() + name.len() > MAX_FOLDED {
            text.push('…');
            break;
        }
        text.push_str(name);
    }
    text
}

/// The columns of a `symbol` row.
#[derive(Debug, Default)]
struct Symbol {
    name: Option<String>,
    module: Option<String>,
    build_id: Option<String>,
    offset: Option<u64>,
    address: Option<u64>,
    line: Option<u32>,
    unnamed: Option<&'static str>,
}

impl Symbol {
    fn of(place: &Place, file: &InFile<'_>) -> Symbol {
        let in_file = |name: Option<String>| Symbol {
            unnamed: if name.is_none() { Some(NO_SYMBOL) } else { None },
            name,
            module: file.module.map(str::to_owned),
            build_id: file.build_id.map(str::to_owned),
            ..Symbol::default()
        };
        match place {
            Place::Kernel(function) => {
                let unnamed = if function.name.is_none() { Some(NO_KERNEL_SYMBOL) } else { None };
                let module = function.module.clone().unwrap_or_else(|| "[kernel]".to_owned());
                Symbol { name: function.name.clone(), module: Some(module), unnamed, ..Symbol::default() }
            }
            Place::File(_, offset) => {
                Symbol { offset: Some(*offset), address: file.address, ..in_file(file.function.map(str::to_owned)) }
            }
            Place::Inlined(_, name) => in_file(Some(format!("{name} (inlined)"))),
            Place::Unknown(id, offset, why) => Symbol {
                build_id: has_build_id(id).then(|| elf::hex(id.strip_suffix(&[0; 4]).unwrap_or(id))),
                offset: Some(*offset),
                unnamed: Some(why),
                ..Symbol::default()
            },
            Place::Mapping(_, module, why) => {
                Symbol { module: Some(module.clone()), unnamed: Some(why), ..Symbol::default() }
            }
            Place::Memory(..) => Symbol { unnamed: Some(GENERATED), ..Symbol::default() },
            Place::Generated(_, name) => {
                Symbol { name: Some(bounded(name)), module: Some("[generated]".to_owned()), ..Symbol::default() }
            }
            Place::Truncated(why) => {
                Symbol { module: Some("[truncated]".to_owned()), unnamed: Some(why), ..Symbol::default() }
            }
            Place::Python(_, code, line) => Symbol {
                name: Some(code.name.clone()),
                module: Some(code.file.clone()).filter(|file| !file.is_empty()),
                line: *line,
                ..Symbol::default()
            },
            Place::NoPython(why) => {
                Symbol { module: Some("[python]".to_owned()), unnamed: Some(why), ..Symbol::default() }
            }
            Place::Nowhere(why) => Symbol { unnamed: Some(why), ..Symbol::default() },
        }
    }

    fn without_name(self) -> Symbol {
        Symbol { name: None, unnamed: Some(TOO_MANY), ..self }
    }

    fn write(&self, number: i32, now_ns: u64, rows: &mut Rows) {
        let mut row = rows.row("symbol");
        row.at(now_ns).int(column::ID, number.into());
        row.maybe_int(column::FILE_OFFSET, self.offset.and_then(|offset| i64::try_from(offset).ok()));
        row.maybe_int(column::LINE, self.line.map(i64::from));
        row.maybe_int(column::MODULE_ADDR, self.address.and_then(|address| i64::try_from(address).ok()));
        for (column, text) in [
            (column::NAME, Some(self.text().as_str())),
            (column::MODULE, self.module.as_deref()),
            (column::BUILD_ID, self.build_id.as_deref()),
            (column::CAUSE, self.unnamed),
        ] {
            if let Some(text) = text {
                row.text(column, text);
            }
        }
    }

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

/// Whose name a place has.
fn owner(place: &Place) -> Option<Owner> {
    match place {
        Place::File(file, _) | Place::Inlined(file, _) => Some(Owner::File(*file)),
        Place::Generated(pid, _) | Place::Python(pid, ..) => Some(Owner::Process(*pid)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI32;

    use super::InFile;
    use super::MAX_FOLDED;
    use super::MAX_NAMES_OF_ONE;
    use super::Place;
    use super::Symbol;
    use super::SymbolRows;
    use super::folded;
    use crate::recording::Rows;
    use crate::recording::Schema;

    #[test]
    fn a_frame_without_a_name_is_called_by_its_place() {
        let mut symbol =
            Symbol { module: Some("/usr/lib/libc.so.6".into()), offset: Some(0x1234), ..Symbol::default() };
        assert_eq!(symbol.text(), "libc.so.6+0x1234");
        symbol = Symbol { build_id: Some("0123456789ab".into()), offset: Some(16), ..Symbol::default() };
        assert_eq!(symbol.text(), "01234567+0x10");
        assert_eq!(Symbol::default().text(), "[unknown]");
    }

    #[test]
    fn a_process_with_names_without_end_leaves_room_for_those_of_others() {
        let mut rows = Rows::new(Arc::new(Schema::new([])), 0);
        let mut symbols = SymbolRows::new(Arc::new(AtomicI32::new(0)));
        let mut one =
            |pid: u32, name: String| symbols.symbol(Place::Generated(pid, name), &InFile::default(), 0, &mut rows);
        let many: Vec<_> = (0..3000).map(|number| one(7, format!("{number:01000}"))).collect();
        let named = many.iter().filter(|(_, text)| &**text != "[unknown]").count();
        assert!((2000..=MAX_NAMES_OF_ONE / 1000).contains(&named), "{named}");
        // Those beyond share one row.
        assert_eq!(many[2999].0, many[2998].0);
        assert_eq!(&*one(8, "f".to_owned()).1, "f");
    }

    #[test]
    fn a_text_that_gets_too_long_says_so() {
        let frame = |number| (number, "x".repeat(1000).into());
        let text = folded(&(0..127).map(frame).collect::<Vec<_>>());
        assert!(text.ends_with(";…") && text.len() <= MAX_FOLDED + 4, "{}", text.len());
        assert_eq!(folded(&[(2, "inner".into()), (1, "outer".into())]), "outer;inner");
    }
}
