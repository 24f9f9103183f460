//! Notes on their way from a process to the rendezvous.

use fmi_actors::channel::{self, MAX_NOTE};
use tokio::sync::mpsc;

/// A note of a channel, for the same channel of another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// On the way out, whom it is for; on the way in, whom it is from.
    pub(super) process: u32,
    pub(super) channel: String,
    pub(super) note: Vec<u8>,
}

/// Notes that may wait, each way: a thousand peers may be called at once.
pub(super) const WAITING: usize = 2048;

/// Carries the notes of a [`Client`](super::Client), as long as it is registered.
#[derive(Debug, Clone)]
pub struct Post {
    notes: mpsc::Sender<Note>,
}

impl Post {
    pub(super) fn new() -> (Self, mpsc::Receiver<Note>) {
        let (notes, outlet) = mpsc::channel(WAITING);
        (Self { notes }, outlet)
    }
}

impl channel::Post for Post {
    fn tell(&self, process: u32, channel: &str, note: Vec<u8>) {
        if note.len() > MAX_NOTE {
            tracing::warn!(channel, bytes = note.len(), "a note is too long and was not sent");
            return;
        }
        // Without a rendezvous, or when too many wait: lost, as notes may get.
        let _ = self.notes.try_send(Note { process, channel: channel.to_owned(), note });
    }
}
