//! Programs that an object can do without: those whose section begins with `?`, as `SEC("?tp_btf/contention_begin")`.
//!
//! libbpf leaves such programs out unless it is told otherwise. They are loaded when the running kernel has their hook.

use libbpf_rs::OpenObject;

use super::kernel_types;

/// Takes in the optional programs whose hook the kernel has, and gives the hooks that it has not.
pub fn choose(open: &mut OpenObject) -> Vec<String> {
    let mut lacking = Vec::new();
    for mut program in open.progs_mut().filter(|program| !program.autoload()) {
        let section = program.section().to_string_lossy().into_owned();
        if section.strip_prefix("tp_btf/").is_some_and(kernel_types::has_tracepoint) {
            program.set_autoload(true);
        } else {
            lacking.push(section);
        }
    }
    lacking
}
