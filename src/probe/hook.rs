//! Where an event of the user's own hooks: functions of the kernel and of programs, tracepoints, static probes.

use std::path::PathBuf;

use crate::exits::Boundaries;
use crate::host::code_file::FileIdentity;
use crate::probe::site::Site;

/// Where an event hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// The entry or the return of kernel functions, by kprobes.
    Kprobe {
        /// Their names, of a glob all that matched.
        functions: Vec<String>,
        /// At the return.
        at_return: bool,
    },
    /// The entry or the exit of kernel functions, by BPF trampolines.
    Fentry {
        /// What to attach to.
        functions: Vec<TypedFunction>,
        /// At the exit.
        at_return: bool,
    },
    /// Static tracepoints with their format as /sys/kernel/tracing/events describes it.
    Tracepoint {
        /// (category, name) of each.
        points: Vec<(String, String)>,
    },
    /// Static tracepoints with the arguments as the kernel passes them.
    RawTracepoint {
        /// The name of each.
        points: Vec<String>,
    },
    /// The entry of functions of a file.
    Uprobe {
        /// Their places.
        places: Vec<Place>,
    },
    /// The return of functions of a file.
    Uretprobe {
        /// How it is seen.
        returns: Returns,
    },
    /// Static probes of a program or library.
    Usdt {
        /// The file.
        path: PathBuf,
        /// Which file the path led to when it was read.
        file: FileIdentity,
        /// Who named them.
        provider: String,
        /// Their names.
        names: Vec<String>,
        /// Where they are in the code: a probe in a function that was inlined has several places.
        sites: Vec<Site>,
    },
    /// From the entry to the return of kernel functions.
    KernelLatency {
        /// Their names.
        functions: Vec<String>,
    },
    /// From the entry to the return of functions of a file.
    UserLatency {
        /// How the return is seen.
        returns: Returns,
    },
}

/// How an event sees functions of a file return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returns {
    /// By breakpoints at each function's own exits, which change nothing that the program sees.
    AtExits {
        /// Those of them whose exits are known.
        functions: Vec<Function>,
    },
    /// By the kernel's return trampoline, which overwrites return addresses on the program's stack: only where the user asks for it.
    ByTrampoline {
        /// The functions.
        places: Vec<Place>,
    },
}

impl Returns {
    /// The functions, in the order of their numbers.
    pub fn places(&self) -> Vec<&Place> {
        match self {
            Returns::AtExits { functions } => functions.iter().map(|function| &function.place).collect(),
            Returns::ByTrampoline { places } => places.iter().collect(),
        }
    }
}

/// A function of a file whose exits are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name and its first instruction.
    pub place: Place,
    /// Where its calls begin and end.
    pub boundaries: Boundaries,
}

impl Function {
    /// Whether an exit is another function's too.
    pub fn shares_exits(&self) -> bool {
        self.boundaries.exits.iter().any(|exit| exit.is_shared)
    }
}

impl Hook {
    /// How many functions or points it is at.
    pub fn places(&self) -> usize {
        match self {
            Hook::Kprobe { functions, .. } | Hook::KernelLatency { functions } => functions.len(),
            Hook::Fentry { functions, .. } => functions.len(),
            Hook::Tracepoint { points } => points.len(),
            Hook::RawTracepoint { points } => points.len(),
            Hook::Uprobe { places } => places.len(),
            Hook::Uretprobe { returns } | Hook::UserLatency { returns } => returns.places().len(),
            Hook::Usdt { names, .. } => names.len(),
        }
    }

    /// The functions that are taken at their own exits, if it is about those.
    pub fn at_exits(&self) -> Option<&[Function]> {
        match self {
            Hook::Uretprobe { returns: Returns::AtExits { functions } }
            | Hook::UserLatency { returns: Returns::AtExits { functions } } => Some(functions),
            _ => None,
        }
    }

    /// Whether exits count only where the entry before them was seen: for the time between them, and where they are shared with other
    /// functions.
    pub fn pairs_exits(&self) -> bool {
        let shared = |functions: &[Function]| functions.iter().any(Function::shares_exits);
        self.at_exits().is_some_and(|functions| self.is_latency() || shared(functions))
    }

    /// Whether it is the time from entry to return of a function.
    pub fn is_latency(&self) -> bool {
        matches!(self, Hook::KernelLatency { .. } | Hook::UserLatency { .. })
    }
}

/// A kernel function with what its BTF tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedFunction {
    /// Its name.
    pub name: String,
    /// The module that it is in; `None`: the kernel itself.
    pub module: Option<String>,
    /// How many parameters it has.
    pub parameters: u8,
}

/// A function of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as this process reaches it.
    pub path: PathBuf,
    /// The function's name, as it is written in the source where that is known.
    pub function: String,
    /// Where its code begins in the file, in bytes.
    pub offset: u64,
    /// Which file the path led to when its code was read.
    pub file: FileIdentity,
}
