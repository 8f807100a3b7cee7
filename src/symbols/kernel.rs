//! Names of functions in the kernel.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;

use crate::host::foreign;

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

/// The functions in /proc/kallsyms: names in one text, which takes a third of what one string for each would. The file is read
/// when the first stack comes, not before.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    table: Option<KernelSymbols>,
}

impl Kernel {
    /// The functions of a stack from the innermost out, without those of the programs that took it.
    pub(super) fn functions(&mut self, stack: &[u64]) -> Vec<Function> {
        let table = self.table.get_or_insert_with(|| match foreign::open(Path::new("/proc/kallsyms")) {
            Ok(file) => KernelSymbols::read(BufReader::new(file)),
            Err(_) => KernelSymbols::default(),
        });
        // What a frame calls is before the address that it returns to; only the innermost frame of a sample stands
        // where it was interrupted, and there one byte less is at worst the end of the function before.
        let back = |(depth, address): (usize, &u64)| address.saturating_sub(u64::from(depth > 0));
        let mut functions: Vec<Function> = stack.iter().enumerate().map(|frame| table.function(back(frame))).collect();
        let own = functions.iter().take(OWN_DEPTH).rposition(is_own);
        functions.drain(..own.map_or(0, |last| last + 1));
        functions
    }
}

/// Where the functions are and what they are called.
#[derive(Debug, Default)]
pub(super) struct KernelSymbols {
    /// (address, where its line begins in `lines`), by rising address; of several names the one that the kernel lists
    /// first, which has the fewest underscores, comes first.
    starts: Vec<(u64, u32)>,
    /// `name` or `name\t[module]`, each with a line end.
    lines: String,
}

impl KernelSymbols {
    /// `ffffffff81000000 T _stext` a line, and a tab and the module behind it where there is one.
    pub(super) fn read(mut kallsyms: impl BufRead) -> KernelSymbols {
        let mut table = KernelSymbols::default();
        let mut line = String::new();
        while kallsyms.read_line(&mut line).is_ok_and(|length| length > 0) {
            let mut words = line.splitn(3, ' ');
            let address = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            let is_code = matches!(words.next(), Some("t" | "T" | "w" | "W"));
            // All are 0 for those who may not know them.
            if let (Some(address @ 1..), true, Some(rest), Ok(start)) =
                (address, is_code, words.next(), u32::try_from(table.lines.len()))
            {
                table.starts.push((address, start));
                table.lines.push_str(rest);
            }
            line.clear();
        }
        table.starts.sort_unstable();
        table.starts.shrink_to_fit();
        table.lines.shrink_to_fit();
        table
    }

    pub(super) fn function(&self, address: u64) -> Function {
        self.line(address).map_or(Function { name: None, module: None }, |line| {
            let (name, module) = line.split_once('\t').unwrap_or((line, ""));
            let module = module.trim_matches(['[', ']']);
            Function { name: Some(name.to_owned()), module: (!module.is_empty()).then(|| module.to_owned()) }
        })
    }

    fn line(&self, address: u64) -> Option<&str> {
        let behind = self.starts.partition_point(|(start, _)| *start <= address);
        let (start, _) = self.starts.get(behind.checked_sub(1)?)?;
        let first = self.starts.partition_point(|(other, _)| other < start);
        let (_, line) = self.starts.get(first)?;
        self.lines.get(*line as usize..)?.lines().next()
    }
}

fn is_own(function: &Function) -> bool {
    function.name.as_deref().is_some_and(|name| OWN.iter().any(|own| name.starts_with(own)))
}

#[cfg(test)]
mod tests {
    use super::Function;
    use super::KernelSymbols;

    const KALLSYMS: &str = "\
ffffffff81000000 T do_read
ffffffff81000000 T __do_read
ffffffff81000040 t helper.cold
ffffffff81000080 D a_variable
ffffffffc0000010 t nf_hook\t[nf_tables]
ffffffffa0000000 t bpf_prog_0123456789abcdef_f\t[bpf]
";

    fn named(name: &str, module: Option<&str>) -> Function {
        Function { name: Some(name.to_owned()), module: module.map(str::to_owned) }
    }

    #[test]
    fn a_function_reaches_to_the_next_one_and_the_first_of_its_names_counts() {
        let table = KernelSymbols::read(KALLSYMS.as_bytes());
        assert_eq!(table.function(0xffff_ffff_8100_003f), named("do_read", None));
        assert_eq!(table.function(0xffff_ffff_8100_0090), named("helper.cold", None));
        assert_eq!(table.function(0xffff_ffff_c000_0010), named("nf_hook", Some("nf_tables")));
        assert_eq!(table.function(0xffff_ffff_a000_0010).module.as_deref(), Some("bpf"));
        assert_eq!(table.function(1), Function { name: None, module: None });
    }

    #[test]
    fn addresses_that_are_hidden_name_nothing() {
        let table = KernelSymbols::read("0000000000000000 T do_read\n".as_bytes());
        assert_eq!(table.function(5), Function { name: None, module: None });
    }
}
