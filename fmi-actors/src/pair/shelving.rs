//! Payloads that go into a store: their envelopes leave in their turn, once they are there.

use super::Outgoing;
use crate::{Payload, frame::Space};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// A payload to be put into the store.
#[derive(Debug)]
pub struct Put {
    /// Where its message is matched.
    pub space: Space,
    /// Number of its message in the pair.
    pub message: u32,
    /// The bytes.
    pub payload: Payload,
}

/// The messages in the outbox whose payload is, or is to be, in the store.
#[derive(Debug, Default)]
pub(super) struct Shelving {
    stages: FxHashMap<u32, Stage>,
    puts: VecDeque<Put>,
}

#[derive(Debug)]
enum Stage {
    Putting,
    There,
    Failed(Payload),
}

impl Shelving {
    /// Whether the payload of this message is on its way into the store: it stays so whatever link
    /// takes its envelope.
    pub(super) fn has(&self, message: u32) -> bool {
        !self.stages.is_empty() && self.stages.contains_key(&message)
    }

    /// Begins with all that wait in a lane and are larger than `limit`, not only with the first:
    /// what they hold is bounded by the outbox.
    pub(super) fn begin(&mut self, queue: &mut VecDeque<(u32, Outgoing)>, limit: usize) {
        for (number, message) in queue {
            if message.payload.size_hint() > limit && !self.stages.contains_key(number) {
                let payload = message.payload.share();
                let payload = payload.expect("payloads that leave the process are bytes");
                self.puts.push_back(Put { space: message.space, message: *number, payload });
                self.stages.insert(*number, Stage::Putting);
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<Put> {
        self.puts.pop_front()
    }

    pub(super) fn done(&mut self, message: u32, failure: Option<Payload>) {
        if let Some(stage) = self.stages.get_mut(&message) {
            *stage = failure.map_or(Stage::There, Stage::Failed);
        }
    }

    /// Whether the envelope can leave, and then what it carries: nothing, or what went wrong.
    pub(super) fn take(&mut self, message: u32) -> Option<Payload> {
        if let Stage::Putting = self.stages.get(&message)? {
            return None;
        }
        match self.stages.remove(&message)? {
            Stage::Failed(why) => Some(why),
            Stage::There | Stage::Putting => Some(Payload::empty()),
        }
    }
}
