//! Which of the programs fit this kernel: tracepoints of sockets that say what calls moved, or the system calls themselves.

use libbpf_rs::OpenObject;

use crate::bpf::optional;

/// The sockets' own, since Linux 6.3 (commit 6e6eda44b939): nothing else that the machine does gets slower.
const SOCKETS: [&str; 2] = ["tp_btf/sock_send_length", "tp_btf/sock_recv_length"];
/// Of every system call, which costs each of them something.
const CALLS: &str = "tp_btf/sys_exit";

/// Takes in the programs that are needed, and gives the hooks that this kernel lacks.
pub(super) fn choose(open: &mut OpenObject) -> Vec<String> {
    let mut lacking = optional::choose(open);
    let has_sockets = !SOCKETS.iter().any(|hook| lacking.iter().any(|one| one == hook));
    // What they would have told, system calls do.
    lacking.retain(|hook| !SOCKETS.contains(&hook.as_str()));
    for mut program in open.progs_mut() {
        let section = program.section().to_string_lossy().into_owned();
        if SOCKETS.contains(&section.as_str()) {
            program.set_autoload(has_sockets);
        } else if section == CALLS {
            program.set_autoload(!has_sockets);
        }
    }
    lacking
}
