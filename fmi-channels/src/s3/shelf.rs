//! The shelf: what many read is put there once. The payload of a message is deleted by the one who
//! reads it, all else by its writer, once its readers have [told](super::ledger) that they did.

use super::{
    counts::SPACE, error::Trouble, ledger::Report, lookout::Watch, office::Office, runtime,
};
use bytes::Bytes;
use fmi_actors::{
    AlignedBuf, Error, Result,
    frame::Space,
    store::{Item, Part, Store},
};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
};
use tokio::{sync::oneshot, time::Instant};

/// The store of a process, in whichever epoch it is.
#[derive(Debug)]
pub(super) struct Shelf(pub(super) Arc<Mutex<Option<Arc<Office>>>>);

impl Shelf {
    fn office(&self) -> Result<Arc<Office>> {
        self.0.lock().clone().ok_or(Error::Closed { operation: "a store" })
    }
}

impl Store for Shelf {
    fn name(&self) -> &'static str {
        super::NAME
    }

    fn is_wide(&self) -> bool {
        true
    }

    fn put(&self, item: Item, content: Bytes, readers: usize) -> BoxFuture<'static, Result<()>> {
        let office = self.office();
        Box::pin(async move {
            let office = office?;
            let (tell, told) = oneshot::channel();
            let tasks = Arc::clone(&office.tasks);
            // To its end, whoever waits for it: half an upload would stay behind.
            tasks.spawn(SPACE.scope(Some(item.space), async move {
                let _ = tell.send(office.put(item, &content, readers).await);
            }));
            told.await.unwrap_or(Err(Error::Closed { operation: "a store" }))
        })
    }

    fn read(
        &self,
        item: Item,
        range: Option<Range<u64>>,
        align: usize,
        counts: bool,
    ) -> BoxFuture<'static, Result<AlignedBuf>> {
        let office = self.office();
        Box::pin(async move {
            let office = office?;
            runtime::run(SPACE.scope(Some(item.space), async move {
                office.read(item, range, align, counts).await
            }))
            .await
        })
    }

    fn skip(&self, item: Item) {
        if let Ok(office) = self.office() {
            office.count(item, None, 0);
        }
    }

    fn room(&self) -> BoxFuture<'static, ()> {
        let office = self.office();
        Box::pin(async move {
            let Ok(office) = office.map(WantsReports::new) else { return };
            loop {
                let changed = office.0.room.notified();
                if office.0.ledger.has_room() || office.0.is_stopped() {
                    return;
                }
                changed.await;
            }
        })
    }

    fn gone(&self, ranks: &[u32]) {
        if let Ok(office) = self.office() {
            office.ranks_gone(ranks);
        }
    }

    fn forget(&self, space: Space) {
        if let Ok(office) = self.office() {
            let items = office.ledger.forget(space);
            office.delete_items(items);
        }
    }

    /// What others still read stays until the [last](super::farewell) of them leaves.
    fn close(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// While this is there, the mailbox is looked at for reports.
#[derive(Debug)]
struct WantsReports(Arc<Office>);

impl WantsReports {
    fn new(office: Arc<Office>) -> Self {
        office.wants_reports.fetch_add(1, Ordering::AcqRel);
        if !office.ledger.has_room() {
            office.attention.notify_one();
        }
        Self(office)
    }
}

impl Drop for WantsReports {
    fn drop(&mut self) {
        self.0.wants_reports.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Office {
    async fn put(&self, item: Item, content: &Bytes, readers: usize) -> Result<()> {
        let told = !matches!(item.part, Part::Message(..));
        let bytes = content.len() as u64;
        if readers == 0 || told && !self.ledger.begin(item, readers, bytes) {
            return Ok(());
        }
        let key = self.keys.item(&item);
        let readers = u32::try_from(readers).unwrap_or(u32::MAX);
        let put = self.bucket.put_item(&key, readers, content).await;
        let over = if told { self.ledger.written(item, put.is_ok()) } else { put.is_err() };
        if over && let Err(trouble) = self.bucket.delete(&key).await {
            tracing::debug!(key, reason = %trouble.reason, "an item stays behind");
        }
        put.map_err(|trouble| self.failed(&trouble, "to write", &key))
    }

    async fn read(
        self: &Arc<Self>,
        item: Item,
        range: Option<Range<u64>>,
        align: usize,
        counts: bool,
    ) -> Result<AlignedBuf> {
        let key = self.keys.item(&item);
        let failed = |trouble: Trouble| self.failed(&trouble, "to read", &key);
        // A message's word comes when its payload is there.
        let mut watch = match item.part {
            Part::Message(..) => None,
            _ => Some(Watch::new(self, item)),
        };
        loop {
            if let Some(watch) = &mut watch {
                watch.next().await.map_err(failed)?;
            }
            let begun = Instant::now();
            let found = self.bucket.item(&key, range.clone(), align).await.map_err(failed)?;
            match (found, &mut watch) {
                (Some(found), watch) => {
                    if let Some(watch) = watch {
                        watch.found();
                    }
                    if counts {
                        self.count(item, found.readers, found.content.len() as u64);
                    }
                    return Ok(found.content);
                }
                (None, Some(watch)) => watch.took(begun),
                (None, None) => {
                    let what = format!("the payload of a message of rank {}: {key}", item.from);
                    return Err(Error::Lost { store: self.bucket.location.to_string(), what });
                }
            }
        }
    }

    /// A rank here has read an item; it may say for how many it was put there.
    fn count(self: &Arc<Self>, item: Item, readers: Option<u32>, bytes: u64) {
        let to_one = matches!(item.part, Part::Message(..));
        if to_one || readers == Some(1) {
            self.delete_items(vec![item]);
        }
        // The deletion itself tells the writer of a message; of what has many readers it keeps count.
        let host = self.node.upgrade().and_then(|node| node.roster().host(item.from));
        let Some(host) = host.filter(|_| !to_one) else { return };
        if host == self.own {
            self.was_read(Report { item, reads: 1 });
        } else if self.ledger.owe(host, item, bytes) {
            self.tell(host);
        }
    }

    /// An item of this process has been read.
    pub(super) fn was_read(self: &Arc<Self>, report: Report) {
        if self.ledger.read(report) {
            self.delete_items(vec![report.item]);
        }
        self.room.notify_waiters();
    }

    fn delete_items(self: &Arc<Self>, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        let office = Arc::clone(self);
        self.tasks.spawn(async move {
            let keys = items.iter().map(|item| office.keys.item(item)).collect();
            let _ = office.bucket.delete_all(keys).await;
        });
    }

    fn failed(&self, trouble: &Trouble, what: &str, key: &str) -> Error {
        trouble.error(&self.bucket.location, format!("{what} {key}"))
    }
}
