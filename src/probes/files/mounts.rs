//! Where file systems are mounted, by the kernel's device number.

use std::collections::HashMap;

use crate::host::devices::split;
use crate::host::mounts;
use crate::host::mounts::Mount;
use crate::host::root::Root;

/// The mounts that this process sees; read when a device is not among those known, at most once per interval.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    points: HashMap<String, String>,
    names: HashMap<u32, String>,
    looked: bool,
}

impl Mounts {
    /// Where the file system of a device is mounted, or the device's numbers.
    pub(super) fn name(&mut self, dev: u32) -> &str {
        let (major, minor) = split(dev);
        let numbers = format!("{major}:{minor}");
        if !self.looked && !self.points.contains_key(&numbers) {
            self.looked = true;
            self.points = points(mounts::read(&Root::system()));
        }
        let name = self.points.get(&numbers).cloned().unwrap_or(numbers);
        let known = self.names.entry(dev).or_default();
        *known = name;
        known
    }

    /// A new interval has begun: a device that is not known may have been mounted since.
    pub(super) fn look_again(&mut self) {
        self.looked = false;
    }
}

/// One point for each device: of the whole file system rather than of a part that is bound elsewhere, then the shortest.
fn points(mounts: Vec<Mount>) -> HashMap<String, String> {
    let mut best: HashMap<String, (bool, usize, String)> = HashMap::new();
    for mount in mounts {
        let point = mount.point.to_string_lossy().into_owned();
        let candidate = (mount.root.as_os_str() != "/", point.len(), point);
        let known = best.entry(mount.device).or_insert_with(|| candidate.clone());
        if candidate < *known {
            *known = candidate;
        }
    }
    best.into_iter().map(|(device, (_, _, point))| (device, point)).collect()
}

#[cfg(test)]
mod tests {
    use super::mounts;
    use super::points;

    #[test]
    fn a_device_is_called_by_the_mount_of_its_whole_file_system() {
        let table = b"30 1 254:0 /data /srv rw - ext4 /dev/vda rw\n\
                      31 1 254:0 / / rw - ext4 /dev/vda rw\n\
                      32 1 254:0 / /mnt rw - ext4 /dev/vda rw\n\
                      33 1 0:24 / /run rw - tmpfs tmpfs rw\n";
        let points = points(mounts::parse(table));
        assert_eq!(points["254:0"], "/");
        assert_eq!(points["0:24"], "/run");
    }
}
