//! A store's server on the machine of the ranks: what it is asked for, and when it does it.

use crate::{Bytes, channel::Server};
use std::collections::VecDeque;

/// Does one request after the other, in the order in which they came, whenever it has a core.
#[derive(Debug)]
pub(super) struct Desk {
    server: Server,
    /// By when it has done what it has begun.
    pub(super) clock: f64,
    pub(super) state: State,
    /// What has not been done, in the order in which it comes.
    requests: VecDeque<Request>,
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Idle,
    /// It wants a core, and has none.
    Waiting,
    /// It has a core.
    Serving,
}

/// What it is asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) then: Then,
    at: f64,
    bytes: Bytes,
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Then {
    /// A message is there after the latency.
    Deliver { from: u32, to: u32, latency: f64 },
    /// Ranges of blocks, each by its first and how many, can be read after the latency.
    Show { by: u32, blocks: Vec<(usize, usize)>, latency: f64 },
    /// A rank has what it reads.
    Answer { to: u32 },
}

impl Desk {
    pub(super) fn new(server: Server) -> Self {
        Self { server, clock: 0.0, state: State::Idle, requests: VecDeque::new() }
    }

    /// Something is asked for, at a time.
    pub(super) fn ask(&mut self, at: f64, bytes: Bytes, then: Then) {
        let before = self.requests.iter().rposition(|request| request.at <= at);
        let place = before.map_or(0, |before| before + 1);
        self.requests.insert(place, Request { then, at, bytes });
    }

    /// Does the next request that has come by now.
    pub(super) fn next(&mut self) -> Option<Request> {
        let next = self.requests.pop_front_if(|next| next.at <= self.clock)?;
        self.clock += self.server.busy(next.bytes).get();
        Some(next)
    }

    /// When the next request comes, or came.
    pub(super) fn awaits(&self) -> Option<f64> {
        self.requests.front().map(|next| next.at)
    }

    /// The blocks of what a rank publishes, if that is not done yet.
    pub(super) fn shown_by(&mut self, rank: usize) -> Option<&mut Vec<(usize, usize)>> {
        self.requests.iter_mut().rev().find_map(|request| match &mut request.then {
            Then::Show { by, blocks, .. } if *by as usize == rank => Some(blocks),
            _ => None,
        })
    }
}
