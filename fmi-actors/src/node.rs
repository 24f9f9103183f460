//! A process of the job, with the ranks it hosts and its view of all others.

mod stores;

use crate::{
    AlignedBuf, Endpoint, Reason,
    awaited::Attention,
    board::Board,
    channel::{Channel, Post, Rung, Way},
    clock::Time,
    endpoint::Ranked,
    frame::{Frame, Header},
    home::HomeHandle,
    keeper::Keeper,
    mailbox::Group,
    meter::{Bill, Counted, Meter, Seconds},
    pair::{Path, Violation},
    peer::{Member, Peer},
    reads::Reads,
    rejoin::{Loss, RejoinCell},
    roster::Roster,
    service::{ByService, Service},
    store::Agreed,
};
use futures::{channel::oneshot, future::BoxFuture};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use std::{
    fmt,
    future::Future,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How often a process that leaves looks whether it can acknowledge what it still owes.
const SETTLING: Duration = Duration::from_millis(2);

/// Bounds and patience of a process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes a lane of each pair may hold unacknowledged.
    pub outbox: usize,
    /// An operation on live peers ends after this.
    pub operation: Duration,
    /// A peer that is silent for this long is lost.
    pub silent: Duration,
    /// The rungs that links may have, in order of preference.
    pub ladder: Vec<Rung>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            outbox: 4 << 20,
            operation: Duration::from_secs(15 * 60),
            silent: Duration::from_secs(10),
            ladder: Rung::LADDER.to_vec(),
        }
    }
}

/// Where a process stands in its job.
#[derive(Debug, Clone)]
pub struct Place {
    /// Number of this process.
    pub process: u32,
    /// Epoch of the job.
    pub epoch: u32,
    /// All processes, this one included.
    pub members: Vec<Member>,
    /// The model of time and money that all of them go by; see [`Node::model`].
    pub model: Arc<str>,
}

/// A process of the job.
pub struct Node {
    process: u32,
    epoch: u32,
    settings: Settings,
    keeper: Arc<dyn Keeper>,
    roster: Arc<Roster>,
    channels: Vec<Arc<dyn Channel>>,
    /// Where links live.
    homes: Vec<HomeHandle>,
    /// By process; those that this one has to do with.
    peers: RwLock<FxHashMap<u32, Arc<Peer>>>,
    itself: Weak<Self>,
    ranks: FxHashMap<u32, Arc<Ranked>>,
    board: Board,
    meter: Arc<Meter>,
    /// What its ranks have learnt.
    learnt: Mutex<Option<Arc<str>>>,
    born: Time,
    attention: Arc<Attention>,
    reads: Reads,
    agreed: OnceLock<Option<Agreed>>,
    /// Pairs (local, remote) with a timer.
    timed: Mutex<Vec<(u32, u32)>>,
    /// Ranks of this process that have left and of which the others do not know yet.
    left: Mutex<Vec<u32>>,
    closing: AtomicBool,
    goodbye: Mutex<Option<Goodbye>>,
    post: OnceLock<Arc<dyn Post>>,
    pub(crate) loss: Loss,
    pub(crate) rejoining: RejoinCell,
}

/// What a process does when it has left in good order; dropped unused if it does not.
pub type Goodbye = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

impl Node {
    /// A process in its place. Its ranks are spread over `homes` in contiguous runs; without
    /// any, links live on the service thread.
    ///
    /// # Panics
    /// When the members do not make up ranks `0..size`, or this process is not among them: the
    /// rendezvous checks both.
    #[must_use]
    pub fn new(
        place: Place,
        channels: Vec<Arc<dyn Channel>>,
        homes: &[HomeHandle],
        settings: Settings,
    ) -> Arc<Self> {
        let service = Service::get();
        let roster = Arc::new(Roster::new(place.members, place.model));
        let keeper = Arc::new(ByService);
        let own = (place.process, place.epoch);
        let node = Self::kept(own, roster, channels, homes, settings, keeper);
        service.register(&node);
        node
    }

    /// As [`new`](Self::new) for process and epoch `own`, but looked after by any keeper, and
    /// with a roster that others may share.
    ///
    /// # Panics
    /// When the process is not in the roster.
    #[must_use]
    pub fn kept(
        own: (u32, u32),
        roster: Arc<Roster>,
        channels: Vec<Arc<dyn Channel>>,
        homes: &[HomeHandle],
        settings: Settings,
        keeper: Arc<dyn Keeper>,
    ) -> Arc<Self> {
        let (process, epoch) = own;
        let attention = Arc::new(Attention::default());
        let meter = Arc::new(Meter::new(channels.iter().any(|channel| channel.store().is_some())));
        let born = keeper.now();
        Arc::new_cyclic(|weak| {
            let own = &roster.member(process).expect("a member of its own job").ranks;
            let ranks = own
                .iter()
                .enumerate()
                .map(|(index, rank)| {
                    let home = (!homes.is_empty())
                        .then(|| Arc::clone(&homes[index * homes.len() / own.len()]));
                    let keeper = Arc::clone(&keeper);
                    let attention = Arc::clone(&attention);
                    let ranked = Ranked::new(*rank, weak.clone(), home, keeper, attention, &meter);
                    (*rank, Arc::new(ranked))
                })
                .collect();
            Self {
                process,
                epoch,
                settings,
                keeper,
                roster,
                channels,
                homes: homes.to_vec(),
                peers: RwLock::default(),
                itself: weak.clone(),
                ranks,
                board: Board::default(),
                born,
                meter,
                learnt: Mutex::default(),
                attention,
                reads: Reads::default(),
                agreed: OnceLock::new(),
                timed: Mutex::default(),
                left: Mutex::default(),
                closing: AtomicBool::new(false),
                goodbye: Mutex::default(),
                post: OnceLock::new(),
                loss: Loss::default(),
                rejoining: RejoinCell::default(),
            }
        })
    }

    /// Begins to accept links.
    pub fn start(self: &Arc<Self>) {
        for channel in &self.channels {
            channel.start(self);
        }
    }

    /// Number of this process in the job.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.process
    }

    /// The job's epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Bounds and patience.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All ranks of the job.
    #[must_use]
    pub fn world(&self) -> &Group {
        self.roster.world()
    }

    /// The clock of everything here.
    #[must_use]
    pub fn now(&self) -> Time {
        self.keeper.now()
    }

    /// The endpoint of a rank that lives here.
    #[must_use]
    pub fn endpoint(&self, rank: u32) -> Option<Endpoint> {
        self.ranks.get(&rank).map(|rank| Endpoint::new(Arc::clone(rank)))
    }

    /// Whether a rank lives here.
    #[must_use]
    pub fn has(&self, rank: u32) -> bool {
        self.ranks.contains_key(&rank)
    }

    /// Ranks that live here.
    pub fn local_ranks(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranks.keys().copied()
    }

    /// Who is in the job.
    #[must_use]
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// The model of time and money that all processes of the job go by, as text: that of the lowest
    /// process that has one; empty if none has.
    #[must_use]
    pub fn model(&self) -> &Arc<str> {
        self.roster.model()
    }

    /// The model as it is now that all processes have learnt, as text; `None` if they have not.
    #[must_use]
    pub fn learnt(&self) -> Option<Arc<str>> {
        self.learnt.lock().clone()
    }

    /// All processes have learnt this: what they begin the next epoch with, if there is one.
    pub fn set_learnt(&self, model: Arc<str>) {
        *self.learnt.lock() = Some(model);
    }

    /// Who keeps the time here.
    #[must_use]
    pub fn keeper(&self) -> &Arc<dyn Keeper> {
        &self.keeper
    }

    /// The process that hosts a world rank.
    #[must_use]
    pub fn route(&self, rank: u32) -> Option<Arc<Peer>> {
        self.peer(self.roster.host(rank)?)
    }

    /// A process by its number.
    #[must_use]
    pub fn peer(&self, process: u32) -> Option<Arc<Peer>> {
        if let Some(peer) = self.peers.read().get(&process) {
            return Some(Arc::clone(peer));
        }
        let member = Arc::clone(self.roster.member(process)?);
        let home = match self.homes.len() {
            0 => self.keeper.home(),
            count => self.homes.get(self.roster.place(process)? % count),
        };
        let mut peers = self.peers.write();
        let peer = peers.entry(process).or_insert_with(|| {
            let peer = Peer::new(member, self.itself.clone(), home.cloned());
            if self.is_closing() && process != self.process {
                peer.end();
            }
            Arc::new(peer)
        });
        Some(Arc::clone(peer))
    }

    /// Takes a frame from a link to process `from`. `in_place` is the buffer that
    /// [`place`](Self::place) gave for it.
    ///
    /// # Errors
    /// [`Violation`]: the link must be closed.
    pub fn accept(
        &self,
        from: u32,
        path: Path,
        frame: Frame,
        in_place: Option<AlignedBuf>,
    ) -> Result<(), Violation> {
        if !self.hosts(from, frame.header.source) {
            return Err(Violation::Rank);
        }
        match self.ranks.get(&frame.header.destination) {
            Some(rank) => rank.accept(path, frame, in_place),
            None => Err(Violation::Rank),
        }
    }

    /// The buffer into which the payload of a frame can be read straight away, if it continues
    /// a message whose place is known. It comes back with the frame or by
    /// [`give_back`](Self::give_back).
    #[must_use]
    pub fn place(&self, from: u32, header: &Header) -> Option<AlignedBuf> {
        if !self.hosts(from, header.source) {
            return None;
        }
        self.ranks.get(&header.destination)?.place(header)
    }

    /// Takes back a buffer whose frame did not arrive whole.
    pub fn give_back(&self, path: Path, header: &Header, buf: AlignedBuf) {
        if let Some(rank) = self.ranks.get(&header.destination) {
            rank.give_back(path, header, buf);
        }
    }

    /// What this process counts.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// What this process has done so far and what that costs. Looks at every pair.
    #[must_use]
    pub fn bill(&self) -> Bill {
        let mut counted = Counted::default();
        self.ranks.values().for_each(|rank| rank.count(&mut counted));
        let now = self.now();
        self.meter.bill(now, Seconds::from(now.since(self.born)), &counted)
    }

    /// Ranks are gone for good.
    pub fn lose(&self, ranks: &[u32], reason: &Reason) {
        let Some(peer) = ranks.first().and_then(|rank| self.route(*rank)) else { return };
        if peer.member().process != self.process {
            match self.is_closing() {
                true => peer.end(),
                false => peer.lose(reason),
            }
            // What comes while this process leaves is no loss.
            if !self.is_closing() {
                self.loss.send_if_modified(|loss| {
                    loss.is_none() && loss.replace((ranks[0], reason.clone())).is_none()
                });
            }
        }
        if let Some(store) = self.store() {
            store.gone(ranks);
        }
        for rank in self.ranks.values() {
            for lost in ranks {
                rank.lost(*lost, reason);
            }
        }
    }

    /// Whether this process is about to leave.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Everything here has ended: says the last acknowledgements and closes all links in good
    /// order.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.settle();
        for channel in &self.channels {
            channel.stop();
        }
        let peers: Vec<_> = self.peers.read().values().map(Arc::clone).collect();
        for peer in peers.iter().filter(|peer| peer.member().process != self.process) {
            peer.hang_up();
        }
    }

    /// Says who carries notes, once.
    pub fn set_post(&self, post: Arc<dyn Post>) {
        let _ = self.post.set(post);
    }

    /// Whether notes can be sent.
    #[must_use]
    pub fn has_post(&self) -> bool {
        self.post.get().is_some()
    }

    /// Sends a note to the same channel of another process; it may get lost.
    pub fn tell(&self, process: u32, channel: &str, note: Vec<u8>) {
        if let Some(post) = self.post.get() {
            post.tell(process, channel, note);
        }
    }

    /// A note has come. Called on the service thread.
    pub fn told(self: &Arc<Self>, from: u32, channel: &str, note: &[u8]) {
        if let Some(channel) = self.channels.iter().find(|other| other.name() == channel) {
            channel.told(self, from, note);
        }
    }

    /// Says what to do when this process leaves.
    pub fn on_leave(&self, goodbye: Goodbye) {
        *self.goodbye.lock() = Some(goodbye);
    }

    /// Leaves the job in good order, once.
    pub async fn leave(&self) {
        self.settled().await;
        self.close_store().await;
        self.close();
        let goodbye = self.goodbye.lock().take();
        if let Some(goodbye) = goodbye {
            self.on_keeper(async move { goodbye().await }).await;
        }
        for channel in &self.channels {
            channel.stopped().await;
        }
        self.meter.settle(|| self.bill());
    }

    /// Does something where the keeper does: whoever awaits this may be on another runtime, or on
    /// none.
    async fn on_keeper(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (done, said) = oneshot::channel();
        self.keeper.spawn(Box::pin(async move {
            task.await;
            let _ = done.send(());
        }));
        let _ = said.await;
    }

    /// Waits until what has been read here is acknowledged. Where two processes dialled each other,
    /// one link may have ended before the other is up here; who left now would leave the other side
    /// in doubt for ever.
    async fn settled(&self) {
        let Some(node) = self.itself.upgrade().filter(|node| !node.settle()) else { return };
        self.on_keeper(async move {
            let deadline = node.keeper.now() + node.settings.silent;
            while !node.settle() && node.keeper.now() < deadline {
                node.keeper.sleep(SETTLING).await;
            }
        })
        .await;
    }

    /// Sends the acknowledgements that are owed. False if some have to wait for a link.
    fn settle(&self) -> bool {
        let owing: Vec<u32> = self.ranks.values().flat_map(|rank| rank.settle()).collect();
        // Who has left needs none.
        let waits = |to: &u32| self.route(*to).is_some_and(|peer| !peer.has_ended());
        !owing.iter().any(waits)
    }

    /// Whether a rank lives in a process: nobody speaks for others.
    fn hosts(&self, process: u32, rank: u32) -> bool {
        self.roster.host(rank) == Some(process)
    }

    /// What its ranks publish for each other.
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// Does something with a rank that lives here.
    pub(crate) fn with_rank(&self, rank: u32, act: impl FnOnce(&Ranked)) {
        if let Some(rank) = self.ranks.get(&rank) {
            act(rank);
        }
    }

    pub(crate) fn pump(&self, local: u32, remote: u32) {
        if let Some(rank) = self.ranks.get(&local) {
            rank.pump(remote);
        }
    }

    /// A link to these ranks has come up.
    pub(crate) fn resume(&self, remote: &[u32]) {
        for rank in self.ranks.values() {
            rank.resume(remote);
        }
    }

    /// Moves what waits for these ranks, as far as it has not left.
    pub(crate) fn go_on(&self, remote: &[u32]) {
        for rank in self.ranks.values() {
            remote.iter().for_each(|remote| rank.pump(*remote));
        }
    }

    /// The ways to a process, each with its quality: the rung counts first, then which channel
    /// was named first.
    pub(crate) fn ways_to(self: &Arc<Self>, member: &Member) -> Vec<(u16, Way)> {
        let mut ways = Vec::new();
        for channel in &self.channels {
            for way in channel.ways(self, member) {
                if let Some(quality) = self.quality(channel.name(), way.rung) {
                    ways.push((quality, way));
                }
            }
        }
        ways
    }

    /// The quality of links of a channel on a rung, if there may be any.
    #[must_use]
    pub fn quality(&self, channel: &str, rung: Rung) -> Option<u16> {
        let ladder = &self.settings.ladder;
        let step = ladder.iter().position(|other| *other == rung)?;
        let place = self.channels.iter().position(|other| other.name() == channel)?;
        Some(((ladder.len() - step) * 256 + (self.channels.len() - place)) as u16)
    }

    /// The rung of a link of this quality, if the other side has the same ladder.
    #[must_use]
    pub fn rung(&self, quality: u16) -> Option<Rung> {
        let ladder = &self.settings.ladder;
        ladder.get(ladder.len().checked_sub(usize::from(quality / 256))?).copied()
    }

    pub(crate) fn timed(&self, local: u32, remote: u32) {
        self.timed.lock().push((local, remote));
        self.keeper.kick();
    }

    /// A rank of this process has left. The others learn it with the next tick, all that left
    /// by then at once: when a thousand ranks end together, few are left to be told.
    pub(crate) fn left(&self, rank: u32) {
        self.left.lock().push(rank);
        self.keeper.kick();
    }

    /// Tells the ranks of this process that still run of some that do not.
    pub(crate) fn tell_local(&self, gone: &[u32], reason: &Reason) {
        for (number, rank) in &self.ranks {
            for lost in gone.iter().filter(|lost| *lost != number && !rank.is_shut()) {
                rank.lost(*lost, reason);
            }
        }
        if !gone.is_empty() {
            self.board.gone(gone);
        }
    }

    /// Time has passed: does what pairs with a timer want done. True if the next tick may have
    /// work too. Called by the [`Keeper`].
    pub fn tick(&self, now: Time) -> bool {
        let left = std::mem::take(&mut *self.left.lock());
        self.tell_local(&left, &Reason::Left);
        let timed = std::mem::take(&mut *self.timed.lock());
        for (local, remote) in &timed {
            if let Some(rank) = self.ranks.get(local) {
                rank.on_timer(*remote, now);
            }
        }
        !timed.is_empty() || !left.is_empty()
    }

    /// Ends the waits whose deadline has come; when to look again. Called by the [`Keeper`].
    pub fn expire(&self, now: Time) -> Option<Time> {
        self.ranks.values().filter_map(|rank| rank.expire(now)).min()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} of {}, epoch {})", self.process, self.roster.members().len(), self.epoch)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for channel in &self.channels {
            channel.stop();
        }
    }
}
