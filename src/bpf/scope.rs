//! The object that is always loaded: it keeps children of filtered processes in scope and says what processes are
//! called.

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use super::EventHeader;
use super::bytes_of;
use super::live::Live;
use super::perf;
use super::read;
use super::settings::Settings;
use super::shared::OBJECT;
use super::shared::types;
use crate::host::clocks;

/// SCOPE_PID of bpf/shared/config.h: the process matched --pid, or descends from one that did.
pub const MATCHED_PID: u8 = 0x1;
/// SCOPE_COMM of bpf/shared/config.h: likewise --comm.
pub const MATCHED_COMM: u8 = 0x2;

/// Most users, control groups or names that a filter takes, as in bpf/shared/config.h.
pub const MAX_FILTERS: usize = 8;

/// A record of the scope's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeRecord {
    /// A process was born, or got another name.
    Process(ProcessSeen),
    /// A process began to run a program.
    Ran {
        /// Its parent.
        ppid: u32,
        /// The user who runs it.
        uid: u32,
        /// The program's path as the process gave it.
        path: Vec<u8>,
    },
}

/// What a record says about a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSeen {
    /// When, in nanoseconds of CLOCK_MONOTONIC.
    pub ts: u64,
    /// The process.
    pub pid: u32,
    /// When it was born, in nanoseconds of CLOCK_BOOTTIME: with its id it is like no other.
    pub born_ns: u64,
    /// Its parent.
    pub ppid: u32,
    /// Its user.
    pub uid: u32,
    /// Its control group.
    pub cgroup_id: u64,
    /// Its name, NUL-terminated.
    pub comm: [u8; 16],
    /// Its id in its own PID namespace.
    pub ns_pid: u32,
    /// Its id in the recorder's; 0: it is not in it.
    pub here_pid: u32,
    /// It was just forked; otherwise it got another name.
    pub is_birth: bool,
    /// Which holder of its id it is (`holder_of` in bpf/shared/config.h).
    pub holder: u16,
}

/// Loads and attaches the object; the recorder's PID namespace is given by its number and level, the object's own ring by its
/// place among the rings.
///
/// # Errors
/// When a name is too long for a process name, or the kernel refuses the object.
pub fn attach(comms: &[String], (inum, level): (u32, u32), ring: u32, settings: &Settings<'_>) -> Result<Live> {
    let mut names = types::scope_names { pid_ns_inum: inum, pid_ns_level: level, ring, ..Default::default() };
    for (to, from) in names.comms.iter_mut().zip(comms) {
        // The kernel keeps 15 bytes of a name and a NUL.
        let Some(room) = to.get_mut(..from.len()).filter(|_| from.len() < 16) else {
            bail!("no process can be named '{from}': the kernel keeps 15 bytes of a name");
        };
        room.copy_from_slice(from.as_bytes());
    }
    let settings = Settings { knobs: Some(bytes_of(&names)), ..settings.clone() };
    Live::attach(OBJECT, &settings).context("can't follow processes")
}

/// CPUs of which any may close the window: one may be taken away meanwhile, from the machine or by its host.
const CLOSERS: usize = 2;
/// The window is as long as asked for to within this, and so many attempts are made.
const LATE_NS: u64 = 100_000;
const ATTEMPTS: usize = 10;

/// Sets a timer of the kernel's that closes the window at `due_ns`.
///
/// # Errors
/// When the kernel gives none; then the window has to be closed from here.
pub fn close_at(live: &mut Live, due_ns: u64, online: &[u32]) -> Result<()> {
    let cpus = online.get(..CLOSERS).unwrap_or(online);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let before = clocks::monotonic_ns();
        let timers = perf::timers(cpus, due_ns.saturating_sub(before).max(1))?;
        // The timer runs from some moment between the two: it is late by no more than is between them.
        if clocks::monotonic_ns() - before <= LATE_NS || attempt == ATTEMPTS {
            return live.sample(timers, "the window's end".to_owned());
        }
    }
}

/// Reads one record of the object.
pub fn decode(record: &[u8]) -> Option<ScopeRecord> {
    let header: EventHeader = read(record)?;
    if u32::from(header.event) == types::scope_event::SCOPE_RAN.0 {
        let types::program_record { ppid, uid, path, .. } = read(record)?;
        let path = path.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        return Some(ScopeRecord::Ran { ppid, uid, path });
    }
    let record: types::scope_record = read(record)?;
    let EventHeader { ts, pid, event, .. } = record.header;
    Some(ScopeRecord::Process(ProcessSeen {
        ts,
        pid,
        born_ns: record.born,
        ppid: record.ppid,
        uid: record.uid,
        cgroup_id: record.cgroup_id,
        comm: record.comm,
        ns_pid: record.ns_pid,
        here_pid: record.here_pid,
        is_birth: u32::from(event) == types::scope_event::SCOPE_BORN.0,
        holder: record.header.pad as u16,
    }))
}
