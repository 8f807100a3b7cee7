//! The program under test: recordings under way, ended in many ways, and what they left.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;

use ebrec::hist::Histogram;
use ebrec::recording::Recording;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use tempfile::TempDir;

use super::Rows;
use super::kernel::Held;
use super::rows::Row;
use super::wait_for;

/// The program.
pub const EBREC: &str = env!("CARGO_BIN_EXE_ebrec");

/// What is to be recorded. Without a window of its own a recording lasts until it is ended.
pub struct Recorder {
    dir: TempDir,
    command: Command,
    of_its_own: Vec<String>,
}

impl Recorder {
    /// `ebrec record` with these options, split at spaces.
    pub fn new(options: &str) -> Recorder {
        Recorder::new_in(tempfile::tempdir().unwrap(), options)
    }

    /// Likewise, but the file is in memory: a recording does not see its own writes to a disk.
    pub fn in_memory(options: &str) -> Recorder {
        Recorder::new_in(tempfile::tempdir_in("/dev/shm").unwrap(), options)
    }

    /// Likewise, but the file is in a directory of the test's choice.
    pub fn in_directory(directory: &Path, options: &str) -> Recorder {
        Recorder::new_in(tempfile::tempdir_in(directory).unwrap(), options)
    }

    fn new_in(dir: TempDir, options: &str) -> Recorder {
        let mut command = Command::new(EBREC);
        command.args(["record", "-v", "-o"]).arg(dir.path().join("run.parquet"));
        // The user who runs the tests through sudo is not the one this recording is for.
        command.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER");
        let of_its_own = options.split_whitespace().map(str::to_owned).collect();
        Recorder { dir, command, of_its_own }
    }

    /// With one more word as it is, blanks included.
    pub fn word(mut self, word: &str) -> Recorder {
        self.of_its_own.push(word.to_owned());
        self
    }

    /// Also sets a variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Recorder {
        self.command.env(name, value);
        self
    }

    /// Runs with a lower priority than others.
    pub fn nice(mut self, by: i32) -> Recorder {
        let program = self.command.get_program().to_owned();
        let arguments: Vec<_> = self.command.get_args().map(OsStr::to_owned).collect();
        let mut command = Command::new("nice");
        command.arg(format!("-n{by}")).arg(program).args(arguments);
        command.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER");
        self.command = command;
        self
    }

    /// Its directory, which goes with the recording.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The file that it writes.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("run.parquet")
    }

    /// Starts it, with a command to record or none, and returns once every probe is live.
    pub fn start(self) -> Running {
        self.start_command::<&OsStr>(&[], Stdio::null(), Stdio::null())
    }

    /// Starts it with a command, whose standard input and output are these.
    pub fn start_command<W: AsRef<OsStr>>(self, words: &[W], stdin: Stdio, stdout: Stdio) -> Running {
        let (mut command, dir) = self.into_command(words);
        let mut child = command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let listener = std::thread::spawn({
            let said = Arc::clone(&said);
            move || {
                for line in stderr.lines() {
                    *said.lock().unwrap() += &(line.unwrap() + "\n");
                }
            }
        });
        let mut running = Running { child, said, listener: Some(listener), dir };
        running.wait_until_live();
        running
    }

    /// Runs it with a command to its end.
    pub fn run<W: AsRef<OsStr>>(self, words: &[W]) -> (Output, TempDir) {
        let (mut command, dir) = self.into_command(words);
        (command.stdin(Stdio::null()).output().unwrap(), dir)
    }

    fn into_command<W: AsRef<OsStr>>(self, words: &[W]) -> (Command, TempDir) {
        let Recorder { dir, mut command, of_its_own } = self;
        let ends = of_its_own.iter().any(|option| option == "-d") || !words.is_empty();
        command.args(&of_its_own);
        if !ends {
            command.args(["-d", "1h"]);
        }
        if !words.is_empty() {
            command.arg("--").args(words);
        }
        (command, dir)
    }
}

/// A recording under way. It is killed when the test fails before it is ended.
pub struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
    dir: TempDir,
}

impl Running {
    fn wait_until_live(&mut self) {
        wait_for("the probes to be live", || {
            // In this order: one that ends at once has said it all when its standard error is closed.
            let ended = self.listener.as_ref().is_none_or(JoinHandle::is_finished);
            let live = self.stderr().contains("all probes live");
            assert!(live || !ended, "it ended: {}", self.stderr());
            live.then_some(())
        });
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that it will have written, when it is finished.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("run.parquet")
    }

    /// The programs, maps and links that it holds.
    pub fn held(&self) -> Held {
        Held::by(self.pid())
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
        status
    }

    /// Ends the window as Ctrl-C does, and opens the recording.
    pub fn finish(self) -> Taken {
        self.signal(Signal::INT);
        self.finished(0)
    }

    /// Waits until it ends with this status, and opens the recording.
    pub fn finished(mut self, status: i32) -> Taken {
        let ended = self.wait();
        assert_eq!(ended.code(), Some(status), "{}", self.stderr());
        let recording = Recording::open(&self.file()).unwrap();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        Taken { recording, stderr: self.stderr(), _dir: dir }
    }

    /// Kills it, and gives its directory.
    pub fn kill(mut self) -> TempDir {
        self.signal(Signal::KILL);
        self.wait();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A recording that is finished.
pub struct Taken {
    /// The recording.
    pub recording: Recording,
    /// What was said while it was made.
    pub stderr: String,
    /// Goes with it.
    _dir: TempDir,
}

impl Taken {
    /// Opens a file that was made some other way.
    pub fn open(path: &Path, dir: TempDir) -> Taken {
        Taken { recording: Recording::open(path).unwrap(), stderr: String::new(), _dir: dir }
    }

    /// What `ebrec report` makes of it as JSON; `words` are the view and its options.
    pub fn report(&self, words: &str) -> serde_json::Value {
        let mut report = Command::new(EBREC);
        report.arg("report").args(words.split_whitespace()).args(["--format", "json"]).arg(self.recording.path());
        let output = report.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Rows of a kind.
    pub fn rows(&self, kind: &str, columns: &[&str]) -> Rows {
        Rows::read(&self.recording, kind, columns)
    }

    /// Everything lost, by `probe: cause`.
    pub fn lost(&self) -> BTreeMap<String, i64> {
        let mut lost = BTreeMap::new();
        for row in self.rows("lost", &["name", "cause", "count"]).iter() {
            let what = format!("{}: {}", row.text("name").unwrap(), row.text("cause").unwrap());
            *lost.entry(what).or_default() += row.int("count");
        }
        lost
    }

    /// Everything that a probe lost.
    pub fn lost_by(&self, probe: &str) -> i64 {
        self.rows("lost", &["name", "count"]).named("name", probe).sum("count")
    }

    /// What the kernel left out since another thread was preempted in the same program, as it is by 7.3.
    pub fn left_out(&self, probe: &str) -> i64 {
        let lost = self.rows("lost", &["name", "cause", "count"]).named("name", probe);
        lost.keep(|row| row.text("cause").is_some_and(|cause| cause.ends_with("interrupted itself"))).sum("count")
    }

    /// The totals of a metric.
    pub fn metric(&self, name: &str, columns: &[&str]) -> Rows {
        let all = [columns, &["metric", "count", "sum"]].concat();
        self.rows("metric", &all).named("metric", name)
    }

    /// The buckets of a metric for the keys that a test wants, as one histogram.
    pub fn histogram(&self, metric: &str, columns: &[&str], wanted: impl Fn(&Row) -> bool) -> Histogram {
        let all = [columns, &["metric", "bucket_lo", "bucket_hi", "count"]].concat();
        let mut histogram = Histogram::new();
        for row in self.rows("hist", &all).named("metric", metric).keep(wanted).iter() {
            let number = |column| u64::try_from(row.int(column)).unwrap();
            histogram.add_bucket(number("bucket_lo"), number("bucket_hi"), number("count"));
        }
        histogram
    }
}
