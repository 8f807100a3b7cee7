//! What this process's namespaces hide: the machine's ids of processes, and the depth of its control group.

use std::io::Read;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use libbpf_rs::Iter;
use libbpf_rs::Link;
use libbpf_rs::Object;
use libbpf_rs::ObjectBuilder;

use super::kernel_types;
use super::log;
use super::object::object;
use super::read;

object! {
    name: "pids",
    cells: 0,
    // SAFETY: integers only, as bpf/pids/pids.bpf.c declares it.
    unsafe plain: pid_line,
}

/// A process in both namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The machine's id.
    pub machine: u32,
    /// This namespace's.
    pub here: u32,
    /// How many PID namespaces are above this one.
    pub level: u32,
    /// How deep in the machine's hierarchy this process's control group is; the root's depth is 0.
    pub cgroup_level: u32,
}

/// The loaded program.
#[derive(Debug)]
pub struct Pids {
    // Goes before the object that it is a part of.
    link: Link,
    _object: Object,
}

impl Pids {
    /// Loads it.
    ///
    /// # Errors
    /// One sentence: what the kernel refused.
    pub fn load() -> Result<Pids> {
        log::take();
        let refused = |error| anyhow!(log::reason(&log::take(), &error));
        let mut builder = ObjectBuilder::default();
        if let Some(types) = kernel_types::cut() {
            builder.btf_custom_path(types)?;
        }
        let object = builder.open_memory(OBJECT.object).and_then(libbpf_rs::OpenObject::load).map_err(refused)?;
        let link = object.progs_mut().next().context("the object 'pids' has no program")?.attach().map_err(refused)?;
        Ok(Pids { link, _object: object })
    }

    /// Every process of this namespace and of those below it.
    ///
    /// # Errors
    /// When the kernel refuses to run the program.
    pub fn read(&self) -> Result<Vec<Pair>> {
        let mut lines = Vec::new();
        let failed = "can't read the ids of processes";
        Iter::new(&self.link).context(failed)?.read_to_end(&mut lines).context(failed)?;
        let lines = lines.chunks_exact(size_of::<types::pid_line>()).filter_map(read::<types::pid_line>);
        let pair = |line: types::pid_line| Pair {
            machine: line.machine,
            here: line.here,
            level: line.level,
            cgroup_level: line.cgroup_level,
        };
        Ok(lines.map(pair).collect())
    }
}
