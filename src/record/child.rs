//! The recorded command: started before the window, released when the probes are live, run as the user who called sudo.
//!
//! A second process of ebrec itself waits for the release and then becomes the command. So the command's process exists, and
//! can be put in scope, before it runs; and if the recorder fails, its end of the socket closes and the command never starts.
//!
//! The command gets what it would get from a plain exec: the waiting process is started before the recorder catches a signal, raises
//! a limit or sets a capability aside, and the socket it waits on is closed on exec. The socket takes the place of standard input at
//! first, since that is the only way to hand over a descriptor that the command can't inherit; standard input follows through it.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::io::Read;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::net::recvmsg;
use rustix::net::sendmsg;
use rustix::process::getgid;
use rustix::stdio;
use rustix::thread::set_thread_gid;
use rustix::thread::set_thread_groups;
use rustix::thread::set_thread_uid;

use crate::failure::Failure;
use crate::host::Host;
use crate::host::confine;
use crate::host::invoker::Invoker;

/// The hidden subcommand that waits and becomes the command; its arguments are the command.
pub const LAUNCH: &str = "__launch";
/// As shells have it: the command was not found, or could not be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// A command that waits to be released.
#[derive(Debug)]
pub(super) struct Waiting {
    child: Child,
    control: UnixStream,
}

impl Waiting {
    /// Starts the process that will become the command. With `stdout_to_stderr` the command writes its output to standard error,
    /// because the recording itself goes to standard output.
    ///
    /// # Errors
    /// When ebrec can't start itself.
    pub(super) fn start(command: &[OsString], stdout_to_stderr: bool) -> Result<Waiting> {
        let (control, theirs) = UnixStream::pair().context("can't make a socket for the command")?;
        let stdout = match stdout_to_stderr {
            true => stdio::stderr().try_clone_to_owned().context("can't pass on standard error")?.into(),
            false => Stdio::inherit(),
        };
        let child = Command::new("/proc/self/exe")
            .arg(LAUNCH)
            .args(command)
            // It has that group already. But glibc's posix_spawn, which is used where nothing is to be set, leaves the signals 32 and 33
            // ignored, in the command too.
            .gid(getgid().as_raw())
            .stdin(OwnedFd::from(theirs))
            .stdout(stdout)
            .spawn()
            .context("can't start a process for the command")?;
        send_stdin(&control).context("can't pass on standard input")?;
        Ok(Waiting { child, control })
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
        self.control.write_all(b"x").context("the process for the command is gone")?;
        Ok(self.child)
    }
}

/// Sends our standard input, with a byte, since a descriptor can't travel alone.
fn send_stdin(control: &UnixStream) -> rustix::io::Result<()> {
    let stdin = [stdio::stdin()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&stdin));
    sendmsg(control, &[IoSlice::new(b"i")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Puts the standard input that came through the socket in the socket's place; returns the socket, which is closed on exec.
fn take_stdin() -> Result<UnixStream> {
    let control = stdio::stdin().try_clone_to_owned().context("nothing to wait on")?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(&control, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .context("nothing to wait on")?;
    let mut descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let stdin = descriptors.find_map(|mut descriptors| descriptors.next()).context("standard input did not come")?;
    stdio::dup2_stdin(stdin.as_fd()).context("can't take standard input")?;
    Ok(UnixStream::from(control))
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
    let [program, rest @ ..] = arguments else { return Err(Failure::usage("nothing to launch").into()) };
    let mut control = take_stdin()?;
    let mut command = Command::new(program);
    command.args(rest);
    let host = Host::this();
    if let Some(invoker) = &host.invoker {
        become_user(invoker)?;
        command.env("USER", &invoker.name).env("LOGNAME", &invoker.name);
        if let Some(home) = &invoker.home {
            command.env("HOME", home);
        }
    }
    if host.invoker.is_some() || host.privilege.euid != 0 {
        confine::pass_nothing_on().context("can't set capabilities aside")?;
    }
    // All else is done: what this process does from here on is recorded as the command's.
    let mut released = [0];
    if control.read(&mut released).unwrap_or(0) == 0 {
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
    set_thread_groups(&groups).context("can't take the groups of the user who called sudo")?;
    set_thread_gid(rustix::thread::Gid::from_raw(invoker.gid))
        .context("can't take the group of the user who called sudo")?;
    set_thread_uid(rustix::thread::Uid::from_raw(invoker.uid)).context("can't become the user who called sudo")
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
