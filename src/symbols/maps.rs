//! What a process has where in its memory: /proc/PID/maps.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::host::foreign;
use crate::host::processes;
use crate::host::root::Root;

/// Bytes of the text that are read: as much as 65,530 mappings, the most that a process has by default, take with long paths.
const MAX_BYTES: u64 = 16 << 20;
/// Executable mappings of a process that are kept. Large browsers have some thousand.
pub(super) const MAX_MAPPINGS: usize = 16 << 10;

/// An executable mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    /// First address.
    pub(super) start: u64,
    /// Address behind the last.
    pub(super) end: u64,
    /// Whether it can be written to.
    pub(super) is_writable: bool,
    /// The place in the file of the first address.
    pub(super) offset: u64,
    /// The device that the file is on: its major number above its minor one.
    pub(super) device: u64,
    /// The file's inode number; 0: no file.
    pub(super) inode: u64,
    /// The file, or what the kernel calls the mapping, as `[vdso]`; empty: memory without a name.
    pub(super) path: String,
}

impl Mapping {
    /// Whether it is a file's.
    pub(super) fn is_file(&self) -> bool {
        self.inode != 0 && self.path.starts_with('/')
    }

    /// Where the kernel leads to the very file that is mapped by a process, also if it was deleted. It takes `CAP_CHECKPOINT_RESTORE`.
    pub(super) fn of_kernel(&self, pid: u32) -> PathBuf {
        PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", self.start, self.end))
    }

    /// The path, without the kernel's remark that it was deleted.
    pub(super) fn file(&self) -> PathBuf {
        PathBuf::from(self.path.strip_suffix(" (deleted)").unwrap_or(&self.path))
    }
}

/// What a process has mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapped {
    /// The process's real user id.
    pub(super) uid: u32,
    /// Its executable mappings, by rising address.
    pub(super) mappings: Vec<Mapping>,
}

/// Reads the executable mappings of a process; `None` when it has gone.
pub(super) fn of_process(pid: u32) -> Option<Mapped> {
    let text = foreign::open(Path::new(&format!("/proc/{pid}/maps"))).ok()?;
    // A kernel thread has none, and neither has a process that has just ended.
    let mappings = parse(BufReader::new(text.take(MAX_BYTES)));
    if mappings.is_empty() {
        return None;
    }
    // Read last: only root can become another user, and what root mapped is then that user's.
    Some(Mapped { uid: processes::uid(&Root::system(), i32::try_from(pid).ok()?)?, mappings })
}

/// The mapping that has an address.
pub(super) fn at(mappings: &[Mapping], address: u64) -> Option<&Mapping> {
    let behind = mappings.partition_point(|mapping| mapping.start <= address);
    mappings.get(behind.checked_sub(1)?).filter(|mapping| address < mapping.end)
}

pub(super) fn parse(text: impl BufRead) -> Vec<Mapping> {
    let lines = text.split(b'\n').map_while(Result::ok);
    lines.filter_map(|bytes| line(&String::from_utf8_lossy(&bytes))).take(MAX_MAPPINGS).collect()
}

/// `7f…-7f… r-xp 00001000 fe:00 1234    /usr/lib/x.so`
fn line(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let access = words.next()?;
    if !access.contains('x') {
        return None;
    }
    let offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u64::from);
    let device = number(major)? << 32 | number(minor)?;
    let inode = words.next()?.parse().ok()?;
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        is_writable: access.contains('w'),
        offset,
        device,
        inode,
        path: words.next().unwrap_or_default().trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::at;
    use super::parse;

    const MAPS: &str = "\
55d0c0000000-55d0c0001000 r--p 00000000 fe:00 99                         /usr/bin/a b
55d0c0001000-55d0c0005000 r-xp 00001000 fe:00 99                         /usr/bin/a b
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn executable_mappings_are_found_by_address() {
        let maps = parse(MAPS.as_bytes());
        assert_eq!(maps.len(), 3);
        let found =
            at(&maps, 0x55d0_c000_1234).map(|mapping| (mapping.offset, mapping.path.as_str(), mapping.is_file()));
        assert_eq!(found, Some((0x1000, "/usr/bin/a b", true)));
        assert_eq!(at(&maps, 0x7f00_0000_0800).map(|mapping| mapping.path.as_str()), Some(""));
        assert_eq!(at(&maps, 0x7ffc_0000_0001).map(|mapping| mapping.is_file()), Some(false));
        assert_eq!(at(&maps, 0x55d0_c000_0001), None);
        assert_eq!(at(&maps, u64::MAX), None);
    }
}
