//! The shelf: what many read is put there once, and the last who reads it deletes it.
//!
//! A small item is one value. A large one has parts in keys of their own, which are written and
//! read several at a time. Whoever waits for an item is told by a channel that all processes of the
//! job hear; who has lost that connection looks again when it has it back.

mod own;
mod reading;

use super::{
    coding::ItemHead, connection::Connection, hub::Hub, keys::Keys, office::Office, script::PUT,
    trouble::Trouble,
};
use bytes::Bytes;
use fmi_actors::{
    AlignedBuf, Error, Node, Result,
    frame::Space,
    service::Service,
    store::{Item, Part, Store},
};
use futures::{
    future::BoxFuture,
    stream::{self, StreamExt, TryStreamExt},
};
use own::Own;
use parking_lot::Mutex;
use redis::{Cmd, Value, cmd};
use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::{Arc, OnceLock, Weak, atomic::AtomicU64},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Bytes of a part. Items of no more are one value.
const PART: usize = 512 << 10;
/// Parts that are under way at once.
const ABREAST: usize = 8;
/// Bytes that may be unread before a rank that publishes has to wait.
const ROOM: u64 = 64 << 20;
/// How long a server that cannot do something is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Shelf {
    itself: Weak<Self>,
    hub: Arc<Hub>,
    place: OnceLock<Place>,
    /// Those who wait for an item, by its key.
    waiting: Mutex<HashMap<String, Vec<oneshot::Sender<()>>>>,
    /// What this process has put there, by key.
    own: Mutex<HashMap<String, Own>>,
    /// Ranks that have left or are lost.
    gone: Mutex<BTreeSet<u32>>,
    /// Of the last read.
    reads: AtomicU64,
}

/// Where this process stands.
#[derive(Debug)]
struct Place {
    node: Weak<Node>,
    keys: Keys,
    process: u32,
    patience: Duration,
    operation: Duration,
}

/// The keys of an item.
#[derive(Debug, Clone)]
struct ItemKeys {
    key: String,
    slot: u16,
}

impl Shelf {
    pub(super) fn new(hub: &Arc<Hub>) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            itself: Weak::clone(itself),
            hub: Arc::clone(hub),
            place: OnceLock::new(),
            waiting: Mutex::default(),
            own: Mutex::default(),
            gone: Mutex::default(),
            reads: AtomicU64::new(0),
        })
    }

    /// The process has its place in the job.
    pub(super) fn begin(&self, office: &Arc<Office>, node: &Arc<Node>) {
        let _ = self.place.set(Place {
            node: Arc::downgrade(node),
            keys: office.keys.clone(),
            process: office.process,
            patience: node.settings().silent,
            operation: node.settings().operation,
        });
    }

    /// The channel says that an item is there.
    pub(super) fn rung(&self, key: &[u8]) {
        let Ok(key) = std::str::from_utf8(key) else { return };
        let waiting = self.waiting.lock().remove(key).unwrap_or_default();
        call(waiting);
    }

    /// The channel may have said anything: all look again.
    pub(super) fn rung_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        call(waiting.into_values().flatten());
    }

    fn place(&self) -> Result<&Place> {
        self.place.get().ok_or_else(|| self.error("nothing yet", &"the process has not started"))
    }

    fn keys(&self, item: Item) -> Result<ItemKeys> {
        let place = self.place()?;
        let node = place.node.upgrade().ok_or_else(closed)?;
        let host = node.roster().host(item.from);
        let host = host.ok_or_else(|| self.error("an item", &"of a rank that is not there"))?;
        let (prefix, slot) = place.keys.shelf(host);
        let Item { space: Space { scope, number }, from, part } = item;
        let part = match part {
            Part::Block(block) => format!("b{block}"),
            Part::Signal => "s".to_owned(),
            Part::Message(to, message) => format!("m{to}.{message}"),
        };
        Ok(ItemKeys { key: format!("{prefix}:{scope:x}.{number}.{from}.{part}"), slot })
    }

    fn error(&self, what: impl std::fmt::Display, reason: &dyn std::fmt::Display) -> Error {
        Trouble::lasting(reason).error(&self.hub.target, what)
    }

    /// Asks until there is an answer, as long as it makes sense. From any runtime.
    async fn ask(&self, slot: u16, what: &str, command: impl Fn() -> Cmd) -> Result<Value> {
        let patience = self.place()?.patience;
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let trouble = match self.connection(slot).await {
                Ok(connection) => match connection.ask(command()).await {
                    Ok(answer) => return Ok(answer),
                    Err(trouble) => {
                        self.hub.failed(&connection, &trouble);
                        trouble
                    }
                },
                Err(trouble) => trouble,
            };
            if trouble.is_lasting() || began.elapsed() >= patience {
                return Err(trouble.error(&self.hub.target, what));
            }
            on_service(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn connection(&self, slot: u16) -> Result<Connection, Trouble> {
        if let Some(live) = self.hub.live(slot) {
            return Ok(live);
        }
        let hub = Arc::clone(&self.hub);
        on_service(async move { hub.connection(slot).await })
            .await
            .unwrap_or_else(|| Err(Trouble::cut("the process ends")))
    }

    async fn put_there(&self, item: Item, content: Bytes, readers: usize) -> Result<()> {
        if readers == 0 {
            return Ok(());
        }
        let keys = self.keys(item)?;
        let own = Own {
            item,
            slot: keys.slot,
            parts: parts(&content),
            content: content.clone(),
            readers,
            refreshed: Instant::now(),
            written: false,
            doubtful: false,
        };
        self.own.lock().insert(keys.key, own);
        self.write(item, content, readers).await
    }

    async fn write(&self, item: Item, content: Bytes, readers: usize) -> Result<()> {
        let (keys, parts) = (self.keys(item)?, parts(&content));
        let what = format!("to write {}", keys.key);
        let ttl = self.hub.target.ttl.as_millis() as u64;
        let head = ItemHead::new(&content, parts as u32).encode();
        let written = (0..parts).map(|part| {
            let piece = content.slice(part * PART..content.len().min((part + 1) * PART));
            let (keys, what) = (&keys, &what);
            async move {
                let set = || {
                    let key = format!("{}:{part}", keys.key);
                    cmd("SET").arg(key).arg(&piece[..]).arg("PX").arg(ttl).take()
                };
                self.ask(keys.slot, what, set).await.map(|_| ())
            }
        });
        stream::iter(written).buffer_unordered(ABREAST).try_collect::<()>().await?;
        let inline = if parts == 0 { &content[..] } else { &[] };
        let value = [&head[..], inline].concat();
        let bell = self.place()?.keys.shelf_bell();
        let put = || {
            let mut put = cmd("EVAL");
            put.arg(PUT.text).arg(3).arg(&keys.all());
            put.arg(&value[..]).arg(readers).arg(parts).arg(ttl).arg(&bell).take()
        };
        if !self.own.lock().contains_key(&keys.key) {
            // Deleted meanwhile; its parts are to go, too.
            let mut delete = cmd("DEL");
            for part in 0..parts {
                delete.arg(format!("{}:{part}", keys.key));
            }
            let delete = || delete.clone();
            return match parts {
                0 => Ok(()),
                _ => self.ask(keys.slot, &what, delete).await.map(drop),
            };
        }
        let unread = self.ask(keys.slot, &what, put).await? != Value::Int(0);
        let mut own = self.own.lock();
        match own.get_mut(&keys.key) {
            Some(own) if unread => own.written = true,
            _ => drop(own.remove(&keys.key)),
        }
        Ok(())
    }
}

/// The keys that a content takes beside that of the item.
fn parts(content: &Bytes) -> usize {
    if content.len() > PART { content.len().div_ceil(PART) } else { 0 }
}

impl ItemKeys {
    /// The item, its numbers, its readers.
    fn all(&self) -> [String; 3] {
        [self.key.clone(), format!("{}:n", self.key), format!("{}:r", self.key)]
    }
}

impl Store for Shelf {
    fn name(&self) -> &'static str {
        super::NAME
    }

    fn put(&self, item: Item, content: Bytes, readers: usize) -> BoxFuture<'static, Result<()>> {
        let shelf = self.itself.upgrade();
        Box::pin(async move { shelf.ok_or_else(closed)?.put_there(item, content, readers).await })
    }

    fn read(
        &self,
        item: Item,
        range: Option<Range<u64>>,
        align: usize,
        counts: bool,
    ) -> BoxFuture<'static, Result<AlignedBuf>> {
        let shelf = self.itself.upgrade();
        Box::pin(async move {
            let shelf = shelf.ok_or_else(closed)?;
            match range {
                None => shelf.read_whole(item, align).await,
                Some(range) => shelf.read_range(item, range, align, counts).await,
            }
        })
    }

    fn skip(&self, item: Item) {
        self.count(item);
    }

    fn room(&self) -> BoxFuture<'static, ()> {
        let shelf = self.itself.upgrade();
        Box::pin(async move {
            let Some(shelf) = shelf else { return };
            if shelf.unread() <= ROOM {
                return;
            }
            let waiting = Arc::clone(&shelf);
            on_service(async move {
                let mut pause = FIRST_PAUSE;
                loop {
                    waiting.look_after(|_| true).await;
                    if waiting.unread() <= ROOM || waiting.hub.is_over() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            })
            .await;
        })
    }

    /// By the mailbox's bell.
    fn pushes(&self) -> bool {
        true
    }

    fn gone(&self, ranks: &[u32]) {
        self.gone.lock().extend(ranks);
        self.doubt();
        // Who waits for something of theirs looks whether it is there.
        self.rung_all();
    }

    fn forget(&self, space: Space) {
        let Some(shelf) = self.itself.upgrade().filter(|shelf| shelf.has(space)) else { return };
        Service::get().spawn(async move { shelf.delete_space(space).await });
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let shelf = self.itself.upgrade();
        Box::pin(async move {
            let Some(shelf) = shelf else { return };
            let Some(place) = shelf.place.get() else { return };
            let (began, patience, operation) = (Instant::now(), place.patience, place.operation);
            on_service(async move {
                let mut pause = FIRST_PAUSE;
                while !shelf.is_read(began.elapsed() >= patience)
                    && !shelf.hub.is_over()
                    && began.elapsed() < operation
                {
                    shelf.look_after(|_| true).await;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
                shelf.clear().await;
            })
            .await;
        })
    }
}

fn call(waiting: impl IntoIterator<Item = oneshot::Sender<()>>) {
    for waiting in waiting {
        // Who is not there any more needs no call.
        let _ = waiting.send(());
    }
}

fn closed() -> Error {
    Error::Closed { operation: "a store" }
}

/// What becomes of a future on the service thread; it is dropped with this one.
async fn on_service<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (mut tell, told) = oneshot::channel();
    Service::get().spawn(async move {
        tokio::select! {
            value = future => drop(tell.send(value)),
            () = tell.closed() => {}
        }
    });
    told.await.ok()
}
