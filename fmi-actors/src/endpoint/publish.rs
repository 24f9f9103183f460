//! Publishing and fetching among the ranks of a process.
//!
//! These futures know nothing of the collective's failure: whoever awaits them looks at its
//! [`Alarm`](super::Alarm) too.

use super::{Endpoint, pairs::Ranked};
use crate::{
    Node, Payload, Result,
    board::{Found, Key},
    frame::Space,
    home,
};
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

    /// Waits for a block that rank `from` of this process publishes.
    pub fn fetch(&self, space: Space, from: u32, block: usize) -> FetchFuture {
        FetchFuture { node: self.node(), key: Key { space, from, block } }
    }

    /// How much lies on the board of its process: what is published and unread, whom somebody
    /// waits for, calls that not all have made. For tests.
    #[must_use]
    pub fn notes_on_board(&self) -> usize {
        self.node().map_or(0, |node| node.board().len())
    }
}

/// Waits for what another rank of the process publishes.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct FetchFuture {
    node: Option<Arc<Node>>,
    key: Key,
}

impl Future for FetchFuture {
    type Output = Result<Payload>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Without a process the rank is closed, and the alarm says so.
        let Some(node) = &self.node else { return Poll::Pending };
        let board = node.board();
        let found = match board.read(self.key, None) {
            Ok(Found::NotYet) => {
                home::stir();
                home::spin(|| board.has(self.key));
                board.read(self.key, Some(context.waker()))
            }
            found => found,
        };
        match found {
            Ok(Found::Here(content)) => Poll::Ready(Ok(content)),
            Ok(Found::NotYet) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
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
