//! A link to another process: frames wait in its queue until they become objects.

use super::{
    error::Trouble,
    mail::{self, FULL},
    office::Office,
    outgoing::{Object, Outgoing},
    receipts::MANY,
};
use fmi_actors::{
    LinkRank, Node, Peer,
    channel::{Link, Room, Rung, Seat},
    frame::{Frame, MAX_FRAME_PAYLOAD},
    pair::Path,
};
use fmi_model::polling::Hint;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, watch};

/// Bytes that wait before a link takes no user frames, and none at all.
const USER_QUEUE: usize = 4 << 20;
const RESERVED_QUEUE: usize = 8 << 20;
/// Objects being written at once, if much waits.
const FLIGHTS: usize = 8;
/// Bytes that are worth an object of their own while others are being written.
const MUCH: usize = 1 << 20;

/// What frames on links through S3 can do.
pub(super) const PATH: Path = Path {
    eager: 1 << 20,
    chunk: MAX_FRAME_PAYLOAD,
    receipts: true,
    stored: 1 << 20,
    ..Path::STREAM
};

/// A process that is not gone would have such a link.
const BEST: LinkRank = LinkRank { generation: u32::MAX, quality: u16::MAX, preferred: true };

/// One direction of a conversation.
#[derive(Debug)]
pub(super) struct S3Link {
    /// Tells it from others to the same process.
    pub(super) id: u64,
    pub(super) outgoing: Arc<Outgoing>,
    pub(super) office: Weak<Office>,
    node: Weak<Node>,
    queue: Mutex<Queue>,
    closing: AtomicBool,
    /// There is something to write.
    wake: Notify,
    /// Somebody waits for receipts.
    pub(super) wanted: Notify,
    dead: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Somebody was told that there is no room.
    full: bool,
    /// An object is to be written even if nothing waits.
    nudge: bool,
}

impl S3Link {
    pub(super) fn new(
        office: &Arc<Office>,
        node: &Arc<Node>,
        outgoing: Arc<Outgoing>,
    ) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            outgoing,
            office: Arc::downgrade(office),
            node: Arc::downgrade(node),
            queue: Mutex::default(),
            closing: AtomicBool::new(false),
            wake: Notify::new(),
            wanted: Notify::new(),
            dead: watch::Sender::new(false),
        })
    }

    pub(super) fn node(&self) -> Option<Arc<Node>> {
        self.node.upgrade()
    }

    fn peer(&self) -> Option<Arc<Peer>> {
        self.node()?.peer(self.outgoing.to)
    }

    pub(super) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Ready when it is dead.
    pub(super) async fn died(&self) {
        let _ = self.dead.subscribe().wait_for(|dead| *dead).await;
    }

    /// Whether nothing waits to become an object.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.lock().frames.is_empty()
    }

    /// An object is written soon, whether there is something to say or not.
    pub(super) fn nudge(&self) {
        self.queue.lock().nudge = true;
        self.wake.notify_one();
    }

    /// Takes nothing any more; what waits is dropped, as the pairs have it.
    pub(super) fn kill(&self, why: &str) {
        if self.dead.send_replace(true) {
            return;
        }
        if self.closing.load(Ordering::Acquire) {
            tracing::debug!(process = self.outgoing.to, "link closed");
        } else {
            tracing::info!(process = self.outgoing.to, why, "link lost");
        }
        let dropped = std::mem::take(&mut *self.queue.lock());
        drop(dropped);
        self.wake.notify_one();
    }

    /// Writes what waits, until the link is dead and nothing is being written.
    pub(super) async fn write(self: Arc<Self>) {
        let mut flights = FuturesUnordered::new();
        loop {
            while let Some(object) = self.next_object(flights.len()) {
                let outgoing = Arc::clone(&self.outgoing);
                flights.push(async move { outgoing.put(object).await });
            }
            let empty = flights.is_empty();
            if empty && self.closing.load(Ordering::Acquire) && self.is_empty() {
                self.kill("closed");
            }
            if empty && self.is_dead() {
                break;
            }
            tokio::select! {
                Some(written) = flights.next(), if !empty => {
                    match written {
                        Ok(()) if self.outgoing.unread() >= MANY => self.wanted.notify_one(),
                        Ok(()) => {}
                        Err(trouble) => self.fail(&trouble),
                    }
                }
                () = self.wake.notified() => {}
            }
        }
    }

    /// The store refuses, or is away for too long.
    pub(super) fn fail(&self, trouble: &Trouble) {
        if !trouble.may_pass()
            && let Some(office) = self.office.upgrade()
        {
            office.refuse(trouble);
        }
        self.kill(&trouble.reason);
    }

    /// What is to be written now, if so many are being written.
    fn next_object(&self, flights: usize) -> Option<Object> {
        if flights >= FLIGHTS {
            return None;
        }
        if !self.is_dead()
            && let Some(left) = self.outgoing.left()
        {
            return Some(left);
        }
        let few = match self.office.upgrade().map(|office| office.hint) {
            // Each costs as much as a dozen looks: what comes meanwhile goes together.
            Some(Hint::Cheap) => 1,
            _ => 4,
        };
        let (frames, room) = {
            let mut queue = self.queue.lock();
            if queue.frames.is_empty() && !queue.nudge || flights >= few && queue.bytes < MUCH {
                return None;
            }
            queue.nudge = false;
            let mut bytes = 0;
            let mut frames = Vec::new();
            while bytes < FULL
                && let Some(frame) = queue.frames.pop_front()
            {
                bytes += mail::length(&frame);
                frames.push(frame);
            }
            queue.bytes -= bytes;
            let room = queue.full && queue.bytes < USER_QUEUE / 2;
            queue.full &= !room;
            (frames, room)
        };
        let object = self.outgoing.object(self.id, &frames);
        if room && let Some(peer) = self.peer() {
            peer.writable();
        }
        Some(object)
    }
}

impl Link for S3Link {
    fn channel(&self) -> &'static str {
        super::NAME
    }

    fn rung(&self) -> Rung {
        Rung::Store
    }

    fn path(&self) -> Path {
        PATH
    }

    fn room(&self) -> Room {
        if self.is_dead() {
            return Room::None;
        }
        let mut queue = self.queue.lock();
        queue.full |= queue.bytes >= USER_QUEUE;
        match queue.bytes {
            0..USER_QUEUE => Room::User,
            USER_QUEUE..RESERVED_QUEUE => Room::Reserved,
            _ => Room::None,
        }
    }

    fn send(&self, frame: Frame) {
        let mut queue = self.queue.lock();
        // Under the lock: who kills it empties the queue afterwards.
        if !self.is_dead() {
            queue.bytes += mail::length(&frame);
            queue.frames.push_back(frame);
            drop(queue);
            self.wake.notify_one();
        }
    }

    fn progress(&self) -> bool {
        false
    }

    fn look(&self) {
        self.wanted.notify_one();
        if self.peer().is_some_and(|peer| peer.is_leaving())
            && let Some(office) = self.office.upgrade()
        {
            office.last_look(self.outgoing.to);
        }
    }

    fn drive(self: Arc<Self>, _seat: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.died().await;
            if let Some(peer) = self.peer() {
                let link: Arc<dyn Link> = self;
                peer.detach(&link);
            }
        })
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        let leaving = self.node().is_none_or(|node| node.is_closing());
        if !leaving && self.peer().is_some_and(|peer| !peer.would_keep(BEST)) {
            // It is gone: nobody reads what was written for it.
            self.kill("the other process is gone");
            if let Some(office) = self.office.upgrade() {
                office.gone(self.outgoing.to);
            }
        }
        self.wake.notify_one();
    }
}
