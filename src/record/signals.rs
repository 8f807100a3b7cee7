//! Signals: what each one does, whatever the other threads are doing.
//!
//! | while | the first | the next |
//! |---|---|---|
//! | probes are attached | cancels the recording | ends the process |
//! | the window lasts | ends the window | ends the process |
//! | the window lasts, with a command | goes to the command | ends the window, and the process soon after |
//! | the file is finished or copied | changes nothing | ends the process |
//!
//! With `--last`, SIGUSR1 asks for a recording of the newest span while the window lasts, and counts for nothing else.
//!
//! A thread of its own sees to all of that and waits for no other: the main thread may wait for a drain or a writer that is stuck in
//! a slow disk or a strange file, or for a terminal that is stopped. What the writer has checkpointed is on the disk by then.
//! All other threads block these signals. The kernel prefers the main thread, and one that waits for a disk runs no handler: the
//! signal would wait with it, and the next of its kind would be dropped.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::getpgrp;
use rustix::process::kill_process;
use rustix::termios::tcgetpgrp;
use rustix::thread::CapabilitySet;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::Handle;
use signal_hook::iterator::Signals;

use crate::bpf::signal_mask::SignalMask;
use crate::dispositions;
use crate::host::confine;
use crate::record::GiveUp;
use crate::record::state::Shared;
use crate::record::window::WindowEvent;

/// After the second signal with a command, the recording may still be finished within this time.
const LAST_CHANCE: Duration = Duration::from_millis(700);

/// How far the recording has got.
#[derive(Debug)]
pub(super) enum Stage {
    /// Probes are being attached.
    Attaching,
    /// The window lasts, perhaps for a command.
    Window { command: Option<u32> },
    /// The file is being finished; the error says where it is left if that is given up.
    Finishing,
    /// The file is copied into a pipe or a device.
    Copying { from: PathBuf },
    /// The recording is where it was to go.
    Finished,
}

/// What the thread of signals and the main thread share.
struct Course {
    stage: Stage,
    signals: u32,
    /// Makes the error with which the process ends before the recording is finished.
    unfinished: Box<dyn Fn(&Stage) -> anyhow::Error + Send>,
}

/// Signals, taken over until this is dropped.
pub(super) struct Interrupts {
    course: Arc<Mutex<Course>>,
    handle: Handle,
    /// The signals that the calling thread blocked before.
    blocked_before: SignalMask,
}

/// What a signal leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    CallOff,
    PassOn(u32),
    EndWindow,
    EndWindowThenGiveUp,
    /// What it asks for is under way: the window has ended.
    GoOn,
    GiveUp,
}

/// The table at the top; `number` counts the signals from 1.
fn effect(stage: &Stage, number: u32) -> Effect {
    match (stage, number) {
        (Stage::Attaching, 1) => Effect::CallOff,
        (Stage::Window { command: None }, 1) => Effect::EndWindow,
        (Stage::Window { command: Some(pid) }, 1) => Effect::PassOn(*pid),
        (Stage::Window { command: Some(_) }, 2) => Effect::EndWindowThenGiveUp,
        (Stage::Finishing | Stage::Copying { .. } | Stage::Finished, 1) => Effect::GoOn,
        _ => Effect::GiveUp,
    }
}

impl Interrupts {
    /// From here on Ctrl-C and friends arrive here instead of ending the process. A hangup that was ignored before, by nohup(1), stays ignored.
    ///
    /// The calling thread blocks them until this is dropped, and so do the threads that it starts meanwhile: it has to be the only one.
    /// With `copies`, SIGUSR1 asks for a recording of the newest part while the window lasts. With `foreign_command` they can be passed on to another user's process.
    ///
    /// # Errors
    /// When the signals can't be taken over.
    pub(super) fn listen(
        foreign_command: bool,
        copies: bool,
        shared: Arc<Shared>,
        events: Sender<WindowEvent>,
        give_up: GiveUp,
        unfinished: impl Fn(&Stage) -> anyhow::Error + Send + 'static,
    ) -> Result<Interrupts> {
        let course = Course { stage: Stage::Attaching, signals: 0, unfinished: Box::new(unfinished) };
        let course = Arc::new(Mutex::new(course));
        let mut wanted = vec![SIGINT, SIGTERM];
        if !dispositions::is_ignored(SIGHUP) {
            wanted.push(SIGHUP);
        }
        if copies {
            wanted.push(SIGUSR1);
        }
        let mut signals = Signals::new(&wanted).context("can't listen for signals")?;
        let blocked_before = SignalMask::block(&wanted).context("can't block signals")?;
        let handle = signals.handle();
        let listener = Listener { course: Arc::clone(&course), shared, events, give_up };
        thread::Builder::new()
            .name("ebrec-signals".to_owned())
            .spawn(move || {
                // It can't be refused: the set is valid.
                let _ = SignalMask::unblock(&wanted);
                // All that it does is to signal the command.
                let _ = confine::keep_only(match foreign_command {
                    true => CapabilitySet::KILL,
                    false => CapabilitySet::empty(),
                });
                signals.forever().for_each(|signal| listener.take(signal));
            })
            .context("can't start a thread")?;
        Ok(Interrupts { course, handle, blocked_before })
    }

    /// Says how far the recording has got.
    ///
    /// # Errors
    /// When it was called off meanwhile.
    pub(super) fn enter(&self, stage: Stage) -> Result<()> {
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(course.stage, Stage::Attaching) && course.signals > 0 {
            return Err((course.unfinished)(&course.stage));
        }
        course.stage = stage;
        Ok(())
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.handle.close();
        self.blocked_before.restore();
    }
}

struct Listener {
    course: Arc<Mutex<Course>>,
    shared: Arc<Shared>,
    events: Sender<WindowEvent>,
    give_up: GiveUp,
}

impl Listener {
    fn take(&self, signal: i32) {
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        if signal == SIGUSR1 {
            if matches!(course.stage, Stage::Window { .. }) {
                self.shared.ask_for_copy();
            }
            return;
        }
        course.signals += 1;
        let effect = effect(&course.stage, course.signals);
        match effect {
            Effect::CallOff | Effect::GoOn => {}
            Effect::PassOn(pid) => pass_on(signal, pid),
            Effect::EndWindow => self.end_window(signal),
            Effect::EndWindowThenGiveUp => {
                self.end_window(signal);
                self.give_up_later();
            }
            Effect::GiveUp => (self.give_up)((course.unfinished)(&course.stage)),
        }
    }

    /// The drain is told as well: the main thread may be held up.
    fn end_window(&self, signal: i32) {
        self.shared.stop();
        let _ = self.events.send(WindowEvent::Signal(signal));
    }

    fn give_up_later(&self) {
        let (course, give_up) = (Arc::clone(&self.course), self.give_up);
        let later = move || {
            thread::sleep(LAST_CHANCE);
            let course = course.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(course.stage, Stage::Finished) {
                give_up((course.unfinished)(&course.stage));
            }
        };
        // Without the thread, the third signal does the same.
        let _ = thread::Builder::new().name("ebrec-last".to_owned()).spawn(later);
    }
}

/// Sends a signal that we got to the command. Ctrl-C at the terminal has reached the command already.
fn pass_on(signal: i32, pid: u32) {
    if signal == SIGINT && is_in_foreground() {
        return;
    }
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
        // It may have ended just now.
        let _ = kill_process(pid, signal);
    }
}

/// Whether what is typed at the terminal goes to this process and those that it has started.
fn is_in_foreground() -> bool {
    let Ok(terminal) = File::open("/dev/tty") else { return false };
    tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp())
}

#[cfg(test)]
mod tests {
    use super::Effect;
    use super::Stage;
    use super::effect;

    #[test]
    fn the_second_signal_ends_the_process_at_every_stage() {
        for stage in [Stage::Attaching, Stage::Window { command: None }, Stage::Finishing, Stage::Finished] {
            assert_eq!(effect(&stage, 2), Effect::GiveUp, "{stage:?}");
        }
        assert_eq!(effect(&Stage::Window { command: Some(7) }, 2), Effect::EndWindowThenGiveUp);
        assert_eq!(effect(&Stage::Window { command: Some(7) }, 3), Effect::GiveUp);
    }

    #[test]
    fn the_first_signal_ends_the_window_or_goes_to_the_command() {
        assert_eq!(effect(&Stage::Window { command: None }, 1), Effect::EndWindow);
        assert_eq!(effect(&Stage::Window { command: Some(7) }, 1), Effect::PassOn(7));
        assert_eq!(effect(&Stage::Attaching, 1), Effect::CallOff);
    }

    #[test]
    fn the_first_signal_after_the_window_does_not_give_up_what_is_nearly_done() {
        for stage in [Stage::Finishing, Stage::Copying { from: "a".into() }, Stage::Finished] {
            assert_eq!(effect(&stage, 1), Effect::GoOn, "{stage:?}");
            assert_eq!(effect(&stage, 2), Effect::GiveUp, "{stage:?}");
        }
    }
}
