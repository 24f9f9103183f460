//! Publishing and fetching among the ranks of a process.
//!
//! These futures know nothing of the collective's failure: whoever awaits them looks at its
//! [`Alarm`](super::Alarm) too.

use super::{Endpoint, pairs::Ranked};
use crate::{Node, Payload, Result, board::Key, frame::Space, home, mailbox::Failure};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

impl Endpoint {
    /// Puts a block of a collective where ranks of this process can fetch it, so many times.
    /// [`SIGNAL`](crate::SIGNAL) is no block, only news.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) when a value refuses to be encoded.
    pub fn publish(
        &self,
        space: Space,
        block: usize,
        content: Payload,
        readers: usize,
    ) -> Result<()> {
        home::stir();
        let Some(node) = self.node() else { return Ok(()) };
        let key = Key { space, from: self.rank(), block };
        node.board().pin(key, content, readers, &self.rank.unread)
    }

    /// Waits until little of what this rank has published is unread; to be awaited before the
    /// first [`publish`](Self::publish) of a collective.
    pub fn may_publish(&self) -> MayPublish {
        MayPublish { rank: Arc::clone(&self.rank) }
    }

    /// Reads a block that rank `from` of this process has published; `None` if it has not.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) when a value refuses to be encoded.
    pub fn fetch(&self, space: Space, from: u32, block: usize) -> Result<Option<Payload>> {
        let Some(node) = self.node() else { return Ok(None) };
        node.board().read(Key { space, from, block })
    }

    /// Waits until rank `from` of this process has published a block, without reading it.
    pub fn published(&self, space: Space, from: u32, block: usize) -> Published {
        let rank = Arc::clone(&self.rank);
        Published { rank, node: self.node(), key: Key { space, from, block } }
    }

    /// How much lies on the board of its process: what is published and unread, or waited
    /// for. For tests.
    #[must_use]
    pub fn notes_on_board(&self) -> usize {
        self.node().map_or(0, |node| node.board().len())
    }
}

/// Waits until another rank of the process has published something.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Published {
    rank: Arc<Ranked>,
    node: Option<Arc<Node>>,
    key: Key,
}

impl Future for Published {
    /// A rank that has left publishes nothing more; of other failures the alarm tells.
    type Output = std::result::Result<(), Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Without a process the rank is closed, and the alarm says so.
        let Some(node) = &self.node else { return Poll::Pending };
        let board = node.board();
        home::stir();
        home::spin(|| board.has(self.key));
        if !board.wait(self.key, context.waker()) {
            return Poll::Ready(Ok(()));
        }
        match self.rank.mailbox.lost_reason(self.key.from) {
            // It may have published before it left.
            Some(_) if board.has(self.key) => Poll::Ready(Ok(())),
            Some(reason) => Poll::Ready(Err(Failure::Lost { rank: self.key.from, reason })),
            None => Poll::Pending,
        }
    }
}

/// Waits until the rank may begin to publish: much of what it published before is read.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct MayPublish {
    rank: Arc<Ranked>,
}

impl Future for MayPublish {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.rank.unread.has_room(context.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}
