//! What a probe's object is told, from the recording's scope and the probe's settings.

use anyhow::Result;

use crate::bpf::live::Live;
use crate::bpf::scope;
use crate::bpf::settings::ScopeSettings;
use crate::bpf::settings::Settings;
use crate::bpf::settings::Stream;
use crate::probe::Mode;
use crate::probe::Scope;
use crate::probe::attached::Setup;

/// Attaches the object that keeps the scope and the names of processes; `pid_namespace` is the number and level of the recorder's,
/// `ring` the place of the object's own ring.
///
/// # Errors
/// When the kernel refuses it: then nothing can be recorded.
pub fn attach_scope(setup: &Setup<'_>, pid_namespace: (u32, u32), (ring, ring_bytes): (u32, u64)) -> Result<Live> {
    let cgroups = cgroup_numbers(setup.scope);
    // Its ring is smaller than the others, and wakes the reader when half of that is full.
    let settings = Settings { ring_bytes, ..object_settings(setup, &cgroups) };
    scope::attach(&setup.scope.comms, pid_namespace, ring, &settings)
}

/// The control groups in scope: number and depth.
pub(super) fn cgroup_numbers(scope: &Scope) -> Vec<(u64, u32)> {
    scope.cgroups.iter().map(|cgroup| (cgroup.id, cgroup.level)).collect()
}

/// The filters that a process has to have matched, or descend from one that did.
pub fn task_filters(scope: &Scope) -> u8 {
    let pid = if scope.pids.is_empty() { 0 } else { scope::MATCHED_PID };
    let comm = if scope.comms.is_empty() { 0 } else { scope::MATCHED_COMM };
    pid | comm
}

/// What the programs are told; `cgroups` are [`cgroup_numbers`].
pub(super) fn object_settings<'a>(setup: &Setup<'a>, cgroups: &'a [(u64, u32)]) -> Settings<'a> {
    let version = setup.host.kernel.version;
    Settings {
        scope: ScopeSettings {
            own_pid: setup.own_pid,
            task_filters: task_filters(setup.scope),
            follow: setup.scope.follow,
            comms: setup.scope.comms.len() as u8,
            uids: &setup.scope.uids,
            cgroups,
        },
        index: setup.index,
        stream: match setup.settings.mode {
            Mode::Hist => Stream::None,
            Mode::Slow => Stream::Slow,
            Mode::Raw => Stream::All,
        },
        slow_ns: setup.settings.slow_ns,
        kernel: (version.major, version.minor),
        possible_cpus: setup.host.cpus.slots() as u32,
        epoch: setup.epoch,
        rings: setup.rings,
        ring_bytes: setup.ring_bytes,
        scope_tasks: setup.scope_tasks,
        stacks: setup.stacks,
        unwind: setup.unwind,
        knobs: None,
    }
}
