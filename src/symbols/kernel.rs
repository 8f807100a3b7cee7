//! Names of functions in the kernel.

use blazesym::MaybeDefault;
use blazesym::symbolize::Input;
use blazesym::symbolize::Symbolizer;
use blazesym::symbolize::source::Kernel as KernelSource;
use blazesym::symbolize::source::Source;

use super::table::symbolizer;

/// Frames above which nothing is ours: the programs that take stacks, and what calls them.
const OWN: [&str; 6] =
    ["bpf_prog_", "bpf_trampoline_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "bpf_get_stack"];
/// How far in they reach.
const OWN_DEPTH: usize = 10;

/// A function of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Function {
    /// Its name; `None` where /proc/kallsyms has none, or may not be read.
    pub(super) name: Option<String>,
    /// The module it is in; `None` for the kernel itself.
    pub(super) module: Option<String>,
}

/// Finds names in /proc/kallsyms. It is read when the first stack comes, not before.
pub(super) struct Kernel {
    symbolizer: Symbolizer,
    source: Source<'static>,
}

impl Kernel {
    pub(super) fn new() -> Kernel {
        // Without a vmlinux: kallsyms has the modules too, and needs no debug information.
        let source = KernelSource { vmlinux: MaybeDefault::None, debug_syms: false, ..KernelSource::default() };
        Kernel { symbolizer: symbolizer(), source: Source::Kernel(source) }
    }

    /// The functions of a stack from the innermost out, without those of the programs that took it.
    pub(super) fn functions(&self, stack: &[u64]) -> Vec<Function> {
        // What a frame calls is before the address that it returns to; only the innermost frame of a sample stands
        // where it was interrupted, and there one byte less is at worst the end of the function before.
        let addresses: Vec<u64> =
            stack.iter().enumerate().map(|(depth, address)| address.saturating_sub(u64::from(depth > 0))).collect();
        let unknown = Function { name: None, module: None };
        let Ok(found) = self.symbolizer.symbolize(&self.source, Input::AbsAddr(&addresses)) else {
            return vec![unknown; stack.len()];
        };
        let mut functions: Vec<Function> = found
            .iter()
            .map(|found| match found.as_sym() {
                Some(symbol) => Function {
                    name: Some(symbol.name.clone().into_owned()),
                    module: symbol.module.as_deref().map(|module| module.to_string_lossy().into_owned()),
                },
                None => unknown.clone(),
            })
            .collect();
        let own = functions.iter().take(OWN_DEPTH).rposition(is_own);
        functions.drain(..own.map_or(0, |last| last + 1));
        functions
    }
}

fn is_own(function: &Function) -> bool {
    function.name.as_deref().is_some_and(|name| OWN.iter().any(|own| name.starts_with(own)))
}
