//! Payloads of messages that lie in the node's store: put there before their envelope leaves, read
//! when it is matched. The store works on the keeper; nothing here waits.

use super::{
    entry::{Get, Pull},
    pairs::{Ranked, wake},
};
use crate::{
    AlignedBuf, Error, Payload, Result,
    frame::Space,
    mailbox::{Failure, Wakers},
    pair::Put,
    store::{Item, Part, Store},
};
use std::sync::Arc;

impl Ranked {
    /// Puts a payload into the store; its envelope follows.
    pub(super) fn put(&self, to: u32, put: Put) {
        let Put { space, message, payload } = put;
        let item = Item { space, from: self.number(), part: Part::Message(to, message) };
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => return self.put_done(to, message, Err(error)),
        };
        let bytes = match payload.into_bytes() {
            Ok(bytes) => bytes,
            Err(error) => return self.put_done(to, message, Err(error)),
        };
        let Some(node) = self.node() else { return };
        let (number, weak) = (self.number(), Arc::downgrade(&node));
        node.keeper().spawn(Box::pin(async move {
            let result = store.put(item, bytes, 1).await;
            if let Some(node) = weak.upgrade() {
                node.with_rank(number, |rank| rank.put_done(to, message, result));
            }
        }));
    }

    fn put_done(&self, to: u32, message: u32, result: Result<()>) {
        let mut wakers = Wakers::new();
        let failure = result.err().map(|error| {
            tracing::warn!(%error, to, "cannot put a message into the store");
            Failure::of_store("the store", error)
        });
        {
            let mut pairs = self.pairs.lock();
            let Some(entry) = pairs.by_rank.get_mut(&to) else { return };
            if let Some(failure) = &failure
                && let Some(slot) = entry.sync.remove(&message)
            {
                wakers.extend(slot.finish(Err(failure.clone())));
            }
            entry.pair.put_done(message, failure.as_ref().map(Failure::to_payload));
        }
        wake(wakers);
        self.pump(to);
    }

    /// Does what is to be done about payloads that rank `from` has put into the store.
    pub(super) fn get(&self, from: u32, gets: Vec<Get>) {
        for get in gets {
            match get {
                Get::Read { space, message, align } => self.read(from, space, message, align),
                Get::Skip { space, message } => {
                    if let Ok(store) = self.store() {
                        store.skip(self.item(from, space, message));
                    }
                }
            }
        }
    }

    fn read(&self, from: u32, space: Space, message: u32, align: usize) {
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => return self.got(from, message, Err(error)),
        };
        let Some(node) = self.node() else { return };
        let item = self.item(from, space, message);
        let (number, weak) = (self.number(), Arc::downgrade(&node));
        node.keeper().spawn(Box::pin(async move {
            let result = store.get(item, align).await;
            if let Some(node) = weak.upgrade() {
                node.with_rank(number, |rank| rank.got(from, message, result));
            }
        }));
    }

    fn got(&self, from: u32, message: u32, result: Result<AlignedBuf>) {
        let mut wakers = Wakers::new();
        {
            let mut pairs = self.pairs.lock();
            let Some(entry) = pairs.by_rank.get_mut(&from) else { return };
            // Dropped meanwhile, if there is none.
            let Some(Pull::Reading(slot)) = entry.pulls.remove(&message) else { return };
            match result {
                Ok(buf) => entry.complete(&slot, message, Payload::from(buf), &mut wakers),
                Err(error) => {
                    wakers.extend(slot.fail(Failure::of_store("the store", error)));
                }
            }
        }
        wake(wakers);
    }

    fn item(&self, from: u32, space: Space, message: u32) -> Item {
        Item { space, from, part: Part::Message(self.number(), message) }
    }

    pub(super) fn store(&self) -> Result<Arc<dyn Store>> {
        self.node().and_then(|node| node.store()).ok_or_else(|| Error::Store {
            store: "the store".to_owned(),
            what: "a message".to_owned(),
            reason: "this process has none: give all processes of the job the same FMI_CHANNELS"
                .to_owned(),
        })
    }
}
