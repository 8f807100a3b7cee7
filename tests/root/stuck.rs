//! What other processes are stuck in, and what the recorder reads of them all the same.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::common::Taken;
use crate::common::Workload;
use crate::common::disk::Disk;
use crate::common::disk::Frozen;
use crate::common::recorder::EBREC;
use crate::common::skip;
use crate::common::wait_for;

/// What starting, recording for a moment and finishing may take beside a process that is stuck.
const SOON: Duration = Duration::from_secs(10);

/// A process that holds the lock on its mappings (`stuck/locked.c`) while a disk is frozen.
struct Locked<'a> {
    /// The disk goes on before the process is awaited.
    frozen: Option<Frozen<'a>>,
    child: Child,
    _stdout: BufReader<ChildStdout>,
    _program: Workload,
}

impl Locked<'_> {
    fn on(disk: &Disk) -> Locked<'_> {
        let program = Workload::compile("stuck/locked.c", "ebrec-locked-up", tempfile::tempdir().unwrap());
        let mut command = Command::new(program.path());
        command.arg(disk.path().join("file")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut says = |what: &str| {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            assert_eq!(line.trim(), what);
        };
        says("mapped");
        let frozen = Some(disk.freeze());
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        says("locked");
        let locked = Locked { frozen, child, _stdout: stdout, _program: program };
        // A reader of its arguments waits.
        let cat = || Command::new("timeout").args(["0.3", "cat", &format!("/proc/{}/cmdline", locked.pid())]).output();
        wait_for("the lock to be held", || (cat().unwrap().status.code() == Some(124)).then_some(()));
        locked
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        drop(self.frozen.take());
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_process_that_holds_the_lock_on_its_mappings_does_not_hold_up_the_start() {
    let test = "a_process_that_holds_the_lock_on_its_mappings_does_not_hold_up_the_start";
    let Some(disk) = Disk::new() else {
        return skip(test, "no ext4 on a loop device can be made and frozen here");
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.parquet");
    let locked = Locked::on(&disk);
    let pid = locked.pid();
    let since = Instant::now();
    let mut record = Command::new("timeout");
    record.args(["-s", "KILL", &SOON.as_secs().to_string(), EBREC, "record", "-d", "300ms", "-o"]).arg(&file);
    let output = record.output().unwrap();
    let took = since.elapsed();
    drop(locked);
    let said = String::from_utf8_lossy(&output.stderr);
    println!("took {took:?}");
    assert!(output.status.success(), "it ended with {} after {took:?}: {said}", output.status);
    assert!(said.contains(&format!("memory is locked: {pid}\n")), "{said}");
    let taken = Taken::open(&file, directory);
    assert_eq!(taken.lost().get("scope: arguments not read in time"), Some(&1), "{:?}", taken.lost());
    let rows = taken.rows("process", &["pid", "comm", "argv"]);
    let with_arguments = rows.keep(|row| row.text("argv").is_some());
    assert!(with_arguments.count() > 0, "no process has arguments");
    let own = taken.rows("process", &["pid", "comm", "argv"]).with("pid", pid.into());
    let named: Vec<_> =
        own.iter().map(|row| (row.text("comm").map(str::to_owned), row.text("argv").is_some())).collect();
    assert_eq!(named, [(Some("ebrec-locked-up".to_owned()), false)]);
}
