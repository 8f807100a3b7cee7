use std::process::Command;

use super::ARGV_BYTES;
use super::Process;
use super::SYSTEMD;
use super::UNIFIED;
use super::arguments;
use super::lossless;
use super::parse_argv;
use super::parse_cgroup;
use super::pids;
use super::process;
use super::snapshot;
use crate::host::auxv::Auxv;
use crate::host::cgroups::CgroupMount;
use crate::host::cgroups::Cgroups;
use crate::host::clocks;
use crate::host::clocks::ClockReading;
use crate::host::fixture::Machine;
use crate::host::mounts;
use crate::host::root::Root;

const USUAL: Auxv = Auxv { page_size: 4096, ticks_per_second: 100 };

fn add(machine: &Machine, pid: i32, comm: &str, cgroup: &str) {
    machine.file(
        &format!("/proc/{pid}/stat"),
        format!("{pid} ({comm}) S 1 7 7 0 -1 4194560 3 7 0 8 83 27 5 3 20 0 4 0 250 46346240 37 1844 1 1 0"),
    );
    machine.file(&format!("/proc/{pid}/status"), format!("Name:\t{comm}\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n"));
    machine.file(&format!("/proc/{pid}/cgroup"), format!("4:memory:/other\n1:cpu:/\n0::{cgroup}\n"));
    machine.file(&format!("/proc/{pid}/cmdline"), "/usr/sbin/nginx\0-g\0daemon off;\0");
    machine.link(&format!("/proc/{pid}/exe"), "/usr/sbin/nginx (deleted)");
}

fn all(machine: &Machine) -> Vec<Process> {
    let mounts = mounts::parse(b"31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    let cgroups = CgroupMount::find(&machine.root(), &mounts).map(Cgroups::read);
    snapshot(&machine.root(), USUAL, cgroups.as_ref(), &mut arguments())
}

#[test]
fn everything_about_a_process_is_read() {
    let machine = Machine::new();
    machine.directory("/sys/fs/cgroup/lxc.payload.web/nginx.service");
    add(&machine, 42, "nginx: (master)", "/lxc.payload.web/nginx.service");
    let processes = all(&machine);
    let [nginx] = processes.as_slice() else { panic!("{processes:?}") };
    assert_eq!((nginx.pid, nginx.ppid, nginx.uid, nginx.threads), (42, 1, 1000, 4));
    assert_eq!(nginx.comm, "nginx: (master)");
    assert_eq!(nginx.argv, ["/usr/sbin/nginx", "-g", "daemon off;"]);
    assert_eq!(nginx.exe.as_deref(), Some("/usr/sbin/nginx (deleted)"));
    assert_eq!(nginx.start_boot_ns, 2_500_000_000);
    assert!(nginx.cgroup_id.is_some());
    assert_eq!(nginx.container.as_ref().unwrap().to_string(), "lxc:web");
    assert!(!nginx.is_kernel && !nginx.argv_cut && !nginx.argv_unread);
}

#[test]
fn processes_that_vanish_while_being_read_are_left_out() {
    let machine = Machine::new();
    machine.directory("/proc/sys");
    machine.directory("/proc/7");
    machine.file("/proc/8/stat", "");
    add(&machine, 9, "gone-before-status", "/");
    std::fs::remove_file(machine.root().path("/proc/9/status")).unwrap();
    add(&machine, 10, "here", "/");
    machine.file("/proc/uptime", "5.0 9.0\n");
    assert_eq!(pids(&machine.root()), [7, 8, 9, 10]);
    let found: Vec<i32> = all(&machine).iter().map(|process| process.pid).collect();
    assert_eq!(found, [10]);
}

#[test]
fn a_process_of_another_user_still_counts_though_its_executable_is_hidden() {
    let machine = Machine::new();
    add(&machine, 11, "secret", "/nowhere");
    std::fs::remove_file(machine.root().path("/proc/11/exe")).unwrap();
    let processes = all(&machine);
    assert_eq!(processes[0].exe, None);
    assert_eq!(processes[0].cgroup_id, None);
}

#[test]
fn a_huge_command_line_is_cut_and_says_so() {
    let machine = Machine::new();
    add(&machine, 12, "java", "/");
    machine.file("/proc/12/cmdline", "x".repeat(ARGV_BYTES + 1));
    let cut = &all(&machine)[0];
    assert!(cut.argv_cut);
    assert_eq!(cut.argv[0].len(), ARGV_BYTES);
    machine.file("/proc/12/cmdline", "x".repeat(ARGV_BYTES));
    assert!(!all(&machine)[0].argv_cut);
}

#[test]
fn empty_arguments_are_kept_and_titles_without_nul_are_one_argument() {
    assert_eq!(parse_argv(b""), Vec::<String>::new());
    assert_eq!(parse_argv(b"sh\0-c\0\0"), ["sh", "-c", ""]);
    assert_eq!(parse_argv(b"sshd: alice [priv]"), ["sshd: alice [priv]"]);
    assert_eq!(parse_argv(&[&b"postgres: walwriter "[..], &[0; 100]].concat()), ["postgres: walwriter "]);
    assert_eq!(parse_argv(b"a\xffb\0"), ["a\\xffb"]);
}

#[test]
fn bytes_that_are_no_text_are_not_lost() {
    assert_eq!(lossless("grün".as_bytes()), "grün");
    assert_eq!(lossless(b"\xc3\x28\xe2\x82"), "\\xc3(\\xe2\\x82");
}

#[test]
fn only_the_version_2_line_of_a_hybrid_machine_counts() {
    assert_eq!(parse_cgroup(b"8:pids:/a\n0::/b c/d:e\n", UNIFIED).as_deref(), Some("/b c/d:e"));
    assert_eq!(parse_cgroup(b"0::/gone.scope (deleted)\n", UNIFIED).as_deref(), Some("/gone.scope"));
    assert_eq!(parse_cgroup(b"8:pids:/a:0::/b\n", UNIFIED), None);
    let systemd = parse_cgroup(b"12:name=systemd:/system.slice/web.service\n0::/\n", SYSTEMD);
    assert_eq!(systemd.as_deref(), Some("/system.slice/web.service"));
}

#[test]
fn start_times_leave_out_the_time_the_machine_slept() {
    let machine = Machine::new();
    add(&machine, 13, "old", "/");
    let clocks = ClockReading { mono_ns: 10_000_000_000, boot_ns: 11_000_000_000, real_ns: 0, uncertainty_ns: 0 };
    assert_eq!(all(&machine)[0].start_mono_ns(&clocks), 1_500_000_000);
}

#[test]
fn this_very_process_is_found() {
    let root = Root::system();
    let own = std::process::id() as i32;
    let processes = snapshot(&root, Auxv::read(&root), None, &mut arguments());
    let me = processes.iter().find(|process| process.pid == own).unwrap();
    assert_eq!(me.exe.as_deref(), std::env::current_exe().unwrap().to_str());
    assert_eq!(me.argv, std::env::args().collect::<Vec<_>>());
    let now = clocks::read();
    assert!(me.start_mono_ns(&now) <= now.mono_ns as i64);
    assert!(now.mono_ns as i64 - me.start_mono_ns(&now) < 600_000_000_000);
}

#[test]
fn a_child_that_was_collected_is_gone() {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id() as i32;
    child.wait().unwrap();
    let root = Root::system();
    assert_eq!(process(&root, USUAL, None, pid).map(|(process, _)| process.comm).filter(|comm| comm == "true"), None);
}
