//! Functions of Go, whose calls change threads and whose stacks move.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::target::counts;
use crate::common::Recorder;
use crate::common::has;
use crate::common::skip;

/// `calls.go`, compiled.
struct Go {
    dir: TempDir,
}

impl Go {
    /// Compiles it with these options of `go build`; none where there is no Go.
    fn build(options: &[&str]) -> Option<Go> {
        if !has("go") {
            return None;
        }
        let go = Go { dir: tempfile::tempdir().unwrap() };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root/events/calls.go");
        let mut command = Command::new("go");
        command.args(["build", "-o"]).arg(go.path()).args(options).arg(source).env("GO111MODULE", "off");
        // A cache of its own would compile Go's library for each test.
        let cache = std::env::temp_dir().join("ebrec-tests-go-cache");
        assert!(command.env("GOCACHE", cache).env_remove("LD_LIBRARY_PATH").status().unwrap().success());
        Some(go)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("calls")
    }

    /// Records a function's calls while the program runs: how many were seen to return, and how many began and returned.
    fn compared(&self, function: &str, which: usize, arguments: &str) -> (i64, (i64, i64)) {
        let event = format!("latency:{}:main.{function}", self.path().display());
        let running = Recorder::new("-p events -e").word(&event).start();
        let calls = run(&self.path(), arguments);
        let taken = running.finish();
        let lost = taken.lost();
        assert!(lost.keys().all(|cause| cause == "events: end not seen"), "{lost:?}");
        (counts(&taken, "name").values().sum(), calls[which])
    }
}

fn run(program: &Path, arguments: &str) -> Vec<(i64, i64)> {
    let output = Command::new(program).args(arguments.split(' ')).env_remove("LD_LIBRARY_PATH").output().unwrap();
    assert!(output.status.success(), "{arguments}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<i64> = text.lines().map(|line| line.parse().unwrap()).collect();
    numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// Each of the program's ways to end a call: (function, its place in the output, arguments, calls that begin, calls that return).
const WAYS: [(&str, usize, &str, i64, i64); 5] = [
    ("grown", 0, "grow 1000", 1000, 1000),
    ("panicked", 1, "panic 1000", 1000, 500),
    ("recovered", 2, "recover 1000", 1000, 1000),
    ("exited", 3, "goexit 1000", 1000, 500),
    ("yielded", 4, "yield 1000", 1000, 1000),
];

#[test]
#[ignore = "root: attaches probes"]
fn calls_of_go_are_counted_exactly_however_they_end() {
    let test = "calls_of_go_are_counted_exactly_however_they_end";
    let Some(go) = Go::build(&[]) else { return skip(test, "no Go compiler") };
    for (function, which, arguments, begun, returned) in WAYS {
        assert_eq!(go.compared(function, which, arguments), (returned, (begun, returned)), "{arguments}");
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn functions_of_go_are_found_in_stripped_and_movable_programs() {
    let test = "functions_of_go_are_found_in_stripped_and_movable_programs";
    for options in [&["-ldflags=-s -w"][..], &["-buildmode=pie"], &["-buildmode=pie", "-ldflags=-s -w"]] {
        let Some(go) = Go::build(options) else { return skip(test, "no Go compiler") };
        let (function, which, arguments, begun, returned) = WAYS[0];
        assert_eq!(go.compared(function, which, arguments), (returned, (begun, returned)), "{options:?}");
    }
}
