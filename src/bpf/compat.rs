//! What is decided by the running kernel before an object is loaded; the Rust half of bpf/shared/compat.h.

use std::sync::OnceLock;

use anyhow::Result;
use libbpf_rs::OpenObject;
use libbpf_rs::ProgramType;
use libbpf_rs::ReferencesType;
use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::FuncProto;
use libbpf_rs::btf::types::Ptr;
use libbpf_rs::btf::types::Typedef;

use super::kernel_types;
use super::shared::types;

/// What the programs need to know about the kernel.
pub(super) fn shape(kernel: (u32, u32)) -> types::compat {
    let casts = kernel_types::number("file").zip(kernel_types::number("list_head"));
    types::compat {
        block_rq_has_queue: u8::from(block_rq_has_queue(kernel)),
        sched_switch_has_state: u8::from(kernel >= (5, 18)),
        file_type: casts.map_or(0, |(file, _)| file),
        pointer_type: casts.map_or(0, |(_, pointer)| pointer),
        task_type: kernel_types::number("task_struct").unwrap_or(0),
        request_type: kernel_types::number("request").unwrap_or(0),
        ..Default::default()
    }
}

/// Before 6.4 (commit 6ae9d5e99e1d) task storage allocated with kmalloc, which under the run-queue lock can wake
/// kswapd and deadlock.
pub(super) fn task_storage_is_safe(kernel: (u32, u32)) -> bool {
    kernel >= (6, 4)
}

/// Before 6.1 (commit 34dd3bad1a6f) an element that is made when needed was allocated with kmalloc: programs of perf
/// events were refused for it, and those of kprobes and uprobes had the kernel complain in its log.
pub(super) fn elements_may_be_made_late(kernel: (u32, u32)) -> bool {
    kernel >= (6, 1)
}

/// Where elements may not be made late, the maps of an object with such programs have them all from the start.
///
/// # Errors
/// When libbpf refuses: the object is loaded already.
pub(super) fn make_elements_early(open: &mut OpenObject, kernel: (u32, u32)) -> Result<()> {
    let strict = |kind| matches!(kind, ProgramType::PerfEvent | ProgramType::Kprobe);
    if elements_may_be_made_late(kernel) || !open.progs().any(|program| strict(program.prog_type())) {
        return Ok(());
    }
    for mut map in open.maps_mut() {
        let late = map.map_flags() & libbpf_sys::BPF_F_NO_PREALLOC != 0;
        // Task storage knows no other way, and is not used there.
        if late && map.map_type() == libbpf_rs::MapType::Hash {
            map.set_map_flags(map.map_flags() & !libbpf_sys::BPF_F_NO_PREALLOC)?;
        }
    }
    Ok(())
}

/// 5.11 (commit a54895fa057c) took the queue out of the arguments of block_rq_insert, _issue and _merge, and later kernels of
/// the 5.10 series took that over: there the kernel's type information tells.
fn block_rq_has_queue(kernel: (u32, u32)) -> bool {
    static HAS_QUEUE: OnceLock<bool> = OnceLock::new();
    kernel < (5, 11) && *HAS_QUEUE.get_or_init(|| tracepoint_arguments("block_rq_issue") == Some(2))
}

/// How many arguments a tracepoint of the running kernel has.
fn tracepoint_arguments(name: &str) -> Option<usize> {
    let btf = Btf::from_vmlinux().ok()?;
    let function: Typedef<'_> = btf.type_by_name(&format!("btf_trace_{name}"))?;
    let pointer = Ptr::try_from(function.referenced_type()).ok()?;
    let prototype = FuncProto::try_from(pointer.referenced_type()).ok()?;
    // The first one is the tracepoint's own.
    prototype.iter().count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::elements_may_be_made_late;
    use super::task_storage_is_safe;

    #[test]
    fn task_storage_is_not_used_where_it_could_deadlock() {
        assert!(!task_storage_is_safe((5, 10)));
        assert!(!task_storage_is_safe((6, 1)));
        assert!(task_storage_is_safe((6, 12)));
    }

    #[test]
    fn elements_are_made_early_where_perf_events_ask_for_it() {
        assert!(!elements_may_be_made_late((5, 10)));
        assert!(elements_may_be_made_late((6, 1)));
    }
}
