//! A simulated store: every process reaches it, each request takes its time, and may fail.

use super::{
    dice::Dice,
    network::{Network, Process},
};
use bytes::Bytes;
use fmi_actors::{
    AlignedBuf, Error, Member, Node, Result,
    channel::{Channel, Way},
    frame::Space,
    store::{Item, Part, Store},
};
use futures::future::{self, BoxFuture, poll_fn};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    net::IpAddr,
    ops::Range,
    pin::pin,
    sync::{Arc, Weak},
    task::{Poll, Waker},
    time::Duration,
};

/// A store that the simulated processes have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Depot {
    /// What each request takes, besides its bytes.
    pub latency: Duration,
    /// Bytes a second of a request.
    pub bandwidth: f64,
    /// Share of requests that fail for good.
    pub failures: f64,
    /// Payloads of more bytes are put there instead of into frames.
    pub stored: usize,
    /// The links between the processes are the store's own: they have no others.
    pub alone: bool,
    /// It serves many readers as fast as one.
    pub wide: bool,
    /// Share of items that it forgets as soon as they are there.
    pub forgets: f64,
}

/// What all processes together have asked of a simulated store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// Items put there.
    pub puts: u64,
    /// Reads of items and of parts of them.
    pub gets: u64,
}

impl Default for Depot {
    /// 500 µs a request, 1 GB/s, beside other links.
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(500),
            bandwidth: 1e9,
            failures: 0.0,
            stored: 64 << 10,
            alone: false,
            wide: false,
            forgets: 0.0,
        }
    }
}

/// Unread items and bytes with which a process may put more there.
const UNREAD: usize = 256;
const UNREAD_BYTES: usize = 16 << 20;
/// Collectives whose failure a process remembers.
const REMEMBERED: usize = 64;
/// How long an item is kept when its process has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// What lies in a store, of all processes of a job.
#[derive(Debug)]
pub(super) struct Contents {
    items: FxHashMap<Item, Held>,
    /// Who waits for anything to change.
    waiting: Vec<Waker>,
    dice: Dice,
    pub(super) requests: Requests,
}

#[derive(Debug)]
struct Held {
    content: Bytes,
    left: usize,
    owner: Process,
}

/// The store as one process uses it.
#[derive(Debug)]
pub(super) struct SimStore {
    network: Weak<Network>,
    process: Process,
    depot: Depot,
    contents: Arc<Mutex<Contents>>,
    forgotten: Arc<Mutex<VecDeque<Space>>>,
}

impl Contents {
    pub(super) fn new(seed: u64) -> Arc<Mutex<Self>> {
        let (items, waiting, requests) = Default::default();
        Arc::new(Mutex::new(Self { items, waiting, dice: Dice::new(!seed), requests }))
    }

    /// How much processes that live have left there.
    pub(super) fn left(&self, lives: impl Fn(Process) -> bool) -> usize {
        self.items.values().filter(|held| lives(held.owner)).count()
    }

    fn read(&mut self, item: Item) {
        if let Some(held) = self.items.get_mut(&item) {
            held.left -= 1;
            if held.left == 0 {
                self.items.remove(&item);
                self.changed();
            }
        }
    }

    fn remove(&mut self, of: impl Fn(&Item, &Held) -> bool) {
        self.items.retain(|item, held| !of(item, held));
        self.changed();
    }

    fn changed(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    fn wait<T>(&mut self, waker: &Waker) -> Poll<T> {
        if !self.waiting.iter().any(|other| other.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
        Poll::Pending
    }
}

impl SimStore {
    pub(super) const NAME: &'static str = "depot";

    pub(super) fn new(
        network: &Arc<Network>,
        process: Process,
        depot: &Depot,
        contents: &Arc<Mutex<Contents>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            network: Arc::downgrade(network),
            process,
            depot: depot.clone(),
            contents: Arc::clone(contents),
            forgotten: Arc::default(),
        })
    }

    /// Lets the time of a request pass; an error if it fails.
    fn request(
        &self,
        what: &str,
        item: Item,
    ) -> impl Fn(usize) -> BoxFuture<'static, Result<()>> + Send + use<> {
        let fails = self.contents.lock().dice.hits(self.depot.failures);
        let (network, depot) = (self.network.clone(), self.depot.clone());
        let what = format!("{what} {:?} of rank {}", item.part, item.from);
        move |bytes| {
            let network = network.upgrade();
            let span = depot.latency + Duration::from_secs_f64(bytes as f64 / depot.bandwidth);
            let (store, reason) = (Self::NAME.to_owned(), "it is simulated to fail".to_owned());
            let error = fails.then(|| Error::Store { store, what: what.clone(), reason });
            Box::pin(async move {
                if let Some(network) = network {
                    network.sleep(span).await;
                }
                error.map_or(Ok(()), Err)
            })
        }
    }

    /// Ready when what this process has there is `few`.
    fn until<F>(&self, few: F) -> impl Future<Output = ()> + Send + use<F>
    where
        F: Fn(usize, usize) -> bool + Send,
    {
        let (contents, process) = (Arc::clone(&self.contents), self.process);
        poll_fn(move |context| {
            let mut contents = contents.lock();
            let own = contents.items.values().filter(|held| held.owner == process);
            let sum = |(items, bytes), held: &Held| (items + 1, bytes + held.content.len());
            let (items, bytes) = own.fold((0, 0), sum);
            if few(items, bytes) { Poll::Ready(()) } else { contents.wait(context.waker()) }
        })
    }
}

impl Store for SimStore {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn put(&self, item: Item, content: Bytes, readers: usize) -> BoxFuture<'static, Result<()>> {
        let request = self.request("put", item);
        let (contents, forgotten) = (Arc::clone(&self.contents), Arc::clone(&self.forgotten));
        let (owner, network) = (self.process, self.network.clone());
        let forgets = self.depot.forgets;
        Box::pin(async move {
            request(content.len()).await?;
            let lives = network.upgrade().is_some_and(|network| network.lives(owner));
            if lives && !forgotten.lock().contains(&item.space) {
                let mut contents = contents.lock();
                contents.requests.puts += 1;
                if !contents.dice.hits(forgets) {
                    contents.items.insert(item, Held { content, left: readers, owner });
                    contents.changed();
                }
            }
            Ok(())
        })
    }

    fn read(
        &self,
        item: Item,
        range: Option<Range<u64>>,
        align: usize,
        counts: bool,
    ) -> BoxFuture<'static, Result<AlignedBuf>> {
        let (contents, request) = (Arc::clone(&self.contents), self.request("get", item));
        Box::pin(async move {
            let content = poll_fn(|context| {
                let mut contents = contents.lock();
                match contents.items.get(&item) {
                    Some(held) => {
                        let content = held.content.clone();
                        contents.requests.gets += 1;
                        Poll::Ready(Some(content))
                    }
                    None if matches!(item.part, Part::Message(..)) => Poll::Ready(None),
                    None => contents.wait(context.waker()),
                }
            });
            let lost = || Error::Lost { store: Self::NAME.to_owned(), what: format!("{item:?}") };
            let content = content.await.ok_or_else(lost)?;
            let range = range.unwrap_or(0..content.len() as u64);
            let (start, end) = (range.start as usize, range.end as usize);
            let part = content.get(start..end).ok_or_else(lost)?;
            request(part.len()).await?;
            let mut buf = AlignedBuf::with_capacity(part.len(), align)?;
            buf.extend(part);
            if counts {
                contents.lock().read(item);
            }
            Ok(buf)
        })
    }

    fn skip(&self, item: Item) {
        self.contents.lock().read(item);
    }

    fn room(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.until(|items, bytes| items < UNREAD && bytes < UNREAD_BYTES))
    }

    fn is_wide(&self) -> bool {
        self.depot.wide
    }

    fn forget(&self, space: Space) {
        let mut forgotten = self.forgotten.lock();
        if forgotten.contains(&space) {
            return;
        }
        if forgotten.len() == REMEMBERED {
            forgotten.pop_front();
        }
        forgotten.push_back(space);
        let owner = self.process;
        self.contents.lock().remove(|item, held| item.space == space && held.owner == owner);
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let (read, owner) = (self.until(|items, _| items == 0), self.process);
        let (contents, network) = (Arc::clone(&self.contents), self.network.clone());
        Box::pin(async move {
            if let Some(network) = network.upgrade() {
                future::select(pin!(read), network.sleep(PATIENCE)).await;
            }
            contents.lock().remove(|_, held| held.owner == owner);
        })
    }
}

/// The channel of a store that lies beside other links: it has none of its own.
#[derive(Debug)]
pub(super) struct StoreOnly(pub(super) Arc<SimStore>);

impl Channel for StoreOnly {
    fn name(&self) -> &'static str {
        SimStore::NAME
    }

    fn address(&self, _own: IpAddr) -> Option<String> {
        None
    }

    fn start(&self, _node: &Arc<Node>) {}

    fn ways(&self, _node: &Arc<Node>, _to: &Member) -> Vec<Way> {
        Vec::new()
    }

    fn stop(&self) {}

    fn store(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::clone(&self.0) as _)
    }
}
