//! What ranks of this process read from its store: the same content once, however many want it.
//!
//! A read goes on as long as somebody waits for it. What has been read is kept while the ranks
//! here that take part in its collective may still want it, within bounds: it can be read again.

use crate::{
    Error, Node, Payload, Result,
    frame::Space,
    sleeper::Sleeper,
    store::{Item, Store},
};
use futures::future::{AbortHandle, abortable};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    future::Future,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// Contents and bytes that are kept.
const KEPT: usize = 256;
const KEPT_BYTES: usize = 64 << 20;

/// All reads of a process.
#[derive(Debug, Default)]
pub(crate) struct Reads(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reads: FxHashMap<Key, Read>,
    /// Kept, the oldest first.
    kept: VecDeque<Key>,
    bytes: usize,
    /// Of collectives in which several ranks here take part: those that have not ended.
    shared: FxHashMap<Space, usize>,
    /// Being put there by ranks here, and how many have read it here meanwhile.
    putting: FxHashMap<Item, usize>,
    next: u64,
}

/// An item, or a range of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    item: Item,
    range: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Read {
    result: Option<Result<Payload>>,
    waiting: Vec<(u64, Option<Sleeper>)>,
    abort: Option<AbortHandle>,
}

/// What to read, and how.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// What.
    pub(crate) item: Item,
    /// Only these bytes.
    pub(crate) range: Option<Range<u64>>,
    /// Whether it counts as one of the reads that the item was put there for.
    pub(crate) counts: bool,
    /// Where its elements may lie.
    pub(crate) align: usize,
}

impl Reads {
    /// So many ranks here take part in a collective over the store, one of them from now on.
    pub(crate) fn enter(&self, space: Space, ranks: usize) {
        self.0.lock().shared.entry(space).or_insert(ranks);
    }

    /// One of them has ended.
    pub(crate) fn leave(&self, space: Space) {
        let mut inner = self.0.lock();
        if let Some(ranks) = inner.shared.get_mut(&space) {
            *ranks -= 1;
            if *ranks == 0 {
                inner.shared.remove(&space);
                inner.forget(space);
            }
        }
    }

    /// Keeps what a rank here is about to put there, for others here. Until it [is](Self::put) the
    /// store knows nothing that could be read.
    pub(crate) fn keep(&self, item: Item, content: Payload) {
        let mut inner = self.0.lock();
        if inner.shared.contains_key(&item.space) {
            inner.putting.insert(item, 0);
            let key = Key { item, range: None };
            let read = Read { result: None, waiting: Vec::new(), abort: None };
            inner.reads.entry(key).or_insert(read);
            let woken = inner.finish(key, Ok(content));
            drop(inner);
            woken.into_iter().for_each(Sleeper::wake);
        }
    }

    /// It is there, or cannot be: how many have read it here meanwhile.
    pub(crate) fn put(&self, item: Item) -> usize {
        self.0.lock().putting.remove(&item).unwrap_or(0)
    }

    /// A rank here has read what another one had read or published. True if the store is to be told
    /// now: else it is when it has the item.
    fn skip(&self, item: Item) -> bool {
        let mut inner = self.0.lock();
        let count = inner.putting.get_mut(&item);
        count.map(|count| *count += 1).is_none()
    }
}

impl Inner {
    /// Joins a read, or begins it; then the caller has to do it. With whether it is begun.
    fn join(&mut self, mut key: Key) -> (Key, u64, bool) {
        let id = self.next;
        self.next += 1;
        // What was put there here is there as a whole.
        let whole = Key { range: None, ..key };
        if self.reads.get(&whole).is_some_and(|read| read.result.is_some()) {
            key = whole;
        }
        let begun = !self.reads.contains_key(&key);
        let read = Read { result: None, waiting: Vec::new(), abort: None };
        self.reads.entry(key).or_insert(read).waiting.push((id, None));
        (key, id, begun)
    }

    fn finish(&mut self, key: Key, result: Result<Payload>) -> Vec<Sleeper> {
        let keep = result.is_ok() && self.shared.contains_key(&key.item.space);
        let Some(read) = self.reads.get_mut(&key) else { return Vec::new() };
        let size = result.as_ref().map_or(0, Payload::size_hint);
        let known = read.result.replace(result).is_some();
        read.abort = None;
        let woken = read.waiting.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        if keep && !known {
            self.kept.push_back(key);
            self.bytes += size;
            while self.kept.len() > KEPT || self.bytes > KEPT_BYTES {
                let Some(oldest) = self.kept.pop_front() else { break };
                self.let_go(oldest);
            }
        }
        woken
    }

    /// It is not kept any longer; who waits for it still gets it.
    fn let_go(&mut self, key: Key) {
        let Some(read) = self.reads.get(&key) else { return };
        if let Some(Ok(content)) = &read.result {
            self.bytes -= content.size_hint();
        }
        if read.waiting.is_empty() {
            self.reads.remove(&key);
        }
    }

    fn forget(&mut self, space: Space) {
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.kept.drain(..).partition(|key| key.item.space == space);
        self.kept = kept.into();
        gone.into_iter().for_each(|key| self.let_go(key));
    }

    /// Nobody waits here any more.
    fn quit(&mut self, key: Key, id: u64) {
        let Some(read) = self.reads.get_mut(&key) else { return };
        read.waiting.retain(|(other, _)| *other != id);
        if read.waiting.is_empty()
            && !self.kept.contains(&key)
            && let Some(Read { abort: Some(abort), .. }) = self.reads.remove(&key)
        {
            abort.abort();
        }
    }
}

/// A read of the process's store, on its way.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Reading {
    node: Arc<Node>,
    store: Arc<dyn Store>,
    wanted: Wanted,
    key: Key,
    id: u64,
    /// Somebody else reads, and this counts too.
    skips: bool,
    over: bool,
}

impl Reading {
    pub(crate) fn begin(node: &Arc<Node>, store: Arc<dyn Store>, wanted: Wanted) -> Self {
        let range = wanted.range.as_ref().map(|range| (range.start, range.end));
        let mut inner = node.reads().0.lock();
        let (key, id, begun) = inner.join(Key { item: wanted.item, range });
        if begun {
            let counts = wanted.counts || wanted.range.is_none();
            let read = store.read(wanted.item, wanted.range.clone(), wanted.align, counts);
            let (read, abort) = abortable(read);
            if let Some(read) = inner.reads.get_mut(&key) {
                read.abort = Some(abort);
            }
            drop(inner);
            let weak = Arc::downgrade(node);
            node.keeper().spawn(Box::pin(async move {
                let Ok(result) = read.await else { return };
                if let Some(node) = weak.upgrade() {
                    let woken = node.reads().0.lock().finish(key, result.map(Payload::from));
                    woken.into_iter().for_each(Sleeper::wake);
                }
            }));
        }
        let skips = !begun && wanted.counts;
        Self { node: Arc::clone(node), store, wanted, key, id, skips, over: false }
    }

    fn poll_result(&self, waker: &Waker) -> Poll<Result<Payload>> {
        let mut inner = self.node.reads().0.lock();
        let lost =
            || Error::Lost { store: self.store.name().to_owned(), what: "a read".to_owned() };
        let Some(read) = inner.reads.get_mut(&self.key) else { return Poll::Ready(Err(lost())) };
        match &mut read.result {
            Some(Ok(content)) => Poll::Ready(content.share()),
            Some(Err(error)) => Poll::Ready(Err(error.clone())),
            None => {
                if let Some((_, place)) = read.waiting.iter_mut().find(|(id, _)| *id == self.id) {
                    *place = Some(Sleeper::new(waker));
                }
                Poll::Pending
            }
        }
    }
}

impl Future for Reading {
    type Output = Result<Payload>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Payload>> {
        let Poll::Ready(result) = self.poll_result(context.waker()) else { return Poll::Pending };
        self.over = true;
        self.node.reads().0.lock().quit(self.key, self.id);
        if self.skips && result.is_ok() && self.node.reads().skip(self.wanted.item) {
            self.store.skip(self.wanted.item);
        }
        // Somebody here has the whole.
        Poll::Ready(result.map(|content| match (&self.wanted.range, self.key.range) {
            (Some(range), None) => {
                let end = (range.end as usize).min(content.size_hint());
                content.slice((range.start as usize).min(end)..end)
            }
            _ => content,
        }))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.over {
            self.node.reads().0.lock().quit(self.key, self.id);
        }
    }
}
