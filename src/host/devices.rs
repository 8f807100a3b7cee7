//! Block devices by number.

use std::collections::HashMap;

use crate::host::root::Root;

/// Bits of the minor number in the kernel's own device numbers (`MINORBITS` in `include/linux/kdev_t.h`).
const MINOR_BITS: u32 = 20;

/// The names of block devices; each is looked up once, when it is first asked for.
#[derive(Debug)]
pub struct BlockDevices {
    root: Root,
    names: HashMap<u32, String>,
}

impl BlockDevices {
    /// Returns the block devices of a machine.
    pub fn new(root: &Root) -> BlockDevices {
        BlockDevices { root: root.clone(), names: HashMap::new() }
    }

    /// Returns the name of a device such as `sda`, `nvme0n1p2` or `dm-0`, given the kernel's `dev_t`; a device without a
    /// name is called by its numbers, `254:3`.
    pub fn name(&mut self, dev: u32) -> &str {
        let root = &self.root;
        self.names.entry(dev).or_insert_with(|| look_up(root, dev))
    }
}

/// Splits the kernel's `dev_t` into major and minor number.
pub fn split(dev: u32) -> (u32, u32) {
    (dev >> MINOR_BITS, dev & ((1 << MINOR_BITS) - 1))
}

/// Returns the block devices that stand on others, as device mapper and RAID do, by the kernel's `dev_t`.
pub fn stacked(root: &Root) -> Vec<u32> {
    let disks = root.names("/sys/block").into_iter();
    let stand = disks.filter(|disk| !root.names(format!("/sys/block/{disk}/slaves")).is_empty());
    stand.filter_map(|disk| number(&root.text(format!("/sys/block/{disk}/dev"))?)).collect()
}

/// The kernel's `dev_t` out of `254:3`.
fn number(text: &str) -> Option<u32> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(major.parse::<u32>().ok()? << MINOR_BITS | minor.parse::<u32>().ok()?)
}

fn look_up(root: &Root, dev: u32) -> String {
    let (major, minor) = split(dev);
    let from_sysfs = || {
        let target = root.link(format!("/sys/dev/block/{major}:{minor}"))?;
        // Names with a slash, such as cciss/c0d0, carry an exclamation mark in sysfs.
        Some(target.file_name()?.to_string_lossy().replace('!', "/"))
    };
    let from_proc = || in_partitions(&root.text("/proc/partitions")?, major, minor);
    from_sysfs().or_else(from_proc).unwrap_or_else(|| format!("{major}:{minor}"))
}

fn in_partitions(partitions: &str, major: u32, minor: u32) -> Option<String> {
    partitions.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let numbers = (fields.next()?.parse(), fields.next()?.parse());
        (numbers == (Ok(major), Ok(minor))).then(|| fields.nth(1).map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::BlockDevices;
    use super::split;
    use super::stacked;
    use crate::host::fixture::Machine;

    fn dev(major: u32, minor: u32) -> u32 {
        major << 20 | minor
    }

    #[test]
    fn device_numbers_split_as_the_kernel_packs_them() {
        assert_eq!(split(dev(8, 1)), (8, 1));
        assert_eq!(split(0x0FE0_0000), (254, 0));
        assert_eq!(split(dev(259, 0xF_FFFF)), (259, 0xF_FFFF));
    }

    #[test]
    fn sysfs_names_disks_and_partitions() {
        let machine = Machine::new();
        machine.link("/sys/dev/block/254:0", "../../devices/virtio-mmio/virtio1/block/vda");
        machine.link("/sys/dev/block/259:2", "../../devices/pci0000:00/nvme/nvme0/nvme0n1/nvme0n1p2");
        machine.link("/sys/dev/block/104:0", "../../devices/pci0000:00/cciss0/block/cciss!c0d0");
        let mut devices = BlockDevices::new(&machine.root());
        assert_eq!(devices.name(dev(254, 0)), "vda");
        assert_eq!(devices.name(dev(259, 2)), "nvme0n1p2");
        assert_eq!(devices.name(dev(104, 0)), "cciss/c0d0");
    }

    #[test]
    fn a_disk_with_slaves_stands_on_others() {
        let machine = Machine::new();
        machine.file("/sys/block/dm-0/slaves/sda2/dev", "8:2\n");
        machine.file("/sys/block/dm-0/dev", "253:0\n");
        machine.file("/sys/block/zram0/dev", "254:3\n");
        machine.directory("/sys/block/zram0/slaves");
        assert_eq!(stacked(&machine.root()), [253 << 20]);
    }

    #[test]
    fn without_sysfs_the_table_of_partitions_serves() {
        let machine = Machine::with(&[(
            "/proc/partitions",
            "major minor  #blocks  name\n\n 254        0  268435456 vda\n 254        1  1024 vda1\n",
        )]);
        let mut devices = BlockDevices::new(&machine.root());
        assert_eq!(devices.name(dev(254, 1)), "vda1");
        assert_eq!(devices.name(dev(254, 2)), "254:2");
    }

    #[test]
    fn a_device_that_went_away_keeps_the_name_it_had() {
        let machine = Machine::new();
        machine.file("/proc/partitions", " 8 0 1 sda\n");
        let mut devices = BlockDevices::new(&machine.root());
        assert_eq!(devices.name(dev(8, 0)), "sda");
        machine.file("/proc/partitions", "");
        assert_eq!(devices.name(dev(8, 0)), "sda");
    }
}
