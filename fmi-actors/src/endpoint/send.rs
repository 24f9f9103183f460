//! Sends: posted when called, complete when in the outbox, or matched.

use super::pairs::Ranked;
use crate::{
    Error, Reason, Result as FmiResult, home,
    mailbox::Failure,
    pair::{Outgoing, Pair},
    sleeper::Sleeper,
};
use parking_lot::Mutex;
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

/// Why a send failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendFailure {
    /// The peer is gone, or the rank is closed.
    Failure(Failure),
    /// The value could not be encoded.
    Value(Error),
}

/// A send on its way into the outbox.
#[derive(Debug)]
#[must_use = "a send waits for room only when awaited"]
pub struct SendFuture(State);

#[derive(Debug)]
enum State {
    Ready(Option<std::result::Result<(), SendFailure>>),
    Waiting(Arc<SendSlot>),
}

impl SendFuture {
    pub(super) fn post(rank: &Arc<Ranked>, to: u32, mut message: Outgoing) -> Self {
        home::stir();
        let ready = |result| Self(State::Ready(Some(result)));
        let lost = |reason| Err(SendFailure::Failure(Failure::Lost { rank: to, reason }));
        // Encoding may take long: not under the lock.
        if message.payload.bytes().is_none() && rank.leaves_process(to) {
            let payload = std::mem::replace(&mut message.payload, crate::Payload::empty());
            match payload.into_wire() {
                Ok(payload) => message.payload = payload,
                Err(error) => return ready(Err(SendFailure::Value(error))),
            }
        }
        let state = {
            let mut pairs = rank.pairs.lock();
            let (closed, dormant, flushing) =
                (pairs.closed, pairs.dormant, !pairs.flushing.is_empty());
            let Some(entry) = rank.entry(&mut pairs, to).filter(|_| !closed) else {
                return ready(Err(SendFailure::Failure(Failure::Closed)));
            };
            if let Some(reason) = &entry.lost {
                return ready(lost(reason.clone()));
            }
            let (lane, sync) = (message.lane(), message.sync);
            if !sync
                && !flushing
                && let Some((link, path)) = entry.open_way(dormant)
            {
                match entry.pair.transmit(rank.time_for(path), path, message) {
                    Ok(frame) => {
                        rank.tally(entry, &*link, path.direct, &frame);
                        rank.time(entry, to);
                        drop(pairs);
                        link.send(frame);
                        return ready(Ok(()));
                    }
                    Err(back) => message = back,
                }
            }
            let submitted = if entry.waiting[lane as usize].is_empty() {
                entry.pair.submit(message)
            } else {
                Err(message)
            };
            match submitted {
                Ok(_) if !sync => State::Ready(Some(Ok(()))),
                Ok(number) => {
                    let slot = Arc::new(SendSlot::new(sync, Stage::Submitted(None)));
                    entry.sync.insert(number, Arc::clone(&slot));
                    State::Waiting(slot)
                }
                Err(message) => {
                    let stage = Stage::Waiting(Box::new(message), None);
                    let slot = Arc::new(SendSlot::new(sync, stage));
                    entry.waiting[lane as usize].push_back(Arc::clone(&slot));
                    // The peer's word makes room; it is not to wait for company.
                    entry.pair.request_ack();
                    State::Waiting(slot)
                }
            }
        };
        rank.pump(to);
        if matches!(state, State::Waiting(_)) {
            rank.attention.call();
        }
        Self(state)
    }
}

impl SendFuture {
    /// The result, if it is there without waiting; it is not to be polled after that.
    pub fn finished(&mut self) -> Option<std::result::Result<(), SendFailure>> {
        match &mut self.0 {
            State::Ready(result) => result.take(),
            State::Waiting(_) => None,
        }
    }
}

impl Future for SendFuture {
    type Output = std::result::Result<(), SendFailure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(result) => Poll::Ready(result.take().expect("polled after it was ready")),
            State::Waiting(slot) => {
                home::spin(|| slot.is_done());
                slot.poll(context).map_err(SendFailure::Failure)
            }
        }
    }
}

impl Drop for SendFuture {
    fn drop(&mut self) {
        if let State::Waiting(slot) = &self.0 {
            slot.cancel();
        }
    }
}

/// A send that waits for room or for the match.
#[derive(Debug)]
pub(super) struct SendSlot {
    sync: bool,
    stage: Mutex<Stage>,
}

#[derive(Debug)]
enum Stage {
    Waiting(Box<Outgoing>, Option<Sleeper>),
    /// In the outbox; waits for the match.
    Submitted(Option<Sleeper>),
    Done(Result<(), Failure>),
    Cancelled,
}

impl SendSlot {
    fn new(sync: bool, stage: Stage) -> Self {
        Self { sync, stage: Mutex::new(stage) }
    }

    pub(super) fn is_sync(&self) -> bool {
        self.sync
    }

    /// Tries to put the message into the outbox: `None` if it was cancelled, an error if there
    /// is no room, else its number and whom to wake.
    #[allow(clippy::type_complexity, reason = "read once, at its one caller")]
    pub(super) fn submit(&self, pair: &mut Pair) -> Option<Result<(u32, Option<Sleeper>), ()>> {
        let mut stage = self.stage.lock();
        match std::mem::replace(&mut *stage, Stage::Cancelled) {
            // Asked again and again: it stays in its box until there is room.
            Stage::Waiting(message, waker) if !pair.takes(&message) => {
                *stage = Stage::Waiting(message, waker);
                Some(Err(()))
            }
            Stage::Waiting(message, waker) => match pair.submit(*message) {
                Ok(number) if self.sync => {
                    *stage = Stage::Submitted(waker);
                    Some(Ok((number, None)))
                }
                Ok(number) => {
                    *stage = Stage::Done(Ok(()));
                    Some(Ok((number, waker)))
                }
                Err(message) => {
                    *stage = Stage::Waiting(Box::new(message), waker);
                    Some(Err(()))
                }
            },
            other => {
                *stage = other;
                None
            }
        }
    }

    pub(super) fn finish(&self, result: Result<(), Failure>) -> Option<Sleeper> {
        let mut stage = self.stage.lock();
        match std::mem::replace(&mut *stage, Stage::Done(result)) {
            Stage::Waiting(_, waker) | Stage::Submitted(waker) => waker,
            Stage::Done(_) | Stage::Cancelled => None,
        }
    }

    fn is_done(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Done(_))
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match &mut *self.stage.lock() {
            Stage::Done(result) => Poll::Ready(result.clone()),
            Stage::Waiting(_, waker) | Stage::Submitted(waker) => {
                *waker = Some(Sleeper::new(context.waker()));
                Poll::Pending
            }
            Stage::Cancelled => Poll::Pending,
        }
    }

    fn cancel(&self) {
        let mut stage = self.stage.lock();
        if matches!(*stage, Stage::Waiting(..)) {
            *stage = Stage::Cancelled;
        }
    }
}

/// Waits until everything that a rank sent has arrived.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct FlushFuture {
    rank: Arc<Ranked>,
    asked: bool,
}

impl FlushFuture {
    pub(super) fn new(rank: &Arc<Ranked>) -> Self {
        Self { rank: Arc::clone(rank), asked: false }
    }

    /// A rank that has not had everything yet.
    pub fn behind(&self) -> Option<u32> {
        let pairs = self.rank.pairs.lock();
        let mut entries = pairs.by_rank.iter();
        entries.find(|(_, entry)| !entry.pair.is_flushed()).map(|(rank, _)| *rank)
    }
}

impl Future for FlushFuture {
    type Output = FmiResult<(), (u32, Reason)>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut behind = false;
        let mut to_ask = Vec::new();
        // Who is gone does not keep the others from having everything.
        let mut gone = None;
        {
            let mut pairs = self.rank.pairs.lock();
            for (rank, entry) in &mut pairs.by_rank {
                let waits = entry.waiting.iter().any(|line| !line.is_empty());
                if entry.pair.is_flushed() && !waits {
                    continue;
                }
                if let Some(reason) = &entry.lost {
                    // Who has left in good order has had all that it wanted of collectives: what it
                    // has not read of them was news of their end, and greetings.
                    if *reason != Reason::Left || waits || entry.pair.owes_messages() {
                        gone.get_or_insert_with(|| (*rank, reason.clone()));
                    }
                    continue;
                }
                behind = true;
                // Also what has left since, while nobody was known to wait for it.
                if entry.pair.request_ack() || !self.asked {
                    to_ask.push(*rank);
                }
            }
            let putting = self.rank.putting.load(Ordering::Acquire);
            if !behind && putting == 0 {
                return Poll::Ready(gone.map_or(Ok(()), Err));
            }
            pairs.flushing.retain(|waker| !waker.will_wake(context.waker()));
            pairs.flushing.push(Sleeper::new(context.waker()));
        }
        for rank in to_ask {
            self.rank.pump(rank);
        }
        if !self.asked {
            self.asked = true;
            self.rank.attention.call();
            // Inside a process that may have been all.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
