//! A simulated store: every process reaches it, each request takes its time, and may fail.

use super::{
    dice::Dice,
    network::{Network, Process, Sleep},
};
use bytes::Bytes;
use fmi_actors::{
    AlignedBuf, Error, Member, Node, Result,
    channel::{Channel, Way},
    clock::Time,
    frame::Space,
    store::{Item, Part, Store},
};
use fmi_model::channel::Channel as ModelChannel;
use futures::future::{self, BoxFuture, OptionFuture, poll_fn};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    net::IpAddr,
    ops::{Add, Range},
    pin::pin,
    sync::{Arc, Weak},
    task::{Poll, Waker},
    time::Duration,
};

/// A store that the simulated processes have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Depot {
    /// A channel of a profile: requests take what it says, and `latency` and `bandwidth` do not count.
    pub channel: Option<Arc<ModelChannel>>,
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
    /// Messages through it reach a process without its looking for them.
    pub pushes: bool,
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
    /// Reads that found nothing yet, where readers look again and again.
    pub looks: u64,
}

impl Add for Requests {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            puts: self.puts + other.puts,
            gets: self.gets + other.gets,
            looks: self.looks + other.looks,
        }
    }
}

impl Depot {
    /// The store that a channel of a profile is, where nothing else joins the processes. One whose readers
    /// have to look serves many as fast as one, as S3 does; one with a server tells them.
    #[must_use]
    pub fn of(channel: &ModelChannel) -> Self {
        let looked_for = channel.requests.is_some();
        Self {
            channel: Some(Arc::new(channel.clone())),
            stored: if looked_for { 1 << 20 } else { usize::MAX },
            alone: true,
            wide: looked_for,
            pushes: !looked_for,
            ..Self::default()
        }
    }
}

impl Default for Depot {
    /// 500 µs a request, 1 GB/s, beside other links.
    fn default() -> Self {
        Self {
            channel: None,
            latency: Duration::from_micros(500),
            bandwidth: 1e9,
            failures: 0.0,
            stored: 64 << 10,
            alone: false,
            wide: false,
            pushes: false,
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
#[derive(Debug, Clone)]
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

    /// Whether a request fails; then this is why.
    fn failure(&self, what: &str, item: Item) -> Option<Error> {
        self.contents.lock().dice.hits(self.depot.failures).then(|| Error::Store {
            store: Self::NAME.to_owned(),
            what: format!("{what} {:?} of rank {}", item.part, item.from),
            reason: "it is simulated to fail".to_owned(),
        })
    }

    /// Lets the time of a request pass, which takes until `modelled` on a channel of a profile.
    fn request(
        &self,
        bytes: usize,
        modelled: impl FnOnce(&Network, &ModelChannel) -> Time,
    ) -> OptionFuture<Sleep> {
        let span = || {
            let transfer = Duration::from_secs_f64(bytes as f64 / self.depot.bandwidth);
            self.depot.latency + transfer
        };
        let sleep = self.network.upgrade().map(|network| match &self.depot.channel {
            Some(channel) => network.sleep_until(modelled(&network, channel)),
            None => network.sleep(span()),
        });
        sleep.into()
    }

    /// How often a reader has looked in vain that waited so long.
    fn looks(&self, waited: Duration) -> u64 {
        let channel = self.depot.channel.as_ref();
        channel.map_or(0, |channel| channel.looks(waited.into()) as u64)
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
        let (failure, store) = (self.failure("put", item), self.clone());
        Box::pin(async move {
            let (owner, bytes) = (store.process, content.len());
            store.request(bytes, |network, channel| network.write(owner, channel, bytes)).await;
            if let Some(failure) = failure {
                return Err(failure);
            }
            let lives = store.network.upgrade().is_some_and(|network| network.lives(owner));
            if lives && !store.forgotten.lock().contains(&item.space) {
                let mut contents = store.contents.lock();
                contents.requests.puts += 1;
                if !contents.dice.hits(store.depot.forgets) {
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
        let (failure, store) = (self.failure("get", item), self.clone());
        Box::pin(async move {
            let now = || store.network.upgrade().map_or(Time::NEVER, |network| network.now());
            let begin = now();
            let content = poll_fn(|context| {
                let mut contents = store.contents.lock();
                match contents.items.get(&item) {
                    Some(held) => {
                        let content = held.content.clone();
                        contents.requests.gets += 1;
                        contents.requests.looks += store.looks(now().since(begin));
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
            let (reader, bytes, waited) = (store.process, part.len(), now() > begin);
            let read =
                |network: &Network, channel: &_| network.read(reader, channel, bytes, waited);
            store.request(bytes, read).await;
            if let Some(failure) = failure {
                return Err(failure);
            }
            let mut buf = AlignedBuf::with_capacity(part.len(), align)?;
            buf.extend(part);
            if counts {
                store.contents.lock().read(item);
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

    fn pushes(&self) -> bool {
        self.depot.pushes
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
