//! Signals end a recording whatever its threads are doing, and leave what can be read.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use ebrec::recording::Recording;
use ebrec::recording::partial_path;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::common::Recorder;
use crate::common::Running;
use crate::common::Workload;
use crate::common::recorder::EBREC;
use crate::common::skip;
use crate::common::wait_for;

/// Within a second of the second signal, and as long again for a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Two signals that come closer than this may be one to the kernel.
const APART: Duration = Duration::from_millis(100);

/// A thread of another process, stopped as long as this lives.
struct Frozen(Child);

impl Frozen {
    fn thread(freezer: &Workload, thread: u32) -> Frozen {
        let mut child = Command::new(freezer.path()).arg(thread.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "frozen\n");
        Frozen(child)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn freezer() -> Workload {
    Workload::compile("common/freeze.c", "freeze", tempfile::tempdir().unwrap())
}

/// The threads of a process, by name.
fn threads(pid: u32) -> Vec<(String, u32)> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let named = |entry: fs::DirEntry| {
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((name.trim().to_owned(), entry.file_name().to_str()?.parse().ok()?))
    };
    tasks.filter_map(|entry| named(entry.ok()?)).collect()
}

/// The highest among ordinary threads but the drain: the main thread has it from the end of the window on.
const FINISHING: &str = "-10";

/// The nice value of a process's main thread.
fn nice(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(16).map(str::to_owned)
}

/// A line of a thread's status.
fn status_of(thread: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

/// Waits until a checkpoint has rows.
fn wait_for_checkpoint(file: &Path) {
    let partial = partial_path(file);
    let has_rows = || Recording::open(&partial).is_ok_and(|recording| recording.rows("process") > 0);
    wait_for("a checkpoint with rows", || has_rows().then_some(()));
}

/// Waits for its end, and gives how long that took.
fn end_of(running: &mut Running) -> (Duration, Option<i32>) {
    let since = Instant::now();
    let status = running.wait();
    (since.elapsed(), status.code())
}

/// What a recording that was given up leaves can be read, and recovered.
fn hold_that_it_is_recoverable(file: &Path) {
    assert!(Recording::open(&partial_path(file)).unwrap().rows("process") > 0);
    let recover = Command::new(EBREC).args(["recover", "-q"]).arg(file).output().unwrap();
    assert!(recover.status.success(), "{}", String::from_utf8_lossy(&recover.stderr));
    assert!(Recording::open(file).unwrap().rows("process") > 0);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_second_signal_ends_the_process_whichever_thread_hangs() {
    let freezer = freezer();
    for hanging in ["ebrec", "ebrec-drain", "ebrec-write", "ebrec-grace"] {
        for second in [Signal::INT, Signal::TERM] {
            let mut running = Recorder::new("-p process,sched").start();
            let file = running.file();
            wait_for_checkpoint(&file);
            let thread =
                wait_for("the thread", || threads(running.pid()).into_iter().find(|(name, _)| name == hanging));
            let _frozen = Frozen::thread(&freezer, thread.1);
            running.signal(Signal::INT);
            std::thread::sleep(APART);
            running.signal(second);
            let (took, status) = end_of(&mut running);
            println!("with '{hanging}' stopped: {took:?} after {second:?}");
            assert!(took < AT_ONCE, "with '{hanging}' stopped it took {took:?}: {}", running.stderr());
            assert_eq!(status, Some(1));
            let said = running.stderr();
            assert!(said.contains("interrupted before") && said.contains("hint: ebrec recover '"), "{said}");
            hold_that_it_is_recoverable(&file);
        }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn no_thread_but_that_of_signals_can_be_woken_by_one() {
    let running = Recorder::new("").start();
    // By the bits of SIGINT and SIGTERM; signal 1 is bit 0.
    let taken = 1 << 1 | 1 << 14;
    let blocks = |thread| u64::from_str_radix(&status_of(thread, "SigBlk:")?, 16).ok().map(|set| set & taken);
    let names_frames = |threads: &[(String, u32)]| threads.iter().any(|(name, _)| name == "ebrec-symbols");
    let threads = wait_for("all threads", || Some(threads(running.pid())).filter(|threads| names_frames(threads)));
    assert!(threads.len() >= 7, "{threads:?}");
    for (name, thread) in threads {
        let expected = if name == "ebrec-signals" { 0 } else { taken };
        // Threads come and go.
        assert_eq!(blocks(thread).unwrap_or(expected), expected, "{name}");
    }
    running.signal(Signal::INT);
    running.finished(0);
}

/// The main thread of a process in a control group of its own that is frozen: unlike one that is traced, the kernel still picks it for
/// the signals of the process, and it does not run their handlers, as while it waits for a disk.
struct Unreachable {
    group: PathBuf,
    pid: u32,
}

impl Unreachable {
    /// `None` where there are no control groups of version 2.
    fn main_thread(pid: u32) -> Option<Unreachable> {
        let points = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let point = points.into_iter().find(|point| point.join("cgroup.procs").exists())?;
        let group = point.join(format!("ebrec-unreachable-{pid}"));
        fs::create_dir(&group).unwrap();
        let own = Unreachable { group, pid };
        fs::write(own.group.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::create_dir(own.thread()).unwrap();
        fs::write(own.thread().join("cgroup.type"), "threaded").unwrap();
        fs::write(own.thread().join("cgroup.threads"), pid.to_string()).unwrap();
        fs::write(own.thread().join("cgroup.freeze"), "1").unwrap();
        let is_frozen = || fs::read_to_string(own.thread().join("cgroup.events")).unwrap().contains("frozen 1");
        wait_for("the main thread to freeze", || is_frozen().then_some(()));
        Some(own)
    }

    fn thread(&self) -> PathBuf {
        self.group.join("thread")
    }
}

impl Drop for Unreachable {
    fn drop(&mut self) {
        let _ = fs::write(self.thread().join("cgroup.freeze"), "0");
        let _ = fs::write(self.group.parent().unwrap().join("cgroup.procs"), self.pid.to_string());
        for directory in [self.thread(), self.group.clone()] {
            wait_for("the control group to be empty", || fs::remove_dir(&directory).ok());
        }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn two_signals_end_the_process_though_its_main_thread_runs_no_handler() {
    let mut running = Recorder::new("-p process,sched").start();
    let file = running.file();
    wait_for_checkpoint(&file);
    let Some(unreachable) = Unreachable::main_thread(running.pid()) else {
        skip("two_signals_end_the_process_though_its_main_thread_runs_no_handler", "no control groups of version 2");
        return;
    };
    running.signal(Signal::INT);
    std::thread::sleep(APART);
    running.signal(Signal::INT);
    let (took, status) = end_of(&mut running);
    drop(unreachable);
    assert!(took < AT_ONCE, "it took {took:?}: {}", running.stderr());
    assert_eq!(status, Some(1), "{}", running.stderr());
    hold_that_it_is_recoverable(&file);
}

#[test]
#[ignore = "root: attaches probes"]
fn a_first_signal_while_the_file_is_finished_does_not_give_it_up() {
    let freezer = freezer();
    let mut running = Recorder::new("-p process,sched -d 2s").start();
    let file = running.file();
    wait_for_checkpoint(&file);
    let writer = wait_for("the writer", || threads(running.pid()).into_iter().find(|(name, _)| name == "ebrec-write"));
    let frozen = Frozen::thread(&freezer, writer.1);
    wait_for("the window to end", || (nice(running.pid()).as_deref() == Some(FINISHING)).then_some(()));
    running.signal(Signal::INT);
    std::thread::sleep(APART);
    drop(frozen);
    assert_eq!(running.wait().code(), Some(0), "{}", running.stderr());
    assert_eq!(Recording::open(&file).unwrap().meta().window.ended, "duration");
    assert!(!partial_path(&file).exists());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_signal_ends_the_window_though_the_main_thread_hangs() {
    let freezer = freezer();
    let mut running = Recorder::new("-p process,sched").start();
    let file = running.file();
    wait_for_checkpoint(&file);
    let frozen = Frozen::thread(&freezer, running.pid());
    running.signal(Signal::INT);
    // The drain ends, and with it the writer, since nothing comes any more.
    wait_for("the drain to end", || {
        let threads = threads(running.pid());
        threads.iter().all(|(name, _)| name != "ebrec-drain" && name != "ebrec-write").then_some(())
    });
    drop(frozen);
    assert_eq!(running.wait().code(), Some(0), "{}", running.stderr());
    assert_eq!(Recording::open(&file).unwrap().meta().window.ended, "interrupt");
}

/// A recorder that is not waited for until it is live.
struct Starting {
    child: Child,
    dir: tempfile::TempDir,
}

impl Starting {
    fn new() -> Starting {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(EBREC);
        command.args(["record", "-v", "-d", "1h", "-o"]).arg(dir.path().join("run.parquet"));
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        wait_for("signals to be taken over", || threads(pid).into_iter().find(|(name, _)| name == "ebrec-signals"));
        Starting { child, dir }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Its end, how long that took, and what it said.
    fn end(self) -> (Duration, Option<i32>, String, Vec<PathBuf>) {
        let since = Instant::now();
        let output = self.child.wait_with_output().unwrap();
        let left = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        (since.elapsed(), output.status.code(), String::from_utf8(output.stderr).unwrap(), left)
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_signal_while_probes_are_attached_calls_the_recording_off_and_leaves_nothing() {
    let freezer = freezer();
    let starting = Starting::new();
    let frozen = Frozen::thread(&freezer, starting.child.id());
    starting.signal(Signal::INT);
    std::thread::sleep(APART);
    drop(frozen);
    let (_, status, said, left) = starting.end();
    assert!(!said.contains("all probes live"), "it was stopped too late: {said}");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("ebrec: interrupted before the window began: nothing was recorded"), "{said}");
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
#[ignore = "root: attaches probes"]
fn a_second_signal_while_attaching_hangs_ends_the_process_and_the_name_can_be_used_again() {
    let freezer = freezer();
    let starting = Starting::new();
    let file = starting.dir.path().join("run.parquet");
    let frozen = Frozen::thread(&freezer, starting.child.id());
    starting.signal(Signal::INT);
    std::thread::sleep(APART);
    starting.signal(Signal::TERM);
    let dir = tempfile::tempdir().unwrap();
    let Starting { child, dir: of_it } = starting;
    let (took, status, said, _) = Starting { child, dir }.end();
    drop(frozen);
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("nothing was recorded"), "{said}");
    let again = Command::new(EBREC).args(["record", "-p", "process", "-d", "100ms", "-o"]).arg(&file).output().unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    drop(of_it);
}

/// A command that no signal but SIGKILL ends, and its process.
fn stubborn(script: &str) -> (Running, Pid) {
    let (output, input) = std::io::pipe().unwrap();
    let running = Recorder::new("-p process").start_command(&["sh", "-c", script], Stdio::null(), input.into());
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).unwrap();
    (running, Pid::from_raw(line.trim().parse().unwrap()).unwrap())
}

#[test]
#[ignore = "root: attaches probes"]
fn a_second_signal_ends_a_recording_whose_command_takes_no_notice() {
    // The reader of the recorder's standard error must not wait for the command.
    let deaf = "exec 2>/dev/null; trap '' INT TERM; echo $$; while :; do sleep 0.1; done";
    let stopped = "exec 2>/dev/null; echo $$; kill -STOP $$";
    for (script, second) in [(deaf, Signal::INT), (deaf, Signal::TERM), (stopped, Signal::INT)] {
        let (mut running, command) = stubborn(script);
        let file = running.file();
        wait_for_checkpoint(&file);
        running.signal(Signal::INT);
        std::thread::sleep(APART);
        running.signal(second);
        let (took, _) = end_of(&mut running);
        println!("{took:?} after {second:?}");
        kill_process(command, Signal::KILL).unwrap();
        assert!(took < AT_ONCE, "{took:?}: {}", running.stderr());
        if file.exists() {
            assert!(Recording::open(&file).unwrap().rows("process") > 0);
        } else {
            hold_that_it_is_recoverable(&file);
        }
    }
}

#[test]
#[ignore = "root: attaches probes"]
fn a_signal_that_did_not_come_from_the_terminal_reaches_the_command() {
    let script = "trap 'exit 42' INT; echo $$; while :; do sleep 0.01; done";
    let (running, _) = stubborn(script);
    running.signal(Signal::INT);
    let taken = running.finished(42);
    assert_eq!(taken.recording.meta().window.ended, "command (status 42)");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_hangup_that_nohup_ignores_does_not_end_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.parquet");
    let script = "trap '' HUP; exec \"$0\" record -p process -d 1h -o \"$1\"";
    let mut child = Command::new("sh").args(["-c", script, EBREC]).arg(&file).spawn().unwrap();
    wait_for_checkpoint(&file);
    let signal = |signal| kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
    signal(Signal::HUP);
    std::thread::sleep(APART);
    assert!(!file.exists());
    signal(Signal::INT);
    assert!(child.wait().unwrap().success());
    assert_eq!(Recording::open(&file).unwrap().meta().window.ended, "interrupt");
}

#[test]
#[ignore = "root: attaches probes"]
fn a_pipe_that_nobody_reads_does_not_hold_the_process_and_the_recording_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(EBREC);
    command.args(["record", "-d", "200ms", "-o", "-"]).env("TMPDIR", dir.path());
    // The pipe is read, if at all, by nobody.
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let spool = wait_for("the recording", || fs::read_dir(dir.path()).unwrap().next()).unwrap().path();
    let file = spool.join("run.parquet");
    wait_for("it to be finished", || (file.exists() && !partial_path(&file).exists()).then_some(()));
    std::thread::sleep(APART);
    let mut child = child;
    let interrupt = || kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    // The window is over: the first one asks for nothing more.
    interrupt();
    std::thread::sleep(APART);
    let since = Instant::now();
    interrupt();
    assert!(child.stderr.is_some() && child.stdout.is_some());
    let status = child.wait().unwrap();
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert_eq!(status.code(), Some(1));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert!(said.contains(&format!("hint: it is in '{}'", file.display())), "{said}");
    assert!(Recording::open(&file).unwrap().rows("process") > 0);
}
