//! What a rank knows of its conversation with another one, beside the pair itself.

use super::send::SendSlot;
use crate::{
    Payload, Reason,
    channel::{Link, Room},
    frame::Space,
    mailbox::{Failure, Rest, Slot, Taken, Wakers},
    meter::{Tally, Tier},
    pair::{Lane, Pair, Path},
    peer::Peer,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::{collections::VecDeque, sync::Arc};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pair: Pair,
    pub(super) peer: Arc<Peer>,
    /// It is on this machine.
    pub(super) near: bool,
    /// Sends that wait for room, by lane.
    pub(super) waiting: [VecDeque<Arc<SendSlot>>; 2],
    /// Sends that wait for the match, by message.
    pub(super) sync: FxHashMap<u32, Arc<SendSlot>>,
    /// Payloads asked for, by message.
    pub(super) pulls: FxHashMap<u32, Pull>,
    /// What the store has to be asked for once no lock is held.
    pub(super) gets: Vec<Get>,
    /// The link in use.
    pub(super) link: Option<Arc<dyn Link>>,
    /// What it has sent, by channel; over the link in use last.
    pub(super) tallies: SmallVec<[Tally; 1]>,
    pub(super) pumping: bool,
    pub(super) timed: bool,
    pub(super) lost: Option<Reason>,
}

#[derive(Debug)]
pub(super) enum Pull {
    For(Arc<Slot>),
    /// The store is being read.
    Reading(Arc<Slot>),
    /// It came when nobody waited any more; the next receive of the message takes it.
    Done(Payload),
}

/// What is to be done about a payload in the store.
#[derive(Debug)]
pub(super) enum Get {
    Read {
        space: Space,
        message: u32,
        align: usize,
    },
    /// Nobody wants it any more.
    Skip {
        space: Space,
        message: u32,
    },
}

impl Entry {
    /// The live link.
    pub(super) fn link(&mut self, dormant: bool) -> Option<Arc<dyn Link>> {
        if dormant {
            return self.peer.link();
        }
        if self.link.is_none() {
            let link = self.peer.link()?;
            self.link = Some(link.handle().unwrap_or(link));
        }
        self.link.clone()
    }

    /// The link, if a message can leave over it at once: it has room, and nobody else is before it.
    pub(super) fn open_way(&mut self, dormant: bool) -> Option<(Arc<dyn Link>, Path)> {
        if self.pumping || self.waiting.iter().any(|line| !line.is_empty()) {
            return None;
        }
        let link = self.link(dormant)?;
        let path = link.path();
        (path.direct || link.room() == Room::User).then_some((link, path))
    }

    /// How far the link leads.
    pub(super) fn tier(&self, link: &dyn Link, direct: bool) -> Tier {
        if direct { Tier::Process } else { Tier::of(link.rung(), self.near) }
    }

    /// Where frames on this link are counted.
    pub(super) fn tally(&mut self, link: &dyn Link, direct: bool) -> &mut Tally {
        let (channel, tier) = (link.channel(), self.tier(link, direct));
        let last = self.tallies.len().wrapping_sub(1);
        match self.tallies.iter().rposition(|tally| tally.is_of(channel, tier)) {
            Some(place) => self.tallies.swap(place, last),
            None => self.tallies.push(Tally::new(channel, tier)),
        }
        self.tallies.last_mut().expect("one was put there if there was none")
    }

    /// Whether the other side has to say something.
    pub(super) fn awaits(&self, flushing: bool) -> bool {
        let receipts = || self.link.as_ref().is_some_and(|link| link.path().receipts);
        self.pulls.values().any(|pull| matches!(pull, Pull::For(_)))
            || self.waiting.iter().any(|line| !line.is_empty())
            || self.pair.awaits_peer()
            || (flushing && !self.pair.is_flushed() && !receipts())
    }

    pub(super) fn has_work(&self) -> bool {
        self.pair.has_work() || self.waiting.iter().any(|line| !line.is_empty())
    }

    /// Moves waiting sends into the outbox while there is room. True if any moved.
    pub(super) fn admit(&mut self, wakers: &mut Wakers) -> bool {
        let mut moved = false;
        for lane in Lane::ALL {
            let line = &mut self.waiting[lane as usize];
            while let Some(slot) = line.front() {
                match slot.submit(&mut self.pair) {
                    // Its future was dropped.
                    None => {}
                    Some(Err(())) => break,
                    Some(Ok((message, waker))) => {
                        moved = true;
                        if slot.is_sync() {
                            self.sync.insert(message, Arc::clone(slot));
                        }
                        wakers.extend(waker);
                    }
                }
                line.pop_front();
            }
        }
        if moved && self.waiting.iter().any(|line| !line.is_empty()) {
            self.pair.request_ack();
        }
        moved
    }

    /// The payload of a message is here. If its receive was dropped meanwhile, the next one takes it.
    pub(super) fn complete(
        &mut self,
        slot: &Slot,
        message: u32,
        payload: Payload,
        wakers: &mut Wakers,
    ) {
        match slot.complete(payload) {
            Ok(waker) => wakers.extend(waker),
            Err(payload) => drop(self.pulls.insert(message, Pull::Done(payload))),
        }
    }

    /// Gives credit back and asks for what is needed; without a slot the message is dropped.
    pub(super) fn take(&mut self, taken: &Taken, slot: Option<&Arc<Slot>>, wakers: &mut Wakers) {
        self.pair.consumed(taken.lane, taken.message, taken.credit);
        let Some(slot) = slot else {
            let begun = self.pulls.remove(&taken.message).is_some();
            if taken.rest == Rest::Get && !begun {
                self.gets.push(Get::Skip { space: taken.space, message: taken.message });
            }
            if taken.rest == Rest::Pull || taken.sync {
                self.pair.discard(taken.space, taken.message);
            }
            return;
        };
        if taken.rest != Rest::Pull && taken.sync {
            self.pair.matched(taken.space, taken.message);
        }
        if taken.rest == Rest::Nothing {
            return;
        }
        let Taken { space, message, total, datatype, .. } = *taken;
        let pull =
            self.pulls.remove(&message).or_else(|| self.pair.pulled(message).map(Pull::Done));
        match pull {
            Some(Pull::Done(payload)) => self.complete(slot, message, payload, wakers),
            Some(Pull::Reading(_)) => {
                self.pulls.insert(message, Pull::Reading(Arc::clone(slot)));
            }
            // Whoever put it there may be gone.
            None if taken.rest == Rest::Get => {
                self.gets.push(Get::Read { space, message, align: datatype.align() });
                self.pulls.insert(message, Pull::Reading(Arc::clone(slot)));
            }
            Some(Pull::For(_)) | None => {
                if let Some(reason) = self.lost.clone() {
                    // It waits at a rank that is gone.
                    wakers.extend(slot.fail(Failure::Lost { rank: taken.source, reason }));
                    return;
                }
                let direct = self.link.as_ref().is_some_and(|link| link.path().direct);
                match self.pair.pull(space, message, total, datatype, direct) {
                    Ok(()) => drop(self.pulls.insert(message, Pull::For(Arc::clone(slot)))),
                    Err(_) => {
                        self.pair.discard(space, message);
                        wakers.extend(slot.fail(Failure::TooLarge { bytes: total }));
                    }
                }
            }
        }
    }
}
