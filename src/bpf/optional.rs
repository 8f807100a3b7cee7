//! Programs that an object can do without: those whose section begins with `?`, as `SEC("?tp_btf/contention_begin")`.
//!
//! libbpf leaves such programs out unless it is told otherwise. They are loaded when the running kernel has their hook.

use std::collections::HashSet;
use std::sync::OnceLock;

use anyhow::Context;
use anyhow::Result;
use libbpf_rs::OpenObject;

/// The kernel's type information.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// Each tracepoint has a type of this name for its arguments (include/linux/tracepoint.h).
const TRACEPOINT: &[u8] = b"btf_trace_";

/// Takes in the optional programs whose hook the kernel has, and gives the hooks that it has not.
///
/// # Errors
/// When the kernel's type information can't be read.
pub(super) fn choose(open: &mut OpenObject) -> Result<Vec<String>> {
    static TRACEPOINTS: OnceLock<HashSet<String>> = OnceLock::new();
    let mut lacking = Vec::new();
    for mut program in open.progs_mut().filter(|program| !program.autoload()) {
        let tracepoints = match TRACEPOINTS.get() {
            Some(known) => known,
            None => {
                let btf = std::fs::read(VMLINUX).with_context(|| format!("can't read '{VMLINUX}'"))?;
                let names = tracepoints(&btf).with_context(|| format!("'{VMLINUX}' is not what it should be"))?;
                TRACEPOINTS.get_or_init(|| names)
            }
        };
        let section = program.section().to_string_lossy().into_owned();
        if section.strip_prefix("tp_btf/").is_some_and(|name| tracepoints.contains(name)) {
            program.set_autoload(true);
        } else {
            lacking.push(section);
        }
    }
    Ok(lacking)
}

/// The kernel's tracepoints, by the names in its type information. A look-up of one name by libbpf goes through all
/// types, which takes milliseconds; this goes through all names once.
fn tracepoints(btf: &[u8]) -> Option<HashSet<String>> {
    // struct btf_header of include/uapi/linux/btf.h: magic, version, flags, then six numbers of 32 bits.
    let number = |at: usize| btf.get(at..at + 4)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes) as usize);
    let (header, offset, length) = (number(4)?, number(16)?, number(20)?);
    let begin = header.checked_add(offset)?;
    let names = btf.get(begin..begin.checked_add(length)?)?;
    let names = names.split(|byte| *byte == 0).filter_map(|name| name.strip_prefix(TRACEPOINT));
    Some(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::tracepoints;

    fn btf(strings: &[u8], length: u32) -> Vec<u8> {
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for number in [24u32, 0, 4, 4, length] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend([b"\0\0\0\0", strings].concat());
        bytes
    }

    #[test]
    fn tracepoints_are_found_among_all_names() {
        let strings = b"\0int\0btf_trace_mark_victim\0task_struct\0btf_trace_sched_switch\0";
        let names = tracepoints(&btf(strings, strings.len() as u32)).unwrap();
        assert_eq!(names.len(), 2);
        assert!(names.contains("mark_victim") && names.contains("sched_switch"));
    }

    #[test]
    fn type_information_that_lies_about_its_length_is_refused() {
        assert!(tracepoints(&btf(b"\0", 9)).is_none());
        assert!(tracepoints(&btf(b"\0", u32::MAX)).is_none());
        assert!(tracepoints(&[0x9f, 0xeb]).is_none());
    }
}
