//! What waits for the writer: a queue that takes rows at once, however slow the disk is.
//!
//! The drain must never wait for a disk: while it does, aggregates overflow and rings fill, in every probe. So rows wait
//! here in bounded memory; what does not fit is dropped and counted by kind.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::record::state::Message;
use crate::recording::Batch;

/// Bytes of rows that may wait; beyond them events are dropped. Half a minute of a busy default recording.
const EVENTS_WAIT: usize = 32 << 20;
/// Beyond this many bytes everything is dropped: the totals, processes and stacks that events refer to have twice the room.
const ALL_WAIT: usize = 2 * EVENTS_WAIT;

const STOPPED: &str = "the writer has stopped";

/// Whether a kind of rows is one of many events, or what the events refer to and add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// One of many.
    Event,
    /// Totals, processes, stacks, losses.
    Frame,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Backlog {
    out: SyncSender<Message>,
    waiting: VecDeque<Message>,
    bytes: usize,
    dropped: HashMap<&'static str, u64>,
    /// The window is over: nothing is lost by waiting.
    patient: bool,
}

impl Backlog {
    /// A queue before the writer's channel.
    pub(super) fn new(out: SyncSender<Message>) -> Backlog {
        Backlog { out, waiting: VecDeque::new(), bytes: 0, dropped: HashMap::new(), patient: false }
    }

    /// Takes rows, or counts them as dropped.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub(super) fn take(&mut self, batch: Batch, weight: Weight) -> Result<()> {
        if self.patient {
            return self.out.send(Message::Batch(batch)).ok().context(STOPPED);
        }
        let room = match weight {
            Weight::Event => EVENTS_WAIT,
            Weight::Frame => ALL_WAIT,
        };
        let bytes = batch.bytes();
        // What nothing waits before is handed over whatever its size.
        if self.bytes > 0 && self.bytes + bytes > room {
            *self.dropped.entry(batch.kind()).or_default() += batch.rows() as u64;
            return Ok(());
        }
        self.bytes += bytes;
        self.waiting.push_back(Message::Batch(batch));
        self.hand_over()
    }

    /// Takes a checkpoint, behind all rows that were taken before it.
    pub(super) fn checkpoint(&mut self, message: Message) {
        self.waiting.push_back(message);
    }

    /// Hands over as much as the writer takes now.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub(super) fn hand_over(&mut self) -> Result<()> {
        while let Some(message) = self.waiting.pop_front() {
            let bytes = size(&message);
            match self.out.try_send(message) {
                Ok(()) => self.bytes -= bytes,
                Err(TrySendError::Full(message)) => {
                    self.waiting.push_front(message);
                    return Ok(());
                }
                Err(TrySendError::Disconnected(_)) => bail!(STOPPED),
            }
        }
        Ok(())
    }

    /// Hands over everything, and from here on waits for the writer to take it: the window is over.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub(super) fn wait_from_here(&mut self) -> Result<()> {
        self.patient = true;
        self.waiting.drain(..).try_for_each(|message| self.out.send(message)).ok().context(STOPPED)
    }

    /// Rows dropped since the last call, by kind.
    pub(super) fn take_dropped(&mut self) -> HashMap<&'static str, u64> {
        std::mem::take(&mut self.dropped)
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Batch(batch) => batch.bytes(),
        Message::Checkpoint(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    use super::Backlog;
    use super::EVENTS_WAIT;
    use super::Message;
    use super::Weight;
    use crate::recording::Batch;
    use crate::recording::Rows;
    use crate::recording::Schema;
    use crate::recording::column;

    /// A batch of 8 MiB.
    fn batch(kind: &'static str) -> Batch {
        let mut rows = Rows::new(Arc::new(Schema::new([])), 0);
        for at in 0..1 << 20 {
            rows.row(kind).int(column::PID, at);
        }
        let batch = rows.take(1, true).remove(0);
        assert_eq!(batch.bytes(), EVENTS_WAIT / 4);
        batch
    }

    #[test]
    fn a_slow_writer_costs_events_beyond_the_bound_and_nothing_else() {
        let (out, messages) = sync_channel(1);
        let mut backlog = Backlog::new(out);
        for _ in 0..7 {
            backlog.take(batch("syscall"), Weight::Event).unwrap();
        }
        backlog.take(batch("metric"), Weight::Frame).unwrap();
        // One in the channel and four here.
        assert_eq!(backlog.take_dropped().into_iter().collect::<Vec<_>>(), [("syscall", 2 << 20)]);
        assert!(backlog.take_dropped().is_empty());
        let reader = std::thread::spawn(move || messages.into_iter().count());
        backlog.wait_from_here().unwrap();
        for _ in 0..8 {
            backlog.take(batch("syscall"), Weight::Event).unwrap();
        }
        assert!(backlog.take_dropped().is_empty());
        drop(backlog);
        assert_eq!(reader.join().unwrap(), 14);
    }

    #[test]
    fn once_the_writer_takes_rows_again_none_are_dropped() {
        let (out, messages) = sync_channel(1);
        let mut backlog = Backlog::new(out);
        for _ in 0..6 {
            backlog.take(batch("syscall"), Weight::Event).unwrap();
        }
        assert_eq!(backlog.take_dropped().len(), 1);
        assert!(matches!(messages.recv(), Ok(Message::Batch(_))));
        backlog.hand_over().unwrap();
        backlog.take(batch("syscall"), Weight::Event).unwrap();
        assert!(backlog.take_dropped().is_empty());
    }

    #[test]
    fn a_writer_that_has_stopped_is_an_error_and_not_a_loss() {
        let (out, messages) = sync_channel(1);
        drop(messages);
        let mut backlog = Backlog::new(out);
        assert!(backlog.take(batch("syscall"), Weight::Event).is_err());
    }
}
