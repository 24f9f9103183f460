//! The shared state of a rank: its mailbox and its pairs, and the way of frames through them.
//!
//! One task at a time moves the frames of a pair to the link (`pumping`); whoever else comes
//! leaves it to that one. So frames of a pair leave in order and delivery inside a process
//! does not recurse without bound. No lock is held while a link or a waker is called.

use super::{
    entry::{Entry, Pull},
    watch::Watches,
};
use crate::{
    AlignedBuf, Node, Payload, Reason,
    awaited::{Attention, Whom},
    board::Unread,
    channel::{Link, Room, Rung},
    clock::Time,
    frame::{Frame, Header},
    home::{self, HomeHandle},
    keeper::Keeper,
    mailbox::{Delivery, Failure, Freed, Mailbox, Slot, Taken, Wakers},
    meter::{Counted, Ledger, Meter, Tally},
    pair::{Ends, Event, Pair, Path, Violation},
    peer::Peer,
    sleeper::Sleeper,
};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Weak, atomic::AtomicUsize};

#[derive(Debug)]
pub(crate) struct Ranked {
    number: u32,
    node: Weak<Node>,
    home: Option<HomeHandle>,
    pub(super) keeper: Arc<dyn Keeper>,
    pub(super) meter: Arc<Meter>,
    /// Its collectives.
    pub(super) calls: Ledger,
    pub(super) mailbox: Mailbox,
    pub(super) pairs: Mutex<Pairs>,
    pub(super) watches: Mutex<Watches>,
    /// Published, not read yet.
    pub(super) unread: Arc<Unread>,
    /// On its way into the store.
    pub(super) putting: AtomicUsize,
    /// Who wants to know when it waits.
    pub(super) attention: Arc<Attention>,
}

#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) by_rank: FxHashMap<u32, Entry>,
    /// Tasks in a flush.
    pub(super) flushing: Vec<Sleeper>,
    /// No communicator is open: pairs keep no handles, which may hold the process.
    pub(super) dormant: bool,
    /// The rank has ended and sends nothing any more.
    pub(super) closed: bool,
}

impl Ranked {
    pub(crate) fn new(
        number: u32,
        node: Weak<Node>,
        home: Option<HomeHandle>,
        keeper: Arc<dyn Keeper>,
        attention: Arc<Attention>,
        meter: &Arc<Meter>,
    ) -> Self {
        Self {
            number,
            node,
            home,
            keeper,
            meter: Arc::clone(meter),
            calls: Ledger::default(),
            mailbox: Mailbox::new(number),
            pairs: Mutex::default(),
            watches: Mutex::default(),
            unread: Arc::default(),
            putting: AtomicUsize::new(0),
            attention,
        }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        self.node.upgrade()
    }

    pub(crate) fn home(&self) -> Option<&HomeHandle> {
        self.home.as_ref()
    }

    pub(crate) fn accept(
        &self,
        path: Path,
        frame: Frame,
        in_place: Option<AlignedBuf>,
    ) -> Result<(), Violation> {
        home::stir();
        let source = frame.header.source;
        let now = self.time_for(path);
        self.process(source, now, path, |pair| pair.receive(now, path, frame, in_place))
    }

    pub(crate) fn place(&self, header: &Header) -> Option<AlignedBuf> {
        let mut pairs = self.pairs.lock();
        pairs.by_rank.get_mut(&header.source)?.pair.take_assembly(header)
    }

    pub(crate) fn give_back(&self, path: Path, header: &Header, buf: AlignedBuf) {
        let now = self.keeper.now();
        let result = self.process(header.source, now, path, |pair| {
            pair.return_assembly(header, buf);
            pair.follow(now, path)
        });
        if let Err(violation) = result {
            tracing::warn!(%violation, source = header.source, "dropped frames");
        }
    }

    /// Lets the pair layer do a step and acts on what comes out.
    fn process(
        &self,
        source: u32,
        now: Time,
        path: Path,
        step: impl FnOnce(&mut Pair) -> Result<Option<Event>, Violation>,
    ) -> Result<(), Violation> {
        let mut wakers = Wakers::new();
        let mut notices = Vec::new();
        let (has_work, gets);
        {
            let mut pairs = self.pairs.lock();
            let Some(entry) = self.entry(&mut pairs, source) else {
                return Ok(());
            };
            if entry.lost.is_some() {
                return Ok(());
            }
            let mut step = step(&mut entry.pair);
            let result = loop {
                match step {
                    Ok(Some(event)) => self.act(entry, source, event, &mut wakers, &mut notices),
                    Ok(None) => break Ok(()),
                    Err(violation) => break Err(violation),
                }
                step = entry.pair.follow(now, path);
            };
            (has_work, gets) = (entry.has_work(), std::mem::take(&mut entry.gets));
            self.time(entry, source);
            if !pairs.flushing.is_empty() {
                wakers.extend(pairs.flushing.drain(..));
            }
            result?;
        }
        wake(wakers);
        self.get(source, gets);
        if has_work {
            self.pump(source);
        }
        for (space, cause) in notices {
            self.noticed(space, &cause);
        }
        Ok(())
    }

    fn act(
        &self,
        entry: &mut Entry,
        source: u32,
        event: Event,
        wakers: &mut Wakers,
        notices: &mut Vec<(crate::frame::Space, Payload)>,
    ) {
        match event {
            Event::Message(arrival) => match self.mailbox.deliver(arrival, wakers) {
                Delivery::Matched(taken, slot) => entry.take(&taken, Some(&slot), wakers),
                Delivery::Queued => {}
                Delivery::Dropped(taken) => entry.take(&taken, None, wakers),
            },
            Event::Pulled { message, payload } => {
                if let Some(Pull::For(slot)) = entry.pulls.remove(&message) {
                    entry.complete(&slot, message, payload, wakers);
                }
            }
            Event::Matched { message } => {
                if let Some(slot) = entry.sync.remove(&message) {
                    wakers.extend(slot.finish(Ok(())));
                }
            }
            Event::Discarded { message } => {
                if let Some(slot) = entry.sync.remove(&message) {
                    let failure = Failure::Lost { rank: source, reason: Reason::Left };
                    wakers.extend(slot.finish(Err(failure)));
                }
            }
            Event::Notice { space, cause } => notices.push((space, cause)),
        }
    }

    /// A receive took a message from the queue.
    pub(super) fn take(&self, taken: &Taken, slot: &Arc<Slot>) {
        let mut wakers = Wakers::new();
        let (has_work, gets) = {
            let mut pairs = self.pairs.lock();
            let Some(entry) = pairs.by_rank.get_mut(&taken.source) else { return };
            entry.take(taken, Some(slot), &mut wakers);
            self.time(entry, taken.source);
            (entry.pair.has_work(), std::mem::take(&mut entry.gets))
        };
        wake(wakers);
        self.get(taken.source, gets);
        if has_work {
            self.pump(taken.source);
        }
    }

    /// Messages were dropped.
    pub(super) fn free(&self, freed: Freed) {
        for taken in freed {
            let (has_work, gets) = {
                let mut pairs = self.pairs.lock();
                let Some(entry) = pairs.by_rank.get_mut(&taken.source) else { continue };
                entry.take(&taken, None, &mut Wakers::new());
                self.time(entry, taken.source);
                (entry.pair.has_work(), std::mem::take(&mut entry.gets))
            };
            self.get(taken.source, gets);
            if has_work {
                self.pump(taken.source);
            }
        }
    }

    /// Moves the pair's frames to its link, as far as there is room.
    pub(crate) fn pump(&self, to: u32) {
        let mut wakers = Wakers::new();
        let mut pairs = self.pairs.lock();
        match pairs.by_rank.get_mut(&to) {
            Some(entry) if !entry.pumping && entry.lost.is_none() => entry.pumping = true,
            _ => return,
        }
        loop {
            let (flushing, dormant) = (!pairs.flushing.is_empty(), pairs.dormant);
            let entry = pairs.by_rank.get_mut(&to).expect("entries are never removed");
            let Some(link) = entry.link(dormant) else {
                entry.pumping = false;
                let peer = Arc::clone(&entry.peer);
                drop(pairs);
                peer.connect();
                break;
            };
            entry.admit(&mut wakers);
            let path = link.path();
            let room = if path.direct { Room::User } else { link.room() };
            let frame = match room {
                Room::None => None,
                _ => entry.pair.poll_transmit(self.time_for(path), path, room == Room::User),
            };
            let put = if path.stored < usize::MAX { entry.pair.next_put() } else { None };
            // Nobody tells of receipts: as long as somebody waits for them they are looked for.
            let waits = flushing || entry.waiting.iter().any(|line| !line.is_empty());
            let look = frame.is_none() && path.receipts && entry.pair.wants_receipts(waits);
            if let Some(frame) = &frame {
                self.tally(entry, &*link, path.direct, frame);
            }
            // Inside a process what has left has arrived: that may admit more.
            let more = entry.has_work() || (path.direct && entry.admit(&mut wakers));
            let last = (frame.is_none() && put.is_none()) || !(more || flushing);
            if last {
                // Not to be locked again after the frame has left: the answer may come already.
                entry.pumping = false;
                self.time(entry, to);
                if path.direct && flushing {
                    wakers.extend(pairs.flushing.drain(..));
                }
            }
            drop(pairs);
            match frame {
                Some(frame) => link.send(frame),
                None if more && room != Room::User => self.block(to, &*link),
                // For credit, at least.
                None if more => self.attention.call(),
                None => {}
            }
            if look {
                link.look();
            }
            if let Some(put) = put {
                self.put(to, put);
            }
            if last {
                break;
            }
            pairs = self.pairs.lock();
        }
        wake(wakers);
    }

    /// What its pairs have sent, and what it has called.
    pub(crate) fn count(&self, into: &mut Counted) {
        into.ranks += 1;
        self.calls.collect(&mut into.calls);
        into.tallies.push(Tally::published(Rung::Local.name(), self.unread.traffic()));
        let pairs = self.pairs.lock();
        into.tallies.extend(pairs.by_rank.values().flat_map(|entry| entry.tallies.iter().copied()));
    }

    /// Waits for the link to have room again.
    fn block(&self, to: u32, link: &dyn Link) {
        let node = self.node.upgrade();
        if let Some(peer) = node.as_ref().and_then(|node| node.route(to)) {
            peer.block(self.number, to, link);
        }
    }

    /// Inside a process no timer runs, so that nobody need ask for the time; over a stream the only one
    /// is for an acknowledgement that has waited long enough.
    pub(super) fn time_for(&self, path: Path) -> Time {
        match path {
            Path { direct: true, .. } => Time::default(),
            Path { lossy: false, .. } => self.keeper.roughly_now(),
            _ => self.keeper.now(),
        }
    }

    /// The link to these ranks is a new one.
    pub(crate) fn resume(&self, remote: &[u32]) {
        let known: Vec<u32> = {
            let mut pairs = self.pairs.lock();
            remote
                .iter()
                .copied()
                .filter(|rank| {
                    let entry = pairs.by_rank.get_mut(rank);
                    let known = entry.map(|entry| {
                        entry.pair.replay();
                        entry.link = None;
                    });
                    known.is_some()
                })
                .collect()
        };
        for rank in known {
            self.pump(rank);
        }
    }

    pub(crate) fn on_timer(&self, remote: u32, now: Time) {
        let due = {
            let mut pairs = self.pairs.lock();
            let Some(entry) = pairs.by_rank.get_mut(&remote) else { return };
            entry.timed = false;
            entry.pair.on_timeout(now);
            let due = entry.pair.has_work();
            if !due {
                self.time(entry, remote);
            }
            due
        };
        if due {
            self.pump(remote);
        }
    }

    /// A channel has learnt that the frames before this number have been read.
    pub(crate) fn receipt(&self, remote: u32, upto: u32) {
        if !self.pairs.lock().by_rank.contains_key(&remote) {
            return;
        }
        let now = self.keeper.now();
        let step = |pair: &mut Pair| pair.receipt(now, upto).map(|()| None);
        // No frame comes of it, and none follows.
        let result = self.process(remote, now, Path::STREAM, step);
        if let Err(violation) = result {
            tracing::warn!(%violation, remote, upto, "ignored a receipt");
        }
    }

    /// Whom this rank waits for.
    pub(crate) fn awaits(&self, note: &mut impl FnMut(Whom)) {
        self.mailbox.awaits(note);
        let pairs = self.pairs.lock();
        let flushing = !pairs.flushing.is_empty();
        for (rank, entry) in &pairs.by_rank {
            if entry.lost.is_none() && entry.awaits(flushing) {
                note(Whom::Rank(*rank));
            }
        }
    }

    /// Sends the acknowledgements that are owed. Returns the ranks that have to wait for theirs: there
    /// is no link now, or no room.
    pub(crate) fn settle(&self) -> Vec<u32> {
        let owing = self.owing(Pair::settle);
        owing.iter().for_each(|rank| self.pump(*rank));
        if owing.is_empty() { owing } else { self.owing(|_| ()) }
    }

    /// The ranks that are owed an acknowledgement, and something done to the pairs with them.
    fn owing(&self, act: impl Fn(&mut Pair)) -> Vec<u32> {
        let mut pairs = self.pairs.lock();
        let owing = pairs
            .by_rank
            .iter_mut()
            .filter(|(_, entry)| entry.lost.is_none() && entry.pair.owes_ack());
        owing.map(|(rank, entry)| (*rank, act(&mut entry.pair)).0).collect()
    }

    /// A rank is gone for good.
    pub(crate) fn lost(&self, rank: u32, reason: &Reason) {
        let mut wakers = Wakers::new();
        let failure = Failure::Lost { rank, reason: reason.clone() };
        // First, so that a conversation that begins meanwhile knows it.
        self.mailbox.lost(rank, reason, &mut wakers);
        {
            let mut pairs = self.pairs.lock();
            if let Some(entry) = pairs.by_rank.get_mut(&rank) {
                entry.lost.get_or_insert_with(|| reason.clone());
                let waiting = entry.waiting.iter_mut().flat_map(|line| line.drain(..));
                for slot in waiting.chain(entry.sync.drain().map(|(_, slot)| slot)) {
                    wakers.extend(slot.finish(Err(failure.clone())));
                }
                // Payloads that were on their way will not come.
                entry.pulls.retain(|_, pull| match pull {
                    Pull::For(slot) => {
                        wakers.extend(slot.fail(failure.clone()));
                        false
                    }
                    // What a store has is there whoever put it there.
                    Pull::Reading(_) | Pull::Done(_) => true,
                });
            }
            wakers.extend(pairs.flushing.drain(..));
        }
        wake(wakers);
    }

    /// Lets go of the links, which may hold the process, until a communicator is opened.
    pub(super) fn sleep(&self, dormant: bool) {
        let mut pairs = self.pairs.lock();
        pairs.dormant = dormant;
        let links: Vec<_> = match dormant {
            true => pairs.by_rank.values_mut().filter_map(|entry| entry.link.take()).collect(),
            false => Vec::new(),
        };
        // The last of them may end the process's node, which has locks of its own.
        drop(pairs);
        drop(links);
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.mailbox.is_shut()
    }

    /// The rank ends.
    pub(super) fn shut(&self) {
        self.sleep(true);
        let mut wakers = Wakers::new();
        {
            let mut pairs = self.pairs.lock();
            pairs.closed = true;
            for entry in pairs.by_rank.values_mut() {
                let waiting = entry.waiting.iter_mut().flat_map(|line| line.drain(..));
                for slot in waiting.chain(entry.sync.drain().map(|(_, slot)| slot)) {
                    wakers.extend(slot.finish(Err(Failure::Closed)));
                }
            }
        }
        let freed = self.mailbox.shut(&mut wakers);
        wake(wakers);
        self.free(freed);
    }

    /// The state of the conversation with a rank; `None` for a rank that does not exist.
    pub(super) fn entry<'a>(&self, pairs: &'a mut Pairs, remote: u32) -> Option<&'a mut Entry> {
        use std::collections::hash_map::Entry as Slot;
        match pairs.by_rank.entry(remote) {
            Slot::Occupied(entry) => Some(entry.into_mut()),
            Slot::Vacant(vacant) => {
                let node = self.node.upgrade()?;
                let peer = node.route(remote)?;
                let ends = Ends {
                    epoch: node.epoch(),
                    local: self.number,
                    remote,
                    local_incarnation: node.roster().member(node.process())?.incarnation,
                    remote_incarnation: peer.member().incarnation,
                };
                Some(vacant.insert(Entry {
                    pair: Pair::new(ends, node.settings().outbox),
                    near: is_near(&node, &peer),
                    peer,
                    waiting: Default::default(),
                    sync: FxHashMap::default(),
                    pulls: FxHashMap::default(),
                    gets: Vec::new(),
                    link: None,
                    tallies: smallvec::SmallVec::new(),
                    pumping: false,
                    timed: false,
                    lost: self.mailbox.lost_reason(remote),
                }))
            }
        }
    }

    /// Whether payloads to a rank must be bytes.
    pub(super) fn leaves_process(&self, to: u32) -> bool {
        let node = self.node.upgrade();
        let peer = node.as_ref().and_then(|node| node.route(to));
        let link = peer.and_then(|peer| peer.link());
        link.is_none_or(|link| !link.path().direct)
    }

    /// Sees to it that the pair is told when its time has come, if it waits for one.
    pub(super) fn time(&self, entry: &mut Entry, remote: u32) {
        if !entry.timed && entry.pair.poll_timeout().is_some() {
            entry.timed = true;
            if let Some(node) = self.node.upgrade() {
                node.timed(self.number, remote);
            }
        }
    }

    /// Counts a frame that leaves.
    pub(super) fn tally(&self, entry: &mut Entry, link: &dyn Link, direct: bool, frame: &Frame) {
        match !direct && self.meter.is_detailed() {
            true => self.meter.message(link.channel(), entry.tier(link, false), frame),
            false => entry.tally(link, direct).count(frame),
        }
    }
}

pub(super) fn wake(wakers: Wakers) {
    for waker in wakers {
        waker.wake();
    }
}

/// Whether a process is on the same machine, as far as that is known.
fn is_near(node: &Node, peer: &Peer) -> bool {
    let machine = &peer.member().machine;
    let own = node.roster().member(node.process());
    !machine.is_empty() && own.is_some_and(|own| own.machine == *machine)
}
