//! A process of the job, with the ranks it hosts and its view of all others.

use crate::{
    AlignedBuf, Endpoint, Reason,
    board::Board,
    channel::Channel,
    clock::{Clock, SystemClock, Time},
    endpoint::Ranked,
    frame::{Frame, Header},
    home::HomeHandle,
    mailbox::Group,
    pair::{Path, Violation},
    peer::{Member, Peer},
    rejoin::{Loss, RejoinCell},
    service::Service,
};
use futures::{channel::oneshot, future::BoxFuture};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Bounds and patience of a process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes a lane of each pair may hold unacknowledged.
    pub outbox: usize,
    /// An operation on live peers ends after this.
    pub operation: Duration,
    /// A peer that is silent for this long is lost.
    pub silent: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            outbox: 4 << 20,
            operation: Duration::from_secs(15 * 60),
            silent: Duration::from_secs(10),
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
}

/// A process of the job.
pub struct Node {
    process: u32,
    epoch: u32,
    settings: Settings,
    clock: Arc<dyn Clock>,
    world: Group,
    channels: Vec<Arc<dyn Channel>>,
    /// By process.
    peers: FxHashMap<u32, Arc<Peer>>,
    /// By world rank.
    routes: Vec<Arc<Peer>>,
    ranks: FxHashMap<u32, Arc<Ranked>>,
    board: Board,
    /// Pairs (local, remote) with a timer.
    timed: Mutex<Vec<(u32, u32)>>,
    /// Ranks of this process that have left and of which the others do not know yet.
    left: Mutex<Vec<u32>>,
    closing: AtomicBool,
    goodbye: Mutex<Option<Goodbye>>,
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
        let size: usize = place.members.iter().map(|member| member.ranks.len()).sum();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let node = Arc::new_cyclic(|weak| {
            let home_of = |index: usize| match homes.len() {
                0 => Arc::clone(service.home()),
                count => Arc::clone(&homes[index % count]),
            };
            let peers: FxHashMap<u32, Arc<Peer>> = place
                .members
                .iter()
                .enumerate()
                .map(|(index, member)| {
                    let peer = Peer::new(member.clone(), weak.clone(), home_of(index));
                    (member.process, Arc::new(peer))
                })
                .collect();
            let mut routes = vec![None; size];
            for member in &place.members {
                for rank in &member.ranks {
                    routes[*rank as usize] = Some(Arc::clone(&peers[&member.process]));
                }
            }
            let routes: Vec<_> =
                routes.into_iter().map(|route| route.expect("every rank has a process")).collect();
            let world: Group = (0..size as u32).collect();
            let own = &peers[&place.process].member().ranks;
            let ranks = own
                .iter()
                .enumerate()
                .map(|(index, rank)| {
                    let home = (!homes.is_empty())
                        .then(|| Arc::clone(&homes[index * homes.len() / own.len()]));
                    (*rank, {
                        let clock = Arc::clone(&clock);
                        Arc::new(Ranked::new(*rank, weak.clone(), home, clock))
                    })
                })
                .collect();
            Self {
                process: place.process,
                epoch: place.epoch,
                settings,
                clock,
                world,
                channels,
                peers,
                routes,
                ranks,
                board: Board::default(),
                timed: Mutex::default(),
                left: Mutex::default(),
                closing: AtomicBool::new(false),
                goodbye: Mutex::default(),
                loss: Loss::default(),
                rejoining: RejoinCell::default(),
            }
        });
        service.register(&node);
        node
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
        &self.world
    }

    /// The clock of everything here.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The endpoint of a rank that lives here.
    #[must_use]
    pub fn endpoint(&self, rank: u32) -> Option<Endpoint> {
        self.ranks.get(&rank).map(|rank| Endpoint::new(Arc::clone(rank)))
    }

    /// Ranks that live here.
    pub fn local_ranks(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranks.keys().copied()
    }

    /// The process that hosts a world rank.
    #[must_use]
    pub fn route(&self, rank: u32) -> Option<&Arc<Peer>> {
        self.routes.get(rank as usize)
    }

    /// A process by its number.
    #[must_use]
    pub fn peer(&self, process: u32) -> Option<&Arc<Peer>> {
        self.peers.get(&process)
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

    /// Ranks are gone for good.
    pub fn lose(&self, ranks: &[u32], reason: &Reason) {
        let Some(peer) = ranks.first().and_then(|rank| self.route(*rank)) else { return };
        if peer.member().process != self.process {
            peer.end();
            // What comes while this process leaves is no loss.
            if !self.is_closing() {
                self.loss.send_if_modified(|loss| {
                    loss.is_none() && loss.replace((ranks[0], reason.clone())).is_none()
                });
            }
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
        for rank in self.ranks.values() {
            rank.settle();
        }
        for channel in &self.channels {
            channel.stop();
        }
        for peer in self.peers.values().filter(|peer| peer.member().process != self.process) {
            peer.hang_up();
        }
    }

    /// Says what to do when this process leaves.
    pub fn on_leave(&self, goodbye: Goodbye) {
        *self.goodbye.lock() = Some(goodbye);
    }

    /// Leaves the job in good order, once.
    pub async fn leave(&self) {
        self.close();
        let goodbye = self.goodbye.lock().take();
        if let Some(goodbye) = goodbye {
            // Whoever awaits this may be on another runtime, or on none.
            let (done, said) = oneshot::channel();
            Service::get().spawn(async move {
                goodbye().await;
                let _ = done.send(());
            });
            let _ = said.await;
        }
    }

    /// Whether a rank lives in a process: nobody speaks for others.
    fn hosts(&self, process: u32, rank: u32) -> bool {
        self.route(rank).is_some_and(|peer| peer.member().process == process)
    }

    /// What its ranks publish for each other.
    pub(crate) fn board(&self) -> &Board {
        &self.board
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

    pub(crate) fn ways_to(&self, member: &Member) -> Vec<(Arc<dyn Channel>, String)> {
        let mut ways = Vec::new();
        for channel in &self.channels {
            for (name, address) in &member.addresses {
                if name == channel.name() {
                    ways.push((Arc::clone(channel), address.clone()));
                }
            }
        }
        ways
    }

    pub(crate) fn timed(&self, local: u32, remote: u32) {
        self.timed.lock().push((local, remote));
        Service::get().kick();
    }

    /// A rank of this process has left. The others learn it with the next tick, all that left
    /// by then at once: when a thousand ranks end together, few are left to be told.
    pub(crate) fn left(&self, rank: u32) {
        self.left.lock().push(rank);
        Service::get().kick();
    }

    /// Tells the ranks of this process that still run of some that do not.
    pub(crate) fn tell_local(&self, gone: &[u32], reason: &Reason) {
        for (number, rank) in &self.ranks {
            for lost in gone.iter().filter(|lost| *lost != number && !rank.is_shut()) {
                rank.lost(*lost, reason);
            }
        }
    }

    pub(crate) fn tick(&self, now: Time) -> bool {
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

    pub(crate) fn expire(&self, now: Time) -> Option<Time> {
        self.ranks.values().filter_map(|rank| rank.expire(now)).min()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} of {}, epoch {})", self.process, self.peers.len(), self.epoch)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for channel in &self.channels {
            channel.stop();
        }
    }
}
