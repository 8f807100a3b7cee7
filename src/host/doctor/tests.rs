use std::path::Path;
use std::path::PathBuf;

use super::Check;
use super::OutputDirectory;
use super::Verdict;
use super::checks;
use super::worst;
use crate::host::Host;
use crate::host::fixture::Machine;

/// A machine on which everything is as it should be: a current server, seen by root through sudo.
fn healthy() -> Machine {
    let machine = Machine::with(&[
        ("/proc/sys/kernel/osrelease", "6.12.48-amd64\n"),
        ("/proc/sys/kernel/perf_event_paranoid", "2\n"),
        ("/proc/sys/kernel/kptr_restrict", "0\n"),
        ("/proc/sys/net/core/bpf_jit_enable", "1\n"),
        ("/sys/kernel/btf/vmlinux", ""),
        ("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n"),
        ("/sys/bus/event_source/devices/kprobe/type", "8\n"),
        ("/sys/bus/event_source/devices/cpu/type", "4\n"),
        ("/sys/kernel/tracing/events/sched/sched_switch/id", "310\n"),
        ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
        ("/proc/self/limits", "Max locked memory         65536                65536                bytes\n"),
        ("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n"),
        (
            "/proc/self/mountinfo",
            "30 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n31 23 0:12 / /sys/kernel/tracing rw - tracefs tracefs rw\n",
        ),
    ]);
    with_capabilities(&machine, 0, "000001ffffffffff");
    machine.link("/proc/self/ns/user", "user:[4026531837]");
    machine.link("/proc/self/ns/pid", "pid:[4026531836]");
    machine
}

fn with_capabilities(machine: &Machine, uid: u32, set: &str) {
    machine.file("/proc/self/status", format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapEff:\t{set}\nSeccomp:\t0\n"));
}

fn all(machine: &Machine) -> Vec<Check> {
    let host = Host::read(&machine.root(), |name| match name {
        "SUDO_UID" | "SUDO_GID" => Some("1000".to_owned()),
        _ => None,
    });
    let output = OutputDirectory { path: PathBuf::from("/home/alice"), free_bytes: Some(40 << 30) };
    checks(&host, Path::new("/usr/bin/ebrec"), &output)
}

fn check(machine: &Machine, name: &str) -> Check {
    all(machine).into_iter().find(|check| check.name == name).unwrap()
}

/// Changes one thing on the healthy machine; everything else must stay as it was.
fn after(change: impl FnOnce(&Machine), name: &str) -> Check {
    let machine = healthy();
    change(&machine);
    let changed = check(&machine, name);
    let others: Vec<Check> = all(&machine).into_iter().filter(|check| check.name != name).collect();
    assert_eq!(worst(&others), Verdict::Ok, "{others:#?}");
    changed
}

fn assert_outcome(check: &Check, verdict: Verdict, found: &str, remedy: &str) {
    assert_eq!(check.verdict, verdict, "{check:?}");
    assert!(check.found.contains(found), "{check:?}");
    assert!(check.remedy.as_deref().unwrap().contains(remedy), "{check:?}");
}

#[test]
fn a_healthy_machine_has_nothing_to_remedy() {
    let checks = all(&healthy());
    assert_eq!(worst(&checks), Verdict::Ok, "{checks:#?}");
    assert!(checks.iter().all(|check| check.remedy.is_none()));
    let owner = check(&healthy(), "owner");
    assert_eq!(owner.found, "recordings will belong to 'alice' (uid 1000), who called sudo");
}

#[test]
fn every_problem_comes_with_a_remedy_and_no_check_is_named_twice() {
    let checks = all(&Machine::new());
    let mut names: Vec<&str> = checks.iter().map(|check| check.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), checks.len());
    for check in checks {
        assert_eq!(check.verdict == Verdict::Ok, check.remedy.is_none(), "{check:?}");
        assert!(!check.found.ends_with('.') && !check.found.contains('\n'), "{check:?}");
    }
}

#[test]
fn an_old_kernel_cannot_record() {
    let kernel = after(|m| m.file("/proc/sys/kernel/osrelease", "5.15.0-1\n"), "kernel");
    assert_eq!(kernel.verdict, Verdict::Ok);
    let kernel = after(
        |m| {
            m.file("/proc/sys/kernel/osrelease", "5.4.0-216-generic\n");
            m.file("/proc/self/limits", "Max locked memory unlimited unlimited bytes\n");
        },
        "kernel",
    );
    assert_outcome(&kernel, Verdict::Fail, "5.4.0-216-generic is older than 5.10", "newer kernel");
}

#[test]
fn a_kernel_without_btf_cannot_record() {
    let btf = after(|m| std::fs::remove_file(m.root().path("/sys/kernel/btf/vmlinux")).unwrap(), "BTF");
    assert_outcome(&btf, Verdict::Fail, "is missing", "CONFIG_DEBUG_INFO_BTF=y");
}

#[test]
fn a_plain_user_is_told_how_to_get_the_capabilities() {
    let machine = healthy();
    with_capabilities(&machine, 1000, "0000000000000000");
    let privileges = check(&machine, "privileges");
    assert_outcome(
        &privileges,
        Verdict::Fail,
        "CAP_BPF and CAP_PERFMON",
        "sudo setcap cap_bpf,cap_perfmon+ep /usr/bin/ebrec",
    );
    assert_eq!(check(&machine, "owner").found, "recordings will belong to you");
}

#[test]
fn root_of_a_user_namespace_can_do_nothing_and_owns_nothing_as_root() {
    let machine = healthy();
    std::fs::remove_file(machine.root().path("/proc/self/ns/user")).unwrap();
    machine.link("/proc/self/ns/user", "user:[4026532400]");
    std::fs::remove_file(machine.root().path("/etc/passwd")).unwrap();
    let host = Host::read(&machine.root(), |_| None);
    let output = OutputDirectory { path: PathBuf::from("."), free_bytes: None };
    let checks = checks(&host, Path::new("ebrec"), &output);
    let found = |name| checks.iter().find(|check| check.name == name).unwrap();
    assert_outcome(found("privileges"), Verdict::Fail, "user namespace", "outside the container");
    assert_eq!(found("owner").found, "recordings will belong to you");
}

#[test]
fn the_two_capabilities_suffice_but_leave_symbols_of_others_out() {
    let machine = healthy();
    with_capabilities(&machine, 1000, "000000c000000000");
    assert_outcome(&check(&machine, "privileges"), Verdict::Warn, "CAP_SYS_PTRACE", "cap_sys_ptrace");
    assert_outcome(&check(&machine, "kernel symbols"), Verdict::Warn, "CAP_SYSLOG", "root");
}

#[test]
fn a_container_with_its_own_process_ids_is_warned_that_names_will_be_missing() {
    let ids = after(
        |m| {
            std::fs::remove_file(m.root().path("/proc/self/ns/pid")).unwrap();
            m.link("/proc/self/ns/pid", "pid:[4026532451]");
        },
        "process ids",
    );
    assert_outcome(&ids, Verdict::Warn, "PID namespace", "--pid=host");
}

#[test]
fn integrity_lockdown_records_and_confidentiality_does_not() {
    let file = "/sys/kernel/security/lockdown";
    let integrity = after(|m| m.file(file, "none [integrity] confidentiality\n"), "lockdown");
    assert_eq!(integrity.verdict, Verdict::Ok);
    let confidentiality = after(|m| m.file(file, "none integrity [confidentiality]\n"), "lockdown");
    assert_outcome(&confidentiality, Verdict::Fail, "confidentiality", "lockdown=integrity");
}

#[test]
fn an_unmounted_tracefs_comes_with_the_mount_command() {
    let tracefs =
        after(|m| m.file("/proc/self/mountinfo", "30 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), "tracefs");
    assert_outcome(&tracefs, Verdict::Warn, "not mounted", "sudo mount -t tracefs nodev /sys/kernel/tracing");
}

#[test]
fn debians_third_level_of_paranoia_ignores_file_capabilities() {
    let paranoid = |machine: &Machine| machine.file("/proc/sys/kernel/perf_event_paranoid", "3\n");
    assert_eq!(after(paranoid, "perf events").verdict, Verdict::Ok);
    let machine = healthy();
    paranoid(&machine);
    with_capabilities(&machine, 1000, "000000c000000000");
    assert_outcome(&check(&machine, "perf events"), Verdict::Warn, "is 3", "kernel.perf_event_paranoid=2");
}

#[test]
fn hidden_kernel_addresses_cost_names_in_stacks() {
    let symbols = after(|m| m.file("/proc/sys/kernel/kptr_restrict", "2\n"), "kernel symbols");
    assert_outcome(&symbols, Verdict::Warn, "kptr_restrict is 2", "kernel.kptr_restrict=1");
}

#[test]
fn a_vm_kernel_without_kprobes_or_pmu_still_records() {
    let remove = |m: &Machine, device: &str| {
        std::fs::remove_dir_all(m.root().path(format!("/sys/bus/event_source/devices/{device}"))).unwrap();
    };
    assert_outcome(&after(|m| remove(m, "kprobe"), "kprobes"), Verdict::Warn, "no default probe", "KPROBE");
    assert_outcome(&after(|m| remove(m, "cpu"), "cycle counter"), Verdict::Warn, "cpu-clock", "PMU");
}

#[test]
fn only_kernels_before_5_11_care_about_locked_memory() {
    assert_eq!(check(&healthy(), "locked memory").verdict, Verdict::Ok);
    let old = healthy();
    old.file("/proc/sys/kernel/osrelease", "5.10.0-35-amd64\n");
    assert_eq!(check(&old, "locked memory").found, "the limit of locked memory is raised when recording starts");
    with_capabilities(&old, 0, "000001fffeffffff");
    assert_outcome(
        &check(&old, "locked memory"),
        Verdict::Fail,
        "64.0 KiB is too little",
        "prlimit --memlock=unlimited",
    );
    old.file("/proc/self/limits", "Max locked memory         unlimited            unlimited            bytes\n");
    assert_eq!(check(&old, "locked memory").verdict, Verdict::Ok);
}

#[test]
fn a_slow_clock_is_named_with_the_way_back_to_the_fast_one() {
    let directory = "/sys/devices/system/clocksource/clocksource0";
    let clock = after(|m| m.file(&format!("{directory}/current_clocksource"), "hpet\n"), "clock");
    assert_outcome(&clock, Verdict::Warn, "'hpet'", "tsc=reliable");
    let clock = after(
        |m| {
            m.file(&format!("{directory}/current_clocksource"), "acpi_pm\n");
            m.file(&format!("{directory}/available_clocksource"), "tsc acpi_pm\n");
        },
        "clock",
    );
    assert_outcome(&clock, Verdict::Warn, "'acpi_pm'", "echo tsc | sudo tee");
}

#[test]
fn an_interpreted_bpf_is_warned_about() {
    let jit = after(|m| m.file("/proc/sys/net/core/bpf_jit_enable", "0\n"), "BPF compiler");
    assert_outcome(&jit, Verdict::Warn, "interprets", "net.core.bpf_jit_enable=1");
}

#[test]
fn a_full_disk_fails_before_anything_is_recorded() {
    let host = Host::read(&healthy().root(), |_| None);
    let space = |free_bytes| {
        let output = OutputDirectory { path: PathBuf::from("/tmp"), free_bytes };
        checks(&host, Path::new("ebrec"), &output).into_iter().find(|check| check.name == "disk space").unwrap()
    };
    assert_eq!(space(Some(1 << 40)).verdict, Verdict::Ok);
    assert_outcome(&space(Some(100 << 20)), Verdict::Warn, "'/tmp'", "--max-size");
    assert_outcome(&space(Some(0)), Verdict::Fail, "'/tmp'", "-o FILE");
    assert_outcome(&space(None), Verdict::Warn, "can't be read", "-o FILE");
}

#[test]
fn this_machine_is_checked_without_privileges_and_without_panic() {
    let host = Host::this();
    let output = OutputDirectory::read(Path::new("."));
    assert!(output.free_bytes.is_some());
    assert!(!checks(&host, Path::new("ebrec"), &output).is_empty());
    assert_eq!(OutputDirectory::read(Path::new("/does/not/exist")).free_bytes, None);
}
