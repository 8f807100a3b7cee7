//! The memory that the control group of this process may use.

use std::path::Path;
use std::path::PathBuf;

use crate::host::mounts::Mount;
use crate::host::root::Root;

/// The lowest limit of this process's control group and those above it, in bytes; `None` when there is none or it can't be read.
///
/// Sources: `memory.max` in cgroup-v2.rst, `memory.limit_in_bytes` of version 1 in cgroup-v1/memory.rst.
pub fn read(root: &Root, mounts: &[Mount]) -> Option<u64> {
    let groups = root.text("/proc/self/cgroup")?;
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (kind, file) = match controllers {
            "" => ("cgroup2", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => ("cgroup", "memory.limit_in_bytes"),
            _ => return None,
        };
        let mount = mounts.iter().find(|mount| mount.fs_type == kind && (kind == "cgroup2" || is_of_memory(mount)))?;
        lowest(root, mount, Path::new(path), file)
    });
    limits.min()
}

/// Hierarchies of version 1 are mounted under the names of their controllers.
fn is_of_memory(mount: &Mount) -> bool {
    let name = mount.point.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.split(',').any(|controller| controller == "memory")
}

fn lowest(root: &Root, mount: &Mount, group: &Path, file: &str) -> Option<u64> {
    let below = group.strip_prefix(&mount.root).or_else(|_| group.strip_prefix("/")).ok()?;
    let directories = below.ancestors().map(|part| -> PathBuf { mount.point.join(part) });
    // "max" is not a number, and version 1 says "none" by the largest there is.
    let limits = directories.filter_map(|directory| root.text(directory.join(file))?.parse::<u64>().ok());
    limits.filter(|limit| *limit < 1 << 62).min()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::read;
    use crate::host::fixture::Machine;
    use crate::host::mounts::Mount;

    fn mount(fs_type: &str, root: &str, point: &str) -> Mount {
        let [root, point] = [root, point].map(PathBuf::from);
        Mount { id: 1, device: "0:1".to_owned(), root, point, fs_type: fs_type.to_owned() }
    }

    #[test]
    fn the_lowest_limit_above_this_process_counts() {
        let machine = Machine::with(&[
            ("/proc/self/cgroup", "0::/a/b\n"),
            ("/sys/fs/cgroup/a/memory.max", "83886080\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
        ]);
        assert_eq!(read(&machine.root(), &[mount("cgroup2", "/", "/sys/fs/cgroup")]), Some(80 << 20));
    }

    #[test]
    fn version_1_has_a_hierarchy_of_its_own_for_memory_and_containers_see_a_part_of_it() {
        let machine = Machine::with(&[
            ("/proc/self/cgroup", "5:cpu:/docker/x\n4:memory:/docker/x\n0::/\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "41943040\n"),
        ]);
        let mounts =
            [mount("cgroup", "/", "/sys/fs/cgroup/cpu"), mount("cgroup", "/docker/x", "/sys/fs/cgroup/memory")];
        assert_eq!(read(&machine.root(), &mounts), Some(40 << 20));
    }

    #[test]
    fn no_limit_is_none() {
        let machine = Machine::with(&[
            ("/proc/self/cgroup", "4:memory:/x\n0::/\n"),
            ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(read(&machine.root(), &[mount("cgroup", "/", "/sys/fs/cgroup/memory")]), None);
        assert_eq!(read(&Machine::new().root(), &[]), None);
    }
}
