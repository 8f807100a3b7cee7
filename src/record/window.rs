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

/// How often the progress line is drawn.
const TICK: Duration = Duration::from_millis(200);

/// What can end a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A signal came.
    Signal(i32),
    /// The command ended with this status.
    CommandEnded(u8),
    /// The drain or the writer can't go on.
    Failed,
}

/// Why a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was as long as asked for.
    Elapsed,
    /// The command ended with this status.
    Command(u8),
    /// A signal ended it.
    Signal(i32),
    /// The recorder could not go on.
    Failed,
}

impl Ended {
    /// As the recording has it: «ended by …».
    pub(super) fn name(self) -> String {
        match self {
            Ended::Elapsed => "duration".to_owned(),
            Ended::Command(status) => format!("command (status {status})"),
            Ended::Signal(SIGINT) => "interrupt".to_owned(),
            Ended::Signal(signal) => signals::name(signal).unwrap_or("signal").to_owned(),
            Ended::Failed => "failure".to_owned(),
        }
    }
}

/// What ends windows, as it comes.
pub(super) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

impl Events {
    /// Nothing has come yet.
    pub(super) fn new() -> Events {
        let (sender, receiver) = channel();
        Events { sender, receiver }
    }

    /// A way to report events from other threads.
    pub(super) fn sender(&self) -> Sender<Event> {
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
            let _ = to.send(Event::CommandEnded(status));
        };
        thread::Builder::new().name("ebrec-command".to_owned()).spawn(wait).context("can't start a thread")?;
        Ok(())
    }

    /// Waits until the window is over.
    pub(super) fn wait(&self, length: Option<Duration>, mut tick: impl FnMut()) -> Ended {
        let end = length.and_then(|length| Instant::now().checked_add(length));
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ended::Elapsed;
            }
            match self.receiver.recv_timeout(left.unwrap_or(TICK).min(TICK)) {
                Ok(Event::CommandEnded(status)) => return Ended::Command(status),
                Ok(Event::Failed) => return Ended::Failed,
                Ok(Event::Signal(signal)) => return Ended::Signal(signal),
                Err(RecvTimeoutError::Timeout) => tick(),
                Err(RecvTimeoutError::Disconnected) => return Ended::Failed,
            }
        }
    }

    /// The command's status, if it has ended by now.
    pub(super) fn command_status(&self) -> Option<u8> {
        self.receiver.try_iter().find_map(|event| match event {
            Event::CommandEnded(status) => Some(status),
            _ => None,
        })
    }
}
