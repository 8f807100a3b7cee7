//! The running processes, as `/proc` shows them at one moment.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::open;
use rustix::fs::readlinkat;

use crate::host::auxv::Auxv;
use crate::host::cgroups::Cgroups;
use crate::host::clocks::ClockReading;
use crate::host::containers::Container;
use crate::host::foreign;
use crate::host::locked;
use crate::host::places;
use crate::host::process_stat::ProcessStat;
use crate::host::root::Root;

/// Bytes of a command line that are kept: as many as the probe of process starts keeps.
const ARGV_BYTES: usize = 4096;

/// More than any file of `/proc/PID` that is read here holds.
const FILE_BYTES: usize = 64 << 10;

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id; the id of its first thread.
    pub pid: i32,
    /// Its parent's id; 0 for the first processes.
    pub ppid: i32,
    /// Its id in its own PID namespace, which is another where a container is seen from outside.
    pub ns_pid: i32,
    /// The name of its first thread, as programs in the kernel see it.
    pub comm: String,
    /// The real user id.
    pub uid: u32,
    /// The number of its cgroup of version 2.
    pub cgroup_id: Option<u64>,
    /// The container that its cgroup belongs to.
    pub container: Option<Container>,
    /// The unit of systemd that it belongs to.
    pub unit: Option<String>,
    /// The UID of the pod that it belongs to.
    pub pod: Option<String>,
    /// Its arguments, the program's name first; empty for kernel threads.
    pub argv: Vec<String>,
    /// Whether the arguments go on beyond 4 KiB.
    pub argv_cut: bool,
    /// Whether the arguments could not be read, because the process holds the lock on its mappings.
    pub argv_unread: bool,
    /// The path of its executable, if this process may see it.
    pub exe: Option<String>,
    /// When it started, in nanoseconds of the boot clock; rounded down to a tick, 10 ms.
    pub start_boot_ns: u64,
    /// How many threads it has.
    pub threads: u32,
    /// Whether it is a thread of the kernel.
    pub is_kernel: bool,
}

impl Process {
    /// Returns when it started by the monotonic clock, in nanoseconds.
    ///
    /// Before 0 for a process that started before the machine slept longer than it has been awake since.
    pub fn start_mono_ns(&self, clocks: &ClockReading) -> i64 {
        i64::try_from(self.start_boot_ns).unwrap_or(i64::MAX).saturating_add(clocks.boot_to_mono_ns())
    }

    /// Sets the arguments by the bytes of its command line; `None`: they could not be read.
    fn set_arguments(&mut self, cmdline: Option<Vec<u8>>) {
        self.argv_unread = cmdline.is_none();
        let mut cmdline = cmdline.unwrap_or_default();
        self.argv_cut = cmdline.len() > ARGV_BYTES;
        cmdline.truncate(ARGV_BYTES);
        self.argv = parse_argv(&cmdline);
    }
}

/// Reads arguments of processes, as [`snapshot`] needs them.
pub fn arguments() -> locked::Reader {
    locked::Reader::new(ARGV_BYTES + 1)
}

/// Reads all processes, ascending by id; those that end meanwhile are left out.
///
/// Their arguments are read by `arguments`, which knows which processes not to wait for.
pub fn snapshot(root: &Root, auxv: Auxv, cgroups: Option<&Cgroups>, arguments: &mut locked::Reader) -> Vec<Process> {
    let mut processes = Vec::new();
    for pid in pids(root) {
        let Some((process, cmdline)) = process(root, auxv, cgroups, pid) else { continue };
        if let (Some(cmdline), Ok(pid)) = (cmdline, u32::try_from(pid)) {
            arguments.ask(processes.len(), pid, cmdline);
        }
        processes.push(process);
    }
    for (number, cmdline) in arguments.finish() {
        if let Some(process) = processes.get_mut(number) {
            process.set_arguments(cmdline);
        }
    }
    processes
}

/// Returns the ids of all processes, ascending.
pub fn pids(root: &Root) -> Vec<i32> {
    numbers(root, "/proc")
}

fn numbers(root: &Root, directory: &str) -> Vec<i32> {
    let mut numbers: Vec<i32> = root.names(directory).iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// Reads one process but for its arguments, which are in the file; `None` when it is gone.
///
/// All files are opened below one handle, so that a new process with the same id is never mixed with the old one.
fn process(root: &Root, auxv: Auxv, cgroups: Option<&Cgroups>, pid: i32) -> Option<(Process, Option<File>)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(root.path(format!("/proc/{pid}")), flags, Mode::empty()).ok()?;
    let stat = ProcessStat::parse(&read(&directory, "stat", FILE_BYTES)?)?;
    let status = read(&directory, "status", FILE_BYTES)?;
    let uid = parse_uid(&status)?;
    let cgroups_text = read(&directory, "cgroup", FILE_BYTES).unwrap_or_default();
    let cgroup = parse_cgroup(&cgroups_text, UNIFIED);
    // Where version 2 has no more than its root, systemd keeps its units in a hierarchy of version 1.
    let unit_path = cgroup.clone().filter(|path| path != "/").or_else(|| parse_cgroup(&cgroups_text, SYSTEMD));
    let process = Process {
        pid: stat.pid,
        ppid: stat.ppid,
        ns_pid: parse_ns_pid(&status).unwrap_or(stat.pid),
        comm: lossless(stat.task_comm()),
        uid,
        cgroup_id: cgroup.as_deref().and_then(|path| cgroups?.id(path)),
        container: cgroup.as_deref().and_then(Container::of_cgroup),
        unit: unit_path.as_deref().and_then(places::unit).map(str::to_owned),
        pod: unit_path.as_deref().and_then(places::pod),
        argv: Vec::new(),
        argv_cut: false,
        argv_unread: false,
        exe: readlinkat(&directory, "exe", Vec::new()).ok().map(|path| lossless(path.as_bytes())),
        start_boot_ns: ticks_to_ns(stat.start_ticks, auxv.ticks_per_second),
        threads: stat.threads,
        is_kernel: stat.is_kernel(),
    };
    Some((process, foreign::open_at(&directory, "cmdline").ok()))
}

fn read(directory: &OwnedFd, name: &str, most: usize) -> Option<Vec<u8>> {
    foreign::read_up_to(foreign::open_at(directory, name).ok()?, most).ok()
}

fn ticks_to_ns(ticks: u64, per_second: u64) -> u64 {
    ticks.saturating_mul(1_000_000_000 / per_second.max(1))
}

/// Returns the real user id of a process, or `None` when it has gone.
///
/// The owner of `/proc/PID` is not its user: it is root for a process that can't be dumped, which any process may ask for.
pub fn uid(root: &Root, pid: i32) -> Option<u32> {
    parse_uid(&root.bytes(format!("/proc/{pid}/status"))?)
}

/// Returns the real user id, the first of four.
fn parse_uid(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    str::from_utf8(line).ok()?.split_whitespace().next()?.parse().ok()
}

/// Returns the id in the innermost PID namespace, the last of them (Linux 4.1).
fn parse_ns_pid(status: &[u8]) -> Option<i32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"))?;
    str::from_utf8(line).ok()?.split_whitespace().next_back()?.parse().ok()
}

/// The controllers of the hierarchy of version 2, which has none in this list, and of systemd's own of version 1.
const UNIFIED: &[u8] = b"";
const SYSTEMD: &[u8] = b"name=systemd";

/// Returns the path of the cgroup in a hierarchy: lines have its number, its controllers and the path, which may have colons too.
fn parse_cgroup(text: &[u8], controllers: &[u8]) -> Option<String> {
    let path = text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':').skip(1);
        (fields.next()? == controllers).then(|| fields.next())?
    })?;
    let path = String::from_utf8_lossy(path);
    Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
}

/// A process that writes over its command line, as PostgreSQL's do, leaves NULs behind what it wrote: so many at its end are not arguments.
const OVERWRITTEN: usize = 8;

/// Splits a command line at its NULs; a process that wrote over its own has one argument.
fn parse_argv(cmdline: &[u8]) -> Vec<String> {
    let written = cmdline.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let cmdline =
        if cmdline.len() - written > OVERWRITTEN { cmdline.get(..written).unwrap_or(cmdline) } else { cmdline };
    let Some(text) = cmdline.strip_suffix(b"\0").or(Some(cmdline)).filter(|text| !text.is_empty()) else {
        return Vec::new();
    };
    text.split(|byte| *byte == 0).map(lossless).collect()
}

/// Returns bytes as text in which nothing is lost: what is not UTF-8 is written `\xNN`.
fn lossless(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests;
