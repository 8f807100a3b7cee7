//! What waits for the writer: a queue that takes rows at once, however slow the disk is.
//!
//! The drain must never wait for a disk: while it does, aggregates overflow and rings fill, in every probe. So rows wait
//! here in bounded memory, narrowed; what does not fit is dropped and counted by kind.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::record::state::Message;
use crate::recording::Batch;
use crate::recording::NarrowBatch;

/// Bytes of rows that may wait, narrowed; beyond them events are dropped. About 700,000 system calls.
const EVENTS_WAIT: usize = 16 << 20;
/// Bytes of rows that are handed over in one bundle, which the writer wakes for: as much as a batch has when events are many.
const BUNDLE: usize = 1 << 20;
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
    out: SyncSender<Vec<Message>>,
    waiting: VecDeque<Message>,
    bytes: usize,
    dropped: HashMap<&'static str, u64>,
    /// The window is over: nothing is lost by waiting.
    patient: bool,
}

impl Backlog {
    /// A queue before the writer's channel.
    pub(super) fn new(out: SyncSender<Vec<Message>>) -> Backlog {
        Backlog { out, waiting: VecDeque::new(), bytes: 0, dropped: HashMap::new(), patient: false }
    }

    /// Takes rows, or counts them as dropped. They are handed over with the next call of [`Backlog::hand_over`] at the latest.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub(super) fn take(&mut self, batch: Batch, weight: Weight) -> Result<()> {
        if self.patient {
            return self.out.send(vec![Message::Batch(batch)]).ok().context(STOPPED);
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
        if self.bytes >= BUNDLE {
            self.hand_over()?;
            self.narrow();
        }
        Ok(())
    }

    /// Narrows the rows that the writer did not take.
    fn narrow(&mut self) {
        for message in self.waiting.iter_mut().rev() {
            match message {
                Message::Batch(batch) => {
                    self.bytes -= batch.bytes();
                    let batch = NarrowBatch::from(std::mem::take(batch));
                    self.bytes += batch.bytes();
                    *message = Message::Narrow(batch);
                }
                Message::Narrow(_) => return,
                Message::Checkpoint(_) | Message::Generation(_) | Message::Copy(_) => {}
            }
        }
    }

    /// Takes what is not rows, behind all rows that were taken before it.
    pub(super) fn in_order(&mut self, message: Message) {
        if self.patient {
            // A writer that has stopped says so at the next rows.
            let _ = self.out.send(vec![message]);
        } else {
            self.waiting.push_back(message);
        }
    }

    /// Hands over as much as the writer takes now.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub(super) fn hand_over(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            let (mut bundle, mut bytes) = (Vec::new(), 0);
            while bytes < BUNDLE
                && let Some(message) = self.waiting.pop_front()
            {
                bytes += size(&message);
                bundle.push(message);
            }
            match self.out.try_send(bundle) {
                Ok(()) => self.bytes -= bytes,
                Err(TrySendError::Full(bundle)) => {
                    bundle.into_iter().rev().for_each(|message| self.waiting.push_front(message));
                    return Ok(());
                }
                Err(TrySendError::Disconnected(_)) => bail!(STOPPED),
            }
        }
        Ok(())
    }

    /// Whether something waits that the writer did not take.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands over everything, and from here on waits for the writer to take it: the window is over.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub(super) fn wait_from_here(&mut self) -> Result<()> {
        self.patient = true;
        let rest: Vec<Message> = self.waiting.drain(..).collect();
        self.out.send(rest).ok().context(STOPPED)
    }

    /// Rows dropped since the last call, by kind.
    pub(super) fn take_dropped(&mut self) -> HashMap<&'static str, u64> {
        std::mem::take(&mut self.dropped)
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Batch(batch) => batch.bytes(),
        Message::Narrow(batch) => batch.bytes(),
        Message::Checkpoint(_) | Message::Generation(_) | Message::Copy(_) => 0,
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
    use crate::record::state::State;
    use crate::recording::Batch;
    use crate::recording::Rows;
    use crate::recording::Schema;
    use crate::recording::column;

    /// A batch of 4 MiB that can't be narrowed.
    fn batch(kind: &'static str) -> Batch {
        let mut rows = Rows::new(Arc::new(Schema::new([])), 0);
        for at in 0..1 << 19 {
            rows.row(kind).int(column::RET, at << 44);
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
        assert_eq!(backlog.take_dropped().into_iter().collect::<Vec<_>>(), [("syscall", 1 << 20)]);
        assert!(backlog.take_dropped().is_empty());
        let reader = std::thread::spawn(move || messages.into_iter().flatten().count());
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
        assert!(matches!(messages.recv().as_deref(), Ok([Message::Batch(_)])));
        backlog.hand_over().unwrap();
        backlog.take(batch("syscall"), Weight::Event).unwrap();
        assert!(backlog.take_dropped().is_empty());
    }

    /// Each is a wake-up of the writer: it had 14 a second on an idle machine.
    #[test]
    fn small_batches_and_the_checkpoint_behind_them_are_one_bundle() {
        let (out, messages) = sync_channel(2);
        let mut backlog = Backlog::new(out);
        for kind in ["metric", "cost", "clock"] {
            let mut rows = Rows::new(Arc::new(Schema::new([])), 0);
            rows.row(kind).int(column::PID, 1);
            backlog.take(rows.take(1, true).remove(0), Weight::Frame).unwrap();
        }
        backlog.in_order(Message::Checkpoint(State::default()));
        assert!(messages.try_recv().is_err());
        backlog.hand_over().unwrap();
        assert!(backlog.is_empty());
        let bundle = messages.try_recv().unwrap();
        assert!(matches!(
            &bundle[..],
            [Message::Batch(_), Message::Batch(_), Message::Batch(_), Message::Checkpoint(_)]
        ));
        assert!(messages.try_recv().is_err());
    }

    #[test]
    fn a_writer_that_has_stopped_is_an_error_and_not_a_loss() {
        let (out, messages) = sync_channel(1);
        drop(messages);
        let mut backlog = Backlog::new(out);
        assert!(backlog.take(batch("syscall"), Weight::Event).is_err());
    }
}
