//! A process of the job as another sees it: its ranks, its address, the link to it.

mod climb;
mod mesh;

use crate::{
    Node, Reason,
    channel::{Link, Room, Rung},
    home::HomeHandle,
};
use climb::climb;
pub use mesh::Mesh;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashSet;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Waker,
    time::Duration,
};

/// A process as the rendezvous describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Number of the process in the job.
    pub process: u32,
    /// World ranks that it hosts.
    pub ranks: Vec<u32>,
    /// Channel and address pairs that it can be dialled at.
    pub addresses: Vec<(String, String)>,
    /// The machine that it runs on: equal on processes that can share memory. Empty where that is not
    /// known: then it counts as a machine of its own.
    pub machine: String,
    /// How many threads its ranks are spread over, in runs; 0: each has its own.
    pub threads: u32,
    /// How many cores it may use of its machine; 0 where that is not known.
    pub cores: u32,
    /// How often its ranks have registered.
    pub incarnation: u16,
    /// Its address as the rendezvous saw it; another than its own if an address translation lies
    /// between.
    pub observed: Option<SocketAddr>,
    /// SHA-256 of the certificate that it shows on encrypted links.
    pub fingerprint: Option<[u8; 32]>,
}

/// A process of the job and the link to it.
#[derive(Debug)]
pub struct Peer {
    member: Arc<Member>,
    node: Weak<Node>,
    /// Who drives its links, if anybody has to.
    home: Option<HomeHandle>,
    link: RwLock<Option<Held>>,
    /// Pairs (local rank, remote rank) that found no room on the link.
    blocked: Mutex<FxHashSet<(u32, u32)>>,
    /// Of the latest link.
    generation: AtomicU32,
    dialling: AtomicBool,
    /// Better ways are tried now and then.
    bettering: AtomicBool,
    /// The last attempt of each way.
    attempts: Mutex<Vec<PeerAttempt>>,
    /// It has said that it leaves; the end of its link is its end.
    leaving: AtomicBool,
    gone: AtomicBool,
    /// Why it is gone, if it is a loss.
    fate: Mutex<Option<Reason>>,
    /// Who waits for a link to come or go, or for there never to be one.
    watchers: Mutex<Vec<Waker>>,
}

/// A link and what decides between two that came up at once.
#[derive(Debug)]
struct Held {
    link: Arc<dyn Link>,
    rank: LinkRank,
}

/// Order among links of two processes: both sides keep the greater one. A later generation
/// replaces an earlier; of one generation the better wins, and of equals that dialled by the lower
/// process number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkRank {
    /// That of the live link, which this one is to better; without one, one more than the last.
    pub generation: u32,
    /// As the dialling side counts, see [`Way::dial`](crate::channel::Way::dial).
    pub quality: u16,
    /// Dialled by the process with the lower number.
    pub preferred: bool,
}

/// How an attempt to reach a process went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAttempt {
    /// Where the way stands on the ladder.
    pub rung: Rung,
    /// Name of the way.
    pub way: String,
    /// How long it took, or why it failed.
    pub outcome: Result<Duration, String>,
}

impl fmt::Display for PeerAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(took) => write!(f, "{}: linked in {:.1} ms", self.way, took.as_secs_f64() * 1000.0),
            Err(reason) => write!(f, "{}: {reason}", self.way),
        }
    }
}

const FIRST_RETRY: Duration = Duration::from_millis(5);
const LAST_RETRY: Duration = Duration::from_millis(500);
/// How long a link that is not the best is put up with before better ways are tried again.
const FIRST_UPGRADE: Duration = Duration::from_secs(1);
const LAST_UPGRADE: Duration = Duration::from_secs(60);

impl Peer {
    pub(crate) fn new(member: Arc<Member>, node: Weak<Node>, home: Option<HomeHandle>) -> Self {
        Self {
            member,
            node,
            home,
            link: RwLock::default(),
            blocked: Mutex::default(),
            generation: AtomicU32::new(0),
            dialling: AtomicBool::new(false),
            bettering: AtomicBool::new(false),
            attempts: Mutex::default(),
            leaving: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            fate: Mutex::default(),
            watchers: Mutex::default(),
        }
    }

    /// What the rendezvous says of it.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The live link, if there is one.
    #[must_use]
    pub fn link(&self) -> Option<Arc<dyn Link>> {
        self.link.read().as_ref().map(|held| Arc::clone(&held.link))
    }

    /// The rank that a link of this quality has, if it is dialled from here now.
    #[must_use]
    pub fn next_rank(&self, own_process: u32, quality: u16) -> LinkRank {
        let live = self.link.read().as_ref().map(|held| held.rank.generation);
        let generation = live.unwrap_or_else(|| self.generation.load(Ordering::Acquire) + 1);
        LinkRank { generation, quality, preferred: own_process < self.member.process }
    }

    /// How the ways that were tried went, each the last time.
    #[must_use]
    pub fn attempts(&self) -> Vec<PeerAttempt> {
        self.attempts.lock().clone()
    }

    /// Whether ways to it are being tried; also while there is a link, if they are better.
    #[must_use]
    pub fn is_climbing(&self) -> bool {
        self.dialling.load(Ordering::Acquire)
    }

    /// How good the live link is.
    fn quality(&self) -> Option<u16> {
        self.link.read().as_ref().map(|held| held.rank.quality)
    }

    /// Whether a link of this quality that is being dialled here may still be the one to keep. If
    /// both sides dial at once, each may see the other's call succeed first; were both to drop
    /// their own for it, none would be left.
    fn may_outrank(&self, quality: u16) -> bool {
        let Some(node) = self.node.upgrade() else { return false };
        let preferred = node.process() < self.member.process;
        let held = self.link.read();
        let held = held.as_ref().map(|held| (held.rank.quality, held.rank.preferred));
        Some((quality, preferred)) > held
    }

    /// Whether it has said that it leaves, or is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.is_gone()
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn note_attempt(&self, attempt: PeerAttempt) {
        let mut attempts = self.attempts.lock();
        attempts.retain(|other| other.way != attempt.way);
        attempts.push(attempt);
    }

    /// Whether a link of this rank would be kept.
    #[must_use]
    pub fn would_keep(&self, rank: LinkRank) -> bool {
        !self.gone.load(Ordering::Acquire)
            && self.link.read().as_ref().is_none_or(|held| held.rank < rank)
    }

    /// Takes a link into use, unless the one there is to be kept. What is not acknowledged is
    /// sent again over it. False if it was refused; it is closed then.
    pub fn attach(self: &Arc<Self>, link: Arc<dyn Link>, rank: LinkRank) -> bool {
        let old = {
            let mut held = self.link.write();
            let refuse = self.gone.load(Ordering::Acquire)
                || held.as_ref().is_some_and(|held| held.rank >= rank);
            if refuse {
                drop(held);
                tracing::debug!(process = self.member.process, ?rank, "link not needed");
                link.close();
                return false;
            }
            held.replace(Held { link: Arc::clone(&link), rank })
        };
        if let Some(old) = old {
            old.link.close();
        }
        self.generation.fetch_max(rank.generation, Ordering::AcqRel);
        self.tell_watchers();
        let (channel, rung) = (link.channel(), link.rung());
        tracing::debug!(process = self.member.process, channel, %rung, ?rank, "linked");
        if let Some(home) = self.home.as_ref().filter(|_| !link.path().direct) {
            home.adopt(link);
        }
        if let Some(node) = self.node.upgrade() {
            node.resume(&self.member.ranks);
            // Whoever dialled: the better way may be this side's.
            self.better_later(&node);
        }
        true
    }

    /// A link is dead. Another is dialled if there is something to say.
    pub fn detach(self: &Arc<Self>, link: &Arc<dyn Link>) {
        {
            let mut held = self.link.write();
            if held.as_ref().is_none_or(|held| !Arc::ptr_eq(&held.link, link)) {
                return;
            }
            *held = None;
        }
        self.tell_watchers();
        let Some(node) = self.node.upgrade() else { return };
        if self.leaving.load(Ordering::Acquire) {
            node.lose(&self.member.ranks, &Reason::Left);
        } else if !self.gone.load(Ordering::Acquire) && !node.is_closing() {
            // Somebody waits for this process, or will: find out whether it lives.
            self.connect();
        }
    }

    /// The link has room again.
    pub fn writable(&self) {
        let blocked = std::mem::take(&mut *self.blocked.lock());
        if let Some(node) = self.node.upgrade() {
            for (local, remote) in blocked {
                node.pump(local, remote);
            }
        }
    }

    pub(crate) fn block(&self, local: u32, remote: u32, link: &dyn Link) {
        self.blocked.lock().insert((local, remote));
        // It may have become writable in between.
        if link.room() == Room::User {
            self.writable();
        }
    }

    /// The process says that it leaves. Once its link has ended too, nothing more can come. A link
    /// that does not end by itself ([receipts](crate::pair::Path::receipts): this side alone knows
    /// of it) is asked to look for the last time.
    pub fn leave(self: &Arc<Self>) {
        self.leaving.store(true, Ordering::Release);
        match self.link() {
            Some(link) => link.look(),
            None => {
                if let Some(node) = self.node.upgrade() {
                    node.lose(&self.member.ranks, &Reason::Left);
                }
            }
        }
    }

    /// Whether it has said that it leaves.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// It is gone, for this reason.
    pub(crate) fn lose(&self, reason: &Reason) {
        self.fate.lock().get_or_insert_with(|| reason.clone());
        self.end();
    }

    pub(crate) fn end(&self) {
        self.gone.store(true, Ordering::Release);
        self.tell_watchers();
        // Closed without the lock: the link may be at its end, and say so at once.
        let held = self.link.write().take();
        if let Some(held) = held {
            held.link.close();
        }
    }

    /// Wakes the waker once, when the link has come or gone, or the process is lost.
    fn watch(&self, waker: &Waker) {
        let mut watchers = self.watchers.lock();
        if !watchers.iter().any(|watcher| watcher.will_wake(waker)) {
            watchers.push(waker.clone());
        }
    }

    fn tell_watchers(&self) {
        let watchers = std::mem::take(&mut *self.watchers.lock());
        watchers.into_iter().for_each(Waker::wake);
    }

    /// Closes the link in good order and takes no other.
    pub(crate) fn hang_up(&self) {
        self.end();
    }

    /// Begins to dial, unless somebody does already.
    pub(crate) fn connect(self: &Arc<Self>) {
        // Who is gone is not dialled; to try would end in the same try at once.
        if self.is_gone() {
            return;
        }
        let Some(node) = self.node.upgrade() else { return };
        if !self.dialling.swap(true, Ordering::AcqRel) {
            let peer = Arc::clone(self);
            node.keeper().spawn(Box::pin(async move {
                peer.dial().await;
                peer.dialling.store(false, Ordering::Release);
                let Some(node) = peer.node.upgrade() else { return };
                // A frame may have come between the last look and the flag, or the link may have gone.
                // All others have left when it came up: to send them again would double what every
                // new link begins with.
                match peer.link() {
                    Some(_) => node.go_on(&peer.member.ranks),
                    None => node.resume(&peer.member.ranks),
                }
            }));
        }
    }

    async fn dial(self: &Arc<Self>) {
        let Some(node) = self.node.upgrade() else { return };
        let patience = node.settings().silent;
        let keeper = Arc::clone(node.keeper());
        let mut start = keeper.now();
        let mut pause = FIRST_RETRY;
        let mut tried = Vec::new();
        let mut hopeless = false;
        let mut climbers = Vec::new();
        loop {
            let left = patience.saturating_sub(keeper.now().since(start));
            let ascent = climb(self, &node, left, std::mem::take(&mut climbers)).await;
            if self.link.read().is_some() || self.is_gone() || node.is_closing() {
                return;
            }
            if ascent.fell {
                // Another loss than the one that this began with: it has its own time.
                start = keeper.now();
                pause = FIRST_RETRY;
                hopeless = false;
                climbers = ascent.left;
                if climbers.is_empty() {
                    keeper.sleep(pause).await;
                }
                continue;
            }
            let over = keeper.now().since(start) >= patience;
            // An attempt for which no time was left says less than the one before.
            if !over || tried.is_empty() {
                tried = ascent.tried;
            }
            // Said once, it may be damage on the way: a bit of a proof that is another.
            let twice = std::mem::replace(&mut hopeless, ascent.fatal) && ascent.fatal;
            if twice || over {
                let ways = tried.iter().map(|(way, reason)| format!("{way}: {reason}"));
                let reason = Reason::Unreachable(match tried.is_empty() {
                    true => "no channel of ours is among its addresses".to_owned(),
                    false => ways.collect::<Vec<_>>().join("; "),
                });
                let reason =
                    if self.leaving.load(Ordering::Acquire) { Reason::Left } else { reason };
                node.lose(&self.member.ranks, &reason);
                return;
            }
            keeper.sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// While the link is not as good as one could be, better ways are tried now and then.
    fn better_later(self: &Arc<Self>, node: &Arc<Node>) {
        let could_be = |peer: &Self, node: &Arc<Node>| {
            let best = node.ways_to(&peer.member).into_iter().map(|(quality, _)| quality).max();
            peer.quality().is_some_and(|have| Some(have) < best)
        };
        if !could_be(self, node) || self.bettering.swap(true, Ordering::AcqRel) {
            return;
        }
        let (peer, keeper) = (Arc::downgrade(self), Arc::clone(node.keeper()));
        node.keeper().spawn(Box::pin(async move {
            let mut pause = FIRST_UPGRADE;
            loop {
                keeper.sleep(pause).await;
                pause = (pause * 2).min(LAST_UPGRADE);
                let Some(peer) = peer.upgrade() else { return };
                let node = peer.node.upgrade().filter(|node| !node.is_closing());
                let Some(node) = node.filter(|node| could_be(&peer, node)) else {
                    peer.bettering.store(false, Ordering::Release);
                    return;
                };
                if peer.is_climbing() {
                    continue;
                }
                let mut climbers = Vec::new();
                loop {
                    climbers = climb(&peer, &node, node.settings().silent, climbers).await.left;
                    if climbers.is_empty() {
                        break;
                    }
                }
            }
        }));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(held) = self.link.get_mut().take() {
            held.link.close();
        }
    }
}
