//! The probe `files` against strace, fio, and programs that know what they opened, wrote and removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::common::Recorder;
use crate::common::Taken;
use crate::common::has;
use crate::common::skip;

/// A database that is written in many small transactions, the most durable way; its journal comes and goes.
const SQLITE: &str = "
import os, sqlite3, sys
base = sqlite3.connect(sys.argv[1] + '/base.db', isolation_level=None)
base.execute('PRAGMA journal_mode=DELETE')
base.execute('PRAGMA synchronous=FULL')
base.execute('CREATE TABLE t (a INTEGER)')
for number in range(60):
    base.execute('INSERT INTO t VALUES (?)', (number,))
base.close()
for number in range(17):
    open(sys.argv[1] + '/new', 'w').close()
    os.rename(sys.argv[1] + '/new', sys.argv[1] + '/old')
os.unlink(sys.argv[1] + '/old')
for number in range(23):
    try:
        open('/nowhere/at/all')
    except OSError:
        pass
";

/// The distribution's own: the first in the path may be a script that looks for others.
const PYTHON: &str = "/usr/bin/python3";

/// The program with its output in a file, so that all that it writes are files. It runs in a directory of its own each time.
fn sqlite(dir: &Path) -> Vec<String> {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("storm.py"), SQLITE).unwrap();
    let words = [PYTHON, "-S", "-B", "-E"].map(str::to_owned);
    let paths = [dir.join("storm.py"), dir.to_path_buf()].map(|path| path.to_str().unwrap().to_owned());
    words.into_iter().chain(paths).collect()
}

/// Calls of a program as strace tells them, by operation; not those on devices (sqlite reads its random numbers from one).
fn strace(words: &[String], out: &Path) -> Option<BTreeMap<String, i64>> {
    let mut strace = Command::new("strace");
    strace.args(["-y", "-o"]).arg(out).arg("--").args(words).env_remove("LD_LIBRARY_PATH");
    let status = strace.stdin(Stdio::null()).stdout(Stdio::null()).status().ok()?;
    assert!(status.success());
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(&std::fs::read(out).unwrap()).lines() {
        let Some((name, arguments)) = line.split_once('(') else { continue };
        let by_descriptor = arguments.split(',').next().unwrap_or_default();
        if let Some(op) = op(name).filter(|_| !by_descriptor.contains("</dev/")) {
            *found.entry(op.to_owned()).or_default() += 1;
        }
    }
    Some(found)
}

/// The operation that a system call is.
fn op(call: &str) -> Option<&'static str> {
    Some(match call {
        "open" | "openat" | "openat2" | "creat" => "open",
        "read" | "pread64" | "readv" | "preadv" | "preadv2" => "read",
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => "write",
        "fsync" => "fsync",
        "fdatasync" => "fdatasync",
        "unlink" | "unlinkat" => "unlink",
        "rename" | "renameat" | "renameat2" => "rename",
        _ => return None,
    })
}

/// Count and sum of a metric by operation, of the processes of a name.
fn by_op(taken: &Taken, metric: &str, comm: &str) -> BTreeMap<String, (i64, i64)> {
    let mut found: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in taken.metric(metric, &["op", "comm"]).named("comm", comm).iter() {
        let both = found.entry(row.text("op").unwrap().to_owned()).or_default();
        *both = (both.0 + row.int("count"), both.1 + row.int("sum"));
    }
    found
}

/// A directory on a disk: temporary files may be in memory.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Records a command and nothing else: a shell, which has read a line before, becomes it.
fn recorded(options: &str, words: &[String]) -> Taken {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read go; exec \"$@\"", "sh"]).args(words).env_remove("LD_LIBRARY_PATH");
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let running = Recorder::in_memory(&format!("{options} --pid {}", shell.id())).start();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), b"go\n").unwrap();
    assert!(shell.wait().unwrap().success(), "{words:?}");
    running.finish()
}

#[test]
#[ignore = "root: attaches probes"]
fn a_storm_of_transactions_is_counted_as_strace_counts_it() {
    const TEST: &str = "a_storm_of_transactions_is_counted_as_strace_counts_it";
    if !Command::new(PYTHON).args(["-c", "import sqlite3"]).status().is_ok_and(|status| status.success()) {
        return skip(TEST, "no python3 with sqlite3");
    }
    let dir = directory();
    let Some(theirs) = strace(&sqlite(&dir.path().join("traced")), &dir.path().join("counts")) else {
        return skip(TEST, "no strace");
    };
    let taken = recorded("-p files", &sqlite(&dir.path().join("recorded")));
    let ours: BTreeMap<String, i64> =
        by_op(&taken, "files.latency", "python3").into_iter().map(|(op, (count, _))| (op, count)).collect();
    println!("strace: {theirs:?}; ours: {ours:?}");
    for op in ["open", "read", "write", "fsync", "fdatasync", "unlink", "rename"] {
        let count = |found: &BTreeMap<String, i64>| found.get(op).copied().unwrap_or(0);
        assert_eq!(count(&ours), count(&theirs), "{op}: strace {theirs:?}, ours {ours:?}");
    }
    let syncs: i64 = ["fsync", "fdatasync"].iter().filter_map(|op| theirs.get(*op)).sum();
    assert!(syncs > 100 && theirs["rename"] == 17, "{theirs:?}");
    let failed = taken.metric("files.failed_opens", &["filename", "files_error"]).named("filename", "/nowhere/at/all");
    assert_eq!((failed.sum("count"), failed.named("files_error", "ENOENT").sum("count")), (23, 23));
    // A journal for each transaction, and what was renamed over the one before it and removed in the end.
    let unlinked = i64::try_from(taken.rows("file_short_lived", &[]).count()).unwrap();
    assert_eq!(unlinked, theirs["unlink"]);
    assert_eq!(taken.metric("files.short_lived", &[]).sum("count"), unlinked);
    assert_eq!(taken.lost(), BTreeMap::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn bytes_are_those_that_fio_moved() {
    const TEST: &str = "bytes_are_those_that_fio_moved";
    if !has("fio") {
        return skip(TEST, "no fio");
    }
    let dir = directory();
    let words = format!(
        "fio --name=files --directory={} --rw=randrw --size=8m --bs=4k,16k --ioengine=psync --fallocate=none \
         --randseed=7 --output-format=json --output={}",
        dir.path().display(),
        dir.path().join("fio.json").display()
    );
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    // Otherwise it lays the file out first, by writing it.
    std::fs::write(dir.path().join("files.0.0"), vec![7; 8 << 20]).unwrap();
    let taken = recorded("-p files:raw", &words);
    let said = std::fs::read_to_string(dir.path().join("fio.json")).unwrap();
    let said: serde_json::Value = serde_json::from_str(&said[said.find('{').unwrap()..]).unwrap();
    let job = &said["jobs"][0];
    for (op, section) in [("read", "read"), ("write", "write")] {
        let rows = taken.rows("file", &["op", "bytes", "filename", "dur_ns"]).named("op", op);
        let own = rows.named("filename", "files.0.0");
        let (bytes, calls) = (job[section]["io_bytes"].as_i64().unwrap(), job[section]["total_ios"].as_i64().unwrap());
        assert_eq!((own.sum("bytes"), i64::try_from(own.count()).unwrap()), (bytes, calls), "{op}");
        // All the time that fio waited, its two readings of the clock included.
        let theirs = job[section]["clat_ns"]["mean"].as_f64().unwrap() * calls as f64;
        assert!((own.sum("dur_ns") as f64) <= theirs * 1.01, "{op}: {} of {theirs}", own.sum("dur_ns"));
    }
    let (latency, sizes) = (by_op(&taken, "files.latency", "fio"), by_op(&taken, "files.size", "fio"));
    let rows = taken.rows("file", &["op", "bytes", "comm", "dur_ns"]);
    for op in ["read", "write"] {
        let own = rows.named("op", op).named("comm", "fio");
        let count = i64::try_from(own.count()).unwrap();
        assert_eq!(latency[op], (count, own.sum("dur_ns")), "{op}");
        assert_eq!(sizes[op].1, own.sum("bytes"), "{op}");
    }
    assert_eq!(taken.lost(), BTreeMap::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn files_are_told_by_the_mount_that_they_are_on() {
    let on_disk = directory();
    let in_memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let script = format!(
        "for at in 1 2 3 4 5; do echo disk > {0}/$at; done; for at in 1 2 3; do echo memory > {1}/$at; done; cat {1}/1",
        on_disk.path().display(),
        in_memory.path().display()
    );
    let taken = recorded("-p files", &["sh".to_owned(), "-c".to_owned(), script]);
    let written = taken.metric("files.size", &["op", "files_mount"]).named("op", "write");
    let point = |path: &Path| {
        let output = Command::new("findmnt").args(["-n", "-o", "TARGET", "--target"]).arg(path).output().unwrap();
        // One line for each of several mounts on it.
        String::from_utf8(output.stdout).unwrap().lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(written.named("files_mount", &point(in_memory.path())).sum("count"), 3);
    assert_eq!(written.named("files_mount", &point(in_memory.path())).sum("sum"), 3 * 7);
    assert!(written.named("files_mount", &point(on_disk.path())).sum("count") >= 5);
}
