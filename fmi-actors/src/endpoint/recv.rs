//! Receives and probes.

use super::pairs::{Ranked, wake};
use crate::{
    frame::Space,
    home,
    mailbox::{Envelope, Failure, Filter, Slot, Wakers},
    pair::Arrival,
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A receive in the match queue.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct RecvFuture {
    rank: Arc<Ranked>,
    space: Space,
    /// Until the message is taken.
    slot: Option<Arc<Slot>>,
}

impl RecvFuture {
    pub(super) fn post(rank: &Arc<Ranked>, space: Space, filter: Filter) -> Self {
        let (slot, taken) = rank.mailbox.post(space, filter);
        if let Some(taken) = taken {
            rank.take(&taken, &slot);
        }
        Self { rank: Arc::clone(rank), space, slot: Some(slot) }
    }

    /// Whether there is a message for it, though its payload may still be on its way.
    #[must_use]
    pub fn is_matched(&self) -> bool {
        self.slot.as_ref().is_none_or(|slot| slot.is_matched())
    }
}

impl Future for RecvFuture {
    type Output = Result<Arrival, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = self.slot.as_ref().expect("polled after it was ready");
        if !slot.is_ready() {
            home::stir();
            home::spin(|| slot.is_ready());
            slot.register(context.waker());
        }
        let Some(result) = slot.take() else {
            self.rank.attention.call();
            return Poll::Pending;
        };
        if let Some(slot) = self.slot.take() {
            Slot::spare(slot);
        }
        Poll::Ready(result)
    }
}

impl Drop for RecvFuture {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            let mut wakers = Wakers::new();
            let refill = self.rank.mailbox.cancel(self.space, &slot, &mut wakers);
            wake(wakers);
            match refill {
                Some((taken, Some(slot))) => self.rank.take(&taken, &slot),
                Some((taken, None)) => self.rank.free(vec![taken]),
                None => {}
            }
        }
    }
}

/// Waits for a message without taking it.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ProbeFuture {
    rank: Arc<Ranked>,
    space: Space,
    slot: Arc<Slot>,
}

impl ProbeFuture {
    pub(super) fn post(rank: &Arc<Ranked>, space: Space, filter: Filter) -> Self {
        let slot = rank.mailbox.probe(space, filter);
        Self { rank: Arc::clone(rank), space, slot }
    }
}

impl Future for ProbeFuture {
    type Output = Result<Envelope, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.slot.is_ready() {
            home::spin(|| self.slot.is_ready());
            self.slot.register(context.waker());
        }
        match self.slot.take_envelope() {
            Some(envelope) => Poll::Ready(envelope),
            None => {
                self.rank.attention.call();
                Poll::Pending
            }
        }
    }
}

impl Drop for ProbeFuture {
    fn drop(&mut self) {
        let mut wakers = Wakers::new();
        self.rank.mailbox.cancel(self.space, &self.slot, &mut wakers);
        wake(wakers);
    }
}
