//! A rank at the level of bytes: what its communicators are made of.
//!
//! Everything returns futures that do their first step when *called* (rule 3): a send is
//! posted, a receive joins the match queue. They may be polled on any runtime.

mod alarm;
mod entry;
mod notice;
mod pairs;
mod publish;
mod recv;
mod send;
mod shelf;
mod stored;
mod watch;

pub use crate::reads::Reading;
pub use alarm::Alarm;
pub use notice::Collective;
pub use publish::{MayPublish, Publications, Published};
pub use recv::{ProbeFuture, RecvFuture};
pub use send::{FlushFuture, SendFailure, SendFuture};
pub use stored::StoreUse;
pub use watch::Watch;

pub(crate) use pairs::Ranked;

use crate::{
    Node, Payload, Reason,
    clock::Time,
    frame::{Datatype, Signature, Space},
    home::HomeHandle,
    mailbox::{Envelope, Filter, Group},
    meter::{Call, Meter},
    pair::Outgoing,
};
use std::sync::Arc;

/// A rank's way to all others. Cheap to clone; usable from any thread.
#[derive(Debug, Clone)]
pub struct Endpoint {
    rank: Arc<Ranked>,
}

impl Endpoint {
    pub(crate) fn new(rank: Arc<Ranked>) -> Self {
        Self { rank }
    }

    /// World number of the rank.
    #[must_use]
    pub fn rank(&self) -> u32 {
        self.rank.number()
    }

    /// The process that it lives in, as long as that lives.
    #[must_use]
    pub fn node(&self) -> Option<Arc<Node>> {
        self.rank.node()
    }

    /// The arbiter that it lives on, if it lives on one of ours.
    #[must_use]
    pub fn home(&self) -> Option<&HomeHandle> {
        self.rank.home()
    }

    /// Opens a scope for the members of `group` (world ranks). Messages for it may have come
    /// before.
    pub fn open(&self, scope: u64, group: Group) {
        self.rank.sleep(false);
        for (space, failure) in self.rank.mailbox.open(scope, group) {
            self.rank.pass_on(space, &failure);
        }
    }

    /// Closes a scope: what waits in it, or comes for it later, is dropped.
    pub fn close(&self, scope: u64) {
        let (freed, last) = self.rank.mailbox.close(scope);
        self.rank.free(freed);
        if last {
            self.rank.sleep(true);
        }
    }

    /// Sends a message. The future is ready when the message is in the outbox, or, with `sync`,
    /// when it is matched. A message that still waits for room is taken back if the future is
    /// dropped.
    pub fn send(
        &self,
        space: Space,
        to: u32,
        tag: u32,
        datatype: Datatype,
        payload: Payload,
        sync: bool,
    ) -> SendFuture {
        let message = Outgoing { space, tag, datatype, payload, sync, signature: None };
        SendFuture::post(&self.rank, to, message)
    }

    /// As [`send`](Self::send), for the first message of a collective to a rank.
    pub fn send_signed(
        &self,
        space: Space,
        to: u32,
        datatype: Datatype,
        payload: Payload,
        signature: Signature,
    ) -> SendFuture {
        let signature = Some(signature);
        let message = Outgoing { space, tag: 0, datatype, payload, sync: false, signature };
        SendFuture::post(&self.rank, to, message)
    }

    /// Receives the oldest message that the filter takes. Cancel-safe: a message that the
    /// dropped future had goes back to the front.
    pub fn recv(&self, space: Space, filter: Filter) -> RecvFuture {
        RecvFuture::post(&self.rank, space, filter)
    }

    /// Waits for such a message without taking it.
    pub fn probe(&self, space: Space, filter: Filter) -> ProbeFuture {
        ProbeFuture::post(&self.rank, space, filter)
    }

    /// The envelope of such a message, if one waits.
    #[must_use]
    pub fn peek(&self, space: Space, filter: Filter) -> Option<Envelope> {
        self.rank.mailbox.peek(space, filter)
    }

    /// Begins a collective: takes its number. `signature` says what this rank calls.
    #[must_use]
    pub fn enter(&self, scope: u64, signature: Option<Signature>) -> Collective {
        Collective::enter(&self.rank, scope, signature)
    }

    /// Waits until everything sent has arrived.
    ///
    /// Fails with a rank that is gone before it had everything, once all others have.
    pub fn flush(&self) -> FlushFuture {
        FlushFuture::new(&self.rank)
    }

    /// Ends the rank: every wait fails, what waits is dropped. Called after
    /// [`flush`](Self::flush).
    pub fn shut(&self, reason: &Reason) {
        self.rank.shut();
        // Ranks of this process need no rendezvous to learn it.
        if let Some(node) = self.node() {
            match reason {
                Reason::Left => node.left(self.rank()),
                reason => node.tell_local(&[self.rank()], reason),
            }
        }
    }

    /// Whether the rank has ended.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.rank.mailbox.is_shut()
    }

    /// Why a rank is gone, if it is.
    #[must_use]
    pub fn lost_reason(&self, rank: u32) -> Option<Reason> {
        self.rank.mailbox.lost_reason(rank)
    }

    /// What the process counts.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.rank.meter
    }

    /// This rank has called a collective, which has ended well.
    pub fn record(&self, call: &Call<'_>) {
        self.rank.calls.record(call);
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.rank.keeper.now()
    }

    /// A deadline: registers the task that polls it with the keeper of the process.
    #[must_use]
    pub fn watch(&self, after: std::time::Duration) -> Watch {
        Watch::new(&self.rank, after)
    }
}
