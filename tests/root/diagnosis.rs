//! Machines that are slow for a known reason: the first screen of the report names the cause and who is behind it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::common::wait_for;

/// Lines of a terminal.
const SCREEN: usize = 25;

/// The workloads of `diagnosis/slow.c`, each under a name of its own, so that the kernel calls it so.
struct Machine {
    dir: TempDir,
    running: Vec<Child>,
}

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/diagnosis/slow.c");
        let built =
            Command::new("cc").args(["-O2", "-pthread", "-o"]).arg(dir.path().join("slow")).arg(source).status();
        assert!(built.unwrap().success(), "cc could not compile {source}");
        Machine { dir, running: Vec::new() }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a workload under a name, with these words before and after.
    fn start(&mut self, before: &[&str], name: &str, words: &[&str]) -> &mut Machine {
        let program = self.place(name);
        if !program.exists() {
            std::fs::copy(self.place("slow"), &program).unwrap();
        }
        let mut line: Vec<&std::ffi::OsStr> = before.iter().map(std::ffi::OsStr::new).collect();
        line.push(program.as_os_str());
        line.extend(words.iter().map(std::ffi::OsStr::new));
        let mut command = Command::new(line[0]);
        // What the shell that runs the tests preloads is not part of the workload.
        command.args(&line[1..]).env_remove("LD_LIBRARY_PATH").stdout(Stdio::null());
        let child = command.spawn().unwrap();
        let stat = PathBuf::from(format!("/proc/{}/comm", child.id()));
        self.running.push(child);
        wait_for("the workload to begin", || (std::fs::read_to_string(&stat).ok()?.trim() == name).then_some(()));
        self
    }

    /// Records the machine for four seconds with no options, and gives the first screen of the report and all of it.
    fn report(&self) -> String {
        // In memory, so that the recording itself is not a writer on the disk.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let file = dir.path().join("run.parquet");
        let recorded = ebrec().args(["record", "-q", "-d", "4s", "-o"]).arg(&file).output().unwrap();
        assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
        text(&file)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn ebrec() -> Command {
    let mut ebrec = Command::new(env!("CARGO_BIN_EXE_ebrec"));
    ebrec.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER").env("COLUMNS", "80");
    ebrec
}

fn text(file: &Path) -> String {
    let output = ebrec().arg("report").arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The finding about a resource on the first screen, in one line; the others are of other loads that this machine may have.
fn finding(report: &str, resource: &str) -> String {
    let screen: Vec<&str> = report.lines().take(SCREEN).collect();
    assert!(screen.iter().all(|line| line.chars().count() <= 80), "wider than the terminal:\n{report}");
    let begin = screen.iter().position(|line| line.split_whitespace().next() == Some(resource));
    let begin = begin.unwrap_or_else(|| panic!("no finding about '{resource}' on the first screen:\n{report}"));
    let rest = screen[begin + 1..].iter().take_while(|line| line.starts_with("    "));
    std::iter::once(&screen[begin]).chain(rest).map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// The number before `%` that comes first after some words.
fn percent_after(text: &str, words: &str) -> f64 {
    let at = text.find(words).unwrap_or_else(|| panic!("no '{words}' in: {text}"));
    let rest = &text[at + words.len()..];
    let number = rest.split('%').next().unwrap().rsplit([' ', '(']).next().unwrap();
    number.parse().unwrap_or_else(|_| panic!("no number after '{words}' in: {text}"))
}

#[test]
#[ignore = "root: attaches probes"]
fn a_noisy_neighbour_on_the_disk_is_named_beside_its_victim() {
    let mut machine = Machine::new();
    let (journal, flood) = (machine.place("journal.dat"), machine.place("flood.dat"));
    machine.start(&[], "journald", &["journal", journal.to_str().unwrap()]);
    machine.start(&[], "noisy", &["flood", flood.to_str().unwrap()]);
    let begun = wait_for("the flood to begin, or to be refused", || {
        let ended = machine.running[1].try_wait().unwrap().is_some();
        (ended || std::fs::metadata(&flood).is_ok_and(|file| file.len() > 8 << 20)).then_some(!ended)
    });
    if !begun {
        crate::common::skip("a noisy neighbour on the disk", "this file system takes no direct I/O");
        return;
    }
    let report = machine.report();
    let disk = finding(&report, "disk");
    assert!(disk.contains("journald") && disk.contains("fsync"), "{report}");
    assert!(disk.contains("noisy") && disk.contains("filled the disk"), "{report}");
    assert!(percent_after(&disk, "storage (fsync)") > 20.0, "{report}");
    assert!(percent_after(&disk, "filled the disk:") > 30.0, "{report}");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_lock_convoy_is_named_with_the_share_that_its_threads_waited() {
    let mut machine = Machine::new();
    machine.start(&[], "convoyd", &["convoy", "16"]);
    let report = machine.report();
    let lock = finding(&report, "lock");
    assert!(lock.contains("convoyd") && lock.contains("waited for a mutex"), "{report}");
    // At any moment one of 16 has the lock and the others wait.
    let share = percent_after(&lock, "waited for a mutex");
    assert!(share > 60.0 && share <= 100.0 * 15.0 / 16.0 + 1.0, "{share}% in:\n{report}");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_service_without_cpu_is_named_beside_those_that_have_the_cpus() {
    let mut machine = Machine::new();
    machine.start(&["nice", "-n", "10"], "tickerd", &["ticker"]);
    let cpus = std::thread::available_parallelism().unwrap().get();
    for _ in 0..4 * cpus {
        machine.start(&[], "hog", &["burn"]);
    }
    let report = machine.report();
    let cpu = finding(&report, "CPU");
    assert!(cpu.contains("tickerd") && cpu.contains("waited for a CPU") && cpu.contains("p99"), "{report}");
    assert!(percent_after(&cpu, "waited for a CPU") > 50.0, "{report}");
    assert!(percent_after(&cpu, &format!("hog ({} processes) had", 4 * cpus)) > 5.0, "{report}");
}
