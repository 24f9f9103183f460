//! What this process has put on the shelf and, as far as it knows, is still read there.

use super::{Duration, Instant, Item, Shelf, Space, cmd};
use bytes::Bytes;
use redis::Value;

/// An item of this process.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) item: Item,
    pub(super) slot: u16,
    pub(super) parts: usize,
    /// Kept for a store that forgets.
    pub(super) content: Bytes,
    pub(super) readers: usize,
    pub(super) refreshed: Instant,
    /// It is there.
    pub(super) written: bool,
    /// It was put there once more, and who had read it before does not come again; or a reader is
    /// lost: nobody will say when it is of no more use.
    pub(super) doubtful: bool,
}

impl Shelf {
    /// Lets what is unread live on. On the service thread, now and then.
    pub(in crate::redis) async fn refresh(&self) {
        let due = self.hub.target.ttl / 3;
        self.look_after(|own| own.refreshed.elapsed() >= due.min(LOOK)).await;
    }

    /// The store has forgotten what was there, or may have: what has not been read, as far as is
    /// known, is put there once more.
    pub(in crate::redis) fn replenish(&self) {
        let lost: Vec<_> = {
            let mut own = self.own.lock();
            own.values_mut()
                .map(|own| {
                    (own.doubtful, own.written) = (true, false);
                    (own.item, own.content.clone(), own.readers)
                })
                .collect()
        };
        let Some(shelf) = self.itself.upgrade().filter(|_| !lost.is_empty()) else { return };
        fmi_actors::service::Service::get().spawn(async move {
            for (item, content, readers) in lost {
                if let Err(error) = shelf.write(item, content, readers).await {
                    tracing::warn!(%error, "an item is not put into the store once more");
                }
            }
        });
    }

    /// Deletes what this process has put there and has not been read.
    pub(in crate::redis) async fn clear(&self) {
        self.delete_all(|_| true).await;
    }

    /// Deletes what was put there for a space.
    pub(super) async fn delete_space(&self, space: Space) {
        self.delete_all(|own| own.item.space == space).await;
    }

    /// Whether something was put there for a space.
    pub(super) fn has(&self, space: Space) -> bool {
        self.own.lock().values().any(|own| own.item.space == space)
    }

    /// Bytes that are not read yet.
    pub(super) fn unread(&self) -> u64 {
        let own = self.own.lock();
        own.values().filter(|own| !own.doubtful).map(|own| own.content.len() as u64).sum()
    }

    /// Whether nobody will read any more what is there; of what is doubtful, nobody knows that.
    pub(super) fn is_read(&self, but_for_doubtful: bool) -> bool {
        self.own.lock().values().all(|own| own.doubtful && but_for_doubtful)
    }

    /// Some readers do not come any more, nobody knows of what.
    pub(super) fn doubt(&self) {
        self.own.lock().values_mut().for_each(|own| own.doubtful = true);
    }

    /// Prolongs the life of some items, and forgets those that have been read.
    pub(super) async fn look_after(&self, which: impl Fn(&Own) -> bool) {
        let due: Vec<_> = {
            let own = self.own.lock();
            let due = own.iter().filter(|(_, own)| own.written && which(own));
            due.map(|(key, own)| (key.clone(), own.slot, own.parts)).collect()
        };
        let ttl = self.hub.target.ttl.as_millis() as u64;
        for (key, slot, parts) in due {
            let Ok(connection) = self.hub.connection(slot).await else { return };
            let expire = |key: String| {
                let mut expire = cmd("PEXPIRE");
                expire.arg(key).arg(ttl);
                connection.ask(expire)
            };
            let rest = (0..parts).map(|part| format!("{key}:{part}"));
            let rest: Vec<_> = rest.chain([format!("{key}:n")]).map(expire).collect();
            let there = expire(key.clone()).await;
            futures::future::join_all(rest).await;
            let mut own = self.own.lock();
            match there {
                // Not if it is just put there once more.
                Ok(Value::Int(0)) if own.get(&key).is_some_and(|own| own.written) => {
                    drop(own.remove(&key));
                }
                Ok(_) => {
                    if let Some(own) = own.get_mut(&key) {
                        own.refreshed = Instant::now();
                    }
                }
                Err(_) => {}
            }
        }
    }

    async fn delete_all(&self, which: impl Fn(&Own) -> bool) {
        let deleted: Vec<_> = self.own.lock().extract_if(|_, own| which(own)).collect();
        for (key, own) in deleted {
            let Ok(connection) = self.hub.connection(own.slot).await else { return };
            let mut delete = cmd("DEL");
            delete.arg(&key).arg(format!("{key}:n")).arg(format!("{key}:r"));
            for part in 0..own.parts {
                delete.arg(format!("{key}:{part}"));
            }
            let _ = connection.ask(delete).await;
        }
    }
}

/// How often it is looked whether items have been read, at least.
const LOOK: Duration = Duration::from_secs(2);
