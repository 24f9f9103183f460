//! Learning that a collective failed, without receiving anything in it.

use super::{
    Endpoint,
    pairs::{Ranked, wake},
};
use crate::{
    frame::Space,
    mailbox::{ALARM, Failure, Filter, Slot, Wakers},
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Ready when a collective has failed: on this rank or another, by a lost member or a mismatch.
///
/// It stands in the collective's match queue like a receive, for a message that nobody sends, and
/// never spins.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Alarm {
    rank: Arc<Ranked>,
    space: Space,
    slot: Arc<Slot>,
}

impl Endpoint {
    /// The alarm of a collective that was [entered](Self::enter). Any number may wait.
    pub fn alarm(&self, space: Space) -> Alarm {
        // From itself, so that it neither takes a message nor ends because a rank has left in
        // good order: whoever waits for that one's messages or notes learns it there.
        self.alarm_of(space, self.rank())
    }

    /// As [`alarm`](Self::alarm), and ready too when this rank has left, also in good order: what it
    /// has not given until then it never will.
    pub fn departure(&self, space: Space, of: u32) -> Alarm {
        self.alarm_of(space, of)
    }

    fn alarm_of(&self, space: Space, source: u32) -> Alarm {
        let filter = Filter { source: Some(source), tag: Some(ALARM) };
        let (slot, taken) = self.rank.mailbox.post(space, filter);
        debug_assert!(taken.is_none(), "nobody sends this");
        Alarm { rank: Arc::clone(&self.rank), space, slot }
    }
}

impl Future for Alarm {
    type Output = Failure;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Failure> {
        if !self.slot.is_ready() {
            self.slot.register(context.waker());
        }
        match self.slot.take() {
            Some(Err(failure)) => Poll::Ready(failure),
            Some(Ok(_)) | None => Poll::Pending,
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut wakers = Wakers::new();
        self.rank.mailbox.cancel(self.space, &self.slot, &mut wakers);
        wake(wakers);
    }
}
