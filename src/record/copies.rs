//! The recordings that `--last` makes while it goes on: one for each SIGUSR1, written by a thread of its own.

use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::thread::JoinHandle;

use anyhow::Context;
use anyhow::Result;

use crate::host::priority;
use crate::record::window::WindowEvent;
use crate::recording::Copy;

/// Copies that may wait for the one that is being written: each holds what it is made of on the disk.
const WAITING: usize = 1;

/// The thread that writes copies.
pub(super) struct Copies {
    orders: SyncSender<Copy>,
    events: Sender<WindowEvent>,
    thread: JoinHandle<()>,
}

impl Copies {
    /// Starts the thread; the copies are numbered from 1 after `path`.
    ///
    /// # Errors
    /// When there can't be another thread.
    pub(super) fn start(path: PathBuf, events: Sender<WindowEvent>) -> Result<Copies> {
        let (orders, asked) = sync_channel::<Copy>(WAITING);
        let said = events.clone();
        let write = move || {
            priority::ordinary();
            for (number, copy) in (1..).zip(asked) {
                let made = copy.write_numbered(&path, number).map_err(|error| error.to_string());
                let _ = said.send(WindowEvent::Copied(made));
            }
        };
        let thread = thread::Builder::new().name("ebrec-copies".to_owned()).spawn(write);
        Ok(Copies { orders, events, thread: thread.context("can't start a thread")? })
    }

    /// Has a copy written, unless the disk has not even taken those before it.
    pub(super) fn order(&self, copy: Copy) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.orders.try_send(copy) {
            let _ = self.events.send(WindowEvent::Copied(Err("the disk is too slow for another recording".to_owned())));
        }
    }

    /// Waits until all are written.
    pub(super) fn finish(self) {
        drop(self.orders);
        let _ = self.thread.join();
    }
}
