//! The program whose functions the tests of events know, and what they ask of a recording.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::skip;

/// A program of this directory, compiled.
pub struct Target {
    dir: TempDir,
}

impl Target {
    /// Compiles `target.c`.
    pub fn build() -> Target {
        Target::compiled("cc", "target.c")
    }

    /// Compiles a source of this directory.
    pub fn compiled(compiler: &str, source: &str) -> Target {
        let target = Target { dir: tempfile::tempdir().unwrap() };
        let source = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/events")).join(source);
        let options = ["-O1", "-pthread", "-foptimize-sibling-calls", "-fcf-protection=none", "-o"];
        let status = Command::new(compiler).args(options).arg(target.path()).arg(&source).status().unwrap();
        assert!(status.success(), "{compiler} could not compile {}", source.display());
        target
    }

    /// Its directory, which goes with it.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The program.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("target")
    }

    /// What a program of the binutils prints about it.
    fn told(&self, program: &str, options: &[&str]) -> String {
        let output =
            Command::new(program).args(options).arg(self.path()).env_remove("LD_LIBRARY_PATH").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Where a function is, by nm(1).
    pub fn address_of(&self, function: &str) -> u64 {
        let text = self.told("nm", &[]);
        let line = text.lines().find(|line| line.ends_with(&format!(" {function}"))).unwrap();
        u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
    }

    /// How far into a function its nop of five bytes is, by objdump(1).
    pub fn nop_of(&self, function: &str) -> u64 {
        let text = self.told("objdump", &["-d", "--no-show-raw-insn", &format!("--disassemble={function}")]);
        let line = text.lines().find(|line| line.contains("nopl   0x0(%rax,%rax,1)")).unwrap();
        let address = u64::from_str_radix(line.split(':').next().unwrap().trim(), 16).unwrap();
        address - self.address_of(function)
    }

    /// Takes its symbols away.
    pub fn strip(&self) {
        self.told("strip", &["-s"]);
    }

    /// Runs it; the numbers that it prints.
    pub fn run(&self, arguments: &str) -> Vec<i64> {
        let mut command = Command::new(self.path());
        let output = command.args(arguments.split(' ')).env_remove("LD_LIBRARY_PATH").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Records an event, of which FILE is the program, while it runs.
    pub fn recorded(&self, event: &str, arguments: &str) -> (Taken, Vec<i64>) {
        let event = event.replace("FILE", self.path().to_str().unwrap());
        let running = Recorder::new("-p events -e").word(&event).start();
        let printed = self.run(arguments);
        (running.finish(), printed)
    }
}

/// Counts by a column.
pub fn counts(taken: &Taken, column: &str) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for row in taken.metric("events.count", &[column]).iter() {
        *counts.entry(row.text(column).unwrap_or_default().to_owned()).or_default() += row.int("count");
    }
    counts
}

/// Hits of all events.
pub fn total(taken: &Taken) -> i64 {
    taken.metric("events.count", &[]).sum("count")
}

/// Nothing was lost.
pub fn is_whole(taken: &Taken) {
    assert_eq!(taken.lost(), BTreeMap::new());
}

/// Whether the kernel has kprobes; this needs no privilege.
pub fn kernel_functions(test: &str) -> bool {
    let has = std::fs::read_to_string("/proc/kallsyms").unwrap().lines().any(|line| line.ends_with(" register_kprobe"));
    if !has {
        skip(test, "this kernel has no kprobes");
    }
    has
}
