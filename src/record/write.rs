//! The writer thread: batches and checkpoints go to the file as they come.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;

use crate::host::priority;
use crate::record::copies::Copies;
use crate::record::describe::Description;
use crate::record::state::Generation;
use crate::record::state::Message;
use crate::record::state::Part;
use crate::record::state::Shared;
use crate::record::window::WindowEvent;
use crate::recording::WriteError;
use crate::recording::Writer;

/// Writes until the drain hangs up; gives the writer back, to be finished. Reports when the file has no room for more.
///
/// # Errors
/// When the disk is full or refuses. What was checkpointed until then can be recovered.
pub(super) fn run(
    mut writer: Writer,
    bundles: &Receiver<Vec<Message>>,
    description: &Description,
    shared: &Arc<Shared>,
    events: &Sender<WindowEvent>,
    copies: Option<Copies>,
) -> Result<Writer, WriteError> {
    let (mut in_window, mut is_full) = (true, false);
    for message in bundles.iter().flatten() {
        // From here on the machine waits for us, and not we for it.
        if in_window && shared.is_stopped() {
            in_window = false;
            priority::sooner();
        }
        match message {
            Message::Batch(batch) => writer.write(batch)?,
            Message::Narrow(batch) => writer.write(batch.widen())?,
            Message::Checkpoint(state) => {
                writer.set_meta(&description.meta(&state, ""));
                writer.checkpoint()?;
                shared.checkpointing.store(false, Ordering::Relaxed);
            }
            Message::Generation(Generation { oldest, descriptions, state }) => {
                writer.set_meta(&description.meta(&state, ""));
                writer.begin_generation(oldest, descriptions)?;
                shared.generating.store(false, Ordering::Relaxed);
            }
            Message::Copy(part) => {
                let Part { span, state, ended, more } = *part;
                let copy = writer.copy(span, &description.meta(&state, &ended), more)?;
                if let Some(copies) = &copies {
                    copies.order(copy);
                }
            }
        }
        if in_window && !is_full && writer.is_full()? {
            is_full = true;
            // The window may have ended meanwhile, and nobody waits for this any more.
            let _ = events.send(WindowEvent::Full);
        }
        shared.bytes.store(writer.bytes_written(), Ordering::Relaxed);
        shared.most_bytes.store(writer.most_bytes(), Ordering::Relaxed);
    }
    copies.into_iter().for_each(Copies::finish);
    Ok(writer)
}
