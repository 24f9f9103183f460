//! What happens in a run, written down for a trace.

use super::simulation::Message;
use crate::plan::{
    Action, Blocks, Step,
    trace::{Event, Kind},
};
use rustc_hash::FxHashMap;

/// Writes events down, if somebody wants them.
#[derive(Debug)]
pub(super) struct Log<'e> {
    events: Option<&'e mut Vec<Event>>,
    /// What is on the way, by sender and number of its step.
    sent: FxHashMap<(usize, usize), Blocks>,
}

impl<'e> Log<'e> {
    pub(super) fn new(events: Option<&'e mut Vec<Event>>) -> Self {
        Self { events, sent: FxHashMap::default() }
    }

    /// A rank has sent or published something, in its step of this number and in this round.
    pub(super) fn left(&mut self, rank: usize, index: usize, step: &Step, round: usize) {
        let Some(events) = &mut self.events else { return };
        match &step.action {
            Action::Send { blocks, .. } => {
                self.sent.insert((rank, index), blocks.clone());
            }
            Action::Publish { blocks, readers } => {
                let kind = Kind::Publish { readers: *readers };
                events.push(alone(kind, rank, blocks, blocks, round, step));
            }
            _ => {}
        }
    }

    /// A rank has received or fetched something, and is in this round now.
    pub(super) fn arrived(&mut self, rank: usize, step: &Step, message: &Message, round: usize) {
        let Some(events) = &mut self.events else { return };
        let (kind, from, into) = match &step.action {
            Action::Recv { from, blocks } => (Kind::Send, *from, blocks),
            Action::Combine { from, blocks, side } => (Kind::Combine(*side), *from, blocks),
            Action::Fetch { from, blocks } => (Kind::Fetch, *from, blocks),
            Action::CombineShared { from, blocks, side } => {
                (Kind::CombineShared(*side), *from, blocks)
            }
            _ => return,
        };
        // What is fetched has one number at both ends.
        let sent = if kind.is_message() { self.sent.remove(&(from, message.step)) } else { None };
        events.push(Event {
            kind,
            from,
            to: Some(rank),
            blocks: sent.unwrap_or_else(|| into.clone()),
            into: into.clone(),
            sent: message.round,
            round,
            tier: step.tier,
        });
    }

    /// A rank has copied blocks.
    pub(super) fn copied(&mut self, rank: usize, step: &Step, round: usize) {
        let (Some(events), Action::Copy { from, to }) = (&mut self.events, &step.action) else {
            return;
        };
        events.push(alone(Kind::Copy, rank, from, to, round, step));
    }
}

fn alone(kind: Kind, rank: usize, from: &Blocks, to: &Blocks, round: usize, step: &Step) -> Event {
    let (blocks, into) = (from.clone(), to.clone());
    Event { kind, from: rank, to: None, blocks, into, sent: round, round, tier: step.tier }
}
