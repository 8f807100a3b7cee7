//! What `/proc` says of threads that are blocked and of their files. Nothing here asks a file system, which may be what blocks them.

use std::path::Path;

use crate::host::foreign;

/// More than a stack of 64 functions takes, and the facts about a descriptor.
const FILE_BYTES: usize = 8 << 10;
/// Functions that are kept, from the innermost out.
const MOST_FUNCTIONS: usize = 12;

/// The functions of the kernel in which a thread sleeps, the innermost first, joined by semicolons; `None` where the kernel shows none.
///
/// Source: proc_pid_stack(5); needs CONFIG_STACKTRACE.
pub(super) fn inside(pid: u32, tid: u32) -> Option<String> {
    functions(&read(&format!("/proc/{pid}/task/{tid}/stack"))?)
}

/// The inode behind a descriptor, by `/proc/PID/fdinfo` (Linux 5.14); `None` where the kernel does not say.
pub(super) fn inode(pid: u32, fd: u32) -> Option<u64> {
    parse_inode(&read(&format!("/proc/{pid}/fdinfo/{fd}"))?)
}

fn read(path: &str) -> Option<String> {
    let bytes = foreign::read_up_to(foreign::open(Path::new(path)).ok()?, FILE_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Lines are `[<0>] fuse_wait+0x51/0xe0 [fuse]`.
fn functions(stack: &str) -> Option<String> {
    let function = |line: &'_ str| Some(line.split_once("] ")?.1.split(['+', ' ']).next()?.to_owned());
    let functions: Vec<String> = stack.lines().filter_map(function).take(MOST_FUNCTIONS).collect();
    (!functions.is_empty()).then(|| functions.join(";"))
}

fn parse_inode(fdinfo: &str) -> Option<u64> {
    fdinfo.lines().find_map(|line| line.strip_prefix("ino:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::functions;
    use super::parse_inode;

    #[test]
    fn a_stack_is_its_functions_without_addresses_and_modules() {
        let stack = "[<0>] request_wait_answer+0xb1/0x150 [fuse]\n[<0>] vfs_read+0xbb/0x3d0\n[<0>] ksys_read\n";
        assert_eq!(functions(stack).as_deref(), Some("request_wait_answer;vfs_read;ksys_read"));
        assert_eq!(functions(""), None);
    }

    #[test]
    fn the_inode_of_a_descriptor_is_read_from_its_facts() {
        assert_eq!(parse_inode("pos:\t0\nflags:\t0100001\nmnt_id:\t25\nino:\t4711\n"), Some(4711));
        assert_eq!(parse_inode("pos:\t0\nflags:\t02\n"), None);
    }
}
