//! Open files of processes, from `/proc/PID`: how many there are and may be, and what is known of each. Nothing here opens one of them,
//! nor asks its file system: that may be a network's.

use std::fs;
use std::path::Path;

use crate::host::foreign;
use crate::host::root::Root;

/// More than any file that is read here holds.
const FILE_BYTES: usize = 16 << 10;

/// How many files a process has open, and may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// How many it has.
    pub open: u64,
    /// How many it may have (RLIMIT_NOFILE, the soft limit).
    pub limit: u64,
}

/// What a process has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Calls that write; those that failed are among them.
    pub calls: u64,
    /// Bytes that they wrote.
    pub bytes: u64,
}

/// An open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Whether it is open for writing.
    pub is_written: bool,
    /// The number of the mount that it is on.
    pub mount: u64,
}

/// Tells whether a process has as many open files as it may have; `None` where it does not, or is gone.
///
/// Since Linux 6.2 the size of the directory is the number of open files, which costs one call. A process with fewer than `least` has no
/// such limit. Before, the size of its table says that it can't be at a limit, and is a multiple of 64.
pub fn at_limit(root: &Root, pid: i32, least: u64) -> Option<OpenFiles> {
    let directory = root.path(format!("/proc/{pid}/fd"));
    let known = fs::metadata(&directory).ok()?.len();
    if (1..least).contains(&known) {
        return None;
    }
    let limit = limit(&text(root, pid, "limits")?)?;
    let size = || table_size(&text(root, pid, "status")?);
    let count = || {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        Some(fs::read_dir(&directory).ok()?.take(most).count() as u64)
    };
    full(known, limit, size, count)
}

/// Decides by the number of open files, which is 0 where the kernel does not say; then by the table's size, and by counting last.
fn full(known: u64, limit: u64, size: impl Fn() -> Option<u64>, count: impl Fn() -> Option<u64>) -> Option<OpenFiles> {
    let open = match known {
        0 if size()? < limit => return None,
        0 => count()?,
        known => known,
    };
    (open >= limit).then_some(OpenFiles { open, limit })
}

/// The sockets among the first `most` open files of a process, by inode.
pub fn sockets(root: &Root, pid: i32, most: usize) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(root.path(format!("/proc/{pid}/fd"))) else { return Vec::new() };
    let links = entries.flatten().take(most).filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|target| socket(&target)).collect()
}

/// The inode of a socket, out of what its link says.
pub fn socket(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The first `most` open files of a process.
pub fn files(root: &Root, pid: i32, most: usize) -> Vec<OpenFile> {
    let names = fs::read_dir(root.path(format!("/proc/{pid}/fdinfo"))).into_iter().flatten().flatten().take(most);
    let texts = names.filter_map(|entry| read(&entry.path()));
    texts.filter_map(|text| open_file(&text)).collect()
}

/// What a process has written by calls until now; `None` where the kernel does not count it.
///
/// Source: `Documentation/filesystems/proc.rst`, `/proc/PID/io`; `vfs_write()` counts a call whether or not it wrote anything.
pub fn written(root: &Root, pid: i32) -> Option<Written> {
    parse_written(&text(root, pid, "io")?)
}

fn text(root: &Root, pid: i32, name: &str) -> Option<String> {
    read(&root.path(format!("/proc/{pid}/{name}")))
}

fn read(path: &Path) -> Option<String> {
    let bytes = foreign::read_up_to(foreign::open(path).ok()?, FILE_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The soft limit of open files, by `/proc/PID/limits`; nothing where there is none.
fn limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// How many open files the table of a process has room for, by `/proc/PID/status`.
fn table_size(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("FDSize:"))?.trim().parse().ok()
}

fn parse_written(io: &str) -> Option<Written> {
    let number = |word: &str| io.lines().find_map(|line| line.strip_prefix(word))?.trim().parse().ok();
    Some(Written { calls: number("syscw:")?, bytes: number("wchar:")? })
}

/// Reads a file of `/proc/PID/fdinfo`. The last two bits of the flags are O_WRONLY and O_RDWR on every architecture.
fn open_file(fdinfo: &str) -> Option<OpenFile> {
    let value = |word: &str| fdinfo.lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
    let flags = u64::from_str_radix(value("flags:")?, 8).ok()?;
    Some(OpenFile { is_written: flags & 3 != 0, mount: value("mnt_id:")?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::OpenFile;
    use super::Written;
    use super::files;
    use super::full;
    use super::sockets;
    use super::written;
    use crate::host::fixture::Machine;

    #[test]
    fn a_process_is_at_its_limit_with_as_many_files_as_it_may_have_and_not_with_one_less() {
        let open =
            |known, limit, size, counted| full(known, limit, || Some(size), || Some(counted)).map(|files| files.open);
        assert_eq!(open(64, 64, 0, 0), Some(64));
        assert_eq!(open(63, 64, 0, 0), None);
        // It was lowered since.
        assert_eq!(open(70, 64, 0, 0), Some(70));
        // An older kernel says how large the table is, and may have to be counted.
        assert_eq!(open(0, 64, 64, 64), Some(64));
        assert_eq!(open(0, 64, 64, 63), None);
        assert_eq!(full(0, 1024, || Some(256), || unreachable!("no need to count")), None);
    }

    #[test]
    fn the_limit_and_the_table_s_size_are_read_from_the_kernel_s_texts() {
        assert_eq!(
            super::limit("Max open files            1024                 4096                 files     \n"),
            Some(1024)
        );
        assert_eq!(
            super::limit("Max open files            unlimited            unlimited            files     \n"),
            None
        );
        assert_eq!(
            super::limit("Max processes             1024                 4096                 processes \n"),
            None
        );
        assert_eq!(super::table_size("Name:\tx\nFDSize:\t256\n"), Some(256));
    }

    #[test]
    fn sockets_are_found_among_the_first_files() {
        let machine = Machine::new();
        machine.link("/proc/7/fd/0", "/dev/null");
        machine.link("/proc/7/fd/3", "socket:[4711]");
        assert_eq!(sockets(&machine.root(), 7, 64), [4711]);
        assert_eq!(sockets(&machine.root(), 8, 64), [0u64; 0]);
        assert_eq!(super::socket(Path::new("pipe:[4711]")), None);
    }

    #[test]
    fn calls_that_write_and_their_bytes_are_told_apart() {
        let machine = Machine::with(&[("/proc/7/io", "rchar: 1\nwchar: 4096\nsyscr: 2\nsyscw: 17\nwrite_bytes: 0\n")]);
        assert_eq!(written(&machine.root(), 7), Some(Written { calls: 17, bytes: 4096 }));
        assert_eq!(written(&machine.root(), 8), None);
    }

    #[test]
    fn files_that_are_open_for_writing_are_told_from_those_that_are_only_read() {
        let machine = Machine::with(&[
            ("/proc/7/fdinfo/0", "pos:\t0\nflags:\t0100000\nmnt_id:\t25\nino:\t9\n"),
            ("/proc/7/fdinfo/1", "pos:\t512\nflags:\t0102001\nmnt_id:\t31\nino:\t12\n"),
        ]);
        let mut found = files(&machine.root(), 7, 8);
        found.sort_by_key(|file| file.mount);
        assert_eq!(found, [OpenFile { is_written: false, mount: 25 }, OpenFile { is_written: true, mount: 31 }]);
    }
}
