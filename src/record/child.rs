//! The recorded command: started before the window, released when the probes are live, run as who called sudo.
//!
//! A second process of ebrec itself waits on a pipe and then becomes the command. So the command's process exists, and
//! can be put in scope, before it runs; and if the recorder fails, the pipe closes and the command never starts.

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::io::PipeWriter;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;

use anyhow::Context;
use anyhow::Result;
use rustix::io::FdFlags;
use rustix::io::fcntl_setfd;
use rustix::thread::set_thread_gid;
use rustix::thread::set_thread_groups;
use rustix::thread::set_thread_uid;

use crate::failure::Failure;
use crate::host::Host;
use crate::host::invoker::Invoker;

/// The hidden subcommand that waits and becomes the command; its arguments are the pipe's number and the command.
pub const LAUNCH: &str = "__launch";
/// As shells have it: the command was not found, or could not be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// A command that waits to be released.
#[derive(Debug)]
pub(super) struct Waiting {
    child: Child,
    pipe: PipeWriter,
}

impl Waiting {
    /// Starts the process that will become the command.
    ///
    /// # Errors
    /// When ebrec can't start itself.
    pub(super) fn start(command: &[OsString]) -> Result<Waiting> {
        let (reader, pipe) = std::io::pipe().context("can't make a pipe")?;
        fcntl_setfd(&reader, FdFlags::empty()).context("can't pass a pipe on")?;
        let child = Command::new("/proc/self/exe")
            .arg(LAUNCH)
            .arg(reader.as_raw_fd().to_string())
            .args(command)
            .spawn()
            .context("can't start a process for the command")?;
        Ok(Waiting { child, pipe })
    }

    /// The command's process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets the command run.
    ///
    /// # Errors
    /// When its process is gone.
    pub(super) fn release(mut self) -> Result<Child> {
        self.pipe.write_all(b"x").context("the process for the command is gone")?;
        Ok(self.child)
    }
}

/// What a shell would make of the way that a command ended: its status, or 128 + N when signal N killed it.
pub(super) fn exit_status(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Waits for the release and becomes the command; returns only the exit status of not having been able to.
///
/// # Errors
/// The command could not be run.
pub fn launch(arguments: &[OsString]) -> Result<u8> {
    let [pipe, program, rest @ ..] = arguments else { return Err(Failure::usage("nothing to launch").into()) };
    let pipe = format!("/proc/self/fd/{}", pipe.to_string_lossy());
    // Closed on exec, so that the command does not inherit it twice.
    let opened = File::open(&pipe);
    let mut command = Command::new(program);
    command.args(rest);
    if let Some(invoker) = Host::this().invoker {
        become_user(&invoker)?;
        command.env("USER", &invoker.name).env("LOGNAME", &invoker.name);
        if let Some(home) = &invoker.home {
            command.env("HOME", home);
        }
    }
    // All else is done: what this process does from here on is recorded as the command's.
    let mut released = [0];
    if opened.and_then(|mut pipe| pipe.read(&mut released)).unwrap_or(0) == 0 {
        return Ok(1);
    }
    let error = command.exec();
    let name = program.to_string_lossy();
    eprint_failure(&name, &error);
    Ok(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE })
}

fn eprint_failure(name: &str, error: &std::io::Error) {
    let text = error.to_string().to_lowercase();
    let reason = text.split(" (os error").next().unwrap_or(&text);
    let line = format!("ebrec: can't run '{}': {reason}\n", crate::text::sanitize(name));
    // Nobody is left to tell when stderr itself is gone.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn become_user(invoker: &Invoker) -> Result<()> {
    let groups: Vec<_> = invoker.groups.iter().map(|id| rustix::thread::Gid::from_raw(*id)).collect();
    set_thread_groups(&groups).context("can't take the groups of who called sudo")?;
    set_thread_gid(rustix::thread::Gid::from_raw(invoker.gid)).context("can't take the group of who called sudo")?;
    set_thread_uid(rustix::thread::Uid::from_raw(invoker.uid)).context("can't become who called sudo")
}

#[cfg(test)]
mod tests {
    use super::exit_status;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    #[test]
    fn a_killed_command_has_the_status_that_a_shell_gives() {
        assert_eq!(exit_status(ExitStatus::from_raw(9)), 137);
        assert_eq!(exit_status(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_status(ExitStatus::from_raw(0)), 0);
    }
}
