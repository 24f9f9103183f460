//! The order of asks, which driver and workers count alike.

use crate::Communicator;
use fmi_actors::{
    Payload, Result,
    endpoint::{RecvFuture, SendFailure, SendFuture},
    frame::{Datatype, Space},
    mailbox::Filter,
};
use std::collections::VecDeque;

/// Asks that one scope numbers: a service outlives 32 bits.
const RENEW: u32 = 1 << 20;

/// Which communicator numbers the next ask. All ranks go through the same asks in the same order,
/// so they renew it at the same time.
#[derive(Debug)]
pub(super) struct Line {
    comm: Communicator,
    left: u32,
}

impl Line {
    pub(super) fn new(service: &Communicator) -> Self {
        Self { comm: service.dup(), left: RENEW }
    }

    /// The communicator whose next number is the next ask's.
    pub(super) fn next(&mut self) -> &Communicator {
        if self.left == 0 {
            *self = Self::new(&self.comm);
        }
        self.left -= 1;
        &self.comm
    }
}

/// Requests on their way to the workers.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Sends to each worker, of the oldest request first.
    requests: VecDeque<Vec<SendFuture>>,
}

impl Outbound {
    /// Waits until fewer than `limit` requests wait at some worker. Dropped, it loses nothing.
    pub(super) async fn room(&mut self, limit: usize) -> Result<(), SendFailure> {
        while self.requests.len() >= limit {
            while let Some(send) = self.requests.front_mut().and_then(|sends| sends.last_mut()) {
                let sent = send.await;
                self.requests.front_mut().and_then(Vec::pop);
                sent?;
            }
            self.requests.pop_front();
        }
        Ok(())
    }

    /// Sends a request to all workers. It goes its way whether its asker waits or not: so each
    /// worker sees each request, and what it hears about one never stays without it.
    pub(super) fn post(&mut self, service: &Communicator, mut request: Payload) -> Result<()> {
        let copies = (1..service.size()).map(|_| request.share()).collect::<Result<Vec<_>>>()?;
        let sends = copies.into_iter().enumerate().map(|(worker, request)| {
            let to = service.world_rank(worker + 1);
            let space = Space::messages(service.scope());
            service.endpoint().send(space, to, 0, Datatype::BYTES, request, true)
        });
        self.requests.push_back(sends.collect());
        Ok(())
    }
}

/// The next request, on a worker.
pub(super) fn inbound(service: &Communicator) -> RecvFuture {
    let filter = Filter { source: Some(service.world_rank(0)), tag: None };
    service.endpoint().recv(Space::messages(service.scope()), filter)
}
