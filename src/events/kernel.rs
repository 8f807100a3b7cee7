//! The functions of the kernel: which there are, and which can be traced.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use crate::failure::did_you_mean;
use crate::glob;
use crate::host::root::Root;
use crate::host::tracefs::Tracefs;
use crate::text::nearest;

/// Endings that the compiler gives to what it makes of a function.
const MADE: [&str; 4] = [".isra.", ".constprop.", ".part.", ".cold"];

/// A function that can be traced, as far as the kernel tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// The module that it is in.
    pub(super) module: Option<String>,
}

/// A line of /proc/kallsyms.
#[derive(Clone, Copy)]
struct Symbol<'a> {
    /// As it is written; zeros where it is hidden.
    address: &'a str,
    name: &'a str,
    is_code: bool,
    module: Option<&'a str>,
}

/// Why a function can't be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The reason.
    pub(super) why: String,
    /// What to do.
    pub(super) hint: Option<String>,
}

impl Refusal {
    pub(super) fn new(why: impl Into<String>) -> Refusal {
        Refusal { why: why.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }
}

/// What the kernel says about its functions.
pub(super) struct Functions {
    kallsyms: String,
    /// What function tracing can be put on; `None` where that may not be read.
    traceable: Option<String>,
    /// What may not be probed.
    forbidden: HashSet<String>,
}

impl Functions {
    /// Reads /proc/kallsyms and, where it may, what can be traced.
    pub(super) fn read(root: &Root, tracefs: &Tracefs) -> Functions {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        };
        let traceable = match tracefs {
            Tracefs::Mounted(place) => std::fs::read(place.join("available_filter_functions")).ok().map(text),
            _ => None,
        };
        let forbidden = root.text("/sys/kernel/debug/kprobes/blacklist").unwrap_or_default();
        Functions {
            kallsyms: root.bytes("/proc/kallsyms").map(text).unwrap_or_default(),
            traceable: traceable.filter(|text| !text.is_empty()),
            forbidden: forbidden
                .lines()
                .filter_map(|line| line.split_ascii_whitespace().nth(1))
                .map(str::to_owned)
                .collect(),
        }
    }

    fn symbols(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.kallsyms.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (address, sort, name, module) = (words.next()?, words.next()?, words.next()?, words.next());
            let module = module.map(|module| module.trim_matches(['[', ']']));
            // Programs and trampolines come and go.
            let fleeting = matches!(module, Some("bpf" | "__builtin__ftrace" | "__builtin__kprobes"));
            let is_code = matches!(sort, "t" | "T" | "w" | "W") && !fleeting;
            Some(Symbol { address, name, is_code, module })
        })
    }

    /// Names that can be traced; `None` where the kernel does not tell.
    fn traceable(&self) -> Option<HashSet<&str>> {
        let lines = self.traceable.as_ref()?.lines();
        Some(lines.filter_map(|line| line.split_ascii_whitespace().next()).collect())
    }

    /// Of names that are not told as traceable those whose code has another name, which is told and wanted.
    fn aliases<'a>(&'a self, untold: &[Symbol<'a>], is_told: impl Fn(&str) -> bool) -> HashSet<&'a str> {
        let shown = untold.iter().filter(|symbol| symbol.address.contains(|digit| digit != '0'));
        let names: HashMap<&str, &str> = shown.map(|symbol| (symbol.address, symbol.name)).collect();
        if names.is_empty() {
            return HashSet::new();
        }
        let of = |other: Symbol<'a>| names.get(other.address).copied().filter(|_| other.is_code && is_told(other.name));
        self.symbols().filter_map(of).collect()
    }

    /// The functions that a name or pattern means.
    ///
    /// # Errors
    /// There is none, or none that can be traced, and why.
    pub(super) fn find(&self, pattern: &str) -> Result<Vec<Function>, Refusal> {
        if self.kallsyms.is_empty() {
            return Err(Refusal::new("the kernel does not show its functions: /proc/kallsyms can't be read"));
        }
        if glob::is_glob(pattern) { self.matching(pattern) } else { self.one(pattern).map(|one| vec![one]) }
    }

    fn matching(&self, pattern: &str) -> Result<Vec<Function>, Refusal> {
        let mut found: BTreeMap<&str, (usize, Symbol<'_>)> = BTreeMap::new();
        for symbol in self.symbols() {
            if symbol.is_code && glob::matches(pattern, symbol.name) {
                let one = found.entry(symbol.name).or_insert((0, symbol));
                one.0 += 1;
            }
        }
        let all = found.len();
        let traceable = self.traceable();
        let is_told = |name: &str| traceable.as_ref().is_none_or(|names| names.contains(name));
        let may = |name: &str| {
            let made = MADE.iter().any(|ending| name.contains(ending)) || name.starts_with("__pfx_");
            !made && !self.forbidden.contains(name)
        };
        // Of several functions of one name the kernel can't be told which.
        let single = found.into_values().filter(|(count, symbol)| *count == 1 && may(symbol.name));
        let (mut wanted, untold): (Vec<Symbol<'_>>, Vec<Symbol<'_>>) =
            single.map(|(_, symbol)| symbol).partition(|symbol| is_told(symbol.name));
        // Once for the same code.
        let aliases = self.aliases(&untold, |name| is_told(name) && !glob::matches(pattern, name));
        wanted.extend(untold.into_iter().filter(|symbol| aliases.contains(symbol.name)));
        let mut functions: Vec<Function> = wanted
            .into_iter()
            .map(|Symbol { name, module, .. }| Function { name: name.to_owned(), module: module.map(str::to_owned) })
            .collect();
        functions.sort();
        match (functions.is_empty(), all) {
            (false, _) => Ok(functions),
            (true, 0) => Err(Refusal::new(format!("no kernel function matches '{pattern}'"))),
            (true, all) => {
                Err(Refusal::new(format!("none of the {all} kernel functions that match '{pattern}' can be traced")))
            }
        }
    }

    fn one(&self, wanted: &str) -> Result<Function, Refusal> {
        let same: Vec<Symbol<'_>> = self.symbols().filter(|symbol| symbol.name == wanted).collect();
        let code: Vec<Symbol<'_>> = same.iter().filter(|symbol| symbol.is_code).copied().collect();
        let is_traceable = || {
            let Some(names) = self.traceable() else { return true };
            names.contains(wanted) || !self.aliases(&code, |name| names.contains(name)).is_empty()
        };
        match code.as_slice() {
            [] if same.is_empty() => Err(self.missing(wanted)),
            [] => Err(Refusal::new(format!("'{wanted}' is a variable of the kernel, not a function"))),
            [_] if self.forbidden.contains(wanted) => {
                Err(Refusal::new(format!("the kernel forbids probes on '{wanted}'"))
                    .hint("/sys/kernel/debug/kprobes/blacklist lists such functions"))
            }
            [_] if !is_traceable() => Err(Refusal::new(format!(
                "the kernel has '{wanted}', but it can't be traced: it is marked 'notrace', or runs before tracing does"
            ))),
            [one] => Ok(Function { name: wanted.to_owned(), module: one.module.map(str::to_owned) }),
            several => Err(Refusal::new(format!(
                "the kernel has {} functions named '{wanted}', and a name can't distinguish them",
                several.len()
            ))),
        }
    }

    /// Why there is no function of that name: the compiler may have made something else of it.
    fn missing(&self, wanted: &str) -> Refusal {
        let rest =
            |name: &str| name.strip_prefix(wanted).is_some_and(|rest| MADE.iter().any(|made| rest.starts_with(made)));
        if let Some(Symbol { name, .. }) = self.symbols().find(|symbol| symbol.is_code && rest(symbol.name)) {
            let why = format!("the compiler inlined '{wanted}' or changed its arguments: the kernel has only '{name}'");
            return if name.contains(".cold") {
                Refusal::new(why)
            } else {
                Refusal::new(why).hint(format!("kprobe:{name}, whose arguments are its own"))
            };
        }
        let call = format!("__x64_{wanted}");
        let call_arm = format!("__arm64_{wanted}");
        let is_call = wanted.starts_with("sys_");
        let is_its_entry = |symbol: &Symbol<'_>| symbol.name == call || symbol.name == call_arm;
        if is_call && let Some(Symbol { name, .. }) = self.symbols().find(is_its_entry) {
            let why = format!("the kernel has no function '{wanted}': its entry is '{name}'");
            let point = format!("tracepoint:syscalls:sys_enter_{}", wanted.trim_start_matches("sys_"));
            return Refusal::new(why).hint(format!("kprobe:{name}, or {point}, which has the arguments by name"));
        }
        let code = self.symbols().filter(|symbol| symbol.is_code).map(|symbol| symbol.name);
        let near = nearest(wanted, code);
        let mut near: Vec<&str> = near.into_iter().filter(|name| !name.starts_with("__pfx_")).collect();
        near.dedup();
        let refusal = Refusal::new(format!(
            "the kernel has no function '{wanted}', or none is left since it was inlined wherever it is called"
        ));
        let search = format!("'ebrec probes -e \"kprobe:*{wanted}*\"' looks for longer names");
        if near.is_empty() { refusal.hint(search) } else { refusal.hint(did_you_mean(&near, &[])) }
    }
}

#[cfg(test)]
mod tests {
    use super::Function;
    use super::Functions;

    const KALLSYMS: &str = "\
ffffffff81000000 T vfs_read
ffffffff81000040 T vfs_write
ffffffff81000080 t helper
ffffffff810000c0 t helper
ffffffff81000100 t shrunk.isra.0
ffffffff81000140 T quiet
ffffffff81000150 T __pfx_vfs_read
ffffffff81000160 T secret
ffffffff81000180 D jiffies
ffffffff81000190 T __x64_sys_openat
ffffffff810001a0 T __x64_sys_getpid
ffffffff810001a0 t __do_sys_getpid
ffffffffc0000010 t vfs_hook\t[nf_tables]
ffffffffa0000000 t vfs_prog\t[bpf]
";

    fn functions(traceable: Option<&str>) -> Functions {
        Functions {
            kallsyms: KALLSYMS.to_owned(),
            traceable: traceable.map(str::to_owned),
            forbidden: ["secret".to_owned()].into(),
        }
    }

    fn names(found: Vec<Function>) -> Vec<String> {
        found.into_iter().map(|function| function.name).collect()
    }

    #[test]
    fn a_glob_takes_what_can_be_traced() {
        assert_eq!(names(functions(None).find("vfs_*").unwrap()), ["vfs_hook", "vfs_read", "vfs_write"]);
        let some = functions(Some("vfs_read\nvfs_hook [nf_tables]\n"));
        assert_eq!(names(some.find("vfs_*").unwrap()), ["vfs_hook", "vfs_read"]);
        assert_eq!(some.find("vfs_h*").unwrap()[0].module.as_deref(), Some("nf_tables"));
        assert_eq!(some.find("nothing*").unwrap_err().why, "no kernel function matches 'nothing*'");
        let none = some.find("vfs_w*").unwrap_err().why;
        assert_eq!(none, "none of the 1 kernel functions that match 'vfs_w*' can be traced");
    }

    #[test]
    fn code_with_two_names_is_traced_by_either_and_once() {
        // As system calls without arguments are; the kernel tells of one name that it can be traced.
        let functions = functions(Some("__do_sys_getpid\n"));
        assert_eq!(names(functions.find("__x64_sys_getpid").unwrap()), ["__x64_sys_getpid"]);
        assert_eq!(names(functions.find("__x64_sys_*").unwrap()), ["__x64_sys_getpid"]);
        assert_eq!(names(functions.find("*_sys_getp*").unwrap()), ["__do_sys_getpid"]);
    }

    #[test]
    fn why_a_function_can_not_be_had_is_told() {
        let functions = functions(Some("vfs_read\n"));
        let why = |name: &str| functions.find(name).unwrap_err().why;
        assert!(functions.find("vfs_read").is_ok());
        assert!(why("quiet").contains("it can't be traced"));
        assert!(why("secret").contains("forbids"));
        assert!(why("helper").contains("2 functions named 'helper'"));
        assert!(why("jiffies").contains("a variable"));
        assert_eq!(
            why("shrunk"),
            "the compiler inlined 'shrunk' or changed its arguments: the kernel has only 'shrunk.isra.0'"
        );
        assert!(why("sys_openat").contains("'__x64_sys_openat'"));
        assert!(why("vfs_prog").contains("a variable") || why("vfs_prog").contains("no function"));
    }

    #[test]
    fn a_mistyped_name_gets_the_nearest() {
        let refusal = functions(None).find("vfs_raed").unwrap_err();
        assert_eq!(refusal.hint.as_deref(), Some("did you mean 'vfs_read'?"));
        let refusal = functions(None).find("no_such_thing_at_all").unwrap_err();
        assert_eq!(
            refusal.hint.as_deref(),
            Some("'ebrec probes -e \"kprobe:*no_such_thing_at_all*\"' looks for longer names")
        );
    }
}
