//! What the kernel says of BPF: which objects a process holds, and which exist at all.

use std::collections::BTreeSet;
use std::fs;

use libbpf_rs::query::LinkInfoIter;
use libbpf_rs::query::MapInfoIter;
use libbpf_rs::query::ProgInfoIter;

use super::wait_for;

/// BPF objects by their numbers, as `bpftool` shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links, by which programs are attached.
    pub links: BTreeSet<u32>,
}

impl Held {
    /// What a process holds, by its open files.
    pub fn by(pid: u32) -> Held {
        let mut held = Held::default();
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return held };
        for file in files.filter_map(Result::ok) {
            let info = fs::read_to_string(file.path()).unwrap_or_default();
            let number = |name: &str| {
                let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.and_then(|value| value.trim().parse::<u32>().ok())
            };
            held.programs.extend(number("prog_id"));
            held.maps.extend(number("map_id"));
            held.links.extend(number("link_id"));
        }
        held
    }

    /// Those that still exist.
    fn left(&self) -> Held {
        let programs: BTreeSet<u32> = ProgInfoIter::default().map(|info| info.id).collect();
        let maps: BTreeSet<u32> = MapInfoIter::default().map(|info| info.id).collect();
        let links: BTreeSet<u32> = LinkInfoIter::default().map(|info| info.id).collect();
        Held { programs: &self.programs & &programs, maps: &self.maps & &maps, links: &self.links & &links }
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.maps.is_empty() && self.links.is_empty()
    }

    /// Waits until none of them exists: the kernel frees maps some time after their last user has gone.
    pub fn wait_until_gone(&self) {
        assert!(!self.programs.is_empty() && !self.maps.is_empty() && !self.links.is_empty(), "{self:?}");
        wait_for("the kernel to free what was attached", || self.left().is_empty().then_some(()));
    }
}
