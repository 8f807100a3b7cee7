//! The checks of `ebrec doctor`: rules over facts, each a sentence and the command that helps.

use std::path::Path;
use std::path::PathBuf;

use crate::host::Host;
use crate::host::capabilities::Capability;
use crate::host::foundation;
use crate::host::foundation::Lack;
use crate::host::kernel::Lockdown;
use crate::host::tracefs::Tracefs;
use crate::units::bytes;

/// Free space below which a recording may not fit, in bytes.
const LITTLE_SPACE: u64 = 256 << 20;
/// Free space below which no recording is worth starting, in bytes.
const NO_SPACE: u64 = 16 << 20;
/// Locked memory that rings, maps and programs need where the kernel counts them, in bytes: twice the default buffer.
const LOCKED_MEMORY: u64 = 64 << 20;

/// How a check came out; ordered from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Recording works, with less.
    Warn,
    /// Recording doesn't work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word or two.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found and what that means, in one sentence without a full stop.
    pub found: String,
    /// What to do about it: a command, or a clause where no command helps.
    pub remedy: Option<String>,
}

/// The directory that the recording would be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputDirectory {
    /// Its path.
    pub path: PathBuf,
    /// The space that this user may still fill, in bytes; `None` when it can't be told.
    pub free_bytes: Option<u64>,
}

impl OutputDirectory {
    /// Looks at a directory.
    pub fn read(path: &Path) -> OutputDirectory {
        let free = rustix::fs::statvfs(path).ok().map(|space| space.f_bavail.saturating_mul(space.f_frsize));
        OutputDirectory { path: path.to_owned(), free_bytes: free }
    }
}

/// Returns all checks in the order in which to read them.
///
/// `program` is the path of this executable, for the commands that name it.
pub fn checks(host: &Host, program: &Path, output: &OutputDirectory) -> Vec<Check> {
    vec![
        kernel(host),
        btf(host),
        privileges(host, program),
        process_ids(host),
        lockdown(host),
        jit(host),
        tracefs(host),
        perf_events(host),
        kernel_symbols(host),
        kprobes(host),
        cycles(host),
        cgroups(host),
        locked_memory(host, program),
        clock(host),
        space(output),
        owner(host),
    ]
}

/// Returns the worst of some verdicts, which is the whole machine's.
pub fn worst(checks: &[Check]) -> Verdict {
    checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
}

fn ok(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Ok, found: found.into(), remedy: None }
}

fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Warn, found: found.into(), remedy: Some(remedy.into()) }
}

fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Fail, found: found.into(), remedy: Some(remedy.into()) }
}

fn kernel(host: &Host) -> Check {
    let release = &host.kernel.release;
    if host.kernel.at_least(5, 10) {
        return ok("kernel", format!("Linux {release} is 5.10 or newer"));
    }
    fail("kernel", format!("Linux {release} is older than 5.10, the first that ebrec supports"), "boot a newer kernel")
}

fn btf(host: &Host) -> Check {
    match foundation::lack_of_types(host) {
        None => ok("BTF", "the kernel describes its types in /sys/kernel/btf/vmlinux"),
        Some(Lack { problem, remedy }) => fail("BTF", problem, remedy),
    }
}

fn privileges(host: &Host, program: &Path) -> Check {
    let privilege = &host.privilege;
    if let Some((lack, remedy)) = privilege.lack().zip(privilege.remedy(program)) {
        return fail("privileges", lack, remedy);
    }
    if privilege.seccomp {
        return warn(
            "privileges",
            "this process has CAP_BPF and CAP_PERFMON, but a seccomp filter is on it that may still refuse bpf(2)",
            "in a container, add --cap-add SYS_ADMIN or --security-opt seccomp=unconfined if recording fails with EPERM",
        );
    }
    if !privilege.has(Capability::SysPtrace) {
        return warn(
            "privileges",
            "this process has CAP_BPF and CAP_PERFMON, but without CAP_SYS_PTRACE it can't read the maps of other users' processes for symbols",
            format!("sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep {}", program.display()),
        );
    }
    ok("privileges", "this process has CAP_BPF and CAP_PERFMON")
}

fn process_ids(host: &Host) -> Check {
    if host.privilege.namespaces.pid_is_initial == Some(false) {
        return warn(
            "process ids",
            "this is a PID namespace of its own: recordings have the machine's process ids, and no ledger, page faults or open connections of processes outside of it",
            "to see all of them, run it outside the container, or start the container with --pid=host",
        );
    }
    ok("process ids", "process ids here are the machine's own")
}

fn lockdown(host: &Host) -> Check {
    match host.kernel.lockdown {
        Lockdown::None => ok("lockdown", "the kernel is not locked down"),
        Lockdown::Integrity => ok("lockdown", "the kernel is locked down for integrity, which allows probes to read"),
        Lockdown::Confidentiality => fail(
            "lockdown",
            "the kernel is locked down for confidentiality, under which no probe may read kernel memory",
            "boot with lockdown=integrity on the kernel command line",
        ),
        Lockdown::Unknown => {
            ok("lockdown", "whether the kernel is locked down is unknown, as securityfs isn't readable")
        }
    }
}

fn jit(host: &Host) -> Check {
    match host.kernel.bpf_jit_enable {
        Some(0) => warn(
            "BPF compiler",
            "the kernel interprets BPF programs, which makes probes several times as costly",
            "sudo sysctl -w net.core.bpf_jit_enable=1",
        ),
        Some(_) => ok("BPF compiler", "the kernel compiles BPF programs to machine code"),
        None => ok("BPF compiler", "whether the kernel compiles BPF programs only root can see"),
    }
}

fn tracefs(host: &Host) -> Check {
    match &host.tracefs {
        Tracefs::Mounted(place) => ok("tracefs", format!("tracepoints are listed in {}", place.display())),
        Tracefs::Unreadable(place) => warn(
            "tracefs",
            format!("{} may not be read, so -e tracepoint:… can't look up its events", place.display()),
            "run as root, or give CAP_DAC_READ_SEARCH too",
        ),
        Tracefs::NotMounted => {
            warn("tracefs", "tracefs is not mounted, so -e tracepoint:… can't look up its events", Tracefs::MOUNT)
        }
        Tracefs::Unsupported => warn(
            "tracefs",
            "the kernel was built without tracefs, so there are no -e tracepoint:… events",
            "boot a kernel built with CONFIG_FTRACE=y",
        ),
    }
}

fn perf_events(host: &Host) -> Check {
    let Some(level) = host.kernel.perf_event_paranoid else {
        return fail(
            "perf events",
            "the kernel was built without perf events, on which sampling and tracepoints rest",
            "boot a kernel built with CONFIG_PERF_EVENTS=y",
        );
    };
    let has = |capability| host.privilege.has(capability);
    // Debian and Ubuntu add levels above 2, at which their perf_event_open asks for CAP_SYS_ADMIN itself.
    if level > 2 && has(Capability::Perfmon) && !has(Capability::SysAdmin) {
        return warn(
            "perf events",
            format!("kernel.perf_event_paranoid is {level}, at which some distributions' kernels ignore CAP_PERFMON"),
            "sudo sysctl -w kernel.perf_event_paranoid=2",
        );
    }
    if has(Capability::Perfmon) {
        return ok("perf events", format!("kernel.perf_event_paranoid is {level}, which CAP_PERFMON overrides"));
    }
    ok("perf events", format!("kernel.perf_event_paranoid is {level}, which matters only without CAP_PERFMON"))
}

fn kernel_symbols(host: &Host) -> Check {
    let has = |capability| host.privilege.has(capability);
    match host.kernel.kptr_restrict {
        Some(2..) => warn(
            "kernel symbols",
            "kernel.kptr_restrict is 2, so nobody sees kernel addresses and kernel stacks stay without names",
            "sudo sysctl -w kernel.kptr_restrict=1",
        ),
        // Without CAP_SYSLOG a low perf_event_paranoid opens them too, but only where kptr_restrict is 0.
        _ if has(Capability::Syslog) => ok("kernel symbols", "names of kernel functions can be read"),
        Some(0) if host.kernel.perf_event_paranoid.is_some_and(|level| level <= 1) => {
            ok("kernel symbols", "names of kernel functions can be read by anyone")
        }
        _ => warn(
            "kernel symbols",
            "without CAP_SYSLOG kernel addresses are hidden and kernel stacks stay without names",
            "run as root, or give CAP_SYSLOG too",
        ),
    }
}

fn kprobes(host: &Host) -> Check {
    if host.kernel.kprobes {
        return ok("kprobes", "the kernel can place kprobes");
    }
    warn(
        "kprobes",
        "the kernel was built without kprobes, so -e kprobe:…, kretprobe:… and latency of kernel functions don't work; no default probe needs them",
        "boot a kernel built with CONFIG_KPROBE_EVENTS=y if you need them",
    )
}

fn cycles(host: &Host) -> Check {
    match &host.cpus.pmu {
        Some(pmu) => ok("cycle counter", format!("the CPU counts cycles (event source '{pmu}')")),
        None => warn(
            "cycle counter",
            "there is no hardware event source, as in most VMs, so samples are taken by the kernel's timer (cpu-clock)",
            "record on bare metal, or give the VM a virtual PMU, if code with interrupts disabled matters",
        ),
    }
}

fn cgroups(host: &Host) -> Check {
    match &host.cgroups {
        Some(mount) => ok("cgroups", format!("the cgroup v2 hierarchy is at {}", mount.point.display())),
        None => warn(
            "cgroups",
            "no cgroup v2 hierarchy is mounted, so processes are recorded without their service or container",
            "sudo mkdir -p /sys/fs/cgroup/unified && sudo mount -t cgroup2 none /sys/fs/cgroup/unified",
        ),
    }
}

fn locked_memory(host: &Host, program: &Path) -> Check {
    if !host.kernel.counts_bpf_as_locked_memory() {
        return ok("locked memory", "the kernel doesn't count BPF maps against the limit of locked memory");
    }
    match host.privilege.memlock_bytes {
        None => {
            ok("locked memory", "the limit of locked memory, which this kernel counts BPF maps against, is unlimited")
        }
        Some(limit) if limit >= LOCKED_MEMORY => {
            ok("locked memory", format!("the limit of locked memory, {}, is enough for BPF maps", bytes(limit)))
        }
        Some(_) if host.privilege.has(Capability::SysResource) => {
            ok("locked memory", "the limit of locked memory is raised when recording starts")
        }
        Some(limit) => fail(
            "locked memory",
            format!(
                "this kernel counts BPF maps against the limit of locked memory, and {} is too little",
                bytes(limit)
            ),
            format!("sudo prlimit --memlock=unlimited {} record …", program.display()),
        ),
    }
}

fn clock(host: &Host) -> Check {
    let source = &host.clock_source;
    if source.current.is_empty() {
        return ok("clock", "what the clock is read from is unknown");
    }
    if !source.is_slow() {
        return ok("clock", format!("the clock is read from '{}', within the CPU", source.current));
    }
    let remedy = if source.available.iter().any(|name| name == "tsc") {
        "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"
    } else {
        "boot with tsc=reliable on the kernel command line, if the CPU's time stamp counters agree"
    };
    warn(
        "clock",
        format!(
            "the clock is read from '{}', outside the CPU, which adds about a microsecond to each event",
            source.current
        ),
        remedy,
    )
}

fn space(output: &OutputDirectory) -> Check {
    let path = output.path.display();
    let Some(free) = output.free_bytes else {
        return warn("disk space", format!("free space in '{path}' can't be read"), "write elsewhere with -o FILE");
    };
    let found = format!("{} are free in '{path}'", bytes(free));
    if free < NO_SPACE {
        return fail("disk space", found, "write elsewhere with -o FILE");
    }
    if free < LITTLE_SPACE {
        return warn("disk space", found, "write elsewhere with -o FILE, or bound it with --max-size 20MiB");
    }
    ok("disk space", found)
}

fn owner(host: &Host) -> Check {
    match &host.invoker {
        Some(user) => {
            ok("owner", format!("recordings will belong to '{}' (uid {}), who called sudo", user.name, user.uid))
        }
        None if host.privilege.euid == 0 && host.privilege.namespaces.user_is_initial != Some(false) => {
            ok("owner", "recordings will belong to root, as nobody called sudo")
        }
        None => ok("owner", "recordings will belong to you"),
    }
}

#[cfg(test)]
mod tests;
