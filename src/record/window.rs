//! The window: when it ends, and why.

use std::process::Child;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use signal_hook::consts::SIGINT;

use crate::names::signals;
use crate::record::child::exit_status;
use crate::recording::Finished;

/// How often the progress line is drawn, where there is one.
const TICK: Duration = Duration::from_millis(500);
/// How long a wait lasts that nothing ends before.
const FOREVER: Duration = Duration::from_secs(3600);

/// What can end a window, or is said while it lasts.
#[derive(Debug)]
pub(super) enum WindowEvent {
    /// A signal came.
    Signal(i32),
    /// The command ended with this status.
    CommandEnded(u8),
    /// The file would become larger than it may be.
    Full,
    /// A recording of the newest part is there, or why it is not.
    Copied(Result<Finished, String>),
    /// The trigger has fired, and what was to follow it has.
    Triggered,
    /// The drain or the writer can't go on.
    Failed,
}

/// Why a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndReason {
    /// It was as long as asked for.
    Elapsed,
    /// The command ended with this status.
    Command(u8),
    /// A signal ended it.
    Signal(i32),
    /// The file would have become larger than it may be.
    Full,
    /// The trigger ended it.
    Triggered,
    /// The recorder could not go on.
    Failed,
}

impl EndReason {
    /// As the recording has it: «ended by …».
    pub(super) fn name(self) -> String {
        match self {
            EndReason::Elapsed => "duration".to_owned(),
            EndReason::Command(status) => format!("command (status {status})"),
            EndReason::Signal(SIGINT) => "interrupt".to_owned(),
            EndReason::Signal(signal) => signals::name(signal).unwrap_or("signal").to_owned(),
            EndReason::Full => "size limit".to_owned(),
            EndReason::Triggered => "trigger".to_owned(),
            EndReason::Failed => "failure".to_owned(),
        }
    }
}

/// Where threads send what ends the window.
pub(super) struct Events {
    sender: Sender<WindowEvent>,
    receiver: Receiver<WindowEvent>,
}

impl Events {
    /// Nothing has come yet.
    pub(super) fn new() -> Events {
        let (sender, receiver) = channel();
        Events { sender, receiver }
    }

    /// A way to report events from other threads.
    pub(super) fn sender(&self) -> Sender<WindowEvent> {
        self.sender.clone()
    }

    /// Waits for the command in a thread of its own.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub(super) fn watch(&self, mut child: Child) -> Result<()> {
        let to = self.sender.clone();
        let wait = move || {
            let status = child.wait().map_or(1, exit_status);
            // The window may be over, and nobody waits for this any more.
            let _ = to.send(WindowEvent::CommandEnded(status));
        };
        thread::Builder::new().name("ebrec-command".to_owned()).spawn(wait).context("can't start a thread")?;
        Ok(())
    }

    /// Waits until the window is over; ticks meanwhile, if that is wanted.
    pub(super) fn wait(
        &self,
        length: Option<Duration>,
        mut tick: Option<impl FnMut()>,
        copied: impl Fn(Result<Finished, String>),
    ) -> EndReason {
        let end = length.and_then(|length| Instant::now().checked_add(length));
        let longest = if tick.is_some() { TICK } else { FOREVER };
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return EndReason::Elapsed;
            }
            match self.receiver.recv_timeout(left.unwrap_or(longest).min(longest)) {
                Ok(WindowEvent::CommandEnded(status)) => return EndReason::Command(status),
                Ok(WindowEvent::Full) => return EndReason::Full,
                Ok(WindowEvent::Copied(made)) => copied(made),
                Ok(WindowEvent::Triggered) => return EndReason::Triggered,
                Ok(WindowEvent::Failed) => return EndReason::Failed,
                Ok(WindowEvent::Signal(signal)) => return EndReason::Signal(signal),
                Err(RecvTimeoutError::Timeout) => tick.iter_mut().for_each(|tick| tick()),
                Err(RecvTimeoutError::Disconnected) => return EndReason::Failed,
            }
        }
    }

    /// The recordings of newest parts that were made meanwhile.
    pub(super) fn copies(&self) -> impl Iterator<Item = Result<Finished, String>> {
        // The command may have ended meanwhile, too; that is asked for later.
        let events: Vec<WindowEvent> = self.receiver.try_iter().collect();
        events.into_iter().filter_map(|event| match event {
            WindowEvent::Copied(made) => Some(made),
            other => {
                let _ = self.sender.send(other);
                None
            }
        })
    }

    /// The command's status, if it has ended by now.
    pub(super) fn command_status(&self) -> Option<u8> {
        self.receiver.try_iter().find_map(|event| match event {
            WindowEvent::CommandEnded(status) => Some(status),
            _ => None,
        })
    }
}
