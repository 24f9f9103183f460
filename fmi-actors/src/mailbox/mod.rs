//! The mailbox of a rank: matches what arrives with what is awaited, whoever delivered it.
//!
//! Messages of one (space, source) match in the order sent. A message that finds no receive
//! waits in its space; a receive that finds no message waits there too. Locks: pairs, then
//! mailbox, then slot, never the other way.

mod failure;
mod inquiry;
mod once;
mod slot;

pub use failure::Failure;
pub use slot::Envelope;
pub(crate) use slot::Slot;

use crate::{
    Reason,
    awaited::Whom,
    frame::{Datatype, Signature, Space},
    pair::{Arrival, Body, Lane},
    sleeper::Sleeper,
};
use inquiry::Called;
use once::Once;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use slot::Left;
use std::{collections::VecDeque, sync::Arc};

/// Which messages a receive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    /// World rank of the sender, or any of the communicator.
    pub source: Option<u32>,
    /// Tag, or any.
    pub tag: Option<u32>,
}

/// A tag that no message in a collective has: a receive of it waits for failures alone.
pub(crate) const ALARM: u32 = u32::MAX;

impl Filter {
    fn accepts(self, arrival: &Arrival) -> bool {
        self.source.is_none_or(|source| source == arrival.source)
            && self.tag.is_none_or(|tag| tag == arrival.tag)
    }
}

/// World ranks of a communicator's members, in the communicator's order.
pub type Group = Arc<[u32]>;

/// What happened to an arrival.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// It went to this receive.
    Matched(Taken, Arc<Slot>),
    /// It waits.
    Queued,
    /// Nobody will ever take it: its space is closed.
    Dropped(Taken),
}

/// Something the mailbox let go of; its credit goes back to the sender.
pub(crate) type Freed = Vec<Taken>;

/// Tasks to wake once all locks are released.
pub(crate) type Wakers = smallvec::SmallVec<[Sleeper; 4]>;

#[derive(Debug)]
pub(crate) struct Mailbox {
    rank: u32,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// In boxes: they come and go with every collective, and are large.
    spaces: FxHashMap<Space, Box<Queue>>,
    /// Queues of spaces that are over, empty: a collective costs no allocation for one.
    #[expect(
        clippy::vec_box,
        reason = "they go back and forth between here and there in their boxes"
    )]
    spare: Vec<Box<Queue>>,
    scopes: FxHashMap<u64, Scope>,
    /// Scopes that were closed here: their late messages are dropped, but notices are passed on.
    closed_scopes: FxHashMap<u64, Scope>,
    /// Of these, the latest last.
    closed_in_order: VecDeque<u64>,
    lost: FxHashMap<u32, Reason>,
    closed: bool,
}

#[derive(Debug)]
struct Scope {
    group: Group,
    /// Number of the latest collective called here.
    entered: u32,
    /// Numbers of failed collectives whose notice was passed on.
    told: Once,
    calls: Called,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Arrival>,
    posted: VecDeque<Arc<Slot>>,
    probes: Vec<Arc<Slot>>,
    /// What this rank called, once it did.
    signature: Option<Signature>,
    /// What another rank says it called, before this one did.
    called: Option<(u32, Signature)>,
    failure: Option<Failure>,
}

/// Closed scopes that are remembered.
const CLOSED_SCOPES: usize = 4096;
/// Queues that are kept for spaces to come.
const SPARES: usize = 4;
/// How many messages and receives they keep the memory for.
const KEPT: usize = 16;
/// Failures of collectives not called yet that are remembered, by scope.
const FAILURES_AHEAD: u32 = 1024;

impl Mailbox {
    pub(crate) fn new(rank: u32) -> Self {
        Self { rank, inner: Mutex::default() }
    }

    /// A communicator or protocol begins. Returns failures that came before it, so that they
    /// can be passed on along its group.
    pub(crate) fn open(&self, scope: u64, group: Group) -> Vec<(Space, Failure)> {
        let mut inner = self.inner.lock();
        let state = Scope { group, entered: 0, told: Once::default(), calls: Called::default() };
        inner.scopes.insert(scope, state);
        let early = inner.spaces.iter().filter(|(space, _)| space.scope == scope);
        early.filter_map(|(space, queue)| Some((*space, queue.failure.clone()?))).collect()
    }

    /// It ends: whatever waits in it is let go. With whether it was the last.
    pub(crate) fn close(&self, scope: u64) -> (Freed, bool) {
        let mut inner = self.inner.lock();
        if let Some(state) = inner.scopes.remove(&scope) {
            // Every call of a protocol leaves one: only what notices need.
            let state = Scope { calls: Called::default(), ..state };
            inner.closed_scopes.insert(scope, state);
            inner.closed_in_order.push_back(scope);
        }
        if inner.closed_in_order.len() > CLOSED_SCOPES
            && let Some(oldest) = inner.closed_in_order.pop_front()
        {
            inner.closed_scopes.remove(&oldest);
        }
        let spaces: Vec<_> =
            inner.spaces.keys().copied().filter(|space| space.scope == scope).collect();
        let freed = spaces.iter().flat_map(|space| inner.release(*space)).collect();
        (freed, inner.scopes.is_empty())
    }

    /// A collective begins: takes its number and says what this rank believes it to be.
    pub(crate) fn enter(
        &self,
        scope: u64,
        signature: Option<Signature>,
    ) -> (Space, Option<Failure>) {
        let mut inner = self.inner.lock();
        let state = inner.scopes.get_mut(&scope);
        let number = state.map_or(1, |state| {
            state.entered += 1;
            if let Some(signature) = signature {
                state.calls.remember(state.entered, signature);
            }
            state.entered
        });
        let space = Space { scope, number };
        let lost = inner.dead_member(scope);
        let closed = inner.closed;
        let queue = inner.queue(space);
        queue.signature = signature;
        if queue.failure.is_none() {
            queue.failure = if closed { Some(Failure::Closed) } else { lost };
        }
        if let (None, Some(ours)) = (&queue.failure, signature) {
            let other = queue.waiting.iter().find_map(|arrival| {
                let theirs = arrival.signature.filter(|theirs| !ours.agrees(theirs))?;
                Some((arrival.source, theirs))
            });
            let other = other.or(queue.called.filter(|(_, theirs)| !ours.agrees(theirs)));
            queue.failure =
                other.map(|theirs| Failure::Mismatch { left: (self.rank, ours), right: theirs });
        }
        (space, queue.failure.clone())
    }

    /// A collective is over here: late frames are dropped, what waits is let go.
    pub(crate) fn leave(&self, space: Space) -> Freed {
        self.inner.lock().release(space)
    }

    /// A message from the pair layer.
    pub(crate) fn deliver(&self, mut arrival: Arrival, wakers: &mut Wakers) -> Delivery {
        let mut inner = self.inner.lock();
        let space = arrival.space;
        if inner.is_over(space) {
            return Delivery::Dropped(Taken::from(&mut arrival));
        }
        let queue = inner.queue(space);
        if let (Some(ours), Some(theirs)) = (queue.signature, arrival.signature)
            && !ours.agrees(&theirs)
        {
            let right = (arrival.source, theirs);
            queue.fail(&Failure::Mismatch { left: (self.rank, ours), right }, wakers);
            return Delivery::Dropped(Taken::from(&mut arrival));
        }
        let at = queue.posted.iter().position(|slot| slot.filter.accepts(&arrival));
        if let Some(slot) = at.and_then(|at| queue.posted.remove(at)) {
            let taken = Taken::from(&mut arrival);
            wakers.extend(slot.fill(arrival));
            return Delivery::Matched(taken, slot);
        }
        queue.show(&arrival, wakers);
        queue.waiting.push_back(arrival);
        Delivery::Queued
    }

    /// Posts a receive: it joins the match queue now (rule 3). With the message that it took,
    /// if one waited, for the credit and the pull.
    pub(crate) fn post(&self, space: Space, filter: Filter) -> (Arc<Slot>, Option<Taken>) {
        let slot = Slot::new(filter);
        let mut inner = self.inner.lock();
        let refused = inner.refusal(space, filter);
        let queue = inner.queue(space);
        if let Some(failure) = &queue.failure {
            slot.fail(failure.clone());
            return (slot, None);
        }
        let at = queue.waiting.iter().position(|arrival| filter.accepts(arrival));
        if let Some(mut arrival) = at.and_then(|at| queue.waiting.remove(at)) {
            let taken = Taken::from(&mut arrival);
            slot.fill(arrival);
            return (slot, Some(taken));
        }
        match refused {
            Some(failure) => drop(slot.fail(failure)),
            None => queue.posted.push_back(Arc::clone(&slot)),
        }
        (slot, None)
    }

    /// Posts a probe.
    pub(crate) fn probe(&self, space: Space, filter: Filter) -> Arc<Slot> {
        let slot = Slot::new(filter);
        let mut inner = self.inner.lock();
        let refused = inner.refusal(space, filter);
        let queue = inner.queue(space);
        if let Some(failure) = &queue.failure {
            slot.fail(failure.clone());
        } else if let Some(envelope) = queue.find(filter) {
            slot.peek(envelope);
        } else if let Some(failure) = refused {
            slot.fail(failure);
        } else {
            queue.probes.push(Arc::clone(&slot));
        }
        slot
    }

    /// What a probe would give now.
    pub(crate) fn peek(&self, space: Space, filter: Filter) -> Option<Envelope> {
        self.inner.lock().spaces.get(&space)?.find(filter)
    }

    /// The future of a receive was dropped: a message that it had goes back to the front, or
    /// to the next receive that takes it. With what has to be done about it then.
    pub(crate) fn cancel(
        &self,
        space: Space,
        slot: &Arc<Slot>,
        wakers: &mut Wakers,
    ) -> Option<(Taken, Option<Arc<Slot>>)> {
        let mut inner = self.inner.lock();
        let mut arrival = match slot.abandon() {
            Left::Nothing => return None,
            Left::Waiting => {
                if let Some(queue) = inner.spaces.get_mut(&space) {
                    queue.posted.retain(|other| !Arc::ptr_eq(other, slot));
                    queue.probes.retain(|other| !Arc::ptr_eq(other, slot));
                }
                return None;
            }
            Left::Message(arrival) => arrival,
        };
        if inner.is_over(space) {
            return Some((Taken::from(&mut arrival), None));
        }
        let queue = inner.queue(space);
        let at = queue.posted.iter().position(|slot| slot.filter.accepts(&arrival));
        if let Some(next) = at.and_then(|at| queue.posted.remove(at)) {
            let taken = Taken::from(&mut arrival);
            wakers.extend(next.fill(arrival));
            return Some((taken, Some(next)));
        }
        queue.show(&arrival, wakers);
        queue.waiting.push_front(arrival);
        None
    }

    /// A collective failed, here or elsewhere. True if this is news.
    pub(crate) fn fail(&self, space: Space, failure: &Failure, wakers: &mut Wakers) -> bool {
        let mut inner = self.inner.lock();
        if inner.is_over(space) {
            return false;
        }
        let entered = inner.scopes.get(&space.scope).map_or(0, |scope| scope.entered);
        if space.number > entered.saturating_add(FAILURES_AHEAD) {
            return false;
        }
        let queue = inner.queue(space);
        let news = queue.failure.is_none();
        if news {
            queue.fail(failure, wakers);
        }
        news
    }

    /// The group to tell of a collective's failure, the first time that this is asked. Also if
    /// the collective is over here: this rank has its result, but others may wait.
    pub(crate) fn tell(&self, space: Space) -> Option<Group> {
        let mut inner = self.inner.lock();
        let Inner { scopes, closed_scopes, .. } = &mut *inner;
        let scope = scopes.get_mut(&space.scope).or_else(|| closed_scopes.get_mut(&space.scope))?;
        scope.told.first(space.number).then(|| Arc::clone(&scope.group))
    }

    /// Whom the posted receives and probes wait for.
    pub(crate) fn awaits(&self, note: &mut impl FnMut(Whom)) {
        for queue in self.inner.lock().spaces.values() {
            for slot in queue.posted.iter().chain(&queue.probes) {
                note(match slot.filter {
                    Filter { tag: Some(ALARM), .. } => Whom::Notice,
                    // A receive of a message to itself is not satisfied from outside.
                    Filter { source: Some(rank), .. } if rank == self.rank => Whom::Notice,
                    Filter { source: Some(rank), .. } => Whom::Rank(rank),
                    Filter { source: None, .. } => Whom::Anybody,
                });
            }
        }
    }

    /// Ranks that are gone.
    pub(crate) fn gone(&self) -> Vec<u32> {
        self.inner.lock().lost.keys().copied().collect()
    }

    /// A rank is gone. Who waits for it, or takes part in a collective with it, fails.
    pub(crate) fn lost(&self, rank: u32, reason: &Reason, wakers: &mut Wakers) {
        let mut inner = self.inner.lock();
        inner.lost.entry(rank).or_insert_with(|| reason.clone());
        let failure = Failure::Lost { rank, reason: reason.clone() };
        let Inner { spaces, scopes, lost, .. } = &mut *inner;
        for (space, queue) in spaces.iter_mut() {
            let group = scopes.get(&space.scope).map(|scope| &scope.group);
            let member = group.is_some_and(|group| group.contains(&rank));
            // A rank that left in good order has sent all it had to.
            if space.is_collective() && member && *reason != Reason::Left {
                queue.fail(&failure, wakers);
                continue;
            }
            let everybody = member
                && (*reason != Reason::Left
                    || group.is_some_and(|group| alone(group, self.rank, lost)));
            let hit =
                |slot: &Arc<Slot>| slot.filter.source.map_or(everybody, |source| source == rank);
            for slot in queue.posted.iter().chain(&queue.probes).filter(|slot| hit(slot)) {
                wakers.extend(slot.fail(failure.clone()));
            }
            queue.posted.retain(|slot| !hit(slot));
            queue.probes.retain(|slot| !hit(slot));
        }
    }

    pub(crate) fn lost_reason(&self, rank: u32) -> Option<Reason> {
        self.inner.lock().lost.get(&rank).cloned()
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.inner.lock().closed
    }

    /// The rank ends: every wait fails, everything that waits is let go.
    pub(crate) fn shut(&self, wakers: &mut Wakers) -> Freed {
        let mut inner = self.inner.lock();
        inner.closed = true;
        let spaces: Vec<_> = inner.spaces.keys().copied().collect();
        let mut freed = Vec::new();
        for space in spaces {
            if let Some(queue) = inner.spaces.get_mut(&space) {
                queue.fail(&Failure::Closed, wakers);
            }
            freed.extend(inner.release(space));
        }
        freed
    }
}

/// What the sender has to be told about a message that was taken or dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) source: u32,
    pub(crate) space: Space,
    pub(crate) message: u32,
    pub(crate) total: u64,
    pub(crate) datatype: Datatype,
    pub(crate) lane: Lane,
    /// Credit to give back.
    pub(crate) credit: u16,
    /// The sender waits for the match.
    pub(crate) sync: bool,
    pub(crate) rest: Rest,
}

/// Where the payload of a message is that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Here, or nowhere.
    Nothing,
    /// The sender has to be asked for it.
    Pull,
    /// It has to be read from the store.
    Get,
}

impl From<&mut Arrival> for Taken {
    /// Credit and match are reported once: a message that is put back has none left.
    fn from(arrival: &mut Arrival) -> Self {
        Self {
            source: arrival.source,
            space: arrival.space,
            message: arrival.message,
            total: arrival.total,
            datatype: arrival.datatype,
            lane: arrival.lane(),
            credit: std::mem::take(&mut arrival.credit),
            sync: std::mem::take(&mut arrival.sync),
            rest: match arrival.body {
                Body::Here(_) | Body::Missing(_) => Rest::Nothing,
                Body::There => Rest::Pull,
                Body::Stored => Rest::Get,
            },
        }
    }
}

impl Inner {
    /// Whether messages of this space have nobody to take them any more.
    fn is_over(&self, space: Space) -> bool {
        if self.closed {
            return true;
        }
        match self.scopes.get(&space.scope) {
            Some(scope) => {
                space.is_collective()
                    && space.number <= scope.entered
                    && !self.spaces.contains_key(&space)
            }
            None => self.closed_scopes.contains_key(&space.scope),
        }
    }

    fn queue(&mut self, space: Space) -> &mut Queue {
        let Self { spaces, spare, .. } = self;
        spaces.entry(space).or_insert_with(|| spare.pop().unwrap_or_default())
    }

    fn release(&mut self, space: Space) -> Freed {
        let Some(mut queue) = self.spaces.remove(&space) else { return Freed::new() };
        let freed = queue.waiting.drain(..).map(|mut arrival| Taken::from(&mut arrival)).collect();
        if self.spare.len() < SPARES {
            queue.clear();
            self.spare.push(queue);
        }
        freed
    }

    /// A member of the scope that died.
    fn dead_member(&self, scope: u64) -> Option<Failure> {
        if self.lost.is_empty() {
            return None;
        }
        let group = &self.scopes.get(&scope)?.group;
        let dead = |rank: &u32| self.lost.get(rank).filter(|reason| **reason != Reason::Left);
        let rank = *group.iter().find(|rank| dead(rank).is_some())?;
        Some(Failure::Lost { rank, reason: self.lost[&rank].clone() })
    }

    /// Why a receive that finds no message need not wait.
    fn refusal(&self, space: Space, filter: Filter) -> Option<Failure> {
        if self.closed {
            return Some(Failure::Closed);
        }
        if self.lost.is_empty() {
            return None;
        }
        let lost = |rank: u32| {
            let reason = self.lost.get(&rank)?.clone();
            Some(Failure::Lost { rank, reason })
        };
        match filter.source {
            Some(source) => lost(source),
            None => self.dead_member(space.scope).or_else(|| {
                let group = &self.scopes.get(&space.scope)?.group;
                let last = group.iter().rev().find_map(|rank| lost(*rank))?;
                // Only if everybody else has left.
                let gone = group.iter().filter(|rank| self.lost.contains_key(rank)).count();
                (gone + 1 >= group.len()).then_some(last)
            }),
        }
    }
}

/// Whether everybody in the group but `rank` is gone.
fn alone(group: &Group, rank: u32, lost: &FxHashMap<u32, Reason>) -> bool {
    group.iter().all(|other| *other == rank || lost.contains_key(other))
}

impl Queue {
    /// For another space, with the memory of this one unless it had very much.
    fn clear(&mut self) {
        self.posted.clear();
        self.posted.shrink_to(KEPT);
        self.waiting.clear();
        self.waiting.shrink_to(KEPT);
        self.probes.clear();
        self.probes.shrink_to(KEPT);
        (self.signature, self.called, self.failure) = (None, None, None);
    }

    fn find(&self, filter: Filter) -> Option<Envelope> {
        self.waiting.iter().find(|arrival| filter.accepts(arrival)).map(Envelope::from)
    }

    /// Answers the probes that wait for such a message.
    fn show(&mut self, arrival: &Arrival, wakers: &mut Wakers) {
        self.probes.retain(|probe| {
            let hit = probe.filter.accepts(arrival);
            if hit {
                wakers.extend(probe.peek(arrival.into()));
            }
            !hit
        });
    }

    fn fail(&mut self, failure: &Failure, wakers: &mut Wakers) {
        self.failure.get_or_insert_with(|| failure.clone());
        for slot in self.posted.drain(..).chain(self.probes.drain(..)) {
            wakers.extend(slot.fail(failure.clone()));
        }
    }
}
