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
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Handle;
use signal_hook::iterator::Signals;

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

/// Signals and the command's end, as they come.
pub(super) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    signals: Handle,
}

impl Events {
    /// From here on Ctrl-C and friends arrive here instead of ending the process.
    ///
    /// # Errors
    /// When the signals can't be taken over.
    pub(super) fn listen() -> Result<Events> {
        let (sender, receiver) = channel();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("can't listen for signals")?;
        let handle = signals.handle();
        let to = sender.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                if to.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        });
        Ok(Events { sender, receiver, signals: handle })
    }

    /// A way to report events from other threads.
    pub(super) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Waits for the command in a thread of its own.
    pub(super) fn watch(&self, mut child: Child) {
        let to = self.sender.clone();
        thread::spawn(move || {
            let status = child.wait().map_or(1, exit_status);
            // The window may be over, and nobody waits for this any more.
            let _ = to.send(Event::CommandEnded(status));
        });
    }

    /// Waits until the window is over.
    ///
    /// Without a command the first signal ends it. With one, an interrupt from the terminal has reached the command too,
    /// and the window ends with it or at the second signal; any other signal is passed on to it.
    pub(super) fn wait(&self, length: Option<Duration>, command: Option<u32>, mut tick: impl FnMut()) -> Ended {
        let end = length.and_then(|length| Instant::now().checked_add(length));
        let mut signalled = false;
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ended::Elapsed;
            }
            match self.receiver.recv_timeout(left.unwrap_or(TICK).min(TICK)) {
                Ok(Event::CommandEnded(status)) => return Ended::Command(status),
                Ok(Event::Failed) => return Ended::Failed,
                Ok(Event::Signal(signal)) => match command {
                    Some(pid) if !signalled => {
                        signalled = true;
                        if signal != SIGINT {
                            pass_on(signal, pid);
                        }
                    }
                    _ => return Ended::Signal(signal),
                },
                Err(RecvTimeoutError::Timeout) => tick(),
                Err(RecvTimeoutError::Disconnected) => return Ended::Failed,
            }
        }
    }

    /// Whether another Ctrl-C has come: the user does not want to wait for the finishing work.
    pub(super) fn interrupted_again(&self) -> bool {
        self.receiver.try_iter().any(|event| matches!(event, Event::Signal(_)))
    }

    /// The command's status, if it has ended by now.
    pub(super) fn command_status(&self) -> Option<u8> {
        self.receiver.try_iter().find_map(|event| match event {
            Event::CommandEnded(status) => Some(status),
            _ => None,
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.signals.close();
    }
}

/// Sends a signal that we got to the command.
fn pass_on(signal: i32, pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
        // It may have ended just now.
        let _ = kill_process(pid, signal);
    }
}
