//! Payloads that are asked for before their message is matched.
//!
//! A message for whose payload there was no credit waits at its sender, until it is matched: a way
//! there and back for each, one after the other, which is long where a way leads through a store. So
//! credit that becomes free here goes to these first, the oldest before the others: it is not given
//! back, and the payload is asked for. What waits unmatched is bounded by the same credit as before;
//! one unit of each message goes back all the same, so that for each that is taken another envelope
//! can come.

use super::{Lane, units};
use crate::{
    Payload,
    frame::{Datatype, Header, Space},
};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Unmatched messages whose payload did not come along, though it is small enough.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    lanes: [LaneState; 2],
    /// Units that unmatched messages have got besides that of their envelope.
    lent: FxHashMap<u32, u16>,
    /// Payloads of unmatched messages.
    here: FxHashMap<u32, Payload>,
}

#[derive(Debug, Default)]
struct LaneState {
    /// They wait at the sender, the oldest first.
    parked: VecDeque<Parked>,
    /// Units that are free, and meant for them.
    saved: u16,
}

/// A message whose payload waits at the sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parked {
    pub(super) message: u32,
    pub(super) space: Space,
    pub(super) datatype: Datatype,
    pub(super) total: u64,
}

impl Parked {
    /// Units that it lacks.
    fn lacks(&self) -> u16 {
        units(self.total) - 1
    }
}

impl Ahead {
    /// An envelope has come, whose payload is to be asked for when there is credit.
    pub(super) fn park(&mut self, lane: Lane, header: &Header) {
        let Header { message, space, datatype, total, .. } = *header;
        self.lanes[lane as usize].parked.push_back(Parked { message, space, datatype, total });
    }

    /// A message was taken or dropped, which frees so many units, and those that it had been lent.
    pub(super) fn taken(&mut self, lane: Lane, message: u32, units: u16) {
        let state = &mut self.lanes[lane as usize];
        if let Some(at) = state.parked.iter().position(|parked| parked.message == message) {
            state.parked.remove(at);
        }
        let lent = self.lent.remove(&message);
        state.saved += units + lent.unwrap_or(0);
    }

    /// The next message to be asked for: the oldest, once as many units are free as it lacks.
    pub(super) fn next(&mut self, lane: Lane) -> Option<Parked> {
        let LaneState { parked, saved } = &mut self.lanes[lane as usize];
        parked.pop_front_if(|first| first.lacks() <= *saved)
    }

    /// It has been asked for.
    pub(super) fn lend(&mut self, lane: Lane, parked: &Parked) {
        self.lanes[lane as usize].saved -= parked.lacks();
        self.lent.insert(parked.message, parked.lacks());
    }

    /// Takes what goes back to the sender: so many units, and all that are free if nothing waits there.
    pub(super) fn give_back(&mut self, lane: Lane, least: u16) -> u16 {
        let LaneState { parked, saved } = &mut self.lanes[lane as usize];
        let back = if parked.is_empty() { *saved } else { least.min(*saved) };
        *saved -= back;
        back
    }

    /// A payload is whole. Gives it back if its message is matched, or was not asked for ahead.
    pub(super) fn keep(&mut self, message: u32, payload: Payload) -> Option<Payload> {
        if !self.lent.contains_key(&message) {
            return Some(payload);
        }
        self.here.insert(message, payload);
        None
    }

    /// The payload of a message, if it is here.
    pub(super) fn take(&mut self, message: u32) -> Option<Payload> {
        self.here.remove(&message)
    }
}
