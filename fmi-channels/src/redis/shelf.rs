//! The shelf: what many read is put there once, and the last who reads it deletes it.
//!
//! A small item is one value. A large one has parts in keys of their own, which are written and
//! read several at a time. Whoever waits for an item is told by a channel that all processes of the
//! job hear; who has lost that connection looks again when it has it back.

use super::{
    coding::{BadContent, ITEM_HEAD, ItemHead},
    connection::Connection,
    hub::Hub,
    keys::Keys,
    office::Office,
    script::{PUT, READ},
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
use parking_lot::Mutex;
use redis::{Cmd, Value, cmd};
use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
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

#[derive(Debug)]
struct Own {
    space: Space,
    slot: u16,
    parts: usize,
    bytes: u64,
    refreshed: Instant,
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

    /// Lets what is unread live on. On the service thread, now and then.
    pub(super) async fn refresh(&self) {
        let due = self.hub.target.ttl / 3;
        let due = |own: &Own| own.refreshed.elapsed() >= due;
        self.look_after(due).await;
    }

    /// Deletes what this process has put there and has not been read.
    pub(super) async fn clear(&self) {
        let own = std::mem::take(&mut *self.own.lock());
        for (key, own) in own {
            self.delete(&key, &own).await;
        }
    }

    /// Prolongs the life of some items, and forgets those that have been read.
    async fn look_after(&self, which: impl Fn(&Own) -> bool) {
        let due: Vec<_> = {
            let own = self.own.lock();
            let due = own.iter().filter(|(_, own)| which(own));
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
                Ok(Value::Int(0)) => drop(own.remove(&key)),
                Ok(_) => {
                    if let Some(own) = own.get_mut(&key) {
                        own.refreshed = Instant::now();
                    }
                }
                Err(_) => {}
            }
        }
    }

    async fn delete(&self, key: &str, own: &Own) {
        let Ok(connection) = self.hub.connection(own.slot).await else { return };
        let mut delete = cmd("DEL");
        delete.arg(key).arg(format!("{key}:n")).arg(format!("{key}:r"));
        for part in 0..own.parts {
            delete.arg(format!("{key}:{part}"));
        }
        let _ = connection.ask(delete).await;
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

    /// The head of an item and what is behind it, as soon as it is there.
    async fn wait(&self, item: Item, range: Option<Range<usize>>) -> Result<(ItemHead, Vec<u8>)> {
        let ItemKeys { key, slot } = self.keys(item)?;
        loop {
            let (tell, told) = oneshot::channel();
            self.waiting.lock().entry(key.clone()).or_default().push(tell);
            let get = || match &range {
                None => cmd("GET").arg(&key).take(),
                Some(range) => {
                    let last = range.end.saturating_sub(1);
                    cmd("GETRANGE").arg(&key).arg(range.start).arg(last).take()
                }
            };
            let answer = self.ask(slot, &format!("to read {key}"), get).await;
            self.waiting.lock().retain(|_, waiting| {
                waiting.retain(|waiting| !waiting.is_closed());
                !waiting.is_empty()
            });
            match answer? {
                Value::BulkString(bytes) if !bytes.is_empty() => {
                    let (head, content) =
                        ItemHead::read(&bytes).map_err(|why| self.altered(&key, &why))?;
                    return Ok((head, content.to_vec()));
                }
                Value::Nil | Value::BulkString(_) => {}
                _ => return Err(self.altered(&key, &BadContent::Foreign)),
            }
            if let Part::Message(..) = item.part {
                let what = format!("the payload of a message of rank {}", item.from);
                return Err(Error::Lost { store: self.hub.target.to_string(), what });
            }
            // Also if nobody will ever ring.
            let _ = told.await;
        }
    }

    fn altered(&self, key: &str, why: &BadContent) -> Error {
        let reason = format!("what is there is {why}; does something else write fmi: keys there?");
        self.error(format_args!("to read {key}"), &reason)
    }

    /// Reads a range of parts.
    async fn parts(&self, keys: &ItemKeys, range: Range<u64>, buf: &mut AlignedBuf) -> Result<()> {
        let part = PART as u64;
        let pieces = (range.start / part..range.end.div_ceil(part)).map(|number| {
            let from = range.start.max(number * part) - number * part;
            let to = range.end.min((number + 1) * part) - number * part;
            let key = format!("{}:{number}", keys.key);
            let whole = from == 0 && to == part;
            async move {
                let get = || match whole {
                    true => cmd("GET").arg(&key).take(),
                    false => cmd("GETRANGE").arg(&key).arg(from).arg(to - 1).take(),
                };
                match self.ask(keys.slot, &format!("to read {key}"), get).await? {
                    Value::BulkString(bytes) if bytes.len() as u64 == to - from => Ok(bytes),
                    Value::Nil => Err(Error::Lost {
                        store: self.hub.target.to_string(),
                        what: format!("a part of what was published as {}", keys.key),
                    }),
                    _ => Err(self.altered(&key, &BadContent::Altered)),
                }
            }
        });
        let mut pieces = std::pin::pin!(stream::iter(pieces).buffered(ABREAST));
        while let Some(piece) = pieces.try_next().await? {
            buf.extend(&piece);
        }
        Ok(())
    }

    async fn read(&self, item: Item, align: usize) -> Result<AlignedBuf> {
        let (head, content) = self.wait(item, None).await?;
        let keys = self.keys(item)?;
        let total = usize::try_from(head.total)
            .map_err(|_| self.altered(&keys.key, &BadContent::Altered))?;
        let mut buf = AlignedBuf::with_capacity(total, align)?;
        match head.parts {
            0 if content.len() == total => buf.extend(&content),
            0 => return Err(self.altered(&keys.key, &BadContent::Altered)),
            _ => self.parts(&keys, 0..head.total, &mut buf).await?,
        }
        head.check(buf.as_slice()).map_err(|why| self.altered(&keys.key, &why))?;
        self.count(item);
        Ok(buf)
    }

    async fn read_range(
        &self,
        item: Item,
        range: Range<u64>,
        align: usize,
        counts: bool,
    ) -> Result<AlignedBuf> {
        let keys = self.keys(item)?;
        let altered = || self.altered(&keys.key, &BadContent::Altered);
        let length = usize::try_from(range.end - range.start).map_err(|_| altered())?;
        let mut buf = AlignedBuf::with_capacity(length, align)?;
        let (head, _) = self.wait(item, Some(0..ITEM_HEAD)).await?;
        if range.end > head.total {
            return Err(altered());
        }
        match head.parts {
            _ if length == 0 => {}
            0 => {
                let (from, to) = (ITEM_HEAD as u64 + range.start, ITEM_HEAD as u64 + range.end - 1);
                let get = || cmd("GETRANGE").arg(&keys.key).arg(from).arg(to).take();
                match self.ask(keys.slot, &format!("to read {}", keys.key), get).await? {
                    Value::BulkString(bytes) if bytes.len() == length => buf.extend(&bytes),
                    _ => return Err(altered()),
                }
            }
            _ => self.parts(&keys, range, &mut buf).await?,
        }
        if counts {
            self.count(item);
        }
        Ok(buf)
    }

    /// Counts as a read. Nobody waits for it.
    fn count(&self, item: Item) {
        let (Ok(keys), Ok(place)) = (self.keys(item), self.place()) else { return };
        let reader = format!("{}.{}", place.process, self.reads.fetch_add(1, Ordering::Relaxed));
        let ttl = self.hub.target.ttl.as_millis() as u64;
        let read = move || {
            let mut read = cmd("EVAL");
            read.arg(READ.text).arg(3).arg(&keys.all());
            read.arg(&reader).arg(ttl).take()
        };
        let Some(shelf) = self.itself.upgrade() else { return };
        let slot = self.keys(item).map(|keys| keys.slot).unwrap_or_default();
        let again = move |read: Box<dyn Fn() -> Cmd + Send + Sync>| async move {
            if let Err(error) = shelf.ask(slot, "to count a read", read).await {
                tracing::warn!(%error, "an item stays until its time is over");
            }
        };
        match self.hub.live(slot) {
            Some(connection) => connection.send(read(), move |answer| {
                if answer.is_err() {
                    Service::get().spawn(again(Box::new(read)));
                }
            }),
            None => Service::get().spawn(again(Box::new(read))),
        }
    }

    async fn put_there(&self, item: Item, content: Bytes, readers: usize) -> Result<()> {
        if readers == 0 {
            return Ok(());
        }
        let keys = self.keys(item)?;
        let parts = if content.len() > PART { content.len().div_ceil(PART) } else { 0 };
        let own = Own {
            space: item.space,
            slot: keys.slot,
            parts,
            bytes: content.len() as u64,
            refreshed: Instant::now(),
        };
        self.own.lock().insert(keys.key.clone(), own);
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
        if self.ask(keys.slot, &what, put).await? == Value::Int(0) {
            self.own.lock().remove(&keys.key);
        }
        Ok(())
    }
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

    fn get(&self, item: Item, align: usize) -> BoxFuture<'static, Result<AlignedBuf>> {
        let shelf = self.itself.upgrade();
        Box::pin(async move { shelf.ok_or_else(closed)?.read(item, align).await })
    }

    fn get_range(
        &self,
        item: Item,
        range: Range<u64>,
        align: usize,
        counts: bool,
    ) -> BoxFuture<'static, Result<AlignedBuf>> {
        let shelf = self.itself.upgrade();
        Box::pin(
            async move { shelf.ok_or_else(closed)?.read_range(item, range, align, counts).await },
        )
    }

    fn skip(&self, item: Item) {
        self.count(item);
    }

    fn room(&self) -> BoxFuture<'static, ()> {
        let shelf = self.itself.upgrade();
        Box::pin(async move {
            let Some(shelf) = shelf else { return };
            let unread = || shelf.own.lock().values().map(|own| own.bytes).sum::<u64>();
            if unread() <= ROOM {
                return;
            }
            let waiting = Arc::clone(&shelf);
            on_service(async move {
                let mut pause = FIRST_PAUSE;
                loop {
                    waiting.look_after(|_| true).await;
                    let unread = waiting.own.lock().values().map(|own| own.bytes).sum::<u64>();
                    if unread <= ROOM || waiting.hub.is_over() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            })
            .await;
        })
    }

    fn forget(&self, space: Space) {
        let forgotten: Vec<_> = {
            let mut own = self.own.lock();
            own.extract_if(|_, own| own.space == space).collect()
        };
        let Some(shelf) = self.itself.upgrade().filter(|_| !forgotten.is_empty()) else { return };
        Service::get().spawn(async move {
            for (key, own) in forgotten {
                shelf.delete(&key, &own).await;
            }
        });
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let shelf = self.itself.upgrade();
        Box::pin(async move {
            let Some(shelf) = shelf else { return };
            let Some(place) = shelf.place.get() else { return };
            let deadline = Instant::now() + place.operation;
            on_service(async move {
                let mut pause = FIRST_PAUSE;
                while !shelf.own.lock().is_empty()
                    && !shelf.hub.is_over()
                    && Instant::now() < deadline
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
