//! The table of mounts, from `/proc/self/mountinfo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::host::root::Root;

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number, by which `/proc/PID/fdinfo` refers to it.
    pub id: u64,
    /// The numbers of the file system's device, `254:0`.
    pub device: String,
    /// The directory of the file system that stands at the mount point; `/` unless a part of it was bound.
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The file system's type, such as `cgroup2`.
    pub fs_type: String,
}

/// Reads the mounts that this process sees, in mount order.
pub fn read(root: &Root) -> Vec<Mount> {
    parse(&root.bytes("/proc/self/mountinfo").unwrap_or_default())
}

/// Parses the text of a mountinfo file; lines that don't follow its format are left out.
///
/// Format: proc_pid_mountinfo(5).
pub fn parse(mountinfo: &[u8]) -> Vec<Mount> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let mut fields = fields.skip(1);
    let device = String::from_utf8_lossy(fields.next()?).into_owned();
    let root = path(fields.next()?);
    let point = path(fields.next()?);
    // Any number of optional fields stands before the dash.
    let fs_type = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mount { id, device, root, point, fs_type: String::from_utf8_lossy(fs_type).into_owned() })
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
fn path(escaped: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((first, tail)) = rest.split_first() {
        let octal = match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if *first == b'\\' => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(*first));
        rest = tail.get(if octal.is_some() { 3 } else { 0 }..).unwrap_or_default();
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::parse;

    #[test]
    fn a_hybrid_machine_shows_its_cgroup2_among_the_old_ones() {
        let mounts = parse(
            b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
              40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
              41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        );
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[2].fs_type, "cgroup2");
        assert_eq!(mounts[2].point, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(mounts[2].root, Path::new("/"));
    }

    #[test]
    fn optional_fields_and_bound_directories_are_understood() {
        let mounts = parse(b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:5 - ext3 /dev/root rw,errors=continue");
        assert_eq!(mounts[0].root, Path::new("/mnt1"));
        assert_eq!(mounts[0].point, Path::new("/mnt2"));
        assert_eq!(mounts[0].fs_type, "ext3");
    }

    #[test]
    fn a_mount_point_with_spaces_and_backslashes_keeps_its_name() {
        let mounts = parse(br"36 35 98:0 / /media/my\040disk\134x\011y\9 rw - ext4 /dev/sdb1 rw");
        assert_eq!(mounts[0].point, Path::new("/media/my disk\\x\ty\\9"));
    }

    #[test]
    fn lines_that_are_no_mounts_are_left_out() {
        assert_eq!(parse(b"\n36 35 98:0 / /a rw ext4 /dev/sdb1 rw\nnonsense\n36 35 98:0 / /a rw -"), []);
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
            parse(&bytes);
        }

        #[test]
        fn any_mount_point_survives_the_kernels_escapes(name in "[ -~\t\n]{0,40}") {
            let escaped: String = name
                .chars()
                .map(|c| if " \t\n\\".contains(c) { format!("\\{:03o}", u32::from(c)) } else { c.to_string() })
                .collect();
            let mounts = parse(format!("1 2 3:4 / /{escaped} rw shared:1 - ext4 none rw").as_bytes());
            assert_eq!(mounts[0].point, Path::new(&format!("/{name}")));
        }
    }
}
