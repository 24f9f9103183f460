//! The contract between the core and a store: a place that processes without a common memory
//! publish in.
//!
//! A store holds what many read, or what is too large for a mailbox: it is put there once, and
//! whoever needs it reads it from there. Word that it is there comes over whatever link lives
//! (the *doorbell*); who gets no word looks again and again, as seldom as the model allows.

use crate::{AlignedBuf, Result, frame::Space};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::{fmt, ops::Range};

/// What a store can do. A channel that has one says so ([`Channel::store`]).
///
/// Everything in a store has a time to live, and the job's name and epoch in its key, so that what
/// a crash leaves behind goes away and is nobody else's.
///
/// [`Channel::store`]: crate::channel::Channel::store
pub trait Store: fmt::Debug + Send + Sync {
    /// The name of its channel.
    fn name(&self) -> &'static str;

    /// Puts a content there; done when others can read it. After that many reads, by
    /// [`read`](Self::read) and [`skip`](Self::skip) of any process
    /// together, it is of no more use and is deleted. Retries what can be retried until the item's
    /// deadline.
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store) with what to do.
    fn put(&self, item: Item, content: Bytes, readers: usize) -> BoxFuture<'static, Result<()>>;

    /// Waits until the content is there, and reads it into memory aligned for its elements: one
    /// read. May be dropped at any time.
    ///
    /// The payload of a message ([`Part::Message`]) is not waited for: its word comes when it is
    /// there, so that a store which has none has lost it.
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store) with what to do, [`Error::Lost`](crate::Error::Lost).
    fn get(&self, item: Item, align: usize) -> BoxFuture<'static, Result<AlignedBuf>> {
        self.read(item, None, align, true)
    }

    /// As [`get`](Self::get), but if there is a range only these bytes of the content, which has
    /// them; and it counts as a read if it says so.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn read(
        &self,
        item: Item,
        range: Option<Range<u64>>,
        align: usize,
        counts: bool,
    ) -> BoxFuture<'static, Result<AlignedBuf>>;

    /// Counts as a read: who would have read it has it from somewhere else, or needs it no more.
    /// Does not wait.
    fn skip(&self, item: Item);

    /// Ready when little of what this process has put there is unread, as far as the store can
    /// know; then its ranks may put more there.
    fn room(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Whether it serves many readers of one content as fast as one. The same for all stores of a
    /// name.
    fn is_wide(&self) -> bool {
        false
    }

    /// Whether messages through its channel reach a process without its looking for them; else each
    /// word that ranks have for each other costs a request. The same for all stores of a name.
    fn pushes(&self) -> bool {
        false
    }

    /// Ranks that have left or are lost: they read nothing any more.
    fn gone(&self, _ranks: &[u32]) {}

    /// What this process has put there for a collective that failed is of no use.
    fn forget(&self, space: Space);

    /// The process ends: deletes what it has put there and all have read, and waits for what
    /// others still read, up to the deadlines of the items.
    fn close(&self) -> BoxFuture<'static, ()>;
}

/// The place of a store that all processes of a job have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agreed {
    /// Links of other channels may join the processes, too. It may be one that serves many readers
    /// [as fast as one](Store::is_wide).
    Beside {
        /// It is.
        wide: bool,
    },
    /// There is no other way from one process to another. Messages through it may be
    /// [pushed](Store::pushes).
    Alone {
        /// They are.
        pushed: bool,
    },
}

/// What is put into a store, by whom and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Item {
    /// The collective, or the conversation of a message.
    pub space: Space,
    /// World rank of the one who puts it there.
    pub from: u32,
    /// Which.
    pub part: Part,
}

/// One of the things that a rank puts into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// A block of a collective, for any rank of the group; or several blocks that are published at
    /// once, by the first of them.
    Block(usize),
    /// News without content ([`SIGNAL`](crate::SIGNAL)).
    Signal,
    /// The payload of a message, for one rank: its world rank, and the message's number in the pair.
    Message(u32, u32),
}
