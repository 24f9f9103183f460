//! The channel and its links: they hand frames to the network.

use super::{
    depot::SimStore,
    network::{Network, Process},
};
use fmi_actors::{
    Member, Node,
    channel::{Channel, DialError, Link, Room, Rung, Seat, Way},
    clock::Time,
    frame::Frame,
    pair::Path,
    store::Store,
};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Bytes that wait to leave before a link takes no user frames, and none at all.
const USER_QUEUE: usize = 512 << 10;
const RESERVED_QUEUE: usize = 1 << 20;

/// The channel of one simulated job.
#[derive(Debug)]
pub(super) struct Sim {
    network: Weak<Network>,
    /// The store whose mailboxes the links are, if they are.
    store: Option<Arc<SimStore>>,
    /// The job's first process, as the network counts them.
    base: Process,
}

impl Sim {
    pub(super) const NAME: &'static str = "sim";

    pub(super) fn new(network: &Arc<Network>, base: Process, store: Option<Arc<SimStore>>) -> Self {
        Self { network: Arc::downgrade(network), base, store }
    }
}

impl Channel for Sim {
    fn name(&self) -> &'static str {
        if self.store.is_some() { SimStore::NAME } else { Self::NAME }
    }

    fn address(&self, _own: IpAddr) -> Option<String> {
        None
    }

    fn start(&self, _node: &Arc<Node>) {}

    fn ways(&self, node: &Arc<Node>, to: &Member) -> Vec<Way> {
        let (node, network) = (Arc::downgrade(node), self.network.clone());
        let (base, process) = (self.base, to.process);
        vec![Way {
            rung: if self.store.is_some() { Rung::Store } else { Rung::Direct },
            name: self.name().to_owned(),
            after: Duration::ZERO,
            dial: Box::new(move |quality| {
                let (node, network) = (node.upgrade(), network.upgrade());
                Box::pin(async move {
                    let network = network.ok_or_else(|| failed("the simulation is over"))?;
                    let node = node.ok_or_else(|| failed("the process has ended"))?;
                    let peer = node.peer(process).ok_or_else(|| failed("no such process"))?;
                    let time = network.wire().connect;
                    if !time.is_zero() {
                        network.sleep(time).await;
                    }
                    let rank = peer.next_rank(node.process(), quality);
                    let (from, to) = (base.plus(node.process()), base.plus(process));
                    network.connect(from, to, rank).map_err(failed)
                })
            }),
        }]
    }

    fn stop(&self) {}

    fn store(&self) -> Option<Arc<dyn Store>> {
        self.store.as_ref().map(|store| Arc::clone(store) as _)
    }
}

fn failed(reason: &str) -> DialError {
    DialError { reason: reason.to_owned(), fatal: false }
}

/// One direction of a link between two processes.
#[derive(Debug)]
pub(super) struct SimLink {
    itself: Weak<Self>,
    network: Weak<Network>,
    pub(super) from: Process,
    pub(super) to: Process,
    path: Path,
    rung: Rung,
    /// Takes nothing any more.
    closed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The other direction.
    back: Weak<SimLink>,
    /// Frames that wait to leave: when they have, and their bytes.
    queue: VecDeque<(Time, usize)>,
    queued: usize,
    /// When the last frame in order arrives.
    last: Time,
    /// Somebody waits for room and will be told.
    awaited: bool,
}

impl SimLink {
    /// Both directions.
    pub(super) fn both(network: &Arc<Network>, from: Process, to: Process) -> [Arc<Self>; 2] {
        let one = |from, to| {
            Arc::new_cyclic(|itself| Self {
                itself: itself.clone(),
                network: Arc::downgrade(network),
                from,
                to,
                path: network.wire().path(),
                rung: network.wire().rung(),
                closed: AtomicBool::new(false),
                state: Mutex::default(),
            })
        };
        let (there, back) = (one(from, to), one(to, from));
        there.state.lock().back = Arc::downgrade(&back);
        back.state.lock().back = Arc::downgrade(&there);
        [there, back]
    }

    pub(super) fn back(&self) -> Option<Arc<Self>> {
        self.state.lock().back.upgrade()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Takes nothing from now on; true for the first who says so.
    pub(super) fn shut(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// When everything that it took in order is there.
    pub(super) fn last(&self) -> Time {
        self.state.lock().last
    }

    /// Frames have left: who waits for room can be told.
    pub(super) fn relieved(&self) {
        self.state.lock().awaited = false;
    }
}

impl Link for SimLink {
    fn channel(&self) -> &'static str {
        if self.rung == Rung::Store { SimStore::NAME } else { Sim::NAME }
    }

    fn rung(&self) -> Rung {
        self.rung
    }

    fn path(&self) -> Path {
        self.path
    }

    fn room(&self) -> Room {
        let Some(network) = self.network.upgrade().filter(|_| !self.is_closed()) else {
            return Room::None;
        };
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.queued < USER_QUEUE {
            return Room::User;
        }
        let now = network.now();
        while let Some((sent, bytes)) = state.queue.front().copied()
            && sent <= now
        {
            state.queued -= bytes;
            state.queue.pop_front();
        }
        if state.queued < USER_QUEUE {
            return Room::User;
        }
        if !std::mem::replace(&mut state.awaited, true) {
            // Told when half of it is gone.
            let mut left = state.queued;
            let enough = state.queue.iter().find(|(_, bytes)| {
                left -= bytes;
                left < USER_QUEUE / 2
            });
            if let Some(itself) = self.itself.upgrade() {
                network.relieve(enough.map_or(now, |(sent, _)| *sent), itself);
            }
        }
        if state.queued < RESERVED_QUEUE { Room::Reserved } else { Room::None }
    }

    fn send(&self, mut frame: Frame) {
        let network = self.network.upgrade().filter(|_| !self.is_closed());
        let (Some(network), Some(itself)) = (network, self.itself.upgrade()) else { return };
        let mut state = self.state.lock();
        let Some((trip, bytes, round)) = network.carry(self, &frame) else { return };
        if trip.sent > network.now() {
            state.queue.push_back((trip.sent, bytes));
            state.queued += bytes;
        }
        let Some(mut arrives) = trip.arrives else { return };
        if trip.in_order {
            arrives = arrives.max(state.last);
            state.last = arrives;
        }
        drop(state);
        if let Some(again) = trip.again
            && let Ok(payload) = frame.payload.share()
        {
            let copy = Frame { payload, ..frame };
            network.arrive(again.max(arrives), Arc::clone(&itself), copy, round);
        }
        network.arrive(arrives, itself, frame, round);
    }

    fn progress(&self) -> bool {
        false
    }

    fn drive(self: Arc<Self>, _seat: Seat) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn close(&self) {
        if let Some(network) = self.network.upgrade()
            && self.shut()
            && let Some(itself) = self.itself.upgrade()
        {
            network.hang_up(itself);
        }
    }
}
