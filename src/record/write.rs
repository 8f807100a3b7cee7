//! The writer thread: batches and checkpoints go to the file as they come.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use crate::host::priority;
use crate::record::describe::Description;
use crate::record::state::Message;
use crate::record::state::Shared;
use crate::recording::WriteError;
use crate::recording::Writer;

/// Writes until the drain hangs up; gives the writer back, to be finished.
///
/// # Errors
/// When the disk is full or refuses. What was checkpointed until then can be recovered.
pub(super) fn run(
    mut writer: Writer,
    messages: &Receiver<Message>,
    description: &Description,
    shared: &Arc<Shared>,
) -> Result<Writer, WriteError> {
    let mut in_window = true;
    for message in messages {
        // From here on the machine waits for us, and not we for it.
        if in_window && shared.stop.load(Ordering::Relaxed) {
            in_window = false;
            priority::sooner();
        }
        match message {
            Message::Batch(batch) => writer.write(batch)?,
            Message::Checkpoint(state) => {
                writer.set_meta(&description.meta(&state, ""));
                writer.checkpoint()?;
                shared.checkpointing.store(false, Ordering::Relaxed);
            }
        }
        shared.bytes.store(writer.bytes_written(), Ordering::Relaxed);
    }
    Ok(writer)
}
