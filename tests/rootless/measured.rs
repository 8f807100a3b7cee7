//! Runs of ebrec, measured by the kernel.

use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// What one run took.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) peak_mib: u64,
    pub(crate) took: Duration,
    pub(crate) errors: String,
}

/// Runs ebrec without keeping what it prints; `EBREC` names another build of it.
pub(crate) fn run(arguments: &[&str]) -> Run {
    measure(Command::new(program()).args(arguments))
}

/// Likewise, with so many MiB of address space, as `ulimit -v` sets it.
pub(crate) fn run_within(mib: u64, arguments: &[&str]) -> Run {
    let script = "ulimit -v \"$1\" && shift && exec \"$@\"";
    measure(Command::new("sh").args(["-c", script, "sh", &(mib << 10).to_string(), &program()]).args(arguments))
}

/// Likewise, with so many files open at most.
pub(crate) fn run_with_files(most: u64, arguments: &[&str]) -> Run {
    let script = "ulimit -n \"$1\" && shift && exec \"$@\"";
    measure(Command::new("sh").args(["-c", script, "sh", &most.to_string(), &program()]).args(arguments))
}

fn program() -> String {
    std::env::var("EBREC").unwrap_or(env!("CARGO_BIN_EXE_ebrec").to_owned())
}

#[allow(clippy::zombie_processes, reason = "the standard library waits without measuring")]
fn measure(command: &mut Command) -> Run {
    let started = Instant::now();
    let errors = tempfile::NamedTempFile::new().unwrap();
    command.stdout(Stdio::null()).stderr(errors.reopen().unwrap());
    let child = command.spawn().unwrap();
    // SAFETY: the structure holds nothing but numbers.
    let (mut status, mut usage) = (0, unsafe { std::mem::zeroed::<libc::rusage>() });
    // SAFETY: both places are valid for writing, and the child is ours and was not waited for.
    let waited = unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, child.id().cast_signed());
    Run {
        status: if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) },
        peak_mib: usage.ru_maxrss.cast_unsigned() >> 10,
        took: started.elapsed(),
        errors: std::fs::read_to_string(errors.path()).unwrap(),
    }
}
