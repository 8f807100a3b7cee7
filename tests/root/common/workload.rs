//! Workloads: programs in C that know what they did, compiled once for each test.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

/// A workload program, in a directory of its own.
pub struct Workload {
    dir: TempDir,
    program: PathBuf,
}

/// What the kernel says of a process that was waited for.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// The process.
    pub pid: i64,
    /// As wait(2) gives it.
    pub status: i64,
    /// User and system time.
    pub cpu_ns: i64,
    /// Peak resident set.
    pub maxrss_bytes: i64,
    /// From just before its fork to just after it was waited for.
    pub lifetime_ns: i64,
    /// How long of that it waited for a CPU.
    pub waited_ns: i64,
}

impl Workload {
    /// The program of `workload.c`.
    pub fn build() -> Workload {
        let dir = tempfile::tempdir().unwrap();
        // Everyone may run it: some tests run it as another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        Workload::compile("common/workload.c", "workload", dir)
    }

    /// The program of a file below `tests/root/`, under the name by which the kernel is to call it.
    pub fn compile(source: &str, name: &str, dir: TempDir) -> Workload {
        let program = dir.path().join(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/root").join(source);
        let status = Command::new("cc").args(["-O1", "-pthread", "-o"]).arg(&program).arg(&source).status();
        assert!(status.unwrap().success(), "cc could not compile '{}'", source.display());
        Workload { dir, program }
    }

    /// Its directory, which goes with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The program.
    pub fn path(&self) -> PathBuf {
        self.program.clone()
    }

    /// A copy of the program under another name, so that the kernel calls it so.
    pub fn named(&self, name: &str) -> PathBuf {
        let copy = self.dir.path().join(name);
        std::fs::copy(self.path(), &copy).unwrap();
        copy
    }

    /// The program with its arguments, split at spaces.
    pub fn command(&self, arguments: &str) -> Command {
        command(&self.path(), arguments)
    }

    /// Runs it to its end and gives the words that it printed.
    pub fn words(&self, arguments: &str) -> Vec<String> {
        words(&mut self.command(arguments))
    }

    /// Runs it to its end and gives the numbers that it printed.
    pub fn run(&self, arguments: &str) -> Vec<i64> {
        numbers(&mut self.command(arguments))
    }

    /// Runs a program to its end and tells what the kernel says of it.
    pub fn usage(&self, program: &mut Command) -> Usage {
        let mut command = self.command("usage");
        command.arg(program.get_program()).args(program.get_args());
        usage(&numbers(&mut command))
    }

    /// Runs the workload itself and tells what the kernel says of it.
    pub fn used(&self, arguments: &str) -> Usage {
        self.usage(&mut self.command(arguments))
    }
}

/// A program with arguments that are split at spaces. A loader that is told of more directories would look, and fail, in each.
pub fn command(program: &Path, arguments: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH").args(arguments.split_whitespace());
    command
}

/// Runs a program to its end and gives the numbers that it printed.
pub fn numbers(command: &mut Command) -> Vec<i64> {
    words(command).iter().filter_map(|word| word.parse().ok()).collect()
}

fn words(command: &mut Command) -> Vec<String> {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?} ended with {:?}", output.status);
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

/// The last eight numbers that a workload printed, as `usage` prints them.
fn usage(numbers: &[i64]) -> Usage {
    let [.., pid, status, cpu_ns, maxrss_bytes, _, _, lifetime_ns, waited_ns] = *numbers else {
        panic!("{numbers:?} is no usage")
    };
    Usage { pid, status, cpu_ns, maxrss_bytes, lifetime_ns, waited_ns }
}
