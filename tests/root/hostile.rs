//! A default recording while an unprivileged user plays every trick at once (tests/root/hostile/tricks.c).

use std::collections::BTreeSet;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::common::Taken;
use crate::common::Workload;
use crate::common::recorder::EBREC;
use ebrec::report::VIEWS;

/// The window.
const SECONDS: u64 = 10;
/// What attaching, resolving and writing may take beside it.
const MARGIN: Duration = Duration::from_secs(10);
/// What the recorder may have resident at most besides its own code, which grows with every feature and most in a build that is not
/// optimised: 100 MiB, of which the code of an optimised build takes 18, and 114, of which that of the other took 28.
const MEMORY: i64 = if cfg!(debug_assertions) { (114 - 28) << 20 } else { (100 - 18) << 20 };
/// What any view of any file may, its code included.
const VIEW_MEMORY: i64 = 256 << 20;

/// The tricks while they are played; they end with their standard input.
struct Tricks {
    child: Child,
    group: Option<Group>,
    /// Their directory goes when they have gone.
    _program: Workload,
}

impl Tricks {
    fn play() -> Tricks {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let tricks = Workload::compile("hostile/tricks.c", "ebrec-tricks", directory);
        let group = Group::for_nobody();
        let mut command = Command::new(tricks.path());
        command.arg(tricks.dir()).args(group.as_ref().map(|group| &group.0));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        if let Some(group) = &group {
            std::fs::write(group.0.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // A trick that could not be begun would show nothing.
        assert_eq!(line.trim(), "ready 34");
        Tricks { child, group, _program: tricks }
    }
}

impl Drop for Tricks {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        drop(self.group.take());
    }
}

/// A control group that an unprivileged user may divide, as a container's or a session's.
struct Group(PathBuf);

impl Group {
    fn for_nobody() -> Option<Group> {
        let points = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let point = points.into_iter().find(|point| point.join("cgroup.procs").exists())?;
        let group = Group(point.join(format!("ebrec-hostile-{}", std::process::id())));
        std::fs::create_dir(&group.0).unwrap();
        for path in [group.0.clone(), group.0.join("cgroup.procs")] {
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
        }
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let below = std::fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path());
        for directory in below.filter(|path| path.is_dir()).chain([self.0.clone()]) {
            // Its last process may be on its way out.
            crate::common::wait_for("a control group without processes", || std::fs::remove_dir(&directory).ok());
        }
    }
}

/// A program that is killed if it does not end.
fn bounded(words: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "60", EBREC]).args(words);
    command
}

#[test]
#[ignore = "root: attaches probes"]
fn every_trick_at_once_neither_delays_nor_bloats_nor_spoils_a_recording() {
    let workload = Workload::build();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.parquet");
    let path = file.to_str().unwrap();
    let tricks = Tricks::play();
    let mut record = bounded(&["record", "-q", "-d", &format!("{SECONDS}s"), "-o", path]);
    let (used, code) = std::thread::scope(|scope| {
        let (done, ended) = channel::<()>();
        let code = scope.spawn(move || {
            let mut most = 0;
            while ended.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
                most = resident_code(path).unwrap_or(0).max(most);
            }
            most
        });
        let used = workload.usage(&mut record);
        drop(done);
        (used, code.join().unwrap())
    });
    drop(tricks);
    let took = Duration::from_nanos(used.lifetime_ns.cast_unsigned());
    let resident = used.maxrss_bytes - code;
    println!("took {took:?}, {} MiB resident and {} MiB of code", resident >> 20, code >> 20);
    assert!(code > 1 << 20, "the recorder's code was not found");
    assert_eq!(used.status, 0, "it ended with {:#x} after {took:?}", used.status);
    assert!(took < Duration::from_secs(SECONDS) + MARGIN, "it took {took:?}");
    assert!(resident < MEMORY, "{} MiB resident besides its code", resident >> 20);
    every_view_reads(&workload, path);
    hold_content(&Taken::open(&file, directory));
}

/// Bytes resident of the program's own file in the recorder that writes to `path`.
fn resident_code(path: &str) -> Option<i64> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    let records = |process: &PathBuf| {
        let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let is_ours = std::fs::read_link(process.join("exe")).is_ok_and(|exe| exe == Path::new(EBREC));
        is_ours && words.split(|byte| *byte == 0).any(|word| word == path.as_bytes())
    };
    let maps = processes.filter(records).find_map(|process| std::fs::read_to_string(process.join("smaps")).ok())?;
    let (mut is_code, mut kib) = (false, 0);
    for line in maps.lines() {
        match line.strip_prefix("Rss:") {
            Some(size) if is_code => kib += size.trim().trim_end_matches(" kB").parse::<i64>().unwrap(),
            None if !line.split(' ').next().unwrap_or_default().ends_with(':') => is_code = line.ends_with(EBREC),
            _ => {}
        }
    }
    Some(kib << 10)
}

/// In every format, in little memory, and soon.
fn every_view_reads(workload: &Workload, path: &str) {
    for view in VIEWS {
        for format in ["text", "json"] {
            let out = format!("{path}.{format}");
            let used = workload.usage(&mut bounded(&["report", view.name, "--format", format, "-o", &out, path]));
            assert_eq!(used.status, 0, "{} as {format}", view.name);
            assert!(used.maxrss_bytes < VIEW_MEMORY, "{} as {format}: {} MiB", view.name, used.maxrss_bytes >> 20);
            let written = std::fs::read_to_string(&out).unwrap();
            assert!(!written.contains('\x1b'), "{} as {format} has an escape", view.name);
        }
    }
}

/// What has no name says why; the honest program beside them has its function's name unless the recording says that no time was left.
fn hold_content(taken: &Taken) {
    let symbols = taken.rows("symbol", &["name", "cause"]);
    let named: BTreeSet<&str> =
        symbols.iter().map(|row| row.text("name").expect("every frame is called something")).collect();
    let longest = named.iter().map(|name| name.len()).max();
    assert!(longest < Some(2048), "a name of {longest:?} bytes");
    let causes: BTreeSet<_> = symbols.iter().filter_map(|row| row.text("cause")).collect();
    println!("{} names; left unresolved: {causes:?}", named.len());
    assert!(!causes.is_empty(), "what could not be resolved is told");
    assert!(named.contains("honest_work") || causes.contains("no time left"), "{} names, {causes:?}", named.len());
    let commands: BTreeSet<String> =
        taken.rows("process", &["comm"]).iter().filter_map(|row| row.text("comm").map(str::to_owned)).collect();
    assert!(commands.contains("honest"), "{commands:?}");
}
