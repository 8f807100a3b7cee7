//! Which of the programs fit this kernel: tracepoints of sockets that say what they move, or the system calls that move it.

use libbpf_rs::OpenObject;
use libbpf_rs::ProgramAttachType;

use crate::bpf::optional;

/// The sockets' own: nothing else that the machine does gets slower. The first is there since Linux 6.16 (commit
/// 0f08335ade71), the others since 6.3 (commit 6e6eda44b939).
const SOCKETS: [&str; 3] = ["tp_btf/tcp_sendmsg_locked", "tp_btf/sock_send_length", "tp_btf/sock_recv_length"];
/// Of every system call, which costs each of them something.
const CALLS: [&str; 3] = ["tp_btf/sys_enter", "tp_btf/sys_exit", "tp_btf/sched_process_free"];

/// What a recording asks for, and its kernel can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// System calls, whatever the sockets could tell.
    pub(super) calls: bool,
    /// Functions of libraries through links of their own (Linux 6.6): the kernel gives up a hundred of those in the time that
    /// it takes for one of the older sort.
    pub(super) links: bool,
}

/// Takes in the programs that are needed, and gives the hooks that this kernel lacks.
pub(super) fn choose(open: &mut OpenObject, wanted: Wanted) -> Vec<String> {
    let mut lacking = optional::choose(open);
    let has_sockets = !SOCKETS.iter().any(|hook| lacking.iter().any(|one| one == hook));
    // What they would have told, system calls do.
    lacking.retain(|hook| !SOCKETS.contains(&hook.as_str()));
    let by_sockets = has_sockets && !wanted.calls;
    for mut program in open.progs_mut() {
        let section = program.section().to_string_lossy().into_owned();
        if SOCKETS.contains(&section.as_str()) {
            program.set_autoload(by_sockets);
        } else if CALLS.contains(&section.as_str()) {
            program.set_autoload(!by_sockets);
        } else if wanted.links && section.starts_with("uprobe/") {
            program.set_attach_type(ProgramAttachType::TraceUprobeMulti);
        }
    }
    lacking
}
