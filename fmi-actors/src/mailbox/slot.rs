//! A posted receive or probe: where a message is put, and who is woken.

use super::{Failure, Filter};
use crate::{
    Payload,
    frame::{Datatype, Signature},
    pair::{Arrival, Body},
    sleeper::Sleeper,
};
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    task::Waker,
};

/// What a probe gives: the envelope of a message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// World rank of the sender.
    pub source: u32,
    /// Its tag.
    pub tag: u32,
    /// What it contains.
    pub datatype: Datatype,
    /// Bytes of its payload.
    pub total: u64,
    /// What the sender believes the collective to be.
    pub signature: Option<Signature>,
}

impl From<&Arrival> for Envelope {
    fn from(arrival: &Arrival) -> Self {
        let Arrival { source, tag, datatype, total, signature, .. } = *arrival;
        Self { source, tag, datatype, total, signature }
    }
}

/// One waiting receive. The mailbox fills it; the receive's future empties it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(super) filter: Filter,
    /// Set when the state is final, so that a spinning receive need not lock.
    ready: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Waiting(Option<Sleeper>),
    /// Matched; the payload is on its way. The arrival is kept to put it back on cancellation.
    Pulling(Arrival, Option<Sleeper>),
    Ready(Result<Arrival, Failure>),
    Peeked(Envelope),
    Taken,
}

/// What a slot held when its future was dropped.
pub(super) enum Left {
    Nothing,
    Waiting,
    Message(Arrival),
}

thread_local! {
    /// Slots that nobody has any more: a receive costs no allocation where others have ended.
    static SPARE: RefCell<Vec<Arc<Slot>>> = const { RefCell::new(Vec::new()) };
}

/// Slots that a thread keeps.
const SPARES: usize = 64;

impl Slot {
    /// A waiting one.
    pub(super) fn new(filter: Filter) -> Arc<Self> {
        let new =
            Self { filter, ready: AtomicBool::new(false), state: Mutex::new(State::Waiting(None)) };
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
        match spare.ok().flatten() {
            Some(mut slot) => {
                // Only slots without another owner are kept.
                if let Some(place) = Arc::get_mut(&mut slot) {
                    *place = new;
                }
                slot
            }
            None => Arc::new(new),
        }
    }

    /// Its receive has ended.
    pub(crate) fn spare(mut slot: Arc<Self>) {
        if Arc::get_mut(&mut slot).is_some() {
            // The thread may be ending.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < SPARES {
                    spare.push(slot);
                }
            });
        }
    }

    /// Whether [`take`](Self::take) will give something. Cheap enough to spin on.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Whether there is a message for it, though its payload may still be on its way.
    pub(crate) fn is_matched(&self) -> bool {
        !matches!(&*self.state.lock(), State::Waiting(_))
    }

    pub(crate) fn take(&self) -> Option<Result<Arrival, Failure>> {
        if !self.is_ready() {
            return None;
        }
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Ready(result) => Some(result),
            _ => None,
        }
    }

    pub(crate) fn take_envelope(&self) -> Option<Result<Envelope, Failure>> {
        if !self.is_ready() {
            return None;
        }
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Peeked(envelope) => Some(Ok(envelope)),
            State::Ready(Err(failure)) => Some(Err(failure)),
            _ => None,
        }
    }

    pub(crate) fn register(&self, waker: &Waker) {
        if let State::Waiting(slot) | State::Pulling(_, slot) = &mut *self.state.lock()
            && !slot.as_ref().is_some_and(|old| old.will_wake(waker))
        {
            *slot = Some(Sleeper::new(waker));
        }
    }

    /// The message is matched: complete if its payload is here, else it must be pulled.
    pub(super) fn fill(&self, arrival: Arrival) -> Option<Sleeper> {
        let mut state = self.state.lock();
        let State::Waiting(waker) = &mut *state else { return None };
        let waker = waker.take();
        *state = match &arrival.body {
            Body::There | Body::Stored => {
                *state = State::Pulling(arrival, waker);
                return None;
            }
            Body::Missing(why) => State::Ready(Err(Failure::from_payload(why))),
            Body::Here(_) => State::Ready(Ok(arrival)),
        };
        self.ready.store(true, Ordering::Release);
        waker
    }

    /// The pulled payload is here. Gives it back when nobody waits any more.
    pub(crate) fn complete(&self, payload: Payload) -> Result<Option<Sleeper>, Payload> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Pulling(mut arrival, waker) => {
                arrival.body = Body::Here(payload);
                *state = State::Ready(Ok(arrival));
                self.ready.store(true, Ordering::Release);
                Ok(waker)
            }
            other => {
                *state = other;
                Err(payload)
            }
        }
    }

    pub(super) fn peek(&self, envelope: Envelope) -> Option<Sleeper> {
        let mut state = self.state.lock();
        let State::Waiting(waker) = &mut *state else { return None };
        let waker = waker.take();
        *state = State::Peeked(envelope);
        self.ready.store(true, Ordering::Release);
        waker
    }

    pub(crate) fn fail(&self, failure: Failure) -> Option<Sleeper> {
        let mut state = self.state.lock();
        let (State::Waiting(waker) | State::Pulling(_, waker)) = &mut *state else { return None };
        let waker = waker.take();
        *state = State::Ready(Err(failure));
        self.ready.store(true, Ordering::Release);
        waker
    }

    pub(super) fn abandon(&self) -> Left {
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Waiting(_) => Left::Waiting,
            State::Pulling(arrival, _) | State::Ready(Ok(arrival)) => Left::Message(arrival),
            State::Ready(Err(_)) | State::Peeked(_) | State::Taken => Left::Nothing,
        }
    }
}
