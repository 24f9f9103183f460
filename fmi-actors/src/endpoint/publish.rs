//! Publishing and fetching among the ranks of a process.
//!
//! These futures know nothing of the collective's failure: whoever awaits them looks at its
//! [`Alarm`](super::Alarm) too.

use super::{Endpoint, pairs::Ranked};
use crate::{
    Node, Payload, Result,
    board::{Note, Place, Sheet},
    frame::Space,
    home,
    mailbox::{Failure, Group},
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Where a rank and others of its process publish what they have for each other in the collectives of a
/// communicator.
#[derive(Debug)]
pub struct Publications {
    rank: Arc<Ranked>,
    node: Arc<Node>,
    sheet: Arc<Sheet>,
    /// Its own.
    column: usize,
}

impl Endpoint {
    /// Where the ranks of `group` in this process publish for each other in this scope; `None` if there is
    /// no process any more, or the rank is no member.
    #[must_use]
    pub fn publications(&self, scope: u64, group: &Group) -> Option<Arc<Publications>> {
        let node = self.node()?;
        let here = || match group.len() == node.world().len() {
            true => node.local_ranks().collect(),
            false => group.iter().copied().filter(|rank| node.has(*rank)).collect(),
        };
        let sheet = node.board().open(scope, here);
        let Some(column) = sheet.column(self.rank()) else {
            node.board().close(&sheet);
            return None;
        };
        Some(Arc::new(Publications { rank: Arc::clone(&self.rank), node, sheet, column }))
    }

    /// Waits until little of what this rank has published is unread; to be awaited before the
    /// first [`publish`](Publications::publish) of a collective.
    pub fn may_publish(&self) -> MayPublish {
        MayPublish { rank: Arc::clone(&self.rank) }
    }

    /// How much lies on the board of its process: what is published and unread. For tests.
    #[must_use]
    pub fn notes_on_board(&self) -> usize {
        self.node().map_or(0, |node| node.board().len())
    }
}

impl Publications {
    /// Puts blocks of a collective where ranks of this process can fetch each of them so many times.
    /// [`SIGNAL`](crate::SIGNAL) is no block, only news.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) when a value refuses to be encoded.
    pub fn publish(
        &self,
        space: Space,
        blocks: impl Iterator<Item = Result<(usize, Payload)>>,
        readers: usize,
    ) -> Result<()> {
        home::stir();
        let note = |(block, content)| Note { block, content, readers };
        let notes = blocks.map(|block| block.map(note));
        self.sheet.pin(self.column, space.number, notes, &self.rank.unread)
    }

    /// Reads a block that world rank `from` of this process has published; `None` if it has not.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) when a value refuses to be encoded.
    pub fn fetch(&self, space: Space, from: u32, block: usize) -> Result<Option<Payload>> {
        self.sheet.read(self.place(space, from, block))
    }

    /// Waits until world rank `from` of this process has published a block, without reading it.
    pub fn published(self: &Arc<Self>, space: Space, from: u32, block: usize) -> Published {
        Published { place: self.place(space, from, block), from, publications: Arc::clone(self) }
    }

    fn place(&self, space: Space, from: u32, block: usize) -> Place {
        // There is nothing in the column of a rank that has none.
        let column = self.sheet.column(from).unwrap_or(usize::MAX);
        Place { column, number: space.number, block }
    }
}

impl Drop for Publications {
    fn drop(&mut self) {
        self.node.board().close(&self.sheet);
    }
}

/// Waits until another rank of the process has published something.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Published {
    publications: Arc<Publications>,
    from: u32,
    place: Place,
}

impl Future for Published {
    /// A rank that has left publishes nothing more; of other failures the alarm tells.
    type Output = std::result::Result<(), Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Publications { rank, sheet, .. } = &*self.publications;
        home::stir();
        let before = sheet.news(self.place.column);
        if sheet.has(self.place) {
            return Poll::Ready(Ok(()));
        }
        home::spin(|| sheet.news(self.place.column) != before);
        if !sheet.wait(self.place, context.waker()) {
            return Poll::Ready(Ok(()));
        }
        match rank.mailbox.lost_reason(self.from) {
            // It may have published before it left.
            Some(_) if sheet.has(self.place) => Poll::Ready(Ok(())),
            Some(reason) => Poll::Ready(Err(Failure::Lost { rank: self.from, reason })),
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
