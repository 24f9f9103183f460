//! Publishing and fetching between processes, through the node's store.

use super::{
    Endpoint,
    pairs::{Ranked, wake},
};
use crate::{
    Error, Payload, Reason, Result,
    frame::Space,
    mailbox::{Failure, Wakers},
    reads::{Reading, Wanted},
    store::{Item, Part},
};
use futures::future::BoxFuture;
use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

/// A rank's part in a collective whose ranks publish and fetch through a store. While it is there,
/// what ranks of the process read is kept for those that take part, too.
#[derive(Debug)]
pub struct StoreUse {
    rank: Arc<Ranked>,
    space: Space,
    shares: bool,
}

impl Endpoint {
    /// This rank begins to use the store in a collective, in which so many ranks of this process
    /// take part.
    pub fn use_store(&self, space: Space, ranks_here: usize) -> StoreUse {
        let shares = ranks_here > 1;
        if let Some(node) = self.node().filter(|_| shares) {
            node.reads().enter(space, ranks_here);
        }
        StoreUse { rank: Arc::clone(&self.rank), space, shares }
    }
}

impl StoreUse {
    /// Waits until little of what this process has put there is unread.
    ///
    /// # Errors
    /// [`Error::Store`] if there is no store.
    pub fn room(&self) -> Result<BoxFuture<'static, ()>> {
        Ok(self.rank.store()?.room())
    }

    /// Puts a content there, for so many reads. Whether that succeeds the collective learns later:
    /// it fails then.
    ///
    /// # Errors
    /// [`Error::Store`] if there is no store, [`Error::Codec`] when a value refuses to be encoded.
    pub fn publish(&self, part: Part, content: Payload, readers: usize) -> Result<()> {
        if readers == 0 {
            return Ok(());
        }
        let store = self.rank.store()?;
        let item = Item { space: self.space, from: self.rank.number(), part };
        let mut content = content.into_wire()?;
        let Some(node) = self.rank.node() else { return Ok(()) };
        if self.shares {
            node.reads().keep(item, content.share()?);
        }
        let bytes = content.into_bytes()?;
        let put = store.put(item, bytes, readers);
        self.rank.putting.fetch_add(1, Ordering::AcqRel);
        let (number, space, weak) = (self.rank.number(), self.space, Arc::downgrade(&node));
        node.keeper().spawn(Box::pin(async move {
            let result = put.await;
            if let Some(node) = weak.upgrade() {
                let read = node.reads().put(item);
                if result.is_ok() {
                    (0..read).for_each(|_| store.skip(item));
                }
                node.with_rank(number, |rank| rank.published(space, result));
            }
        }));
        Ok(())
    }

    /// Reads what a rank (world number) has put there, once it has.
    ///
    /// # Errors
    /// [`Error::Store`] if there is no store.
    pub fn fetch(
        &self,
        from: u32,
        part: Part,
        range: Option<Range<u64>>,
        counts: bool,
        align: usize,
    ) -> Result<Reading> {
        let store = self.rank.store()?;
        let node = self.rank.node().ok_or(Error::Closed { operation: "fetch" })?;
        let item = Item { space: self.space, from, part };
        Ok(Reading::begin(&node, store, Wanted { item, range, counts, align }))
    }
}

impl Drop for StoreUse {
    fn drop(&mut self) {
        if let Some(node) = self.rank.node().filter(|_| self.shares) {
            node.reads().leave(self.space);
        }
    }
}

impl Ranked {
    /// A content is in the store, or cannot be put there: then its collective has failed.
    fn published(&self, space: Space, result: Result<()>) {
        let mut wakers = Wakers::new();
        if let Err(error) = result {
            tracing::warn!(%error, "cannot publish");
            let reason = Reason::Error(error.to_string());
            self.mailbox.fail(space, &Failure::of_store("the store", error), &mut wakers);
            // To the others it is a reason, also if this rank has done its part.
            self.flood(space, &Failure::Abandoned { rank: self.number(), reason });
            if let Ok(store) = self.store() {
                store.forget(space);
            }
        }
        self.putting.fetch_sub(1, Ordering::AcqRel);
        wakers.extend(self.pairs.lock().flushing.drain(..));
        wake(wakers);
    }
}
